"""Which topics a filter matches, and that $-topics are apart (paho)."""

from support.paho import V31, V311, V5, VERSION_NAMES, Peer
from support.report import check_promises, expect, promise, unique

#: Topics below the run's root, and for each filter which of them it matches. `{}` is the root.
TOPICS = ["{}", "{}/", "{}/a", "{}/a/", "{}/a/b", "{}/a/b/c", "{}//c", "{}/A/b", "{}/ä/µ", "/{}/a"]
FILTERS = {
    "{}": ["{}"],
    "{}/#": [topic for topic in TOPICS if topic.startswith("{}")],
    "{}/+": ["{}/", "{}/a"],
    "{}/a/#": ["{}/a", "{}/a/", "{}/a/b", "{}/a/b/c"],
    "{}/a/+": ["{}/a/", "{}/a/b"],
    "{}/+/b": ["{}/a/b", "{}/A/b"],
    "{}/+/b/#": ["{}/a/b", "{}/a/b/c", "{}/A/b"],
    "{}/+/+": ["{}/a/", "{}/a/b", "{}//c", "{}/A/b", "{}/ä/µ"],
    "{}/ä/µ": ["{}/ä/µ"],
    "+/{}/a": ["/{}/a"],
    "/{}/#": ["/{}/a"],
}

for version in (V31, V311, V5):

    @promise(f"every filter matches its topics and no other, MQTT {VERSION_NAMES[version]}")
    def _(version=version):
        root = unique(f"w{version}").replace("/", "")
        with Peer("sender", version) as sender, Peer("receiver", version) as receiver:
            for pattern, wanted in FILTERS.items():
                receiver.subscribe(pattern.format(root), 1)
                for topic in TOPICS:
                    sender.send(topic.format(root), topic.encode(), 1)
                sender.await_acknowledged(len(TOPICS))
                seen = {
                    receiver.receive(f"{pattern} and {topic}").payload.decode() for topic in wanted
                }
                expect(seen, set(wanted), f"topics that match {pattern}")
                receiver.expect_nothing_more()
                receiver.unsubscribe(pattern.format(root))
            for topic in TOPICS:
                sender.publish(topic.format(root), b"x", 1)
            receiver.expect_nothing_more()


@promise("a leading wildcard matches no $-topic; its own name does")
def _():
    name = unique("dollar")
    leaf = unique("leaf")
    topic = f"${name}/{leaf}"
    with (
        Peer("sender", V5) as sender,
        Peer("all", V5) as everything,
        Peer("plus", V5) as plus,
        Peer("named", V5) as named,
    ):
        everything.subscribe("#", 1)
        plus.subscribe(f"+/{leaf}", 1)
        named.subscribe(f"${name}/#", 1)
        sender.publish(topic, "hidden", 1)
        expect(named.receive().topic, topic, "the subscriber that named it")
        sender.publish(f"{name}/{leaf}", "seen", 1)
        expect(plus.receive().topic, f"{name}/{leaf}", "first topic of + and the leaf")
        # Other scripts of the same broker are seen by # too.
        while (message := everything.receive()).topic != f"{name}/{leaf}":
            assert not message.topic.startswith("$"), f"# matched {message.topic}"
        plus.expect_nothing_more()


@promise(
    "overlapping filters of one client: one copy, the highest QoS, MQTT 3.1.1",
    deviation="a broker may send a copy for each subscription",
)
def _():
    root = unique("overlap")
    with Peer("sender", V311) as sender, Peer("receiver", V311) as receiver:
        receiver.subscribe(f"{root}/#", 2)
        receiver.subscribe(f"{root}/a", 0)
        receiver.subscribe(f"{root}/+", 1)
        sender.publish(f"{root}/a", "x", 2)
        expect(receiver.receive().qos, 2, "QoS of the copy")
        receiver.expect_nothing_more()


@promise("a second SUBSCRIBE to a filter replaces the first")
def _():
    topic = unique("replaced")
    with Peer("sender", V311) as sender, Peer("receiver", V311) as receiver:
        for qos in (0, 2, 1):
            receiver.subscribe(topic, qos)
            sender.publish(topic, "x", 2)
            expect(receiver.receive().qos, qos, "delivered QoS")
            receiver.expect_nothing_more()


check_promises()
