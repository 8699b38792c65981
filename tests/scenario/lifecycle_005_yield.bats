#!/usr/bin/env bats
# Moves give way while clients are served: they say so, and end all the same; who waits for room does not wait longer for it.
# shellcheck disable=SC2034,SC2153 # variables of the library
load lib/daemon.bash
load lib/tiers.bash

setup() { scenario_setup; tiers_paths; READER=; }
teardown() {
	if [ -n "$READER" ]; then kill "$READER" 2>/dev/null || true; wait "$READER" 2>/dev/null || true; fi
	scenario_teardown
}

yield_of() { objmctl --json lifecycle status | json "s['yield']['$1']"; }

put_files() { # N BYTES: /o/0 ...
	local i
	mkdir -p "$T/files/o"
	for ((i = 0; i < $1; i++)); do head -c "$2" /dev/urandom >"$T/files/o/$i"; done
	chmod -R a+rX "$T/files"
	as_user objm put -r /o "$T/files/o" >/dev/null
}

# Somebody who reads all the time, for at most a minute; READER is its id.
reads() {
	( end=$((SECONDS + 60)); while [ $SECONDS -lt $end ]; do objm cat /o/1 /o/1 /o/1 /o/1 >/dev/null || true; done ) 3>&- 4>&- &
	READER=$!
}
no_more_reads() { kill "$READER"; wait "$READER" || true; READER=; }

# How many of the lifecycle process's threads are bound to one processor.
bound_threads() { grep -h '^Cpus_allowed_list:' /proc/"$(lifecycle_pid)"/task/*/status | grep -c -E ':[[:space:]]*[0-9]+$' || true; }

@test "a drain under steady reads gives way, and ends; with nobody to serve there is no bound" {
	SHARE=0.01
	tiers_conf "interval_secs: 3600, hotness_decay_secs: 3600"
	daemon_start
	put_files 40 20000
	head -c 3000000 /dev/urandom >"$T/files/large"
	objm put /o/large "$T/files/large"
	idle() { [ "$(yield_of why)" = idle ] && [ "$(yield_of active)" = False ] && [ "$(yield_of share)" = None ]; }
	wait_until 20 idle
	rested=$(yield_of rested_ms)
	reads
	serving() { [ "$(yield_of why)" = serving ] && [ "$(yield_of active)" = True ]; }
	wait_until 20 serving
	objmctl tier drain fast | grep -q "moves give way to clients (lifecycle.share_while_serving)"
	if [ -r /proc/self/schedstat ]; then # a mover knows, in its sandbox, what it waits for a processor
		knows() { readlink /proc/"$(lifecycle_pid)"/fd/* | grep -q '^/proc/.*/schedstat$'; }
		wait_until 20 knows
	fi
	off() { [ "$(objects_on fast)" = 0 ] && [ "$(objects_on slow)" = 41 ]; }
	if [ "$(nproc)" -gt 1 ]; then
		one_processor() { [ "$(bound_threads)" -gt 0 ]; }
		wait_until 20 one_processor
	fi
	wait_until 40 off
	serving
	[ "$(yield_of rested_ms)" -gt "$rested" ]
	no_more_reads
	wait_until 20 idle
	for i in 0 1 39; do objm cat "/o/$i" | cmp - "$T/files/o/$i"; done
	objm cat /o/large | cmp - "$T/files/large"
	objmctl lifecycle status | grep -q '^pace '
	daemon_stop
}

@test "a put that waits for room gets it at once, however many are served" {
	SHARE=0.001 MEM_CAP=32M # rests of 50 ms for each piece of work: what must go here would take a quarter of a minute
	tiers_conf "interval_secs: 3600, hotness_decay_secs: 3600, evict_when_full: 0.99, evict_target: 0.98"
	daemon_start
	objmctl set limits.room_wait 6s
	mkdir -p "$T/files/e"
	for ((i = 0; i < 1500; i++)); do head -c 16384 /dev/zero >"$T/files/e/$i"; done
	chmod -R a+rX "$T/files"
	as_user objm put -r --ephemeral --evictable /e "$T/files/e" >/dev/null
	[ "$(objects_on memory)" = 1500 ]
	head -c 20000 /dev/urandom >"$T/files/one"
	objm put /o/1 "$T/files/one"
	reads
	serving() { [ "$(yield_of why)" = serving ]; }
	wait_until 20 serving
	head -c 26000000 /dev/urandom >"$T/files/large"
	timeout 30 objm put --ephemeral /large "$T/files/large"
	objm cat /large | cmp - "$T/files/large"
	[ "$(objects_on memory)" -lt 500 ]
	wait_until 20 serving
	no_more_reads
	daemon_stop
}

@test "share_while_serving: by a reload, at once; 1 is off" {
	SHARE=0.5
	tiers_conf "interval_secs: 3600, hotness_decay_secs: 3600"
	daemon_start
	put_files 2 100
	reads
	is() { [ "$(yield_of why)" = "$1" ]; }
	wait_until 20 is serving
	objmctl set lifecycle.share_while_serving 1
	wait_until 10 is off
	[ "$(yield_of active)" = False ]
	objmctl set lifecycle.share_while_serving 0.001
	wait_until 10 is serving
	objmctl reload
	fails 1 "share_while_serving" objmctl set lifecycle.share_while_serving 0
	no_more_reads
	daemon_stop
}
