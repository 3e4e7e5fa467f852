"""Sessions that outlive their connection (mosquitto_sub -c)."""

from support.command_line import V31, V311, V5, VERSION_NAMES, Subscriber, publish
from support.report import check_promises, expect, promise, unique

QUEUED = [f"message {number}" for number in range(200)]

for version in (V31, V311, V5):

    @promise(
        f"messages queued while away come in order, MQTT {VERSION_NAMES[version]}",
        deviation="mosquitto 2.0.11 sends more than the client's Receive Maximum"
        if version == V5
        else None,
    )
    def _(version=version):
        topic, name = unique(f"away/{version}"), f"sleeper-{version}"
        Subscriber(topic, version=version, qos=2, name=name, arguments=("-c",)).kill()
        for qos in (1, 2):
            publish(topic, lines=QUEUED, version=version, qos=qos)
        with Subscriber(topic, version=version, qos=2, name=name, arguments=("-c",)) as sleeper:
            for qos in (1, 2):
                seen = [sleeper.receive("a queued message") for _ in QUEUED]
                expect(
                    [message["payload"] for message in seen],
                    QUEUED,
                    f"queued messages of QoS {qos}",
                )
                expect({message["qos"] for message in seen}, {qos}, "their QoS")
            sleeper.expect_nothing_more()
        publish(topic, payload="lost", version=version, qos=1)
        with Subscriber(topic, version=version, qos=2, name=name) as clean:
            clean.expect_nothing_more()


@promise("a session ends when its expiry is over")
def _():
    topic, name = unique("expired"), "brief"
    will = (
        "-D",
        "will",
        "will-delay-interval",
        "60",
        "--will-topic",
        unique("end"),
        "--will-payload",
        "end",
    )
    with Subscriber(unique("end"), qos=1) as watcher:
        Subscriber(topic, version=V5, qos=1, name=name, arguments=("-c", "-x", "1", *will)).kill()
        publish(topic, payload="queued", qos=1)
        # The end of the session publishes the will: nothing else shows it from outside.
        watcher.receive("the will")
    with Subscriber(topic, version=V5, qos=1, name=name, arguments=("-c", "-x", "1")) as later:
        later.expect_nothing_more()


check_promises()
