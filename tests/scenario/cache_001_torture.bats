#!/usr/bin/env bats
# The client cache through a real daemon: caches that hit while others put and delete, and while daemon and workers are killed.
# OBJM_TEST_LONG=1: minutes instead of seconds.
load lib/daemon.bash

setup() { scenario_setup; write_conf; SECS=4; [ -z "${OBJM_TEST_LONG:-}" ] || SECS=180; }
teardown() {
	[ -z "${TORTURE:-}" ] || kill -KILL "$TORTURE" 2>/dev/null || true
	scenario_teardown
}

torture_begin() {
	"${AS_USER[@]}" "$BUILD/tests/torture/cache_torture" "$@" >"$T/torture" 2>&1 3>&- 4>&- &
	TORTURE=$!
}
# No violation, and something was written, hit, and found to be no longer current.
torture_end() {
	local r=0
	wait "$TORTURE" || r=$?
	TORTURE=
	cat "$T/torture"
	[ $r = 0 ]
	grep -Eq '^writes [1-9][0-9]* reads [1-9][0-9]* hits [1-9][0-9]* stale [1-9][0-9]* .* violations 0$' "$T/torture"
}

@test "no get returns what an acknowledged change has replaced" {
	daemon_start
	torture_begin "$SECS" 64 4 2
	torture_end
}

@test "the same while the daemon is killed, restarted cleanly, and loses workers" {
	daemon_start
	torture_begin $((SECS * 2)) 32 3 2
	end=$((SECONDS + SECS * 2 - 2)) n=0
	while [ $SECONDS -lt $end ]; do
		sleep 0.7 # the load runs for a while between two kills
		case $((n++ % 3)) in
		0) daemon_kill; daemon_start ;;
		1) for p in $(worker_pids); do as_user kill -KILL "$p"; break; done ;;
		2) daemon_stop; daemon_start ;;
		esac
	done
	torture_end
}

@test "hits are reported: what a cache absorbs is not cold to the server" {
	daemon_start
	"$BUILD/bench/objm-bench" get --objects 20 --cache --seconds 0.1 --keep >/dev/null
	before=$(objmctl --json counters | json "s['total'].get('touched', 0)")
	"$BUILD/bench/objm-bench" get --objects 20 --cache --seconds 2.5 --no-prepare >/dev/null
	wait_until 5 eval '[ "$(objmctl --json counters | json "s[\"total\"].get(\"touched\", 0)")" -gt $((before + 1000)) ]'
}
