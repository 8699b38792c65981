"""The socket for existing clients that write (section 6)."""
import os
import signal
import stat
import time

import objm_second as o
from checks import check, same, until
from objm_second import COPY, FDPASS, V1, V2


def appears(env, uri, data):
    def there():
        with V1(env.ordinary) as c:
            a = c.get(uri, COPY)
            if a.status == o.OK:
                same(a.bytes() or b"", data)
            return a.status == o.OK
    until(there)


def remove(env, uri):
    with env.writer() as w:
        same(w.call(o.DELETE, (o.URI, uri)).status, o.OK)


def absent(env, uri):
    with V1(env.ordinary) as c:
        return c.get(uri, COPY).status == o.NOT_FOUND


@check("legacy")
def write_and_delete(env):
    """created by asking, whole when the last writable descriptor closes, deleted by name"""
    for cls in (V1, V2):
        with cls(env.where, plain=True) as c:
            a = c.get(b"/new")
            same(a.status, o.OK)
            second = os.dup(a.fd)
            os.write(a.fd, b"whole ")
            os.close(a.fd)
            assert absent(env, b"/new"), "a writable descriptor is open still"
            os.write(second, b"object")
            os.close(second)
            appears(env, b"/new", b"whole object")
            same(c.get(b"/new").bytes(), b"whole object")
            a = c.get(b"/delete/new")
            same((a.status, stat.S_ISCHR(os.fstat(a.fd).st_mode)), (o.OK, True))
            os.close(a.fd)
            same(c.get(b"/delete/new").status, o.NOT_FOUND)
            assert absent(env, b"/new")
            same(c.get(b"/new", COPY).status, o.NOT_FOUND)
            a = c.get(b"/list")
            same(a.status, o.UNSUPPORTED_OP)
            assert "objmctl" in a.text


@check("legacy")
def names_without_a_slash(env):
    """/delete and a URI that does not begin with a slash"""
    with V1(env.where, plain=True) as c:
        for uri in (b"plain", b"\xc3\xa9"):
            a = c.get(uri)
            os.write(a.fd, uri)
            os.close(a.fd)
            appears(env, uri, uri)
            a = c.get(b"/delete" + uri)
            same(a.status, o.OK)
            os.close(a.fd)
            assert absent(env, uri)
        # a name that only looks so comes first, and can be made and deleted
        for uri in (b"/deleted.txt", b"d.txt"):
            a = c.get(uri)
            os.write(a.fd, uri)
            os.close(a.fd)
            appears(env, uri, uri)
        same(c.get(b"/deleted.txt").bytes(), b"/deleted.txt")
        for name in (b"/delete/deleted.txt", b"/deleted.txt"):
            a = c.get(name)
            same((a.status, stat.S_ISCHR(os.fstat(a.fd).st_mode)), (o.OK, True))
            os.close(a.fd)
        assert absent(env, b"/deleted.txt") and absent(env, b"d.txt")
        same(c.get(b"/deleted.txt", COPY).status, o.NOT_FOUND)
        same(V1.get(c, b"/deleted\xff", COPY).status, o.INVALID_REQUEST)


@check("legacy")
def never_written(env):
    """a writer that wrote nothing, and one that was killed, publish nothing"""
    with V1(env.where, plain=True) as c:
        for _ in range(3):
            os.close(c.get(b"/unwritten").fd)
    for _ in range(5):
        r, w = os.pipe()
        pid = os.fork()
        if pid == 0:
            c = V1(env.where, plain=True)
            os.write(c.get(b"/killed").fd, b"half")
            os.write(w, b"x")
            time.sleep(60)
            os._exit(0)
        os.close(w)
        same(os.read(r, 1), b"x")
        os.close(r)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    with V1(env.where, plain=True) as c:  # of a later writer everybody hears: by then the earlier ones were decided
        a = c.get(b"/later")
        os.write(a.fd, b"later")
        os.close(a.fd)
    appears(env, b"/later", b"later")
    assert absent(env, b"/unwritten") and absent(env, b"/killed")
    remove(env, b"/later")


@check("legacy")
def ephemeral(env):
    """PRIORITY asks for an ephemeral object; writers of one URI do not mix"""
    with V2(env.where) as c, V2(env.ordinary, caps=0x103) as e:
        fds = [c.get(b"/brief", FDPASS, flags=o.REQ_PRIORITY).fd for _ in range(3)]
        for i, fd in enumerate(fds):
            os.write(fd, b"%d" % i * 1000)
        for fd in fds:
            os.close(fd)
        until(lambda: e.call(o.STAT, (o.URI, b"/brief")).status == o.OK)
        f = e.call(o.STAT, (o.URI, b"/brief"))
        same((f.obj.flags, f.obj.size), (o.EPHEMERAL, 1000))
        data = c.get(b"/brief").bytes()
        same(data, data[:1] * 1000)
        same(e.get(b"/delete/brief", COPY).status, o.NOT_FOUND, "on the ordinary socket it is a name")
    remove(env, b"/brief")
