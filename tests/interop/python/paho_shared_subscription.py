"""Shared subscriptions: each message goes to one member, and none is lost (paho)."""

from support.paho import V311, V5, VERSION_NAMES, Peer
from support.report import check_promises, expect, promise, unique

MESSAGES = 300


for version in (V311, V5):

    @promise(
        f"each message reaches one of three members, and every member some, MQTT {VERSION_NAMES[version]}"
    )
    def _(version=version):
        topic = unique(f"work/{version}")
        with (
            Peer("sender", version) as sender,
            Peer("m1", version) as m1,
            Peer("m2", version) as m2,
            Peer("m3", version) as m3,
            Peer("plain", version) as plain,
        ):
            for member in (m1, m2, m3):
                member.subscribe(f"$share/group/{topic}", 1)
            plain.subscribe(topic, 1)
            for number in range(MESSAGES):
                sender.send(topic, b"%d" % number, 1)
            sender.await_acknowledged(MESSAGES)
            expect(
                [int(p) for p in plain.receive_payloads(MESSAGES)],
                list(range(MESSAGES)),
                "plain subscriber",
            )
            shares = [settled(member) for member in (m1, m2, m3)]
            expect(sorted(sum(shares, [])), list(range(MESSAGES)), "all members together")
            assert all(shares), f"sizes of the shares: {[len(share) for share in shares]}"


def settled(member):
    """The numbers a member got, once nothing is on its way to it."""
    fence = unique("settled") + f"/{id(member)}"
    member.subscribe(fence, 1)
    seen = []
    for _ in range(2):
        member.send(fence, b"fence", 1)
        while (message := member.receive("the fence")).topic != fence:
            seen.append(int(message.payload))
    return seen


@promise("two groups and two filters of one group are apart")
def _():
    topic = unique("groups/t")
    with Peer("sender", V5) as sender, Peer("m1", V5) as m1, Peer("m2", V5) as m2:
        m1.subscribe(f"$share/one/{topic}", 1)
        m2.subscribe(f"$share/two/{topic}", 1)
        m2.subscribe("$share/one/" + unique("groups/+"), 1)
        for number in range(10):
            sender.publish(topic, b"%d" % number, 1)
        expect(settled(m1), list(range(10)), "the only member of its group and filter")
        expect(sorted(settled(m2)), sorted(2 * list(range(10))), "member of two")


@promise(
    "a shared subscription is given no retained message", deviation="mosquitto 2.0.11 sends it"
)
def _():
    topic = unique("retained")
    with Peer("sender", V5) as sender, Peer("member", V5) as member:
        sender.publish(topic, "kept", 1, retain=True)
        member.subscribe(f"$share/group/{topic}", 1)
        member.expect_nothing_more()
        sender.publish(topic, "", 1, retain=True)


@promise("when a member unsubscribes, the others go on")
def _():
    topic = unique("leaving")
    with Peer("sender", V5) as sender, Peer("m1", V5) as m1, Peer("m2", V5) as m2:
        for member in (m1, m2):
            member.subscribe(f"$share/group/{topic}", 1)
        expect(m1.unsubscribe(f"$share/group/{topic}"), [0], "UNSUBACK")
        for number in range(20):
            sender.publish(topic, b"%d" % number, 1)
        expect(settled(m2), list(range(20)), "the member that stayed")
        m1.expect_nothing_more()


@promise(
    "what a member had not acknowledged when it left goes to another",
    deviation="a broker may drop it with the session",
)
def _():
    topic = unique("inherited")
    leaver = Peer("leaver", V5, manual_ack=True).connect()
    with Peer("sender", V5) as sender, Peer("heir", V5) as heir:
        leaver.subscribe(f"$share/group/{topic}", 1)
        for number in range(10):
            sender.publish(topic, b"%d" % number, 1)
        expect([int(p) for p in leaver.receive_payloads(10)], list(range(10)), "the only member")
        heir.subscribe(f"$share/group/{topic}", 1)
        leaver.cut()
        expect([int(p) for p in heir.receive_payloads(10)], list(range(10)), "inherited messages")
        heir.expect_nothing_more()


check_promises()
