#!/usr/bin/env python3
"""compare.py: the policy "ours" of objm-tiering beside the others, on many traces; prints the table of doc/tiering.md.

Usage: compare.py PATH/TO/objm-tiering [FOLDER-WITH-cloudPhysicsIO.csv]

The traces that are neither the public one nor made by objm-tiering itself are written to a temporary folder first; they
are the same each time.
"""
import bisect
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile

RIVALS = ["lru", "lfu", "arc", "s3fifo", "sieve", "wtinylfu"]
ZIPF_OBJECTS = 20000


def write_traces(folder):
    """Traces of keys: loop, phases of Zipf and loop, Zipf with scans, short reuse distances, a hot set that moves."""
    random.seed(7)
    weights = list(itertools.accumulate((i + 1) ** -0.9 for i in range(ZIPF_OBJECTS)))

    def zipf():
        return bisect.bisect(weights, random.random() * weights[-1])

    def trace(name, lines):
        with open(os.path.join(folder, name), "w") as f:
            f.writelines(lines)

    def phases():
        at = 0
        for i in range(1000000):
            if i // 50000 % 2:
                yield f"L{at % 8000}\n"
                at += 1
            else:
                yield f"z{zipf()}\n"

    def scans():
        at = 0
        for i in range(1000000):
            if i % 100000 > 80000:
                yield f"s{at}\n"
                at += 1
            else:
                yield f"z{zipf()}\n"

    def recency():
        history, fresh = [], 0
        for _ in range(600000):
            key = fresh
            if history and random.random() < 0.9:
                back = int(random.paretovariate(0.6))
                key = history[-back] if back <= len(history) else fresh
            fresh += key == fresh
            history.append(key)
            yield f"r{key}\n"

    trace("loop", ["0 10000 0 0\n"] * 100)
    trace("phases", phases())
    trace("scans", scans())
    trace("recency", recency())
    trace("moving", (f"h{i // 50 + zipf() // 4}\n" for i in range(1000000)))


def runs(folder, public):
    """(name, arguments of objm-tiering)"""
    if public:
        csv = ["--trace", os.path.join(public, "cloudPhysicsIO.csv"), "--format", "cloudphysics"]
        yield "cloudphysics", csv + ["--cache-bytes", "0.1%,1%,10%,128M,256M,384M,512M,640M,768M,896M,1024M"]
        yield "cloudphysics, places", csv + ["--cache-objects", "0.1%,1%,10%,30%"]
    made = ["--requests", "1000000"]
    for s in ("0.8", "0.99", "1.2"):
        yield f"zipf {s}", made + ["--zipf", s, "--objects", "100000", "--cache-objects", "0.1%,1%,10%"]
    yield "zipf 0.9, 30 % scan", made + ["--zipf", "0.9", "--objects", "100000", "--scan", "0.3", "--cache-objects", "100,1000,10000,30000"]
    sizes = ["--objects", "50000", "--spread", "10", "--cache-bytes", "0.1%,1%,10%"]
    yield "zipf 0.9, sizes", made + sizes + ["--zipf", "0.9"]
    yield "zipf 0.99, sizes, 20 % scan", made + sizes + ["--zipf", "0.99", "--scan", "0.2"]
    yield "zipf 1.0, 20 drifts", made + ["--zipf", "1.0", "--objects", "50000", "--drift", "20", "--cache-objects", "0.1%,1%,10%"]
    for name in ("loop", "phases", "scans", "recency", "moving"):
        yield name, ["--trace", os.path.join(folder, name), "--format", "keys", "--cache-objects", "0.1%,1%,10%,50%"]


def size_name(size):
    if "cache_objects" in size:
        return str(size["cache_objects"])
    return f"{size['cache_bytes'] / 2**20:.0f}M"


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    gaps = {}
    print("| trace | cache | objects % | best other | | bytes % | best other | |\n| --- | --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        write_traces(folder)
        for name, arguments in runs(folder, sys.argv[2] if len(sys.argv) == 3 else None):
            out = subprocess.run([sys.argv[1], *arguments, "--json", "--policy", ",".join(RIVALS + ["ours"])],
                                 check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
            sizes = {run["policy"]: run["sizes"] for run in json.loads(out)}
            for i, ours in enumerate(sizes["ours"]):
                row = [name, size_name(ours)]
                for ratio in ("object_hit_ratio", "byte_hit_ratio"):
                    best = max(RIVALS, key=lambda p: sizes[p][i][ratio])
                    top = sizes[best][i][ratio]
                    row += [f"{100 * ours[ratio]:.2f}", f"{best} {100 * top:.2f}", f"{100 * (ours[ratio] - top):+.2f}"]
                    for p in sizes:
                        gaps.setdefault((p, ratio), []).append(100 * (sizes[p][i][ratio] - top))
                print("| " + " | ".join(row) + " |", flush=True)
    print("\n| policy | objects: mean | worst | behind by more than 1 | bytes: mean | worst | behind by more than 1 |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for p in RIVALS + ["ours"]:
        row = [p]
        for ratio in ("object_hit_ratio", "byte_hit_ratio"):
            g = gaps[p, ratio]
            row += [f"{sum(g) / len(g):+.2f}", f"{min(g):+.2f}", f"{sum(x < -1 for x in g)} of {len(g)}"]
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
