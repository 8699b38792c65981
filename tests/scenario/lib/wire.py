#!/usr/bin/env python3
"""Scenarios of the wire protocol, on top of the independent clients in v1v2.py and ext.py.

Usage: wire.py SOCKET COMMAND [ARGUMENT]...   (see COMMANDS at the end)
"""
import os
import sys

import ext
from ext import Ext, tlv
from v1v2 import COPY, FD, INVALID_MODE, NOT_FOUND, OK, ORDERED, SPLICE, V1, V2, expect


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


def cmd_tcp(addr, unix, directory):
    """UNIX_SOCKET DIRECTORY: its files were put under /t/; what TCP gives, and what it refuses."""
    for name in sorted(os.listdir(directory)):
        with open(os.path.join(directory, name), "rb") as f:
            want = f.read()
        uri = b"/t/" + os.fsencode(name)
        for mode in (COPY, SPLICE):
            c1, c2 = V1(addr), V2(addr)
            for _ in range(2):  # the stream is in step behind an empty object, too
                expect(c1.get(uri, mode).take(), want, f"version 1, mode {mode}, {name}")
                expect(c2.get(uri, mode).take(), want, f"version 2, mode {mode}, {name}")
            c1.close()
            expect(c2.leave(), 0, "outstanding")
        r = V1(addr).get(uri, FD)
        expect(r.status, INVALID_MODE, "fdpass")
        assert "Unix" in r.text()
        f = Ext(addr).call(ext.GET, tlv(ext.T_URI, uri), flags=ext.WITH_COPY)[0]
        expect((f.status, f.payload), (OK, want), "the extension's COPY")
        expect(Ext(addr).call(ext.GET, tlv(ext.T_URI, uri))[0].status, INVALID_MODE, "the extension's descriptor")
    expect(V2(addr, caps=0xffff).caps & 0x0010, 0, "segmented responses are not offered on TCP")
    expect(V2(unix, caps=0xffff).caps & 0x0010, 0x0010, "but on a Unix socket")
    expect(V1(addr).get(b"/none", COPY).status, NOT_FOUND, "what is not there")


def cmd_tcp_write(addr, verdict):
    """allowed|refused: changes over TCP."""
    c = Ext(addr)
    f = c.put(b"/t/new", b"over TCP")
    begin = c.call(ext.BEGIN, tlv(ext.T_URI, b"/t/other"))[0]
    if verdict == "allowed":
        expect(f.status, OK, f"inline put: {f.text()}")
        expect(V1(addr).get(b"/t/new", COPY).take(), b"over TCP", "read back")
        expect(begin.status, INVALID_MODE, "a put through a descriptor")
        expect(c.call(ext.DELETE, tlv(ext.T_URI, b"/t/new"))[0].status, OK, "delete")
    else:
        assert f.status != OK and begin.status != OK, "a change over TCP without a right"
        expect(c.call(ext.DELETE, tlv(ext.T_URI, b"/t/small"))[0].status in (0x40, 0x49), True, "delete")
        expect(V1(addr).get(b"/t/small", COPY).status, OK, "still there")


def cmd_tcp_last_words(addr, uri):
    """URI: answers reach a peer that sent garbage behind its requests, and much more than was read."""
    for _ in range(20):
        c = V2(addr)
        want = [c.send(os.fsencode(uri), COPY) for _ in range(5)]
        c.sock.sendall(b"\xee" * 50000)
        for i in want:
            r = c.recv()
            expect((r.id, r.status), (i, OK), "an answer in front of the garbage")
        expect(c.read(2), b"\x03\x02", "CLOSE, reason error")
        c.close()


COMMANDS = {"overtake": cmd_overtake, "tcp": cmd_tcp, "tcp_write": cmd_tcp_write, "tcp_last_words": cmd_tcp_last_words}

if __name__ == "__main__":
    sys.exit(COMMANDS[sys.argv[2]](sys.argv[1], *sys.argv[3:]) or 0)
