#!/usr/bin/env python3
"""room.py: clients that want more room than there is.

  room.py DATA ADMIN burst TIER SECONDS    readers and writers at a tier that is full: prints what happened; fails if a read fails,
                                           or if the tier's used and promised bytes ever exceed its capacity
  room.py DATA ADMIN compete BYTES FLAGS N one put of BYTES against N competitors that put small objects all the time
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
        time.sleep(0.3)  # the others are at it
        t0 = time.monotonic()
        r, session, fd = c.begin(b"/big", int(size), int(flags))
        result["begin"] = r.status
        if r.status == 0:
            os.pwrite(fd, b"x" * 4096, int(size) - 4096)
            os.close(fd)
            result["commit"] = c.commit(session).status
        result["ms"] = int((time.monotonic() - t0) * 1000)

    threads.append(mk(big))
    run(load, threads, 60, lambda: "ms" in result)
    print(json.dumps({**load.count, **result, "errors": load.errors}))
    good = result.get("begin") == NO_SPACE or (result.get("begin") == 0 and result.get("commit") == 0)
    return 0 if good and not load.errors else 1


if __name__ == "__main__":
    data, adm, what, *rest = sys.argv[1:]
    sys.exit({"burst": burst, "compete": compete}[what](data, adm, *rest))
