# fault.bash: what the scenarios of fault points share. Loaded after daemon.bash.
# shellcheck shell=bash

# Names of the compiled-in points.
points() { "$BIN/supervisor/objmapperd" --list-faults | awk '{print $1}' | grep -E '^[a-z]+\.[a-z_]+$'; }

# A short load with the fault at the nth time, then the check before and after a restart.
try() {
	local fault=$1
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
			wait "$DPID" 2>/dev/null || true
			daemon_spawn
		fi
		sleep 0.05
	done
	kill "$load" 2>/dev/null && { echo "$fault: the load hangs"; return 1; }
	wait "$load" || { echo "$fault: the load failed:"; cat "$T/load.out"; return 1; }
	ext "$OBJM_SOCKET" verify "$LEDGER" || { echo "$fault: wrong while it runs"; return 1; }
	daemon_kill
	daemon_start || { echo "$fault: no start after it"; return 1; }
	ext "$OBJM_SOCKET" verify "$LEDGER" || { echo "$fault: wrong after the restart"; return 1; }
	daemon_stop || { echo "$fault: no clean stop"; return 1; }
}

