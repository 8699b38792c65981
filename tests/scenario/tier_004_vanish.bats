#!/usr/bin/env bats
# A disk that vanishes under the mapping of its catalog: every access is an I/O error, page faults included. Whoever looks into the
# catalog then may die of it (SIGBUS): the log says of what, a new daemon serves the rest, and the disk's objects are there again
# when it is.
load lib/daemon.bash

setup() {
	scenario_setup
	need_root
	command -v xfs_io >/dev/null && command -v mkfs.xfs >/dev/null || skip "no xfsprogs"
}
teardown() {
	daemon_kill
	umount -l "$T/run/mnt" 2>/dev/null || true # a filesystem that is shut down does not look like a mount point
	scenario_teardown
}

tier() { objmctl --json tier list 2>/dev/null | json "[t['$2'] for t in s['tiers'] if t['name'] == '$1'][0]"; }
is() { [ "$(tier "$1" state)" = "$2" ]; }

# Nothing of the catalog stays in memory: what is looked at has to come from the disk.
page_out() {
	python3 - "$DPID" <<-'END'
	import ctypes, os, struct, sys
	libc = ctypes.CDLL(None, use_errno=True)
	pidfd = os.pidfd_open(int(sys.argv[1]))
	for line in open(f"/proc/{sys.argv[1]}/maps"):
	    if "/mnt/disk/catalog/data.mdb" not in line:
	        continue
	    a, b = (int(x, 16) for x in line.split()[0].split("-"))
	    size = os.stat(line.split()[5]).st_size if os.path.exists(line.split()[5]) else 1 << 20
	    iov = struct.pack("QQ", a, min(b - a, (size + 4095) // 4096 * 4096))
	    if libc.syscall(440, pidfd, iov, ctypes.c_size_t(1), 21, 0) < 0:  # process_madvise(MADV_PAGEOUT)
	        sys.exit(f"process_madvise: {os.strerror(ctypes.get_errno())}")
	END
}

ended() { ! kill -0 "$DPID" 2>/dev/null; }

mount_disk() {
	mount -o loop "$T/disk.img" "$T/run/mnt" || skip "no loop devices"
	chown "$TEST_UID:$TEST_UID" "$T/run/mnt"
}

@test "a disk that vanishes under its catalog: the rest is served after a restart, and all of it when the disk is back" {
	mkdir "$T/run/mnt"
	truncate -s 320M "$T/disk.img"
	mkfs.xfs -q "$T/disk.img"
	mount_disk
	DISK=$T/run/mnt/disk DISK_CAP=100M write_conf
	daemon_start
	printf mem | objm put --ephemeral /m -
	mkdir "$T/files/d"
	for i in $(seq 300); do echo "$i" >"$T/files/d/$i"; done
	chmod -R a+rX "$T/files"
	objm put -r /d "$T/files/d" >/dev/null
	page_out || skip "no MADV_PAGEOUT for another process"
	xfs_io -x -c shutdown "$T/run/mnt"
	echo 3 >/proc/sys/vm/drop_caches
	# Who looks into the catalog: a get of what cannot be opened may, a listing does. Neither says that it is well.
	r=0
	timeout 20 objm get /d/7 >"$T/got" 2>"$T/err" || r=$?
	[ $r != 0 ]
	[ ! -s "$T/got" ]
	r=0
	timeout 20 objm ls /d/ >"$T/out" 2>&1 || r=$?
	[ $r != 0 ]
	wait_until 10 ended
	r=0
	wait "$DPID" || r=$?
	[ $r = 135 ] # SIGBUS
	grep -q "a page of a mapped file cannot be read (SIGBUS)" "$LOG"
	# as systemd would
	daemon_kill
	daemon_start
	is disk absent
	[ "$(objm cat /m)" = mem ]
	printf more | objm put --ephemeral /more -
	[ "$(objm cat /more)" = more ]
	fails 1 "not available" objm get /d/7
	umount -l "$T/run/mnt"
	mount_disk
	wait_until 30 is disk ready
	for i in 1 7 300; do [ "$(objm cat "/d/$i")" = "$i" ]; done
	[ "$(objm ls /d/ | wc -l)" = 300 ]
	[ "$(objm cat /m)" = mem ]
	wait_until 30 objm put /d/new "$T/files/d/1"
}
