#!/bin/bash
# timeout: 300
# Webhooks: who signs as its kind does starts the agent, once; nobody else does. Whatever the network
# sends, the listener answers or lets go, and the scheduler does not notice.
# shellcheck disable=SC2016,SC2154
. "$(dirname "$0")/lib.sh"
sender() { python3 "$here/webhook.py" "$@"; }
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
instance_new
cp "$dir/agentd.yaml" "$dir/base.yaml"
port=$(free_port)
configure() {
	{
		cat "$dir/base.yaml"
		printf '%s\n' "$1"
	} >"$dir/agentd.yaml"
}
configure "webhooks: {listen: '127.0.0.1:$port'}"
instance_up "the instance starts"
url=http://127.0.0.1:$port

# post PATH BODY [ARGUMENT…]: prints the status; the answer is in $dir/answer, its head in $dir/head.
post() {
	local path=$1 body=$2
	shift 2
	curl -s -o "$dir/answer" -D "$dir/head" -w '%{http_code}' --max-time 30 --data-binary "$body" "$@" "$url$path"
}
# signed KIND KEY BODY [ID [TIME]]: the headers as curl's arguments, in $headers.
signed() {
	local line
	headers=()
	while read -r line; do headers+=(-H "$line"); done < <(sender sign "$@")
}
sessions() { ash --json session list --agent "$1" | jq length; }
ran() { [ "$(ash --json session list --agent "$1" | jq '[.[] | select(.state == "ended")] | length')" -eq "$2" ]; }
listens() { curl -s -o /dev/null --max-time 5 "$1"; }
listener() { daemon webhook; }
other_listener() { [ "$(listener)" != "$1" ] && [ -n "$(listener)" ]; }
resident() { awk '/^VmHWM/ { print $2 }' "/proc/$1/status"; }

# --- needs -------------------------------------------------------------------------------------------
is "while no agent waits for webhooks nothing listens" "$(post / x)" 000
check "and there is no listener" fails listener
printf "It's a Secret to Everybody" | ash secret set hub >/dev/null
printf 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw' | ash secret set standard >/dev/null
printf 'a token of some length\n' | ash secret set token >/dev/null
body='echo "$SCARAB_TASK"; cat "$SCARAB_MISSION"'
install hub "$body" 'triggers:
- {webhook: github, secret: hub, task: "saw {{event.data.ref}}"}
- {webhook: stripe, secret: hub, filter: {type: invoice.paid}}
- {webhook: generic, secret: standard}
- {webhook: bearer, secret: token}
- {webhook: gitlab, secret: token}'
install waits true 'triggers: [{event: github.push}]'
check "an agent that waits brings a listener" eventually 5 listens "$url"
is "it is its own user's" "$(stat -c %u "/proc/$(listener)")" $((uid_base + 5))
is "without a capability" "$(awk '/^Cap(Prm|Eff|Bnd|Amb)/ { print $2 }' "/proc/$(listener)/status" | sort -u)" 0000000000000000
is "behind a filter of calls" "$(awk '/^Seccomp:/ { print $2 }' "/proc/$(listener)/status")" 2
is "in an empty root" "$(find "/proc/$(listener)/root/" -mindepth 1 | wc -l)" 0
is "with the network of the host" "$(readlink "/proc/$(listener)/ns/net")" "$(readlink /proc/self/ns/net)"
like "ash schedule list names the path" "$(ash schedule list --agent hub)" 'webhook-1 +POST /hub/github'
like "and ash status the daemon" "$(ash status)" 'webhook +[0-9]+ +ready'

# --- GitHub ------------------------------------------------------------------------------------------
vector=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17
hub=(-H 'X-GitHub-Event: ping' -H 'X-GitHub-Delivery: vector')
is "without a grant of the operator nobody is let in" "$(post /hub/github 'Hello, World!' "${hub[@]}" -H "X-Hub-Signature-256: sha256=$vector")" 403
for secret in hub standard token; do ash secret grant "$secret" --agent hub >/dev/null; done
is "GitHub's own vector is accepted" "$(post /hub/github 'Hello, World!' "${hub[@]}" -H "X-Hub-Signature-256: sha256=$vector")" 202
is "with the event's id" "$(jq -c . "$dir/answer")" '{"id":"vector","repeated":false}'
is "repeated, it is the same event" "$(post /hub/github 'Hello, World!' "${hub[@]}" -H "X-Hub-Signature-256: sha256=$vector")" 200
is "which the answer says" "$(jq -c . "$dir/answer")" '{"id":"vector","repeated":true}'
is "under another name it is a replay" "$(post /hub/github 'Hello, World!' -H 'X-GitHub-Delivery: two' -H "X-Hub-Signature-256: sha256=$vector")" 409
is "with another body it is forged" "$(post /hub/github 'Hello, World?' "${hub[@]}" -H "X-Hub-Signature-256: sha256=$vector")" 401
is "with another signature too" "$(post /hub/github 'Hello, World!' "${hub[@]}" -H "X-Hub-Signature-256: sha256=${vector/7/8}")" 401
is "and with none" "$(post /hub/github 'Hello, World!' "${hub[@]}")" 401
is "a task without its value refuses the session" "$(latest hub .outcome)" refused

push='{"ref": "refs/heads/main", "n": 9007199254740993}'
signed github "It's a Secret to Everybody" "$push" delivery-1
status=$(post /hub/github "$push" "${headers[@]}" -H 'X-GitHub-Event: push' -H 'Content-Type: application/json')
is "a push is accepted" "$status" 202
check "its agent runs" eventually 8 ran hub 2
is "with the task that names it" "$(ash session logs hub@latest | head -n 1)" 'saw refs/heads/main'
mission=$(ash session logs hub@latest | tail -n +2)
is "the mission says which trigger" "$(jq -c '[.trigger.kind, .trigger.id]' <<<"$mission")" '["webhook","webhook-1"]'
is "and which event" "$(jq -c '.trigger.event | [.id, .type, .source]' <<<"$mission")" '["delivery-1","github.push","/webhooks/hub/github"]'
like "with the bytes that came" "$mission" "$(printf '%s' "$push" | sed 's/[{}]/\\&/g')"
check "who waits for such events runs too" eventually 8 ran waits 1
like "ash session why names it" "$(ash session why hub@latest)" 'github.push, id delivery-1 of /webhooks/hub/github'
like "ash event list too" "$(ash event list --type github.push)" 'github.push +/webhooks/hub/github +delivery-1'
form='payload=%7B%22ref%22%3A%22form%22%7D'
signed github "It's a Secret to Everybody" "$form" delivery-2
is "a form, as GitHub sends by default" "$(post /hub/github "$form" "${headers[@]}")" 202
check "is read" eventually 8 ran hub 3
is "as the JSON in it" "$(ash session logs hub@latest | head -n 1)" 'saw form'

# --- Stripe, Standard Webhooks, tokens -----------------------------------------------------------------
stripe() {
	signed stripe "It's a Secret to Everybody" "$1" '' "$2"
	post /hub/stripe "$1" "${headers[@]}"
}
now=$(date +%s)
is "Stripe's way" "$(stripe '{"id": "evt_1", "type": "invoice.paid"}' "$now")" 202
is "sent again, another time is signed" "$(stripe '{"id": "evt_1", "type": "invoice.paid"}' $((now + 1)))" 200
is "six minutes late" "$(stripe '{"id": "evt_2", "type": "invoice.paid"}' $((now - 360)))" 401
is "six minutes early" "$(stripe '{"id": "evt_2", "type": "invoice.paid"}' $((now + 360)))" 401
is "one that the filter does not let through is stored" "$(stripe '{"id": "evt_3", "type": "invoice.sent"}' "$now")" 202
signed standard whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw '{"test": 2432232314}' msg_1
is "Standard Webhooks" "$(post /hub/generic '{"test": 2432232314}' "${headers[@]}")" 202
is "another name breaks the signature" "$(post /hub/generic '{"test": 2432232314}' "${headers[@]/msg_1/msg_2}")" 401
signed generic whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw '{"a": 1}' one
is "a time and a body" "$(post /hub/generic '{"a": 1}' "${headers[@]}")" 202
is "under another name: a replay" "$(post /hub/generic '{"a": 1}' "${headers[@]/: one/: two}")" 409
is "a token" "$(post /hub/bearer '{}' -H 'Authorization: Bearer a token of some length')" 202
is "a wrong one" "$(post /hub/bearer '{}' -H 'Authorization: Bearer a token of some')" 401
like "which the answer says how to send" "$(cat "$dir/head")" 'WWW-Authenticate: Bearer'
is "none" "$(post /hub/bearer '{}')" 401
is "GitLab's token" "$(post /hub/gitlab '{"object_kind": "push"}' -H 'X-Gitlab-Token: a token of some length' -H 'X-Gitlab-Event-UUID: u1')" 202
is "and its delivery again" "$(post /hub/gitlab '{"object_kind": "push"}' -H 'X-Gitlab-Token: a token of some length' -H 'X-Gitlab-Event-UUID: u1')" 200
check "each runs its agent once" eventually 15 ran hub 8
is "and no other" "$(sessions hub)" 8
check "no value of a secret is in a log" fails grep -rqE 'Secret to Everybody|a token of some length|MfKQ9r8G' "$dir/agentd.log" "$dir/log"

# --- unsigned ------------------------------------------------------------------------------------------
install open true 'concurrency: {policy: skip}
triggers: [{webhook: generic, unsigned: true}]'
install plain true
is "who is let in unsigned by its manifest" "$(post /open/generic '{"type": "github.push"}' -H 'X-GitHub-Event: push' -H 'Idempotency-Key: u')" 202
is "tells events that say so" "$(ash --json event list --source /webhooks/open/generic | jq -r '.[0].type')" unsigned.generic.github.push
is "and start nobody who waits for signed ones" "$(sessions waits)" 1

# --- what is refused -------------------------------------------------------------------------------------
is "a path that no agent has" "$(post /nobody/github '{}')" 404
is "a kind that it does not have" "$(post /open/github '{}')" 404
is "a path of another form" "$(post /open '{}')" 404
is "another method" "$(curl -s -o /dev/null -w '%{http_code}' "$url/open/generic")" 405
is "what is no JSON and says that it is" "$(post /open/generic '{' -H 'Content-Type: application/json')" 400
is "a compressed body" "$(printf '{}' | gzip | post /open/generic @- -H 'Content-Encoding: gzip')" 415
head -c 1048577 /dev/zero | tr '\0' 1 >"$dir/large"
is "a body over 1 MiB" "$(post /open/generic "@$dir/large" -H 'Expect:')" 413
is "the same, asked for first" "$(post /open/generic "@$dir/large" -H 'Expect: 100-continue')" 413
is "the same in chunks" "$(post /open/generic "@$dir/large" -H 'Transfer-Encoding: chunked' -H 'Expect:')" 413
head -c 1048576 "$dir/large" >"$dir/fits"
is "one of 1 MiB is taken" "$(post /open/generic "@$dir/fits" -H 'Idempotency-Key: fits')" 202
is "in chunks too" "$(post /open/generic "@$dir/fits" -H 'Idempotency-Key: fits' -H 'Transfer-Encoding: chunked' -H 'Expect:')" 200
is "a header that is there twice" "$(post /open/generic '{}' -H 'X-Signature: a' -H 'X-Signature: b')" 400

# --- what the network sends --------------------------------------------------------------------------------
before=$(listener)
while read -r name answer; do
	like "$name has an answer or an end" "$answer" '^([1-5][0-9][0-9](/5)?|closed)$'
done < <(sender corpus "$port" "$root/tests/corpus/http")
seed=${WEBHOOK_SEED:-$RANDOM}
like "1,500 requests, changed at random (seed $seed)" "$(sender fuzz "$port" "$seed" 1500)" '[0-9]=[0-9]'
is "nothing that it lacks an answer to ends it" "$(listener)" "$before"
answers=$(sender many "$port" / 3000)
like "of 3,000 requests of one address some are told to wait, and for how long" "$answers" '429/5='
like "the others are answered" "$answers" '404='
is "a sender of a byte at a time is let go" "$(sender slow "$port" /open/generic $((30 * factor)))" closed

# 10,000 connections, of five processes, that say nothing.
exec {hold}<> <(:)
floods=()
for i in 1 2 3 4 5; do
	python3 "$here/webhook.py" flood "$port" 2000 <&"$hold" >"$dir/flood.$i" 2>&1 &
	floods+=($!)
done
for i in 1 2 3 4 5; do
	check "2,000 connections are held ($i)" eventually 60 grep -q '^held 2000' "$dir/flood.$i"
done
refills() { [[ $(post /open/generic '{}' -H "Idempotency-Key: flood-$1") =~ ^20[02]$ ]]; }
check "beside them a request is taken" eventually 20 refills 1
status "and a session runs" 0 ash agent run plain
most=65536
[ -z "${SANITIZE:-}" ] || most=524288 # which keep what was freed
check "in memory that is bounded: $(resident "$before") KiB" [ "$(resident "$before")" -lt $most ]
kill "${floods[@]}" 2>/dev/null
wait "${floods[@]}" 2>/dev/null
exec {hold}>&-
is "the listener is the same" "$(listener)" "$before"

# --- deaths ----------------------------------------------------------------------------------------------
acknowledged=0
for i in $(seq 60); do
	case $i in 10 | 30) kill -KILL "$(listener)" ;; 20) kill -KILL "$(daemon schedd)" ;; 40) kill -KILL "$(daemon secretd)" ;; esac
	case $(post /hub/bearer '{}' -H 'Authorization: Bearer a token of some length' -H "Idempotency-Key: death-$i") in
	20[02])
		acknowledged=$((acknowledged + 1))
		echo "death-$i" >>"$dir/acknowledged"
		;;
	esac
done
check "some of 60 are taken while daemons die" [ "$acknowledged" -ge 20 ]
note "$acknowledged of 60"
check "a listener that was killed is another one" other_listener "$before"
ash --json event list --source /webhooks/hub/bearer | jq -r '.[].id' | sort >"$dir/stored"
is "what was acknowledged is stored" "$(sort "$dir/acknowledged" | comm -23 - "$dir/stored")" ''
again() { [ "$(post /hub/bearer '{}' -H 'Authorization: Bearer a token of some length' -H "Idempotency-Key: after")" = 200 ]; }
check "and everything works again" eventually 10 again

# --- TLS and addresses -------------------------------------------------------------------------------------
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=hook -addext 'subjectAltName=DNS:hook.test' \
    -keyout "$dir/key.pem" -out "$dir/cert.pem" 2>/dev/null
configure "webhooks: {listen: '127.0.0.1:$port', certificate: $dir/cert.pem, key: $dir/key.pem}"
check "a certificate, by a reload" ash reload
tls() { curl -s -o /dev/null -w '%{http_code}' --max-time 10 --cacert "$dir/cert.pem" --resolve "hook.test:$port:127.0.0.1" --data '{}' "https://hook.test:$port/open/generic"; }
speaks_tls() { [ "$(tls)" = 202 ]; }
check "requests come by TLS" eventually 10 speaks_tls
is "and no other way" "$(post /open/generic '{}')" 000
said() { [[ $(ash --json schedule list --agent open | jq -r '.[0].explanation') =~ $1 ]]; }
openssl genrsa -out "$dir/other.pem" 2048 2>/dev/null
configure "webhooks: {listen: '127.0.0.1:$port', certificate: $dir/cert.pem, key: $dir/other.pem}"
check "a key of another certificate" ash reload
check "is no reason to listen without one" eventually 5 said 'nobody listens: the listener is being started'
is "which nobody does" "$(tls) $(post /open/generic '{}')" '000 000'
configure "webhooks: {listen: '127.0.0.1:$port', certificate: $dir/cert.pem, key: $dir/key.pem}"
check "with its own, by a reload" ash reload
speaks_again() { [[ $(tls) =~ ^20[02]$ ]]; }
check "requests come again" eventually 10 speaks_again
chmod 666 "$dir/key.pem"
check "a key that everybody may write" ash reload
like "is not used" "$(eventually 5 fails tls; ash --json schedule list --agent open | jq -r '.[0].explanation')" 'key.pem is not root'"'"'s alone'
taken=$(free_port)
coproc holder { python3 -c '
import socket, sys
s = socket.socket()
s.bind(("127.0.0.1", int(sys.argv[1])))
s.listen()
print("bound", flush=True)
sys.stdin.read()' "$taken"; }
read -r -t $((20 * factor)) _ <&"${holder[0]}"
configure "webhooks: {listen: '127.0.0.1:$taken'}"
check "a port that another has" ash reload
check "is said" eventually 5 said "listening for webhooks at 127.0.0.1:$taken: Address already in use"
check "in the log too" grep -q "listening for webhooks at 127.0.0.1:$taken" "$dir/agentd.log"
eval "exec ${holder[1]}>&-"
wait "$holder_PID"
check "once it is free, by a reload" ash reload
check "it is listened at" eventually 10 listens "http://127.0.0.1:$taken"
configure 'webhooks: {listen: null}'
check "a listener that is null" ash reload
check "ends" eventually 5 fails listener
check "and is said to" said 'webhooks.listen is null'
configure "webhooks: {listen: '127.0.0.1:$port'}"
check "with an address again" ash reload
check "it listens" eventually 10 listens "$url"
check "without the agents that need it" ash agent remove hub
check "nor the other" ash agent remove open
check "it ends" eventually 5 fails listener
