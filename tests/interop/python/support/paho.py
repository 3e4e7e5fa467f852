"""One paho client whose callbacks fill queues, so that a test reads from top to bottom."""

import queue
import socket
import struct
import threading
import time

from paho.mqtt import client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from support.report import HOST, PATIENCE_S, PORT, TRANSPORTS, expect, unique

V31, V311, V5 = mqtt.MQTTv31, mqtt.MQTTv311, mqtt.MQTTv5
VERSION_NAMES = {V31: "3.1", V311: "3.1.1", V5: "5"}


def properties(packet_type, **values):
    """Properties of a packet by their paho names; None when there are none."""
    if not values:
        return None
    built = Properties(packet_type)
    for name, value in values.items():
        setattr(built, name, value)
    return built


def publish_properties(**values):
    return properties(PacketTypes.PUBLISH, **values)


def will_properties(**values):
    return properties(PacketTypes.WILLMESSAGE, **values)


class Peer:
    """A client of the broker. `connect` may be called again after a cut: same client, same session."""

    def __init__(
        self,
        name,
        version=V311,
        persistent=False,
        manual_ack=False,
        will=None,
        in_flight=None,
        over=None,
        **connect,
    ):
        """`connect` are properties of CONNECT; a persistent MQTT 5 session lasts 300 s by default.

        `over` is the transport: None for TCP in the clear, or `TLS`, `WS` or `WSS`.
        `in_flight` is how many QoS 1 and 2 messages are sent without waiting; paho's default is 20.
        """
        self.version = version
        self.messages = queue.Queue()
        #: Message ids and reason codes of acknowledged publishes, in the order of their acknowledgement.
        self.acknowledged = queue.Queue()
        self.disconnects = queue.Queue()
        self._connacks = queue.Queue()
        self._subacks = queue.Queue()
        self._unsubacks = queue.Queue()
        clean = {} if version == V5 else {"clean_session": not persistent}
        self._paho = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2,
            client_id=unique(name) if name else "",
            protocol=version,
            reconnect_on_failure=False,
            manual_ack=manual_ack,
            transport="websockets" if over in ("WS", "WSS") else "tcp",
            **clean,
        )
        #: paho hides the socket of a WebSocket.
        self._has_socket = over not in ("WS", "WSS")
        self._port = PORT if over is None else int(TRANSPORTS[f"{over}_PORT"])
        if over in ("TLS", "WSS"):
            self._paho.tls_set(ca_certs=TRANSPORTS["CA"])
        self._clean_start = not persistent
        self._manual_ack = manual_ack
        if version == V5 and persistent:
            connect.setdefault("SessionExpiryInterval", 300)
        self._connect_properties = properties(PacketTypes.CONNECT, **connect)
        if will:
            self._paho.will_set(**will)
        if in_flight is not None:
            self._paho.max_inflight_messages_set(in_flight)
        self._paho.on_connect = lambda _, __, *connack: self._connacks.put(connack)
        self._paho.on_disconnect = lambda _, __, ___, reason, ____: self.disconnects.put(reason)
        self._paho.on_message = lambda _, __, message: self.messages.put(message)
        self._paho.on_subscribe = lambda _, __, mid, reasons, ___: self._subacks.put(reasons)
        self._paho.on_unsubscribe = lambda _, __, mid, reasons, ___: self._unsubacks.put(reasons)
        self._paho.on_publish = lambda _, __, mid, reason, ___: self.acknowledged.put(
            (mid, reason.value)
        )

    def connect(self):
        clean_start = {"clean_start": self._clean_start} if self.version == V5 else {}
        self._paho.connect(
            HOST, self._port, keepalive=60, properties=self._connect_properties, **clean_start
        )
        # One segment per packet would wait for the peer's acknowledgement otherwise.
        if self._has_socket:
            self._paho.socket().setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._paho.loop_start()
        flags, reason, self.connack = take(self._connacks, "a CONNACK")
        expect(reason.value, 0, "reason code of CONNACK")
        self.session_present = flags.session_present
        return self

    def __enter__(self):
        return self.connect()

    def __exit__(self, *_):
        if self._paho.is_connected():
            self.disconnect()

    def subscribe(self, topic_filter, qos=0, identifier=None, **options):
        """Subscribes and waits for the SUBACK; the granted reason code as a number."""
        if self.version == V5:
            asked = properties(
                PacketTypes.SUBSCRIBE,
                **({"SubscriptionIdentifier": identifier} if identifier else {}),
            )
            chosen = mqtt.SubscribeOptions(qos=qos, **options)
            self._paho.subscribe(topic_filter, options=chosen, properties=asked)
        else:
            self._paho.subscribe(topic_filter, qos)
        reasons = take(self._subacks, "a SUBACK")
        expect(len(reasons), 1, "reason codes in SUBACK")
        return reasons[0].value

    def unsubscribe(self, topic_filter):
        """Unsubscribes and waits for the UNSUBACK; its reason codes as numbers (none before MQTT 5)."""
        self._paho.unsubscribe(topic_filter)
        return [reason.value for reason in take(self._unsubacks, "an UNSUBACK")]

    def send(self, topic, payload, qos=0, retain=False, props=None):
        """Publishes without waiting. The message's handle."""
        return self._paho.publish(topic, payload, qos, retain, props)

    def publish(self, topic, payload, qos=0, retain=False, props=None):
        """Publishes and waits until paho is done with it; the reason code it was acknowledged with."""
        mid = self.send(topic, payload, qos, retain, props).mid
        done, reason = take(self.acknowledged, f"the acknowledgement of {topic}")
        expect(done, mid, "acknowledged message")
        return reason

    def await_acknowledged(self, count):
        """Waits until so many sent messages are acknowledged; their reason codes."""
        return [
            take(self.acknowledged, f"acknowledgement {n + 1} of {count}")[1] for n in range(count)
        ]

    def receive(self, what="a message"):
        return take(self.messages, what)

    def receive_payloads(self, count):
        return [self.receive(f"message {n + 1} of {count}").payload for n in range(count)]

    def acknowledge(self, message):
        self._paho.ack(message.mid, message.qos)

    def receive_rest(self):
        """Messages that came or come before two round trips through the broker are over.

        The round trips are this client's own QoS 1 messages; what was on its way to it is here then.
        """
        fence = unique("fence") + f"/{id(self)}"
        rest = []
        self.subscribe(fence, 1)
        for round_trip in range(2):
            self.publish(fence, f"{round_trip}", 1)
            while (message := self.receive("the fence")).topic != fence:
                rest.append(message)
            expect(message.payload, b"%d" % round_trip, "the fence")
            if self._manual_ack:
                self.acknowledge(message)
        self.unsubscribe(fence)
        return rest

    def expect_nothing_more(self):
        """Fails if a message came or comes before two round trips through the broker are over."""
        rest = [(message.topic, message.payload) for message in self.receive_rest()]
        expect(rest, [], "nothing but the fence")

    def settle(self):
        """Waits until the broker has read every acknowledgement of what was received so far."""
        # Paho's thread hands a message out before it acknowledges it: the SUBSCRIBE may overtake
        # the acknowledgement, what is sent after the SUBACK does not.
        self.subscribe(unique("settle"))
        self.unsubscribe(unique("settle"))

    def cut(self, reset=True):
        """Breaks the connection without a DISCONNECT: by a reset, or by a plain end of the stream."""
        sock = self._paho.socket()
        if reset:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            # Paho's thread sees the end and closes the socket; what lingers makes that a reset.
            sock.shutdown(socket.SHUT_RD)
        else:
            sock.shutdown(socket.SHUT_RDWR)
        self._await_end()

    def disconnect(self, reason=None, **values):
        """Sends DISCONNECT and waits until the connection is closed."""
        if reason is not None or values:
            reason = mqtt.ReasonCode(PacketTypes.DISCONNECT, identifier=reason or 0)
        self._paho.disconnect(reason, properties(PacketTypes.DISCONNECT, **values))
        self._await_end()

    def await_disconnect(self):
        """Waits until the broker ends the connection; the reason code."""
        return self._await_end().value

    def _await_end(self):
        reason = take(self.disconnects, "the end of the connection")
        if threading.current_thread() is not self._paho._thread:
            self._paho.loop_stop()
        return reason


def await_no_subscriber(topic):
    """Waits until nobody subscribes a topic: the sessions that did have ended.

    A client that sent its DISCONNECT cannot know when the broker reads it; a second connection of
    the same client may even be served before.
    """
    deadline = time.monotonic() + PATIENCE_S
    with Peer("prober", V5) as prober:
        while prober.publish(topic, "?", 1) != 0x10:
            assert time.monotonic() < deadline, f"somebody still subscribes {topic}"


def take(waiting, what):
    """The next of a queue; fails when it does not come."""
    try:
        return waiting.get(timeout=PATIENCE_S)
    except queue.Empty:
        raise TimeoutError(f"{what} did not come within {PATIENCE_S} s") from None
