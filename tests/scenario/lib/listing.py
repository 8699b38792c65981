#!/usr/bin/env python3
"""Listings while names come and go: a name that is there from the first page to the last is listed exactly once.

Usage: listing.py SOCKET COMMAND [ARGUMENT]...   (see COMMANDS at the end)

Stable names are PREFIX/0 to PREFIX/N-1, as objm-bench --keep leaves them. Writers make and delete names in between, and replace
and change stable ones; those never go away.
"""
import multiprocessing
import random
import struct
import sys
import time

import ext
from ext import DELETE, EPHEMERAL, LIST, MORE, OK, NOT_FOUND, SET, T_AFTER, T_ENTRY, T_LIMIT, T_NEXT, T_PREFIX, T_TTL, T_URI, Ext, tlv, tlvs

T_DELIMITER, T_COMMON = 13, 23


def pages(c, prefix, limit, delimiter=b""):
    """(page, URIs and common prefixes in the order told, MORE pages follow) ..."""
    after, n = b"", 0
    while after is not None:
        parts = [tlv(T_PREFIX, prefix), tlv(T_AFTER, after), tlv(T_LIMIT, struct.pack(">I", limit))]
        if delimiter:
            parts.append(tlv(T_DELIMITER, delimiter))
        frames = c.call(LIST, *parts)
        assert all(f.status == OK for f in frames), frames[-1].text()
        names = []
        for f in frames:
            for tag, data in f.tlvs:
                if tag == T_ENTRY:
                    names.append(dict(tlvs(data))[T_URI])
                elif tag == T_COMMON:
                    names.append(data)
        nxt = frames[-1].one.get(T_NEXT)
        assert nxt is None or nxt > after, f"NEXT {nxt} is not greater than {after}"
        assert len(names) <= limit
        yield n, names
        after, n = nxt, n + 1


def writer(path, prefix, count, number, stop, changes):
    rng, c, mine = random.Random(number), Ext(path), set()
    while not stop.is_set():
        i, what = rng.randrange(count), rng.randrange(8)
        stable = prefix + b"/%d" % i
        # just before, just behind, and below a stable name; names of all writers differ
        other = stable + (b"!", b"~", b"/x", b"0000000")[what % 4] + b"w%d" % number
        if what < 4:
            expected = c.put(other, b"x" * rng.randrange(100), EPHEMERAL).status
            mine.add(other)
        elif what < 6 and mine:
            other = rng.choice(sorted(mine)) if len(mine) < 50 else mine.pop()
            mine.discard(other)
            expected = c.call(DELETE, tlv(T_URI, other))[0].status
        elif what == 6:
            expected = c.put(stable, b"replaced" * rng.randrange(20), EPHEMERAL).status
        else:
            expected = c.set(stable, tlv(T_TTL, struct.pack(">I", 100000 + i % 1000))).status
        assert expected in (OK, 0x46), f"{what}: status {expected:#x}"
        with changes.get_lock():
            changes.value += 1
    for other in mine:
        assert c.call(DELETE, tlv(T_URI, other))[0].status in (OK, NOT_FOUND)


def check(c, prefix, count, limit, delimiter):
    """One whole listing. How many names that were not there all the time it told, and how many pages it took."""
    last, stable, passing, n = b"", bytearray(count), 0, 0
    start = len(prefix) + 1
    for n, names in pages(c, prefix + b"/", limit, delimiter):
        for name in names:
            assert name > last, f"{name} behind {last}, page {n} of {limit}"  # so none comes twice
            last = name
            rest = name[start:]
            if rest.isdigit() and len(rest) < 8:
                stable[int(rest)] += 1
            elif delimiter and rest.endswith(delimiter):
                passing += rest[:-1].isdigit()
            else:
                passing += 1
    missing = [i for i in range(count) if stable[i] != 1]
    assert not missing, f"pages of {limit}: {len(missing)} names not told once, such as {missing[:5]}"
    return passing, n + 1


def reader(path, prefix, count, limits, seconds, results):
    c, listings, passing, most = Ext(path), 0, 0, 0
    end = time.monotonic() + seconds
    while time.monotonic() < end or listings < 2:
        limit, delimiter = limits[listings % len(limits)]
        p, n = check(c, prefix, count, limit, delimiter)
        listings, passing, most = listings + 1, passing + p, max(most, n)
    results.put((listings, passing, most))


def cmd_stable(path, prefix, count, writers, seconds):
    """PREFIX N WRITERS SECONDS: readers with pages of several sizes beside so many writers."""
    prefix, count, seconds = prefix.encode(), int(count), float(seconds)
    check(Ext(path), prefix, count, 1000, b"")
    stop, changes, results = multiprocessing.Event(), multiprocessing.Value("q", 0), multiprocessing.Queue()
    procs = [multiprocessing.Process(target=writer, args=(path, prefix, count, n, stop, changes)) for n in range(int(writers))]
    small = [(max(7, count // 300), b""), (1000, b""), (max(97, count // 100), b"/")]
    readers = [multiprocessing.Process(target=reader, args=(path, prefix, count, small[n:] + small[:n], seconds, results)) for n in range(3)]
    for p in procs + readers:
        p.start()
    told = [results.get(timeout=600) for _ in readers]
    stop.set()
    for p in procs + readers:
        p.join(60)
        assert p.exitcode == 0, "a reader or writer failed"
    passing = sum(t[1] for t in told)
    print("%d names stable, %d changes beside, %d listings of up to %d pages: each stable name once in each; %d others seen" %
          (count, changes.value, sum(t[0] for t in told), max(t[2] for t in told), passing))
    assert changes.value > 100 and passing > 0, "the writers had no part in it"
    assert check(Ext(path), prefix, count, 1000, b"")[0] == 0, "what the writers made is gone"


def cmd_pages(path, prefix, count):
    """PREFIX N: all names, page by page, and how long that takes."""
    c, t = Ext(path), time.monotonic()
    _, n = check(c, prefix.encode(), int(count), 1000, b"")
    print("%s names in %d pages: %.1f s" % (count, n, time.monotonic() - t))
    c.sock.sendall(b"\x03\x00")


COMMANDS = {"stable": cmd_stable, "pages": cmd_pages}

if __name__ == "__main__":
    sys.exit(COMMANDS[sys.argv[2]](sys.argv[1], *sys.argv[3:]) or 0)
