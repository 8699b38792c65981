# Completion of objmctl for bash. Commands are those of ctl/ctl_table.c; a test compares them.
# shellcheck shell=bash disable=SC2207

_objmctl() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	COMPREPLY=()
	case $prev in
	-s | --socket)
		COMPREPLY=($(compgen -f -- "$cur"))
		compopt -o filenames 2>/dev/null
		;;
	tier) COMPREPLY=($(compgen -W 'list rebuild' -- "$cur")) ;;
	metrics) COMPREPLY=($(compgen -W 'prometheus' -- "$cur")) ;;
	rebuild)
		# Names of tiers are [a-z0-9-].
		COMPREPLY=($(compgen -W "$(timeout 2 objmctl tier list 2>/dev/null | awk 'NR > 1 { print $1 }' |
			grep -E '^[a-z0-9-]+$')" -- "$cur"))
		;;
	*) COMPREPLY=($(compgen -W 'status tier workers counters metrics ping help -s --socket --json --help --version' -- "$cur")) ;;
	esac
}
complete -F _objmctl objmctl
