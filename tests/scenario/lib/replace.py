#!/usr/bin/env python3
"""One URI, replaced in a loop: what a reader gets is, whole, the version that its answer says, in every mode.

Usage: replace.py SOCKET URI SECONDS
"""
import hashlib
import multiprocessing
import os
import random
import struct
import sys
import time

import ext
from ext import GET, OK, T_FLAGS, T_URI, WITH_COPY, Ext, tlv
from v1v2 import COPY, FD, SPLICE, V1, V2

T_PROMISE = 25


def body(rng, n):
    """No two alike; sizes on both sides of what is answered in other ways."""
    size = rng.choice((0, 1, 100, 4096, 8192, 8193, 65536, 70000, 300000, 1500000))
    return (b"%d " % n * (size // 2 + 1))[:size]


def writer(path, uri, stop, results):
    rng, c, n, made = random.Random(1), Ext(path), 0, {}
    while not stop.is_set():
        data, flags = body(rng, n), n // 3 % 2  # now on one tier, now on the other
        if len(data) > 65536 or n % 4 == 0:
            f, session, fd = c.begin(uri, len(data), flags)
            assert f.status == OK, f.text()
            os.write(fd, data) == len(data) or sys.exit("short write")
            os.close(fd)
            f = c.commit(session)
        else:
            f = c.put(uri, data, flags)
        assert f.status == OK, f.text()
        made[f.obj()["id"]] = (len(data), hashlib.sha256(data).digest())
        n += 1
    results.put(("made", made))


def through(fd, size):
    """Read sequentially, to the end, as on a file of one's own, and in steps, so that versions come and go meanwhile."""
    h, n = hashlib.sha256(), 0
    assert os.fstat(fd).st_size == size, f"the file has {os.fstat(fd).st_size} bytes, the answer says {size}"
    while data := os.read(fd, 50000):
        h.update(data)
        n += len(data)
        if n % 150000 == 0:
            time.sleep(0.001)
    os.close(fd)
    return n, h.digest()


def reader(path, uri, how, stop, results):
    """How many answers, and what each id's bytes were."""
    c = {"v1": V1, "v2": V2}.get(how[:2], Ext)(path)
    got, count, last = {}, 0, 0
    if how == "ext-shared":
        assert c.call(ext.ATTACH, tlv(T_PROMISE, b"\1"))[0].status == OK
    while not stop.is_set():
        if how.startswith("ext"):
            f = c.call(GET, tlv(T_URI, uri), flags=WITH_COPY if how == "ext-copy" else 0)[0]
            assert f.status == OK, f.text()
            obj = f.obj()
            ident, size = obj["id"], obj["size"]
            if how == "ext-copy":
                what = (len(f.payload), hashlib.sha256(f.payload).digest())
            elif how == "ext-shared":
                data = os.pread(f.fds[0], size + 1, 0)
                what = (len(data), hashlib.sha256(data).digest())
                os.close(f.fds[0])
            else:
                what = through(f.fds[0], size)
        else:
            r = c.get(uri, {"fd": FD, "copy": COPY, "splice": SPLICE}[how[3:]])
            assert r.status == OK, r.text()
            ident, size = int(r.meta[3].split(b"-")[0], 16), struct.unpack(">Q", r.meta[1])[0]
            if r.fd is not None:
                what = through(r.fd, size)
                r.fd = None
            else:
                what = (len(r.content), hashlib.sha256(r.content).digest())
        assert what[0] == size, f"{how}: {what[0]} bytes, the answer says {size}"
        assert got.setdefault(ident, what) == what, f"{how}: id {ident} had other bytes before"
        assert ident >= last, f"{how}: an older version than before"
        last = ident
        count += 1
    results.put((how, got, count))


def main(path, uri, seconds):
    uri = os.fsencode(uri)
    assert Ext(path).put(uri, b"first").status == OK
    stop, results = multiprocessing.Event(), multiprocessing.Queue()
    ways = ("ext-fd", "ext-shared", "ext-copy", "v1-fd", "v1-copy", "v2-splice", "v2-fd")
    procs = [multiprocessing.Process(target=writer, args=(path, uri, stop, results))]
    procs += [multiprocessing.Process(target=reader, args=(path, uri, how, stop, results)) for how in ways]
    for p in procs:
        p.start()
    end = time.monotonic() + float(seconds)
    while time.monotonic() < end:
        time.sleep(0.1)
        assert all(p.is_alive() for p in procs), "a reader or the writer failed"
    stop.set()
    told = [results.get(timeout=60) for _ in procs]
    for p in procs:
        p.join(60)
        assert p.exitcode == 0
    made = next(t[1] for t in told if t[0] == "made")
    first = min(i for t in told if t[0] != "made" for i in t[1])
    made.setdefault(first, (5, hashlib.sha256(b"first").digest()))
    versions = 0
    for how, got, count in (t for t in told if t[0] != "made"):
        assert count > 0
        for ident, what in got.items():
            assert made.get(ident) == what, f"{how}: id {ident} has bytes that nobody put under it"
        versions = max(versions, len(got))
    print("%d versions put, %d answers in %d ways, up to %d versions seen by one reader: each had its own bytes" %
          (len(made), sum(t[2] for t in told if t[0] != "made"), len(ways), versions))
    assert versions > 5


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
