#!/usr/bin/env bats
# Writers that die, and writers that use the last page: what they held is given back, and none of them gets a SIGBUS.
load lib/daemon.bash

setup() { scenario_setup; }
teardown() {
	daemon_kill 2>/dev/null || true
	[ ! -d "$T/small" ] || umount "$T/small" 2>/dev/null || umount -l "$T/small" 2>/dev/null || true
	scenario_teardown
}

put_kill() { as_user "$PYTHON" -B "$LIB/put_kill.py" "$OBJM_SOCKET" "$@"; }
held() { objmctl --json tier list | json "sum(t['used_bytes'] + t['reserved_bytes'] + t['removal_bytes'] for t in s['tiers'])"; }

@test "writers killed in the middle of a put: the bytes that they held are free again" {
	write_conf
	daemon_start
	echo x | objm put /there -
	before=$(held)
	put_kill kill "$([ -n "${OBJM_TEST_LONG:-}" ] && echo 1000 || echo 100)"
	free_again() { [ "$(held)" -le "$before" ]; }
	wait_until 30 free_again || { objmctl --json tier list; false; }
	[ "$(objm ls)" = /there ]
	[ "$(find "$M" "$DISK" -path '*/objects/*' -type f | wc -l)" = 1 ]
	objmctl --json counters | json "s['total']['put_open']" | grep -qx 0
}

@test "a memory tier on 16 MiB, written to the brim through mappings: NO_SPACE at the beginning of a put, never a signal" {
	need_root
	mkdir "$T/small"
	mount -t tmpfs -o "size=16M,mode=0700,uid=$TEST_UID,gid=$TEST_UID" none "$T/small" || skip "no mount here"
	OLD_M=$M
	M=$T/small MEM_CAP=64M # more than is there: the filesystem itself says no
	write_conf
	M=$OLD_M
	daemon_start
	n=$(put_kill brim 1000000)
	[ "$n" -ge 10 ] && [ "$n" -le 16 ]
	for i in 0 $((n - 1)); do [ "$(objm cat "/brim/$i" | tr -d '\245' | wc -c)" = 0 ]; done
	objm rm /brim/0
	wait_until 20 eval 'objm put --ephemeral /again "$T/objmapper.yaml"'
}
