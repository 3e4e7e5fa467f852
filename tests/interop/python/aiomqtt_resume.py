"""Sessions that outlive their connection (aiomqtt)."""

from aiomqtt import Will
from support.aio import V31, V311, V5, VERSION_NAMES, Peer, connected
from support.paho import will_properties
from support.report import check_promises, expect, promise, unique

QUEUED = 100

for version in (V31, V311, V5):

    @promise(f"messages queued while away come in order, MQTT {VERSION_NAMES[version]}")
    async def _(version=version):
        topic, name = unique(f"away/{version}"), f"sleeper-{version}"
        sleeper = await Peer(name, version, persistent=True).connect()
        expect(sleeper.session_present, False, "session present, first time")
        await sleeper.watch(topic, 2)
        await sleeper.cut()
        async with connected(Peer("sender", version)) as (sender,):
            for qos in (1, 2):
                for number in range(QUEUED):
                    await sender.publish(topic, b"%d" % number, qos)
        async with connected(sleeper):
            # The flag came with MQTT 3.1.1; in 3.1 the bit is reserved.
            if version != V31:
                expect(sleeper.session_present, True, "session present")
            for qos in (1, 2):
                for number in range(QUEUED):
                    seen = await sleeper.receive("a queued message")
                    expect((seen.payload, seen.qos), (b"%d" % number, qos), "queued message")
            await sleeper.expect_nothing_more()
        async with connected(Peer(name, version)) as (clean,):
            expect(clean.session_present, False, "session present after a clean start")
        async with connected(Peer(name, version, persistent=True)) as (again,):
            expect(again.session_present, False, "session present after the clean one")
        await leave_nothing(name, version)


async def leave_nothing(name, version):
    async with connected(Peer(name, version)):
        pass


@promise("a subscriber that is cut again and again misses nothing of QoS 2 and gets nothing twice")
async def _():
    topic = unique("torn")
    receiver = await Peer("torn", V5, persistent=True).connect()
    await receiver.watch(topic, 2)
    seen = []
    async with connected(Peer("sender", V5)) as (sender,):
        for turn in range(5):
            for number in range(20):
                await sender.publish(topic, b"%d" % (20 * turn + number), 2)
            seen += await receiver.payloads(10)
            await receiver.cut()
            await receiver.connect()
            expect(receiver.session_present, True, "session present")
            seen += await receiver.payloads(10)
        await receiver.expect_nothing_more()
    expect([int(payload) for payload in seen], list(range(100)), "messages")
    await receiver.disconnect()
    await leave_nothing("torn", V5)


@promise("a session ends when its expiry is over")
async def _():
    topic = unique("expired")
    will = Will(topic, "gone", 1, properties=will_properties(WillDelayInterval=60))
    async with connected(Peer("watcher", V5)) as (watcher,):
        await watcher.watch(topic, 1)
        brief = await Peer(
            "brief", V5, persistent=True, will=will, SessionExpiryInterval=1
        ).connect()
        await brief.cut()
        # The end of the session publishes the will: nothing else shows it from outside.
        await watcher.receive("the will")
        async with connected(brief):
            expect(brief.session_present, False, "session present")


check_promises()
