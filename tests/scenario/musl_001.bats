#!/usr/bin/env bats
# libobjm with another C library, against a real daemon: descriptors by the hundred in one message.
load lib/daemon.bash

setup() { scenario_setup; }
teardown() { scenario_teardown; }

# plain PROGRAM MAX_FDS
plain() { as_user "$1" "$OBJM_SOCKET" "$2"; }

@test "built with musl: 252 descriptors to a message by default, 253 when asked for, one at a time" {
	command -v musl-gcc >/dev/null || skip "musl-gcc is not installed (musl-tools)"
	write_conf
	daemon_start
	"$ROOT/tools/musl" "$T/musl"
	chmod -R a+rX "$T/musl"
	for n in 0 252 253 1; do plain "$T/musl/plain_client" $n; done
}

@test "the same client with glibc" {
	write_conf
	daemon_start
	cp "$BUILD/tests/torture/plain_client" "$T/"
	for n in 0 253 1; do LD_LIBRARY_PATH=$BIN/client plain "$T/plain_client" $n; done
}
