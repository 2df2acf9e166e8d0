// The server under test as the Node drivers see it: publish, restart, provision, report.
//
// Each driver is called with the server's address and prints one JSON line per case.
'use strict'

const { spawn } = require('node:child_process')
const { randomUUID } = require('node:crypto')
const net = require('node:net')
const path = require('node:path')
const readline = require('node:readline')
const connect = require('urban-airship-connect')

const URL = process.argv[2].replace(/\/$/, '')
const KEY = 'sample_connection'
const TOKEN = 'sample_connection'
const PROJECT = `${URL}/v1/projects/${KEY}`
const OPERATOR = { Authorization: `Bearer ${process.env.OUTFLOW_OPERATOR_TOKEN}`, 'Content-Type': 'application/json' }

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const event = (type = 'OPEN', members = {}) => ({ id: randomUUID(), type, ...members })

// Runs all cases one after another; each is reported as ok when it returns.
async function cases(all) {
  for (const [name, run] of Object.entries(all)) {
    let outcome
    try {
      outcome = { case: name, ok: true, detail: String((await run()) ?? '') }
    } catch (error) {
      outcome = { case: name, ok: false, detail: `${error.name}: ${error.message}`.slice(0, 400) }
    }
    console.log(JSON.stringify(outcome))
  }
  process.exit(0)
}

async function post(url, body) {
  const answer = await fetch(url, { method: 'POST', headers: OPERATOR, body: JSON.stringify(body) })
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${await answer.text()}`)
  return answer.json()
}

// Publishes and returns the offsets as the stream will show them.
async function publish(...events) {
  const placed = await post(`${PROJECT}/streams/events/events`, events)
  return placed.events.map((one) => Number(one.offset))
}

// A token of a new integration with these settings.
async function token(settings) {
  const integration = await post(`${PROJECT}/integrations`, { id: `interop-${randomUUID()}`, ...settings })
  return (await post(`${PROJECT}/integrations/${integration.id}/tokens`, { name: 'interop' })).secret
}

// A token of a project whose data is gone, and the project's key.
async function stranger() {
  const key = `gone-${randomUUID()}`
  await post(`${URL}/v1/projects`, { id: key })
  await post(`${URL}/v1/projects/${key}/integrations`, { id: 'one' })
  const { secret } = await post(`${URL}/v1/projects/${key}/integrations/one/tokens`, { name: 'interop' })
  const gone = await fetch(`${URL}/v1/projects/${key}/streams/events`, { method: 'DELETE', headers: OPERATOR })
  if (!gone.ok) throw new Error(`deleting: ${gone.status} ${await gone.text()}`)
  return { key, credential: secret }
}

// Has the server restarted, killed, drained or started, and waits until it is done.
function order(word) {
  const [host, port] = process.env.OUTFLOW_CONTROL.split(':')
  return new Promise((resolve, reject) => {
    const control = net.connect(Number(port), host, () => control.write(word + '\n'))
    control.on('error', reject)
    readline.createInterface({ input: control }).once('line', (line) => {
      control.destroy()
      line === 'ok' ? resolve() : reject(new Error(line))
    })
  })
}

// The real client, with what it emits collected.
function open(filter, { url = URL, path = '/api/events/', key = KEY, credential = TOKEN } = {}) {
  const stream = connect(key, credential, { uri: url + path })
  const seen = { stream, events: [], errors: [], connects: 0, redirects: 0 }
  stream.on('data', (one) => seen.events.push(one))
  stream.on('error', (error) => seen.errors.push(error))
  stream.on('connect', () => seen.connects++)
  stream.on('redirect', () => seen.redirects++)
  seen.offsets = () => seen.events.map((one) => Number(one.offset))
  if (filter) stream.write(filter)
  return seen
}

async function until(what, holds, ms = 20000) {
  const end = Date.now() + ms
  while (!holds()) {
    if (Date.now() > end) throw new Error(`${what}: not within ${ms} ms`)
    await sleep(20)
  }
}

// Whether a stream that has offset updates enabled was let in: when idle, its first line comes in two seconds.
async function settled(seen) {
  await until('an answer', () => seen.events.length > 0 || seen.errors.length > 0)
  return seen.errors.length === 0
}

// Waits for so many events and ends the stream.
async function take(seen, count, ms) {
  await until(`${count} events`, () => seen.events.length >= count || seen.errors.length > 0, ms)
  if (seen.errors.length > 0) throw seen.errors[0]
  seen.stream.end()
  return seen.offsets()
}

// A balancer that pins by a 307, or holds connections until the server is ready; process and address.
async function balancer(...mode) {
  const proxy = spawn('python3', [path.join(__dirname, '..', 'balancer', 'balancer.py'), URL, ...mode])
  const url = await new Promise((resolve) => readline.createInterface({ input: proxy.stdout }).once('line', resolve))
  return { proxy, url }
}

module.exports = { KEY, PROJECT, URL, balancer, cases, event, open, order, post, publish, settled, sleep, stranger, take, token, until }
