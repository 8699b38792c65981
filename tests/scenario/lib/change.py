#!/usr/bin/env python3
"""Changes of what is told of an object (SET), and compare-and-swap: a client of the extension.

Usage: change.py SOCKET COMMAND [ARGUMENT]...   (see COMMANDS at the end)
"""
import multiprocessing
import os
import struct
import sys
import time

from ext import (EPHEMERAL, EVICTABLE, GET, INLINE, INVALID, LIMIT, NOT_FOUND, OK, PINNED, PRECONDITION, SET, STAT, T_COND, T_FLAGS, T_META,
                 T_OBJ, T_TTL, T_TYPE, T_URI, TRY_AGAIN, UNAVAILABLE, WITH_COPY, Ext, Lost, connect, tlv)

WANT_META = 0x0020


def meta(**entries):
    return b"".join(struct.pack(">BH", len(k), len(v)) + k.encode() + v for k, v in entries.items())


def stat(c, uri):
    f = c.call(STAT, tlv(T_URI, uri))[0]
    assert f.status == OK, (uri, f.text())
    return f.obj(), f.one.get(T_TYPE, b""), f.one.get(T_META, b"")


def flags(n):
    return tlv(T_FLAGS, struct.pack(">I", n))


def cmd_set(path):
    """Every part, alone and together; conditions; what is refused."""
    c = Ext(path)
    uri = b"/set/a"
    assert c.put(uri, b"the bytes").status == OK
    before, _, _ = stat(c, uri)
    fd = c.call(GET, tlv(T_URI, uri))[0].fds[0]

    f = c.set(uri, tlv(T_META, meta(owner=b"me", empty=b"")))
    assert f.status == OK, f.text()
    o = f.obj()
    assert (o["id"], o["rev"], o["size"], o["flags"]) == (before["id"], before["rev"] + 1, 9, before["flags"]), o
    assert stat(c, uri)[2] == meta(owner=b"me", empty=b"")
    assert c.set(uri, tlv(T_TYPE, b"text/plain")).status == OK
    now = stat(c, uri)
    assert now[1:] == (b"text/plain", meta(owner=b"me", empty=b"")), "what is not named stays"
    f = c.call(GET, tlv(T_URI, uri), flags=WANT_META | WITH_COPY)[0]
    assert f.payload == b"the bytes" and f.one[T_META] == now[2] and f.one[T_TYPE] == b"text/plain"
    assert c.set(uri, flags(PINNED | EVICTABLE), tlv(T_TTL, struct.pack(">I", 1000)), tlv(T_META, b"")).status == OK
    o, typ, m = stat(c, uri)
    assert o["flags"] == PINNED | EVICTABLE and m == b"" and typ == b"text/plain", (o, m)
    assert abs(o["expiry_s"] - time.time() - 1000) < 60
    assert c.set(uri, flags(0), tlv(T_TTL, struct.pack(">I", 0))).status == OK
    o, _, _ = stat(c, uri)
    assert o["flags"] == 0 and o["expiry_s"] == 0 and o["id"] == before["id"] and o["rev"] == before["rev"] + 4
    assert os.fstat(fd).st_ino == os.fstat(c.call(GET, tlv(T_URI, uri))[0].fds[0]).st_ino, "the bytes were not rewritten"

    # conditions
    assert c.set(uri, flags(EVICTABLE), cond=(2, o["id"], o["rev"] - 1)).status == PRECONDITION
    assert c.set(uri, flags(EVICTABLE), cond=(2, o["id"] + 1, 0)).status == PRECONDITION
    assert stat(c, uri)[0]["flags"] == 0
    assert c.set(uri, flags(EVICTABLE), cond=(2, o["id"], o["rev"])).status == OK
    assert c.set(uri, flags(0), cond=(2, o["id"], 0)).status == OK
    # refused
    assert c.set(uri, flags(EPHEMERAL)).status == INVALID
    assert c.put(b"/set/e", b"x", EPHEMERAL).status == OK
    assert c.set(b"/set/e", flags(0)).status == INVALID, "EPHEMERAL cannot be taken away"
    assert c.set(b"/set/e", flags(EPHEMERAL), tlv(T_META, meta(a=b"b"))).status == OK
    assert stat(c, b"/set/e")[2] == meta(a=b"b")
    assert c.set(b"/set/none", flags(0)).status == NOT_FOUND
    assert c.set(b"/set/none", flags(0), cond=(2, 5, 0)).status == PRECONDITION
    assert c.set(uri).status == INVALID, "nothing to change"
    assert c.set(uri, flags(0), cond=(1, 0, 0)).status == INVALID, "absent"
    # bounds of metadata: 64 entries, 4096 bytes, keys of 1..128 bytes, each once
    most = b"".join(struct.pack(">BH", 3, 55) + b"%03d" % i + b"v" * 55 for i in range(64))
    assert len(most) <= 4096 and c.set(uri, tlv(T_META, most)).status == OK
    assert stat(c, uri)[2] == most
    one = struct.pack(">BH", 128, 4096 - 131) + b"k" * 128 + b"v" * (4096 - 131)
    assert len(one) == 4096 and c.set(uri, tlv(T_META, one)).status == OK and stat(c, uri)[2] == one
    rev = stat(c, uri)[0]["rev"]
    for bad in (most + struct.pack(">BH", 3, 0) + b"064", one + b"x", struct.pack(">BH", 129, 0) + b"k" * 129, struct.pack(">BH", 0, 0),
                meta(a=b"1") + meta(a=b"2"), b"\1\0", struct.pack(">BH", 1, 9) + b"k"):
        assert c.set(uri, tlv(T_META, bad)).status == INVALID, bad[:20]
    assert stat(c, uri)[0]["rev"] == rev, "what was refused changed nothing"
    # put with metadata; a listing and GET show flags
    assert c.call(INLINE, tlv(T_URI, b"/set/p"), tlv(T_META, meta(k=b"v")), tlv(T_TYPE, b"a/b"), payload=b"z")[0].status == OK
    assert stat(c, b"/set/p")[1:] == (b"a/b", meta(k=b"v"))


def cmd_pins(path, size, n):
    """SIZE N: N objects of SIZE bytes can be pinned on the default tier, the next cannot, until one is unpinned."""
    c, size, n = Ext(path), int(size), int(n)
    for i in range(n + 1):
        f = c.put(b"/pin/%d" % i, bytes(size))
        assert f.status == OK, f.text()
    for i in range(n):
        f = c.set(b"/pin/%d" % i, flags(PINNED))
        assert f.status == OK, (i, f.text())
    f = c.set(b"/pin/%d" % n, flags(PINNED))
    assert f.status == LIMIT and "pinned" in f.text(), f.text()
    f = c.put(b"/pin/new", bytes(size), PINNED)
    assert f.status == LIMIT, f.text()
    assert c.set(b"/pin/0", flags(0)).status == OK
    assert c.set(b"/pin/%d" % n, flags(PINNED)).status == OK
    assert c.call(7, tlv(T_URI, b"/pin/1"))[0].status == OK  # DELETE
    f = c.put(b"/pin/new", bytes(size), PINNED)
    assert f.status == OK, f.text()
    assert c.put(b"/pin/new2", bytes(size), PINNED).status == LIMIT


def cmd_pinned(path, size):
    """SIZE: after `pins`, nothing more can be pinned."""
    f = Ext(path).put(b"/pin/again", bytes(int(size)), PINNED)
    assert f.status == LIMIT, (f.status, f.text())


def cmd_keep(path):
    """What `kept` looks for after a rebuild."""
    c = Ext(path)
    for i in range(40):
        assert c.put(b"/keep/%d" % i, b"bytes %d" % i).status == OK
        assert c.set(b"/keep/%d" % i, tlv(T_META, meta(n=b"%d" % i)), tlv(T_TYPE, b"t/%d" % i), flags(EVICTABLE)).status == OK
    long = b"".join(struct.pack(">BH", 3, 55) + b"%03d" % i + b"v" * 55 for i in range(64))
    assert c.put(b"/keep/long", b"x").status == OK  # no attribute holds it: a side file
    assert c.set(b"/keep/long", tlv(T_META, long), tlv(T_TYPE, b"l" * 255)).status == OK
    assert c.put(b"/keep/short", b"y").status == OK  # it did not fit, and fits again
    assert c.set(b"/keep/short", tlv(T_META, long), tlv(T_TYPE, b"l" * 255)).status == OK
    assert c.set(b"/keep/short", tlv(T_META, meta(s=b"1"))).status == OK
    uri = b"/keep/" + b"u" * 4000
    assert c.put(uri, b"z").status == OK
    assert c.set(uri, tlv(T_META, meta(u=b"u"))).status == OK


def cmd_kept(path):
    """All of `keep` is there, as it was set."""
    c = connect(path, time.monotonic() + 20)
    for i in range(40):
        o, typ, m = stat(c, b"/keep/%d" % i)
        assert (o["rev"], o["flags"], typ, m) == (2, EVICTABLE, b"t/%d" % i, meta(n=b"%d" % i)), (i, o, typ, m)
        assert c.read(b"/keep/%d" % i) == (OK, b"bytes %d" % i)
    long = b"".join(struct.pack(">BH", 3, 55) + b"%03d" % i + b"v" * 55 for i in range(64))
    o, typ, m = stat(c, b"/keep/long")
    assert (o["rev"], typ, m) == (2, b"l" * 255, long)
    o, typ, m = stat(c, b"/keep/short")
    assert (o["rev"], typ, m) == (3, b"l" * 255, meta(s=b"1"))
    assert stat(c, b"/keep/" + b"u" * 4000)[2] == meta(u=b"u")


def cmd_race(path, n, times):
    """N TIMES: clients that all change one object's metadata: each change has a revision of its own, none is lost."""
    n, times = int(n), int(times)
    c = Ext(path)
    assert c.put(b"/race", b"r").status == OK
    first = stat(c, b"/race")[0]["rev"]
    with multiprocessing.Pool(n) as pool:
        revs = [r for part in pool.starmap(race_one, [(path, who, times) for who in range(n)]) for r in part]
    assert sorted(revs) == list(range(first + 1, first + 1 + n * times)), "a revision twice, or left out"
    assert stat(c, b"/race")[0]["rev"] == first + n * times


def race_one(path, who, times):
    c, revs = Ext(path), []
    for i in range(times):
        while True:
            f = c.set(b"/race", tlv(T_META, meta(w=b"%d.%d" % (who, i))))
            if f.status != TRY_AGAIN:
                break
            time.sleep(0.001)
        assert f.status == OK, f.text()
        revs.append(f.obj()["rev"])
    return revs


def cas_one(path, uri, times, flags):
    """Adds one, `times` times, to the number in an object: compare-and-swap, again when somebody was faster."""
    c, tries = Ext(path), 0
    for _ in range(times):
        while True:
            tries += 1
            f = c.call(GET, tlv(T_URI, uri), flags=WITH_COPY)[0]
            assert f.status == OK, f.text()
            o = f.obj()
            f = c.put(uri, b"%d" % (int(f.payload) + 1), flags, cond=(2, o["id"], o["rev"]))
            if f.status == OK:
                break
            assert f.status in (PRECONDITION, TRY_AGAIN), f.text()
    return tries


def cmd_cas(path, n, times, uri, flags):
    """N TIMES URI FLAGS: N clients add one to a counter object TIMES times each; nothing is lost."""
    n, times, uri, flags = int(n), int(times), uri.encode(), int(flags)
    c = Ext(path)
    f = c.put(uri, b"0", flags, cond=(1, 0, 0))
    assert f.status == OK, f.text()
    with multiprocessing.Pool(n) as pool:
        tries = sum(pool.starmap(cas_one, [(path, uri, times, flags)] * n))
    status, data = c.read(uri)
    assert status == OK and int(data) == n * times, f"the counter stands at {data}, not at {n * times}"
    print(f"{n * times} changes in {tries} tries")


def cmd_touch(path):
    """Accesses reported by a cache count as heat; only for the version that stands, and no more than a bound."""
    c = Ext(path)
    for i in range(3):
        assert c.put(b"/touch/%d" % i, b"t").status == OK
    ids = [stat(c, b"/touch/%d" % i)[0]["id"] for i in range(3)]

    def touch(i, ident, n):
        return tlv(30, struct.pack(">QI", ident, n) + b"/touch/%d" % i)

    f = c.call(11, touch(0, ids[0], 500), touch(1, ids[1] + 1, 500), touch(2, ids[2], 1))[0]
    assert f.status == OK, f.text()
    assert c.call(11, tlv(30, struct.pack(">QI", 1, 1)))[0].status == INVALID, "no URI"
    assert c.call(11)[0].status == INVALID
    assert c.call(11, *[touch(0, ids[0], 1)] * 1025)[0].status == LIMIT
    end = time.monotonic() + 20
    while True:
        counts = [struct.unpack(">IIQ", c.call(STAT, tlv(T_URI, b"/touch/%d" % i))[0].one[21])[1] for i in range(3)]
        if counts[0] > 400 or time.monotonic() > end:
            break
        time.sleep(0.1)
    assert 400 < counts[0] < 600 and counts[1] < 5 and counts[2] < 10, counts
    # far beyond the bound: told OK, not counted
    for _ in range(5):
        assert c.call(11, touch(2, ids[2], 4000000000))[0].status == OK


def cmd_churn(path, seconds, most):
    """SECONDS MOST: SETs one after the other, until the daemon dies, it is enough or the time is over; prints the revision acknowledged
    last."""
    c = Ext(path)
    if c.call(STAT, tlv(T_URI, b"/churn"))[0].status != OK:
        assert c.put(b"/churn", b"c").status == OK
    acked, end = stat(c, b"/churn")[0]["rev"], time.monotonic() + float(seconds)
    most = acked + int(most)
    try:
        while time.monotonic() < end and acked < most:
            f = c.set(b"/churn", tlv(T_META, meta(r=b"%d" % (acked + 1))), tlv(T_TYPE, b"r/%d" % (acked + 1)))
            if f.status in (UNAVAILABLE, TRY_AGAIN):
                time.sleep(0.01)
                continue
            if f.status != OK:
                break
            acked = f.obj()["rev"]
    except (Lost, TimeoutError):
        pass
    print(acked)


def cmd_churned(path, acked):
    """ACKED: the object is whole and no older than that; type and metadata are of one and the same change."""
    c = connect(path, time.monotonic() + 30)
    end = time.monotonic() + 30
    while (f := c.call(STAT, tlv(T_URI, b"/churn"))[0]).status == UNAVAILABLE and time.monotonic() < end:
        time.sleep(0.05)
    o, typ, m = stat(c, b"/churn")
    assert o["rev"] >= int(acked), f"revision {o['rev']}, {acked} was acknowledged"
    assert o["rev"] == 1 or (typ == b"r/%d" % o["rev"] and m == meta(r=b"%d" % o["rev"])), (o, typ, m)
    assert c.read(b"/churn") == (OK, b"c")


COMMANDS = {"set": cmd_set, "pins": cmd_pins, "pinned": cmd_pinned, "keep": cmd_keep, "kept": cmd_kept, "race": cmd_race, "cas": cmd_cas, "touch": cmd_touch, "churn": cmd_churn,
            "churned": cmd_churned}

if __name__ == "__main__":
    sys.exit(COMMANDS[sys.argv[2]](sys.argv[1], *sys.argv[3:]) or 0)
