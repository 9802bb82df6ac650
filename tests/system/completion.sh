#!/bin/bash
# Each completion script loads in its shell, and completes commands, options and what agentd knows.
# timeout: 120
# shellcheck disable=SC2154,SC2016
. "$(dirname "$0")/lib.sh"
need_root "completion"
instance_start ""
install reporter 'echo hello'
ash agent run reporter >/dev/null
id=$(latest reporter .id)
mkdir "$dir/bin"
ln -s "$BUILD/ash" "$dir/bin/ash"
export PATH=$dir/bin:$PATH ASH_SOCKET=$sock
for shell in bash zsh fish; do
	"$BUILD/ash" completion $shell >"$dir/ash.$shell" || fail "ash completion $shell"
done

# The words on offer for a line of words, each shell by its own means.
in_bash() {
	bash --norc --noprofile -c '. "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _ash; printf "%s\n" "${COMPREPLY[@]}"' \
	    "$dir/ash.bash" ash "$@"
}
in_fish() { fish --no-config -c 'source $argv[1]; complete -C "$argv[2]"' "$dir/ash.fish" "ash $*" | cut -f1; }
# zsh completes in a line editor only: functions that its completion calls are put in place.
in_zsh() {
	zsh -f -c 'compdef() { :; }; . "$1"; shift; words=("$@"); CURRENT=$#
		_describe() { local -a all; all=("${(@P)2}"); print -l -- "${all[@]%%:*}"; }
		_files() { :; }; _ash' zsh "$dir/ash.zsh" ash "$@"
}

for shell in bash zsh fish; do
	if ! command -v $shell >/dev/null; then
		skip "completion in $shell" "$shell is not installed; see make check-packages"
		continue
	fi
	case $shell in
	bash) check "bash: the script loads" bash --norc -n "$dir/ash.bash" ;;
	zsh) check "zsh: the script loads" zsh -f -n "$dir/ash.zsh" ;;
	fish) check "fish: the script loads" fish --no-config -n "$dir/ash.fish" ;;
	esac
	is "$shell: a verb" "$(in_$shell sess)" session
	like "$shell: the second word" "$(in_$shell session '' | sort | tr '\n' ' ')" '^cancel list logs show wait why $'
	like "$shell: an option" "$(in_$shell session list --st)" '^--state$'
	like "$shell: an option of all" "$(in_$shell status --js)" '^--json$'
	is "$shell: an option's value" "$(in_$shell session list --state run)" running
	is "$shell: an agent" "$(in_$shell agent show rep)" reporter
	is "$shell: an option's agent" "$(in_$shell session list --agent r)" reporter
	is "$shell: a session" "$(in_$shell session show "${id:0:8}")" "$id"
	is "$shell: nothing where nothing fits" "$(in_$shell session show zz)" ""
done

# --- the same names, where one is nearly right -------------------------------------------------------
status "an agent that is not there" 3 ash agent show reporte
like "the nearest is named" "$err" "did you mean 'reporter'"
status "a name that is near to none" 3 ash agent show zzzzzz
is "has no suggestion" "$(grep -c 'did you mean' <<<"$err")" 0
instance_stop
for shell in bash zsh fish; do
	command -v $shell >/dev/null || continue
	is "$shell: silence when agentd is away" "$(in_$shell agent show r 2>&1)" ""
done
status "no such shell" 2 ash completion tcsh
like "the others are named" "$err" 'bash, zsh and fish'
