#!/usr/bin/env bats
# bench/compare in its shortest form: everything starts, is measured and ends; the report names each bar. No number is judged.
load lib/daemon.bash

setup() {
	T=$(mktemp -d "${TMPDIR:-/tmp}/objm-test.XXXXXX")
	M=$(mktemp -d /dev/shm/objm-test.XXXXXX)
	chmod 755 "$T" "$M"
	mkdir "$T/disk"
}
teardown() { rm -rf "$T" "$M"; }

@test "compare --tiny leaves JSON, Markdown and plots, and no process and no file" {
	[ "$(id -u)" = 0 ] || [ -z "$("$ROOT/tools/deps" missing bench)" ] || skip "redis, memcached, nginx, gnuplot are missing, and only root can install them"
	printf 'above\n<!-- bars -->\nold\n<!-- end of bars -->\nbelow\n' >"$T/page.md"
	"$ROOT/bench/compare" --tiny --build "$BUILD" --memory "$M" --disk "$T/disk" --out "$T/out" --page "$T/page.md" >"$T/said" 2>&1 3>&- || { cat "$T/said"; false; }
	json 'len([r for r in s["runs"] if "error" in r])' <"$T/out/compare.json" | grep -qx 0
	# Every contestant did something in every group that it is in.
	json 'all(r["ops_per_s"]["min"] > 0 for r in s["runs"] if "ops_per_s" in r)' <"$T/out/compare.json" | grep -qx True
	json 'sorted({r["contestant"] for r in s["runs"] if r["group"] == "size"})' <"$T/out/compare.json" | grep -q nginx
	json 'all(r["bar"] or r["met"] is None for r in s["rows"]) and len(s["rows"]) > 25' <"$T/out/compare.json" | grep -qx True
	grep -q "^| GET by fdpass, pipelined 64" "$T/out/compare.md"
	grep -q "^| GET by fdpass, pipelined 64" "$T/page.md"
	grep -qx above "$T/page.md"
	grep -qx below "$T/page.md"
	[ "$(grep -cx old "$T/page.md")" = 0 ]
	[ -s "$T/out/size-reach-16.svg" ]
	[ -s "$T/out/floor-one-cpu.svg" ]
	[ -z "$(ls -A "$M" "$T/disk" | grep -v :)" ]
	# A part of it again: that is measured anew, the rest is kept.
	cp "$T/out/compare.json" "$T/first.json"
	"$ROOT/bench/compare" --tiny --build "$BUILD" --memory "$M" --disk "$T/disk" --out "$T/out" --add --only size --param size=1024 --param depth=64 >"$T/said" 2>&1 3>&- || { cat "$T/said"; false; }
	python3 - "$T/first.json" "$T/out/compare.json" <<'EOF'
import json, sys
old, new = ({(r["group"], r["contestant"], str(r["params"])): r for r in json.load(open(f))["runs"]} for f in sys.argv[1:])
assert old.keys() == new.keys()
changed = {k for k in old if old[k] != new[k]}
assert len(changed) == 14 and all(k[0] == "size" and "'size': 1024, 'depth': 64" in k[2] for k in changed), changed
EOF
}

@test "wrong use is told" {
	fails 2 "--out" "$ROOT/bench/compare" --quick
	fails 1 "no marks" "$ROOT/bench/compare" --tiny --out "$T" --page "$ROOT/README.md"
	fails 2 "NAME=VALUE" "$ROOT/bench/compare" --out "$T" --param size
	fails 2 "invalid choice" "$ROOT/bench/compare" --out "$T" --only nonsense
	"$ROOT/bench/compare" --out "$T" --build "$T" --tiny 2>&1 | grep -q "objmapperd is missing"
}
