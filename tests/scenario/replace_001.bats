#!/usr/bin/env bats
# One URI, replaced all the time, by puts of every size on two tiers: what a reader gets has the size and the bytes of exactly
# the version that came with it, whatever way it came.
load lib/daemon.bash

setup() { scenario_setup; write_conf; daemon_start; }
teardown() { scenario_teardown; }

@test "readers in seven ways, beside a writer" {
	local seconds=6
	[ -z "${OBJM_TEST_LONG:-}" ] || seconds=60
	as_user "$PYTHON" -B "$LIB/replace.py" "$OBJM_SOCKET" /replaced "$seconds" >"$T/out"
	sed 's/^/# /' "$T/out" >&3
}
