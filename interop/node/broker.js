// The server under test as a message broker: `@stomp/stompjs` over WebSocket.
'use strict'

const { randomUUID } = require('node:crypto')
const { Client } = require('@stomp/stompjs')
const { WebSocket } = require('ws')
const { URL, post, until } = require('./stand.js')

const SOCKET = URL.replace(/^http/, 'ws')
const PROJECT = `${URL}/v1/projects/sample_connection`
let issued

// The project and a key of it that may do everything there.
async function key() {
  issued ??= (await post(`${PROJECT}/keys`, { name: 'interop', actions: ['read', 'publish', 'manage'] })).secret
  return { login: 'sample_connection', passcode: issued }
}

const fresh = (kind = 'queue') => `/${kind}/interop.${randomUUID()}`

// A connected client; what goes wrong is collected in `errors`.
async function connect({ path = '/stomp', headers = {}, ...options } = {}) {
  const client = new Client({
    webSocketFactory: () => new WebSocket(SOCKET + path, ['v12.stomp', 'v11.stomp', 'v10.stomp']),
    connectHeaders: { ...(await key()), ...headers },
    reconnectDelay: 0,
    ...options,
  })
  client.errors = []
  client.closed = 0
  client.onStompError = (frame) => client.errors.push(frame)
  client.onWebSocketClose = () => client.closed++
  const connected = new Promise((resolve) => (client.onConnect = resolve))
  client.activate()
  client.frame = await Promise.race([
    connected,
    until('connected', () => client.errors.length > 0 || client.closed > 0).then(() => null),
  ])
  if (!client.frame) {
    await client.deactivate()
    throw new Error(client.errors[0]?.headers.message ?? 'the socket was closed')
  }
  return client
}

// Subscribes, waits until the server has done so, and gives the messages as they come.
async function subscribe(client, destination, headers = {}) {
  const messages = []
  const receipt = randomUUID()
  const done = new Promise((resolve) => client.watchForReceipt(receipt, resolve))
  messages.subscription = client.subscribe(destination, (message) => messages.push(message), { ...headers, receipt })
  await done
  return messages
}

// Sends and waits for the receipt: then it is stored.
function send(client, destination, body, headers = {}) {
  const receipt = randomUUID()
  const stored = new Promise((resolve) => client.watchForReceipt(receipt, resolve))
  const content = typeof body === 'string' ? { body } : { binaryBody: body }
  client.publish({ destination, ...content, headers: { persistent: 'true', ...headers, receipt } })
  return stored
}

module.exports = { SOCKET, connect, fresh, key, send, subscribe }
