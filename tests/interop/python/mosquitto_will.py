"""The will: published when mosquitto_sub is killed, not when it leaves (Mosquitto's command line)."""

from support.command_line import (
    V31,
    V311,
    V5,
    VERSION_NAMES,
    Subscriber,
    await_no_subscriber,
    properties,
    publish,
)
from support.report import check_promises, expect, promise, unique


def mortal(topic, version, *arguments):
    """A client with a will; it leaves by itself after one message."""
    will = ("--will-topic", topic, "--will-payload", "gone", "--will-qos", "1", *arguments)
    return Subscriber(
        unique("leave"),
        version=version,
        qos=1,
        name=f"mortal-{version}",
        arguments=("-C", "1", *will),
    )


for version in (V31, V311, V5):

    @promise(f"a will for a killed client, none for one that leaves, MQTT {VERSION_NAMES[version]}")
    def _(version=version):
        topic = unique(f"will/{version}")
        with Subscriber(topic, version=version, qos=2) as watcher:
            mortal(topic, version).kill()
            seen = watcher.receive("the will")
            expect((seen["payload"], seen["qos"], seen["retain"]), ("gone", 1, 0), "will")
            leaver = mortal(topic, version)
            publish(unique("leave"), payload="leave", version=version, qos=1)
            leaver.await_end()
            await_no_subscriber(unique("leave"))
            watcher.expect_nothing_more()


@promise("a retained will is there for who comes later")
def _():
    topic = unique("retained-will")
    with Subscriber(topic, qos=1) as watcher:
        mortal(topic, V311, "--will-retain").kill()
        expect(watcher.receive("the will")["retain"], 0, "retain flag, live")
    with Subscriber(topic, qos=1) as late:
        seen = late.receive("the retained will")
        expect((seen["payload"], seen["retain"]), ("gone", 1), "retained will")
    publish(topic, "-r", qos=1)


@promise("a will keeps its properties and its delay")
def _():
    topic = unique("delayed")
    given = properties(
        "will",
        will_delay_interval=1,
        content_type="text/plain",
        response_topic="answer",
        correlation_data="7",
        user_property=[("z", "1"), ("a", "2"), ("z", "1")],
    )
    with Subscriber(topic, version=V5, qos=1) as watcher:
        mortal(topic, V5, "-c", *given).kill()
        watcher.expect_nothing_more()
        seen = watcher.receive("the will")["properties"]
        expect(
            seen["user-properties"].pairs, [("z", "1"), ("a", "2"), ("z", "1")], "user properties"
        )
        expect(
            (seen["content-type"], seen["response-topic"], seen["correlation-data"]),
            ("text/plain", "answer", "7"),
            "properties",
        )


check_promises()
