#!/usr/bin/env bats
# Objects that nobody moves are read and checked: a changed byte is noticed and named, a damaged copy goes, a disk's error is told, what
# changes meanwhile is no damage, and a restart remembers. About 8 s.
# shellcheck disable=SC2034,SC2153 # variables of the library
load lib/daemon.bash
load lib/tiers.bash

setup() { scenario_setup; tiers_paths; }
teardown() { scenario_teardown; }

conf() { tiers_conf "interval_secs: 3600, hotness_decay_secs: 3600, hot_threshold: 1, cold_threshold: 0"; }
put_one() { head -c "$2" /dev/urandom >"$T/files/f$1"; chmod a+r "$T/files/f$1"; as_user objm put "/o/$1" "$T/files/f$1" >/dev/null; }
same() { objm cat "/o/$1" | cmp - "$T/files/f$1"; }
path_of() { objmctl --json object "$1" | json "next(r['path'] for r in s['records'] if r['tier'] == '$2')"; }
# flip FILE: its byte 100 becomes another.
flip() {
	local b
	b=$(od -An -tu1 -j100 -N1 "$1")
	chmod u+w "$1"
	# shellcheck disable=SC2059 # the format is made here
	printf "\\$(printf %o $(((b + 1) % 256)))" | dd of="$1" bs=1 seek=100 conv=notrunc,fsync status=none
	chmod u-w "$1"
}
scrub_of() { objmctl --json lifecycle status | json "next(t['$2'] for t in s['scrub']['tiers'] if t['name'] == '$1')"; }
counted() { objmctl --json counters | json "s['total'].get('$1', 0)"; }
over() { [ "$(scrub_of fast now)$(scrub_of slow now)" = FalseFalse ]; }
scrub() { objmctl lifecycle scrub >/dev/null && wait_until 20 over; }

@test "a changed byte is named and counted, a damaged copy goes, an error of the disk is told" {
	conf
	daemon_start
	for i in 1 2 3 4 5 6; do put_one $i 70000; objmctl migrate /o/$i slow >/dev/null; done
	put_one new 300
	objmctl migrate /o/1 memory >/dev/null
	objmctl migrate /o/2 memory >/dev/null
	scrub
	[ "$(scrub_of slow last_objects)" = 6 ]
	[ "$(scrub_of slow last_bad)" = 0 ]
	[ "$(counted scrubbed)" = 7 ]
	not grep -q "differ from their checksum" "$LOG"

	flip "$(path_of /o/3 slow)"
	flip "$(path_of /o/1 memory)"
	scrub
	[ "$(scrub_of slow last_objects)" = 6 ]
	[ "$(scrub_of slow last_bad)" = 1 ]
	[ "$(scrub_of fast last_bad)" = 0 ]
	[ "$(counted scrub_damaged)" = 1 ]
	[ "$(counted scrub_copies)" = 1 ]
	[ "$(grep -c 'tier slow: object /o/3 .*its bytes differ from their checksum; it stays where it is' "$LOG")" = 1 ]
	[ "$(grep -c 'tier memory: the cached copy of /o/1 .*it is dropped' "$LOG")" = 1 ]
	[ "$(grep -c 'differ from their checksum' "$LOG")" = 2 ]
	home() { [ "$(tier_of /o/1)" = slow ]; }
	wait_until 10 home
	[ "$(tier_of /o/2)" = memory ]
	[ "$(tier_of /o/3)" = slow ]
	for i in 1 2 4 5 6 new; do same $i; done
	objmctl explain /o/3 | grep -q '^damaged  its bytes differ'
	not grep -q '^damaged' <(objmctl explain /o/4)
	objmctl lifecycle status | grep -q '1 found bad'
	daemon_stop

	# the next process knows; then a disk that fails at one of the objects
	daemon_start env OBJM_FAULT=scrub.read:error:2
	[ "$(scrub_of slow last_bad)" = 1 ]
	objmctl explain /o/3 | grep -q '^damaged  its bytes differ'
	put_one 3 70000 # as the line says
	scrub
	[ "$(counted scrub_unreadable)" = 1 ]
	[ "$(counted scrub_damaged)" = 0 ]
	[ "$(grep -c 'its file cannot be read' "$LOG")" = 1 ]
	scrub
	[ "$(scrub_of slow last_bad)" = 0 ]
	[ "$(objmctl --json lifecycle status | json "s['scrub']['bad']")" = 0 ]
	for i in 1 2 3 4 5 6 new; do same $i; done
}

@test "what is put, replaced, moved and deleted while it is read is no damage" {
	conf
	daemon_start
	head -c 200000 /dev/urandom >"$T/files/x"
	chmod a+r "$T/files/x"
	for i in 1 2 3 4 5 6 7 8; do as_user objm put /o/$i "$T/files/x" >/dev/null; done
	changes() {
		local i end=$((SECONDS + 2))
		while [ $SECONDS -lt $end ]; do
			for i in 1 2 3 4; do
				as_user objm put /o/$i "$T/files/x" >/dev/null
				objmctl migrate /o/$((i + 4)) slow >/dev/null || true
				objmctl pin /o/$i >/dev/null || true
				objmctl migrate /o/$((i + 4)) fast >/dev/null || true
			done
			as_user objm rm /o/1 >/dev/null || true
		done
	}
	changes 3>&- 4>&- &
	job=$!
	while kill -0 $job 2>/dev/null; do objmctl lifecycle scrub >/dev/null; sleep 0.05; done
	wait $job
	wait_until 20 over
	[ "$(counted scrubbed)" -gt 20 ]
	[ "$(counted scrub_damaged)" = 0 ]
	[ "$(counted scrub_unreadable)" = 0 ]
}
