"""A second connection of the same client takes the place of the first (paho)."""

from support.paho import V31, V311, V5, VERSION_NAMES, Peer
from support.report import check_promises, expect, promise, unique

for version in (V31, V311, V5):

    @promise(
        f"the first connection is closed, the second one serves, MQTT {VERSION_NAMES[version]}"
    )
    def _(version=version):
        topic = unique(f"taken/{version}")
        first = Peer("taken", version).connect()
        first.subscribe(topic, 1)
        with Peer("taken", version) as second, Peer("sender", version) as sender:
            first.await_disconnect()
            expect(second.session_present, False, "session present")
            sender.publish(topic, "nobody", 1)
            second.expect_nothing_more()
            second.subscribe(topic, 1)
            sender.publish(topic, "second", 1)
            expect(second.receive().payload, b"second", "message")


@promise("the first connection is told 0x8E", deviation="mosquitto 2.0.11 closes without a word")
def _():
    first = Peer("told", V5).connect()
    with Peer("told", V5):
        expect(first.await_disconnect(), 0x8E, "reason code of DISCONNECT")


for version in (V311, V5):

    @promise(
        f"a persistent session goes on in the second connection, nothing lost, MQTT {VERSION_NAMES[version]}"
    )
    def _(version=version):
        topic = unique(f"handed/{version}")
        name = f"handed-{version}"
        first = Peer(name, version, persistent=True, manual_ack=True).connect()
        first.subscribe(topic, 1)
        with Peer("sender", version) as sender:
            for number in range(5):
                sender.publish(topic, b"%d" % number, 1)
            first.receive_payloads(5)
            with Peer(name, version, persistent=True) as second:
                expect(second.session_present, True, "session present")
                first.await_disconnect()
                sender.publish(topic, b"5", 1)
                expect(second.receive_payloads(6), [b"%d" % n for n in range(6)], "messages")
                second.expect_nothing_more()
        with Peer(name, version):
            pass

    @promise(
        f"a takeover publishes the will of the first connection, MQTT {VERSION_NAMES[version]}"
    )
    def _(version=version):
        topic = unique(f"will/{version}")
        with Peer("watcher", version) as watcher:
            watcher.subscribe(topic, 1)
            first = Peer(
                "willing", version, will={"topic": topic, "payload": "first", "qos": 1}
            ).connect()
            with Peer("willing", version):
                first.await_disconnect()
                expect(watcher.receive("the will").payload, b"first", "will")
            watcher.expect_nothing_more()


@promise("thirty takeovers, other clients between them: one session, in order, nothing lost")
def _():
    topic = unique("chain")
    seen, others = [], []
    current = Peer("chain", V5, persistent=True).connect()
    current.subscribe(topic, 1)
    with Peer("sender", V5) as sender:
        for number in range(30):
            sender.publish(topic, b"%d" % number, 1)
            seen.append(int(current.receive().payload))
            current.settle()
            # A broker that deals its connections out puts the next one elsewhere.
            others.append(Peer(f"other-{number}", V5).connect())
            following = Peer("chain", V5, persistent=True).connect()
            expect(following.session_present, True, "session present")
            current.await_disconnect()
            current = following
        current.expect_nothing_more()
    expect(seen, list(range(30)), "messages")
    current.disconnect(reason=0, SessionExpiryInterval=0)
    for other in others:
        other.disconnect()


check_promises()
