"""Retained messages: set, received with the flag, replaced, deleted (paho)."""

from support.paho import V31, V311, V5, VERSION_NAMES, Peer, publish_properties
from support.report import check_promises, expect, let_pass, promise, unique

#: Enough topics that every shard is the home of some.
TOPICS = 60

for version in (V31, V311, V5):

    @promise(
        f"set, received with the flag, replaced, deleted by an empty payload, MQTT {VERSION_NAMES[version]}"
    )
    def _(version=version):
        topic = unique(f"retained/{version}")
        with (
            Peer("setter", version) as setter,
            Peer("live", version) as live,
            Peer("late", version) as late,
        ):
            live.subscribe(topic, 2)
            for qos, payload in ((0, b"first"), (1, b"second"), (2, b"third")):
                setter.publish(topic, payload, qos, retain=True)
                seen = live.receive("the live message")
                expect((seen.payload, seen.retain, seen.qos), (payload, False, qos), "live message")
                late.subscribe(topic, 2)
                seen = late.receive("the retained message")
                expect(
                    (seen.payload, seen.retain, seen.qos), (payload, True, qos), "retained message"
                )
                late.unsubscribe(topic)
            setter.publish(topic, b"", 1, retain=True)
            seen = live.receive("the deleting message")
            expect((seen.payload, seen.retain), (b"", False), "deleting message, live")
            late.subscribe(topic, 2)
            late.expect_nothing_more()


@promise("a wildcard subscription gets every retained message once")
def _():
    root = unique("many")
    with Peer("setter", V311) as setter, Peer("late", V5) as late:
        wanted = {f"{root}/{n}/{n % 7}": b"%d" % n for n in range(TOPICS)}
        for topic, payload in wanted.items():
            setter.send(topic, payload, 1, retain=True)
        setter.await_acknowledged(TOPICS)
        late.subscribe(f"{root}/#", 1)
        messages = [late.receive("a retained message") for _ in wanted]
        expect(
            {message.topic: message.payload for message in messages}, wanted, "retained messages"
        )
        expect({message.retain for message in messages}, {True}, "retain flags")
        late.expect_nothing_more()
        for topic in wanted:
            setter.send(topic, b"", 0, retain=True)
        setter.await_acknowledged(TOPICS)
        # The acknowledged fence comes after them on the same connection.
        setter.publish(f"{root}/fence", b"x", 1)
        with Peer("later", V5) as later:
            later.subscribe(f"{root}/#", 1)
            later.expect_nothing_more()


@promise("a message that is not retained leaves the retained one alone")
def _():
    topic = unique("kept")
    with Peer("setter", V311) as setter, Peer("late", V311) as late:
        setter.publish(topic, b"kept", 1, retain=True)
        setter.publish(topic, b"passing", 1)
        setter.publish(topic, b"", 1)
        late.subscribe(topic)
        seen = late.receive()
        expect((seen.payload, seen.retain), (b"kept", True), "retained message")
        setter.publish(topic, b"", 1, retain=True)


@promise("retain handling 0, 1 and 2")
def _():
    topic = unique("handling")
    with Peer("setter", V5) as setter, Peer("late", V5) as late:
        setter.publish(topic, b"here", 1, retain=True)
        late.subscribe(topic, 1, retainHandling=2)
        late.expect_nothing_more()
        late.subscribe(topic, 1, retainHandling=1)
        late.expect_nothing_more()
        late.subscribe(topic, 1, retainHandling=0)
        expect(late.receive("handling 0").payload, b"here", "retained message")
        late.unsubscribe(topic)
        late.subscribe(topic, 1, retainHandling=1)
        expect(late.receive("handling 1, new subscription").payload, b"here", "retained message")
        late.expect_nothing_more()
        setter.publish(topic, b"", 1, retain=True)


@promise("retain as published")
def _():
    topic = unique("published")
    with Peer("setter", V5) as setter, Peer("as-is", V5) as as_is, Peer("plain", V5) as plain:
        as_is.subscribe(topic, 1, retainAsPublished=True)
        plain.subscribe(topic, 1)
        for retain in (True, False):
            setter.publish(topic, b"x", 1, retain=retain)
            expect(as_is.receive().retain, retain, "flag, retain as published")
            expect(plain.receive().retain, False, "flag")
        setter.publish(topic, b"", 1, retain=True)


@promise("a retained message keeps its properties")
def _():
    topic = unique("properties")
    given = publish_properties(
        UserProperty=[("b", "1"), ("a", "2")], ContentType="text/plain", MessageExpiryInterval=100
    )
    with Peer("setter", V5) as setter, Peer("late", V5) as late:
        setter.publish(topic, b"x", 1, retain=True, props=given)
        late.subscribe(topic, 1)
        seen = late.receive().properties
        expect(seen.UserProperty, [("b", "1"), ("a", "2")], "user properties")
        expect(seen.ContentType, "text/plain", "content type")
        assert 90 <= seen.MessageExpiryInterval <= 100, (
            f"message expiry {seen.MessageExpiryInterval}"
        )
        setter.publish(topic, b"", 1, retain=True)


@promise("a retained message's expiry runs, and what expired is not given out")
def _():
    gone, stays = unique("expiring/gone"), unique("expiring/stays")
    with Peer("setter", V5) as setter, Peer("late", V5) as late:
        setter.publish(
            gone, b"x", 1, retain=True, props=publish_properties(MessageExpiryInterval=1)
        )
        setter.publish(
            stays, b"x", 1, retain=True, props=publish_properties(MessageExpiryInterval=100)
        )
        let_pass(2.1)
        late.subscribe(gone, 1)
        late.expect_nothing_more()
        late.subscribe(stays, 1)
        left = late.receive().properties.MessageExpiryInterval
        assert 90 <= left <= 98, f"message expiry {left} after 2 s of 100"
        setter.publish(stays, b"", 1, retain=True)


check_promises()
