#!/usr/bin/env bats
# The supervisor's part of a move fails: the object is where it was, whole, listed once; nothing is left behind.
# (Kills at each of these points: lifecycle_001_kill.bats and tests/unit/supervisor/model_engine.c.)
load lib/daemon.bash
load lib/fault.bash
load lib/tiers.bash

setup() {
	scenario_setup
	tiers_paths
	tiers_conf "interval_secs: 3600"
	head -c 70000 /dev/urandom >"$T/files/o"
}
teardown() { scenario_teardown; }

slow_is() { [ "$(objmctl --json tier list | json "[t['state'] for t in s['tiers'] if t['name']=='slow'][0]")" = "$1" ]; }
whole() { objm cat /o | cmp - "$T/files/o" && [ "$(objm ls / | wc -l)" = 1 ]; }

# begin FAULT: a daemon with it, and the object on its first tier.
begin() {
	[ -n "$(points)" ] || skip "built without fault points"
	daemon_spawn env OBJM_FAULT="$1"
	daemon_wait
	objm put /o "$T/files/o"
}

# stands TIER: it is there, and nothing is left elsewhere.
stands() {
	[ "$(tier_of /o)" = "$1" ]
	whole
	wait_until 10 tidy
}

# The move fails, and the object is where it was.
refused() {
	local r=0
	objmctl migrate /o slow >"$T/out" 2>&1 || r=$?
	[ $r != 0 ]
	stands fast
}

# A new start finds two records of one version: one of them, whichever, stays; and when it is deleted nothing comes back.
one_stays() {
	daemon_start
	whole
	wait_until 10 tidy
	[ "$(objects_on fast)$(objects_on slow)" = 01 ] || [ "$(objects_on fast)$(objects_on slow)" = 10 ]
	objm rm /o
	daemon_stop
	daemon_start
	[ -z "$(objm ls)" ]
	wait_until 10 tidy
}

@test "an I/O error at the target's record: the object stays, the target takes no more writes" {
	begin sup.move_commit:error:1
	refused
	wait_until 5 slow_is failed
	grep -q "tier slow .*writes are stopped" "$LOG"
	# as if the disk were sound again
	daemon_stop
	daemon_start
	wait_until 10 slow_is ready
	wait_until 10 tidy
	objmctl migrate /o slow
	stands slow
}

@test "no space at the target's record: its ballast is given up, and the move is done" {
	begin sup.move_commit:nospace:1
	objmctl migrate /o slow
	grep -q "its ballast was given up" "$LOG"
	stands slow
}

@test "killed between the two records of a move: one of them stays" {
	begin sup.move_target:kill:1
	objmctl migrate /o slow >"$T/out" 2>&1 || true
	wait "$DPID" || true
	one_stays
}

@test "an error behind the intent: the move is given up, what it may have left is removed, the next one goes" {
	begin sup.move_intent:error:1
	refused
	wait_until 10 objmctl migrate /o slow # an id is free for a move again when its removal is forgotten
	stands slow
}

@test "an error between the two records of a move: it stands on the target, and one of the two goes at the next start" {
	begin sup.move_target:error:1
	objmctl migrate /o slow
	grep -q "stands, but an older record on tier fast could not be removed" "$LOG"
	[ "$(tier_of /o)" = slow ]
	whole
	daemon_stop
	one_stays
}
