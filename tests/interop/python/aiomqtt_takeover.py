"""A second connection of the same client takes the place of the first (aiomqtt)."""

from support.aio import V31, V311, V5, VERSION_NAMES, Peer, connected
from support.report import check_promises, expect, promise, unique

for version in (V31, V311, V5):

    @promise(
        f"the first connection ends, the session goes on in the second, MQTT {VERSION_NAMES[version]}"
    )
    async def _(version=version):
        topic, name = unique(f"taken/{version}"), f"taken-{version}"
        first = await Peer(name, version, persistent=True).connect()
        await first.watch(topic, 1)
        async with connected(Peer("sender", version)) as (sender,):
            for number in range(10):
                async with connected(Peer(f"other-{number}", version)):
                    second = await Peer(name, version, persistent=True).connect()
                    await first.await_end()
                    if version != V31:
                        expect(second.session_present, True, "session present")
                    await sender.publish(topic, b"%d" % number, 1)
                    expect((await second.receive()).payload, b"%d" % number, "message")
                    await second.settle()
                    first = second
        await first.expect_nothing_more()
        await first.disconnect()
        async with connected(Peer(name, version)):
            pass


@promise("the first connection is told 0x8E", deviation="mosquitto 2.0.11 closes without a word")
async def _():
    first = await Peer("told", V5).connect()
    async with connected(Peer("told", V5)):
        why = await first.await_end()
        expect(why.rc.value, 0x8E, "reason code of DISCONNECT")


check_promises()
