#!/usr/bin/env python3
"""room.py: clients that want more room than there is.

  room.py DATA ADMIN burst TIER SECONDS    readers and writers at a tier that is full: prints what happened; fails if a read fails,
                                           or if the tier's used and promised bytes ever exceed its capacity
  room.py DATA ADMIN compete BYTES FLAGS N one put of BYTES, against N competitors that put small objects all the time: refused a few times
                                           at most, it gets in
  room.py DATA ADMIN unsized PATH N BYTES  a memory tier on a filesystem of its own at PATH, nearly full: N open puts that said no size write
                                           BYTES each. Used and promised bytes never exceed the capacity; what the filesystem holds
                                           beyond it is gone a moment after the writers stop; no read fails
"""
import json
import os
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import ext  # noqa: E402

NO_SPACE = 0x44
EVICTABLE, EPHEMERAL = 4, 1


def admin(path, cmd):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(10)
    s.connect(path)
    s.sendall(json.dumps({"cmd": cmd}).encode() + b"\n")
    raw = b""
    while not raw.endswith(b"\n"):
        got = s.recv(65536)
        if not got:
            break
        raw += got
    s.close()
    return json.loads(raw)


def tier(path, name):
    return next(t for t in admin(path, "tier-list")["tiers"] if t["name"] == name)


class Load:
    def __init__(self, data, adm):
        self.data, self.adm, self.stop, self.errors = data, adm, False, []
        self.count = {"read": 0, "put": 0, "full": 0, "samples": 0}
        self.lock = threading.Lock()
        self.most = 0

    def add(self, what):
        with self.lock:
            self.count[what] += 1

    def guard(self, fn, *args):
        try:
            fn(*args)
        except Exception as e:  # noqa: BLE001
            self.errors.append(repr(e))

    def reader(self, uris):
        c, i = ext.Ext(self.data), 0
        while not self.stop:
            uri = uris[i % len(uris)]
            status, got = c.read(uri)
            if status or got[:4] != b"base":
                raise AssertionError(f"{uri}: read gave {status:#x} {got and got[:16]}")
            i += 1
            self.add("read")

    def writer(self, who, size, flags):
        c, i = ext.Ext(self.data), 0
        body = os.urandom(size)
        while not self.stop:
            r = c.put(f"/burst/{who}/{i}".encode(), body, flags)
            if r.status not in (0, NO_SPACE):
                raise AssertionError(f"put says {r.status:#x}: {r.text()}")
            self.add("full" if r.status else "put")
            i += 1

    def sampler(self, name):
        while not self.stop:
            t = tier(self.adm, name)
            self.most = max(self.most, t["used_bytes"] + t["reserved_bytes"])
            if t["used_bytes"] + t["reserved_bytes"] > t["capacity_bytes"]:
                raise AssertionError(f"{t}: more than its capacity")
            self.add("samples")
            time.sleep(0.005)


def run(load, threads, seconds, until=None):
    for t in threads:
        t.start()
    end = time.monotonic() + seconds
    while time.monotonic() < end and not load.errors and not (until and until()):
        time.sleep(0.02)
    load.stop = True
    for t in threads:
        t.join(30)
        if t.is_alive():
            load.errors.append("a client hangs")


def burst(data, adm, name, seconds):
    load = Load(data, adm)
    c = ext.Ext(data)
    base, i = [], 0
    t = tier(adm, name)
    # 99 %: objects that stay and some that may go
    while True:
        t = tier(adm, name)
        if t["used_bytes"] + 100000 > t["capacity_bytes"] * 0.97:
            break
        uri = f"/base/{i}".encode()
        r = c.put(uri, b"base" + os.urandom(59996), EVICTABLE if i % 4 == 3 else 0)
        if r.status:
            break
        if i % 4 != 3:
            base.append(uri)
        i += 1
    free = t["capacity_bytes"] - t["used_bytes"]
    mk = lambda fn, *a: threading.Thread(target=load.guard, args=(fn, *a), daemon=True)  # noqa: E731
    threads = [mk(load.reader, base) for _ in range(2)] + [mk(load.sampler, name)]
    threads += [mk(load.writer, w, max(free // 2, 50000), EVICTABLE if w % 2 else 0) for w in range(6)]
    run(load, threads, float(seconds), lambda: load.count["full"] + load.count["put"] > 400)
    print(json.dumps({**load.count, "most": load.most, "capacity": t["capacity_bytes"], "free": free, "errors": load.errors}))
    ok = not load.errors and load.count["read"] > 50 and load.count["samples"] > 5 and load.count["put"] + load.count["full"] >= 20
    return 0 if ok else 1


def compete(data, adm, size, flags, n):
    load = Load(data, adm)
    mk = lambda fn, *a: threading.Thread(target=load.guard, args=(fn, *a), daemon=True)  # noqa: E731
    threads = [mk(load.writer, w, 200000, int(flags)) for w in range(int(n))]
    threads += [mk(load.sampler, "memory")]
    result = {}

    def big():
        c = ext.Ext(data)
        while load.count["put"] < 2 * int(n):  # the others are at it
            time.sleep(0.02)
        for result["tries"] in range(1, 6):
            t0 = time.monotonic()
            r, session, fd = c.begin(b"/big", int(size), int(flags))
            result["begin"] = r.status
            if r.status == 0:
                os.pwrite(fd, b"x" * 4096, int(size) - 4096)
                os.close(fd)
                result["commit"] = c.commit(session).status
            result["ms"] = int((time.monotonic() - t0) * 1000)
            if r.status != NO_SPACE:
                break
        result["end"] = True

    threads.append(mk(big))
    run(load, threads, 60, lambda: "end" in result)
    print(json.dumps({**load.count, **result, "errors": load.errors}))
    good = result.get("begin") == 0 and result.get("commit") == 0  # a refusal is no wonder; that it never gets in is
    return 0 if good and not load.errors else 1


class Unsized(Load):
    """Sessions without a size: bytes in their descriptors are not promised, and are looked at every 100 ms."""

    def __init__(self, data, adm, path, each):
        super().__init__(data, adm)
        self.path, self.each, self.count["written"], self.count["ended"] = path, each, 0, 0
        self.over, self.go, self.t0 = [], threading.Event(), 0.0

    def taken(self):
        v = os.statvfs(self.path)
        return (v.f_blocks - v.f_bfree) * v.f_frsize

    def hold(self, who):
        c = ext.Ext(self.data)
        r, session, fd = c.begin(f"/open/{who}".encode(), 0, EPHEMERAL)
        if r.status:
            raise AssertionError(f"begin says {r.status:#x}: {r.text()}")
        self.add("begun")
        self.go.wait(30)
        piece = b"x" * 65536
        for at in range(0, self.each, len(piece)):
            try:
                os.pwrite(fd, piece, at)
            except OSError:  # the filesystem itself is full
                break
        self.add("written")
        while not self.stop:  # what was cut stays so as long as nobody writes
            time.sleep(0.02)
        os.close(fd)
        status = c.commit(session).status
        self.add("ended")
        if status == 0:
            self.add("put")

    def filesystem(self, capacity):
        while not self.stop:
            if self.go.is_set():
                self.over.append((time.monotonic() - self.t0, self.taken() - capacity))
            time.sleep(0.002)


def unsized(data, adm, path, n, each):
    n, each = int(n), int(each)
    load = Unsized(data, adm, path, each)
    load.count["begun"] = 0
    c, base, i = ext.Ext(data), [], 0
    t = tier(adm, "memory")
    while t["used_bytes"] < t["capacity_bytes"] * 0.9:  # nothing of it may go
        uri = f"/base/{i}".encode()
        r = c.put(uri, b"base" + os.urandom(199996), EPHEMERAL)
        assert r.status == 0, r.text()
        base.append(uri)
        i += 1
        t = tier(adm, "memory")
    capacity = t["capacity_bytes"]
    mk = lambda fn, *a: threading.Thread(target=load.guard, args=(fn, *a), daemon=True)  # noqa: E731
    threads = [mk(load.hold, w) for w in range(n)] + [mk(load.sampler, "memory"), mk(load.reader, base), mk(load.filesystem, capacity)]
    calm = []

    def until():
        if not load.go.is_set():
            if load.count["begun"] == n:
                load.t0 = time.monotonic()
                load.go.set()
            return False
        if load.count["written"] < n:
            return False
        calm.append(load.taken() <= capacity)
        return len(calm) > 50 and all(calm[-25:])

    run(load, threads, 60, until)
    most = max((o for _, o in load.over), default=0)
    beyond = [s for s, o in load.over if o > 0]
    print(json.dumps({**load.count, "capacity": capacity, "free": capacity - t["used_bytes"], "offered": n * each, "beyond_bytes": max(most, 0),
                      "beyond_s": round(beyond[-1] - beyond[0], 3) if beyond else 0, "errors": load.errors}))
    left = tier(adm, "memory")
    ok = not load.errors and load.count["ended"] == n and load.count["samples"] > 5 and load.count["read"] > 5 and all(calm[-25:]) and len(calm) > 50
    return 0 if ok and left["used_bytes"] <= capacity else 1


if __name__ == "__main__":
    data, adm, what, *rest = sys.argv[1:]
    sys.exit({"burst": burst, "compete": compete, "unsized": unsized}[what](data, adm, *rest))
