#!/bin/bash
# Agents of all runtimes: detection, what is found at install, one agent written for each of them, and
# installing over one that runs.
# timeout: 300
# shellcheck disable=SC2154
. "$(dirname "$0")/lib.sh"
. "$root/tests/oci.sh"
. "$root/tests/python_image.sh"
need_root "sessions"
instance_new
mkdir -p "$dir/tree/below" "$dir/images"
printf 12345 >"$dir/tree/a.txt"
printf '%s\n' "ceilings: {allowed_context: [$dir], allowed_images: [$dir/images]}" >>"$dir/agentd.yaml"
instance_up "the instance starts"

# manifest NAME SPEC: a folder for the agent with a manifest; prints the folder.
manifest() {
	mkdir -p "$dir/agents/$1"
	printf 'apiVersion: scarab/v1\nkind: AgentManifest\nmetadata: {name: %s, version: 1.0.0}\nspec: {%s}\n' "$1" "$2" >"$dir/agents/$1/manifest.yaml"
	echo "$dir/agents/$1"
}
# refused TEXT PATTERN NAME [OPTION…]: the install is refused as an invalid manifest, in these words.
refused() {
	local text=$1 pattern=$2 name=$3
	shift 3
	status "$text" 7 ash agent install --replace "$dir/agents/$name/manifest.yaml" "$@"
	like "$text: in words" "$err" "$pattern"
}
runtime() { ash --json agent show "$1" | jq -r .runtime; }
# notes AGENT KIND: what its newest session said of itself.
notes() { grep -F "\"kind\":\"$2\"" "$dir/log/$1/$(latest "$1" .id).notes.jsonl"; }

# --- detection --------------------------------------------------------------------------------------
folder=$(manifest told 'entrypoint: main.py')
echo 'print("python")' >"$folder/main.py"
check ".py is Python" ash agent install "$folder/manifest.yaml"
is "and is listed so" "$(ash agent list | awk '$1 == "told" { print $3 }')" python
is "and runs" "$(ash agent run told)" python
for end in js mjs cjs; do
	folder=$(manifest "told-$end" "entrypoint: main.$end")
	echo 'console.log("node")' >"$folder/main.$end"
	check ".$end is Node.js" ash agent install "$folder/manifest.yaml"
	is ".$end is listed so" "$(runtime "told-$end")" node
done
is "and runs" "$(ash agent run told-cjs)" node
folder=$(manifest native '')
cp "$BUILD/tests/true" "$folder/native"
check "a program is a native one" ash agent install "$folder/manifest.yaml"
is "and is listed so" "$(runtime native)" rust
folder=$(manifest module 'entrypoint: module.bin')
printf '\0asm\1\0\0\0' >"$folder/module.bin"
refused "a module of WebAssembly is judged as one" 'module.bin: .*no function _start' module
folder=$(manifest layout '')
mkdir "$folder/layout"
echo '{"imageLayoutVersion":"1.0.0"}' >"$folder/layout/oci-layout"
refused "an image layout that is none" 'layout' layout

# --- two that disagree are both named ------------------------------------------------------------------
refused "--runtime beside a script of another" 'runtime node.*main.py.*python' told --runtime node
status "--runtime that agrees" 0 ash agent install --replace "$dir/agents/told/manifest.yaml" --runtime python
folder=$(manifest odd 'runtime: python, entrypoint: main.mjs')
echo >"$folder/main.mjs"
refused "a manifest beside a script of another" 'python.*main.mjs.*node' odd
manifest odd 'runtime: python, entrypoint: main.py' >/dev/null
refused "--runtime beside a manifest of another" 'rust.*python' odd --runtime rust
manifest odd 'runtime: rust, command: x' >/dev/null
printf '\0asm\1\0\0\0' >"$dir/agents/odd/x"
refused "a module that is said to be native" 'rust.*wasm' odd
manifest odd 'runtime: node' >/dev/null
refused "no entrypoint" 'needs spec.entrypoint' odd

# --- what cannot start is found at install --------------------------------------------------------------
folder=$(manifest broken 'runtime: rust')
cp "$BUILD/tests/true" "$folder/broken"
printf '\267' | dd of="$folder/broken" bs=1 seek=18 conv=notrunc status=none
refused "a program for another machine" 'program for aarch64, and this host runs x86_64' broken
printf '\3\0' | dd of="$folder/broken" bs=1 seek=18 conv=notrunc status=none
printf '\1' | dd of="$folder/broken" bs=1 seek=4 conv=notrunc status=none
refused "one of 32 bits" 'program for i386' broken
head -c 80 "$BUILD/tests/true" >"$folder/broken"
refused "half a program" 'damaged ELF' broken
cp "$BUILD/tests/true" "$folder/broken"
chmod 0644 "$folder/broken"
refused "one that may not be executed" 'may not be executed' broken
rm "$folder/broken"
refused "one that is not there" 'broken' broken
cat >"$dir/one.c" <<-'C'
	extern int two(void);
	int main(void) { return two(); }
C
echo 'int two(void) { return 2; }' >"$dir/two.c"
mkdir "$folder/lib"
gcc -shared -fPIC -Wl,-soname,libscarabtwo.so.1 -o "$folder/lib/libscarabtwo.so.1" "$dir/two.c"
gcc -o "$folder/broken" "$dir/one.c" "$folder/lib/libscarabtwo.so.1"
refused "a library that is missing" 'shared library libscarabtwo.so.1 is not there' broken
# shellcheck disable=SC2016
gcc -Wl,-rpath,'$ORIGIN/lib' -o "$folder/broken" "$dir/one.c" "$folder/lib/libscarabtwo.so.1"
check "one that lies beside the program is found" ash agent install "$folder/manifest.yaml"
status "and the program runs" 2 ash agent run broken
chmod 0600 "$folder/lib/libscarabtwo.so.1"
refused "a library that the agent may not read" 'libscarabtwo' broken
rm "$folder/lib/libscarabtwo.so.1"
manifest broken "runtime: rust, env: {LD_LIBRARY_PATH: $folder/other}" >/dev/null
mkdir "$folder/other"
gcc -shared -fPIC -Wl,-soname,libscarabtwo.so.1 -o "$folder/other/libscarabtwo.so.1" "$dir/two.c"
check "and where the manifest has it looked for" ash agent install --replace "$folder/manifest.yaml"
status "and runs from there" 2 ash agent run broken
mkdir -p "$dir/images/bare/bin"
cp /bin/true "$dir/images/bare/bin/true"
manifest broken "runtime: rust, command: /bin/true, image: 'dir:$dir/images/bare'" >/dev/null
refused "an image without a loader" "loader /lib64/ld-linux-x86-64.so.2 is not there in $dir/images/bare" broken
mkdir -p "$dir/images/bare/lib64" "$dir/images/bare/lib/x86_64-linux-gnu"
cp /lib64/ld-linux-x86-64.so.2 "$dir/images/bare/lib64/"
refused "an image without its libraries" "libc.so.6 is not there in $dir/images/bare" broken
cp "$(ldconfig -p | awk '$1 == "libc.so.6" && /x86-64/ { print $NF; exit }')" "$dir/images/bare/lib/x86_64-linux-gnu/libc.so.6"
check "an image that has them" ash agent install --replace "$dir/agents/broken/manifest.yaml"
check "runs it" ash agent run broken
manifest broken "entrypoint: main.py, image: 'dir:$dir/images/bare'" >/dev/null
echo >"$dir/agents/broken/main.py"
refused "an image without an interpreter" "no Python in the image dir:$dir/images/bare" broken
manifest broken "entrypoint: gone.py" >/dev/null
refused "a script that is not there" 'gone.py' broken
manifest broken "entrypoint: main.py" >/dev/null
chmod 0600 "$dir/agents/broken/main.py"
refused "a script that its agent may not read" 'may not be read by other users' broken

# --- the interpreter's version is asked, without rights -----------------------------------------------
version() { ash --json agent show "$1" | jq -r .sandbox.interpreter_version; }
is "Python's is recorded" "$(version told)" "$(/usr/bin/python3 -c 'import platform; print(platform.python_version())')"
is "Node.js's too" "v$(version told-mjs)" "$(/usr/bin/node --version)"
like "and shown" "$(ash agent show told)" "Interpreter: +/usr/bin/python3, [0-9.]+"
mkdir -p "$dir/images/node/usr/bin" "$dir/images/node/tmp"
chmod 1777 "$dir/images/node/tmp"
# says WORDS: the image's Node.js prints them.
says() {
	cat >"$dir/says.c" <<-C
		#include <fcntl.h>
		#include <stdio.h>
		#include <unistd.h>
		int main(void) { int fd = open("/tmp/x", O_CREAT | O_WRONLY, 0644), said = fd >= 0 && write(fd, "x", 1) == 1; $1; }
	C
	gcc -static -o "$dir/images/node/usr/bin/node" "$dir/says.c"
}
says 'return printf("v16.20.2\n") < 0'
manifest old "entrypoint: main.js, image: 'dir:$dir/images/node'" >/dev/null
echo >"$dir/agents/old/main.js"
refused "one that is too old" '/usr/bin/node is Node.js 16.20.2, and agents need 18.0 or later' old
says 'return printf("v18.%u.%u-%d\n", (unsigned)getuid(), (unsigned)getpid(), said) < 0'
check "an image's own" ash agent install "$dir/agents/old/manifest.yaml"
is "is asked as nobody, as the first process of a namespace, and can write nothing" "$(version old)" 18.65534.1-0
says 'for (int i = 0; i < 100000; i++) puts("v18.0.0\033[31m")'
check "one that talks without end" ash agent install --replace "$dir/agents/old/manifest.yaml"
is "says nothing" "$(version old)" null
says 'pause()'
"$BUILD/ash" -s "$sock" agent install --replace "$dir/agents/old/manifest.yaml" >/dev/null 2>&1 &
installing=$!
asked() { find /proc -maxdepth 2 -name exe -lname "$dir/images/node/usr/bin/node" 2>/dev/null | grep -q .; }
check "one that never answers" eventually 20 asked
kill -KILL "$installing"
wait "$installing"
check "ends with who asked" eventually 5 fails asked
# Without an image it would be beside the host's files: what came with the agent is not asked there.
manifest old "entrypoint: main.js, command: own" >/dev/null
printf '#!/bin/sh\necho v18.0.0\n' >"$dir/agents/old/own"
chmod 755 "$dir/agents/old/own"
check "an interpreter of the agent's own" ash agent install --replace "$dir/agents/old/manifest.yaml"
is "is the agent's too" "$(ash --json agent show old | jq -r .sandbox.interpreter)" "$dir/agents/old/own"
is "and is not executed" "$(version old)" null
manifest old "entrypoint: main.js, command: /usr/bin/env" >/dev/null
check "an interpreter that the manifest names" ash agent install --replace "$dir/agents/old/manifest.yaml"
is "is the agent's" "$(ash --json agent show old | jq -r .sandbox.interpreter)" /usr/bin/env

# --- Python is left alone with its own -------------------------------------------------------------------
folder=$(manifest alone 'entrypoint: src/main.py, args: [one, "two words"], env: {PYTHONPATH: /tmp, PYTHONSTARTUP: /tmp/x}')
mkdir -p "$folder/src"
echo 'HERE = "beside"' >"$folder/src/beside.py"
cat >"$folder/src/main.py" <<-'PY'
	import sys, os, json, libagent, beside
	print(json.dumps([__name__, sys.argv[1:], beside.HERE, os.path.dirname(libagent.__file__), sys.flags.isolated,
	    "/tmp" in sys.path, os.getcwd(), __file__ == sys.argv[0], sorted(k for k in globals() if not k.startswith("__"))]))
PY
check "an agent with modules installs" ash agent install "$folder/manifest.yaml"
is "what it finds" "$(ash agent run alone)" '["__main__", ["one", "two words"], "beside", "/run/agentd/python/libagent", 1, false, "/home/agent", true, ["beside", "json", "libagent", "os", "sys"]]'
is "what will be executed is shown" "$(ash --json agent show alone | jq -c '.sandbox | [.runtime, .command, .arguments[-3:]]')" \
    "[\"python\",\"/usr/bin/python3\",[\"$folder/src/main.py\",\"one\",\"two words\"]]"
like "in words too" "$(ash agent show alone)" "Command: +/usr/bin/python3 -I -u /run/agentd/python/start.py $folder/src/main.py one two words"
like "with its interpreter" "$(ash agent show alone)" "Interpreter: +/usr/bin/python3"
echo 'raise SystemExit(7)' >"$folder/src/main.py"
status "its exit status is the session's" 7 ash agent run alone
printf 'def f():\n    raise ValueError("inside")\nf()\n' >"$folder/src/main.py"
status "what it does not catch" 1 ash agent run alone
like "is told with its line" "$(ash session logs alone@latest 2>&1)" "main.py\", line 2, in f"

# --- packages ---------------------------------------------------------------------------------------------
# wheel FILE ENTRY=TEXT…: a wheel with these files, as they stand; link:ENTRY=TARGET is a link.
wheel() {
	/usr/bin/python3 - "$@" <<-'PY'
		import sys, warnings, zipfile
		warnings.simplefilter("ignore")
		with zipfile.ZipFile(sys.argv[1], "w", zipfile.ZIP_DEFLATED) as wheel:
		    for argument in sys.argv[2:]:
		        name, text = argument.split("=", 1)
		        entry = zipfile.ZipInfo(name.removeprefix("link:"))
		        entry.compress_type = zipfile.ZIP_DEFLATED
		        entry.external_attr = (0o120777 if name.startswith("link:") else 0o100644) << 16
		        wheel.writestr(entry, text if text != "BOMB" else bytes(600 << 20))
	PY
}
# lies FILE: a wheel with a file that swells to 6 GiB and says that it has 1,000 bytes.
lies() {
	/usr/bin/python3 - "$1" <<-'PY'
		import bz2, struct, sys
		packer = bz2.BZ2Compressor()
		bytes_ = b"".join(packer.compress(bytes(16 << 20)) for _ in range(384)) + packer.flush()
		common = struct.pack("<HHHHIIIHH", 0, 12, 0, 0x21, 0, len(bytes_), 1000, 1, 0)
		head = struct.pack("<IH", 0x04034B50, 46) + common + b"x"
		entry = struct.pack("<IHH", 0x02014B50, 46, 46) + common + struct.pack("<HHHII", 0, 0, 0, 0o100644 << 16, 0) + b"x"
		end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 1, 1, len(entry), len(head) + len(bytes_), 0)
		open(sys.argv[1], "wb").write(head + bytes_ + entry + end)
	PY
}
# packed NAME PACKAGES [REST]: an agent in Python with these packages.
packed() { manifest "$1" "entrypoint: main.py, packages: [$2]${3:+, $3}"; }
entries() { find "$dir/state/packages/$1" -mindepth 1 -maxdepth 1 2>/dev/null | wc -l; }
folder=$(packed packed wheels/greet-1.0-py3-none-any.whl)
mkdir "$folder/wheels"
wheel "$folder/wheels/greet-1.0-py3-none-any.whl" 'greet/__init__.py=import os; WORD = open(os.path.join(os.path.dirname(__file__), "word")).read()' \
    greet/word=packed greet-1.0.data/purelib/other.py='THERE = __cached__' greet-1.0.data/scripts/tool='#!python' 'greet.pth=import sys; sys.told = True' greet-1.0.dist-info/METADATA=x
cat >"$folder/main.py" <<-'PY'
	import greet, other, os, sys
	print(greet.WORD, os.path.dirname(os.path.dirname(greet.__file__)), sys.told, os.path.exists(other.THERE), os.access(greet.__file__, os.W_OK))
	if os.path.exists("/context/gate/fifo"):
	    open("/context/gate/fifo").readline()
PY
check "an agent with a wheel installs" ash agent install "$folder/manifest.yaml"
is "what it brought is imported, compiled, and not the agent's" "$(ash agent run packed)" "packed /run/agentd/packages True True False"
is "and is root's" "$(find "$dir/state/packages/packed" ! -user root | wc -l)" 0
wheel "$folder/wheels/more_of.it-1-py3-none-any.whl" more.py= more_of.it-1.dist-info/METADATA=$'Name: more\nRequires-Dist: Greet>=1\n'
wheel "$folder/wheels/needs-1-py3-none-any.whl" needs.py= needs-1.dist-info/METADATA=$'Name: needs\nRequires-Dist: More.of-it (>1)\n'
packed packed 'wheels/needs-1-py3-none-any.whl, wheels/more_of.it-1-py3-none-any.whl, wheels/greet-1.0-py3-none-any.whl' >/dev/null
check "wheels that require each other" ash agent install --replace "$folder/manifest.yaml"
packed packed wheels/greet-1.0-py3-none-any.whl >/dev/null
check "and one alone again" ash agent install --replace "$folder/manifest.yaml"
is "scripts are left out" "$(find "$dir/state/packages" -name tool | wc -l)" 0
hash=$(sha256sum "$folder/wheels/greet-1.0-py3-none-any.whl" | cut -d' ' -f1)
packed packed wheels/list.txt >/dev/null
printf '# what it needs\n./greet-1.0-py3-none-any.whl \\\n    --hash=sha256:%s\n' "$hash" >"$folder/wheels/list.txt"
check "a list with hashes" ash agent install --replace "$folder/manifest.yaml"
is "brings the same" "$(ash agent run packed)" "packed /run/agentd/packages True True False"
is "and only the newest is kept" "$(entries packed)" 1
printf './greet-1.0-py3-none-any.whl --hash=sha256:%s\n' "${hash//[0-8]/9}" >"$folder/wheels/list.txt"
refused "another hash" 'another SHA-256 than its list says' packed
echo './greet-1.0-py3-none-any.whl' >"$folder/wheels/list.txt"
refused "a list without hashes" 'no --hash=sha256:' packed
echo 'greet==1.0' >"$folder/wheels/list.txt"
refused "a list of names" 'greet==1.0 is no wheel' packed
is "what was refused is not kept" "$(entries packed)" 1
is "and the one before runs on" "$(ash agent run packed)" "packed /run/agentd/packages True True False"
# bad TEXT PATTERN FILE ENTRY…
bad() {
	local text=$1 pattern=$2 file=$3
	shift 3
	packed bad "$file" >/dev/null
	cp "$folder/main.py" "$dir/agents/bad/"
	wheel "$dir/agents/bad/$file" "$@"
	refused "$text" "$pattern" bad
}
bad "a file out of it" "a file of the name '../x'" a-1-py3-none-any.whl ../x=1
bad "an absolute one" "a file of the name '/etc/x'" a-1-py3-none-any.whl /etc/x=1
bad "one out of a data directory" "a file of the name 'a-1.data/purelib/../../x'" a-1-py3-none-any.whl a-1.data/purelib/../../x=1
bad "one that requires what is not there" 'a-1-py3-none-any.whl: it requires Not.There, which is neither among the packages' a-1-py3-none-any.whl x.py=1 \
    a-1.dist-info/METADATA=$'Metadata-Version: 2.1\nName: a\nRequires-Dist: a\nRequires-Dist: other; python_version < "3"\nRequires-Dist: Not.There[x] (>=1)\n\nRequires-Dist: text'
bad "a link" "no regular file" a-1-py3-none-any.whl link:x=/etc/passwd
bad "a file twice" "x.py, which is there already" a-1-py3-none-any.whl x.py=1 x.py=2
bad "a file that is a directory too" "x/y, which is there already" a-1-py3-none-any.whl x=1 x/y=2
bad "a wheel for another Python" 'not for Python 3' a-1-cp27-cp27m-any.whl x.py=1
bad "one for another machine" 'not for x86_64' a-1-py3-none-manylinux_2_17_aarch64.whl x.py=1
bad "one with another name" 'not that of a wheel' a.whl x.py=1
bad "one that swells" 'larger than 512 MiB' a-1-py3-none-any.whl x=BOMB
lies "$dir/agents/bad/a-1-py3-none-any.whl"
refused "one that swells more than it says" 'a-1-py3-none-any.whl: .*(allocate|Memory)' bad
bad "a name with a control character" 'x\?yz, which is there already' a-1-py3-none-any.whl $'x\eyz'=1 $'x\eyz'=2
is "which the terminal does not see" "$(tr -dc '\033' <<<"$err" | wc -c)" 0
packed bad a-1-py3-none-any.whl 'command: own' >/dev/null
printf '#!/bin/sh\n' >"$dir/agents/bad/own"
chmod 755 "$dir/agents/bad/own"
refused "a Python of the agent's own without an image" 'own came with the agent' bad
echo garbage >"$dir/agents/bad/a-1-py3-none-any.whl"
packed bad a-1-py3-none-any.whl >/dev/null
refused "what is no wheel" 'a-1-py3-none-any.whl: .*zip' bad
packed bad gone-1-py3-none-any.whl >/dev/null
refused "one that is not there" 'gone-1-py3-none-any.whl' bad
packed bad a-1.tar.gz >/dev/null
refused "source" 'neither a wheel' bad
is "nothing of them is left" "$(entries bad)" 0
# Over one that lives: its packages stay until it ends.
gate_new
packed packed wheels/greet-1.0-py3-none-any.whl "$gate_context" >/dev/null
check "one that waits" ash agent install --replace "$folder/manifest.yaml"
gate_shut
ash agent run packed --detach >/dev/null || fail "starts"
said() { ash session logs packed@latest | grep -q '^packed'; }
check "lives" eventually 20 said
packed packed wheels/greet-1.0-py3-none-any.whl >/dev/null
check "is installed over" ash agent install --replace "$folder/manifest.yaml"
is "and both have their packages" "$(entries packed)" 2
gate_open
status "it goes on to its end" 0 ash session wait packed@latest
alone() { [ "$(entries packed)" -eq 1 ]; }
check "then one" eventually 10 alone
# A death while it is installed over: the old definition or the new one, whole, and nothing else.
for round in 1 2 3 4 5; do
	before=$(entries packed)
	sed -i "s/version: [0-9.]*/version: $round.0.0/" "$folder/manifest.yaml"
	"$BUILD/ash" -s "$sock" agent install --replace "$folder/manifest.yaml" >/dev/null 2>&1 &
	installing=$!
	more() { [ "$(entries packed)" -ne "$before" ] || ended "$installing"; }
	eventually 20 more
	kill -KILL "$(daemon runnerd)" || fail "runnerd is there"
	wait "$installing"
	eventually 20 ash --json agent list >/dev/null || fail "runnerd is back"
	eventually 10 alone || fail "round $round leaves $(entries packed) directories"
	[ "$(ash agent run packed </dev/null)" = "packed /run/agentd/packages True True False" ] || fail "round $round leaves an agent that does not run"
done
ok "a death at an install leaves the old one or the new, and no stray file"
check "removed" ash agent remove packed
is "with its packages" "$(find "$dir/state/packages" -mindepth 1 -name packed | wc -l)" 0

# --- one agent, every runtime -----------------------------------------------------------------------------
agents=(python node container)
python_tree "$dir/hello"
mkdir -p "$dir/hello/opt/hello"
cp -r "$root/libagent/python/libagent" "$root/examples/agents/hello-container/main.py" "$dir/hello/opt/hello/"
oci_layer "$dir/hello.tar" "$dir/hello"
if ! command -v cargo >/dev/null; then
	skip "Rust" "cargo is not installed"
else
	# As the README says it, with the example's crate under that name.
	mkdir -p "$dir/project/etc/agents" "$dir/state/agents/my-agent"
	cp -r "$root/examples/agents/hello-rust" "$dir/project/my-agent"
	sed -i -e 's,^name = "hello-rust",name = "my-agent",' -e "s,\\.\\./\\.\\./\\.\\./libagent,$root/libagent," -e '/^\[workspace\]/d' "$dir/project/my-agent/Cargo.toml"
	printf '[workspace]\nmembers = ["my-agent"]\nresolver = "2"\n' >"$dir/project/Cargo.toml"
	manifest my-agent 'home: {mode: journal}' >/dev/null
	mv "$dir/agents/my-agent/manifest.yaml" "$dir/project/etc/agents/my-agent.yaml"
	cd "$dir/project" || exit 1
	check "cargo builds the agent" cargo build --release --offline -q -p my-agent
	cp target/release/my-agent "$dir/state/agents/my-agent/"
	check "it is installed from where it was copied to" ash agent install etc/agents/my-agent.yaml --dir "$dir/state/agents/my-agent"
	is "as a native program" "$(runtime my-agent)" rust
	like "and runs" "$(ash agent run my-agent --task built 2>/dev/null)" 'hello from my-agent, visit 1: built'
	cd "$dir" || exit 1
	agents+=(rust)
fi
if [ ! -e /usr/lib/wasm32-wasi/libc.a ] || ! command -v llvm-ar >/dev/null; then
	skip "WebAssembly" "wasi-libc, libclang-rt-14-dev-wasm32, clang, lld or llvm is not installed"
else
	# As its first lines say it.
	check "make builds libagent for modules" make -s -C "$root" BUILD="$dir/wasm" libagent-wasm
	check "clang builds the agent" clang --target=wasm32-wasi -O2 -I "$dir/wasm/gen/include" -o "$dir/hello.wasm" \
	    "$root/examples/agents/hello-wasm/hello.c" "$dir/wasm/wasm-lib/libagent.a"
	agents+=(wasm)
fi
running() { [ "$(latest "$1" .state)" = running ] && ash session logs "$1@latest" 2>/dev/null | grep -q hello; }
for kind in "${agents[@]}"; do
	name=hello-$kind folder=$dir/agents/hello-$kind
	cp -r "$root/examples/agents/$name" "$dir/agents/"
	cp "$root/examples/plugins/survey/survey" "$folder/"
	[ "$kind" != rust ] || cp "$dir/project/target/release/my-agent" "$folder/hello-rust"
	[ "$kind" != wasm ] || cp "$dir/hello.wasm" "$folder/"
	[ "$kind" != container ] || oci_image "$folder/$name" '{"Entrypoint":["python3","/opt/hello/main.py"],"Env":["PYTHONPATH=/opt/hello","PYTHONUNBUFFERED=1"],"User":"1234"}' "$dir/hello.tar"
	# As it stands in the folder of examples, but for where things lie.
	sed -i -e "s,/usr/share/doc\, target: /context/docs,$dir/tree\, target: /context/docs," -e "s,/usr/share/scarab-runtime/examples/plugins/survey/survey,./survey," "$folder/manifest.yaml"
	check "$kind: the example installs" ash agent install "$folder/manifest.yaml"
	is "$kind: is listed with its runtime" "$(ash agent list | awk -v n="$name" '$1 == n { print $3 }')" "$kind"
	status "$kind: its session succeeds" 0 ash agent run "$name"
	is "$kind: environment, mission and tool" "$out" "hello from $name, visit 1: greet
/context: 1 files in 2 directories, 5 bytes"
	is "$kind: reports" "$(notes "$name" result | jq -c '.data | [.task, .visits, .summary.bytes]')" '["greet",1,5]'
	like "$kind: its home is kept" "$(ash agent run "$name" --task again)" "visit 2: again"
	status "$kind: a deadline" 124 ash agent run "$name" --task wait --timeout 3s
	is "$kind: is its end" "$(latest "$name" .outcome)" timed_out
	ash agent run "$name" --task wait --detach >"$dir/detached" || fail "$kind: starts"
	check "$kind: lives" eventually 20 running "$name"
	# Installed over while it lives: the session is not disturbed, and the next is the new one.
	check "$kind: is installed over" ash agent install --replace "$folder/manifest.yaml"
	is "$kind: goes on" "$(latest "$name" .state)" running
	check "$kind: is cancelled" ash session cancel "$name@latest"
	status "$kind: its waiter is told" 125 ash session wait "$name@latest"
	is "$kind: was cancelled" "$(latest "$name" .outcome)" cancelled
	like "$kind: its home outlives the installation" "$(ash agent run "$name" --task last)" "visit [45]: last"
	is "$kind: and its history" "$(ash --json home log "$name" | jq 'length > 1')" true
done
instance_stop
