#!/bin/bash
# A home in mode journal: what a session changed is the home's when it ended, whole or not at all,
# and can be undone; whatever the agent planted, whatever is killed.
# timeout: 240
# shellcheck disable=SC2016,SC2012,SC2154
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

instance_new
echo "ceilings: {trust_level: trusted, allowed_context: [$dir/gate]}" >>"$dir/agentd.yaml"
gate_new
instance_up "the instance starts"

homes=$dir/state/homes
# Everything of a tree that people see, in lines.
tree() { (cd "$1" && find . -printf '%P %y %m %U %s %T@ %l\n' | sort; find . -type f -print0 | sort -z | xargs -0r cksum); }
history_of() { ash --json home log "$1" | jq -r "$2"; }
ended_as() { latest "$1" .outcome; }
# Nothing of a session, a rollback or a deletion is left.
# What the agent made: all but what each new home begins with.
held() { ls -A -I AGENTS.md -I CLAUDE.md "$homes/$1/home"; }
is_tidy() { [ -z "$(find "$homes/$1" -mindepth 1 -maxdepth 1 \( -name session -o -name rollback -o -name '.purged-*' \))" ]; }
tidy() { check "$2" eventually 180 is_tidy "$1"; }

# --- what a session changed ---
install keeper 'cd || exit 9; if [ -e log ]; then
  echo two >>log; rm -r old; mkdir old; ln -s log old/link; mv moved away; chmod 600 log; mkfifo pipe
else
  echo one >log; mkdir -p old/deep; echo x >old/deep/file; echo m >moved
  truncate -s 10M sparse; ln log second
fi'
status "a first session" 0 ash agent run keeper
is "its files are there" "$(held keeper | tr '\n' ' ')" "log moved old second sparse "
is "with the agent's owner" "$(stat -c %u "$homes/keeper/home/log")" $((session_ids + 1000))
is "a sparse file stays one" "$(stat -c '%s %b' "$homes/keeper/home/sparse")" "10485760 0"
is "two names are one file" "$(stat -c %h "$homes/keeper/home/log")" 2
before=$(tree "$homes/keeper/home")
status "a second session" 0 ash agent run keeper
tidy keeper "nothing else is left"
is "no overlay's mark is left" \
    "$(find "$homes/keeper/home" -exec getfattr -h -m - {} + 2>/dev/null | grep -c overlay)" 0
is "the log counts" "$(history_of keeper '.[0] | "\(.added) \(.modified) \(.removed)"')" "3 1 3"
is "both can be undone" "$(history_of keeper length)" 2
like "as a table" "$(ash home log keeper)" "SESSION +COMMITTED +ADDED"
is "the diff" "$(ash home diff keeper keeper@latest | sort)" "$(printf '%s\n' '+ away' '+ old/link' \
    '+ pipe' '- moved' '- old/deep' '- old/deep/file' '~ log' | sort)"
is "the diff as JSON" "$(ash --json home diff keeper keeper@latest | jq -c '[.changes[] | select(.change == "removed") | .path] | sort')" \
    '["moved","old/deep","old/deep/file"]'
status "a rollback" 0 ash home rollback keeper keeper@latest
is "brings all of it back" "$(tree "$homes/keeper/home")" "$before"
is "and is out of the history" "$(history_of keeper length)" 1
check "it is audited" grep -q '"home.rollback"' "$dir/log/audit.log"
status "the first one too" 0 ash --json home rollback keeper "$(history_of keeper '.[0].session')"
is "an empty home again" "$(held keeper)" ""
tidy keeper "nothing else is left"
status "a session that is not in it: 3" 3 ash home rollback keeper 00000000
status "an agent that is not there: 3" 3 ash home log nobody
install fresh true
status "an agent that never ran has an empty history" 0 ash --json home log fresh
is "which is an array" "$out" "[]"

# --- what is not kept ---
install fails 'date +%N >$HOME/new; exit 3' 'home: {on_failure: discard}'
status "a failing session" 3 ash agent run fails
is "leaves nothing with on_failure: discard" "$(held fails)" ""
install fails 'date +%N >$HOME/new; exit 3'
status "a failing session" 3 ash agent run fails
is "leaves what it did without" "$(held fails)" new
install big 'head -c 700000 /dev/zero >$HOME/big$(ls $HOME | grep -c big)' 'home: {max_size: 1Mi}'
status "a home within max_size" 0 ash agent run big
status "a session over it ends as it ended" 0 ash agent run big
is "but leaves nothing" "$(held big | tr '\n' ' ')" "big0 "
like "and says so" "$(latest big .reason)" "over home.max_size 1048576"
install huge 'head -c 3000000 /dev/zero >$HOME/huge; stat -c %s $HOME/huge; rm $HOME/huge; echo fine >$HOME/small' 'home: {max_size: 1Mi}'
status "no session writes more than max_size meanwhile" 0 ash agent run huge
like "but meets a full disk" "$err" "No space left on device"
is "and leaves what fits" "$(held huge)" small
install few 'date +%N >$HOME/x' 'home: {history: 2}'
for _ in 1 2 3; do ash agent run few >/dev/null; done
is "as many entries as history says" "$(history_of few length)" 2
status "direct needs trust" 4 ash agent install "$(agent direct true 'home: {mode: direct}')"
install direct 'date +%N >$HOME/x' $'trust_level: trusted\nhome: {mode: journal}'
ash agent run direct >/dev/null
install direct 'date +%N >$HOME/x' $'trust_level: trusted\nhome: {mode: direct}'
status "a direct session on the same home" 0 ash agent run direct
status "nothing is undone past it: 5" 5 ash home rollback direct direct@latest

# --- one at a time ---
install waits 'echo first >$HOME/first'
ash agent run waits
first=$(history_of waits '.[0].session')
install waits "$gate_wait"'echo done >$HOME/done' "$gate_context"
gate_shut
id=$(ash agent run waits --detach)
check "a session runs" eventually 10 eval '[ "$(latest waits .state)" = running ]'
is "its changes are not the home's yet" "$(held waits)" first
status "no rollback meanwhile: 5" 5 ash home rollback waits "$first"
# --- killed in the middle ---
kill -9 "$(daemon runnerd)"
check "runnerd comes back" eventually 10 daemon runnerd
gate_open
status "the session ends" 0 ash session wait "$id"
is "its changes are the home's" "$(cat "$homes/waits/home/done")" "done"
tidy waits "nothing else is left"

# --- many files, and runnerd killed while they are merged ---
install many 'cd || exit 9; if [ -e d1 ]; then
  for d in d*; do for f in $d/*; do echo two >$f; done; done
else
  i=0; while [ $i -lt 200 ]; do i=$((i + 1)); mkdir d$i; j=0
  while [ $j -lt 100 ]; do j=$((j + 1)); : >d$i/$j; done; done
fi' 'home: {history: 10}'
status "20,000 files are made" 0 ash agent run many
is "and are there" "$(find "$homes/many/home" -type f ! -name '*.md' | wc -l)" 20000
merging() { [ -e "$homes/many/session/mark" ]; }
ash agent run many --detach >/dev/null
killed=0
if eventually 60 merging; then
	kill -9 "$(daemon runnerd)" && killed=1
fi
is "runnerd is killed while they are merged" $killed 1
status "the session ended all the same" 0 ash session wait many@latest
is "its home is the new one, whole" "$(find "$homes/many/home" -type f -size 4c | wc -l)" 20000
tidy many "nothing else is left"
ash home rollback many many@latest >"$dir/rollback.out" 2>&1 &
waiter=$!
check "a rollback is under way" eventually 20 test -e "$homes/many/rollback"
kill -9 "$(daemon runnerd)"
wait $waiter
check "a rollback that was begun is ended" eventually 30 eval '[ "$(find "$homes/many/home" -type f -size 0 | wc -l)" = 20000 ]'
tidy many "nothing else is left"
status "the next session finds its home" 0 ash agent run many

# --- an agent that plants ---
install hostile 'cd || exit 9; n=$(cat round 2>/dev/null || echo 0); echo $((n + 1)) >round
case $n in
0) mkdir -p d/e; echo x >d/e/f; ln -s '"$dir"' out; ln -s /proc/1/root root ;;
1) rm -rf d; ln -s '"$dir"'/canary d; rm out; mkdir -p out/state/homes; echo y >out/canary ;;
2) rm -rf d out; mkdir -p d; ln -s ../../lock d/e; ln -s / out; ln -s ../../../hostile/history history ;;
esac
( i=0; while [ $i -lt 50 ]; do i=$((i + 1)); mkdir r; rm -rf r; ln -s '"$dir"'/canary r; rm r; done ) 2>/dev/null
exit 0'
mkdir "$dir/canary"
echo safe >"$dir/canary/file"
canary=$(tree "$dir/canary")
for i in 1 2 3; do status "an agent that plants links, round $i" 0 ash agent run hostile; done
is "what they lead to is untouched" "$(tree "$dir/canary")" "$canary"
is "they are links in the home" "$(readlink "$homes/hostile/home/out") $(readlink "$homes/hostile/home/history")" \
    "/ ../../../hostile/history"
status "all of it undone" 0 ash home rollback hostile "$(history_of hostile '.[-1].session')"
is "leaves an empty home" "$(held hostile)" ""
is "and the canary" "$(tree "$dir/canary")" "$canary"
is "the lock is a file of root's" "$(stat -c '%F %u' "$homes/hostile/lock")" "regular empty file 0"

check "no homekeeper is left" eventually 10 eval '! processes | grep -q homekeeper'
status "purge takes it all" 0 ash agent remove hostile --purge
check "away" eventually 10 eval '[ ! -e "$homes/hostile" ]'
