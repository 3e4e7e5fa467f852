"""TLS, WebSocket and both: the same messages, and one session that goes from one to the other (paho)."""

from support.paho import V5, V311, VERSION_NAMES, Peer
from support.report import TRANSPORTS, check_promises, expect, note, promise, unique

OTHERS = ("TLS", "WS", "WSS")

if not TRANSPORTS:
    note("transports", "a broker that was not started for the tests has unknown ports")

for over in OTHERS if TRANSPORTS else ():
    for version in (V311, V5):

        @promise(f"messages of every size and QoS pass over {over}, MQTT {VERSION_NAMES[version]}")
        def _(over=over, version=version):
            topic = unique(f"sizes/{over}/{version}")
            with Peer(f"sizes-{over}", version, over=over) as peer:
                peer.subscribe(topic, 2)
                for size in (0, 1, 125, 126, 16_384, 65_536, 900_000):
                    for qos in (0, 1, 2):
                        peer.publish(topic, b"x" * size, qos)
                        expect(len(peer.receive().payload), size, "length of the message")

    @promise(f"a session goes on from TCP to {over} and back, nothing lost")
    def _(over=over):
        topic, name = unique(f"wanders/{over}"), f"wanders-{over}"
        current = Peer(name, V5, persistent=True).connect()
        current.subscribe(topic, 1)
        with Peer("sender", V5) as sender:
            for number in range(10):
                others = [Peer(f"other-{number}", V5, over=over).connect()]
                following = Peer(
                    name, V5, persistent=True, over=over if number % 2 == 0 else None
                ).connect()
                expect(following.session_present, True, "session present")
                current.await_disconnect()
                current = following
                sender.publish(topic, b"%d" % number, 1)
                expect(current.receive().payload, b"%d" % number, "message")
                current.settle()
                others[0].disconnect()
        current.disconnect(reason=0, SessionExpiryInterval=0)


check_promises()
