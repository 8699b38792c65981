"""The extension (section 7), operation by operation."""
import os
import struct
import threading
import time

import objm_second as o
from checks import check, same, until
from objm_second import V2

ALL = o.CAP_OOO | o.CAP_PIPELINE | o.CAP_SEGMENTED | o.CAP_EXT


def uri(name):
    return o.URI, name if isinstance(name, bytes) else name.encode()


def connect(env, caps=ALL, **kw):
    c = V2(env.where, caps=caps, **kw)
    assert c.caps & o.CAP_EXT
    return c


def status(frame, want):
    same(frame.status, want, frame)
    assert frame.status == o.OK or not frame.fds
    return frame


def put(c, name, data, *tlvs):
    return status(c.call(o.PUT_INLINE, uri(name), *tlvs, payload=data), o.OK)


def begin(c, name, *tlvs):
    f = status(c.call(o.PUT_BEGIN, uri(name), *tlvs), o.OK)
    assert f.first(o.TIER_NAME)
    return (o.SESSION, f.first(o.SESSION)), f.take_fd()


@check("unix", "tcp")
def get_one(env):
    """GET by descriptor and by copy, with ranges, what is wanted besides, and who asks wrongly"""
    with connect(env) as c:
        for name, data in env.objects.items():
            if env.unix:
                f = status(c.call(o.GET, uri(name)), o.OK)
                same((f.obj.size, f.read(), f.payload), (len(data), data, b""))
                assert f.first(o.TIER_NAME) is None and f.first(o.SERVER_NS) is None
            n = len(data)
            for off, length, want in ((0, 0, (0, n)), (0, 5, (0, min(5, n))), (n, 0, (n, 0)), (n, 7, (n, 0)), (n // 2, 0, (n // 2, n - n // 2)),
                                      (n // 3, 2**64 - 1, (n // 3, n - n // 3))):
                f = status(c.call(o.GET, uri(name), (o.RANGE, struct.pack(">QQ", off, length)), flags=o.WANT_COPY), o.OK)
                same((f.fds, struct.unpack(">QQ", f.first(o.RANGE)), f.payload), ([], want, data[want[0]:sum(want)]))
            for off in (n + 1, 2**64 - 1):
                status(c.call(o.GET, uri(name), (o.RANGE, struct.pack(">QQ", off, 0)), flags=o.WANT_COPY), o.RANGE_NOT_SATISFIABLE)
            f = status(c.call(o.GET, uri(name), flags=o.WANT_COPY | o.WANT_META | o.WANT_TIME), o.OK)
            assert f.first(o.TIER_NAME) and f.first(o.HOME_NAME) and len(f.first(o.SERVER_NS)) == 4
        status(c.call(o.GET, uri("/none"), flags=o.WANT_COPY), o.NOT_FOUND)
        if not env.unix:
            status(c.call(o.GET, uri(name)), o.INVALID_MODE)


@check("unix")
def get_many(env):
    """many URIs in one frame, each answered once, missing and wrong ones in between; at most MAX_FDS to a message"""
    names = (list(env.objects) + [b"/none", b"\xff"]) * 64
    names = names[:253]
    for room in (253, 252, 64, 2, 1):
        with connect(env, room=room) as c:
            status(c.call(o.ATTACH, (o.PROMISE, 0), (o.MAX_FDS, room)), o.OK)
            c.batches.clear()
            ident = c.ask(o.GET, *map(uri, names))
            status(next(c.frames(c.ask(o.PING))), o.OK)
            answers = list(c.frames(ident))
            same(sorted(f.number(o.INDEX) for f in answers), list(range(253)))
            assert max(c.batches) <= room
            for f in answers:
                name = names[f.number(o.INDEX)]
                if name in env.objects:
                    same(f.read(), env.objects[name])
                else:
                    status(f, o.NOT_FOUND if name == b"/none" else o.INVALID_REQUEST)
    with connect(env) as c:
        for wrong, want in (((), o.INVALID_REQUEST), ([uri("/a")] * 254, o.LIMIT_EXCEEDED), ([uri("/a"), uri("x" * 4097)], o.URI_TOO_LONG)):
            f = status(c.call(o.GET, *wrong), want)
            same(f.first(o.INDEX), None)
        ident = c.ask(o.GET, *map(uri, env.objects), flags=o.WANT_COPY)
        for f in c.frames(ident):
            same(f.payload, list(env.objects.values())[f.number(o.INDEX)])


@check("unix")
def mixed(env):
    """messages of version 2 and frames on one connection, with descriptors of all kinds in one queue"""
    name, data = next((n, d) for n, d in env.objects.items() if len(d) > 5000)
    empty = next(n for n, d in env.objects.items() if not d)
    with connect(env) as c:
        out = []
        for i in range(0, 400, 4):
            out += [V2.encode(name, o.FDPASS, i), V2.encode_frame(o.GET, [uri(name)], ident=i + 1),
                    V2.encode(name, o.SEGMENTED, i + 2), V2.encode(empty, o.COPY, i + 3)]
        c.send_behind(b"".join(out))
        seen = set()
        for _ in range(400):
            m = c.message()
            seen.add(m.id)
            same(m.read() if isinstance(m, o.Frame) else m.bytes(), b"" if m.id % 4 == 3 else data)
        same(len(seen), 400)


@check("unix", "tcp")
def bad_frames(env):
    """what 7.1 to 7.3 say of wrong headers, flags and TLVs"""
    name = next(iter(env.objects))
    for odd in ({"nfds": 1}, {"status": 1}, {"reserved": 1}):
        with connect(env) as c:
            c.ask(o.PING, ident=1)
            c.ask(o.PING, **odd)
            status(c.message(), o.OK)
            same(c.message(), o.Close(o.CLOSE_ERROR))
            assert c.ended()
    with connect(env) as c:
        c.ask(0x80 | o.PING)
        same(c.message(), o.Close(o.CLOSE_ERROR))
    with connect(env) as c:
        c.next_id = 0xFFFFFFF0
        limits = struct.unpack(">IIIHBBQ", status(c.call(o.ATTACH, (o.PROMISE, 0xFE)), o.OK).first(o.LIMITS))
        tlv_max, inline_max = limits[0], limits[6]
        u = uri(name)
        wrong = [
            (o.UNSUPPORTED_OP, 0, [], {}), (o.UNSUPPORTED_OP, 99, [u], {"payload": b"abc"}), (o.UNSUPPORTED_OP, 0x7F, [], {}),
            (o.INVALID_REQUEST, o.PING, [], {"flags": 0x2}), (o.INVALID_REQUEST, o.PING, [], {"flags": o.MORE}),
            (o.OK, o.PING, [], {"flags": 0xF000 | o.WANT_COPY | o.WANT_TABLE}),
            (o.INVALID_REQUEST, o.PING, [u], {}), (o.INVALID_REQUEST, o.PING, [], {"payload": b"x" * 100000}),
            (o.INVALID_REQUEST, o.STAT, [], {}), (o.INVALID_REQUEST, o.STAT, [u, u], {}), (o.INVALID_REQUEST, o.STAT, [u, (99, b"")], {}),
            (o.OK, o.STAT, [u, (0x8063, b"abc")], {}), (o.INVALID_REQUEST, o.STAT, [u, (o.TYPE, b"x")], {}),
            (o.INVALID_REQUEST, o.STAT, [(o.URI, b"")], {}), (o.URI_TOO_LONG, o.STAT, [(o.URI, b"x" * 4097)], {}),
            (o.INVALID_REQUEST, o.STAT, [(o.URI, b"\xff")], {}), (o.INVALID_REQUEST, o.GET, [u, (o.RANGE, bytes(16))], {}),
            *((o.INVALID_REQUEST, o.STAT, [], {"body": b}) for b in (b"\0", b"\0\1\0", b"\0\1\0\5/abc", b"\0\1\0\2/a\x80\1\0\1")),
            (o.INVALID_REQUEST, o.LIST, [(o.LIMIT, b"abc")], {}), (o.INVALID_REQUEST, o.LIST, [(o.DELIMITER, b"")], {}),
            (o.INVALID_REQUEST, o.LIST, [(o.PREFIX, b"x" * 4097)], {}), (o.INVALID_REQUEST, o.ATTACH, [], {}),
            (o.INVALID_REQUEST, o.ATTACH, [(o.PROMISE, 0), (o.MAX_FDS, 0)], {}), (o.INVALID_REQUEST, o.ATTACH, [(o.PROMISE, 0), (o.MAX_FDS, 254)], {}),
            (o.TOO_LARGE, o.PING, [(0x8001, b"x" * 60000)] * (tlv_max // 60000 + 1), {}),
            (o.INVALID_REQUEST, o.TOUCH, [], {}), (o.INVALID_REQUEST, o.TOUCH, [(o.TOUCHED, bytes(12))], {}),
            (o.LIMIT_EXCEEDED, o.TOUCH, [(o.TOUCHED, bytes(12) + b"/a")] * 1025, {}), (o.OK, o.TOUCH, [(o.TOUCHED, bytes(12) + b"/a")] * 1024, {}),
        ]
        if env.unix:
            v, cond = (o.PUT_FLAGS, 0), lambda kind: (o.COND, bytes([kind]) + bytes(12))
            wrong += [(o.INVALID_REQUEST, o.PUT_INLINE, [uri("/bad"), t], {"payload": b"x"}) for t in
                      ((o.PUT_FLAGS, 8), cond(3), (o.DURABILITY, 3), (o.TTL_S, b"ab"), (o.TYPE, b"x" * 256), (o.META, b"\1\0\5ab"),
                       (o.META, b"\0\0\0"), (o.META, o.encode_meta([(b"k", b"")] * 2)), (o.META, o.encode_meta([(b"%d" % i, b"") for i in range(65)])),
                       (o.META, o.encode_meta([(b"k" * 129, b"")])), (o.META, o.encode_meta([(b"k", b"x" * 4093)])),
                       (o.TYPE, b"a/b\0"), (o.META, o.encode_meta([(b"k", b"v"), (b"a\0b", b"v")])))]
            wrong += [(o.INVALID_REQUEST, op, [uri("/bad"), t], {}) for op in (o.PUT_BEGIN, o.SET)
                      for t in ((o.TYPE, b"\0"), (o.META, o.encode_meta([(b"k\0", b"")])))]
            wrong += [
                (o.TOO_LARGE, o.PUT_INLINE, [uri("/bad")], {"payload": b"x" * (inline_max + 1)}),
                (o.NO_SESSION, o.PUT_COMMIT, [(o.SESSION, 12345)], {}), (o.NO_SESSION, o.PUT_ABORT, [(o.SESSION, 12345)], {}),
                (o.NOT_FOUND, o.DELETE, [uri("/none")], {}), (o.NOT_FOUND, o.DELETE, [uri("/none"), o.cond_version(1)], {}),
                (o.INVALID_REQUEST, o.DELETE, [u, o.cond_absent()], {}), (o.INVALID_REQUEST, o.SET, [u, v, o.cond_absent()], {}),
                (o.INVALID_REQUEST, o.SET, [u], {}), (o.NOT_FOUND, o.SET, [uri("/none"), v], {}),
                (o.PRECONDITION_FAILED, o.SET, [uri("/none"), v, o.cond_version(1)], {}), (o.INVALID_REQUEST, o.SET, [u, (o.PUT_FLAGS, o.EPHEMERAL)], {}),
                (o.PRECONDITION_FAILED, o.PUT_INLINE, [uri("/none"), o.cond_version(1)], {"payload": b"x"}),
                (o.PRECONDITION_FAILED, o.PUT_INLINE, [u, o.cond_absent()], {"payload": b"x"}),
                (o.NO_SPACE, o.PUT_BEGIN, [u, (o.SIZE_HINT, 2**63)], {}),
            ]
        for want, op, tlvs, more in wrong:
            f = c.call(op, *tlvs, **more)
            same(f.status, want, (op, [(t, d[:20] if isinstance(d, bytes) else d) for t, d in tlvs][:3], f.text))
            assert f.status == o.OK or f.text
            status(c.call(o.PING), o.OK)
        same(c.call(o.STAT, uri("/bad")).status, o.NOT_FOUND)
        same(c.call(o.STAT, u, (o.TYPE, b"x")).text, "STAT does not take TYPE", "the text says what is wrong")


@check("unix")
def put_and_commit(env):
    """nothing is seen before the commit, a writer left open refuses it, abort and the end of a connection drop it"""
    meta = o.encode_meta([(b"owner", b"me"), (b"\xff\1", b"\0\n" * 50)])
    with connect(env) as c, connect(env) as other:
        session, fd = begin(c, "/put", (o.TYPE, b"image/png"), (o.META, meta), (o.SIZE_HINT, 100), (o.TTL_S, 3600), (o.PUT_FLAGS, o.PINNED), o.cond_absent())
        os.write(fd, b"first")
        status(other.call(o.STAT, uri("/put")), o.NOT_FOUND)
        status(c.call(o.PUT_COMMIT, session), o.WRITER_STILL_OPEN)
        status(other.call(o.PUT_COMMIT, session), o.NO_SESSION)
        os.pwrite(fd, b"F", 0)
        os.close(fd)
        f = status(c.call(o.PUT_COMMIT, session), o.OK)
        assert f.first(o.TIER_NAME) and f.number(o.DURABILITY) <= 2
        status(c.call(o.PUT_COMMIT, session), o.NO_SESSION)
        s = status(other.call(o.STAT, uri("/put")), o.OK)
        same((s.obj.id, s.obj.size, s.obj.flags, s.first(o.TYPE), s.first(o.META)), (f.obj.id, 5, o.PINNED, b"image/png", meta))
        assert abs(s.obj.expiry_s - time.time() - 3600) < 600 and abs(s.obj.mtime_ns / 1e9 - time.time()) < 600
        same(other.call(o.GET, uri("/put")).read(), b"First")

        session, fd = begin(c, "/put", o.cond_absent())
        os.close(fd)
        status(c.call(o.PUT_COMMIT, session), o.PRECONDITION_FAILED)
        status(c.call(o.PUT_COMMIT, session), o.NO_SESSION)
        session, fd = begin(c, "/put", o.cond_version(f.obj.id, f.obj.rev))
        os.write(fd, b"second")
        os.close(fd)
        g = status(c.call(o.PUT_COMMIT, session), o.OK)
        assert g.obj.id > f.obj.id and g.obj.flags == 0

        session, fd = begin(c, "/aborted")
        status(c.call(o.PUT_ABORT, session), o.OK)
        status(c.call(o.PUT_COMMIT, session), o.NO_SESSION)
        os.close(fd)
        for leave in (lambda x: x.say_close(), lambda x: x.half_close(), lambda x: None):
            with connect(env) as gone:
                session, fd = begin(gone, "/aborted")
                os.write(fd, b"x")
                os.close(fd)
                leave(gone)
        status(c.call(o.STAT, uri("/aborted")), o.NOT_FOUND)

        for flags in range(8):
            f = put(c, "/flags", b"x", (o.PUT_FLAGS, flags))
            same((f.obj.flags, f.obj.size), (flags, 1))
        for durability in range(3):
            assert put(c, "/durable", b"", (o.DURABILITY, durability)).number(o.DURABILITY) <= 2
        for name in ("/put", "/flags", "/durable"):
            status(c.call(o.DELETE, uri(name)), o.OK)


@check("unix")
def change(env):
    """SET raises rev, keeps id and bytes, and replaces only what is named; conditions hold; a descriptor outlives DELETE"""
    with connect(env) as c:
        first = put(c, "/set", b"bytes", (o.TYPE, b"a/b"), (o.META, o.encode_meta([(b"k", b"v")]))).obj
        got = status(c.call(o.GET, uri("/set")), o.OK)
        second = status(c.call(o.SET, uri("/set"), (o.PUT_FLAGS, o.PINNED | o.EVICTABLE), o.cond_version(first.id, first.rev)), o.OK).obj
        same((second.id, second.rev, second.flags), (first.id, first.rev + 1, o.PINNED | o.EVICTABLE))
        status(c.call(o.SET, uri("/set"), (o.TTL_S, 5), o.cond_version(first.id, first.rev)), o.PRECONDITION_FAILED)
        status(c.call(o.SET, uri("/set"), (o.TTL_S, 5), o.cond_version(first.id)), o.OK)
        s = c.call(o.STAT, uri("/set"))
        same((s.first(o.TYPE), s.first(o.META), s.obj.flags), (b"a/b", o.encode_meta([(b"k", b"v")]), o.PINNED | o.EVICTABLE))
        status(c.call(o.SET, uri("/set"), (o.TYPE, b""), (o.META, b""), (o.TTL_S, 0)), o.OK)
        s = c.call(o.STAT, uri("/set"))
        same((s.first(o.TYPE), s.first(o.META), s.obj.expiry_s), (None, None, 0))
        status(c.call(o.DELETE, uri("/set"), o.cond_version(first.id, first.rev)), o.PRECONDITION_FAILED)
        status(c.call(o.DELETE, uri("/set"), o.cond_version(s.obj.id, s.obj.rev)), o.OK)
        status(c.call(o.GET, uri("/set")), o.NOT_FOUND)
        same(got.read(), b"bytes")
        assert put(c, "/set", b"again").obj.id > first.id
        status(c.call(o.DELETE, uri("/set")), o.OK)


@check("unix")
def compare_and_swap(env):
    """eight clients that count in one object lose no step"""
    each, failures = 25, []
    with connect(env) as c:
        put(c, "/counter", b"0")

    def work():
        try:
            with connect(env) as mine:
                done = 0
                while done < each:
                    f = status(mine.call(o.GET, uri("/counter"), flags=o.WANT_COPY), o.OK)
                    g = mine.call(o.PUT_INLINE, uri("/counter"), o.cond_version(f.obj.id, f.obj.rev), payload=b"%d" % (int(f.payload) + 1))
                    assert g.status in (o.OK, o.PRECONDITION_FAILED, o.TRY_AGAIN), g
                    done += g.status == o.OK
        except Exception as e:  # pylint: disable=broad-except
            failures.append(e)
    threads = [threading.Thread(target=work) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    same(failures, [])
    with connect(env) as c:
        same(c.call(o.GET, uri("/counter"), flags=o.WANT_COPY).payload, b"%d" % (8 * each))
        status(c.call(o.DELETE, uri("/counter")), o.OK)


def pages(c, *tlvs, flags=0):
    """(names, prefixes) of all pages, in the order in which they came."""
    out, start = [], b""
    while True:
        tags = [t for t in tlvs if t[0] != o.START_AFTER or not start] + ([(o.START_AFTER, start)] if start else [])
        frames = list(c.frames(c.ask(o.LIST, *tags, flags=flags)))
        for f in frames:
            status(f, o.OK)
            for tag, data in f.tlvs:
                if tag == o.ENTRY:
                    entry = dict(o.parse_tlvs(data))
                    assert len(entry[o.OBJ]) == 64 and (o.TYPE in entry) <= bool(flags & o.WANT_META)
                    out.append(entry[o.URI])
                elif tag == o.COMMON_PREFIX:
                    out.append(b"*" + data)
        following = frames[-1].first(o.NEXT)
        if following is None:
            return out
        assert following > start
        start = following


@check("unix")
def listing(env):
    """prefixes, delimiters, pages of any size: bytewise order, each name once"""
    names = sorted({b"/ls/%c%d/%d" % (97 + i % 3, i % 7, i) for i in range(300)} | {b"/ls/b", b"/ls/\xc3\xa9", b"/ls/" + b"z" * 4000, b"/ls0"})
    with connect(env) as c:
        c.send_behind(b"".join(V2.encode_frame(o.PUT_INLINE, [uri(n), (o.TYPE, b"t")], payload=b"x", ident=i) for i, n in enumerate(names)))
        for _ in names:
            status(c.message(), o.OK)
        inside = [n for n in names if n.startswith(b"/ls/")]
        for limit in (0, 1, 7, 2**32 - 1):
            same(pages(c, (o.PREFIX, b"/ls/"), (o.LIMIT, limit)), inside, limit)
        same(pages(c, (o.PREFIX, b"/ls"), flags=o.WANT_META), names)
        folders = sorted({b"*" + n[:n.index(b"/", 4) + 1] if b"/" in n[4:] else n for n in inside}, key=lambda n: n.lstrip(b"*"))
        for limit in (0, 1, 3):
            same(pages(c, (o.PREFIX, b"/ls/"), (o.DELIMITER, b"/"), (o.LIMIT, limit)), folders, limit)
        for start in (b"/ls/b", b"/ls/b1/", b"/ls/\xff", b"/a", b"/ls/c"):
            same(pages(c, (o.PREFIX, b"/ls/"), (o.START_AFTER, start)), [n for n in inside if n > start], start)
        same(pages(c, (o.PREFIX, b"/ls/none")), [])
        for i, n in enumerate(names):
            c.ask(o.DELETE, uri(n), flags=o.ORDERED, ident=i)
        for i in range(len(names)):
            same(status(c.message(), o.OK).id, i)
        same(pages(c, (o.PREFIX, b"/ls")), [])


@check("unix")
def watching(env):
    """each change once and in order; going on from a position; what does not hold up what"""
    def change_of(f):
        same((f.op, f.status, bool(f.flags & o.MORE)), (o.WATCH, o.OK, True))
        kind, epoch, pos = struct.unpack(">BQQ", f.first(o.CHANGE))
        return kind, epoch, pos, f.first(o.URI)

    with connect(env, pipeline=1) as w, connect(env) as c:
        ident = w.ask(o.WATCH, (o.PREFIX, b"/w/"))
        kind, epoch, start, name = change_of(w.message())
        same((kind, name), (o.CH_HERE, None))
        first = put(c, "/w/1", b"a").obj
        put(c, "/elsewhere", b"a")
        put(c, "/w/2", b"b")
        status(c.call(o.SET, uri("/w/1"), (o.PUT_FLAGS, o.EVICTABLE)), o.OK)
        for n in ("/w/1", "/elsewhere", "/w/2"):
            status(c.call(o.DELETE, uri(n)), o.OK)
        want = [(o.CH_PUT, b"/w/1"), (o.CH_PUT, b"/w/2"), (o.CH_SET, b"/w/1"), (o.CH_DELETE, b"/w/1"), (o.CH_DELETE, b"/w/2")]

        def told(x):
            out, last = [], 0
            while len(out) < len(want):
                f = x.message()
                kind, e, pos, name = change_of(f)
                if kind == o.CH_MOVED:
                    continue
                assert e == epoch and pos > last
                last = pos
                out.append((kind, name, pos))
                if len(out) == 1:
                    same((f.id, f.obj.id), (ident, first.id))
            return out
        got = told(w)
        same([x[:2] for x in got], want)
        # a watch that was accepted counts as answered: it takes nothing of the pipeline, and holds up no ORDERED request
        status(next(w.frames(w.ask(o.PING, flags=o.ORDERED))), o.OK)
        with connect(env) as again:
            ident = again.ask(o.WATCH, (o.PREFIX, b"/w/"), (o.POSITION, struct.pack(">QQ", epoch, start)))
            same(change_of(again.message())[:3], (o.CH_HERE, epoch, start))
            same(told(again), got)
        with connect(env) as again:
            again.ask(o.WATCH, (o.PREFIX, b"/w/"), (o.POSITION, struct.pack(">QQ", epoch ^ 1, start)))
            same([change_of(again.message())[0] for _ in range(2)], [o.CH_HERE, o.CH_LOST])
        w.say_close()
        same(w.message(), o.CloseAck(0))
        assert w.ended()
    with connect(env, caps=o.CAP_EXT) as c:
        status(c.call(o.WATCH), o.PROTO_CAPABILITY)
    with connect(env) as c:
        for _ in range(16):
            c.ask(o.WATCH, (o.PREFIX, b"/nothing/"))
            same(change_of(c.message())[0], o.CH_HERE)
        status(c.call(o.WATCH), o.LIMIT_EXCEEDED)


@check("unix", "tcp")
def heat(env):
    """TOUCH is counted for the id that stands under the URI"""
    name = next(iter(env.objects))
    with connect(env) as c:
        ident = c.call(o.STAT, uri(name)).obj.id

        def count():
            return struct.unpack(">IIQ", c.call(o.STAT, uri(name)).first(o.HEAT))[1]
        before = count()
        status(c.call(o.TOUCH, (o.TOUCHED, struct.pack(">QI", ident, 1000) + name)), o.OK)
        until(lambda: count() > before + 500)


@check("unix")
def generations(env):
    """the table's descriptor: read-only, and of a size that holds every bucket told"""
    with connect(env) as c:
        f = status(c.call(o.ATTACH, (o.PROMISE, 1), flags=o.WANT_TABLE), o.OK)
        fd = f.take_fd()
        try:
            os.write(fd, b"x")
            raise AssertionError("the table is writable")
        except OSError:
            pass
        name = next(iter(env.objects))
        assert os.fstat(fd).st_size >= 8 * c.call(o.STAT, uri(name)).obj.bucket
        os.close(fd)


@check("tcp")
def read_only(env):
    """no rule lets the address change anything; no descriptors, no table"""
    with connect(env) as c:
        f = status(c.call(o.ATTACH, (o.PROMISE, 1), flags=o.WANT_TABLE), o.OK)
        same(f.fds, [])
        for op, tlvs in ((o.PUT_BEGIN, []), (o.PUT_INLINE, []), (o.DELETE, []), (o.SET, [(o.TTL_S, 1)])):
            status(c.call(op, uri("/tcp"), *tlvs), o.READ_ONLY)
