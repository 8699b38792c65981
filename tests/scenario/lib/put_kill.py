#!/usr/bin/env python3
"""Writers that are killed in the middle of a put, and one that uses a small tier to its last page.

Usage: put_kill.py SOCKET kill COUNT     COUNT processes, each killed with its put open, some bytes written
       put_kill.py SOCKET brim BYTES     put after put of BYTES, written through a mapping, until there is no room: never a signal
"""
import mmap
import os
import signal
import sys

from ext import EPHEMERAL, NO_SPACE, OK, Ext


def cmd_kill(path, count):
    for start in range(0, int(count), 20):
        pids = []
        for i in range(start, min(start + 20, int(count))):
            r, w = os.pipe()
            pid = os.fork()
            if pid == 0:
                c = Ext(path)
                f, _, fd = c.begin(f"/killed/{i}".encode(), 256 * 1024, EPHEMERAL if i % 2 else 0)
                assert f.status == OK, (f.status, f.text())
                os.write(fd, b"x" * (1000 * (i % 50)))
                os.write(w, b".")
                signal.pause()
            os.close(w)
            pids.append((pid, r))
        for pid, r in pids:
            assert os.read(r, 1) == b".", "a writer did not come so far"
            os.close(r)
        for pid, r in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def cmd_brim(path, size):
    size, done = int(size), 0
    c = Ext(path)
    while True:
        f, session, fd = c.begin(f"/brim/{done}".encode(), size, EPHEMERAL)
        if f.status != OK:  # refused when it begins, not by a signal in the middle
            assert f.status == NO_SPACE, (f.status, f.text())
            print(done)
            return
        os.ftruncate(fd, size)
        with mmap.mmap(fd, size) as m:
            m[:] = b"\xa5" * size
        os.close(fd)
        f = c.commit(session)
        assert f.status == OK, (f.status, f.text())
        done += 1
        assert done < 10000


if __name__ == "__main__":
    {"kill": cmd_kill, "brim": cmd_brim}[sys.argv[2]](sys.argv[1], *sys.argv[3:])
