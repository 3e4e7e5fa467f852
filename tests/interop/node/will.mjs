// The will: published when a connection breaks, and only then (MQTT.js).

import {
  Peer,
  V31,
  V311,
  V5,
  VERSION_NAMES,
  awaitNoSubscriber,
  connected
} from './support/peer.mjs'
import { checkPromises, expect, expectThat, promise, unique } from './support/report.mjs'

const will = (topic, qos = 1, options = {}) => ({
  topic,
  payload: Buffer.from('gone'),
  qos,
  retain: false,
  ...options
})
const mortal = (version, given, options = {}) =>
  new Peer('mortal', { version, will: given, ...options }).connect()
const brief = ({ payload, qos, retain }) => [payload.toString(), qos, retain]

for (const version of [V31, V311, V5]) {
  promise(
    `a will for a reset and for an end without DISCONNECT, MQTT ${VERSION_NAMES[version]}`,
    async () => {
      const topic = unique(`will/${version}`)
      await connected([new Peer('watcher', { version })], async (watcher) => {
        await watcher.subscribe(topic, 2)
        for (const qos of [0, 1, 2]) {
          for (const reset of [true, false]) {
            await (await mortal(version, will(topic, qos))).cut({ reset })
            expect(
              brief(await watcher.receive('the will')),
              ['gone', qos, false],
              `will, reset ${reset}`
            )
          }
        }
        await watcher.expectNothingMore()
      })
    }
  )

  promise(`no will after a DISCONNECT, MQTT ${VERSION_NAMES[version]}`, async () => {
    const topic = unique(`no-will/${version}`)
    await connected([new Peer('watcher', { version })], async (watcher) => {
      await watcher.subscribe(topic, 1)
      const client = await mortal(version, will(topic))
      await client.subscribe(`${topic}/alive`)
      await client.disconnect()
      await awaitNoSubscriber(`${topic}/alive`)
      await watcher.expectNothingMore()
    })
  })
}

promise('a retained will is there for who comes later', async () => {
  const topic = unique('retained-will')
  await connected([new Peer('watcher'), new Peer('late')], async (watcher, late) => {
    await watcher.subscribe(topic, 1)
    await (await mortal(V311, will(topic, 1, { retain: true }))).cut()
    expect(brief(await watcher.receive('the will')), ['gone', 1, false], 'will')
    await late.subscribe(topic, 1)
    expect(brief(await late.receive('the retained will')), ['gone', 1, true], 'retained will')
    await watcher.publish(topic, '', 1, { retain: true })
  })
})

promise('DISCONNECT with reason 0x04 publishes the will', async () => {
  const topic = unique('will-4')
  await connected([new Peer('watcher', { version: V5 })], async (watcher) => {
    await watcher.subscribe(topic, 1)
    await (await mortal(V5, will(topic))).disconnect({ reasonCode: 4 })
    expect(brief(await watcher.receive('the will')), ['gone', 1, false], 'will')
  })
})

promise('a will keeps its properties and its delay', async () => {
  const topic = unique('delayed')
  const properties = {
    willDelayInterval: 1,
    contentType: 'text/plain',
    responseTopic: 'answer',
    correlationData: Buffer.from([0, 255]),
    userProperties: { z: ['1', '1'], a: '2' }
  }
  await connected([new Peer('watcher', { version: V5 })], async (watcher) => {
    await watcher.subscribe(topic, 1)
    const client = await mortal(V5, will(topic, 1, { properties }), { persistent: true })
    const started = performance.now()
    await client.cut()
    const seen = (await watcher.receive('the will')).properties
    const elapsed = performance.now() - started
    expectThat(
      elapsed >= 900 && elapsed <= 4000,
      `the will came after ${elapsed} ms, not after 1 s`
    )
    expect(JSON.stringify(seen.userProperties), '{"z":["1","1"],"a":"2"}', 'user properties')
    expect(
      [seen.contentType, seen.responseTopic, seen.correlationData],
      ['text/plain', 'answer', Buffer.from([0, 255])],
      'properties'
    )
  })
})

promise('a client that comes back within the delay has no will published', async () => {
  const topic = unique('cancelled')
  await connected([new Peer('watcher', { version: V5 })], async (watcher) => {
    await watcher.subscribe(topic, 1)
    const given = will(topic, 1, { properties: { willDelayInterval: 60 } })
    const client = await mortal(V5, given, { persistent: true })
    await client.cut()
    await connected([client], async () => {
      expect(client.sessionPresent, true, 'session present')
      await watcher.expectNothingMore()
    })
  })
})

await checkPromises()
