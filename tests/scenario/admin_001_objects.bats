#!/usr/bin/env bats
# objmctl about objects and the lifecycle process, with the real processes.
load lib/daemon.bash

setup() { scenario_setup; write_conf; daemon_start; }
teardown() { scenario_teardown; }

@test "object and explain: where an object is, and why" {
	printf disk | objm put /a/d -
	printf mem | objm put --ephemeral /a/m -
	objmctl --json object /a/d >"$T/o"
	[ "$(json "s['tier'] + s['home'] + str(s['size'])" <"$T/o")" = diskdisk4 ]
	[ "$(as_user cat "$(json "s['path']" <"$T/o")")" = disk ]
	objmctl --json explain /a/m >"$T/e"
	[ "$(json "s['flags']" <"$T/e")" = '["ephemeral"]' ]
	json "s['why']" <"$T/e" | grep -q ephemeral
	json "s['readers']" <"$T/e" | grep -q "no access rules"
	objmctl object /a/d | grep -q '^path *'"$DISK"
	objmctl explain /a/d | grep -q '^why'
	fails 1 'there is no object "/none"' objmctl object /none
	fails 1 'there is no object "/none"' objmctl explain /none
	fails 2 "operand is missing" objmctl object
	fails 2 "one operand too many" objmctl object /a /b
	fails 2 "no such option" objmctl object --odd /a
	objmctl object -- /a/d >/dev/null
}

@test "what changes something is for root and the daemon's user; a stopped daemon is another exit status" {
	need_root
	printf x | objm put /x -
	chmod 666 "$OBJMCTL_SOCKET"
	as_uid "$OTHER_UID" "$BIN/ctl/objmctl" object /x >/dev/null
	fails 3 "is for root" as_uid "$OTHER_UID" "$BIN/ctl/objmctl" promote /x
	fails 3 "is for root" as_uid "$OTHER_UID" "$BIN/ctl/objmctl" tier drain disk
	chmod 600 "$OBJMCTL_SOCKET"
	fails 3 "Permission denied" as_uid "$OTHER_UID" "$BIN/ctl/objmctl" status
	daemon_stop
	fails 4 "no daemon listens" objmctl status
	fails 4 "" objmctl promote /x
}

@test "--watch: a line each time, until the reader is gone; not for what changes something" {
	[ "$(timeout 20 objmctl --json --watch=1 ping | head -n 2 | grep -c '"ready"')" = 2 ]
	fails 2 "only look" objmctl --watch tier rebuild disk
	fails 2 "seconds" objmctl --watch=0 status
}

@test "pin and unpin" {
	printf x | objm put /x -
	objmctl pin /x >/dev/null
	[ "$(objmctl --json object /x | json "s['flags']")" = '["pinned"]' ]
	objmctl explain /x | grep -q "it is pinned"
	objmctl unpin /x >/dev/null
	[ "$(objmctl --json object /x | json "s['flags']")" = '[]' ]
	fails 1 'no object "/none"' objmctl pin /none
}
