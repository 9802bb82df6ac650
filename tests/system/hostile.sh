#!/bin/bash
# Plugins and agents that do what none should: the other plugins of their session answer, other sessions
# notice nothing, memory stays bounded, and nothing is left of them.
# timeout: 240
# shellcheck disable=SC2154
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
need_root "sessions"
instance_new
gate_new
printf '%s\n' "ceilings: {allowed_context: [$dir]}" >>"$dir/agentd.yaml"
instance_up "the instance starts"

# Each does what tests/libagent/hostile_plugin.py has under this name.
plugins=(silent storm dies half_line big_line no_result refuses no_utf8 deep never_reads stops_reading strangers twice flood changes
    names forks exits killed garbage closes_output half_greeting future endless nameless chatty asks no_eof deaf)
good='{name: good, command: ./mcp-server, timeout: 10s}'
# hostile NAME MODE SERVER…
hostile() {
	local name=$1 mode=$2
	shift 2
	install "$name" "exec /usr/bin/python3 '$dir/agents/$name/hostile_agent.py' $mode" \
	    "$(printf '%s\n' "$gate_context" mcp_servers: && printf '  - %s\n' "$good" "$@")"
	cp -r "$BUILD/tests/mcp-server" "$root"/tests/libagent/hostile_{agent,plugin}.py "$root/libagent/python/libagent" "$dir/agents/$name/"
}
servers=()
for how in "${plugins[@]}"; do
	case $how in
	never_reads) limits='start_timeout: 2s' ;;
	storm) limits='timeout: 1s' ;; # which progress extends to ten
	*) limits='timeout: 5s' ;;
	esac
	servers+=("{name: ${how//_/-}, required: false, $limits, command: /usr/bin/python3, args: [hostile_plugin.py, $how, /tmp/daemon]}")
done
hostile neighbour neighbour
hostile plugins "plugins ${plugins[*]//_/-}" "${servers[@]}"
hostile agent agent

# high PID…: the most memory that any of them ever had, KiB.
high() { for pid; do sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$pid/status"; done | sort -n | tail -n 1; }
brokers() { processes | awk '$2 == "broker" { print $1 }'; }
daemons() { processes | awk '$2 ~ /^(agentd|agentd-control|schedd|secretd|runnerd|spawner|keeper)$/ { print $1 }'; }
said() { grep -qs "$2" "$dir/$1.out"; }
# below TEXT KIB LIMIT
below() {
	if [ "$2" -lt "$3" ]; then ok "$1: $2 KiB"; else fail "$1: $2 KiB, not below $3"; fi
}
# meet AGENT: one session of it beside the neighbour's; what it says goes to $dir/AGENT.out.
meet() {
	snapshot_take
	gate_shut
	ash agent run neighbour >"$dir/neighbour.out" 2>"$dir/neighbour.err" 9>&- &
	neighbour=$!
	ash agent run "$1" >"$dir/$1.out" 2>"$dir/$1.err" 9>&- &
	session=$!
	if eventually 90 said "$1" '^still good'; then ok "$1: its session goes on"; else
		fail "$1: its session goes on: $(tail -n 3 "$dir/$1.err")"
	fi
	# A pool of 192 MiB, and what is not of buffers.
	mapfile -t pids < <(brokers)
	below "$1: the most memory that a broker had" "$(high "${pids[@]}")" $((256 << 10))
	mapfile -t pids < <(daemons)
	below "$1: and a daemon or keeper" "$(high "${pids[@]}")" $((48 << 10))
	gate_open
	wait "$session" || fail "$1: its session succeeds: $(tail -n 3 "$dir/$1.err")"
	wait "$neighbour" || fail "$1: its neighbour's session succeeds"
	is "$1: the neighbour noticed nothing" "$(<"$dir/neighbour.out")" "neighbour: 0 failed of many"
	is "$1: its good plugin answered meanwhile" "$(sed -n 's/^good: //p' "$dir/$1.out")" 0
	is "$1: and does afterwards" "$(sed -n 's/^still good: //p' "$dir/$1.out")" 0
	settled "$1: nothing is left"
}
# came AGENT WHAT PATTERN
came() { like "$1: $2: $3" "$(sed -n "s/^$2: //p" "$dir/$1.out")" "$3"; }

# --- plugins ----------------------------------------------------------------------------------------
meet plugins
late='^error: [a-zA-Z_]*timeout'
for how in silent storm no_result; do came plugins "${how//_/-}" "$late|in time|gone|no valid|no message"; done
for how in dies half_line deep no_utf8 stops_reading; do came plugins "${how//_/-}" "gone|is no|timeout"; done
came plugins big-line 'longer than 33554432 bytes|timeout'
came plugins refuses '^error: refused no'
for how in strangers twice flood changes forks chatty no_eof deaf; do came plugins "${how//_/-}" '^answered: done'; done
came plugins names '^answered: of names: x'
came plugins asks '"id":0,"result":\{\}.*Method not found'
for how in exits killed garbage closes_output half_greeting never_reads future endless nameless; do
	came plugins "${how//_/-}" 'Unknown tool|not ready|failed'
done

# --- the agent --------------------------------------------------------------------------------------
meet agent
for how in no_utf8 deep no_json; do came agent $how '^-32700$'; done
came agent batch '^-32600$'
came agent strange_id '^-32600$'
for how in replies progress cancels; do came agent $how '^result$'; done
came agent half_line '^(closed|-32700)$'
came agent hundred '^-32600$|^closed$|^-32700$'
came agent id_reuse '^-32600 result$'
for how in closing floods never_reads many; do came agent $how '^ended$'; done
[ "$failed" -eq 0 ]
