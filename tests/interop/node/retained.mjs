// Retained messages: set, received with the flag, replaced, deleted (MQTT.js).

import { Peer, V31, V311, V5, VERSION_NAMES, connected } from './support/peer.mjs'
import { checkPromises, expect, expectThat, promise, range, unique } from './support/report.mjs'

const RETAIN = { retain: true }
const TOPICS = 60

const brief = ({ payload, retain, qos }) => [payload.toString(), retain, qos]

for (const version of [V31, V311, V5]) {
  promise(
    `set, received with the flag, replaced, deleted by an empty payload, MQTT ${VERSION_NAMES[version]}`,
    async () => {
      const topic = unique(`retained/${version}`)
      const peers = ['setter', 'live', 'late'].map((name) => new Peer(name, { version }))
      await connected(peers, async (setter, live, late) => {
        await live.subscribe(topic, 2)
        for (const [qos, payload] of ['first', 'second', 'third'].entries()) {
          await setter.publish(topic, payload, qos, RETAIN)
          expect(
            brief(await live.receive('the live message')),
            [payload, false, qos],
            'live message'
          )
          await late.subscribe(topic, 2)
          expect(
            brief(await late.receive('the retained message')),
            [payload, true, qos],
            'retained message'
          )
          await late.unsubscribe(topic)
        }
        await setter.publish(topic, '', 1, RETAIN)
        expect(
          brief(await live.receive('the deleting message')),
          ['', false, 1],
          'deleting message, live'
        )
        await late.subscribe(topic, 2)
        await late.expectNothingMore()
      })
    }
  )
}

promise('a wildcard subscription gets every retained message once', async () => {
  const root = unique('many')
  await connected([new Peer('setter'), new Peer('late', { version: V5 })], async (setter, late) => {
    const wanted = range(TOPICS).map((number) => `${root}/${number}/${number % 7}`)
    await Promise.all(wanted.map((topic) => setter.publish(topic, topic, 1, RETAIN)))
    await late.subscribe(`${root}/#`, 1)
    expect((await late.payloads(TOPICS)).sort(), wanted.toSorted(), 'retained messages')
    await late.expectNothingMore()
    await Promise.all(wanted.map((topic) => setter.publish(topic, '', 1, RETAIN)))
  })
})

promise('retain handling 0, 1 and 2', async () => {
  const topic = unique('handling')
  await connected(
    [new Peer('setter', { version: V5 }), new Peer('late', { version: V5 })],
    async (setter, late) => {
      await setter.publish(topic, 'here', 1, RETAIN)
      await late.subscribe(topic, 1, { rh: 2 })
      await late.expectNothingMore()
      await late.subscribe(topic, 1, { rh: 1 })
      await late.expectNothingMore()
      await late.subscribe(topic, 1, { rh: 0 })
      expect(brief(await late.receive('handling 0')), ['here', true, 1], 'retained message')
      await late.unsubscribe(topic)
      await late.subscribe(topic, 1, { rh: 1 })
      expect(
        brief(await late.receive('handling 1, new subscription')),
        ['here', true, 1],
        'retained message'
      )
      await setter.publish(topic, '', 1, RETAIN)
    }
  )
})

promise('retain as published', async () => {
  const topic = unique('published')
  const peers = ['setter', 'as-is', 'plain'].map((name) => new Peer(name, { version: V5 }))
  await connected(peers, async (setter, asIs, plain) => {
    await asIs.subscribe(topic, 1, { rap: true })
    await plain.subscribe(topic, 1)
    for (const retain of [true, false]) {
      await setter.publish(topic, 'x', 1, { retain })
      expect((await asIs.receive()).retain, retain, 'flag, retain as published')
      expect((await plain.receive()).retain, false, 'flag')
    }
    await setter.publish(topic, '', 1, RETAIN)
  })
})

promise('a retained message keeps its properties', async () => {
  const topic = unique('properties')
  const properties = {
    contentType: 'text/plain',
    userProperties: { b: ['1', '3'], a: '2' },
    messageExpiryInterval: 100
  }
  await connected(
    [new Peer('setter', { version: V5 }), new Peer('late', { version: V5 })],
    async (setter, late) => {
      await setter.publish(topic, 'x', 1, { retain: true, properties })
      await late.subscribe(topic, 1)
      const seen = (await late.receive()).properties
      expect(JSON.stringify(seen.userProperties), '{"b":["1","3"],"a":"2"}', 'user properties')
      expect(seen.contentType, 'text/plain', 'content type')
      const expiry = seen.messageExpiryInterval
      expectThat(expiry >= 90 && expiry <= 100, `message expiry ${expiry}`)
      await setter.publish(topic, '', 1, RETAIN)
    }
  )
})

await checkPromises()
