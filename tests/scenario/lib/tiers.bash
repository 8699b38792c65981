# tiers.bash: three tiers on which objects move all the time, and what must be true of them. Loaded after daemon.bash.
# shellcheck shell=bash


tiers_paths() { FAST=$T/run/fast SLOW=$T/run/slow; }

# tiers_conf [LIFECYCLE]: memory, fast (ssd) and slow (hdd). Variables: MEM_CAP, FAST_CAP, SLOW_CAP, FAST, SLOW. Moves do not give way to
# requests, unless SHARE says so: a test that asks while it waits for moves would wait for itself.
tiers_conf() {
	cat >"$CONF" <<-END
	state_dir: $T/run/state
	listen: {data: $OBJM_SOCKET, admin: $OBJMCTL_SOCKET, mode: 0666}
	thread_pool: {min_workers: ${MIN_WORKERS:-2}, max_workers: ${MAX_WORKERS:-2}}
	lifecycle: {${1:-interval_secs: 1, hotness_decay_secs: 1, hot_threshold: 0.3, cold_threshold: 0.25, migration_batch_size: 1000}, share_while_serving: ${SHARE:-1}}
	backends:
	  - {name: memory, type: memory, path: $M, capacity: ${MEM_CAP:-64M}, allow_swap: true}
	  - {name: fast, type: ssd, path: $FAST, capacity: ${FAST_CAP:-256M}}
	  - {name: slow, type: hdd, path: $SLOW, capacity: ${SLOW_CAP:-1G}}
	END
	chmod 644 "$CONF"
}

# objects_on TIER: records; files_on DIR: object files.
objects_on() { status_of "next(t['objects'] for t in s['tiers'] if t['name'] == '$1')"; }
files_on() { find "$1/objects" -type f ! -name '*.m' 2>/dev/null | wc -l; }

# Every file has its record and every record its file; nothing waits.
tidy() {
	[ "$(objects_on memory)" = "$(files_on "$M")" ] && [ "$(objects_on fast)" = "$(files_on "$FAST")" ] &&
		[ "$(objects_on slow)" = "$(files_on "$SLOW")" ]
}
say_untidy() {
	echo "records: memory $(objects_on memory), fast $(objects_on fast), slow $(objects_on slow)"
	echo "files:   memory $(files_on "$M"), fast $(files_on "$FAST"), slow $(files_on "$SLOW")"
	return 1
}

lifecycle_pid() { status_of "s['lifecycle']['pid']"; }
# moved: moves and copies since the daemon began.
moved() { objmctl --json counters 2>/dev/null | json "sum(s['total'].get(k, 0) for k in ('moved', 'copied'))" 2>/dev/null || echo 0; }
# shellcheck disable=SC2317
tier_of() { objm stat --json "$1" | json "s['tier']"; }
