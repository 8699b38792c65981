# objmapperd --preflight: would it come up? And --systemd-dropin. Neither changes anything.

setup() { load lib/daemon; scenario_setup; }
teardown() { scenario_teardown; }

preflight() { as_user "$BIN/supervisor/objmapperd" --config "$CONF" --preflight "$@"; }
# Everything below the daemon's directories, but what time alone changes.
picture() { (cd "$T/run" && find . "$M" ! -type s -printf '%p %y %m %s %u\n' | sort); }

@test "before the first start: nothing is made" {
	write_conf
	before=$(picture)
	preflight | tee "$T/out"
	grep -q '^note: state_dir .* does not exist' "$T/out"
	grep -q '^ok: program .*objmapper-worker, ' "$T/out"
	grep -q 'would come up$' "$T/out"
	[ "$(picture)" = "$before" ]
}

@test "beside a running daemon: it says so, sees every tier, and disturbs nothing" {
	write_conf
	daemon_start
	objm put /a "$CONF"
	objm put --ephemeral /b "$CONF"
	before=$(picture)
	for i in 1 2 3 4 5; do
		preflight >"$T/out" || { cat "$T/out"; return 1; }
		objm put "/more$i" "$CONF"
		objm cat "/more$i" >/dev/null
	done
	grep -q "^note: a daemon (pid $DPID) runs on " "$T/out"
	grep -q "^ok: tier memory (.*): 1 objects, " "$T/out"
	grep -q "^ok: tier disk (.*): [1-6] objects, " "$T/out"
	for i in 1 2 3 4 5; do objm rm "/more$i"; done
	daemon_stop
	daemon_start
	objm cat /a | cmp - "$CONF"
	objm cat /b | cmp - "$CONF"
	daemon_stop
	preflight >"$T/out"
	not grep -q "a daemon" "$T/out"
}

@test "a wrong configuration: 2, with line and key" {
	write_conf 'thread_pool2: {}'
	run preflight
	[ "$status" = 2 ]
	[[ $output == *thread_pool2* ]]
}

@test "a disk that is not mounted, a tier of somebody else, a damaged catalog: 1, and what it would mean" {
	write_conf
	daemon_start
	objm put /a "$CONF"
	daemon_stop
	mv "$DISK" "$DISK.away"
	as_user mkdir "$DISK"
	run preflight
	echo "$output"
	[ "$status" = 1 ]
	[[ $output == *"problem: tier disk "*"not mounted"* ]]
	[ -z "$(ls -A "$DISK")" ]
	rmdir "$DISK"
	mv "$DISK.away" "$DISK"

	mv "$T/run/state" "$T/run/state.away"
	run preflight
	[ "$status" = 1 ]
	[[ $output == *"problem: tier disk "*"another installation"* ]]
	mv "$T/run/state.away" "$T/run/state"

	cp -a "$DISK/catalog/data.mdb" "$T/run/saved"
	dd if=/dev/urandom of="$DISK/catalog/data.mdb" bs=4096 count=3 conv=notrunc status=none
	run preflight
	echo "$output"
	[ "$status" = 1 ]
	[[ $output == *"problem: tier disk: "* ]]
	mv "$T/run/saved" "$DISK/catalog/data.mdb"
	run preflight
	[ "$status" = 0 ]
}

@test "half an upgrade: the programs' versions are compared" {
	write_conf
	mkdir "$T/libexec"
	cp "$BIN/lifecycle/objmapper-lifecycle" "$T/libexec/"
	printf '#!/bin/sh\necho objmapper-worker 0.0.9\n' >"$T/libexec/objmapper-worker"
	chmod -R a+rx "$T/libexec"
	OBJM_LIBEXEC=$T/libexec run preflight
	echo "$output"
	[ "$status" = 1 ]
	[[ $output == *'is "objmapper-worker 0.0.9"'*"not complete"* ]]
}

@test "a path where a socket should be, and is not" {
	write_conf
	as_user touch "$OBJM_SOCKET"
	run preflight
	[ "$status" = 1 ]
	[[ $output == *"is not a socket"* ]]
}

@test "the drop-in names what the unit must be told, as systemd reads it" {
	write_conf
	DISK="$T/run/with space 100%" write_conf
	"$BIN/supervisor/objmapperd" --config "$CONF" --systemd-dropin >"$T/out"
	grep -qxF "ReadWritePaths=\"-$T/run/with space 100%%\"" "$T/out"
	grep -qxF "ReadWritePaths=\"-$T/run/state\"" "$T/out"
	grep -qxF "RequiresMountsFor=\"$T/run/state\"" "$T/out"
	[ "$(grep -c '^ReadWritePaths=' "$T/out")" = 3 ]
	not grep -qE '^(Wants|After)=' "$T/out" # nothing of it is a disk of its own
	# A tier on one: the directory above the mount point, so that it can go and come; waited for, not required.
	need_root
	mkdir -p "$T/run/a disk-1"
	mount -t tmpfs -o size=1m none "$T/run/a disk-1" || skip "no mount here"
	DISK="$T/run/a disk-1/sub/tier" write_conf
	"$BIN/supervisor/objmapperd" --config "$CONF" --systemd-dropin >"$T/out"
	umount "$T/run/a disk-1"
	cat "$T/out"
	grep -qxF "ReadWritePaths=\"-$T/run\"" "$T/out"
	not grep -q "^ReadWritePaths=.*disk-1" "$T/out"
	unit=$(systemd-escape --path --suffix=mount "$T/run/a disk-1") || unit=$(printf '%s' "${T#/}/run/a disk-1" | sed 's/-/\\x2d/g; s/ /\\x20/g; s|/|-|g').mount
	grep -qxF "Wants=$unit" "$T/out"
	grep -qxF "After=$unit" "$T/out"
	not grep -q "RequiresMountsFor=.*disk" "$T/out"
}
