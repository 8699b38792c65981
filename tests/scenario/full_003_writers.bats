#!/usr/bin/env bats
# Writers that die, and writers that use the last page: what they held is given back, and none of them gets a SIGBUS.
load lib/daemon.bash

setup() { scenario_setup; }
teardown() {
	daemon_kill 2>/dev/null || true
	local i
	for i in 1 2 3 4 5 6 7 8 9 10; do [ -z "${GROUP:-}" ] || rmdir "$GROUP" 2>/dev/null && break || sleep 0.3; done
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
	[ "$n" -ge 10 ]
	[ "$n" -le 16 ]
	for i in 0 $((n - 1)); do [ "$(objm cat "/brim/$i" | tr -d '\245' | wc -c)" = 0 ]; done
	objm rm /brim/0
	wait_until 20 eval 'objm put --ephemeral /again "$T/objmapper.yaml"'
}

# memory_group BYTES: a control group of that much memory, GROUP; where none can be had the test is skipped.
memory_group() {
	local f
	need_root
	if [ -f /sys/fs/cgroup/memory/memory.limit_in_bytes ]; then
		GROUP=/sys/fs/cgroup/memory/objm-test-$$ f=memory.limit_in_bytes
	else
		GROUP=/sys/fs/cgroup/objm-test-$$ f=memory.max
	fi
	mkdir "$GROUP" 2>/dev/null && [ -f "$GROUP/$f" ] && echo "$1" >"$GROUP/$f" || { rmdir "$GROUP" || true; GROUP=; skip "no control group with the memory controller here"; }
}
killed_for_memory() { cat "$GROUP"/memory.oom_control "$GROUP"/memory.events 2>/dev/null | awk '$1 == "oom_kill" { n += $2 } END { print n + 0 }'; }
oom_adj() { cat "/proc/$1/oom_score_adj"; }

@test "a memory tier larger than its control group's limit: it is cut to what that leaves, NO_SPACE, nobody is killed" {
	local plain=("${AS_USER[@]}")
	memory_group $((160 << 20))
	MEM_CAP=256M MAX_WORKERS=2
	write_conf
	# shellcheck disable=SC2016
	AS_USER=(sh -c 'echo $$ >"$1"/cgroup.procs; shift; exec "$@"' sh "$GROUP" "${AS_USER[@]}")
	daemon_start
	AS_USER=("${plain[@]}")
	grep -q "the memory limit of this control group, 160 MiB, leaves it 84 MiB" "$LOG"
	[ "$(objmctl --json tier list | json "s['tiers'][0]['capacity_bytes']")" = $((84 << 20)) ]
	# should it come to that all the same, rather a worker than the supervisor
	[ "$(oom_adj "$(worker_pids | cut -d' ' -f1)")" -gt "$(oom_adj "$DPID")" ]
	n=$(put_kill brim 1000000)
	[ "$n" -ge 70 ]
	[ "$n" -le 88 ]
	[ "$(killed_for_memory)" = 0 ]
	objm cat /brim/0 | wc -c | grep -qx 1000000
	objm rm /brim/0
	wait_until 20 eval 'objm put --ephemeral /again "$T/objmapper.yaml"'
	daemon_stop
}
