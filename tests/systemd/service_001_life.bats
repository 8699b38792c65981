# The daemon's life under systemd: started by a client, restarted, stopped, killed; who may do what; what a mistake looks like.
# The tests build on each other's objects, in this order.

setup_file() {
	load lib/box
	box_up
	[ -z "$WHY_NOT" ] || return 0
	in_box rmdir /run/objmapper # as after an installation that no boot has followed yet
	in_box systemctl start objmapper.socket objmapper-ctl.socket
}
teardown_file() { load lib/box; box_down; }
setup() { load lib/box; box_setup; SINCE=$(now); }
teardown() { box_teardown; }

@test "systemd-analyze verify has nothing to say" {
	in_box bash -e <<-'END'
		cd /usr/local/lib/systemd/system
		for u in objmapper*.service objmapper*.socket run-objmapper-memory.mount; do
			out=$(systemd-analyze verify "./$u" 2>&1) || { echo "$u: $out"; exit 1; }
			[ -z "$out" ] || { echo "$u: $out"; exit 1; }
		done
	END
}

@test "systemd-analyze security: exposure of at most 1.5" {
	in_box systemd-analyze security --offline=true --threshold=15 /usr/local/lib/systemd/system/objmapper.service >/dev/null
}

@test "only data and admin socket listen unless the others are enabled" {
	[ "$(prop objmapper-tcp.socket ActiveState)" = inactive ]
	[ "$(prop objmapper-legacy.socket ActiveState)" = inactive ]
	in_box grep -q '^disable objmapper-tcp.socket' /usr/local/lib/systemd/system-preset/50-objmapper.preset
}

@test "a client's connection starts the daemon; a put and a get by a member of objmapper" {
	is_state inactive
	in_box sh -c 'seq 100000 >/tmp/file && chmod 644 /tmp/file'
	as alice objm put /kept/disk /tmp/file
	wait_until 10 is_state active
	as alice objm put --ephemeral /kept/memory /tmp/file
	as alice sh -c 'objm cat /kept/disk | cmp - /tmp/file && objm exec /kept/memory -- cmp - /tmp/file'
	as alice objm stat --json /kept/memory | tr -d ' ' | says '"tier":"memory"'
}

@test "who is not a member is refused, and told why" {
	run as bob objm cat /kept/disk
	[ "$status" != 0 ]
	says "Permission denied" <<<"$output"
	run as alice objmctl status
	[ "$status" != 0 ]
}

@test "objmapper-admin may look, and change nothing; root may" {
	as carol objmctl status | says "memory"
	run as carol objmctl tier rebuild disk
	[ "$status" != 0 ]
	run as carol objm cat /kept/disk
	[ "$status" != 0 ]
	in_box objmctl tier rebuild disk
	wait_until 20 sh -c "\"$BOX\" exec objmctl tier list --json 3>&- | grep -A20 '\"disk\"' | grep -q '\"ready\"'"
	as alice objm cat /kept/disk >/dev/null
}

@test "sockets keep owner and group over the daemon's first start" {
	[ "$(in_box stat -c '%U:%G %a' /run/objmapper/objmapper.sock)" = "root:objmapper 660" ]
	[ "$(in_box stat -c '%U:%G %a' /run/objmapper/objmapper-ctl.sock)" = "root:objmapper-admin 660" ]
}

@test "the memory tier is a tmpfs of its own that cannot reach a disk and runs nothing" {
	local o
	o=,$(in_box findmnt -n -o OPTIONS /run/objmapper/memory),
	for want in noswap noexec nosuid nodev nr_inodes=0 huge=within_size mode=700; do
		[[ $o == *,$want,* ]] || { echo "no $want in $o"; return 1; }
	done
}

@test "no process of it has privileges; workers are narrowed further" {
	in_box bash -e <<-'END'
		main=$(systemctl show -P MainPID objmapper.service)
		field() { sed -n "s/^$2:[[:space:]]*//p" /proc/$1/status; }
		n=0
		for pid in $(cat /sys/fs/cgroup/system.slice/objmapper.service/cgroup.procs); do
			[ "$(field $pid Seccomp)" = 2 ] && [ "$(field $pid NoNewPrivs)" = 1 ] && [ "$(field $pid CapBnd)" = 0000000000000000 ] &&
				[ "$(field $pid CapEff)" = 0000000000000000 ] && [ "$(field $pid Uid | cut -f1)" = "$(id -u objmapper)" ] ||
				{ cat /proc/$pid/status; exit 1; }
			[ $pid = $main ] && continue
			# filters of their own on top of the unit's
			[ "$(field $pid Seccomp_filters)" -gt "$(field $main Seccomp_filters)" ] || { echo "$pid: no filter of its own"; exit 1; }
			n=$((n + 1))
		done
		[ $n -ge 3 ] || { echo "$n children"; exit 1; }
	END
	# What a process that cannot narrow itself would have said.
	[ -z "$(in_box journalctl -q -o cat MESSAGE_ID=5f0d7f3c1a1b4e0f9b1f4d1f7a3c0019)" ]
}

@test "systemctl restart under load: nothing that was acknowledged is lost, no call takes long" {
	local i lost longest
	in_box runuser -u alice -- bash -s 8 <"$ROOT/tests/systemd/lib/load.sh" >"$BATS_FILE_TMPDIR/load" &
	local load=$!
	sleep 1
	for i in 1 2 3 4 5 6 7 8; do
		in_box systemctl restart objmapper.service
		sleep 0.3
	done
	wait $load
	tail -n 20 "$BATS_FILE_TMPDIR/load"
	read -r _ _ lost longest < <(tail -n 1 "$BATS_FILE_TMPDIR/load")
	[ "$lost" = 0 ]
	[ "$longest" -lt 5000 ] # a machine that is busy with other tests; alone it stays below one second
	as alice sh -c 'objm cat /kept/disk | cmp - /tmp/file && objm cat /kept/memory | cmp - /tmp/file'
}

@test "systemctl restart under load: no call fails" {
	not grep '^failed: ' "$BATS_FILE_TMPDIR/load"
}

@test "enabled, it is there at boot" {
	in_box systemctl enable -q --now objmapper.service
	in_box systemctl is-enabled objmapper.service objmapper.socket objmapper-ctl.socket >/dev/null
}

@test "many restarts in a row are not too many" {
	local i
	for i in $(seq "${OBJM_TEST_RESTARTS:-12}"); do in_box systemctl restart objmapper.service || return 1; done
	is_state active
	as alice objm cat /kept/memory >/dev/null
}

@test "systemctl stop is clean; sockets and objects stay; the next client starts it again" {
	in_box systemctl stop objmapper.service
	[ "$(prop objmapper.service Result)" = success ]
	[ "$(prop objmapper.service ExecMainStatus)" = 0 ]
	[ "$(prop objmapper.socket ActiveState)" = active ]
	in_box journalctl -q -o cat --since "@$SINCE" MESSAGE_ID=5f0d7f3c1a1b4e0f9b1f4d1f7a3c0002 | says ending
	[ -z "$(in_box pgrep -u objmapper || true)" ]
	as alice sh -c 'objm cat /kept/memory | cmp - /tmp/file && objm cat /kept/disk | cmp - /tmp/file'
	wait_until 10 is_state active
}

@test "kill -9 of the supervisor: systemd starts it again, nothing is lost" {
	local pid n
	wait_until 10 ready
	pid=$(main_pid)
	n=$(prop objmapper.service NRestarts)
	in_box kill -KILL "$pid"
	wait_until 10 sh -c "[ \"\$(\"$BOX\" exec systemctl show -P NRestarts objmapper.service 3>&-)\" -gt $n ]"
	wait_until 10 ready
	[ "$(main_pid)" != "$pid" ]
	as alice sh -c 'objm cat /kept/memory | cmp - /tmp/file && objm cat /kept/disk | cmp - /tmp/file'
}

@test "kill -9 of a worker: replaced, the journal says so, the unit does not notice" {
	local pid supervisor
	wait_until 10 ready
	supervisor=$(main_pid)
	pid=$(in_box objmctl --json workers | grep -m1 '"pid"' | tr -dc 0-9)
	in_box kill -KILL "$pid"
	wait_until 10 ready
	wait_until 5 sh -c "\"$BOX\" exec journalctl -q -o cat --since @$SINCE MESSAGE_ID=5f0d7f3c1a1b4e0f9b1f4d1f7a3c0008 3>&- | grep -q 'killed by signal 9'"
	[ "$(main_pid)" = "$supervisor" ]
	as alice objm cat /kept/memory >/dev/null
}

@test "a wrong configuration: exit status 2, no restart, the journal names line and key; corrected, it goes on" {
	in_box systemctl stop objmapper.service
	in_box sed -i '$a thread_pool: {min_wokers: 3}' /etc/objmapper/objmapper.yaml
	run in_box systemctl start objmapper.service
	[ "$status" != 0 ]
	[ "$(prop objmapper.service ExecMainStatus)" = 2 ]
	[ "$(prop objmapper.service NRestarts)" = 0 ]
	journal | says "thread_pool.min_wokers"
	in_box sed -i '/min_wokers/d' /etc/objmapper/objmapper.yaml
	in_box systemctl start objmapper.service
	wait_until 10 ready
	[ "$(prop objmapper.socket ActiveState)" = active ]
	as alice objm cat /kept/memory >/dev/null
}

@test "clients that connect while the configuration is wrong: recovered by a start" {
	in_box systemctl stop objmapper.service
	in_box sed -i '$a nonsense: 1' /etc/objmapper/objmapper.yaml
	run as alice timeout 10 objm cat /kept/memory
	[ "$status" != 0 ]
	in_box sed -i '/nonsense/d' /etc/objmapper/objmapper.yaml
	in_box systemctl start objmapper.service
	wait_until 10 ready
	as alice objm cat /kept/memory >/dev/null
}

@test "TCP, when its socket is enabled: bytes by protocol version 2" {
	# Who comes over TCP may do what a rule says, and nothing else.
	in_box sed -i '$a access: {rules: [{address: 127.0.0.1, rights: [read]}, {user: "*", rights: [read, write, delete, list, ephemeral]}]}' \
		/etc/objmapper/objmapper.yaml
	in_box systemctl enable -q objmapper-tcp.socket
	in_box systemctl stop objmapper.service
	in_box systemctl start objmapper-tcp.socket
	in_box systemctl start objmapper.service
	in_box python3 - 127.0.0.1 7070 /kept/disk <"$ROOT/tests/systemd/lib/get_v2.py" >"$BATS_TEST_TMPDIR/got"
	in_box cat /tmp/file | cmp - "$BATS_TEST_TMPDIR/got"
	in_box systemctl disable -q --now objmapper-tcp.socket
	in_box sed -i '/^access: /d' /etc/objmapper/objmapper.yaml
	in_box systemctl restart objmapper.service
}

@test "listen.tcp in the file is refused inside the unit, with a message" {
	in_box sed -i '$a listen: {tcp: ["127.0.0.1:7071"]}' /etc/objmapper/objmapper.yaml
	in_box systemctl restart --no-block objmapper.service
	wait_until 15 sh -c "\"$BOX\" exec journalctl -q -o cat --since @$SINCE -u objmapper.service 3>&- | grep -q 'cannot listen on 127.0.0.1:7071'"
	in_box sed -i '/7071/d' /etc/objmapper/objmapper.yaml
	in_box systemctl restart objmapper.service
	wait_until 10 ready
}

@test "systemctl reload: what can change does, and the daemon is the same one" {
	local pid
	pid=$(main_pid)
	in_box sed -i '$a log: {level: debug}' /etc/objmapper/objmapper.yaml
	in_box systemctl reload objmapper.service
	[ "$(main_pid)" = "$pid" ]
	is_state active
	in_box journalctl -q -o cat --since "@$SINCE" OBJM_EVENT=RELOADED | says "1 key"
	in_box sed -i '/level: debug/d' /etc/objmapper/objmapper.yaml
	in_box systemctl reload objmapper.service
	as alice objm cat /kept/memory >/dev/null
}

@test "systemctl reload of a wrong configuration fails, says line and key, changes nothing" {
	local pid
	pid=$(main_pid)
	in_box sed -i '$a thread_pool: {min_wokers: 3}' /etc/objmapper/objmapper.yaml
	run in_box systemctl reload objmapper.service
	[ "$status" != 0 ]
	in_box sed -i '/min_wokers/d' /etc/objmapper/objmapper.yaml
	[ "$(main_pid)" = "$pid" ]
	is_state active
	journal | says "thread_pool.min_wokers"
	in_box systemctl reload objmapper.service
	as alice objm cat /kept/memory >/dev/null
}

@test "systemctl reload with a tier where the unit may only read: refused, naming the drop-in" {
	local pid
	pid=$(main_pid)
	in_box install -d -o objmapper -g objmapper -m 700 /srv/late
	in_box sed -i '/name: disk/a \  - {name: late, type: hdd, path: /srv/late, capacity: 1G}' /etc/objmapper/objmapper.yaml
	run in_box systemctl reload objmapper.service
	echo "$output"
	in_box sed -i '/name: late/d' /etc/objmapper/objmapper.yaml
	journal | says "drop-in"
	journal | says "/srv/late"
	[ "$(main_pid)" = "$pid" ]
	in_box systemctl reload objmapper.service
	as alice objm cat /kept/memory >/dev/null
}

@test "a tier elsewhere: absent without a drop-in, the others serve; with it, it is there" {
	in_box install -d -o objmapper -g objmapper -m 700 /srv/more
	in_box sed -i '/name: disk/a \  - {name: more, type: hdd, path: /srv/more, capacity: 1G}' /etc/objmapper/objmapper.yaml
	in_box systemctl restart objmapper.service
	journal | says "Read-only file system"
	as alice objm cat /kept/disk >/dev/null
	in_box bash -e <<-'END'
		mkdir -p /etc/systemd/system/objmapper.service.d
		objmapperd --systemd-dropin >/etc/systemd/system/objmapper.service.d/tiers.conf
		systemctl daemon-reload
		objmapperd --preflight
		systemctl restart objmapper.service
	END
	wait_until 10 ready
	in_box objmapperd --check-config >/dev/null
	in_box objmctl tier list --json | tr -d ' \n' | grep -q '"name":"more"[^}]*"state":"ready"'
}

@test "backup and restore as doc/operations.md says" {
	in_box bash -e <<-'END'
		systemctl stop objmapper.service objmapper.socket
		tar --xattrs --xattrs-include='user.*' -C /var/lib -cpf /root/objmapper.tar objmapper
		find /var/lib/objmapper -mindepth 1 -delete
		tar --xattrs --xattrs-include='user.*' -C /var/lib -xpf /root/objmapper.tar
		rm -rf /var/lib/objmapper/disk/catalog   # worst case: what is left are files and their attributes
		systemctl start objmapper.socket objmapper.service
	END
	wait_until 10 ready
	wait_until 20 as alice sh -c 'objm cat /kept/disk | cmp -s - /tmp/file'
}

@test "journalctl -x explains a message" {
	in_box journalctl --update-catalog
	in_box journalctl -q -x -u objmapper.service -n 200 | says "What to do"
}

@test "stopping the memory tier's mount takes ephemeral objects away and nothing else" {
	in_box systemctl stop objmapper.service
	in_box systemctl stop run-objmapper-memory.mount
	in_box systemctl start objmapper.service
	wait_until 10 ready
	run as alice objm cat /kept/memory
	[ "$status" != 0 ]
	as alice sh -c 'objm cat /kept/disk | cmp - /tmp/file'
}

@test "a mount of the memory tier that fails takes nothing else with it" {
	in_box bash -e <<-'END'
		systemctl stop objmapper.service run-objmapper-memory.mount
		mkdir -p /etc/systemd/system/run-objmapper-memory.mount.d
		printf '[Mount]\nOptions=size=1G,no_such_option\n' >/etc/systemd/system/run-objmapper-memory.mount.d/test.conf
		systemctl daemon-reload
		systemctl start objmapper.service
	END
	wait_until 10 ready
	as alice sh -c 'objm cat /kept/disk | cmp - /tmp/file'
	in_box objmctl tier list --json | tr -d ' \n' | says '"name":"memory","type":"memory","state":"absent"'
	# Nothing was put on /run instead.
	[ "$(in_box ls -A /run/objmapper/memory)" = "" ]
	in_box bash -e <<-'END'
		rm -r /etc/systemd/system/run-objmapper-memory.mount.d
		systemctl daemon-reload
		systemctl reset-failed run-objmapper-memory.mount
		systemctl restart objmapper.service
	END
	wait_until 10 ready
	as alice objm put --ephemeral /new/memory /tmp/file
}
