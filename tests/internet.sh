# shellcheck shell=bash
# The Internet of a test (netns.sh): web.example, other.example and their servers
# (network-servers.py). Sourced first of all by tests of networks, with what they need root for:
#	. tests/internet.sh "networks of agents" "$@"

# shellcheck source=tests/netns.sh
. "$(dirname "${BASH_SOURCE[0]}")/netns.sh" "$@"
web6=2606:2800:7::1
ip -6 addr add $web6/128 dev lo nodad

openssl req -x509 -newkey rsa:2048 -nodes -keyout "$work/key.pem" -out "$work/cert.pem" -days 2 \
    -subj /CN=web.example -addext 'subjectAltName=DNS:web.example,DNS:*.wild.example' 2>/dev/null
mkdir "$work/agent-ca"
cp "$work/cert.pem" "$work/agent-ca/ca.pem"
chmod -R a+rX "$work" && chmod 0755 "$work"
mkfifo "$work/ready"
python3 "$here/network-servers.py" "$work" $web $web6 $other >"$work/ready" 2>"$work/servers.log" &
servers+=($!)
read -r -t $((20 * factor)) answer <"$work/ready" || answer=
is "the servers of the test are up" "$answer" ready
queries() { cat "$work/queries" 2>/dev/null; }

# What every client's manifest has, beside its network; the tests put both together in net.
net=
# shellcheck disable=SC2034
context="context: [{source: $work/agent-ca, target: /context/ca}]"
# shellcheck disable=SC2034
ca_env="env: {CURL_CA_BUNDLE: /context/ca/ca.pem, SSL_CERT_FILE: /context/ca/ca.pem, NODE_EXTRA_CA_CERTS: /context/ca/ca.pem, GIT_SSL_CAINFO: /context/ca/ca.pem}"
# runs TEXT WANT BODY [SPEC]: the agent's output, all of it; SPEC instead of net.
runs() {
	local text=$1 want=$2 got
	install client "$3" "${4:-$net}" || return
	got=$(ash agent run client 2>"$dir/run.err")
	if [ "$got" = "$want" ]; then ok "$text"; else
		fail "$text"
		note "got:  $got"
		note "want: $want"
		sed 's/^/# /' "$dir/run.err" | head -n 20
	fi
}

probe='import socket, time
def tcp(host, port, say=None):
    began = time.monotonic()
    try:
        s = socket.create_connection((host, port), 20)
        s.sendall(say or b"GET / HTTP/1.0\r\n\r\n")
        got = s.recv(100)
        text = "GOT " + repr(got) if got else "end"
    except OSError as e:
        text = str(e.errno if e.errno and e.errno > 0 else type(e).__name__)
    print(host, port, text, "LATE" if time.monotonic() - began > 15 else "")
'
denied() {
	local text=$1 want=$2
	install client "cat >/tmp/p.py <<'PY'
$probe
$3
PY
python3 /tmp/p.py" "$net" || return
	like "$text" "$(ash agent run client 2>/dev/null)" "$want"
}

audited() { ash --json audit | jq -r 'if type == "array" then .[] else . end | select(.action == "'"$1"'") | .detail' | sort -u; }
# meter SESSION NAME KEY: what was counted for the name, or null.
meter() { ash --json session show "$1" | jq "[.network[]? | select(.name == \"$2\").$3] | first"; }
