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
	fails 2 "no such command: \"frob\"" objmctl frob
	fails 2 "tier needs a second word: one of add, " objmctl tier
	fails 2 "lifecycle has no \"frob\": one of pause, resume, scrub, status" objmctl lifecycle frob
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
	objmctl unpin /x | grep -q "may move again"
	[ "$(objmctl --json object /x | json "s['flags']")" = '[]' ]
	fails 1 'no object "/none"' objmctl pin /none
}

@test "top and moves by hand: people and programs are told tiers by name" {
	printf 12345 | objm put /hot -
	for _ in 1 2 3; do objm cat /hot >/dev/null; done
	hot() { objmctl --json top | json "[[o['uri'], o['tier'], o['home'], o['accesses'] >= 3] for o in s['objects']]" | grep -qF '["/hot", "disk", "disk", true]'; }
	wait_until 20 hot
	objmctl top | grep -qE '^ *[0-9.]+ +[0-9]+ +5 +disk +disk +/hot$'
	wait_until 20 objmctl migrate /hot memory
	[ "$(objmctl migrate /hot memory)" = "/hot is on tier memory already." ]
	copied() { objmctl demote /hot >"$T/said" || [ "$(objmctl --json object /hot | json "s['tier']")" = disk ]; }
	wait_until 20 copied
	[ ! -s "$T/said" ] || grep -q "^/hot: its copy on tier memory is gone (5); tier disk, its home, serves it.$" "$T/said"
	fails 1 'there is no tier "nowhere"; objmctl tier list names them' objmctl migrate /hot nowhere
	objmctl lifecycle status | grep -qE '^moved +[0-9]+ up, [0-9]+ down'
	objmctl lifecycle status | grep -qE '^disk +1 '
}

@test "pause holds for the next lifecycle process, too; a move that takes long is not said to be done" {
	paused() { [ "$(objmctl --json lifecycle status 2>/dev/null | json "s['paused']")" = "$1" ]; }
	objmctl lifecycle pause | grep -q "until the daemon is restarted"
	pid=$(status_of "s['lifecycle']['pid']")
	as_user kill -KILL "$pid"
	replaced() { [ "$(status_of "s['lifecycle']['pid'] not in (0, $pid) and s['lifecycle']['state']")" = ready ]; }
	wait_until 20 replaced
	wait_until 10 paused True
	objmctl lifecycle status | grep -q "^state *paused"
	objmctl lifecycle resume >/dev/null
	paused False
	objmctl lifecycle pause >/dev/null
	daemon_stop
	daemon_start
	paused False
	# an answer that takes more than 8 s to be had, from a daemon that is none
	"$PYTHON" -c '
import socket, sys
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen()
for kind in "home", "copy", "drop":
    c = s.accept()[0]; c.recv(65536)
    c.sendall(b"""{"ok":true,"uri":"/x","state":"under way","from":"a","to":"b","kind":"%s","id":1,"size":5}\n""" % kind.encode())' "$T/slow" 3>&- &
	wait_until 10 test -S "$T/slow"
	for what in moved copied dropped; do
		objmctl -s "$T/slow" promote /x >"$T/said"
		grep -q "^/x: still being $what" "$T/said"
	done
	wait $!
}
