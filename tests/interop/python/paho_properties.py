"""What MQTT 5 adds: properties, aliases, identifiers, reason codes, limits (paho)."""

from support.paho import V5, Peer, publish_properties
from support.report import check_promises, expect, let_pass, note, promise, unique


@promise("what belongs to the message is forwarded unaltered, user properties in order")
def _():
    topic = unique("forwarded")
    pairs = [("b", "1"), ("a", "2"), ("b", "3"), ("b", "1"), ("", ""), ("key", "wert ü")]
    given = publish_properties(
        UserProperty=pairs,
        ContentType="text/plain; charset=utf-8",
        ResponseTopic="answer/here",
        CorrelationData=bytes(range(256)),
        PayloadFormatIndicator=1,
    )
    with Peer("sender", V5) as sender, Peer("receiver", V5) as receiver:
        receiver.subscribe(topic, 2)
        for qos in (0, 1, 2):
            sender.publish(topic, "text", qos, props=given)
            seen = receiver.receive().properties
            expect(seen.UserProperty, pairs, "user properties")
            expect(seen.ContentType, "text/plain; charset=utf-8", "content type")
            expect(seen.ResponseTopic, "answer/here", "response topic")
            expect(seen.CorrelationData, bytes(range(256)), "correlation data")
            expect(seen.PayloadFormatIndicator, 1, "payload format")
            expect(hasattr(seen, "MessageExpiryInterval"), False, "a message expiry nobody gave")
            expect(hasattr(seen, "SubscriptionIdentifier"), False, "an identifier nobody gave")


@promise("a request is answered to its response topic with its correlation data")
def _():
    question, answer = unique("question"), unique("answer")
    with Peer("asker", V5) as asker, Peer("responder", V5) as responder:
        responder.subscribe(question, 1)
        asker.subscribe(answer, 1)
        asker.publish(
            question,
            "2+2",
            1,
            props=publish_properties(ResponseTopic=answer, CorrelationData=b"\x07"),
        )
        request = responder.receive("the request").properties
        responder.publish(
            request.ResponseTopic,
            "4",
            1,
            props=publish_properties(CorrelationData=request.CorrelationData),
        )
        response = asker.receive("the response")
        expect((response.payload, response.properties.CorrelationData), (b"4", b"\x07"), "response")


@promise("message expiry is decremented while a message waits, and ends it")
def _():
    topic = unique("expiry")
    sleeper = Peer("expiry", V5, persistent=True).connect()
    sleeper.subscribe(topic, 2)
    sleeper.disconnect()
    with Peer("sender", V5) as sender:
        for qos in (1, 2):
            sender.publish(topic, "short", qos, props=publish_properties(MessageExpiryInterval=1))
            sender.publish(topic, "long", qos, props=publish_properties(MessageExpiryInterval=100))
            sender.publish(topic, "ever", qos)
    let_pass(2.1)
    with sleeper:
        for qos in (1, 2):
            seen = sleeper.receive("the message of long life")
            left = getattr(seen.properties, "MessageExpiryInterval", None)
            expect((seen.payload, seen.qos), (b"long", qos), "message of long life")
            assert 95 <= left <= 98, f"message expiry {left} after 2 s of 100"
            expect(
                sleeper.receive("the message without expiry").payload,
                b"ever",
                "message without expiry",
            )
        sleeper.expect_nothing_more()
    sleeper.connect().disconnect(reason=0, SessionExpiryInterval=0)


@promise("a message carries the identifier of the subscription it matched")
def _():
    root = unique("identified")
    with Peer("sender", V5) as sender, Peer("receiver", V5) as receiver:
        receiver.subscribe(f"{root}/a", 1, identifier=1)
        receiver.subscribe(f"{root}/b/+", 1, identifier=268_435_455)
        receiver.subscribe(f"{root}/c", 1)
        for topic, wanted in (
            (f"{root}/a", [1]),
            (f"{root}/b/x", [268_435_455]),
            (f"{root}/c", None),
        ):
            sender.publish(topic, "x", 1)
            expect(identifiers(receiver.receive()), wanted, f"identifiers on {topic}")


@promise(
    "overlapping subscriptions: one copy, the highest QoS and every identifier",
    deviation="a broker may send a copy for each subscription",
)
def _():
    topic = unique("overlap") + "/a"
    with Peer("sender", V5) as sender, Peer("receiver", V5) as receiver:
        receiver.subscribe(topic, 0, identifier=1)
        receiver.subscribe(unique("overlap") + "/+", 2, identifier=2)
        receiver.subscribe(unique("overlap") + "/#", 1, identifier=3)
        sender.publish(topic, "x", 2)
        copy = receiver.receive()
        expect(
            (copy.qos, sorted(identifiers(copy))), (2, [1, 2, 3]), "QoS and identifiers of the copy"
        )
        receiver.expect_nothing_more()


def identifiers(message):
    return getattr(message.properties, "SubscriptionIdentifier", None)


@promise("a client's topic aliases stand for their topics")
def _():
    first, second = unique("alias/1"), unique("alias/2")
    with Peer("sender", V5) as sender, Peer("receiver", V5) as receiver:
        assert sender.connack.TopicAliasMaximum >= 1, "no topic alias is allowed"
        receiver.subscribe(unique("alias/#"), 1)
        alias = publish_properties(TopicAlias=1)
        for topic, name in (
            (first, first),
            (first, ""),
            (first, ""),
            (second, second),
            (second, ""),
        ):
            sender.publish(name, "x", 1, props=alias)
            expect(receiver.receive().topic, topic, "topic")


@promise("the broker's topic aliases stand for their topics")
def _():
    topics = [unique(f"outgoing-alias/{n % 5}") for n in range(40)]
    with Peer("sender", V5) as sender, Peer("receiver", V5, TopicAliasMaximum=3) as receiver:
        receiver.subscribe(unique("outgoing-alias/#"), 1)
        for topic in topics:
            sender.send(topic, "x", 1)
        known, used = {}, 0
        for topic in topics:
            seen = receiver.receive()
            alias = getattr(seen.properties, "TopicAlias", None)
            assert alias is None or 1 <= alias <= 3, f"alias {alias}"
            if alias is not None and seen.topic:
                known[alias] = seen.topic
            used += not seen.topic
            expect(seen.topic or known.get(alias), topic, f"topic, alias {alias}")
        note("aliases of the broker", f"{used} of {len(topics)} messages came without their topic")


@promise(
    "reason codes: 0x10 when nobody subscribed, 0x11 when nothing was to unsubscribe, granted QoS"
)
def _():
    topic = unique("lonely")
    with Peer("alone", V5) as alone:
        expect(alone.publish(topic, "x", 1), 0x10, "PUBACK without a subscriber")
        expect(alone.unsubscribe(topic), [0x11], "UNSUBACK without a subscription")
        for qos in (0, 1, 2):
            expect(alone.subscribe(topic, qos), qos, "SUBACK")
        expect(alone.publish(topic, "x", 1), 0x00, "PUBACK with a subscriber")
        expect(alone.unsubscribe(topic), [0x00], "UNSUBACK")
        expect(alone.publish(topic, "x", 1), 0x10, "PUBACK after it left")


@promise("a client without an id is told the one it was given, and it is its own")
def _():
    with Peer(None, V5) as one, Peer(None, V5) as two:
        names = {peer.connack.AssignedClientIdentifier for peer in (one, two)}
        expect(len(names - {""}), 2, "different assigned client ids")
        one.expect_nothing_more()
        two.expect_nothing_more()


@promise("no local keeps a client's own messages from it, and nobody else's")
def _():
    topic = unique("no-local")
    with Peer("own", V5) as own, Peer("other", V5) as other:
        own.subscribe(topic, 1, noLocal=True)
        other.subscribe(topic, 1)
        own.publish(topic, "own", 1)
        expect(other.receive().payload, b"own", "the other client's copy")
        other.publish(topic, "other", 1)
        expect(own.receive().payload, b"other", "the first message")
        own.expect_nothing_more()


@promise(
    "the client's Receive Maximum is never exceeded",
    deviation="mosquitto 2.0.11 sends its whole queue after the first acknowledgement",
)
def _():
    topic = unique("window")
    with Peer("sender", V5) as sender, Peer("slow", V5, manual_ack=True, ReceiveMaximum=3) as slow:
        slow.subscribe(topic, 1)
        for number in range(9):
            sender.publish(topic, b"%d" % number, 1)
        for turn in range(3):
            seen = [slow.receive() for _ in range(3)]
            expect(
                [m.payload for m in seen],
                [b"%d" % (3 * turn + n) for n in range(3)],
                "window of three",
            )
            # QoS 0 needs no place in the window: it shows that nothing else is under way.
            fence = unique(f"window-fence/{turn}")
            slow.subscribe(fence, 0)
            slow.publish(fence, b"fence", 0)
            expect(slow.receive("the fence").payload, b"fence", "nothing above the Receive Maximum")
            for message in seen:
                slow.acknowledge(message)
        slow.expect_nothing_more()


@promise("what is larger than the client's Maximum Packet Size is left out, and only that")
def _():
    topic = unique("small")
    with Peer("sender", V5) as sender, Peer("small", V5, MaximumPacketSize=300) as small:
        small.subscribe(topic, 2)
        for qos in (0, 1, 2):
            sender.publish(topic, b"x" * 400, qos)
            sender.publish(topic, b"fits", qos)
            seen = small.receive()
            expect((seen.payload, seen.qos), (b"fits", qos), "the message that fits")
        small.expect_nothing_more()


check_promises()
