// QoS 0, 1 and 2, published and subscribed, in every version and between them (MQTT.js).

import { Peer, V31, V311, V5, VERSION_NAMES, connected } from './support/peer.mjs'
import { checkPromises, expect, promise, range, unique } from './support/report.mjs'

const COUNTED = [
  ...range(20).map((number) => Buffer.from(`${number}`)),
  Buffer.alloc(0),
  Buffer.from(range(256))
]

for (const [from, to] of [
  [V31, V31],
  [V311, V311],
  [V5, V5],
  [V311, V5],
  [V5, V311],
  [V31, V5],
  [V5, V31]
]) {
  promise(`QoS 0, 1 and 2 from MQTT ${VERSION_NAMES[from]} to ${VERSION_NAMES[to]}`, async () => {
    const peers = [new Peer('sender', { version: from }), new Peer('receiver', { version: to })]
    await connected(peers, async (sender, receiver) => {
      for (const subscribed of [0, 1, 2]) {
        const topic = unique(`qos/${from}/${to}/${subscribed}`)
        expect(await receiver.subscribe(topic, subscribed), subscribed, 'granted QoS')
        for (const published of [0, 1, 2]) {
          const what = `QoS ${published} to ${subscribed}`
          await sender.publishAll(topic, COUNTED, published)
          for (const payload of COUNTED) {
            const seen = await receiver.receive(what)
            expect(seen.payload, payload, `payload, ${what}`)
            expect(
              [seen.qos, seen.retain],
              [Math.min(published, subscribed), false],
              `QoS and retain flag, ${what}`
            )
          }
        }
      }
      await receiver.expectNothingMore()
    })
  })
}

await checkPromises()
