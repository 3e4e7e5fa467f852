"""Retained messages: set, received with the flag, replaced, deleted (Mosquitto's command line)."""

from support.command_line import V31, V311, V5, VERSION_NAMES, Subscriber, properties, publish
from support.report import check_promises, expect, promise, unique

TOPICS = 20

for version in (V31, V311, V5):

    @promise(
        f"set, received with the flag, replaced, deleted by an empty payload, MQTT {VERSION_NAMES[version]}"
    )
    def _(version=version):
        topic = unique(f"retained/{version}")
        with Subscriber(topic, version=version, qos=2) as live:
            for qos, payload in ((0, "first"), (1, "second"), (2, "third")):
                publish(topic, "-r", payload=payload, version=version, qos=qos)
                seen = live.receive("the live message")
                expect((seen["payload"], seen["retain"]), (payload, 0), "live message")
                with Subscriber(topic, version=version, qos=2) as late:
                    seen = late.receive("the retained message")
                    expect(
                        (seen["payload"], seen["retain"], seen["qos"]),
                        (payload, 1, qos),
                        "retained message",
                    )
            publish(topic, "-r", version=version, qos=1)
            expect(live.receive("the deleting message")["payloadlen"], 0, "deleting message")
            with Subscriber(topic, version=version, qos=2) as late:
                late.expect_nothing_more()


@promise("--remove-retained finds and deletes every retained message")
def _():
    root = unique("removed")
    for number in range(TOPICS):
        publish(f"{root}/{number}", "-r", payload="x", qos=1)
    with Subscriber(
        f"{root}/+", qos=1, arguments=("--remove-retained", "-T", unique("fence") + "/#")
    ) as cleaner:
        # Its deleting messages come back to it, one for each, the first before the last retained one.
        seen = [cleaner.receive("a retained or a deleting message") for _ in range(2 * TOPICS)]
        for what, length in (("retained", 1), ("deleted", 0)):
            topics = sorted(message["topic"] for message in seen if message["payloadlen"] == length)
            expect(topics, sorted(f"{root}/{n}" for n in range(TOPICS)), f"{what} topics")
    with Subscriber(f"{root}/+", qos=1) as late:
        late.expect_nothing_more()


@promise("a retained message keeps its properties and its expiry")
def _():
    topic = unique("properties")
    given = properties(
        "publish",
        content_type="text/plain",
        message_expiry_interval=100,
        user_property=[("b", "1"), ("a", "2"), ("b", "1")],
    )
    publish(topic, "-r", *given, payload="x", version=V5, qos=1)
    with Subscriber(topic, version=V5, qos=1) as late:
        seen = late.receive()["properties"]
        expect(seen["content-type"], "text/plain", "content type")
        expect(
            seen["user-properties"].pairs, [("b", "1"), ("a", "2"), ("b", "1")], "user properties"
        )
        assert 90 <= seen["message-expiry-interval"] <= 100, (
            f"message expiry {seen['message-expiry-interval']}"
        )
    publish(topic, "-r", qos=1)


check_promises()
