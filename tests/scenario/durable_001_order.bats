#!/usr/bin/env bats
# The order of a durable change, as the kernel sees it (strace): bytes and name synced, the removal of what it replaces recorded, the
# record committed and synced, and only then the answer. A sync that is left out shows nowhere else but after a power cut.
load lib/daemon.bash

setup() {
	scenario_setup
	command -v strace >/dev/null || skip "no strace"
	[ "$(id -u)" = 0 ] || skip "needs root: workers let nobody else look into them"
	MIN_WORKERS=1 MAX_WORKERS=1 write_conf
	TRACE=$T/run/strace
	# From its first instruction on. -D: the daemon is our child, not strace.
	ASAN_OPTIONS="${ASAN_OPTIONS:-}:detect_leaks=0" strace -D -f -y -x -s 4 -qq -o "$TRACE" \
		-e trace=openat,linkat,mkdirat,fsync,fdatasync,syncfs,write,writev,pwrite64,pwritev,sendmsg,sendmmsg,sendto \
		"${AS_USER[@]}" "$BIN/supervisor/objmapperd" --config "$CONF" </dev/null >>"$LOG" 2>&1 3>&- 4>&- &
	DPID=$!
	daemon_wait
}
teardown() { scenario_teardown; }

order() { "$PYTHON" -B "$LIB/order.py" "$TRACE" "$DISK" "$T/run/state" "$@"; }
@test "a new object, and one that is deleted" {
	echo one >"$T/files/o"
	objm put /a "$T/files/o"
	order steps new
	objm rm /a # nothing was removed before it, so the removal that is seen is its own
	order steps new delete
}

@test "an object that is replaced" {
	echo one >"$T/files/o"
	objm put /a "$T/files/o"
	objm put /a "$T/files/o"
	order steps new replace
}

@test "many at once: no put is answered before its batch could be durable" {
	"$BUILD/bench/objm-bench" put --socket "$OBJM_SOCKET" --durability sync --connections 48 --objects 400 --size 512 --seconds 2 \
		--prefix /many >"$T/out"
	cat "$T/out"
	order answers 100
	grep -q "syncfs(" "$TRACE"
}
