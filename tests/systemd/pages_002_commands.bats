# The command lines that the pages show work as they stand: extracted and run in a box, one page after the other. (README.md's are
# run by tests/scenario/tools_001_run.bats, in a checkout.)

setup_file() { load lib/box; box_up; }
teardown_file() { load lib/box; box_down; }
setup() { load lib/box; SINCE=0; }
teardown() { [ -z "$WHY_NOT" ] || return 0; box_teardown; }

commands() { python3 "$ROOT/tests/scenario/lib/commands.py" "$@"; }
# run_page FILE...: as root, in a directory of its own, each command must succeed.
run_page() {
	local n
	commands run "$@" >"$BATS_TEST_TMPDIR/script"
	n=$(grep -c . "$BATS_TEST_TMPDIR/script")
	[ "$n" -ge 2 ]
	in_box bash -e -o pipefail -c 'mkdir -p /root/pages && cd /root/pages && cat >script && bash -e -x script' <"$BATS_TEST_TMPDIR/script" >"$BATS_TEST_TMPDIR/out" 2>&1 ||
		{ tail -n 20 "$BATS_TEST_TMPDIR/out"; return 1; }
}

@test "every block of commands in README, doc/ and man/ is marked: run, or why not" {
	commands check "$ROOT"/README.md "$ROOT"/doc/*.md "$ROOT"/man/*.md
}

@test "objmapperd(8)" {
	box_setup
	in_box bash -e <<-'END'
		systemctl start objmapper.service
		useradd ann
		sed -i '/name: disk/a \  - {name: more, type: hdd, path: /srv/objmapper, capacity: 1G}' /etc/objmapper/objmapper.yaml
		mkdir -p /srv/objmapper
		chown objmapper: /srv/objmapper
	END
	run_page "$ROOT/man/objmapperd.8.md"
	wait_until 20 ready
	in_box objmctl tier list --json | tr -d ' \n' | grep -q '"name":"more"[^}]*"state":"ready"'
	in_box id -nG ann | says objmapper-admin
	[ "$(prop objmapper-tcp.socket ActiveState)" = active ]
}

@test "doc/operations.md" {
	box_setup
	run_page "$ROOT/doc/operations.md"
	wait_until 20 ready
	in_box tar -tf /root/objmapper.tar | grep -q '^objmapper/state'
}

@test "doc/metrics.md" {
	box_setup
	run_page "$ROOT/doc/metrics.md"
	wait_until 20 sh -c "\"$BOX\" exec systemctl is-active -q objm-exporter.service 3>&-"
}

@test "libobjm(3)" {
	box_setup
	in_box sh -c 'mkdir -p /root/pages && cat >/root/pages/program.c' <<-'END'
		#include <objm.h>
		#include <stdio.h>
		int main(void)
		{
			objm_t *s;
			if (objm_open(NULL, NULL, &s) < 0)
				return puts(objm_error(NULL)), 1;
			if (objm_ping(s) < 0)
				return puts(objm_error(s)), 1;
			objm_close(s);
			return 0;
		}
	END
	run_page "$ROOT/man/libobjm.3.md"
	in_box /root/pages/a.out
}
