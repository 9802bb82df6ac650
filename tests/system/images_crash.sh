#!/bin/bash
# Death at every named point of bringing an image in and of removing one, of runnerd and of unpack:
# the store then has the image, whole, or not, and nothing else; and what was asked can be asked again.
# timeout: 300
# shellcheck disable=SC2016,SC2154
. "$(dirname "$0")/lib.sh"
need_root "deaths of images"
instance_new
images=$dir/images store=$dir/state/images/store
mkdir "$images" "$dir/libexec"
echo "ceilings: {allowed_images: [$images]}" >>"$dir/agentd.yaml"
find "$BUILD" -maxdepth 1 -type f -perm -u+x -exec cp -t "$dir/libexec" {} +
cp -r "$BUILD"/crash/* "$BUILD/python" "$BUILD/wasm" "$dir/libexec"
sed -i "s|^libexec_dir: .*|libexec_dir: $dir/libexec|" "$dir/agentd.yaml"
export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$root/tests/image
python3 - "$images" <<'PY'
import sys
from make import *
made = Layout()
lower = tar([entry("etc/passwd", data=b"app:x:1:2::/:\n")] + [entry("f%d" % i, data=b"x" * 100) for i in range(200)])
made.image([lower, tar([entry("d/.wh..wh..opq"), entry(".wh.f1")])], config={"User": "app"}, pack="gzip")
made.write(sys.argv[1] + "/small")
made.archive(sys.argv[1] + "/small.tar.gz", gzip.compress)
made = Layout()
made.image([tar([entry("zeros%d" % i, data=bytes(1 << 20)) for i in range(96)])], pack="gzip")
made.write(sys.argv[1] + "/large")
PY
table() {
	local command=$1
	shift
	"$BUILD/tests/crash-table" "$command" "$dir/agentd.log" "$@"
}
table new
instance_up "the instance starts"

tree() { (cd "$store/layers" && find . -printf '%P %y %m %U:%G %s\n' | grep -v ' d ' | sort); }
empty() { [ -z "$(find "$store" -mindepth 2)" ]; }
settled_store() { [ -z "$(find "$store/work" -mindepth 1)" ]; }
runnerd_pid() { awk '$1 == "runnerd" { print $2 }' "$dir/run/agentd.pids"; }
answers() { ash --json image list >"$dir/list" 2>/dev/null; }
unpack_pids() { processes | awk '$2 == "unpack" { print $1 }'; }
is "without a death" "$(ash --json image add "$images/small" | jq -r .layers)" 2
whole=$(tree)
ash image gc >/dev/null
check "the store is empty" eventually 20 empty

# agentd counts deaths and waits ever longer: not in a test.
up_again() {
	instance_stop
	instance_run || fail "agentd starts again"
}
# judge TEXT: nothing, or the whole image.
judge() {
	check "$1: runnerd is there again" eventually 20 answers
	check "$1: nothing stray is left" eventually 20 settled_store
	case $(jq length <"$dir/list") in
	0) is "$1: no image, and no part of one" "$(find "$store/layers" "$store/manifests" -mindepth 1)" "" ;;
	1) is "$1: the image, whole" "$(tree)" "$whole" ;;
	*) fail "$1: $(cat "$dir/list")" ;;
	esac
	[ -z "$(unpack_pids)" ] || fail "$1: an unpack is left running"
}
# die COMMAND POINT NTH
passed=()
die() {
	local text="kill -9 of runnerd at $2, time $3, of $1"
	table arm "$3" "$2"
	# shellcheck disable=SC2086
	"$BUILD/ash" -s "$sock" image $1 >"$dir/out" 2>"$dir/err" </dev/null &
	local client=$!
	if table wait $((10000 * factor)) "$2"; then
		kill -KILL "$(runnerd_pid)"
		passed+=("$2")
	else
		fail "$text: nobody came there"
	fi
	table let
	wait "$client"
	up_again
	judge "$text"
	if [ "${1%% *}" = add ]; then
		status "$text: it can be asked again" 0 ash --json image add "${1#* }"
		is "$text: and is whole then" "$(tree)" "$whole"
		ash image gc >/dev/null
	fi
	check "$text: and goes" eventually 20 empty
}
small="add $images/small"
die "$small" image.begun 1
die "$small" image.answered 1
die "$small" image.answered 2
die "$small" image.answered 4
die "$small" image.layer 1
die "$small" image.layer 2
die "$small" image.placed 1
die "$small" image.placed 2
die "$small" image.record 1
die "$small" image.recorded 1
die "$small.tar.gz" image.answered 1
ash image add "$images/small" >/dev/null
die "remove oci:$images/small" image.gone 1
is "every point of the source was passed" "$(comm -23 \
    <(grep -rhoE 'CRASH_POINT\("image[.][^"]+' "$root/runnerd" | sed 's/.*"//' | sort -u) \
    <(printf '%s\n' "${passed[@]}" | sort -u))" ""

# --- unpack dies ---------------------------------------------------------------------------------------
writing() { [ -n "$(find "$store/work" -path '*/root/zeros*')" ]; }
"$BUILD/ash" -s "$sock" image add "$images/large" >"$dir/out" 2>"$dir/err" </dev/null &
client=$!
if eventually 10 writing; then
	mapfile -t pids < <(unpack_pids)
	[ ${#pids[@]} -eq 0 ] || kill -KILL "${pids[@]}"
fi
if wait "$client"; then
	note "it was faster than the kill"
else
	like "who asked hears of unpack's death" "$(cat "$dir/err")" "unpack died"
	is "nothing of the image is there" "$(find "$store/layers" "$store/manifests" -mindepth 1)" ""
fi
check "nothing stray is left" eventually 20 settled_store
status "it can be asked again" 0 ash image add "$images/large"
# Who asked goes away: the image comes all the same, or not at all.
ash image gc >/dev/null
check "what gc discarded is deleted" eventually 20 settled_store
"$BUILD/ash" -s "$sock" image add "$images/large" >"$dir/out" 2>"$dir/err" </dev/null &
client=$!
eventually 10 writing
kill -KILL "$client"
wait "$client" 2>/dev/null
there() { ash --json image list | jq -e 'length == 1' >/dev/null; }
check "an image that nobody waits for any more comes whole" eventually 30 there
check "and nothing else is left" eventually 20 settled_store
