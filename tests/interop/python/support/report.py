"""How a script says what it saw: a line per promise, and a last line with their number."""

import asyncio
import inspect
import os
import sys
import time
import traceback
import uuid

HOST = os.environ["BROKER_HOST"]
PORT = int(os.environ["BROKER_PORT"])
#: Some promises are skein's own; other brokers keep the specification differently.
IS_SKEIN = os.environ.get("BROKER_KIND") == "skein"

#: The broker's other listeners by their variables, `BROKER_TLS_PORT` and so on; a broker that was
#: not started for the tests has none.
TRANSPORTS = {
    name: os.environ[f"BROKER_{name}"]
    for name in ("CA", "TLS_PORT", "WS_PORT", "WSS_PORT", "UNIX")
    if f"BROKER_{name}" in os.environ
}

#: Longest wait for anything that must come, in seconds.
PATIENCE_S = 10

#: Topics and client ids of this run begin with it, so that no script meets another one's messages.
RUN = "i" + uuid.uuid4().hex[:10]

_promises = []


def promise(name, deviation=None):
    """Marks a function or coroutine as one promise to check. They run in the order they are written in.

    `deviation` says how a broker other than skein is known to break the promise: its failure is then
    told as a note.
    """

    def register(check):
        _promises.append((name, deviation, check))
        return check

    return register


def note(name, text):
    """Tells what the broker may do as it likes, or does differently."""
    print(f"note {name}: {text}", flush=True)


def outcome(name, deviation, failure):
    """Prints a promise's line; whether it was kept, None if it is not asked of this broker."""
    if failure is None:
        print(f"ok {name}", flush=True)
        return True
    why = " ".join(f"{type(failure).__name__}: {failure}".split())[:600]
    if deviation and not IS_SKEIN:
        note(name, f"{deviation} ({why})")
        return None
    print(f"not ok {name}: {why}", flush=True)
    traceback.print_exception(failure, file=sys.stderr)
    return False


def check_promises():
    """Checks all promises of the script and ends it."""
    outcomes = []
    for name, deviation, check in _promises:
        failure = None
        try:
            if inspect.iscoroutinefunction(check):
                asyncio.run(check())
            else:
                check()
        except Exception as caught:  # whatever it is, the next promise is still checked
            failure = caught
        outcomes.append(outcome(name, deviation, failure))
    print(f"1..{len(outcomes) - outcomes.count(None)}", flush=True)
    sys.stderr.flush()
    # Threads of a client that a broken promise left behind must not keep the script alive.
    os._exit(1 if False in outcomes else 0)


def expect(seen, wanted, what):
    """Fails with both values when they differ."""
    if seen != wanted:
        raise AssertionError(f"{what}: wanted {wanted!r}, got {seen!r}")


def let_pass(seconds):
    """Lets time pass where time is what is tested; never to wait for something that can be awaited."""
    time.sleep(seconds)


def unique(name):
    """A topic level or client id of this run."""
    return f"{RUN}-{name}"
