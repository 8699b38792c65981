#!/bin/sh
# test_tiering_command.sh OBJM-TIERING: the command's contract: formats, JSON, exit status. Prints TAP.
cmd=$1
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
n=0
ok() { # name, wanted, got
	n=$((n + 1))
	case $3 in
	*"$2"*) echo "ok $n - $1" ;;
	*) echo "not ok $n - $1"; echo "# wanted: $2"; echo "# got: $3" ;;
	esac
}

printf 'time,key,size\n1,a,10\n2,b,20\n3,a,10\n4,c,30\n5,a,10\n' >"$dir/t.csv"
printf '0 3 0 0\n0\n' >"$dir/t.lis"

ok "csv by bytes" '{"cache_bytes": 40, "requests": 5, "misses": 3, "bytes_requested": 80, "bytes_missed": 60' \
	"$("$cmd" --trace "$dir/t.csv" --format csv --cache-bytes 40,100% --policy lru --json)"
ok "every size of a list" '{"cache_bytes": 60, "requests": 5, "misses": 3' \
	"$("$cmd" --trace "$dir/t.csv" --format csv --cache-bytes 40,100% --policy lru --json)"
ok "keys by objects" '{"cache_objects": 2, "requests": 4, "misses": 4, "bytes_requested": 4, "bytes_missed": 4' \
	"$("$cmd" --trace "$dir/t.lis" --format keys --cache-objects 2 --policy lru --json)"
ok "one policy is an object" '{"policy": "belady"' "$("$cmd" --trace "$dir/t.lis" --format keys --cache-objects 2 --policy belady --json)"
ok "several are a list" '[{"policy": "lru"' "$("$cmd" --trace "$dir/t.lis" --format keys --cache-objects 2 --policy lru,ours --json)"
ok "all policies, a table" 'wtinylfu' "$("$cmd" --zipf 0.9 --objects 100 --requests 1000 --seed 5 --cache-objects 10% --policy all)"
ok "no such policy" 'status 2' "$("$cmd" --trace "$dir/t.csv" --format csv --cache-bytes 40 --policy nru 2>&1; echo "status $?")"
ok "no format" '--format' "$("$cmd" --trace "$dir/t.csv" --cache-bytes 40 --policy lru 2>&1)"
ok "both kinds of size" 'status 2' "$("$cmd" --trace "$dir/t.csv" --format csv --cache-bytes 4 --cache-objects 4 --policy lru 2>&1; echo "status $?")"
ok "size 0" 'not a cache size: 0' "$("$cmd" --trace "$dir/t.csv" --format csv --cache-bytes 40,0 --policy lru 2>&1)"
ok "a missing file" 'status 1' "$("$cmd" --trace "$dir/none" --format csv --cache-bytes 4 --policy lru 2>&1; echo "status $?")"
ok "a wrong line" "$dir/t.lis:1: expected time,key,size" "$("$cmd" --trace "$dir/t.lis" --format csv --cache-bytes 4 --policy lru 2>&1)"
ok "help" 'Example' "$("$cmd" --help)"
echo "1..$n"
