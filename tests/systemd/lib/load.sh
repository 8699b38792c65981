# load.sh SECONDS: puts, reads back and lists, one call after the other, for so long; then reads every acknowledged object
# once more. A line for each failure ("failed: ...", "lost: ..."); the last line is "CALLS FAILURES LOST LONGEST_MS".
# Read by bash from standard input, inside the box.
end=$(($(date +%s%N) + $1 * 1000000000)) calls=0 failures=0 lost=0 longest=0 i=0
kept=()
call() {
	local from ms out r=0
	from=$(date +%s%N)
	out=$("$@" 2>&1) || { r=1; failures=$((failures + 1)); echo "failed: $*: $out"; }
	ms=$((($(date +%s%N) - from) / 1000000))
	[ $ms -le $longest ] || longest=$ms
	calls=$((calls + 1))
	return $r
}
while [ "$(date +%s%N)" -lt $end ]; do
	i=$((i + 1))
	echo "/load/disk/$i" >/tmp/load.$$
	! call objm put "/load/disk/$i" /tmp/load.$$ || kept+=("/load/disk/$i")
	echo "/load/memory/$i" >/tmp/load.$$
	! call objm put --ephemeral "/load/memory/$i" /tmp/load.$$ || kept+=("/load/memory/$i")
	call objm cat "${kept[-1]}"
	call objm ls /load/disk/1
done
rm -f /tmp/load.$$
for uri in "${kept[@]}"; do
	[ "$(objm cat "$uri")" = "$uri" ] || { lost=$((lost + 1)); echo "lost: $uri"; }
done
echo "$calls $failures $lost $longest"
