"""Sessions that outlive their connection: what was queued, what was owed, when they end (paho)."""

from support.paho import V31, V311, V5, VERSION_NAMES, Peer, await_no_subscriber
from support.report import check_promises, expect, promise, unique

QUEUED = 200
#: Enough that a cut after a part of them leaves many in flight. After a cut paho sends all it owes
#: at once, whatever Receive Maximum it was told, so this stays below the broker's.
PIPELINED = 1000

for version in (V31, V311, V5):

    @promise(f"messages queued while away come in order, MQTT {VERSION_NAMES[version]}")
    def _(version=version):
        topic = unique(f"away/{version}")
        sleeper = Peer(f"sleeper-{version}", version, persistent=True).connect()
        expect(sleeper.session_present, False, "session present, first time")
        sleeper.subscribe(topic, 2)
        sleeper.cut()
        wanted = [(b"%d" % number, 1 + number % 2) for number in range(QUEUED)]
        with Peer("sender", version) as sender:
            for payload, qos in wanted:
                sender.send(topic, payload, qos)
            sender.await_acknowledged(QUEUED)
        with sleeper:
            # The flag came with MQTT 3.1.1; in 3.1 the bit is reserved.
            if version != V31:
                expect(sleeper.session_present, True, "session present")
            seen = [sleeper.receive("a queued message") for _ in wanted]
            # A broker may take a QoS 2 message as late as its PUBREL: the order is one per QoS.
            for qos in (1, 2):
                expect(
                    [message.payload for message in seen if message.qos == qos],
                    [payload for payload, its_qos in wanted if its_qos == qos],
                    f"QoS {qos} messages",
                )
            sleeper.expect_nothing_more()
        end_session(f"sleeper-{version}", version)

    @promise(f"a clean start discards the session, MQTT {VERSION_NAMES[version]}")
    def _(version=version):
        topic = unique(f"clean/{version}")
        name = f"forgetful-{version}"
        sleeper = Peer(name, version, persistent=True).connect()
        sleeper.subscribe(topic, 1)
        sleeper.disconnect()
        with Peer("sender", version) as sender, Peer(name, version) as clean:
            sender.publish(topic, b"x", 1)
            expect(clean.session_present, False, "session present")
            clean.expect_nothing_more()
        with Peer(name, version, persistent=True) as again:
            expect(again.session_present, False, "session present after the clean one")
        end_session(name, version)

    @promise(
        f"what was not acknowledged comes again, in order and marked, MQTT {VERSION_NAMES[version]}"
    )
    def _(version=version):
        topic = unique(f"owed/{version}")
        name = f"ower-{version}"
        ower = Peer(name, version, persistent=True, manual_ack=True).connect()
        ower.subscribe(topic, 1)
        with Peer("sender", version) as sender:
            for number in range(5):
                sender.publish(topic, b"%d" % number, 1)
            first = [ower.receive() for _ in range(5)]
            expect(
                [seen.payload for seen in first], [b"%d" % n for n in range(5)], "first delivery"
            )
            expect({seen.dup for seen in first}, {False}, "DUP of the first delivery")
            ower.acknowledge(first[0])
            # The acknowledgement is on its way before the connection ends.
            ower.expect_nothing_more()
            ower.cut(reset=False)
            sender.publish(topic, b"5", 1)
        with ower:
            again = [ower.receive() for _ in range(5)]
            expect(
                [seen.payload for seen in again],
                [b"%d" % n for n in range(1, 6)],
                "second delivery",
            )
            # The fifth may have been sent into the connection before the broker saw it end.
            expect([seen.dup for seen in again[:4]], [True] * 4, "DUP of the second delivery")
            expect([seen.mid for seen in again[:4]], [seen.mid for seen in first[1:]], "packet ids")
            for seen in again:
                ower.acknowledge(seen)
            ower.expect_nothing_more()
        end_session(name, version)


def end_session(name, version):
    """Leaves nothing behind in a broker that goes on running."""
    with Peer(name, version):
        pass


def cut_publisher(version, qos):
    """Cuts a publisher in the middle of a pipeline; it comes back and sends again what is owed."""
    topic = unique(f"pipeline/{version}/{qos}")
    name = f"cut-{version}-{qos}"
    sender = Peer(name, version, persistent=True, in_flight=PIPELINED).connect()
    with Peer("receiver", V5) as receiver:
        receiver.subscribe(topic, 2)
        for number in range(PIPELINED):
            sender.send(topic, b"%d" % number, qos)
        acknowledged = sender.await_acknowledged(PIPELINED // 4)
        sender.cut()
        with sender:
            expect(sender.session_present, True, "session present")
            acknowledged += sender.await_acknowledged(PIPELINED - len(acknowledged))
        end_session(name, version)
        # A PUBCOMP that was lost with the connection: the exchange is complete, its id free (4.4).
        unexpected = set(acknowledged) - {0x00, 0x92 if version == V5 and qos == 2 else 0x00}
        expect(unexpected, set(), "reason codes beside success")
        return [int(payload) for payload in drain(receiver)]


def drain(receiver):
    """All payloads up to the last one, and what is sent again behind it: QoS 1 may."""
    payloads = []
    while not payloads or payloads[-1] != b"%d" % (PIPELINED - 1):
        payloads.append(receiver.receive(f"message after {len(payloads)}").payload)
    return payloads + [message.payload for message in receiver.receive_rest()]


for version in (V311, V5):

    @promise(
        f"a publisher cut amid 1,000 of QoS 2: each exactly once, in order, MQTT {VERSION_NAMES[version]}"
    )
    def _(version=version):
        expect(cut_publisher(version, 2), list(range(PIPELINED)), "messages")

    @promise(
        f"a publisher cut amid 1,000 of QoS 1: each at least once, in order, MQTT {VERSION_NAMES[version]}"
    )
    def _(version=version):
        first_copies = list(dict.fromkeys(cut_publisher(version, 1)))
        expect(first_copies, list(range(PIPELINED)), "first copies")


@promise("a subscriber cut amid 1,000 of QoS 2: each exactly once, in order")
def _():
    topic = unique("torn")
    receiver = Peer("torn", V5, persistent=True).connect()
    receiver.subscribe(topic, 2)
    with Peer("sender", V5) as sender:
        for number in range(PIPELINED):
            sender.send(topic, b"%d" % number, 2)
        payloads = receiver.receive_payloads(PIPELINED // 4)
        receiver.cut()
        sender.await_acknowledged(PIPELINED)
    with receiver:
        expect(receiver.session_present, True, "session present")
        payloads += receiver.receive_payloads(PIPELINED - len(payloads))
        receiver.expect_nothing_more()
    expect([int(payload) for payload in payloads], list(range(PIPELINED)), "messages")
    end_session("torn", V5)


@promise("a session without expiry ends with its connection")
def _():
    with Peer("brief", V5, persistent=True, SessionExpiryInterval=0) as brief:
        brief.subscribe(unique("brief"), 1)
    with brief:
        expect(brief.session_present, False, "session present")


@promise("DISCONNECT can end a session by its expiry")
def _():
    leaver = Peer("leaver", V5, persistent=True).connect()
    leaver.subscribe(unique("leaver"), 1)
    leaver.disconnect(reason=0, SessionExpiryInterval=0)
    await_no_subscriber(unique("leaver"))
    with leaver:
        expect(leaver.session_present, False, "session present")


@promise("a session expiry that nothing limits is granted as it was asked for")
def _():
    with Peer("granted", V5, persistent=True, SessionExpiryInterval=77) as granted:
        # The broker is silent when it grants what was asked for.
        expect(getattr(granted.connack, "SessionExpiryInterval", 77), 77, "session expiry")
    end_session("granted", V5)


check_promises()
