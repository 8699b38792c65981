#!/usr/bin/env bats
# 10,000 connections at once, each of them served; everybody else is, too, and nothing of them stays. The workers take a quarter
# of their limit of descriptors in connections, so there are four of them here.
load lib/daemon.bash
load lib/hostile.bash

setup() {
	scenario_setup
	need_root
	MIN_WORKERS=4 MAX_WORKERS=4 write_conf "limits: {connections: 11000, connections_per_uid: 3000}"
	daemon_start
	hostile_ready
}
teardown() { hostile_teardown; }

@test "10,000 connections, each served; the victim meanwhile; descriptors before and after" {
	local u n=5 p
	[ "$(awk '/^Max open files/ { print $5 }' "/proc/$DPID/limits")" -ge 12000 ] || skip "the daemon's limit of descriptors is too low for 10,000 connections"
	mkfifo "$T/again"
	exec 7<>"$T/again"
	for ((u = 0; u < n; u++)); do ATTACKER=$((61300 + u)) attack_in "$T/again" audience /v 'the victim reads this' 2000; done
	[ "$(total connections)" -ge 10000 ]
	victim 1000
	objm put --ephemeral /w "$CONF"
	cmp "$CONF" <(objm cat /w)
	printf '%*s' $n '' >&7 # each connection answers once more
	for ((u = 0; u < n; u++)); do wait_until 60 grep -q "still there" "$T/attack.$u" || { cat "$T/attack.$u"; false; }; done
	for p in $DPID $(pgrep -P "$DPID"); do echo "# process $p: $(fds "$p") descriptors, $(awk '/^VmRSS/ { print $2 }' "/proc/$p/status") KiB" >&3; done
	release
	settled
	sed 's/^/# before: process, descriptors: /' "$T/fds.before" >&3
	sed 's/^/# after: process, descriptors: /' "$T/fds.now" >&3
	victim 100
}
