#!/usr/bin/env bats
# kill -9 of each kind of process in the middle of thousands of puts: what was acknowledged is there, whole.
load lib/daemon.bash

LOAD=${OBJM_TEST_LOAD:-10000}
setup() { scenario_setup; write_conf; daemon_start; LEDGER=$T/run/ledger; as_user touch "$LEDGER"; }
teardown() {
	[ -z "${LPID:-}" ] || kill "$LPID" 2>/dev/null || true
	scenario_teardown
}

load_begin() {
	ext_begin "$OBJM_SOCKET" load "$1" 8 "$LEDGER" "${2:-0}"
	LPID=$EXT
}
load_end() { wait "$LPID"; LPID=; }
ledger_at() { [ "$(grep -c '^\["ack"' "$LEDGER")" -ge "$1" ]; }

@test "workers" {
	load_begin "$LOAD"
	for n in 1 2 3 4 5 6; do
		wait_until 60 ledger_at $((n * LOAD / 10))
		for p in $(worker_pids); do
			[ "$p" = 0 ] || as_user kill -KILL "$p" || true
			sleep 0.1
		done
	done
	load_end
	ext "$OBJM_SOCKET" verify "$LEDGER"
	daemon_stop
	daemon_start
	ext "$OBJM_SOCKET" verify "$LEDGER"
}

@test "the lifecycle process" {
	load_begin "$LOAD"
	for n in 1 2 3 4 5 6; do
		wait_until 60 ledger_at $((n * LOAD / 10))
		p=$(status_of "s['lifecycle']['pid']") # 0 while it is being replaced: that would be ourselves
		[ "$p" = 0 ] || as_user kill -KILL "$p" || true
	done
	load_end
	ext "$OBJM_SOCKET" verify "$LEDGER"
}

@test "the supervisor" {
	load_begin "$LOAD"
	for n in 1 2 3 4 5; do
		wait_until 60 ledger_at $((n * LOAD / 10))
		daemon_kill
		daemon_start
	done
	load_end
	ext "$OBJM_SOCKET" verify "$LEDGER"
	daemon_kill
	daemon_start
	ext "$OBJM_SOCKET" verify "$LEDGER"
}

@test "the supervisor, ephemeral objects" {
	load_begin "$LOAD" 1
	for n in 1 2 3; do
		wait_until 60 ledger_at $((n * LOAD / 10))
		daemon_kill
		daemon_start
	done
	load_end
	ext "$OBJM_SOCKET" verify "$LEDGER"
}

@test "the supervisor, and its catalog directory deleted before the restart" {
	load_begin "$LOAD"
	wait_until 60 ledger_at $((LOAD / 2))
	daemon_kill
	rm -rf "$DISK/catalog"
	daemon_start
	load_end
	ext "$OBJM_SOCKET" verify "$LEDGER"
	daemon_stop
	rm -rf "$DISK/catalog"
	daemon_start
	ext "$OBJM_SOCKET" verify "$LEDGER"
	# What was deleted does not come back from its files either.
	objm rm -r /load/ || [ -z "$(objm ls)" ]
	daemon_stop
	rm -rf "$DISK/catalog"
	daemon_start
	wait_until 30 rebuilt
	[ -z "$(objm ls)" ]
}
rebuilt() { [ "$(objmctl --json tier list | json "[t['state'] for t in s['tiers'] if t['name']=='disk'][0]")" = ready ]; }

@test "tier rebuild by hand changes nothing that can be seen" {
	load_begin 2000
	load_end
	objm ls --json >"$T/before"
	objmctl tier rebuild disk
	ext "$OBJM_SOCKET" verify "$LEDGER"
	wait_until 30 rebuilt
	objm ls --json >"$T/after"
	cmp "$T/before" "$T/after"
}

@test "a client that dies in the middle of a put leaves nothing" {
	used() { objmctl --json tier list | json "[t['used_bytes'] for t in s['tiers'] if t['name']=='disk'][0]"; }
	before=$(used)
	for i in 1 2 3 4 5; do
		ext_begin "$OBJM_SOCKET" hold "/held/$i" >"$T/held"
		p=$EXT
		wait_until 10 grep -q begun "$T/held"
		kill -KILL "$p"
		wait "$p" 2>/dev/null || true
		: >"$T/held"
	done
	[ -z "$(objm ls)" ]
	wait_until 5 test "$(used)" -le $((before + 4096))
	[ -z "$(find "$DISK/staging" "$DISK/objects" -type f)" ]
}
