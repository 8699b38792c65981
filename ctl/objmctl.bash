# Completion of objmctl for bash. The commands come from the program itself (objmctl --commands), names of tiers from the daemon.
# shellcheck shell=bash disable=SC2207

# Names of tiers are [a-z0-9-].
_objmctl_tiers() { timeout 2 objmctl tier list 2>/dev/null | awk 'NR > 1 { print $1 }' | grep -E '^[a-z0-9-]+$'; }

_objmctl() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} i word line operand
	local -a words=() synopsis=()
	COMPREPLY=()
	case $prev in
	-s | --socket)
		COMPREPLY=($(compgen -f -- "$cur"))
		compopt -o filenames 2>/dev/null
		return
		;;
	esac
	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		case $word in
		-s | --socket) i=$((i + 1)) ;;
		-*) ;;
		*) words+=("$word") ;;
		esac
	done
	# What may follow the words so far: the next word of each command that begins with them.
	while IFS= read -r line; do
		read -r -a synopsis <<<"$line"
		for ((i = 0; i < ${#words[@]}; i++)); do
			operand=${synopsis[i]:-}
			[[ $operand == "${words[i]}" || $operand =~ ^\[?[A-Z] ]] || continue 2
		done
		for ((i = ${#words[@]}; i < ${#synopsis[@]}; i++)); do
			operand=${synopsis[i]}
			case $operand in
			'[--'*) operand=${operand#[}; COMPREPLY+=($(compgen -W "${operand%]}" -- "$cur")) ;;
			*)
				[ "$i" = ${#words[@]} ] || continue
				case $operand in
				TIER) COMPREPLY+=($(compgen -W "$(_objmctl_tiers)" -- "$cur")) ;;
				LEVEL) COMPREPLY+=($(compgen -W 'error warning notice info debug' -- "$cur")) ;;
				[A-Z[]*) ;;
				*) COMPREPLY+=($(compgen -W "$operand" -- "$cur")) ;;
				esac
				;;
			esac
		done
	done < <(objmctl --commands 2>/dev/null)
	COMPREPLY=($(printf '%s\n' "${COMPREPLY[@]}" | sort -u))
	case $cur in -*) COMPREPLY+=($(compgen -W '-s --socket --json --watch --help --version --commands' -- "$cur")) ;; esac
}
complete -F _objmctl objmctl
