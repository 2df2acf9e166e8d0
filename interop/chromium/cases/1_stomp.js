// `@stomp/stompjs` and `EventSource` in a browser: a page of its own runs the cases and posts what came of them.
'use strict'

const { spawn } = require('node:child_process')
const { readFileSync, mkdtempSync, rmSync } = require('node:fs')
const http = require('node:http')
const net = require('node:net')
const os = require('node:os')
const path = require('node:path')
const readline = require('node:readline')

const SERVER = process.argv[2].replace(/\/$/, '')
const PROJECT = `${SERVER}/v1/projects/sample_connection`
const OPERATOR = { Authorization: `Bearer ${process.env.OUTFLOW_OPERATOR_TOKEN}`, 'Content-Type': 'application/json' }
const PATIENCE = 90000

async function post(path, body) {
  const answer = await fetch(PROJECT + path, { method: 'POST', headers: OPERATOR, body: JSON.stringify(body) })
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`)
  return answer.json()
}

async function key() {
  return (await post('/keys', { name: 'browser', actions: ['read', 'publish', 'manage'] })).secret
}

// Has the server restarted, and waits until it is.
function restart() {
  const [host, port] = process.env.OUTFLOW_CONTROL.split(':')
  return new Promise((resolve, reject) => {
    const control = net.connect(Number(port), host, () => control.write('restart\n'))
    control.on('error', reject)
    readline.createInterface({ input: control }).once('line', (line) => {
      control.destroy()
      line === 'ok' ? resolve() : reject(new Error(line))
    })
  })
}

const stream = `billing-${Date.now()}`
const change = (number) => ({ type: 'create', ref: { type: 'Account', ids: { account_no: number } }, body: {} })
const publish = (...numbers) => post(`/streams/${stream}/events`, numbers.map(change))

// A change feed of five events, with a token that ends soon enough to stand in an address.
async function feed() {
  await post('/streams', { name: stream, entities: [{ name: 'Account', keys: [['account_no']] }] })
  await publish(0, 1, 2, 3, 4)
  const { id, secret } = await post('/api-keys', { name: 'browser', scopes: ['feed:read'] })
  const form = new URLSearchParams({ grant_type: 'client_credentials', client_id: id, client_secret: secret })
  const answer = await fetch(`${SERVER}/oauth2/token`, { method: 'POST', body: form })
  if (!answer.ok) throw new Error(`token: ${answer.status} ${await answer.text()}`)
  return `${PROJECT}/feed/changes?stream=${stream}&access_token=${(await answer.json()).access_token}`
}

function page(secret, feed) {
  const script = readFileSync(path.join(__dirname, '..', 'page.js'), 'utf8')
  const settings = JSON.stringify({ socket: SERVER.replace(/^http/, 'ws'), login: 'sample_connection', passcode: secret, feed })
  return `<!doctype html><meta charset="utf-8"><script src="/stomp.js"></script><script>const SETTINGS = ${settings}\n${script}</script>`
}

// Serves the page, and ends when it has said that it is done.
function serve(html, library) {
  let finish
  const done = new Promise((resolve) => (finish = resolve))
  const server = http.createServer((request, response) => {
    if (request.url === '/restart') {
      restart()
        .then(() => publish(5))
        .then(() => response.end())
        .catch((error) => response.writeHead(500).end(String(error)))
    } else if (request.method === 'POST') {
      let said = ''
      request.on('data', (piece) => (said += piece))
      request.on('end', () => {
        response.end()
        if (said === 'done') finish()
        else console.log(said)
      })
    } else if (request.url === '/stomp.js') {
      response.setHeader('Content-Type', 'text/javascript').end(library)
    } else {
      response.setHeader('Content-Type', 'text/html').end(html)
    }
  })
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve({ port: server.address().port, done })))
}

async function main() {
  const library = readFileSync(path.join(process.env.NODE_PATH, '@stomp/stompjs/bundles/stomp.umd.js'))
  const { port, done } = await serve(page(await key(), await feed()), library)
  const profile = mkdtempSync(path.join(os.tmpdir(), 'outflow-chromium-'))
  const flags = ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', `--user-data-dir=${profile}`]
  const browser = spawn(process.env.OUTFLOW_CHROMIUM, [...flags, `http://127.0.0.1:${port}/`], { stdio: 'ignore' })
  const late = new Promise((resolve) => setTimeout(() => resolve('the page was not done in time'), PATIENCE))
  const gone = new Promise((resolve) => browser.on('exit', (code) => resolve(`the browser ended: ${code}`)))
  const fault = await Promise.race([done, late, gone])
  if (fault) console.log(JSON.stringify({ case: 'the page runs to its end', ok: false, detail: fault }))
  browser.removeAllListeners('exit')
  browser.kill('SIGKILL')
  await new Promise((resolve) => setTimeout(resolve, 300))
  rmSync(profile, { recursive: true, force: true, maxRetries: 5 })
  process.exit(0)
}

main().catch((error) => {
  console.log(JSON.stringify({ case: 'the browser starts', ok: false, detail: String(error) }))
  process.exit(0)
})
