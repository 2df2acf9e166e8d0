// Pinning balancers, dead clients and private authorities.
'use strict'

const assert = require('node:assert')
const { spawn } = require('node:child_process')
const { once } = require('node:events')
const https = require('node:https')
const path = require('node:path')
const tls = require('node:tls')
const { URL, balancer, cases, event, open, publish, settled, sleep, take, token } = require('../stand.js')

// Answered soon, also when idle.
const probe = { start: 'LATEST', enable_offset_updates: true }

// One version and no other, by what Node lets its users set for all connections.
async function secured(version) {
  const { DEFAULT_MIN_VERSION, DEFAULT_MAX_VERSION } = tls
  tls.DEFAULT_MIN_VERSION = tls.DEFAULT_MAX_VERSION = version
  try {
    const shaken = once(https.globalAgent, 'keylog')
    const seen = open(probe, { url: process.env.OUTFLOW_TLS_URL })
    assert.ok(await settled(seen), seen.errors[0]?.message)
    const [, socket] = await shaken
    assert.strictEqual(socket.getProtocol(), version)
    seen.stream.end()
  } finally {
    Object.assign(tls, { DEFAULT_MIN_VERSION, DEFAULT_MAX_VERSION })
  }
}

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
  'a killed client frees its places within thirty seconds': async () => {
    const credential = await token({ max_connections: 1 })
    const options = { stdio: ['ignore', 'pipe', 'inherit'] }
    const holder = spawn(process.execPath, [path.join(__dirname, '..', 'holder.js'), URL, credential], options)
    const exited = once(holder, 'exit')
    let held = 0
    try {
      held = Number(String((await Promise.race([once(holder.stdout, 'data'), exited]))[0]))
      assert.ok(held > 0, 'it was never let in')
      assert.ok(!(await settled(open(probe, { credential }))), 'there was a place left')
    } finally {
      holder.kill('SIGKILL')
      await exited
    }
    const begun = Date.now()
    const taken = []
    while (taken.length < held) {
      const seen = open(probe, { credential })
      if (await settled(seen)) {
        taken.push(seen)
        continue
      }
      assert.match(seen.errors[0].message, /^402: ./)
      assert.ok(Date.now() - begun < 30000, `${taken.length} of ${held} places are free after 30 s`)
      await sleep(500)
    }
    taken.forEach((one) => one.stream.end())
    return `${held} places in ${Date.now() - begun} ms`
  },
  'TLS 1.2 with a private authority': () => secured('TLSv1.2'),
  'TLS 1.3 with a private authority': () => secured('TLSv1.3'),
})
