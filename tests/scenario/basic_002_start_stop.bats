#!/usr/bin/env bats
# Starting, stopping, restarting; the errors of a start that cannot work.
load lib/daemon.bash

setup() { scenario_setup; write_conf; }
teardown() { scenario_teardown; }

@test "a clean stop leaves no socket and no process; everything is there after the start" {
	daemon_start
	printf disk | objm put /d -
	printf memory | objm put --ephemeral /m -
	pids=$(status_of "' '.join(str(p['pid']) for p in s['workers'] + [s['lifecycle']])")
	daemon_stop
	for p in $pids; do [ ! -d "/proc/$p" ]; done
	[ ! -e "$OBJM_SOCKET" ]
	[ ! -e "$OBJMCTL_SOCKET" ]
	daemon_start
	[ "$(objm cat /d)" = disk ]
	[ "$(objm cat /m)" = memory ]
	[ "$(objm ls)" = "$(printf '/d\n/m')" ]
}

@test "kill -9 of the supervisor: its children end, stale sockets are no obstacle, both objects are there" {
	daemon_start
	printf disk | objm put /d -
	printf memory | objm put --ephemeral /m -
	pids=$(status_of "' '.join(str(p['pid']) for p in s['workers'] + [s['lifecycle']])")
	daemon_kill
	for p in $pids; do wait_until 5 test ! -d "/proc/$p"; done
	daemon_start
	[ "$(objm cat /d)" = disk ]
	[ "$(objm cat /m)" = memory ]
}

@test "a killed worker and a killed lifecycle process are replaced within a second or so" {
	daemon_start
	before=$(worker_pids)
	for p in $before; do as_user kill -KILL "$p"; done
	as_user kill -KILL "$(status_of "s['lifecycle']['pid']")"
	sleep 1.2
	objm ls
	after=$(worker_pids)
	for p in $before; do [[ " $after " != *" $p "* ]]; done
	[ "$(wc -w <<<"$after")" = 2 ]
	grep -q -i "kill" "$LOG"
}

@test "a put in steps goes on over restarts and kills of the daemon" {
	! grep -q __asan_init "$BIN/client/libobjm.so.0" || skip "python cannot load a library with a sanitizer in it"
	write_conf
	daemon_start
	local size how
	for size in 5 300000; do
		for how in stop kill; do
			mkfifo "$T/go"
			as_user "$PYTHON" -B "$LIB/put_steps.py" "$BIN/client/libobjm.so.0" "$OBJM_SOCKET" "/steps/$size/$how" "$size" \
				<"$T/go" >"$T/steps" 2>&1 3>&- &
			local client=$!
			exec 9>"$T/go"
			wait_until 10 grep -q half "$T/steps"
			daemon_$how
			daemon_start
			echo go >&9
			exec 9>&-
			wait "$client" || { cat "$T/steps"; return 1; }
			[ "$(objm cat "/steps/$size/$how" | wc -c)" = $((2 * size + 4)) ]
			[ "$(objm cat "/steps/$size/$how" | tr -d x)" = end ]
			rm "$T/go"
		done
	done
	[ "$(objm ls | wc -l)" = 4 ]
}

@test "a second daemon on the same directories is refused, the first one goes on" {
	daemon_start
	first=$DPID
	sed "s/[da]\.sock/2&/; s/l\.sock/2l.sock/" "$CONF" >"$T/second.yaml"
	r=0
	as_user timeout 30 "$BIN/supervisor/objmapperd" --config "$T/second.yaml" >"$T/second.log" 2>&1 3>&- || r=$?
	cat "$T/second.log"
	[ $r = 1 ]
	kill -0 "$first"
	objm ls
}

@test "a live socket is not taken over" {
	daemon_start
	sed "s|$T/run/state|$T/run/state2|; s|$T/run/disk|$T/run/disk2|; s|path: $M|path: $M/2|" "$CONF" >"$T/second.yaml"
	r=0
	as_user timeout 30 "$BIN/supervisor/objmapperd" --config "$T/second.yaml" >"$T/second.log" 2>&1 3>&- || r=$?
	cat "$T/second.log"
	[ $r = 1 ]
	grep -q "d.sock\|a.sock" "$T/second.log"
	objm ls
}

@test "errors of the start: message and exit status" {
	start_fails() {
		local want=$1 text=$2 r=0
		as_user timeout 30 "$BIN/supervisor/objmapperd" --config "$CONF" >"$T/out" 2>&1 3>&- || r=$?
		cat "$T/out"
		[ $r = "$want" ]
		grep -q -e "$text" "$T/out"
	}
	echo "backends: [{name: x, type: floppy, path: /x, capacity: 1G}]" >"$CONF"
	start_fails 2 "objmapper.yaml:1"
	rm "$CONF"
	start_fails 2 "objmapper.yaml"
}

# What is configured and cannot be used is absent: said in the log with the reason, and the others serve.
tier_state() { objmctl --json tier list | json "[t['state'] for t in s['tiers'] if t['name'] == '$1'][0]"; }

@test "a tier whose directory cannot be made is absent: the log says why, puts to it fail clearly, others serve" {
	DISK=/proc/nowhere write_conf
	daemon_start
	grep -q "disk.*/proc/nowhere.*No such file" "$LOG"
	[ "$(tier_state disk)" = absent ]
	printf x >"$T/files/x"
	fails 1 "/x" objm put /x "$T/files/x"
	objm put --ephemeral /e "$T/files/x"
	[ "$(objm cat /e)" = x ]
	daemon_stop
}

@test "a tier whose directory may not be written is absent" {
	need_root
	mkdir "$T/closed" # root's: the test user cannot make anything in it
	chmod 755 "$T/closed"
	DISK=$T/closed/disk write_conf
	daemon_start
	grep -q "disk.*$T/closed.*Permission denied" "$LOG"
	[ "$(tier_state disk)" = absent ]
}

@test "a disk that is away: its objects are unavailable, not lost; they are there when it is back" {
	daemon_start
	printf disk | objm put /d -
	printf memory | objm put --ephemeral /m -
	daemon_stop
	mv "$DISK" "$DISK.away"
	daemon_start
	[ "$(objm cat /m)" = memory ]
	fails 1 "not available" objm get /d
	daemon_stop
	[ ! -e "$DISK/objects" ] || [ -z "$(find "$DISK/objects" -type f)" ]
	rm -rf "$DISK"
	mv "$DISK.away" "$DISK"
	daemon_start
	[ "$(objm cat /d)" = disk ]
}

@test "a memory tier on a disk is not used" {
	case $(stat -f -c %T "$T/run") in tmpfs) skip "the test directory is on tmpfs" ;; esac
	mkdir "$T/run/notmem"
	[ "$(id -u)" != 0 ] || chown "$TEST_UID" "$T/run/notmem"
	sed -i "s|path: $M,|path: $T/run/notmem,|" "$CONF"
	daemon_start
	grep -q "memory.*tmpfs" "$LOG"
	[ "$(tier_state memory)" = absent ]
	printf x >"$T/files/x"
	fails 1 "" objm put --ephemeral /e "$T/files/x"
	[ -z "$(find "$T/run/notmem" -type f)" ]
	objm put /d "$T/files/x"
}

@test "--check-config, --print-config, --list-faults, --version, --help" {
	as_user "$BIN/supervisor/objmapperd" --config "$CONF" --check-config
	as_user "$BIN/supervisor/objmapperd" --config "$CONF" --print-config >"$T/files/printed.yaml"
	as_user "$BIN/supervisor/objmapperd" --config "$T/files/printed.yaml" --check-config
	[ "$("$BIN/supervisor/objmapperd" --list-faults | wc -l)" -ge 10 ]
	"$BIN/supervisor/objmapperd" --version
	"$BIN/supervisor/objmapperd" --help | grep -q -e --config
	r=0; "$BIN/supervisor/objmapperd" --no-such-option 2>/dev/null || r=$?
	[ $r = 2 ]
}

@test "--user: started as root it runs as the user, with directories of theirs" {
	need_root
	id nobody >/dev/null
	mkdir "$T/mine"
	chmod 755 "$T/mine"
	"$BIN/supervisor/objmapperd" --embedded "$T/mine" "$M/mine" --user nobody </dev/null >>"$LOG" 2>&1 3>&- &
	DPID=$!
	OBJM_SOCKET=$T/mine/objmapper.sock OBJMCTL_SOCKET=$T/mine/objmapper-ctl.sock MIN_WORKERS=1
	export OBJM_SOCKET OBJMCTL_SOCKET
	daemon_wait
	[ "$(stat -c %U "/proc/$DPID/cmdline")" = nobody ] || [ "$(awk '/^Uid:/{print $2}' "/proc/$DPID/status")" = "$(id -u nobody)" ]
	printf x | objm put /x -
	[ "$(objm cat /x)" = x ]
	daemon_stop
}
