#!/usr/bin/env bats
# objm-bench keeps its contract: one JSON object with the promised fields, no errors, the objects gone afterwards; wrong use is
# told. No number is judged here.
load lib/daemon.bash

setup() { scenario_setup; MIN_WORKERS=1 MAX_WORKERS=1 write_conf; BENCH=$BUILD/bench/objm-bench; }
teardown() { scenario_teardown; }

# rated COMMAND...: its JSON has the fields of a load, something was done, nothing failed.
rated() {
	"$BENCH" "$@" --seconds 0.3 --json >"$T/out" || { cat "$T/out"; return 1; }
	[ "$(wc -l <"$T/out")" = 1 ]
	json 'all(s[k] > 0 for k in ("ops_per_s", "p50_us", "p99_us", "p999_us")) and s["p50_us"] <= s["p99_us"] <= s["p999_us"] and s["errors"] == 0' <"$T/out" | grep -qx True || { cat "$T/out"; return 1; }
}

@test "get, put, mix and floor" {
	daemon_start
	rated get --objects 100
	rated get --objects 100 --depth 64 --connections 3 --zipf 0.99 --read --size 3000
	rated get --objects 100 --depth 253 --size 1K
	rated get --objects 100 --depth 16 --copy --read
	rated get --objects 100 --rate 2000 --connections 2
	json 's["ops"]' <"$T/out" | grep -qx "\(59[0-9]\|600\)"
	# what it took from when it was due holds what it took from when it was sent; and the generator slept: it was late
	json 's["late"]["p50_us"] > 0 and s["p99_us"] >= s["call"]["p50_us"] > 0 and s["p999_us"] >= s["late"]["p50_us"]' <"$T/out" | grep -qx True
	rated get --objects 100 --rate 1000 --spin 100
	rated put --objects 100 --ephemeral
	rated get --objects 100 --durability none # of what it stores first
	rated put --objects 100 --depth 64 --ephemeral --durability none
	rated put --objects 30 --size 200K --connections 2 --depth 3
	rated mix --objects 100 --puts 0.5 --depth 4
	json '"get" in s and "put" in s' <"$T/out" | grep -qx True
	rated floor --depth 1
	rated floor --depth 64 --open --same-cpu
	rated floor --depth 253
	[ -z "$(objm ls)" ]
}

@test "--keep, --no-prepare, --server-cpu and --client-cpu" {
	daemon_start
	rated get --objects 50 --keep --prefix /kept
	[ "$(objm ls | wc -l)" = 50 ]
	rated get --objects 50 --no-prepare --keep --prefix /kept --server-cpu 0 --client-cpu 0
	for pid in $(worker_pids); do [ "$(sed -n 's/^Cpus_allowed_list:\t//p' "/proc/$pid/status")" = 0 ]; done
	[ "$(objm ls | wc -l)" = 50 ]
}

@test "a daemon that ends under it ends the run, with one message" {
	daemon_start
	"$BENCH" put --objects 100 --connections 8 --seconds 60 >"$T/out" 2>"$T/err" & local pid=$! r=0
	for _ in $(seq 400); do [ -n "$(objm ls)" ] && break; sleep 0.02; done
	[ -n "$(objm ls)" ]
	daemon_stop
	for _ in $(seq 500); do kill -0 "$pid" 2>/dev/null || break; sleep 0.02; done # 10 s; it was to take 60
	! kill -0 "$pid" 2>/dev/null || { kill "$pid"; echo "it goes on"; return 1; }
	wait "$pid" || r=$?
	cat "$T/err"
	[ "$r" = 1 ]
	[ "$(wc -l <"$T/err")" = 1 ]
	grep -q "the run ends here" "$T/err"
	[ ! -s "$T/out" ]
}

@test "the filesystem as a peer" {
	mkdir "$T/peer"
	for peer in path; do rated get --peer $peer --files "$T/peer" --objects 20 --read; done
	for peer in bare rename; do
		rated put --peer $peer --files "$T/peer" --objects 20
		rated put --peer $peer --files "$T/peer" --objects 20 --durability sync
	done
	[ -z "$(find "$T/peer" -type f)" ]
	# Kept, the same names are replaced by the next run; the last one takes them away.
	rated put --peer rename --files "$T/peer" --objects 20 --connections 2 --keep
	[ "$(find "$T/peer" -type f | wc -l)" = 20 ]
	find "$T/peer" -type f | sort >"$T/names"
	rated put --peer rename --files "$T/peer" --objects 20 --connections 2 --keep
	find "$T/peer" -type f | sort | diff "$T/names" -
	rated put --peer rename --files "$T/peer" --objects 20 --connections 2
	[ -z "$(find "$T/peer" -type f)" ]
	rated get --peer path --files "$T/peer" --objects 20 --keep
	rated floor --depth 16 --open --files "$T/peer"
}

@test "index" {
	"$BENCH" index --objects 20000 --json --dir "$T" >"$T/out"
	json 'all(s[k] > 0 for k in ("lookup_ns", "lookup_batch_ns", "lmdb_get_ns", "bytes_per_object", "growth_ms"))' <"$T/out" | grep -qx True
	json 's["bytes_per_object_before_growth"] < s["bytes_per_object_after_growth"] < s["bytes_per_object_while_growing"]' <"$T/out" | grep -qx True
}

@test "start" {
	"$BENCH" start --objects 20000 --json --dir "$T" >"$T/out"
	json 'all(s[k] > 0 for k in ("first_get_ms_clean", "first_get_ms_kill", "complete_ms", "ram_bytes_per_object"))' <"$T/out" | grep -qx True
	[ -z "$(find "$T" -name 'objm-bench-*')" ]
	fails 1 "no objmapperd" "$BENCH" start --objects 10 --programs "$T"
	# One that ends at once: what it said is shown, and nothing stays.
	mkdir -p "$T/dies/supervisor"
	printf '#!/bin/sh\necho its last words >&2\nexit 1\n' >"$T/dies/supervisor/objmapperd"
	chmod +x "$T/dies/supervisor/objmapperd"
	fails 1 "its last words" "$BENCH" start --objects 10 --dir "$T" --programs "$T/dies"
	[ -z "$(find "$T" -name 'objm-bench-*')" ]
}

@test "wrong use is told, with the option's name" {
	fails 2 "--depth" "$BENCH" get --depth 254
	fails 2 "not with floor" "$BENCH" floor --copy
	fails 2 "no such command" "$BENCH" nonsense
	fails 2 "one command" "$BENCH"
	fails 2 "one of them" "$BENCH" get --copy --cache
	fails 2 "--rate" "$BENCH" get --rate fast
	fails 2 "durability" "$BENCH" put --durability maybe
	fails 2 "not one of" "$BENCH" get --peer oracle
	fails 1 "connect" "$BENCH" get --socket "$T/none"
	fails 1 "--files" "$BENCH" get --peer path
	fails 1 "CPU 1023" "$BENCH" floor --seconds 0.1 --client-cpu 1023
	fails 1 "CPU 1023" "$BENCH" floor --seconds 0.1 --server-cpu 1023
	mkdir -p "$T/peer"
	fails 1 "client-cpu 1023" "$BENCH" get --peer path --files "$T/peer" --objects 10 --seconds 0.1 --client-cpu 1023
	fails 1 "cannot print" sh -c '"$1" floor --seconds 0.1 --json >/dev/full' sh "$BENCH"
	"$BENCH" --help | grep -q -- "--server-cpu"
}
