#!/bin/bash
# Images of a registry: skopeo brings them to ash, which hands them on as any layout; agents are
# installed upon them; a terminal is shown how far it is, a pipe is not. Registry (Debian's, with a
# certificate of the test's own authority) and client are in a network namespace of the test's.
# timeout: 240
# shellcheck disable=SC2016,SC2154
if [ "${OUTER:-}" != "$PPID" ]; then
	OUTER=$PPID exec unshare --net --mount --propagation private -- bash "$0" "$@"
fi
ip link set lo up
. "$(dirname "$0")/lib.sh"
need_root "images of a registry"
for program in skopeo docker-registry openssl script; do
	command -v "$program" >/dev/null || {
		skip "images of a registry" "$program is not installed"
		exit 0
	}
done
instance_new
echo "ceilings: {allowed_images: ['docker://localhost:5443/team', $dir/slow]}" >>"$dir/agentd.yaml"

# --- a registry --------------------------------------------------------------------------------------
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$root/tests/image python3 - "$dir" "$(command -v busybox)" <<'PY'
import os, sys
from make import *
where, busybox = sys.argv[1:]
with open(busybox, "rb") as stream:
    shell = stream.read()
made = Layout()
D = tarfile.DIRTYPE
made.image([tar([entry("bin", D), entry("bin/busybox", data=shell, mode=0o755),
                 entry("bin/sh", tarfile.SYMTYPE, linkname="busybox")]),
            tar([entry("pad", data=os.urandom(8 << 20))])],
           tag="v1", pack="gzip", config={"Env": ["PATH=/bin", "GREETING=hello"],
                                          "Entrypoint": ["/bin/busybox", "sh", "-c", 'echo "$GREETING from $(busybox pwd)"'],
                                          "WorkingDir": "/srv"})
made.write(os.path.join(where, "layout"))
# What is over sooner than one looks is not drawn: so many files take longer.
slow = Layout()
slow.image([tar([entry("f%d" % i, data=os.urandom(200)) for i in range(30000)])], pack="gzip")
slow.write(os.path.join(where, "slow"))
PY
mkdir "$dir/certs" "$dir/registry" "$dir/home"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost -keyout "$dir/certs/key.pem" -out "$dir/certs/cert.pem" 2>/dev/null ||
	fail "a certificate is made"
cat >"$dir/registry.yml" <<-YAML
	version: 0.1
	log: {level: error}
	storage: {filesystem: {rootdirectory: $dir/registry}}
	http: {addr: "127.0.0.1:5443", tls: {certificate: $dir/certs/cert.pem, key: $dir/certs/key.pem}}
YAML
docker-registry serve "$dir/registry.yml" >"$dir/registry.log" 2>&1 &
registry=$!
# The settings are those of who runs ash; the host's are not looked at.
export SSL_CERT_FILE=$dir/certs/cert.pem HOME=$dir/home
answers() { curl -fsS --noproxy '*' --cacert "$dir/certs/cert.pem" https://localhost:5443/v2/ >"$dir/curl" 2>&1; }
unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY all_proxy
check "a registry listens on loopback" eventually 30 answers
status "an image is pushed to it" 0 skopeo copy --quiet "oci:$dir/layout:v1" docker://localhost:5443/team/hello:v1
status "and one that nobody may have" 0 skopeo copy --quiet "oci:$dir/layout:v1" docker://localhost:5443/other/hello:v1
rm -rf "$dir/layout"
instance_up "the instance starts"
before=$(find /var/tmp -maxdepth 1 -name 'ash-image-*' | sort)
left() { [ "$(find /var/tmp -maxdepth 1 -name 'ash-image-*' | sort)" = "$before" ]; }

# --- add ---------------------------------------------------------------------------------------------------
status "an image comes from the registry" 0 ash --json image add docker://localhost:5443/team/hello:v1
digest=$(jq -r .digest <<<"$out")
is "nothing is drawn on a pipe" "$err" ""
like "it has the digest of its manifest" "$digest" '^sha256:[0-9a-f]{64}$'
is "which is the registry's" "$digest" "$(skopeo inspect docker://localhost:5443/team/hello:v1 | jq -r .Digest)"
is "and is known by its name" "$(ash --json image show docker://localhost:5443/team/hello:v1 | jq -r .digest)" "$digest"
status "no such tag" 1 ash image add docker://localhost:5443/team/hello:v2
like "names who could not" "$err" "image docker://localhost:5443/team/hello.*skopeo could not bring"
status "what no ceiling allows" 4 ash image add docker://localhost:5443/other/hello:v1
like "says so" "$err" "outside ceilings.allowed_images"
mkdir "$dir/none"
status "without skopeo" 1 env PATH="$dir/none" "$BUILD/ash" -s "$sock" image add docker://localhost:5443/team/hello:v1
like "it is named" "$err" "skopeo, which brings images from registries, is not installed"
like "with what to do" "$err" "apt-get install skopeo"
check "no copy stays in /var/tmp" left

# --- a terminal ----------------------------------------------------------------------------------------------
"$BUILD/ash" -s "$sock" image add "$dir/slow" >"$dir/out" 2>"$dir/err" &
adding=$!
# Who writes a layer heeds no file's mode (capabilities 0 to 4): an operator's socket could bring it one.
sockets=none runnerd=$(daemon runnerd)
while [ "$sockets" = none ] && kill -0 "$adding" 2>/dev/null; do
	read -ra children <"/proc/$runnerd/task/$runnerd/children"
	for pid in "${children[@]}"; do
		grep -qs '^CapEff:[[:space:]]*0*1f$' "/proc/$pid/status" &&
			sockets=$(find "/proc/$pid/fd" -lname 'socket:*' | wc -l)
	done
done
wait "$adding"
is "a large image comes in, for a pipe" $? 0
is "nothing is drawn" "$(cat "$dir/err")" ""
is "who writes it has a socket to runnerd and no other" "$sockets" 1
status "it is removed" 0 ash image remove "oci:$dir/slow"
TERM=xterm script -qec "stty cols 100; '$BUILD/ash' -s '$sock' image add '$dir/slow'" /dev/null >"$dir/terminal" 2>&1 </dev/null
like "on a terminal it shows how far it is" "$(tr '\r' '\n' <"$dir/terminal")" "unpacking: [0-9.]+ [KM]iB of [0-9.]+ MiB"
like "and what it has" "$(tail -n 1 "$dir/terminal")" "oci:$dir/slow: .* in 1 layer"

# --- install -----------------------------------------------------------------------------------------------
cat >"$dir/hello.yaml" <<-YAML
	apiVersion: scarab/v1
	kind: AgentManifest
	metadata: {name: hello, version: 1.0.0}
	spec:
	  runtime: container
	  image: docker://localhost:5443/team/hello:v1
YAML
mkdir "$dir/agents/hello"
status "an agent is installed upon it" 0 ash agent install "$dir/hello.yaml" --dir "$dir/agents/hello"
is "pinned by its digest" "$(ash --json agent show hello | jq -r '.. | .image_digest? // empty' | head -n 1)" "$digest"
kill "$registry"
wait "$registry" 2>/dev/null
status "its session needs no registry" 0 ash agent run hello
like "and is the image's" "$out" "hello from /srv"
