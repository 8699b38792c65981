#!/usr/bin/env python3
"""Write the seeds of conn_fuzz, client_fuzz and ring_fuzz: tests/fuzz/seeds.py DIRECTORY (then corpus/conn ... below it)."""
import os
import struct
import sys

FD, COPY, SPLICE, SEG = b"1", b"2", b"3", b"4"
DATA, LEGACY, TCP, SHARING = 0, 1, 2, 4


def v1(uri, mode=FD):
    return mode + struct.pack(">H", len(uri)) + uri


def hello(caps=0xffff, pipeline=0):
    return b"OBJM" + struct.pack(">BHH", 2, caps, pipeline)


def v2(ident, uri, mode=FD, flags=0):
    return struct.pack(">BIB", 1, ident, flags) + mode + struct.pack(">H", len(uri)) + uri


def tlv(tag, data):
    return struct.pack(">HH", tag, len(data)) + data


def ext(op, ident, *tlvs, flags=0, payload=b""):
    body = b"".join(tlvs)
    return struct.pack(">BBBBHHIIQ", 0x10, op, 0, 0, flags, 0, ident, len(body), len(payload)) + body + payload


def uri(name):
    return tlv(1, name)


def put_commit(session, ident):
    return ext(4, ident, tlv(16, struct.pack(">I", session)))


def write(data):
    """Steps that write this."""
    out = b""
    while len(data) > 65535:
        out += bytes([230]) + b"\xff\xff" + data[:65535]
        data = data[65535:]
    if 0 < len(data) <= 200:
        return out + bytes([len(data) - 1]) + data
    return out + bytes([230]) + struct.pack(">H", len(data)) + data if data else out


def bytewise(data):
    return b"".join(bytes([0, b]) for b in data)


READ, GONE = bytes([220]), bytes([255])
CLOSE = b"\x03\x00"
OBJECTS = (b"/a", b"/b", b"/e", b"/none", b"/logo")


def conn_seeds():
    yield "v1", DATA, write(b"".join(v1(o, m) for o in OBJECTS for m in (FD, COPY, SPLICE)))
    yield "v1-bytewise", DATA, bytewise(v1(b"/a") + v1(b"/b", COPY))
    yield "v1-bad-uris", DATA, write(v1(b"") + v1(b"\xff") + v1(b"x" * 4096) + v1(b"x" * 4097) + v1(b"/a", SEG) + v1(b"/a"))
    yield "v1-many", DATA, write(v1(b"/a") * 400) + READ
    yield "v1-garbage", DATA, write(v1(b"/a") * 3 + b"\x99zzzz")
    yield "v1-uninvited", DATA, bytes([205]) + (v1(b"/a") * 4)[:16] + (v1(b"/a") * 4)[16:]
    yield "v1-gone", DATA, write(v1(b"/b", COPY) * 10) + READ + GONE
    yield "v1-half", DATA, write(v1(b"/a") + v1(b"/b")[:3])
    yield "tcp-v1", TCP, write(b"".join(v1(o, m) for o in OBJECTS for m in (FD, COPY, SPLICE)))
    yield "tcp-ext", TCP, write(hello() + ext(1, 1, uri(b"/b"), flags=0x10) + ext(1, 2, uri(b"/a")) + ext(6, 3, uri(b"/n"), payload=b"hi"))
    for name, caps in (("order", 0x0002), ("ooo", 0x0003), ("all", 0xffff)):
        yield "v2-" + name, DATA, write(hello(caps, 5) + b"".join(
            v2(i * 4 + k, o, m, i % 4) for i, o in enumerate(OBJECTS) for k, m in enumerate((FD, COPY, SPLICE, SEG))) + CLOSE)
    yield "v2-garbage", DATA, write(hello() + v2(1, b"/a") + v2(2, b"/b", COPY) + b"\x77rest")
    yield "v2-hello-twice", DATA, write(hello() + hello())
    yield "v2-version", DATA, write(b"OBJM\x03\x00\x00\x00\x00")
    yield "legacy-write", LEGACY, write(v1(b"/new") + v1(b"/delete/a") + v1(b"/list") + v1(b"/new2", COPY)) + READ
    yield "legacy-v2", LEGACY, write(hello() + v2(1, b"/n3", FD, 2) + v2(2, b"/n3", SEG)) + READ
    attach = ext(12, 1, tlv(25, b"\x01"), tlv(26, b"\xfc"), flags=0x100)
    yield "ext-get", DATA, write(hello() + attach + b"".join(ext(1, 10 + i, uri(o), flags=f) for i, o in enumerate(OBJECTS)
                                                             for f in (0, 0x10, 0x20, 0x40, 0x80, 0xf0)))
    yield "ext-get-hot", SHARING, write(hello() + attach + ext(1, 9, uri(b"/a")) * 60 + ext(1, 2, *[uri(OBJECTS[i % 5]) for i in range(30)]) * 3)
    yield "ext-get-many", SHARING, write(hello() + attach + ext(1, 2, *[uri(OBJECTS[i % 5]) for i in range(253)]))
    yield "ext-range", DATA, write(hello() + b"".join(ext(1, 3, uri(b"/b"), tlv(11, struct.pack(">QQ", o, n)), flags=0x10)
                                                      for o, n in ((0, 1), (199999, 0), (200000, 5), (200001, 1), (2**64 - 1, 2**64 - 1))))
    yield "ext-stat-list", DATA, write(hello() + ext(2, 1, uri(b"/a")) + ext(8, 2, tlv(12, b"/"), tlv(13, b"/"), tlv(15, b"\0\0\0\x02"), flags=0x20)
                                       + ext(8, 3, tlv(14, b"/a")) + ext(13, 4) + ext(10, 5) + ext(11, 6) + ext(9, 7, uri(b"/a"), tlv(9, b"\0\0\0\x05")))
    yield "ext-inline", DATA, write(hello() + ext(6, 1, uri(b"/i"), tlv(3, b"text/plain"), payload=b"x" * 1000) + ext(1, 2, uri(b"/i"), flags=0x90)
                                    + ext(7, 3, uri(b"/i"), flags=0x80) + ext(6, 4, uri(b"/i2"), payload=b""))
    yield "ext-inline-large", DATA, write(hello() + ext(6, 1, uri(b"/i"), payload=b"x" * 100000)) + READ
    yield "ext-inline-refused", DATA, write(hello() + ext(6, 1, uri(b"\xff"), payload=b"y" * 5000) + ext(13, 2))
    yield "ext-inline-cut", DATA, write(hello() + ext(6, 1, uri(b"/i"), payload=b"x" * 1000)[:-100])
    yield "ext-put", DATA, write(hello() + ext(3, 1, uri(b"/p"), tlv(7, struct.pack(">Q", 4096)), tlv(8, struct.pack(">I", 1)))) + READ * 3 + \
        write(put_commit(1, 2)) + READ * 3 + write(put_commit(9, 3) + ext(5, 4, tlv(16, b"\0\0\0\x01")))
    yield "ext-cond", DATA, write(hello() + ext(6, 1, uri(b"/c"), tlv(10, b"\x01" + bytes(12)), payload=b"1")
                                  + ext(7, 2, uri(b"/c"), tlv(10, b"\x02" + struct.pack(">QI", 5, 0))))
    yield "ext-bad", DATA, write(hello() + ext(1, 1) + ext(99, 2) + ext(1, 3, uri(b"/a"), tlv(77, b"")) + ext(1, 4, uri(b"/a"), flags=0x0800))
    yield "ext-tlv-large", DATA, write(hello() + ext(1, 1, tlv(0x8001, b"z" * 60000), tlv(0x8002, b"z" * 10000)) + ext(13, 2))
    yield "tcp-compressed", TCP, write(hello(0x0107) + v2(1, b"/b", COPY) + v2(2, b"/b", SPLICE) + ext(1, 3, uri(b"/b"), flags=0x10)
                                       + ext(1, 4, uri(b"/b"), tlv(11, struct.pack(">QQ", 1000, 150000)), flags=0x10) + v2(5, b"/a", COPY) + CLOSE)
    yield "tcp-compressed-gone", TCP, write(hello(0x0107) + v2(1, b"/b", COPY) * 20) + READ + GONE
    yield "mixed", DATA, write(hello() + v2(1, b"/a") + ext(1, 2, uri(b"/a")) + v2(3, b"/b", SEG) + ext(1, 4, uri(b"/b"), flags=0x10) + CLOSE)


# ---------------------------------------------------------------- what a server sends (behind a handshake)

LETTERS = bytes.fromhex("28b52ffd60204d4d00001061610100" "1bce0eb0")  # 20,000 letters a, zstd


def response(ident, size, meta=b"", body=b"", status=0):
    return struct.pack(">BIBQH", 2, ident, status, size, len(meta)) + meta + body


def block(raw, data):
    return struct.pack(">II", len(data), raw) + data


CODED = b"\x01\x00\x08" + struct.pack(">Q", 20000) + b"\x09\x00\x01\x01"


def client_seeds():
    whole = response(1, 20000, CODED, block(20000, LETTERS))
    yield "compressed", b"\0" + whole * 2
    yield "compressed-not-granted", b"\1" + whole
    yield "compressed-blocks", b"\0" + response(1, 40008, CODED, block(20000, LETTERS) + block(8, b"as it is") + block(20000, LETTERS))
    yield "compressed-more", b"\0" + response(1, 19999, CODED, block(19999, LETTERS))
    yield "compressed-less", b"\0" + response(1, 20001, CODED, block(20001, LETTERS))
    yield "compressed-cut", b"\0" + whole[:-5]
    yield "plain", b"\0" + response(1, 5, b"", b"hello") + response(2, 0, b"", b"X") + response(3, 0, b"\xff\x00\x02no", status=1)
    seg = lambda *row: struct.pack(">BBHIQQQ", *row)
    yield "segmented", b"\0" + struct.pack(">BIBHH", 5, 1, 0, 2, 0) + seg(0, 0, 0, 4, 4, 0, 0) + seg(1, 1, 0, 0, 10, 4, 10) + b"head" + b"X"
    yield "close", b"\0" + CLOSE + response(1, 2, b"", b"ab") + struct.pack(">BBI", 4, 0, 0)


# ---------------------------------------------------------------- ring messages (common/msg_ring.h, host byte order)

# Flags of a record: see ring_fuzz.c.
WORKER, LIFECYCLE, LAST_ID, RAW_LEN, RAW_TAIL = 0, 1, 2, 4, 8


def msg(kind, body, flags=0, req=7):
    raw = struct.pack("<IHHQ", 16 + len(body), kind, 0, req) + body
    return bytes([flags]) + struct.pack(">H", len(raw)) + raw


def cond(kind=0, ident=0, rev=0):
    return struct.pack("<QIB3x", ident, rev, kind)


def prepare(name, tier=0, size=100, flags=0, c=cond(), uid=0):
    return msg(1, c + struct.pack("<QIIBBHI", size, flags, uid, tier, 0, len(name), 0) + name, WORKER)


def commit(name, tier=0, size=100, flags=0):
    return msg(2, struct.pack("<QQQQIBBHHHI", 0, size, 1, 0, flags, tier, 0, len(name), 0, 0, 0) + name, WORKER | LAST_ID)


def move(kind, name, frm=1, to=0, how=1, rev=1):
    return msg(kind, struct.pack("<QQIBBBBH6x", 0, 100, rev, frm, to, how, 0, len(name)) + name, LIFECYCLE | LAST_ID)


def drop(name, tier=0, why=0):
    return msg(14, struct.pack("<QIBBH", 0, 0, tier, why, len(name)) + name, LIFECYCLE | LAST_ID)


def gone(name, tier=1, who=WORKER):
    return msg(15, struct.pack("<QBBH4x", 0, tier, 0, len(name)) + name, who | LAST_ID)


def reserve(room, size, tier=0, wait=0):
    return msg(21, struct.pack("<QIIBB6x", size, room, 0, tier, wait))


def ring_seeds():
    u = b"/o"
    disk = prepare(u, 1) + commit(u, 1)
    yield "move-copy", disk + move(11, u) + move(12, u) + drop(u) + gone(u)
    yield "move-copy-delete", disk + move(11, u) + move(12, u) + msg(4, cond() + struct.pack("<HHI", len(u), 0, 0) + u)
    yield "move-abort", disk + move(11, u) + move(13, u) + move(11, u) + prepare(u, 1) + commit(u, 1) + move(12, u)
    yield "move-commit-alone", disk + move(12, u)
    yield "move-home", disk + move(11, u, how=0) + move(11, u, 1, 1, 0) + move(11, u, 0, 1, 0)
    yield "drop", prepare(u, 1, flags=4) + commit(u, 1, flags=4) + drop(u, 1, 1) + drop(u, 1, 2)
    yield "gone", disk + gone(u) + gone(u, 0, LIFECYCLE)
    yield "reserve", reserve(1, 1000) + reserve(1, 5000) + reserve(2, 1 << 62, 1, 1) + msg(22, struct.pack("<II", 1, 0)) + msg(22, struct.pack("<II", 9, 0))
    yield "owner", prepare(u, 1, 1500, uid=1000) + commit(u, 1, 1500) + prepare(b"/p", 1, 1000, uid=1000) + prepare(u, 1, 1400, uid=1000) + commit(u, 1, 1400) \
        + prepare(u, 0, 2000, uid=1001) + commit(u, 0, 2000) + move(11, u, 0, 1, 0) + msg(21, struct.pack("<QIIBB2xI", 1999, 5, 0, 1, 0, 1000))
    yield "reserve-two-tiers", reserve(1, 1000) + reserve(1, 1000, 1)
    yield "reserve-taken", reserve(3, 4096) + msg(1, cond() + struct.pack("<QIIBBHI", 100, 0, 0, 0, 0, len(u), 3) + u) + commit(u)
    yield "put", prepare(u) + commit(u) + msg(6, struct.pack("<HHI", len(u), 1, 0) + u)
    yield "put-1", prepare(u, 1) + commit(u, 1) + msg(4, cond() + struct.pack("<HHI", len(u), 0, 0) + u)
    yield "put-abort", prepare(u) + msg(3, struct.pack("<QiI", 0, 0, 0), LAST_ID)
    yield "cond", prepare(u, c=cond(1)) + commit(u) + prepare(u, c=cond(1)) + prepare(u, c=cond(2, 5, 1))
    for limit, prefix, after, delimiter in ((10, b"/", b"", 0), (1, b"", b"/o", ord("/")), (1000, b"", b"", 0)):
        yield f"list-{limit}", disk + prepare(b"/a/b") + commit(b"/a/b") + msg(7, struct.pack("<IHHB7x", limit, len(prefix), len(after), delimiter) + prefix + after)
    yield "lookup", disk + msg(6, struct.pack("<HB5x", 2, 1) + u) + msg(6, struct.pack("<HB5x", 5, 1) + b"/none")
    def change(c=cond(), mask=0, flags=0, kind=b"", meta=b"", expiry=0):
        return msg(5, c + struct.pack("<QIIIBBBxHHHH", expiry, mask, flags, 0, bool(kind), bool(meta), bool(expiry), len(u), len(kind), len(meta), 0) + u + kind + meta)
    some = b"\x05\x00\x02ownerme"
    for name, put in (("disk", disk), ("mem", prepare(u) + commit(u))):
        yield f"set-{name}", put + change(kind=b"text/plain", meta=some) + change(mask=6, flags=2) + change(expiry=1 << 62) + change(cond(2, 1, 1), kind=b"x")
        yield f"set-watched-{name}", msg(17, struct.pack("<QB7x", 2**64 - 1, 1)) + put + change(meta=some) + msg(4, cond() + struct.pack("<HHI", len(u), 0, 0) + u)
    yield "set-moving", disk + move(11, u) + change(kind=b"t") + move(12, u, rev=1) + change(kind=b"u")
    yield "attred-nobody-asked", disk + msg(18, struct.pack("<QiB3x", 0, 0, 1), LIFECYCLE | LAST_ID, req=0)
    for who in (WORKER, LIFECYCLE):
        yield f"found-nobody-asked-{who}", msg(8, struct.pack("<QQQQIIBBHHHII", 1, 10, 1, 0, 0, 1, 1, 0, len(u), 0, 0, 1000, 0) + u, who, req=0) + \
            msg(9, struct.pack("<QiB3x", 1, 0, 1), who, req=0)
    yield "watch", msg(17, struct.pack("<QB7x", 0, 1)) + disk + msg(17, struct.pack("<QB7x", 2**64 - 1, 0)) + disk + msg(17, struct.pack("<QB7x", 1, 1))
    for what in (0, 1, 2):
        yield f"admit-{what}", msg(19, struct.pack("<IB3x", 1000, what)) * 3 + msg(20, struct.pack("<IB3x", 1000, what)) * 2
    yield "leave-alone", msg(20, struct.pack("<IB3x", 1000, 1))
    uid = lambda name, who, size: msg(1, cond() + struct.pack("<QIIBBHI", size, 0, who, 1, 0, len(name), 0) + name)
    yield "owners", uid(b"/u1", 1000, 10) + commit(b"/u1", 1, 10) + uid(b"/u2", 1001, 1 << 50) + uid(b"/u1", 1001, 20) + commit(b"/u1", 1, 20)
    for tail in (0, 8, 1 << 20, 2**64 - 8):
        yield f"tail-{tail:x}", bytes([RAW_TAIL]) + struct.pack(">H", 8) + struct.pack("<Q", tail) + prepare(u)
    yield "tasked-nobody-asked", msg(16, bytes(8), LIFECYCLE, req=0)
    yield "raw-len", msg(1, bytes(40), RAW_LEN)[:-1]
    for kind in list(range(1, 24)) + [64, 70, 255]:
        for size in (8, 24, 48):
            for who in (WORKER, LIFECYCLE):
                yield f"zero-{kind}-{size}-{who}", msg(kind, bytes(size), who)
            yield f"ones-{kind}-{size}", msg(kind, b"\x01\x00" * (size // 2), WORKER if kind < 8 else LIFECYCLE)


def main(root):
    for name, seeds in (("conn", ((n, bytes([k]) + d) for n, k, d in conn_seeds())), ("client", client_seeds()), ("ring", ring_seeds())):
        path = os.path.join(root, "corpus", name)
        os.makedirs(path, exist_ok=True)
        for seed, data in seeds:
            with open(os.path.join(path, seed), "wb") as f:
                f.write(data)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__)))
