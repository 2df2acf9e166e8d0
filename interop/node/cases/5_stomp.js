// Queues and topics over WebSocket, through `@stomp/stompjs`.
'use strict'

const assert = require('node:assert')
const { cases, order, sleep, until } = require('../stand.js')
const { connect, fresh, send, subscribe } = require('../broker.js')

const bodies = (messages) => messages.map((message) => message.body)

cases({
  'every path and version connects': async () => {
    for (const path of ['/stomp', '/ws', '/']) {
      const client = await connect({ path })
      assert.strictEqual(client.connectedVersion, '1.2', path)
      await client.deactivate()
    }
  },

  'what is sent is received, in order': async () => {
    const client = await connect()
    const queue = fresh()
    const messages = await subscribe(client, queue)
    for (let at = 0; at < 50; at++) await send(client, queue, String(at), { at: String(at) })
    await until('fifty', () => messages.length >= 50)
    assert.deepStrictEqual(bodies(messages), Array.from({ length: 50 }, (_, at) => String(at)))
    assert.strictEqual(messages[7].headers.at, '7')
    await client.deactivate()
  },

  'text and headers of every kind survive': async () => {
    const client = await connect()
    const queue = fresh()
    const messages = await subscribe(client, queue)
    const headers = { colon: 'a:b', newline: 'a\nb', backslash: 'a\\b', return: 'a\r\nb', emoji: '📈' }
    await send(client, queue, 'ünïcödé 📈', headers)
    await until('the message', () => messages.length > 0)
    assert.strictEqual(messages[0].body, 'ünïcödé 📈')
    for (const [name, value] of Object.entries(headers)) assert.strictEqual(messages[0].headers[name], value, name)
    await client.deactivate()
  },

  'bytes survive, in binary frames and in text ones': async () => {
    const body = Uint8Array.from({ length: 4096 }, (_, at) => at % 256)
    for (const forceBinaryWSFrames of [false, true]) {
      const client = await connect({ forceBinaryWSFrames })
      const queue = fresh()
      const messages = await subscribe(client, queue)
      await send(client, queue, body)
      await until('the message', () => messages.length > 0)
      assert.deepStrictEqual(Uint8Array.from(messages[0].binaryBody), body)
      await client.deactivate()
    }
  },

  'a frame split over many socket messages is one frame': async () => {
    const client = await connect({ splitLargeFrames: true, maxWebSocketChunkSize: 1000 })
    const queue = fresh()
    const messages = await subscribe(client, queue)
    const body = 'ä'.repeat(100_000)
    await send(client, queue, body)
    await until('the message', () => messages.length > 0)
    assert.ok(messages[0].body === body)
    await client.deactivate()
  },

  'acks take messages and what is not acked comes back': async () => {
    const queue = fresh()
    const first = await connect()
    for (const body of ['one', 'two', 'three']) await send(first, queue, body)
    const messages = await subscribe(first, queue, { ack: 'client-individual' })
    await until('three', () => messages.length >= 3)
    messages[1].ack()
    await send(first, fresh(), 'the ack is behind us')
    await first.deactivate()
    const second = await connect()
    const again = await subscribe(second, queue, { ack: 'client' })
    await until('two', () => again.length >= 2)
    assert.deepStrictEqual(bodies(again), ['one', 'three'])
    assert.strictEqual(again[0].headers.redelivered, 'true')
    again[1].ack()
    await second.deactivate()
  },

  'a nacked message goes to the dead letters': async () => {
    const client = await connect()
    const queue = fresh()
    const dead = await subscribe(client, '/queue/ActiveMQ.DLQ')
    const messages = await subscribe(client, queue, { ack: 'client-individual' })
    await send(client, queue, 'poison')
    await until('the message', () => messages.length > 0)
    messages[0].nack()
    await until('the dead letter', () => bodies(dead).includes('poison'))
    await client.deactivate()
  },

  'transactions are whole or nothing': async () => {
    const client = await connect()
    const queue = fresh()
    const messages = await subscribe(client, queue)
    for (const [end, word] of [['abort', 'never'], ['commit', 'now']]) {
      const transaction = client.begin()
      client.publish({ destination: queue, body: word, headers: { transaction: transaction.id } })
      await sleep(200)
      transaction[end]()
    }
    await until('what was committed', () => messages.length > 0)
    await sleep(300)
    assert.deepStrictEqual(bodies(messages), ['now'])
    await client.deactivate()
  },

  'heart-beats keep an idle socket': async () => {
    const client = await connect({ heartbeatIncoming: 500, heartbeatOutgoing: 500 })
    await sleep(5000)
    assert.ok(client.connected && client.closed === 0, 'the link was given up')
    const queue = fresh()
    const messages = await subscribe(client, queue)
    await send(client, queue, 'still here')
    await until('the message', () => messages.length > 0)
    await client.deactivate()
  },

  'a topic goes to everyone who listens': async () => {
    const [one, two] = [await connect(), await connect()]
    const topic = fresh('topic')
    const [here, there] = [await subscribe(one, topic), await subscribe(two, topic)]
    await send(one, topic, 'news')
    await until('both', () => here.length > 0 && there.length > 0)
    assert.deepStrictEqual([...bodies(here), ...bodies(there)], ['news', 'news'])
    await Promise.all([one.deactivate(), two.deactivate()])
  },

  'a wrong password is refused in words': async () => {
    await assert.rejects(connect({ headers: { passcode: '0'.repeat(32) } }), /invalid|refused|denied|not/i)
  },

  'a reconnecting client goes on after a kill': async () => {
    const queue = fresh()
    const client = await connect({ reconnectDelay: 200 })
    const got = []
    const listen = () => client.subscribe(queue, (message) => (got.push(message.body), message.ack()), { ack: 'client-individual' })
    client.onConnect = listen
    listen()
    for (let at = 0; at < 10; at++) await send(client, queue, String(at))
    await until('ten', () => got.length >= 10)
    await order('kill')
    await until('connected again', () => client.connected)
    for (let at = 10; at < 20; at++) await send(client, queue, String(at))
    await until('twenty', () => new Set(got).size >= 20)
    await client.deactivate()
    return `${got.length - 20} doubled`
  },
})
