#!/usr/bin/env python3
"""WATCH: a client of the extension that is told of changes.

Usage: watch.py SOCKET COMMAND [ARGUMENT]...   (see COMMANDS at the end)
"""
import multiprocessing
import os
import socket
import struct
import subprocess
import sys
import time

from ext import (DELETE, DENIED, EVICTABLE, LIMIT, MORE, OK, PING, T_FLAGS, T_OBJ, T_PREFIX, T_URI, Ext, Frame, Lost, connect, tlv)

WATCH, T_CHANGE, T_POSITION = 10, 28, 29
HERE, PUT, DELETED, SETTED, MOVED, LOST = range(6)


class Watch(Ext):
    """A connection with one watch."""

    def __init__(self, path, prefix=b"", at=None, timeout=20):
        super().__init__(path, timeout)
        self.ident += 1
        body = tlv(T_PREFIX, prefix) + (tlv(T_POSITION, struct.pack(">QQ", *at)) if at else b"")
        self.sock.sendall(struct.pack(">BBBBHHIIQ", 0x10, WATCH, 0, 0, 0, 0, self.ident, len(body), 0) + body)
        f = self.frame(WATCH)
        self.status, self.error = f.status, f.text()
        if f.status == OK:
            kind, self.epoch, self.pos = struct.unpack(">BQQ", f.one[T_CHANGE])
            assert kind == HERE and f.flags & MORE

    def next(self):
        """(kind, uri, object or None); self.pos is its position."""
        f = self.frame(WATCH)
        assert f.status == OK and f.flags & MORE, (f.status, f.text())
        kind, epoch, pos = struct.unpack(">BQQ", f.one[T_CHANGE])
        assert pos > self.pos or kind == LOST, f"position {pos} after {self.pos}"
        self.epoch, self.pos = epoch, pos
        return kind, f.one.get(T_URI), f.obj() if T_OBJ in f.one else None

    def take(self, n):
        return [self.next() for _ in range(n)]

    def quiet(self, seconds=0.3):
        self.sock.settimeout(seconds)
        try:
            got = self.next()
        except TimeoutError:
            self.sock.settimeout(20)
            return True
        raise AssertionError(f"told {got}")


def cmd_basics(path):
    """Each kind of change once, in order; prefixes; several watches; bounds."""
    c, w, other, every = Ext(path), Watch(path, b"/w/"), Watch(path, b"/other/"), Watch(path)
    assert c.put(b"/w/a", b"1").status == OK
    id1 = c.put(b"/w/a", b"22").obj()["id"]
    assert c.set(b"/w/a", tlv(T_FLAGS, struct.pack(">I", EVICTABLE))).status == OK
    assert c.put(b"/x", b"").status == OK
    assert c.call(DELETE, tlv(T_URI, b"/w/a"))[0].status == OK
    assert c.call(DELETE, tlv(T_URI, b"/w/none"))[0].status == 1
    got = w.take(4)
    assert [(k, u) for k, u, _ in got] == [(PUT, b"/w/a"), (PUT, b"/w/a"), (SETTED, b"/w/a"), (DELETED, b"/w/a")], got
    assert got[1][2]["id"] == id1 and got[1][2]["size"] == 2 and got[2][2]["rev"] == 2 and got[2][2]["flags"] == EVICTABLE
    assert got[3][2]["id"] == id1
    assert w.quiet() and other.quiet()
    assert [u for _, u, _ in every.take(5)] == [b"/w/a", b"/w/a", b"/w/a", b"/x", b"/w/a"]
    # other requests go on beside a watch
    d = Ext(path)
    for i in range(16):
        body = tlv(T_PREFIX, b"/many/%d" % i)
        d.ident = i + 1
        d.sock.sendall(struct.pack(">BBBBHHIIQ", 0x10, WATCH, 0, 0, 0, 0, d.ident, len(body), 0) + body)
        assert d.frame(WATCH).status == OK
    d.ident = 17
    d.sock.sendall(struct.pack(">BBBBHHIIQ", 0x10, WATCH, 0, 0, 0, 0, 17, 0, 0))
    f = d.frame(WATCH)
    assert f.status == LIMIT and not f.flags & MORE, "the 17th of a connection"
    assert d.call(PING)[0].status == OK
    assert c.put(b"/many/7/x", b"").status == OK
    d.ident = 8
    assert d.frame(WATCH).one[T_URI] == b"/many/7/x"
    d.close()


def write_some(path, who, n):
    c = Ext(path)
    for i in range(n):
        uri = b"/order/%d/%d" % (who, i % 7)
        f = c.put(uri, b"%d" % i, 1 if who % 2 else 0)
        assert f.status == OK, f.text()
        if i % 5 == 4:
            assert c.call(DELETE, tlv(T_URI, uri))[0].status == OK
    return who


def cmd_order(path, writers, n):
    """WRITERS N: concurrent writers; two watches see all changes, in one and the same order, each writer's own in his."""
    writers, n = int(writers), int(n)
    a, b = Watch(path, b"/order/", timeout=60), Watch(path, b"/order/", timeout=60)
    with multiprocessing.Pool(writers) as pool:
        pool.starmap_async(write_some, [(path, w, n) for w in range(writers)])
        total = writers * (n + n // 5)
        seen = [(a.next(), a.pos) for _ in range(total)]
        also = [(b.next(), b.pos) for _ in range(total)]
    assert seen == also, "two watches, two orders"
    for w in range(writers):
        mine = [(k, u) for (k, u, _), _ in seen if u.startswith(b"/order/%d/" % w)]
        want = []
        for i in range(n):
            want.append((PUT, b"/order/%d/%d" % (w, i % 7)))
            if i % 5 == 4:
                want.append((DELETED, b"/order/%d/%d" % (w, i % 7)))
        assert mine == want, w
    ids = [o["id"] for (k, u, o), _ in seen if k == PUT and u == b"/order/0/0"]
    assert ids == sorted(ids)
    print(f"{total} changes, positions {seen[0][1]} to {seen[-1][1]}")


def cmd_resume(path):
    """After a lost connection a watch goes on where it was: nothing twice, nothing left out, though others watch meanwhile."""
    c, live = Ext(path), Watch(path, b"/r/")
    w = Watch(path, b"/r/")
    for i in range(50):
        assert c.put(b"/r/%d" % i, b"").status == OK
    got = [w.next()[1] for _ in range(20)]
    at = (w.epoch, w.pos)
    w.close()
    for i in range(50, 80):
        assert c.put(b"/r/%d" % i, b"").status == OK
    again = [Watch(path, b"/r/", at) for _ in range(4)]  # several: workers differ
    for w in again:
        assert (w.epoch, w.pos) == at
    for i in range(80, 100):
        assert c.put(b"/r/%d" % i, b"").status == OK
    for w in again:
        rest = [w.next() for _ in range(80)]
        assert got + [u for _, u, _ in rest] == [b"/r/%d" % i for i in range(100)], rest[:3]
        assert w.quiet(0.1)
    assert [live.next()[1] for _ in range(100)] == [b"/r/%d" % i for i in range(100)], "one who was there all the time"
    assert live.quiet(0.1)


def cmd_here(path):
    """Prints EPOCH POSITION."""
    w = Watch(path)
    print(w.epoch, w.pos)


def cmd_gone(path, epoch, pos):
    """EPOCH POSITION of a run before: the first change told is LOST, then the watch goes on."""
    connect(path, time.monotonic() + 20).close()
    w = Watch(path, b"", (int(epoch), int(pos)))
    assert w.status == OK and w.epoch != int(epoch)
    assert w.next()[0] == LOST
    assert Ext(path).put(b"/after", b"").status == OK
    assert w.next()[:2] == (PUT, b"/after")


def cmd_overflow(path, n):
    """N: a watch that does not read is told that it lost changes, then goes on; one that reads gets all; nobody waits for the slow one."""
    n = int(n)
    c = Ext(path)
    slow = Ext(path, timeout=60)
    slow.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.ident = 1
    body = tlv(T_PREFIX, b"/o/")
    slow.sock.sendall(struct.pack(">BBBBHHIIQ", 0x10, WATCH, 0, 0, 0, 0, 1, len(body), 0) + body)
    pid = os.fork()
    if pid == 0:
        fast = Watch(path, b"/o/", timeout=60)
        got = [fast.next() for _ in range(n)]
        os._exit(0 if all(k == PUT for k, _, _ in got) and len({u for _, u, _ in got}) == n else 1)
    time.sleep(0.3)  # the child's watch stands (its HERE came before its first read)
    name = b"/o/" + b"n" * 3000
    for i in range(n):
        assert c.put(name + b"%d" % i, b"", 1).status == OK
    _, status = os.waitpid(pid, 0)
    assert status == 0, "the fast one did not get everything"
    slow.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    kinds, last = [], None
    while True:
        f = slow.frame(WATCH)
        kind, _, pos = struct.unpack(">BQQ", f.one[T_CHANGE])
        kinds.append(kind)
        if kind == LOST:
            break
        assert len(kinds) <= n, "everything was told, nothing was lost: the test shows nothing"
        last = f.one.get(T_URI, last)
    assert kinds[0] == HERE and set(kinds[1:-1]) == {PUT}
    told = len(kinds) - 2
    assert last == name + b"%d" % (told - 1), "what was told before the loss is whole and in order"
    assert c.put(b"/o/end", b"").status == OK
    rest = []
    while not rest or rest[-1] != b"/o/end":
        rest.append(slow.frame(WATCH).one[T_URI])
    assert rest[:-1] == [name + b"%d" % i for i in range(n + 1 - len(rest), n)], "it goes on behind what was lost, and leaves nothing out"
    print(f"{told} of {n} were told")


def cmd_old(path, n):
    """N: a position that is not held any more: LOST, then what is held."""
    w = Watch(path, b"/old/")
    at = (w.epoch, w.pos)
    w.close()
    c = Ext(path)
    long = b"/old/" + b"l" * 4000
    for i in range(int(n)):  # more than the supervisor keeps
        assert c.put(long + b"%d" % i, b"", 1).status == OK
    w = Watch(path, b"/old/", at)
    assert w.next()[0] == LOST
    rest = []
    while not rest or rest[-1] != long + b"%d" % (int(n) - 1):
        kind, uri, _ = w.next()
        assert kind == PUT
        rest.append(uri)
    assert 0 < len(rest) < int(n)
    assert rest == [long + b"%d" % i for i in range(int(n) - len(rest), int(n))]
    print(f"{len(rest)} of {n} were still held")


def cmd_filtered(path, seen, hidden):
    """SEEN HIDDEN: prefixes that the rules let us list, and do not. Prints a line when it watches; the other side then writes."""
    w = Watch(path)
    assert w.status == OK
    print("begun", flush=True)
    got = []
    while not got or got[-1] != seen.encode() + b"/end":
        kind, uri, _ = w.next()
        got.append(uri)
    assert all(u.startswith(seen.encode()) for u in got), got
    assert len(got) == 4, got


def cmd_denied(path):
    """No right to list anything."""
    w = Watch(path)
    assert w.status == DENIED, w.status


COMMANDS = {"basics": cmd_basics, "order": cmd_order, "resume": cmd_resume, "here": cmd_here, "gone": cmd_gone, "overflow": cmd_overflow,
            "old": cmd_old, "filtered": cmd_filtered, "denied": cmd_denied}

if __name__ == "__main__":
    sys.exit(COMMANDS[sys.argv[2]](sys.argv[1], *sys.argv[3:]) or 0)
