#!/usr/bin/env bats
# doc/protocol.md is true: its requests, byte for byte, get the answers that it shows, from a client that knows nothing else.
load lib/daemon.bash

setup() { scenario_setup; write_conf; daemon_start; }
teardown() { scenario_teardown; }

@test "the page's bytes" {
	cp "$ROOT/doc/protocol.md" "$T/page.md"
	as_user "$PYTHON" -B "$LIB/page.py" "$OBJM_SOCKET" "$T/page.md" >"$T/out"
	sed 's/^/# /' "$T/out" >&3
}
