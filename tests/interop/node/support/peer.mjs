// One MQTT.js client whose messages can be awaited one by one.

import { createRequire } from 'node:module'
import { HOST, PATIENCE_MS, PORT, expect, expectThat, unique } from './report.mjs'

// The modules are installed outside the sources; this is where.
const mqtt = createRequire(`${process.env.INTEROP_MODULES}/`)('mqtt')

export const V31 = 3
export const V311 = 4
export const V5 = 5
export const VERSION_NAMES = { [V31]: '3.1', [V311]: '3.1.1', [V5]: '5' }

// What arrives and what is awaited, each in order.
class Mailbox {
  #arrived = []
  #waiting = []

  put(item) {
    const waiter = this.#waiting.shift()
    if (waiter) waiter(item)
    else this.#arrived.push(item)
  }

  take(what) {
    if (this.#arrived.length > 0) return Promise.resolve(this.#arrived.shift())
    return new Promise((resolve, reject) => {
      const waiter = (item) => {
        clearTimeout(timer)
        resolve(item)
      }
      const timer = setTimeout(() => {
        this.#waiting.splice(this.#waiting.indexOf(waiter), 1)
        reject(new Error(`${what} did not come within ${PATIENCE_MS} ms`))
      }, PATIENCE_MS)
      this.#waiting.push(waiter)
    })
  }
}

export class Peer {
  #mqtt
  #messages = new Mailbox()
  #connacks = new Mailbox()
  #closes = new Mailbox()
  #disconnects = new Mailbox()

  // `properties` are those of CONNECT; a persistent MQTT 5 session lasts 300 s by default.
  // `options` are further ones of MQTT.js.
  constructor(name, { version = V311, persistent = false, properties = {}, ...options } = {}) {
    this.version = version
    if (version === V5) {
      const session = persistent ? { sessionExpiryInterval: 300 } : {}
      options.properties = { ...session, ...properties }
    }
    this.#mqtt = mqtt.connect({
      host: HOST,
      port: PORT,
      protocolVersion: version,
      protocolId: version === V31 ? 'MQIsdp' : 'MQTT',
      clientId: name === '' ? '' : unique(name),
      clean: !persistent,
      // The tests connect again themselves, and subscribe when they mean to.
      reconnectPeriod: 0,
      resubscribe: false,
      manualConnect: true,
      ...options
    })
    this.#mqtt.on('message', (topic, payload, packet) =>
      this.#messages.put({ ...packet, topic, payload })
    )
    this.#mqtt.on('connect', (packet) => this.#connacks.put(packet))
    this.#mqtt.on('disconnect', (packet) => this.#disconnects.put(packet))
    this.#mqtt.on('close', () => this.#closes.put(true))
    // A reset is what some tests want; what they do not want shows in what does not come.
    this.#mqtt.on('error', (error) => console.error(`${name}: ${error}`))
  }

  // Connects, again after a cut: same client, same session.
  async connect() {
    this.#mqtt.connect()
    this.connack = await this.#connacks.take('a CONNACK')
    this.sessionPresent = this.connack.sessionPresent
    return this
  }

  // Subscribes and waits for the SUBACK; the granted QoS.
  async subscribe(filter, qos = 0, options = {}) {
    const grants = await this.#mqtt.subscribeAsync(filter, { qos, ...options })
    expect(grants.length, 1, 'grants in SUBACK')
    return grants[0].qos
  }

  // Unsubscribes and waits for the UNSUBACK; its packet.
  unsubscribe(filter) {
    return this.#mqtt.unsubscribeAsync(filter)
  }

  // Publishes and waits for the last acknowledgement.
  publish(topic, payload, qos = 0, options = {}) {
    return this.#mqtt.publishAsync(topic, payload, { qos, ...options })
  }

  // Publishes; the reason code of its PUBACK or PUBREC, which MQTT.js keeps to itself.
  async publishReason(topic, payload, qos) {
    let reason
    const listen = (packet) => {
      if (packet.cmd === 'puback' || packet.cmd === 'pubrec') reason = packet.reasonCode
    }
    this.#mqtt.on('packetreceive', listen)
    await this.publish(topic, payload, qos)
    this.#mqtt.off('packetreceive', listen)
    return reason
  }

  // Publishes all payloads, `window` of them unacknowledged at a time: MQTT.js itself has no such
  // limit and would exceed the broker's Receive Maximum.
  async publishAll(topic, payloads, qos, window = 500) {
    const underWay = []
    for (const payload of payloads) {
      if (underWay.length >= window) await underWay.shift()
      underWay.push(this.publish(topic, payload, qos))
    }
    await Promise.all(underWay)
  }

  receive(what = 'a message') {
    return this.#messages.take(what)
  }

  async payloads(count) {
    const payloads = []
    while (payloads.length < count) {
      const message = await this.receive(`message ${payloads.length + 1} of ${count}`)
      payloads.push(message.payload.toString())
    }
    return payloads
  }

  // All messages before a fence that goes twice through the broker.
  async untilFence() {
    const fence = unique(`fence/${this.#mqtt.options.clientId}`)
    await this.subscribe(fence, 1)
    const seen = []
    for (let trip = 0; trip < 2; trip += 1) {
      await this.publish(fence, 'fence', 1)
      for (;;) {
        const message = await this.receive('the fence')
        if (message.topic === fence) break
        seen.push(message)
      }
    }
    await this.unsubscribe(fence)
    return seen
  }

  // Waits until the broker has read every acknowledgement of what was received so far.
  async settle() {
    await this.subscribe(unique('settle'))
    await this.unsubscribe(unique('settle'))
  }

  // Fails if a message came or comes before two round trips through the broker are over.
  async expectNothingMore() {
    const topics = (await this.untilFence()).map(
      ({ topic, payload }) => `${topic}: ${payload.toString().slice(0, 40)}`
    )
    expect(topics, [], 'messages before the fence')
  }

  // Keeps the acknowledgement of every QoS 1 message back from now on.
  withholdAcknowledgements() {
    this.#mqtt.handleMessage = () => {}
  }

  // Breaks the connection without a DISCONNECT: by a reset, or by a plain end of the stream.
  async cut({ reset = true } = {}) {
    if (reset) this.#mqtt.stream.resetAndDestroy()
    else this.#mqtt.stream.destroy()
    await this.awaitClose()
  }

  // Sends DISCONNECT and waits until the connection is closed.
  async disconnect(options = {}) {
    await this.#mqtt.endAsync(false, options)
  }

  // Waits until the connection is closed.
  awaitClose() {
    return this.#closes.take('the end of the connection')
  }

  // Waits for a DISCONNECT of the broker; its reason code.
  async disconnectReason() {
    return (await this.#disconnects.take('a DISCONNECT')).reasonCode
  }
}

// Connects clients one after the other, gives them to `use`, and disconnects them in the end.
export async function connected(peers, use) {
  try {
    for (const peer of peers) await peer.connect()
    return await use(...peers)
  } finally {
    await Promise.all(peers.map((peer) => peer.disconnect()))
  }
}

// Waits until nobody subscribes a topic: the sessions that did have ended.
export function awaitNoSubscriber(topic) {
  const deadline = performance.now() + PATIENCE_MS
  return connected([new Peer('prober', { version: V5 })], async (prober) => {
    while ((await prober.publishReason(topic, '?', 1)) !== 0x10) {
      expectThat(performance.now() < deadline, `somebody still subscribes ${topic}`)
    }
  })
}

// Ends a session and leaves nothing behind in a broker that goes on running.
export function endSession(name, version) {
  return connected([new Peer(name, { version })], () => {})
}
