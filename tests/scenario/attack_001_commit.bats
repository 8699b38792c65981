#!/usr/bin/env bats
# Clients that do not keep the rules: objects must not change after their COMMIT, nor one reader disturb another.
# The programs are tests/attack/; here they attack a running daemon, as users that are neither root nor the daemon.
load lib/daemon.bash

ATTACKER=65533 # has no name; not 65534, which the daemon treats differently

setup() {
	[ "$(id -u)" = 0 ] || skip "needs root to become several users"
	[ -x "$BUILD/tests/attack/attack_mapping" ] || skip "the build has no tests"
	scenario_setup
	write_conf
	daemon_start
}
teardown() { [ -z "${T:-}" ] || scenario_teardown; }

# attack NAME ARGUMENT...: every point must be ok. What was skipped, and why, is said.
attack() {
	local name=$1 r=0
	shift
	timeout -k 5 120 "$BUILD/tests/attack/attack_$name" "$@" >"$T/attack.tap" 2>&1 3>&- || r=$?
	grep '# SKIP' "$T/attack.tap" | sed 's/^/# /' >&3 || true
	[ $r = 0 ] || cat "$T/attack.tap"
	return $r
}

# Skipped, not passed, where the kernel has not got what the attack needs.
skip_if_all_skipped() {
	local why
	if ! grep '^ok' "$T/attack.tap" | grep -qv '# SKIP'; then
		why=$(sed -n 's/.*# SKIP //p' "$T/attack.tap" | head -n 1)
		skip "$why"
	fi
}

@test "a mapping or descriptor that is kept: COMMIT is refused while it lives" {
	attack mapping daemon "$OBJM_SOCKET" $ATTACKER
}

@test "an io_uring registered buffer changes nothing" {
	attack uring daemon "$OBJM_SOCKET" $ATTACKER
	skip_if_all_skipped
}

@test "a FUSE direct-io read in flight changes nothing" {
	attack fuse daemon "$OBJM_SOCKET" $ATTACKER
	skip_if_all_skipped
}

@test "control: a trusted writer is not copied, and both attacks then work" {
	# Or the tests above show nothing. A trusted writer is inside the boundary: doc/security.md.
	local name
	for name in uring fuse; do
		if attack $name daemon "$OBJM_SOCKET" "$TEST_UID" >/dev/null; then
			skip_if_all_skipped
			echo "attack_$name by a trusted writer changed nothing"
			cat "$T/attack.tap"
			return 1
		fi
		grep -q '^not ok .*changes nothing: the daemon.s memory tier' "$T/attack.tap"
	done
}

@test "a writer that is named in access.trusted_writers is not copied, one that is not is" {
	daemon_stop
	write_conf "access: {trusted_writers: [$ATTACKER]}"
	daemon_start
	if attack fuse daemon "$OBJM_SOCKET" $ATTACKER >/dev/null; then
		skip_if_all_skipped
		false
	fi
	attack fuse daemon "$OBJM_SOCKET" $OTHER_UID
	attack fuse daemon "$OBJM_SOCKET" "$TEST_UID" # the list replaces the default
}

@test "a descriptor got by GET gives no way to the bytes, nor to other readers" {
	attack descriptor "$OBJM_SOCKET" $ATTACKER $OTHER_UID "$TEST_UID"
}
