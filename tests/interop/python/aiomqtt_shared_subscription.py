"""Shared subscriptions: each message goes to one member (aiomqtt)."""

import asyncio

from support.aio import V311, V5, VERSION_NAMES, Peer, connected
from support.report import check_promises, expect, promise, unique

MESSAGES = 200

for version in (V311, V5):

    @promise(
        f"each message reaches one of three members, and every member some, MQTT {VERSION_NAMES[version]}"
    )
    async def _(version=version):
        topic = unique(f"work/{version}")
        members = [Peer(f"member-{n}", version) for n in range(3)]
        async with connected(Peer("sender", version, concurrent=100), *members) as (sender, *_):
            for member in members:
                await member.watch(f"$share/group/{topic}", 1)
            await asyncio.gather(*(sender.publish(topic, b"%d" % n, 1) for n in range(MESSAGES)))
            shares = [await share_of(member) for member in members]
            expect(sorted(sum(shares, [])), list(range(MESSAGES)), "all members together")
            expect([share == sorted(share) for share in shares], [True] * 3, "each share in order")
            assert all(shares), f"sizes of the shares: {[len(share) for share in shares]}"


async def share_of(member):
    """The numbers a member got, once nothing is on its way to it."""
    fence = unique("fence") + f"/{id(member)}"
    await member.watch(fence, 1)
    seen = []
    for _ in range(2):
        await member.publish(fence, b"", 1)
        while (message := await member.receive("the fence")).topic.value != fence:
            seen.append(int(message.payload))
    return seen


check_promises()
