#!/usr/bin/env python3
"""Enemies of the daemon, and their victim.

Usage: hostile.py SOCKET ATTACK [ARGUMENT]...   (see ATTACKS at the end)
An attack says "in position" on standard output when it is, and holds until it is killed, or ends by itself.
"""
import os
import random
import resource
import select
import signal
import socket
import struct
import sys
import time

import ext
from ext import Ext, Lost, tlv
from v1v2 import COPY, FD, OK, SPLICE, V1, V2, Closed, connect, expect

CORPUS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../fuzz/corpus/conn")


def in_position(text=""):
    print("in position", text, flush=True)


def hold():
    in_position()
    while True:
        signal.pause()


def v1_request(uri, mode=FD):
    return mode + struct.pack(">H", len(uri)) + uri


def push(sock, data, seconds=0.5):
    """Write without ever reading, until nothing has been taken for so long; how much was taken."""
    sock.setblocking(False)
    sent = 0
    poll = select.poll()
    poll.register(sock, select.POLLOUT)
    while sent < len(data) and poll.poll(seconds * 1000):
        try:
            sent += sock.send(data[sent:sent + 65536])
        except BlockingIOError:
            pass
        except OSError:
            break
    return sent


# ---------------------------------------------------------------- the victim

def victim(path, uri, want, count):
    """URI CONTENT COUNT: gets, on old and new connections, in every mode: each must be answered, and with these bytes."""
    uri, want, old, took = os.fsencode(uri), want.encode(), (V1(path), V2(path)), []
    for i in range(int(count)):
        t = time.monotonic()
        if i % 4 == 0:
            c = (V1, V2)[i // 4 % 2](path)
        else:
            c = old[i % 2]
        r = c.get(uri, (FD, COPY, FD, SPLICE)[i % 4])
        expect(r.status, OK, f"get {i} ({r.text()})")
        expect(r.take(), want, f"get {i}")
        took.append(time.monotonic() - t)
        if i % 4 == 0:
            c.close()
    took.sort()
    print("victim: %d answers, ms: median %.2f, p99 %.2f, max %.2f" %
          (len(took), took[len(took) // 2] * 1e3, took[len(took) * 99 // 100] * 1e3, took[-1] * 1e3))


# ---------------------------------------------------------------- attacks that hold

def flood(path, uri, conns, requests):
    """URI CONNECTIONS REQUESTS: pipelined requests for descriptors, none ever read."""
    uri, socks, sent = os.fsencode(uri), [], 0
    for i in range(int(conns)):
        if i % 2:
            c = V2(path, caps=0x0103, pipeline=0)
            data = b"".join(struct.pack(">BIB", 1, k, 0) + v1_request(uri) for k in range(int(requests)))
        else:
            c = V1(path)
            data = v1_request(uri) * int(requests)
        sent += push(c.sock, data)
        socks.append(c)
    print("flood: %d bytes of requests were taken" % sent)
    hold()


def crowd(path, count):
    """COUNT: connections that say nothing."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    socks = []
    for _ in range(int(count)):
        try:
            socks.append(connect(path))
        except OSError as e:
            print("crowd: %d connections, then %s" % (len(socks), e), flush=True)
            break
    poll = select.poll()
    for s in socks:
        poll.register(s, select.POLLIN)
    time.sleep(0.5)
    open_now = len(socks) - len(poll.poll(0))
    print("crowd: %d of %d stay open" % (open_now, len(socks)), flush=True)
    hold()


def audience(path, uri, want, count):
    """URI CONTENT COUNT: connections that get an object each, and stay; all of them answer again when told to (a byte)."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    uri, want, conns = os.fsencode(uri), want.encode(), []
    for i in range(int(count)):
        c = (V1, V2)[i % 2](path)
        expect(c.get(uri, (FD, COPY)[i // 2 % 2]).take(), want, f"connection {i}")
        conns.append(c)
    print("audience: %d connections, each of them answered" % len(conns))
    in_position()
    os.read(0, 1)
    for i, c in enumerate(conns):
        expect(c.get(uri, COPY).take(), want, f"connection {i}, again")
    print("still there", flush=True)
    hold()


def trickle(path, count):
    """COUNT: connections that send half a request, a byte at a time."""
    socks = [connect(path) for _ in range(int(count))]
    data = [b"OBJM\x02\xff\xff\x00\x00" + struct.pack(">BIB", 1, 1, 0) + v1_request(b"/" + b"t" * 200),
            v1_request(b"/" + b"t" * 200)]
    in_position()
    for at in range(150):
        for i, s in enumerate(socks):
            try:
                s.send(data[i % 2][at:at + 1])
            except OSError:
                pass
        time.sleep(1.0)
    hold()


def stop_reading(path, uri, count):
    """URI COUNT: readers of a large object, in both modes, that stop after a byte."""
    socks = []
    for i in range(int(count)):
        c = V1(path)
        c.send(os.fsencode(uri), (COPY, SPLICE)[i % 2])
        c.sock.recv(20)
        socks.append(c)
    hold()


def sessions(path, count):
    """COUNT: puts that begin and go no further: past its share a peer is told so."""
    c, n, said = Ext(path), 0, ""
    for i in range(int(count)):
        f, _, fd = c.begin(b"/hold/%d" % i)
        if f.status == OK:
            n += 1
            os.close(fd)
        else:
            said = f.text()
            assert f.status in (0x46, 0x47), f"status {f.status:#x}: {said}"
    print("sessions: %d open; %s" % (n, said))
    hold()


def uninvited(path, uri):
    """URI: descriptors that nobody asked for: files, pipes, the connection itself, one whose close takes long."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    refused = 0
    for i in range(200):
        slow = socket.create_connection(listener.getsockname())
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 5))
        push(slow, b"x" * 10_000_000, 0.001)  # its close waits for this to be read
        c = V1(path)
        try:
            socket.send_fds(c.sock, [v1_request(os.fsencode(uri))], [slow.fileno(), 0, 1, c.sock.fileno()] + [2] * (i % 200))
            r = c.recv()
            expect(r.status, OK, "a request with uninvited descriptors")
            r.close()
        except PermissionError:
            refused += 1  # the kernel refuses them: SO_PASSRIGHTS
        slow.close()
        c.close()
        if refused and i > 10:
            break
    print("uninvited: %d refused by the kernel" % refused)


# ---------------------------------------------------------------- attacks that end

def pieces(seed):
    """What a seed of conn_fuzz writes: see tests/fuzz/conn_fuzz.c."""
    out, at = [], 1
    while at < len(seed):
        op = seed[at]
        at += 1
        n = 0
        if op < 220:
            n = op + 1 if op < 200 else 16
        elif 230 <= op < 240 and at + 2 <= len(seed):
            n = struct.unpack_from(">H", seed, at)[0]
            at += 2
        out.append(seed[at:at + n])
        at += n
    return b"".join(out)


def mutate(rng, data):
    """Truncated, repeated, reordered, damaged."""
    data = bytearray(data)
    for _ in range(rng.randrange(1, 4)):
        if len(data) < 2:
            break
        a, b = sorted((rng.randrange(len(data)), rng.randrange(len(data))))
        b = min(b, a + rng.choice((1, 2, 4, 30, 1000)))
        what = rng.randrange(5)
        if what == 0:
            del data[a:b]
        elif what == 1:
            data[a:a] = data[a:b]
        elif what == 2:
            piece = data[a:b]
            del data[a:b]
            at = rng.randrange(len(data) + 1)
            data[at:at] = piece
        elif what == 3:
            data[a] = rng.choice((0, 1, 0x7f, 0x80, 0xff, rng.randrange(256)))
        else:
            del data[a:]
    return bytes(data)


def garbage(path, count, seed):
    """COUNT SEED: connections with good streams that were spoilt; half of them shut one direction down."""
    rng = random.Random(int(seed))
    seeds = []
    for name in sorted(os.listdir(CORPUS)):
        with open(os.path.join(CORPUS, name), "rb") as f:
            seeds.append(pieces(f.read()))
    closed = 0
    for i in range(int(count)):
        s = connect(path)
        push(s, mutate(rng, rng.choice(seeds)), 0.02)
        if i % 3 == 0:
            s.shutdown(socket.SHUT_WR)
            s.setblocking(True)
            s.settimeout(20)
            try:
                while socket.recv_fds(s, 1 << 20, 0)[0]:  # with no room for them, descriptors are dropped by the kernel
                    pass
                closed += 1
            except ConnectionResetError:
                closed += 1
        elif i % 3 == 1:
            s.shutdown(socket.SHUT_RD)
        s.close()
    print("garbage: %s connections, %d were answered to the end" % (count, closed))


def half_close(path, uri, want):
    """URI CONTENT: one direction shut down, each way."""
    uri = os.fsencode(uri)
    for version in (V1, V2):
        for _ in range(20):
            c = version(path)
            for _ in range(30):
                c.send(uri)
            c.sock.shutdown(socket.SHUT_WR)
            for _ in range(30):  # what was asked is answered all the same
                expect(c.recv().take(), want.encode(), "an answer behind the end of the requests")
            expect(c.sock.recv(1), b"", "then the end")
            c.close()
            c = version(path)
            for _ in range(30):
                c.send(uri)
            c.sock.shutdown(socket.SHUT_RD)
            try:
                for _ in range(1000):
                    c.send(uri)
            except OSError:
                pass
            c.close()


def die(path, point, i):
    """A child that dies in the middle of a put."""
    uri = b"/dead/%d" % i
    c = Ext(path)
    if point == 0:  # begun, the answer unread
        c.sock.sendall(struct.pack(">BBBBHHIIQ", 0x10, ext.BEGIN, 0, 0, 0, 0, 1, 4 + len(uri), 0) + tlv(ext.T_URI, uri))
    elif point == 1:  # in the middle of an inline payload
        c.sock.sendall(struct.pack(">BBBBHHIIQ", 0x10, ext.INLINE, 0, 0, 0, 0, 1, 4 + len(uri), 10000) + tlv(ext.T_URI, uri) + b"x" * 5000)
    else:
        _, session, fd = c.begin(uri, 1 << 20)
        if point >= 3:
            os.write(fd, b"half")
        if point >= 4:
            os.close(fd)
        if point == 5:  # committed, the answer unread; it may be there then
            c.sock.sendall(struct.pack(">BBBBHHIIQ", 0x10, ext.COMMIT, 0, 0, 0, 0, 9, 8, 0) + tlv(ext.T_SESSION, session))
    os.kill(os.getpid(), signal.SIGKILL)


def deaths(path, count):
    """COUNT: writers killed at every point of a put. None leaves half an object, used bytes go back."""
    count = int(count)
    for i in range(count):
        pid = os.fork()
        if pid == 0:
            die(path, i % 6, i)
        _, status = os.waitpid(pid, 0)
        assert os.WIFSIGNALED(status), f"the writer ended by itself, {status}"
    c = Ext(path)
    for uri in c.list(b"/dead/"):
        i = int(uri.rsplit(b"/", 1)[1])
        status, data = c.read(uri)
        assert i % 6 == 5 and data == b"half", f"{uri} exists: killed at point {i % 6}, {data!r}"
        c.call(ext.DELETE, tlv(ext.T_URI, uri))


ATTACKS = {"victim": victim, "flood": flood, "crowd": crowd, "audience": audience, "trickle": trickle, "stop_reading": stop_reading, "sessions": sessions,
           "uninvited": uninvited, "garbage": garbage, "half_close": half_close, "deaths": deaths}

if __name__ == "__main__":
    try:
        sys.exit(ATTACKS[sys.argv[2]](sys.argv[1], *sys.argv[3:]) or 0)
    except (Closed, Lost) as e:
        sys.exit(f"{sys.argv[2]}: {e}")
