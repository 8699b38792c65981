#!/usr/bin/env python3
"""Compressed answers (doc/protocol.md, 4.6), read by a client written from that page; zstd is the system's library.

Usage: zblocks.py ADDRESS:PORT COMMAND [ARGUMENT]...   (see COMMANDS at the end)
"""
import ctypes
import os
import resource
import socket
import struct
import sys
import time

import ext
from v1v2 import COPY, OK, SPLICE, V2, expect

CAPS = 0x0107
BLOCK_MAX = 131072
META_CODING, T_RANGE, T_CODING = 9, 11, 31

_zstd = ctypes.CDLL("libzstd.so.1")
_zstd.ZSTD_decompress.restype = ctypes.c_size_t
_zstd.ZSTD_decompress.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t]


def unzstd(frame, raw):
    out = ctypes.create_string_buffer(raw)
    n = _zstd.ZSTD_decompress(out, raw, frame, len(frame))
    assert n == raw, f"a frame of {len(frame)} bytes gives {n}, not {raw}"
    return out.raw[:raw]


def blocks(read, size):
    """The blocks of `size` bytes: the object's bytes, and how many they were on the wire."""
    out, wire, due = [], 0, size
    while due:
        n, raw = struct.unpack(">II", read(8))
        assert 0 < n <= raw <= due, f"block of {n} bytes, {raw} of {due}"
        data = read(n)
        if n < raw:
            assert raw <= BLOCK_MAX
            data = unzstd(data, raw)
        out.append(data)
        due -= raw
        wire += 8 + n
    return b"".join(out), wire


class Z2(V2):
    """Version 2, compression asked for. `wire`: bytes of the last content on the wire."""

    def __init__(self, path, caps=CAPS, **more):
        super().__init__(path, caps=caps, **more)
        self.file = self.sock.makefile("rb", 1 << 18)

    def read(self, n):
        if not hasattr(self, "file"):
            return super().read(n)
        data = self.file.read(n)
        assert len(data) == n, "end of stream"
        return data

    def body(self, resp, size):
        self.coded = META_CODING in resp.meta
        self.wire = size
        if not self.coded:
            return super().body(resp, size)
        assert resp.status == OK and resp.meta[META_CODING] == b"\1"
        assert struct.unpack(">Q", resp.meta[1])[0] == size, "size is the object's"
        resp.content, self.wire = blocks(self.read, size)
        return resp


class ZExt(ext.Ext):
    """The extension over TCP; copies alone."""

    def __init__(self, path):
        self.sock = socket.create_connection(path.rsplit(":", 1), 60)
        self.file, self.ident = self.sock.makefile("rb", 1 << 18), 0
        self.sock.sendall(b"OBJM" + struct.pack(">BHH", 2, CAPS, 64))
        self.caps = struct.unpack(">4sBHHB", self.file.read(10))[2]

    def copy(self, uri, off=None, length=0):
        body = ext.tlv(1, uri)
        if off is not None:
            body += ext.tlv(T_RANGE, struct.pack(">QQ", off, length))
        self.ident += 1
        self.sock.sendall(struct.pack(">BBBBHHIIQ", 0x10, 1, 0, 0, 0x10, 0, self.ident, len(body), 0) + body)
        kind, op, status, nfds, _, _, ident, tlv_len, payload = struct.unpack(">BBBBHHIIQ", self.file.read(24))
        assert (kind, op, nfds, ident) == (0x10, 0x81, 0, self.ident)
        tags = dict(ext.tlvs(self.file.read(tlv_len)))
        if T_CODING not in tags:
            return status, tags, self.file.read(payload), payload
        assert tags[T_CODING] == b"\1"
        data, wire = blocks(self.file.read, payload)
        return status, tags, data, wire


def cmd_same(addr, directory, *compressed):
    """DIRECTORY NAME...: its files were put under /z/; every way gives them, and those named come compressed, no others."""
    c, x, plain = Z2(addr), ZExt(addr), V2(addr)
    expect((c.caps & 4, x.caps & 4), (4, 4), "granted")
    for name in sorted(os.listdir(directory)):
        with open(os.path.join(directory, name), "rb") as f:
            want = f.read()
        uri = b"/z/" + os.fsencode(name)
        r = c.get(uri, COPY)
        expect(r.take() == want, True, f"version 2: {name}")
        expect(c.coded, name in compressed, f"{name}: compressed")
        if c.coded:
            print(f"{name}: {len(want)} bytes are {c.wire} on the wire")
            assert c.wire < len(want) * 7 // 8
        expect(c.get(uri, SPLICE).take() == want and not c.coded, True, f"splice: {name}")
        status, tags, data, wire = x.copy(uri)
        expect((status, data == want, T_CODING in tags), (OK, True, name in compressed), f"the extension: {name}")
        expect(plain.get(uri, COPY).take() == want, True, f"without compression: {name}")
        for off in (1, len(want) // 2, len(want) - 10000, len(want)):
            if not 0 <= off <= len(want):
                continue
            status, tags, data, wire = x.copy(uri, off, 300000)
            expect((status, data == want[off:off + 300000]), (OK, True), f"{name} from {off}")
            expect(struct.unpack(">QQ", tags[T_RANGE]), (off, len(data)), "the range that is delivered")
    # many at once, in order and out of it
    sent = {}
    for i in range(60):
        name = compressed[i % len(compressed)]
        sent[c.send(b"/z/" + os.fsencode(name), COPY, i % 2)] = name
    for _ in range(60):
        r = c.recv()
        with open(os.path.join(directory, sent.pop(r.id)), "rb") as f:
            expect(r.take() == f.read(), True, "one of many")
    expect(c.leave(), 0, "outstanding")


def cmd_granted(addr, unix, want):
    """UNIX_SOCKET yes|no: who gets the capability."""
    expect(V2(addr, caps=0xffff).caps & 4, 4 if want == "yes" else 0, "on TCP with the extension")
    expect(V2(addr, caps=0x0007).caps & 4, 0, "without the extension")
    expect(V2(unix, caps=0xffff).caps & 4, 0, "on a Unix socket")


def stuck(addr, uri, count):
    """Connections that ask for much and read nothing."""
    out = []
    for _ in range(count):
        c = Z2(addr)
        for _ in range(32):
            c.send(uri, COPY)
        out.append(c)
    return out


def cmd_unread(addr, uri, other, workers, *pids):
    """URI OTHER WORKERS PID...: 100 connections pipeline 32 compressed answers each and read nothing: the workers' memory, and
    what they spend, ends; OTHER is answered meanwhile."""
    def cpu():
        total = 0
        for pid in pids:
            with open(f"/proc/{pid}/stat") as f:
                fields = f.read().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        return total / os.sysconf("SC_CLK_TCK")

    def rss():
        total = 0
        for pid in pids:
            with open(f"/proc/{pid}/statm") as f:
                total += int(f.read().split()[1])
        return total * resource.getpagesize() // 1024

    resource.setrlimit(resource.RLIMIT_NOFILE, (2048, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    before = rss()
    held = stuck(addr, os.fsencode(uri), 100)
    small = V2(addr)
    for _ in range(200):
        expect(small.get(os.fsencode(other), COPY).status, OK, "another connection")
    deadline = time.monotonic() + 60
    while True:  # they come to rest: nothing is made that nobody takes
        spent = cpu()
        time.sleep(0.5)
        if cpu() - spent < 0.1:
            break
        assert time.monotonic() < deadline, "the workers go on working for peers that do not read"
    grown = rss() - before
    print(f"100 connections that read nothing: {grown} KiB more memory in {len(pids)} workers")
    most = 100 * 1024  # of 100 x 32 answers of 8 MB
    if "ASAN_OPTIONS" in os.environ:
        most += len(pids) * 300 * 1024  # it keeps 256 MiB of what was freed in each process
    assert grown < most, grown
    r = held[0].recv()
    expect(r.status, OK, "one of them reads after all")
    for c in held:
        c.close()


COMMANDS = {"same": cmd_same, "granted": cmd_granted, "unread": cmd_unread}

if __name__ == "__main__":
    sys.exit(COMMANDS[sys.argv[2]](sys.argv[1], *sys.argv[3:]) or 0)
