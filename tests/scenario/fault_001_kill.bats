#!/usr/bin/env bats
# A process is killed at each fault point in turn: nothing that was acknowledged is lost, nothing is half there.
load lib/daemon.bash
load lib/fault.bash

setup() { scenario_setup; write_conf; LEDGER=$T/run/ledger; as_user touch "$LEDGER"; }
teardown() { scenario_teardown; }

@test "there are fault points" {
	[ "$(points | wc -l)" -ge 10 ] || skip "built without fault points"
}

@test "kill at each point, the first and the fiftieth time" {
	[ -n "$(points)" ] || skip "built without fault points"
	for p in $(put_points); do
		try "$p:kill:1"
		try "$p:kill:50"
	done
}

@test "an unknown point is refused with a message" {
	r=0
	as_user env OBJM_FAULT=no.such "$BIN/supervisor/objmapperd" --config "$CONF" >"$T/out" 2>&1 3>&- || r=$?
	[ $r != 0 ]
	grep -q "OBJM_FAULT.*list-faults" "$T/out"
}
