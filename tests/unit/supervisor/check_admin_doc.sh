#!/bin/sh
# Pages say what the built program says, row for row: admin commands and states of a child in doc/admin.md, metrics in
# doc/metrics.md; and what dashboard and alerts ask for is a metric that exists.
# usage: check_admin_doc.sh OBJMAPPERD DOC_DIR
doc=$2
tables=$("$1" --dump-tables)
n=0
verdict() { # verdict NAME COMPLAINTS
	n=$((n + 1))
	if [ -z "$2" ]; then echo "ok $n - $1"; else echo "not ok $n - $1"; printf '%s\n' "$2"; fi
}
# page PAGE HEADING...: every row below these headings
page() {
	page=$1
	shift
	for heading; do
		rows=$(printf '%s\n' "$tables" | sed -n "/^## $heading\$/,/^## /p" | grep '^| `')
		verdict "${page##*/}: $heading" "$([ -n "$rows" ] || echo '# the program has no such table'
			printf '%s\n' "$rows" | while IFS= read -r row; do grep -qxF -- "$row" "$page" || printf '# not in the page: %s\n' "$row"; done)"
	done
}
echo "1..4"
page "$doc/admin.md" "Admin commands" "States of a child"
page "$doc/metrics.md" "Metrics"
names=$(printf '%s\n' "$tables" | sed -n '/^## Metrics$/,$p' | sed -n 's/^| `\([a-z0-9_]*\)`.*/\1/p')
verdict "dashboard and alerts ask for metrics that exist" "$(grep -ohE 'objmapper_[a-z0-9_]+' "$doc"/metrics/*.json "$doc"/metrics/*.yaml | sort -u |
	sed -E 's/_(bucket|sum|count)$//' | while IFS= read -r m; do printf '%s\n' "$names" | grep -qx "$m" || echo "# no such metric: $m"; done)"
