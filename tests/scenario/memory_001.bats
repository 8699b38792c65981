#!/usr/bin/env bats
# Memory: what the daemon takes, through puts, reads, evictions and copies between tiers, stays within what the configuration
# allows: the memory tier's capacity, the index, and a bound for each process (doc/operations.md, Sizing).
load lib/daemon.bash

setup() { scenario_setup; }
teardown() { scenario_teardown; }

@test "processes, shared memory and the memory tier together: within 1.05 of what is allowed, at every sample" {
	MEM_CAP=48M
	write_conf
	cat >>"$CONF" <<-Y
		lifecycle: {interval_secs: 1, hot_threshold: 0.05, cold_threshold: 0.01}
	Y
	daemon_start
	head -c 65536 /dev/urandom >"$T/files/b"
	PIDS=$(objmctl --json status | python3 -c 'import json,sys; s=json.load(sys.stdin); print(s["supervisor"]["pid"], s["lifecycle"]["pid"], *[w["pid"] for w in s["workers"]])')
	python3 - "$T/files/b" "$M" $PIDS <<-'P'
		import json, os, subprocess, sys, threading, time
		blob, mem, pids = sys.argv[1], sys.argv[2], sys.argv[3:]
		MIB = 1 << 20
		def ctl(*a):
		    return json.loads(subprocess.run(["objmctl", "--json", *a], capture_output=True, check=True, text=True).stdout)
		def process(pid):
		    k = {}
		    for line in open(f"/proc/{pid}/smaps_rollup"):
		        f = line.split()
		        if f[0] in ("Pss_Anon:", "Pss_Shmem:"):
		            k[f[0]] = int(f[1]) * 1024
		    return sum(k.values())
		def tmpfs():
		    n = 0
		    for d, _, files in os.walk(mem):
		        for f in files:
		            try:
		                n += os.lstat(os.path.join(d, f)).st_blocks * 512
		            except FileNotFoundError:
		                pass
		    return n
		samples, stop = [], threading.Event()
		def watch():
		    while not stop.is_set():
		        samples.append((sum(process(p) for p in pids), tmpfs()))
		        time.sleep(0.1)
		t = threading.Thread(target=watch); t.start()
		run = lambda *a: subprocess.run(a, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
		done = 0
		try:
		    d = os.path.join(os.path.dirname(blob), "many"); os.mkdir(d)
		    for i in range(1200):                                   # 75 MiB for the disk, more than memory holds
		        os.makedirs(f"{d}/{i // 300}", exist_ok=True)
		        os.link(blob, f"{d}/{i // 300}/{i}")
		    assert run("objm", "put", "-r", "/m", d) == 0
		    for group in range(4):                                  # hot sets that take turns: copies come and go
		        for again in range(4):
		            assert run("objm", "get", "-r", f"/m/{group}", f"{d}/got{group}{again}") == 0
		        for i in range(60):                                 # and ephemeral ones, evictable, past what is free
		            done += run("objm", "put", "--ephemeral", "--evictable", f"/e/{group}/{i}", blob) == 0
		        time.sleep(1.5)
		finally:
		    stop.set(); t.join()
		status = ctl("status")
		tier = next(x for x in ctl("tier", "list")["tiers"] if x["name"] == "memory")
		assert tier["in_bytes_per_s"] >= 0 and done > 0, (tier, done)
		moved = ctl("lifecycle", "status")
		assert moved["cached"] > 0, moved                           # there was migration
		allowed = 48 * MIB + status["index"]["bytes"] + 12 * MIB + 24 * MIB + 16 * MIB + (len(pids) - 2) * 12 * MIB
		top = max(a + b for a, b in samples)
		print(f"# {len(samples)} samples: processes at most {max(a for a, _ in samples) / MIB:.1f} MiB, tmpfs {max(b for _, b in samples) / MIB:.1f} MiB, "
		      f"together {top / MIB:.1f} of {allowed / MIB:.1f} MiB allowed; {moved['cached']} copies, {moved['dropped']} dropped", file=sys.stderr)
		assert len(samples) > 20
		assert max(b for _, b in samples) <= 48 * MIB * 1.05, "the memory tier holds more than its capacity"
		assert top <= 1.05 * allowed
	P
}
