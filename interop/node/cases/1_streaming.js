// Live events, idle times, filters and places, through `urban-airship-connect`.
'use strict'

const assert = require('node:assert')
const { cases, event, open, publish, sleep, take, until } = require('../stand.js')

const TYPES = ['OPEN', 'CLOSE', 'SEND']

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

  'filters in arrays, objects and predicates': async () => {
    const [before] = await publish(event())
    const offsets = await publish(event('OPEN'), event('CLOSE'), event('CUSTOM', { body: { name: 'x' } }))
    const shapes = [
      [{ filters: [{ types: ['close'] }] }, offsets[1]],
      [{ filters: { types: ['CLOSE'] } }, offsets[1]],
      [{ filters: [{ predicates: [{ scope: 'body', key: 'name', value: { equals: 'x' } }] }] }, offsets[2]],
    ]
    for (const [shape, expected] of shapes) {
      assert.deepStrictEqual(await take(open({ resume_offset: String(before), ...shape }), 1), [expected])
    }
  },

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

  'a backlog of twenty thousand events comes whole and in order': async () => {
    const [before] = await publish(event())
    let offsets = []
    for (let round = 0; round < 20; round++) {
      offsets = offsets.concat(await publish(...Array.from({ length: 1000 }, () => event())))
    }
    assert.deepStrictEqual(await take(open({ resume_offset: String(before) }), 20000), offsets)
  },
})
