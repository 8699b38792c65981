#!/usr/bin/env bats
# Clients of versions 1 and 2 that share no code with us, reading sequentially from the descriptors that they get.
load lib/daemon.bash

setup() { scenario_setup; write_conf; daemon_start; }
teardown() { scenario_teardown; }

@test "every version and mode, byte for byte" {
	head -c 1234567 /dev/urandom >"$T/files/big"
	: >"$T/files/empty"
	echo short >"$T/files/short"
	chmod 644 "$T/files/"*
	for f in big empty short; do
		objm put "/same/$f" "$T/files/$f"
		objm put --ephemeral "/eph/$f" "$T/files/$f"
		v1v2 "$OBJM_SOCKET" same "/same/$f" "$T/files/$f"
		v1v2 "$OBJM_SOCKET" same "/eph/$f" "$T/files/$f"
	done
}

@test "two sequential readers of one object do not disturb each other" {
	head -c 500000 /dev/urandom >"$T/files/f"
	chmod 644 "$T/files/f"
	objm put /seq "$T/files/f"
	v1v2 "$OBJM_SOCKET" sequential /seq "$T/files/f"
}

@test "malformed input: answered or closed, others are served" {
	printf good | objm put /good -
	v1v2 "$OBJM_SOCKET" bad /good
	v1v2 "$OBJM_SOCKET" bytewise /good
	[ "$(objm cat /good)" = good ]
}

@test "pipelined: in order, and out of order" {
	for i in $(seq 1 200); do head -c $((i * i)) /dev/urandom >"$T/files/$i"; done
	chmod 644 "$T/files/"*
	objm put -r /p "$T/files"
	v1v2 "$OBJM_SOCKET" pipeline "$T/files" /p/
}

@test "50 clients at once over 10,000 files" {
	python3 - "$T/files" <<-'END'
	import os, random, sys
	rng = random.Random(1)
	for i in range(10000):
	    with open(os.path.join(sys.argv[1], f"{i:05}"), "wb") as f:
	        f.write(rng.randbytes(rng.choice((0, 1, 100, 4096, 20000))))
	END
	objm put -r /c "$T/files"
	[ "$(objm ls /c/ | wc -l)" = 10000 ]
	v1v2 "$OBJM_SOCKET" clients 50 400 "$T/files" /c/
	objm rm -r /c/
	[ -z "$(objm ls)" ]
}

@test "writes by existing clients, on the legacy socket" {
	v1v2 "$LEGACY" legacy "$OBJM_SOCKET"
}

@test "the extension, spoken by a second implementation" {
	ext "$OBJM_SOCKET" basics
}
