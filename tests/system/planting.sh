#!/bin/bash
# Thirty-two secrets are planted; sessions that hold them print them in every way, crash, try to dump
# core, fail in set-up, run out of time. Then everything that the instance wrote and printed, and the
# memory, arguments and environment of every process of it, is searched: no secret, in no spelling.
# timeout: 300
# shellcheck disable=SC2016,SC2154
. "$(dirname "$0")/lib.sh"
instance_new
gate_new
mkdir "$dir/gone"
echo "ceilings: {allowed_context: [$dir/gate, $dir/gone]}" >>"$dir/agentd.yaml"
instance_up "the instance starts"

# --- planting ---------------------------------------------------------------------------------------
# Not below the instance's directory of this test's shell: what is planted is not searched.
planted=$dir/planted
mkdir -m 0700 "$planted"
random() { head -c "$1" /dev/urandom; }
letters() { random $((32 * $1)) | tr -dc 'A-Za-z0-9' | head -c "$1"; }
for n in 01 02 03 04; do letters $((8 + 10#$n)) >"$planted/word$n"; done
for n in 05 06 07 08 09 10 11 12; do printf 'sk-%s_%s' "$(letters 10)" "$(letters $((10#$n * 3)))" >"$planted/key$n"; done
for n in 13 14 15 16; do printf '{"user":"u\\%s","token":"%s/+="}' "$(letters 4)" "$(letters 40)" >"$planted/json$n"; done
for n in 17 18 19 20 21 22; do
	{
		echo "-----BEGIN TEST KEY-----"
		random $((10#$n * 40)) | base64
		echo "-----END TEST KEY-----"
	} >"$planted/pem$n"
done
for n in 23 24 25 26 27 28; do random $((10#$n * 3)) >"$planted/binary$n"; done
# One begins another; they overlap; one is long.
letters 20 >"$planted/begin29"
printf '%s%s' "$(cat "$planted/begin29")" "$(letters 20)" >"$planted/begin30"
printf '%s%s' "$(tail -c 20 "$planted/begin30")" "$(letters 20)" >"$planted/end31"
random 24000 | base64 -w 0 >"$planted/long32"
is "thirty-two secrets" "$(find "$planted" -type f | wc -l)" 32
credentials='credentials: ['
for file in "$planted"/*; do
	name=${file##*/}
	ash secret set "$name" --from "$file" >"$dir/out.set.$name" 2>&1 || fail "$name is stored"
	credentials+="{name: $name}, "
done
credentials="${credentials%, }]"

# --- sessions -----------------------------------------------------------------------------------------
# holder NAME BODY [YAML]: an agent with all of them.
holder() {
	install "$1" "$2" "$credentials${3:+$'\n'$3}"
	for file in "$planted"/*; do
		ash secret grant "${file##*/}" --agent "$1" >>"$dir/out.grants" 2>&1 || fail "$1 is granted ${file##*/}"
	done
}
# run NAME STATUS: with its output kept, also without line ends, so that what was wrapped is whole.
run() {
	local got=0
	ash agent run "$1" >"$dir/out.$1" 2>"$dir/err.$1" || got=$?
	is "$1 ends as it should" "$got" "$2"
	cat "$dir/out.$1" "$dir/err.$1" | tr -d '\r\n' >"$dir/flat.$1"
}
all='cd /run/credentials;'
holder prints "$all"' for f in *; do echo "$f:"; cat $f; echo; cat $f >&2; echo >&2; done'
run prints 0
holder encodes "$all"' for f in *; do
	base64 $f; base64 -w 0 $f; echo; base64 -w 0 $f | tr +/ -_; echo
	{ printf x; cat $f; } | base64; { printf xy; cat $f; printf z; } | base64 -w 64 >&2
	od -An -v -tx1 $f | tr -d " \n"; echo; od -An -v -tx1 $f | tr -d " " | tr a-f A-F; echo
done'
run encodes 0
# In small pieces, and with pauses in the middle.
holder pieces "$all"' for f in *; do dd if=$f bs=3 2>/dev/null; echo; done
	for f in key05 pem17 binary23; do head -c 30 $f; sleep 0.3; tail -c +31 $f; echo; done'
run pieces 0
holder crashes "$all"' x=$(cat key* json* pem* long*); echo "$x"; kill -SEGV $$'
run crashes 139
holder dumps "$all"' ulimit -c unlimited 2>/dev/null; cd /tmp; x=$(cat /run/credentials/key*); printf %s "$x" | head -c 100; kill -QUIT $$'
run dumps 131
# The last words are a secret that is cut, and the time is over.
holder lasts "$all"' head -c 60 pem18; exec sleep 1000' 'lifecycle: {timeout_secs: 1, stop_grace: 100ms}'
run lasts 124
# A step after the credentials fails, and an exec that names a secret.
holder halts 'true' "context: [{source: $dir/gone, target: /context/gone}]"
rmdir "$dir/gone"
run halts 125
is "it failed in set-up" "$(latest halts .outcome)" setup_failed
holder argues "$all"' exec "/opt/$(cat key06)" "$(cat key07)"'
run argues 127
# Some hold none, and get none.
install none 'cat /run/credentials/* 2>&1; env; cat /proc/[0-9]*/environ 2>/dev/null; echo done'
run none 0

# --- plugins ------------------------------------------------------------------------------------------
# One has all as files, one has what a variable can hold in its environment, one has none; so has the
# agent. with_plugins NAME BODY [YAML]
templates=$(for n in word01 word04 key05 key12 json13 begin29 end31; do printf '%s: "<{{secret:%s}}>", ' "T_$n" "$n"; done)
with_plugins() {
	mkdir -p "$dir/agents/$1"
	cp --remove-destination "$BUILD/tests/mcp-server" "$BUILD/tests/mcp-call" "$dir/agents/$1/"
	printf '%s\n' "$all"' for f in *; do cat $f; echo; base64 $f; base64 -w 0 $f; echo; od -An -v -tx1 $f | tr -d " \n"; echo; dd if=$f bs=7 2>/dev/null; done; env' >"$dir/agents/$1/spill"
	install "$1" "cd '$dir/agents/$1'; $2" "${credentials//\}/, for: files\}}
mcp_servers:
  - {name: files, command: ./mcp-server}
  - {name: variables, command: ./mcp-server, env_template: {${templates%, }}}
  - {name: nothing, command: ./mcp-server}${3:+$'\n'$3}"
	for file in "$planted"/*; do
		ash secret grant "${file##*/}" --agent "$1" --for files >>"$dir/out.grants" 2>&1 || fail "$1 is granted ${file##*/}"
		ash secret grant "${file##*/}" --agent "$1" --for variables >>"$dir/out.grants" 2>&1
	done
}
# On their standard error, as answers, in what the agent notes; and one ends in the middle of it.
with_plugins spills 'for p in files variables; do
	./mcp-call ${p}__run "{\"command\":\"sh ./spill >&2\"}" ${p}__run "{\"command\":\"sh ./spill\"}" ${p}__die "{}" >/dev/null
done
./mcp-call nothing__run "{\"command\":\"sh ./spill 2>&1\"}" >/dev/null'
run spills 0
ash session logs spills@latest >"$dir/out.spilled" 2>&1

# And one that lives on, with all of them in its memory and three in its environment.
holder lives 'x=$(cat /run/credentials/key* /run/credentials/pem*); '"echo ready; $gate_wait"' echo "$x" | head -c 5' \
    "$gate_context"$'\n'"env: {MORE: \"1\"}"
sed -i 's/{name: key05}/{name: key05, env: KEY}/' "$dir/agents/lives/manifest.yaml"
ash agent install --replace "$dir/agents/lives/manifest.yaml" >/dev/null 2>&1
for file in "$planted"/*; do ash secret grant "${file##*/}" --agent lives >>"$dir/out.grants" 2>&1; done
with_plugins plugs "./mcp-call files__run '{\"command\":\"cat /run/credentials/* >/dev/null\"}' >/dev/null; echo ready; $gate_wait" "$gate_context"
gate_shut
id=$(ash agent run lives --detach 9>&-)
plugs=$(ash agent run plugs --detach 9>&-)
ready() { ash session logs "$id" 2>/dev/null | grep -q ready; }
check "one lives on" eventually 10 ready
also_ready() { ash session logs "$plugs" 2>/dev/null | grep -q ready; }
check "and one whose plugins hold them" eventually 10 also_ready

# Beside them: agents and plugins that hold none, some and others look wherever they may.
# What is the own of each is taken out of what it prints, what is another's is not.
cat >"$dir/reach" <<'END'
exec 2>&1
for d in /run /tmp /dev/shm /dev/mqueue /var /home /context /proc/self/fd; do ls -lAR $d; done
cat /run/credentials/* /run/environment/* /tmp/* /dev/shm/* </dev/null
for p in /proc/[0-9]* /proc/self/root/..; do
	cat $p/environ $p/cmdline $p/root/run/credentials/* $p/root/run/environment/* $p/maps
	ls -l $p/fd $p/root $p/cwd
	dd if=$p/mem bs=4096 count=1
done </dev/null
cat /proc/net/unix /proc/keys /proc/key-users /sys/kernel/debug/*
find / -xdev \( -name '*key0*' -o -name '*pem*' -o -name 'word0*' -o -name '*.sock' -o -name secrets \) -exec ls -ld {} + -exec head -c 100 {} +
env
END
for kind in none some; do
	mkdir -p "$dir/agents/reach-$kind"
	cp "$BUILD/tests/mcp-server" "$BUILD/tests/mcp-call" "$dir/reach" "$dir/agents/reach-$kind/"
	own=''
	[ $kind = none ] || own='credentials: [{name: word02}, {name: pem17, for: theirs}]'
	install reach-$kind "cd '$dir/agents/reach-$kind'; sh ./reach; ./mcp-call theirs__run '{\"command\":\"sh ./reach\"}' other__run '{\"command\":\"sh ./reach\"}'" "$own
mcp_servers: [{name: theirs, command: ./mcp-server}, {name: other, command: ./mcp-server, env_template: {OTHER: \"${own:+{{secret:key06\}\}}\"}}]"
	[ $kind = none ] || {
		ash secret grant word02 --agent reach-some && ash secret grant pem17 --agent reach-some --for theirs
		ash secret grant key06 --agent reach-some --for other
	} >>"$dir/out.grants" 2>&1
	run reach-$kind 0
done
like "who may looks at its own" "$(<"$dir/out.reach-some")" 'redacted:word02'
cp "$planted/key08" "$planted/key08before"
letters 30 >"$planted/key08"
check "a value changes while it lives" ash secret set key08 --from "$planted/key08" --now

# --- searching ------------------------------------------------------------------------------------------
seek() { "$BUILD/tests/seek" "$planted" "$@"; }
# The sandbox's own processes hold what they were given; they show that the search finds it.
# inside SESSION LEAF
inside() { find "$cgroup" -path "*$1*/$2/cgroup.procs" -exec cat {} + 2>/dev/null; }
mapfile -t sandbox < <(inside "$id" agent; inside "$plugs" plugin-files; inside "$plugs" plugin-variables)
holding() { seek "$@" | awk '{ print $2 }' | sort -u; }
# shellcheck disable=SC2046
check "the search finds what the agent holds in its memory" grep -q key05 <(holding $(inside "$id" agent))
# shellcheck disable=SC2046
check "and a plugin in its environment" grep -q word04 <(holding $(inside "$plugs" plugin-variables))
for spelling in base64 "base64 -w 0" "od -An -v -tx1"; do
	$spelling "$planted/binary23" | tr -d ' \n' >"$dir/control"
	check "and in a file, as $spelling" grep -q binary23 <(seek "$dir/control")
done
rm "$dir/control"

found=$(seek "$dir/state" "$dir/run" "$dir/log" 2>&1)
is "no secret in a file of the instance" "$found" ""
found=$(seek "$dir"/out.* "$dir"/err.* "$dir"/flat.* "$dir/agentd.log" 2>&1)
is "nor in anything that was printed" "$found" ""
searched=0
while read -r pid role; do
	case " ${sandbox[*]} " in *" $pid "*) continue ;; esac
	[ "$role" != secretd ] || continue
	searched=$((searched + 1))
	found=$(seek "$pid" 2>&1 | head -n 5)
	[ -z "$found" ] || fail "a secret in $role: $found"
done < <(processes)
if [ "$searched" -ge 6 ]; then ok "nor in the memory, arguments or environment of $searched other processes"; else
	fail "only $searched processes were searched"
fi
check "secretd keeps no value that it has handed over" fails grep -q . <(seek "$(daemon secretd)")
check "no core was left" fails grep -q . <(find "$dir/state" "$dir/run" "$dir/log" -name 'core*')
for name in prints encodes pieces spilled; do
	marks=$(grep -ao '\[redacted:[a-z0-9]*\]' "$dir/out.$name" "$dir/err.$name" -hs | sort -u | wc -l)
	if [ "$marks" -ge 30 ]; then ok "$name: $marks names stand in their place"; else fail "$name: only $marks names stand in their place"; fi
done
is "a secret that was cut is hidden too" "$(cat "$dir/out.lasts")" "[redacted:pem18]"
gate_open
ash session wait "$id" >/dev/null 2>&1
ash session wait "$plugs" >/dev/null 2>&1
found=$(seek "$dir/state" "$dir/run" "$dir/log" 2>&1)
is "nor once the last has ended" "$found" ""
