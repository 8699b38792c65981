#!/usr/bin/env bats
# Clients that mean harm: no worker dies, no descriptor is left over, every request of everybody else is answered. Attackers
# and victims are different users, since the kernel and the daemon count by user. How late the victims were is reported.
load lib/daemon.bash

ATTACKER=61236
VICTIM=61237

setup() {
	scenario_setup
	need_root
	MIN_WORKERS=2 MAX_WORKERS=2 write_conf "${LIMITS:-}"
	daemon_start
	printf 'the victim reads this' | objm put /v -
	head -c 8000000 /dev/urandom | objm put /large -
	head -c 8000000 /dev/urandom | objm put --ephemeral /large-eph -
	HELD=()
	as_uid $VICTIM test -r "$LIB/hostile.py" || skip "another user cannot read this checkout"
	victim
	before
}
teardown() {
	local p
	for p in "${HELD[@]}"; do kill -KILL "$p" 2>/dev/null || true; done
	scenario_teardown
}

hostile() { as_uid "$1" "$PYTHON" -B "$LIB/hostile.py" "$OBJM_SOCKET" "${@:2}"; }

# attack ARGUMENTS: in the background, in position when this returns; released at the end.
attack() {
	local out=$T/attack.${#HELD[@]}
	setpriv --reuid=$ATTACKER --regid=$ATTACKER --clear-groups --no-new-privs -- "$PYTHON" -B "$LIB/hostile.py" "$OBJM_SOCKET" "$@" \
		>"$out" 2>&1 </dev/null 3>&- 4>&- &
	HELD+=($!)
	wait_until 60 grep -q "in position" "$out" || { cat "$out"; return 1; }
	sed -n 's/^/# /; /in position/!p' "$out" >&3
}
release() {
	local p
	for p in "${HELD[@]}"; do
		kill -KILL "$p"
		wait "$p" 2>/dev/null || true
	done
	HELD=()
}

# say COMMAND...: what it says goes to the report. Its status counts.
say() {
	local r=0
	"$@" >"$T/said" 2>&1 || r=$?
	sed 's/^/# /' "$T/said" >&3
	return $r
}
victim() { say hostile $VICTIM victim /v 'the victim reads this' "${1:-400}"; }

total() { objmctl --json counters | json "s['total']['$1']"; }
used_bytes() { status_of "sum(t['used_bytes'] for t in s['tiers'])"; }

fds() { find "/proc/$1/fd" -mindepth 1 2>/dev/null | wc -l; }
# Without those of objects that a worker keeps to pass on again: their number is a gauge, and theirs to choose.
all_fds() {
	local p
	objmctl --json counters >"$T/counters"
	for p in $DPID $(pgrep -P "$DPID"); do
		echo "$p $(($(fds "$p") - $(json "next((w['counters']['fd_cache'] for w in s['workers'] if w['pid'] == $p), 0)" <"$T/counters")))"
	done
}
before() { all_fds >"$T/fds.before"; }
# The same processes as before, and none holds more descriptors.
as_before() {
	all_fds >"$T/fds.now"
	python3 - "$T/fds.before" "$T/fds.now" <<-'END'
	import sys
	a, b = (dict(line.split() for line in open(f)) for f in sys.argv[1:])
	sys.exit(set(a) != set(b) or any(int(b[p]) > int(a[p]) for p in a))
	END
}
settled() { wait_until 30 as_before || { cat "$T/fds.before" "$T/fds.now"; return 1; }; }

@test "100,000 pipelined requests for descriptors, never read" {
	attack flood /v 4 100000
	victim
	victim 400
	release
	settled
	victim 100
}

@test "500 clients that ask for descriptors and never read" {
	attack flood /v 500 60
	victim
	release
	settled
}

@test "4,000 connections that say nothing, of four users, and more than one may have" {
	# A worker takes a quarter of its descriptors' number in connections, 5,000 of 20,000, and refuses more than that though
	# another worker may have room: so many are sure to leave some for the victim.
	local u
	for u in 0 1 2 3; do ATTACKER=$((61300 + u)) attack crowd 1000; done
	victim
	ATTACKER=61300 attack crowd 1500 # more than limits.connections_per_uid
	victim
	[ "$(total refused)" -ge 1000 ] # counted
	release
	settled
}

@test "requests that come a byte a second, readers that stop, puts that do not go on" {
	attack trickle 300
	attack stop_reading /large 60
	attack stop_reading /large-eph 60
	attack sessions 1500
	victim
	release
	settled
}

@test "descriptors that nobody asked for" {
	say hostile $ATTACKER uninvited /v
	victim
	settled
}

@test "streams truncated, repeated, reordered, damaged" {
	local seed=${OBJM_TEST_SEED:-$RANDOM}
	echo "# seed $seed" >&3
	say hostile $ATTACKER garbage "${OBJM_TEST_LOAD:-1500}" "$seed"
	victim
	settled
}

@test "one direction shut down" {
	hostile $VICTIM half_close /v 'the victim reads this'
	victim
	settled
}

@test "writers killed at every point of a put" {
	local used
	used=$(used_bytes)
	hostile $ATTACKER deaths "${OBJM_TEST_DEATHS:-240}"
	settled
	bytes_back() { [ "$(used_bytes)" -le $((used + 65536)) ]; }
	wait_until 20 bytes_back || { objmctl status; return 1; }
	victim
}

@test "every descriptor of a child is close-on-exec, and none of them is a catalog" {
	local p fd bad=0
	for p in $(pgrep -P "$DPID"); do
		for fd in $(find "/proc/$p/fd" -mindepth 1 -printf '%f\n'); do
			[ "$fd" -gt 2 ] || continue
			# A descriptor that went away meanwhile is none.
			if ! (( $(awk '/^flags:/ {print $2}' "/proc/$p/fdinfo/$fd" 2>/dev/null || echo 02000000) & 02000000 )) ||
				[[ $(readlink "/proc/$p/fd/$fd") == *data.mdb ]]; then
				echo "process $p, descriptor $fd: $(readlink "/proc/$p/fd/$fd")"
				bad=1
			fi
		done
	done
	[ $bad = 0 ]
}

# with_fds N COMMAND...: at most 8 descriptors, of which N are free.
with_fds() {
	python3 - "$@" <<-'END'
	import os, resource, sys
	free = int(sys.argv[1])
	os.closerange(3, 1000)
	for fd in range(3, 8 - free):
	    os.dup2(0, fd)
	resource.setrlimit(resource.RLIMIT_NOFILE, (8, 8))
	os.execvp(sys.argv[2], sys.argv[2:])
	END
}

@test "a client that has no descriptor left gets an error, not an answer without one" {
	[ "$(with_fds 2 "$(command -v objm)" cat /v)" = 'the victim reads this' ]
	run with_fds 1 "$(command -v objm)" cat /v # for the connection: none is left for the object
	echo "status $status: $output"
	[ "$status" != 0 ]
	[[ $output == *descriptor* ]]
	[[ $output != *"the victim reads this"* ]]
}
