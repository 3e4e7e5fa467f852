"""A second connection of the same client takes the place of the first (Mosquitto's command line)."""

from support.command_line import V31, V311, V5, VERSION_NAMES, Subscriber, publish
from support.report import check_promises, expect, promise, unique

for version in (V31, V311):

    @promise(
        f"mosquitto_sub loses its place to a publisher, and takes it back, MQTT {VERSION_NAMES[version]}"
    )
    def _(version=version):
        topic, name = unique(f"taken/{version}"), f"taken-{version}"
        with Subscriber(topic, version=version, qos=1, name=name, arguments=("-c",)) as first:
            publish(unique("elsewhere"), "-i", unique(name), payload="x", version=version, qos=1)
            # It connects and subscribes again by itself.
            first.await_event("received SUBACK")
            publish(topic, payload="back", version=version, qos=1)
            expect(first.receive()["payload"], "back", "message")
            first.expect_nothing_more()
        publish(unique("elsewhere"), "-i", unique(name), payload="x", version=version, qos=1)


@promise(
    "mosquitto_sub is told 0x8E and gives its place up, MQTT 5",
    deviation="mosquitto 2.0.11 closes without a word",
)
def _():
    with Subscriber(unique("told"), version=V5, name="told") as first:
        publish(unique("other"), "-i", unique("told"), payload="x", version=V5)
        first.await_event("Received DISCONNECT (142)")


check_promises()
