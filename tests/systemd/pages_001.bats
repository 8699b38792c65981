# The manual pages and doc/operations.md: made from the programs, complete, without a complaint of the formatter. Needs no root.

setup() {
	load lib/box
	[ -d "$BUILD/man" ] || skip "no manual pages in $BUILD (OBJM_BUILD)"
}

@test "every manual page is formatted without a warning" {
	command -v man >/dev/null || skip "needs man (man-db, groff)"
	local page n=0
	for page in "$BUILD"/man/*.[1-8]; do
		out=$(LC_ALL=C.UTF-8 MANROFFSEQ='' MANWIDTH=100 man --warnings -E UTF-8 -l -Tutf8 -Z "$page" 2>&1 >/dev/null)
		[ -z "$out" ] || { echo "$page: $out"; return 1; }
		n=$((n + 1))
	done
	[ $n -ge 6 ]
}

@test "a page says all that --help says" {
	local page text word
	for page in "$BUILD"/supervisor/objmapperd:objmapperd.8 "$BUILD"/client/objm:objm.1 "$BUILD"/ctl/objmctl:objmctl.1; do
		text=$(tr -d '\\' <"$BUILD/man/${page#*:}")
		for word in $("${page%:*}" --help | grep -oE -- '--[a-z][a-z-]+' | sort -u); do
			[[ $text == *"$word"* ]] || { echo "${page#*:} lacks $word"; return 1; }
		done
	done
}

@test "libobjm(3) has every function of the header" {
	local text name
	text=$(tr -d '\\' <"$BUILD/man/libobjm.3")
	for name in $(grep '^OBJM_API' "$ROOT/client/objm.h" | grep -oE 'objm_[a-z0-9_]+\(' | sort -u); do
		[[ $text == *"$name"* ]] || { echo "no $name"; return 1; }
	done
}

@test "doc/operations.md has the daemon's own log messages" {
	diff <(sed '1,/^<!-- below this line: the log messages/d' "$ROOT/doc/operations.md" | grep '^|') \
		<("$BUILD/supervisor/objmapperd" --dump-tables | sed -n '/^## Log messages/,/^## Fault/p' | grep '^|')
}
