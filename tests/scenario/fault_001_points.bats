#!/usr/bin/env bats
# Each fault point in turn, with each action: the process dies, or the step fails; nothing acknowledged is lost.
load lib/daemon.bash

setup() { scenario_setup; write_conf; LEDGER=$T/run/ledger; as_user touch "$LEDGER"; }
teardown() { scenario_teardown; }

points() { "$BIN/supervisor/objmapperd" --list-faults | awk '{print $1}' | grep -E '^[a-z]+\.[a-z_]+$'; }

# A short load with the fault at the nth time, then the check before and after a restart.
try() {
	local fault=$1
	rm -rf "$T/run/state" "$DISK" "${M:?}"/*
	: >"$LEDGER"
	daemon_spawn env "OBJM_FAULT=$fault"
	wait_until 15 answers || true
	# The supervisor may die of it: then it is started again, without the fault, and the load goes on.
	ext_begin "$OBJM_SOCKET" load 300 4 "$LEDGER" >"$T/load.out" 2>&1
	local load=$EXT i
	for ((i = 0; i < 600; i++)); do
		kill -0 "$load" 2>/dev/null || break
		if ! kill -0 "$DPID" 2>/dev/null; then
			wait "$DPID" 2>/dev/null || true
			daemon_spawn
		fi
		sleep 0.05
	done
	kill "$load" 2>/dev/null && { echo "$fault: the load hangs"; return 1; }
	wait "$load" || { echo "$fault: the load failed:"; cat "$T/load.out"; return 1; }
	ext "$OBJM_SOCKET" verify "$LEDGER" || { echo "$fault: wrong while it runs"; return 1; }
	daemon_kill
	daemon_start || { echo "$fault: no start after it"; return 1; }
	ext "$OBJM_SOCKET" verify "$LEDGER" || { echo "$fault: wrong after the restart"; return 1; }
	daemon_stop || { echo "$fault: no clean stop"; return 1; }
}

@test "there are fault points" {
	[ "$(points | wc -l)" -ge 10 ] || skip "built without fault points"
}

@test "kill at each point, the first and the fiftieth time" {
	[ -n "$(points)" ] || skip "built without fault points"
	for p in $(points); do
		try "$p:kill:1"
		try "$p:kill:50"
	done
}

@test "error and no space at each point" {
	[ -n "$(points)" ] || skip "built without fault points"
	for p in $(points); do
		try "$p:error:20"
		try "$p:nospace:20"
	done
}

@test "an unknown point is refused with a message" {
	r=0
	as_user env OBJM_FAULT=no.such "$BIN/supervisor/objmapperd" --config "$CONF" >"$T/out" 2>&1 3>&- || r=$?
	[ $r != 0 ]
	grep -q "no.such" "$T/out"
}
