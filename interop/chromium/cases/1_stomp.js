// `@stomp/stompjs` in a browser: a page of its own runs the cases and posts what came of them.
'use strict'

const { spawn } = require('node:child_process')
const { readFileSync, mkdtempSync, rmSync } = require('node:fs')
const http = require('node:http')
const os = require('node:os')
const path = require('node:path')

const SERVER = process.argv[2].replace(/\/$/, '')
const PROJECT = `${SERVER}/v1/projects/sample_connection`
const OPERATOR = { Authorization: `Bearer ${process.env.OUTFLOW_OPERATOR_TOKEN}`, 'Content-Type': 'application/json' }
const PATIENCE = 60000

async function key() {
  const body = JSON.stringify({ name: 'browser', actions: ['read', 'publish', 'manage'] })
  const answer = await fetch(`${PROJECT}/keys`, { method: 'POST', headers: OPERATOR, body })
  if (!answer.ok) throw new Error(`key: ${answer.status} ${await answer.text()}`)
  return (await answer.json()).secret
}

function page(secret) {
  const script = readFileSync(path.join(__dirname, '..', 'page.js'), 'utf8')
  const settings = JSON.stringify({ socket: SERVER.replace(/^http/, 'ws'), login: 'sample_connection', passcode: secret })
  return `<!doctype html><meta charset="utf-8"><script src="/stomp.js"></script><script>const SETTINGS = ${settings}\n${script}</script>`
}

// Serves the page, and ends when it has said that it is done.
function serve(html, library) {
  let finish
  const done = new Promise((resolve) => (finish = resolve))
  const server = http.createServer((request, response) => {
    if (request.method === 'POST') {
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
  const { port, done } = await serve(page(await key()), library)
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
