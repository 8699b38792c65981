#!/usr/bin/env bats
# Which answer comes when, with a disk that is stuck.
load lib/daemon.bash

setup() { scenario_setup; MIN_WORKERS=1 MAX_WORKERS=1 write_conf; }
teardown() { scenario_teardown; }

@test "an object on a stuck disk holds up nobody else, on its own connection neither" {
	daemon_start env OBJM_FAULT=get.open:stall
	printf slow | objm put /slow -
	printf hot | objm put --ephemeral /hot -
	wire "$OBJM_SOCKET" overtake /slow /hot
}
