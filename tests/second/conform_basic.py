"""Versions 1 and 2 as doc/protocol.md describes them, from the side of an old client and an odd one."""
import fcntl
import mmap
import os
import random
import struct

import objm_second as o
from checks import check, same
from objm_second import V1, V2, COPY, FDPASS, SEGMENTED, SPLICE

BYTES = (COPY, SPLICE)
HELLO = V2.encode_hello()


def modes(env):
    return (FDPASS, COPY, SPLICE) if env.unix else BYTES


def rest(s):
    """All that still comes, up to the end of the stream."""
    out = b""
    while True:
        try:
            data = s.sock.recv(65536)
        except ConnectionResetError:
            return out
        if not data:
            return out
        out += data


@check("unix", "tcp", "legacy")
def every_mode(env):
    """each object in each mode, received as existing clients do and as the page recommends"""
    for plain in (True, False):
        for cls in (V1, V2):
            with cls(env.where, plain=plain) as c:
                for uri, data in env.objects.items():
                    for mode in modes(env):
                        a = c.get(uri, mode)
                        same(a.status, o.OK, uri)
                        same(a.size, len(data), "metadata size")
                        assert a.meta[o.META_MTIME] and a.meta[o.META_ETAG] and len(a.meta[o.META_BACKEND]) == 1
                        same(a.fd is not None, env.unix and (mode == FDPASS or not data), "a descriptor")
                        same(a.bytes() or b"", data, uri)


@check("unix", "legacy")
def descriptors(env):
    """read-only, at offset 0, close-on-exec, and nobody else's offset"""
    uri = max(env.objects, key=lambda u: len(env.objects[u]))
    with V1(env.where) as a, V2(env.where) as b:
        for c in (a, b, a):
            fd = c.get(uri).fd
            flags = fcntl.fcntl(fd, fcntl.F_GETFL)
            same(flags & os.O_ACCMODE, os.O_RDONLY)
            same(os.lseek(fd, 0, os.SEEK_CUR), 0, "offset")
            assert fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
            same(os.read(fd, 1000), env.objects[uri][:1000])
            for wrong in (lambda: os.write(fd, b"x"), lambda: os.ftruncate(fd, 0), lambda: mmap.mmap(fd, 1, mmap.MAP_SHARED)):
                try:
                    wrong()
                    raise AssertionError("the object could be changed")
                except OSError:
                    pass
            os.close(fd)


@check("unix", "tcp", "legacy")
def pieces(env):
    """a byte at a time, many requests in one write, and both at odd places"""
    uris = [u for u in env.objects if len(env.objects[u]) < 100000]
    with V1(env.where) as c:
        c.send_bytewise(b"".join(V1.encode(u, COPY) for u in uris))
        for u in uris:
            same(c.answer().bytes() or b"", env.objects[u])
    with V2(env.where, hello=False) as c:
        c.send_bytewise(HELLO + b"".join(V2.encode(u, COPY, i) for i, u in enumerate(uris)))
        c.hello_ack()
        for _ in uris:
            a = c.answer()
            same(a.bytes() or b"", env.objects[uris[a.id]])
    rng = random.Random(5)
    data = HELLO + b"".join(V2.encode(uris[i % len(uris)], rng.choice(modes(env)), i) for i in range(200))
    with V2(env.where, hello=False) as c:
        while data:
            n = rng.randrange(1, 200)
            c.send(data[:n])
            data = data[n:]
        c.hello_ack()
        for i in range(200):
            a = c.answer()
            same(a.bytes() or b"", env.objects[uris[a.id % len(uris)]])


@check("unix", "tcp", "legacy")
def handshakes(env):
    """capabilities are intersected, unknown bits ignored, the smaller pipeline holds; other versions are closed"""
    offered = 0x113 if env.unix else 0x103
    with V2(env.where, caps=0xFFFF, pipeline=0) as c:
        same(c.caps & ~o.CAP_COMPRESS, offered)
        assert not c.caps & ~(offered | o.CAP_COMPRESS)
        limit = c.pipeline
    for caps in (0, 1, 2, 3, 0x10, 0x100, 0x103, 0xFEE8):
        with V2(env.where, caps=caps) as c:
            same(c.caps, caps & offered)
    for asked in (1, 2, 64, 65535):
        with V2(env.where, pipeline=asked) as c:
            same(c.pipeline, min(asked, limit) if limit else asked)
    for hello in (*(V2.encode_hello(version=v) for v in (0, 1, 3, 4, 9, 255)), b"OBJN\2\0\3\0\0", b"OOOOOOOOO"):
        with V2(env.where, hello=False) as c:
            c.send(hello)
            same(rest(c), b"", hello)
    for first in b"\0\1\2\3\x10 059G\xff":
        with V2(env.where, hello=False) as c:
            c.send(bytes([first]), b" / HTTP/1.1\r\n\r\n")
            same(rest(c), b"", first)


@check("unix", "tcp", "legacy")
def pipelines(env):
    """thousands of requests before the first answer is read; the order where it is promised; none lost"""
    uris = [u for u in env.objects if len(env.objects[u]) < 10000]
    for caps, pipeline, n in ((0, 1, 1500), (0, 0, 1500), (3, 0, 3000), (1, 2, 1500), (2, 65535, 1500)):
        with V2(env.where, caps=caps, pipeline=pipeline, plain=pipeline == 1) as c:
            c.send_behind(b"".join(V2.encode(uris[i % len(uris)], modes(env)[i % len(modes(env))], i,
                                             o.REQ_ORDERED * (i % 5 == 0) | o.REQ_PRIORITY * (i % 3 == 0)) for i in range(n)))
            seen = set()
            for i in range(n):
                a = c.answer()
                if not caps & o.CAP_OOO:
                    same(a.id, i, "order")
                elif a.id % 5 == 0:
                    assert seen.issuperset(range(a.id)), "ORDERED, and not behind all before it"
                assert a.id not in seen
                seen.add(a.id)
                same(a.bytes() or b"", env.objects[uris[a.id % len(uris)]])
    with V1(env.where) as c:
        c.send_behind(b"".join(V1.encode(uris[i % len(uris)], COPY) for i in range(2000)))
        for i in range(2000):
            same(c.answer().bytes() or b"", env.objects[uris[i % len(uris)]])


@check("unix", "tcp")
def same_ids(env):
    """unanswered requests with one id are each answered"""
    uri = next(u for u in env.objects if env.objects[u])
    with V2(env.where) as c:
        c.send(V2.encode(uri, COPY, 0xFFFFFFFF) * 20)
        for _ in range(20):
            a = c.answer()
            same((a.id, a.content), (0xFFFFFFFF, env.objects[uri]))


@check("unix", "tcp")
def errors(env):
    """wrong but framed: a status, a text, and the connection goes on"""
    good = next(u for u in env.objects if env.objects[u])
    wrong = [
        (b"/no/such/object", COPY, o.NOT_FOUND),
        (b"/delete" + good, COPY, o.NOT_FOUND),
        (b"/list", COPY, o.NOT_FOUND),
        (b"", COPY, o.INVALID_REQUEST),
        (b"x" * 4097, COPY, o.URI_TOO_LONG),
        (b"x" * 65535, COPY, o.URI_TOO_LONG),
        (b"\xff\xfe", COPY, o.INVALID_REQUEST),
        (b"/a\0b", COPY, o.INVALID_REQUEST),
        (b"/\xed\xa0\x80", COPY, o.INVALID_REQUEST),
        (b"/\xc0\xaf", COPY, o.INVALID_REQUEST),
        (good + b"/../x", COPY, o.NOT_FOUND),
        (good, SEGMENTED, o.INVALID_MODE),
    ]
    if not env.unix:
        wrong.append((good, FDPASS, o.INVALID_MODE))
    with V1(env.where) as one, V2(env.where) as two:
        for uri, mode, status in wrong:
            for c in (one, two):
                a = c.get(uri, mode)
                same(a.status, status, (c.__class__.__name__, uri[:20], mode))
                assert a.text, "an error text"
                same(c.get(good, COPY).content, env.objects[good])
        for mode in (b"0", b"5", b"\0", b"\xff"):
            same(two.get(good, mode).status, o.INVALID_MODE)
        same(two.get(good, COPY, flags=0xFC).content, env.objects[good], "unknown flags")
        # all of them in one write
        two.send(*(V2.encode(u, m, i) for i, (u, m, _) in enumerate(wrong)))
        for _ in wrong:
            a = two.answer()
            same(a.status, wrong[a.id][2])


@check("unix", "tcp", "legacy")
def unframed(env):
    """bytes that cannot be followed: what came before is answered, CLOSE with reason 2 on version 2, the end"""
    uri = next(u for u in env.objects if env.objects[u])
    data = env.objects[uri]
    for odd in (b"9\0\1/", b"\0", b"O" + HELLO[1:], b"\x10" + bytes(23)):
        with V1(env.where) as c:
            c.send(V1.encode(uri, COPY), odd)
            same(c.answer().content, data)
            assert c.ended(), odd
    for odd in (HELLO, b"\0", b"\2", b"\5", b"\x10" + bytes(23), b"\x11", b"\xff" * 100, b"1\0\2/a"):
        with V2(env.where) as c:
            c.send(V2.encode(uri, COPY, 1), odd)
            same(c.answer().content, data)
            same(c.message(), o.Close(o.CLOSE_ERROR), odd)
            assert c.ended(), odd


@check("unix", "tcp", "legacy")
def leaving(env):
    """CLOSE with requests outstanding, CLOSE alone, any reason; half a close of the socket"""
    uri = max(env.objects, key=lambda u: len(env.objects[u]))
    data = env.objects[uri]
    for reason in (0, 1, 2, 3, 9):
        for n in (0, 1, 20):
            with V2(env.where, hello=False) as c:
                c.send(HELLO, *(V2.encode(uri, COPY, i) for i in range(n)), bytes((3, reason)))
                c.hello_ack()
                for _ in range(n):
                    same(c.answer().content, data)
                same(c.message(), o.CloseAck(0))
                assert c.ended()
    with V2(env.where) as c:  # nothing behind CLOSE is a request any more
        c.send(b"\3\0", V2.encode(uri, COPY), b"\3\0", b"\xff")
        same(c.message(), o.CloseAck(0))
        assert c.ended()
    with V2(env.where) as c:
        c.send(b"\4\0\0\0\0\0")
        same(c.get(uri, COPY).content, data, "behind a CLOSE_ACK that nobody asked for")
    for cls, first in ((V1, b""), (V2, HELLO)):
        for tail in (b"", cls.encode(uri, COPY)[:-1]):
            with cls(env.where, **({"hello": False} if cls is V2 else {})) as c:
                c.send(first, cls.encode(uri, COPY) * 5, tail)
                c.half_close()
                if cls is V2:
                    c.hello_ack()
                for _ in range(5):
                    same(c.answer().content, data)
                assert c.ended()
    for some in (b"", b"O", b"OBJM\2", b"1", b"1\0"):
        with V1(env.where) as c:
            c.send(some)
            c.half_close()
            assert c.ended()


@check("unix")
def segmented(env):
    """version 2 with 0x0010: whole objects whatever their division, errors in the same frame"""
    with V2(env.where, caps=o.CAP_OOO | o.CAP_SEGMENTED) as c:
        for _ in range(2):
            for uri, data in env.objects.items():
                a = c.get(uri, SEGMENTED)
                same(a.status, o.OK)
                same(sum(s.logical for s in a.segments), len(data))
                same(a.bytes(), data)
                same(c.get(uri, COPY).bytes() or b"", data)
        for uri, status in ((b"/nothing", o.NOT_FOUND), (b"", o.INVALID_REQUEST), (b"x" * 5000, o.URI_TOO_LONG)):
            a = c.get(uri, SEGMENTED)
            same((a.status, a.segments), (status, []))
            assert a.text
        same(c.get(b"/nothing", FDPASS).segments, None)
        uris = list(env.objects)
        c.send_behind(b"".join(V2.encode(uris[i % len(uris)], (FDPASS, SEGMENTED, COPY)[i % 3], i) for i in range(600)))
        for _ in range(600):
            a = c.answer()
            same(a.segments is not None, a.id % 3 == 1)
            same(a.bytes() or b"", env.objects[uris[a.id % len(uris)]])


@check("unix", "tcp")
def long_names(env):
    """the longest URI, many-byte characters, and names that look like paths or commands"""
    with env.writer() as w:
        names = [b"x" * 4096, "/é/\U0001f600/ ".encode() * 100, b"/a/../b", b"/a//b", b"//", b"/delete/x", b"/list", b"\n", b"1", b"O"]
        for n in names:
            same(w.call(o.PUT_INLINE, (o.URI, n), payload=n).status, o.OK)
        with V1(env.where) as one, V2(env.where) as two:
            for n in names:
                for c in (one, two):
                    same(c.get(n, COPY).content, n)
        for n in names:
            same(w.call(o.DELETE, (o.URI, n)).status, o.OK)


@check("unix")
def unasked_descriptors(env):
    """descriptors that a client sends are closed or refused; the requests that came with them are answered"""
    uri = next(u for u in env.objects if env.objects[u])
    with V1(env.where) as c:
        rights = [(o.socket.SOL_SOCKET, o.socket.SCM_RIGHTS, struct.pack("i", 0))]
        try:
            c.sock.sendmsg([V1.encode(uri, COPY)], rights)
        except PermissionError:
            c.send(V1.encode(uri, COPY))  # Linux 6.16: the server has switched them off (SO_PASSRIGHTS)
        same(c.answer().content, env.objects[uri])
