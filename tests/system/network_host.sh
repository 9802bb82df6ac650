#!/bin/bash
# Policy host: the host's own network, for privileged agents alone; the host's abstract sockets and
# processes stay out of reach.
# timeout: 200
# shellcheck source=tests/internet.sh
. "$(dirname "$0")/../internet.sh" "networks of agents" "$@"
instance_start "ceilings: {trust_level: privileged, allowed_context: [$work/agent-ca]}"
install client :
snapshot_take

status "policy host is above trusted" 4 ash agent install --replace "$(agent refused : 'trust_level: trusted
network: {policy: host}')"
like "which the error says" "$err" 'spec.network.policy host is not allowed at trust_level trusted'
status "and within capabilities" 4 ash agent install --replace "$(agent refused : 'trust_level: privileged
capabilities: ["net.connect:*:443"]
network: {policy: host}')"

net="trust_level: privileged
network: {policy: host}
$context
$ca_env"
runs "the namespace is the host's" "$(readlink /proc/self/ns/net)" 'readlink /proc/self/ns/net'
runs "names are asked for where the host asks" "nameserver 127.0.0.1" 'cat /etc/resolv.conf'
runs "a name" "hello web.example" 'curl -sS https://web.example/'
runs "a literal" "hello $other" "curl -sS http://$other/"
runs "what listens on the host's loopback" "hello host" 'curl -sS http://127.0.0.1:7777/'
denied "nothing of the host's network can be changed" '^1 1' '
import fcntl, struct
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
try: fcntl.ioctl(s, 0x8914, struct.pack("16sh", b"lo", 0))
except OSError as e: print(e.errno, end=" ")
try: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
except OSError as e: print(e.errno)'
denied "nor a low port bound" '^13' '
try: socket.socket().bind(("127.0.0.1", 81))
except OSError as e: print(e.errno)'
python3 -c '
import socket, sys
s = socket.socket(socket.AF_UNIX); s.bind("\0scarab-test-'$$'"); s.listen()
print("ready", flush=True)
sys.stdin.read()' <"$work/ready" >"$work/abstract" &
servers+=($!)
exec 8>"$work/ready"
listens() { [ "$(cat "$work/abstract")" = ready ]; }
check "a server of the host listens at an abstract socket" eventually 20 listens
abstract='
try: socket.socket(socket.AF_UNIX).connect("\0scarab-test-'$$'"); print("CONNECTED")
except OSError as e: print(e.errno)'
check "which others of the host reach" python3 -c "import socket; socket.socket(socket.AF_UNIX).connect('\\0scarab-test-$$')"
if ash doctor | grep -qE 'landlock .*version ([6-9]|[1-9][0-9])'; then
	denied "and the agent does not" '^1$' "$abstract"
else
	skip "and the agent does not" "this kernel's Landlock has no scopes"
fi
exec 8>&-
is "no egress process was started" "$(audited network.use; audited network.total)" ""
like "ash explain says so" "$(ash --json explain client | jq -c '[.network, (.namespaces | index("net"))]')" '"host",null'
settled "nothing is left of all these sessions"
