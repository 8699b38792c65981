# What an operator finds in the journal: fields to search by, explanations, bounds, and clear lines when something runs out.

setup_file() {
	load lib/box
	box_up
	[ -z "$WHY_NOT" ] || return 0
	in_box bash -e <<-'END'
		systemctl start objmapper.socket objmapper-ctl.socket
		grep -q '^log:' /etc/objmapper/objmapper.yaml || printf 'log: {access: 1}\n' >>/etc/objmapper/objmapper.yaml
		systemctl start objmapper.service
		seq 1000 >/tmp/file
		chmod 644 /tmp/file
	END
}
teardown_file() { load lib/box; box_down; }
setup() { load lib/box; box_setup; SINCE=$(now); }
teardown() { box_teardown; }

# records MATCH...: as JSON, one a line
records() { in_box journalctl -q -o json "$@"; }
ACCESS=MESSAGE_ID=5f0d7f3c1a1b4e0f9b1f4d1f7a3c0020

@test "a request's record has uri, id, tier, client, duration as fields" {
	as alice objm put /fields/a /tmp/file
	as alice objm cat /fields/a >/dev/null
	wait_until 10 sh -c "\"$BOX\" exec journalctl -q -o json OBJM_URI=/fields/a 3>&- | grep -q 'GET /fields/a'"
	records OBJM_URI=/fields/a | grep 'GET /fields/a' | head -n 1 >"$BATS_TEST_TMPDIR/r"
	python3 - "$BATS_TEST_TMPDIR/r" "$(in_box id -u alice)" <<-'END'
		import json, sys
		r = json.load(open(sys.argv[1]))
		assert r["MESSAGE_ID"] == "5f0d7f3c1a1b4e0f9b1f4d1f7a3c0020" and r["PRIORITY"] == "6", r
		assert r["OBJM_EVENT"] == "ACCESS" and r["OBJM_TIER"] == "disk", r
		assert int(r["OBJM_ID"]) > 0 and int(r["OBJM_CLIENT_PID"]) > 0 and int(r["OBJM_DURATION_US"]) >= 0, r
		assert r["OBJM_CLIENT_UID"] == sys.argv[2] and r["OBJM_PROCESS"].startswith("worker "), r
		assert r["OBJM_REQUEST"].isdigit() and r["_SYSTEMD_UNIT"] == "objmapper.service", r
	END
}

@test "a URI with a line break is one record, found by its URI" {
	local uri=$'/line\nbreak'
	as alice objm put "$uri" /tmp/file
	wait_until 10 sh -c "[ -n \"\$(\"$BOX\" exec journalctl -q -o json \"OBJM_URI=\$1\" 3>&-)\" ]" - "$uri"
}

@test "a client that talks nonsense: limited lines with its uid and pid" {
	in_box runuser -u alice -- python3 - <<-'END'
		import socket
		for i in range(200):
		    s = socket.socket(socket.AF_UNIX)
		    s.connect("/run/objmapper/objmapper.sock")
		    s.sendall(b"\xff" * 64)
		    s.settimeout(10)
		    try:
		        while s.recv(64): pass
		    except OSError: pass
	END
	local n
	wait_until 10 sh -c "[ -n \"\$(\"$BOX\" exec journalctl -q -o json OBJM_EVENT=PEER_BAD 3>&-)\" ]"
	records OBJM_EVENT=PEER_BAD --since "@$SINCE" "OBJM_CLIENT_UID=$(in_box id -u alice)" | grep -q '"OBJM_CLIENT_PID"'
	n=$(records OBJM_EVENT=PEER_BAD --since "@$SINCE" | wc -l)
	[ "$n" -ge 5 ]
	[ "$n" -le 100 ] # of 200: OM_LOG_BURST a window and a process
}

@test "every message of the daemon has a MESSAGE_ID that journalctl -x explains" {
	in_box journalctl --update-catalog
	in_box bash -e <<-'END'
		journalctl -q -o json -u objmapper.service | grep -o '"MESSAGE_ID":"5f0d7f3c[0-9a-f]*"' | sort -u | cut -d'"' -f4 >/tmp/ids
		[ "$(wc -l </tmp/ids)" -ge 5 ]
		while read -r id; do
			journalctl --catalog "$id" 2>/dev/null || journalctl --dump-catalog "$id"
		done </tmp/ids >/tmp/texts
		[ "$(grep -c 'Subject: objmapper: ' /tmp/texts)" = "$(wc -l </tmp/ids)" ]
	END
}

@test "few descriptors: the journal names the limit, and it serves" {
	in_box bash -e <<-'END'
		mkdir -p /etc/systemd/system/objmapper.service.d
		printf '[Service]\nLimitNOFILE=400\n' >/etc/systemd/system/objmapper.service.d/test.conf
		systemctl daemon-reload
		systemctl restart objmapper.service
	END
	wait_until 20 ready
	records OBJM_EVENT=LIMIT --since "@$SINCE" | says "400"
	as alice sh -c 'objm cat /fields/a | cmp - /tmp/file'
}

@test "hardly any descriptors: a clear line, and a start later, not a crash" {
	in_box bash -e <<-'END'
		printf '[Service]\nLimitNOFILE=24\n' >/etc/systemd/system/objmapper.service.d/test.conf
		systemctl daemon-reload
		systemctl restart --no-block objmapper.service
	END
	wait_until 20 sh -c "\"$BOX\" exec journalctl -q -o cat -p err --since @$SINCE -u objmapper.service 3>&- | grep -q -i 'files'"
	# nothing was killed by a signal of its own making
	[ -z "$(journal | grep -E 'code=(dumped|killed).*(SEGV|ABRT|BUS)')" ]
	in_box bash -e <<-'END'
		rm /etc/systemd/system/objmapper.service.d/test.conf
		systemctl daemon-reload
		systemctl restart objmapper.service
	END
	wait_until 20 ready
	as alice sh -c 'objm cat /fields/a | cmp - /tmp/file'
}

# LIMIT: a start under it fails, and says why; SINCE is when.
starved() {
	SINCE=$(in_box date +%s.%N)
	in_box bash -e -s "$1" <<-'END'
		printf '[Service]\nRestart=no\n%s\n' "$1" >/etc/systemd/system/objmapper.service.d/test.conf
		systemctl daemon-reload
		systemctl stop objmapper.service objmapper.socket objmapper-ctl.socket
		if timeout 10 systemctl start objmapper.service 2>/dev/null; then exit 1; fi
	END
	records OBJM_EVENT=FATAL --since "@$SINCE" | grep -qE 'memory|thread' &&
		[ "$(prop objmapper.service ExecMainStatus)" = 1 ] &&
		[ "$(prop objmapper.service ExecMainCode)" = 1 ] # it exited; no signal
}

# The limit counts what the user has on the whole machine: another box may run beside this one, whose user has the same number. When that
# one's processes end in between, the limit is too high, a worker or two comes up, and the start neither fails nor is done: again.
few_processes() {
	local uid
	uid=$(in_box id -u objmapper)
	starved "LimitNPROC=$(($(ps -eLo uid= | grep -cw "$uid") + 3))"
}

@test "hardly any memory, or processes: the last line of a start that fails says what is missing, and nothing crashes" {
	local limit
	for limit in LimitAS=1G LimitDATA=24M LimitDATA=8M; do
		starved "$limit" || { echo "$limit:"; journal; return 1; }
	done
	in_box systemctl stop objmapper.service
	wait_until 60 few_processes || { journal; return 1; }
	in_box bash -e <<-'END'
		rm /etc/systemd/system/objmapper.service.d/test.conf
		systemctl daemon-reload
		systemctl reset-failed objmapper.service
		systemctl start objmapper.service
	END
	wait_until 20 ready
	as alice sh -c 'objm cat /fields/a | cmp - /tmp/file'
}

@test "a journal that does not read stops nobody; what was lost is counted" {
	local journald i
	journald=$(prop systemd-journald.service MainPID)
	in_box kill -STOP "$journald"
	# log.access is on: more lines than any queue holds
	in_box runuser -u alice -- sh -c 'for i in $(seq 400); do timeout 10 objm cat /fields/a >/dev/null || { echo "call $i"; exit 1; }; done' ||
		{ in_box kill -CONT "$journald"; return 1; }
	ready || { in_box kill -CONT "$journald"; return 1; }
	in_box kill -CONT "$journald"
	as alice objm cat /fields/a >/dev/null
	wait_until 20 sh -c "\"$BOX\" exec journalctl -q -o cat OBJM_EVENT=NOTE 3>&- | grep -q 'lines were lost: the journal did not read'"
	[ "$(prop objmapper.service NRestarts)" -le 1 ]
}
