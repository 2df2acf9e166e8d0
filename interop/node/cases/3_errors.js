// Each error as the client shows it: an `error` event with status and reason phrase.
'use strict'

const assert = require('node:assert')
const { KEY, URL, cases, open, sleep, stranger, token, until } = require('../stand.js')

async function refused(filter, options) {
  const seen = open(filter, options)
  await until('an error', () => seen.errors.length > 0)
  seen.stream.end()
  return seen.errors[0].message
}

cases({
  'error 400 for a bad filter': async () => {
    assert.strictEqual(await refused({ filters: [{ types: [] }] }), '400: Bad Request')
  },
  'error 400 for a body cut short by the client': async () => {
    // It counts UTF-16 units, so a filter outside ASCII loses its last bytes on the way.
    assert.strictEqual(await refused({ filters: [{ devices: [{ named_user_id: 'Zoë' }] }] }), '400: Bad Request')
  },
  'error 401 for a wrong token': async () => {
    assert.strictEqual(await refused({}, { credential: 'wrong' }), '401: Unauthorized')
  },
  'error 401 at the compliance door, which takes no Bearer': async () => {
    // A user and password in the address do not help: the client sets Authorization by itself.
    const url = URL.replace('//', `//${KEY}:${KEY}@`)
    for (const at of [URL, url]) {
      assert.strictEqual(await refused({}, { url: at, path: '/api/events/general/' }), '401: Unauthorized')
    }
  },
  'error 402 at the connection limit': async () => {
    const credential = await token({ max_connections: 1 })
    const seen = []
    while (seen.length < 6 && !seen.some((one) => one.errors.length)) {
      seen.push(open({}, { credential }))
      await sleep(500)
    }
    seen.forEach((one) => one.stream.end())
    assert.match(seen.at(-1).errors[0].message, /^402: ./)
    return `after ${seen.length - 1} streams`
  },
  'error 403 for types without entitlement': async () => {
    const credential = await token({ event_types: ['OPEN'] })
    assert.strictEqual(await refused({ filters: [{ types: ['SEND'] }] }, { credential }), '403: Forbidden')
  },
  'error 401 for an unknown app key': async () => {
    assert.strictEqual(await refused({}, { key: 'nobody' }), '401: Unauthorized')
  },
  'error 404 for a project without its data': async () => {
    assert.strictEqual(await refused({}, await stranger()), '404: Not Found')
  },
})
