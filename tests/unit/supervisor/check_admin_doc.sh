#!/bin/sh
# doc/admin.md says what the built program says: every admin command and every state of a child, row for row.
# usage: check_admin_doc.sh OBJMAPPERD PAGE
page=$2
rows=$("$1" --dump-tables | sed -n '/^## Admin commands/,$p' | grep '^| `')
echo "1..1"
missing=$(printf '%s\n' "$rows" | while IFS= read -r row; do grep -qxF -- "$row" "$page" || printf '# not in the page: %s\n' "$row"; done)
if [ -n "$rows" ] && [ -z "$missing" ]; then
	echo "ok 1 - doc/admin.md"
else
	echo "not ok 1 - doc/admin.md"
	printf '%s\n' "$missing"
fi
