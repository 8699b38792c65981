#!/bin/bash
# The completion offers every command of the program, word by word, and names of tiers where one is wanted.
# usage: check_completion.sh OBJMCTL COMPLETION
program=$1
compopt() { :; }
# The program without a daemon; the tiers that it would name.
objmctl() {
	case "$*" in
	'tier list') printf 'TIER  TYPE\nmemory  memory\ndisk  ssd\n"odd name"  ssd\n' ;;
	*) "$program" "$@" ;;
	esac
}
timeout() { shift; "$@"; }
# shellcheck source=/dev/null
. "$2"

n=0 bad=0
check() { # WHAT: the result of the last command
	local r=$?
	n=$((n + 1))
	if [ $r = 0 ]; then echo "ok $n - $1"; else echo "not ok $n - $1: offered: ${COMPREPLY[*]}"; bad=1; fi
}
# offered WORD LINE...: is WORD among what is offered behind LINE?
offered() {
	local want=$1
	shift
	COMP_WORDS=(objmctl "$@")
	COMP_CWORD=$#
	_objmctl
	printf '%s\n' "${COMPREPLY[@]}" | grep -qxF -- "$want"
}
while read -r a b rest; do
	offered "$a" ""
	check "$a"
	if [[ $b =~ ^[a-z] ]]; then
		offered "$b" "$a" ""
		check "$a $b"
	fi
	for option in $(grep -oE -- '--[a-z]+' <<<"$b $rest"); do
		if [[ $rest == *TIER* ]]; then offered "$option" "$a" "$b" "disk" "--"
		elif [[ $b =~ ^[a-z] ]]; then offered "$option" "$a" "$b" "--"; else offered "$option" "$a" "--"; fi
		check "$a $b $option"
	done
done < <("$program" --commands)
offered memory tier drain m
check "a tier's name"
[ "${COMPREPLY[*]}" = memory ]
check "and only what fits"
offered disk migrate /some/object ""
check "a tier as second operand"
! offered '"odd' tier drain ""
check "no name that the shell would take apart"
offered --json status --
check "options"
! offered list lifecycle ""
check "second words of other commands are not offered"
echo "1..$n"
exit $bad
