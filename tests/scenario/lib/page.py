#!/usr/bin/env python3
"""The requests of doc/protocol.md, byte for byte, against a daemon: the answers must be those that the page shows, but for
numbers that are the installation's own. Nothing of the codec, or of the other clients here, is used.

Usage: page.py SOCKET ADDRESS:PORT PAGE
"""
import ctypes
import os
import re
import socket
import struct
import sys

URI, OBJ, META, TIER_NAME, SESSION, ERROR_TEXT, NEXT = 1, 2, 4, 5, 16, 20, 24
MORE = 0x0001


def dumps(page):
    out = {}
    for name, body in re.findall(r"^```hex (\S+)\n(.*?)^```", page, re.M | re.S):
        raw = b""
        for line in body.splitlines():
            offset, rest = line.split(None, 1)
            assert int(offset, 16) == len(raw), f"{name}: offset {offset}"
            raw += bytes.fromhex(rest.split(";")[0])
        out[name] = raw
    return out


class Stream:
    """Bytes, and the queue of descriptors that came with them."""

    def __init__(self, path):
        if "/" in path:
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.settimeout(30)
            self.sock.connect(path)
        else:
            host, port = path.rsplit(":", 1)
            self.sock = socket.create_connection((host, int(port)), 30)
        self.buf, self.fds = b"", []

    def read(self, n):
        while len(self.buf) < n:
            data, fds, flags, _ = socket.recv_fds(self.sock, 65536, 253) if self.sock.family == socket.AF_UNIX else (self.sock.recv(65536), [], 0, 0)
            assert data, "the server has closed"
            assert not flags & socket.MSG_CTRUNC
            self.buf += data
            self.fds += fds
        out, self.buf = self.buf[:n], self.buf[n:]
        return out

    def fd(self):
        return self.fds.pop(0)


def tlvs(raw):
    out, at = [], 0
    while at < len(raw):
        tag, n = struct.unpack_from(">HH", raw, at)
        out.append((tag, raw[at + 4:at + 4 + n]))
        at += 4 + n
    return out


def frame(read):
    """A frame of the extension (7.1)."""
    kind, op, status, nfds, flags, zero, ident, tlv_len, payload_len = struct.unpack(">BBBBHHIIQ", read(24))
    assert kind == 0x10 and zero == 0, "the header of a frame"
    return {"op": op, "status": status, "nfds": nfds, "flags": flags, "id": ident, "tlvs": tlvs(read(tlv_len)), "payload": read(payload_len)}


def reader(raw):
    at = [0]

    def read(n):
        out = raw[at[0]:at[0] + n]
        at[0] += n
        assert len(out) == n, "a dump is short"
        return out
    return read


class Page:
    def __init__(self, path, page):
        self.dump, self.path, self.seen = dumps(page), path, set()

    def bytes(self, name):
        self.seen.add(name)
        return self.dump[name]

    def ext(self, s, name, patch=None, more=(), answer=None):
        """Send the request, compare the answer. more: tags that a real answer may have beside those shown."""
        raw = bytearray(self.bytes(name))
        if patch:
            raw[patch[0]:patch[0] + len(patch[1])] = patch[1]
        s.sock.sendall(raw)
        return self.answered(s, answer or name + "-answer", more)

    def answered(self, s, name, more=()):
        want, got = frame(reader(self.bytes(name))), frame(s.read)
        for field in ("op", "status", "nfds", "flags", "id"):
            assert want[field] == got[field], f"{name}: {field} {got[field]:#x}, the page shows {want[field]:#x}: {got}"
        tags = {t for t, _ in got["tlvs"]} - set(more)
        assert tags == {t for t, _ in want["tlvs"]} - set(more), f"{name}: TLVs {tags}, the page shows {[t for t, _ in want['tlvs']]}"
        for tag, data in want["tlvs"]:
            if tag not in (ERROR_TEXT, TIER_NAME, NEXT, 6, 22, 23):  # texts, and what is nested, have lengths of their own
                mine = next(d for t, d in got["tlvs"] if t == tag)
                assert len(mine) == len(data), f"{name}: TLV {tag} has {len(mine)} bytes"
        assert bool(want["payload"]) == bool(got["payload"]), f"{name}: payload"
        fds = [s.fd() for _ in range(got["nfds"])]
        return got, dict(reversed(got["tlvs"])), fds

    def put(self, s, uri, data):
        """An inline PUT, made from the page's."""
        body = struct.pack(">HH", URI, len(uri)) + uri
        s.sock.sendall(self.bytes("put-inline")[:12] + struct.pack(">IQ", len(body), len(data)) + body + data)
        return frame(s.read)

    def hello(self, caps=None):
        s = Stream(self.path)
        raw = bytearray(self.bytes("hello"))
        if caps:
            raw[5:7] = struct.pack(">H", caps)
        s.sock.sendall(raw)
        ack, want = s.read(10), self.bytes("hello-ack")
        assert ack[:5] == want[:5] and ack[5:7] == bytes(raw[5:7]), f"HELLO_ACK {ack}"
        return s


def old_response(page, s, header, tail):
    """A response of version 1 or 2: header, metadata, then what belongs to it."""
    raw = s.read(header)
    status, content_len, meta_len = struct.unpack(">BQH", raw[-11:])
    meta = s.read(meta_len)
    at = 0
    while at < meta_len:
        at += 3 + struct.unpack_from(">H", meta, at + 1)[0]
    assert at == meta_len, "metadata"
    if status == 0 and content_len == 0:
        assert s.read(1) == page.bytes("fd-byte")
        return raw, os.pread(s.fd(), 1 << 20, 0)
    return raw, s.read(content_len)


def content(read, size):
    """The blocks of 4.6."""
    zstd = ctypes.CDLL("libzstd.so.1")
    zstd.ZSTD_decompress.restype = ctypes.c_size_t
    out = b""
    while len(out) < size:
        wire, raw = struct.unpack(">II", read(8))
        data = read(wire)
        assert 0 < wire <= raw <= size - len(out)
        if wire < raw:
            buf = ctypes.create_string_buffer(raw)
            assert zstd.ZSTD_decompress(buf, ctypes.c_size_t(raw), data, ctypes.c_size_t(wire)) == raw
            data = buf.raw[:raw]
        out += data
    return out


def compressed(p, addr, s):
    text = b"a" * 20000
    assert p.put(s, b"/text", text)["status"] == 0
    c = Stream(addr)
    c.sock.sendall(p.bytes("hello-compressed"))
    assert c.read(10)[:7] == p.bytes("hello-ack-compressed")[:7]
    c.sock.sendall(p.bytes("v2-request-compressed"))
    shown = reader(p.bytes("v2-response-compressed"))
    for read in (shown, c.read):
        head = read(16)
        assert head[:14] == p.bytes("v2-response-compressed")[:14], head
        meta, tags = reader(read(struct.unpack(">H", head[14:])[0])), set()
        try:
            while True:
                tag, n = struct.unpack(">BH", meta(3))
                tags.add((tag, meta(n)))
        except AssertionError:
            pass
        assert {(1, struct.pack(">Q", 20000)), (9, b"\1")} <= tags, tags
        assert content(read, 20000) == text
    c.sock.sendall(p.bytes("get-copy-compressed"))
    shown = reader(p.bytes("get-copy-compressed-answer"))
    for read in (shown, c.read):
        head = read(24)
        assert head == p.bytes("get-copy-compressed-answer")[:24], head
        body = read(struct.unpack(">I", head[12:16])[0])
        assert [(t, len(d)) for t, d in tlvs(body)] == [(OBJ, 64), (11, 16), (31, 1)] and tlvs(body)[2][1] == b"\1"
        assert content(read, 20000) == text


def main(path, addr, file):
    with open(file) as f:
        p = Page(path, f.read())
    logo = os.urandom(4096)
    s = p.hello()

    # a put in steps, and what it made
    _, tlv, (fd,) = p.ext(s, "put-begin")
    os.write(fd, logo)
    os.close(fd)
    _, tlv, _ = p.ext(s, "put-commit", patch=(28, tlv[SESSION]))
    version = struct.unpack_from(">Q", tlv[OBJ])[0]
    _, tlv, (fd,) = p.ext(s, "get", more=(META,))
    assert os.pread(fd, 5000, 0) == logo and struct.unpack_from(">Q", tlv[OBJ])[0] == version
    f, tlv, _ = p.ext(s, "get-copy")
    assert f["payload"] == logo[4090:]
    _, tlv, _ = p.ext(s, "stat")
    assert tlv[META] == b"\x05\x00\x02ownerme", tlv[META]
    assert p.put(s, b"/a", b"A")["status"] == 0
    s.sock.sendall(p.bytes("get-many"))
    first = s.sock.recv(1, socket.MSG_PEEK)  # whichever comes first has MORE
    assert first == b"\x10"
    _, _, (fd,) = p.answered(s, "get-many-answer-1")
    os.close(fd)
    p.answered(s, "get-many-answer-2")

    # versions 1 and 2
    s.sock.sendall(p.bytes("v2-request"))
    raw, content = old_response(p, s, 16, logo)
    assert raw[:6] == p.bytes("v2-response")[:6] and content == logo
    v1 = Stream(path)
    v1.sock.sendall(p.bytes("v1-request"))
    raw, content = old_response(p, v1, 11, logo)
    assert raw[:9] == p.bytes("v1-response")[:9] and content == logo
    v1.sock.sendall(b"2" + p.bytes("v1-request")[1:])
    raw, content = old_response(p, v1, 11, logo)
    assert raw[0] == p.bytes("v1-response-copy")[0] and content == logo
    v1.sock.sendall(b"1\x00\x05/none")
    raw, content = old_response(p, v1, 11, logo)
    assert raw[:9] == p.bytes("v1-error")[:9] and content == b""
    s.sock.sendall(p.bytes("v2-request")[:1] + b"\x00\x00\x00\x08\x00\x32" + struct.pack(">H", 5000) + b"u" * 5000)
    raw, content = old_response(p, s, 16, logo)
    assert raw[:14] == p.bytes("v2-error")[:14]

    # segmented
    seg = p.hello(0x0110)
    for ident, uri, want in ((9, b"/logo", logo), (11, b"/none", None)):
        seg.sock.sendall(struct.pack(">BIBcH", 1, ident, 0, b"4", len(uri)) + uri)
        shown = p.bytes("segmented" if want else "segmented-error")
        raw = seg.read(10)
        assert raw[:6] == shown[:6]
        count, meta_len = struct.unpack(">HH", raw[6:])
        seg.read(meta_len)
        assert want or count == 0
        heads = [struct.unpack(">BBHIQQQ", seg.read(32)) for _ in range(count)]
        got = [seg.read(h[3]) for h in heads if h[0] == 0]
        for h in heads:
            if h[0]:
                if not h[1] & 2:
                    assert seg.read(1) == b"X"
                    fd = seg.fd()
                got.append(os.pread(fd, h[6], h[5]))
        assert b"".join(got) == (want or b"")

    compressed(p, addr, s)

    # the other changes
    _, tlv, (fd,) = begin_again(p, s)
    os.close(fd)
    p.ext(s, "put-abort", patch=(28, tlv[SESSION]))
    p.ext(s, "set")
    p.ext(s, "delete", more=(OBJ,))  # of a version that is not there
    _, tlv, _ = p.ext(s, "put-inline", more=(TIER_NAME,))
    assert struct.unpack_from(">Q", tlv[OBJ])[0] > version
    for name in (b"/img/a", b"/img/b", b"/img/c/x", b"/img/d"):
        p.put(s, name, b"")
    _, tlv, _ = p.ext(s, "list", patch=(0x34, struct.pack(">I", 2)))  # two names, and there is more
    assert tlv[23] == b"/img/c/" and dict(tlvs(tlv[22]))[URI] == b"/img/b"
    p.ext(s, "attach")
    p.ext(s, "ping")
    s.sock.sendall(p.bytes("close"))
    assert s.read(6) == p.bytes("close-ack")
    assert s.sock.recv(1) == b""
    left = set(p.dump) - p.seen - {"segmented-reuse"}
    print("not tried:", " ".join(sorted(left)))


def begin_again(p, s):
    """PUT_BEGIN as on the page, without its COND (an object is there now)."""
    raw = p.bytes("put-begin")
    body = b"".join(struct.pack(">HH", t, len(d)) + d for t, d in tlvs(raw[24:]) if t != 10)
    s.sock.sendall(raw[:12] + struct.pack(">IQ", len(body), 0) + body)
    return p.answered(s, "put-begin-answer")


if __name__ == "__main__":
    main(*sys.argv[1:])
