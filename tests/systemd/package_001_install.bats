# The Debian packages, built from this checkout and used as an operator would: installed, used, upgraded, removed, purged.
# Building them takes a minute or more: only with OBJM_TEST_PACKAGES=1 (or OBJM_DEBS, a directory that has them).

setup_file() {
	load lib/box
	export BOX_DIR WHY_NOT= DEBS=${OBJM_DEBS:-}
	[ -n "${OBJM_TEST_PACKAGES:-}$DEBS" ] || { WHY_NOT="building packages takes a minute: set OBJM_TEST_PACKAGES=1"; return 0; }
	[ "$(id -u)" = 0 ] || { WHY_NOT="needs root to boot a container"; return 0; }
	BOX_DIR=$(mktemp -u "${TMPDIR:-/tmp}/objm-box.XXXXXX")
	if [ -z "$DEBS" ]; then
		DEBS=$BOX_DIR.debs
		DEB_BUILD_OPTIONS=nocheck "$ROOT/tools/deb" "$DEBS" >"$BATS_FILE_TMPDIR/lintian" 2>&1 3>&- || LINTIAN=failed
	fi
	export LINTIAN=${LINTIAN:-}
	mkdir -p "$BOX_DIR.files/root/debs"
	cp "$DEBS"/*.deb "$BOX_DIR.files/root/debs/"
	# The same packages once more as the next version.
	mkdir -p "$BOX_DIR.files/root/next"
	local p
	for p in "$DEBS"/objmapper_*.deb "$DEBS"/libobjm0_*.deb; do
		dpkg-deb -R "$p" "$BOX_DIR.next"
		sed -i 's/^\(Version: .*\)$/\1.1/' "$BOX_DIR.next/DEBIAN/control"
		dpkg-deb -b --root-owner-group "$BOX_DIR.next" "$BOX_DIR.files/root/next/" >&2
		rm -r "$BOX_DIR.next"
	done
	"$BOX" up "$BOX_DIR.files" >"$BOX_DIR.up" 2>&1 || WHY_NOT="no container can be booted here: $(tr '\n' ' ' <"$BOX_DIR.up")"
	[ -n "$WHY_NOT" ] || in_box rm -f /usr/sbin/policy-rc.d # what keeps this machine, if it is a container, from starting services
}
teardown_file() {
	load lib/box
	[ -n "$BOX_DIR" ] || return 0
	box_down
	rm -rf -- "$BOX_DIR.debs"
}
setup() { load lib/box; box_setup; SINCE=$(now); }
teardown() { box_teardown; }

@test "built, and lintian has nothing to say" {
	[ -z "$LINTIAN" ] || { cat "$BATS_FILE_TMPDIR/lintian"; return 1; }
	local p
	for p in objmapper libobjm0 libobjm-dev; do [ -e "$(echo "$DEBS/${p}"_*.deb)" ]; done
}

@test "installed: accounts, directories, configuration, sockets, the daemon enabled and running" {
	in_box sh -c 'DEBIAN_FRONTEND=noninteractive dpkg -i /root/debs/objmapper_*.deb /root/debs/libobjm0_*.deb /root/debs/libobjm-dev_*.deb' >&2
	wait_until 20 ready
	in_box systemctl is-enabled objmapper.service objmapper.socket objmapper-ctl.socket >/dev/null
	[ "$(prop objmapper-tcp.socket ActiveState)" = inactive ]
	[ "$(prop objmapper-legacy.socket ActiveState)" = inactive ]
	run in_box systemctl is-enabled objmapper-tcp.socket objm-exporter.service
	not grep -qx enabled <<<"$output"
	[ "$(in_box stat -c %U:%G /var/lib/objmapper)" = objmapper:objmapper ]
	[ "$(in_box stat -c %U:%G:%a /etc/objmapper/objmapper.yaml)" = root:root:644 ]
	in_box getent group objmapper-admin >/dev/null
	in_box sh -c 'dpkg -V objmapper libobjm0 libobjm-dev' # nothing was changed behind dpkg's back
}

@test "used: put, get, objmctl, the pages, a program built with libobjm-dev" {
	in_box useradd -G objmapper alice
	in_box sh -c 'seq 100000 >/tmp/file && chmod 644 /tmp/file'
	as alice objm put /kept/disk /tmp/file
	as alice objm put --ephemeral /kept/memory /tmp/file
	as alice sh -c 'objm cat /kept/disk | cmp - /tmp/file && objm cat /kept/memory | cmp - /tmp/file'
	in_box objmctl status >/dev/null
	local page
	for page in objmapperd.8 objmapper.yaml.5 objm.1 objmctl.1 objm-bench.1 objm.7; do in_box sh -c "ls /usr/share/man/man*/$page*" >/dev/null; done
	in_box sh -c 'printf "#include <objm.h>\n#include <stdio.h>\nint main(void) { objm_t *s; return objm_open(NULL, NULL, &s) ? puts(objm_error(NULL)) : (objm_close(s), 0); }\n" >/tmp/x.c
		cc -Wall -Werror -o /tmp/x /tmp/x.c $(pkg-config --cflags --libs libobjm) && chmod 755 /tmp/x'
	as alice /tmp/x
}

@test "the journal explains its messages at once" {
	in_box journalctl -q -x -u objmapper.service -n 50 | says "What to do"
}

@test "upgraded: the daemon is the new one, sockets were never closed, objects are there, the configuration is kept" {
	local pid inode
	pid=$(main_pid)
	inode=$(in_box stat -c %i /run/objmapper/objmapper.sock)
	in_box sh -c 'echo "# mine" >>/etc/objmapper/objmapper.yaml'
	in_box sh -c 'DEBIAN_FRONTEND=noninteractive dpkg -i /root/next/*.deb' >&2
	wait_until 20 ready
	[ "$(main_pid)" != "$pid" ]
	[ "$(in_box stat -c %i /run/objmapper/objmapper.sock)" = "$inode" ]
	in_box grep -q '^# mine' /etc/objmapper/objmapper.yaml
	as alice sh -c 'objm cat /kept/disk | cmp - /tmp/file && objm cat /kept/memory | cmp - /tmp/file'
}

@test "an upgrade onto a configuration that does not work leaves the old daemon serving, and says so" {
	local pid
	pid=$(main_pid)
	in_box sh -c 'echo "nonsense: 1" >>/etc/objmapper/objmapper.yaml'
	in_box sh -c 'DEBIAN_FRONTEND=noninteractive dpkg -i /root/debs/objmapper_*.deb /root/debs/libobjm0_*.deb' >"$BATS_TEST_TMPDIR/out" 2>&1
	grep -q "the old one goes on" "$BATS_TEST_TMPDIR/out"
	grep -q "nonsense" "$BATS_TEST_TMPDIR/out"
	[ "$(main_pid)" = "$pid" ]
	as alice objm cat /kept/memory >/dev/null
	in_box sed -i '/nonsense/d' /etc/objmapper/objmapper.yaml
	in_box systemctl restart objmapper.service
	wait_until 20 ready
}

@test "removed: nothing runs or listens; objects and configuration stay" {
	in_box sh -c 'DEBIAN_FRONTEND=noninteractive dpkg -r objmapper libobjm-dev' >&2
	[ -z "$(in_box pgrep -u objmapper || true)" ]
	run in_box test -S /run/objmapper/objmapper.sock
	[ "$status" != 0 ]
	[ -n "$(in_box ls /var/lib/objmapper/disk)" ]
	in_box grep -q '^# mine' /etc/objmapper/objmapper.yaml
}

@test "installed again: the objects are there" {
	in_box sh -c 'DEBIAN_FRONTEND=noninteractive dpkg -i /root/next/objmapper_*.deb' >&2
	wait_until 20 ready
	as alice sh -c 'objm cat /kept/disk | cmp - /tmp/file'
}

@test "purged: nothing is left but the accounts" {
	in_box sh -c 'DEBIAN_FRONTEND=noninteractive dpkg -P objmapper libobjm0' >&2
	local d
	for d in /etc/objmapper /var/lib/objmapper /run/objmapper /usr/libexec/objmapper; do
		run in_box test -e "$d"
		[ "$status" != 0 ] || { in_box ls -lR "$d"; return 1; }
	done
	[ -z "$(in_box sh -c 'systemctl list-unit-files --no-legend "objm*" "run-objmapper*"')" ]
	[ -z "$(in_box sh -c 'systemctl --failed --no-legend "objm*"')" ]
}
