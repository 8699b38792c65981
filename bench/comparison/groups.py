"""What is measured: groups of contestants that take turns."""
import concurrent.futures
import os
import re
import shutil
import statistics
import subprocess
import time

from .rows import FILES_READ, FILES_WRITTEN, FLUSH_US, SLOW
from .slow_disk import SlowDisk
from .world import Failure

KIB, MIB = 1024, 1024 * 1024
SIZES = {KIB: 1000, 16 * KIB: 1000, 256 * KIB: 100, 4 * MIB: 12, 64 * MIB: 3}
FIELDS = ("ops_per_s", "p50_us", "p99_us", "p999_us")


class Scale:
    """How long and how large."""

    def __init__(self, quick, tiny, huge):
        self.quick, self.tiny, self.huge = quick or tiny, tiny, huge
        self.late_at = time.monotonic() + 240 if quick and not tiny else None  # behind it nothing is repeated: 5 minutes hold on a slow machine too
        self.seconds = 0.05 if tiny else 0.35 if quick else 3
        self.short = 0.05 if tiny else 0.2 if quick else 2  # of groups with many contestants
        self.times = 1 if tiny else 3 if quick else 5
        self.files = 2000 if tiny else 60000 if quick else 1000000
        self.index = [10000] if tiny else [10000, 100000, 1000000, 10000000]
        self.working = [1000] if tiny else [1000, 100000] if quick else [1000, 100000, 1000000, 10000000]
        self.only = {}  # parameters that a contestant must have if it has them at all

    def wants(self, params):
        return all(str(params[k]) in v for k, v in self.only.items() if k in params)


class Contestant:
    """One way of doing something: a function that measures it once and returns objm-bench's JSON."""

    def __init__(self, name, params, measure):
        self.name, self.params, self.measure = name, params, measure


def numbers(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "n": len(values)}


def alternate(group, contestants, scale, times=None, budget=None):
    """Round after round, each contestant once a round. Results in the order of the contestants."""
    contestants = [c for c in contestants if scale.wants(c.params)]
    seen, errors = [[] for _ in contestants], [None] * len(contestants)
    began = time.monotonic()
    for turn in range(times or scale.times):
        if turn and ((budget and time.monotonic() - began > budget) or (scale.late_at and time.monotonic() > scale.late_at)):
            break
        for i, c in enumerate(contestants):
            if errors[i]:
                continue
            try:
                r = c.measure()
                if r.get("errors"):
                    raise Failure(f"{r['errors']} errors")
                seen[i].append(r)
            except Failure as e:
                errors[i] = str(e)
    out = []
    for i, c in enumerate(contestants):
        row = {"group": group, "contestant": c.name, "params": c.params}
        if errors[i]:
            row["error"] = errors[i]
        else:
            for k, v in seen[i][0].items():
                if isinstance(v, (int, float)) and k not in c.params:
                    row[k] = numbers([r[k] for r in seen[i]])
            if "how" in seen[i][0]:
                row["how"] = seen[i][0]["how"]
        out.append(row)
    return out


def placed(w, cross):
    return ["--server-cpu", w.server_cpu, "--client-cpu", w.client_cpu if cross else w.server_cpu]


class Group:
    def __init__(self, name, title, run):
        self.name, self.title, self._run = name, title, run

    def run(self, w, scale):
        return self._run(w, scale, self.name)


def stored(w, sock, *args):
    """Store a set of objects once; contestants then use --no-prepare --keep."""
    w.bench("get", "--socket", sock, "--seconds", 0.01, "--keep", *args)


def removed(w, sock, *args):
    w.bench("get", "--socket", sock, "--seconds", 0.01, "--no-prepare", *args)


# ---------------------------------------------------------------------- descriptors


def passing(w, s, name):
    sock, todo = w.objmapper(), []
    objects = ["--objects", 1000, "--size", 4 * KIB, "--ephemeral", "--prefix", "/hot"]
    # The very files whose descriptors the daemon passes.
    same = ["--objects", 1000, "--prefix", "/hot", "--files", os.path.join(w.memory, "tier", "objects")]
    stored(w, sock, *objects)
    for cross in (False, True) if w.cpus > 1 else (False,):
        where = "two CPUs" if cross else "one CPU"
        pin = placed(w, cross)
        floor_pin = pin if cross else ["--same-cpu", "--client-cpu", w.server_cpu]
        for depth in (1, 16, 64, 253):
            p = {"depth": depth, "placement": where}
            d = ["--depth", depth, "--seconds", s.seconds]
            todo += [Contestant("floor", p, lambda d=d, pin=floor_pin: w.bench("floor", *same, *d, *pin)),
                     Contestant("objmapper", p, lambda d=d, pin=pin: w.bench("get", "--socket", sock, *objects, "--no-prepare", "--keep", *d, *pin)),
                     Contestant("floor with openat", p, lambda d=d, pin=floor_pin: w.bench("floor", "--open", *same, *d, *pin))]
    out = alternate(name, todo, s)
    removed(w, sock, *objects)
    return out


def real_files(w, s, name):
    """Many files, uniform, and a descriptor cache that holds few of them."""
    w.stop("objmapperd")
    sock, todo = w.objmapper(max_open_fds=1000), []
    objects = ["--objects", s.files, "--size", KIB, "--ephemeral", "--prefix", "/many"]
    tree = os.path.join(w.memory, "tier", "objects")
    try:
        stored(w, sock, *objects)
        for depth in (1, 64):
            p = {"depth": depth, "files": s.files, "placement": "two CPUs" if w.cpus > 1 else "one CPU"}
            d = ["--depth", depth, "--seconds", s.seconds, *placed(w, w.cpus > 1)]
            todo += [Contestant("floor with openat", p, lambda d=d: w.bench("floor", "--open", "--files", tree, "--objects", s.files, "--prefix", "/many", *d)),
                     Contestant("objmapper", p, lambda d=d: w.bench("get", "--socket", sock, *objects, "--no-prepare", "--keep", *d))]
        return alternate(name, todo, s)
    finally:
        removed(w, sock, *objects)
        w.stop("objmapperd")


# ---------------------------------------------------------------------- the client cache


def traced(w, sock, objects):
    """System calls of half a second of hits: those between the last answer of the server and the end."""
    if not shutil.which("strace"):
        return None
    log = os.path.join(w.work, "strace")
    command = w.as_user() + ["strace", "-f", "-qq", "-o", log, os.path.join(w.bin, "bench/objm-bench"), "get", "--socket", sock, *map(str, objects),
                             "--no-prepare", "--keep", "--cache", "--seconds", "0.5", "--json"]
    r = subprocess.run(command, capture_output=True, check=False, timeout=120)
    if r.returncode != 0:
        return None
    with open(log, encoding="utf-8", errors="replace") as f:
        lines = f.read().split("\n")
    # The thread of the load: the one that received the most. Its calls behind its last answer are those of the hits.
    calls = {}
    for line in lines:
        m = re.match(r"(\d+)\s+(\w+)", line)
        if m:
            calls.setdefault(m[1], []).append(m[2])
    load = max(calls.values(), key=lambda c: c.count("recvmsg"))
    behind = load[len(load) - load[::-1].index("recvmsg"):]
    # Not of hits: waiting for the start, and the report of hits to the server, once a second.
    quiet = {"futex", "clock_nanosleep", "madvise", "rt_sigprocmask", "brk", "restart_syscall", "ioctl", "sendto", "poll", "mprotect"}
    end = behind.index("close") if "close" in behind else len(behind)  # from there on the cache is taken down
    return sum(1 for c in behind[:end] if c not in quiet)


def cache(w, s, name):
    sock, todo, out = w.objmapper(), [], []
    files = w.files()
    for n in ([1000] if s.tiny else [10000, 100000]):
        objects = ["--objects", n, "--size", KIB, "--ephemeral", "--prefix", f"/cached{n}"]
        stored(w, sock, *objects)
        pin = placed(w, w.cpus > 1)
        todo.append(Contestant("client cache", {"objects": n}, lambda o=objects, pin=pin: w.bench(
            "get", "--socket", sock, *o, "--no-prepare", "--keep", "--cache", "--seconds", s.seconds, *pin)))
    path = ["--peer", "path", "--files", files, "--objects", 1000, "--size", KIB, "--prefix", "/opened"]
    w.bench("get", *path, "--seconds", 0.01, "--keep")
    todo.append(Contestant("open and close by path", {"objects": 1000}, lambda: w.bench(
        "get", *path, "--no-prepare", "--keep", "--client-cpu", w.client_cpu, "--seconds", s.seconds)))
    out = alternate(name, todo, s)
    n = traced(w, sock, ["--objects", 1000, "--size", KIB, "--prefix", "/cached%d" % (1000 if s.tiny else 10000)])
    if n is not None:
        out.append({"group": name, "contestant": "client cache", "params": {"what": "system calls in half a second of hits, but for the report of them"},
                    "calls": numbers([n])})
    for n in ([1000] if s.tiny else [10000, 100000]):
        removed(w, sock, "--objects", n, "--size", KIB, "--prefix", f"/cached{n}")
    w.bench("get", *path, "--seconds", 0.01, "--no-prepare")
    return out


# ---------------------------------------------------------------------- GET by size, against others


def contestants_of(w):
    """(name, store arguments, get arguments without size). The socket of a peer that does not start is None."""
    def peer(start):
        try:
            return start()
        except Failure as e:
            return e
    sock, files = w.objmapper(), w.files()
    mine = ["--socket", sock, "--ephemeral"]
    table = [("fdpass", mine, []), ("client cache", mine, ["--cache"]), ("copy", mine, ["--copy"]),
             ("redis", ["--peer", "redis", "--socket", peer(w.redis)], []), ("memcached", ["--peer", "memcached", "--socket", peer(w.memcached)], []),
             ("nginx", ["--peer", "http", "--files", files, "--socket", peer(w.nginx)], []), ("open(2)", ["--peer", "path", "--files", files], [])]
    return table


def by_size(w, s, name):
    out = []
    budget = None if not s.quick else 0.1 if s.tiny else 22
    for size, count in SIZES.items():
        if (s.tiny and size > 256 * KIB) or not s.wants({"size": size}):
            continue
        objects = ["--objects", count, "--size", size, "--prefix", f"/size{size}"]
        todo, stores = [], {}
        for who, where, how in contestants_of(w):
            bad = next((x for x in where if isinstance(x, Failure)), None)
            key = "files" if "--files" in where else where[1]
            if not bad and str(key) not in stores:
                stores[str(key)] = where
                w.bench("get", *where, *objects, "--seconds", 0.01, "--keep")
            for read in (False, True):
                for depth in (1, 16) + ((64,) if size == KIB else ()):
                    p = {"size": size, "depth": depth, "bytes": "every byte read" if read else "within reach"}
                    args = ["get", *where, *objects, "--no-prepare", "--keep", "--depth", depth, "--seconds", s.short, *how]
                    if read:
                        args += ["--read"] + (["--cache-data"] if how == ["--cache"] else [])
                    args += placed(w, w.cpus > 1) if who not in ("open(2)", "client cache") else ["--client-cpu", w.client_cpu]

                    def measure(args=args, bad=bad):
                        if bad:
                            raise bad
                        return w.bench(*args)
                    todo.append(Contestant(who, p, measure))
        out += alternate(name, todo, s, budget=budget)
        for where in stores.values():
            w.bench("get", *where, *objects, "--seconds", 0.01, "--no-prepare")
    return out


# ---------------------------------------------------------------------- working set, PUT


def room(w, n):
    """Where n small objects go: arguments of objmapper, None if they fit nowhere; whether redis can have them as well."""
    mem, disk = os.statvfs(w.memory), os.statvfs(w.disk)
    tmpfs = mem.f_bavail * mem.f_frsize
    if tmpfs > n * 5500 and w.available() > n * 5500 + n * 1700:
        return ["--ephemeral"], True
    if disk.f_bavail * disk.f_frsize > n * 5000 and disk.f_favail > n * 1.05:
        return ["--durability", "none"], w.available() > n * 1700
    return None, False


def working_set(w, s, name):
    out = []
    for n in s.working:
        if not s.wants({"objects": n}):
            continue
        where, both = room(w, n)
        if n >= 10000000 and not s.huge:
            where = None
        if not where:
            why = "takes half an hour, asked for by --huge" if not s.huge else "there is no room for so many files"
            out.append({"group": name, "contestant": "fdpass", "params": {"objects": n}, "skipped": why})
            continue
        objects = ["--objects", n, "--size", KIB, "--prefix", f"/set{n}"]
        todo, wheres = [], [("fdpass", ["--socket", w.objmapper(), *where])] + ([("redis", ["--peer", "redis", "--socket", w.redis()])] if both else [])
        for _, where in wheres:
            w.bench("get", *where, *objects, "--seconds", 0.01, "--keep", timeout=7200)
        for who, where in wheres:
            for zipf in (False, True):
                p = {"objects": n, "choice": "Zipf 0.99" if zipf else "uniform", "depth": 16}
                args = ["get", *where, *objects, "--no-prepare", "--keep", "--depth", 16, "--seconds", s.seconds, *placed(w, w.cpus > 1)]
                todo.append(Contestant(who, p, lambda args=args + (["--zipf", 0.99] if zipf else []): w.bench(*args)))
        out += alternate(name, todo, s)
        for _, where in wheres:
            w.bench("get", *where, *objects, "--seconds", 0.01, "--no-prepare", timeout=7200)
    return out


DURABLE = "disk, durable"


def durable_puts(w, s, name, kinds, objects, params):
    """Small durable puts of many clients, in the two states that there are for them.

    "lasting": the names stand, and have been replaced for a while; they stay between the turns, for what is deleted in bulk costs ext4
    without a journal a minute of slow files near by, and nobody who replaces objects does that (doc/performance.md). "fresh": new names.
    """
    def contestants(state, seconds, *more):
        p = dict(params, state=state)
        return [Contestant(who, p, lambda how=how: w.bench("put", *how, *objects, *more, "--seconds", seconds)) for who, how in kinds]
    turn = 0.05 if s.tiny else 3 if s.quick else 15
    fresh = alternate(name, contestants("fresh", min(turn, 3), "--keep"), s, times=1)
    alternate(name, contestants("lasting", 2 * turn, "--keep"), s, times=1)
    lasting = alternate(name, contestants("lasting", turn, "--keep"), s, times=1 if s.tiny else 3 if s.quick else 5)
    alternate(name, contestants("lasting", 0.01), s, times=1)  # what was kept goes
    return lasting + fresh


def slow_puts(w, s, name):
    """Small durable puts of many clients where it is flushes that take the time."""
    p = {"size": 4 * KIB, "clients": 64, "depth": 1, "where": SLOW}
    if not s.wants(p):
        return []
    try:
        with SlowDisk(w, FLUSH_US) as disk:
            try:
                kinds = (("objmapper", ["--socket", w.objmapper_at(disk)]), ("write, fsync, rename, fsync", ["--peer", "rename", "--files", w.sub(disk, "writers")]))
                objects = ["--durability", "sync", "--objects", 1000, "--size", 4 * KIB, "--connections", 64, "--prefix", "/slow", "--keep"]

                def contestants(seconds):
                    return [Contestant(who, p, lambda how=how: w.bench("put", *how, *objects, "--seconds", seconds)) for who, how in kinds]
                turn = 0.05 if s.tiny else 1 if s.quick else 5
                alternate(name, contestants(turn / 2), s, times=1)
                return alternate(name, contestants(turn), s, times=1 if s.tiny else 2 if s.quick else 5)
            finally:
                w.stop("objmapperd-at")
    except Failure as e:
        return [{"group": name, "contestant": "objmapper", "params": p, "skipped": str(e)}]


def puts(w, s, name):
    sock, todo, out = w.objmapper(), [], []
    redis, lazy, durable = w.redis(), w.redis("no"), w.redis("always")
    memory, disk, writers = w.files(), w.sub(w.disk, "files"), w.sub(w.disk, "writers")
    ours, theirs = ("objmapper", ["--socket", sock, "--durability", "sync"]), ("write, fsync, rename, fsync", ["--peer", "rename", "--files", writers, "--durability", "sync"])
    places = (("tmpfs", (("objmapper", ["--socket", sock, "--ephemeral"]), ("redis", ["--peer", "redis", "--socket", redis]),
                         ("bare file", ["--peer", "bare", "--files", memory]))),
              ("disk", (("objmapper", ["--socket", sock, "--durability", "none"]), ("redis", ["--peer", "redis", "--socket", lazy]),
                        ("bare file", ["--peer", "bare", "--files", disk]))),
              (DURABLE, (ours, ("redis", ["--peer", "redis", "--socket", durable]), ("bare file", ["--peer", "bare", "--files", disk, "--durability", "sync"]), theirs)))
    for size in (4 * KIB, MIB):
        for clients in (1, 64):
            depth = 1 if clients == 64 else 64 if size == 4 * KIB else 4
            objects = ["--objects", 1000 if size == 4 * KIB else 128, "--size", size, "--connections", clients, "--depth", depth,
                       "--prefix", f"/put{size}-{clients}"]
            for where, kinds in places:
                p = {"size": size, "clients": clients, "depth": depth, "where": where}
                if size == 4 * KIB and clients == 64 and where == DURABLE:
                    if s.wants(p):  # first: what others delete would make it less fresh
                        out = durable_puts(w, s, name, (ours, theirs), objects, p)
                    kinds = [k for k in kinds if k not in (ours, theirs)]
                for who, how in kinds:
                    todo.append(Contestant(who, p, lambda o=objects, how=how: w.bench("put", *how, *o, "--seconds", s.short)))
    return out + alternate(name, todo, s, budget=None if not s.quick else 25) + slow_puts(w, s, name)


# ---------------------------------------------------------------------- small beside large


LARGE = 10 * 1000 * 1000


def beside(w, s, name):
    """Small gets at depth 1, alone and while another client gets, or puts, 10 MB values, 20 a second."""
    where = {"objmapper": ["--socket", w.objmapper()], "redis": ["--peer", "redis", "--socket", w.redis()]}
    small = ["--objects", 1000, "--size", 100, "--prefix", "/beside/small"]
    large = ["--objects", 8, "--size", LARGE, "--prefix", "/beside/large"]
    todo = []
    for who, at in where.items():
        mine = [*at, *(["--ephemeral"] if who == "objmapper" else [])]
        for objects in (small, large):
            w.bench("get", *mine, *objects, "--seconds", 0.01, "--keep")

        def measure(mine, other, at):
            bench = lambda: w.bench("get", *mine, *small, "--no-prepare", "--keep", "--seconds", max(s.seconds, 0.3))
            if not other:
                return bench()
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                more = pool.submit(w.bench, *other, *at, *large, "--rate", 20, "--seconds", max(s.seconds, 0.3) + 0.3)
                time.sleep(0.15)
                r = bench()
                more.result()
            return r

        kinds = [("nothing", None, mine), ("gets", ["get", "--no-prepare", "--keep"], mine),
                 ("gets, every byte read", ["get", "--no-prepare", "--keep", "--read"], mine), ("puts", ["put", "--keep"], mine)]
        if who == "objmapper":  # the same bytes, without any server: what is left is that there is one more program on these processors
            files = ["--peer", "path", "--files", w.files()]
            w.bench("get", *files, *large, "--seconds", 0.01, "--keep")
            kinds += [(FILES_READ, ["get", "--no-prepare", "--keep", "--read"], files), (FILES_WRITTEN, ["put", "--keep"], files)]
        for what, other, at in kinds:
            todo.append(Contestant(who, {"beside": what}, lambda mine=mine, other=other, at=at: measure(mine, other, at)))
    out = alternate(name, todo, s)
    for who, at in where.items():
        for objects in (small, large):
            w.bench("get", *at, *objects, "--seconds", 0.01, "--no-prepare")
    w.bench("get", "--peer", "path", "--files", w.files(), *large, "--seconds", 0.01, "--no-prepare")
    return out


# ---------------------------------------------------------------------- index, start, growth


def index(w, s, name):
    return [r for n in s.index for r in alternate(name, [Contestant("index", {"objects": n}, lambda n=n: w.bench(
        "index", "--objects", n, "--dir", w.small_pages()))], s, times=1 if s.quick else 3)]


def start(w, s, name):
    w.stop("objmapperd")
    return [r for n in s.index for r in alternate(name, [Contestant("objmapper", {"objects": n}, lambda n=n: w.bench(
        "start", "--objects", n, "--dir", w.disk, "--programs", w.bin, *placed(w, w.cpus > 1), timeout=1200))], s, times=1 if s.quick else 3)]


def workers(w, s, name):
    if w.cpus < 4:
        return [{"group": name, "contestant": "objmapper", "params": {"workers": 2}, "skipped": f"{w.cpus} CPUs: there are none for two workers and 16 clients"}]
    objects = ["--objects", 1000, "--size", 4 * KIB, "--ephemeral", "--prefix", "/workers", "--connections", 16]

    def measure(n):
        w.stop("objmapperd")
        sock = w.objmapper(workers=n)
        stored(w, sock, *objects)
        return w.bench("get", "--socket", sock, *objects, "--no-prepare", "--depth", 16, "--seconds", s.seconds)
    try:
        return alternate(name, [Contestant("objmapper", {"workers": n, "clients": 16, "depth": 16}, lambda n=n: measure(n)) for n in (1, 2)], s)
    finally:
        w.stop("objmapperd")


ALL = [Group("passing", "descriptors of hot objects, against the kernel's floor", passing),
       Group("cache", "the client cache, against open and close", cache),
       Group("files", "real files, descriptor cache mostly missing", real_files),
       Group("size", "GET by size, against redis, memcached, nginx, open(2)", by_size),
       Group("put", "PUT, against redis and the bare filesystem", puts),
       Group("beside", "small GETs beside 10 MB values", beside),
       Group("set", "working set", working_set),
       Group("index", "look-ups in the index and in LMDB, memory", index),
       Group("start", "start with many records", start),
       Group("workers", "two workers against one", workers)]
