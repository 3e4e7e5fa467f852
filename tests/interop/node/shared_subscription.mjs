// Shared subscriptions: each message goes to one member, and none is lost (MQTT.js).

import { Peer, V311, V5, VERSION_NAMES, connected } from './support/peer.mjs'
import { checkPromises, expect, expectThat, promise, range, unique } from './support/report.mjs'

const MESSAGES = 300
const numbers = (messages) => messages.map(({ payload }) => Number(payload))
const ascending = (list) => list.toSorted((a, b) => a - b)

for (const version of [V311, V5]) {
  promise(
    `each message reaches one of three members, and every member some, MQTT ${VERSION_NAMES[version]}`,
    async () => {
      const topic = unique(`work/${version}`)
      const peers = ['sender', 'plain', 'm1', 'm2', 'm3'].map((name) => new Peer(name, { version }))
      await connected(peers, async (sender, plain, ...members) => {
        for (const member of members) await member.subscribe(`$share/group/${topic}`, 1)
        await plain.subscribe(topic, 1)
        await sender.publishAll(topic, range(MESSAGES).map(String), 1)
        expect(numbers(await plain.untilFence()), range(MESSAGES), 'plain subscriber')
        const shares = []
        for (const member of members) shares.push(numbers(await member.untilFence()))
        expect(ascending(shares.flat()), range(MESSAGES), 'all members together')
        expect(shares, shares.map(ascending), 'each share, in order')
        expectThat(
          shares.every((share) => share.length > 0),
          `sizes of the shares: ${shares.map((share) => share.length)}`
        )
      })
    }
  )
}

promise('when a member leaves, the others go on', async () => {
  const topic = unique('leaving')
  const peers = ['sender', 'm1', 'm2'].map((name) => new Peer(name, { version: V5 }))
  await connected(peers, async (sender, leaver, stayer) => {
    for (const member of [leaver, stayer]) await member.subscribe(`$share/group/${topic}`, 1)
    expect((await leaver.unsubscribe(`$share/group/${topic}`)).granted, [0], 'UNSUBACK')
    await sender.publishAll(topic, range(20).map(String), 1)
    // A broker on several cores may have picked the leaver for some, which then come a little later.
    const seen = numbers(await stayer.untilFence()).sort((one, other) => one - other)
    expect(seen, range(20), 'the member that stayed')
    await leaver.expectNothingMore()
  })
})

promise(
  'what a member had not acknowledged when it left goes to another',
  async () => {
    const topic = unique('inherited')
    await connected(
      ['sender', 'heir'].map((name) => new Peer(name, { version: V5 })),
      async (sender, heir) => {
        const leaver = await new Peer('leaver', { version: V5 }).connect()
        leaver.withholdAcknowledgements()
        await leaver.subscribe(`$share/group/${topic}`, 1)
        await sender.publishAll(topic, range(10).map(String), 1)
        expect(Number((await leaver.receive()).payload), 0, 'first message of the only member')
        await heir.subscribe(`$share/group/${topic}`, 1)
        await leaver.cut()
        expect((await heir.payloads(10)).map(Number), range(10), 'inherited messages')
        await heir.expectNothingMore()
      }
    )
  },
  { deviation: 'a broker may drop it with the session' }
)

await checkPromises()
