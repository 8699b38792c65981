#!/usr/bin/env bats
# Tiers that come and go while the daemon serves: away at the start, unmounted in use, a memory tier that vanishes, a new one by
# reload, another installation's, one that is forgotten.
load lib/daemon.bash

setup() { scenario_setup; write_conf; }
teardown() {
	daemon_kill
	! mountpoint -q "$T/run/mnt" || umount -l "$T/run/mnt"
	! mountpoint -q "$T/run/mem" || umount -l "$T/run/mem"
	scenario_teardown
}

tier() { objmctl --json tier list | json "[t['$2'] for t in s['tiers'] if t['name'] == '$1'][0]"; }
is() { [ "$(tier "$1" state)" = "$2" ]; }
serves() { [ "$(objm cat "$1" 2>/dev/null)" = "$2" ]; }
unavailable() { objm get "$1" 2>&1 >/dev/null | grep -q "not available"; }
missing() { objm get "$1" 2>&1 >/dev/null | grep -q "no such object"; }

@test "a tier that is away at the start comes back by itself, with what was deleted meanwhile gone" {
	daemon_start
	for i in 1 2 3 4 5; do printf "disk$i" | objm put "/d/$i" -; done
	printf memory | objm put --ephemeral /m -
	daemon_stop
	mv "$DISK" "$DISK.away"
	daemon_start
	is disk absent
	unavailable /d/1
	[ "$(objm cat /m)" = memory ]
	objm rm /d/2
	rm -rf "$DISK"
	mv "$DISK.away" "$DISK"
	wait_until 30 is disk ready
	serves /d/1 disk1
	missing /d/2
	[ "$(objm ls /d/ | tr '\n' ' ')" = "/d/1 /d/3 /d/4 /d/5 " ]
	# the workers that were replaced for it can write there
	wait_until 30 objm put /d/6 "$CONF"
	daemon_stop
	daemon_start
	missing /d/2
	serves /d/5 disk5
}

@test "a tier whose directory goes in use is absent; it comes back with tier add, replaced objects stay replaced" {
	daemon_start
	printf one | objm put /d/1 -
	printf two | objm put /d/2 -
	mv "$DISK" "$DISK.away"
	wait_until 30 is disk absent
	wait_until 30 unavailable /d/1
	fails 1 "not available" objm get /d/none
	grep -q "tier disk .*it is absent from now on" "$LOG"
	printf new | objm put --ephemeral /d/2 -
	serves /d/2 new
	fails 1 "cannot open the directory" objmctl tier add disk
	mv "$DISK.away" "$DISK"
	wait_until 10 objmctl tier add disk
	wait_until 30 is disk ready
	serves /d/1 one
	serves /d/2 new
	missing /d/none
	fails 1 "there already" objmctl tier add disk
	[ "$(objmctl tier add disk 2>&1 | grep -c version)" = 0 ] # which is said of objects
	fails 1 'no tier "nosuch"' objmctl tier add nosuch
	printf x | objm put /d/3 -
	serves /d/3 x
	daemon_stop
	daemon_start
	serves /d/2 new
	serves /d/3 x
}

@test "a mounted tier, unmounted in use: what is there is kept; mounted again it serves" {
	[ "$(id -u)" = 0 ] || skip "mounting needs root"
	mkdir -p "$T/run/mnt" "$T/run/index"
	truncate -s 300M "$T/disk.img"
	mkfs.ext4 -q -F "$T/disk.img"
	mount -o loop "$T/disk.img" "$T/run/mnt" || skip "no loop devices"
	chown -R "$TEST_UID:$TEST_UID" "$T/run/mnt" "$T/run/index"
	DISK=$T/run/mnt DISK_CAP=100M write_conf
	daemon_start
	head -c 100000 /dev/urandom >"$T/files/a"
	objm put /a "$T/files/a"
	umount -l "$T/run/mnt"
	wait_until 30 is disk absent
	wait_until 30 unavailable /a
	objm put --ephemeral /e "$T/files/a"
	# nothing holds the filesystem any more: it can be checked and mounted again
	wait_until 40 free_image
	mount -o loop "$T/disk.img" "$T/run/mnt"
	wait_until 30 is disk ready
	objm cat /a | cmp - "$T/files/a"
	wait_until 30 objm put /b "$T/files/a"
	objm cat /b | cmp - "$T/files/a"
}
free_image() { [ -z "$(losetup -j "$T/disk.img")" ]; }

@test "a memory tier that vanishes: ephemeral objects are gone, the others serve; the new one is used" {
	[ "$(id -u)" = 0 ] || skip "mounting needs root"
	mkdir -p "$T/run/mem"
	mount -t tmpfs -o "size=64m,mode=0700,uid=$TEST_UID" tmpfs "$T/run/mem"
	sed -i "s|path: $M,|path: $T/run/mem,|" "$CONF"
	daemon_start
	printf disk | objm put /d -
	printf mem | objm put --ephemeral /m -
	umount -l "$T/run/mem"
	wait_until 30 is memory absent
	serves /d disk
	wait_until 30 missing /m
	mount -t tmpfs -o "size=64m,mode=0700,uid=$TEST_UID" tmpfs "$T/run/mem"
	wait_until 30 is memory ready
	wait_until 30 objm put --ephemeral /m2 "$CONF"
	objm cat /m2 | cmp - "$CONF"
	missing /m
}

@test "a new tier by reload; it is forgotten once it is away" {
	daemon_start
	printf x | objm put /x -
	sed -i "/name: disk/a\\  - {name: second, type: hdd, path: $T/run/second, capacity: 1G}" "$CONF"
	objmctl --json reload >"$T/r"
	[ "$(json "[k['key'] for k in s['applied']]" <"$T/r")" = '["backends[second]"]' ]
	wait_until 30 is second ready
	serves /x x
	fails 1 "it is there" objmctl tier forget second
	mv "$T/run/second" "$T/run/second.away"
	wait_until 30 is second absent
	fails 1 "lost" objmctl tier forget second
	fails 1 "not available" objm get /none
	objmctl tier forget second --lost
	wait_until 10 missing /none
	mv "$T/run/second.away" "$T/run/second"
	sleep 3 # more than one look
	is second absent
}

@test "another installation's tier is refused until it is adopted" {
	daemon_start
	printf theirs | objm put /t -
	daemon_stop
	mv "$DISK" "$T/run/theirs"
	rm -rf "$T/run/state" "$M"/* "$M"/.objmapper-tier
	daemon_start
	printf ours | objm put /o -
	sed -i "/name: disk/a\\  - {name: second, type: hdd, path: $T/run/theirs, capacity: 1G}" "$CONF"
	objmctl reload >/dev/null
	wait_until 10 grep -q "tier second.*another installation" "$LOG"
	is second absent
	fails 1 "another installation" objmctl tier add second
	objmctl tier adopt second
	wait_until 30 is second ready
	wait_until 10 serves /t theirs
	serves /o ours
	printf more | objm put /more -
	serves /more more
}

@test "one directory given to two tiers, by a link: it is the first one's, whichever stands first, and hides nothing" {
	mkdir "$T/run/link.d"
	ln -s ../disk "$T/run/link.d/disk"
	sed "/name: disk/a\\  - {name: second, type: hdd, path: $T/run/link.d/disk, capacity: 1G}" "$CONF" >"$T/both"
	sed "/name: disk/i\\  - {name: second, type: hdd, path: $T/run/link.d/disk, capacity: 1G}" "$CONF" >"$T/before"
	for conf in both before; do
		cp "$T/$conf" "$CONF"
		: >"$LOG"
		daemon_start
		is second absent
		is disk ready
		grep -q "tier second .*its directory is that of tier disk, or a copy of it: give each tier a directory of its own" "$LOG"
		fails 1 "that of tier disk" objmctl tier adopt second
		printf $conf | objm put "/$conf" -
		serves /both both
		missing /none
		daemon_stop
	done
	cp "$T/both" "$CONF"
	fails 1 "" "${AS_USER[@]}" "$BIN/supervisor/objmapperd" --config "$CONF" --preflight
	"${AS_USER[@]}" "$BIN/supervisor/objmapperd" --config "$CONF" --preflight >"$T/check" || true
	grep -q "tier second .*its directory is that of tier disk" "$T/check"
	[ -z "$(find "$DISK/" -name '*.bad*')" ]
}

@test "another tier of ours at a tier's path is refused until it is adopted; a tier that is left out of the configuration is said" {
	sed -i "/name: disk/a\\  - {name: second, type: hdd, path: $T/run/second, capacity: 1G}" "$CONF"
	cp "$CONF" "$T/whole"
	daemon_start
	printf one | objm put /d/1 -
	objmctl migrate /d/1 second >/dev/null
	daemon_stop
	sed -i "/name: second/d" "$CONF"
	"${AS_USER[@]}" "$BIN/supervisor/objmapperd" --config "$CONF" --preflight | grep -q "tier second: state_dir knows it, and it is not in the configuration"
	: >"$LOG"
	daemon_start
	grep -q "tier second: it is known from before and is not in the configuration" "$LOG"
	not grep -q "tier disk: it is known" "$LOG"
	daemon_stop
	# its directory, at the path of the other one
	mv "$DISK" "$T/run/first"
	mv "$T/run/second" "$DISK"
	daemon_start
	is disk absent
	fails 1 "it is another tier of this installation" objmctl tier add disk
	objmctl tier adopt disk
	wait_until 10 serves /d/1 one
	daemon_stop
	cp "$T/whole" "$CONF"
	: >"$LOG"
	daemon_start
	not grep -q "is not in the configuration" "$LOG"
}

@test "a hundred deletes and replaces around a tier's return: nothing comes back" {
	daemon_start
	for i in $(seq 1 60); do printf "$i" >"$T/files/$i"; done
	objm put -r /o "$T/files" >/dev/null
	mv "$DISK" "$DISK.away"
	wait_until 30 is disk absent
	(for i in $(seq 1 30); do objm rm "/o/$i" || echo "rm $i"; done) >"$T/rm.log" 2>&1 &
	rm_pid=$!
	sleep 0.2
	mv "$DISK.away" "$DISK"
	wait $rm_pid
	wait_until 30 is disk ready
	cat "$T/rm.log"
	for i in $(seq 1 30); do
		grep -q "rm $i\$" "$T/rm.log" || missing "/o/$i"
	done
	for i in $(seq 31 60); do serves "/o/$i" "$i"; done
}
