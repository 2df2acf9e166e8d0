// The feeds through npm `eventsource`: places, ends in good order, restarts.
'use strict'

const { EventSource } = require('eventsource')
const { randomUUID } = require('node:crypto')
const { PROJECT, cases, order, post, sleep } = require('../stand.js')

const TYPES = [{ name: 'Account', keys: [['account_no']] }]
const change = (number) => ({ id: randomUUID(), type: 'create', ref: { type: 'Account', ids: { account_no: number } }, body: {} })

async function feed() {
  const stream = `billing-${randomUUID()}`
  await post(`${PROJECT}/streams`, { name: stream, entities: TYPES })
  const key = await post(`${PROJECT}/api-keys`, { name: 'event source', scopes: ['feed:read'] })
  return { stream, issue: () => post(`${PROJECT}/api-keys/${key.id}/tokens`, { days: 1 }) }
}

// Listens with a token in the header, which is fetched anew for each connection.
function listen({ stream, issue }, query) {
  const heard = { numbers: [], ids: [], connections: 0 }
  const source = new EventSource(`${PROJECT}/feed/changes?stream=${stream}&${query}`, {
    fetch: async (url, init) => {
      heard.connections += 1
      const token = (await issue()).access_token
      return fetch(url, { ...init, headers: { ...init.headers, Authorization: `Bearer ${token}` } })
    },
  })
  source.addEventListener('create', (event) => {
    heard.numbers.push(JSON.parse(event.data.split('\n')[0]).ref.ids.account_no)
    heard.ids.push(event.lastEventId)
  })
  source.addEventListener('message', (event) => heard.numbers.push(`message ${event.data}`))
  return { heard, source }
}

async function until(heard, count) {
  const end = Date.now() + 30000
  while (heard.numbers.length < count) {
    if (Date.now() > end) throw new Error(`${heard.numbers.length} of ${count} events`)
    await sleep(20)
  }
  const expected = [...Array(count).keys()].join()
  if (heard.numbers.join() !== expected) throw new Error(`heard ${heard.numbers}`)
}

cases({
  'eventsource goes on where a stream ended in good order': async () => {
    const one = await feed()
    await post(`${PROJECT}/streams/${one.stream}/events`, [0, 1, 2, 3, 4].map(change))
    const { heard, source } = listen(one, 'from=earliest&limit=2')
    await until(heard, 5)
    source.close()
    if (heard.connections < 3) throw new Error(`${heard.connections} connections`)
  },
  'eventsource goes on after a restart': async () => {
    const one = await feed()
    const { heard, source } = listen(one, 'from=earliest')
    await post(`${PROJECT}/streams/${one.stream}/events`, [change(0)])
    await until(heard, 1)
    await order('restart')
    await post(`${PROJECT}/streams/${one.stream}/events`, [change(1)])
    await until(heard, 2)
    source.close()
  },
})
