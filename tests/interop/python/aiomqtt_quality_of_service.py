"""QoS 0, 1 and 2, published and subscribed, in every version (aiomqtt)."""

from support.aio import V31, V311, V5, VERSION_NAMES, Peer, connected
from support.report import check_promises, expect, promise, unique

COUNTED = [b"%d" % number for number in range(20)] + [b"", bytes(range(256))]

for sender_version, receiver_version in (
    (V31, V31),
    (V311, V311),
    (V5, V5),
    (V311, V5),
    (V5, V311),
):

    @promise(
        f"QoS 0, 1 and 2 from MQTT {VERSION_NAMES[sender_version]} to {VERSION_NAMES[receiver_version]}"
    )
    async def _(versions=(sender_version, receiver_version)):
        async with connected(Peer("sender", versions[0]), Peer("receiver", versions[1])) as (
            sender,
            receiver,
        ):
            for subscribed in (0, 1, 2):
                topic = unique(f"qos/{versions[0]}/{versions[1]}/{subscribed}")
                expect(await receiver.watch(topic, subscribed), subscribed, "granted QoS")
                for published in (0, 1, 2):
                    for payload in COUNTED:
                        await sender.publish(topic, payload, published)
                    for payload in COUNTED:
                        message = await receiver.receive(f"QoS {published} to {subscribed}")
                        expect(
                            message.payload, payload, f"payload, QoS {published} to {subscribed}"
                        )
                        expect(
                            (message.qos, message.retain),
                            (min(published, subscribed), False),
                            "QoS and flag",
                        )
            await receiver.expect_nothing_more()


check_promises()
