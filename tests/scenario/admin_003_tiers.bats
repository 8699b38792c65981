#!/usr/bin/env bats
# objmctl doctor; tier list with all that is known; drain: everything moves off while it serves, over a restart.
load lib/daemon.bash

setup() { scenario_setup; }
teardown() { scenario_teardown; }

tier() { objmctl --json tier list | json "[t['$2'] for t in s['tiers'] if t['name'] == '$1'][0]"; }
has() { [ "$(tier "$1" objects)" = "$2" ]; }

@test "doctor: each finding with what to do; a tier that is away is an error" {
	DISK=/proc/nowhere write_conf
	daemon_start
	objmctl --json doctor >"$T/d"
	[ "$(json "s['errors'] >= 1" <"$T/d")" = True ]
	json "[c['todo'] for c in s['checks'] if c['check'] == 'tier disk'][0]" <"$T/d" | grep -q "tier add"
	json "sorted(set(c['check'] for c in s['checks']))" <"$T/d" >"$T/names"
	for n in kernel landlock "open files" protected_hardlinks state_dir "tier memory" user; do grep -q "\"$n\"" "$T/names"; done
	[ "$(json "[c for c in s['checks'] if c['verdict'] != 'ok' and not c['todo']]" <"$T/d")" = '[]' ]
	objmctl doctor | grep -q "^error *tier disk: /proc/nowhere"
}

@test "tier list says what is known" {
	write_conf
	daemon_start
	[ "$(tier disk draining)" = False ]
	[ "$(tier disk durability)" = sync ]
	[ "$(tier memory perf_factor)" = 1.0 ]
	[ "$(tier disk hard_bound)" = False ]
	[ "$(tier disk roles)" = '["default"]' ]
	[ "$(tier memory roles)" = '["ephemeral", "cache"]' ]
	objmctl tier list | grep -q BOUND
	daemon_stop
}

@test "drain: objects move off, new ones go elsewhere, a restart goes on with it, --stop ends it" {
	write_conf
	sed -i "/name: disk/a\\  - {name: second, type: hdd, path: $T/run/second, capacity: 1G}" "$CONF"
	daemon_start
	for i in 1 2 3 4 5 6 7 8; do printf "v$i" | objm put "/o/$i" -; done
	has disk 8
	fails 1 'no tier "nosuch"' objmctl tier drain nosuch
	objmctl tier drain disk | grep -q "is being drained"
	[ "$(tier disk draining)" = True ]
	[ "$(tier disk state)" = read-only ]
	wait_until 60 has disk 0
	has second 8
	printf new | objm put /o/new -
	has second 9
	daemon_stop
	daemon_start
	[ "$(tier disk draining)" = True ]
	for i in 1 2 3 4 5 6 7 8; do [ "$(objm cat "/o/$i")" = "v$i" ]; done
	printf more | objm put /o/more -
	has second 10
	objmctl tier drain disk --stop | grep -q "no longer"
	[ "$(tier disk draining)" = False ]
	printf back | objm put /o/back -
	has disk 1
}

@test "connections: who is connected, of all workers; a worker that is stopped does not hold the answer up" {
	write_conf
	daemon_start
	objmctl --json connections >"$T/none"
	[ "$(json "[s['total'], s['complete'], s['connections']]" <"$T/none")" = '[0, true, []]' ]
	as_user "$PYTHON" -c '
import socket, sys, time
conns = [socket.socket(socket.AF_UNIX) for _ in range(80)]
for c in conns: c.connect(sys.argv[1])
print("connected", flush=True)
sys.stdin.read()' "$OBJM_SOCKET" < <(sleep 60) >"$T/conns" 3>&- &
	holder=$!
	wait_until 10 grep -q connected "$T/conns"
	wait_until 10 all_listed
	objmctl --json connections >"$T/c"
	[ "$(json "[s['complete'], len(s['connections']), sorted(set(c['uid'] for c in s['connections']))]" <"$T/c")" = \
		"[true, 80, [$(as_user id -u)]]" ]
	[ "$(json "len(set(c['worker'] for c in s['connections'])) >= 1 and all(c['pid'] and c['outstanding'] == 0 for c in s['connections'])" <"$T/c")" = True ]
	objmctl connections | head -n 1 | grep -q "UNANSWERED"
	kill "$holder"
	wait "$holder" || true
	worker=$(worker_pids | cut -d' ' -f1)
	as_user kill -STOP "$worker"
	[ "$(objmctl --json connections | json "s['complete']")" = False ]
	as_user kill -CONT "$worker" 2>/dev/null || true # it may have been replaced meanwhile
}
all_listed() { [ "$(objmctl --json connections | json "s['total']")" = 80 ]; }
