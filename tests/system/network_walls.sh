#!/bin/bash
# Every way out of a sandbox that an agent with a network may try besides the names that it is allowed.
# Each is tried outside first, where it works, by the same program. All of it is in a network namespace
# of the test's own.
# timeout: 300
# shellcheck source=tests/internet.sh
. "$(dirname "$0")/../internet.sh" "ways out of a network" "$@"

inner=10.1.2.3 meta=169.254.169.254
ip addr add $inner/32 dev lo
ip addr add $meta/32 dev lo
cat >"$work/beside.py" <<'PY'
"""What is there to be reached besides the web: a name server and something of QUIC at every address,
a private host, a service of metadata, an abstract socket."""
import socket, sys, threading

def echo(s):
    while True:
        got, peer = s.recvfrom(2000)
        s.sendto(got, peer)

def accept(s):
    while True:
        c, _ = s.accept()
        c.sendall(b"HTTP/1.0 200 OK\r\n\r\nreached")
        c.close()

web, inner, meta, name = sys.argv[1:]
started = []
for port in (53, 443):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((web, port))
    started.append((echo, s))
for address in ((inner, 80), (meta, 80), (web, 853), (web, 22)):
    s = socket.create_server(address)
    started.append((accept, s))
s = socket.socket(socket.AF_UNIX)
s.bind("\0" + name)
s.listen()
started.append((accept, s))
for loop, s in started:
    threading.Thread(target=loop, args=(s,), daemon=True).start()
print("ready", flush=True)
threading.Event().wait()
PY
python3 "$work/beside.py" $web $inner $meta "${work##*/}" >"$work/ready" &
servers+=($!)
read -r -t $((20 * factor)) answer <"$work/ready" || answer=
is "and what is beside them" "$answer" ready

# Prints a line for each way: its name, and "reached" or the error. A name resolves to what it does here.
cat >"$work/ways.py" <<'PY'
import errno, os, socket, struct, sys

LIMIT = 20
web, web6, inner, meta, abstract = sys.argv[1:]
get = b"GET / HTTP/1.0\r\n\r\n"

def tcp(host, port, say=get):
    s = socket.create_connection((host, port), LIMIT)
    s.sendall(say)
    return s.recv(100)

def mapped(host, port):
    s = socket.socket(socket.AF_INET6)
    s.settimeout(LIMIT)
    s.connect(("::ffff:" + host, port))
    s.sendall(get)
    return s.recv(100)

def fast_open(host, port):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", LIMIT, 0))
    s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", LIMIT, 0))
    s.sendto(get, socket.MSG_FASTOPEN, (host, port))
    return s.recv(100)

def udp(host, port, say=b"x"):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(LIMIT)
    s.connect((host, port))
    s.send(say)
    return s.recv(2000)

def question(name, kind):
    labels = b"".join(bytes([len(l)]) + l for l in name.encode().split(b"."))
    return struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", kind, 1)

def answers(name, kind):
    """Records, or the error that the name server gave."""
    with open("/etc/resolv.conf") as conf:
        server = conf.read().split()[1]
    got = udp(server, 53, question(name, kind))
    if got[3] & 15:
        raise OSError(0, "rcode %d" % (got[3] & 15))
    return got[7] or got[3] & 15 == 0

def ping(host):
    s = socket.socket(socket.AF_INET, socket.SOCK_RAW if os.getuid() == 0 else socket.SOCK_DGRAM, socket.IPPROTO_ICMP)
    s.settimeout(LIMIT)
    s.sendto(b"\x08\0\xf7\xff\0\0\0\0", (host, 0))
    return s.recv(100)

def unix():
    s = socket.socket(socket.AF_UNIX)
    s.connect("\0" + abstract)
    return s.recv(100)

def add_address():
    """ip addr add 192.0.2.9/32 dev lo"""
    s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    address = socket.inet_aton("192.0.2.9")
    body = struct.pack("BBBBi", 2, 32, 0, 0, 1) + b"".join(struct.pack("HH", 8, kind) + address for kind in (1, 2))
    s.send(struct.pack("IHHII", 16 + len(body), 20, 0x405, 1, 0) + body)
    code = -struct.unpack("i", s.recv(4096)[16:20])[0]
    if code:
        raise OSError(code, os.strerror(code))
    return True

ways = {
    "a literal of IPv4": lambda: tcp(web, 80),
    "one of IPv6": lambda: tcp(web6, 80),
    "one of IPv4 in IPv6": lambda: mapped(web, 80),
    "one with bytes in its first segment": lambda: fast_open(web, 80),
    "a private address": lambda: tcp(inner, 80),
    "a service of metadata": lambda: tcp(meta, 80),
    "DNS over HTTPS by address": lambda: socket.create_connection((web, 443), LIMIT),
    "DNS over TLS by address": lambda: tcp(web, 853),
    "another port of an allowed name": lambda: tcp("web.example", 22),
    "QUIC to an allowed name": lambda: udp("web.example", 443),
    "QUIC by address": lambda: udp(web, 443),
    "another resolver": lambda: udp(web, 53),
    "the host's resolver": lambda: udp("127.0.0.1", 53, question("web.example", 1)),
    "a question of text": lambda: answers("web.example", 16),
    "a question of anything": lambda: answers("web.example", 255),
    "an echo of ICMP": lambda: ping(web),
    "the host's loopback": lambda: tcp("127.0.0.1", 7777),
    "the same as no address": lambda: tcp("0.0.0.0", 7777),
    "an abstract Unix socket": unix,
    "a device's address by netlink": add_address,
}
for name, way in ways.items():
    try:
        print(name + ":", "reached" if way() else "an end")
    except OSError as e:
        print(name + ":", errno.errorcode.get(e.errno, e.strerror or type(e).__name__))
PY
mkdir "$work/agent-ca/ways"
cp "$work/ways.py" "$work/agent-ca/ways"
outside=$(python3 "$work/ways.py" $web $web6 $inner $meta "${work##*/}" 2>&1)

instance_start "ceilings: {trust_level: trusted, allowed_context: [$work/agent-ca]}"
net="network: {policy: allowlist, allowlist: ['web.example:80', 'web.example:443', '*.wild.example:443', 'flip.example:80', 'mixed.example:80']}
$context
$ca_env"
install client "exec python3 /context/ca/ways/ways.py $web $web6 $inner $meta ${work##*/}" "$net"
inside=$(ash agent run client 2>/dev/null)
outcome() { sed -n "s/^$2: //p" <<<"$1"; }
# wall NAME ERROR: outside it is reached, inside it is not, and at once, with this error.
wall() {
	is "outside there is $1" "$(outcome "$outside" "$1")" reached
	like "not from inside" "$(outcome "$inside" "$1")" "^($2)\$"
}
wall "a literal of IPv4" ENETUNREACH
wall "one of IPv6" ENETUNREACH
wall "one of IPv4 in IPv6" ENETUNREACH
wall "one with bytes in its first segment" ENETUNREACH
wall "a private address" ENETUNREACH
wall "a service of metadata" ENETUNREACH
wall "DNS over HTTPS by address" ENETUNREACH
wall "DNS over TLS by address" ENETUNREACH
wall "another port of an allowed name" ECONNREFUSED
wall "QUIC to an allowed name" ECONNREFUSED
wall "QUIC by address" ENETUNREACH
wall "another resolver" ENETUNREACH
wall "the host's resolver" ECONNREFUSED
wall "a question of text" "rcode 5"
wall "a question of anything" "rcode 5"
wall "an echo of ICMP" "EPERM|EACCES|ENOSYS|ENETUNREACH"
wall "the host's loopback" ECONNREFUSED
wall "the same as no address" ECONNREFUSED
wall "an abstract Unix socket" ECONNREFUSED
wall "a device's address by netlink" EPERM
why=$(ash session why client@latest)
like "the operator is told of addresses" "$why" 'Denied: +other addresses: [1-9][0-9]* refused: no rule names them'
like "of ports" "$why" 'Denied: +other ports: [1-9][0-9]* refused: no rule names them'
like "and of datagrams" "$why" 'Denied: +UDP: [1-9][0-9]* refused: no rule lets it through'
is "that is all of them" "$(wc -l <<<"$inside")" "$(wc -l <<<"$outside")"

# --- names ------------------------------------------------------------------------------------------

runs "a name with an address that may not be reached is reached at another" "hello mixed.example" \
    "$(printf 'mixed.example %s %s\nflip.example %s\n' $inner $web $web >"$work/names")curl -sS http://mixed.example/"
install client 'while curl -sS -m 20 http://flip.example/; do sleep 0.1; done' "$net"
session=$(ash agent run client --detach)
talks() { ash session logs "$session" 2>/dev/null | grep -q 'hello flip.example'; }
has_ended() { [ "$(latest client .state)" = ended ]; }
check "a name leads somewhere" eventually 20 talks
echo "flip.example $inner" >"$work/names.new" && mv "$work/names.new" "$work/names"
check "its next address is asked for and not reached" eventually 20 has_ended
like "which its operator is told" "$(ash session why "$session")" "Denied: +flip.example:80: $inner is private, and no rule names it"

before=$(queries | grep -c '^web.example')
# shellcheck disable=SC2016
runs "a name is reached thirty times" "30" 'for i in $(seq 30); do curl -sS http://web.example/; echo; done | grep -c hello'
asked=$(($(queries | grep -c '^web.example') - before))
check "and asked for as often as its answer says: $asked questions" [ "$asked" -gt 0 -a "$asked" -lt 30 ]

runs "names below a wildcard that carry messages come slowly" "slow" 'python3 -c "
import socket
n = 0
for i in range(400):
    try: socket.getaddrinfo(\"%032x.%060d.wild.example\" % (i * 7919, i), 443, socket.AF_INET); n += 1
    except OSError: pass
print(\"slow\" if n < 200 else n, end=\"\")"'
like "which is told" "$(ash session why client@latest)" 'Denied: .*wild.example: too many new names are asked for'
is "and none has left" "$(queries | grep -c 'wild.example')" 0
