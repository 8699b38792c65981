#!/usr/bin/env bats
# Limits hold over all workers, are told to who hits them, and are counted.
load lib/daemon.bash

setup() { scenario_setup; }
teardown() { scenario_teardown; }

limits() { as_user "$PYTHON" -B "$LIB/limits.py" "$OBJM_SOCKET" "$@"; }
# Somebody whom the limits of one user hold: the daemon's own user and root are exempt from those.
as_other() { setpriv --reuid="$OTHER_UID" --regid="$OTHER_UID" --clear-groups --no-new-privs -- "$PYTHON" -B "$LIB/limits.py" "$OBJM_SOCKET" "$@"; }
refused() { objmctl --json counters | json "s['total']['refused']"; }

@test "connections in all, over four workers" {
	MIN_WORKERS=4 MAX_WORKERS=4 write_conf "limits: {connections: 30, connections_per_uid: 1000}"
	daemon_start
	limits connections 30
	[ "$(refused)" -ge 5 ]
}

@test "connections of one user, over four workers; others and the daemon's own user are served" {
	need_root
	MIN_WORKERS=4 MAX_WORKERS=4 write_conf "limits: {connections: 100, connections_per_uid: 20}"
	daemon_start
	as_other connections 20
	mkfifo "$T/in" "$T/out"
	as_other served 20 <"$T/in" >"$T/out" 3>&- 4>&- &
	exec 7>"$T/in"
	read -r _ <"$T/out"
	limits served 40 </dev/null
	exec 7>&-
	wait $!
}

@test "a worker that dies gives back what its clients held" {
	need_root
	MIN_WORKERS=2 MAX_WORKERS=2 write_conf "limits: {connections: 100, connections_per_uid: 20}"
	daemon_start
	as_other connections 20
	for p in $(worker_pids); do kill -KILL "$p"; done
	wait_until 15 answers
	as_other connections 20
}

@test "a worker that has no descriptors for more connections leaves them to another" {
	MIN_WORKERS=2 MAX_WORKERS=2 write_conf "limits: {connections: 10000, connections_per_uid: 10000, put_sessions: 16}" "index: {max_open_fds: 64}"
	(ulimit -n 1200; daemon_start; declare -p DPID >"$T/dpid")
	. <(sed 's/declare --/DPID=;/; s/^DPID=; //' "$T/dpid")
	read -r idle busy < <(worker_pids)
	kill -STOP "$idle" # so that the other one gets all of them
	limits served 400 30 </dev/null >"$T/served" 2>&1 3>&- & # of 2 x 300
	full() { [ "$(objmctl --json counters | json "next(w['counters']['connections'] for w in s['workers'] if w['pid'] == $busy)")" = 300 ]; }
	wait_until 20 full
	kill -CONT "$idle"
	wait $! || { cat "$T/served"; false; }
	[ "$(refused)" = 0 ]
}

@test "open puts of one user, over four workers" {
	need_root
	MIN_WORKERS=4 MAX_WORKERS=4 write_conf "limits: {put_sessions: 100, put_sessions_per_uid: 20}"
	daemon_start
	as_other sessions 20
}

@test "watches of one user, over four workers" {
	local out
	need_root
	MIN_WORKERS=4 MAX_WORKERS=4 write_conf "limits: {watches_per_uid: 20}"
	daemon_start
	as_other watches 20
	# one of them, by hand; the command says why it ends
	objmctl set limits.watches_per_uid 1
	out=$(setpriv --reuid="$OTHER_UID" --regid="$OTHER_UID" --clear-groups -- timeout 20 "$PYTHON" -B -c '
import subprocess, sys
sys.path.insert(0, sys.argv[3])
from watch import Watch
w = Watch(sys.argv[1])
assert w.status == 0, w.error
r = subprocess.run([sys.argv[2], "-s", sys.argv[1], "watch"], capture_output=True, text=True)
print(r.returncode, r.stderr)' "$OBJM_SOCKET" "$(command -v objm)" "$LIB" 3>&- 4>&-)
	[[ $out == "1 "*limits.watches_per_uid* ]] || { echo "$out"; return 1; }
}

@test "open puts in all, over four workers" {
	MIN_WORKERS=4 MAX_WORKERS=4 write_conf "limits: {put_sessions: 24, put_sessions_per_uid: 1000}"
	daemon_start
	limits sessions 24
}

@test "pages and frames" {
	write_conf "limits: {list_page: 17, frame_bytes: 64K}"
	daemon_start
	limits page 17
	limits frame 65536
}

@test "listings that nobody reads are bounded by limits.connection_queue" {
	local now last=-1
	write_conf "limits: {connection_queue: 1M, request_timeout: 1m}"
	daemon_start
	mkfifo "$T/in"
	limits lists 250 <"$T/in" >"$T/files/out" 3>&- 4>&- & # 250 MB of names
	exec 7>"$T/in"
	wait_until 30 grep -q asked "$T/files/out"
	queued() { objmctl --json connections | json "max([c['queued_bytes'] for c in s['connections']] or [0])"; }
	some() { now=$(queued); [ "$now" -ge 1048576 ]; }
	wait_until 20 some
	while [ "$now" != "$last" ]; do # until no more comes
		[ "$now" -le 4194304 ] || { echo "$now bytes are queued"; false; }
		last=$now
		sleep 0.2
		now=$(queued)
	done
	echo go >&7
	exec 7>&-
	wait $!
}

@test "a client that may have few descriptors is told so, and gets no answer without its descriptor" {
	local n i out
	write_conf
	daemon_start
	mkdir "$T/few"
	for i in $(seq 40); do echo "whole $i" >"$T/few/$i"; done
	objm put -r /few "$T/few" >/dev/null
	# 0 to 2, the socket, and none for the object
	out=$( (ulimit -n 4; exec objm cat /few/1) 2>&1 3>&- 4>&- </dev/null) && { echo "no descriptor was to be had: $out"; return 1; }
	[[ $out == *"ulimit -n"* ]]
	[ "$( (ulimit -n 8; exec objm cat /few/7) 3>&- 4>&- </dev/null)" = "whole 7" ]
	for n in 5 6 7 8 10 12 16; do
		if out=$( (ulimit -n $n; exec timeout 20 objm get -r /few "$T/out.$n") 2>&1 3>&- 4>&- </dev/null); then
			diff -r "$T/few" "$T/out.$n"
		else # said, and what is there is whole
			[[ $out == *"ulimit -n"* || $out == *"Too many open files"* ]] || { echo "$n: $out"; return 1; }
			for i in "$T/out.$n"/*; do [ ! -e "$i" ] || cmp "$i" "$T/few/${i##*/}"; done
		fi
	done
	objm cat /few/40 >/dev/null
}
