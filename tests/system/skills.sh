#!/bin/bash
# Skills: strict in validate, lenient at install, read-only inside, listed, linked into the home
# without touching or following what an agent left there.
# shellcheck disable=SC2154
. "$(dirname "$0")/lib.sh"
instance_start ''

# skill DIR NAME DESCRIPTION: a SKILL.md in DIR
skill() {
	mkdir -p "$1"
	printf -- '---\nname: %s\ndescription: %s\n---\n# %s\n' "$2" "$3" "$2" >"$1/SKILL.md"
}
where() { printf %s "$dir/agents/$1/skills/$2"; }
skills() { # skills AGENT BODY: an agent with the skills triage and notes; what it runs
	skill "$(where "$1" triage)" triage 'Sorts "reports".'
	skill "$(where "$1" notes)" notes 'Keeps notes.'
	agent "$1" "$2" "${3:-}
skills: [skills/triage, ./skills/notes]" >/dev/null
}
manifest() { printf %s "$dir/agents/$1/manifest.yaml"; }
# shellcheck disable=SC2016
probe='cat /skills/index.json
ls /skills; cat /skills/triage/SKILL.md
for name in .agents .claude; do echo "$name $(readlink ~/$name/skills) $(cat ~/$name/skills/notes/SKILL.md | sed -n 2p)"; done
touch /skills/x 2>&1; touch /skills/triage/x 2>&1; touch /skills/triage/SKILL.md 2>&1; rm -rf /skills/notes 2>&1
grep " /skills/" /proc/self/mountinfo'

# --- what an agent finds ---------------------------------------------------------------------------
skills looks "$probe"
mkdir "$(where looks triage)/scripts"
printf '#!/bin/sh\necho from the skill\n' >"$(where looks triage)/scripts/run"
chmod 755 "$(where looks triage)/scripts/run"
ln -s scripts/run "$(where looks triage)/inner"
check "validate finds the skills sound" ash agent validate "$(manifest looks)"
check "install takes them" ash agent install "$(manifest looks)"
ash agent run looks >"$dir/view" 2>&1
head -n 1 "$dir/view" >"$dir/index"
is "the index lists name, description and path" "$(jq -c . "$dir/index")" \
    '[{"name":"triage","description":"Sorts \"reports\".","path":"/skills/triage/SKILL.md"},{"name":"notes","description":"Keeps notes.","path":"/skills/notes/SKILL.md"}]'
is "/skills" "$(sed -n '2,4p' "$dir/view" | tr '\n' ' ')" "index.json notes triage "
like "SKILL.md can be read" "$(cat "$dir/view")" '# triage'
is "linked where common agents look" "$(grep -E '^\.(agents|claude) ' "$dir/view" | tr '\n' '|')" \
    ".agents /skills name: notes|.claude /skills name: notes|"
is "nothing below /skills can be changed" "$(grep -cE 'Read-only file system|Permission denied' "$dir/view")" 4
is "the mounts are read-only, nosuid and nodev" \
    "$(grep -cE ' /skills/(triage|notes) ro,nosuid,nodev' "$dir/view")" 2
is "the skill of the host is as it was" "$(ls "$(where looks triage)")" "$(printf 'SKILL.md\ninner\nscripts')"
agent runs '/skills/triage/scripts/run; /skills/triage/inner' 'skills: [../looks/skills/triage]' >/dev/null
status "a path with .. is refused" 7 ash agent install "$(manifest runs)"
agent runs '/skills/triage/scripts/run; /skills/triage/inner' "skills: [$(where looks triage)]" >/dev/null
status "a skill outside install_dir and allowed_context is refused" 4 ash agent install "$(manifest runs)"
like "naming both" "$err" 'outside install_dir and ceilings.allowed_context'
cp -a "$dir/agents/looks/skills" "$dir/agents/runs/"
agent runs '/skills/triage/scripts/run; /skills/triage/inner' 'skills: [skills/triage]' >/dev/null
status "one of its own installs" 0 ash agent install "$(manifest runs)"
is "its scripts run, by links inside too" "$(ash agent run runs 2>&1 | tr '\n' ' ')" "from the skill from the skill "

# --- none -------------------------------------------------------------------------------------------
install none 'cat /skills/index.json; ls -d ~/.agents ~/.claude'
is "without skills the index is empty and the home as it was" "$(ash agent run none 2>&1 | tr '\n' ' ')" \
    "[] ls: cannot access '/home/agent/.agents': No such file or directory ls: cannot access '/home/agent/.claude': No such file or directory "

# --- a home that is hostile ---------------------------------------------------------------------------
canary=$dir/canary
mkdir "$canary"
hostile() { # hostile NAME PREPARE LOOK WANT: PREPARE in a first session, LOOK in the next
	install "$1" "[ -e ~/done ] || { touch ~/done; $2; exit; }; $3"
	ash agent run "$1" >/dev/null 2>&1
	skills "$1" "$3" "${5:-}"
	check "$1: installs with skills" ash agent install --replace "$(manifest "$1")"
	is "$1: starts, and finds" "$(ash agent run "$1" 2>&1 | tr '\n' ' ')" "$4"
}
hostile linked "ln -s $canary ~/.agents; ln -s / ~/.claude" 'readlink ~/.agents; readlink ~/.claude' "$canary / "
hostile dangling "mkdir ~/.agents; ln -s $canary/x ~/.agents/skills" 'readlink ~/.agents/skills ~/.claude/skills' "$canary/x /skills "
hostile files 'echo mine >~/.agents; mkfifo ~/.claude' 'cat ~/.agents; [ -p ~/.claude ] && echo fifo' "mine fifo "
hostile own 'mkdir -p ~/.agents/skills/mine ~/.claude; echo kept >~/.agents/skills/mine/SKILL.md; chmod 0 ~/.claude' \
    'cat ~/.agents/skills/mine/SKILL.md; chmod 700 ~/.claude; readlink ~/.claude/skills' "kept /skills "
hostile up 'mkdir -p ~/a/b; ln -s a/b ~/.agents; ln -s ../../../.. ~/.claude' 'ls ~/a/b; readlink ~/.claude' "../../../.. "
is "nothing was made outside" "$(ls -A "$canary")" ""
for mode in none direct; do
	spec="home: {mode: $mode}"
	[ $mode = none ] || spec="$spec
trust_level: trusted"
	skills "mode-$mode" 'readlink ~/.agents/skills; stat -c "%U %a" ~/.agents; rm ~/.agents/skills && rmdir ~/.agents && echo gone' "$spec"
	check "home mode $mode: installs" ash agent install "$(manifest "mode-$mode")"
	for time in first second; do
		is "home mode $mode: linked, and the agent's own ($time)" \
		    "$(ash agent run "mode-$mode" 2>&1 | tr '\n' ' ')" "/skills agent 755 gone "
	done
done

# --- strict in validate, lenient at install ---------------------------------------------------------------
skills bad 'ls /skills; cat /skills/index.json'
file=$(where bad triage)/SKILL.md
bad() { # bad TEXT PATTERN SKILL.md
	printf %b "$3" >"$file"
	status "$1: validate exits 7" 7 ash agent validate "$(manifest bad)"
	like "$1: validate names it" "$err" "$2"
}
bad "another name" 'triage/SKILL.md:2:7: name: must be the name of the directory' '---\nname: other\ndescription: x\n---\n'
status "another name: install takes it" 0 ash agent install "$(manifest bad)"
like "another name: with a warning" "$err" 'triage/SKILL.md:2:7: name'
is "another name: it is called as its directory" "$(ash agent run bad 2>&1 | head -n 3 | tr '\n' ' ')" "index.json notes triage "
bad "no description" 'triage/SKILL.md:2:1: description: is required' '---\nname: triage\n---\n'
status "no description: install takes it" 0 ash agent install --replace "$(manifest bad)"
like "no description: with a warning" "$err" 'it has no description; the skill is left out'
is "no description: it is left out" "$(ash agent run bad 2>&1 | tail -n +3 | jq -c 'map(.name)')" '["notes"]'
bad "an unknown key" 'triage/SKILL.md:4:1:.*tools' '---\nname: triage\ndescription: x\ntools: y\n---\n'
bad "broken YAML" 'triage/SKILL.md:[34]:' '---\nname: triage\ndescription: "x\n---\n'
bad "no front matter" 'triage/SKILL.md:1:1: it does not begin with front matter' '# x\n'
rm "$file"
status "no SKILL.md: validate exits 7" 7 ash agent validate "$(manifest bad)"
status "no SKILL.md: install exits 3" 3 ash agent install --replace "$(manifest bad)"
like "no SKILL.md: install names it" "$err" 'spec.skills\[0\].*triage/SKILL.md'
rm -r "$(where bad triage)"
status "not there: validate is content" 0 ash agent validate "$(manifest bad)"
like "not there: with a warning" "$err" 'spec.skills\[0\]: skills/triage is not here'
status "not there: install exits 3" 3 ash agent install --replace "$(manifest bad)"

# --- links, and where they lie -----------------------------------------------------------------------------
for target in /etc/passwd ../../bad ../notes/SKILL.md; do
	skill "$(where bad triage)" triage 'Sorts.'
	ln -sfn "$target" "$(where bad triage)/out"
	status "a link to $target: validate exits 7" 7 ash agent validate "$(manifest bad)"
	like "a link to $target: validate names it" "$err" 'triage/out is a link that leads out'
	status "a link to $target: install exits 7" 7 ash agent install --replace "$(manifest bad)"
	like "a link to $target: install names it" "$err" 'triage/out is a link that leads out'
done
rm "$(where bad triage)/out"
status "without it the agent installs" 0 ash agent install --replace "$(manifest bad)"
ln -s /etc/shadow "$(where bad triage)/out"
agent bad 'cat /skills/triage/out' 'skills: [skills/triage, skills/notes]' >/dev/null
like "a link made later leads nowhere inside" "$(ash agent run bad 2>&1)" 'out: No such file'
rm "$(where bad triage)/out"
mv "$(where bad triage)" "$dir/moved"
ln -s "$dir/moved" "$(where bad triage)"
check "a skill that is a link is refused at install" fails ash agent install --replace "$(manifest bad)"
status "a skill that became a link: the session fails" 125 ash agent run bad
is "in its step" "$(latest bad '.outcome + " " + .step')" "setup_failed skills"
like "with the reason" "$(latest bad .reason)" 'cannot open the skill .*triage'
settled_home() { ! ash --json home log looks | jq -e 'length > 1' >/dev/null; }
check "sessions that find the links made make none again" settled_home
