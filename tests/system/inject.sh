#!/bin/bash
# Secrets that are put into requests outside of the sandbox: the key arrives where it is for, and is
# nowhere that the agent can look. In a network namespace of the test's own, whose loopback is the
# Internet, with a trust store of the test's own.
# timeout: 300
# shellcheck source=tests/netns.sh
. "$(dirname "$0")/../netns.sh" "secrets of requests" "$@"

# --- the Internet of this test --------------------------------------------------------------------

api=$web
key='sk-dist/inct+ive.7f3a=b19c'
printf %s "$key" >"$work/key"
chmod 0600 "$work/key"

certificate() {
	openssl req -newkey rsa:2048 -nodes -keyout "$work/$1.key" -out "$work/$1.csr" -subj "/CN=$2" 2>/dev/null &&
	    openssl x509 -req -in "$work/$1.csr" -CA "$work/$3.pem" -CAkey "$work/$3.key" -days 2 -out "$work/$1.pem" \
	    -extfile <(printf 'subjectAltName=DNS:%s' "$2") 2>/dev/null
}
for ca in ca nobody; do
	openssl req -x509 -newkey rsa:2048 -nodes -keyout "$work/$ca.key" -out "$work/$ca.pem" -days 2 -subj "/CN=$ca" 2>/dev/null
done
certificate api api.example ca
certificate stranger unknown.example nobody
mkdir "$work/trust"
cp "$work/ca.pem" "$work/trust/ca-certificates.crt"
mount --bind "$work/trust" /etc/ssl/certs
mkfifo "$work/ready"
python3 "$here/inject-servers.py" "$work" $api $other >"$work/ready" 2>"$work/servers.log" &
servers+=($!)
read -r -t $((20 * factor)) answer <"$work/ready" || answer=
is "the servers of the test are up" "$answer" ready
requests() { cat "$work/requests" 2>/dev/null; }

# --- what may be installed -------------------------------------------------------------------------

instance_new
gate_new
echo "ceilings: {trust_level: trusted, allowed_context: [$dir/gate]}" >>"$dir/agentd.yaml"
instance_up "the instance starts"
ash secret set key --from "$work/key" >/dev/null
printf 'two\nlines of it' | ash secret set lines >/dev/null
install client :
install holder : # both have their ids before
snapshot_take

inject='{host: api.example, header: x-api-key, methods: [GET, POST, HEAD, PUT], base_url_env: ANTHROPIC_BASE_URL, base_path: /v1}'
spec="network: {policy: allowlist, allowlist: [\"plain.example:80\"]}
credentials: [{name: key, inject: $inject}]"
refused() { status "$1" "$2" ash agent install --replace "$(agent refused : "$3")"; }
refused "without a network there is nothing to inject into" 7 "credentials: [{name: key, inject: $inject}]"
like "which the error says" "$err" 'inject needs a network'
refused "beyond the capabilities it is refused" 4 "capabilities: ['secret.use:*', 'net.connect:other.example:443']
$spec"
refused "a header of the connection is refused" 7 'network: {policy: allowlist}
credentials: [{name: key, inject: {host: api.example, header: Transfer-Encoding}}]'
refused "so is a format without a place" 7 'network: {policy: allowlist}
credentials: [{name: key, inject: {host: api.example, header: x-api-key, format: Bearer}}]'
refused "and one host with two ports" 7 'network: {policy: allowlist}
credentials: [{name: key, inject: {host: api.example, header: x-a}}, {name: key, inject: {host: "api.example:8443", header: x-b}}]'

# runs TEXT WANT BODY [SPEC]: the agent's output, all of it.
runs() {
	local text=$1 want=$2 got
	install client "$3" "${4:-$spec}" || return
	ash secret grant key --agent client >/dev/null 2>&1
	got=$(ash agent run client 2>"$dir/run.err")
	if [ "$got" = "$want" ]; then ok "$text"; else
		fail "$text"
		note "got:  $got"
		note "want: $want"
		sed 's/^/# /' "$dir/run.err" | head -n 20
	fi
}
install client : "$spec"
status "a grant is needed" 125 ash agent run client
like "which the error says" "$err" 'ash secret grant key --agent client'
like "ash explain shows the URL to use" "$(ash --json explain client | jq -c '.inject[0]')" '"base_url":"http://api.example/v1".*"variable":"ANTHROPIC_BASE_URL"'

# --- the key arrives --------------------------------------------------------------------------------

runs "the key arrives, once, and nothing else of the client's is lost" '{"has": true, "count": 1, "rest": ["Host: api.example", "User-Agent: me", "Accept: */*", "Accept-Encoding: identity"], "body": ""}' \
    'curl -sS -A me http://api.example/keyless'
runs "by the other name, too" '{"has": true, "count": 1, "rest": ["Host: api.example", "User-Agent: me", "Accept: */*", "Accept-Encoding: identity"], "body": ""}' \
    'curl -sS -A me http://api.example.agentd/keyless'
# shellcheck disable=SC2016
runs "the variable of the manifest holds the URL" 'http://api.example/v1' 'printf %s "$ANTHROPIC_BASE_URL"'
runs "what the client says of the header is dropped, in any case, as often as it says it" "true 1 x-other: mine" \
    'curl -sS -H "X-API-Key: mine" -H "x-api-key: another" -H "X-Api-KEY;" -H "Connection: x-gone" -H "x-gone: a" -H "Proxy-Authorization: a" -H "x-other: mine" http://api.example/keyless |
	python3 -c "import json, sys; a = json.load(sys.stdin); print(str(a[\"has\"]).lower(), a[\"count\"], *[l for l in a[\"rest\"] if l[:2] in (\"x-\", \"Pr\", \"Co\")], end=\"\")"'
runs "a body with a length, and one in chunks" "body 5 /abody 100000 /b" \
    'printf hello | curl -sS --data-binary @- http://api.example/a; head -c 100000 /dev/zero | curl -sS -T - -X PUT http://api.example/b'
runs "a body that the server takes slowly" "body 33554432 /slow" 'head -c 33554432 /dev/zero | curl -sS -m 60 --data-binary @- http://api.example/slow'
runs "curl waits for 100 Continue and gets it" "body 2000000 /c" \
    'head -c 2000000 /dev/zero | curl -sS --expect100-timeout 100 -H "Expect: 100-continue" --data-binary @- http://api.example/c'
runs "many requests on one connection" "body 0 /0body 0 /1body 0 /2 1" 'python3 -c "
import http.client
c = http.client.HTTPConnection(\"api.example\")
for i in range(3):
    c.request(\"GET\", \"/%d\" % i); print(c.getresponse().read().decode(), end=\"\")
    s = c.sock if i == 0 else s
print(\"\", int(c.sock is s), end=\"\")"'
runs "HEAD has no body, and the next answer is the next request's" "1000 0 body 0 /d" 'python3 -c "
import http.client
c = http.client.HTTPConnection(\"api.example\")
c.request(\"HEAD\", \"/head\"); r = c.getresponse(); print(r.getheader(\"Content-Length\"), len(r.read()), end=\" \")
c.request(\"GET\", \"/d\"); print(c.getresponse().read().decode(), end=\"\")"'
runs "what a server says before its answer is skipped" "late" 'curl -sS http://api.example/early'
if command -v node >/dev/null; then
	runs "Node's fetch" "body 2 /n" 'node -e "fetch(\"http://api.example/n\", {method: \"POST\", body: \"ab\"}).then(r => r.text()).then(t => process.stdout.write(t))"'
else
	skip "Node's fetch" "no node on this host"
fi
runs "events arrive one by one: the second is sent when the first was read" "data: first released data: second" 'python3 -c "
import urllib.request
events = urllib.request.urlopen(\"http://api.example/events\")
first = events.readline().decode().strip(); events.readline()
print(first, urllib.request.urlopen(\"http://api.example/release\").read().decode(), events.readline().decode().strip(), end=\"\")"'
before=$(requests | grep -c 'x-api-key')
# shellcheck disable=SC2016
runs "a redirect is the client's, and its next request has no key" 'http://plain.example/moved false 0' \
    'printf "%s " "$(curl -sS -o /dev/null -w "%{redirect_url}" http://api.example/redirect)"
curl -sS http://plain.example/keyless | python3 -c "import json, sys; a = json.load(sys.stdin); print(str(a[\"has\"]).lower(), a[\"count\"], end=\"\")"'
is "one more request with the key was sent" "$(requests | grep -c 'x-api-key')" $((before + 1))
runs "the host itself is not the agent's to connect to" 7 'curl -sS https://api.example/ 2>/dev/null; printf %s $?'

# --- and is nowhere else -----------------------------------------------------------------------------

stars() { printf '%*s' "$1" '' | tr ' ' '*'; }
# shellcheck disable=SC2016
runs "an echo of the key is hidden, in the body and in the head" "26 26" \
    'curl -sS -D /tmp/h http://api.example/echo >/tmp/b; printf "%s %s" "$(grep -io "x-api-key: [*]*" /tmp/b | tr -cd "*" | wc -c)" "$(grep -i "^x-echo" /tmp/h | tr -cd "*" | wc -c)"'
runs "so is a spelling of it" "9" 'curl -sS http://api.example/spelled | tr "[" "\n" | grep -c "[*]\{26,\}"'
runs "and what comes in pieces" "<$(stars 26)>" 'curl -sS http://api.example/pieces'
runs "no server is asked for a piece of it, nor to take another header for it" '["Host: api.example", "Accept-Encoding: identity", "If-Match: a"]' \
    'curl -sS -r 0-9 -A "" -H "Accept:" -H "If-Range: a" -H "X_Api_Key: mine" -H "If-Match: a" http://api.example/keyless |
	python3 -c "import json, sys; print(json.dumps(sorted(json.load(sys.stdin)[\"rest\"], key=lambda l: \"HAI\".index(l[0]))), end=\"\")"'
ash secret set blanks --from <(printf '%s \t\n' "$key") >/dev/null
install client 'curl -sSi http://api.example/echo' "${spec/name: key/name: blanks}"
ash secret grant blanks --agent client >/dev/null
status "blanks behind a value hide nothing else than it" 1 grep -F "$key" <(ash agent run client 2>&1)
is "which arrives without them" "$(requests | tail -n 1 | grep -cE "x-api-key: ${key//[+.]/.}( \||\$)")" 1
printf 'another-key' | ash secret set another >/dev/null
# shellcheck disable=SC2016
install client 'for i in keyless keyless/b; do curl -sS http://api.example/$i; done' 'network: {policy: allowlist}
credentials:
  - {name: another, inject: {host: api.example, header: X-API-KEY, paths: [/keyless/*]}}
  - {name: key, inject: {host: api.example, header: x-api-key}}'
for secret in another key; do ash secret grant $secret --agent client >/dev/null; done
before=$(requests | wc -l)
ash agent run client >/dev/null 2>&1
is "of two rules for one header the first adds it" "$(requests | tail -n +$((before + 1)) | grep -io 'x-api-key: [^ ]*' | xargs)" "x-api-key: $key X-API-KEY: another-key"
gate_shut
# shellcheck disable=SC2154
install holder "env; cat /proc/self/environ /proc/self/mountinfo; grep -rs sk-dist / --exclude-dir=proc --exclude-dir=sys --exclude-dir=usr
curl -sS http://api.example/echo; curl -sS http://api.example/spelled; echo; echo held; $gate_wait" "$spec
$gate_context"
ash secret grant key --agent holder >/dev/null
ash agent run holder --detach >/dev/null
held() { ash session logs holder@latest 2>&1 | grep -q '^held'; }
check "an agent holds still" eventually 20 held
status "nothing that it printed of itself is the key" 1 grep -F "$key" <(ash session logs holder@latest)
cat >"$work/memory.py" <<'PY'
"""Which of these processes have the key, in any page that can be read?"""
import sys
key = open(sys.argv[1], "rb").read()
for one in sys.stdin.read().splitlines():
    pid, role = one.split(None, 1)
    found = False
    try:
        maps = open(f"/proc/{pid}/maps").read().splitlines()
        with open(f"/proc/{pid}/mem", "rb", 0) as mem:
            for line in maps:
                if "[v" in line or line.split()[1][0] != "r":
                    continue
                low, high = (int(x, 16) for x in line.split()[0].split("-"))
                try:
                    mem.seek(low)
                    found |= key in mem.read(high - low)
                except (OSError, ValueError, OverflowError, MemoryError):
                    pass
    except OSError:
        continue
    print(role, "has it" if found else "has it not")
PY
processes >"$work/processes"
memory=$(python3 "$work/memory.py" "$work/key" <"$work/processes" | sort -u)
is "of all processes its egress process alone has it" "$(grep 'has it$' <<<"$memory")" "egress has it"
like "the agent's among them" "$memory" 'sh has it not|dash has it not|bash has it not'
like "and runnerd" "$memory" 'runnerd has it not'
egress=$(daemon egress)
is "no core of egress can be taken" "$(stat -c %u "/proc/$egress/mem" 2>/dev/null)" 0
printf 'another-value-of-it' | ash secret set key --now >"$work/now" 2>&1
like "a live session keeps the value that it began with" "$(cat "$work/now")" '1'
ash secret restore key >/dev/null

# --- the death of egress ----------------------------------------------------------------------------

kill -KILL "$egress"
gone() { ash session logs holder@latest 2>&1 | grep -q 'has no network any more'; }
check "without its egress process the session has no network" eventually 20 gone
gate_open
ended_() { [ "$(latest holder .state)" = ended ]; }
check "it ends by itself" eventually 20 ended_

# --- limits ---------------------------------------------------------------------------------------------

limited='network: {policy: allowlist}
credentials: [{name: key, inject: {host: api.example, header: Authorization, format: "Bearer %s", methods: [POST], paths: ["/v1/*"]}}]'
# shellcheck disable=SC2016
runs "methods and paths outside the rule are refused, and tricks with them" "200 403 403 403 403 403 403 403 403 403 403 403" \
    'for u in "-d x /v1/a" "/v1/a" "-d x /v2/a" "-d x /v1/../v2" "-d x /v1/%2e%2e/v2" "-d x /v1//b" "-d x /v1/a%2Fb" "-d x /v1/..;/v2" "-d x /v1/%252e%252e/v2" \
    "-d x -H X-HTTP-Method-Override:DELETE /v1/a" "-d x -H x_original_url:/v2 /v1/a" "-d x /v1/..%3b/v2"; do
	case $u in *" "*) set -- ${u% *} ;; *) set -- ;; esac
	printf "%s " "$(curl -sS --path-as-is -o /dev/null -w "%{http_code}" "$@" "http://api.example${u##* }")"
done | sed "s/ \$//"' "$limited"
like "the format holds the key" "$(requests | tail -n 1)" "Authorization: Bearer ${key//[+.]/.}"
runs "the reason is in the answer" "api.example: no rule of inject lets this method and path through" 'curl -sS http://api.example/v1/a' "$limited"
audited() { ash --json audit | jq -r 'if type == "array" then .[] else . end | select(.action == "'"$1"'") | .detail' | sort -u; }
like "and in the audit log" "$(audited network.deny)" 'api.example:443: no rule of inject lets'

# --- who is not who he says ---------------------------------------------------------------------------

one_host() { printf 'network: {policy: allowlist}\ncredentials: [{name: key, inject: {host: "%s", header: x-api-key}}]' "$1"; }
before=$(requests | wc -l)
runs "a certificate of another name" "wrong.example: its certificate is not trusted: hostname mismatch" 'curl -sS http://wrong.example/' "$(one_host wrong.example)"
runs "one that nobody trusts" "unknown.example: its certificate is not trusted: unable to get local issuer certificate 502" \
    'curl -sS -w %{http_code} http://unknown.example/ | tr "\n" " "' "$(one_host unknown.example:8443)"
is "no request was sent to either" "$(requests | wc -l)" "$before"
like "ash session why says so" "$(ash session why client@latest; ash session logs client@latest)" 'its certificate is not trusted'

# --- answers that are not what they seem --------------------------------------------------------------

runs "an answer with two lengths" "502" 'curl -sS -o /dev/null -w "%{http_code}" http://api.example/two'
runs "one that is compressed" "502" 'curl -sS -o /dev/null -w "%{http_code}" http://api.example/zipped'
runs "one that breaks off is an error in the client" "1" 'curl -sS -o /dev/null http://api.example/short 2>/dev/null && echo 0 || printf 1'
runs "what follows an answer is nobody's" "one body 0 /e" 'python3 -c "
import http.client
c = http.client.HTTPConnection(\"api.example\")
c.request(\"GET\", \"/more\"); print(c.getresponse().read().decode(), end=\" \")
c.request(\"GET\", \"/e\"); print(c.getresponse().read().decode(), end=\"\")"'
runs "nor what comes with its last byte" "one body 0 /e" 'python3 -c "
import http.client
c = http.client.HTTPConnection(\"api.example\")
c.request(\"GET\", \"/glued\"); print(c.getresponse().read().decode(), end=\" \")
c.request(\"GET\", \"/e\"); print(c.getresponse().read().decode(), end=\"\")"'
runs "not even where the next request is here already" "onebody 0 /f" 'printf "GET /%s HTTP/1.1\r\nHost: api.example\r\n%s\r\n" more "" f "Connection: close
" | python3 -c "
import socket, sys
s = socket.create_connection((\"api.example\", 80), 20)
s.sendall(sys.stdin.buffer.read().replace(b\"\\r\\n\", b\"\\n\").replace(b\"\\n\", b\"\\r\\n\"))
got = b\"\"
while piece := s.recv(4096): got += piece
print(*[one.split(b\"\\r\\n\\r\\n\", 1)[-1].decode() for one in got.split(b\"HTTP/1.1 \")], sep=\"\", end=\"\")"'

# --- smuggling ------------------------------------------------------------------------------------------

cat >"$work/smuggle.py" <<'PY'
import socket
K = b"Host: api.example\r\n"
cases = [
    b"POST /s HTTP/1.1\r\n" + K + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /evil HTTP/1.1\r\n" + K + b"\r\n",
    b"POST /s HTTP/1.1\r\n" + K + b"Content-Length: 5\r\nContent-Length: 30\r\n\r\nhelloGET /evil HTTP/1.1\r\n" + K + b"\r\n",
    b"POST /s HTTP/1.1\r\n" + K + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\nGET /evil HTTP/1.1\r\n" + K + b"\r\n",
    b"POST /s HTTP/1.1\r\n" + K + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\nGET /evil HTTP/1.1\r\n" + K + b"\r\n",
    b"GET /s HTTP/1.1\r\n" + K + b"X: a\r\n b: c\r\n\r\n",
    b"GET /s HTTP/1.1\n" + K + b"\n",
    b"GET /s HTTP/1.1\r\n" + K + b"X: a\rx-api-key: b\r\n\r\n",
    b"GET /s HTTP/1.1\r\n" + K + b"X: a\x00b\r\n\r\n",
    b"GET /s HTTP/1.1\r\nHost: other.example\r\n\r\n",
    b"GET /s HTTP/1.1\r\n" + K + b"Host: other.example\r\n\r\n",
    b"GET /s HTTP/1.1\r\n\r\n",
    b"GET http://other.example/s HTTP/1.1\r\n" + K + b"\r\n",
    b"GET /s HTTP/1.0\r\n" + K + b"\r\n",
    b"CONNECT api.example:443 HTTP/1.1\r\n" + K + b"\r\n",
    b"GET /s HTTP/1.1\r\n" + K + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"POST /s HTTP/1.1\r\n" + K + b"Transfer-Encoding: chunked\r\n\r\n5;\nGET /evil\r\n",
    b"POST /s HTTP/1.1\r\n" + K + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
    b"POST /s HTTP/1.1\r\n" + K + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n\r\n",
    b"POST /s HTTP/1.1\r\n" + K + b"Content-Length: +5\r\n\r\nhello",
]
for case in cases:
    s = socket.create_connection(("api.example", 80), 20)
    s.sendall(case)
    got = b""
    try:
        while piece := s.recv(4096):
            got += piece
    except OSError:
        pass
    print(got[9:12].decode() or "reset", got.count(b"HTTP/1.1 "), end=" ")
print("end")
# Two requests in one segment are two, each with its own key.
s = socket.create_connection(("api.example", 80), 20)
s.sendall(b"GET /one HTTP/1.1\r\n" + K + b"x-api-key: a\r\n\r\nGET /two-of-them HTTP/1.1\r\n" + K + b"x-api-key: b\r\nConnection: close\r\n\r\n")
got = b""
while piece := s.recv(4096):
    got += piece
print(got.count(b"200 OK"), b"/one" in got, b"/two-of-them" in got)
PY
before=$(requests | wc -l)
runs "no case of smuggling is answered by the server" "400 1 400 1 501 1 400 1 400 1 400 1 400 1 400 1 403 1 400 1 400 1 403 1 505 1 501 1 501 1 400 1 400 1 400 1 400 1 end
2 True True" "cat >/tmp/s.py <<'PY'
$(cat "$work/smuggle.py")
PY
python3 /tmp/s.py"
is "nothing of them reached it but the two whole requests" "$(requests | tail -n +$((before + 1)) | grep -o '^[A-Z]* [^ ]*' | xargs)" "GET /one GET /two-of-them"
is "both with one key" "$(requests | tail -n 2 | grep -cF "x-api-key: $key")" 2
is "and no other" "$(requests | tail -n 2 | grep -o 'x-api-key' | wc -l)" 2

# --- values that no header can hold ---------------------------------------------------------------------

install client : 'network: {policy: allowlist}
credentials: [{name: lines, inject: {host: api.example, header: x-api-key}}]'
ash secret grant lines --agent client >/dev/null
status "a value of two lines is refused" 125 ash agent run client
like "which the error says" "$err" 'the secret lines cannot stand in a header'
status "the key is in no log" 1 grep -rqF "$key" "$dir/log" "$dir/state" "$dir/run"
settled_fds "nothing of all these sessions is left"
