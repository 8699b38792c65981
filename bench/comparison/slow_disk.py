"""A disk whose flush takes as long as one says: an ext4 in a loop device over objm-slow-disk (bench/slow_disk.c), its bytes in memory."""
import os
import shutil
import subprocess
import time

from .world import Failure

SIZE = 2 << 30
PROGRAM = "bench/objm-slow-disk"


class SlowDisk:
    """A context; its value is a directory on that disk. Failure if it cannot be made here."""

    def __init__(self, w, flush_us):
        self.w, self.flush_us, self.loop, self.mounts, self.program, self.image = w, flush_us, None, [], None, None

    def why_not(self):
        if os.geteuid() != 0:
            return "only root may make a loop device"
        if not os.path.exists("/dev/fuse"):
            return "there is no /dev/fuse"
        missing = [p for p in ("losetup", "mkfs.ext4") if not shutil.which(p)]
        if missing:
            return f"{missing[0]} is not installed"
        return None if os.access(os.path.join(self.w.built, PROGRAM), os.X_OK) else "the build has no objm-slow-disk (libfuse3-dev was missing)"

    def __enter__(self):
        why = self.why_not()
        if why:
            raise Failure(why)
        try:
            return self.make()
        except (OSError, subprocess.SubprocessError) as e:
            self.__exit__()
            raise Failure(f"a disk with slow flushes cannot be made: {e}") from e

    def make(self):
        self.top = self.w.make("/tmp")
        fuse, disk, delay = (os.path.join(self.top, n) for n in ("fuse", "disk", "delay"))
        os.mkdir(fuse)
        os.mkdir(disk)
        self.image = os.path.join(self.w.memory, "slow-disk")
        with open(self.image, "wb") as f:
            f.truncate(SIZE)
        with open(delay, "w", encoding="ascii") as f:
            f.write(str(self.flush_us))
        self.program = subprocess.Popen([os.path.join(self.w.built, PROGRAM), fuse, self.image, delay], stdin=subprocess.DEVNULL)
        self.mounts.append(fuse)
        self.wait(lambda: os.path.exists(os.path.join(fuse, "disk")), "objm-slow-disk")
        self.loop = subprocess.run(["losetup", "-f", "--show", os.path.join(fuse, "disk")], check=True, capture_output=True, text=True).stdout.strip()
        subprocess.run(["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard", self.loop], check=True)
        subprocess.run(["mount", self.loop, disk], check=True)
        self.mounts.append(disk)
        os.chmod(disk, 0o755)
        return disk

    def wait(self, ready, what):
        until = time.monotonic() + 10
        while not ready():
            if self.program.poll() is not None or time.monotonic() > until:
                raise OSError(f"{what} did not start")
            time.sleep(0.02)

    def __exit__(self, *_):
        disk = self.mounts.pop() if len(self.mounts) > 1 else None
        if disk:
            subprocess.run(["umount", disk], check=False)
        if self.loop:
            subprocess.run(["losetup", "-d", self.loop], check=False)
        for m in self.mounts:  # the loop device lets go of its file a little later
            for _ in range(100):
                if subprocess.run(["umount", m], check=False, capture_output=True).returncode == 0:
                    break
                time.sleep(0.05)
        if self.program:
            try:
                self.program.wait(5)
            except subprocess.TimeoutExpired:
                self.program.kill()
                self.program.wait()
        if self.image and os.path.exists(self.image):
            os.unlink(self.image)
