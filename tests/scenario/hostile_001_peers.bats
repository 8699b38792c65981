#!/usr/bin/env bats
# Clients that mean harm: no worker dies, no descriptor is left over, every request of everybody else is answered. Attackers
# and victims are different users, since the kernel and the daemon count by user. How late the victims were is reported.
load lib/daemon.bash
load lib/hostile.bash

setup() {
	scenario_setup
	need_root
	MIN_WORKERS=2 MAX_WORKERS=2 write_conf "${LIMITS:-}"
	daemon_start
	head -c 8000000 /dev/urandom | objm put /large -
	head -c 8000000 /dev/urandom | objm put --ephemeral /large-eph -
	hostile_ready
}
teardown() { hostile_teardown; }

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
