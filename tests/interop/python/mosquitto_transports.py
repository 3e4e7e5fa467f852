"""TLS and Unix sockets (Mosquitto's command line)."""

import subprocess

from support.command_line import V5, V31, V311, VERSION_NAMES, Subscriber, publish
from support.report import HOST, PATIENCE_S, TRANSPORTS, check_promises, expect, note, promise, unique

if not TRANSPORTS:
    note("transports", "a broker that was not started for the tests has unknown ports")

# The last port and host on the command line count.
WAYS = (
    {
        "TLS 1.3": ("-p", TRANSPORTS["TLS_PORT"], "--cafile", TRANSPORTS["CA"]),
        "TLS 1.2": (
            *("-p", TRANSPORTS["TLS_PORT"], "--cafile", TRANSPORTS["CA"]),
            *("--tls-version", "tlsv1.2"),
        ),
        "TLS with ALPN": (
            *("-p", TRANSPORTS["TLS_PORT"], "--cafile", TRANSPORTS["CA"]),
            *("--tls-alpn", "mqtt"),
        ),
        "a Unix socket": ("--unix", TRANSPORTS["UNIX"]),
    }
    if TRANSPORTS
    else {}
)

for way, arguments in WAYS.items():
    for version in (V31, V311, V5):

        @promise(f"messages pass over {way}, MQTT {VERSION_NAMES[version]}")
        def _(way=way, arguments=arguments, version=version):
            topic = unique(f"over/{way}/{version}")
            with Subscriber(topic, version=version, qos=2, arguments=arguments) as subscriber:
                for qos in (0, 1, 2):
                    text = f"{way} {qos} " + "x" * 20_000
                    publish(topic, *arguments, payload=text, version=version, qos=qos)
                    expect(subscriber.receive()["payload"], text, "message")


if TRANSPORTS:

    def fails(*arguments):
        """What mosquitto_pub says when it is not served."""
        command = ("mosquitto_pub", "-h", HOST, "-t", unique("nowhere"), "-m", "x", *arguments)
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
        expect(done.returncode != 0, True, "it fails")

    @promise("plain MQTT on the port of TLS is closed")
    def _():
        fails("-p", TRANSPORTS["TLS_PORT"])

    @promise("another protocol than mqtt by ALPN is refused")
    def _():
        tls = ("-p", TRANSPORTS["TLS_PORT"], "--cafile", TRANSPORTS["CA"])
        fails(*tls, "--tls-alpn", "h2")


check_promises()
