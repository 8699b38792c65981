# Restarts that nobody notices: eight clients at full rate through systemctl restart, every other one onto other binaries.
# OBJM_TEST_LONG=1: 100 restarts under load and 200 more; else 6 and 10.

setup_file() {
	load lib/box
	box_up
	[ -z "$WHY_NOT" ] || return 0
	export RESTARTS=6 MORE=10
	[ -z "${OBJM_TEST_LONG:-}" ] || RESTARTS=100 MORE=200
	in_box sh -c 'cat >/usr/local/bin/steady && chmod 755 /usr/local/bin/steady' <"$BUILD/tests/torture/steady"
	# A second version of the daemon: the same programs with another version in them, of the same length.
	in_box bash -e <<-'END'
		version=$(objmapperd --version | sed 's/.* //')
		other=$(tr 0-9 1-90 <<<"$version")
		mkdir -p /root/one /root/two
		for f in /usr/local/sbin/objmapperd /usr/local/libexec/objmapper/objmapper-worker /usr/local/libexec/objmapper/objmapper-lifecycle; do
			cp "$f" /root/one/
			sed "s/${version//./\\.}/$other/g" "$f" >"/root/two/${f##*/}"
			chmod 755 "/root/two/${f##*/}"
		done
		printf '%s\n' "$version" "$other" >/root/versions
		systemctl start objmapper.socket objmapper-ctl.socket objmapper.service
	END
}
teardown_file() { load lib/box; box_down; }
setup() { load lib/box; box_setup; SINCE=$(now); }
teardown() { box_teardown; }

# As a package does it: new files beside the old ones, renamed over them.
install_version() {
	in_box bash -e -s "$1" <<-'END'
		for f in /usr/local/sbin/objmapperd /usr/local/libexec/objmapper/objmapper-worker /usr/local/libexec/objmapper/objmapper-lifecycle; do
			cp "/root/$1/${f##*/}" "$f.new"
			mv "$f.new" "$f"
		done
	END
}
figures() { tail -n 1 "$BATS_FILE_TMPDIR/load" | python3 -c 'import json,sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }
fds_of() { in_box sh -c 'ls /proc/"$1"/fd | wc -l' - "$1"; }
rss_kib() { in_box sed -n 's/^VmRSS:[[:space:]]*\([0-9]*\).*/\1/p' "/proc/$1/status"; }

@test "the clients go on through every restart" {
	local i
	in_box rm -f /tmp/stop
	in_box runuser -u alice -- steady /run/objmapper/objmapper.sock 8 /tmp/stop >"$BATS_FILE_TMPDIR/load" &
	local load=$!
	sleep 1
	for ((i = 1; i <= RESTARTS; i++)); do
		[ $((i % 2)) = 0 ] && install_version one || install_version two
		in_box objmapperd --preflight >/dev/null
		in_box systemctl restart objmapper.service
		sleep 0.5
	done
	in_box touch /tmp/stop
	wait $load || true
	cat "$BATS_FILE_TMPDIR/load"
	[ -z "${OBJM_TEST_REPORT:-}" ] || cp "$BATS_FILE_TMPDIR/load" "$OBJM_TEST_REPORT" # for the measurement in doc/operations.md
	[ "$(figures clients)" = 8 ]
	[ "$(figures put_disk)" -gt 20 ]
	[ "$(figures get)" -gt 200 ]
	[ "$(figures list)" -gt 20 ]
}

@test "both versions have served" {
	local v
	for v in $(in_box cat /root/versions); do in_box journalctl -q -o cat OBJM_EVENT=STARTED | says "objmapperd $v serves"; done
}

@test "not one call failed" {
	not grep '^failed' "$BATS_FILE_TMPDIR/load"
	[ "$(figures failed)" = 0 ]
}

@test "every acknowledged write is there, the ephemeral ones too" {
	not grep -E '^(lost|wrong)' "$BATS_FILE_TMPDIR/load"
	[ "$(figures wrong)" = 0 ]
}

@test "no call took long" {
	figures latency_ms
	figures longest_ms
	# One second is the aim (doc/operations.md has the measurement); a machine busy with other tests is slower.
	[ "$(figures longest_ms | cut -d. -f1)" -lt 5000 ]
}

@test "many restarts and reloads: descriptors and memory of service and manager stay as they are" {
	local i manager_fds manager_kib fds kib
	install_version one
	for i in 1 2 3; do in_box systemctl restart objmapper.service; done
	wait_until 20 ready
	manager_fds=$(fds_of 1) manager_kib=$(rss_kib 1)
	fds=$(fds_of "$(main_pid)") kib=$(rss_kib "$(main_pid)")
	in_box bash -e -s "$MORE" <<-'END'
		for ((i = 0; i < $1; i++)); do
			systemctl restart objmapper.service
			! ((i % 2)) || systemctl kill -s HUP --kill-who=main objmapper.service
		done
	END
	wait_until 20 ready
	echo "manager: $manager_fds fds, $manager_kib KiB; then $(fds_of 1), $(rss_kib 1)"
	echo "daemon: $fds fds, $kib KiB; then $(fds_of "$(main_pid)"), $(rss_kib "$(main_pid)")"
	[ "$(fds_of 1)" -le $((manager_fds + 4)) ]
	[ "$(rss_kib 1)" -le $((manager_kib + 4096)) ]
	[ "$(fds_of "$(main_pid)")" -le $((fds + 4)) ]
	[ "$(rss_kib "$(main_pid)")" -le $((kib * 5 / 4 + 4096)) ]
	[ "$(in_box systemctl show -P NRestarts objmapper.service)" = 0 ]
}
