"""What the conformance programs share: the list of checks, and running them."""
import os
import sys
import time
import traceback

CHECKS = []


def check(*where):
    """The function is a check for these kinds of socket: unix, tcp, legacy. Its first line of comment names it."""
    def register(function):
        CHECKS.append((where, function))
        return function
    return register


def same(got, want, what=""):
    assert got == want, f"{what}: {shorten(got)}, expected {shorten(want)}"


def shorten(x):
    text = repr(x)
    return text if len(text) < 300 else text[:300] + "..."


def until(ready, seconds=20):
    """A bounded wait for what the page says happens without saying when."""
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, "not in the time given"
        time.sleep(0.01)


def open_fds():
    return len(os.listdir("/proc/self/fd"))


def run(kind, names, env):
    """Every check of that kind, or those named. The exit status."""
    failed = count = 0
    for where, function in CHECKS:
        if kind not in where or (names and function.__name__ not in names):
            continue
        before = open_fds()
        try:
            function(env)
            same(open_fds(), before, "descriptors of the test itself")
        except Exception:  # pylint: disable=broad-except
            failed += 1
            print(f"FAILED {kind} {function.__name__}: {function.__doc__}", file=sys.stderr)
            traceback.print_exc()
        count += 1
    print(f"{kind}: {count} checks, {failed} failed")
    return 1 if failed or not count else 0
