"""The will: published when a connection breaks, and only then (paho)."""

import time

from support.paho import V31, V311, V5, VERSION_NAMES, Peer, await_no_subscriber, will_properties
from support.report import check_promises, expect, promise, unique


def will(topic, qos=1, retain=False, **values):
    return {
        "topic": topic,
        "payload": "gone",
        "qos": qos,
        "retain": retain,
        **({"properties": will_properties(**values)} if values else {}),
    }


for version in (V31, V311, V5):

    @promise(f"a will for a reset and for an end without DISCONNECT, MQTT {VERSION_NAMES[version]}")
    def _(version=version):
        topic = unique(f"will/{version}")
        with Peer("watcher", version) as watcher:
            watcher.subscribe(topic, 2)
            for qos in (0, 1, 2):
                for reset in (True, False):
                    Peer("mortal", version, will=will(topic, qos)).connect().cut(reset)
                    seen = watcher.receive(f"the will, QoS {qos}, reset {reset}")
                    expect((seen.payload, seen.qos, seen.retain), (b"gone", qos, False), "will")
            watcher.expect_nothing_more()

    @promise(f"no will after a DISCONNECT, MQTT {VERSION_NAMES[version]}")
    def _(version=version):
        topic = unique(f"no-will/{version}")
        with Peer("watcher", version) as watcher:
            watcher.subscribe(topic, 1)
            with Peer("mortal", version, will=will(topic)) as mortal:
                mortal.subscribe(f"{topic}/alive")
            await_no_subscriber(f"{topic}/alive")
            watcher.expect_nothing_more()


@promise("a retained will is there for who comes later")
def _():
    topic = unique("retained-will")
    with Peer("watcher", V311) as watcher, Peer("late", V311) as late:
        watcher.subscribe(topic, 1)
        Peer("mortal", V311, will=will(topic, retain=True)).connect().cut()
        expect(watcher.receive("the will").retain, False, "retain flag, live")
        late.subscribe(topic, 1)
        seen = late.receive("the retained will")
        expect((seen.payload, seen.retain), (b"gone", True), "retained will")
        watcher.publish(topic, b"", 1, retain=True)


@promise("DISCONNECT with reason 0x04 publishes the will")
def _():
    topic = unique("will-4")
    with Peer("watcher", V5) as watcher:
        watcher.subscribe(topic, 1)
        Peer("mortal", V5, will=will(topic)).connect().disconnect(reason=4)
        expect(watcher.receive("the will").payload, b"gone", "will")


@promise("a will keeps its properties")
def _():
    topic = unique("will-properties")
    pairs = [("z", "1"), ("a", "2"), ("z", "1")]
    given = will(
        topic,
        UserProperty=pairs,
        ContentType="text/plain",
        ResponseTopic="answer",
        CorrelationData=b"\x00\xff",
        PayloadFormatIndicator=1,
        MessageExpiryInterval=100,
    )
    with Peer("watcher", V5) as watcher:
        watcher.subscribe(topic, 1)
        Peer("mortal", V5, will=given).connect().cut()
        seen = watcher.receive("the will").properties
        expect(seen.UserProperty, pairs, "user properties")
        expect(
            (
                seen.ContentType,
                seen.ResponseTopic,
                seen.CorrelationData,
                seen.PayloadFormatIndicator,
            ),
            ("text/plain", "answer", b"\x00\xff", 1),
            "properties",
        )
        assert 98 <= seen.MessageExpiryInterval <= 100, (
            f"message expiry {seen.MessageExpiryInterval}"
        )


@promise("a will with a delay comes after it")
def _():
    topic = unique("delayed")
    with Peer("watcher", V5) as watcher:
        watcher.subscribe(topic, 1)
        mortal = Peer(
            "mortal", V5, persistent=True, will=will(topic, WillDelayInterval=1)
        ).connect()
        started = time.monotonic()
        mortal.cut()
        expect(watcher.receive("the will").payload, b"gone", "will")
        elapsed = time.monotonic() - started
        assert 0.9 <= elapsed <= 4, f"the will came after {elapsed:.2f} s, not after 1 s"


@promise("the end of the session ends the will's delay")
def _():
    topic = unique("expired")
    given = will(topic, WillDelayInterval=60)
    with Peer("watcher", V5) as watcher:
        watcher.subscribe(topic, 1)
        mortal = Peer("mortal", V5, persistent=True, will=given, SessionExpiryInterval=1).connect()
        mortal.cut()
        expect(watcher.receive("the will").payload, b"gone", "will")
        with mortal:
            expect(mortal.session_present, False, "session present after its expiry")


@promise("a client that comes back within the delay has no will published")
def _():
    topic = unique("cancelled")
    with Peer("watcher", V5) as watcher:
        watcher.subscribe(topic, 1)
        mortal = Peer(
            "mortal", V5, persistent=True, will=will(topic, WillDelayInterval=60)
        ).connect()
        mortal.cut()
        with mortal:
            expect(mortal.session_present, True, "session present")
            watcher.expect_nothing_more()


check_promises()
