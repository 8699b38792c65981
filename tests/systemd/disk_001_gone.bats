# A tier's disk that is unmounted, and one that vanishes under the mapping of its catalog (SIGBUS): under systemd the rest is served, and the
# disk's objects are there again when it is, without anybody's doing. The tests go on from each other.

setup_file() {
	load lib/box
	box_up
	[ -z "$WHY_NOT" ] || return 0
	disk_up || { WHY_NOT="no loop device with an xfs of its own can be had here"; return 0; }
	in_box bash -e <<-'END'
		mkdir -p /srv/gone
		mount /dev/objm-gone /srv/gone
		install -d -o objmapper -g objmapper -m 700 /srv/gone/tier
		# the fastest: what is put goes there
		sed -i '/name: disk/i \  - {name: gone, type: nvme, path: /srv/gone/tier, capacity: 100M}' /etc/objmapper/objmapper.yaml
		mkdir -p /etc/systemd/system/objmapper.service.d
		objmapperd --systemd-dropin >/etc/systemd/system/objmapper.service.d/tiers.conf
		systemctl daemon-reload
		systemctl start objmapper.socket objmapper-ctl.socket objmapper.service
	END
	wait_until 20 ready
	as alice sh -c 'for i in $(seq 300); do mkdir -p /tmp/d; echo $i >/tmp/d/$i; done; objm put -r /d /tmp/d >/dev/null; echo rest | objm put /rest -; echo mem | objm put --ephemeral /mem -'
	in_box objmctl migrate /rest disk
}
teardown_file() {
	load lib/box
	[ -n "$WHY_NOT" ] || in_box umount -l /srv/gone || true
	box_down
	[ -z "${LOOP:-}" ] || losetup -d "$LOOP" || true
	rm -f "$BOX_DIR.img"
}
setup() { load lib/box; box_setup; SINCE=$(now); }
teardown() { box_teardown; }

# disk_up: a block device with an xfs, /dev/objm-gone in the box.
disk_up() {
	export LOOP=
	command -v mkfs.xfs >/dev/null && command -v xfs_io >/dev/null || return 1
	truncate -s 320M "$BOX_DIR.img"
	mkfs.xfs -q "$BOX_DIR.img" && LOOP=$(losetup -f --show "$BOX_DIR.img") || return 1
	in_box mknod /dev/objm-gone b "$(stat -c 0x%t "$LOOP")" "$(stat -c 0x%T "$LOOP")"
}

gone_is() { in_box objmctl --json tier list | tr -d ' \n' | grep -q "\"name\":\"gone\"[^}]*\"state\":\"$1\""; }
rest_is_served() { [ "$(as alice objm cat /rest)" = rest ] && [ "$(as alice objm cat /mem)" = mem ]; }
all_there() { as alice sh -c 'for i in $(seq 300); do objm cat /d/$i; done' | cmp - <(seq 300); }
unavailable() { as alice objm cat /d/1 2>&1 >/dev/null | grep -q "not available"; } # the workers learn of it in a moment
restarts() { prop objmapper.service NRestarts; }

@test "unmounted while it is in use: absent, its filesystem is let go; mounted again it is there, without a restart" {
	local pid
	pid=$(main_pid)
	gone_is ready
	in_box umount -l /srv/gone
	wait_until 30 gone_is absent
	rest_is_served
	wait_until 30 unavailable
	in_box mount /dev/objm-gone /srv/gone
	wait_until 30 gone_is ready
	all_there
	wait_until 20 as alice sh -c 'echo new | objm put /new -'
	[ "$(main_pid)" = "$pid" ]
	[ "$(restarts)" = 0 ]
}

@test "stopping its mount unit does not stop the daemon" {
	local pid
	pid=$(main_pid)
	in_box systemctl stop srv-gone.mount || in_box umount -l /srv/gone # busy
	wait_until 30 gone_is absent
	is_state active
	[ "$(main_pid)" = "$pid" ]
	in_box mountpoint -q /srv/gone || in_box mount /dev/objm-gone /srv/gone
	wait_until 30 gone_is ready
}

# Nothing of the catalog stays in memory: what is looked at has to come from the disk.
page_out() {
	in_box python3 - "$(main_pid)" <<-'END'
	import ctypes, os, struct, sys
	libc = ctypes.CDLL(None, use_errno=True)
	pidfd = os.pidfd_open(int(sys.argv[1]))
	for line in open(f"/proc/{sys.argv[1]}/maps"):
	    if "/gone/tier/catalog/data.mdb" in line:
	        a, b = (int(x, 16) for x in line.split()[0].split("-"))
	        iov = struct.pack("QQ", a, min(b - a, 16 << 20))
	        if libc.syscall(440, pidfd, iov, ctypes.c_size_t(1), 21, 0) < 0:  # process_madvise(MADV_PAGEOUT)
	            sys.exit(os.strerror(ctypes.get_errno()))
	END
	echo 3 >/proc/sys/vm/drop_caches # of the machine, as an ordinary one would do when it is short
}

@test "it vanishes under the daemon: that ends, saying of what, systemd starts it again, the rest is served" {
	local pid
	pid=$(main_pid)
	page_out || skip "no MADV_PAGEOUT for another process"
	in_box xfs_io -x -c shutdown /srv/gone
	echo 3 >/proc/sys/vm/drop_caches
	as alice timeout 20 objm ls /d/ >/dev/null || true # who looks into the catalog
	wait_until 30 sh -c "[ \"\$(\"$BOX\" exec systemctl show -P NRestarts objmapper.service 3>&-)\" -ge 1 ]"
	wait_until 30 ready
	[ "$(main_pid)" != "$pid" ]
	in_box journalctl -q -o cat -p crit --since "@$SINCE" -u objmapper.service | says "a page of a mapped file cannot be read (SIGBUS)"
	gone_is absent
	rest_is_served
	echo more | as alice objm put /more -
	[ "$(as alice objm cat /more)" = more ]
	wait_until 30 unavailable
	[ "$(restarts)" = 1 ] # once, not again and again
}

@test "it is back: all of it is served, without another restart" {
	in_box umount -l /srv/gone
	in_box mount /dev/objm-gone /srv/gone
	wait_until 30 gone_is ready
	all_there
	rest_is_served
	[ "$(as alice objm cat /more)" = more ]
	[ "$(restarts)" = 1 ]
}

@test "a start without the disk: the rest is served, and the disk is taken in when it comes" {
	in_box systemctl stop objmapper.service objmapper.socket
	in_box umount /srv/gone
	in_box systemctl start objmapper.socket objmapper.service
	wait_until 20 ready
	gone_is absent
	rest_is_served || [ "$(as alice objm cat /rest)" = rest ]
	in_box mount /dev/objm-gone /srv/gone
	wait_until 30 gone_is ready
	all_there
}
