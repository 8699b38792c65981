#!/usr/bin/env bats
# kill -9 of the lifecycle process or the supervisor in the middle of moves: after each round every object is what the ledger of
# acknowledged changes says, listed once, and no file is left without its record. OBJM_TEST_LONG=1: 200 rounds.
# shellcheck disable=SC2034,SC2153 # variables of the library
load lib/daemon.bash
load lib/fault.bash
load lib/tiers.bash

# One for each point; a few where others are pressed for time too.
ROUNDS=${OBJM_TEST_ROUNDS:-9}
[ -z "${OBJM_TEST_QUICK:-}" ] || ROUNDS=3
[ -z "${OBJM_TEST_LONG:-}" ] || ROUNDS=200

setup() {
	scenario_setup
	tiers_paths
	tiers_conf
	LEDGER=$T/run/ledger
	as_user touch "$LEDGER"
	EXTS=
}
teardown() {
	local p
	for p in $EXTS; do kill "$p" 2>/dev/null || true; done
	scenario_teardown
}

# Points on the way of a move; the rest of the rounds kill at any moment.
points=(move.begun move.copied move.linked move.durable move.submitted move.verdict sup.move_intent sup.move_commit sup.move_target any any any)

supervise() { # start it again when the fault ended it
	kill -0 "$DPID" 2>/dev/null && return 0
	wait "$DPID" 2>/dev/null || true
	STRUCK=1
	daemon_spawn
}

ended() { # both: the load and the reader
	supervise
	local p
	for p in $EXTS; do ! kill -0 "$p" 2>/dev/null || return 1; done
}

up() { supervise && answers; }

round() {
	local n=$1 point=${points[$(($1 % ${#points[@]}))]} victim p
	cp "$LOG" "$T/daemon.log.before"
	: >"$LOG"
	echo "round $n: $point" >"$T/round"
	STRUCK=
	if [ "$point" = any ]; then
		daemon_spawn
	else
		daemon_spawn env "OBJM_FAULT=$point:kill:$((1 + RANDOM % 25))"
	fi
	wait_until 20 answers || { supervise; wait_until 20 answers; }
	# changes, and what is read twice becomes hot
	ext_begin "$OBJM_SOCKET" load 120 3 "$LEDGER"
	EXTS=$EXT
	"${AS_USER[@]}" "$PYTHON" -B "$LIB/ext.py" "$OBJM_SOCKET" warm "$LEDGER" 1.5 3>&- 4>&- &
	EXTS="$EXTS $!"
	if [ "$point" = any ]; then
		sleep "0.$((3 + RANDOM % 7))"
		sleep "$((RANDOM % 2))"
		if [ $((n % 2)) = 0 ]; then
			victim=$(lifecycle_pid 2>/dev/null || echo 0)
			[ "${victim:-0}" = 0 ] || as_user kill -KILL "$victim" || true
		else
			daemon_kill
			daemon_spawn
		fi
	fi
	wait_until 60 ended || { echo "round $n ($point): the load hangs"; return 1; }
	for p in $EXTS; do
		wait "$p" || { echo "round $n ($point): the load or the reader failed"; return 1; }
	done
	EXTS=
	wait_until 20 up # its end may come after theirs: moves go on
	MOVED=$((MOVED + $(moved)))
	# one that has not struck yet would strike in the middle of the check
	if [[ $point == sup.* && -z $STRUCK ]]; then
		daemon_kill
		daemon_start
	fi
	ext "$OBJM_SOCKET" verify "$LEDGER" || { echo "round $n ($point): wrong while it runs"; return 1; }
	# every other round the daemon too ends here, whatever it is doing
	if [ $((n % 2)) = 0 ]; then
		daemon_kill
		daemon_start
		ext "$OBJM_SOCKET" verify "$LEDGER" || { echo "round $n ($point): wrong after the restart"; return 1; }
	fi
	daemon_stop
	if [ "$point" != any ] && { [ -n "$STRUCK" ] || grep -q 'died: killed by signal 9' "$LOG"; }; then HIT=$((HIT + 1)); fi
	daemon_start
	objmctl lifecycle pause >/dev/null
	wait_until 30 tidy || { echo "round $n ($point):"; say_untidy; }
	ext "$OBJM_SOCKET" verify "$LEDGER" || { echo "round $n ($point): wrong at the end"; return 1; }
	daemon_stop
}

@test "rounds of kill -9 in the middle of moves" {
	MOVED=0 HIT=0
	for ((n = 0; n < ROUNDS; n++)); do
		round "$n"
	done
	echo "# $ROUNDS rounds, $MOVED moves seen, a fault point of a move struck in $HIT" >&3
	# A point that struck was one of a move: there was something to be in the middle of. (Moves are counted by processes that
	# live long enough to be asked, which none may have.)
	[ "$HIT" -gt $((ROUNDS / 6)) ]
}
