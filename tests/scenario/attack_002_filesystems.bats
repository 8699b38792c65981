#!/usr/bin/env bats
# The attacks of attack_001 on a disk tier whose filesystem makes them easier: copies that share blocks with what they were
# copied from (XFS, Btrfs), leases that prove nothing (overlayfs).
load lib/daemon.bash

ATTACKER=65533

setup() {
	[ "$(id -u)" = 0 ] || skip "mounting needs root"
	[ -x "$BUILD/tests/attack/attack_fuse" ] || skip "the build has no tests"
	scenario_setup
	mkdir "$T/fs"
}
teardown() {
	[ -n "${T:-}" ] || return 0
	daemon_kill
	wait_until 10 unmounted || true
	scenario_teardown
}
unmounted() { ! mountpoint -q "$T/fs" || umount "$T/fs" 2>/dev/null; }

# tier_on COMMAND...: the disk tier on what COMMAND mounts at $T/fs.
tier_on() {
	"$@" || skip "cannot be mounted here: $*"
	DISK=$T/fs/disk
	mkdir "$DISK"
	chown "$TEST_UID:$TEST_UID" "$DISK"
	DISK_CAP=100M write_conf
	daemon_start
}
image() {
	command -v "mkfs.$1" >/dev/null || skip "no mkfs.$1"
	truncate -s 512M "$T/image"
	"mkfs.$1" -q "${@:2}" "$T/image" >/dev/null
	tier_on mount -o loop "$T/image" "$T/fs"
}

attack() {
	local r=0
	timeout -k 5 120 "$BUILD/tests/attack/attack_$1" "${@:2}" >"$T/attack.tap" 2>&1 3>&- || r=$?
	[ $r = 0 ] || grep -v '^ok' "$T/attack.tap"
	return $r
}

@test "XFS: a copy shares no blocks with the file that the writer had" {
	# FICLONE would: what is written into pages pinned before the copy then reaches both files' blocks.
	image xfs -m reflink=1
	attack fuse daemon "$OBJM_SOCKET" $ATTACKER
	attack mapping daemon "$OBJM_SOCKET" $ATTACKER
}

@test "Btrfs: the same" {
	image btrfs
	attack fuse daemon "$OBJM_SOCKET" $ATTACKER
	attack mapping daemon "$OBJM_SOCKET" $ATTACKER
}

@test "overlayfs: a mapping that lives on is not the object's, whoever wrote" {
	mkdir "$T/l" "$T/u" "$T/w"
	tier_on mount -t overlay overlay -o "lowerdir=$T/l,upperdir=$T/u,workdir=$T/w" "$T/fs"
	attack mapping lax "$OBJM_SOCKET" $ATTACKER
	attack mapping lax "$OBJM_SOCKET" "$TEST_UID"
	attack fuse daemon "$OBJM_SOCKET" $ATTACKER
}
