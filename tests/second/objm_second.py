"""A second client of the objm protocol, versions 1 and 2 and the extension.

Written from doc/protocol.md alone, by someone who had not read the server, libobjm or their codec, and sharing nothing
with them: where this module and the daemon disagree, the page is wrong or the daemon is. It favours being read beside
the page over speed. Numbers in comments are the page's sections.
"""
import array
import collections
import os
import socket
import struct
import threading

# 1: modes
FDPASS, COPY, SPLICE, SEGMENTED = b"1", b"2", b"3", b"4"

# 4.1: capabilities
CAP_OOO, CAP_PIPELINE, CAP_COMPRESS, CAP_MULTIPLEX, CAP_SEGMENTED, CAP_EXT = 0x1, 0x2, 0x4, 0x8, 0x10, 0x100

# 4.2: request flags; 4.3: reasons to close
REQ_ORDERED, REQ_PRIORITY = 0x01, 0x02
CLOSE_NORMAL, CLOSE_TIMEOUT, CLOSE_ERROR, CLOSE_SHUTDOWN = range(4)

# 4.5: segments
SEG_INLINE, SEG_FD, SEG_SPLICE = range(3)
SEG_FIN, SEG_REUSE, SEG_OPTIONAL = 1, 2, 4

# 5: metadata of versions 1 and 2
META_SIZE, META_MTIME, META_ETAG, META_TYPE, META_BACKEND, META_LATENCY, META_ERROR = 1, 2, 3, 4, 5, 6, 0xFF

# 7.2: flags
MORE, WANT_COPY, WANT_META, WANT_TIME, ORDERED, WANT_TABLE = 0x1, 0x10, 0x20, 0x40, 0x80, 0x100

# 7.3: TLVs
(URI, OBJ, TYPE, META, TIER_NAME, HOME_NAME, SIZE_HINT, PUT_FLAGS, TTL_S, COND, RANGE, PREFIX, DELIMITER, START_AFTER,
 LIMIT, SESSION, DURABILITY, INDEX, SERVER_NS, ERROR_TEXT, HEAT, ENTRY, COMMON_PREFIX, NEXT, PROMISE, MAX_FDS, LIMITS,
 CHANGE, POSITION, TOUCHED) = range(1, 31)
EPHEMERAL, PINNED, EVICTABLE = 1, 2, 4

# 7.4: operations
(GET, STAT, PUT_BEGIN, PUT_COMMIT, PUT_ABORT, PUT_INLINE, DELETE, LIST, SET, WATCH, TOUCH, ATTACH, PING) = range(1, 14)
CH_HERE, CH_PUT, CH_DELETE, CH_SET, CH_MOVED, CH_LOST = range(6)

# 8: status
OK, NOT_FOUND, INVALID_REQUEST, INVALID_MODE, URI_TOO_LONG, UNSUPPORTED_OP = range(6)
INTERNAL, STORAGE, OUT_OF_MEMORY, TIMEOUT, UNAVAILABLE = range(0x10, 0x15)
PROTO_ERROR, PROTO_VERSION, PROTO_CAPABILITY = range(0x20, 0x23)
(PERMISSION_DENIED, PRECONDITION_FAILED, RANGE_NOT_SATISFIABLE, WRITER_STILL_OPEN, NO_SPACE, TOO_LARGE, TRY_AGAIN,
 LIMIT_EXCEEDED, NO_SESSION, READ_ONLY, COLLISION) = range(0x40, 0x4B)

TIMEOUT_S = 30


class Ended(Exception):
    """The stream ended inside of a message, or before one that was waited for."""


class Stream:
    """The bytes and descriptors of one connection.

    plain=True receives as existing clients do: read(2) of exactly the bytes of a header, recvmsg for a descriptor byte
    alone, with room for one descriptor. Otherwise as the page recommends: large recvmsg with room for `room`
    descriptors, which are queued in the order of their arrival.
    """

    def __init__(self, where, plain=False, room=253, size=65536):
        if where.startswith("/"):
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.settimeout(TIMEOUT_S)
            self.sock.connect(where)
            self.unix = True
        else:
            host, port = where.rsplit(":", 1)
            self.sock = socket.create_connection((host, int(port)), TIMEOUT_S)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.unix = False
        self.plain, self.room, self.size = plain, room, size
        self.buf = bytearray()
        self.fds = collections.deque()
        self.batches = []  # descriptors that came with each message that had any
        self.sender = None

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def close(self):
        self.sock.close()
        if self.sender:
            self.sender.join(TIMEOUT_S)
        while self.fds:
            os.close(self.fds.popleft())

    def send(self, *parts):
        self.sock.sendall(b"".join(parts))

    def send_bytewise(self, data):
        for i in range(len(data)):
            self.sock.sendall(data[i:i + 1])

    def send_behind(self, data):
        """On a thread: the server stops reading past the agreed pipeline, so who sends all first would never read."""
        def work():
            try:
                self.sock.sendall(data)
            except OSError:
                pass
        self.sender = threading.Thread(target=work, daemon=True)
        self.sender.start()

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)

    def _receive(self, size, room):
        if not self.unix:
            return self.sock.recv(size)
        # not socket.recv_fds: it drops its flags before Python 3.12
        data, rights, flags, _ = self.sock.recvmsg(size, socket.CMSG_SPACE(4 * room), socket.MSG_CMSG_CLOEXEC)
        fds = array.array("i")
        for level, kind, some in rights:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                fds.frombytes(some[:len(some) - len(some) % fds.itemsize])
        if fds:
            self.batches.append(len(fds))
        self.fds.extend(fds)
        if flags & socket.MSG_CTRUNC:
            raise AssertionError("descriptors got lost")
        return data

    def _fill(self, n):
        while len(self.buf) < n:
            if self.plain:
                data = self.sock.recv(n - len(self.buf))
            else:
                data = self._receive(self.size, self.room)
            if not data:
                raise Ended(f"{len(self.buf)} of {n} bytes, then the end")
            self.buf += data

    def take(self, n):
        self._fill(n)
        data = bytes(self.buf[:n])
        del self.buf[:n]
        return data

    def peek(self):
        self._fill(1)
        return self.buf[0]

    def unpack(self, form):
        return struct.unpack(form, self.take(struct.calcsize(form)))

    def take_fd(self):
        """A descriptor byte (3). On TCP it comes alone: None."""
        if self.plain and self.unix:
            assert not self.buf and not self.fds
            byte = self._receive(1, 1)
            assert byte == b"X", byte
            return self.fds.popleft()
        assert self.take(1) == b"X"
        return self.fds.popleft() if self.unix else None

    def ended(self):
        """The stream has ended, cleanly between two messages."""
        try:
            self._fill(1)
        except Ended:
            return not self.fds
        except ConnectionResetError:
            return not self.fds
        return False


def parse_metadata(data):
    out = {}
    while data:
        kind, n = struct.unpack_from(">BH", data)
        assert len(data) >= 3 + n, "metadata: an entry is longer than what is left"
        out.setdefault(kind, data[3:3 + n])
        data = data[3 + n:]
    return out


class Answer:
    """A response of versions 1 and 2. fd and content: at most one of them is not None."""

    def __init__(self, status, meta, ident=None):
        self.id, self.status, self.meta = ident, status, meta
        self.fd = self.content = None
        self.segments = None

    @property
    def size(self):
        return struct.unpack(">Q", self.meta[META_SIZE])[0]

    @property
    def text(self):
        return self.meta.get(META_ERROR, b"").decode()

    def bytes(self):
        """All of the object, by reading on from where the descriptor stands; the descriptor is closed."""
        if self.segments is not None:
            return self._segments()
        if self.fd is None:
            return self.content
        with os.fdopen(self.fd, "rb") as f:
            self.fd = None
            return f.read()

    def _segments(self):
        out, fd, close = [], None, set()
        for s in self.segments:
            if s.kind == SEG_INLINE:
                out.append(s.data)
                continue
            if not s.flags & SEG_REUSE:
                fd = s.fd
                close.add(fd)
            part = os.pread(fd, s.length, s.offset)
            assert len(part) == s.length
            out.append(part)
        for fd in close:
            os.close(fd)
        return b"".join(out)


Segment = collections.namedtuple("Segment", "kind flags logical offset length data fd")
Close = collections.namedtuple("Close", "reason")
CloseAck = collections.namedtuple("CloseAck", "outstanding")


class V1(Stream):
    """Version 1 (3)."""

    @staticmethod
    def encode(uri, mode=FDPASS):
        return mode + struct.pack(">H", len(uri)) + uri

    def request(self, uri, mode=FDPASS):
        self.send(self.encode(uri, mode))

    def answer(self):
        status, length, meta_len = self.unpack(">BQH")
        return self._rest(Answer(status, parse_metadata(self.take(meta_len))), length)

    def _rest(self, a, length):
        if a.status != OK:
            assert length == 0, "an error has no content"
        elif length:
            a.content = self.take(length)
        else:
            a.fd = self.take_fd()
            if a.fd is None:
                a.content = b""
        return a

    def get(self, uri, mode=FDPASS):
        self.request(uri, mode)
        return self.answer()


class V2(V1):
    """Version 2 (4), with the extension (7) where it was granted."""

    def __init__(self, where, caps=CAP_OOO | CAP_PIPELINE, pipeline=0, hello=True, **kw):
        super().__init__(where, **kw)
        self.next_id = 1
        self.stash = collections.defaultdict(list)
        if hello:
            self.send(self.encode_hello(caps, pipeline))
            self.hello_ack()

    @staticmethod
    def encode_hello(caps=CAP_OOO | CAP_PIPELINE, pipeline=0, version=2):
        return b"OBJM" + struct.pack(">BHH", version, caps, pipeline)

    def hello_ack(self):
        magic, version, self.caps, self.pipeline, self.parallelism = self.unpack(">4sBHHB")
        assert magic == b"OBJM" and version == 2

    @staticmethod
    def encode(uri, mode=FDPASS, ident=0, flags=0):
        return struct.pack(">BIBcH", 1, ident, flags, mode, len(uri)) + uri

    def _id(self, ident):
        if ident is None:
            ident = self.next_id
            self.next_id = self.next_id + 1 & 0xFFFFFFFF
        return ident

    def request(self, uri, mode=FDPASS, ident=None, flags=0):
        ident = self._id(ident)
        self.send(self.encode(uri, mode, ident, flags))
        return ident

    def message(self):
        """The next message, whatever it is."""
        kind = self.peek()
        if kind == 0x02:
            _, ident, status, length, meta_len = self.unpack(">BIBQH")
            return self._rest(Answer(status, parse_metadata(self.take(meta_len)), ident), length)
        if kind == 0x03:
            return Close(self.unpack(">BB")[1])
        if kind == 0x04:
            _, zero, outstanding = self.unpack(">BBI")
            assert zero == 0
            return CloseAck(outstanding)
        if kind == 0x05:
            return self._segmented()
        if kind == 0x10 and self.caps & CAP_EXT:
            return self._frame()
        raise AssertionError(f"a message begins with {kind:#x}")

    def _segmented(self):
        assert self.caps & CAP_SEGMENTED, "a segmented response that was not negotiated"
        _, ident, status, count, meta_len = self.unpack(">BIBHH")
        a = Answer(status, parse_metadata(self.take(meta_len)), ident)
        assert count <= 64
        heads = [self.unpack(">BBHIQQQ") for _ in range(count)]
        inline = [self.take(h[3]) for h in heads]
        a.segments = []
        for (kind, flags, zero, copied, logical, offset, length), data in zip(heads, inline):
            assert zero == 0 and kind in (SEG_INLINE, SEG_FD, SEG_SPLICE)
            if kind == SEG_INLINE:
                assert copied == logical and offset == 0 and length == 0 and not flags & SEG_REUSE
                fd = None
            else:
                assert copied == 0 and length == logical
                fd = None if flags & SEG_REUSE else self.take_fd()
            a.segments.append(Segment(kind, flags, logical, offset, length, data, fd))
        assert [bool(s.flags & SEG_FIN) for s in a.segments] == [False] * (count - 1) + [True] * (count > 0)
        assert (count == 0) == (status != OK)
        return a

    def answer(self):
        m = self.message()
        assert isinstance(m, Answer), m
        return m

    def get(self, uri, mode=FDPASS, flags=0):
        ident = self.request(uri, mode, flags=flags)
        a = self.answer()
        assert a.id == ident, (a.id, ident)
        return a

    def say_close(self, reason=CLOSE_NORMAL):
        self.send(struct.pack(">BB", 3, reason))

    # 7: the extension

    @staticmethod
    def encode_frame(op, tlvs=(), flags=0, payload=b"", ident=0, **odd):
        """odd: fields of the header that are to be wrong, or `body`: all of the TLVs as bytes."""
        body = odd.get("body", b"".join(encode_tlv(*t) for t in tlvs))
        return struct.pack(">BBBBHHIIQ", 0x10, op, odd.get("status", 0), odd.get("nfds", 0), flags,
                           odd.get("reserved", 0), ident, odd.get("tlv_len", len(body)),
                           odd.get("payload_len", len(payload))) + body + payload

    def ask(self, op, *tlvs, flags=0, payload=b"", ident=None, **odd):
        ident = self._id(ident)
        self.send(self.encode_frame(op, tlvs, flags, payload, ident, **odd))
        return ident

    def _frame(self):
        _, op, status, nfds, flags, zero, ident, tlv_len, payload_len = self.unpack(">BBBBHHIIQ")
        assert op & 0x80, f"a response with op {op:#x}"
        assert zero == 0 and nfds <= 253 and tlv_len <= 1048576
        # 7.1: when a frame's header is complete, its descriptors have arrived
        assert len(self.fds) >= nfds, f"{nfds} descriptors announced, {len(self.fds)} came"
        fds = [self.fds.popleft() for _ in range(nfds)]
        tlvs = parse_tlvs(self.take(tlv_len))
        return Frame(op & 0x7F, status, flags, ident, tlvs, self.take(payload_len), fds)

    def frames(self, ident):
        """The frames of one answer, up to and with the last; those of others are kept for their turn."""
        while True:
            if self.stash[ident]:
                f = self.stash[ident].pop(0)
            else:
                f = self.message()
                assert isinstance(f, Frame), f
                if f.id != ident:
                    self.stash[f.id].append(f)
                    continue
            yield f
            if not f.flags & MORE:
                return

    def call(self, op, *tlvs, flags=0, payload=b"", ident=None, **odd):
        """One request whose answer is one frame."""
        ident = self.ask(op, *tlvs, flags=flags, payload=payload, ident=ident, **odd)
        answer = list(self.frames(ident))
        assert len(answer) == 1 and answer[0].op == op
        return answer[0]


def encode_tlv(tag, data):
    if isinstance(data, int):
        form = {SIZE_HINT: ">Q", PUT_FLAGS: ">I", TTL_S: ">I", LIMIT: ">I", SESSION: ">I", DURABILITY: ">B",
                PROMISE: ">B", MAX_FDS: ">B", DELIMITER: ">B"}[tag]
        data = struct.pack(form, data)
    return struct.pack(">HH", tag, len(data)) + data


def parse_tlvs(data):
    out = []
    while data:
        tag, n = struct.unpack_from(">HH", data)
        assert len(data) >= 4 + n, "a TLV is longer than what is left"
        out.append((tag, data[4:4 + n]))
        data = data[4 + n:]
    return out


Obj = collections.namedtuple("Obj", "id rev flags size mtime_ns expiry_s tier home bucket gen")


def parse_obj(data):
    *fields, tier, home, zero, bucket, gen, zero2 = struct.unpack(">QIIQQQBBHIQQ", data)
    assert zero == 0 and zero2 == 0
    return Obj(*fields, tier, home, bucket, gen)


def encode_meta(pairs):
    return b"".join(struct.pack(">BH", len(k), len(v)) + k + v for k, v in pairs)


def cond_absent():
    return COND, struct.pack(">BQI", 1, 0, 0)


def cond_version(ident, rev=0):
    return COND, struct.pack(">BQI", 2, ident, rev)


class Frame:
    """A frame of the extension, as a client receives it."""

    def __init__(self, op, status, flags, ident, tlvs, payload, fds):
        self.op, self.status, self.flags, self.id = op, status, flags, ident
        self.tlvs, self.payload, self.fds = tlvs, payload, fds

    def __repr__(self):
        return f"Frame(op {self.op}, status {self.status:#x}, id {self.id}, {self.text!r}, tags {[t for t, _ in self.tlvs]})"

    def first(self, tag):
        return next((d for t, d in self.tlvs if t == tag), None)

    def all(self, tag):
        return [d for t, d in self.tlvs if t == tag]

    def number(self, tag):
        return int.from_bytes(self.first(tag), "big")

    @property
    def obj(self):
        data = self.first(OBJ)
        return None if data is None else parse_obj(data)

    @property
    def text(self):
        return (self.first(ERROR_TEXT) or b"").decode()

    def take_fd(self):
        assert len(self.fds) == 1, self
        return self.fds.pop()

    def read(self):
        with os.fdopen(self.take_fd(), "rb") as f:
            return f.read()
