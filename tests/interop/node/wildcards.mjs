// Which topics a filter matches, and that $-topics are apart (MQTT.js).

import { Peer, V31, V311, V5, VERSION_NAMES, connected } from './support/peer.mjs'
import { checkPromises, expect, promise, unique } from './support/report.mjs'

// Topics below the run's root `R`, and for each filter which of them it matches.
const TOPICS = ['R', 'R/', 'R/a', 'R/a/', 'R/a/b', 'R/a/b/c', 'R//c', 'R/A/b', 'R/ä/µ', '/R/a']
const FILTERS = {
  R: ['R'],
  'R/#': TOPICS.filter((topic) => topic.startsWith('R')),
  'R/+': ['R/', 'R/a'],
  'R/a/#': ['R/a', 'R/a/', 'R/a/b', 'R/a/b/c'],
  'R/+/b': ['R/a/b', 'R/A/b'],
  'R/+/b/#': ['R/a/b', 'R/a/b/c', 'R/A/b'],
  'R/ä/µ': ['R/ä/µ'],
  '+/R/a': ['/R/a'],
  '/R/#': ['/R/a']
}

for (const version of [V31, V311, V5]) {
  promise(
    `every filter matches its topics and no other, MQTT ${VERSION_NAMES[version]}`,
    async () => {
      const root = unique(`w${version}`)
      const inRun = (name) => name.replace('R', root)
      await connected(
        [new Peer('sender', { version }), new Peer('receiver', { version })],
        async (sender, receiver) => {
          for (const [filter, wanted] of Object.entries(FILTERS)) {
            await receiver.subscribe(inRun(filter), 1)
            for (const topic of TOPICS) await sender.publish(inRun(topic), topic, 1)
            const seen = (await receiver.untilFence()).map(({ payload }) => payload.toString())
            expect(seen, wanted, `topics that match ${filter}`)
            await receiver.unsubscribe(inRun(filter))
          }
        }
      )
    }
  )
}

promise('a leading wildcard matches no $-topic; its own name does', async () => {
  const [name, leaf] = [unique('dollar'), unique('leaf')]
  const peers = ['sender', 'plus', 'named'].map((peer) => new Peer(peer, { version: V5 }))
  await connected(peers, async (sender, plus, named) => {
    await plus.subscribe(`+/${leaf}`, 1)
    await named.subscribe(`$${name}/#`, 1)
    await sender.publish(`$${name}/${leaf}`, 'hidden', 1)
    await sender.publish(`${name}/${leaf}`, 'seen', 1)
    expect(await named.payloads(1), ['hidden'], 'the subscriber that named it')
    expect(await plus.payloads(1), ['seen'], 'first message of + and the leaf')
    await plus.expectNothingMore()
  })
})

promise(
  'overlapping filters of one client: one copy, the highest QoS, MQTT 3.1.1',
  async () => {
    const root = unique('overlap')
    await connected([new Peer('sender'), new Peer('receiver')], async (sender, receiver) => {
      await receiver.subscribe(`${root}/#`, 2)
      await receiver.subscribe(`${root}/a`, 0)
      await sender.publish(`${root}/a`, 'x', 2)
      expect(
        (await receiver.untilFence()).map(({ qos }) => qos),
        [2],
        'QoS of the copies'
      )
    })
  },
  { deviation: 'a broker may send a copy for each subscription' }
)

await checkPromises()
