"""The bars: what each asks, what came out, whether it is met."""
KIB, MIB = 1024, 1024 * 1024
PEERS = ("redis", "memcached", "nginx")
FILES_READ, FILES_WRITTEN = "files, read by a program of its own", "files, written by a program of its own"  # beside small gets: no server takes part in those

FLUSH_US = 2000
SLOW = "ext4 in memory, a flush takes 2 ms, durable"
SLOW_PUTS = "PUT 4 KiB, disk whose flush takes 2 ms, durable, 64 clients: puts/s over write, fsync, rename, fsync of the directory"


class Runs:
    def __init__(self, data):
        self.runs = [r for r in data["runs"] if "error" not in r]

    def get(self, group, contestant, field="ops_per_s", **params):
        """The median; None if it was not measured."""
        for r in self.runs:
            if r["group"] == group and r["contestant"] == contestant and field in r and all(r["params"].get(k) == v for k, v in params.items()):
                return r[field]["median"]
        return None

    def values(self, group, contestant, param):
        return sorted({r["params"][param] for r in self.runs if r["group"] == group and r["contestant"] == contestant and param in r["params"]})

    def best(self, group, contestants, field="ops_per_s", **params):
        """(value, contestant) of the greatest."""
        found = [(v, c) for c in contestants if (v := self.get(group, c, field, **params)) is not None]
        return max(found) if found else (None, None)


def ratio(a, b):
    return a / b if a is not None and b else None


def name_of(size):
    return f"{size // MIB} MiB" if size >= MIB else f"{size // KIB} KiB"


class Table:
    def __init__(self):
        self.rows = []

    def add(self, what, value, least=None, most=None, unit="", note=""):
        bar = f">= {least:g}{unit}" if least is not None else f"<= {most:g}{unit}"
        met = None if value is None else value >= least if least is not None else value <= most
        self.rows.append({"what": what, "bar": bar, "value": None if value is None else round(value, 3), "unit": unit, "met": met,
                          "note": note if value is not None else note or "not measured"})

    def unjudged(self, what, bar, value, unit, note):
        self.rows.append({"what": what, "bar": bar, "value": None if value is None else round(value, 3), "unit": unit, "met": None, "note": note})


def passing(t, r):
    for place in r.values("passing", "objmapper", "placement"):
        for depth, bar in ((253, 0.9), (64, 0.9), (16, 0.75)):
            t.add(f"GET by fdpass, pipelined {depth}, {place}: descriptors/s over the floor's",
                  ratio(r.get("passing", "objmapper", depth=depth, placement=place), r.get("passing", "floor", depth=depth, placement=place)), least=bar)
        for field, bar in (("p50_us", 1.15), ("p99_us", 1.5)):
            t.add(f"GET by fdpass, depth 1, {place}: {field[:3]} over the floor's",
                  ratio(r.get("passing", "objmapper", field, depth=1, placement=place), r.get("passing", "floor", field, depth=1, placement=place)), most=bar)
    for depth in (64, 1):
        files = r.values("files", "objmapper", "files")
        t.add(f"{files[0] if files else 0:,} real files, uniform, depth {depth}: descriptors/s over the floor's with openat and close",
              ratio(r.get("files", "objmapper", depth=depth), r.get("files", "floor with openat", depth=depth)), least=0.8,
              note="" if files and files[0] >= 1000000 else "the bar is for 1,000,000 files")


def cache(t, r):
    opened = r.get("cache", "open and close by path", "p50_us")
    for n, bar in ((10000, 30), (100000, 60)):
        p50 = r.get("cache", "client cache", "p50_us", objects=n)
        how = next((x.get("how") for x in r.runs if x["group"] == "cache" and x["params"].get("objects") == n), "")
        t.add(f"client cache, {n:,} objects: p50", p50 * 1000 if p50 is not None else None, most=bar, unit=" ns", note=how or "")
    t.add("client cache, system calls of hits", r.get("cache", "client cache", "calls"), most=0)
    t.add("client cache, 10,000 objects: times faster than open and close",
          ratio(opened, r.get("cache", "client cache", "p50_us", objects=10000)), least=20)


def peers(t, r):
    sizes = r.values("size", "fdpass", "size")
    for reach, bars in (("within reach", {KIB: 1, 256 * KIB: 5, 4 * MIB: 50}), ("every byte read", {s: 2 if s >= 256 * KIB else 1 for s in sizes})):
        for size, bar in bars.items():
            key = {"size": size, "depth": 16, "bytes": reach}
            ours, how = r.best("size", ("fdpass", "client cache", "copy"), **key)
            theirs, who = r.best("size", PEERS, **key)
            t.add(f"{name_of(size)}, {reach}, pipelined: objects/s over the best of redis, memcached, nginx", ratio(ours, theirs), least=bar,
                  note=f"{how} over {who}" if ours and theirs else "")
            t.unjudged(f"{name_of(size)}, {reach}, pipelined: without the client cache", "", ratio(
                r.best("size", ("fdpass", "copy"), **key)[0], theirs), "", "for comparison")
    key = {"size": KIB, "depth": 64, "bytes": "within reach"}
    t.add("copy mode, 1 KiB, pipelined 64: objects/s over redis GET", ratio(r.get("size", "copy", **key), r.get("size", "redis", **key)), least=1)


def puts(t, r):
    k = 4 * KIB
    t.add("PUT 4 KiB, tmpfs, undurable, pipelined: puts/s over bare O_TMPFILE, write, linkat",
          ratio(r.get("put", "objmapper", size=k, clients=1, where="tmpfs"), r.get("put", "bare file", size=k, clients=1, where="tmpfs")), least=0.5)
    what = "PUT 4 KiB, disk, durable, 64 clients: puts/s over write, fsync, rename, fsync of the directory"
    lasting, fresh = (ratio(r.get("put", "objmapper", size=k, clients=64, where="disk, durable", state=state),
                            r.get("put", "write, fsync, rename, fsync", size=k, clients=64, where="disk, durable", state=state)) for state in ("lasting", "fresh"))
    t.add(what, lasting, least=4, note="the same names, replaced for a while")
    t.unjudged(what, "", fresh, "", "for comparison: in the first seconds, most names new")
    slow = ratio(*(r.get("put", who, size=k, clients=64, where=SLOW) for who in ("objmapper", "write, fsync, rename, fsync")))
    if slow is not None:
        t.unjudged(SLOW_PUTS, "", slow, "", "for comparison")


def index(t, r):
    n = max(r.values("index", "index", "objects") or [0])
    note = "" if n >= 10000000 else "the bar is for 10,000,000 objects"
    t.add(f"index, {n:,} objects: times faster than mdb_get, batched", ratio(r.get("index", "index", "lmdb_get_ns", objects=n),
                                                                            r.get("index", "index", "lookup_batch_ns", objects=n)), least=15, note=note)
    t.add(f"index, {n:,} objects: one look-up, median", r.get("index", "index", "lookup_ns", objects=n), most=280, unit=" ns", note=note)
    t.add(f"memory an object, {n:,} objects: index, heat, generations", r.get("index", "index", "bytes_per_object", objects=n), most=92, unit=" bytes",
          note=note)
    for field, what in (("bytes_per_object_while_growing", "while it grows, of both segments"), ("bytes_per_object_after_growth", "after it has grown")):
        t.unjudged(f"memory an object, index of {n:,} and some more, {what}", "", r.get("index", "index", field, objects=n), " bytes", "the transient, and what it ends in")
    t.unjudged("growth of that index, start to end", "", r.get("index", "index", "growth_ms", objects=n), " ms", "in steps, between which it serves")


def start(t, r):
    n = max(r.values("start", "objmapper", "objects") or [0])
    note = "" if n >= 10000000 else "the bar is for 10,000,000 records"
    g = {"objects": n}
    for field, what in (("first_get_ms_clean", "after a clean end"), ("first_get_ms_kill", "after SIGKILL")):
        t.add(f"start with {n:,} records: first GET {what}", r.get("start", "objmapper", field, **g), most=100, unit=" ms", note=note)
    t.unjudged(f"start with {n:,} records: shared memory an object", "", r.get("start", "objmapper", "ram_bytes_per_object", **g), " bytes", "index, heat, generations")
    worker = r.get("start", "objmapper", "worker_bytes", **g)
    t.unjudged(f"start with {n:,} records: memory of a worker's own", "", worker / MIB if worker else None, " MiB", "")
    t.add(f"start with {n:,} records: index complete", r.get("start", "objmapper", "complete_ms", **g), most=3000, unit=" ms", note=note)
    t.add(f"start with {n:,} records: GET at depth 1 meanwhile over afterwards",
          ratio(r.get("start", "objmapper", "get_us_meanwhile", **g), r.get("start", "objmapper", "get_us_after", **g)), most=2, note=note)


def workers(t, r):
    one, two = (r.get("workers", "objmapper", workers=n) for n in (1, 2))
    if one and two:
        t.unjudged("two workers against one, 16 clients: descriptors/s", "", ratio(two, one), "", "")


def beside(t, r):
    alone = r.get("beside", "objmapper", "p999_us", beside="nothing")
    for what in r.values("beside", "objmapper", "beside"):
        if what == "nothing":
            continue
        if what.startswith("files"):
            t.unjudged(f"small GET beside 10 MB {what}, 20 a second: p99.9 over that alone", "", ratio(r.get("beside", "objmapper", "p999_us", beside=what), alone),
                       "", "for comparison: no server takes part in those")
            continue
        redis = ratio(r.get("beside", "redis", "p999_us", beside=what), r.get("beside", "redis", "p999_us", beside="nothing"))
        plain = ratio(r.get("beside", "objmapper", "p999_us", beside={"puts": FILES_WRITTEN, "gets, every byte read": FILES_READ}.get(what)), alone)
        notes = ([f"plain files instead: {plain:.1f}"] if plain else []) + ([f"redis: {redis:.1f}"] if redis else [])
        t.add(f"small GET beside 10 MB {what}, 20 a second: p99.9 over that alone", ratio(r.get("beside", "objmapper", "p999_us", beside=what), alone),
              most=1.1, note="; ".join(notes))


def judge(data):
    t, r = Table(), Runs(data)
    groups = {x["group"] for x in data["runs"]}
    for want, part in (({"passing", "files"}, passing), ({"cache"}, cache), ({"size"}, peers), ({"put"}, puts), ({"beside"}, beside), ({"index"}, index), ({"start"}, start), ({"workers"}, workers)):
        if want & groups:
            part(t, r)
    for x in data["runs"]:
        if x.get("skipped"):
            what = ("two workers against one, 16 clients" if x["group"] == "workers" else SLOW_PUTS if x["group"] == "put" else
                    f"working set of {x['params']['objects']:,} objects")
            t.unjudged(what, "", None, "", "skipped: " + x["skipped"])
    return t.rows
