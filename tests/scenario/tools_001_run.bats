#!/usr/bin/env bats
# tools/run itself, in a copy of the checkout whose path has spaces, with the programs that are already built.
load lib/daemon.bash

setup() {
	scenario_setup
	COPY="$T/check out"
	mkdir -p "$COPY"
	(cd "$ROOT" && tar c --exclude='./build*' --exclude=./.git --exclude=./run .) | tar x -C "$COPY"
	unset OBJM_SOCKET OBJMCTL_SOCKET XDG_RUNTIME_DIR
}
teardown() {
	"$COPY/tools/run" stop >/dev/null 2>&1 || true
	[ ! -s "$COPY/run/memdir" ] || rm -rf "$(cat "$COPY/run/memdir")"
	scenario_teardown
}

@test "run, run again, kill -9, run again, stop" {
	[ -z "${OBJM_TEST_QUICK:-}" ] || skip "builds everything"
	[ -z "$("$COPY/tools/deps" missing build)" ] || skip "packages are missing"
	cd /
	"$COPY/tools/run" >"$T/out" 2>&1 3>&- || { cat "$T/out"; false; }
	grep -q "The same as doc/logo.svg" "$T/out"
	# The lines that it prints work as they stand.
	eval "$(grep -E '^ +export PATH=' "$T/out")"
	objm put /hello /etc/hostname
	objm get /hello | cmp - /etc/hostname
	objm put --ephemeral /tmp/hello /etc/hostname
	objmctl tier list
	pid=$(cat "$COPY/run/objmapperd.pid")
	"$COPY/tools/run" 3>&- | grep -q "is running (pid $pid)"
	kill -KILL "$pid"
	"$COPY/tools/run" >"$T/out" 2>&1 3>&- || { cat "$T/out"; false; }
	objm get /hello | cmp - /etc/hostname
	objm get /tmp/hello | cmp - /etc/hostname
	pid=$(cat "$COPY/run/objmapperd.pid")
	"$COPY/tools/run" stop
	# Ended; whoever inherited it may take a moment to collect its status.
	[ -z "$(tr -d '\0' <"/proc/$pid/cmdline" 2>/dev/null)" ]
	"$COPY/tools/run" stop
	fails 1 "not running" "$COPY/tools/run" status
	# One that cannot start is not waited for.
	rm -f "$COPY/run/objmapper.sock"
	mkdir "$COPY/run/objmapper.sock"
	fails 1 "ended while it started" "$COPY/tools/run"
	rmdir "$COPY/run/objmapper.sock"
	# The tour of README.md, as it stands.
	"$COPY/tools/run" >"$T/out" 2>&1 3>&- || { cat "$T/out"; false; }
	python3 "$LIB/commands.py" run "$ROOT/README.md" >"$T/tour"
	grep -q 'objm put /logo' "$T/tour"
	(cd "$COPY" && bash -e -x "$T/tour" >"$T/out" 2>&1 3>&-) || { tail -n 20 "$T/out"; false; }
	cmp "$COPY/copy.svg" "$ROOT/doc/logo.svg"
	fails 1 "not running" "$COPY/tools/run" status
}

@test "a path that is too long for a socket is said, with the length" {
	deep=$T/$(printf 'd%.0s' $(seq 1 100))
	mkdir -p "$deep/tools"
	cp "$ROOT"/tools/run "$ROOT"/tools/deps "$ROOT"/tools/packages "$deep/tools/"
	fails 1 "107" "$deep/tools/run"
}
