#!/usr/bin/env bats
# The objm command against a running daemon: what a first-time user does, and what scripts rely on.
load lib/daemon.bash

setup() { scenario_setup; write_conf; daemon_start; }
teardown() { scenario_teardown; }

@test "put, get, cat, exec, stat, ls, rm" {
	head -c 3000000 /dev/urandom >"$T/files/big"
	objm put --type image/png --meta who=ann --meta n=1 /big "$T/files/big"
	objm get /big "$T/copy"
	cmp "$T/files/big" "$T/copy"
	objm cat /big | cmp - "$T/files/big"
	[ "$(objm exec /big -- sha256sum)" = "$(sha256sum <"$T/files/big")" ]
	[ "$(objm exec /big -- sha256sum /dev/stdin)" = "$(sha256sum /dev/stdin <"$T/files/big")" ]
	objm stat /big | grep -q '^size *3000000 bytes'
	printf %s "small" | objm put /small -
	[ "$(objm get /small)" = small ]
	[ "$(objm get /small -)" = small ]
	[ "$(objm ls)" = "$(printf '/big\n/small')" ]
	[ "$(objm ls /s)" = /small ]
	objm ls --long | grep -q ' /small$'
	objm rm /big
	fails 1 "no such object" objm get /big
	[ "$(objm ls)" = /small ]
}

@test "stat --json has the fields of the contract" {
	printf %s "12345" | objm put --type text/plain --meta k=v --meta 'two words=x y' --pin /a -
	objm stat --json /a | python3 -c '
import json, sys, time
s = json.load(sys.stdin)
for k in "uri size version tier home flags heat access_count last_access mtime type meta".split(): assert k in s, k
assert s["uri"] == "/a" and s["size"] == 5 and s["type"] == "text/plain", s
assert s["meta"] == {"k": "v", "two words": "x y"}, s
assert s["flags"] == ["pinned"], s
assert s["tier"] == "disk" and s["home"] == "disk", s
assert abs(s["mtime"] - time.time()) < 60, s
assert 0 <= s["heat"] <= 1 and isinstance(s["access_count"], int), s'
	printf x | objm put --ephemeral /e -
	[ "$(objm stat --json /e | json "s['tier'] + ' ' + ','.join(s['flags'])")" = "memory ephemeral" ]
	a=$(objm stat --json /a | json "s['version']")
	printf %s "678" | objm put /a -
	[ "$(objm stat --json /a | json "s['version']")" -gt "$a" ]
	# bytes of others that are no text hide nothing: not this object, nor the rest of a listing
	printf x | objm put --type $'\xff"\n' --meta $'k=\xfe' /odd -
	[ "$(objm stat --json /odd | json "[s['type'], s['meta']]")" = '[{"base64": "/yIK"}, {"k": {"base64": "/g=="}}]' ]
	objm ls --json >"$T/files/ls"
	[ "$(while read -r l; do json "s['uri']" <<<"$l"; done <"$T/files/ls" | xargs)" = "/a /e /odd" ]
}

@test "objmctl status and tier list have the fields of the contract" {
	printf x | objm put /x -
	objmctl status --json | python3 -c '
import json, sys
s = json.load(sys.stdin)
assert s["supervisor"]["pid"] > 1 and s["lifecycle"]["pid"] > 1 and s["uptime_s"] >= 0, s
assert len(s["workers"]) == 2 and all(w["pid"] > 1 for w in s["workers"]), s
i = s["index"]
assert i["objects"] == 1 and i["slots"] > 0 and i["bytes"] > 0 and i["complete"] in (True, False), s'
	objmctl tier list --json | python3 -c '
import json, sys
t = {x["name"]: x for x in json.load(sys.stdin)["tiers"]}
assert set(t) == {"memory", "disk"}, t
for x in t.values():
    assert {"name", "type", "state", "capacity_bytes", "used_bytes", "objects"} <= set(x), x
    assert x["state"] == "ready" and x["capacity_bytes"] > 0, x
assert t["disk"]["objects"] == 1 and t["memory"]["objects"] == 0, t'
	objmctl status | grep -q worker
	objmctl tier list | grep -q '^disk'
	objmctl workers
	objmctl counters
	objmctl ping
	fails 1 "tier" objmctl tier rebuild nosuch
}

@test "ls: order, prefixes, JSON, NUL, many pages, odd names" {
	mkdir "$T/tree"
	for i in $(seq -w 1 2500); do echo "$i" >"$T/tree/$i"; done
	objm put -r /many "$T/tree"
	[ "$(objm ls /many/ | wc -l)" = 2500 ]
	objm ls /many/ | LC_ALL=C sort -c
	[ "$(objm ls /many/1)" = "$(objm ls /many/ | grep '^/many/1')" ]
	[ "$(objm ls -0 /many/ | tr '\0' '\n')" = "$(objm ls /many/)" ]
	objm ls --json /many/00 | python3 -c '
import json, sys
rows = [json.loads(l) for l in sys.stdin]
assert len(rows) == 99 and all(r["size"] == 5 and r["tier"] == "disk" for r in rows), rows[:2]'
	odd=$'/odd/a\nb\e[31m\tc  "\\'
	printf odd | objm put "$odd" -
	[ "$(objm cat "$odd")" = odd ]
	[ "$(objm ls -0 /odd/ | tr '\0' '@')" = "$odd@" ]
	[ "$(objm ls --json /odd/ | json "s['uri']")" = "$odd" ]
	# Messages never carry the escape sequence.
	err=$(objm get $'/no\e[31m' 2>&1) || true
	[[ $err == *'\x1b[31m'* ]]
	[[ $err != *$'\e'* ]]
	long=/$(printf 'x%.0s' $(seq 1 4095))
	printf long | objm put "$long" -
	[ "$(objm cat "$long")" = long ]
	[ "$(objm ls /xxx)" = "$long" ]
	objm rm "$long"
}

@test "trees: put -r, get -r, rm -r; names that would leave the directory" {
	mkdir -p "$T/tree/sub/deep"
	for i in 1 2 3; do head -c $((i * 50000)) /dev/urandom >"$T/tree/sub/f$i"; done
	: >"$T/tree/sub/deep/empty"
	ln -s f1 "$T/tree/sub/link"
	objm put -r /t "$T/tree" 2>"$T/err"
	grep -q "link: left out" "$T/err"
	rm "$T/tree/sub/link"
	objm get -r /t "$T/out"
	diff -r "$T/tree" "$T/out"
	printf x | objm put "/t/../escape" -
	printf x | objm put "/t//abs" -
	printf x | objm put "/t/./dot" -
	rm -rf "$T/out"
	fails 1 "refused" objm get -r /t "$T/out"
	diff -r "$T/tree" "$T/out"
	[ ! -e "$T/escape" ]
	ln -s "$T" "$T/out/evil"
	printf x | objm put /t/evil/planted -
	fails 1 "/t/evil/planted" objm get -r /t "$T/out"
	[ ! -e "$T/planted" ]
	printf x | objm put /tt -
	objm rm -r /t/
	[ "$(objm ls)" = /tt ]
	fails 1 "no object begins with" objm rm -r /t/
	fails 2 "--all" objm rm -r ""
	objm rm -r --all ""
	[ -z "$(objm ls)" ]
}

@test "options: no-clobber, ephemeral, evictable, ttl" {
	printf 1 | objm put --no-clobber /a -
	printf 2 >"$T/two"
	fails 1 "already" objm put --no-clobber /a "$T/two"
	[ "$(objm cat /a)" = 1 ]
	printf x | objm put --evictable --ttl 1h /b -
	[ "$(objm stat --json /b | json "s['flags']")" = '["evictable"]' ]
	[ "$(objm stat --json /b | json "s['expiry'] > s['mtime'] + 3500")" = True ]
	fails 2 "ttl" objm put --ttl soon /b "$T/two"
	fails 2 "meta" objm put --meta novalue /b "$T/two"
}

@test "wrong inputs: clear messages, exit statuses 1 and 2" {
	echo data >"$T/f"
	fails 1 "at least one byte" objm put "" "$T/f"
	fails 1 "4096" objm put "/$(printf 'x%.0s' $(seq 1 4096))" "$T/f"
	fails 1 "" objm put $'/bad\xff' "$T/f"
	fails 1 "no such object" objm get /none
	fails 1 "no such object" objm stat /none
	fails 1 "no such object" objm rm /none
	objm rm -f /none
	fails 1 "No such file" objm put /x "$T/none"
	fails 1 "put -r" objm put /x "$T"
	fails 1 "not a directory" objm put -r /x "$T/f"
	fails 2 "no such command" objm frobnicate
	fails 2 "operand" objm get
	fails 2 "one operand too many" objm get /a b c
	fails 4 "ctl.sock-none" objmctl -s "$T/ctl.sock-none" status
	fails 1 "is objmapperd running" objm -s "$T/none.sock" ls
	objm put /x "$T/f"
	fails 1 "No such file" objm get /x "$T/none/there"
	fails 1 "directory" objm get /x "$T"
	fails 127 "cannot run" objm exec /x -- /no/such/program
	[ -z "$(ls -A "$T" | grep '^\.objm')" ]
	r=0; objm exec /x -- sh -c 'exit 7' || r=$?
	[ $r = 7 ]
	need_root
	as_user chmod 700 "$T/run"
	fails 1 "" as_uid "$OTHER_UID" "$BIN/client/objm" -s "$OBJM_SOCKET" ls
}

@test "get: whole or not at all, permissions and symbolic links kept" {
	head -c 100000 /dev/zero | objm put /z -
	echo old >"$T/target"
	chmod 600 "$T/target"
	ln -s target "$T/link"
	objm get /z "$T/link"
	[ -L "$T/link" ]
	[ "$(stat -c '%s %a' "$T/target")" = "100000 600" ]
	objm get /z /dev/null
	[ -c /dev/null ]
	: >"$T/empty"
	objm put /empty "$T/empty"
	objm get /empty "$T/e2"
	[ -f "$T/e2" ]
	[ ! -s "$T/e2" ]
	[ -z "$(objm cat /empty)" ]
	# A terminal gets no binary data, but text.
	printf 'a\0b' | objm put /bin -
	printf 'text\n' | objm put /text -
	python3 - "$BIN/client/objm" <<-'END'
	import os, pty, sys
	def on_terminal(*args):
	    pid, fd = pty.fork()
	    if pid == 0:
	        os.execv(sys.argv[1], [sys.argv[1], *args])
	    out = b""
	    try:
	        while (b := os.read(fd, 4096)):
	            out += b
	    except OSError:
	        pass
	    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), out
	r, out = on_terminal("get", "/bin")
	assert r == 1 and b"terminal" in out and b"\0" not in out, (r, out)
	r, out = on_terminal("get", "/text")
	assert r == 0 and out == b"text\r\n", (r, out)
	r, out = on_terminal("cat", "/bin")
	assert r == 0 and b"\0" in out, (r, out)
	END
}
