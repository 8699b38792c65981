#!/usr/bin/env bats
# A second implementation, written from doc/protocol.md alone (tests/second): its client against our daemon, on every kind of
# socket, and our client against its server, which does whatever else the page allows.
load lib/daemon.bash

SECOND=$ROOT/tests/second

setup() { scenario_setup; SERVER= WATCH=; }
teardown() {
	end $SERVER $WATCH
	scenario_teardown
}

# end PID...: started here, with no commands to run at its end.
end() {
	local pid
	for pid in "$@"; do
		kill "$pid"
		wait "$pid" || true
	done
}

conform() { as_user "$PYTHON" -B "$SECOND/conform.py" "$@"; }

@test "versions 1 and 2 and the extension, as the page has them" {
	write_conf
	daemon_start
	conform unix "$OBJM_SOCKET"
}

@test "the same over TCP, read-only" {
	PORT=$(python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])')
	write_conf "access: {rules: [{user: '*', rights: [read, write, delete, list]}, {address: 127.0.0.0/8, rights: [read, list]}]}"
	sed -i "s|^  mode: 0666|  mode: 0666\n  tcp: [$PORT]|" "$CONF"
	daemon_start
	conform tcp "127.0.0.1:$PORT" "$OBJM_SOCKET"
}

@test "existing clients that write" {
	write_conf
	daemon_start
	conform legacy "$LEGACY" "$OBJM_SOCKET"
}

# small_server MANNER: objm speaks to it from now on.
small_server() {
	local out=$T/files/server.$1
	export OBJM_SOCKET=$T/run/$1.sock
	end $SERVER
	"${AS_USER[@]}" "$PYTHON" -B "$SECOND/small_server.py" "$OBJM_SOCKET" "$1" >"$out" 2>"$out.err" 3>&- 4>&- &
	SERVER=$!
	wait_until 20 grep -q ready "$out"
}

mine() { timeout 60 objm "$@"; }

@test "our client takes whatever the page allows a server" {
	local f manner
	mkdir -p "$T/files/tree/sub"
	for f in 1 2 3 4 5 6 7; do head -c $((f * f * f * 500)) /dev/urandom >"$T/files/tree/$f"; done
	: >"$T/files/tree/sub/empty"
	head -c 3000000 /dev/urandom >"$T/files/tree/sub/big"
	chmod -R a+rX "$T/files/tree"
	for manner in plain bytewise late early split reverse extras pages again; do
		echo "manner: $manner"
		small_server $manner
		[ "$(mine cat /there)" = "from the start" ]
		mine put -r /tree "$T/files/tree"
		mine get -r /tree "$T/files/copy.$manner"
		diff -r "$T/files/tree" "$T/files/copy.$manner"
		[ "$(mine ls /tree/ | wc -l)" = 9 ]
		mine put /one "$T/files/tree/7" --type a/b --meta k=v
		mine set --type c/d /one
		mine pin /one
		[ "$(mine stat --json /one | json "[s['type'], s['flags'], s['meta']]")" = '["c/d", ["pinned"], {"k": "v"}]' ]
		mine exec /one -- cmp - "$T/files/tree/7"
		fails 1 "" mine put --no-clobber /one "$T/files/tree/1"
		fails 1 "no such object" mine stat /none
		rm -f "$T/files/watch" # what the last one said says nothing of this one
		objm watch --json / 3>&- 4>&- >"$T/files/watch" &
		WATCH=$!
		wait_until 20 grep -q lost "$T/files/watch"
		end $WATCH
		WATCH=
		[ "$(json '[s["change"], s["uri"]]' < <(grep /one "$T/files/watch"))" = '["put", "/one"]' ]
		mine rm -r /tree
		[ "$(mine ls)" = "$(printf '/one\n/there')" ]
	done
}

@test "our client gives up on what no server may send, and says so" {
	local manner
	for manner in magic version nofd request huge cut byte noobj stranger; do
		echo "manner: bad-$manner"
		small_server bad-$manner
		fails 1 "protocol" mine cat /there
		fails 1 "protocol" mine put /big "$BIN/supervisor/objmapperd"
	done
	small_server bad-hangup
	fails 1 "gone" mine cat /there
	small_server old
	fails 1 "does not offer the extension" mine cat /there
}
