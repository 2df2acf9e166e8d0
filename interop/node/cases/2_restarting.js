// The Node client ends for good on a refused connection and never notices a broken one: the server
// has to end streams cleanly and stay reachable while it restarts.
'use strict'

const assert = require('node:assert')
const { balancer, cases, event, open, order, publish, sleep, take, until } = require('../stand.js')

const some = () => publish(event(), event(), event())

cases({
  'a drain and restart behind a balancer is survived without loss or doubles': async () => {
    const { proxy, url } = await balancer('hold', `${process.env.OUTFLOW_ADMIN_URL}/readyz`)
    try {
      const seen = open({ start: 'LATEST' }, { url })
      await sleep(500)
      let offsets = await some()
      await until('the first events', () => seen.events.length === 3)
      await order('restart')
      offsets = offsets.concat(await some())
      assert.deepStrictEqual(await take(seen, 6), offsets)
      assert.ok(seen.connects > 1, 'the stream was never ended')
    } finally {
      proxy.kill()
    }
  },

  'after a kill a new stream goes on from the last offset': async () => {
    const seen = open({ start: 'LATEST' })
    await sleep(500)
    let offsets = await some()
    await until('the first events', () => seen.events.length === 3)
    await order('kill')
    seen.stream.end()
    offsets = offsets.concat(await some())
    const again = open({ start: 'LATEST', resume_offset: seen.events.at(-1).offset })
    assert.deepStrictEqual(seen.offsets().concat(await take(again, 3)), offsets)
  },
})
