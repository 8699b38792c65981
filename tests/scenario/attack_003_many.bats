#!/usr/bin/env bats
# Many small objects at once: counts, and that the workers' memory does not grow with them. OBJM_TEST_MANY: how many;
# 1,000,000 take three minutes and 6 GB of /dev/shm.
load lib/daemon.bash

setup() { scenario_setup; }
teardown() { scenario_teardown; }

@test "put, list, get and delete many objects" {
	local n=${OBJM_TEST_MANY:-50000} kib
	[ -x "$BUILD/tests/torture/million" ] || skip "the build has no tests"
	kib=$((n * 6))
	[ "$(df --output=avail /dev/shm | tail -n 1)" -gt $((kib + 262144)) ] || skip "/dev/shm has no room for $n objects"
	MEM_CAP=$((kib / 1024 + 256))M write_conf
	daemon_start
	if ! timeout -k 5 840 "$BUILD/tests/torture/million" -n "$n" -d "$M/objects" "$OBJM_SOCKET" >"$T/million.txt"; then
		cat "$T/million.txt"
		return 1
	fi
	grep -c '^ok:' "$T/million.txt"
	daemon_stop
}
