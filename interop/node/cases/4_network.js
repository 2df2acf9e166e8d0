// Pinning balancers and private authorities.
'use strict'

const assert = require('node:assert')
const { balancer, cases, event, open, publish, sleep, take } = require('../stand.js')

cases({
  'a pinning balancer is followed': async () => {
    const { proxy, url } = await balancer('pin')
    try {
      const seen = open({ start: 'LATEST' }, { url })
      await sleep(700)
      const offsets = await publish(event())
      assert.deepStrictEqual(await take(seen, 1), offsets)
      assert.strictEqual(seen.redirects, 1)
    } finally {
      proxy.kill()
    }
  },
  'TLS with a private authority': async () => {
    const seen = open({ start: 'LATEST' }, { url: process.env.OUTFLOW_TLS_URL })
    await sleep(3000)
    seen.stream.end()
    assert.deepStrictEqual(seen.errors, [])
  },
})
