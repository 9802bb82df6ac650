#!/bin/bash
# The proxy of a sandbox, for programs that know the network through one only: HTTP CONNECT, http://
# URLs, SOCKS 5. The same rules hold there, and who needs none goes on without. All of it is in a
# network namespace of the test's own.
# timeout: 240
# shellcheck source=tests/internet.sh
. "$(dirname "$0")/../internet.sh" "proxies of sandboxes" "$@"
instance_start "ceilings: {trust_level: trusted, allowed_context: [$work/agent-ca]}"
install client :
snapshot_take

net="network:
  policy: allowlist
  allowlist: [\"web.example:80\", \"web.example:443\", \"web.example:7000\", \"*.wild.example:443\", \"web6.example:80\", \"inside.example:80\", \"host.agentd:7777\", \"45.33.7.2:80\"]
$context
$ca_env"

# --- variables --------------------------------------------------------------------------------------

url=http://198.18.0.3:3128
runs "the variables name it, and those who need it alone use it" "ALL_PROXY=$url HTTPS_PROXY=$url HTTP_PROXY=$url NO_PROXY=* all_proxy=$url http_proxy=$url https_proxy=$url no_proxy=*" \
    'env | grep -i _proxy | LC_ALL=C sort | xargs | tr -d "\n"'
# shellcheck disable=SC2016
runs "a manifest's own variable holds" "mine" 'printf %s "$HTTPS_PROXY"' "network: {policy: allowlist, allowlist: [\"web.example:80\"]}
env: {HTTPS_PROXY: mine}"
runs "without a network there is none" "" 'env | grep -i _proxy' 'network: {policy: none}'

# --- clients that use it ------------------------------------------------------------------------------

through() { printf 'unset NO_PROXY no_proxy; %s' "$1"; }
runs "curl over TLS" "hello web.example" "$(through 'curl -sS https://web.example/')"
runs "it goes through the proxy" "200 Connected" "$(through 'curl -sSv https://web.example/ 2>&1 | sed -n "s/^< HTTP.1.1 \(200 Connected\).*/\1/p"')"
runs "curl over HTTP" "hello web.example" "$(through 'curl -sS http://web.example/')"
runs "two hosts by one connection to the proxy" "hello web.examplehello web6.example" "$(through 'curl -sS http://web.example/ http://web6.example/')"
runs "an address that a rule names" "hello 45.33.7.2" "$(through 'curl -sS http://45.33.7.2/')"
runs "a name below a wildcard" "hello a.wild.example" "$(through 'curl -sS https://a.wild.example/')"
runs "the host's loopback, by its name" "hello host" "$(through 'curl -sS http://host.agentd:7777/')"
runs "git clones over TLS" "a line" "$(through 'cd /tmp && git clone -q https://web.example/repo.git 2>&1 && cat repo/file')"
runs "Python's urllib" "hello web.examplehello web.example" "$(through 'python3 -c "
import urllib.request
for u in \"http\", \"https\": print(urllib.request.urlopen(u + \"://web.example/\").read().decode(), end=\"\")"')"
runs "SOCKS 5 with names" "hello web.example" "$(through 'curl -sS -x socks5h://198.18.0.3:3128 https://web.example/')"
runs "SOCKS 5 with what stands for them" "hello web.example" "$(through 'curl -sS -x socks5://198.18.0.3:3128 https://web.example/')"
runs "a server that speaks first, each direction ending by itself" "220 first 10" "$(through 'python3 -c "
import socket
s = socket.create_connection((\"198.18.0.3\", 3128), 20)
s.sendall(b\"CONNECT web.example:7000 HTTP/1.1\\r\\nHost: web.example:7000\\r\\n\\r\\n\")
f = s.makefile(\"rb\"); f.readline(); f.readline()
print(f.readline().decode().strip(), end=\" \")
s.sendall(b\"0123456789\"); s.shutdown(socket.SHUT_WR); print(f.read().decode(), end=\"\")"')"

# --- what is not let through -----------------------------------------------------------------------

runs "a name outside by CONNECT" "403 56" "$(through 'curl -sS -o /dev/null -w "%{http_connect} " https://other.example/ 2>/dev/null; printf %s $?')"
runs "… for an http:// URL" "other.example: no rule lets its host through at this port 403" "$(through 'curl -sS -w "%{http_code}" http://other.example/ | tr "\n" " "')"
runs "… by SOCKS" "97" "$(through 'curl -sS -x socks5h://198.18.0.3:3128 https://other.example/ 2>/dev/null; printf %s $?')"
runs "a literal" "403" "$(through 'curl -sS -o /dev/null -w "%{http_connect}" https://45.33.7.1/ 2>/dev/null')"
runs "another port" "403" "$(through 'curl -sS -o /dev/null -w "%{http_connect}" https://web.example:22/ 2>/dev/null')"
runs "a name that leads to a private network" "403 403" "$(through 'curl -sS -p -o /dev/null -w "%{http_connect} " http://inside.example/ 2>/dev/null; curl -sS -o /dev/null -w "%{http_code}" http://inside.example/')"
cat >"$work/tricks.py" <<'PY'
import socket, ssl
def say(*pieces):
    s = socket.create_connection(("198.18.0.3", 3128), 20)
    got = b""
    try:
        for piece in pieces:
            s.sendall(piece)
            got = s.recv(4096)
        if got[:1] != b"\x05" and b"200 Connected" not in got:
            while piece := s.recv(4096):
                got += piece
    except OSError:
        got = got or b"reset"
    return s, got
def connect(target, rest=b"", host=None):
    return b"CONNECT " + target + b" HTTP/1.1\r\nHost: " + (host or target) + b"\r\n" + rest + b"\r\n"
def status(*pieces):
    s, got = say(*pieces)
    print(got[9:12].decode() if got[:4] == b"HTTP" else got.hex(), end=" ")
status(connect(b"user@web.example:443"))
status(connect(b"web.example"))
status(connect(b"web.example:0"))
status(connect(b"web.example:65979"))
status(connect(b"web.example:443", host=b"other.example:443"))
status(connect(b"web.example:443", b"Content-Length: 5\r\n") + b"hello")
status(connect(b"web.example:443", b"Transfer-Encoding: chunked\r\n"))
status(connect(b"web.example:443") + b"GET / HTTP/1.1\r\n\r\n")
status(connect(b"[::ffff:45.33.7.1]:443"))
status(connect(b"127.0.0.1:7777"))
status(b"GET / HTTP/1.1\r\nHost: web.example\r\n\r\n")
status(b"GET http://web.example/ HTTP/1.1\r\nHost: other.example\r\n\r\n")
status(b"GET http://user@web.example/ HTTP/1.1\r\nHost: user@web.example\r\n\r\n")
status(b"GET https://web.example/ HTTP/1.1\r\nHost: web.example\r\n\r\n")
status(b"\x05\x01\x02")
status(b"\x05\x01\x00", b"\x05\x02\x00\x01\x00\x00\x00\x00\x00\x00")
status(b"\x05\x01\x00", b"\x05\x03\x00\x03\x0bweb.example\x01\xbb")
status(b"\x05\x01\x00", b"\x05\x01\x00\x01\x7f\x00\x00\x01\x1e\x61")
status(b"\x05\x01\x00", b"\x05\x01\x00\x03\x0fweb.example:443\x01\xbb")
print()
# Inside a tunnel SNI and Host are held to its name.
s, got = say(connect(b"web.example:80"))
try:
    s.sendall(b"GET / HTTP/1.1\r\nHost: other.example\r\n\r\n")
    print(s.recv(100) or "end", end=" ")
except OSError as e:
    print(e.errno, end=" ")
s, got = say(connect(b"web.example:443"))
context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
try:
    context.wrap_socket(s, server_hostname="other.example")
    print("GOT")
except OSError as e:
    print("reset" if isinstance(e, ConnectionResetError) or "EOF" in str(e) else e)
PY
runs "tricks of CONNECT, of URLs and of SOCKS" "403 403 403 403 403 403 403 403 403 403 403 403 403 403 05ff 05070001000000000000 05070001000000000000 05020001000000000000 05080001000000000000 "$'\n'"104 reset" "cat >/tmp/t.py <<'PY'
$(cat "$work/tricks.py")
PY
python3 /tmp/t.py"
before=$(grep -c 'wild.example' "$work/queries")
runs "new names below a wildcard come slowly, by http:// URLs too" "slow" "python3 -c '
import socket
all = []
for i in range(200):
    host = b\"m%d.wild.example:443\" % i
    s = socket.create_connection((\"198.18.0.3\", 3128), 20); all.append(s)
    s.sendall(b\"GET http://\" + host + b\"/ HTTP/1.1\\r\\nHost: \" + host + b\"\\r\\nConnection: close\\r\\n\\r\\n\")
def answer(s):
    got = b\"\"
    try:
        while piece := s.recv(4096): got += piece
    except OSError: pass
    return got
late = sum(b\"too many new names\" in answer(s) for s in all)
print(\"slow\" if late > 50 else late, end=\"\")'"
check "and few are asked for" [ $(($(grep -c 'wild.example' "$work/queries") - before)) -le 300 ]
audited() { ash --json audit | jq -r 'if type == "array" then .[] else . end | select(.action == "'"$1"'") | .detail' | sort -u; }
like "the audit log has the reasons" "$(audited network.deny)" 'other.example:443: no rule lets it through at this port'
settled_fds "nothing of all these sessions is left"
