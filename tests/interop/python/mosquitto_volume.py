"""Large messages and many messages: nothing lost, in order (Mosquitto's command line)."""

import random

from support.command_line import V311, V5, VERSION_NAMES, Subscriber, publish
from support.report import check_promises, expect, promise, unique

LARGE_BYTES = 200_000
BURST = 10_000

for version in (V311, V5):

    @promise(f"200 kB come through whole with QoS 0, 1 and 2, MQTT {VERSION_NAMES[version]}")
    def _(version=version):
        payload = random.Random(1).randbytes(LARGE_BYTES // 2).hex()
        with Subscriber(unique(f"large/{version}"), version=version, qos=2) as subscriber:
            for qos in (0, 1, 2):
                publish(unique(f"large/{version}"), lines=[payload], version=version, qos=qos)
                assert subscriber.receive()["payload"] == payload, f"the payload changed, QoS {qos}"

    @promise(f"10,000 lines with QoS 1: all, once, in order, MQTT {VERSION_NAMES[version]}")
    def _(version=version):
        with Subscriber(unique(f"burst/{version}"), version=version, qos=1) as subscriber:
            publish(unique(f"burst/{version}"), lines=range(BURST), version=version, qos=1)
            expect(
                [int(payload) for payload in subscriber.payloads(BURST)],
                list(range(BURST)),
                "messages",
            )
            subscriber.expect_nothing_more()


check_promises()
