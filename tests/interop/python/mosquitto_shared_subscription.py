"""Shared subscriptions: each message goes to one member (Mosquitto's command line)."""

from support.command_line import V311, V5, VERSION_NAMES, Subscriber, publish
from support.report import check_promises, expect, promise, unique

MESSAGES = 200

for version in (V311, V5):

    @promise(
        f"each message reaches one of three members, and every member some, MQTT {VERSION_NAMES[version]}"
    )
    def _(version=version):
        topic = unique(f"work/{version}")
        shared = f"$share/group/{topic}"
        with (
            Subscriber(shared, version=version, qos=1) as m1,
            Subscriber(shared, version=version, qos=1) as m2,
            Subscriber(shared, version=version, qos=1) as m3,
            Subscriber(topic, version=version, qos=1) as plain,
        ):
            publish(topic, lines=range(MESSAGES), version=version, qos=1)
            expect(
                [int(p) for p in plain.payloads(MESSAGES)],
                list(range(MESSAGES)),
                "plain subscriber",
            )
            shares = [
                [int(message["payload"]) for message in member.until_fence()]
                for member in (m1, m2, m3)
            ]
            expect(sorted(sum(shares, [])), list(range(MESSAGES)), "all members together")
            expect([share == sorted(share) for share in shares], [True] * 3, "each share in order")
            assert all(shares), f"sizes of the shares: {[len(share) for share in shares]}"


check_promises()
