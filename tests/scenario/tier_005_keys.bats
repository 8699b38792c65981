#!/usr/bin/env bats
# Every key of `backends` does what it says, in the words of the earlier system's example: a memory tier for ephemeral objects, a
# hot tier that objects move into and out of, a cold one that they only move into.
load lib/daemon.bash
load lib/tiers.bash

setup() {
	scenario_setup
	mkdir "$T/run/nvme" "$T/run/hdd"
	chown "$TEST_UID:$TEST_UID" "$T/run/nvme" "$T/run/hdd"
	example
}
teardown() { scenario_teardown; }

# example: MEM_FLAGS, HDD_FLAGS, HDD_PERSIST, MORE (further tiers). Nothing moves by itself.
example() {
	cat >"$CONF" <<-END
	{
	"state_dir": "$T/run/state",
	"listen": {"data": "$OBJM_SOCKET", "admin": "$OBJMCTL_SOCKET", "mode": "0666"},
	"thread_pool": {"min_workers": 2, "max_workers": 2},
	"backends": [
		{"name": "Memory Cache", "type": "memory", "mount_path": "$M/a", "capacity_gb": ${MEM_GB:-0.0625}, "perf_factor": 1.0,
		 "flags": [${MEM_FLAGS:-"ephemeral", "readable", "writable"}], "persist_index": false, "allow_swap": true},
		${MORE:-}
		{"name": "NVMe Hot Tier", "type": "nvme", "mount_path": "$T/run/nvme", "capacity_gb": 0.25, "perf_factor": 3.0,
		 "flags": ["persistent", "readable", "writable", "migration_src", "migration_dst"],
		 "persist_index": true, "index_path": "$T/run/nvme/.objmapper_index"},
		{"name": "HDD Cold Tier", "type": "hdd", "mount_path": "$T/run/hdd", "capacity_gb": 0.5, "perf_factor": 80.0,
		 "flags": [${HDD_FLAGS:-"persistent", "readable", "writable", "migration_dst"}],
		 "persist_index": ${HDD_PERSIST:-true}, "index_path": "$T/run/hdd/.objmapper_index"}
	],
	"lifecycle": {"hot_threshold": 0.7, "cold_threshold": 0.3, "evict_when_full": 0.95, "evict_target": 0.85,
		"hotness_decay_secs": 3600, "migration_batch_size": 100, "interval_secs": 3600}
	}
	END
	chmod 644 "$CONF"
}
tier() { objmctl --json tier list | json "next(t['$2'] for t in s['tiers'] if t['name'] == '$1')"; }
is() { [ "$(tier "$1" "$2")" = "$3" ]; }
home_of() { objmctl --json object "$1" | json "s['home']"; }
put() { local uri=$1; shift; printf '%s' "$uri" | objm put "$@" "$uri" -; }
same() { [ "$(objm cat "$1")" = "$1" ]; }

@test "the example: names, capacities, factors, flags, catalogs; who moves where" {
	daemon_start
	[ "$(objmctl --json tier list | json "[t['name'] for t in s['tiers']]")" = '["memory-cache", "nvme-hot-tier", "hdd-cold-tier"]' ]
	is memory-cache capacity_bytes 67108864
	is hdd-cold-tier capacity_bytes 536870912
	is nvme-hot-tier perf_factor 3.0
	is hdd-cold-tier perf_factor 80.0
	is memory-cache flags '["ephemeral", "readable", "writable"]'
	is hdd-cold-tier flags '["persistent", "readable", "writable", "migration_dst"]'
	[ -s "$T/run/nvme/.objmapper_index/data.mdb" ]
	[ -s "$T/run/hdd/.objmapper_index/data.mdb" ]
	[ ! -e "$T/run/hdd/catalog" ]
	put /e --ephemeral
	put /p
	[ "$(tier_of /e)" = memory-cache ]
	[ "$(tier_of /p)" = nvme-hot-tier ]
	# a cached copy is no migration: the memory tier needs no migration_dst for it
	objmctl migrate /p memory-cache >/dev/null
	[ "$(tier_of /p)" = memory-cache ]
	[ "$(home_of /p)" = nvme-hot-tier ]
	# into the cold tier, not out of it
	objmctl migrate /p hdd-cold-tier >/dev/null
	[ "$(tier_of /p)" = hdd-cold-tier ]
	fails 1 "migration_src" objmctl migrate /p nvme-hot-tier
	fails 1 "migration_src" objmctl promote /p
	objmctl migrate /p memory-cache >/dev/null # a copy again (the old one's file has to go first): its home gives nothing away
	[ "$(home_of /p)" = hdd-cold-tier ]
	same /p
	# a catalog on tmpfs is kept all the same: the ephemeral object, and the copy, are there after a restart
	daemon_stop
	: >"$LOG"
	daemon_start
	same /e
	[ "$(tier_of /p)" = memory-cache ]
	not grep -q "being made again" "$LOG"
}

@test "persist_index false on a disk: its catalog is made again at each start, after a crash too; nothing is lost, nothing comes back" {
	local i
	HDD_PERSIST=false example
	daemon_start
	for i in 1 2 3 4 5 6; do
		put "/o/$i"
		objmctl migrate "/o/$i" hdd-cold-tier >/dev/null
	done
	objm put --meta k=v --type text/x /o/meta "$CONF"
	objmctl migrate /o/meta hdd-cold-tier >/dev/null
	objmctl migrate /o/1 memory-cache >/dev/null
	objm rm /o/2
	put /o/3 # another version, on the faster tier
	daemon_stop
	for end in clean crash; do
		: >"$LOG"
		daemon_start
		wait_until 20 is hdd-cold-tier state ready
		grep -q "tier hdd-cold-tier: its catalog is being made again" "$LOG"
		not grep -q "tier nvme-hot-tier: its catalog is being made again" "$LOG"
		[ "$(objm ls /o/ | tr '\n' ' ')" = "/o/1 /o/3 /o/4 /o/5 /o/6 /o/meta " ]
		for i in 1 3 4 5 6; do same "/o/$i"; done
		objm cat /o/meta | cmp - "$CONF"
		objm stat --json /o/meta | grep -q text/x
		[ "$(tier_of /o/1)" = memory-cache ]
		[ "$(home_of /o/1)" = hdd-cold-tier ]
		[ "$(tier_of /o/3)" = nvme-hot-tier ]
		[ "$(tier_of /o/4)" = hdd-cold-tier ]
		[ -z "$(find "$T/run/hdd/.objmapper_index" -name '*.bad*')" ] # thrown away, not set aside
		if [ $end = clean ]; then daemon_kill; else daemon_stop; fi
	done
}

@test "a catalog that is another tier's is not thrown away: the tier is refused" {
	daemon_start
	put /p
	daemon_stop
	HDD_PERSIST=false example
	sed -i "s|$T/run/hdd/.objmapper_index|$T/run/other_index|" "$CONF"
	cp -a "$T/run/nvme/.objmapper_index" "$T/run/other_index"
	daemon_start
	is hdd-cold-tier state absent
	[ -s "$T/run/other_index/data.mdb" ]
	cmp "$T/run/other_index/data.mdb" "$T/run/nvme/.objmapper_index/data.mdb" || [ -s "$T/run/other_index/data.mdb" ]
	same /p
}

@test "without readable: nobody reads there, by a reload too; a copy's home serves; it can be moved off" {
	daemon_start
	put /p
	put /q
	objmctl migrate /p memory-cache >/dev/null
	objmctl migrate /q hdd-cold-tier >/dev/null
	same /p # both are open and cached by now
	same /q
	same /p
	same /q
	MEM_FLAGS='"ephemeral", "writable"' HDD_FLAGS='"persistent", "writable", "migration_dst", "migration_src"' example
	objmctl reload >/dev/null
	no_q() { ! objm cat /q >"$T/got" 2>"$T/err" && grep -q "does not have the flag readable" "$T/err" && [ ! -s "$T/got" ]; }
	wait_until 10 no_q
	wait_until 10 no_q # whichever worker answers
	[ "$(tier_of /p)" = memory-cache ] # its home serves it
	same /p
	[ "$(objm ls | tr '\n' ' ')" = "/p /q " ]
	objm stat /q >/dev/null
	put /e --ephemeral # write only
	fails 1 "flag readable" objm cat /e
	fails 1 "readable" objmctl migrate /q memory-cache
	objmctl migrate /q nvme-hot-tier >/dev/null
	same /q
	daemon_stop
	daemon_start
	fails 1 "flag readable" objm cat /e
	example
	objmctl reload >/dev/null
	wait_until 10 same /e
	same /p
}

@test "without writable: read and deleted, nothing else; new objects go to the next tier" {
	daemon_start
	put /q
	objmctl migrate /q hdd-cold-tier >/dev/null
	HDD_FLAGS='"persistent", "readable", "migration_dst", "migration_src"' example
	objmctl reload >/dev/null
	wait_until 10 is hdd-cold-tier state read-only
	same /q
	fails 1 "read-only" objmctl migrate /q nvme-hot-tier
	put /p
	fails 1 "takes no objects (its flags)" objmctl migrate /p hdd-cold-tier
	put /q2
	[ "$(tier_of /q2)" = nvme-hot-tier ]
	objm rm /q # what is there can be deleted
	fails 1 "no such object" objm cat /q
	same /p
	daemon_stop
	daemon_start
	is hdd-cold-tier state read-only
	fails 1 "no such object" objm cat /q
	same /p
}

@test "two memory tiers: ephemeral objects go to the next one that takes them, never to one without the flag, never to a disk" {
	local n
	mkdir -p "$M/a" "$M/b" "$M/c"
	chown "$TEST_UID:$TEST_UID" "$M/a" "$M/b" "$M/c"
	MORE="{name: copies, type: memory, path: $M/b, capacity: 64M, perf_factor: 2, allow_swap: true, flags: [readable, writable, migration_src, migration_dst]},
		{name: second, type: memory, path: $M/c, capacity: 4M, perf_factor: 3, allow_swap: true},"
	MEM_GB=0.00390625 # 4 MiB
	MEM_FLAGS='"ephemeral", "readable", "writable", "migration_src"' example
	daemon_start
	head -c 1000000 /dev/urandom >"$T/files/e"
	for n in 1 2 3; do objm put --ephemeral "/e/$n" "$T/files/e"; done
	[ "$(tier_of /e/3)" = memory-cache ]
	objm put --ephemeral /e/4 "$T/files/e" # full: the next one
	objm put --ephemeral /e/5 "$T/files/e"
	[ "$(tier_of /e/5)" = second ]
	while objm put --ephemeral "/e/$((++n))" "$T/files/e" 2>"$T/err"; do [ $n -lt 20 ]; done
	grep -q "no space\|has no space" "$T/err"
	[ "$(status_of "next(t['objects'] for t in s['tiers'] if t['name'] == 'copies')")" = 0 ]
	[ -z "$(find "$T/run/nvme/objects" "$T/run/hdd/objects" -type f)" ]
	fails 1 "has no flag ephemeral" objmctl migrate /e/1 copies
	fails 1 "never leaves memory" objmctl migrate /e/1 hdd-cold-tier
	# which of them lies where is the lifecycle's too, above evict_when_full
	for n in $(objm ls /e/); do [ "$(tier_of "$n")" = memory-cache ] || objm rm "$n"; done # room on the second one
	n=$(objm ls /e/ | head -n 1)
	[ -n "$n" ]
	wait_until 10 objmctl migrate "$n" second
	[ "$(tier_of "$n")" = second ]
	objm cat "$n" | cmp - "$T/files/e"
}

# with_swap: from here on daemons see a machine that swaps.
with_swap() {
	printf 'Filename\tType\tSize\tUsed\tPriority\n/swap file 1024 0 -2\n' >"$T/swaps"
	# shellcheck disable=SC2016
	AS_USER=(unshare --mount --propagation private sh -c 'mount --bind "$1" /proc/swaps || exit 9; shift; exec "$@"' sh "$T/swaps" "${AS_USER[@]}")
}

@test "where swap is on a memory tier opens only on a tmpfs mounted noswap, or when it is told to" {
	local with plain=("${AS_USER[@]}")
	need_root
	mkdir "$M/a"
	for with in noswap size=8m; do
		mount -t tmpfs -o "size=8m,$with,mode=700,uid=$TEST_UID,gid=$TEST_UID" tmpfs "$M/a" || skip "tmpfs cannot be mounted (noswap) here"
		example
		sed -i 's/, "allow_swap": true//' "$CONF"
		with_swap
		: >"$LOG"
		daemon_start
		AS_USER=("${plain[@]}")
		if [ $with = noswap ]; then
			is memory-cache state ready
			put /e --ephemeral
			same /e
		else
			is memory-cache state absent
			grep -q "tier memory-cache.*swap is on.*noswap" "$LOG"
			fails 1 "" put /e --ephemeral
			daemon_stop
			example # allow_swap
			with_swap
			daemon_start
			AS_USER=("${plain[@]}")
			is memory-cache state ready
			grep -q "ephemeral bytes may reach a disk (allow_swap)" "$LOG"
		fi
		daemon_stop
		umount "$M/a"
		rm -rf "$T/run/state" "$T/run/nvme" "$T/run/hdd"
	done
}
