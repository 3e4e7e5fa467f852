"""Mosquitto's command line as processes: `mosquitto_pub`, `mosquitto_sub`, `mosquitto_rr`."""

import json
import queue
import subprocess
import threading
import time

from support.report import HOST, PATIENCE_S, PORT, expect, unique

V31, V311, V5 = "mqttv31", "mqttv311", "mqttv5"
VERSION_NAMES = {V31: "3.1", V311: "3.1.1", V5: "5"}

_BROKER = ("-h", HOST, "-p", str(PORT), "--nodelay")


def publish(topic, *arguments, payload="", version=V311, qos=0, lines=None):
    """Runs mosquitto_pub to its end. With `lines`, publishes each as a message. What it said with -d."""
    content = ("-l",) if lines is not None else ("-m", payload) if payload else ("-n",)
    command = (
        "mosquitto_pub",
        *_BROKER,
        "-V",
        version,
        "-t",
        topic,
        "-q",
        str(qos),
        "-d",
        *content,
        *arguments,
    )
    given = None if lines is None else "".join(f"{line}\n" for line in lines)
    return finish(command, given)


def await_no_subscriber(topic):
    """Waits until nobody subscribes a topic: the sessions that did have ended."""
    deadline = time.monotonic() + PATIENCE_S
    while "RC:16" not in publish(topic, payload="?", version=V5, qos=1):
        assert time.monotonic() < deadline, f"somebody still subscribes {topic}"


def request(topic, response_topic, payload, *arguments):
    """Runs mosquitto_rr to its end; the answer it printed."""
    command = (
        "mosquitto_rr",
        *_BROKER,
        "-t",
        topic,
        "-e",
        response_topic,
        "-m",
        payload,
        "-W",
        str(PATIENCE_S),
    )
    return finish((*command, *arguments)).strip()


def finish(command, given=None):
    """Runs a command to its end and returns what it printed; fails if it does."""
    done = subprocess.run(
        command, input=given, capture_output=True, text=True, timeout=2 * PATIENCE_S
    )
    expect(done.returncode, 0, f"{command[0]} said {done.stdout} {done.stderr} and its status")
    return done.stdout


class Subscriber:
    """A mosquitto_sub that runs until it is ended. Its messages are read from the JSON it prints."""

    def __init__(self, *topics, version=V311, qos=0, name=None, arguments=()):
        self.messages = queue.Queue()
        self._events = queue.Queue()
        self._version, self._fence = version, unique("fence") + f"/{id(self)}"
        filters = [part for topic in (*topics, self._fence) for part in ("-t", topic)]
        identity = ("-i", unique(name)) if name else ()
        # Into a pipe it would print by blocks, not by lines.
        self._process = subprocess.Popen(
            (
                "stdbuf",
                "-oL",
                "mosquitto_sub",
                *_BROKER,
                "-V",
                version,
                "-q",
                str(qos),
                "-F",
                "%j",
                "-d",
                *filters,
                *identity,
                *arguments,
            ),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        threading.Thread(target=self._read, daemon=True).start()
        self.await_event("received SUBACK")

    def _read(self):
        for line in self._process.stdout:
            if line.startswith("{"):
                # Pairs, because user properties may repeat a name.
                self.messages.put(json.loads(line, object_pairs_hook=Pairs))
            else:
                self._events.put(line.strip())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def await_event(self, text):
        """Waits for a line of what mosquitto_sub tells with -d; returns it."""
        seen = []
        while True:
            try:
                seen.append(self._events.get(timeout=PATIENCE_S))
            except queue.Empty:
                raise TimeoutError(f"mosquitto_sub did not say {text!r}, but {seen[-5:]}") from None
            if text in seen[-1]:
                return seen[-1]

    def receive(self, what="a message"):
        try:
            return self.messages.get(timeout=PATIENCE_S)
        except queue.Empty:
            raise TimeoutError(f"{what} did not come within {PATIENCE_S} s") from None

    def payloads(self, count):
        return [self.receive(f"message {n + 1} of {count}")["payload"] for n in range(count)]

    def until_fence(self):
        """All messages before a fence sent now."""
        seen = []
        for _ in range(2):
            publish(self._fence, payload="fence", version=self._version, qos=1)
            while (message := self.receive("the fence"))["topic"] != self._fence:
                seen.append(message)
        return seen

    def expect_nothing_more(self):
        """Fails if a message came or comes before two messages sent now."""
        expect(self.until_fence(), [], "messages before the fence")

    def kill(self):
        """Ends it at once: the broker sees the connection end without a DISCONNECT."""
        self._process.kill()
        self._process.wait()

    def await_end(self):
        """Waits until it ends by itself, with -C or -W."""
        expect(self._process.wait(timeout=PATIENCE_S), 0, "status of mosquitto_sub")


class Pairs(dict):
    """A JSON object that remembers its pairs in order, repeated names included."""

    def __init__(self, pairs):
        super().__init__(pairs)
        self.pairs = pairs


def properties(packet, **values):
    """Arguments that set properties: `content_type="x"` becomes `-D PACKET content-type x`.

    A list of pairs sets a user property for each.
    """
    arguments = []
    for name, value in values.items():
        for one in value if isinstance(value, list) else [(value,)]:
            arguments += ["-D", packet, name.replace("_", "-"), *map(str, one)]
    return tuple(arguments)
