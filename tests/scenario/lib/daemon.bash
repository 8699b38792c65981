# daemon.bash: a private objmapperd for a scenario. Loaded by every .bats file here.
# shellcheck shell=bash
#
# $OBJM_BUILD names the build directory (default: build/). The daemon runs in a directory of its own and as an unprivileged
# user: root is exempt from limits and permissions that matter. Processes are ended by the ids that we know, never by name.

ROOT=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../../.." && pwd -P)
LIB=$ROOT/tests/scenario/lib
BUILD=${OBJM_BUILD:-$ROOT/build}
TEST_UID=${OBJM_TEST_UID:-61234} # nobody's on Debian; 65534 is treated differently by the daemon
OTHER_UID=61235 # somebody else
export OTHER_UID

# as_user COMMAND...: as the unprivileged user that the daemon runs as.
if [ "$(id -u)" = 0 ]; then
	as_uid() { local u=$1; shift; setpriv --reuid="$u" --regid="$u" --clear-groups --no-new-privs -- "$@"; }
	AS_USER=(setpriv --reuid="$TEST_UID" --regid="$TEST_UID" --clear-groups --no-new-privs --)
else
	AS_USER=(env)
fi
# In the background use "${AS_USER[@]}" itself: then $! is the program's own id, not that of a shell around it.
as_user() { "${AS_USER[@]}" "$@"; }
need_root() { [ "$(id -u)" = 0 ] || skip "needs root to become two different users"; }

# The programs, from where the test user can run them: a checkout below a closed directory is copied.
stage() {
	if as_user test -x "$BUILD/supervisor/objmapperd" && as_user test -r "$ROOT/tests/scenario/lib/ext.py"; then
		BIN=$BUILD
	else
		BIN=$T/bin
		mkdir -p "$BIN"/{supervisor,worker,lifecycle,client,ctl}
		cp "$BUILD/supervisor/objmapperd" "$BIN/supervisor/"
		cp "$BUILD/worker/objmapper-worker" "$BIN/worker/"
		cp "$BUILD/lifecycle/objmapper-lifecycle" "$BIN/lifecycle/"
		cp -L "$BUILD"/client/objm "$BUILD"/client/libobjm.so* "$BIN/client/"
		cp "$BUILD/ctl/objmctl" "$BUILD/ctl/objm-exporter" "$BIN/ctl/"
		chmod -R a+rX "$BIN"
	fi
}

# Directories of one test: T on disk, M on tmpfs.
scenario_setup() {
	T=$(mktemp -d "${TMPDIR:-/tmp}/objm-test.XXXXXX")
	M=$(mktemp -d /dev/shm/objm-test.XXXXXX)
	chmod 755 "$T"
	mkdir "$T/run" "$T/files"
	[ "$(id -u)" != 0 ] || chown "$TEST_UID:$TEST_UID" "$T/run" "$T/files" "$M"
	stage
	OBJMCTL_SOCKET=$T/run/a.sock OBJM_SOCKET=$T/run/d.sock LEGACY=$T/run/l.sock
	export OBJM_SOCKET OBJMCTL_SOCKET
	CONF=$T/objmapper.yaml LOG=$T/daemon.log
	DISK=$T/run/disk
	PATH=$BIN/client:$BIN/ctl:$PATH
	DPID=
	: >"$LOG"
	chmod 666 "$LOG"
}

scenario_teardown() {
	local bad=0
	if [ -n "$DPID" ] && ! kill -0 "$DPID" 2>/dev/null; then
		echo "the daemon ended by itself, status $(wait "$DPID"; echo $?)"
		BATS_TEST_COMPLETED=
		bad=1
	fi
	daemon_kill
	if [ "${BATS_TEST_COMPLETED:-}" != 1 ] && [ -s "$LOG" ]; then
		echo "--- the daemon's log, last lines:"
		tail -n 60 "$LOG"
	fi
	# What a sanitizer found is a failure wherever it happened.
	if grep -E -q "(ERROR: (Address|Leak|Undefined|Thread)|runtime error:|SUMMARY: .*Sanitizer)" "$LOG"; then
		grep -E -A30 "(ERROR: (Address|Leak|Thread)|runtime error:)" "$LOG" | head -n 80
		bad=1
	fi
	[ "${BATS_TEST_COMPLETED:-}" = 1 ] && [ $bad = 0 ] || scenario_keep
	rm -rf "$T" "$M"
	return $bad
}

# OBJM_TEST_KEEP names a directory: whatever a failed test leaves is kept there, logs, stores and models (a tier's own mounts are not).
scenario_keep() {
	[ -n "${OBJM_TEST_KEEP:-}" ] || return 0
	local to
	to=$OBJM_TEST_KEEP/$(basename "${BATS_TEST_FILENAME:-test}" .bats)-$(date +%H%M%S)-$$
	mkdir -p "$to" && cp -a --one-file-system "$T" "$to/T" && cp -a --one-file-system "$M" "$to/M" || true
	echo "kept in $to"
}

# write_conf [EXTRA_YAML]: two tiers. Variables: DISK (its path), DISK_CAP, MEM_CAP, MIN_WORKERS, MAX_WORKERS.
write_conf() {
	cat >"$CONF" <<-END
	state_dir: $T/run/state
	listen:
	  data: $OBJM_SOCKET
	  admin: $OBJMCTL_SOCKET
	  legacy: $LEGACY
	  mode: 0666
	thread_pool: {min_workers: ${MIN_WORKERS:-2}, max_workers: ${MAX_WORKERS:-2}}
	backends:
	  - {name: memory, type: memory, path: $M, capacity: ${MEM_CAP:-256M}, allow_swap: true}
	  - {name: disk, type: ssd, path: $DISK, capacity: ${DISK_CAP:-8G}}
	${1:-}
	END
	chmod 644 "$CONF"
}

# not COMMAND...: fails if that succeeds. ("! COMMAND" in the middle of a test never fails: bash does not look at its status.)
not() { ! "$@"; }

answers() { timeout 5 objmctl --json ping 2>/dev/null | grep -q '"ready": true'; }

# daemon_spawn [COMMAND...]: start it, do not wait. Sets DPID.
daemon_spawn() {
	# Descriptor 3 is bats' own: left open it would make bats wait for the daemon.
	"${AS_USER[@]}" "$@" "$BIN/supervisor/objmapperd" --config "$CONF" </dev/null >>"$LOG" 2>&1 3>&- 4>&- &
	DPID=$!
}

# Wait until it serves with all its processes: READY.
daemon_wait() {
	local i
	for ((i = 0; i < 300; i++)); do
		if answers; then return 0; fi
		kill -0 "$DPID" 2>/dev/null || { echo "the daemon ended while it started:"; tail -n 30 "$LOG"; return 1; }
		sleep 0.05
	done
	echo "the daemon is not ready after 15 s"
	tail -n 30 "$LOG"
	return 1
}

daemon_start() { daemon_spawn "$@" && daemon_wait; }

# daemon_stop: SIGTERM; the exit status must be 0.
daemon_stop() {
	local pid=$DPID r=0
	DPID=
	kill -TERM "$pid"
	wait "$pid" || r=$?
	[ $r = 0 ] || { echo "the daemon ended with status $r"; tail -n 30 "$LOG"; }
	return $r
}

# daemon_kill: SIGKILL to the supervisor alone (its children must follow by themselves).
daemon_kill() {
	local pid=$DPID
	[ -n "$pid" ] || return 0
	DPID=
	kill -KILL "$pid" 2>/dev/null || true
	wait "$pid" 2>/dev/null || true
}

# json EXPRESSION: of the JSON on standard input, as `s`.
json() { python3 -c 'import json,sys; s=json.load(sys.stdin); v=eval(sys.argv[1]); print(v if not isinstance(v,(dict,list)) else json.dumps(v))' "$1"; }
status_of() { objmctl --json status | json "$1"; }
worker_pids() { status_of "' '.join(str(w['pid']) for w in s['workers'])"; }

# The first Python that the test user may run: root's own may lie below a closed directory.
for PYTHON in "$(command -v python3)" /usr/bin/python3; do as_user test -x "$PYTHON" && as_user "$PYTHON" -c '' 2>/dev/null && break; done
v1v2() { as_user "$PYTHON" -B "$LIB/v1v2.py" "$@"; }
wire() { as_user "$PYTHON" -B "$LIB/wire.py" "$@"; }
ext() { as_user "$PYTHON" -B "$LIB/ext.py" "$@"; }
# ext_begin ...: the same in the background; its id is in EXT.
# shellcheck disable=SC2034 # callers read EXT
ext_begin() { "${AS_USER[@]}" "$PYTHON" -B "$LIB/ext.py" "$@" 3>&- 4>&- & EXT=$!; }

# wait_until SECONDS COMMAND...: until it succeeds.
wait_until() {
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || { echo "not after the time given: $*"; return 1; }
		sleep 0.05
	done
}

# fails STATUS TEXT COMMAND...: it must fail with that status and say that text on standard error.
fails() {
	local want=$1 text=$2 err r=0
	shift 2
	err=$("$@" 2>&1 >/dev/null) || r=$?
	if [ $r != "$want" ] || [[ $err != *"$text"* ]]; then
		echo "$*: exit status $r (expected $want), message: $err (expected: $text)"
		return 1
	fi
}
