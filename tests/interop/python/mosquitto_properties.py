"""What MQTT 5 adds: properties, request and response, reason codes (Mosquitto's command line)."""

import threading

from support.command_line import V5, Subscriber, properties, publish, request
from support.report import check_promises, expect, let_pass, promise, unique


@promise("what belongs to the message is forwarded unaltered, user properties in order")
def _():
    topic = unique("forwarded")
    pairs = [("b", "1"), ("a", "2"), ("b", "1"), ("key", "wert ü")]
    given = properties(
        "publish",
        content_type="text/plain",
        response_topic="answer/here",
        correlation_data="17",
        payload_format_indicator=1,
        user_property=pairs,
        topic_alias=1,
    )
    told = properties("subscribe", subscription_identifier=7)
    with Subscriber(topic, version=V5, qos=2, arguments=told) as subscriber:
        for qos in (0, 1, 2):
            publish(topic, *given, payload="text", version=V5, qos=qos)
            seen = subscriber.receive()["properties"]
            expect(seen["user-properties"].pairs, pairs, "user properties")
            expect(
                {name: value for name, value in seen.items() if name != "user-properties"},
                {
                    "content-type": "text/plain",
                    "response-topic": "answer/here",
                    "correlation-data": "17",
                    "payload-format-indicator": 1,
                    "subscription-identifier": 7,
                },
                "properties",
            )


@promise("mosquitto_rr gets the answer to its request")
def _():
    question, answer = unique("question"), unique("answer")
    with Subscriber(question, version=V5, qos=1) as responder:

        def respond():
            asked = responder.receive("the request")["properties"]
            correlation = (
                {"correlation_data": asked["correlation-data"]}
                if "correlation-data" in asked
                else {}
            )
            publish(
                asked["response-topic"],
                *properties("publish", **correlation),
                payload="4",
                version=V5,
                qos=1,
            )

        answering = threading.Thread(target=respond)
        answering.start()
        expect(
            request(
                question, answer, "2+2", "-q", "1", *properties("publish", correlation_data="x")
            ),
            "4",
            "answer",
        )
        answering.join()


@promise("message expiry is decremented while a message waits, and ends it")
def _():
    topic = unique("expiry")
    Subscriber(topic, version=V5, qos=1, name="expiry", arguments=("-c",)).kill()
    for text, seconds in (("short", 1), ("long", 100)):
        publish(
            topic,
            *properties("publish", message_expiry_interval=seconds),
            payload=text,
            version=V5,
            qos=1,
        )
    let_pass(2.1)
    with Subscriber(topic, version=V5, qos=1, name="expiry", arguments=("-c",)) as sleeper:
        seen = sleeper.receive("the message of long life")
        left = seen["properties"]["message-expiry-interval"]
        expect(seen["payload"], "long", "message of long life")
        assert 90 <= left <= 98, f"message expiry {left} after 2 s of 100"
        sleeper.expect_nothing_more()
    Subscriber(topic, version=V5, name="expiry").kill()


@promise("reason code 0x10 when nobody subscribed, 0 when somebody did")
def _():
    topic = unique("lonely")
    said = publish(topic, payload="x", version=V5, qos=1)
    assert "received PUBACK (Mid: 1, RC:16)" in said, said
    with Subscriber(topic, version=V5):
        said = publish(topic, payload="x", version=V5, qos=1)
        assert "received PUBACK (Mid: 1, RC:0)" in said, said


@promise("a client without an id is given one")
def _():
    with Subscriber(unique("nameless"), version=V5, qos=1) as nameless:
        publish(unique("nameless"), payload="x", version=V5, qos=1)
        expect(nameless.receive()["payload"], "x", "message")


check_promises()
