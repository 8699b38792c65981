#!/usr/bin/env python3
"""What strace saw of a daemon, against the order of a durable change: file and name synced, removal recorded, record committed, answered.

Usage: order.py LOG DISK STATE answers N            at least N puts were answered, none of them before its commit could be durable
       order.py LOG DISK STATE steps KIND...        the last changes, one after the other: new | replace | delete each

LOG is of strace -f -y -x; DISK the tier's directory, STATE the state_dir. Its lines are in the order in which one tracer saw the calls
begin and end, so what ended above a line had ended before whatever that line could cause.
"""
import re
import sys

BEGUN = re.compile(r"^(\d+) +(\w+)\((.*)<unfinished \.\.\.>$")
RESUMED = re.compile(r"^(\d+) +<\.\.\. (\w+) resumed>(.*)$")
WHOLE = re.compile(r"^(\d+) +(\w+)\((.*)$")
RESULT = re.compile(r"\)\s+= (-?\d+)")
PUT_OK, DELETE_OK = r'"\x10\x86\x00', r'"\x10\x87\x00'


def calls(path):
    """(begin, name, arguments, result or None) for the begin and the end of each call."""
    open_calls = {}
    with open(path, encoding="utf-8", errors="replace") as f:
        for line in f:
            line = line.rstrip("\n")
            if m := BEGUN.match(line):
                open_calls[m[1]] = (m[2], m[3])
                yield True, m[1], m[2], m[3], None
            elif m := RESUMED.match(line):
                name, args = open_calls.pop(m[1], (m[2], ""))
                r = RESULT.search(m[3])
                yield False, m[1], name, args + m[3], int(r[1]) if r else None
            elif m := WHOLE.match(line):
                r = RESULT.search(m[3])
                if not r:
                    continue
                yield True, m[1], m[2], m[3], None
                yield False, m[1], m[2], m[3], int(r[1])


class File:
    def __init__(self):
        self.bytes_synced = self.name_synced = False


class Env:
    """An LMDB environment: pages are written, synced, and the head is written through a descriptor of its own, O_DSYNC."""

    def __init__(self, path):
        self.path, self.head_fds, self.dirty, self.covers, self.commits = path, set(), False, None, 0


class World:
    def __init__(self, disk, state):
        self.objects = disk + "/objects"
        self.cat, self.state = Env(disk + "/catalog/data.mdb"), Env(state + "/state/data.mdb")
        self.files, self.young, self.durable, self.committed, self.answers = {}, False, 0, 0, 0
        self.log, self.before = [], {}

    def look(self, begin, pid, name, args, result):
        if name in ("fsync", "fdatasync", "syncfs") and begin:
            self.before[pid] = ([f for f in self.files.values()], self.young)
        if begin and name in ("pwrite64", "pwritev", "write", "writev", "pwritev2"):
            for env in (self.cat, self.state):
                if f"<{env.path}>" in args and self.fd(args) not in env.head_fds and not env.dirty:
                    env.dirty, env.covers = True, self.durable
        if begin and name in ("sendmsg", "sendmmsg", "sendto"):
            self.answered(args)
        if begin or result is None or result < 0:
            return
        if name == "openat" and "O_DSYNC" in args:
            for env in (self.cat, self.state):
                if args.rstrip().endswith(f"<{env.path}>"):
                    env.head_fds.add(result)
        elif name == "linkat" and self.objects in args:
            self.files[self.fd(args)] = File()
            self.log.append("link")
        elif name == "mkdirat" and f"<{self.objects}>" in args:
            self.young = True
        elif name in ("fsync", "fdatasync", "syncfs"):
            self.synced(pid, name, args)
        elif name in ("pwrite64", "write"):
            self.head(args)

    @staticmethod
    def fd(args):
        m = re.match(r"(\d+)", args)
        return int(m[1]) if m else -1

    def synced(self, pid, name, args):
        files, young = self.before.pop(pid)
        env = next((e for e in (self.cat, self.state) if f"<{e.path}>" in args), None)
        if env:
            env.dirty = "synced" if env.dirty else env.dirty
            return
        if name == "syncfs" or args.startswith(f"{self.fd(args)}<{self.objects}>"):
            self.young &= not young
        for f in files:
            f.bytes_synced |= name == "syncfs" or f is self.files.get(self.fd(args))
            f.name_synced |= name == "syncfs" or f"<{self.objects}/" in args
        done = [k for k, f in self.files.items() if f.bytes_synced and f.name_synced and not self.young]
        for k in done:
            del self.files[k]
        self.durable += len(done)
        self.log += ["sync"] * len(done)

    def head(self, args):
        for env, what in ((self.cat, "record"), (self.state, "removal")):
            if f"<{env.path}>" in args and self.fd(args) in env.head_fds:
                if env.dirty == "synced":
                    env.commits += 1
                    self.log.append(what)
                    if env is self.cat:
                        self.committed = max(self.committed, env.covers)
                env.dirty = False

    def answered(self, args):
        n = args.count(PUT_OK)
        for _ in range(n):
            self.answers += 1
            self.log.append("put answered")
            if self.answers > self.committed:
                sys.exit(f"answer {self.answers}: {self.committed} puts could be committed, {self.durable} durable; before it: {self.log[-12:]}")
        self.log += ["delete answered"] * args.count(DELETE_OK)


STEPS = {"new": ["link", "sync", "record", "put answered"], "replace": ["link", "sync", "removal", "record", "put answered"],
         "delete": ["removal", "record", "delete answered"]}


def steps(log, kinds):
    """The last changes, each with at least these steps in this order since the answer before."""
    ends = [i for i, what in enumerate(log) if what.endswith("answered")][-len(kinds):]
    if len(ends) < len(kinds):
        sys.exit(f"{len(ends)} answers: {log}")
    for kind, end in zip(kinds, ends):
        start = max([i for i, what in enumerate(log[:end]) if what.endswith("answered")], default=-1) + 1
        seen = iter(log[start:end + 1])
        if not all(want in seen for want in STEPS[kind]):
            sys.exit(f"{kind}: expected {STEPS[kind]}, seen {log[start:end + 1]}")


def main(log, disk, state, what, *args):
    w = World(disk, state)
    for call in calls(log):
        w.look(*call)
    if what == "steps":
        steps(w.log, args)
    elif w.answers < int(args[0]):
        sys.exit(f"{w.answers} answers seen, expected {args[0]}; {w.durable} durable, {w.committed} committed")
    print(f"{w.answers} puts answered, {w.durable} durable, {w.cat.commits} commits of the catalog, {w.state.commits} of the state")


if __name__ == "__main__":
    main(*sys.argv[1:])
