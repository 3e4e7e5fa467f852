"""What MQTT 5 adds: properties, identifiers, options (aiomqtt)."""

from support.aio import V5, Peer, connected
from support.paho import publish_properties
from support.report import check_promises, expect, let_pass, promise, unique


@promise("what belongs to the message is forwarded unaltered, user properties in order")
async def _():
    topic = unique("forwarded")
    pairs = [("b", "1"), ("a", "2"), ("b", "1"), ("key", "wert ü")]
    given = publish_properties(
        UserProperty=pairs,
        ContentType="text/plain",
        ResponseTopic="answer/here",
        CorrelationData=bytes(range(256)),
        PayloadFormatIndicator=1,
    )
    async with connected(Peer("sender", V5), Peer("receiver", V5)) as (sender, receiver):
        await receiver.watch(topic, 2, identifier=7)
        for qos in (0, 1, 2):
            await sender.publish(topic, "text", qos, properties=given)
            seen = (await receiver.receive()).properties
            expect(seen.UserProperty, pairs, "user properties")
            expect(
                (
                    seen.ContentType,
                    seen.ResponseTopic,
                    seen.CorrelationData,
                    seen.PayloadFormatIndicator,
                ),
                ("text/plain", "answer/here", bytes(range(256)), 1),
                "properties",
            )
            expect(seen.SubscriptionIdentifier, [7], "subscription identifier")


@promise("a request is answered to its response topic with its correlation data")
async def _():
    question, answer = unique("question"), unique("answer")
    async with connected(Peer("asker", V5), Peer("responder", V5)) as (asker, responder):
        await responder.watch(question, 1)
        await asker.watch(answer, 1)
        asked = publish_properties(ResponseTopic=answer, CorrelationData=b"\x07")
        await asker.publish(question, "2+2", 1, properties=asked)
        request = (await responder.receive("the request")).properties
        answered = publish_properties(CorrelationData=request.CorrelationData)
        await responder.publish(request.ResponseTopic, "4", 1, properties=answered)
        response = await asker.receive("the response")
        expect((response.payload, response.properties.CorrelationData), (b"4", b"\x07"), "response")


@promise("message expiry is decremented while a message waits, and ends it")
async def _():
    topic = unique("expiry")
    sleeper = await Peer("expiry", V5, persistent=True).connect()
    await sleeper.watch(topic, 1)
    await sleeper.disconnect()
    async with connected(Peer("sender", V5)) as (sender,):
        for text, seconds in (("short", 1), ("long", 100)):
            await sender.publish(
                topic, text, 1, properties=publish_properties(MessageExpiryInterval=seconds)
            )
    let_pass(2.1)
    async with connected(sleeper):
        seen = await sleeper.receive("the message of long life")
        expect(seen.payload, b"long", "message of long life")
        left = seen.properties.MessageExpiryInterval
        assert 95 <= left <= 98, f"message expiry {left} after 2 s of 100"
        await sleeper.expect_nothing_more()
    async with connected(Peer("expiry", V5)):
        pass


@promise("no local keeps a client's own messages from it")
async def _():
    topic = unique("no-local")
    async with connected(Peer("own", V5), Peer("other", V5)) as (own, other):
        await own.watch(topic, 1, noLocal=True)
        await own.publish(topic, "own", 1)
        await other.publish(topic, "other", 1)
        expect((await own.receive()).payload, b"other", "the first message")
        await own.expect_nothing_more()


@promise("what is larger than the client's Maximum Packet Size is left out, and only that")
async def _():
    topic = unique("small")
    async with connected(Peer("sender", V5), Peer("small", V5, MaximumPacketSize=300)) as (
        sender,
        small,
    ):
        await small.watch(topic, 2)
        for qos in (0, 1, 2):
            await sender.publish(topic, b"x" * 400, qos)
            await sender.publish(topic, b"fits", qos)
            expect((await small.receive()).payload, b"fits", "the message that fits")


check_promises()
