"""compare.md and the plots."""
import os
import shutil
import subprocess

from .rows import name_of

ORDER = ("objmapper", "client cache", "fdpass", "copy", "floor", "floor with openat", "open(2)", "redis", "memcached", "nginx", "bare file",
         "write, fsync, rename, fsync")


def human(v):
    if v is None:
        return ""
    if v >= 100:
        return f"{v:,.0f}"
    return f"{v:.3g}"


def spread(n):
    return f"{human(n['median'])} ({human(n['min'])} to {human(n['max'])})" if n["n"] > 1 else human(n["median"])


def params(r):
    p = dict(r["params"])
    if "size" in p:
        p["size"] = name_of(p["size"])
    return ", ".join(f"{k} {v:,}" if isinstance(v, int) else str(v) if k in ("placement", "bytes", "where", "choice", "what", "size", "state") else f"{k} {v}"
                     for k, v in p.items())


def verdict(row):
    return {True: "yes", False: "**no**", None: ""}[row["met"]]


def group_table(rows, out):
    fields = [f for f in ("ops_per_s", "p50_us", "p99_us", "p999_us") if any(f in r for r in rows)]
    other = [] if fields else sorted({k for r in rows for k in r if isinstance(r[k], dict) and "median" in r[k]})
    heads = {"ops_per_s": "operations/s", "p50_us": "p50, us", "p99_us": "p99, us", "p999_us": "p99.9, us"}
    out.append("| " + " | ".join(["what", "who"] + [heads.get(f, f) for f in fields + other]) + " |")
    out.append("| --- | --- |" + " ---: |" * len(fields + other))
    for r in rows:
        if r.get("error") or r.get("skipped"):
            out.append(f"| {params(r)} | {r['contestant']} | {r.get('error') or 'skipped: ' + r['skipped']} |" + " |" * (len(fields + other) - 1))
            continue
        cells = [spread(r[f]) if f in r else "" for f in fields + other]
        out.append("| " + " | ".join([params(r), r["contestant"] + (f" ({r['how']})" if r.get("how") else "")] + cells) + " |")
    out.append("")


def bars(data):
    out = ["| what | bar | here | met | |", "| --- | --- | ---: | --- | --- |"]
    for r in data["rows"]:
        value = "" if r["value"] is None else f"{human(r['value'])}{r['unit']}"
        out.append(f"| {r['what']} | {r['bar']} | {value} | {verdict(r)} | {r['note']} |")
    return out


def split_page(path):
    """What stands before and behind the bars of a page that people write."""
    begin, end = "<!-- bars -->\n", "<!-- end of bars -->"
    try:
        with open(path, encoding="utf-8") as f:
            text = f.read()
    except OSError as e:
        raise SystemExit(f"bench/compare: --page {path}: {e.strerror}") from e
    if begin not in text or end not in text.split(begin, 1)[1]:
        raise SystemExit(f"bench/compare: --page {path} has no marks {begin.strip()} and {end}")
    head, rest = text.split(begin, 1)
    return head + begin, end + rest.split(end, 1)[1]


def page(data, path):
    """Put the bars there."""
    head, rest = split_page(path)
    m = data["machine"]
    said = f"`{data['command']}`, {m['time']}: {m['cpu']}, {m['cpus']} CPUs, Linux {m['kernel']}, load at the end {m['load'][0]:.1f}.\n\n"
    with open(path, "w", encoding="utf-8") as f:
        f.write(head + said + "\n".join(bars(data)) + "\n" + rest)


def markdown(data, plots, path):
    m = data["machine"]
    out = ["# objmapper, compared", "",
           f"Made by `{data['command']}` in {data['seconds']:.0f} s ({data['mode']}) on {m['time']}: {m['cpu']}, {m['cpus']} CPUs, Linux {m['kernel']}, "
           f"load {m['load'][0]:.1f} at the end. Servers on CPU {m['server_cpu']}, clients on CPU {m['client_cpu']}. "
           + "; ".join(m["peers"].values()) + f". Build: {m['build']}. Files in memory, everybody's: {m['memory']}.", "",
           "Medians of repetitions in which contestants took turns, least and greatest in brackets. Ratios within one run mean something on any "
           "machine; absolute figures on this one alone. \"Within reach\": a descriptor, a pointer, or the bytes received into a small buffer; "
           "\"every byte read\": each 64-bit word of the object was also loaded once.", "",
           "## Bars", ""] + bars(data)
    out.append("")
    for p in plots:
        out += [f"![{p[1]}]({p[0]})", ""]
    titles = {"passing": "Descriptors", "cache": "The client cache", "files": "Real files", "size": "GET by size", "put": "PUT", "beside": "Small GETs beside large values",
              "set": "Working set",
              "index": "Index", "start": "Start", "workers": "Workers"}
    for name in dict.fromkeys(r["group"] for r in data["runs"]):
        out += [f"## {titles.get(name, name)}", ""]
        group_table([r for r in data["runs"] if r["group"] == name], out)
    with open(path, "w", encoding="utf-8") as f:
        f.write("\n".join(out))


# ---------------------------------------------------------------------- plots

STYLE = """set terminal svg size 900,480 font "sans,13" background "white"
set style data histogram
set style histogram cluster gap 1
set style fill solid 0.85 border -1
set boxwidth 0.9
set grid ytics lc rgb "#dddddd"
set key outside right top
set logscale y
"""


def histogram(out, file, title, ylabel, categories, series):
    """series: {name: [value or None for each category]}. Values by gnuplot, from a data block."""
    names = [s for s in ORDER if s in series] + sorted(s for s in series if s not in ORDER)
    data = ["$d << EOD"]
    for i, c in enumerate(categories):
        data.append(f'"{c}" ' + " ".join("?" if series[s][i] is None else f"{series[s][i]:.6g}" for s in names))
    data.append("EOD")
    colours = ["#1b6ca8", "#4aa3df", "#7fc8a9", "#c0c0c0", "#8d8d8d", "#e0b354", "#d1495b", "#8e5ea2", "#6b4226", "#999933", "#225555"]
    plot = ", ".join(f"$d using {k + 2}:xtic(1) title '{s}' lc rgb '{colours[k % len(colours)]}'" for k, s in enumerate(names))
    script = STYLE + "\n".join([f"set output '{os.path.join(out, file)}'", f"set title '{title}'", f"set ylabel '{ylabel}'",
                                "set datafile missing '?'", *data, "plot " + plot, ""])
    r = subprocess.run(["gnuplot"], input=script.encode(), capture_output=True, check=False)
    return (file, title) if r.returncode == 0 else None


def series_of(data, group, category, field="ops_per_s", only=None, **where):
    """(categories, {contestant: values}) of the runs that have these parameters."""
    runs = [r for r in data["runs"] if r["group"] == group and field in r and category in r["params"] and r["params"].get("state") != "fresh"
            and all(r["params"].get(k) == v for k, v in where.items()) and (not only or r["contestant"] in only)]
    categories = list(dict.fromkeys(r["params"][category] for r in runs))
    names = dict.fromkeys(r["contestant"] for r in runs)
    values = {(r["contestant"], r["params"][category]): r[field]["median"] for r in runs}
    return categories, {n: [values.get((n, c)) for c in categories] for n in names}


def plots(data, out):
    if not shutil.which("gnuplot"):
        return []
    made = []

    def add(file, title, ylabel, categories, series, label=str):
        if categories:
            made.append(histogram(out, file, title, ylabel, [label(c) for c in categories], series))

    for place, short in (("one CPU", "one-cpu"), ("two CPUs", "two-cpus")):
        c, s = series_of(data, "passing", "depth", placement=place)
        add(f"floor-{short}.svg", f"Descriptors a second by depth, {place}", "descriptors/s", c, s)
    for reach, short in (("within reach", "reach"), ("every byte read", "read")):
        for depth in (1, 16):
            c, s = series_of(data, "size", "size", depth=depth, bytes=reach)
            add(f"size-{short}-{depth}.svg", f"GET by size, {reach}, depth {depth}", "objects/s", c, s, name_of)
    for where in ("tmpfs", "disk", "disk, durable"):
        for clients in (1, 64):
            c, s = series_of(data, "put", "size", where=where, clients=clients)
            add(f"put-{where.replace(', ', '-')}-{clients}.svg", f"PUT, {where}, {clients} client{'s' if clients > 1 else ''}", "objects/s", c, s, name_of)
    for choice, short in (("uniform", "uniform"), ("Zipf 0.99", "zipf")):
        c, s = series_of(data, "set", "objects", choice=choice)
        add(f"set-{short}.svg", f"Working set, {choice}, depth 16", "objects/s", c, s, "{:,}".format)
    growth = {}
    categories = []
    for field in ("lookup_ns", "lookup_batch_ns", "lmdb_get_ns"):
        categories, s = series_of(data, "index", "objects", field)
        growth.update({field: v for v in s.values()})
    add("growth-index.svg", "A look-up by number of objects", "ns", categories, growth, "{:,}".format)
    growth = {}
    for field in ("first_get_ms_clean", "first_get_ms_kill", "complete_ms"):
        categories, s = series_of(data, "start", "objects", field)
        growth.update({field: v for v in s.values()})
    add("growth-start.svg", "Start by number of records", "ms", categories, growth, "{:,}".format)
    return [p for p in made if p]
