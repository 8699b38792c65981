#!/usr/bin/env bats
# Objects find their tier: heat is what the formula says, the hot set ends in memory, the cold on the slowest tier, on three real
# filesystems where they can be mounted; drains; what was hot is hot after a restart.
# shellcheck disable=SC2034,SC2153 # variables of the library
load lib/daemon.bash
load lib/tiers.bash

setup() {
	scenario_setup
	tiers_paths
	MOUNTED=
}
teardown() {
	local m i
	daemon_kill
	for m in $MOUNTED; do
		for i in 1 2 3 4 5; do umount "$m" 2>/dev/null && break; sleep 0.2; done
	done
	scenario_teardown
}

# loop_fs TYPE DIR MIB: a filesystem of its own, the test user's.
loop_fs() {
	mkdir -p "$2"
	truncate -s "$3M" "$T/$1.img"
	case $1 in
	ext4) mkfs.ext4 -q "$T/$1.img" ;;
	xfs) mkfs.xfs -q "$T/$1.img" ;;
	esac || return 1
	mount -o loop "$T/$1.img" "$2" || return 1
	MOUNTED="$MOUNTED $2"
	rm -rf "$2/lost+found"
	chown "$TEST_UID:$TEST_UID" "$2"
}

put_many() { # N: /o/0 ... of 8 KiB, at once
	local i
	mkdir -p "$T/files/o"
	for ((i = 0; i < $1; i++)); do head -c 8192 /dev/urandom >"$T/files/o/$i"; done
	chmod -R a+rX "$T/files"
	as_user objm put -r /o "$T/files/o" >/dev/null
}

@test "heat is what the formula says" {
	tiers_conf "interval_secs: 3600, hotness_decay_secs: 600"
	daemon_start
	put_many 4
	# within one minute of the clock, the unit of heat's time
	[ "$(date +%S)" -lt 45 ] || sleep $((61 - 10#$(date +%S)))
	as_user "$PYTHON" -B "$LIB/ext.py" "$OBJM_SOCKET" reads /o/1=7 /o/2=1 /o/3=40
	heat_is() { # URI COUNT
		objm stat --json "$1" | "$PYTHON" -c "
import json, sys
s = json.load(sys.stdin); n = float(sys.argv[1]); want = n / (n + 4)
print(s['heat'], want)
sys.exit(abs(s['heat'] - want) > 0.01)" "$2"
	}
	wait_until 10 heat_is /o/1 7
	heat_is /o/2 1
	heat_is /o/3 40
	heat_is /o/0 0
	objmctl --json top 2 | json "[o['uri'] for o in s['objects']]" | grep -q '"/o/3", "/o/1"'
	# over a restart
	daemon_stop
	daemon_start
	still() { # decayed by at most a minute or two of ten
		objm stat --json "$1" | "$PYTHON" -c "
import json, sys
s = json.load(sys.stdin); n = float(sys.argv[1]); low = n * 2 ** -0.25
sys.exit(not low / (low + 4) - 0.01 <= s['heat'] <= n / (n + 4) + 0.01)" "$2"
	}
	wait_until 10 still /o/3 40
	still /o/1 7
	daemon_stop
}

@test "the hot set ends in memory, the cold on the slowest tier" {
	if [ "$(id -u)" = 0 ]; then
		loop_fs ext4 "$T/m1" 128 && FAST=$T/m1/t || FAST=$T/run/fast
		command -v mkfs.xfs >/dev/null && loop_fs xfs "$T/m2" 320 && SLOW=$T/m2/t || SLOW=$T/run/slow
	fi
	MEM_CAP=2M FAST_CAP=16M
	tiers_conf "interval_secs: 1, hotness_decay_secs: 12, hot_threshold: 0.7, cold_threshold: 0.3, migration_batch_size: 500"
	daemon_start
	put_many 400
	[ "$(objects_on fast)" = 400 ]
	# forty of them are read all the time, more of them than the memory tier could not hold; the rest never
	hot=$(for ((i = 0; i < 40; i++)); do printf '/o/%d=3 ' $((i * 10)); done)
	settled() {
		# shellcheck disable=SC2086
		as_user "$PYTHON" -B "$LIB/ext.py" "$OBJM_SOCKET" reads $hot
		[ "$(objects_on memory)" = 40 ] && [ "$(objects_on slow)" -ge 355 ]
	}
	wait_until 50 settled
	for i in 0 100 390; do
		objm stat --json "/o/$i" >"$T/s"
		[ "$(json "s['tier']" <"$T/s")" = memory ]
		objm cat "/o/$i" | cmp - "$T/files/o/$i"
	done
	for i in 1 55 399; do
		[ "$(tier_of "/o/$i")" = slow ]
		objm cat "/o/$i" | cmp - "$T/files/o/$i"
	done
	objmctl explain /o/0 | grep -q 'a copy\|copy'
	objmctl --json lifecycle status | json "s['failed']" | grep -qx 0
	# nothing is lost with the memory tier
	find "$M" -name '0*' -type f -delete
	for i in 0 100 390; do objm cat "/o/$i" | cmp - "$T/files/o/$i"; done
	[ "$(objm ls /o/ | wc -l)" = 400 ]
}

drains_fast() { objmctl --json lifecycle status 2>/dev/null | json "s['drains'][0]['name']" 2>/dev/null | grep -qx fast; }

@test "drain: everything moves off, with progress; what is pinned is said" {
	tiers_conf "interval_secs: 1, hotness_decay_secs: 3600"
	daemon_start
	put_many 60
	objmctl explain /o/1 | grep -q "^next .*nothing yet: it is colder than cold_threshold, but was put, moved or tried less than hotness_decay_secs ago"
	objmctl migrate /o/2 slow >/dev/null
	objmctl explain /o/2 | grep -q "^next .*nothing: it is colder than cold_threshold, but no slower tier would take it"
	objmctl migrate /o/2 fast >/dev/null
	objmctl pin /o/7 >/dev/null
	objmctl tier drain fast | grep -q "60 objects left"
	# watched, it says how far it is, and ends when what is left can go nowhere
	r=0
	timeout 40 objmctl --watch=1 tier drain fast >"$T/out" || r=$?
	[ $r = 1 ]
	tail -n 1 "$T/out" | grep -q "1 objects left.* 1 can go nowhere"
	off() { [ "$(objects_on fast)" = 1 ] && [ "$(objects_on slow)" = 59 ]; }
	wait_until 30 off
	objmctl --json lifecycle status >"$T/s"
	[ "$(json "s['drains'][0]['objects_left']" <"$T/s")" = 1 ]
	# nowhere to go: said of the object, and to whoever puts
	objmctl tier drain slow >/dev/null
	objmctl explain /o/1 | grep -q "^next .*it stays, though tier slow is being drained: no other tier takes it"
	fails 1 "it is being drained, or read-only" objm put /new "$T/files/o/1"
	objmctl tier drain slow --stop >/dev/null
	for i in 0 7 59; do objm cat "/o/$i" | cmp - "$T/files/o/$i"; done
	# it goes on after a restart, and with another lifecycle process; one place says what is drained
	[ "$(cat "$T/run/state/draining")" = fast ]
	daemon_stop
	find "$T/run/state/heat.d" -type f -delete
	daemon_start
	objmctl --json lifecycle status | json "s['drains'][0]['name']" | grep -qx fast
	as_user kill -KILL "$(lifecycle_pid)"
	wait_until 20 drains_fast
	# what holds the last object there can be taken away
	objmctl unpin /o/7 >/dev/null
	timeout 40 objmctl --watch=1 tier drain fast >"$T/out"
	tail -n 1 "$T/out" | grep -q "nothing is left there"
	fails 2 "only look" objmctl --watch=1 tier drain fast --stop
	empty() { [ "$(objects_on fast)" = 0 ]; }
	wait_until 30 empty
	objmctl tier drain fast --stop
	[ "$(objmctl --json lifecycle status | json "len(s['drains'])")" = 0 ]
	wait_until 20 tidy
	daemon_stop
}
