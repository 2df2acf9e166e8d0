// Live events, idle times, filters and places, through `urban-airship-connect`.
'use strict'

const assert = require('node:assert')
const fs = require('node:fs')
const path = require('node:path')
const { randomUUID } = require('node:crypto')
const { KEY, URL, cases, event, open, publish, sleep, take, until } = require('../stand.js')

const TYPES = ['OPEN', 'CLOSE', 'SEND']

// The table that the drivers of all clients share, with ids of this run.
function table() {
  let text = fs.readFileSync(path.join(__dirname, '..', '..', 'filters.json'), 'utf8')
  for (const name of ['channel', 'contact', 'named', 'push', 'group', 'other']) text = text.replaceAll(`{${name}}`, randomUUID())
  return JSON.parse(text.replaceAll('{hour_ago}', new Date(Date.now() - 3600000).toISOString()))
}

// Every shape of filters, each a case of its own on the same events.
function filters() {
  const { events, shapes } = table()
  const names = Object.keys(events)
  let published
  const publishOnce = async () => {
    const [before] = await publish(event())
    return { before, offsets: await publish(...names.map((name) => event(events[name].type, events[name]))) }
  }
  const picks = async ({ filters, picks }) => {
    const { before, offsets } = await (published ??= publishOnce())
    const last = offsets.at(-1)
    const seen = open({ resume_offset: String(before), enable_offset_updates: true, filters })
    // All were looked at once the last event or an update behind it has come.
    await until('the last offset', () => seen.errors.length > 0 || seen.offsets().some((offset) => offset >= last))
    seen.stream.end()
    if (seen.errors.length > 0) throw seen.errors[0]
    const found = seen.events.filter((one) => one.type !== 'OFFSET_UPDATE').map((one) => names[offsets.indexOf(Number(one.offset))])
    assert.deepStrictEqual(found.sort(), [...picks].sort())
  }
  return Object.fromEntries(shapes.map((shape) => [`filter: ${shape.name}`, () => picks(shape)]))
}

cases({
  'live events arrive': async () => {
    const seen = open({ start: 'LATEST' })
    await sleep(500)
    const offsets = await publish(...TYPES.map((type) => event(type)))
    assert.deepStrictEqual(await take(seen, 3), offsets)
    assert.deepStrictEqual(seen.events.map((one) => one.type), TYPES)
  },

  'an empty filter begins at the end': async () => {
    await publish(event())
    const seen = open({})
    await sleep(500)
    const offsets = await publish(event())
    assert.deepStrictEqual(await take(seen, 1), offsets)
  },

  'thirty idle seconds are no trouble': async () => {
    const seen = open({ start: 'LATEST' })
    await sleep(30000)
    const offsets = await publish(event())
    assert.deepStrictEqual(await take(seen, 1), offsets)
    assert.strictEqual(seen.connects, 1, 'it had to connect again')
  },

  'resume by string and by number': async () => {
    const offsets = await publish(event(), event(), event())
    for (const place of [String(offsets[0]), offsets[0]]) {
      assert.deepStrictEqual(await take(open({ resume_offset: place }), 2), offsets.slice(1))
    }
  },

  'start and resume together resume': async () => {
    const offsets = await publish(event(), event())
    const seen = open({ start: 'LATEST', resume_offset: String(offsets[0]) })
    assert.deepStrictEqual(await take(seen, 1), offsets.slice(1))
  },

  // The client itself sends application/json and nothing else.
  'any Content-Type will do, as fetch sends it': async () => {
    const offsets = await publish(event(), event())
    const text = JSON.stringify({ resume_offset: String(offsets[0]) })
    const headers = { 'X-UA-Appkey': KEY, Authorization: `Bearer ${KEY}` }
    const urlencoded = { ...headers, 'Content-Type': 'application/x-www-form-urlencoded' }
    const ways = {
      'text/plain, which fetch gives a text': { headers, body: text },
      urlencoded: { headers: urlencoded, body: text },
      none: { headers, body: new TextEncoder().encode(text) },
    }
    for (const [way, { headers, body }] of Object.entries(ways)) {
      const ended = new AbortController()
      const answer = await fetch(`${URL}/api/events/`, { method: 'POST', headers, body, signal: ended.signal })
      assert.strictEqual(answer.status, 200, way)
      let found = ''
      for await (const piece of answer.body.pipeThrough(new TextDecoderStream())) {
        found += piece
        if (found.includes('}\n')) break
      }
      ended.abort()
      assert.deepStrictEqual(found.split('\n').filter(Boolean).map((line) => Number(JSON.parse(line).offset)), offsets.slice(1), way)
    }
  },

  'offset updates come while idle': async () => {
    const [last] = await publish(event())
    const seen = open({ start: 'LATEST', enable_offset_updates: true })
    assert.deepStrictEqual(await take(seen, 1), [last])
    assert.strictEqual(seen.events[0].type, 'OFFSET_UPDATE')
  },

  ...filters(),

  'partitions are disjoint and complete': async () => {
    const [before] = await publish(event())
    const offsets = await publish(...Array.from({ length: 200 }, () => event()))
    const parts = [0, 1, 2].map((selection) =>
      open({ resume_offset: String(before), subset: { type: 'PARTITION', count: 3, selection } }),
    )
    await until('all parts', () => parts.reduce((sum, part) => sum + part.events.length, 0) >= 200)
    await sleep(300)
    parts.forEach((part) => part.stream.end())
    assert.deepStrictEqual(parts.flatMap((part) => part.offsets()).sort((a, b) => a - b), offsets)
  },

  'a second filter on an open stream opens a second request': async () => {
    const seen = open({ start: 'LATEST', filters: [{ types: ['OPEN'] }] })
    await sleep(500)
    await publish(event('OPEN'))
    await until('the first', () => seen.events.length === 1)
    seen.stream.write({ start: 'LATEST', filters: [{ types: ['CLOSE'] }] })
    await sleep(1000)
    await publish(event('CLOSE'))
    await take(seen, 2)
    assert.deepStrictEqual(seen.events.map((one) => one.type), ['OPEN', 'CLOSE'])
  },

  'a slow reader loses nothing and holds nobody up': async () => {
    const seen = open({ start: 'LATEST' })
    await sleep(500)
    // What is not taken out of the stream waits in it, and then on the way.
    seen.stream.pause()
    const big = 'x'.repeat(2000)
    let offsets = []
    for (let round = 0; round < 20; round++) {
      offsets = offsets.concat(await publish(...Array.from({ length: 500 }, () => event('CUSTOM', { body: { name: big } }))))
    }
    await sleep(3000)
    const early = seen.events.length
    assert.ok(early < offsets.length, 'it was not slow')
    seen.stream.resume()
    assert.deepStrictEqual(await take(seen, offsets.length, 60000), offsets)
    return `${early} of ${offsets.length} events before it went on`
  },

  'a backlog of twenty thousand events comes whole and in order': async () => {
    const [before] = await publish(event())
    let offsets = []
    for (let round = 0; round < 20; round++) {
      offsets = offsets.concat(await publish(...Array.from({ length: 1000 }, () => event())))
    }
    assert.deepStrictEqual(await take(open({ resume_offset: String(before) }), 20000), offsets)
  },
})
