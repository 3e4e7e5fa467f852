"""Retained messages: set, received with the flag, replaced, deleted (aiomqtt)."""

import asyncio

from support.aio import V31, V311, V5, VERSION_NAMES, Peer, connected
from support.report import check_promises, expect, promise, unique

TOPICS = 60

for version in (V31, V311, V5):

    @promise(
        f"set, received with the flag, replaced, deleted by an empty payload, MQTT {VERSION_NAMES[version]}"
    )
    async def _(version=version):
        topic = unique(f"retained/{version}")
        peers = Peer("setter", version), Peer("live", version), Peer("late", version)
        async with connected(*peers) as (setter, live, late):
            await live.watch(topic, 2)
            for qos, payload in ((0, b"first"), (1, b"second"), (2, b"third")):
                await setter.publish(topic, payload, qos, retain=True)
                seen = await live.receive("the live message")
                expect((seen.payload, seen.retain, seen.qos), (payload, False, qos), "live message")
                await late.watch(topic, 2)
                seen = await late.receive("the retained message")
                expect(
                    (seen.payload, seen.retain, seen.qos), (payload, True, qos), "retained message"
                )
                await late.unsubscribe(topic)
            await setter.publish(topic, b"", 1, retain=True)
            seen = await live.receive("the deleting message")
            expect((seen.payload, seen.retain), (b"", False), "deleting message, live")
            await late.watch(topic, 2)
            await late.expect_nothing_more()


@promise("a wildcard subscription gets every retained message once")
async def _():
    root = unique("many")
    async with connected(Peer("setter"), Peer("late", V5)) as (setter, late):
        wanted = {f"{root}/{n}/{n % 7}": b"%d" % n for n in range(TOPICS)}
        await asyncio.gather(
            *(setter.publish(topic, payload, 1, retain=True) for topic, payload in wanted.items())
        )
        await late.watch(f"{root}/+/+", 1)
        messages = [await late.receive("a retained message") for _ in wanted]
        expect(
            {message.topic.value: message.payload for message in messages},
            wanted,
            "retained messages",
        )
        expect({message.retain for message in messages}, {True}, "retain flags")
        await late.expect_nothing_more()
        await asyncio.gather(*(setter.publish(topic, b"", 1, retain=True) for topic in wanted))


@promise("retain handling and retain as published")
async def _():
    topic = unique("options")
    async with connected(Peer("setter", V5), Peer("late", V5)) as (setter, late):
        await setter.publish(topic, b"here", 1, retain=True)
        await late.watch(topic, 1, retainHandling=2, retainAsPublished=True)
        await late.expect_nothing_more()
        await late.watch(topic, 1, retainHandling=1, retainAsPublished=True)
        await late.expect_nothing_more()
        await setter.publish(topic, b"live", 1, retain=True)
        expect((await late.receive()).retain, True, "flag, retain as published")
        await late.watch(topic, 1, retainHandling=0)
        expect((await late.receive("handling 0")).payload, b"live", "retained message")
        await setter.publish(topic, b"", 1, retain=True)


@promise(
    "a second SUBSCRIBE replaces the options of the first",
    deviation="mosquitto 2.0.11 keeps retain as published from the first",
)
async def _():
    topic = unique("replaced")
    async with connected(Peer("setter", V5), Peer("late", V5)) as (setter, late):
        for as_published in (True, False):
            await late.watch(topic, 1, retainAsPublished=as_published)
            await setter.publish(topic, b"", 1, retain=True)
            expect((await late.receive()).retain, as_published, "retain flag")


check_promises()
