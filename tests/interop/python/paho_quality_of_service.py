"""QoS 0, 1 and 2, published and subscribed, in every version and between them (paho)."""

from support.paho import V31, V311, V5, VERSION_NAMES, Peer
from support.report import check_promises, expect, promise, unique

MESSAGES = 20


def exchange(publisher_version, subscriber_version, payloads):
    """Every QoS published against every QoS subscribed: content, order, count and delivered QoS."""
    with (
        Peer("sender", publisher_version) as sender,
        Peer("receiver", subscriber_version) as receiver,
    ):
        for subscribed in (0, 1, 2):
            topic = unique(f"qos/{publisher_version}/{subscriber_version}/{subscribed}")
            expect(receiver.subscribe(topic, subscribed), subscribed, "granted QoS")
            for published in (0, 1, 2):
                for payload in payloads:
                    sender.send(topic, payload, published)
                sender.await_acknowledged(len(payloads))
                for payload in payloads:
                    message = receiver.receive(f"QoS {published} to {subscribed}")
                    expect(message.payload, payload, f"payload, QoS {published} to {subscribed}")
                    expect(message.qos, min(published, subscribed), "delivered QoS")
                    expect((message.topic, message.retain), (topic, False), "topic and retain flag")
            receiver.unsubscribe(topic)
        receiver.expect_nothing_more()


COUNTED = [b"%d" % number for number in range(MESSAGES)]

for version in (V31, V311, V5):

    @promise(f"QoS 0, 1 and 2 both ways, MQTT {VERSION_NAMES[version]}")
    def _(version=version):
        exchange(version, version, COUNTED)


for publisher, subscriber in ((V311, V5), (V5, V311), (V31, V5), (V5, V31)):

    @promise(f"QoS 0, 1 and 2, from MQTT {VERSION_NAMES[publisher]} to {VERSION_NAMES[subscriber]}")
    def _(publisher=publisher, subscriber=subscriber):
        exchange(publisher, subscriber, COUNTED)


@promise("every byte value, and no byte, come through unchanged")
def _():
    exchange(V5, V311, [bytes(range(256)), b"", b"\x00"])


@promise("a client gets its own messages")
def _():
    with Peer("alone", V5) as alone:
        topic = unique("own")
        alone.subscribe(topic, 2)
        expect(alone.publish(topic, "mine", 2), 0, "reason code")
        expect(alone.receive().payload, b"mine", "payload")
        alone.expect_nothing_more()


check_promises()
