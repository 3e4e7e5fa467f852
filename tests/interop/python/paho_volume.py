"""Large messages, many messages, many connections: nothing lost, in order (paho)."""

import hashlib
import random

from support.paho import V311, V5, VERSION_NAMES, Peer
from support.report import check_promises, expect, promise, unique

LARGE_BYTES = 200_000
BURST = 10_000
#: Publishers and subscribers, each on a connection of its own, so on every shard of a few.
CROWD = 5
EACH = 200

for version in (V311, V5):

    @promise(f"200 kB come through whole with QoS 0, 1 and 2, MQTT {VERSION_NAMES[version]}")
    def _(version=version):
        topic = unique(f"large/{version}")
        payloads = [random.Random(seed).randbytes(LARGE_BYTES) for seed in range(5)]
        with Peer("sender", version) as sender, Peer("receiver", version) as receiver:
            receiver.subscribe(topic, 2)
            for qos in (0, 1, 2):
                for payload in payloads:
                    sender.send(topic, payload, qos)
                sender.await_acknowledged(len(payloads))
                for payload in payloads:
                    seen = receiver.receive().payload
                    expect(
                        (len(seen), digest(seen)),
                        (LARGE_BYTES, digest(payload)),
                        "length and digest",
                    )

    @promise(
        f"10,000 messages of QoS 1 without waiting: all, once, in order, MQTT {VERSION_NAMES[version]}"
    )
    def _(version=version):
        topic = unique(f"burst/{version}")
        # A thousand unacknowledged at a time: below every broker's Receive Maximum that matters here.
        with (
            Peer("sender", version, in_flight=1000) as sender,
            Peer("receiver", version) as receiver,
        ):
            receiver.subscribe(topic, 1)
            for number in range(BURST):
                sender.send(topic, b"%d" % number, 1)
            expect(set(sender.await_acknowledged(BURST)), {0}, "reason codes")
            expect(
                [int(p) for p in receiver.receive_payloads(BURST)], list(range(BURST)), "messages"
            )
            receiver.expect_nothing_more()


def digest(payload):
    return hashlib.sha256(payload).hexdigest()


@promise(
    "five publishers to five subscribers: everybody gets everything, in each publisher's order"
)
def _():
    root = unique("crowd")
    receivers = [Peer(f"receiver-{n}", (V311, V5)[n % 2]).connect() for n in range(CROWD)]
    senders = [Peer(f"sender-{n}", (V5, V311)[n % 2]).connect() for n in range(CROWD)]
    for receiver in receivers:
        receiver.subscribe(f"{root}/+", 2)
    for number in range(EACH):
        for who, sender in enumerate(senders):
            sender.send(f"{root}/{who}", b"%d" % number, number % 3)
    for sender in senders:
        sender.await_acknowledged(EACH)
    for receiver in receivers:
        messages = [receiver.receive() for _ in range(CROWD * EACH)]
        for who in range(CROWD):
            for qos in (0, 1, 2):
                seen = [
                    int(m.payload) for m in messages if m.topic == f"{root}/{who}" and m.qos == qos
                ]
                expect(seen, list(range(qos, EACH, 3)), f"messages of publisher {who}, QoS {qos}")
        receiver.expect_nothing_more()
    for peer in receivers + senders:
        peer.disconnect()


check_promises()
