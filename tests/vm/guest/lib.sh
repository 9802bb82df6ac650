# shellcheck shell=bash disable=SC2034
# Sourced by the tests that run in the machine, on the packaged service: results as in tests/system.
set -u
failed=0
export NO_COLOR=1 LC_ALL=C.UTF-8
cgroups=/sys/fs/cgroup/system.slice/scarab-sessions.service

ok() { printf 'ok - %s\n' "$*"; }
fail() {
	printf 'FAIL - %s\n' "$*"
	failed=$((failed + 1))
}
note() { printf '# %s\n' "$*"; }
is() {
	if [ "$2" = "$3" ]; then ok "$1"; else
		fail "$1"
		note "got:  $2"
		note "want: $3"
	fi
}
like() {
	if [[ $2 =~ $3 ]]; then ok "$1"; else
		fail "$1"
		note "got: $2"
		note "does not match: $3"
	fi
}
check() {
	local text=$1 said
	shift
	if said=$("$@" 2>&1); then ok "$text"; else
		fail "$text"
		note "$* said: ${said:0:2000}"
	fi
}
# status TEXT WANT COMMAND…: leaves $out and $err.
status() {
	local text=$1 want=$2 got
	shift 2
	"$@" >/var/results/out 2>/var/results/err </dev/null
	got=$?
	out=$(</var/results/out) err=$(</var/results/err)
	if [ "$got" -eq "$want" ]; then ok "$text"; else
		fail "$text"
		note "exit status $got, not $want; standard output: ${out:0:1000}"
		note "standard error: ${err:0:1000}"
	fi
}
fails() { ! "$@"; }
# eventually SECONDS COMMAND…: emulated, everything takes its time.
eventually() {
	local until=$((SECONDS + $1 * 10))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $until ] || return 1
		sleep 0.1
	done
}

# agent NAME BODY [YAML]: a shell script below /srv, installed; YAML: more lines of the manifest's spec.
agent() {
	mkdir -p "/srv/$1"
	printf '#!/bin/sh\n%s\n' "$2" >"/srv/$1/$1"
	chmod 0755 "/srv/$1/$1"
	{
		printf 'apiVersion: scarab/v1\nkind: AgentManifest\nmetadata: {name: %s, version: 1.0.0}\nspec:\n' "$1"
		printf '%s\n' "${3:-runtime: native}" | sed 's/^/  /'
	} >"/srv/$1/manifest.yaml"
	[ -z "${4:-}" ] || cp "$4" "/srv/$1/"
	check "the agent $1 installs" ash agent install --replace "/srv/$1/manifest.yaml"
}
latest() { ash --json session show "$1@latest" | jq -r "$2"; }
state() { ash --json session show "$1" | jq -r .state; }
running() { [ "$(state "$1")" = running ]; }
# daemon ROLE: its pid; the spawner is runnerd's child.
daemon() {
	if [ "$1" = spawner ]; then pgrep -x spawner; else awk -v r="$1" '$1 == r { print $2 }' /run/scarab-runtime/agentd.pids; fi
}
