#!/bin/bash
# timeout: 180
# A change of a watched path starts its agent, once for what changes together, with the names; a
# watch outlives daemons and its directory, and is one that root allows and the operator may read.
# shellcheck disable=SC2016,SC2154
. "$(dirname "$0")/lib.sh"
instance_new
mkdir -p "$dir/inbox" "$dir/outside"
chmod 0755 "$dir" "$dir/inbox"
printf '%s\n' "ceilings: {allowed_context: [$dir/inbox, $dir/deep, $dir/one]}" >>"$dir/agentd.yaml"
instance_up "the instance starts"
ran() { [ "$(ash --json session list --agent "$1" | jq '[.[] | select(.outcome == "success")] | length')" -ge "$2" ]; }
sessions() { ash --json session list --agent "$1" | jq length; }
event() { ash session logs "$1@latest" | tail -n 1 | jq -c ".trigger.event$2"; }
body='echo "$SCARAB_TASK"; cat "$SCARAB_MISSION"'

# --- changes -----------------------------------------------------------------------------------------
install inbox "$body" "triggers: [{path: $dir/inbox, on: [create, modify], task: 'read {{event.data.changes.0.name}}'}]"
is "the agent's triggers" "$(ash --json agent show inbox | jq -c .triggers)" "[\"path $dir/inbox\"]"
is "the schedule has it" "$(ash --json schedule list | jq -c '.[] | [.agent, .trigger_id, .kind, .expression, .next_fire_at]')" \
    "[\"inbox\",\"path-1\",\"path\",\"$dir/inbox\",null]"
watched() { grep -lq inotify /proc/"$(daemon schedd)"/fdinfo/* 2>/dev/null; }
check "it is watched" eventually 20 watched
echo one >"$dir/inbox/a"
check "a new file starts the agent" eventually 20 ran inbox 1
is "its task has the name" "$(ash session logs inbox@latest | head -n 1)" 'read a'
is "the mission has the event" "$(event inbox ' | [.type, .source, .subject, .data.path, .data.changes[0].name, .data.changes[0].what]')" \
    "[\"path.changed\",\"/paths/inbox/path-1\",\"path-1\",\"$dir/inbox\",\"a\",\"create\"]"
is "and the trigger" "$(latest inbox '.trigger | [.kind, .id] | join(" ")')" 'path path-1'
like "why tells it" "$(ash session why inbox@latest)" 'path.changed, id .* of /paths/inbox/path-1'
rm "$dir/inbox/a"
touch "$dir/inbox/x" "$dir/inbox/y" "$dir/inbox/"$'no\xffutf8'
check "several together" eventually 20 ran inbox 2
is "start it once" "$(event inbox '.data.changes | map(.name // .name_bytes) | unique')" '["bm//dXRmOA==","x","y"]'
is "and what was deleted does not" "$(event inbox '.data.changes | map(.what) | unique')" '["create","modify"]'

# --- deaths ------------------------------------------------------------------------------------------
for victim in runnerd schedd; do
	pid=$(daemon "$victim")
	kill -KILL "$pid"
	came_back() { [ "$(daemon "$victim")" != "$pid" ] && ash ping && watched; }
	check "$victim comes back, and it is watched" eventually 20 came_back
	count=$(sessions inbox)
	echo more >>"$dir/inbox/x"
	check "a change starts it" eventually 20 ran inbox $((count + 1))
done

# --- the directory goes and comes --------------------------------------------------------------------
mkdir -p "$dir/deep/a/b"
install deep "$body" "triggers: [{path: $dir/deep/a/b}]"
in_log() { grep -q "$1" "$dir/agentd.log"; }
two_watched() { [ "$(grep -l inotify /proc/"$(daemon schedd)"/fdinfo/* 2>/dev/null | wc -l)" -ge 2 ]; }
check "another one is watched" eventually 20 two_watched
rm -r "$dir/deep/a"
check "it goes, which is said" eventually 20 in_log "deep: path-1 waits for $dir/deep/a/b, which is not there"
mkdir -p "$dir/deep/a"
touch "$dir/deep/a/other"
mkdir "$dir/deep/a/b"
appeared() { ran deep 1 && [ "$(event deep .data.unseen)" = true ]; }
check "it comes, which starts the agent" eventually 20 appeared
count=$(sessions deep)
touch "$dir/deep/a/b/file"
check "and changes do again" eventually 20 ran deep $((count + 1))
mkdir "$dir/deep/new"
mv "$dir/deep/a/b" "$dir/deep/old"
mv "$dir/deep/new" "$dir/deep/a/b"
check "another directory in its place" eventually 20 ran deep $((count + 2))
touch "$dir/deep/old/nobody"
touch "$dir/deep/a/b/somebody"
check "is the one that is watched" eventually 20 ran deep $((count + 3))
is "and the old one is not" "$(event deep '.data.changes | map(.name) | unique')" '["somebody"]'

# --- something else in its place ----------------------------------------------------------------------
count=$(sessions deep)
mv "$dir/deep/a/b" "$dir/deep/aside"
mkfifo "$dir/deep/a/b"
check "a FIFO takes its place, which is said" eventually 20 in_log "$dir/deep/a/b, which is a link or behind one, or neither"
rm "$dir/deep/a/b"
ln -s "$dir/deep/aside" "$dir/deep/a/b"
rm "$dir/deep/a/b"
mv "$dir/deep/aside" "$dir/deep/a/b"
again() { ran deep $((count + 1)) && [ "$(event deep .data.unseen)" = true ]; }
check "a directory again, it starts the agent" eventually 20 again
count=$(sessions deep)
touch "$dir/deep/a/b/after-all"
check "and changes do" eventually 20 ran deep $((count + 1))

# --- while nobody watches ------------------------------------------------------------------------------
count=$(sessions deep)
others=$(sessions inbox)
instance_stop
touch "$dir/deep/a/b/at-night"
instance_up "started again"
unseen() { ran deep $((count + 1)) && [ "$(event deep .data.unseen)" = true ]; }
check "what came meanwhile starts the agent" eventually 20 unseen
is "once" "$(sessions deep)" $((count + 1))
is "and another one not" "$(sessions inbox)" "$others"

# --- a file -------------------------------------------------------------------------------------------
mkdir "$dir/one"
echo 1 >"$dir/one/file"
install file "$body" "triggers: [{path: $dir/one/file, on: [modify, move]}]"
three_watched() { [ "$(grep -l inotify /proc/"$(daemon schedd)"/fdinfo/* 2>/dev/null | wc -l)" -ge 3 ]; }
check "a file is watched" eventually 20 three_watched
echo 2 >"$dir/one/another"
mv "$dir/one/another" "$dir/one/file"
check "one that is renamed over it starts the agent" eventually 20 ran file 1
is "and nothing else in its directory" "$(event file '.data.changes | map(.name) | unique')" '["file"]'

# --- refused -----------------------------------------------------------------------------------------
refused() {
	agent bad 'true' "$2" >/dev/null
	status "$1" "$3" ash agent install "$dir/agents/bad/manifest.yaml"
	like "$1: which is said" "$err" "$4"
}
refused "outside the ceilings" "triggers: [{path: $dir/outside}]" 4 'outside ceilings.allowed_context'
ln -s "$dir/inbox" "$dir/inbox/link"
refused "through a link" "triggers: [{path: $dir/inbox/link}]" 4 'is not what was opened by that name'
refused "what is not there" "triggers: [{path: $dir/inbox/nothing}]" 3 'spec.triggers\[0\].path'
refused "an untrusted agent" "trust_level: untrusted
triggers: [{path: $dir/inbox}]" 4 'not allowed at trust_level untrusted'
refused "too many" "triggers: [$(printf "{path: $dir/inbox}, %.0s" {1..17})]" 7 'one too many'
is "and nothing is watched for them" "$(grep -l inotify /proc/"$(daemon schedd)"/fdinfo/* 2>/dev/null | wc -l)" 3
check "removed" eventually 20 ash agent remove inbox
fewer() { [ "$(grep -l inotify /proc/"$(daemon schedd)"/fdinfo/* 2>/dev/null | wc -l)" -eq 2 ]; }
check "it is watched no more" eventually 20 fewer
