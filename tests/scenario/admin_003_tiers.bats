#!/usr/bin/env bats
# objmctl doctor; tier list with all that is known; drain: everything moves off while it serves, over a restart.
load lib/daemon.bash

setup() { scenario_setup; }
teardown() { scenario_teardown; }

tier() { objmctl --json tier list | json "[t['$2'] for t in s['tiers'] if t['name'] == '$1'][0]"; }
has() { [ "$(tier "$1" objects)" = "$2" ]; }

@test "doctor: each finding with what to do; a tier that is away is an error" {
	DISK=/proc/nowhere write_conf
	daemon_start
	objmctl --json doctor >"$T/d"
	[ "$(json "s['errors'] >= 1" <"$T/d")" = True ]
	json "[c['todo'] for c in s['checks'] if c['check'] == 'tier disk'][0]" <"$T/d" | grep -q "tier add"
	json "sorted(set(c['check'] for c in s['checks']))" <"$T/d" >"$T/names"
	for n in kernel landlock "open files" protected_hardlinks state_dir "tier memory" user; do grep -q "\"$n\"" "$T/names"; done
	[ "$(json "[c for c in s['checks'] if c['verdict'] != 'ok' and not c['todo']]" <"$T/d")" = '[]' ]
	objmctl doctor | grep -q "^error *tier disk: /proc/nowhere"
}

@test "tier list says what is known; a catalog on FUSE is refused by name" {
	write_conf
	daemon_start
	[ "$(tier disk draining)" = False ]
	[ "$(tier disk durability)" = sync ]
	[ "$(tier memory perf_factor)" = 1.0 ]
	[ "$(tier disk hard_bound)" = False ]
	objmctl tier list | grep -q BOUND
	daemon_stop
	[ "$(id -u)" = 0 ] || skip "mounting needs root"
	[ -x "$BUILD/tests/unit/backend/plainfs" ] || skip "plainfs was not built (libfuse3-dev)"
	[ -c /dev/fuse ] || skip "no /dev/fuse"
	mkdir "$T/below" "$T/odd"
	"$BUILD/tests/unit/backend/plainfs" "$T/below" "$T/odd" 3>&- 4>&- &
	fuse=$!
	wait_until 5 mountpoint -q "$T/odd"
	mkdir "$T/odd/disk"
	chown "$TEST_UID:$TEST_UID" "$T/odd" "$T/odd/disk"
	rm -rf "$T/run/state" "$M"/.objmapper-tier # an installation that does not know the tier yet
	DISK=$T/odd/disk write_conf
	daemon_start
	[ "$(tier disk state)" = absent ]
	grep -q "tier disk.*lie on FUSE.*index_path" "$LOG"
	daemon_stop
	umount "$T/odd" || umount -l "$T/odd"
	wait "$fuse" || true
}

@test "drain: objects move off, new ones go elsewhere, a restart goes on with it, --stop ends it" {
	write_conf
	sed -i "/name: disk/a\\  - {name: second, type: hdd, path: $T/run/second, capacity: 1G}" "$CONF"
	daemon_start
	for i in 1 2 3 4 5 6 7 8; do printf "v$i" | objm put "/o/$i" -; done
	has disk 8
	fails 1 'no tier "nosuch"' objmctl tier drain nosuch
	objmctl tier drain disk | grep -q "is being drained"
	[ "$(tier disk draining)" = True ]
	[ "$(tier disk state)" = read-only ]
	wait_until 60 has disk 0
	has second 8
	printf new | objm put /o/new -
	has second 9
	daemon_stop
	daemon_start
	[ "$(tier disk draining)" = True ]
	for i in 1 2 3 4 5 6 7 8; do [ "$(objm cat "/o/$i")" = "v$i" ]; done
	printf more | objm put /o/more -
	has second 10
	objmctl tier drain disk --stop | grep -q "no longer"
	[ "$(tier disk draining)" = False ]
	printf back | objm put /o/back -
	has disk 1
}
