// A second connection of the same client takes the place of the first (MQTT.js).

import { Peer, V31, V311, V5, VERSION_NAMES, connected, endSession } from './support/peer.mjs'
import { checkPromises, expect, promise, unique } from './support/report.mjs'

for (const version of [V31, V311, V5]) {
  promise(
    `the first connection ends, the session goes on in the second, MQTT ${VERSION_NAMES[version]}`,
    async () => {
      const topic = unique(`taken/${version}`)
      const name = `taken-${version}`
      let current = await new Peer(name, { version, persistent: true }).connect()
      await current.subscribe(topic, 1)
      await connected([new Peer('sender', { version })], async (sender) => {
        for (let turn = 0; turn < 10; turn += 1) {
          // A client between them, so that a broker that deals its connections out puts the next one elsewhere.
          await connected([new Peer(`other-${turn}`, { version })], async () => {
            const following = await new Peer(name, { version, persistent: true }).connect()
            await current.awaitClose()
            if (version !== V31) expect(following.sessionPresent, true, 'session present')
            await sender.publish(topic, `${turn}`, 1)
            expect(await following.payloads(1), [`${turn}`], 'message')
            await following.settle()
            current = following
          })
        }
      })
      await current.expectNothingMore()
      await current.disconnect()
      await endSession(name, version)
    }
  )
}

promise('a takeover publishes the will of the first connection', async () => {
  const topic = unique('will')
  await connected([new Peer('watcher', { version: V5 })], async (watcher) => {
    await watcher.subscribe(topic, 1)
    const will = { topic, payload: Buffer.from('first'), qos: 1, retain: false }
    const first = await new Peer('willing', { version: V5, will }).connect()
    await connected([new Peer('willing', { version: V5 })], async () => {
      await first.awaitClose()
      expect(await watcher.payloads(1), ['first'], 'will')
    })
    await watcher.expectNothingMore()
  })
})

promise(
  'the first connection is told 0x8E',
  async () => {
    const first = await new Peer('told', { version: V5 }).connect()
    await connected([new Peer('told', { version: V5 })], async () => {
      expect(await first.disconnectReason(), 0x8e, 'reason code of DISCONNECT')
    })
  },
  { deviation: 'mosquitto 2.0.11 closes without a word' }
)

await checkPromises()
