"""Runs one Paho suite as it would run itself, and prints one line for each of its tests.

Arguments: the suite's file, host, port, and a part of the names of the tests to run ("" = all).
"""

import os
import runpy
import signal
import sys
import time
import unittest

SUITE, HOST, PORT, PART = sys.argv[1:5]

# The longest healthy test waits for half a minute; some wait for ever where a broker is wrong.
TEST_SECONDS_MAX = 75


def on_alarm(*_):
    raise TimeoutError("not done within %d s" % TEST_SECONDS_MAX)


signal.signal(signal.SIGALRM, on_alarm)


def say(*words):
    print("RESULT", *words, flush=True)


class Reporter(unittest.TestResult):
    def startTest(self, test):
        super().startTest(test)
        self.begun = time.monotonic()
        signal.alarm(TEST_SECONDS_MAX)

    def stopTest(self, test):
        signal.alarm(0)
        super().stopTest(test)

    def report(self, verdict, test):
        name = getattr(test, "_testMethodName", "setup")
        say(verdict, name, "%.1f" % (time.monotonic() - getattr(self, "begun", time.monotonic())))

    def addSuccess(self, test):
        super().addSuccess(test)
        self.report("ok", test)

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self.fail(test, error)

    def addError(self, test, error):
        super().addError(test, error)
        self.fail(test, error)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.report("not", test)

    def fail(self, test, error):
        print(self._exc_info_to_string(error, test), flush=True)
        self.report("not", test)


def tests(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from tests(item)
        elif PART in item.id():
            yield item


def main(*_, **__):
    found = unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])
    unittest.TestSuite(tests(found)).run(Reporter())
    sys.stdout.flush()
    # The suites' clients leave threads behind that nothing ends.
    os._exit(0)


unittest.main = main
# Not "-h": the suites take it for the beginning of "--help".
sys.argv = [SUITE, "--hostname", HOST, "-p", PORT]
sys.path.insert(0, os.path.dirname(os.path.abspath(SUITE)))
runpy.run_path(SUITE, run_name="__main__")
