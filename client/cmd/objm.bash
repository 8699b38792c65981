# Completion of objm for bash. Options are those of client/cmd/cmd_table.c; a test compares them.
# shellcheck shell=bash disable=SC2207

# URIs that begin with $1, one level deep, of the daemon that the command line names.
_objm_uris() {
	local -a args=()
	[[ -n ${socket:-} ]] && args=(-s "$socket")
	timeout 2 objm "${args[@]}" ls "$1" 2>/dev/null | head -n 500 |
		awk -v p="$1" '{ r = substr($0, length(p) + 1); i = index(r, "/"); if (i) $0 = p substr(r, 1, i); if (!seen[$0]++) print }'
}

_objm() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} cmd='' socket='' i operands=0
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		-s | --socket) socket=${COMP_WORDS[++i]:-} ;;
		--ttl | --type | --meta | -j | --jobs) ((++i)) ;;
		-*) ;;
		*) if [[ -z $cmd ]]; then cmd=${COMP_WORDS[i]}; else ((++operands)); fi ;;
		esac
	done
	COMPREPLY=()
	case $prev in
	-s | --socket)
		COMPREPLY=($(compgen -f -- "$cur"))
		compopt -o filenames 2>/dev/null
		return
		;;
	--ttl | --type | --meta | -j | --jobs) return ;;
	esac
	if [[ -z $cmd ]]; then
		COMPREPLY=($(compgen -W 'put get cat exec stat ls rm set pin unpin watch help -s --socket --help --version' -- "$cur"))
		return
	fi
	if [[ $cur == -* ]]; then
		local opts='--socket --help'
		case $cmd in
		put) opts+=' -r --recursive --ephemeral --pin --evictable --ttl --type --meta --no-clobber -j --jobs' ;;
		get) opts+=' -r --recursive -j --jobs' ;;
		stat | watch) opts+=' --json' ;;
		set) opts+=' --ttl --type --meta' ;;
		ls) opts+=' -l --long --json -0 --null' ;;
		rm) opts+=' -r --recursive -f --force --all -j --jobs' ;;
		esac
		COMPREPLY=($(compgen -W "$opts" -- "$cur"))
		return
	fi
	case $cmd in
	help) COMPREPLY=($(compgen -W 'put get cat exec stat ls rm set pin unpin watch' -- "$cur")) ;;
	put | get)
		if ((operands == 1)); then
			COMPREPLY=($(compgen -f -- "$cur"))
			compopt -o filenames 2>/dev/null
			return
		fi
		;;&
	exec)
		if ((operands >= 1)); then
			COMPREPLY=($(compgen -c -- "$cur"))
			return
		fi
		;;&
	put | get | cat | exec | stat | ls | rm | set | pin | unpin | watch)
		# Not compgen -W: it would expand, that is, run, what a URI contains.
		local uri
		while IFS= read -r uri; do
			[[ $uri == "$cur"* ]] && COMPREPLY+=("$(printf %q "$uri")")
		done < <(_objm_uris "$cur")
		[[ ${COMPREPLY[0]-} == */ ]] && compopt -o nospace 2>/dev/null
		;;
	esac
}
complete -F _objm objm
