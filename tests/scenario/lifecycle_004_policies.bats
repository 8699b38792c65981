#!/usr/bin/env bats
# Combinations of the lifecycle's keys, tiers' flags, sizes and durabilities, chosen at random, one after another on the same store: random
# puts, gets, deletes and moves by hand against a reference map, while objects move, are copied, evicted and expire. The seed is printed:
# OBJM_TEST_SEED repeats it. OBJM_TEST_LONG=1: many more, OBJM_TEST_PROCESSES of them at once (14 at the most: admin connections). OBJM_TEST_KEEP=DIRECTORY keeps everything of a run that fails.
# shellcheck disable=SC2034,SC2153 # variables of the library
load lib/daemon.bash
load lib/tiers.bash

ROUNDS=${OBJM_TEST_ROUNDS:-5} OPS=${OBJM_TEST_OPS:-400} PROCESSES=${OBJM_TEST_PROCESSES:-3}
[ -z "${OBJM_TEST_QUICK:-}" ] || ROUNDS=2
[ -z "${OBJM_TEST_LONG:-}" ] || ROUNDS=60 OPS=3000

setup() { scenario_setup; tiers_paths; }
teardown() { scenario_teardown; }

model() { as_user "$PYTHON" -B "$LIB/policies.py" "$OBJM_SOCKET" "$OBJMCTL_SOCKET" "$T/run/model" "$@" "$PROCESSES"; }
flags() { echo "[readable, writable${1:+, $1}${2:+, $2}]"; }

chosen() { # SEED: the configuration of it
	local hot cold full target decay batch bandwidth mem fast mem_flags fast_flags slow_flags persist durability wait share
	CHOSEN=$("$PYTHON" -B "$LIB/policies.py" - - - conf "$1")
	eval "$CHOSEN"
	cat >"$CONF" <<-END
	state_dir: $T/run/state
	listen: {data: $OBJM_SOCKET, admin: $OBJMCTL_SOCKET, mode: 0666}
	thread_pool: {min_workers: 2, max_workers: 2}
	limits: {room_wait: $wait}
	lifecycle: {interval_secs: 1, hot_threshold: $hot, cold_threshold: $cold, evict_when_full: $full, evict_target: $target,
	  hotness_decay_secs: $decay, migration_batch_size: $batch, bandwidth: $bandwidth, share_while_serving: $share}
	backends:
	  - {name: memory, type: memory, path: $M, capacity: $mem, allow_swap: true, flags: $(flags ephemeral "$mem_flags")}
	  - {name: fast, type: ssd, path: $FAST, capacity: $fast, flags: $(flags persistent "$fast_flags"), durability: $durability}
	  - {name: slow, type: hdd, path: $SLOW, capacity: 1G, flags: $(flags persistent "$slow_flags"), persist_index: $persist, durability: $durability}
	END
	chmod 644 "$CONF"
}
all_ready() { [ "$(objmctl --json tier list | json "all(t['state'] in ('ready', 'read-only') for t in s['tiers'])")" = True ]; }

@test "random operations under random policies: what is read is what was put, nothing is lost, nothing comes back" {
	local seed=${OBJM_TEST_SEED:-$RANDOM} n drain drained=
	echo "# seed $seed, $ROUNDS rounds" >&3
	for ((n = 0; n < ROUNDS; n++)); do
		chosen $((seed + n))
		drain=
		eval "$(tr ' ' '\n' <<<"$CHOSEN" | grep '^drain=')"
		daemon_start
		wait_until 30 all_ready
		[ -z "$drained" ] || objmctl tier drain "$drained" --stop >/dev/null
		[ -z "$drain" ] || objmctl tier drain "$drain" >/dev/null
		drained=$drain
		model $((seed + n)) "$OPS" >"$T/out" 2>&1 || { echo "seed $((seed + n)), round $n of $seed: $CHOSEN"; cat "$T/out"; return 1; }
		[ -z "${OBJM_TEST_LONG:-}" ] || echo "# $((seed + n)): $(cat "$T/out")" >&3
		[ "$(json "s['got'] > 0 and s['put'] > 0" <"$T/out")" = True ]
		if [ $((n % 3)) = 2 ]; then daemon_kill; else daemon_stop; fi
	done
	chosen "$seed"
	daemon_start
	wait_until 30 all_ready
	model "$seed" 0 >/dev/null
	[ -z "$drained" ] || objmctl tier drain "$drained" --stop >/dev/null
	objmctl lifecycle pause >/dev/null
	wait_until 30 tidy || say_untidy
}
