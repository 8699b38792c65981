#!/usr/bin/env bats
# Writes by existing clients, on the legacy socket: each sentence of doc/protocol.md, section 6.
load lib/daemon.bash

setup() { scenario_setup; write_conf; }
teardown() { scenario_teardown; }

@test "each sentence" {
	daemon_start
	wire "$LEGACY" legacy_rules "$OBJM_SOCKET"
}

@test "writers killed with -9 publish nothing" { # OBJM_TEST_LONG: 1,000 of them
	local n=${OBJM_TEST_KILLS:-${OBJM_TEST_LONG:+1000}} seed=${OBJM_TEST_SEED:-$RANDOM}
	echo "# seed $seed" >&3
	daemon_start
	wire "$LEGACY" legacy_kill "$OBJM_SOCKET" "${n:-200}" "$seed"
}

@test "several writers of one name at once: one of them, whole" {
	daemon_start
	wire "$LEGACY" legacy_race "$OBJM_SOCKET" 10
}

@test "a user without the right only reads" {
	need_root
	daemon_start
	printf here | objm put /here -
	as_uid "$OTHER_UID" test -r "$LIB/wire.py" || skip "another user cannot read this checkout"
	as_uid "$OTHER_UID" "$PYTHON" -B "$LIB/wire.py" "$LEGACY" legacy_no_right /here here
}

@test "there is no legacy socket unless it is configured" {
	sed -i '/legacy:/d' "$CONF"
	daemon_start
	[ ! -e "$LEGACY" ]
}
