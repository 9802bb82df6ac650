#!/bin/bash
# Networks of agents: unmodified clients reach the names that a manifest allows, and nothing else.
# All of it, the instance included, is in a network namespace of the test's own: its loopback is the
# Internet, so that what a failing sandbox lets out goes nowhere.
# timeout: 300
# shellcheck source=tests/internet.sh
. "$(dirname "$0")/../internet.sh" "networks of agents" "$@"

# --- what may be installed -------------------------------------------------------------------------

instance_start "ceilings: {trust_level: trusted, allowed_context: [$work/agent-ca]}"
install client :
install talk : # both have their ids before
snapshot_take
refused() {
	local text=$1 want=$2 spec=$3
	status "$text" "$want" ash agent install --replace "$(agent refused : "$spec")"
}
refused "an untrusted agent has no network" 4 'trust_level: untrusted
network: {policy: allowlist, allowlist: ["web.example:443"]}'
like "which the error says" "$err" 'spec.network.policy allowlist is not allowed'
refused "policy local is above sandboxed" 4 'network: {policy: local, allowlist: ["10.0.0.0/8:443"]}'
refused "a private range needs policy local" 4 'network: {policy: allowlist, allowlist: ["10.0.0.0/8:443"]}'
like "the error names the rule" "$err" '10\.0\.0\.0/8:443 is private, which needs policy local'
refused "the sandbox's own loopback is no rule" 7 'network: {policy: allowlist, allowlist: ["127.0.0.1:80"]}'
refused "a rule beyond the capabilities is refused" 4 'capabilities: ["net.connect:*.example:80"]
network: {policy: allowlist, allowlist: ["web.example:443"]}'
refused "policy full is above sandboxed" 4 'network: {policy: full}'
refused "policy full has every port, which capabilities bound" 4 'trust_level: trusted
capabilities: ["net.connect:*:443"]
network: {policy: full}'

# --- clients ---------------------------------------------------------------------------------------

rules='"web.example:80", "web.example:443", "web.example:7000", "web.example:5432", "*.wild.example:443", "web6.example:80",
  "inside.example:80", "mapped.example:80", "meta.example:80", "loop.example:80", "gone.example:80", "host.agentd:7777", "45.33.7.2:80"'
net="network:
  policy: allowlist
  allowlist: [$rules]
$context
$ca_env"
runs "curl over HTTP" "hello web.example" 'curl -sS http://web.example/'
runs "curl over TLS and IPv6 addresses" "hello web.example" 'curl -sS -6 https://web.example/'
runs "curl to a name below a wildcard" "hello a.wild.example" 'curl -sS https://a.wild.example/'
runs "a host that has IPv6 alone" "hello web6.example" 'curl -sS http://web6.example/'
runs "an address that a rule names" "hello 45.33.7.2" 'curl -sS http://45.33.7.2/'
runs "Python's urllib over TLS" "hello web.example" 'python3 -c "import urllib.request; print(urllib.request.urlopen(\"https://web.example/\").read().decode(), end=\"\")"'
if command -v node >/dev/null; then
	runs "Node's fetch over TLS" "hello web.example" 'node -e "fetch(\"https://web.example/\").then(r => r.text()).then(t => process.stdout.write(t)).catch(e => { console.log(e); process.exit(1) })"'
else
	skip "Node's fetch over TLS" "no node on this host"
fi
runs "git clones over TLS" "a line" 'cd /tmp && git clone -q https://web.example/repo.git 2>&1 && cat repo/file'
if command -v psql >/dev/null; then
	runs "PostgreSQL's psql" "a row" 'psql -tA "host=web.example user=a dbname=a sslmode=prefer gssencmode=disable" -c "select 1"'
else
	skip "PostgreSQL's psql" "no psql on this host"
fi
runs "the host's loopback, by its name" "hello host" 'curl -sS http://host.agentd:7777/'
# shellcheck disable=SC2016
runs "a server that speaks first" "220 first" 'bash -c "exec 3<>/dev/tcp/web.example/7000; read -r line <&3; echo \$line"'
runs "each direction ends by itself" "10" 'python3 -c "
import socket
s = socket.create_connection((\"web.example\", 7000))
s.makefile().readline()
s.sendall(b\"0123456789\")
s.shutdown(socket.SHUT_WR)
print(s.recv(100).decode(), end=\"\")"'
runs "a few letters are answered before there are more" "imok" 'python3 -c "
import socket
s = socket.create_connection((\"web.example\", 7000), 20)
s.recv(10); s.sendall(b\"ruok\"); print(s.recv(4).decode(), end=\"\")"'
runs "eight megabytes arrive whole in both directions" "same" 'python3 -c "
import socket, hashlib, threading, os
s = socket.create_connection((\"web.example\", 7000))
f = s.makefile(\"rb\"); f.readline()
data = b\"echo\" + os.urandom(8 << 20)
def send():
    s.sendall(data); s.shutdown(socket.SHUT_WR)
threading.Thread(target=send).start()
print(\"same\" if f.read() == data[4:] else \"other\", end=\"\")"'

# --- what is not let through -----------------------------------------------------------------------

before=$(queries | wc -l)
denied "a name outside does not exist, at once" '^other.example 80 gaierror' 'tcp("other.example", 80)'
denied "nor does the parent of a wildcard" '^wild.example 443 gaierror' 'tcp("wild.example", 443)'
is "and nobody was asked for either" "$(queries | tail -n +$((before + 1)))" ""
denied "another port is refused" '^web.example 22 111' 'tcp("web.example", 22)'
denied "one of another name is reset" '^web6.example 443 10[34]' 'tcp("web6.example", 443)'
denied "a literal of IPv4 leads nowhere" '^45.33.7.1 80 101' 'tcp("45.33.7.1", 80)'
denied "a literal of IPv6 leads nowhere" "^$web6 80 101" "tcp('$web6', 80)"
denied "the host's loopback is not the sandbox's" '^127.0.0.1 7777 104' 'tcp("127.0.0.1", 7777)'
denied "nor is it behind an allowed port" '^127.0.0.1 80 (104|end)' 'tcp("127.0.0.1", 80)'
denied "a name that leads to a private network" '^inside.example 80 104' 'tcp("inside.example", 80)'
denied "… to a mapped address" '^mapped.example 80 104' 'tcp("mapped.example", 80)'
denied "… to a metadata service" '^meta.example 80 104' 'tcp("meta.example", 80)'
denied "… to the host's loopback" '^loop.example 80 104' 'tcp("loop.example", 80)'
denied "another host in Host" '^web.example 80 104' 'tcp("web.example", 80, b"GET / HTTP/1.1\r\nHost: other.example\r\n\r\n")'
denied "… in pieces, too" '^pieces 104' 's = socket.create_connection(("web.example", 80), 20)
for piece in (b"GET / HTTP/1.1\r\nHo", b"st: other", b".example\r\n", b"\r\n"):
    time.sleep(0.3)
    try: s.sendall(piece)
    except OSError: pass
try: print("pieces GOT", s.recv(100))
except OSError as e: print("pieces", e.errno)'
# What of each connection came back: the statuses, and what was said.
kept='import re, socket
def get(host, more=""): return "GET / HTTP/1.1\r\nHost: %s\r\n%s\r\n" % (host, more)
def post(more): return "POST /count HTTP/1.1\r\nHost: web.example\r\n%s\r\n" % more
def talk(name, *turns):
    s = socket.create_connection(("web.example", 80), 20)
    got = b""
    try:
        for say, until in turns:
            s.sendall(say.encode())
            while not until or until not in got:
                more = s.recv(4096)
                if not more: break
                got += more
    except OSError as e: got += b"\nerror %s" % str(e.errno).encode()
    print(name + ":", *(w.decode() for w in re.findall(rb"(?<=^HTTP/1.1 )...|hello [a-z.]+|counted \d+|error .*|echoed.*|it asks for [a-z.]+", got.replace(b"HTTP/1.1", b"\nHTTP/1.1"), re.M)))
other = (get("other.example"), None)
fronted = "X" * 100 + get("other.example")
chunked = "%x\r\n%s\r\n0\r\n\r\n" % (len(fronted), fronted)
talk("kept", (get("web.example"), b"hello web"), other)
talk("pipelined", (get("web.example") + get("other.example"), None))
talk("length", (post("Content-Length: %d\r\n" % len(fronted)) + fronted, b"counted"), other)
talk("chunked", (post("Transfer-Encoding: chunked\r\n") + chunked, b"counted"), other)
talk("continued", (post("Content-Length: 3\r\nExpect: 100-continue\r\n"), b"100 "), ("abc", b"counted"), other)
talk("not upgraded", (get("web.example", "Connection: Upgrade\r\nUpgrade: echo\r\n"), b"hello web"), other)
talk("upgraded", (get("web.example", "Connection: Upgrade\r\nUpgrade: echo\r\n").replace("/ ", "/switch ", 1), b"echo\r\n"), ("\x01echoed, and " + get("other.example"), b"other.example\r\n\r\n"))
talk("to HTTP/2", (get("web.example", "Connection: Upgrade\r\nUpgrade: h2c\r\n").replace("/ ", "/switch ", 1), b"echo\r\n"), ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", None))
talk("HTTP/2", ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", None))
talk("two lengths", (post("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"), None))'
install client "cat >/tmp/kept.py <<'PY'
$kept
PY
python3 /tmp/kept.py" "$net"
kept=$(ash agent run client 2>&1)
came() { is "$1" "$(sed -n "s|^$2: ||p" <<<"$kept")" "$3"; }
came "another host in a later request of one connection" kept "200 hello web.example 403 it asks for other.example"
like "… in one that is sent with the first, which is answered" "$(sed -n 's|^pipelined: ||p' <<<"$kept")" '^200 hello web.example( 403 it asks for other.example)?$'
came "… behind a body of a length" length "200 counted 139 403 it asks for other.example"
came "… behind one in chunks" chunked "200 counted 139 403 it asks for other.example"
came "… behind one that waited for 100 Continue" continued "100 200 counted 3 403 it asks for other.example"
came "… where the server did not change the protocol" "not upgraded" "200 hello web.example 403 it asks for other.example"
came "and where it did, what follows passes" upgraded "101 echoed, and GET / "
came "but not HTTP/2" "to HTTP/2" "101 error 104"
came "nor from the first byte" HTTP/2 "error 104"
came "nor what can be read in two ways" "two lengths" "error 104"
like "which ash session why tells" "$(ash session why client@latest)" 'Denied: +web.example:80: .*it asks for other.example'
runs "who would rather speak HTTP/2 goes on with HTTP/1.1" "hello web.example 1 hello web.example 0 " "curl -sS --http2 -w ' %{num_connects} ' http://web.example/ http://web.example/"
denied "a proxy's way to another host" '^web.example 80 104' 'tcp("web.example", 80, b"CONNECT other.example:443 HTTP/1.1\r\n\r\n")'
runs "another name in SNI" "35" 'curl -sS --connect-to other.example:443:web.example:443 https://other.example/ 2>/dev/null; printf %s $?'
runs "UDP is refused at once" "111" 'python3 -c "
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(15)
s.connect((\"web.example\", 443)); s.send(b\"x\")
try: s.recv(10)
except OSError as e: print(e.errno, end=\"\")"'
runs "no other resolver answers" "101" 'python3 -c "
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
try: s.connect((\"45.33.7.1\", 53)); print(s.send(b\"x\"), end=\"\")
except OSError as e: print(e.errno, end=\"\")"'
like "the session's log says what was denied" "$(ash session logs client@latest 2>&1; install client 'curl -sS http://web.example:1/ http://nowhere.example/' "$net"; ash agent run client 2>&1; ash session logs client@latest)" 'denied nowhere.example: no rule names it'
like "the audit log names what was used" "$(audited network.use)" '(^|
)web.example:443($|
)'
like "and what was denied, with the reason" "$(audited network.deny)" 'inside.example:80: 10\.1\.2\.3 is private, and no rule names it'

like "and how much went through, name by name" "$(audited network.total)" 'web.example: 1 connections, 83886[0-9]+ bytes sent, 83886[0-9]+ received, 0 denials'

install client 'curl -sS http://web.example/; curl -sS http://inside.example/ http://nowhere.example/ http://web.example:5433/; true' "$net"
ash agent run client >/dev/null 2>&1
is "the session shows what went through each name" "$(for key in plugin kind connections denied; do meter client@latest web.example $key; done | xargs)" "null name 1 0"
check "in both directions" [ "$(meter client@latest web.example bytes_in)" -gt 50 -a "$(meter client@latest web.example bytes_out)" -gt 50 ]
# A client may have tried both of its addresses.
like "what was denied" "$(meter client@latest inside.example denied)" '^[12]$'
is "and names that no rule names" "$(meter client@latest nowhere.example why)" '"no rule names it"'

like "and show has a table for people" "$(ash session show client@latest)" 'NETWORK +OF +CONNECTIONS +SENT +RECEIVED +DENIED'

# --- wildcards carry no messages out ---------------------------------------------------------------

runs "new names below a wildcard come slowly" "slow" 'python3 -c "
import socket
n = 0
for i in range(400):
    try: socket.getaddrinfo(\"x%d.wild.example\" % i, 443, socket.AF_INET); n += 1
    except OSError: pass
print(\"slow\" if n < 200 else n, end=\"\")"'
like "no name is asked for that nobody connects to" "x$(queries | grep -c 'x[0-9]*.wild')" '^x0$'

# --- deaths ---------------------------------------------------------------------------------------

install talk 'while :; do curl -sS -m 10 http://web.example/ 2>&1; echo " now"; sleep 0.2; done' "$net"
session=$(ash agent run talk --detach)
log_has() { ash session logs talk@latest 2>&1 | grep -qE "$1"; }
check "a session talks" eventually 20 log_has 'hello web.example now'
counted() { [ "$(meter talk@latest web.example connections)" -gt "${1:-0}" ]; }
check "what went through is seen while it runs" eventually 20 counted
dialer=$(daemon dialer)
kill -KILL "$dialer"
new_dialer() { [ "$(daemon dialer)" != "$dialer" ] && [ -n "$(daemon dialer)" ]; }
check "a dialer that died is started again" eventually 20 new_dialer
talks_again() {
	local n
	n=$(ash session logs talk@latest | grep -c 'hello web.example now')
	[ "$n" -gt $(($1 + 2)) ]
}
said=$(ash session logs talk@latest | grep -c 'hello web.example now')
check "and the session goes on with it" eventually 20 talks_again "$said"
runnerd=$(daemon runnerd)
kill -KILL "$runnerd"
new_runnerd() { [ "$(daemon runnerd)" != "$runnerd" ] && ash status >/dev/null 2>&1; }
check "so it does with a restarted runnerd" eventually 20 new_runnerd
said=$(ash session logs talk@latest | grep -c 'hello web.example now')
check "whose adopted session talks" eventually 20 talks_again "$said"
check "and is metered as before" eventually 20 counted "$(meter talk@latest web.example connections)"
dialer=$(daemon dialer)
kill -KILL "$dialer"
check "which tells another dialer of it" eventually 20 new_dialer
said=$(ash session logs talk@latest | grep -c 'hello web.example now')
check "and the session talks on" eventually 20 talks_again "$said"
egress=$(daemon egress)
is "an egress process has the agent's range of ids" "$((($(stat -c %u "/proc/$egress") - session_ids) % 65536))" 2002
is "it has no capability" "$(sed -n 's/^CapEff:\t*//p' "/proc/$egress/status")" 0000000000000000
is "and sees no network but the sandbox's" "$(nsenter --net="/proc/$egress/ns/net" ip -o addr | grep -v ' lo ')" ""
kill -KILL "$egress"
check "without its egress process a session goes on, without a network" eventually 20 log_has 'curl: \([67]\)'
check "which its log says" log_has 'has no network any more'
was_lost() { audited network.lost | grep -q .; }
check "and the audit log" eventually 10 was_lost
ash session cancel "$session" >/dev/null
has_ended() { [ "$(latest talk .state)" = ended ]; }
check "it ends" eventually 20 has_ended
check "and its meters are kept" counted
check "no egress process is left" fails daemon egress
settled_fds "and nothing else of all these sessions"
