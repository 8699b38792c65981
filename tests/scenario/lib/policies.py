#!/usr/bin/env python3
"""policies.py: random operations against a reference map, while objects move, are copied, evicted and expire under the policies of the
configuration that the daemon runs with. What the map says is what must be read: always the whole object, never an older one.

  policies.py DATA ADMIN STATE SEED OPS [PROCESSES]   each process has names of its own; STATE/N keeps their maps from run to run
  policies.py - - STATE conf SEED                     a line of parameters, `name=value ...`, chosen by the seed

What goes wrong leaves STATE/N.failed: the last operations of that process with their answers, its map, and what the daemon says of the object.
"""
import collections
import json
import os
import pickle
import random
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import ext  # noqa: E402

NAMES = 40
LAST = 3000  # operations that are told when something is wrong
EPHEMERAL, PINNED, EVICTABLE = 1, 2, 4
LATER = (ext.UNAVAILABLE, ext.TRY_AGAIN, ext.WRITER_STILL_OPEN)
FULL = (ext.NO_SPACE, ext.LIMIT)  # LIMIT: half of the tier is pinned

CHOICES = {
    "hot": [0.05, 0.3, 0.7, 1.0], "cold": [0.0, 0.04, 0.25], "full": [0.25, 0.6, 0.95], "target": [0.1, 0.5, 0.85],
    "decay": [1, 5, 3600], "batch": [1, 100, 1000], "bandwidth": ["0", "1M"], "mem": ["3M", "8M", "64M"], "fast": ["6M", "64M"],
    "fast_flags": ["", "migration_dst", "migration_src", "migration_src, migration_dst"],
    "slow_flags": ["", "migration_dst", "migration_src, migration_dst"],
    "mem_flags": ["", "migration_src, migration_dst"], "persist": ["true", "false"], "durability": ["sync", "batch", "none"], "drain": ["", "", "fast", "slow"],
    "wait": ["300ms", "20ms", "20ms"], "share": [1, 1, 1, 0.025],
}


def conf(seed):
    r = random.Random(int(seed))
    c = {k: r.choice(v) for k, v in CHOICES.items()}
    c["target"] = min(c["target"], c["full"] / 2)
    c["cold"] = min(c["cold"], c["hot"] / 2)
    print(" ".join(f"{k}='{v}'" for k, v in c.items()))


class Admin:
    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(40)
        self.sock.connect(path)

    def ask(self, **what):
        self.sock.sendall(json.dumps(what).encode() + b"\n")
        raw = b""
        while not raw.endswith(b"\n"):
            got = self.sock.recv(65536)
            if not got:
                raise ext.Lost("the admin socket")
            raw += got
        return json.loads(raw)


class Model:
    """uri -> [number of the version, flags, seconds at which it expires (0: never)]"""

    def __init__(self, data, admin, path, who, seed):
        self.c, self.a, self.path, self.who = ext.Ext(data), Admin(admin), path, who
        self.r = random.Random(f"{seed} {who}")
        self.seed, self.last = seed, collections.deque(maxlen=LAST)
        try:
            with open(path, "rb") as f:
                self.map, self.n = pickle.load(f)
        except FileNotFoundError:
            self.map, self.n = {}, 0
        self.count = {"put": 0, "got": 0, "full": 0, "evicted": 0, "expired": 0, "moved": 0, "deleted": 0}

    def save(self):
        with open(self.path, "wb") as f:
            pickle.dump((self.map, self.n), f)

    def note(self, what, uri, *more):
        self.last.append((f"{time.time():.6f}", what, uri.decode(), *more))

    def failed(self, why):
        """All that is known, in a file that the scenario keeps."""
        with open(self.path + ".failed", "w") as f:
            print(f"seed {self.seed}, process {self.who}, at {time.time():.6f}: {why}", *(" ".join(map(str, e)) for e in self.last), sep="\n", file=f)
            for uri, e in sorted(self.map.items()):
                print("map", uri.decode(), "version, flags, expiry:", *e, file=f)
            for e in {x[2] for x in list(self.last)[-3:]}:
                for cmd in "object", "explain":
                    try:
                        print(cmd, json.dumps(self.a.ask(cmd=cmd, uri=e)), file=f)
                    except (OSError, ValueError, ext.Lost) as no:
                        print(cmd, e, no, file=f)

    def name(self):
        return b"/p/%d/%d" % (self.who, self.r.randrange(NAMES))

    def again(self, fn, *args):
        end = time.monotonic() + 30
        while True:
            got = fn(*args)
            status = got[0] if isinstance(got, tuple) else got.status
            if status not in LATER or time.monotonic() > end:
                return got
            time.sleep(0.01)

    def put(self, uri):
        self.n += 1
        flags = self.r.choice([0, 0, 0, EVICTABLE, EVICTABLE, EPHEMERAL, EPHEMERAL | EVICTABLE, PINNED])
        ttl = self.r.choice([0] * 9 + [1])
        data = ext.content(uri, self.n)
        parts = [ext.tlv(ext.T_URI, uri), ext.tlv(ext.T_FLAGS, struct.pack(">I", flags))]
        if ttl:
            parts.append(ext.tlv(ext.T_TTL, struct.pack(">I", ttl)))
        f = self.again(lambda: self.c.call(ext.INLINE, *parts, payload=data)[0])
        self.note("put", uri, f"version {self.n} flags {flags} ttl {ttl}: {f.status:#x}")
        if f.status in FULL:
            self.count["full"] += 1
            return
        assert f.status == ext.OK, f"put {uri}: {f.status:#x} {f.text()}"
        self.map[uri] = [self.n, flags, f.obj()["expiry_s"]]
        self.count["put"] += 1

    def check(self, uri, status, data):
        """What was read is what the map says; what may have gone by itself may be gone."""
        assert status in (ext.OK, ext.NOT_FOUND), f"get {uri}: {status:#x}"
        e, now = self.map.get(uri), time.time()
        if e is None:
            assert status == ext.NOT_FOUND, f"{uri} is there, {len(data)} bytes, and was deleted, evicted or never put"
            return
        n, flags, expiry = e
        if status == ext.OK:
            assert not expiry or now < expiry + 2, f"{uri} is there {now - expiry:.1f} s after it has expired"
            assert data == ext.content(uri, n), f"{uri}: {len(data)} bytes that are not version {n}"
            self.count["got"] += 1
            return
        if expiry and now >= expiry - 1:
            self.count["expired"] += 1
        else:
            assert flags & EVICTABLE, f"{uri} (version {n}, flags {flags}) is lost"
            self.count["evicted"] += 1
        del self.map[uri]

    def get(self, uri):
        status, data = self.again(self.c.read, uri)
        self.note("get", uri, f"{status:#x}, {len(data or b'')} bytes")
        self.check(uri, status, data)

    def delete(self, uri):
        status = self.again(lambda: self.c.call(ext.DELETE, ext.tlv(ext.T_URI, uri))[0]).status
        self.note("delete", uri, f"{status:#x}")
        assert status in (ext.OK, ext.NOT_FOUND), f"delete {uri}: {status:#x}"
        if status == ext.NOT_FOUND and uri in self.map:
            self.check(uri, status, None)
        self.map.pop(uri, None)
        self.count["deleted"] += 1

    def by_hand(self, uri):
        what = self.r.choice(["promote", "demote", "migrate", "pin", "unpin"])
        more = {"tier": self.r.choice(["memory", "fast", "slow"])} if what == "migrate" else {}
        got = self.a.ask(cmd=what, uri=uri.decode(), **more)
        self.note(what, uri, json.dumps(more), json.dumps(got))
        self.count["moved"] += bool(got["ok"])
        if what in ("pin", "unpin") and got["ok"]:
            e = self.map.get(uri)
            assert e, f"{what} of {uri}, which is not there"
            e[1] = e[1] | PINNED if what == "pin" else e[1] & ~PINNED
        self.where(uri)

    def where(self, uri):
        """Ephemeral objects have one record, in memory; persistent ones have their home on a disk."""
        got = self.a.ask(cmd="object", uri=uri.decode())
        if not got["ok"]:
            return
        tiers = [r["tier"] for r in got["records"]]
        if "ephemeral" in got["flags"]:
            assert tiers == ["memory"], f"{uri} is ephemeral and lies on {tiers}"
        else:
            assert got["home"] in ("fast", "slow"), f"{uri}: its home is {got['home']}"

    def step(self):
        uri, x = self.name(), self.r.random()
        if x < 0.30:
            self.put(uri)
        elif x < 0.88:
            self.get(uri)
        elif x < 0.93:
            self.delete(uri)
        else:
            self.by_hand(uri)

    def check_all(self):
        for i in range(NAMES):
            self.get(b"/p/%d/%d" % (self.who, i))
        listed = list(self.c.list(b"/p/%d/" % self.who))
        assert len(set(listed)) == len(listed), "listed twice"
        for uri in listed:
            assert uri in self.map, f"{uri} is listed and is not there"
        for uri in set(self.map) - set(listed):
            was = self.map[uri]
            self.get(uri)  # evicted or expired in between, or else it is wrong
            assert uri not in self.map, f"{uri} is there and not listed: version, flags, expiry {was}, at {time.time():.3f}: {self.a.ask(cmd='object', uri=uri.decode())}"


def one(data, admin, state, seed, ops, who):
    m = Model(data, admin, f"{state}/{who}", who, seed)
    try:
        m.check_all()
        for _ in range(ops):
            m.step()
        m.check_all()
    except BaseException as e:
        m.failed(f"{type(e).__name__}: {e}")
        raise
    m.save()
    return m.count


def main(data, admin, state, seed, ops, processes="3"):
    if seed == "conf":
        conf(ops)
        return 0
    os.makedirs(state, exist_ok=True)
    children, total, bad = [], {}, 0
    for who in range(int(processes)):
        r, w = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.write(w, json.dumps(one(data, admin, state, seed, int(ops), who)).encode())
                os._exit(0)
            except BaseException as e:  # noqa: BLE001
                print(f"process {who}, seed {seed}: {type(e).__name__}: {e}", file=sys.stderr, flush=True)
                os._exit(1)
        os.close(w)
        children.append((pid, r))
    for pid, r in children:
        raw = os.read(r, 65536)
        bad += os.waitpid(pid, 0)[1] != 0
        for k, v in (json.loads(raw) if raw else {}).items():
            total[k] = total.get(k, 0) + v
    print(json.dumps(total))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
