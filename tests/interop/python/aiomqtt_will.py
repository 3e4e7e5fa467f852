"""The will: published when a connection breaks, and only then (aiomqtt)."""

import time

from aiomqtt import Will
from support.aio import V31, V311, V5, VERSION_NAMES, Peer, await_no_subscriber, connected
from support.paho import will_properties
from support.report import check_promises, expect, promise, unique

for version in (V31, V311, V5):

    @promise(f"a will for a cut, none for a DISCONNECT, MQTT {VERSION_NAMES[version]}")
    async def _(version=version):
        topic = unique(f"will/{version}")
        async with connected(Peer("watcher", version)) as (watcher,):
            await watcher.watch(topic, 2)
            for qos in (0, 1, 2):
                mortal = await Peer("mortal", version, will=Will(topic, "gone", qos)).connect()
                await mortal.cut()
                seen = await watcher.receive(f"the will, QoS {qos}")
                expect((seen.payload, seen.qos, seen.retain), (b"gone", qos, False), "will")
            mortal = await Peer("mortal", version, will=Will(topic, "gone", 1)).connect()
            await mortal.watch(f"{topic}/alive")
            await mortal.disconnect()
            await await_no_subscriber(f"{topic}/alive")
            await watcher.expect_nothing_more()


@promise("a retained will is there for who comes later")
async def _():
    topic = unique("retained-will")
    async with connected(Peer("watcher"), Peer("late")) as (watcher, late):
        await watcher.watch(topic, 1)
        await (await Peer("mortal", will=Will(topic, "gone", 1, retain=True)).connect()).cut()
        await watcher.receive("the will")
        await late.watch(topic, 1)
        seen = await late.receive("the retained will")
        expect((seen.payload, seen.retain), (b"gone", True), "retained will")
        await watcher.publish(topic, b"", 1, retain=True)


@promise("a will keeps its properties and its delay")
async def _():
    topic = unique("delayed")
    pairs = [("z", "1"), ("a", "2"), ("z", "1")]
    given = will_properties(
        WillDelayInterval=1,
        UserProperty=pairs,
        ContentType="text/plain",
        ResponseTopic="answer",
        CorrelationData=b"\x00\xff",
    )
    async with connected(Peer("watcher", V5)) as (watcher,):
        await watcher.watch(topic, 1)
        will = Will(topic, "gone", 1, properties=given)
        mortal = await Peer("mortal", V5, persistent=True, will=will).connect()
        started = time.monotonic()
        await mortal.cut()
        seen = (await watcher.receive("the will")).properties
        elapsed = time.monotonic() - started
        assert 0.9 <= elapsed <= 4, f"the will came after {elapsed:.2f} s, not after 1 s"
        expect(seen.UserProperty, pairs, "user properties")
        expect(
            (seen.ContentType, seen.ResponseTopic, seen.CorrelationData),
            ("text/plain", "answer", b"\x00\xff"),
            "properties",
        )


@promise("a client that comes back within the delay has no will published")
async def _():
    topic = unique("cancelled")
    will = Will(topic, "gone", 1, properties=will_properties(WillDelayInterval=60))
    async with connected(Peer("watcher", V5)) as (watcher,):
        await watcher.watch(topic, 1)
        mortal = await Peer("mortal", V5, persistent=True, will=will).connect()
        await mortal.cut()
        async with connected(mortal):
            expect(mortal.session_present, True, "session present")
            await watcher.expect_nothing_more()


check_promises()
