#!/usr/bin/env bats
# Metrics: what objmctl and objm-exporter give, read by parsers that are not ours, and held against what was done.
load lib/daemon.bash

setup() { scenario_setup; write_conf; daemon_start; EPID=; }
teardown() {
	[ -z "$EPID" ] || { kill "$EPID" 2>/dev/null || true; wait "$EPID" 2>/dev/null || true; }
	scenario_teardown
}

# value TEXT SAMPLE: of the sample with exactly this name and labels.
value() { grep -F "$2 " "$1" | grep -v '^#' | awk '{ print $NF }'; }

# start_exporter: sets EPID and PORT.
start_exporter() {
	"${AS_USER[@]}" "$EXPORTER" -l 127.0.0.1:0 2>"$T/exporter.log" 3>&- &
	EPID=$!
	for _ in $(seq 1 100); do
		PORT=$(sed -n 's/.*on port \([0-9]*\)$/\1/p' "$T/exporter.log")
		[ -z "$PORT" ] || return 0
		sleep 0.1
	done
	cat "$T/exporter.log"
	return 1
}

@test "objmctl metrics: an OpenMetrics parser takes it, and it counts what was done" {
	/usr/bin/python3 -c 'import prometheus_client.openmetrics.parser' 2>/dev/null || skip "python3-prometheus-client is not installed"
	for i in 1 2 3; do printf %s "$i" | objm put "/m/$i" -; done
	for i in 1 2 3 1; do objm get "/m/$i" - >/dev/null; done
	fails 1 "no such object" objm get /m/none
	objm rm /m/3
	objmctl metrics >"$T/m"
	[ "$(tail -n 1 "$T/m")" = "# EOF" ]
	/usr/bin/python3 - "$T/m" <<-'P'
		import sys
		from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse
		f = {m.name: m for m in parse(open(sys.argv[1]).read())}
		def one(name, **labels):
		    fam = next(m for m in f.values() for s in m.samples if s.name == name)
		    v = [s.value for s in fam.samples if s.name == name and all(s.labels.get(k) == x for k, x in labels.items())]
		    assert len(v) == 1, (name, labels, v)
		    return v[0]
		assert one("objmapper_get_hit_total") == 4, one("objmapper_get_hit_total")
		assert one("objmapper_get_miss_total") == 1
		assert one("objmapper_put_done_total") == 3
		assert one("objmapper_deleted_total") == 1
		assert one("objmapper_index_objects") == 2
		assert one("objmapper_ready") == 1
		assert one("objmapper_request_seconds_count", op="get") == 5
		assert one("objmapper_request_seconds_count", op="delete") == 1
		assert 0 < one("objmapper_request_seconds_sum", op="get") < 60
		assert one("objmapper_commit_seconds_count", op="catalog") >= 1
		assert sum(s.value for s in f["objmapper_tier_objects"].samples) == 2
		assert one("objmapper_tier_state", tier="disk", state="ready") == 1
		b = [s.value for s in f["objmapper_request_seconds"].samples if s.name.endswith("_bucket") and s.labels["op"] == "get"]
		assert b == sorted(b) and b[-1] == 5, b
	P
}

@test "a worker that ends does not take its counts along" {
	printf x | objm put /x -
	for _ in 1 2 3 4 5; do objm get /x - >/dev/null; done
	for pid in $(objmctl workers --json | python3 -c 'import json,sys; print(*[w["pid"] for w in json.load(sys.stdin)["workers"]])'); do
		kill -KILL "$pid"
	done
	for _ in $(seq 1 100); do objm get /x - >/dev/null 2>&1 && break || sleep 0.1; done
	objmctl metrics >"$T/m"
	[ "$(value "$T/m" objmapper_get_hit_total)" -ge 6 ]
	[ "$(value "$T/m" 'objmapper_request_seconds_count{op="get"}')" -ge 6 ]
	[ "$(value "$T/m" objmapper_child_restarts_total)" -ge 1 ]
}

# promtool, without installing the server that it comes with (Debian's package starts it).
find_promtool() {
	PROMTOOL=$(command -v promtool || true)
	[ -z "$PROMTOOL" ] || return 0
	PROMTOOL=$BUILD/promtool/usr/bin/promtool
	[ ! -x "$PROMTOOL" ] || return 0
	mkdir -p "$BUILD/promtool/deb"
	(cd "$BUILD/promtool/deb" && apt-get download prometheus) >"$T/apt.log" 2>&1 || return 1
	dpkg -x "$BUILD"/promtool/deb/prometheus_*.deb "$BUILD/promtool"
	rm -rf "$BUILD/promtool/deb"
	[ -x "$PROMTOOL" ]
}

@test "promtool has nothing to say about the metrics" {
	find_promtool || skip "promtool cannot be had here (Debian's package prometheus)"
	printf x | objm put /x -
	objm get /x - >/dev/null
	objmctl metrics prometheus >"$T/m"
	"$PROMTOOL" check metrics <"$T/m" >"$T/lint" 2>&1 || { cat "$T/lint"; false; }
	[ ! -s "$T/lint" ] || { cat "$T/lint"; false; }
	"$PROMTOOL" check rules "$ROOT/doc/metrics/alerts.yaml"
	# it does say something about what is wrong
	sed 's/_total//' "$T/m" >"$T/wrong"
	not "$PROMTOOL" check metrics <"$T/wrong" >"$T/lint" 2>&1
}

@test "objm-exporter: the form is negotiated, the rest is refused" {
	command -v curl >/dev/null || skip "curl is not installed"
	EXPORTER=$(command -v objm-exporter)
	printf x | objm put /x -
	start_exporter
	curl -sSf "http://127.0.0.1:$PORT/metrics" -D "$T/head" -o "$T/m"
	grep -qi '^content-type: text/plain; version=0.0.4' "$T/head"
	[ "$(value "$T/m" objmapper_put_done_total)" = 1 ]
	grep -q '^# TYPE objmapper_put_done_total counter' "$T/m"
	curl -sSf -H 'Accept: application/openmetrics-text;version=1.0.0' "http://127.0.0.1:$PORT/metrics" -D "$T/head" -o "$T/m"
	grep -qi '^content-type: application/openmetrics-text; version=1.0.0' "$T/head"
	[ "$(tail -n 1 "$T/m")" = "# EOF" ]
	[ "$(curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:$PORT/other")" = 404 ]
	[ "$(curl -s -o /dev/null -w '%{http_code}' -X POST -d x "http://127.0.0.1:$PORT/metrics")" = 405 ]
	daemon_stop
	[ "$(curl -s -o "$T/body" -w '%{http_code}' "http://127.0.0.1:$PORT/metrics")" = 503 ]
	grep -q "does not answer" "$T/body"
	grep -q "no daemon listens there" "$T/exporter.log"
}

@test "objm-exporter: wrong addresses, an address in use" {
	EXPORTER=$(command -v objm-exporter)
	for a in 127.0.0.1 127.0.0.1: 127.0.0.1:x 127.0.0.1:70000 :9 "[::1:9" localhost:9 127.0.0.1:-1; do
		fails 2 "not ADDRESS:PORT" "$EXPORTER" -l "$a"
	done
	fails 2 "operand" "$EXPORTER" x
	start_exporter
	fails 1 "cannot listen" "$EXPORTER" -l "127.0.0.1:$PORT"
}

@test "the admin command: a form that does not exist" {
	python3 - "$OBJMCTL_SOCKET" <<-'P'
		import json, socket, sys
		s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
		s.sendall(b'{"cmd":"metrics","format":"xml"}\n')
		r = json.loads(s.makefile().readline())
		assert not r["ok"] and "openmetrics or prometheus" in r["error"]["text"], r
	P
}

@test "tier list: hit share and rates of each tier; the metrics count the same" {
	head -c 1000000 /dev/urandom >"$T/files/big"
	objm put --ephemeral /mem "$T/files/big"
	objm put /disk "$T/files/big"
	for _ in 1 2 3; do objm get /mem - >/dev/null; done
	objm get /disk - >/dev/null
	objmctl --json tier list >"$T/tiers"
	python3 - "$T/tiers" <<-'P'
		import json, sys
		t = {x["type"]: x for x in json.load(open(sys.argv[1]))["tiers"]}
		mem = t["memory"]
		disk = next(x for k, x in t.items() if k != "memory")
		assert abs(mem["hit_share"] - 0.75) < 1e-9 and abs(disk["hit_share"] - 0.25) < 1e-9, (mem, disk)
		assert mem["in_bytes_per_s"] > 0 and disk["in_bytes_per_s"] > 0 and mem["out_bytes_per_s"] == 0
	P
	objm rm /mem
	objmctl metrics prometheus >"$T/m"
	[ "$(value "$T/m" 'objmapper_tier_gets_total{tier="memory",type="memory"}')" = 3 ]
	[ "$(value "$T/m" 'objmapper_tier_in_bytes_total{tier="memory",type="memory"}')" = 1000000 ]
	[ "$(value "$T/m" 'objmapper_tier_out_bytes_total{tier="memory",type="memory"}')" = 1000000 ]
	objmctl tier list | head -n 1 | grep -q 'HITS.*IN/S.*OUT/S'
	objmctl --json ping | grep -q '"api": 1'
}
