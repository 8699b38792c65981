# What a restart keeps and what a reboot takes: objects, copies in memory, the exporter. The tests go on from each other.

setup_file() { load lib/box; box_up; }
teardown_file() { load lib/box; box_down; }
setup() { load lib/box; box_setup; SINCE=$(now); }
teardown() { box_teardown; }

N=40
# How many of the hot objects memory serves.
in_memory() {
	local i n=0
	for i in $(seq $N); do
		in_box objmctl --json object "/hot/$i" | tr -d ' ' | grep -q '"tier":"memory"' && n=$((n + 1))
	done
	echo $n
}
all_there() { as alice sh -c "for i in \$(seq $N); do objm cat /hot/\$i; done" | cmp - <(seq $N); }

@test "objm-exporter.service: started at boot, it gives metrics to who may reach its port" {
	in_box systemctl enable -q --now objmapper.service objm-exporter.service
	wait_until 20 ready
	wait_until 20 exported
	[ "$(in_box curl -sf -H 'Accept: application/openmetrics-text' http://127.0.0.1:9476/metrics | tail -n 1)" = "# EOF" ]
	[ "$(prop objm-exporter.service ActiveState)" = active ]
	[ "$(prop objm-exporter.service NRestarts)" = 0 ]
}

@test "the exporter goes on over a restart of the daemon" {
	local pid
	pid=$(prop objm-exporter.service MainPID)
	in_box systemctl restart objmapper.service
	wait_until 20 exported
	[ "$(prop objm-exporter.service MainPID)" = "$pid" ]
}
exported() { in_box curl -sf http://127.0.0.1:9476/metrics | grep -q 'tier="disk"'; }

@test "over a restart memory goes on to serve what it served" {
	as alice sh -c "for i in \$(seq $N); do echo \$i | objm put /hot/\$i -; done; echo now | objm put --ephemeral /gone/at/reboot -"
	for i in $(seq $N); do in_box objmctl promote "/hot/$i" >/dev/null; done
	[ "$(in_memory)" = $N ]
	in_box systemctl restart objmapper.service
	wait_until 20 ready
	[ "$(in_memory)" = $N ]
	all_there
	[ "$(as alice objm cat /gone/at/reboot)" = now ]
	[ "$(in_memory)" = $N ]
}

@test "over a reboot persistent objects stay, each whole; ephemeral ones and copies are gone, and nothing lists them" {
	"$BOX" reboot 3>&- 4>&-
	is_state active # enabled: nobody had to ask
	wait_until 20 ready
	all_there
	[ "$(in_memory)" = 0 ]
	run as alice objm cat /gone/at/reboot
	[ "$status" = 1 ]
	says "no such object" <<<"$output"
	[ "$(as alice objm ls | wc -l)" = $N ]
	wait_until 20 exported
	[ -z "$(journal | grep -iE 'corrupt|damaged|rebuil')" ]
}

@test "after a reboot memory is used as before" {
	echo again | as alice objm put --ephemeral /gone/at/reboot -
	[ "$(as alice objm cat /gone/at/reboot)" = again ]
	in_box objmctl promote /hot/1
	[ "$(in_memory)" = 1 ]
	all_there
}
