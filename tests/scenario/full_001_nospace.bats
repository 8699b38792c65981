#!/usr/bin/env bats
# A full disk: clear errors, reads and deletes go on, nothing acknowledged is lost.
load lib/daemon.bash

setup() {
	scenario_setup
	LEDGER=$T/run/ledger
	as_user touch "$LEDGER"
}
teardown() {
	daemon_kill
	[ -z "${MOUNTED:-}" ] || umount -l "$MOUNTED"
	scenario_teardown
}

small_disk() {
	need_root
	mkdir "$T/run/small"
	mount -t tmpfs -o "size=$1,mode=0755,uid=$TEST_UID" none "$T/run/small" || skip "no mount here"
	MOUNTED=$T/run/small
	DISK=$T/run/small/disk DISK_CAP=${2:-90%} write_conf
}

@test "small filesystem: NO_SPACE, then room again after a delete" {
	small_disk 160M
	daemon_start
	head -c 4000000 /dev/urandom >"$T/files/f"
	n=0
	while objm put "/f/$n" "$T/files/f" 2>"$T/err"; do n=$((n + 1)); [ $n -lt 60 ]; done
	cat "$T/err"
	grep -q -i "no space" "$T/err"
	[ $n -ge 5 ]
	for ((i = 0; i < n; i++)); do objm exec "/f/$i" -- cmp - "$T/files/f"; done
	[ "$(objm ls /f/ | wc -l)" = "$n" ]
	objm rm /f/0
	objm rm /f/1
	wait_until 10 objm put /again "$T/files/f"
	objm exec /again -- cmp - "$T/files/f"
	daemon_stop
	daemon_start
	objm exec /again -- cmp - "$T/files/f"
}

@test "a put larger than the disk is refused before it is written" {
	small_disk 160M
	daemon_start
	truncate -s 1G "$T/files/huge"
	fails 1 "space" objm put /huge "$T/files/huge"
	[ -z "$(objm ls)" ]
	printf x | objm put /small -
}

@test "the ledger holds on a disk that fills up under load" {
	small_disk 120M
	daemon_start
	ext "$OBJM_SOCKET" load 12000 8 "$LEDGER"
	ext "$OBJM_SOCKET" verify "$LEDGER"
	daemon_kill
	daemon_start
	ext "$OBJM_SOCKET" verify "$LEDGER"
}

@test "a disk without a free block: the tier opens, reads and deletes go on" {
	small_disk 30M
	daemon_start
	head -c 100000 /dev/urandom >"$T/files/f"
	for i in 1 2 3; do objm put "/k$i" "$T/files/f"; done
	dd if=/dev/zero of="$T/run/small/filler" bs=4k 2>/dev/null || true
	daemon_kill
	daemon_start
	objm cat /k2 | cmp - "$T/files/f"
	fails 1 "no space" objm put /new "$T/files/f"
	objm rm /k1
	rm "$T/run/small/filler"
	sleep 0.3
	objm put /new "$T/files/f"
	objm cat /new | cmp - "$T/files/f"
}
