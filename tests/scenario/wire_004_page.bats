#!/usr/bin/env bats
# doc/protocol.md is true: its requests, byte for byte, get the answers that it shows, from a client that knows nothing else.
load lib/daemon.bash

setup() {
	scenario_setup
	TCP=127.0.0.1:$(python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])')
	write_conf "access: {rules: [{user: '*', rights: [read, write, delete, list, pin]}, {address: 127.0.0.1, rights: [read]}]}"
	sed -i "s|^  mode: 0666|  mode: 0666\n  tcp: ['$TCP']|" "$CONF"
	daemon_start
}
teardown() { scenario_teardown; }

@test "the page's bytes" {
	cp "$ROOT/doc/protocol.md" "$T/page.md"
	as_user "$PYTHON" -B "$LIB/page.py" "$OBJM_SOCKET" "$TCP" "$T/page.md" >"$T/out"
	sed 's/^/# /' "$T/out" >&3
}
