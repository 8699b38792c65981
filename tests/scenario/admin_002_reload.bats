#!/usr/bin/env bats
# Reloading the configuration while serving: SIGHUP, objmctl reload, set, log-level, config; what is wrong changes nothing.
load lib/daemon.bash

setup() { scenario_setup; write_conf "limits: {connections_per_uid: 40}"; daemon_start; }
teardown() { scenario_teardown; }

value() { objmctl --json config --effective | json "[k['value'] for k in s['keys'] if k['key'] == '$1'][0]"; }
worker_count() { status_of "len([w for w in s['workers'] if w['state'] == 'ready'])"; }
has_workers() { [ "$(worker_count)" = "$1" ]; }

@test "what can change does; what needs a restart is named and stays as it was" {
	printf x | objm put /x -
	sed -i "s/min_workers: 2, max_workers: 2/min_workers: 3, max_workers: 4/; s/capacity: 8G/capacity: 1G/" "$CONF"
	cat >>"$CONF" <<-END
	drain_timeout: 1s
	io_threads: 7
	log: {level: debug}
	END
	objmctl --json reload >"$T/r"
	[ "$(json "sorted(k['key'] for k in s['applied'])" <"$T/r")" = \
	'["backends[disk].capacity", "drain_timeout", "log.level", "thread_pool.max_workers", "thread_pool.min_workers"]' ]
	[ "$(json "[k['key'] for k in s['restart']]" <"$T/r")" = '["io_threads"]' ]
	[ "$(value drain_timeout)" = 1s ]
	[ "$(value io_threads)" = 4 ]
	[ "$(objmctl --json tier list | json "[t['capacity_bytes'] for t in s['tiers'] if t['name'] == 'disk'][0]")" = 1073741824 ]
	wait_until 20 has_workers 3
	grep -q "io_threads has changed in the file: it needs a restart" "$LOG"
	[ "$(objm cat /x)" = x ]
	objmctl reload | grep -q "Needs a restart"
	daemon_stop
	daemon_start
	[ "$(value io_threads)" = 7 ]
}

@test "a bad file changes nothing; its error has line and key, for whoever asked" {
	before=$(objmctl --json config --effective)
	cp "$CONF" "$T/good"
	line=$(($(wc -l <"$CONF") + 2))
	printf '\nlog: {level: loud}\n' >>"$CONF"
	fails 1 "objmapper.yaml:$line: log.level" objmctl reload
	fails 1 "nothing has been changed" objmctl reload
	[ "$(objmctl --json config --effective)" = "$before" ]
	# SIGHUP: the journal is who asked
	: >"$LOG"
	as_user kill -HUP "$DPID"
	wait_until 10 grep -q "objmapper.yaml:$line: log.level" "$LOG"
	rm "$CONF"
	fails 1 "objmapper.yaml" objmctl reload
	cp "$T/good" "$CONF"
	sed -i 's/limits: {/limits: {connections: 77, /' "$CONF"
	chmod 644 "$CONF"
	as_user kill -HUP "$DPID"
	wait_until 10 grep -q "configuration: 1 keys changed" "$LOG"
	[ "$(value limits.connections)" = 77 ]
	printf y | objm put /y -
}

@test "no request is dropped while limits, rules and workers change" {
	printf x | objm put /x -
	: >"$T/stop"
	for i in 1 2 3; do
		(while [ -e "$T/stop" ]; do [ "$(objm cat /x)" = x ] || echo bad; done) >"$T/got.$i" 2>&1 3>&- &
		pids="${pids:-} $!"
	done
	for i in 1 2 3 4; do
		sed -i "s/limits: {.*}/limits: {connections_per_uid: $((40 + i)), put_sessions: $((100 + i)), connections: $((500 + i))}/" "$CONF"
		objmctl reload >/dev/null
		# put_sessions is sized at a worker's start: all are replaced, one after another
		wait_until 30 rolled
	done
	rm "$T/stop"
	# shellcheck disable=SC2086 # one word a process
	wait $pids
	[ ! -s "$T/got.1" ] && [ ! -s "$T/got.2" ] && [ ! -s "$T/got.3" ] || { cat "$T"/got.*; false; }
	[ "$(value limits.put_sessions)" = 104 ]
}

# The workers are other processes than at the last call, and as many as there should be.
rolled() {
	local now
	now=$(worker_pids)
	has_workers 2 || return 1
	[ "$(wc -w <<<"$now")" = 2 ] || return 1
	for p in ${LAST:-$(cat "$T/last" 2>/dev/null)}; do [[ " $now " != *" $p "* ]] || return 1; done
	echo "$now" >"$T/last"
}

@test "access rules: a reload gives and takes rights at once" {
	need_root
	printf x | objm put /pub/x -
	as_uid "$OTHER_UID" "$BIN/client/objm" cat /pub/x >/dev/null
	echo "access: {rules: [{user: $OTHER_UID, prefix: /other, rights: [read]}]}" >>"$CONF"
	objmctl reload | grep -q "access.rules"
	wait_until 10 denied
	sed -i "s|prefix: /other|prefix: /pub|" "$CONF"
	objmctl reload >/dev/null
	wait_until 10 as_uid "$OTHER_UID" "$BIN/client/objm" cat /pub/x
	objmctl explain /pub/x | grep -q "user $OTHER_UID"
}
denied() { ! as_uid "$OTHER_UID" "$BIN/client/objm" cat /pub/x >/dev/null 2>&1; }

@test "set: one key until the next reload; what cannot be is refused by name" {
	objmctl set limits.idle_timeout 5m | grep -q "5m"
	[ "$(value limits.idle_timeout)" = 5m ]
	objmctl config | grep -q "^limits.idle_timeout"
	[ "$(objmctl --json config | json "[k['set'] for k in s['keys'] if k['key'] == 'limits.idle_timeout'][0]")" = True ]
	objmctl log-level debug >/dev/null
	[ "$(value log.level)" = debug ]
	objmctl set "backends[disk].capacity" 2G >/dev/null
	[ "$(value "backends[disk].capacity")" = 2G ]
	fails 1 'no key "limits.nonsense"' objmctl set limits.nonsense 5
	# neither the socket nor objects have to do with it
	[ "$(objmctl set limits.nonsense 5 2>&1 || true)" = "objmctl: there is no key \"limits.nonsense\"; config --effective lists them (a tier's are backends[NAME].KEY)" ]
	fails 2 "no such option" objmctl --socketx "$OBJMCTL_SOCKET" status
	fails 1 "state_dir cannot be set" objmctl set state_dir /x
	fails 1 "log.level: found" objmctl set log.level loud
	fails 1 "log.level" objmctl log-level loud
	fails 1 "one line" objmctl set limits.connections "5 # x"
	objmctl reload >/dev/null
	[ "$(value limits.idle_timeout)" = 1h ]
	[ "$(value log.level)" = info ]
}

@test "shutdown: with drain and without" {
	objmctl shutdown --drain | grep -q "finishes"
	wait "$DPID"
	DPID=
	daemon_start
	objmctl shutdown | grep -q "ends"
	wait "$DPID"
	DPID=
}
