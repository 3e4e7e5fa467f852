// Large messages, many messages, many connections: nothing lost, in order (MQTT.js).

import { createHash, randomBytes } from 'node:crypto'
import { Peer, V311, V5, VERSION_NAMES, connected } from './support/peer.mjs'
import { checkPromises, expect, promise, range, unique } from './support/report.mjs'

const LARGE_BYTES = 200_000
const BURST = range(10_000).map(String)
// Publishers and subscribers, each on a connection of its own, so on every shard of a few.
const CROWD = 5
const EACH = range(200).map(String)

const digest = (payload) => createHash('sha256').update(payload).digest('hex')

for (const version of [V311, V5]) {
  promise(
    `200 kB come through whole with QoS 0, 1 and 2, MQTT ${VERSION_NAMES[version]}`,
    async () => {
      const topic = unique(`large/${version}`)
      await connected(
        [new Peer('sender', { version }), new Peer('receiver', { version })],
        async (sender, receiver) => {
          await receiver.subscribe(topic, 2)
          for (const qos of [0, 1, 2]) {
            const payloads = range(5).map(() => randomBytes(LARGE_BYTES))
            await sender.publishAll(topic, payloads, qos)
            for (const payload of payloads) {
              expect(
                digest((await receiver.receive()).payload),
                digest(payload),
                `digest, QoS ${qos}`
              )
            }
          }
        }
      )
    }
  )

  promise(
    `10,000 messages of QoS 1, 500 at a time under way: all, once, in order, MQTT ${VERSION_NAMES[version]}`,
    async () => {
      const topic = unique(`burst/${version}`)
      await connected(
        [new Peer('sender', { version }), new Peer('receiver', { version })],
        async (sender, receiver) => {
          await receiver.subscribe(topic, 1)
          await sender.publishAll(topic, BURST, 1)
          expect(await receiver.payloads(BURST.length), BURST, 'messages')
          await receiver.expectNothingMore()
        }
      )
    }
  )
}

promise(
  "five publishers to five subscribers: everybody gets everything, in each publisher's order",
  async () => {
    const root = unique('crowd')
    const receivers = range(CROWD).map(
      (n) => new Peer(`receiver-${n}`, { version: [V311, V5][n % 2] })
    )
    const senders = range(CROWD).map((n) => new Peer(`sender-${n}`, { version: [V5, V311][n % 2] }))
    await connected([...receivers, ...senders], async () => {
      for (const receiver of receivers) await receiver.subscribe(`${root}/+/+`, 2)
      await Promise.all(
        senders.flatMap((sender, who) =>
          [0, 1, 2].map((qos) => sender.publishAll(`${root}/${who}/${qos}`, EACH, qos))
        )
      )
      for (const receiver of receivers) {
        const messages = await receiver.untilFence()
        expect(messages.length, CROWD * 3 * EACH.length, 'number of messages')
        for (const who of range(CROWD)) {
          for (const qos of [0, 1, 2]) {
            const mine = messages.filter(({ topic }) => topic === `${root}/${who}/${qos}`)
            expect(
              mine.map(({ payload }) => payload.toString()),
              EACH,
              `messages of publisher ${who}, QoS ${qos}`
            )
          }
        }
      }
    })
  }
)

await checkPromises()
