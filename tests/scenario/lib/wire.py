#!/usr/bin/env python3
"""Scenarios of the wire protocol, on top of the independent clients in v1v2.py and ext.py.

Usage: wire.py SOCKET COMMAND [ARGUMENT]...   (see COMMANDS at the end)
"""
import os
import random
import signal
import stat
import sys
import threading
import time

import ext
from ext import Ext, tlv
from v1v2 import COPY, FD, INVALID_MODE, NOT_FOUND, OK, ORDERED, SPLICE, UNSUPPORTED, V1, V2, PRIORITY, expect, wait_for


def cmd_overtake(path, *uris):
    """URI...: one open, whichever comes to it first, is stuck in a disk: it holds up no other; an ORDERED request waits for it."""
    uris = [os.fsencode(u) for u in uris]
    c = V2(path, caps=0x0003)
    sent = {c.send(uris[i % len(uris)]) for i in range(51)}
    ordered = c.send(uris[0], FD, ORDERED)
    for _ in range(50):
        r = c.recv()
        expect(r.status, OK, "an answer beside the stuck one")
        sent.remove(r.id)  # none of them is the ordered one
        r.close()
    other = V2(path, caps=0x0002).get(uris[-1])  # another connection is not held up either
    expect(other.status, OK, "another connection")
    for want in (sent.pop(), ordered):
        r = c.recv()
        expect((r.id, r.status), (want, OK), "the stuck one, then the ordered request")
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


def cmd_legacy_rules(legacy, data):
    """DATA_SOCKET: each sentence about writes of existing clients that v1v2.py's `legacy` does not look at."""
    c = V2(legacy)
    r = c.get(b"/w/eph", FD, PRIORITY)
    os.write(r.fd, b"short-lived")
    r.close()
    wait_for(data, b"/w/eph", b"short-lived")
    flags = Ext(data).call(2, tlv(ext.T_URI, b"/w/eph"))[0].obj()["flags"]
    expect(flags & 1, 1, "PRIORITY asks for an ephemeral object")
    r = c.get(b"/delete/w/eph")
    null = os.stat("/dev/null")
    expect((r.status, os.fstat(r.fd).st_rdev), (OK, null.st_rdev), "the byte behind a delete has a descriptor of /dev/null")
    r.close()
    wait_for(data, b"/w/eph", None)
    for mode in (COPY, SPLICE):  # only fdpass creates
        expect(c.get(b"/w/none", mode).status, NOT_FOUND, "a miss with another mode")
    for name in (b"/list", b"/list/w", b"/list?x"):
        r = c.get(name)
        expect(r.status, UNSUPPORTED, name)
        assert "objmctl" in r.text(), r.text()
    for socket_ in (legacy, data):  # names that only look like orders
        for name in (b"/deleted", b"/lists"):
            r = V1(socket_).get(name, COPY)
            expect(r.status, NOT_FOUND, name)
    # the same URI twice: the last one that is complete wins, whole
    other = V1(legacy)  # a connection that ends before its writer's descriptor publishes nothing
    one, two = c.get(b"/w/twice"), other.get(b"/w/twice")
    os.write(one.fd, b"first" * 1000)
    os.write(two.fd, b"second, and shorter")
    one.close()
    wait_for(data, b"/w/twice", b"first" * 1000)
    two.close()
    wait_for(data, b"/w/twice", b"second, and shorter")
    # what was open for reading is not disturbed
    r = V1(data).get(b"/w/twice")
    expect(c.get(b"/delete/w/twice").status, OK, "delete")
    expect(r.take(), b"second, and shorter", "a reader that was there before")


def legacy_kill_one(legacy, uri, rng_seed):
    """In a child: begin, write something, be killed. The descriptor is closed before, or after, the connection."""
    rng = random.Random(rng_seed)
    low = rng.random() < 0.5
    if low:
        hole = os.open("/dev/null", os.O_RDONLY)
    c = rng.choice((V1, V2))(legacy)
    fd = c.get(uri).fd
    if low:  # a number below the connection's: the kernel closes it first
        os.dup2(fd, hole)
        os.close(fd)
        fd = hole
    for _ in range(rng.randrange(1, 4)):
        os.write(fd, b"half an object" * rng.randrange(1, 5000))
    if rng.random() < 0.3:
        os.dup(fd)
    os.kill(os.getpid(), signal.SIGKILL)


def cmd_legacy_kill(legacy, data, count, seed):
    """DATA_SOCKET COUNT SEED: writers killed with -9 publish nothing."""
    count, seed = int(count), int(seed)
    running = set()
    for i in range(count):
        pid = os.fork()
        if pid == 0:
            try:
                legacy_kill_one(legacy, b"/k/%d" % i, seed + i)
            finally:
                os._exit(9)
        running.add(pid)
        while len(running) >= 8 or (i == count - 1 and running):
            pid, status = os.wait()
            running.discard(pid)
            assert os.WIFSIGNALED(status), f"a writer ended by itself: {status}"
    c = V1(legacy)
    r = c.get(b"/alive/0")  # one that lives, behind them all
    os.write(r.fd, b"alive")
    r.close()
    wait_for(data, b"/alive/0", b"alive")
    time.sleep(0.5)
    found = list(Ext(data).list(b"/k/"))
    assert not found, f"{len(found)} of {count} killed writers published something: {found[:5]}"


def cmd_legacy_race(legacy, data, rounds):
    """DATA_SOCKET ROUNDS: many writers of one URI at once: what is there is one of them, whole."""
    for n in range(int(rounds)):
        uri, bodies, threads = b"/race/%d" % n, {}, []

        def write(who):
            c = V1(legacy)
            r = c.get(uri)
            if not os.fstat(r.fd).st_mode & stat.S_IWUSR:  # it was there already: a reader
                r.close()
                return
            body = b"%d " % who * (1000 + who * 777)
            bodies[who] = body
            os.write(r.fd, body)
            r.close()

        for who in range(8):
            threads.append(threading.Thread(target=write, args=(who,)))
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        seen = set()
        for _ in range(200):
            r = V1(data).get(uri)
            if r.status == OK:
                got = r.take()
                assert got in bodies.values(), f"a mixture, {len(got)} bytes"
                seen.add(got)
            time.sleep(0.002)
        assert seen, "none of the writers' objects appeared"


def cmd_legacy_no_right(legacy, uri, want):
    """URI CONTENT: a user without the right reads here, and does not write."""
    c = V1(legacy)
    expect(c.get(os.fsencode(uri)).take(), want.encode(), "reading")
    expect(c.get(b"/mine").status, NOT_FOUND, "a miss does not create")
    expect(c.get(b"/delete" + os.fsencode(uri)).status, NOT_FOUND, "/delete is a name")
    expect(c.get(os.fsencode(uri)).take(), want.encode(), "still there")


COMMANDS = {"overtake": cmd_overtake, "tcp": cmd_tcp, "tcp_write": cmd_tcp_write, "tcp_last_words": cmd_tcp_last_words,
            "legacy_rules": cmd_legacy_rules, "legacy_kill": cmd_legacy_kill, "legacy_race": cmd_legacy_race,
            "legacy_no_right": cmd_legacy_no_right}

if __name__ == "__main__":
    sys.exit(COMMANDS[sys.argv[2]](sys.argv[1], *sys.argv[3:]) or 0)
