#!/usr/bin/env bats
# Compressed answers over TCP: asked for, only where they pay, the same bytes, and bounded for peers that do not read.
load lib/daemon.bash

setup() { scenario_setup; }
teardown() { scenario_teardown; }

z() { as_user "$PYTHON" -B "$LIB/zblocks.py" "$TCP" "$@"; }
counter() { objmctl --json counters | json "s['total']['$1']"; }

# tcp_start [EXTRA_YAML]
tcp_start() {
	PORT=$(python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])')
	TCP=127.0.0.1:$PORT
	write_conf "access: {rules: [{user: '*', rights: [read, write, delete, list, ephemeral]}, {address: 127.0.0.0/8, rights: [read]}]}
	${1:-}"
	sed -i "s|^  mode: 0666|  mode: 0666\n  tcp: [$PORT]|; s/^\t//" "$CONF"
	daemon_start
}

files() {
	local f=$T/files
	: >"$f/empty"
	printf x >"$f/one"
	seq 1 3000 | head -c 8192 >"$f/limit"		# the longest that is never compressed
	seq 1 3000 | head -c 8193 >"$f/above"
	seq 1 300000 >"$f/text"
	head -c 3000000 /dev/urandom >"$f/random"
	# Text, then what cannot be compressed, then text: the sample says yes, blocks in the middle go as they are.
	{ seq 1 100000; head -c 2500000 /dev/urandom; seq 1 500000; } >"$f/mixed"
	head -c 200000 /dev/zero >"$f/zero"
	head -c 1500000 /dev/urandom | base64 | gzip -c >"$f/text.gz"
	# Shrinks, but by less than an eighth.
	for ((i = 0; i < 40; i++)); do head -c 7700 /dev/urandom; head -c 492 /dev/zero; done >"$f/little"
	chmod 644 "$f"/*
	objm put -r /z "$f"
}

@test "the same bytes, compressed where it pays" {
	tcp_start
	files
	z granted "$OBJM_SOCKET" yes
	z same "$T/files" above text mixed zero >"$T/out"
	sed 's/^/# /' "$T/out" >&3
	[ "$(counter compressed)" -ge 60 ]
	[ "$(counter compressed_sent)" -lt "$(counter compressed_bytes)" ]
	# bytes of a memory tier are read in another way
	objm rm -r -f /z/
	objm put --ephemeral -r /z "$T/files"
	z same "$T/files" above text mixed zero >/dev/null
}

@test "objm and libobjm: the same bytes over TCP" {
	tcp_start
	files
	head -c 40000000 /dev/zero >"$T/files/large"
	chmod 644 "$T/files/large"
	objm put /z/large "$T/files/large"
	local f before
	before=$(counter compressed)
	for f in "$T/files"/*; do
		objm cat -s "tcp:$TCP" "/z/${f##*/}" | cmp - "$f"
		objm get -s "tcp:$TCP" "/z/${f##*/}" "$T/got"
		cmp "$T/got" "$f"
	done
	[ "$(counter compressed)" -ge $((before + 10)) ]
	[ "$(OBJM_SOCKET=tcp:$TCP objm exec /z/text -- sha256sum)" = "$(sha256sum <"$T/files/text")" ]
	cat "$T/files/text" "$T/files/one" "$T/files/empty" >"$T/both"
	objm cat -s "tcp:$TCP" /z/text /z/one /z/empty | cmp - "$T/both"
	fails 1 "no such object" objm cat -s "tcp:$TCP" /z/none
	fails 1 "get, cat and exec" objm ls -s "tcp:$TCP"
	fails 1 "is no address" objm cat -s tcp:nonsense /z/one
	fails 1 "is no address" objm cat -s tcp:127.0.0.1:70000 /z/one
	fails 1 "cannot connect" objm cat -s tcp:127.0.0.1:1 /z/one
	[ ! -e "$T/none" ]
}

@test "forbidden by the configuration: not granted; a reload forbids it to open connections, too" {
	tcp_start "protocol: {compression: 0}"
	files
	z granted "$OBJM_SOCKET" no
	sed -i 's/compression: 0/compression: 3/' "$CONF"
	objmctl reload
	z granted "$OBJM_SOCKET" yes
	z same "$T/files" above text mixed zero >/dev/null
}

@test "peers that ask for much and read nothing cost a bounded amount" {
	tcp_start
	for ((i = 0; i < 8; i++)); do seq 1 150000; done >"$T/files/big"
	chmod 644 "$T/files/big"
	objm put /big "$T/files/big"
	echo small | objm put /small -
	# shellcheck disable=SC2046
	z unread /big /small 2 $(worker_pids) >"$T/out"
	sed 's/^/# /' "$T/out" >&3
	z granted "$OBJM_SOCKET" yes
}
