# box.bash: a box with objmapper installed, for the .bats files here: one box a file.
# shellcheck shell=bash

ROOT=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../../.." && pwd -P)
BUILD=${OBJM_BUILD:-$ROOT/build}
BOX=$ROOT/tests/systemd/box

# not COMMAND...: fails if that succeeds. ("! COMMAND" in the middle of a test never fails: bash does not look at its status.)
not() { ! "$@"; }

# box_up: boot it, with accounts: alice may use the store, carol may look at its state, bob may do nothing.
# Where that cannot be, WHY_NOT says why, and every test is skipped.
box_up() {
	export BOX_DIR WHY_NOT=
	BOX_DIR=$(mktemp -u "${TMPDIR:-/tmp}/objm-box.XXXXXX")
	[ "$(id -u)" = 0 ] || { WHY_NOT="needs root to boot a container"; return 0; }
	[ -x /lib/systemd/systemd ] || { WHY_NOT="needs the package systemd"; return 0; }
	[ -d "$BUILD" ] || { echo "no build in $BUILD (OBJM_BUILD)" >&2; return 1; }
	DESTDIR=$BOX_DIR.files meson install -C "$BUILD" --no-rebuild --quiet >&2 </dev/null
	if ! "$BOX" up "$BOX_DIR.files" >"$BOX_DIR.up" 2>&1; then
		WHY_NOT="no container can be booted here: $(tr '\n' ' ' <"$BOX_DIR.up")"
		return 0
	fi
	in_box bash -e <<-'END'
		systemd-sysusers
		systemctl daemon-reload
		useradd -G objmapper alice
		useradd bob
		useradd -G objmapper-admin carol
	END
}

box_down() {
	"$BOX" down >/dev/null 2>&1 || true
	rm -rf -- "$BOX_DIR.files" "$BOX_DIR.up"
}

box_setup() { [ -z "$WHY_NOT" ] || skip "$WHY_NOT"; }

# What an operator would look at first.
box_teardown() {
	[ "${BATS_TEST_COMPLETED:-}" = 1 ] || [ -n "${BATS_TEST_SKIPPED:-}" ] || in_box journalctl -q -o short-precise -n 40 -u 'objmapper*' -u 'run-objmapper-memory.mount'
}

# Descriptor 3 is bats' own.
in_box() { "$BOX" exec "$@" 3>&- 4>&-; }
as() { local who=$1; shift; in_box runuser -u "$who" -- "$@"; }
prop() { in_box systemctl show -P "$2" "$1"; }
main_pid() { prop objmapper.service MainPID; }
# journal [UNIT]: what the daemon has said since $SINCE.
journal() { in_box journalctl -q -o cat --since "@${SINCE:-0}" -u "${1:-objmapper.service}"; }
now() { in_box date +%s; }

wait_until() {
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || { echo "not after the time given: $*"; return 1; }
		sleep 0.1
	done
}
ready() { in_box timeout 5 objmctl --json ping 2>/dev/null | grep -q '"ready": true'; }
is_state() { [ "$(prop objmapper.service ActiveState)" = "$1" ]; }

# says TEXT UNIT-OUTPUT: on standard input
says() {
	local all
	all=$(cat)
	[[ $all == *"$1"* ]] || { printf 'expected: %s\nfound: %s\n' "$1" "$all"; return 1; }
}
