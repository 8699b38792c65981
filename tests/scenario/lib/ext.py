#!/usr/bin/env python3
"""A client of the extension, written from doc/protocol.md alone, and the ledger: what was acknowledged must be there.

Usage: ext.py SOCKET COMMAND [ARGUMENT]...   (see COMMANDS at the end)
"""
import hashlib
import json
import os
import socket
import struct
import sys
import threading
import time

GET, STAT, BEGIN, COMMIT, ABORT, INLINE, DELETE, LIST, SET, ATTACH, PING = 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13
MORE, WITH_COPY = 0x0001, 0x0010
T_TYPE, T_TTL = 3, 9
T_URI, T_OBJ, T_META, T_SIZE_HINT, T_FLAGS, T_COND, T_PREFIX, T_AFTER, T_LIMIT, T_SESSION, T_ERROR, T_ENTRY, T_NEXT = (
    1, 2, 4, 7, 8, 10, 12, 14, 15, 16, 20, 22, 24)
OK, NOT_FOUND, INVALID, UNSUPPORTED, STORAGE, UNAVAILABLE, DENIED, PRECONDITION, WRITER_STILL_OPEN, NO_SPACE, TRY_AGAIN, LIMIT, READ_ONLY = (
    0, 1, 2, 5, 0x11, 0x14, 0x40, 0x41, 0x43, 0x44, 0x46, 0x47, 0x49)
EPHEMERAL, PINNED, EVICTABLE = 1, 2, 4


class Lost(Exception):
    """The connection broke."""


def tlv(tag, data):
    return struct.pack(">HH", tag, len(data)) + data


def tlvs(raw):
    out, at = [], 0
    while at < len(raw):
        tag, n = struct.unpack_from(">HH", raw, at)
        out.append((tag, raw[at + 4:at + 4 + n]))
        at += 4 + n
    return out


class Frame:
    def __init__(self, status, flags, body, payload, fds):
        self.status, self.flags, self.tlvs, self.payload, self.fds = status, flags, tlvs(body), payload, fds
        self.one = dict(reversed(self.tlvs))

    def text(self):
        return self.one.get(T_ERROR, b"").decode()

    def obj(self):
        v = struct.unpack(">QIIQQQBBHIQQ", self.one[T_OBJ])
        return {"id": v[0], "rev": v[1], "flags": v[2], "size": v[3], "mtime_ns": v[4], "expiry_s": v[5], "tier": v[6], "home": v[7], "gen": v[10]}


class Ext:
    def __init__(self, path, timeout=60):
        self.sock = socket.socket(socket.AF_UNIX if "/" in path else socket.AF_INET, socket.SOCK_STREAM)
        self.sock.settimeout(timeout)
        self.buf, self.fds, self.ident = b"", [], 0
        try:
            self.sock.connect(path if "/" in path else (path.rsplit(":", 1)[0], int(path.rsplit(":", 1)[1])))
            self.sock.sendall(b"OBJM" + struct.pack(">BHH", 2, 0x0103, 0))
        except OSError as e:
            raise Lost(str(e)) from e
        ack = self.need(10)
        if not struct.unpack(">H", ack[5:7])[0] & 0x0100:
            raise RuntimeError("the server does not grant the extension")

    def close(self):
        self.sock.close()

    def need(self, n):
        while len(self.buf) < n:
            try:
                data, fds, _, _ = socket.recv_fds(self.sock, 65536, 253)
            except TimeoutError:
                raise
            except OSError as e:
                raise Lost(str(e)) from e
            if not data and not fds:
                raise Lost("end of stream")
            self.buf += data
            self.fds += fds
        out, self.buf = self.buf[:n], self.buf[n:]
        return out

    def frame(self, op):
        kind, got, status, nfds, flags, zero, ident, tlv_len, payload_len = struct.unpack(">BBBBHHIIQ", self.need(24))
        assert kind == 0x10 and got == op | 0x80 and zero == 0 and ident == self.ident, (kind, got, op, ident)
        body, payload = self.need(tlv_len), self.need(payload_len)
        fds, self.fds = self.fds[:nfds], self.fds[nfds:]
        assert len(fds) == nfds
        return Frame(status, flags, body, payload, fds)

    def call(self, op, *parts, flags=0, payload=b""):
        self.ident += 1
        body = b"".join(parts)
        try:
            self.sock.sendall(struct.pack(">BBBBHHIIQ", 0x10, op, 0, 0, flags, 0, self.ident, len(body), len(payload)) + body + payload)
        except TimeoutError:
            raise
        except OSError as e:
            raise Lost(str(e)) from e
        frames = [self.frame(op)]
        while frames[-1].flags & MORE:
            frames.append(self.frame(op))
        return frames

    def put(self, uri, data, flags=0, cond=None):
        parts = [tlv(T_URI, uri), tlv(T_FLAGS, struct.pack(">I", flags))]
        if cond:
            parts.append(tlv(T_COND, struct.pack(">BQI", *cond)))
        return self.call(INLINE, *parts, payload=data)[0]

    def set(self, uri, *parts, cond=None):
        if cond:
            parts += (tlv(T_COND, struct.pack(">BQI", *cond)),)
        return self.call(SET, tlv(T_URI, uri), *parts)[0]

    def begin(self, uri, hint=0, flags=0):
        f = self.call(BEGIN, tlv(T_URI, uri), tlv(T_SIZE_HINT, struct.pack(">Q", hint)), tlv(T_FLAGS, struct.pack(">I", flags)))[0]
        if f.status != OK:
            return f, None, None
        return f, f.one[T_SESSION], f.fds[0]

    def commit(self, session):
        return self.call(COMMIT, tlv(T_SESSION, session))[0]

    def read(self, uri):
        """(status, bytes): through the descriptor."""
        f = self.call(GET, tlv(T_URI, uri))[0]
        if f.status != OK:
            return f.status, None
        size = os.fstat(f.fds[0]).st_size
        assert size == f.obj()["size"], f"{uri!r}: the file has {size} bytes, the record says {f.obj()['size']}"
        data = b""
        while len(data) < size:
            b = os.pread(f.fds[0], size - len(data), len(data))
            assert b, "short file"
            data += b
        os.close(f.fds[0])
        return OK, data

    def list(self, prefix):
        after = b""
        while True:
            frames = self.call(LIST, tlv(T_PREFIX, prefix), tlv(T_AFTER, after), tlv(T_LIMIT, struct.pack(">I", 1000)))
            if frames[-1].status != OK:
                raise RuntimeError(f"LIST: status {frames[-1].status:#x} {frames[-1].text()}")
            for f in frames:
                for tag, data in f.tlvs:
                    if tag == T_ENTRY:
                        yield dict(tlvs(data))[T_URI]
            after = frames[-1].one.get(T_NEXT)
            if after is None:
                return


# ---------------------------------------------------------------- the ledger

def content(uri, n):
    """Bytes that say which object and which version they are: a mixture or a half is recognised."""
    seed = hashlib.sha256(b"%s %d" % (uri, n)).digest()
    kind = seed[0] % 10
    size = 0 if kind == 0 else seed[1] if kind < 5 else 1000 + seed[1] * 16 if kind < 9 else 60000 + seed[1] * 600
    return (seed * (size // 32 + 1))[:size]


class Ledger:
    def __init__(self, path, count):
        self.file, self.lock, self.left = open(path, "a"), threading.Lock(), count

    def note(self, kind, uri, op, n):
        with self.lock:
            self.file.write(json.dumps([kind, uri.decode(), op, n]) + "\n")
            self.file.flush()

    def take(self):
        with self.lock:
            self.left -= 1
            return self.left >= 0


def connect(path, deadline):
    while True:
        try:
            return Ext(path, timeout=20)
        except Lost as e:
            if time.monotonic() > deadline:
                raise RuntimeError(f"no connection: {e}") from e
            time.sleep(0.02)


def one_op(c, uri, op, n, flags):
    if op == "delete":
        return c.call(DELETE, tlv(T_URI, uri))[0]
    if op == "inline":
        return c.put(uri, content(uri, n), flags)
    data = content(uri, n)
    f, session, fd = c.begin(uri, len(data), flags)
    if f.status != OK:
        return f
    with os.fdopen(fd, "wb") as out:
        out.write(data)
    return c.commit(session)


def writer(path, who, ledger, flags, errors):
    i = n = 0
    try:
        c = connect(path, time.monotonic() + 30)
        while ledger.take():
            n += 1
            # New objects mostly; every fifth change replaces or deletes an earlier one.
            if n % 5 == 0 and i > 3:
                uri, op = b"/load/%d/%d" % (who, (n * 7919) % i), ("inline", "delete")[n % 2]
            else:
                uri, op = b"/load/%d/%d" % (who, i), ("inline", "begin")[n % 3 == 0]
                i += 1
            ledger.note("try", uri, op, n)
            end = time.monotonic() + 30
            while True:
                try:
                    f = one_op(c, uri, op, n, flags)
                except Lost:
                    c.close()
                    c = connect(path, end)
                    continue  # the same change again: the effect is the same
                if f.status in (UNAVAILABLE, TRY_AGAIN, WRITER_STILL_OPEN) and time.monotonic() < end:
                    time.sleep(0.02)
                    continue
                break
            if f.status == OK or (op == "delete" and f.status == NOT_FOUND):
                ledger.note("ack", uri, op, n)
            elif f.status not in (NO_SPACE, STORAGE):  # an injected error; not acknowledged, so no claim
                errors.append(f"{op} {uri}: status {f.status:#x} {f.text()}")
    except Exception as e:
        errors.append(f"writer {who}: {type(e).__name__}: {e}")


def cmd_load(path, count, threads, ledger_path, flags="0"):
    """COUNT THREADS LEDGER [FLAGS]: changes, each noted before it is tried and when it is acknowledged."""
    ledger, errors = Ledger(ledger_path, int(count)), []
    base = sum(1 for _ in open(ledger_path))  # a second load on the same ledger uses other names
    ts = [threading.Thread(target=writer, args=(path, base * 100 + w, ledger, int(flags), errors)) for w in range(int(threads))]
    for t in ts:
        t.start()
    for t in ts:
        t.join()
    for e in errors[:20]:
        print(e, file=sys.stderr)
    return 1 if errors else 0


def allowed(ledger_path):
    """uri -> set of what may be there: None (absent) or a number; the last acknowledged change, and any tried after it."""
    state = {}
    for line in open(ledger_path):
        kind, uri, op, n = json.loads(line)
        value = None if op == "delete" else n
        s = state.setdefault(uri.encode(), {None})
        if kind == "ack":
            state[uri.encode()] = {value}
        else:
            s.add(value)
    return state


def cmd_verify(path, ledger_path):
    """LEDGER: every acknowledged change is there with its bytes, nothing is half there, nothing else is there."""
    state, bad, there = allowed(ledger_path), [], 0
    c = connect(path, time.monotonic() + 30)
    for uri, ok in state.items():
        end = time.monotonic() + 30
        status, data = c.read(uri)
        tries = 1
        # STORAGE once may be the injected error itself.
        while (status == UNAVAILABLE and time.monotonic() < end) or (status == STORAGE and tries < 3):
            time.sleep(0.05)
            tries += 1
            status, data = c.read(uri)
        there += status == OK
        if status == NOT_FOUND:
            if None not in ok:
                bad.append(f"{uri}: lost (expected change {sorted(ok)})")
        elif status != OK:
            bad.append(f"{uri}: status {status:#x}")
        elif not any(n is not None and content(uri, n) == data for n in ok):
            bad.append(f"{uri}: {len(data)} bytes that are none of the changes {ok}")
    listed = list(c.list(b"/load/"))
    if listed != sorted(listed) or len(set(listed)) != len(listed):
        bad.append("the listing is not in order, or has something twice")
    if set(listed) - set(state):
        bad.append(f"listed, never put: {sorted(set(listed) - set(state))[:5]}")
    if len(listed) != there:
        bad.append(f"{len(listed)} are listed, {there} can be got")
    for b in bad[:20]:
        print(b, file=sys.stderr)
    acked = sum(None not in ok and len(ok) == 1 for ok in state.values())
    print(f"{len(state)} objects in the ledger, {acked} acknowledged, {there} there, {len(bad)} wrong")
    return 1 if bad else 0


def tried(ledger_path):
    """uri -> every number ever tried for it"""
    all_of = {}
    text = open(ledger_path).read()  # it grows: a line that is half there now is not to be read on with its other half
    for line in text[:text.rfind("\n") + 1].splitlines():
        _, uri, _, n = json.loads(line)
        all_of.setdefault(uri.encode(), set()).add(n)
    return all_of


def cmd_warm(path, ledger_path, seconds):
    """LEDGER SECONDS: read what the ledger names last, again and again: so it becomes hot. What is read must be whole."""
    end, bad = time.monotonic() + float(seconds), []
    while time.monotonic() < end and not bad:
        try:
            c = connect(path, time.monotonic() + 30)
            for uri, ns in list(tried(ledger_path).items())[-200:]:
                status, data = c.read(uri)
                if status != OK or any(content(uri, n) == data for n in ns):
                    continue
                if not any(content(uri, n) == data for n in tried(ledger_path)[uri]):  # put since?
                    bad.append(f"{uri}: {len(data)} bytes that were never put")
            c.close()
        except Lost:
            time.sleep(0.02)
    for b in bad[:20]:
        print(b, file=sys.stderr)
    return 1 if bad else 0


def cmd_reads(path, *what):
    """URI=N...: read each so many times, over one connection."""
    c = connect(path, time.monotonic() + 30)
    for one in what:
        uri, n = one.rsplit("=", 1)
        for _ in range(int(n)):
            status, _ = c.read(uri.encode())
            if status != OK:
                print(f"{uri}: status {status:#x}", file=sys.stderr)
                return 1
    c.close()


def cmd_expire(path, count):
    """COUNT: objects that expire after a second: from the moment in which a listing leaves one out nobody gets it."""
    c, pairs = connect(path, time.monotonic() + 30), 0
    for k in range(int(count)):
        uri = b"/expire/%d" % k
        f = c.call(INLINE, tlv(T_URI, uri), tlv(T_TTL, struct.pack(">I", 1)), payload=b"x")[0]
        assert f.status == OK, f.text()
        end = f.obj()["expiry_s"]
        while time.time() < end - 0.02:
            time.sleep(0.002)
        while time.time() < end + 0.02 or not pairs:
            listed, status = uri in list(c.list(uri)), c.read(uri)[0]
            pairs += 1
            assert listed or status == NOT_FOUND, f"{uri} is not listed and can be got, {time.time() - end:.4f} s after it expired"
        assert c.read(uri)[0] == NOT_FOUND
    c.close()


def cmd_basics(path):
    """Every operation once, with its errors."""
    c = Ext(path)
    assert c.call(PING)[0].status == OK
    f = c.put(b"/e/a", b"one")
    assert f.status == OK, f.text()
    v1 = f.obj()
    assert c.read(b"/e/a") == (OK, b"one")
    f = c.put(b"/e/a", b"two")
    v2 = f.obj()
    assert v2["id"] > v1["id"], "new bytes, a higher id"
    assert c.put(b"/e/a", b"x", cond=(1, 0, 0)).status == PRECONDITION
    assert c.put(b"/e/a", b"x", cond=(2, v1["id"], 0)).status == PRECONDITION
    assert c.put(b"/e/a", b"three", cond=(2, v2["id"], 0)).status == OK
    f = c.call(GET, tlv(T_URI, b"/e/a"), flags=WITH_COPY)[0]
    assert f.status == OK and f.payload == b"three" and not f.fds
    f = c.call(GET, tlv(T_URI, b"/e/a"), tlv(11, struct.pack(">QQ", 1, 3)), flags=WITH_COPY)[0]
    assert f.status == OK and f.payload == b"hre", f.payload
    f = c.call(SET, tlv(T_URI, b"/e/a"), tlv(T_FLAGS, struct.pack(">I", 2)))[0]
    assert f.status == OK and f.obj()["flags"] == 2, f.text()
    # A commit while the descriptor is open; then a whole one.
    f, session, fd = c.begin(b"/e/w", 100)
    assert f.status == OK, f.text()
    os.write(fd, b"written")
    assert c.commit(session).status == WRITER_STILL_OPEN
    import mmap
    m = mmap.mmap(fd, 7)
    os.close(fd)
    assert c.commit(session).status == WRITER_STILL_OPEN, "a writable mapping is left"
    m.close()
    f = c.commit(session)
    assert f.status == OK, f.text()
    assert c.read(b"/e/w") == (OK, b"written")
    # A session dies with its connection.
    d = Ext(path)
    f, session, fd = d.begin(b"/e/gone")
    os.write(fd, b"half")
    d.close()
    os.close(fd)
    assert c.read(b"/e/gone")[0] == NOT_FOUND
    # Many in one request, one of them missing.
    frames = c.call(GET, *[tlv(T_URI, u) for u in (b"/e/a", b"/e/none", b"/e/w")])
    assert sorted(f.status for f in frames) == [OK, OK, NOT_FOUND]
    for f in frames:
        for fd in f.fds:
            os.close(fd)
    assert list(c.list(b"/e/")) == [b"/e/a", b"/e/w"]
    assert c.call(DELETE, tlv(T_URI, b"/e/a"), tlv(T_COND, struct.pack(">BQI", 2, 1 << 60, 0)))[0].status == PRECONDITION
    assert c.call(DELETE, tlv(T_URI, b"/e/a"))[0].status == OK
    assert c.call(DELETE, tlv(T_URI, b"/e/a"))[0].status == NOT_FOUND
    for bad in (b"", b"x" * 4097, b"\xff"):
        assert c.call(GET, tlv(T_URI, bad))[0].status in (2, 4)
    assert c.call(GET, tlv(T_URI, b"/e/w"), tlv(99, b"?"))[0].status == 2, "an unknown TLV"
    assert c.call(77)[0].status in (2, 5), "an unknown operation"
    assert c.call(PING)[0].status == OK, "the connection goes on"


def cmd_hold(path, uri, size=1 << 20):
    """URI [BYTES]: begins a put of so many, writes a few, prints a line, and waits to be killed."""
    c = Ext(path)
    f, _, fd = c.begin(uri.encode(), int(size))
    assert f.status == OK, f.text()
    os.write(fd, b"half")
    print("begun", flush=True)
    time.sleep(600)


COMMANDS = {"load": cmd_load, "verify": cmd_verify, "warm": cmd_warm, "reads": cmd_reads, "basics": cmd_basics, "hold": cmd_hold, "expire": cmd_expire}

if __name__ == "__main__":
    sys.exit(COMMANDS[sys.argv[2]](sys.argv[1], *sys.argv[3:]) or 0)
