#!/usr/bin/env bats
# Tiers on filesystems that lack something: overlayfs (a lease proves nothing), one without nameless files, attributes and
# leases, one without links. Slower ways are taken, said in the log; nothing is lost.
load lib/daemon.bash

setup() {
	[ "$(id -u)" = 0 ] || skip "mounting needs root"
	scenario_setup
	FUSE_PID=
	mkdir -p "$T/odd"
}

teardown() {
	[ "$(id -u)" = 0 ] || return 0
	daemon_kill
	for i in 1 2 3 4 5 6 7 8 9 10; do
		mountpoint -q "$T/odd" || break
		umount "$T/odd" 2>/dev/null || sleep 0.2
	done
	[ -z "$FUSE_PID" ] || { kill "$FUSE_PID" 2>/dev/null || true; wait "$FUSE_PID" 2>/dev/null || true; }
	scenario_teardown
}

# A store on the odd filesystem: a disk tier, its catalog on the other one.
odd_conf() {
	DISK=$T/odd/disk
	mkdir -p "$DISK" "$T/run/index"
	chown "$TEST_UID:$TEST_UID" "$T/odd" "$DISK" "$T/run/index"
	write_conf
	sed -i "s|{name: disk, type: ssd, path: $DISK, capacity: [^}]*}|{name: disk, type: ssd, path: $DISK, capacity: 1G, index_path: $T/run/index}|" "$CONF"
}

# A FUSE filesystem in odd/, its files in below/; else the test is skipped.
plainfs_mounted() {
	[ -x "$BUILD/tests/unit/backend/plainfs" ] || skip "plainfs was not built (libfuse3-dev)"
	[ -c /dev/fuse ] || skip "no /dev/fuse"
	mkdir "$T/below"
	"$BUILD/tests/unit/backend/plainfs" "$T/below" "$T/odd" 3>&- 4>&- &
	FUSE_PID=$!
	wait_until 5 mountpoint -q "$T/odd"
}

files_in() { find "$1" -type f 2>/dev/null | wc -l; }

round_trip() {
	local i
	for i in 1 2 3 4 5 6 7 8 9 10; do
		head -c $((i * 30000)) /dev/urandom >"$T/files/$i"
		chmod 644 "$T/files/$i"
		as_user objm put "/odd/$i" "$T/files/$i"
	done
	as_user objm put --meta "long=$(head -c 3000 /dev/zero | tr '\0' m)" /odd/meta "$T/files/1"
	# twelve at once: a batch
	for i in 11 12 13 14 15 16 17 18 19 20 21 22; do
		as_user objm put "/odd/$i" "$T/files/5" &
	done
	wait $(jobs -p | grep -v -x -e "$DPID" -e "${FUSE_PID:-0}")
	for i in 1 2 3 4 5 6 7 8 9 10; do
		as_user objm cat "/odd/$i" | cmp - "$T/files/$i"
	done
	as_user objm cat /odd/17 | cmp - "$T/files/5"
}

@test "overlayfs: every commit copies" {
	mkdir "$T/l" "$T/u" "$T/w"
	mount -t overlay overlay -o "lowerdir=$T/l,upperdir=$T/u,workdir=$T/w" "$T/odd" || skip "overlayfs cannot be mounted here"
	odd_conf
	daemon_start
	grep -q "every commit copies" "$LOG"
	round_trip
	daemon_kill
	daemon_start
	[ "$(objm ls /odd/ | wc -l)" = 23 ]
	objm cat /odd/7 | cmp - "$T/files/7"
	daemon_stop
}

@test "no nameless files, no attributes, no leases: temporary names and side files" {
	plainfs_mounted
	odd_conf
	daemon_start
	grep -q "temporary names" "$LOG"
	grep -q "side file" "$LOG"
	round_trip
	# the names under which the files began go by themselves
	wait_until 30 no_staging
	[ "$(files_in "$T/below/disk/objects")" = 46 ] # each with its side file
	as_user objm rm /odd/1
	wait_until 10 files_are 44
	# a client that dies in the middle leaves no name either
	(head -c 100000 /dev/urandom; sleep 30) | timeout -s KILL 1 "${AS_USER[@]}" objm put /odd/dies - || true
	wait_until 30 no_staging
	daemon_kill
	rm -rf "${T:?}/run/index"
	as_user mkdir "$T/run/index"
	daemon_start
	wait_until 10 listed 22
	objm cat /odd/7 | cmp - "$T/files/7"
	objm stat --json /odd/meta | grep -q mmmmm
	daemon_stop
}

@test "a tier on FUSE: its catalog lies in state_dir, whatever its type; elsewhere on FUSE it is refused" {
	PLAINFS_QUOTA=$((500 << 20)) plainfs_mounted
	odd_conf
	sed -i "s|, index_path: $T/run/index||" "$CONF"
	mkdir "$T/odd/others"
	daemon_start
	# what a quota leaves this directory is its size, and its bound
	[ "$(of_disk capacity_bytes)" = $((500 << 20)) ]
	[ "$(of_disk hard_bound)" = True ]
	echo stays >"$T/files/1"
	as_user objm put /odd/1 "$T/files/1"
	[ -f "$T/run/state/disk/data.mdb" ]
	[ -z "$(find "$T/below" -name data.mdb)" ]
	objmctl doctor | grep -q "its catalog lies in $T/run/state/disk$"
	daemon_stop
	"${AS_USER[@]}" "$BIN/supervisor/objmapperd" --config "$CONF" --preflight >"$T/check" 2>&1
	[ -z "$(grep "no catalog" "$T/check")" ]
	daemon_start
	objm cat /odd/1 | cmp - "$T/files/1"
	[ -z "$(grep "made again" "$LOG")" ]
	daemon_stop
	# Said to lie on the tier's filesystem, be it where it would lie on another one: the tier is absent, and says why and what to do; the
	# others serve.
	cp "$CONF" "$T/left-out"
	for given in "$T/odd/elsewhere" "$DISK/catalog"; do
		sed "s|path: $DISK, |path: $DISK, index_path: $given, |" "$T/left-out" >"$CONF"
		: >"$LOG"
		daemon_start
		grep -q "tier disk .*it would lie on FUSE, where its database does not work: set index_path to a directory on a local disk, or leave it out" "$LOG"
		[ "$(of_disk state)" = absent ]
		as_user objm put --ephemeral /memory/1 "$T/files/1"
		objm cat /memory/1 | cmp - "$T/files/1"
		daemon_stop
	done
	# what --print-config says is read as it was meant
	"$BIN/supervisor/objmapperd" --config "$T/left-out" --print-config >"$CONF"
	daemon_start
	[ "$(of_disk state)" = ready ]
	daemon_stop
}
of_disk() { objmctl --json tier list | json "next(t['$1'] for t in s['tiers'] if t['name'] == 'disk')"; }
no_staging() { [ "$(files_in "$T/below/disk/staging")" = 0 ]; }
files_are() { [ "$(files_in "$T/below/disk/objects")" = "$1" ]; }
listed() { [ "$(objm ls /odd/ 2>/dev/null | wc -l)" = "$1" ]; }

@test "a tier without free inodes: the next one takes the objects" {
	fs=$T/few.img
	truncate -s 64M "$fs"
	mkfs.ext4 -q -N 64 "$fs"
	mount -o loop "$fs" "$T/odd" || skip "loop devices cannot be mounted here"
	mkdir "$T/odd/few"
	chown -R "$TEST_UID:$TEST_UID" "$T/odd/few"
	write_conf
	sed -i "s|^  - {name: disk,|  - {name: few, type: nvme, path: $T/odd/few, capacity: 32M, index_path: $T/run/few-index}\n&|; s|^default_tier:.*||" "$CONF"
	mkdir -p "$T/run/few-index"
	chown "$TEST_UID:$TEST_UID" "$T/run/few-index"
	daemon_start
	for i in $(seq 1 120); do echo "$i" | as_user objm put "/n/$i" - || { objmctl tier list; false; }; done
	for i in 1 60 120; do [ "$(as_user objm cat "/n/$i")" = "$i" ]; done
	few=$(objmctl --json tier list | python3 -c 'import json,sys; print(next(t["objects"] for t in json.load(sys.stdin)["tiers"] if t["name"]=="few"))')
	[ "$few" -gt 5 ]
	[ "$few" -lt 64 ]
	daemon_stop
}
