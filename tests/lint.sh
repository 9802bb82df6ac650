#!/bin/bash
# Everything a reader would complain of, found by machine. BUILD holds what clang-tidy and cppcheck
# said of which contents, so that unchanged files are not looked at twice.
set -u
cd "$(dirname "$0")/.." || exit 1
: "${BUILD:=build}"
failed=0
ok() { printf 'ok - %s\n' "$*"; }
fail() {
	printf 'FAIL - %s\n' "$*"
	failed=1
}
skip() { printf 'skip - %s: %s\n' "$1" "$2"; }
# verdict TEXT OUTPUT: nothing said is fine.
verdict() {
	if [ -z "$2" ]; then ok "$1"; else
		fail "$1"
		printf '%s\n' "$2" | head -n 60
	fi
}
have() { command -v "$1" >/dev/null || { skip "$1" "$1 is not installed; see make check-packages"; return 1; }; }

if git rev-parse --git-dir >/dev/null 2>&1; then
	mapfile -t files < <(git ls-files -co --exclude-standard | while IFS= read -r f; do [ ! -f "$f" ] || echo "$f"; done)
else
	mapfile -t files < <(find . -name .git -prune -o -name build -prune -o -name 'build-*' -prune -o -type f -printf '%P\n')
fi
named() { printf '%s\n' "${files[@]}" | grep -E "$1"; }
mapfile -t c_files < <(named '\.c$')
mapfile -t c_and_h < <(named '\.[ch]$')
is_script() { [[ $1 == *.sh ]] || head -c 64 "$1" | head -n 1 | tr -d '\0' | grep -qE '^#!.*sh$'; }
mapfile -t scripts < <(for f in "${files[@]}"; do ! is_script "$f" || echo "$f"; done)
mapfile -t pages < <(named '^man/.*\.[1-8]$')

# --- formatters and checkers --------------------------------------------------------------------
if have clang-format; then
	verdict "clang-format" "$(clang-format --dry-run -Werror "${c_and_h[@]}" 2>&1 | grep -E 'error:')"
fi
if have shellcheck; then
	verdict "shellcheck" "$(shellcheck -x -P SCRIPTDIR -P . "${scripts[@]}" 2>&1)"
fi
if have mandoc; then
	verdict "mandoc" "$([ ${#pages[@]} -eq 0 ] || mandoc -Tlint -Wwarning "${pages[@]}" 2>&1)"
fi

# --- clang-tidy and cppcheck, remembered by content ------------------------------------------------
flags=(-std=gnu17 -D_GNU_SOURCE -I. "-I$BUILD/gen" "-I$BUILD/gen/include" '-DSCARAB_VERSION="0"' '-DSCARAB_LIBEXECDIR="/"'
    '-DSCARAB_SYSCONFDIR="/"' '-DSCARAB_DATADIR="/"' -I/usr/include/cjson)
cache=$BUILD/lint
mkdir -p "$cache"
# tidy_one FILE: what clang-tidy says, from the cache where the file and all it includes are the same.
tidy_one() {
	local key
	key=$cache/tidy-$({ cat .clang-tidy; gcc -MM "${flags[@]}" "$1" |
	    sed -e '1s/^[^:]*://' -e 's/\\$//' | xargs cat; } | sha256sum | cut -c1-32)
	if [ ! -e "$key" ]; then
		clang-tidy --quiet "$1" -- "${flags[@]}" 2>/dev/null | grep -E '(warning|error):' >"$key.new"
		mv "$key.new" "$key"
	fi
	cat "$key"
}
# tidy_share N OF: every OFth file, from the Nth on.
tidy_share() {
	local i
	for ((i = $1; i < ${#c_files[@]}; i += $2)); do tidy_one "${c_files[i]}"; done
}
tidy_all() {
	local i
	for ((i = 0; i < $(nproc); i++)); do tidy_share "$i" "$(nproc)" & done
	wait
}
if have clang-tidy; then
	verdict "clang-tidy" "$(tidy_all | sort -u)"
fi
if have cppcheck; then
	mkdir -p "$cache/cppcheck"
	verdict "cppcheck" "$(cppcheck -q -j "$(nproc)" --cppcheck-build-dir="$cache/cppcheck" --std=c11 --library=posix,gnu,bsd \
	    --enable=warning,performance,portability --inline-suppr --error-exitcode=0 -D_GNU_SOURCE \
	    -D__linux__ -D__x86_64__ -D__GNUC__=12 --suppressions-list=tests/cppcheck.txt \
	    -I. "-I$BUILD/gen" "${c_files[@]}" 2>&1)"
fi

# --- rules of the house ---------------------------------------------------------------------------
verdict "no file over 800 lines" "$(wc -l "${c_and_h[@]}" | awk '$2 != "total" && $1 > 800')"
# A definition's name stands at the line's beginning, its end is a brace there.
verdict "no function over 120 lines" "$(awk 'FNR == 1 { open = 0 } /^[a-z_0-9]+\(/ { name = $1; start = FNR } /^\{/ { open = FNR }
	/^}/ { if (open && FNR - open > 120) print FILENAME ": " name " has " FNR - open " lines"; open = 0 }' "${c_files[@]}")"
verdict "nine functions in ten under 55 lines, the median at most 15" "$(awk '/^\{/ { open = FNR } /^}$/ { if (open) print FNR - open - 1; open = 0 } FNR == 1 { open = 0 }' "${c_files[@]}" |
    sort -n | awk '{ n[NR] = $1 } END { if (!NR) exit; m = n[int((NR + 1) / 2)]; t = n[int(NR * 0.9)];
	if (m > 15 || t >= 55) print "median " m ", nine in ten under " t }')"
# Layers: common includes common; a role includes itself and common; tests may include all.
verdict "roles include themselves and common only" "$(grep -nE '^#include "' "${c_and_h[@]}" | awk -F'[:"]' '
	{ split($1, at, "/"); role = at[1]; split($4, to, "/"); target = to[1]
	  if (role == "tests" || $4 !~ /\// || target == role || target == "common") next
	  if (role == "ash" && $4 == "libagent/c/agent.h") next
	  if (target ~ /^(agentd|ash|libagent|runnerd|schedd|secretd|tests)$/ || role == "common") print $1 ":" $2 ": " $4 }')"
verdict "nothing left open" "$(grep -nE '\b(TODO|FIXME|HACK)\b' "${files[@]}" 2>/dev/null | grep -v '^tests/lint.sh:')"
verdict "no space at a line's end" "$(grep -nE '[[:space:]]$' "${c_and_h[@]}" "${scripts[@]}" | head)"
verdict "no generated file is committed" "$(named '(\.o|\.a|\.d|build-id\.h)$')"
verdict "no word of a function's name says nothing" "$(grep -nE '^(do|handle|process)_[a-z_]+\(' "${c_files[@]}")"
verdict "messages are sent by common alone" "$(grep -nE '\b(sendmsg|recvmsg)\(' "${c_files[@]}" | grep -vE '^(common|tests|agentd/notify|runnerd/hold)' )"
verdict "traceability" "$(tests/traceability 2>&1)"
[ $failed -eq 0 ]
