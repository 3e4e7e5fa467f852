"""QoS 0, 1 and 2, published and subscribed, in every version (mosquitto_pub, mosquitto_sub)."""

from support.command_line import V31, V311, V5, VERSION_NAMES, Subscriber, publish
from support.report import check_promises, expect, promise, unique

LINES = [f"line {number}" for number in range(30)]

for sender, receiver in ((V31, V31), (V311, V311), (V5, V5), (V311, V5), (V5, V311)):

    @promise(f"QoS 0, 1 and 2 from MQTT {VERSION_NAMES[sender]} to {VERSION_NAMES[receiver]}")
    def _(sender=sender, receiver=receiver):
        topic = unique(f"qos/{sender}/{receiver}")
        subscribers = [Subscriber(topic, version=receiver, qos=qos) for qos in (0, 1, 2)]
        for published in (0, 1, 2):
            publish(topic, lines=LINES, version=sender, qos=published)
            for subscribed, subscriber in enumerate(subscribers):
                seen = [subscriber.receive(f"QoS {published} to {subscribed}") for _ in LINES]
                expect(
                    [message["payload"] for message in seen],
                    LINES,
                    f"QoS {published} to {subscribed}",
                )
                expect(
                    {(message["qos"], message["retain"], message["topic"]) for message in seen},
                    {(min(published, subscribed), 0, topic)},
                    "QoS, retain flag and topic",
                )
        for subscriber in subscribers:
            subscriber.expect_nothing_more()
            subscriber.kill()


@promise("an empty message comes as one")
def _():
    with Subscriber(unique("empty"), qos=1) as subscriber:
        publish(unique("empty"), qos=1)
        seen = subscriber.receive()
        expect((seen["payloadlen"], seen["qos"]), (0, 1), "length and QoS")


check_promises()
