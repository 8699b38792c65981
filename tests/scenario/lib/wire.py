#!/usr/bin/env python3
"""Scenarios of the wire protocol, on top of the independent clients in v1v2.py and ext.py.

Usage: wire.py SOCKET COMMAND [ARGUMENT]...   (see COMMANDS at the end)
"""
import os
import sys

from v1v2 import FD, OK, ORDERED, V2, expect


def cmd_overtake(path, slow, hot):
    """SLOW HOT: the answer to SLOW, which is stuck in a disk, holds up no other; ORDERED ones wait for it."""
    slow, hot = os.fsencode(slow), os.fsencode(hot)
    c = V2(path, caps=0x0003)
    first = c.send(slow)
    behind = [c.send(hot) for _ in range(50)]
    ordered = c.send(hot, FD, ORDERED)
    for want in behind:
        r = c.recv()
        expect((r.id, r.status), (want, OK), "a hot object behind a cold one")
        r.close()
    other = V2(path, caps=0x0002).get(hot)  # another connection is not held up either
    expect(other.status, OK, "another connection")
    for want in (first, ordered):
        r = c.recv()
        expect((r.id, r.status), (want, OK), "the cold object, then the ordered request")
        r.close()


COMMANDS = {"overtake": cmd_overtake}

if __name__ == "__main__":
    sys.exit(COMMANDS[sys.argv[2]](sys.argv[1], *sys.argv[3:]) or 0)
