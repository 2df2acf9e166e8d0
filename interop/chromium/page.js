// The cases, as a page runs them: only what a browser has.
'use strict'
/* global SETTINGS, StompJs */

const tell = (text) => fetch('/', { method: 'POST', body: text })
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const fresh = () => `/queue/interop.${crypto.randomUUID()}`

async function until(what, holds, ms = 15000) {
  const end = Date.now() + ms
  while (!holds()) {
    if (Date.now() > end) throw new Error(`${what}: not within ${ms} ms`)
    await sleep(20)
  }
}

async function connect(path, options = {}) {
  const { socket, login, passcode } = SETTINGS
  const client = new StompJs.Client({ brokerURL: socket + path, connectHeaders: { login, passcode }, reconnectDelay: 0, ...options })
  client.onStompError = (frame) => (client.refused = frame.headers.message)
  client.activate()
  await until('connected', () => client.connected || client.refused)
  if (client.refused) throw new Error(client.refused)
  return client
}

async function echo(client, body, headers = {}) {
  const queue = fresh()
  const messages = []
  client.subscribe(queue, (message) => messages.push(message), { ack: 'client-individual' })
  const content = typeof body === 'string' ? { body } : { binaryBody: body }
  client.publish({ destination: queue, ...content, headers })
  await until('the message', () => messages.length > 0)
  messages[0].ack()
  return messages[0]
}

function same(one, other) {
  if (one !== other) throw new Error(`${JSON.stringify(one)} is not ${JSON.stringify(other)}`)
}

const CASES = {
  'EventSource goes on where a stream ended in good order': async () => {
    const numbers = []
    const source = new EventSource(`${SETTINGS.feed}&from=earliest&limit=2`)
    let opened = 0
    source.onopen = () => (opened += 1)
    source.onmessage = (event) => numbers.push(`message ${event.data}`)
    source.addEventListener('create', (event) => numbers.push(JSON.parse(event.data.split('\n')[0]).ref.ids.account_no))
    await until('all events', () => numbers.length >= 5, 30000)
    source.close()
    same(numbers.join(), '0,1,2,3,4')
    if (opened < 3) throw new Error(`${opened} connections`)
  },
  'EventSource goes on after its last id when the server was restarted': async () => {
    const heard = []
    // The address says to begin at the earliest: only the id that the browser sends goes before that.
    const source = new EventSource(`${SETTINGS.feed}&from=earliest`)
    let opened = 0
    source.onopen = () => (opened += 1)
    source.onmessage = (event) => heard.push({ number: `message ${event.data}` })
    source.addEventListener('create', (event) =>
      heard.push({ number: JSON.parse(event.data.split('\n')[0]).ref.ids.account_no, id: event.lastEventId })
    )
    await until('what there was', () => heard.length >= 5)
    const answer = await fetch('/restart', { method: 'POST' })
    if (!answer.ok) throw new Error(await answer.text())
    await until('what came afterwards', () => heard.length >= 6, 30000)
    // What came twice would be here by now.
    await sleep(500)
    source.close()
    same(heard.map((event) => event.number).join(), '0,1,2,3,4,5')
    same(new Set(heard.map((event) => event.id)).size, 6)
    if (opened < 2) throw new Error('the server was not restarted')
  },
  'every path connects': async () => {
    for (const path of ['/stomp', '/ws', '/']) await (await connect(path)).deactivate()
  },
  'what is sent is received': async () => {
    const client = await connect('/stomp')
    const message = await echo(client, 'ünïcödé 📈', { persistent: 'true', colon: 'a:b\n' })
    same(message.body, 'ünïcödé 📈')
    same(message.headers.colon, 'a:b\n')
    await client.deactivate()
  },
  'bytes survive': async () => {
    const client = await connect('/stomp', { forceBinaryWSFrames: true })
    const body = Uint8Array.from({ length: 2048 }, (_, at) => at % 256)
    same((await echo(client, body)).binaryBody.join(), body.join())
    await client.deactivate()
  },
  'a large frame in pieces is one frame': async () => {
    const client = await connect('/stomp', { splitLargeFrames: true })
    const body = 'x'.repeat(200000)
    same((await echo(client, body)).body.length, body.length)
    await client.deactivate()
  },
  'heart-beats keep an idle page': async () => {
    const client = await connect('/stomp', { heartbeatIncoming: 500, heartbeatOutgoing: 500 })
    await sleep(4000)
    same((await echo(client, 'still here')).body, 'still here')
    await client.deactivate()
  },
  'a receipt says that it is stored': async () => {
    const client = await connect('/stomp')
    let stored = false
    client.watchForReceipt('r1', () => (stored = true))
    client.publish({ destination: fresh(), body: 'x', headers: { receipt: 'r1', persistent: 'true' } })
    await until('the receipt', () => stored)
    await client.deactivate()
  },
}

async function all() {
  for (const [name, run] of Object.entries(CASES)) {
    let outcome = { case: name, ok: true, detail: '' }
    try {
      await run()
    } catch (error) {
      outcome = { case: name, ok: false, detail: String(error).slice(0, 400) }
    }
    await tell(JSON.stringify(outcome))
  }
  await tell('done')
}

all()
