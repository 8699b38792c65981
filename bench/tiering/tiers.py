#!/usr/bin/env python3
"""tiers.py: how objects find their tier, on three real filesystems (tmpfs, ext4, xfs on loop devices): a plot over time, what
moves cost those who read, and how fast they are beside cp. Needs root (mounts) and Debian's gnuplot for the plot.

    bench/tiering/tiers.py settle BUILD [--objects N] [--seconds S] [--svg FILE]
    bench/tiering/tiers.py latency BUILD [--seconds S] [--share X] [--only large|small] [--rate R] [--connections C]
    bench/tiering/tiers.py copy BUILD [--mib N] [--medium disk|memory|both] [--only large|middle|small]

settle   (moves do not give way) N objects, Zipf's law (1.1): the hottest end in memory, what is never asked for on the slowest tier; where the hottest and the
         rest are, every second; the plot in FILE and a table on standard output
latency  p50, p99 and p99.9 of gets while nothing is moved, while a tier is emptied, and while cp (nice 10) copies the same files between the same
         two filesystems, in turn, in one run, with what was moved meanwhile; objects of 8 MiB, then of 4 KiB. A latency is that from when
         a get was due; apart from that, from when it was sent (the client sleeps in between, and is woken late, too)
copy     bytes a second of a drain from ext4 to xfs, and of cp, of cp with sync and of a bare durable copy (read, write, sync, read back; no names,
         no records, nothing removed) between the same two; their loop devices' files on the disk of TMPDIR (/var/tmp), or in a tmpfs, where a flush costs nothing

All mounts are made in a mount namespace of its own and their files have no names: however it ends, SIGKILL included, the kernel takes them back
(what SIGKILL leaves is one directory).
"""
import argparse
import bisect
import concurrent.futures
import ctypes
import json
import mmap
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time


def run(*args, **kw):
    return subprocess.run(args, check=True, stdout=subprocess.PIPE, **kw).stdout.decode()


LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, PR_SET_PDEATHSIG = 0x20000, 1


def own_mounts():
    """From here on mounts are this process's and its children's alone, and end with them."""
    if LIBC.unshare(CLONE_NEWNS) < 0:
        raise SystemExit("unshare: " + os.strerror(ctypes.get_errno()) + ": this needs root")
    run("mount", "--make-rprivate", "/")


def end_with_us():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class World:
    """Three filesystems and a daemon on them."""

    def __init__(self, build, lifecycle, memory_mib, fast_mib, slow_mib, workers=2, medium="disk"):
        self.build = build
        self.dir = tempfile.mkdtemp(prefix="objm-tiers.", dir=os.environ.get("TMPDIR", "/var/tmp"))
        self.mounts, self.daemon = [], None
        if medium == "memory":
            run("mount", "-t", "tmpfs", "-o", f"size={fast_mib + slow_mib + 256}M", "tmpfs", self.dir)
            self.mounts.append(self.dir)
        os.chmod(self.dir, 0o755)
        self.path = {}
        self.mount("memory", memory_mib, None)
        self.mount("fast", fast_mib, ("mkfs.ext4", "-q", "-i", "4096", "-E", "lazy_itable_init=0,lazy_journal_init=0"))
        self.mount("slow", slow_mib, ("mkfs.xfs", "-q"))
        self.sock, self.ctl = self.dir + "/d.sock", self.dir + "/a.sock"
        with open(self.dir + "/conf.yaml", "w") as f:
            f.write(f"""state_dir: {self.dir}/state
listen: {{data: {self.sock}, admin: {self.ctl}}}
thread_pool: {{min_workers: {workers}, max_workers: {workers}}}
lifecycle: {{{lifecycle}}}
backends:
  - {{name: memory, type: memory, path: {self.path['memory']}/t, capacity: {memory_mib * 8 // 10}M, allow_swap: true}}
  - {{name: fast, type: ssd, path: {self.path['fast']}/t, capacity: {fast_mib * 8 // 10}M}}
  - {{name: slow, type: hdd, path: {self.path['slow']}/t, capacity: {slow_mib * 8 // 10}M}}
""")

    def mount(self, name, mib, mkfs):
        at = self.path[name] = f"{self.dir}/{name}"
        os.mkdir(at)
        if mkfs:
            img = f"{self.dir}/{name}.img"
            with open(img, "wb") as f:
                f.truncate(mib << 20)
            run(*mkfs, img)
            run("mount", "-o", "loop", img, at)
            os.unlink(img)
        else:
            run("mount", "-t", "tmpfs", "-o", f"size={mib}M", "tmpfs", at)
        self.mounts.append(at)

    def start(self):
        self.log = open(self.dir + "/log", "w")
        self.daemon = subprocess.Popen([self.build + "/supervisor/objmapperd", "--config", self.dir + "/conf.yaml"], stdout=self.log,
                                       stderr=self.log, preexec_fn=end_with_us)
        for _ in range(200):
            try:
                if self.ask("ping")["ready"]:
                    return
            except (subprocess.CalledProcessError, ValueError):
                pass  # not yet
            time.sleep(0.05)
        raise SystemExit("the daemon does not start: " + open(self.dir + "/log").read())

    def ask(self, *command):
        return json.loads(run(self.build + "/ctl/objmctl", "-s", self.ctl, "--json", *command, stderr=subprocess.DEVNULL))

    def quick(self, cmd, **members):
        """The same without a process: asking how far a move is must not take the processors that it needs."""
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(self.ctl)
            s.sendall(json.dumps({"cmd": cmd, **members}).encode() + b"\n")
            line = b""
            while not line.endswith(b"\n"):
                part = s.recv(65536)
                if not part:
                    raise SystemExit("the daemon closed the admin socket")
                line += part
        return json.loads(line)

    def left(self, tier):
        return next(t["objects"] for t in self.quick("status")["tiers"] if t["name"] == tier)

    def tiers(self):
        return {t["name"]: t for t in self.ask("status")["tiers"]}

    def drain(self, tier, patience=20):
        """Everything off it: seconds. Ends the program where nothing gets on for `patience` seconds."""
        t0 = moved = time.monotonic()
        left = most = self.left(tier)
        self.quick("tier-drain", name=tier)
        while left:
            time.sleep(0.005)  # looking takes a processor too
            left = self.left(tier)
            now = time.monotonic()
            if left < most:
                most, moved = left, now
            elif now - moved > patience:
                room = ", ".join(f"{n}: {t['used_bytes'] >> 20} of {t['capacity_bytes'] >> 20} MiB" for n, t in self.tiers().items())
                raise SystemExit(f"the drain of {tier} stands still: {left} objects left for {patience} s ({room}); its lifecycle process says "
                                 f"{self.ask('lifecycle', 'status')}; {self.dir}/log: {open(self.dir + '/log').read()[-2000:]}")
        took = time.monotonic() - t0
        self.ask("tier", "drain", tier, "--stop")
        return took

    def close(self):
        if self.daemon:
            self.daemon.terminate()
            try:
                self.daemon.wait(5)
            except subprocess.TimeoutExpired:
                self.daemon.kill()
            self.log.close()  # it lies on what is unmounted
        for m in reversed(self.mounts):
            for _ in range(20):
                if subprocess.run(["umount", m], stderr=subprocess.DEVNULL).returncode == 0:
                    break
                time.sleep(0.1)
        shutil.rmtree(self.dir, ignore_errors=True)


class Client:
    """Protocol version 2, descriptors: as many GETs at once as are given."""

    def __init__(self, path):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.connect(path)
        self.s.sendall(b"OBJM" + struct.pack(">BHH", 2, 0x0003, 256))
        assert len(self.s.recv(10)) == 10
        self.buf = b""

    def get(self, uris):
        self.s.sendall(b"".join(struct.pack(">BIBBH", 1, i, 0, ord("1"), len(u)) + u for i, u in enumerate(uris)))
        left = len(uris)
        while left:
            data, fds, _, _ = socket.recv_fds(self.s, 65536, 253)
            if not data:
                raise SystemExit("the daemon closed the connection")
            for fd in fds:
                os.close(fd)
            self.buf += data
            at = 0
            while at < len(self.buf):
                if self.buf[at] == 0x58:  # the descriptor's byte
                    at += 1
                    continue
                if len(self.buf) - at < 16:
                    break
                status, meta = self.buf[at + 5], struct.unpack_from(">H", self.buf, at + 14)[0]
                if len(self.buf) - at < 16 + meta:
                    break
                if status:
                    raise SystemExit(f"GET: status {status:#x}")
                at += 16 + meta
                left -= 1
            self.buf = self.buf[at:]


def put_all(world, n, size, prefix="/o"):
    """By objm-bench, which stores what it is to get, many at a time: /o/0, /o/1, ..."""
    run(world.build + "/bench/objm-bench", "get", "-s", world.sock, "--objects", str(n), "--size", str(size), "--prefix", prefix, "--keep",
        "--seconds", "0.1", "--json")


def put_tree(world, label, n, size):
    """N files in a directory on the fast tier's filesystem, and the same as objects /LABEL/...: all of it on the disk. The directory."""
    tree = f"{world.path['fast']}/{label}"
    os.mkdir(tree)
    for i in range(n):
        with open(f"{tree}/{i}", "wb") as f:
            f.write(os.urandom(size))
    run(world.build + "/client/objm", "-s", world.sock, "put", "-r", "/" + label, tree)
    os.sync()
    return tree


def uri(i):
    return b"/o/%d" % i


def places(world, sample):
    """Of the objects of a sample: which tier serves them."""
    out = {}
    for i in sample:
        t = json.loads(run(world.build + "/client/objm", "-s", world.sock, "stat", "--json", uri(i).decode()))["tier"]
        out[t] = out.get(t, 0) + 1
    return out


def settle(a):
    size = 4096
    mib = a.objects * size >> 20
    w = World(a.build, "interval_secs: 1, hotness_decay_secs: 20, migration_batch_size: 5000, share_while_serving: 1", max(mib // 6, 16), mib * 3 + 128, mib * 3 + 512)
    try:
        w.start()
        put_all(w, a.objects, size)
        order = list(range(a.objects))
        random.Random(7).shuffle(order)
        # Zipf 1.1 over a tenth of them; the rest is never asked for
        live = a.objects // 10
        sums, total = [], 0.0
        for r in range(live):
            total += 1 / (r + 1) ** 1.1
            sums.append(total)
        stop = threading.Event()
        asked = [0]

        def load():
            c, rnd = Client(w.sock), random.Random(9)
            while not stop.is_set():
                c.get([uri(order[bisect.bisect_left(sums, rnd.random() * total)]) for _ in range(64)])
                asked[0] += 64

        thread = threading.Thread(target=load)
        thread.start()
        rows, began = [], time.monotonic()
        hot, cold = order[:20], order[live:live + 20]
        while time.monotonic() - began < a.seconds:
            t, at = w.tiers(), time.monotonic() - began
            h, c = places(w, hot), places(w, cold)
            rows.append((at, t["memory"]["objects"], t["fast"]["objects"], t["slow"]["objects"], h.get("memory", 0) * 5, c.get("slow", 0) * 5))
            time.sleep(max(0, 1 - (time.monotonic() - began - at)))
        stop.set()
        thread.join()
        print("seconds  memory(copies)    fast    slow  hottest 20 in memory %  never asked on slow %")
        for r in rows[:: max(1, len(rows) // 25)] + [rows[-1]]:
            print("%7.1f  %14d  %6d  %6d  %22d  %20d" % r)
        status = w.ask("lifecycle", "status")
        print(f"{asked[0]} requests; moved up {status['moved_up']}, down {status['moved_down']}, copies {status['cached']}, dropped "
              f"{status['dropped']}, failed {status['failed']}; a scan takes {status['scan_ms']} ms")
        plot(rows, a)
        if rows[-1][4] < 95 or rows[-1][5] < 95:
            raise SystemExit("the hot set is not in memory, or the cold not on the slowest tier")
    finally:
        w.close()


def plot(rows, a):
    data = "\n".join(" ".join(str(v) for v in r) for r in rows)
    script = f"""set terminal svg size 900,600 font "sans,12" background "white"
set output "{a.svg}"
$d << EOD
{data}
EOD
set multiplot layout 2,1 title "{a.objects} objects of 4 KiB, Zipf 1.1 over a tenth of them"
set key outside right
set xlabel "seconds"
set ylabel "objects"
set yrange [0:*]
plot $d using 1:2 with lines lw 2 title "memory (copies)", $d using 1:3 with lines lw 2 title "ext4 (ssd)", \\
     $d using 1:4 with lines lw 2 title "xfs (hdd)"
set ylabel "percent"
set yrange [0:105]
plot $d using 1:5 with lines lw 2 title "hottest 20 in memory", $d using 1:6 with lines lw 2 title "never asked on xfs"
unset multiplot
"""
    if shutil.which("gnuplot"):
        subprocess.run(["gnuplot"], input=script.encode(), check=True)
        print("plot:", a.svg)
    else:
        print("gnuplot is not here: no plot")


def latency_of(w, a, label, tree):
    """One kind of object: quiet, moving, cp, in turn. What is read lies on the tier that is emptied, and is moved with it."""
    bench = [a.build + "/bench/objm-bench", "get", "-s", w.sock, "--objects", "1000", "--size", "4096", "--connections", str(a.connections), "--seconds",
             str(a.seconds), "--json", "--keep", "--no-prepare"] + (["--rate", str(a.rate)] if a.rate else [])
    stop = threading.Event()

    def migrate():
        """Off one tier, then off the other, once gets have begun. It is asked seldom how far it is: that takes a process each time."""
        time.sleep(0.3)
        while not stop.is_set():
            t = w.tiers()
            name = "fast" if t["fast"]["objects"] >= t["slow"]["objects"] else "slow"
            w.ask("tier", "drain", name)
            while not stop.wait(0.5 if a.share == 1 else 3) and w.tiers()[name]["objects"]:
                pass
            w.ask("tier", "drain", name, "--stop")

    def cp():
        while not stop.is_set():
            run("nice", "-n", "10", "cp", "-r", tree, f"{w.path['slow']}/copy")
            run("sync", "-f", w.path["slow"])
            shutil.rmtree(f"{w.path['slow']}/copy")
            copied[0] += 1

    rows, copied, size = [], [0], sum(os.path.getsize(f"{tree}/{n}") for n in os.listdir(tree))
    for turn in range(a.turns * 3):
        kind = ("quiet", "moving", "cp")[turn % 3]
        stop.clear()
        copied[0] = 0
        t = threading.Thread(target={"moving": migrate, "cp": cp, "quiet": lambda: None}[kind])
        before, began = w.ask("lifecycle", "status"), time.monotonic()
        t.start()
        r = json.loads(run(*bench))
        after, took = w.ask("lifecycle", "status"), time.monotonic() - began
        stop.set()
        t.join()
        mib = (after["moved_bytes"] - before["moved_bytes"] + copied[0] * size) / took / (1 << 20)
        n = (after["moved_up"] + after["moved_down"] - before["moved_up"] - before["moved_down"] + copied[0] * len(os.listdir(tree))) / took
        call = r.get("call", r)
        rows.append((kind, r["p99_us"], r["p999_us"], mib, n, call["p99_us"], call["p999_us"]))
        print("%-6s %-8s p50 %7.1f us  p99 %8.1f us  p99.9 %8.1f us  (sent late: p99 %6.1f; from then on: p99 %6.1f us, p99.9 %7.1f us)  %7.1f MiB/s moved, "
              "%6.0f objects/s  (%s)" % (label, kind, r["p50_us"], r["p99_us"], r["p999_us"], r.get("late", {}).get("p99_us", 0), call["p99_us"],
                                         call["p999_us"], mib, n, after["yield"]["why"]), flush=True)
        # what has begun comes to its end, and old files go: not in the next one's time
        while w.ask("lifecycle", "status")["jobs"] or w.ask("status")["pending_removals"]:
            time.sleep(0.1)
        os.sync()

    def all_of(kind, at):
        return sorted(r[at] for r in rows if r[0] == kind)

    def mid(kind, at):
        return all_of(kind, at)[a.turns // 2]

    def spread(kind, at):
        return f"{all_of(kind, at)[0]:.0f} to {all_of(kind, at)[-1]:.0f}"

    for at, name, bound in ((1, "p99", 1.5), (2, "p99.9", 2), (5, "p99 from when it was sent", 1.5), (6, "p99.9 from when it was sent", 2)):
        q, m, c = mid("quiet", at), mid("moving", at), mid("cp", at)
        print(f"{label:6} {name} medians (least to most): quiet {q:.0f} us ({spread('quiet', at)}), moving {m:.0f} us ({spread('moving', at)}): {m / q:.2f} times "
              f"(to be at most {bound}) at {mid('moving', 3):.1f} MiB/s, {mid('moving', 4):.0f} objects/s; cp {c:.0f} us ({spread('cp', at)}): {c / q:.2f} times "
              f"at {mid('cp', 3):.1f} MiB/s, {mid('cp', 4):.0f} objects/s", flush=True)


def latency(a):
    w = World(a.build, f"interval_secs: 3600, hotness_decay_secs: 3600, share_while_serving: {a.share}", 256, 2048, 2048)
    try:
        w.start()
        put_all(w, 1000, 4096, "/objm-bench")
        for label, size, n in (("large", 8 << 20, 40), ("small", 4096, 8000)):
            if a.only and a.only != label:
                continue
            tree = put_tree(w, label, n, size)
            latency_of(w, a, label, tree)
            run(a.build + "/client/objm", "-s", w.sock, "rm", "-r", "/" + label)
            shutil.rmtree(tree)
    finally:
        w.close()


CHUNK, DIRECT_FROM = 1 << 20, 256 << 10


def read_file(fd, size, buf, to=-1):
    for at in range(0, size, CHUNK):
        n = os.preadv(fd, [memoryview(buf)[: min(CHUNK, size - at)]], at)
        if to >= 0:
            os.pwritev(to, [memoryview(buf)[:n]], at)


def durable_copy(source, target, size, names):
    """The least that a copy takes which survives a power cut and was looked at: past the page cache what is large, three at a time; seconds."""
    direct = os.O_DIRECT if size >= DIRECT_FROM else 0
    local = threading.local()

    def buf():
        if not hasattr(local, "buf"):
            local.buf = mmap.mmap(-1, CHUNK)
        return local.buf

    def make(name):
        out = os.open(f"{target}/{name}", os.O_WRONLY | os.O_CREAT | direct, 0o600)
        fd = os.open(f"{source}/{name}", os.O_RDONLY | direct)
        if direct:
            os.posix_fallocate(out, 0, size)
        read_file(fd, size, buf(), out)
        if direct:
            os.fsync(out)
            look(name)
        os.close(fd)
        os.close(out)

    def look(name):
        fd = os.open(f"{target}/{name}", os.O_RDONLY)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)
        fd = os.open(f"{target}/{name}", os.O_RDONLY | os.O_DIRECT)
        read_file(fd, size, buf())
        os.close(fd)

    os.mkdir(target)
    t0 = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        list(pool.map(make, names))
        run("sync", "-f", target)
        if not direct:
            list(pool.map(look, names))
    return time.monotonic() - t0


def cp(w, tree, sync):
    t0 = time.monotonic()
    run("cp", "-r", tree, f"{w.path['slow']}/copy")
    if sync:
        run("sync", "-f", w.path["slow"])
    return time.monotonic() - t0


def quiet(w):
    """Nothing is under way. Where many files go they go two seconds later, and an object does not come back before its old file has gone."""
    while w.ask("status")["pending_removals"] or w.ask("lifecycle", "status")["yield"]["why"] != "idle":
        time.sleep(0.05)
    os.sync()
    open("/proc/sys/vm/drop_caches", "w").write("3")


def copy_turn(w, tree, size, n):
    target, out = f"{w.path['slow']}/copy", {}
    for kind, how in (("cp", lambda: cp(w, tree, False)), ("cp, sync", lambda: cp(w, tree, True)),
                      ("bare", lambda: durable_copy(tree, target, size, [str(i) for i in range(n)])), ("objmapper", lambda: w.drain("fast"))):
        quiet(w)
        out[kind] = how()
        shutil.rmtree(target, ignore_errors=True)
    w.drain("slow")
    return out


def copy_medium(a, medium):
    # in fast lie the files, the objects, the inodes' tables (a sixteenth), a journal and the catalog; of a tier four fifths are for objects
    w = World(a.build, "interval_secs: 3600, hotness_decay_secs: 3600", 128, a.mib * 5 // 2 + 512, a.mib * 2 + 512, medium=medium)
    try:
        w.start()
        for label, size, n in (("large", 16 << 20, max(a.mib // 16, 1)), ("middle", 1 << 20, a.mib), ("small", 16384, 2000)):
            if a.only and a.only != label:
                continue
            tree = put_tree(w, label, n, size)
            turns = [copy_turn(w, tree, size, n) for _ in range(a.turns)]
            mib = size * n / (1 << 20)
            mid = {k: sorted(t[k] for t in turns)[a.turns // 2] for k in turns[0]}
            for k, v in mid.items():
                least, most = (mib / f(t[k] for t in turns) for f in (max, min))
                print(f"{medium} {label:6} {n} x {size >> 10} KiB  {k:10} {mib / v:7.0f} MiB/s ({least:.0f} to {most:.0f}), {v / n * 1e6:.0f} us each; "
                      f"{mid['cp'] / v:.2f} of cp, {mid['cp, sync'] / v:.2f} of cp with sync, {mid['bare'] / v:.2f} of bare", flush=True)
            shutil.rmtree(tree)
            run(a.build + "/client/objm", "-s", w.sock, "rm", "-r", "/" + label)
    finally:
        w.close()


def copy(a):
    for medium in ("disk", "memory") if a.medium == "both" else (a.medium,):
        copy_medium(a, medium)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sub = p.add_subparsers(dest="what", required=True)
    for name, what in (("settle", settle), ("latency", latency), ("copy", copy)):
        s = sub.add_parser(name)
        s.set_defaults(what=what)
        s.add_argument("build", type=os.path.abspath)
        s.add_argument("--seconds", type=float, default=120 if name == "settle" else 5)
        s.add_argument("--objects", type=int, default=100000)
        s.add_argument("--mib", type=int, default=256)
        s.add_argument("--rate", type=int, default=5000, help="gets a second; 0: as many as the connections manage, one after the other")
        s.add_argument("--connections", type=int, default=2)
        s.add_argument("--turns", type=int, default=3)
        s.add_argument("--svg", default="tiers.svg")
        s.add_argument("--share", type=float, default=0.025, help="lifecycle.share_while_serving; 1: moves do not give way")
        s.add_argument("--only", choices=("large", "middle", "small"))
        s.add_argument("--medium", choices=("disk", "memory", "both"), default="disk")
    a = p.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # what is mounted is unmounted
    own_mounts()
    a.what(a)


if __name__ == "__main__":
    sys.exit(main())
