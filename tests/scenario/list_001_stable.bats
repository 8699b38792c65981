#!/usr/bin/env bats
# Listings in pages while writers put, delete, replace and change names: what is there all the time is told exactly once.
# OBJM_TEST_NAMES: how many; with OBJM_TEST_LONG 1,000,000, which take some minutes and 6 GB of /dev/shm.
load lib/daemon.bash

setup() { scenario_setup; }
teardown() { scenario_teardown; }

listing() { as_user "$PYTHON" -B "$LIB/listing.py" "$OBJM_SOCKET" "$@"; }
say() {
	local r=0
	"$@" >"$T/said" 2>&1 || r=$?
	sed 's/^/# /' "$T/said" >&3
	return $r
}

# names N PREFIX
names() { "$BUILD/bench/objm-bench" get --objects "$1" --prefix "$2" --size 10 --seconds 0.1 --depth 16 --ephemeral --keep >/dev/null; }

@test "every name that stays is told once, beside writers" {
	local n=2000
	[ -z "${OBJM_TEST_LONG:-}" ] || n=20000
	write_conf
	daemon_start
	names $n /l
	say listing stable /l $n 4 4
	# Half of them on another tier, in another catalog; the writers bring some back.
	"$BUILD/bench/objm-bench" get --objects $((n / 2)) --prefix /l --size 10 --seconds 0.1 --depth 64 --keep >/dev/null
	say listing stable /l $n 2 2
}

@test "many names in pages" {
	local n=${OBJM_TEST_NAMES:-20000} kib
	[ -z "${OBJM_TEST_LONG:-}" ] || n=${OBJM_TEST_NAMES:-1000000}
	kib=$((n * 6))
	[ "$(df --output=avail /dev/shm | tail -n 1)" -gt $((kib + 262144)) ] || skip "/dev/shm has no room for $n objects"
	MEM_CAP=$((kib / 1024 + 256))M write_conf
	daemon_start
	names "$n" /m
	say listing pages /m "$n"
	say listing stable /m "$n" 2 4
}
