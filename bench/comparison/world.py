"""Everything that runs: the daemon, the others, the user they run as, the places where their data lies."""
import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
UID = 61234  # root is exempt from limits that count here: everything runs as nobody in particular
PROGRAMS = ("supervisor/objmapperd", "worker/objmapper-worker", "lifecycle/objmapper-lifecycle", "ctl/objmctl", "client/objm",
            "bench/objm-bench")
RELEASE = ("--buildtype=release", "-Db_lto=true", "-Dtests=false")  # as README says


class Failure(Exception):
    """Something could not be started or measured."""


def install():
    """What is missing, from Debian, without any service being started by its package."""
    policy, ours = "/usr/sbin/policy-rc.d", False
    if os.geteuid() == 0 and not os.path.exists(policy):
        with open(policy, "w", encoding="ascii") as f:
            f.write("#!/bin/sh\nexit 101\n")
        os.chmod(policy, 0o755)
        ours = True
    try:
        return subprocess.run([os.path.join(ROOT, "tools/deps"), "install", "bench"], check=False).returncode == 0
    finally:
        if ours:
            os.unlink(policy)


def build(directory):
    """A build directory with everything in it: the one that is named, else a release build, as its user runs it: made, or brought up to date."""
    def whole(d):
        return all(os.access(os.path.join(d, p), os.X_OK) for p in PROGRAMS)

    if directory and not whole(directory):
        missing = next(p for p in PROGRAMS if not os.access(os.path.join(directory, p), os.X_OK))
        raise SystemExit(f"bench/compare: {directory}/{missing} is missing: build it, or leave --build out")
    found = directory or os.path.join(ROOT, "build-release")
    if not directory:
        print(f"bench/compare: building {found}", flush=True)
        if not os.path.exists(os.path.join(found, "build.ninja")):
            subprocess.run(["meson", "setup", found, ROOT, *RELEASE], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["ninja", "-C", found, *PROGRAMS], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["ninja", "-C", found, "bench/objm-slow-disk"], check=False, capture_output=True)  # needs libfuse
    return os.path.abspath(found)


class World:
    def __init__(self, args):
        self.args, self.running, self.dirs, self.mounted = args, {}, [], None
        cpus = sorted(os.sched_getaffinity(0))
        self.server_cpu, self.client_cpu, self.cpus = cpus[0], cpus[1 % len(cpus)], len(cpus)

    def __enter__(self):
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # servers and directories go then, too
        try:
            return self.prepare()
        except BaseException:
            self.__exit__()
            raise

    def prepare(self):
        if not install():
            print("bench/compare: without the packages named above their rows are left out", file=sys.stderr)
        built = self.built = build(self.args.build)
        self.memory, self.disk, self.bin = self.make_memory(), self.make(self.args.disk), self.make("/tmp")
        for p in PROGRAMS:
            os.makedirs(os.path.dirname(os.path.join(self.bin, p)), exist_ok=True)
            shutil.copy(os.path.join(built, p), os.path.join(self.bin, p))
        for f in os.listdir(os.path.join(built, "client")):
            if f.startswith("libobjm.so") and os.path.isfile(os.path.join(built, "client", f)):
                shutil.copy(os.path.join(built, "client", f), os.path.join(self.bin, "client", f))
        subprocess.run(["chmod", "-R", "a+rX", self.bin], check=True)
        self.work = self.make("/tmp")
        return self

    def __exit__(self, *_):
        for name in list(self.running):
            self.stop(name)
        if self.mounted:
            subprocess.run(["umount", "--lazy", self.mounted], check=False)
        for d in self.dirs:
            shutil.rmtree(d, ignore_errors=True)

    def small_pages(self):
        """Where LMDB lies as its users have it: in ordinary pages. (In huge ones its look-ups take a quarter less.)"""
        return self.make("/dev/shm") if self.mounted and os.path.isdir("/dev/shm") else self.memory

    def make_memory(self):
        """A directory in memory, for everybody's files: what is named; else a tmpfs as the packages mount it; else /dev/shm."""
        if self.args.memory:
            return self.make(self.args.memory)
        d = self.make("/tmp")
        options = "size=90%,nr_inodes=0,huge=within_size,nosuid,nodev"
        if os.geteuid() == 0 and subprocess.run(["mount", "-t", "tmpfs", "-o", options, "objm-compare", d], capture_output=True, check=False).returncode == 0:
            self.mounted = d
            os.chown(d, UID, UID)
            os.chmod(d, 0o755)
            return d
        return self.make("/dev/shm")

    def make(self, parent):
        d = tempfile.mkdtemp(prefix="objm-compare-", dir=parent)
        self.dirs.append(d)
        if os.geteuid() == 0:
            os.chown(d, UID, UID)
        os.chmod(d, 0o755)
        return d

    def sub(self, parent, name):
        d = os.path.join(parent, name)
        os.makedirs(d, exist_ok=True)
        if os.geteuid() == 0:
            os.chown(d, UID, UID)
        return d

    # ------------------------------------------------------------------ processes

    def as_user(self):
        if os.geteuid() != 0:
            return []
        return ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--no-new-privs", "--"]

    def spawn(self, name, command, ready):
        """Start a server; `ready` is a socket that takes connections, or a function."""
        if not shutil.which(command[0]):
            raise Failure(f"{command[0]} is not installed")
        with open(os.path.join(self.work, name + ".log"), "ab") as log:
            p = subprocess.Popen(self.as_user() + command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.work)
        self.running[name] = p
        until = time.monotonic() + 20
        while time.monotonic() < until:
            if p.poll() is not None:
                break
            if ready() if callable(ready) else self.listens(ready):
                return
            time.sleep(0.02)
        self.stop(name)
        with open(os.path.join(self.work, name + ".log"), encoding="utf-8", errors="replace") as f:
            raise Failure(f"{name} did not start: {f.read()[-500:]}")

    @staticmethod
    def listens(path):
        try:
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(path)
            return True
        except OSError:
            return False

    def stop(self, name):
        p = self.running.pop(name, None)
        if not p:
            return
        p.send_signal(signal.SIGTERM)
        try:
            p.wait(20)
        except subprocess.TimeoutExpired:
            p.kill()
            p.wait()

    # ------------------------------------------------------------------ the contestants

    def objmapper(self, max_open_fds=200000, workers=1):
        """The socket of a running daemon with a memory tier and a disk tier."""
        sock = os.path.join(self.work, "d.sock")
        if "objmapperd" in self.running:
            return sock
        admin, conf = os.path.join(self.work, "a.sock"), os.path.join(self.work, "objmapper.yaml")
        with open(conf, "w", encoding="utf-8") as f:
            f.write(f"state_dir: {self.sub(self.disk, 'state')}\nlisten: {{data: {sock}, admin: {admin}, mode: 0666}}\n"
                    f"thread_pool: {{min_workers: {workers}, max_workers: {workers}}}\nindex: {{max_open_fds: {max_open_fds}}}\n"
                    f"backends:\n  - {{name: memory, type: memory, path: {self.sub(self.memory, 'tier')}, capacity: 90%, allow_swap: true}}\n"
                    f"  - {{name: disk, type: ssd, path: {self.sub(self.disk, 'tier')}, capacity: 64G}}\n")
        os.chmod(conf, 0o644)
        self.spawn("objmapperd", [os.path.join(self.bin, "supervisor/objmapperd"), "--config", conf], lambda: self.ready(admin))
        return sock

    def objmapper_at(self, disk):
        """The socket of another one, "objmapperd-at", with one disk tier in this directory."""
        at = os.path.join(self.work, "at")
        sock, admin, conf = at + ".sock", at + "-admin.sock", at + ".yaml"
        with open(conf, "w", encoding="utf-8") as f:
            f.write(f"state_dir: {self.sub(disk, 'state')}\nlisten: {{data: {sock}, admin: {admin}, mode: 0666}}\n"
                    f"thread_pool: {{min_workers: 1, max_workers: 1}}\nbackends:\n  - {{name: disk, type: ssd, path: {self.sub(disk, 'tier')}, capacity: 1G}}\n")
        os.chmod(conf, 0o644)
        self.spawn("objmapperd-at", [os.path.join(self.bin, "supervisor/objmapperd"), "--config", conf], lambda: self.ready(admin))
        return sock

    def ready(self, admin):
        r = subprocess.run([os.path.join(self.bin, "ctl/objmctl"), "--json", "ping"], env=dict(os.environ, OBJMCTL_SOCKET=admin),
                           capture_output=True, check=False)
        return b'"ready": true' in r.stdout

    def redis(self, fsync=None):
        """None: memory alone; "no", "always": with an append-only file on the disk."""
        name = "redis" + ("-" + fsync if fsync else "")
        sock = os.path.join(self.work, name + ".sock")
        if name not in self.running:
            extra = ["--appendonly", "yes", "--appendfsync", fsync, "--dir", self.sub(self.disk, name)] if fsync else \
                    ["--appendonly", "no", "--dir", self.sub(self.memory, "redis")]
            self.spawn(name, ["redis-server", "--port", "0", "--unixsocket", sock, "--save", "", "--daemonize", "no", *extra], sock)
        return sock

    def memcached(self):
        sock = os.path.join(self.work, "memcached.sock")
        if "memcached" not in self.running:
            self.spawn("memcached", ["memcached", "-s", sock, "-m", "4096", "-I", "128m", "-t", "1", "-R", "1000"], sock)
        return sock

    def files(self):
        """Plain files in memory: for nginx and for open(2)."""
        return self.sub(self.memory, "files")

    def nginx(self):
        sock, d = os.path.join(self.work, "nginx.sock"), self.sub(self.work, "nginx")
        if "nginx" not in self.running:
            conf = os.path.join(d, "nginx.conf")
            temp = "".join(f"  {k}_temp_path {d}/{k};\n" for k in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
            with open(conf, "w", encoding="utf-8") as f:
                f.write(f"daemon off;\nworker_processes 1;\npid {d}/pid;\nerror_log {d}/error.log;\nworker_rlimit_nofile 20000;\n"
                        f"events {{ worker_connections 2000; }}\nhttp {{\n{temp}  access_log off;\n  sendfile on;\n  tcp_nopush on;\n"
                        f"  keepalive_requests 1000000000;\n  keepalive_timeout 1h;\n  open_file_cache max=15000 inactive=1h;\n"
                        f"  open_file_cache_valid 1h;\n  server {{ listen unix:{sock}; root {self.files()}; }}\n}}\n")
            if os.path.exists(sock):
                os.unlink(sock)
            self.spawn("nginx", ["nginx", "-c", conf, "-p", d, "-e", os.path.join(d, "start.log")], sock)
        return sock

    # ------------------------------------------------------------------ measuring

    def bench(self, *args, timeout=600):
        """objm-bench, its JSON. Failure if it failed."""
        command = self.as_user() + [os.path.join(self.bin, "bench/objm-bench"), *map(str, args), "--json"]
        try:
            r = subprocess.run(command, capture_output=True, timeout=timeout, check=False, cwd=self.work)
        except subprocess.TimeoutExpired as e:
            raise Failure(f"{' '.join(map(str, args))}: not done after {timeout} s") from e
        if r.returncode != 0:
            raise Failure(f"objm-bench {' '.join(map(str, args))}: {r.stderr.decode(errors='replace').strip()[-300:]}")
        return json.loads(r.stdout)

    @staticmethod
    def available():
        """Bytes of memory that programs may still take."""
        with open("/proc/meminfo", encoding="ascii") as f:
            return next(int(line.split()[1]) * 1024 for line in f if line.startswith("MemAvailable"))

    def machine(self):
        with open("/proc/cpuinfo", encoding="utf-8") as f:
            model = next((line.split(":", 1)[1].strip() for line in f if line.startswith("model name")), platform.machine())
        versions = {}
        for name, command in (("redis", ["redis-server", "--version"]), ("memcached", ["memcached", "-V"]), ("nginx", ["nginx", "-v"])):
            if shutil.which(command[0]):
                r = subprocess.run(command, capture_output=True, check=False)
                versions[name] = (r.stdout + r.stderr).decode().strip().split("\n")[0]
        options = subprocess.run(["meson", "introspect", "--buildoptions", self.built], capture_output=True, check=False).stdout
        kind = next((o["value"] for o in json.loads(options or b"[]") if o["name"] == "buildtype"), "unknown")
        memory = "a tmpfs with huge=within_size, as the packages mount it" if self.mounted else self.args.memory or "/dev/shm"
        return {"memory": memory, "build": f"{self.built} ({kind})", "cpu": model, "cpus": self.cpus, "kernel": platform.release(), "load": os.getloadavg(), "server_cpu": self.server_cpu,
                "client_cpu": self.client_cpu, "peers": versions, "disk": self.args.disk, "time": time.strftime("%Y-%m-%d %H:%M:%S")}
