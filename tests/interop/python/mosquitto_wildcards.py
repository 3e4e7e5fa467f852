"""Which topics a filter matches, and that $-topics are apart (Mosquitto's command line)."""

from support.command_line import V311, V5, VERSION_NAMES, Subscriber, publish
from support.report import check_promises, expect, promise, unique

TOPICS = ["{}", "{}/", "{}/a", "{}/a/b", "{}//c", "{}/A/b", "/{}/a"]
FILTERS = {
    "{}/#": ["{}", "{}/", "{}/a", "{}/a/b", "{}//c", "{}/A/b"],
    "{}/+": ["{}/", "{}/a"],
    "{}/a/#": ["{}/a", "{}/a/b"],
    "{}/+/b": ["{}/a/b", "{}/A/b"],
    "+/{}/+": ["/{}/a"],
}

for version in (V311, V5):

    @promise(f"every filter matches its topics and no other, MQTT {VERSION_NAMES[version]}")
    def _(version=version):
        root = unique(f"w-{version}")
        subscribers = {
            pattern: Subscriber(pattern.format(root), version=version, qos=1) for pattern in FILTERS
        }
        for topic in TOPICS:
            publish(topic.format(root), payload=topic, version=version, qos=1)
        for pattern, subscriber in subscribers.items():
            expect(
                [message["payload"] for message in subscriber.until_fence()],
                FILTERS[pattern],
                f"topics of {pattern}",
            )
            subscriber.kill()


@promise("a leading wildcard matches no $-topic; its own name does")
def _():
    name, leaf = unique("dollar"), unique("leaf")
    with Subscriber(f"+/{leaf}", qos=1) as plus, Subscriber(f"${name}/#", qos=1) as named:
        publish(f"${name}/{leaf}", payload="hidden", qos=1)
        publish(f"{name}/{leaf}", payload="seen", qos=1)
        expect(named.receive()["topic"], f"${name}/{leaf}", "the subscriber that named it")
        expect(plus.receive()["payload"], "seen", "first message of + and the leaf")
        plus.expect_nothing_more()


check_promises()
