#!/usr/bin/env python3
"""Limits, gone past: a client of the extension.

Usage: limits.py SOCKET COMMAND [ARGUMENT]...   (see COMMANDS at the end)
"""
import os
import socket
import struct
import sys
import time

from ext import (BEGIN, GET, LIMIT, OK, PING, T_URI, Ext, Lost, tlv, tlvs)


def cmd_connections(path, n):
    """N: so many connections are served, whichever worker they come to; the next is told the limit and closed; one that ends makes room."""
    n, held = int(n), []
    for _ in range(n):
        c = Ext(path)
        assert c.call(PING)[0].status == OK
        held.append(c)
    for _ in range(3):
        c = Ext(path)
        f = c.call(PING)[0]
        assert f.status == LIMIT and "limits.connections" in f.text(), (f.status, f.text())
        try:
            c.need(1)
            raise AssertionError("it was not closed")
        except Lost:
            pass
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)  # version 1: the nearest code, and the text
    s.settimeout(20)
    s.connect(path)
    s.sendall(b"1\0\2/a")
    data = b""
    while more := s.recv(4096):
        data += more
    assert data[0] == 0x14 and b"limits.connections" in data, data
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)  # one that says nothing is closed all the same
    s.settimeout(20)
    s.connect(path)
    assert s.recv(1) == b""
    for c in held:
        assert c.call(PING)[0].status == OK, "those that are served stay"
    held.pop().close()
    end = time.monotonic() + 20
    while True:
        try:
            c = Ext(path)
            if c.call(PING)[0].status == OK:
                break
        except Lost:
            pass
        assert time.monotonic() < end, "no room after one has ended"
        time.sleep(0.02)


def cmd_served(path, n, slowly=0):
    """N SLOWLY: so many are served at once; the last SLOWLY of them come one at a time, each when the one before is served, and not at once."""
    held = [Ext(path) for _ in range(int(n) - int(slowly))]
    for _ in range(int(slowly)):
        time.sleep(0.15)
        held.append(Ext(path, timeout=20))
    for c in held:
        assert c.call(PING)[0].status == OK
    print("held", flush=True)
    sys.stdin.readline()


def cmd_sessions(path, n):
    """N: so many puts can be open, over several connections; the next is told the limit; one that ends makes room."""
    n = int(n)
    conns = [Ext(path) for _ in range(6)]
    opened = []
    for i in range(n):
        f, session, fd = conns[i % 6].begin(b"/s/%d" % i, 1000)
        assert f.status == OK, (i, f.text())
        opened.append((conns[i % 6], session, fd))
    for c in conns:
        f = c.begin(b"/s/more", 1000)[0]
        assert f.status == LIMIT and "limits.put_sessions" in f.text(), (f.status, f.text())
    c, session, fd = opened.pop()
    os.write(fd, b"x")
    os.close(fd)
    assert c.commit(session).status == OK
    c, session, fd = opened.pop()
    os.close(fd)
    assert c.call(5, tlv(16, session))[0].status == OK
    again = 0
    end = time.monotonic() + 20
    while again < 2 and time.monotonic() < end:
        f, session, fd = conns[again].begin(b"/s/again", 1000)
        if f.status == OK:
            again += 1
        else:
            time.sleep(0.02)
    assert again == 2, "no room after two have ended"
    assert conns[0].begin(b"/s/more", 1000)[0].status == LIMIT
    for c in conns:  # a connection that ends aborts its puts
        c.close()
    end = time.monotonic() + 20
    c = Ext(path)
    while True:
        got = [c.begin(b"/s/last%d" % i, 10) for i in range(n)]
        if all(f.status == OK for f, _, _ in got):
            break
        for f, session, fd in got:
            if f.status == OK:
                os.close(fd)
                c.call(5, tlv(16, session))
        assert time.monotonic() < end, "puts of connections that are gone still count"
        time.sleep(0.05)


def cmd_watches(path, n):
    """N: so many watches, over as many connections; the next is told the limit, and the connection goes on; one that ends makes room."""
    from watch import Watch
    n = int(n)
    held = [Watch(path, b"/w/%d" % i) for i in range(n)]
    assert all(w.status == OK for w in held)
    for _ in range(5):
        w = Watch(path, b"/w/")
        assert w.status == LIMIT and "limits.watches_per_uid" in w.error, (w.status, w.error)
        assert w.call(PING)[0].status == OK
        w.close()
    assert Ext(path).put(b"/w/0", b"x").status == OK
    assert held[0].next()[1] == b"/w/0"
    held.pop().close()
    end = time.monotonic() + 20
    while (w := Watch(path, b"/w/")).status != OK:
        assert time.monotonic() < end, "no room after one has ended"
        w.close()
        time.sleep(0.02)


def cmd_page(path, n):
    """N: limits.list_page."""
    c = Ext(path)
    for i in range(int(n) + 5):
        assert c.put(b"/page/%d" % i, b"", 1).status == OK
    frames = c.call(8, tlv(12, b"/page/"), tlv(15, struct.pack(">I", 1000)))
    names = sum(tag == 22 for f in frames for tag, _ in f.tlvs)
    assert names == int(n), names
    assert len(list(c.list(b"/page/"))) == int(n) + 5
    f = c.call(12, tlv(25, b"\1"))[0]
    assert struct.unpack_from(">I", f.one[27], 8)[0] == int(n), "LIMITS tells it"


def cmd_lists(path, n):
    """N: so many listings are asked for and not read until a line comes on standard input; then each is there, and goes on."""
    c, n = Ext(path), int(n)
    names = [b"/lists/%04d/" % i + b"x" * 1000 for i in range(1200)]
    for name in names:
        assert c.put(name, b"").status == OK
    body = tlv(12, b"/lists/")
    c.sock.sendall(b"".join(struct.pack(">BBBBHHIIQ", 0x10, 8, 0, 0, 0, 0, i, len(body), 0) + body for i in range(n)))
    print("asked", flush=True)
    sys.stdin.readline()
    following = {}
    while len(following) < n:
        _, op, status, _, flags, ident, tlv_len = struct.unpack(">BBBBHxxII8x", c.need(24))
        assert op == 0x88 and status == OK
        last = tlvs(c.need(tlv_len))[-1:]
        if not flags & 1:
            following[ident] = last and last[0][0] == 24
    assert all(following.values()), "none was whole in one page"
    assert list(c.list(b"/lists/")) == names


def cmd_frame(path, limit):
    """LIMIT: limits.frame_bytes: a request with more TLVs is told so, and the connection goes on."""
    c = Ext(path)
    limit = int(limit)
    body = b"".join(tlv(T_URI, b"u" * 4000) for _ in range(limit // 4004 + 1))
    assert len(body) > limit
    f = c.call(GET, body)[0]
    assert f.status == 0x45, (f.status, f.text())
    assert c.call(PING)[0].status == OK
    assert c.put(b"/frame", bytes(limit + 1)).status == 0x45, "an inline put of more"
    assert c.call(PING)[0].status == OK


def cmd_fill(path, prefix, size, upto):
    """PREFIX SIZE UPTO: inline puts of SIZE bytes until one is refused: exactly UPTO are taken, and the text names the limit."""
    c, size, upto = Ext(path), int(size), int(upto)
    for i in range(upto):
        f = c.put(f"{prefix}{i}".encode(), bytes(size))
        assert f.status == OK, (i, f.status, f.text())
    for _ in range(3):
        f = c.put(f"{prefix}more".encode(), bytes(size))
        assert f.status == LIMIT and "_per_uid" in f.text(), (f.status, f.text())
    assert c.read(f"{prefix}more".encode())[0] == 1, "it is not there"
    # a session: refused at its commit, and the connection goes on; one that could never fit already when it begins
    f, session, fd = c.begin(f"{prefix}session".encode())
    assert f.status == OK, f.text()
    os.write(fd, bytes(size))
    os.close(fd)
    f = c.commit(session)
    assert f.status == LIMIT and "_per_uid" in f.text(), (f.status, f.text())
    assert c.call(PING)[0].status == OK


def cmd_replace(path, prefix, size, n):
    """PREFIX SIZE N: each of one's own objects again, at the limit, alone and in a pipeline."""
    c, size = Ext(path), int(size)
    for i in range(int(n)):
        f = c.put(f"{prefix}{i}".encode(), bytes(size))
        assert f.status == OK, (i, f.status, f.text())
    conns = [Ext(path) for _ in range(4)]
    for i in range(int(n)):
        k = conns[i % 4]
        k.ident += 1
        body = tlv(T_URI, f"{prefix}{i}".encode())
        k.sock.sendall(struct.pack(">BBBBHHIIQ", 0x10, 6, 0, 0, 0, 0, k.ident, len(body), size) + body + bytes(size))
        f = k.frame(6)
        assert f.status == OK, (i, f.status, f.text())


def cmd_race(path, prefix, size, upto):
    """PREFIX SIZE UPTO: eight connections put what they can, at once: exactly UPTO are taken."""
    import threading
    size, taken, bad = int(size), [], []

    def one(k):
        try:
            c = Ext(path)
            for i in range(int(upto)):
                f = c.put(f"{prefix}{k}/{i}".encode(), bytes(size))
                if f.status == OK:
                    taken.append(1)
                elif f.status != LIMIT:
                    bad.append((f.status, f.text()))
        except Exception as e:  # noqa: BLE001
            bad.append(repr(e))

    threads = [threading.Thread(target=one, args=(k,)) for k in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not bad, bad
    assert len(taken) == int(upto), len(taken)


def cmd_churn(path, prefix, size):
    """PREFIX SIZE: puts, replaces and deletes until the server is gone; whatever is refused is refused for the limit."""
    try:
        c, i = Ext(path), 0
        while True:
            i += 1
            f = c.put(f"{prefix}{i * 7 % 40}".encode(), bytes(int(size)))
            assert f.status in (OK, LIMIT, 0x14), (f.status, f.text())
            if i % 3 == 0:
                c.call(7, tlv(T_URI, f"{prefix}{i * 5 % 40}".encode()))
    except Lost:
        pass


COMMANDS = {"fill": cmd_fill, "replace": cmd_replace, "race": cmd_race, "churn": cmd_churn, "connections": cmd_connections, "served": cmd_served, "sessions": cmd_sessions, "watches": cmd_watches, "page": cmd_page, "lists": cmd_lists, "frame": cmd_frame}

if __name__ == "__main__":
    sys.exit(COMMANDS[sys.argv[2]](sys.argv[1], *sys.argv[3:]) or 0)
