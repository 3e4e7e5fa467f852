// TLS, WebSocket and both: the same messages, and one session that goes from one to the other (MQTT.js).

import { readFileSync } from 'node:fs'
import { Peer, V311, V5, VERSION_NAMES, connected } from './support/peer.mjs'
import { HOST, checkPromises, expect, note, promise, unique } from './support/report.mjs'

const env = process.env
const ca = env.BROKER_CA ? readFileSync(env.BROKER_CA) : undefined
const ways = env.BROKER_CA
  ? {
      TLS: { protocol: 'mqtts', host: HOST, port: Number(env.BROKER_TLS_PORT), ca },
      WebSocket: { protocol: 'ws', host: HOST, port: Number(env.BROKER_WS_PORT), path: '/mqtt' },
      'WebSocket over TLS': {
        protocol: 'wss',
        host: HOST,
        port: Number(env.BROKER_WSS_PORT),
        path: '/mqtt',
        ca
      }
    }
  : {}
if (!ca) note('transports', 'a broker that was not started for the tests has unknown ports')

for (const [way, options] of Object.entries(ways)) {
  for (const version of [V311, V5]) {
    promise(
      `messages of every size and QoS pass over ${way}, MQTT ${VERSION_NAMES[version]}`,
      async () => {
        const topic = unique(`sizes/${way}/${version}`)
        await connected([new Peer('sizes', { version, ...options })], async (peer) => {
          await peer.subscribe(topic, 2)
          for (const size of [0, 1, 125, 126, 16384, 65536, 900000]) {
            const payload = 'x'.repeat(size)
            for (const qos of [0, 1, 2]) {
              await peer.publish(topic, payload, qos)
              const [came] = await peer.payloads(1)
              expect(came.length, size, 'length of the message')
            }
          }
        })
      }
    )
  }

  promise(`a session goes on from TCP to ${way} and back`, async () => {
    const topic = unique(`wanders/${way}`)
    const name = `wanders-${way.replaceAll(' ', '-')}`
    let current = await new Peer(name, { version: V5, persistent: true }).connect()
    await current.subscribe(topic, 1)
    await connected([new Peer('sender', { version: V5 })], async (sender) => {
      for (let turn = 0; turn < 10; turn += 1) {
        const over = turn % 2 === 0 ? options : {}
        const following = await new Peer(name, { version: V5, persistent: true, ...over }).connect()
        await current.awaitClose()
        expect(following.sessionPresent, true, 'session present')
        await sender.publish(topic, `${turn}`, 1)
        expect(await following.payloads(1), [`${turn}`], 'message')
        await following.settle()
        current = following
      }
    })
    await current.disconnect()
  })
}

await checkPromises()
