#!/usr/bin/env bats
# The protocol over TCP: bytes only, nothing without a rule, read-only unless a rule says otherwise.
load lib/daemon.bash

setup() { scenario_setup; }
teardown() { scenario_teardown; }

# tcp_conf RULES: on a port that was free a moment ago.
tcp_conf() {
	PORT=$(python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])')
	TCP=127.0.0.1:$PORT
	write_conf "access: {rules: [{user: '*', rights: [read, write, delete, list]}$1]}"
	sed -i "s|^  mode: 0666|  mode: 0666\n  tcp: [$PORT]|" "$CONF"
}

files() {
	: >"$T/files/empty"
	printf x >"$T/files/one"
	echo small >"$T/files/small"
	head -c 3000000 /dev/urandom >"$T/files/big"
	chmod 644 "$T/files/"*
	objm put -r /t "$T/files"
}

@test "copy and splice over TCP, no descriptors, no writes" {
	tcp_conf ", {address: 127.0.0.0/8, rights: [read, list]}"
	daemon_start
	files
	wire "$TCP" tcp "$OBJM_SOCKET" "$T/files"
	wire "$TCP" tcp_write refused
	wire "$TCP" tcp_last_words /t/small
	# a port alone is loopback
	grep -q ":$(printf %04X "$PORT")" <(grep 0100007F /proc/net/tcp)
	not grep -q "00000000:$(printf %04X "$PORT")" /proc/net/tcp
}

@test "without a rule nothing is read over TCP" {
	tcp_conf ""
	daemon_start
	files
	run wire "$TCP" tcp "$OBJM_SOCKET" "$T/files"
	[ "$status" != 0 ]
	[ "$(as_user "$PYTHON" -B -c "import sys; sys.path.insert(0, '$LIB'); import v1v2; print(v1v2.V1('$TCP').get(b'/t/small', b'2').status)")" = 1 ]
}

@test "a rule can allow inline writes over TCP" {
	tcp_conf ", {address: 127.0.0.1, rights: [read, write, delete]}"
	daemon_start
	files
	wire "$TCP" tcp_write allowed
}
