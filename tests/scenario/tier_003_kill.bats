#!/usr/bin/env bats
# kill -9 of the supervisor at each step of a tier's going and coming: what was deleted or replaced while it was away stays so, the
# rest is served, listed once; and a past that cannot be read keeps the tier away until it can.
load lib/daemon.bash
load lib/fault.bash

setup() {
	scenario_setup
	[ -n "$(points)" ] || skip "built without fault points"
}
teardown() { scenario_teardown; }

tier() { objmctl --json tier list 2>/dev/null | json "[t['$2'] for t in s['tiers'] if t['name'] == '$1'][0]"; }
is() { [ "$(tier "$1" state)" = "$2" ]; }
serves() { [ "$(objm cat "$1" 2>/dev/null)" = "$2" ]; }
missing() { objm get "$1" 2>&1 >/dev/null | grep -q "no such object"; }

died() { ! kill -0 "$DPID" 2>/dev/null; }

# What must be true once the tier is back: /d/1 was deleted, /d/2 replaced in memory, the rest was left alone.
whole() {
	missing /d/1 && serves /d/2 new && serves /d/3 disk3 && serves /d/4 disk4 && serves /d/5 disk5 &&
		[ "$(objm ls /d/ | tr '\n' ' ')" = "/d/2 /d/3 /d/4 /d/5 " ]
}

@test "killed at each step: nothing comes back, nothing is lost" {
	local p i
	for p in $(points | grep '^tier\.'); do
		rm -rf "$T/run/state" "$DISK" "$DISK.away"
		find "$M" -mindepth 1 -delete
		write_conf
		daemon_spawn env "OBJM_FAULT=$p:kill:1"
		daemon_wait
		for i in 1 2 3 4 5; do printf "disk$i" | objm put "/d/$i" -; done
		mv "$DISK" "$DISK.away"
		case $p in
		tier.leaving | tier.closed)
			wait_until 30 died
			daemon_kill
			daemon_start
			;;
		*) wait_until 30 is disk absent ;;
		esac
		objm rm /d/1
		printf new | objm put --ephemeral /d/2 -
		rm -rf "$DISK" # a start makes the directory of a tier that is not there
		mv "$DISK.away" "$DISK"
		case $p in
		tier.leaving | tier.closed) ;;
		*)
			wait_until 30 died || { echo "$p: nobody was killed"; return 1; }
			daemon_kill
			daemon_start
			;;
		esac
		wait_until 30 is disk ready
		wait_until 10 whole || { echo "$p: wrong once it is back"; objm ls /d/; return 1; }
		# and the tombstones are gone with what they named: the same names can be used again
		printf again | objm put /d/1 -
		daemon_stop
		daemon_start
		serves /d/1 again || { echo "$p: a name that was deleted cannot be used again"; return 1; }
		objm rm /d/1
		whole || { echo "$p: wrong after a clean restart"; return 1; }
		daemon_stop
	done
}

# The put is not acknowledged, so either version may stand; but one of them must, once the tier that held the old one is back.
@test "killed while an object of an absent tier is replaced: it is not lost" {
	local p
	for p in sup.state:1 sup.state_done:1 sup.commit:1 sup.committed:1 sup.state:2 sup.state_done:2; do
		rm -rf "$T/run/state" "$DISK" "$DISK.away"
		find "$M" -mindepth 1 -delete
		write_conf
		daemon_start
		printf old | objm put /d/1 -
		daemon_stop
		mv "$DISK" "$DISK.away"
		daemon_spawn env "OBJM_FAULT=${p%:*}:kill:${p#*:}"
		daemon_wait
		wait_until 30 is disk absent
		printf new | objm put --ephemeral /d/1 - || true
		daemon_kill
		rm -rf "$DISK" # a start makes the directory of a tier that is not there
		mv "$DISK.away" "$DISK"
		daemon_start
		wait_until 30 is disk ready
		serves /d/1 old || serves /d/1 new || { echo "$p: it is lost"; return 1; }
		daemon_stop
	done
}

@test "a tier whose past cannot be read stays away, says so, and comes at the next look" {
	write_conf
	daemon_spawn env "OBJM_FAULT=tier.past:error:1"
	daemon_wait
	for i in 1 2 3 4 5; do printf "disk$i" | objm put "/d/$i" -; done
	mv "$DISK" "$DISK.away"
	wait_until 30 is disk absent
	objm rm /d/1
	printf new | objm put --ephemeral /d/2 -
	mv "$DISK.away" "$DISK"
	wait_until 30 grep -q "tier disk .*its past cannot be read" "$LOG"
	wait_until 30 is disk ready
	whole
	[ "$(grep -c "its past cannot be read" "$LOG")" = 1 ]
}
