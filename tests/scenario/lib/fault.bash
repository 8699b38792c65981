# fault.bash: what the scenarios of fault points share. Loaded after daemon.bash.
# shellcheck shell=bash

# Names of the compiled-in points.
points() { "$BIN/supervisor/objmapperd" --list-faults | awk '{print $1}' | grep -E '^[a-z]+\.[a-z_]+$'; }

# Those that a load of puts, reads and deletes can meet: moves and SET have scenarios of their own (lifecycle_00*, fault_003_move,
# change_001_set, lifecycle_006_scrub), tiers that come and go too (tier_003_kill); sup.fill is the start's.
put_points() { points | grep -vE '^(move|sup\.move_|sup\.set_|sup\.fill|attr|heat|scrub|tier)' || true; }

# True if the supervisor or one of its children was killed by the fault (the supervisor's own end is seen by `try`).
fault_killed() { [ -n "${FAULT_DIED:-}" ] || grep -q 'died: killed by signal 9' "$LOG"; }

daemon_gone() { ! kill -0 "$DPID" 2>/dev/null; }

# A short load with the fault at the nth time, then the check before and after a restart.
try() {
	local fault=$1
	FAULT_DIED=
	: >"$LOG"
	rm -rf "$T/run/state" "$DISK"
	find "$M" -mindepth 1 -delete
	: >"$LEDGER"
	daemon_spawn env "OBJM_FAULT=$fault"
	wait_until 15 answers || true
	# The supervisor may die of it: then it is started again, without the fault, and the load goes on.
	ext_begin "$OBJM_SOCKET" load 300 4 "$LEDGER" >"$T/load.out" 2>&1
	local load=$EXT i
	for ((i = 0; i < 600; i++)); do
		kill -0 "$load" 2>/dev/null || break
		if ! kill -0 "$DPID" 2>/dev/null; then
			FAULT_DIED=1
			wait "$DPID" 2>/dev/null || true
			daemon_spawn
		fi
		sleep 0.05
	done
	kill "$load" 2>/dev/null && { echo "$fault: the load hangs"; return 1; }
	wait "$load" || { echo "$fault: the load failed:"; cat "$T/load.out"; return 1; }
	# get.open strikes while the check itself reads, once in each of the first workers: then it is asked again.
	local tries=1
	[[ $fault != get.open:* ]] || tries=3
	until ext "$OBJM_SOCKET" verify "$LEDGER"; do
		# Removals are settled behind the load: the fault may strike the supervisor as late as that.
		if [ -z "$FAULT_DIED" ] && wait_until 1 daemon_gone; then
			FAULT_DIED=1
			wait "$DPID" 2>/dev/null || true
			daemon_start || { echo "$fault: no start after it"; return 1; }
			continue
		fi
		((--tries)) || { echo "$fault: wrong while it runs"; return 1; }
	done
	# A point that was reached killed somebody; one that is not on this load's way (listed below) may be missed.
	case $fault in
	put.*:kill:1 | sup.prepare:kill:1 | sup.commit*:kill:1 | sup.published:kill:1 | get.open:kill:1)
		fault_killed || { echo "$fault: nobody was killed"; return 1; } ;;
	esac
	daemon_kill
	daemon_start || { echo "$fault: no start after it"; return 1; }
	ext "$OBJM_SOCKET" verify "$LEDGER" || { echo "$fault: wrong after the restart"; return 1; }
	daemon_stop || { echo "$fault: no clean stop"; return 1; }
}

