#!/usr/bin/env python3
"""A client of protocol versions 1 and 2, written from the protocol's description alone: it shares no code with objmapper.

It behaves as clients in the field do: headers are read with plain reads (which would lose a descriptor that came along), then
exactly one byte with recvmsg. Objects are read from their descriptors sequentially, with read(2).

Usage: v1v2.py SOCKET COMMAND [ARGUMENT]...   (see COMMANDS at the end)
"""
import array
import hashlib
import os
import random
import socket
import struct
import sys
import threading
import time

FD, COPY, SPLICE = b"1", b"2", b"3"
OK, NOT_FOUND, INVALID_REQUEST, INVALID_MODE, URI_TOO_LONG, UNSUPPORTED = 0, 1, 2, 3, 4, 5
ORDERED, PRIORITY = 1, 2
TIMEOUT_S = 60


class Closed(Exception):
    """The server closed the connection."""


class Response:
    def __init__(self, ident, status, meta):
        self.id, self.status, self.meta = ident, status, meta
        self.fd, self.content = None, None

    def text(self):
        return self.meta.get(0xFF, b"").decode()

    def take(self):
        """The object's bytes, read the way an existing client does, and the descriptor closed."""
        if self.content is not None:
            return self.content
        parts = []
        while True:
            b = os.read(self.fd, 65536)
            if not b:
                break
            parts.append(b)
        self.close()
        return b"".join(parts)

    def close(self):
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None


def connect(path):
    """A Unix socket's path, or ADDRESS:PORT."""
    if "/" in path:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(TIMEOUT_S)
        sock.connect(path)
        return sock
    host, port = path.rsplit(":", 1)
    return socket.create_connection((host.strip("[]"), int(port)), TIMEOUT_S)


class Wire:
    def __init__(self, path):
        self.sock = connect(path)
        self.tcp = self.sock.family != socket.AF_UNIX

    def close(self):
        self.sock.close()

    def read(self, n):
        """Exactly n bytes, by plain reads."""
        out = b""
        while len(out) < n:
            b = self.sock.recv(n - len(out))
            if not b:
                raise Closed(f"end of stream, {len(out)} of {n} bytes")
            out += b
        return out

    def read_fd(self):
        """The descriptor byte: one byte, one descriptor."""
        room = array.array("i")
        data, ancillary, flags, _ = self.sock.recvmsg(1, socket.CMSG_SPACE(4 * room.itemsize))
        if data != b"X":
            raise Closed(f"no descriptor byte but {data!r}")
        assert not flags & socket.MSG_CTRUNC, "descriptors lost"
        for level, kind, payload in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                room.frombytes(payload)
        assert len(room) == 1, f"{len(room)} descriptors came with the byte"
        return room[0]

    def metadata(self, n):
        raw, out = self.read(n), {}
        at = 0
        while at < n:
            kind, size = struct.unpack_from(">BH", raw, at)
            assert at + 3 + size <= n, "metadata entry beyond the end"
            out[kind] = raw[at + 3:at + 3 + size]
            at += 3 + size
        return out

    def body(self, resp, size):
        if resp.status == OK and size == 0 and self.tcp:
            assert self.read(1) == b"X"
            resp.content = b""
        elif resp.status == OK and size == 0:
            resp.fd = self.read_fd()
        elif resp.status == OK:
            resp.content = self.read(size)
        else:
            assert size == 0, "an error with content"
        return resp


class V1(Wire):
    def send(self, uri, mode=FD):
        self.sock.sendall(mode + struct.pack(">H", len(uri)) + uri)

    def recv(self, mode=FD):
        status, size, meta_len = struct.unpack(">BQH", self.read(11))
        resp = Response(None, status, self.metadata(meta_len))
        assert mode != FD or size == 0, "content under fdpass"
        r = self.body(resp, size)
        if mode != FD and r.fd is not None:  # an empty object
            r.close()
            r.content = b""
        return r

    def get(self, uri, mode=FD):
        self.send(uri, mode)
        return self.recv(mode)


class V2(Wire):
    def __init__(self, path, caps=0x0003, pipeline=64):
        super().__init__(path)
        self.sock.sendall(b"OBJM" + struct.pack(">BHH", 2, caps, pipeline))
        magic, version, self.caps, self.pipeline, self.parallel = struct.unpack(">4sBHHB", self.read(10))
        assert magic == b"OBJM" and version == 2
        assert self.caps & ~caps == 0, "a capability that was not asked for"
        assert pipeline == 0 or 0 < self.pipeline <= pipeline
        self.next_id, self.modes = 1, {}

    def send(self, uri, mode=FD, flags=0):
        ident = self.next_id
        self.next_id += 1
        self.modes[ident] = mode
        self.sock.sendall(struct.pack(">BIB", 1, ident, flags) + mode + struct.pack(">H", len(uri)) + uri)
        return ident

    def recv(self):
        kind, ident, status, size, meta_len = struct.unpack(">BIBQH", self.read(16))
        assert kind == 2, f"message of type {kind}"
        mode = self.modes.pop(ident)
        assert mode != FD or size == 0, "content under fdpass"
        r = self.body(Response(ident, status, self.metadata(meta_len)), size)
        if mode != FD and r.fd is not None:
            r.close()
            r.content = b""
        return r

    def get(self, uri, mode=FD, flags=0):
        want = self.send(uri, mode, flags)
        r = self.recv()
        assert r.id == want
        return r

    def leave(self):
        self.sock.sendall(b"\x03\x00")
        kind, zero, outstanding = struct.unpack(">BBI", self.read(6))
        assert (kind, zero) == (4, 0), f"no CLOSE_ACK: {kind} {zero}"
        assert self.sock.recv(1) == b"", "bytes behind CLOSE_ACK"
        return outstanding


def expect(got, want, what):
    assert got == want, f"{what}: {got!r}, expected {want!r}"


# ---------------------------------------------------------------- commands

def cmd_get(path, version, mode, uri):
    """v1|v2 fd|copy|splice URI: the bytes on standard output; exit status is the response's status."""
    c = V1(path) if version == "v1" else V2(path)
    r = c.get(os.fsencode(uri), {"fd": FD, "copy": COPY, "splice": SPLICE}[mode])
    if r.status != OK:
        print(f"status {r.status:#04x}: {r.text()}", file=sys.stderr)
        return 100 + r.status
    sys.stdout.buffer.write(r.take())
    return 0


def cmd_same(path, uri, file):
    """URI FILE: every version and mode gives exactly FILE, size and modes included."""
    uri, want = os.fsencode(uri), open(file, "rb").read()
    for version in (V1, V2):
        for mode in (FD, COPY, SPLICE):
            c = version(path)
            for _ in range(2):  # the second one is served from the descriptor cache
                r = c.get(uri, mode)
                expect(r.status, OK, f"{version.__name__} {mode} status ({r.text()})")
                if 0x01 in r.meta:
                    expect(struct.unpack(">Q", r.meta[0x01])[0], len(want), "size in the metadata")
                if r.fd is not None:
                    import fcntl
                    expect(fcntl.fcntl(r.fd, fcntl.F_GETFL) & os.O_ACCMODE, os.O_RDONLY, "access mode")
                    expect(os.lseek(r.fd, 0, os.SEEK_CUR), 0, "offset")
                assert r.take() == want, f"{version.__name__} {mode}: other bytes"
            if version is V2:
                expect(c.leave(), 0, "outstanding")
            c.close()


def cmd_sequential(path, uri, file):
    """URI FILE: two descriptors of one object, read in turns with read(2), both give all of it (none shares an offset)."""
    uri, want = os.fsencode(uri), open(file, "rb").read()
    pairs = [(V1(path), V1(path)), (V2(path), V2(path)), (V1(path), V2(path))]
    one = V2(path)
    pairs.append((one, one))
    for a, b in pairs:
        ra, rb = a.get(uri), b.get(uri)
        step, got_a, got_b = max(1, len(want) // 97), b"", b""
        while True:
            x, y = os.read(ra.fd, step), os.read(rb.fd, step)
            if not x and not y:
                break
            got_a, got_b = got_a + x, got_b + y
        assert got_a == want and got_b == want, "the two readers disturbed each other"
        ra.close()
        rb.close()


def cmd_pipeline(path, dirname, prefix):
    """DIR PREFIX: requests far ahead of the responses, in order and out of order; every answer belongs to its request."""
    names = sorted(os.listdir(dirname))
    for caps in (0x0000, 0x0002, 0x0003):
        c = V2(path, caps=caps, pipeline=32)
        sent, order, rng = {}, [], random.Random(caps)
        todo = [rng.choice(names + ["no such thing"]) for _ in range(500)]
        while todo or sent:
            while todo and len(sent) < 60:  # beyond what was agreed: the server stops reading, it drops nothing
                name = todo.pop()
                mode = rng.choice((FD, COPY))
                ident = c.send(os.fsencode(prefix + name), mode, rng.choice((0, 0, ORDERED)))
                sent[ident] = name
                order.append(ident)
            r = c.recv()
            if not caps & 1:
                expect(r.id, order.pop(0), "order of responses")
            name = sent.pop(r.id)
            if name == "no such thing":
                expect(r.status, NOT_FOUND, "status of what is not there")
            else:
                expect(r.status, OK, f"status of {name}")
                assert r.take() == open(os.path.join(dirname, name), "rb").read(), f"{name}: other bytes"
        expect(c.leave(), 0, "outstanding")


def client(path, seed, sums, prefix, rounds, failures):
    rng = random.Random(seed)
    names = rng.sample(sorted(sums), min(rounds, len(sums)))
    try:
        if seed % 2:
            c = V1(path)
            for n in names:
                r = c.get(os.fsencode(prefix + n), rng.choice((FD, FD, COPY)))
                expect(r.status, OK, f"status of {n}")
                expect(hashlib.sha256(r.take()).digest(), sums[n], f"bytes of {n}")
        else:
            c, sent = V2(path), {}
            while names or sent:
                while names and len(sent) < 16:
                    n = names.pop()
                    sent[c.send(os.fsencode(prefix + n), rng.choice((FD, FD, COPY)))] = n
                r = c.recv()
                n = sent.pop(r.id)
                expect(r.status, OK, f"status of {n}")
                expect(hashlib.sha256(r.take()).digest(), sums[n], f"bytes of {n}")
    except Exception as e:  # a failure of any kind counts
        failures.append(f"client {seed}: {type(e).__name__}: {e}")


def cmd_clients(path, count, rounds, dirname, prefix):
    """COUNT ROUNDS DIR PREFIX: COUNT clients at once (processes of several threads each), ROUNDS random objects each."""
    count, rounds = int(count), int(rounds)
    sums = {n: hashlib.sha256(open(os.path.join(dirname, n), "rb").read()).digest() for n in os.listdir(dirname)}
    pids = []
    for p in range(5):
        pid = os.fork()
        if pid == 0:
            failures = []
            threads = [threading.Thread(target=client, args=(path, s, sums, prefix, rounds, failures))
                       for s in range(p, count, 5)]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            for f in failures:
                print(f, file=sys.stderr)
            os._exit(1 if failures else 0)
        pids.append(pid)
    assert all(os.waitpid(p, 0)[1] == 0 for p in pids), "clients failed"


def closed_without_answer(path, data):
    w = Wire(path)
    w.sock.settimeout(10)
    w.sock.sendall(data)
    try:
        got = w.sock.recv(64)
    except ConnectionResetError:
        got = b""
    assert got == b"", f"{data[:16]!r} was answered: {got!r}"
    w.close()


def cmd_bad(path, good):
    """GOOD_URI: malformed input is answered or the connection closed, and others are served all along."""
    good = os.fsencode(good)
    silent = Wire(path)  # half a request, then silence
    silent.sock.sendall(b"1\x00")
    half_hello = Wire(path)
    half_hello.sock.sendall(b"OBJ")
    for junk in (b"\x00", b"5\x00\x01a", b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 64, b"OBJM\x03\x00\x00\x00\x00", b"OBJX\x02\x00\x00\x00\x00"):
        closed_without_answer(path, junk)
    for version in (V1, V2):
        for uri, want in ((b"", {INVALID_REQUEST}), (b"a" * 4097, {URI_TOO_LONG}), (b"/\xff\xfe", {INVALID_REQUEST}),
                          (b"/\xc0\xaf", {INVALID_REQUEST}), (b"/\xed\xa0\x80", {INVALID_REQUEST}), (b"/a\x00b", {INVALID_REQUEST}),
                          (b"/" + b"n" * 4095, {NOT_FOUND}), (b"/delete" + good, {NOT_FOUND}), (b"/no/such", {NOT_FOUND})):
            c = version(path)
            r = c.get(uri)
            assert r.status in want, f"{version.__name__} {uri[:16]!r}: status {r.status:#x}, expected {want}"
            assert r.text(), f"{version.__name__} {uri[:16]!r}: no message"
            expect(c.get(good).status, OK, "the next request on that connection")
            c.close()
    c = V2(path)  # an unknown mode; an unknown message
    c.modes[7] = FD
    c.sock.sendall(struct.pack(">BIB", 1, 7, 0) + b"9" + struct.pack(">H", len(good)) + good)
    expect(c.recv().status, INVALID_MODE, "unknown mode")
    c.sock.sendall(b"\x77" * 30)
    expect(c.read(2), b"\x03\x02", "CLOSE, reason error, after an unknown message")
    try:
        assert c.sock.recv(1) == b"", "an unknown message was answered"
    except ConnectionResetError:
        pass
    sender = V1(path)  # a descriptor that nobody asked for
    try:
        socket.send_fds(sender.sock, [b"1" + struct.pack(">H", len(good)) + good], [0, 1, 2])
        expect(sender.recv().status, OK, "a request with uninvited descriptors")
    except PermissionError:
        pass  # SO_PASSRIGHTS is off: the kernel refuses
    expect(V1(path).get(good).status, OK, "a request beside the silent ones")
    silent.sock.sendall(struct.pack(">H", len(good))[1:] + good)
    status, _, n = struct.unpack(">BQH", silent.read(11))
    expect(status, OK, "the half request, completed")
    silent.metadata(n)
    os.close(silent.read_fd())
    silent.close()
    half_hello.close()


def cmd_bytewise(path, uri):
    """URI: a request that comes one byte at a time is answered; many in one write too."""
    uri = os.fsencode(uri)
    c = V2(path)
    ident = 1
    c.modes[ident] = FD
    for b in struct.pack(">BIB", 1, ident, 0) + FD + struct.pack(">H", len(uri)) + uri:
        c.sock.sendall(bytes([b]))
        time.sleep(0.002)
    r = c.recv()
    expect(r.status, OK, "status")
    r.close()
    one = V1(path)
    one.sock.sendall((FD + struct.pack(">H", len(uri)) + uri) * 20)
    for _ in range(20):
        r = one.recv()
        expect(r.status, OK, "status")
        r.close()


def wait_for(path, uri, want, seconds=5.0):
    """Until the object is there (want: its bytes) or gone (want: None)."""
    end, got = time.monotonic() + seconds, "nothing"
    while time.monotonic() < end:
        r = V1(path).get(uri)
        got = r.take() if r.status == OK else None
        if got == want:
            return
        time.sleep(0.02)
    raise AssertionError(f"{uri!r}: {got if got is None else len(got)} after {seconds} s")


def cmd_legacy_rights(legacy):
    """On the legacy socket, with the right `legacy` below /l alone: made and deleted there, nowhere else."""
    c = V1(legacy)
    r = c.get(b"/l/new")
    expect(r.status, OK, f"create ({r.text()})")
    os.write(r.fd, b"new")
    r.close()
    wait_for(legacy, b"/l/new", b"new")
    r = c.get(b"/delete/l/1")
    expect(r.status, OK, "delete")
    r.close()
    for uri in (b"/r/new", b"/x/new", b"/delete/r/1", b"/delete/x/1", b"/delete/x/none", b"/x/1"):
        expect(c.get(uri).status, NOT_FOUND, uri.decode())


def cmd_legacy(legacy, data):
    """DATA_SOCKET: writes as existing clients do them, on the legacy socket."""
    c = V1(legacy)
    r = c.get(b"/legacy/one")
    expect(r.status, OK, f"create ({r.text()})")
    os.write(r.fd, b"first half, ")
    expect(V1(data).get(b"/legacy/one").status, NOT_FOUND, "not visible while it is being written")
    dup = os.dup(r.fd)
    os.write(r.fd, b"second half")
    r.close()
    time.sleep(0.2)
    expect(V1(data).get(b"/legacy/one").status, NOT_FOUND, "not visible before the last close")
    os.close(dup)
    wait_for(data, b"/legacy/one", b"first half, second half")
    r = c.get(b"/legacy/one")  # now it exists: a read
    expect(r.take(), b"first half, second half", "the legacy socket reads, too")

    r = c.get(b"/legacy/never")  # never written: stays absent
    r.close()
    time.sleep(0.3)
    expect(V1(data).get(b"/legacy/never").status, NOT_FOUND, "never written")

    v2 = V2(legacy)
    r = v2.get(b"/legacy/two", FD, PRIORITY)
    expect(r.status, OK, "create, version 2")
    os.write(r.fd, b"x" * 100000)
    r.close()
    wait_for(data, b"/legacy/two", b"x" * 100000)

    pid = os.fork()  # a writer that dies: half of an object never appears
    if pid == 0:
        r = V1(legacy).get(b"/legacy/killed")
        os.write(r.fd, b"half")
        os.kill(os.getpid(), 9)
    os.waitpid(pid, 0)
    time.sleep(0.5)
    expect(V1(data).get(b"/legacy/killed").status, NOT_FOUND, "a killed writer's object")

    r = c.get(b"/delete/legacy/one")
    expect(r.status, OK, "delete")
    r.close()
    wait_for(data, b"/legacy/one", None)
    expect(c.get(b"/delete/legacy/one").status, NOT_FOUND, "delete what is not there")
    r = c.get(b"/list")
    expect(r.status, UNSUPPORTED, "/list")
    assert "objmctl" in r.text() or "objm" in r.text(), f"/list says {r.text()!r}"
    expect(V1(data).get(b"/delete/legacy/two").status, NOT_FOUND, "/delete on the ordinary socket is a name")
    wait_for(data, b"/legacy/two", b"x" * 100000)


COMMANDS = {"get": cmd_get, "same": cmd_same, "sequential": cmd_sequential, "pipeline": cmd_pipeline, "clients": cmd_clients,
            "bad": cmd_bad, "bytewise": cmd_bytewise, "legacy": cmd_legacy, "legacy_rights": cmd_legacy_rights}

if __name__ == "__main__":
    sys.exit(COMMANDS[sys.argv[2]](sys.argv[1], *sys.argv[3:]) or 0)
