#!/usr/bin/env bats
# What users own: bytes and objects are limited by uid, over all workers and tiers, through restarts, kills and a lost catalog.
load lib/daemon.bash

setup() { need_root; scenario_setup; }
teardown() { scenario_teardown; }

# Two users whom the limits hold: the daemon's own and root are exempt.
as_alice() { as_uid "$OTHER_UID" "$@"; }
BOB_UID=61236
as_bob() { as_uid "$BOB_UID" "$@"; }
limits() { "$PYTHON" -B "$LIB/limits.py" "$OBJM_SOCKET" "$@"; }
owns() { objmctl --json users "$1" | json "'%d %d %d' % ((s['users'][0]['objects'], s['users'][0]['bytes'], s['users'][0]['reserved_bytes']) if s['users'] else (0, 0, 0))"; }
owns_is() { [ "$(owns "$1")" = "$2" ] || { echo "uid $1 owns $(owns "$1"), not $2"; return 1; }; }
alice() { as_alice "$PYTHON" -B "$LIB/limits.py" "$OBJM_SOCKET" "$@"; }
bob() { as_bob "$PYTHON" -B "$LIB/limits.py" "$OBJM_SOCKET" "$@"; }
# What the listing says that is there under a prefix, in bytes.
listed() { objm ls --json "$1" | python3 -c 'import json,sys; v=[json.loads(l) for l in sys.stdin]; print(len(v), sum(o["size"] for o in v))'; }

@test "bytes: of one user, over four workers; at the limit one's own can be replaced; another user has his own" {
	MIN_WORKERS=4 MAX_WORKERS=4 write_conf "limits: {bytes_per_uid: 1M}"
	daemon_start
	alice fill /a/ 65536 16
	owns_is "$OTHER_UID" "16 1048576 0"
	alice replace /a/ 65536 16
	owns_is "$OTHER_UID" "16 1048576 0"
	bob race /b/ 65536 16
	owns_is "$BOB_UID" "16 1048576 0"
	[ "$(objmctl --json counters | json "s['total']['owner_limit']")" -ge 4 ]
	# the daemon's own user is not held; what it puts over another's is its own, and the other has room again
	as_user head -c 2000000 /dev/zero | as_user objm put /a/0 -
	owns_is "$OTHER_UID" "15 983040 0"
	as_alice objm rm /a/1
	owns_is "$OTHER_UID" "14 917504 0"
	[ "$(as_user objmctl --json object /a/2 | json "s['owner_uid']")" = "$OTHER_UID" ]
	# existing clients get the nearest code
	fails 1 "limits.bytes_per_uid" as_alice objm put /a/large "$BIN/supervisor/objmapperd"
}

@test "objects; a reload changes the limit; a rule for one user" {
	write_conf "limits: {objects_per_uid: 10}"
	daemon_start
	alice fill /a/ 10 10
	write_conf "limits: {objects_per_uid: 12}"
	objmctl reload >/dev/null
	alice fill /c/ 10 2
	write_conf "limits: {objects_per_uid: 5}"
	sed -i "s/^limits:.*/&\naccess: {rules: [{user: '*', rights: [read, write, delete, list]}, {user: $OTHER_UID, rights: [read], max_objects: 14, max_bytes: 141}]}/" "$CONF"
	objmctl reload >/dev/null
	alice race /d/ 10 2
	owns_is "$OTHER_UID" "14 140 0"
	bob fill /b/ 10 5
	objmctl users | grep -q "$OTHER_UID.* 14 .*14 "
	write_conf "access: {rules: [{group: 0, rights: [read], max_objects: 14}]}"
	fails 1 "max_objects" as_user objmctl reload
}

@test "a restart, kills in the middle of puts, a lost catalog: the sums are those of what is there" {
	write_conf "limits: {bytes_per_uid: 200K}"
	daemon_start
	alice fill /a/ 10240 20
	daemon_stop
	daemon_start
	owns_is "$OTHER_UID" "20 204800 0"
	for i in 1 2 3 4 5; do
		bob churn /b/ 10240 3>&- 4>&- &
		local b=$!
		alice churn /a/ 10240 3>&- 4>&- &
		local a=$!
		sleep 0.$((i * 2)) # a bounded while of load, then a kill wherever it happens to be
		daemon_kill
		wait $a
		wait $b
		daemon_start
		wait_until 20 eval '[ "$(status_of "s[\"index\"][\"complete\"]")" = True ]'
		[ "$(owns "$BOB_UID")" = "$(listed /b/) 0" ] || { echo "bob: $(owns "$BOB_UID"), there is $(listed /b/)"; false; }
		[ "$(owns "$OTHER_UID")" = "$(listed /a/) 0" ] || { echo "alice: $(owns "$OTHER_UID"), there is $(listed /a/)"; false; }
		[ "$(listed /b/ | cut -d' ' -f2)" -le 204800 ]
	done
	local before
	before="$(owns "$OTHER_UID") $(owns "$BOB_UID")"
	daemon_stop
	rm -rf "$DISK/catalog"
	daemon_start
	wait_until 30 eval '[ "$(owns $OTHER_UID) $(owns $BOB_UID)" = "'"$before"'" ]'
}
