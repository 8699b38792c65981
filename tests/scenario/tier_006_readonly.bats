#!/usr/bin/env bats
# A tier whose filesystem is read-only, at the start or from some moment on: it serves what it holds, takes nothing, says so; deletes and
# replacements hold, over restarts; when it can be written again it is used again, without a restart, and what was deleted stays deleted.
load lib/daemon.bash

setup() {
	[ "$(id -u)" = 0 ] || skip "mounting needs root"
	scenario_setup
	mkdir -p "$T/run/mnt"
	truncate -s 192M "$T/disk.img"
	mkfs.ext4 -q -F "$T/disk.img"
	mount_as rw,errors=remount-ro || skip "no loop devices"
	DISK=$T/run/mnt/disk DISK_CAP=100M write_conf
	sed -i "/name: disk/a\\  - {name: second, type: hdd, path: $T/run/second, capacity: 1G}" "$CONF"
}
teardown() {
	[ "$(id -u)" = 0 ] || return 0
	daemon_kill
	umount -l "$T/run/mnt" 2>/dev/null || true
	scenario_teardown
}

mount_as() { mount -o "loop,$1" "$T/disk.img" "$T/run/mnt" && { [ "$1" = ro ] || chown "$TEST_UID:$TEST_UID" "$T/run/mnt"; }; }
tier() { objmctl --json tier list 2>/dev/null | json "[t['$2'] for t in s['tiers'] if t['name'] == '$1'][0]"; }
is() { [ "$(tier "$1" state)" = "$2" ]; }
missing() { objm get "$1" 2>&1 >/dev/null | grep -q "no such object"; }
names() { objm ls /d/ | tr '\n' ' '; }
disk_files() { find "$T/run/mnt/disk/objects" -type f ! -name '*.m' | wc -l; }
files_are() { [ "$(disk_files)" = "$1" ]; }

# What holds while it is read-only, before and after a restart. /d/2 was deleted, /d/3 replaced.
holds() {
	local i
	for i in 1 4 5; do [ "$(objm cat "/d/$i")" = "v$i" ]; done
	missing /d/2
	[ "$(objm cat /d/3)" = new ]
	[ "$(names)" = "/d/1 /d/3 /d/4 /d/5 " ]
	missing /d/none # it is read: a miss is one
	[ "$(tier disk read_only_filesystem)" = True ]
}

@test "read-only at the start: reads, deletes and replacements; written again without a restart" {
	daemon_start
	for i in 1 2 3 4 5; do printf "v$i" | objm put "/d/$i" -; done
	[ "$(tier disk objects)" = 5 ]
	daemon_stop
	mount -o remount,ro "$T/run/mnt"
	daemon_start
	is disk read-only
	objmctl tier list | grep -q "read-only (filesystem)"
	grep -q "tier disk .*its filesystem is read-only" "$LOG"
	[ "$(objm cat /d/2)" = v2 ]
	objm rm /d/2
	printf new | objm put /d/3 - # it goes elsewhere
	[ "$(objm stat --json /d/3 | json "s['tier']")" = second ]
	holds
	[ "$(tier disk removal_bytes)" -gt 0 ]
	fails 1 "filesystem is read-only" objmctl tier rebuild disk
	fails 1 "read-only" objmctl migrate /d/1 second
	fails 1 "read-only" objmctl migrate /d/3 disk
	fails 1 "read only" objm set --ttl 100 /d/1
	objmctl promote /d/4 >/dev/null # a copy in memory takes nothing from it
	[ "$(objm cat /d/4)" = v4 ]
	daemon_kill
	daemon_start # what was deleted there is still there, and nobody sees it
	is disk read-only
	holds
	objm rm /d/5
	mount -o remount,rw "$T/run/mnt"
	wait_until 30 is disk ready
	for i in 1 4; do [ "$(objm cat "/d/$i")" = "v$i" ]; done
	missing /d/2
	missing /d/5
	[ "$(objm cat /d/3)" = new ]
	[ "$(names)" = "/d/1 /d/3 /d/4 " ]
	wait_until 20 files_are 2
	wait_until 20 objm put /d/6 "$CONF"
	[ "$(objm stat --json /d/6 | json "s['tier']")" = disk ]
	daemon_stop
	daemon_start
	[ "$(names)" = "/d/1 /d/3 /d/4 /d/6 " ]
	[ ! -e "$T/run/state/read-only/disk" ]
}

@test "read-only from some moment on, as after an error of the disk: reads go on" {
	daemon_start
	for i in 1 2 3; do printf "v$i" | objm put "/d/$i" -; done
	dev=$(losetup -j "$T/disk.img" | cut -d: -f1)
	echo test 2>/dev/null >"/sys/fs/ext4/$(basename "$dev")/trigger_fs_error" || skip "no ext4 errors by hand here"
	objm rm /d/3 2>"$T/err" || true # whoever writes first finds out
	turned() { [ "$(tier disk read_only_filesystem)" = True ]; }
	wait_until 30 turned
	for i in 1 2; do [ "$(objm cat "/d/$i")" = "v$i" ]; done
	objm rm /d/1
	missing /d/1
	objm rm /d/3 2>/dev/null || missing /d/3
	[ "$(objm ls /d/)" = /d/2 ]
	wait_until 20 objm put /y "$CONF"
	[ "$(objm stat --json /y | json "s['tier']")" = second ]
	# repaired and mounted again
	umount -l "$T/run/mnt"
	wait_until 30 is disk absent
	free_image() { [ -z "$(losetup -j "$T/disk.img")" ]; }
	wait_until 40 free_image
	e2fsck -fy "$T/disk.img" >/dev/null 2>&1 || true
	mount_as rw
	wait_until 30 is disk ready
	missing /d/1
	missing /d/3
	[ "$(objm cat /d/2)" = v2 ]
}

@test "read-only and of no use: no catalog; it comes when it can be written" {
	daemon_start
	printf one | objm put /d/1 -
	daemon_stop
	rm -rf "$T/run/mnt/disk/catalog"
	mount -o remount,ro "$T/run/mnt"
	daemon_start
	is disk absent
	grep -q "its catalog cannot be copied" "$LOG"
	fails 1 "not available" objm get /d/1
	mount -o remount,rw "$T/run/mnt"
	wait_until 30 is disk ready
	[ "$(objm cat /d/1)" = one ]
}
