#!/usr/bin/env bats
# Each step that can fail, fails: as if the disk were broken, as if it were full.
load lib/daemon.bash
load lib/fault.bash

setup() { scenario_setup; write_conf; LEDGER=$T/run/ledger; as_user touch "$LEDGER"; }
teardown() { scenario_teardown; }

@test "error and no space at each point" {
	[ -n "$(points)" ] || skip "built without fault points"
	for p in $(put_points); do
		try "$p:error:20"
		try "$p:nospace:20"
	done
}
