"""Large messages, many messages, many connections: nothing lost, in order (aiomqtt)."""

import asyncio
import random

from support.aio import V311, V5, VERSION_NAMES, Peer, connected
from support.report import check_promises, expect, promise, unique

LARGE_BYTES = 200_000
BURST = 10_000
CROWD = 4
EACH = 100

for version in (V311, V5):

    @promise(f"200 kB come through whole with QoS 0, 1 and 2, MQTT {VERSION_NAMES[version]}")
    async def _(version=version):
        topic = unique(f"large/{version}")
        payload = random.Random(version).randbytes(LARGE_BYTES)
        async with connected(Peer("sender", version), Peer("receiver", version)) as (
            sender,
            receiver,
        ):
            await receiver.watch(topic, 2)
            for qos in (0, 1, 2):
                await sender.publish(topic, payload, qos)
                assert (await receiver.receive()).payload == payload, (
                    f"the payload changed, QoS {qos}"
                )


@promise("10,000 messages of QoS 1, 500 at a time under way: all, once, in order")
async def _():
    topic = unique("burst")
    sender, receiver = Peer("sender", V5, concurrent=500), Peer("receiver", V5)
    async with connected(sender, receiver):
        await receiver.watch(topic, 1)
        await asyncio.gather(*(sender.publish(topic, b"%d" % number, 1) for number in range(BURST)))
        expect(
            [int(payload) for payload in await receiver.payloads(BURST)],
            list(range(BURST)),
            "messages",
        )
        await receiver.expect_nothing_more()


@promise(
    "four publishers to four subscribers: everybody gets everything, in each publisher's order"
)
async def _():
    root = unique("crowd")
    senders = [Peer(f"sender-{n}", (V5, V311)[n % 2]) for n in range(CROWD)]
    receivers = [Peer(f"receiver-{n}", (V311, V5)[n % 2]) for n in range(CROWD)]
    async with connected(*receivers, *senders):
        for receiver in receivers:
            await receiver.watch(f"{root}/+", 1)

        async def send_all(who):
            for number in range(EACH):
                await senders[who].publish(f"{root}/{who}", b"%d" % number, 1)

        await asyncio.gather(*(send_all(who) for who in range(CROWD)))
        for receiver in receivers:
            messages = [await receiver.receive() for _ in range(CROWD * EACH)]
            for who in range(CROWD):
                seen = [
                    int(message.payload)
                    for message in messages
                    if message.topic.value == f"{root}/{who}"
                ]
                expect(seen, list(range(EACH)), f"messages of publisher {who}")
            await receiver.expect_nothing_more()


check_promises()
