#!/usr/bin/env bats
# Moves when things go wrong: errors of disks at each step, a tier filled to the brim, one that is unmounted in use, files that
# vanish. Reads go on, nothing is lost, the log says it once.
# shellcheck disable=SC2034,SC2153 # variables of the library
load lib/daemon.bash
load lib/tiers.bash

setup() {
	scenario_setup
	tiers_paths
	MOUNTED=
}
teardown() {
	local i
	daemon_kill
	for i in 1 2 3 4 5; do [ -z "$MOUNTED" ] || umount "$MOUNTED" 2>/dev/null && break; sleep 0.2; done
	scenario_teardown
}

put_some() { # N BYTES [OPTION]...
	local n=$1 size=$2 i
	shift 2
	mkdir -p "$T/files/o"
	for ((i = 0; i < n; i++)); do head -c "$size" /dev/urandom >"$T/files/o/$i"; done
	chmod -R a+rX "$T/files"
	as_user objm put -r "$@" /o "$T/files/o" >/dev/null
}
all_there() { # N
	local i
	for ((i = 0; i < $1; i++)); do objm cat "/o/$i" | cmp -s - "$T/files/o/$i" || { echo "/o/$i is wrong"; return 1; }; done
}

@test "an error at each step: the move is given up and tried again, the object stays" {
	local fault i
	tiers_conf "interval_secs: 1, hotness_decay_secs: 1, cold_threshold: 0.5"
	for fault in move.copy:error move.copy:nospace move.copied:error move.linked:error move.verify:error; do
		: >"$LOG"
		rm -rf "$T/run/state" "$FAST" "$SLOW"
		find "$M" -mindepth 1 -delete
		daemon_start env "OBJM_FAULT=$fault:3"
		put_some 12 5000
		down() { [ "$(objects_on slow)" = 12 ] && tidy; }
		failed() { [ "$(objmctl --json lifecycle status | json "s['failed']")" -ge 1 ]; }
		wait_until 10 failed || { echo "$fault: did not strike"; return 1; }
		[ "$(grep -c 'moves .* it fail' "$LOG")" = 1 ] || { echo "$fault: said $(grep -c 'moves .* it fail' "$LOG") times"; return 1; }
		all_there 12
		# what failed rests for a minute; by hand it goes at once
		for ((i = 0; i < 12; i++)); do objmctl migrate "/o/$i" slow >/dev/null 2>&1 || true; done
		wait_until 15 down || { echo "$fault:"; say_untidy; return 1; }
		all_there 12
		daemon_stop
	done
}

@test "a sync that fails: the tier is no target any more, and says so once" {
	tiers_conf "interval_secs: 1, hotness_decay_secs: 1, cold_threshold: 0.5"
	daemon_start
	put_some 4 5000
	daemon_stop
	: >"$LOG"
	# the lifecycle process syncs at its moves; workers have nothing to sync now
	daemon_start env OBJM_FAULT=put.sync:error
	wait_until 10 grep -q "could not be made durable" "$LOG"
	all_there 4
	sleep 2
	[ "$(grep -c 'could not be made durable' "$LOG")" = 1 ]
	# those of another thread's batch may have been under way; at least the one whose sync failed stays where it is
	[ "$(objects_on slow)" -le 3 ]
	for ((stays = 0; stays < 4; stays++)); do [ "$(tier_of "/o/$stays")" = slow ] || break; done
	[ "$(objmctl --json lifecycle status | json "next(t['dead'] for t in s['tiers'] if t['name'] == 'slow')")" = True ]
	fails 1 "disk reported an error" objmctl migrate "/o/$stays" slow
	daemon_stop
	daemon_start
	down() { [ "$(objects_on slow)" = 4 ]; }
	wait_until 20 down
	all_there 4
}

@test "files of copies and of homes vanish: reads fall back or say so, moves go on" {
	tiers_conf "interval_secs: 1, hotness_decay_secs: 3600"
	daemon_start
	put_some 6 5000
	for i in 0 1 2; do objmctl promote "/o/$i" >/dev/null; done
	[ "$(objects_on memory)" = 3 ]
	find "$M/objects" -type f -delete
	all_there 6
	# a home that vanished: its move fails, the others are moved
	rm "$FAST"/objects/*/"$(printf %016x "$(objmctl --json object /o/3 | json "s['id']")")"
	for i in 0 1 2 4 5; do objmctl migrate "/o/$i" slow >/dev/null || true; done
	wait_until 10 on_slow
	for i in 0 1; do objm cat "/o/$i" | cmp - "$T/files/o/$i"; done
	kill -0 "$DPID"
}
on_slow() { [ "$(objects_on slow)" -ge 4 ]; }

@test "full to the brim: moves wait for room, room is made in order, nothing is lost" {
	FAST_CAP=6M SLOW_CAP=64M
	tiers_conf "interval_secs: 1, hotness_decay_secs: 3600"
	daemon_start
	# 60 x 100,000 of 6,291,456: above 0.95; older than nothing: cold ones go down although they are young
	put_some 60 100000
	below() { [ "$(status_of "next(t['used_bytes'] for t in s['tiers'] if t['name'] == 'fast')")" -le 5347737 ]; }
	wait_until 20 below
	[ "$(objects_on slow)" -ge 6 ]
	[ "$(objects_on slow)" -le 20 ] # no more than needed
	all_there 60
	# evictable ones go before anything moves down
	daemon_stop
	rm -rf "$T/run/state" "$FAST" "$SLOW"
	find "$M" -mindepth 1 -delete
	daemon_start
	put_some 60 100000 --evictable
	wait_until 20 below
	[ "$(objects_on slow)" -le 3 ] # what found no room there when it was put
	[ "$(objm ls /o/ | wc -l)" -lt 60 ]
}

@test "unmounted in use: the daemon goes on, the other tiers serve" {
	[ "$(id -u)" = 0 ] || skip "mounting needs root"
	mkdir -p "$T/m"
	truncate -s 64M "$T/img"
	mkfs.ext4 -q "$T/img"
	mount -o loop "$T/img" "$T/m" || skip "no loop devices here"
	MOUNTED=$T/m
	chown "$TEST_UID:$TEST_UID" "$T/m"
	SLOW=$T/m/slow
	tiers_conf "interval_secs: 1, hotness_decay_secs: 3600"
	daemon_start
	put_some 8 50000
	for i in 0 1 2 3; do objmctl migrate "/o/$i" slow >/dev/null; done
	umount -l "$T/m"
	# what was open goes on working until the kernel lets go; nothing hangs, nothing dies
	for i in 4 5 6 7; do objm cat "/o/$i" | cmp - "$T/files/o/$i"; done
	timeout 20 objmctl migrate /o/5 slow >/dev/null 2>&1 || true
	objm cat /o/5 | cmp - "$T/files/o/5"
	objmctl --json lifecycle status >/dev/null
	kill -0 "$DPID"
}
