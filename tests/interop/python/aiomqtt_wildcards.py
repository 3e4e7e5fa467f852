"""Which topics a filter matches, and that $-topics are apart (aiomqtt)."""

from aiomqtt import Topic
from support.aio import V311, V5, VERSION_NAMES, Peer, connected
from support.report import check_promises, expect, promise, unique

TOPICS = ["{}", "{}/", "{}/a", "{}/a/b", "{}/a/b/c", "{}//c", "{}/A/b", "/{}"]

for version in (V311, V5):

    @promise(
        f"every filter matches what the client itself says it matches, MQTT {VERSION_NAMES[version]}"
    )
    async def _(version=version):
        root = unique(f"w{version}")
        async with connected(Peer("sender", version), Peer("receiver", version)) as (
            sender,
            receiver,
        ):
            for pattern in (
                "{}",
                "{}/#",
                "{}/+",
                "{}/a/#",
                "{}/+/b",
                "{}/+/b/#",
                "{}/+/+",
                "+/{}",
                "/{}",
            ):
                topic_filter = pattern.format(root)
                await receiver.watch(topic_filter, 1)
                wanted = set()
                for topic in (name.format(root) for name in TOPICS):
                    await sender.publish(topic, topic, 1)
                    if Topic(topic).matches(topic_filter):
                        wanted.add(topic)
                seen = {
                    (await receiver.receive(f"{topic_filter}: {topic}")).payload.decode()
                    for topic in wanted
                }
                expect(seen, wanted, f"topics that match {topic_filter}")
                await receiver.expect_nothing_more()
                await receiver.unsubscribe(topic_filter)


@promise("a leading wildcard matches no $-topic; its own name does")
async def _():
    name, leaf = unique("dollar"), unique("leaf")
    peers = Peer("sender", V5), Peer("plus", V5), Peer("named", V5)
    async with connected(*peers) as (sender, plus, named):
        await plus.watch(f"+/{leaf}", 1)
        await named.watch(f"${name}/#", 1)
        await sender.publish(f"${name}/{leaf}", "hidden", 1)
        await sender.publish(f"{name}/{leaf}", "seen", 1)
        expect(
            (await named.receive()).topic.value, f"${name}/{leaf}", "the subscriber that named it"
        )
        expect((await plus.receive()).payload, b"seen", "first message of + and the leaf")
        await plus.expect_nothing_more()


check_promises()
