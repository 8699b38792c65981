#!/usr/bin/env bats
# Room: limits hold when it is given out, not after a sweep; who waits for it gets it; what does not fit goes elsewhere or is
# refused early. And ephemeral objects, by every way in, are never on a disk.
# shellcheck disable=SC2153 # variables of the library
load lib/daemon.bash
load lib/tiers.bash

setup() { scenario_setup; tiers_paths; }
teardown() {
	if [ -n "${OWN:-}" ]; then daemon_kill; M=$(dirname "$OWN"); umount -l "$OWN" 2>/dev/null || true; fi
	if mountpoint -q "$T/mnt"; then daemon_kill; umount -l "$T/mnt"; fi
	! mountpoint -q "$SLOW" || umount -l "$SLOW"
	scenario_teardown
}

# own_memory SIZE: the memory tier on a filesystem of its own.
own_memory() {
	[ "$(id -u)" = 0 ] || skip "mounting needs root"
	mkdir "$M/own"
	mount -t tmpfs -o "size=$1,mode=755,uid=$TEST_UID,gid=$TEST_UID" tmpfs "$M/own" || skip "tmpfs cannot be mounted here"
	OWN=$M/own
	M=$OWN
}
own_memory_end() {
	daemon_stop
	M=$(dirname "$OWN")
	umount "$OWN"
	OWN=
}

room() { as_user "$PYTHON" -B "$LIB/room.py" "$OBJM_SOCKET" "$OBJMCTL_SOCKET" "$@"; }
tier_stat() { objmctl --json tier list | json "next(t['$2'] for t in s['tiers'] if t['name'] == '$1')"; }

@test "a burst at 99 %: no read fails, the limit is never passed" {
	FAST_CAP=12M SLOW_CAP=3M # nothing to flee to for long
	tiers_conf
	daemon_start
	room burst fast 8
}

@test "a large put into a full memory tier with 16 competitors: it gets in, whether or not it was refused early at first" {
	MEM_CAP=50M
	tiers_conf
	daemon_start
	# 40 MiB of evictable ephemeral objects
	head -c 1000000 /dev/urandom >"$T/files/m"
	for i in $(seq 40); do objm put --ephemeral --evictable "/m/$i" "$T/files/m"; done
	room compete 30000000 5 16
}

@test "64 writers that say no size, on a tier that is nearly full: what is promised stays within it, what they write beyond goes" {
	own_memory 256M
	MEM_CAP=64M
	tiers_conf "interval_secs: 3600"
	daemon_start
	room unsized "$M" 64 2000000
	nothing_promised() { [ "$(tier_stat memory reserved_bytes)" = 0 ]; }
	wait_until 10 nothing_promised
	own_memory_end
}

@test "larger than the fast tier: the next one takes it; larger than all: refused at once" {
	FAST_CAP=8M SLOW_CAP=64M
	tiers_conf
	daemon_start
	head -c 32000000 /dev/urandom >"$T/files/big"
	objm put /big "$T/files/big"
	[ "$(tier_of /big)" = slow ]
	objm cat /big | cmp - "$T/files/big"
	head -c 70000000 /dev/zero >"$T/files/bigger"
	SECONDS=0
	fails 1 "no space" objm put /bigger "$T/files/bigger"
	fails 1 "no space" objm put --ephemeral /bigger "$T/files/bigger"
	[ $SECONDS -lt 10 ]
	[ "$(tier_stat fast reserved_bytes)" = 0 ]
	[ "$(tier_stat slow reserved_bytes)" = 0 ]
}

@test "larger than the fastest memory tier: the next memory tier takes it, and the disk nothing of it" {
	MEM_CAP=4M
	mkdir "$M/fast" "$M/large"
	[ "$(id -u)" != 0 ] || chown "$TEST_UID:$TEST_UID" "$M/fast" "$M/large"
	local all=$M
	M=$all/fast tiers_conf
	sed -i "/name: fast/i\\  - {name: large, type: memory, path: $all/large, capacity: 64M, allow_swap: true, perf_factor: 2}" "$CONF"
	daemon_start
	head -c 16777216 /dev/urandom >"$T/files/big" # four times the first one
	objm put --ephemeral /big "$T/files/big"
	[ "$(tier_of /big)" = large ]
	objm cat /big | cmp - "$T/files/big"
	objm put /big "$T/files/big"
	[ "$(tier_of /big)" = fast ]
	objm cat /big | cmp - "$T/files/big"
	[ "$(tier_stat memory reserved_bytes)" = 0 ]
	[ "$(tier_stat large reserved_bytes)" = 0 ]
}

@test "less capacity than what lies there: nothing is lost, room is made as far as others take it, and it is said" {
	FAST_CAP=32M SLOW_CAP=64M
	tiers_conf "interval_secs: 1, hotness_decay_secs: 3600"
	daemon_start
	head -c 1000000 /dev/urandom >"$T/files/c"
	for i in $(seq 10); do objm put "/c/$i" "$T/files/c"; done
	objmctl set "backends[fast].capacity" 4M >/dev/null
	below() { [ "$(tier_stat fast used_bytes)" -le 4194304 ] && [ "$(objects_on slow)" -ge 6 ]; }
	wait_until 20 below
	objmctl lifecycle pause >/dev/null
	objmctl set "backends[slow].capacity" 2M >/dev/null
	objmctl doctor | grep -q "^warning .*tier slow: it holds [5-9] MiB, more than its capacity of 2 MiB"
	head -c 3000000 /dev/zero >"$T/files/more"
	fails 1 "no space" objm put /more "$T/files/more"
	for i in $(seq 10); do objm cat "/c/$i" | cmp - "$T/files/c"; done
	objmctl reload >/dev/null
	[ -z "$(objmctl doctor | grep "more than its capacity")" ]
	objm put /more "$T/files/more"
}

@test "pinned objects take half of a tier at most" {
	FAST_CAP=8M SLOW_CAP=8M
	tiers_conf "interval_secs: 3600"
	daemon_start
	head -c 1000000 /dev/urandom >"$T/files/p"
	for i in 1 2 3 4; do objm put --pin "/p/$i" "$T/files/p"; done
	[ "$(tier_stat fast pinned_bytes)" -le 4194304 ]
	r=0
	objm put --pin /p/5 "$T/files/p" 2>"$T/err" || r=$?
	[ $r != 0 ] || [ "$(tier_of /p/5)" = slow ]
	objm put /q "$T/files/p"
}

@test "killed writers: what was promised to them comes back" {
	tiers_conf
	daemon_start
	local size=$((20 << 20)) # small ones are promised nothing before they commit
	for i in 1 2 3; do
		ext_begin "$OBJM_SOCKET" hold "/held/$i" $size >"$T/held"
		p=$EXT
		wait_until 10 grep -q begun "$T/held"
		[ "$(tier_stat fast reserved_bytes)" -ge $size ]
		kill -KILL "$p"
		wait "$p" 2>/dev/null || true
		: >"$T/held"
	done
	nothing_promised() { [ "$(tier_stat fast reserved_bytes)" = 0 ] && [ "$(tier_stat memory reserved_bytes)" = 0 ]; }
	wait_until 10 nothing_promised
}

# ---- ephemeral ----

on_disk() { find "$FAST/objects" "$SLOW/objects" -type f; }

@test "ephemeral objects: put, migrate, policy, restart, rebuild, backup: never on a disk" {
	MEM_CAP=8M
	tiers_conf
	daemon_start
	head -c 200000 /dev/urandom >"$T/files/e"
	for i in 1 2 3 4 5 6 7 8; do objm put --ephemeral "/e/$i" "$T/files/e"; done
	# by hand
	r=0
	objmctl migrate /e/1 slow >"$T/out" 2>&1 || r=$?
	[ $r != 0 ]
	r=0
	objmctl demote /e/1 >"$T/out" 2>&1 || r=$?
	# a tier that is full of them: the policy may not take them down
	while objm put --ephemeral "/e/$((++i))" "$T/files/e" 2>/dev/null; do [ $i -lt 100 ]; done
	sleep 2.5 # cycles; a bound, nothing hangs on it
	[ -z "$(on_disk)" ]
	objm cat /e/1 | cmp - "$T/files/e"
	# a backup that copied the files into the disk's place, and a catalog that is made again; /e/2 was deleted meanwhile
	d=$(ls "$M/objects" | head -n 1)
	as_user mkdir -p "$SLOW/objects/$d"
	for f in "$M/objects/$d"/*; do as_user cp --preserve=all "$f" "$SLOW/objects/$d/"; done
	objm rm /e/2
	daemon_stop
	rm -rf "$SLOW/catalog"
	[ -n "$(on_disk)" ]
	daemon_start
	whole() { [ "$(objmctl --json tier list | json "[t['state'] for t in s['tiers'] if t['name']=='slow'][0]")" = ready ]; }
	wait_until 20 whole
	gone() { [ -z "$(on_disk)" ]; }
	wait_until 10 gone
	grep -q "may only ever be in memory" "$LOG"
	[ "$(tier_of /e/1)" = memory ]
	objm cat /e/1 | cmp - "$T/files/e"
	fails 1 "no such object" objm cat /e/2
}

@test "time to live: gone at once for readers, and from the disk soon after" {
	tiers_conf "interval_secs: 1, hotness_decay_secs: 3600"
	daemon_start
	head -c 5000 /dev/urandom >"$T/files/t"
	objm put --ttl 1 /t "$T/files/t"
	objm put --ttl 1 /u "$T/files/t"
	objm put /stays "$T/files/t"
	expired() { ! objm cat /t >/dev/null 2>&1; }
	wait_until 5 expired
	fails 1 "no such object" objm stat /t
	[ "$(objm ls)" = /stays ]
	objm put --no-clobber /t "$T/files/t" # nothing is in the way
	# the other one's record and file go by themselves
	reaped() { [ $(($(objects_on fast) + $(objects_on slow) + $(objects_on memory))) = 2 ] && tidy; }
	wait_until 20 reaped
	objm cat /stays | cmp - "$T/files/t"
	objm cat /t | cmp - "$T/files/t"
	ext "$OBJM_SOCKET" expire 3
}

@test "deleted objects that a client holds open are shown: what the filesystem takes is explained" {
	own_memory 64M
	tiers_conf
	daemon_start
	head -c 10000000 /dev/urandom >"$T/files/h"
	objm put --ephemeral /h "$T/files/h"
	[ "$(tier_stat memory unaccounted_bytes)" -lt 1000000 ]
	exec 9<"$(find "$OWN/objects" -type f)"
	objm rm /h
	explained() { [ "$(tier_stat memory removal_bytes)" = 0 ] && [ "$(tier_stat memory unaccounted_bytes)" -ge 9999999 ]; }
	wait_until 10 explained
	exec 9<&-
	given_back() { [ "$(tier_stat memory unaccounted_bytes)" -lt 1000000 ]; }
	wait_until 10 given_back
	own_memory_end
}

@test "the same on a disk with a filesystem of its own: all that is gone from the listing and not from df is shown" {
	need_root
	mkdir "$T/mnt"
	truncate -s 192M "$T/img"
	mkfs.ext4 -q -m 0 "$T/img"
	mount -o loop "$T/img" "$T/mnt" || skip "no loop devices here"
	FAST=$T/mnt/below # all that lies there; slow is part of a larger one, whatever is mounted at its path
	chown "$TEST_UID:$TEST_UID" "$T/mnt"
	as_user mkdir "$M/part" "$SLOW"
	mount --bind "$M/part" "$SLOW"
	tiers_conf "interval_secs: 3600"
	daemon_start
	[ "$(tier_stat fast hard_bound)" = True ]
	[ "$(tier_stat slow hard_bound)" = False ]
	[ "$(tier_stat slow unaccounted_bytes)" = None ]
	head -c 10000000 /dev/urandom >"$T/files/h"
	for i in 1 2 3 4; do objm put "/h/$i" "$T/files/h"; done
	empty=$(($(df -B1 --output=used "$T/mnt" | tail -n 1) - $(tier_stat fast used_bytes)))
	# two descriptors of clients, as GET gives them
	objm exec /h/1 -- sleep 600 3>&- 4>&- &
	held=$!
	objm exec /h/2 -- sleep 600 3>&- 4>&- &
	held2=$!
	holding() { [ "$(find "/proc/$held/fd/0" "/proc/$held2/fd/0" -lname "$FAST/objects/*" 2>/dev/null | wc -l)" = 2 ]; }
	wait_until 10 holding
	for i in 1 2 3 4; do objm rm "/h/$i"; done
	explained() {
		[ "$(tier_stat fast removal_bytes)" = 0 ] && [ "$(tier_stat fast object_bytes)" = 0 ] && [ "$(tier_stat fast unaccounted_bytes)" -ge 20000000 ] &&
			[ "$(tier_stat fast unaccounted_bytes)" -lt 22000000 ] || return 1
		# every byte that df shows, but for what the filesystem takes for itself
		local all
		all=$(($(df -B1 --output=used "$T/mnt" | tail -n 1) - empty - $(tier_stat fast used_bytes) - $(tier_stat fast unaccounted_bytes)))
		[ "${all#-}" -lt 1000000 ]
	}
	wait_until 20 explained || { objmctl --json tier list; df -B1 "$T/mnt"; kill "$held" "$held2"; return 1; }
	kill "$held" "$held2"
	wait "$held" "$held2" 2>/dev/null || true
	given_back() { [ "$(tier_stat fast unaccounted_bytes)" -lt 1000000 ]; }
	wait_until 20 given_back
	# somebody else's file beside it: then nothing is said any more
	touch "$T/mnt/beside"
	not_alone() { [ "$(tier_stat fast hard_bound)" = False ]; }
	wait_until 20 not_alone
	objmctl doctor | grep -q "tier fast: no hard bound"
	daemon_stop
}
