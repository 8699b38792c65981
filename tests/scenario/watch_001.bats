#!/usr/bin/env bats
# WATCH: a client learns of every change under a prefix, in order, with a position to go on from; what is lost is told.
load lib/daemon.bash

setup() { scenario_setup; }
teardown() { scenario_teardown; }

watch() { as_user "$PYTHON" -B "$LIB/watch.py" "$OBJM_SOCKET" "$@"; }
scaled() { case $BUILD in *asan* | *tsan*) echo $(($1 / 10)) ;; *) echo "$1" ;; esac; }

@test "puts, changes, deletes: each told once, below the prefix and nowhere else" {
	write_conf
	daemon_start
	watch basics
	# what watched is gone: nobody is fed any more
	wait_until 5 eval '[ "$(objmctl --json counters | json "s[\"total\"][\"watches\"]")" = 0 ]'
}

@test "concurrent writers: all watches see one order" {
	write_conf
	daemon_start
	watch order 8 "$(scaled 200)"
}

@test "after a lost connection: from the position on, nothing twice, nothing left out" {
	write_conf
	daemon_start
	watch resume
	watch resume
}

@test "after a restart of the daemon: LOST, then it goes on" {
	write_conf
	daemon_start
	watch basics
	read -r epoch pos < <(watch here)
	daemon_stop
	daemon_start
	watch gone "$epoch" "$pos"
}

@test "a watch that does not read loses changes, is told so, and holds nobody up" {
	write_conf
	daemon_start
	watch overflow 4000
	[ "$(objmctl --json counters | json "s['total']['watch_lost'] > 0")" = True ]
}

@test "a position that is not held any more" {
	write_conf
	daemon_start
	watch old 1500
}

@test "rules: what may not be listed is not told" {
	need_root
	write_conf "access: {rules: [{user: self, rights: [read, write, delete, list]}, {user: $OTHER_UID, prefix: /see, rights: [list]}, {user: 61236, prefix: /see, rights: [read]}]}"
	daemon_start
	mkfifo "$T/begun"
	setpriv --reuid="$OTHER_UID" --regid="$OTHER_UID" --clear-groups -- "$PYTHON" -B "$LIB/watch.py" "$OBJM_SOCKET" filtered /see /hide >"$T/begun" 3>&- 4>&- &
	w=$!
	read -r _ <"$T/begun"
	for u in /see/1 /hide/1 /see/2 /hide/2 /seen /see/3 /see/end; do echo x | as_user env OBJM_SOCKET="$OBJM_SOCKET" "$BIN/client/objm" put "$u" -; done
	wait $w
	setpriv --reuid=61236 --regid=61236 --clear-groups -- "$PYTHON" -B "$LIB/watch.py" "$OBJM_SOCKET" denied
}

@test "objm watch: a line for each change, over a restart of the daemon" {
	write_conf
	daemon_start
	as_user env OBJM_SOCKET="$OBJM_SOCKET" "$BIN/client/objm" watch /c/ >"$T/out" 2>"$T/err" 3>&- 4>&- &
	w=$!
	# it watches from its first answer on: until then a change may be missed
	wait_until 10 eval '[ "$(objmctl --json counters | json "s[\"total\"][\"watches\"]")" = 1 ]'
	echo x | objm put /c/1 -
	echo x | objm put /d/1 -
	objm pin /c/1
	objm set --type text/plain --meta a=b /c/1
	wait_until 10 grep -q "^set    /c/1" "$T/out"
	objm unpin /c/1
	objm rm /c/1
	wait_until 10 grep -q "^delete /c/1" "$T/out"
	diff - "$T/out" <<-END
	put    /c/1
	set    /c/1
	set    /c/1
	set    /c/1
	delete /c/1
	END
	daemon_stop
	daemon_start
	wait_until 20 grep -q "^lost" "$T/out"
	echo x | objm put /c/2 -
	wait_until 10 grep -q "^put    /c/2" "$T/out"
	kill -TERM $w
	wait $w || true
	[ ! -s "$T/err" ] || { cat "$T/err"; false; }
}
