#!/bin/bash
# Images `oci:` and the runtime container: layers below a layer of the session's own, the image's
# words and the manifest's, its user, what it cannot do, and what stays of it.
# timeout: 300
# shellcheck disable=SC2016,SC2154
. "$(dirname "$0")/lib.sh"
. "$root/tests/oci.sh"
need_root "images"
busybox=$(PATH=/usr/bin:/bin command -v busybox) || {
	skip "containers" "busybox is not installed"
	exit 0
}
instance_new
images=$dir/images
mkdir "$images"
gate_new
echo "ceilings: {allowed_context: [$dir/gate], allowed_images: [$images]}" >>"$dir/agentd.yaml"
instance_up "the instance starts"

# manifest NAME SPEC: a folder for the agent with a manifest; prints the manifest's path.
manifest() {
	mkdir -p "$dir/agents/$1"
	printf 'apiVersion: scarab/v1\nkind: AgentManifest\nmetadata: {name: %s, version: 1.0.0}\nspec:\n%s\n' "$1" "  ${2//$'\n'/$'\n'  }" >"$dir/agents/$1/manifest.yaml"
	echo "$dir/agents/$1/manifest.yaml"
}
# contained NAME IMAGE [SPEC]: installs an agent of the runtime container, over what was there.
contained() { check "$1 installs" ash agent install --replace "$(manifest "$1" "runtime: container
image: 'oci:$images/$2'
${3:-}")"; }
# refused TEXT PATTERN NAME SPEC [OPTION…]
refused() {
	local text=$1 pattern=$2 path
	path=$(manifest "$3" "$4")
	shift 4
	status "$text" 7 ash agent install --replace "$path" "$@"
	like "$text: in words" "$err" "$pattern"
}
sandbox() { ash --json agent show "$1" | jq -c ".sandbox.$2"; }

# --- an image of two layers -----------------------------------------------------------------------
# box DIR: a tree of one static program.
box() {
	local name
	mkdir -p "$1/bin" "$1/usr" "$1/var/tmp"
	chmod 1777 "$1/var/tmp"
	cp "$busybox" "$1/bin/busybox"
	for name in sh cat ls id stat echo pwd env readlink rm mkdir sleep touch head; do ln -s busybox "$1/bin/$name"; done
}
box "$dir/low"
mkdir -p "$dir/low/opaque/sub" "$dir/low/usr/share/word" "$dir/low/data" "$dir/low/proc" "$dir/low/opt/bin" "$dir/low/etc"
echo below >"$dir/low/opaque/sub/file"
echo below >"$dir/low/usr/share/word/text"
echo below >"$dir/low/gone"
echo below >"$dir/low/both"
echo of_the_user >"$dir/low/data/file"
chown -R 4321:8765 "$dir/low/data"
mkdir "$dir/low/usr/suid"
cp "$busybox" "$dir/low/usr/suid/busybox"
chmod 4755 "$dir/low/usr/suid/busybox"
printf '#!/bin/sh\necho "from PATH: $*"\n' >"$dir/low/opt/bin/tool"
printf '#!/bin/sh\necho "entry: $*"\n' >"$dir/low/entry"
chmod 0755 "$dir/low/opt/bin/tool" "$dir/low/entry"
printf 'root:x:0:0::/:/bin/sh\nkeeper:x:4321:8765::/data:/bin/sh\n' >"$dir/low/etc/passwd"
printf 'root:x:0:\nkeeper:x:8765:\n' >"$dir/low/etc/group"
ln -s /etc "$dir/low/dev"
mkdir -p "$dir/high/opaque" "$dir/high/run"
ln -s /usr "$dir/high/tmp"
echo above >"$dir/high/both"
: >"$dir/high/.wh.gone"
: >"$dir/high/opaque/.wh..wh..opq"
echo above >"$dir/high/opaque/new"
oci_layer "$dir/low.tar" "$dir/low"
oci_layer "$dir/high.tar" "$dir/high"
two=("$dir/low.tar" "$dir/high.tar")

oci_image "$images/plain" '{"Cmd":["/bin/sh","-c","id -u; id -g; pwd; echo $HOME $USER $PATH"]}' "${two[@]}"
contained plain plain
status "a container runs what its image says" 0 ash agent run plain
is "as root without rights, in /, with what an agent finds" "$(tr '\n' ';' <<<"$out")" \
    "0;0;/;/home/agent agent /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin;"
is "is listed so" "$(ash agent list | awk '$1 == "plain" { print $3 }')" container
like "show tells what is executed" "$(ash agent show plain)" 'Command: +/bin/sh -c id -u'
like "and the image" "$(ash agent show plain)" 'sha256:[0-9a-f]{64}, 2 layers, user 0'
is "in numbers too" "$(ash --json agent show plain | jq -c '.sandbox | [.runtime, .image_layers, .directory, (.layers | length), (.image_digest | length)]')" '["container",2,"/",2,71]'
like "explain tells the layers" "$(ash explain plain)" 'layers'

contained layers plain 'command: /bin/sh
args: ["-c", "cat /both; ls /opaque; ls /gone 2>/dev/null; ls /; cat /usr/share/word/text"]'
status "its layers lie above each other" 0 ash agent run layers
is "a whiteout hides, an opaque directory hides all, the rest is seen" "$(tr '\n' ' ' <<<"$out")" \
    "above new bin both context data dev entry etc home opaque opt proc run skills sys tmp usr var below "

# --- the image's words and the manifest's ------------------------------------------------------------
oci_image "$images/words" '{"Entrypoint":["/entry","one"],"Cmd":["two"],"Env":["PATH=/opt/bin:/bin","GREETING=hello","HOME=/nowhere","SCARAB_TASK=theirs","SCARAB_OTHER=x","CREDENTIALS_DIRECTORY=/x","AGENT_NAME=x","WORD=image","LD_PRELOAD=/nothing.so"],"WorkingDir":"/opt/bin"}' "${two[@]}"
contained words words
is "Entrypoint and Cmd" "$(ash agent run words)" "entry: one two"
contained words words 'args: [three]'
is "args take the place of Cmd" "$(ash agent run words)" "entry: one three"
contained words words 'command: tool'
is "command takes the place of both, and is looked for in the image's PATH" "$(ash agent run words)" "from PATH: "
contained words words 'command: tool
args: [four, "five six"]'
is "command with args" "$(ash agent run words)" "from PATH: four five six"
contained words words 'command: sh
args: ["-c", "echo $GREETING $HOME $SCARAB_TASK $CREDENTIALS_DIRECTORY $AGENT_NAME $WORD ${SCARAB_OTHER-none} $PATH $LD_PRELOAD; pwd"]
env: {WORD: manifest}
task: ours'
is "its Env, under the runtime's, under the manifest's, in its WorkingDir" "$(ash agent run words | tr '\n' ' ')" \
    "hello /home/agent ours /run/credentials words manifest none /opt/bin:/bin /nothing.so /opt/bin "
oci_image "$images/made" '{"Cmd":["/bin/sh","-c","pwd; echo mine >file && cat file"],"WorkingDir":"/srv/made/here","User":"4321"}' "${two[@]}"
contained made made
is "a WorkingDir that is not there is made, the agent's" "$(ash agent run made | tr '\n' ' ')" "/srv/made/here mine "
oci_image "$images/silent" '{}' "${two[@]}"
refused "an image that says nothing" 'neither the image nor the manifest says what to execute' silent "runtime: container
image: 'oci:$images/silent'"
refused "a program that is not there" '/bin/absent is not there in the image' silent "runtime: container
image: 'oci:$images/silent'
command: /bin/absent"
refused "nor in its PATH" 'absent is not there in the image' silent "runtime: container
image: 'oci:$images/silent'
command: absent"

# --- its user ------------------------------------------------------------------------------------------
# What is executed is the same for all of them: an agent that counts in its home.
counts='id -u; id -g; id -un; stat -c "%u:%g" "$HOME" /data /data/file /bin/sh /run/agentd; (echo x >/data/new) 2>/dev/null && echo data; (echo x >/bin/new) 2>/dev/null && echo bin
n=$(cat "$HOME/n" 2>/dev/null || echo 0); n=$((n + 1)); echo $n >"$HOME/n"; echo "visit $n"; grep Cap /proc/self/status | tr -d "\t\n"; cat /proc/self/status | head -0'
printf '%s\n' "$counts" >"$dir/low/count"
ln -s busybox "$dir/low/bin/grep"
ln -s busybox "$dir/low/bin/tr"
oci_layer "$dir/low.tar" "$dir/low"
no_caps=CapInh:0000000000000000CapPrm:0000000000000000CapEff:0000000000000000CapBnd:0000000000000000CapAmb:0000000000000000
n=0
# user USER UID GID DATA BIN: DATA and BIN: what it may write there.
user() {
	n=$((n + 1))
	rm -rf "$images/user"
	oci_image "$images/user" "{\"User\":\"$1\",\"Cmd\":[\"/bin/sh\",\"/count\"]}" "${two[@]}"
	contained user user
	is "user ${1:-(none)}: its ids, its home, its files, no capability" "$(ash agent run user | tr '\n' ' ')" \
	    "$2 $3 agent $2:$3 4321:8765 4321:8765 0:0 $6 ${4:+$4 }${5:+$5 }visit $n $no_caps"
}
user 4321:8765 4321 8765 data '' 0:0
user keeper 4321 8765 data '' 0:0
user 4321 4321 8765 data '' 0:0
user '' 0 0 '' bin 1000:1000
user 0:8765 0 8765 '' bin 1000:0
user 7:7 7 7 '' '' 0:0
user 1000:1000 1000 1000 '' '' 0:0
user 65535:65535 65535 65535 '' '' 0:0
user 5:0 5 0 '' '' 0:1000
is "explain tells the map" "$(ash --json explain user | jq -c '.uid_map | [.[] | .inside]')" '[0,5,6,1000,1001]'
is "on the disk its home is always the agent's" "$(find "$dir/state/homes/user/home" ! -uid $(($(ash --json explain user | jq .first_uid) + 1000)) | wc -l)" 0
is "and its history is whole" "$(ash --json home log user | jq 'length >= 5')" true
oci_image "$images/beyond" '{"User":"70000","Cmd":["/bin/sh"]}' "${two[@]}"
refused "a user beyond the ids of a sandbox" '70000' beyond "runtime: container
image: 'oci:$images/beyond'"

# --- a secret is the manifest's, whatever the image calls its variables ----------------------------------
oci_image "$images/keyed" '{"Env":["KEY=of the image"],"User":"77:88","Cmd":["/bin/sh","-c","echo $KEY; cat $CREDENTIALS_DIRECTORY/key; stat -c %a:%u:%g /run/credentials/key; id -G"]}' "${two[@]}"
printf 'of the operator' | ash secret set key || fail "a secret is stored"
contained keyed keyed 'credentials: [{name: key, env: KEY}]'
check "is granted" ash secret grant key --agent keyed
is "a container's user has it" "$(ash agent run keyed | tr '\n' ' ')" "[redacted:key] [redacted:key]400:77:88 88 "

# --- what is written goes with the session; layers are shared -------------------------------------------
layers=$dir/state/images/store/layers
count_layers() { find "$layers" -mindepth 1 -maxdepth 1 | wc -l; }
sums() { (cd "$layers" && find . -type f -print0 | sort -z | xargs -0 sha256sum; find . -printf '%p %m %U %G %s %l\n' | sort) | sha256sum; }
writes='echo x >/usr/mine; rm /opaque/new; (echo y >/data/file) 2>/dev/null || echo kept; mkdir /opaque/sub; ls /usr /opaque; stat -c %a /usr/suid/busybox; ls -d /dev/null /tmp/. /proc/self/comm'
printf '%s\n' "$writes" >"$dir/high/write"
oci_layer "$dir/high.tar" "$dir/high"
oci_image "$images/writes" '{"Cmd":["/bin/sh","/write"]}' "${two[@]}"
contained one writes
had=$(count_layers)
contained other writes
is "two agents share an image's layers" "$(count_layers)" "$had"
before=$(sums)
want='kept /opaque: sub  /usr: mine share suid 755 /dev/null /proc/self/comm /tmp/. '
is "a session writes, over what is there too" "$(ash agent run one | tr '\n' ' ')" "$want"
is "the next finds the image as it was" "$(ash agent run one | tr '\n' ' ')" "$want"
is "and another agent too" "$(ash agent run other | tr '\n' ' ')" "$want"
is "no layer has changed" "$(sums)" "$before"

# --- images of the other runtimes ------------------------------------------------------------------------
contained native plain 'command: /bin/sh'
path=$(manifest native "image: 'oci:$images/words'
command: /bin/sh
args: ['-c', 'id -u; pwd; echo \$PATH \${GREETING-none}']")
check "another runtime in an image" ash agent install --replace "$path"
is "is the default" "$(ash --json agent show native | jq -r .runtime)" rust
is "has its files and nothing else of it" "$(ash agent run native | tr '\n' ' ')" "1000 /home/agent /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin none "
refused "an interpreter that the image lacks" 'no Python in the image' native "image: 'oci:$images/plain'
entrypoint: main.py"
refused "a container with an entrypoint" 'spec.entrypoint' native "runtime: container
image: 'oci:$images/plain'
entrypoint: main.py"
refused "a container without an image" 'container needs spec.image' native 'runtime: container'
refused "one of a directory" 'container needs spec.image' native "runtime: container
image: 'dir:$dir/low'"
oci_architecture=arm64 oci_image "$images/foreign" '{"Cmd":["/bin/sh"]}' "${two[@]}"
refused "an image for another machine" 'arm64' native "runtime: container
image: 'oci:$images/foreign'"

# --- a layout in install_dir, tags, and installing over ------------------------------------------------
manifest layout 'task: x' >/dev/null
oci_image "$dir/agents/layout" '{"Cmd":["/bin/echo","in install_dir"]}' "${two[@]}"
check "a layout is install_dir" ash agent install "$dir/agents/layout/manifest.yaml"
is "it is a container" "$(ash --json agent show layout | jq -r .runtime)" container
is "of that image" "$(sandbox layout image)" "\"oci:$dir/agents/layout\""
is "and runs" "$(ash agent run layout)" "in install_dir"
oci_image "$images/tags" '{}' "${two[@]}"
oci_tag "$images/tags" first '{"Cmd":["/bin/echo","as it was"]}' "${two[@]}"
oci_tag "$images/tags" other '{"Cmd":["/bin/echo","another"]}' "${two[@]}"
contained tagged tags:first
is "a tag chooses" "$(ash agent run tagged)" "as it was"
oci_tag "$images/tags" first '{"Cmd":["/bin/echo","as it is"]}' "${two[@]}"
is "what it says later is nothing to who is installed" "$(ash agent run tagged)" "as it was"
contained tagged tags:first
is "until it is installed again" "$(ash agent run tagged)" "as it is"

# --- a session that lives, while its image goes ----------------------------------------------------------
gated="Cmd\":[\"/bin/sh\",\"-c\",\"echo up; $gate_wait cat /both; exit 3\"]"
mkdir "$dir/own"
echo own >"$dir/own/own"
oci_layer "$dir/own.tar" "$dir/own"
oci_image "$images/lives" "{\"$gated}" "${two[@]}" "$dir/own.tar"
contained lives lives "$gate_context"
gate_shut
snapshot_take
has() { ash session logs "$1@latest" 2>/dev/null | grep -q "$2"; }
ash agent run lives --detach >"$dir/detached" || fail "starts"
check "a session lives" eventually 20 has lives up
had=$(count_layers)
contained lives plain
check "its agent has another image now" ash image gc
is "what the session has stays" "$(count_layers)" "$had"
check "removing the agent's images by name, too" fails ash image remove "oci:$images/lives"
kill -KILL "$(daemon runnerd)" || fail "runnerd is there"
check "runnerd comes back" eventually 20 ash --json agent list
check "and knows of it" ash image gc
is "and keeps what it has" "$(count_layers)" "$had"
gate_open
status "the session goes on to its end" 3 ash session wait lives@latest
is "with its files" "$(ash session logs lives@latest | tail -n 1)" above
settled_fds "nothing of it is left"
gone() { ash image gc >/dev/null && [ "$(count_layers)" -lt "$had" ]; }
check "then its image goes" eventually 10 gone

# --- many layers -----------------------------------------------------------------------------------------
many=("$dir/low.tar")
for i in $(seq 126); do
	mkdir -p "$dir/step/usr"
	echo "$i" >"$dir/step/usr/step"
	oci_layer "$dir/step-$i.tar" "$dir/step"
	many+=("$dir/step-$i.tar")
done
oci_image "$images/many" '{"Cmd":["/bin/sh","-c","cat /usr/step; ls -d /opaque/sub; echo new >/usr/step; cat /usr/step"]}' "${many[@]}"
contained many many
is "as many layers as an image may have" "$(ash agent run many | tr '\n' ' ')" "126 /opaque/sub new "
is "none of which the host's mounts show" "$(grep -c "$dir/state/images" /proc/self/mountinfo)" 0

# --- Python, with packages, and a plugin, all in the image ---------------------------------------------------
python=/usr/bin/python3
if ! [ -x "$python" ]; then
	skip "an agent in Python" "python3 is not installed"
else
	. "$root/tests/python_image.sh"
	python_tree "$dir/python"
	oci_layer "$dir/python.tar" "$dir/python"
	oci_image "$images/python" '{"Env":["PYTHONHOME=/nowhere"]}' "$dir/low.tar" "$dir/python.tar"
	folder=$dir/agents/snake
	path=$(manifest snake "image: 'oci:$images/python'
entrypoint: main.py
packages: [greet-1.0-py3-none-any.whl]
mcp_servers: [{name: survey, transport: Stdio, command: ./survey, args: [/context], mounts: [context]}]
context: [{source: $dir/gate, target: /context/gate}]")
	cp "$root/examples/plugins/survey/survey" "$folder/"
	"$python" -c 'import sys, zipfile; zipfile.ZipFile(sys.argv[1], "w").writestr("greet.py", "WORD = 7")' "$folder/greet-1.0-py3-none-any.whl"
	cat >"$folder/main.py" <<-'PY'
		import greet, libagent, os, sys
		with libagent.connect() as agent:
		    print(greet.WORD, os.getuid(), os.path.exists("/both"), os.path.exists("/usr/share/word/text"), sys.prefix, agent.call("survey__summarise", {"path": "/context"}).is_error)
	PY
	check "an agent in Python installs upon an image" ash agent install "$path"
	is "its interpreter is the image's, and was asked for its version" "$(ash --json agent show snake | jq -c '.sandbox | [.runtime, .interpreter_version]')" \
	    "[\"python\",\"$("$python" -c 'import platform; print(platform.python_version())')\"]"
	is "it runs there, with its packages, libagent and a plugin" "$(ash agent run snake 2>/dev/null)" "7 1000 True True /usr False"
fi
instance_stop
