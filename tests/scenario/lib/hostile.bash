# hostile.bash: attackers and victims (hostile.py), and that nothing of them stays. Loaded behind daemon.bash.
# shellcheck shell=bash

ATTACKER=61236
VICTIM=61237
HELD=()

hostile() { as_uid "$1" "$PYTHON" -B "$LIB/hostile.py" "$OBJM_SOCKET" "${@:2}"; }

# attack ARGUMENTS: in the background, in position when this returns; released at the end.
attack() { attack_in /dev/null "$@"; }
# attack_in FILE ARGUMENTS: FILE is its standard input.
attack_in() {
	local out=$T/attack.${#HELD[@]} in=$1
	shift
	setpriv --reuid=$ATTACKER --regid=$ATTACKER --clear-groups --no-new-privs -- "$PYTHON" -B "$LIB/hostile.py" "$OBJM_SOCKET" "$@" \
		>"$out" 2>&1 <"$in" 3>&- 4>&- 7>&- &
	HELD+=($!)
	wait_until 60 grep -q "in position" "$out" || { cat "$out"; return 1; }
	sed -n 's/^/# /; /in position/!p' "$out" >&3
}
release() {
	local p
	for p in "${HELD[@]}"; do
		kill -KILL "$p"
		wait "$p" 2>/dev/null || true
	done
	HELD=()
}

# say COMMAND...: what it says goes to the report. Its status counts.
say() {
	local r=0
	"$@" >"$T/said" 2>&1 || r=$?
	sed 's/^/# /' "$T/said" >&3
	return $r
}
# shellcheck disable=SC2120 # some tests pass how many
victim() { say hostile $VICTIM victim /v 'the victim reads this' "${1:-400}"; }

total() { objmctl --json counters | json "s['total']['$1']"; }
used_bytes() { status_of "sum(t['used_bytes'] for t in s['tiers'])"; }

# Without directories of objects (worker/wrk_dir.h): a worker opens one when it is first asked for what lies there, and keeps it.
fds() { find "/proc/$1/fd" -mindepth 1 ! -lname '*/objects/?????????' 2>/dev/null | wc -l; }
# Without those of objects that a worker keeps to pass on again: their number is a gauge, and theirs to choose.
all_fds() {
	local p
	objmctl --json counters >"$T/counters"
	for p in $DPID $(pgrep -P "$DPID"); do
		echo "$p $(($(fds "$p") - $(json "next((w['counters']['fd_cache'] for w in s['workers'] if w['pid'] == $p), 0)" <"$T/counters")))"
	done
}
before() { all_fds >"$T/fds.before"; }
# The same processes as before, and none holds more descriptors.
as_before() {
	all_fds >"$T/fds.now"
	python3 - "$T/fds.before" "$T/fds.now" <<-'END'
	import sys
	a, b = (dict(line.split() for line in open(f)) for f in sys.argv[1:])
	sys.exit(set(a) != set(b) or any(int(b[p]) > int(a[p]) for p in a))
	END
}
settled() { wait_until 30 as_before || { cat "$T/fds.before" "$T/fds.now"; return 1; }; }

# The daemon runs: what the victim reads is there, and what there was before an attack is counted.
hostile_ready() {
	HELD=()
	as_uid $VICTIM test -r "$LIB/hostile.py" || skip "another user cannot read this checkout"
	printf 'the victim reads this' | objm put /v -
	victim
	before
}

# Attackers that hold on are in HELD.
hostile_teardown() {
	local p
	for p in "${HELD[@]}"; do kill -KILL "$p" 2>/dev/null || true; done
	scenario_teardown
}
