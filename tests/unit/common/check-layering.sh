#!/bin/bash
# House rules that a compiler does not check, as TAP: who may include whom (doc/architecture.md, "Rooms"), no bare assert(),
# no magic number twice, no message id twice.
set -u
cd "${1:?source directory}" || exit 1
n=0
report() { # report NAME LINES: ok when LINES is empty
	n=$((n + 1))
	if [ -z "$2" ]; then
		echo "ok $n - $1"
	else
		echo "not ok $n - $1"
		printf '%s\n' "$2" | sed 's/^/# /'
	fi
}
room() { # room FOLDER ALLOWED...: includes of other rooms
	local folder=$1 allowed
	shift
	allowed=$(printf '%s|' "$folder" "$@")
	report "$folder includes only: $folder $*" "$(grep -rnE '^#include "(client|ctl|supervisor|worker|lifecycle|backend|index|common|bench)/' "$folder" --include='*.[ch]' |
		grep -vE "#include \"(${allowed%|})/")"
}
echo "1..13"
room common
room index common
room backend common
room client common index
room ctl common client
room worker backend index common
room lifecycle backend index common
room supervisor backend index common
room bench client lifecycle index common
report "worker and lifecycle do not include the index's writer or the catalogs" \
	"$(grep -rnE '#include "index/(idxw|idx_genw|cat/)' worker lifecycle client --include='*.[ch]')"
report "no bare assert()" "$(grep -rnE '(^|[^_A-Za-z])assert\(' --include='*.[ch]' client ctl supervisor worker lifecycle backend index common bench | grep -v '\* ')"
report "magic numbers are unique" "$(grep -rhoE '_MAGIC 0x[0-9a-fA-F]+' --include='*.h' common index | sed 's/.* //' | sort | uniq -d)"
report "message ids are unique" "$(grep -oE '"[0-9a-f]{32}"' common/tbl/log.def | sort | uniq -d)"
