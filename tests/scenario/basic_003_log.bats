# The log as lines on standard error: priorities, one line a message, requests where they are asked for. (The journal's fields:
# tests/systemd/journal_001_fields.bats.)

setup() { load lib/daemon; scenario_setup; }
teardown() { scenario_teardown; }

@test "every line has a priority, and requests are not in the log" {
	write_conf
	daemon_start
	objm put /a "$CONF"
	objm cat /a >/dev/null
	not objm cat /none 2>/dev/null
	daemon_stop
	not grep -v -E '^<[3-7]>objmapper[a-z-]*\[[0-9]+\]: ' "$LOG"
	[ -z "$(grep -F '/a' "$LOG" | grep -v -F "$T")" ]
}

@test "log.access: a line a request with uri, status, bytes, time and client" {
	write_conf 'log: {access: 1}'
	daemon_start
	printf 12345 >"$T/files/five"
	objm put /a "$T/files/five"
	objm cat /a >/dev/null
	not objm cat /none 2>/dev/null
	objm put "/line
break" "$T/files/five"
	objm ls >/dev/null
	objm rm /a
	daemon_stop
	local client="uid [0-9]+ pid [1-9][0-9]*\$"
	grep -E "^<6>.*: worker [12]: PUT_(COMMIT|INLINE) .*: OK, .* $client" "$LOG"
	grep -E "^<6>.*: worker [12]: GET /a: OK as (a descriptor|bytes), 5 bytes, [0-9]+ us, $client" "$LOG"
	grep -E "GET /none: no such object, 0 bytes" "$LOG"
	grep -F '/line\x0abreak' "$LOG"
	grep -E "DELETE /a: OK" "$LOG"
	grep -E "LIST " "$LOG"
}

@test "log.access: a sample of the requests" {
	MIN_WORKERS=1 MAX_WORKERS=1 write_conf 'log: {access: 0.1}'
	daemon_start
	local i n
	for i in $(seq 10); do objm ls >/dev/null; done
	daemon_stop
	n=$(grep -c -E "worker 1: " "$LOG")
	[ "$n" -ge 1 ]
	[ "$(grep -c -E " us, uid " "$LOG")" -le 6 ]
}
