"""aiomqtt's client with what a test needs beside it: what CONNACK said, a cut, a bounded wait."""

import asyncio
import contextlib
import logging
import socket
import struct

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.subscribeoptions import SubscribeOptions

from support.paho import properties
from support.report import HOST, PATIENCE_S, PORT, expect, unique

V31, V311, V5 = (
    aiomqtt.ProtocolVersion.V31,
    aiomqtt.ProtocolVersion.V311,
    aiomqtt.ProtocolVersion.V5,
)
VERSION_NAMES = {V31: "3.1", V311: "3.1.1", V5: "5"}

# It warns of many publishes under way, which is what some tests are about.
logging.getLogger("mqtt").setLevel(logging.ERROR)


class Peer(aiomqtt.Client):
    """A client of the broker. It may be connected again after a cut: same client, same session."""

    def __init__(self, name, version=V311, persistent=False, will=None, concurrent=None, **connect):
        """`connect` are properties of CONNECT; a persistent MQTT 5 session lasts 300 s by default."""
        if version == V5:
            if persistent:
                connect.setdefault("SessionExpiryInterval", 300)
            session = {"clean_start": not persistent}
        else:
            session = {"clean_session": not persistent}
        super().__init__(
            HOST,
            PORT,
            identifier=unique(name),
            protocol=version,
            will=will,
            timeout=PATIENCE_S,
            max_concurrent_outgoing_calls=concurrent,
            properties=properties(PacketTypes.CONNECT, **connect),
            **session,
        )
        self.version = version

    def _on_connect(self, client, userdata, flags, reason_code, properties=None):
        # The library keeps neither; a test wants both.
        self.session_present, self.connack = flags.session_present, properties
        super()._on_connect(client, userdata, flags, reason_code, properties)

    def _on_publish(self, client, userdata, mid, reason_code, properties):
        # The library keeps it to itself.
        self.last_reason = reason_code.value
        super()._on_publish(client, userdata, mid, reason_code, properties)

    async def connect(self):
        await self.__aenter__()
        # The library has no connection until now.
        self._client.socket().setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self

    async def disconnect(self):
        await self.__aexit__(None, None, None)

    async def cut(self):
        """Breaks the connection by a reset, without a DISCONNECT."""
        sock = self._client.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # The library sees the end and closes the socket; what lingers makes that a reset.
        sock.shutdown(socket.SHUT_RD)
        await self.await_end()

    async def await_end(self):
        """Waits until the connection is over; why, as the library tells it."""
        async with asyncio.timeout(PATIENCE_S):
            with contextlib.suppress(aiomqtt.MqttError):
                await asyncio.wait([self._disconnected])
        why = self._disconnected.exception()
        await self.__aexit__(None, None, None)
        self._connected = asyncio.Future()
        return why

    async def watch(self, topic_filter, qos=0, identifier=None, **options):
        """Subscribes; the granted reason code as a number."""
        if self.version == V5:
            asked = properties(
                PacketTypes.SUBSCRIBE,
                **({"SubscriptionIdentifier": identifier} if identifier else {}),
            )
            chosen = SubscribeOptions(qos=qos, **options)
            reasons = await self.subscribe(topic_filter, options=chosen, properties=asked)
        else:
            reasons = await self.subscribe(topic_filter, qos)
        expect(len(reasons), 1, "reason codes in SUBACK")
        return getattr(reasons[0], "value", reasons[0])

    async def receive(self, what="a message"):
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await anext(aiter(self.messages))
        except TimeoutError:
            raise TimeoutError(f"{what} did not come within {PATIENCE_S} s") from None

    async def payloads(self, count):
        return [(await self.receive(f"message {n + 1} of {count}")).payload for n in range(count)]

    async def settle(self):
        """Waits until the broker has read every acknowledgement of what was received so far."""
        await self.watch(unique("settle"))
        await self.unsubscribe(unique("settle"))

    async def expect_nothing_more(self):
        """Fails if a message came or comes before two round trips through the broker are over."""
        fence = unique("fence") + f"/{id(self)}"
        await self.watch(fence, 1)
        for round_trip in range(2):
            await self.publish(fence, f"{round_trip}", 1)
            message = await self.receive("the fence")
            expect(
                (message.topic.value, message.payload),
                (fence, b"%d" % round_trip),
                "nothing but the fence",
            )
        await self.unsubscribe(fence)


async def await_no_subscriber(topic):
    """Waits until nobody subscribes a topic: the sessions that did have ended."""
    async with asyncio.timeout(PATIENCE_S), connected(Peer("prober", V5)) as (prober,):
        prober.last_reason = None
        while prober.last_reason != 0x10:
            await prober.publish(topic, "?", 1)


@contextlib.asynccontextmanager
async def connected(*peers):
    """Connects clients one after the other; disconnects them at the end, also of a broken promise."""
    async with contextlib.AsyncExitStack() as stack:
        for peer in peers:
            await peer.connect()
            stack.push_async_callback(leave, peer)
        yield peers


async def leave(peer):
    if not peer._disconnected.done():
        await peer.disconnect()
