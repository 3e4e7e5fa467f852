// What MQTT 5 adds: properties, aliases, identifiers, reason codes, limits (MQTT.js).

import { Peer, V5, connected, endSession } from './support/peer.mjs'
import {
  checkPromises,
  expect,
  expectThat,
  letPass,
  note,
  promise,
  range,
  unique
} from './support/report.mjs'

const peer = (name, properties = {}, options = {}) =>
  new Peer(name, { version: V5, properties, ...options })
const text = ({ payload }) => payload.toString()

promise(
  'what belongs to the message is forwarded unaltered, user properties in order',
  async () => {
    const topic = unique('forwarded')
    const properties = {
      payloadFormatIndicator: true,
      contentType: 'text/plain; charset=utf-8',
      responseTopic: 'answer/here',
      correlationData: Buffer.from(range(256)),
      userProperties: { b: ['1', '3', '1'], a: '2', key: 'wert ü' }
    }
    await connected([peer('sender'), peer('receiver')], async (sender, receiver) => {
      await receiver.subscribe(topic, 2)
      for (const qos of [0, 1, 2]) {
        await sender.publish(topic, 'text', qos, { properties })
        const { userProperties, ...others } = (await receiver.receive()).properties
        expect(
          JSON.stringify(userProperties),
          JSON.stringify(properties.userProperties),
          'user properties'
        )
        expect({ ...others, userProperties: properties.userProperties }, properties, 'properties')
      }
    })
  }
)

promise('a request is answered to its response topic with its correlation data', async () => {
  const [question, answer] = [unique('question'), unique('answer')]
  const correlationData = Buffer.from([7])
  await connected([peer('asker'), peer('responder')], async (asker, responder) => {
    await responder.subscribe(question, 1)
    await asker.subscribe(answer, 1)
    await asker.publish(question, '2+2', 1, {
      properties: { responseTopic: answer, correlationData }
    })
    const asked = (await responder.receive('the request')).properties
    await responder.publish(asked.responseTopic, '4', 1, {
      properties: { correlationData: asked.correlationData }
    })
    const response = await asker.receive('the response')
    expect(
      [text(response), response.properties.correlationData],
      ['4', correlationData],
      'response'
    )
  })
})

promise('message expiry is decremented while a message waits, and ends it', async () => {
  const topic = unique('expiry')
  const sleeper = await peer('expiry', {}, { persistent: true }).connect()
  await sleeper.subscribe(topic, 1)
  await sleeper.cut()
  await connected([peer('sender')], async (sender) => {
    await sender.publish(topic, 'short', 1, { properties: { messageExpiryInterval: 1 } })
    await sender.publish(topic, 'long', 1, { properties: { messageExpiryInterval: 100 } })
  })
  await letPass(2100)
  await connected([sleeper], async () => {
    const seen = await sleeper.receive('the message of long life')
    const left = seen.properties.messageExpiryInterval
    expect(text(seen), 'long', 'message of long life')
    expectThat(left >= 95 && left <= 98, `message expiry ${left} after 2 s of 100`)
    await sleeper.expectNothingMore()
  })
  await endSession('expiry', V5)
})

promise('a message carries the identifier of the subscription it matched', async () => {
  const root = unique('identified')
  await connected([peer('sender'), peer('receiver')], async (sender, receiver) => {
    await receiver.subscribe(`${root}/a`, 1, { properties: { subscriptionIdentifier: 1 } })
    await receiver.subscribe(`${root}/b/+`, 1, {
      properties: { subscriptionIdentifier: 268_435_455 }
    })
    for (const [topic, wanted] of [
      [`${root}/a`, 1],
      [`${root}/b/x`, 268_435_455]
    ]) {
      await sender.publish(topic, 'x', 1)
      expect(
        (await receiver.receive()).properties.subscriptionIdentifier,
        wanted,
        `identifier on ${topic}`
      )
    }
  })
})

promise(
  'overlapping subscriptions: one copy, the highest QoS and every identifier',
  async () => {
    const root = unique('overlap')
    await connected([peer('sender'), peer('receiver')], async (sender, receiver) => {
      for (const [qos, filter] of [`${root}/a`, `${root}/#`, `${root}/+`].entries()) {
        await receiver.subscribe(filter, qos, { properties: { subscriptionIdentifier: qos + 1 } })
      }
      await sender.publish(`${root}/a`, 'x', 2)
      const { qos, properties } = await receiver.receive()
      expect(
        [qos, [properties.subscriptionIdentifier].flat().sort()],
        [2, [1, 2, 3]],
        'QoS and identifiers of the copy'
      )
      await receiver.expectNothingMore()
    })
  },
  { deviation: 'a broker may send a copy for each subscription' }
)

promise("a client's topic aliases stand for their topics", async () => {
  const topics = range(40).map((number) => unique(`alias/${number % 5}`))
  await connected(
    [peer('sender', {}, { autoAssignTopicAlias: true }), peer('receiver')],
    async (sender, receiver) => {
      expectThat(sender.connack.properties.topicAliasMaximum >= 1, 'no topic alias is allowed')
      await receiver.subscribe(unique('alias/#'), 1)
      for (const topic of topics) await sender.publish(topic, topic, 1)
      for (const topic of topics) {
        const seen = await receiver.receive()
        expect([seen.topic, text(seen)], [topic, topic], 'topic and payload')
      }
    }
  )
})

promise("the broker's topic aliases stand for their topics", async () => {
  const topics = range(40).map((number) => unique(`outgoing-alias/${number % 5}`))
  await connected(
    [peer('sender'), peer('receiver', { topicAliasMaximum: 3 })],
    async (sender, receiver) => {
      await receiver.subscribe(unique('outgoing-alias/#'), 1)
      let aliases = 0
      for (const topic of topics) await sender.publish(topic, topic, 1)
      for (const topic of topics) {
        const seen = await receiver.receive()
        // MQTT.js puts the topic in the place of an alias that stands alone.
        expect([seen.topic, text(seen)], [topic, topic], 'topic and payload')
        aliases += seen.properties?.topicAlias ? 1 : 0
      }
      note('aliases of the broker', `${aliases} of ${topics.length} messages came with one`)
    }
  )
})

promise(
  'reason codes: 0x10 when nobody subscribed, 0x11 when nothing was to unsubscribe, granted QoS',
  async () => {
    const topic = unique('lonely')
    await connected([peer('alone')], async (alone) => {
      expect(await alone.publishReason(topic, 'x', 1), 0x10, 'PUBACK without a subscriber')
      expect((await alone.unsubscribe(topic)).granted, [0x11], 'UNSUBACK without a subscription')
      for (const qos of [0, 1, 2]) expect(await alone.subscribe(topic, qos), qos, 'SUBACK')
      expect(await alone.publishReason(topic, 'x', 1), 0, 'PUBACK with a subscriber')
      expect((await alone.unsubscribe(topic)).granted, [0], 'UNSUBACK with a subscription')
    })
  }
)

promise(
  'reason code 0x10 of a PUBREC, too',
  async () => {
    const topic = unique('lonely-2')
    await connected([peer('alone')], async (alone) => {
      expect(await alone.publishReason(topic, 'x', 2), 0x10, 'PUBREC without a subscriber')
      await alone.subscribe(topic)
      expect(await alone.publishReason(topic, 'x', 2), 0, 'PUBREC with a subscriber')
    })
  },
  { deviation: 'a broker may look for subscribers as late as at the PUBREL' }
)

promise('a client without an id is told the one it was given, and it is its own', async () => {
  await connected([peer(''), peer('')], (one, two) => {
    const names = new Set(
      [one, two].map(({ connack }) => connack.properties.assignedClientIdentifier)
    )
    expectThat(
      names.size === 2 && !names.has('') && !names.has(undefined),
      `assigned client ids ${[...names]}`
    )
  })
})

promise("no local keeps a client's own messages from it, and nobody else's", async () => {
  const topic = unique('no-local')
  await connected([peer('own'), peer('other')], async (own, other) => {
    await own.subscribe(topic, 1, { nl: true })
    await own.publish(topic, 'own', 1)
    await other.publish(topic, 'other', 1)
    expect(text(await own.receive()), 'other', 'the first message')
    await own.expectNothingMore()
  })
})

promise(
  "what is larger than the client's Maximum Packet Size is left out, and only that",
  async () => {
    const topic = unique('small')
    await connected(
      [peer('sender'), peer('small', { maximumPacketSize: 300 })],
      async (sender, small) => {
        await small.subscribe(topic, 2)
        for (const qos of [0, 1, 2]) {
          await sender.publish(topic, 'x'.repeat(400), qos)
          await sender.publish(topic, 'fits', qos)
          expect(text(await small.receive()), 'fits', 'the message that fits')
        }
        await small.expectNothingMore()
      }
    )
  }
)

await checkPromises()
