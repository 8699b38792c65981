#!/usr/bin/env bats
# SET: what is told of an object changes, its bytes do not; and compare-and-swap. A client in another language.
load lib/daemon.bash
load lib/fault.bash

setup() { scenario_setup; }
teardown() { scenario_teardown; }

change() { as_user "$PYTHON" -B "$LIB/change.py" "$@"; }
# Work is scaled where a sanitizer makes each step dearer.
scaled() { case $BUILD in *asan* | *tsan*) echo $(($1 / 10)) ;; *) echo "$1" ;; esac; }

@test "flags, expiry, type and metadata: alone, together, with conditions, and what is refused" {
	write_conf
	daemon_start
	change "$OBJM_SOCKET" set
}

@test "half of a tier can be pinned, no more" {
	DISK_CAP=8M write_conf
	daemon_start
	change "$OBJM_SOCKET" pins 1000000 4
	# and so after a restart, which counts them again
	daemon_stop
	daemon_start
	change "$OBJM_SOCKET" pinned 1000000
}

@test "a catalog made again from the files has what was set" {
	write_conf
	daemon_start
	change "$OBJM_SOCKET" keep
	change "$OBJM_SOCKET" kept
	daemon_stop
	daemon_start
	change "$OBJM_SOCKET" kept
	daemon_stop
	rm -rf "$DISK/catalog"
	daemon_start
	wait_until 20 change "$OBJM_SOCKET" kept
}

@test "many clients change one object: each revision once" {
	write_conf
	daemon_start
	change "$OBJM_SOCKET" race 8 "$(scaled 50)"
}

@test "TOUCH: accesses that a client cache answered count" {
	write_conf
	daemon_start
	change "$OBJM_SOCKET" touch
	[ "$(objmctl --json counters | json "500 < s['total']['touched'] < 70000")" = True ]
}

@test "compare-and-swap: 16 clients count to 16,000" {
	write_conf
	daemon_start
	# an ephemeral counter: a change on disk is a synced commit, and 16,000 of them in a row take their time
	change "$OBJM_SOCKET" cas 16 "$(scaled 1000)" /counter 1
	if [ -n "${OBJM_TEST_LONG:-}" ]; then change "$OBJM_SOCKET" cas 16 1000 /disk 0; else change "$OBJM_SOCKET" cas 16 "$(scaled 40)" /disk 0; fi
}

# The client is off a moment before the daemon is, or says who is.
somebody_died() { daemon_gone || fault_killed; }

@test "killed at any step of a SET: old or new, whole, also when the catalog is lost" {
	write_conf
	daemon_start
	[ -n "$(points)" ] || skip "built without fault points"
	daemon_stop
	for point in sup.set_attr attr.written sup.committed sup.published; do
		for nth in 1 7; do
			[ $nth = 1 ] || [ -n "${OBJM_TEST_LONG:-}" ] || [ $point = sup.set_attr ] || continue
			: >"$LOG"
			daemon_spawn env "OBJM_FAULT=$point:kill:$nth"
			wait_until 15 answers || true
			acked=$(change "$OBJM_SOCKET" churn 20 20)
			wait_until 10 somebody_died || { echo "$point:$nth: nobody was killed"; false; }
			daemon_kill
			daemon_start
			change "$OBJM_SOCKET" churned "$acked"
			daemon_stop
			rm -rf "$DISK/catalog"
			daemon_start
			wait_until 20 change "$OBJM_SOCKET" churned "$acked"
			daemon_stop
		done
	done
}

@test "objm set, pin, unpin" {
	write_conf
	daemon_start
	echo x | objm put --type a/b --evictable /o -
	objm set --meta k=v --meta l=w /o
	objm pin /o
	objm pin /o
	[ "$(objm stat --json /o | json "[s['type'], s['meta'], s['flags'], s['revision']]")" = '["a/b", {"k": "v", "l": "w"}, ["pinned", "evictable"], 3]' ] || { objm stat --json /o; false; }
	objm unpin /o
	objm set --ttl 1h --type c/d /o
	[ "$(objm stat --json /o | json "[s['type'], s['flags'], s['expiry'] > 0, s['revision']]")" = '["c/d", ["evictable"], true, 5]' ] || { objm stat --json /o; false; }
	fails 1 "no such object" objm pin /none
	fails 2 "nothing to change" objm set /o
	[ "$(objm cat /o)" = x ]
}
