#!/usr/bin/env python3
"""Access rules, seen from outside: a client of the extension asks for what it may and what it may not.

Usage: access.py SOCKET COMMAND [ARGUMENT]...   (see COMMANDS at the end)
"""
import os
import random
import socket
import struct
import sys
import time

from ext import (ABORT, ATTACH, BEGIN, DELETE, DENIED, EPHEMERAL, EVICTABLE, GET, INLINE, LIST, MORE, NOT_FOUND, OK, PINNED, READ_ONLY, SET,
                 STAT, T_AFTER, T_ENTRY, T_FLAGS, T_LIMIT, T_NEXT, T_PREFIX, T_URI, WITH_COPY, Ext, tlv, tlvs)

T_DELIMITER, T_COMMON = 13, 23


def status_of(c, op, uri, *more, flags=0, payload=b""):
    f = c.call(op, tlv(T_URI, uri), *more, flags=flags, payload=payload)[-1]
    for fd in f.fds:
        os.close(fd)
    return f.status


def cmd_seed(path, *uris):
    """URI...: put them."""
    c = Ext(path)
    for u in uris:
        assert c.put(u.encode(), b"data of " + u.encode()).status == OK, u


def answer(path, request):
    """The bytes of the answer to a request of version 1, up to the end of the stream."""
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.settimeout(20)
    s.connect(path)
    s.sendall(request)
    s.shutdown(socket.SHUT_WR)
    out = b""
    while data := s.recv(65536):
        out += data
    return out


def cmd_denied(path, there, missing):
    """THERE MISSING: neither may be touched, and the two cannot be told from each other."""
    c = Ext(path)
    there, missing = there.encode(), missing.encode()
    for uri in (there, missing):
        assert status_of(c, GET, uri) == DENIED, uri
        assert status_of(c, GET, uri, flags=WITH_COPY) == DENIED
        assert status_of(c, STAT, uri) == DENIED
        assert status_of(c, INLINE, uri, payload=b"x") == DENIED
        assert status_of(c, BEGIN, uri) == DENIED
        assert status_of(c, DELETE, uri) == DENIED
        assert status_of(c, SET, uri, tlv(T_FLAGS, struct.pack(">I", 0))) == DENIED
        assert status_of(c, LIST, uri) in (2, DENIED)  # LIST has no URI
        assert c.call(LIST, tlv(T_PREFIX, uri))[-1].status == DENIED
        frames = c.call(GET, tlv(T_URI, uri), tlv(T_URI, uri))
        assert [f.status for f in frames] == [DENIED, DENIED]
    a, b = (c.call(GET, tlv(T_URI, u))[0] for u in (there, missing))
    assert (a.status, a.flags, a.tlvs) == (b.status, b.flags, b.tlvs), "the two differ"
    # Peers of versions 1 and 2 get NOT_FOUND for both, in each byte the same.
    for mode in b"123":
        a, b = (answer(path, struct.pack(">BH", mode, len(u)) + u) for u in (there, missing))
        assert a == b and a[0] == NOT_FOUND, (a, b)
        assert b"denied" not in a
    for caps in (0x0000, 0x0003, 0x0110, 0x0113):
        hello = b"OBJM" + struct.pack(">BHH", 2, caps, 0)
        for mode in b"1234":
            if mode == ord("4") and not caps & 0x10:
                continue
            a, b = (answer(path, hello + struct.pack(">BIBBH", 1, 77, 0, mode, len(u)) + u) for u in (there, missing))
            assert a == b, (a, b)
            kind, ident, status = struct.unpack_from(">BIB", a, 10)
            assert (kind, ident, status) == (5 if mode == ord("4") else 2, 77, NOT_FOUND), a
            assert b"denied" not in a


def cmd_mixed(path, mine, other, missing):
    """MINE OTHER MISSING: a GET of several is judged one by one."""
    c = Ext(path)
    frames = c.call(GET, *[tlv(T_URI, u.encode()) for u in (mine, other, missing)])
    got = {}
    for f in frames:
        got[struct.unpack(">H", f.one[18])[0]] = f.status
        for fd in f.fds:
            os.close(fd)
    assert got == {0: OK, 1: DENIED, 2: NOT_FOUND}, got


def cmd_expect(path, *wants):
    """OP:URI=STATUS...: ops get stat put begin delete, put-pinned put-ephemeral put-evictable."""
    c = Ext(path)
    flags = {"put-pinned": PINNED, "put-ephemeral": EPHEMERAL, "put-evictable": EVICTABLE}
    for w in wants:
        what, want = w.rsplit("=", 1)
        op, uri = what.split(":", 1)
        uri = uri.encode()
        if op in flags or op == "put":
            got = c.put(uri, b"new", flags.get(op, 0)).status
        elif op == "begin":
            f = c.begin(uri)[0]
            for fd in f.fds:
                os.close(fd)
            got = f.status
        else:
            # On TCP bytes are asked for: descriptors do not pass there.
            got = status_of(c, {"get": GET, "stat": STAT, "delete": DELETE}[op], uri, flags=WITH_COPY if op == "get" else 0)
        assert got == int(want, 0), f"{w}: got {got:#x}"


def pages(c, prefix, delimiter, limit, after=b""):
    names, n = [], 0
    while True:
        parts = [tlv(T_PREFIX, prefix), tlv(T_AFTER, after), tlv(T_LIMIT, struct.pack(">I", limit))]
        if delimiter:
            parts.append(tlv(T_DELIMITER, delimiter))
        frames = c.call(LIST, *parts)
        n += 1
        assert frames[-1].status == OK, frames[-1].text()
        page = []
        for f in frames:
            for tag, data in f.tlvs:
                if tag == T_ENTRY:
                    page.append(dict(tlvs(data))[T_URI])
                elif tag == T_COMMON:
                    page.append(data + b"...")
        assert len(page) <= limit, "more names than asked for"
        names += page
        following = frames[-1].one.get(T_NEXT)
        if following is None:
            return names, n
        assert following > after, "NEXT does not lead on"
        after = following


def covers(rule, uri):
    if rule.endswith(b"*"):
        return uri.startswith(rule[:-1])
    return uri == rule or uri.startswith(rule if rule.endswith(b"/") else rule + b"/")


def want(names, rules, prefix, delimiter):
    out = []
    for u in sorted(names):
        if not u.startswith(prefix) or not any(covers(r, u) for r in rules):
            continue
        at = u.find(delimiter, len(prefix)) if delimiter else -1
        name = u if at < 0 else u[:at + 1] + b"..."
        if not out or out[-1] != name:
            out.append(name)
    return out


def tree(seed):
    """Names that lie close together: around every rule's edge there is something."""
    rng = random.Random(seed)
    parts = [b"a", b"b", b"ab", b"a!", b"a0", b"\xc3\xa4", b"z"]
    names = {b"/" + b"/".join(rng.choice(parts) for _ in range(rng.randint(1, 4))) + rng.choice([b"", b"/", b"x"]) for _ in range(600)}
    return sorted(names)


def rules_of(seed):
    rng = random.Random(int(seed) + 1)
    names = tree(int(seed))
    out = set()
    for _ in range(25):
        n = rng.choice(names)
        cut = n[:rng.randint(2, len(n))]
        try:
            cut.decode()
        except UnicodeDecodeError:
            continue
        out.add(cut + rng.choice([b"", b"*"]))
    return sorted(out)


def cmd_tree(path, seed):
    """SEED: put the names of a random tree."""
    c = Ext(path)
    for u in tree(int(seed)):
        assert c.put(u, b"").status == OK


def cmd_rules(_path, seed, uid):
    """SEED UID: the rules that go with the tree, as a YAML list."""
    for r in rules_of(seed):
        print(f"    - {{user: {uid}, prefix: \"{r.decode()}\", rights: [list]}}")


def cmd_lists(path, seed):
    """SEED: every listing shows exactly what the rules allow, in order, in pages of any size."""
    c, names, rules = Ext(path), tree(int(seed)), rules_of(seed)
    rng = random.Random(int(seed) + 2)
    shown = asked = 0
    for _ in range(250):
        name = rng.choice(names)
        prefix = name[:rng.randint(0, len(name))]
        delimiter = rng.choice([b"", b"/", b"a"])
        limit = rng.choice([1, 2, 7, 50, 1000])
        expected = want(names, rules, prefix, delimiter)
        frames = c.call(LIST, tlv(T_PREFIX, prefix), tlv(T_LIMIT, struct.pack(">I", 1)))
        if frames[-1].status == DENIED:
            assert not expected, (prefix, expected)
            continue
        got, n = pages(c, prefix, delimiter, limit)
        assert got == expected, (prefix, delimiter, limit, sorted(set(got) ^ set(expected)), got[:5], expected[:5])
        shown += len(got)
        asked += n
    assert shown > 1000, "the test shows nothing"
    print(f"{shown} names in {asked} pages")


def cmd_listed(path, prefix, delimiter, *wanted):
    """PREFIX DELIMITER NAME...: the listing is just that."""
    got, _ = pages(Ext(path), prefix.encode(), delimiter.encode(), 1000)
    assert got == [w.encode() for w in wanted], got


def cmd_until(path, op_uri, want_status):
    """OP:URI STATUS: on ONE connection, until the rules in force answer so (a reload changes what a connection may)."""
    c = Ext(path)
    op, uri = op_uri.split(":", 1)
    print("begun", flush=True)
    end = time.monotonic() + 20
    while (got := status_of(c, {"get": GET, "stat": STAT}[op], uri.encode())) != int(want_status, 0):
        assert time.monotonic() < end, f"still {got:#x}"
        time.sleep(0.02)


def cmd_touch(path, *reports):
    """URI=ID=N...: in one TOUCH. It says nothing of what was counted."""
    parts = []
    for one in reports:
        uri, ident, n = one.split("=")
        parts.append(tlv(30, struct.pack(">QI", int(ident), int(n)) + uri.encode()))
    assert Ext(path).call(11, *parts)[0].status == OK


COMMANDS = {"touch": cmd_touch, "seed": cmd_seed, "denied": cmd_denied, "mixed": cmd_mixed, "expect": cmd_expect, "tree": cmd_tree, "rules": cmd_rules,
            "lists": cmd_lists, "listed": cmd_listed, "until": cmd_until}

if __name__ == "__main__":
    sys.exit(COMMANDS[sys.argv[2]](sys.argv[1], *sys.argv[3:]) or 0)
