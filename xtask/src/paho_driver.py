"""Runs one Paho suite as it would run itself, and prints one line for each of its tests.

Arguments: the suite's file, host, port, a part of the names of the tests to run ("" = all), and
the names of tests to leave out.
"""

import os
import runpy
import signal
import sys
import time
import unittest

SUITE, HOST, PORT, PART, *DONE = sys.argv[1:]
COMMAND = sys.orig_argv[: len(sys.orig_argv) - len(DONE)]

# The longest healthy test waits for half a minute; some wait for ever where a broker is wrong.
TEST_SECONDS_MAX = 75

# Tests that race with their own client. The first two publish before the SUBACK they mean to wait for
# (they look at the other client's), which a broker on several cores need not have sent yet. The
# third ends its client's reader on seeing a message, with the PUBACK perhaps still unread.
RACES = ("test_request_response", "test_subscribe_options", "test_client_topic_alias")
TRIES = 5


class Reporter(unittest.TestResult):
    tries, lost = {}, []

    def startTest(self, test):
        super().startTest(test)
        self.name, self.begun = test._testMethodName, time.monotonic()
        signal.signal(signal.SIGALRM, self.give_up)
        signal.alarm(TEST_SECONDS_MAX)

    def stopTest(self, test):
        signal.alarm(0)
        super().stopTest(test)
        DONE.append(self.name)

    def give_up(self, *_):
        """The suites swallow exceptions, so the rest of the tests begins in a new interpreter."""
        print("not done within %d s" % TEST_SECONDS_MAX)
        self.report("not", self.name)
        os.execv(sys.executable, COMMAND + DONE + [self.name])

    def addSuccess(self, test):
        super().addSuccess(test)
        self.report("ok", self.name)

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self.fail(test, error)

    def addError(self, test, error):
        super().addError(test, error)
        self.fail(test, error)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.report("not", self.name)

    def fail(self, test, error):
        print(self._exc_info_to_string(error, test))
        # What goes wrong before the first test has another shape.
        name = getattr(test, "_testMethodName", "set-up")
        self.tries[name] = self.tries.get(name, 1) + 1
        if name in RACES and self.tries[name] <= TRIES:
            self.report("again", name)
            self.lost.append(type(test)(name))
            return
        self.report("not", name)

    def report(self, verdict, name):
        took = time.monotonic() - getattr(self, "begun", time.monotonic())
        print("RESULT", verdict, name, "%.1f" % took, flush=True)


def tests(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from tests(item)
        elif PART in item._testMethodName and item._testMethodName not in DONE:
            yield item


def main(*_, **__):
    found = unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])
    reporter = Reporter()
    unittest.TestSuite(tests(found)).run(reporter)
    while reporter.lost:
        unittest.TestSuite([reporter.lost.pop()]).run(reporter)
    sys.stdout.flush()
    # The suites' clients leave threads behind that nothing ends.
    os._exit(0)


unittest.main = main
# Not "-h": the suites take it for the beginning of "--help".
sys.argv = [SUITE, "--hostname", HOST, "-p", PORT]
sys.path.insert(0, os.path.dirname(os.path.abspath(SUITE)))
runpy.run_path(SUITE, run_name="__main__")
