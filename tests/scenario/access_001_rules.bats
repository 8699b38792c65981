#!/usr/bin/env bats
# Who may do what: access.rules by user, group, address and prefix, for every operation and every version.
load lib/daemon.bash

setup() { scenario_setup; }
teardown() { scenario_teardown; }

access() { as_user "$PYTHON" -B "$LIB/access.py" "$@"; }
# as_other GROUPS ARGUMENT...: as somebody else, with these supplementary groups ("" for none)
as_other() {
	local groups=(--clear-groups)
	[ -z "$1" ] || groups=(--groups "$1")
	shift
	setpriv --reuid="$OTHER_UID" --regid="$OTHER_UID" "${groups[@]}" --no-new-privs -- "$PYTHON" -B "$LIB/access.py" "$@"
}
me() { [ "$(id -u)" = 0 ] && echo "$TEST_UID" || id -u; }
all='[read, write, delete, list, pin, ephemeral, evictable, legacy]'

@test "without rules: whoever may open the socket, on TCP nobody" {
	port=$((20000 + RANDOM % 20000))
	write_conf
	sed -i "s/^  mode: 0666/&\n  tcp: [$port]/" "$CONF"
	daemon_start
	access "$OBJM_SOCKET" seed /a/1
	access 127.0.0.1:$port expect get:/a/1=0x40 get:/a/none=0x40 stat:/a/1=0x40 delete:/a/1=0x49 put:/a/2=0x49
	[ "$(objm cat /a/1)" = "data of /a/1" ]
}

@test "by address on TCP: what the rule gives, descriptors never" {
	port=$((20000 + RANDOM % 20000))
	write_conf "access: {rules: [{user: self, rights: $all}, {address: 127.0.0.0/8, prefix: /pub, rights: [read]}, {address: 127.0.0.1, prefix: /in, rights: [write, delete]}, {address: 10.0.0.0/8, rights: [read]}]}"
	sed -i "s/^  mode: 0666/&\n  tcp: [$port]/" "$CONF"
	daemon_start
	access "$OBJM_SOCKET" seed /pub/1 /priv/1 /in/old
	access 127.0.0.1:$port expect get:/pub/1=0 get:/pub/none=1 get:/priv/1=0x40 get:/priv/none=0x40 \
		put:/pub/2=0x40 put:/in/1=0 get:/in/1=0x40 delete:/in/old=0 begin:/in/2=3
	access "$OBJM_SOCKET" expect get:/in/1=0 get:/in/old=1
}

@test "by user and prefix: every operation, and what exists looks like what does not" {
	need_root
	write_conf "access: {rules: [{user: self, rights: $all}, {user: $OTHER_UID, prefix: /o, rights: $all}, {user: $OTHER_UID, prefix: /r, rights: [read]}, {user: $OTHER_UID, prefix: \"/w\", rights: [write]}]}"
	daemon_start
	access "$OBJM_SOCKET" seed /o/1 /r/1 /s/1 /ox /w/1
	as_other "" "$OBJM_SOCKET" denied /s/1 /s/none
	as_other "" "$OBJM_SOCKET" denied /ox /oxx
	as_other "" "$OBJM_SOCKET" mixed /o/1 /s/1 /o/none
	as_other "" "$OBJM_SOCKET" expect get:/o/1=0 put:/o/2=0 begin:/o/3=0 delete:/o/2=0 put-pinned:/o/p=0 \
		get:/r/1=0 stat:/r/1=0 put:/r/1=0x40 delete:/r/1=0x40 \
		put:/w/2=0 put-pinned:/w/3=0x40 put-ephemeral:/w/4=0x40 put-evictable:/w/5=0x40 get:/w/2=0x40 delete:/w/2=0x40
	# accesses that a cache reports: of what it may read
	id_of() { objmctl --json object "$1" | json "s['id']"; }
	as_other "" "$OBJM_SOCKET" touch "/s/1=$(id_of /s/1)=700" "/r/1=$(id_of /r/1)=3" "/w/1=$(id_of /w/1)=700"
	[ "$(objmctl --json counters | json "s['total']['touched']")" = 3 ]
	# nothing of what was refused has happened
	access "$OBJM_SOCKET" expect get:/s/1=0 get:/ox=0 get:/r/1=0 get:/w/3=1 get:/w/4=1 get:/w/5=1 get:/w/2=0
	[ "$(objmctl --json counters | json "s['total']['denied'] > 20")" = True ]
}

@test "rules are what counts: with rules the daemon's own user has no more than they give" {
	write_conf "access: {rules: [{user: self, prefix: /mine, rights: [read, write]}]}"
	daemon_start
	access "$OBJM_SOCKET" expect put:/mine/1=0 get:/mine/1=0 delete:/mine/1=0x40 get:/other=0x40 put:/other=0x40
}

@test "by group: the main one and the supplementary ones" {
	need_root
	write_conf "access: {rules: [{user: self, rights: $all}, {group: 61300, prefix: /g, rights: [read]}, {group: $OTHER_UID, prefix: /main, rights: [read]}]}"
	daemon_start
	access "$OBJM_SOCKET" seed /g/1 /main/1
	as_other "" "$OBJM_SOCKET" expect get:/g/1=0x40 get:/main/1=0
	as_other "61299,61300" "$OBJM_SOCKET" expect get:/g/1=0 get:/main/1=0
	as_other "61299" "$OBJM_SOCKET" expect get:/g/1=0x40
}

@test "listings show what the rules allow: pages, prefixes, delimiters against a second opinion" {
	need_root
	for seed in 11 12; do
		write_conf "access:
  rules:
    - {user: self, rights: $all}
$(access - rules $seed "$OTHER_UID")"
		rm -rf "$T/run/state" "$DISK"
		daemon_start
		access "$OBJM_SOCKET" tree $seed
		as_other "" "$OBJM_SOCKET" lists $seed
		daemon_stop
	done
}

@test "a rule below which there is nothing hides no group of another" {
	need_root
	local rules="{user: self, rights: $all}, {user: $OTHER_UID, prefix: /g/y, rights: [list]}" i
	for i in {1..40}; do rules+=", {user: $OTHER_UID, prefix: /g/x$i, rights: [list]}"; done # more than one page asks about
	write_conf "access: {rules: [$rules]}"
	daemon_start
	access "$OBJM_SOCKET" seed /g/y/1 /g/y/2 /g/z
	as_other "" "$OBJM_SOCKET" listed "" / /...
	as_other "" "$OBJM_SOCKET" listed /g/ / /g/y/...
	as_other "" "$OBJM_SOCKET" listed /g / /g/...
	as_other "" "$OBJM_SOCKET" listed "" "" /g/y/1 /g/y/2
}

@test "the legacy socket: the right legacy, by URI" {
	need_root
	write_conf "access: {legacy: [], rules: [{user: self, rights: $all}, {user: $OTHER_UID, prefix: /l, rights: [read, write, delete, legacy]}, {user: $OTHER_UID, prefix: /r, rights: [read, write, delete]}]}"
	daemon_start
	access "$OBJM_SOCKET" seed /l/1 /r/1 /x/1
	as_other "" "$LEGACY" expect get:/l/1=0 get:/x/1=0x40
	run setpriv --reuid="$OTHER_UID" --regid="$OTHER_UID" --clear-groups -- "$PYTHON" -B "$LIB/v1v2.py" "$LEGACY" legacy_rights
	echo "$output"
	[ "$status" = 0 ]
	access "$OBJM_SOCKET" expect get:/l/new=0 get:/l/1=1 get:/r/1=0 get:/x/1=0 get:/r/new=1
}

@test "a reload changes what open connections may do" {
	rule() { echo "access: {rules: [{user: self, prefix: $1, rights: $all}]}"; }
	write_conf "$(rule /a)"
	daemon_start
	access "$OBJM_SOCKET" expect put:/a/1=0 put:/b/1=0x40
	mkfifo "$T/begun"
	"${AS_USER[@]}" "$PYTHON" -B "$LIB/access.py" "$OBJM_SOCKET" until get:/a/1 0x40 >"$T/begun" 3>&- 4>&- &
	c=$!
	read -r _ <"$T/begun"
	write_conf "$(rule /b)"
	objmctl reload
	wait $c
	access "$OBJM_SOCKET" expect get:/a/1=0x40 put:/b/1=0 get:/b/1=0
}

@test "an unknown user is told with its line" {
	write_conf "access:
  rules:
    - {user: self, rights: [read]}
    - {user: nobody-of-this-name, rights: [read]}"
	line=$(grep -n nobody-of-this-name "$CONF" | cut -d: -f1)
	run "$BIN/supervisor/objmapperd" --check-config --config "$CONF"
	[ "$status" != 0 ]
	[[ $output == *"$CONF:$line: error: access.rules[1].user: found \`nobody-of-this-name\`"* ]]
}
