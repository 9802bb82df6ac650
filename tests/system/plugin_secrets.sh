#!/bin/bash
# Secrets of plugins: files and variables in the plugin's own sandbox, env_template, restarts of the
# plugin and of daemons, new values; what plugins print and what tool records keep.
# timeout: 240
# shellcheck disable=SC2154
. "$(dirname "$0")/lib.sh"
need_root "secrets of plugins"
instance_new
gate_new
printf '%s\n' "ceilings: {allowed_context: [$dir]}" >>"$dir/agentd.yaml"
instance_up "the instance starts"
set_secret() { printf '%s' "$2" | ash secret set "$1" "${@:3}"; }
# What is printed of a secret is taken out; turned by 13 it is not known again.
# shellcheck disable=SC2018,SC2019
turned() { tr a-z n-za-m <<<"$1"; }
# plugins NAME BODY SPEC: an agent with the test's client and server in its install folder. Whatever
# lies in $dir/scripts is there too: `./tell SCRIPT [SERVER]` has a plugin run one.
mkdir "$dir/scripts"
plugins() {
	local manifest
	mkdir -p "$dir/agents/$1"
	cp --remove-destination "$BUILD/tests/mcp-server" "$BUILD/tests/mcp-call" "$dir/scripts/"* "$dir/agents/$1/"
	manifest=$(agent "$1" "cd '$dir/agents/$1'; $2" "$3")
	ash agent install --replace "$manifest" >"$dir/install.out" 2>&1 || {
		fail "the agent $1 installs"
		note "$(<"$dir/install.out")"
	}
}
cat >"$dir/scripts/tell" <<'END'
#!/bin/sh
exec ./mcp-call "${2:-one}__run" "{\"command\":\"sh ./$1 2>&1\"}"
END
# grants AGENT SECRET:SERVER…
grants() {
	local agent=$1 one
	shift
	for one; do
		case $one in
		*:agent) ash secret grant "${one%:*}" --agent "$agent" >/dev/null ;;
		*) ash secret grant "${one%:*}" --agent "$agent" --for "${one#*:}" >/dev/null ;;
		esac
	done
}
text() { jq -r 'select(.result.content).result.content[0].text' 2>/dev/null <<<"$1"; }

# --- files and variables ---------------------------------------------------------------------------
cat >"$dir/scripts/look" <<'END'
{ cat /run/credentials/key; echo; printenv FS_KEY AUTH PLAIN; } | tr a-z n-za-m
stat -c %a,%u /run/credentials/key
ls -A /run/credentials | xargs
ls -A /run/environment
cat /run/environment/tmpl
END
cat >"$dir/scripts/seek" <<'END'
{
	ls -AR /run
	env
	cat /run/credentials/* /run/environment/* /proc/[0-9]*/environ /tmp/* /dev/shm/*
	for p in /proc/[0-9]*; do cat $p/root/run/credentials/*; ls -l $p/fd; done
} 2>&1 | tr '\0' '\n' | tr a-z n-za-m
END
for name in own fskey twokey tmpl; do set_secret "$name" "the-value-of-$name" >/dev/null; done
spec='credentials: [{name: own}, {name: fskey, as: key, env: FS_KEY, for: one}, {name: twokey, for: two}]
mcp_servers:
  - {name: one, command: ./mcp-server, env_template: {AUTH: "Bearer {{secret:tmpl}}:{{secret:fskey}}!{{secret:tmpl}}", PLAIN: plain}}
  - {name: two, command: ./mcp-server}'
plugins holder 'sh ./tell look' "$spec"
grants holder own:agent fskey:agent twokey:agent tmpl:agent
status "a grant to the agent is none to its plugin: 125" 125 ash agent run holder
like "it is refused with the command" "$err" 'ash secret grant (fskey --agent holder --for one|twokey --agent holder --for two|tmpl --agent holder --for one)'
for name in fskey twokey tmpl; do ash secret revoke "$name" --agent holder >/dev/null; done
grants holder fskey:one twokey:two
status "a placeholder's is asked for too: 125" 125 ash agent run holder
like "with its command" "$err" 'ash secret grant tmpl --agent holder --for one'
grants holder tmpl:one
status "granted" 0 ash agent run holder
is "the plugin has its file, its variables, and nothing else" "$(text "$out")" "$(
	turned "the-value-of-fskey
the-value-of-fskey
Bearer the-value-of-tmpl:the-value-of-fskey!the-value-of-tmpl
plain"
	echo "400,3000
key
ls: cannot open directory '/run/environment': Permission denied
cat: /run/environment/tmpl: Permission denied"
)"
is "each hand-over is audited with its purpose" "$(jq -r 'select(.action == "secret.hand-over") | "\(.secret):\(.purpose)"' "$dir/log/audit.log" | sort -u | xargs)" \
    'fskey:one own:agent tmpl:one twokey:two'
plugins holder 'sh ./seek; echo; sh ./tell seek two; sh ./tell seek one' "$spec"
grants holder own:agent fskey:one twokey:two tmpl:one
status "the agent and the plugins look everywhere" 0 ash agent run holder
agents=$(sed '/"jsonrpc"/,$d' <<<"$out")
twos=$(text "$(grep '"jsonrpc"' <<<"$out" | head -n 1)") ones=$(text "$(grep '"jsonrpc"' <<<"$out" | tail -n 1)")
sees() { grep -q "$(turned "the-value-of-$1")" <<<"$2"; }
check "the agent finds its own" sees own "$agents"
check "one plugin finds its own" sees fskey "$ones"
check "and what its environment is made of" sees tmpl "$ones"
check "the other plugin finds its own" sees twokey "$twos"
for name in fskey tmpl twokey; do check "the agent does not find $name" fails sees "$name" "$agents"; done
for name in fskey tmpl own; do check "the other plugin does not find $name" fails sees "$name" "$twos"; done
for name in twokey own; do check "the one plugin does not find $name" fails sees "$name" "$ones"; done

# --- restarts ----------------------------------------------------------------------------------------
cat >"$dir/scripts/show" <<'END'
{ cat /run/credentials/fskey; echo; printenv FS_KEY AUTH; } | tr a-z n-za-m | xargs
END
# until_shown PATTERN: a plugin that is being started again does not answer.
cat >"$dir/scripts/until_shown" <<'END'
i=0
until sh ./tell show | grep -E "$1"; do
	i=$((i + 1))
	[ $i -lt 200 ] || exit 9
done
END
spec='credentials: [{name: fskey, for: one, env: FS_KEY}]
mcp_servers: [{name: one, command: ./mcp-server, env_template: {AUTH: "<{{secret:tmpl}}>"}}]'
plugins dies './mcp-call one__die "{}"; sh ./until_shown gzcy' "$spec"
grants dies fskey:one tmpl:one
status "a plugin that starts again in its sandbox" 0 ash agent run dies
like "finds its secrets as before" "$out" "$(turned 'the-value-of-fskey the-value-of-fskey <the-value-of-tmpl>')"

plugins lives "sh ./until_shown gzcy; $gate_wait sh ./tell show; ./mcp-call one__die '{}'; sh ./until_shown 'guveq.*<guveq'" "$spec
$gate_context"
grants lives fskey:one tmpl:one
gate_shut
id=$(ash agent run lives --detach)
called() { ash session logs "$id" 2>/dev/null | grep -q gur-inyhr; }
check "a session with a plugin lives" eventually 20 called
like "a new value reaches the plugin" "$(set_secret fskey second-value-of-fskey --now)" "replaced in 1 live session"
kill -KILL "$(daemon runnerd)"
check "runnerd is started again" eventually 10 ash status
third() { set_secret fskey third-value-of-fskey --now | grep -q "in 1 live session"; }
check "and finds the plugin's sandbox" eventually 10 third
like "also what is hidden in it" "$(set_secret tmpl third-value-of-tmpl --now)" "replaced in 1 live session"
gate_open
status "the session ends well" 0 ash session wait "$id"
logs=$(ash session logs "$id" | tr -d '\n')
like "files are new at once" "$logs" "$(turned 'third-value-of-fskey the-value-of-fskey <the-value-of-tmpl>')"
like "variables with the next start" "$logs" "$(turned 'third-value-of-fskey third-value-of-fskey <third-value-of-tmpl>')"

# What an agent leaves where programs look for their settings is nothing that its plugin runs.
cat >"$dir/scripts/planted" <<'END'
tr a-z n-za-m </run/credentials/fskey >/home/agent/stolen
END
# shellcheck disable=SC2016
plugins plants 'cp ./planted /home/agent/.bash_profile; ./mcp-call one__die "{}"; sh ./until_shown gzcy
cat /home/agent/stolen; echo "looked"; ./mcp-call one__run "{\"command\":\"echo \$HOME; grep ^agent: /etc/passwd; { stat -c %a,%u /run/agent/home; touch /run/agent/home/x && echo writes; } 2>&1\"}"' \
    'credentials: [{name: fskey, for: one, env: FS_KEY}]
mcp_servers: [{name: one, command: bash, args: [-l, -c, exec ./mcp-server], mounts: [home], env_template: {AUTH: "<{{secret:tmpl}}>"}}]'
grants plants fskey:one tmpl:one
status "an agent that plants settings for a plugin that sees its home" 0 ash agent run plants
like "looks for what they did" "$out" looked
is "which is nothing" "$(grep -c "$(turned value-of-fskey)" <<<"$(sed '/looked/q' <<<"$out" | grep -v '^{' | grep -v jsonrpc)")" 0
like "its plugin has another home than the agent" "$(text "$(tail -n 1 <<<"$out")" | xargs)" \
    '^/run/agent/home agent:x:1000:1000:agent:/run/agent/home:/bin/sh 700,1000 writes$'

# Whatever a session was given stays hidden in it, however often the value changes.
# shellcheck disable=SC2016
plugins hoards 'seen="" n=0
while [ $n -lt 5 ]; do
	v=$(cat /run/credentials/changing)
	case $seen in *$v*) ;; *) seen="$seen $v"; n=$((n + 1)); echo "has $n" ;; esac
	sleep 0.02
done
echo "$seen"; echo "$seen" | base64 -w0; echo; ./mcp-call agentd__result "{\"result\":\"$seen\"}" >/dev/null' \
    'credentials: [{name: changing}]'
set_secret changing value-number-1-of-it >/dev/null
grants hoards changing:agent
id=$(ash agent run hoards --detach)
has() { ash session logs "$id" 2>/dev/null | grep -q "has $1"; }
for n in 2 3 4 5; do
	check "it has $((n - 1)) values" eventually 10 has $((n - 1))
	set_secret changing "value-number-$n-of-it" --now >/dev/null
done
status "a session that was given five values" 0 ash session wait "$id"
is "shows none of them" "$(ash session logs "$id" | grep -v has | head -n 1 | xargs)" "$(printf '[redacted:changing] %.0s' 1 2 3 4 5 | xargs)"
is "in no record of it" "$(grep -rlE "value-number|$(printf value-number | base64 | cut -c 1-12)" "$dir/log" "$dir/run" "$dir/state")" ""

# Set-up waits for a secretd that is stopped; then one of the two dies.
built() { find "$cgroup" -path '*/plugin-one/cgroup.procs' -exec cat {} + | grep -q .; }
for dying in secretd runnerd; do
	plugins "waits-$dying" 'sh ./tell show' "$spec"
	grants "waits-$dying" fskey:one tmpl:one
	stopped=$(daemon secretd)
	[ $dying = secretd ] && victim=$stopped || victim=$(daemon $dying)
	kill -STOP "$stopped"
	id=$(ash agent run "waits-$dying" --detach)
	check "set-up waits for secretd" eventually 10 built
	kill -KILL "$victim"
	kill -CONT "$stopped" 2>/dev/null
	status "a $dying that dies then costs nothing" 0 ash session wait "$id"
	like "the plugin has its secrets" "$(ash session logs "$id")" "$(turned 'third-value-of-fskey third-value-of-fskey <third-value-of-tmpl>')"
done

# --- what is captured ------------------------------------------------------------------------------------
# The value in every form; in pieces; across what a block of a pipe, a log line, a read may hold.
cat >"$dir/scripts/spell" <<'END'
f=/run/credentials/loud
cat $f; echo
base64 -w0 $f; echo
{ printf x; cat $f; } | base64 -w0; echo
{ printf xy; cat $f; } | base64 -w0; echo
od -An -v -tx1 $f | tr -d ' \n'; echo
END
cat >"$dir/scripts/cry" <<'END'
exec >&2
sh ./spell
dd if=/run/credentials/loud bs=7 2>/dev/null; echo
for before in "$@"; do
	head -c $before /dev/zero | tr '\0' -; sh ./spell
done
END
value='a-loud/secret?of>the plugin+it is long enough'
set_secret loud "$value" >/dev/null
set_secret louder "another-loud/secret?of>the plugin" >/dev/null
# shellcheck disable=SC2016
# The standard error of a plugin is rationed: what it says here has to stay below that.
plugins loud 'sh ./cry 16370 16380 65520 65530; ./mcp-call one__run "{\"command\":\"sh ./cry 16370 16380\"}"; sh ./spell | while read -r x; do
	./mcp-call agentd__observe "{\"text\":\"saw $x\"}" agentd__result "{\"result\":{\"deep\":[\"$x\",9007199254740993]}}" \
	    agentd__emit_event "{\"type\":\"a.b\",\"subject\":\"$x\",\"data\":\"$x\"}" \
	    agentd__transition "{\"state\":\"act\",\"reason\":\"$x\"}" "$x" "{}" >/dev/null; done' \
    'credentials: [{name: loud}, {name: loud, for: one}, {name: louder, for: one}]
mcp_servers: [{name: one, command: ./mcp-server, env_template: {LOUD: "{{secret:louder}}"}}]'
grants loud loud:agent loud:one louder:one
status "an agent and a plugin that say a secret in every way" 0 ash agent run loud
mkdir -m 0700 "$dir/planted"
printf %s "$value" >"$dir/planted/loud"
cp "$dir/out" "$dir/out.loud"
seek() { "$BUILD/tests/seek" "$dir/planted" "$@" 2>&1; }
is "nothing of it in a file of the instance" "$(seek "$dir/state" "$dir/run" "$dir/log" "$dir/agentd.log" "$dir/out.loud")" ""
"$BUILD/ash" -s "$sock" session logs loud@latest >"$dir/out.logs" 2>&1
is "each was told apart, of both" "$(grep -ao '\[redacted:loud\]' "$dir/out.logs" | wc -l)" 42
notes=$dir/log/loud/$(latest loud .id).notes.jsonl
is "what the agent notes is JSON still" "$(jq -r .kind "$notes" | sort | uniq -c | xargs)" "5 event 5 observation 5 result 5 transition"
is "with the name in its place" "$(jq -r 'select(.kind == "result").data.deep[0]' "$notes" | grep -c '\[redacted:loud\]')" 5
is "in every text" "$(jq -r '.reason // .subject // .data.text // empty' "$notes" | grep -c 'redacted:loud')" 15
is "other values as they came" "$(grep -c 9007199254740993 "$notes")" 5
[ "$failed" -eq 0 ]
