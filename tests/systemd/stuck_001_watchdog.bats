# Processes that stand still without ending: what the supervisor replaces, and what systemd's watchdog does.

setup_file() {
	load lib/box
	box_up
	[ -z "$WHY_NOT" ] || return 0
	in_box bash -e <<-'END'
		mkdir -p /etc/systemd/system/objmapper.service.d
		printf '[Service]\nWatchdogSec=4s\n' >/etc/systemd/system/objmapper.service.d/test.conf
		systemctl daemon-reload
		systemctl start objmapper.socket objmapper-ctl.socket objmapper.service
		seq 1000 >/tmp/file
		chmod 644 /tmp/file
	END
	as alice objm put /kept/disk /tmp/file
	as alice objm put --ephemeral /kept/memory /tmp/file
}
teardown_file() { load lib/box; box_down; }
setup() { load lib/box; box_setup; SINCE=$(now); }
teardown() { box_teardown; }

worker_pid() { in_box objmctl --json workers | grep -m1 '"pid"' | tr -dc 0-9; }
said() { journal | grep -q "$1"; }

@test "a daemon at rest feeds the watchdog" {
	local pid
	pid=$(main_pid)
	sleep 9 # two times WatchdogSec and more: the one thing here that needs time to pass
	[ "$(main_pid)" = "$pid" ]
	[ "$(prop objmapper.service NRestarts)" = 0 ]
	[ "$(prop objmapper.service WatchdogUSec)" = 4s ]
}

@test "status text has figures" {
	wait_until 30 sh -c "\"$BOX\" exec systemctl show -P StatusText objmapper.service 3>&- | grep -q '^2 workers, 2 tiers, 2 objects; '"
}

@test "a stopped worker is replaced; clients of the others notice nothing; the watchdog stays calm" {
	local supervisor pid n=0
	wait_until 20 ready
	supervisor=$(main_pid)
	pid=$(worker_pid)
	in_box kill -STOP "$pid"
	while ! said "worker .*its loop makes no progress"; do
		as alice timeout 20 objm cat /kept/memory | cmp - <(seq 1000)
		n=$((n + 1))
		[ $n -lt 2000 ]
	done
	wait_until 20 ready
	[ -z "$(in_box ps -o pid= -p "$pid" || true)" ]
	[ "$(main_pid)" = "$supervisor" ]
	[ "$(prop objmapper.service NRestarts)" = 0 ]
	[ $n -gt 3 ]
}

@test "a stopped supervisor: systemd restarts the daemon, nothing is lost" {
	local pid
	wait_until 20 ready
	pid=$(main_pid)
	in_box kill -STOP "$pid"
	wait_until 60 sh -c "[ \"\$(\"$BOX\" exec systemctl show -P NRestarts objmapper.service 3>&-)\" -ge 1 ]"
	wait_until 20 ready
	[ "$(main_pid)" != "$pid" ]
	journal | says "Watchdog timeout"
	as alice sh -c 'objm cat /kept/memory | cmp - /tmp/file && objm cat /kept/disk | cmp - /tmp/file'
}

@test "a drain that takes longer than TimeoutStopSec is given its time" {
	in_box bash -e <<-'END'
		printf '[Service]\nTimeoutStopSec=2s\n' >/etc/systemd/system/objmapper.service.d/test.conf
		sed -i '$a drain_timeout: 5s' /etc/objmapper/objmapper.yaml
		objmapperd --check-config
		systemctl daemon-reload
		systemctl restart objmapper.service
	END
	wait_until 20 ready
	# A put under way is what a drain waits for.
	"$BOX" exec runuser -u alice -- python3 -c "$(cat "$ROOT/tests/scenario/lib/ext.py")" /run/objmapper/objmapper.sock hold /slow \
		>"$BATS_TEST_TMPDIR/held" 3>&- 4>&- &
	local client=$!
	wait_until 10 test -s "$BATS_TEST_TMPDIR/held"
	in_box systemctl stop objmapper.service
	[ "$(prop objmapper.service Result)" = success ]
	[ "$(prop objmapper.service ExecMainStatus)" = 0 ]
	kill "$client" 2>/dev/null || true
}
