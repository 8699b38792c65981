"""A small objm server, written from doc/protocol.md alone: is a client ready for everything that the page allows a server?

small_server.py SOCKET MANNER     it prints "ready" and serves until it is ended

Objects live in nameless files. The manners, all of them legal but the last:

plain      each frame in a message of its own
bytewise   each byte in a message of its own; descriptors with a frame's first byte
late       a frame in two messages, divided inside of its header; descriptors with the second
early      what is owed is sent in one message, all of its descriptors on the first byte, cut to MAX_FDS
split      the stream is cut at random places
reverse    answers to what came together go out last first, their frames interleaved
extras     unknown TLVs, repeated TLVs, unknown flags, SERVER_NS that nobody asked for, HELLO_ACK with a pipeline of 1
pages      listings in short and in empty pages
again      the first PUT_COMMIT is told TRY_AGAIN; the first connection is drained (CLOSE, reason 3) after its first answer
old        the extension is not granted
bad-NAME   what no server may send, see BAD: a client gives up with a message
"""
import array
import os
import random
import select
import socket
import struct
import sys
import threading
import time

import objm_second as o

CAPS = o.CAP_OOO | o.CAP_PIPELINE | o.CAP_EXT
BAD = {
    "magic": "HELLO_ACK does not begin with OBJM",
    "version": "HELLO_ACK of version 3",
    "nofd": "nfds 1, and no descriptor comes",
    "request": "a frame without bit 0x80",
    "huge": "a tlv_len beyond the page's limit",
    "payload": "a payload of 2^63 bytes",
    "cut": "a TLV that is longer than what is left",
    "byte": "a message that does not exist",
    "noobj": "an OK without OBJ, SESSION, or LIMITS",
    "hangup": "half a frame, then the end",
    "mute": "no HELLO_ACK, the end",
    "stranger": "an answer to a request that nobody made",
}


class Store:
    """What the server keeps: URI to (descriptor, id, rev, flags, expiry, type, meta)."""

    def __init__(self):
        self.lock = threading.RLock()
        self.objects = {}
        self.next_id = 100
        self.refused = False
        self.connections = 0

    def add(self, uri, fd, flags=0, expiry=0, kind=b"", meta=b""):
        with self.lock:
            self.next_id += 1
            self.objects[uri] = [fd, self.next_id, 1, flags, expiry, kind, meta, time.time_ns()]
            return self.obj(uri)

    def obj(self, uri):
        fd, ident, rev, flags, expiry, _, _, mtime = self.objects[uri]
        return struct.pack(">QIIQQQBBHIQQ", ident, rev, flags, os.fstat(fd).st_size, mtime, expiry, 0, 0, 0, 7, 1, 0)


class Refusal(Exception):
    pass


class Connection:
    def __init__(self, sock, store, manner, number):
        self.sock, self.store, self.manner, self.number = sock, store, manner, number
        self.rng = random.Random(3)
        self.buf = b""
        self.sessions = {}
        self.max_fds = 253
        self.bad = manner[4:] if manner.startswith("bad-") else None
        self.answered = 0

    # receiving

    def take(self, n):
        while len(self.buf) < n:
            data = self.sock.recv(65536)
            if not data:
                raise EOFError
            self.buf += data
        out, self.buf = self.buf[:n], self.buf[n:]
        return out

    def more_is_here(self):
        return bool(self.buf) or bool(select.select([self.sock], [], [], 0.002)[0])

    # sending: a frame is (bytes, descriptors)

    def put_out(self, data, fds=()):
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        while data:
            n = self.sock.sendmsg([data], rights)
            data, rights = data[n:], []

    def send_frames(self, frames):
        if self.manner == "early":
            while frames:
                data, fds = b"", []
                while frames and len(fds) + len(frames[0][1]) <= self.max_fds:
                    data += frames[0][0]
                    fds += frames.pop(0)[1]
                self.put_out(data, fds)
            return
        for data, fds in frames:
            if self.manner == "bytewise" and len(data) < 20000:
                for i in range(len(data)):
                    self.put_out(data[i:i + 1], fds if i == 0 else ())
            elif self.manner == "late":
                n = self.rng.randrange(1, 24)
                self.put_out(data[:n])
                self.put_out(data[n:], fds)
            elif self.manner == "split":
                while data:
                    n = self.rng.choice((1, 3, 23, 24, 25, 100, 5000))
                    self.put_out(data[:n], fds)
                    data, fds = data[n:], ()
            else:
                self.put_out(data, fds)

    def frame(self, op, ident, status=o.OK, tlvs=(), payload=b"", fds=(), flags=0):
        tlvs = [(t, d) for t, d in tlvs if d is not None]
        if self.manner == "extras":
            odd = [(40, b"what is this"), (0x9000, b""), (999, b"\0" * 3000)]
            tlvs = odd + tlvs + [(t, bytes(len(d))) for t, d in tlvs if t in (o.OBJ, o.SESSION, o.TIER_NAME)] + odd + [(o.SERVER_NS, b"\0\0\0\1")]
            flags |= 0x8F00
        if self.bad == "noobj":
            tlvs = [t for t in tlvs if t[0] not in (o.OBJ, o.SESSION, o.LIMITS)]
        body = b"".join(o.encode_tlv(*t) for t in tlvs)
        if self.bad == "cut" and body:
            body = body[:-1]
        tlv_len = 0x7FFFFFFF if self.bad == "huge" else len(body)
        length = 1 << 63 if self.bad == "payload" else len(payload)
        op |= 0 if self.bad == "request" else 0x80
        first = 0x77 if self.bad == "byte" else 0x10
        ident ^= 0x5A5A if self.bad == "stranger" else 0
        data = struct.pack(">BBBBHHIIQ", first, op, status, len(fds), flags, 0, ident, tlv_len, length) + body + payload
        if self.bad == "hangup":
            data = data[:len(data) // 2]
        return data, [] if self.bad == "nofd" else list(fds)

    # the conversation

    def serve(self):
        if self.take(4) != b"OBJM":
            return
        _, caps, pipeline = struct.unpack(">BHH", self.take(5))
        if self.bad == "mute":
            return
        caps &= o.CAP_OOO | o.CAP_PIPELINE if self.manner == "old" else CAPS
        pipeline = 1 if self.manner == "extras" else min(pipeline or 100, 100)
        ack = struct.pack(">4sBHHB", b"OBJN" if self.bad == "magic" else b"OBJM", 3 if self.bad == "version" else 2, caps, pipeline, 0)
        self.send_frames([(ack, ())])
        while True:
            answers = [self.one(caps)]
            while self.more_is_here() and len(answers) < 64 and pipeline > 1:
                answers.append(self.one(caps))
            if any(a is None for a in answers):
                self.send_frames([f for a in answers if a for f in a])
                self.send_frames([(struct.pack(">BBI", 4, 0, 0), ())])
                return
            self.send_frames(self.ordered(answers))
            self.answered += len(answers)
            if self.bad == "hangup" or (self.manner == "again" and self.number == 1 and self.answered >= 2):
                self.put_out(b"" if self.bad else b"\3\3")
                return

    def ordered(self, answers):
        if self.manner != "reverse":
            return [f for a in answers for f in a]
        answers.reverse()
        out = []
        while any(answers):
            out += [a.pop(0) for a in answers if a]
        return out

    def one(self, caps):
        """Read a message; its answer's frames, None for CLOSE."""
        kind = self.take(1)[0]
        if kind == 3:
            self.take(1)
            return None
        if kind == 4:
            self.take(5)
            return []
        if kind == 1:
            ident, _, _, n = struct.unpack(">IBcH", self.take(8))
            return self.version_2(ident, self.take(n))
        assert kind == 0x10 and caps & o.CAP_EXT, "a message that was not negotiated"
        op, _, _, flags, _, ident, tlv_len, payload_len = struct.unpack(">BBBHHIIQ", self.take(23))
        tlvs = o.parse_tlvs(self.take(tlv_len))
        payload = self.take(payload_len)
        try:
            with self.store.lock:
                return list(OPS[op](self, Request(op, ident, flags, tlvs, payload)))
        except Refusal as e:
            return [self.frame(op, ident, e.args[0], [(o.ERROR_TEXT, b"the small server says no")])]

    def version_2(self, ident, uri):
        if uri not in self.store.objects:
            return [(struct.pack(">BIBQH", 2, ident, o.NOT_FOUND, 0, 0), ())]
        meta = b"\x01\0\x08" + struct.pack(">Q", os.fstat(self.store.objects[uri][0]).st_size)
        return [(struct.pack(">BIBQH", 2, ident, o.OK, 0, len(meta)) + meta, ()), (b"X", [self.reopened(uri)])]

    def reopened(self, uri):
        return os.open(f"/proc/self/fd/{self.store.objects[uri][0]}", os.O_RDONLY)

    # operations: each yields frames

    def known(self, r, tag=o.URI):
        uri = r.first(tag)
        if uri not in self.store.objects:
            raise Refusal(o.NOT_FOUND)
        return uri

    def get(self, r):
        uris = r.all(o.URI)
        for i, uri in enumerate(uris):
            index = (o.INDEX, struct.pack(">H", i) if len(uris) > 1 else None)
            more = o.MORE if i + 1 < len(uris) else 0
            if uri not in self.store.objects:
                yield self.frame(r.op, r.id, o.NOT_FOUND, [index], flags=more)
                continue
            entry, tlvs = self.store.objects[uri], [(o.OBJ, self.store.obj(uri)), index]
            if r.flags & o.WANT_META:
                tlvs += [(o.TYPE, entry[5]), (o.META, entry[6] or None), (o.TIER_NAME, b"small"), (o.HOME_NAME, b"small")]
            if r.flags & o.WANT_COPY:
                off, n = struct.unpack(">QQ", r.first(o.RANGE) or bytes(16))
                data = os.pread(entry[0], n or 1 << 30, off)
                yield self.frame(r.op, r.id, tlvs=tlvs + [(o.RANGE, struct.pack(">QQ", off, len(data)))], payload=data, flags=more)
            else:
                yield self.frame(r.op, r.id, tlvs=tlvs, fds=[self.reopened(uri)], flags=more)

    def stat(self, r):
        entry = self.store.objects[self.known(r)]
        yield self.frame(r.op, r.id, tlvs=[(o.OBJ, self.store.obj(r.first(o.URI))), (o.TYPE, entry[5] or None), (o.META, entry[6] or None),
                                           (o.TIER_NAME, b"small"), (o.HOME_NAME, b"small"), (o.HEAT, struct.pack(">IIQ", 500000, 3, 0))])

    def begin(self, r):
        fd = os.memfd_create("small")
        session = struct.pack(">I", 0x80000000 + len(self.sessions))
        self.sessions[session] = (fd, r)
        self.check_cond(r)
        yield self.frame(r.op, r.id, tlvs=[(o.SESSION, session), (o.TIER_NAME, b"small")], fds=[os.dup(fd)])

    def check_cond(self, r):
        kind, ident, rev = struct.unpack(">BQI", r.first(o.COND) or bytes(13))
        have = self.store.objects.get(r.first(o.URI))
        if (kind == 1 and have) or (kind == 2 and not (have and have[1] == ident and rev in (0, have[2]))):
            raise Refusal(o.PRECONDITION_FAILED)

    def publish(self, r, fd):
        self.check_cond(r)
        number = lambda tag: int.from_bytes(r.first(tag) or b"\0", "big")  # noqa: E731
        expiry = int(time.time()) + number(o.TTL_S) if number(o.TTL_S) else 0
        return self.store.add(r.first(o.URI), fd, number(o.PUT_FLAGS), expiry, r.first(o.TYPE) or b"", r.first(o.META) or b"")

    def commit(self, r):
        if self.manner == "again" and not self.store.refused:
            self.store.refused = True
            raise Refusal(o.TRY_AGAIN)
        if r.first(o.SESSION) not in self.sessions:
            raise Refusal(o.NO_SESSION)
        fd, begun = self.sessions.pop(r.first(o.SESSION))
        yield self.frame(r.op, r.id, tlvs=[(o.OBJ, self.publish(begun, fd)), (o.TIER_NAME, b"small"), (o.DURABILITY, b"\0")])

    def abort(self, r):
        os.close(self.sessions.pop(r.first(o.SESSION))[0])
        yield self.frame(r.op, r.id)

    def inline(self, r):
        fd = os.memfd_create("small")
        os.pwrite(fd, r.payload, 0)
        yield self.frame(r.op, r.id, tlvs=[(o.OBJ, self.publish(r, fd)), (o.TIER_NAME, b"small"), (o.DURABILITY, b"\0")])

    def delete(self, r):
        self.check_cond(r)
        os.close(self.store.objects.pop(self.known(r))[0])
        yield self.frame(r.op, r.id)

    def list(self, r):
        prefix, after, delimiter = r.first(o.PREFIX) or b"", r.first(o.START_AFTER) or b"", r.first(o.DELIMITER)
        limit = 2 if self.manner == "pages" else int.from_bytes(r.first(o.LIMIT) or b"", "big") or 1000
        names = sorted(u for u in self.store.objects if u.startswith(prefix) and u > after)
        if self.manner == "pages" and names and not after.endswith(b"\0"):
            # A name that nobody may list, just in front of the next one, ends an empty page.
            yield self.frame(r.op, r.id, tlvs=[(o.NEXT, after + b"\0")])
            return
        tlvs, told = [], set()
        for i, u in enumerate(names):
            at = u.find(delimiter, len(prefix)) if delimiter else -1
            if at >= 0:
                common = u[:at + 1]
                if common not in told and common > after:
                    told.add(common)
                    tlvs.append((o.COMMON_PREFIX, common))
            else:
                kind = o.encode_tlv(o.TYPE, self.store.objects[u][5]) if r.flags & o.WANT_META else b""
                tlvs.append((o.ENTRY, o.encode_tlv(o.URI, u) + o.encode_tlv(o.OBJ, self.store.obj(u)) + kind))
            if len(tlvs) == limit:
                if i + 1 < len(names):
                    tlvs.append((o.NEXT, u))
                break
        for i in range(len(tlvs) - 1):  # as many frames as can be
            yield self.frame(r.op, r.id, tlvs=[tlvs[i]], flags=o.MORE)
        yield self.frame(r.op, r.id, tlvs=tlvs[-1:])

    def set(self, r):
        self.check_cond(r)
        entry = self.store.objects[self.known(r)]
        entry[2] += 1
        for tag, at in ((o.TYPE, 5), (o.META, 6)):
            entry[at] = entry[at] if r.first(tag) is None else r.first(tag)
        if r.first(o.PUT_FLAGS):
            entry[3] = int.from_bytes(r.first(o.PUT_FLAGS), "big")
        yield self.frame(r.op, r.id, tlvs=[(o.OBJ, self.store.obj(r.first(o.URI)))])

    def watch(self, r):
        change = lambda kind, pos: (o.CHANGE, struct.pack(">BQQ", kind, 1, pos))  # noqa: E731
        yield self.frame(r.op, r.id, tlvs=[change(o.CH_HERE, 5)], flags=o.MORE)
        yield self.frame(r.op, r.id, tlvs=[change(77, 6), (o.URI, b"/odd")], flags=o.MORE)  # of a newer server
        for pos, uri in enumerate(sorted(self.store.objects), 7):
            yield self.frame(r.op, r.id, tlvs=[change(o.CH_PUT, pos), (o.URI, uri), (o.OBJ, self.store.obj(uri))], flags=o.MORE)
        yield self.frame(r.op, r.id, tlvs=[change(o.CH_LOST, 99)], flags=o.MORE)

    def touch(self, r):
        yield self.frame(r.op, r.id)

    def attach(self, r):
        self.max_fds = int.from_bytes(r.first(o.MAX_FDS) or b"\xfd", "big")
        limits = struct.pack(">IIIHBBQ", 65536, 100, 1000, 253, 253, 0, 65536)
        yield self.frame(r.op, r.id, tlvs=[(o.LIMITS, limits)])  # it has no generation table: nfds 0

    def ping(self, r):
        yield self.frame(r.op, r.id)


OPS = {o.GET: Connection.get, o.STAT: Connection.stat, o.PUT_BEGIN: Connection.begin, o.PUT_COMMIT: Connection.commit,
       o.PUT_ABORT: Connection.abort, o.PUT_INLINE: Connection.inline, o.DELETE: Connection.delete, o.LIST: Connection.list,
       o.SET: Connection.set, o.WATCH: Connection.watch, o.TOUCH: Connection.touch, o.ATTACH: Connection.attach, o.PING: Connection.ping}


class Request(o.Frame):
    def __init__(self, op, ident, flags, tlvs, payload):
        super().__init__(op, 0, flags, ident, tlvs, payload, [])


def main(path, manner):
    store = Store()
    fd = os.memfd_create("small")
    os.pwrite(fd, b"from the start", 0)
    store.add(b"/there", fd)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen(64)
    print("ready", flush=True)

    def work(sock, number):
        with sock:
            try:
                Connection(sock, store, manner, number).serve()
            except (EOFError, ConnectionError):
                pass

    while True:
        sock, _ = listener.accept()
        store.connections += 1
        threading.Thread(target=work, args=(sock, store.connections), daemon=True).start()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
