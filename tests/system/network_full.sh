#!/bin/bash
# Policy full: any name and any public address over TCP, through one listening socket; nothing that
# is not public, and nothing but TCP. Wide ranges of ports, which have one socket as well.
# timeout: 300
# shellcheck source=tests/internet.sh
. "$(dirname "$0")/../internet.sh" "networks of agents" "$@"
instance_start "ceilings: {trust_level: trusted, allowed_context: [$work/agent-ca]}"
install client :
snapshot_take

net="trust_level: trusted
network: {policy: full}
$context
$ca_env"

# --- what policy full lets through -----------------------------------------------------------------

runs "any name" "hello web.example" 'curl -sS http://web.example/'
runs "over TLS and IPv6 addresses" "hello web.example" 'curl -sS -6 https://web.example/'
# shellcheck disable=SC2016
runs "at any port" "220 first" 'bash -c "exec 3<>/dev/tcp/web.example/7000; read -r line <&3; echo \$line"'
runs "a literal of IPv4" "hello $other" "curl -sS http://$other/"
runs "a literal of IPv6" "hello [2606" "curl -sS http://[$web6]/"
runs "a literal over TLS, with whatever name it likes" "hello web.example" "curl -sS --connect-to web.example:443:$web:443 https://web.example/"
runs "eight megabytes arrive whole in both directions" "same" 'python3 -c "
import socket, threading, os
s = socket.create_connection((\"web.example\", 7000))
f = s.makefile(\"rb\"); f.readline()
data = b\"echo\" + os.urandom(8 << 20)
def send():
    s.sendall(data); s.shutdown(socket.SHUT_WR)
threading.Thread(target=send).start()
print(\"same\" if f.read() == data[4:] else \"other\", end=\"\")"'
runs "three hundred connections at once" "300" 'python3 -c "
import socket
all = [socket.create_connection((\"web.example\", 7000)) for i in range(300)]
print(sum(s.recv(20) == b\"220 first\n\" for s in all), end=\"\")"'
runs "the sandbox has its loopback for itself" "mine" 'python3 -c "
import socket
for port in 80, 7000:
    s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((\"127.0.0.1\", port + 8000)); s.listen()
    c = socket.create_connection((\"127.0.0.1\", port + 8000)); a = s.accept()[0]
    a.sendall(b\"mine\"); got = c.recv(10)
s = socket.socket(socket.AF_INET6); s.bind((\"::1\", 8080)); s.listen()
c = socket.create_connection((\"::1\", 8080))
print(got.decode(), end=\"\")"'

# --- and what not ------------------------------------------------------------------------------------

before=$(queries | wc -l)
denied "a name that nobody connects to is asked for nowhere" 'none' 'socket.getaddrinfo("secret.words.example", 80); print("none")'
is "as the name server saw" "$(queries | tail -n +$((before + 1)))" ""
denied "a name that does not exist is reset" '^nowhere.example 80 104' 'tcp("nowhere.example", 80)'
for literal in 10.1.2.3 172.16.0.1 192.168.1.1 169.254.169.254 100.64.0.1 198.18.77.77 255.255.255.255 192.0.2.1 168.63.129.16 \
    ::ffff:10.1.2.3 ::ffff:169.254.169.254 64:ff9b::a01:203 2002:a01:203::1 fd00::1 fec0::1 2001:db8::1; do
	denied "$literal is refused" "^$literal 7777 (104|101|113|22|end)\s*\$" "tcp('$literal', 7777)"
done
for literal in 127.0.0.1 127.9.9.9 0.0.0.0 ::1 :: ::ffff:127.0.0.1 ::ffff:0.0.0.0; do
	denied "$literal is the sandbox's own" "^$literal 7777 111" "tcp('$literal', 7777)"
done
for literal in 224.0.0.1 239.255.255.250 ff02::1; do
	denied "$literal leads nowhere" "^$literal 7777 (101|113|22|111)" "tcp('$literal', 7777)"
done
denied "a link's own address leads nowhere" '^fe80::1 7777 (22|101|113|104)' 'tcp("fe80::1", 7777)'
denied "nor does the host's loopback by its name" '^host.agentd 7777 gaierror' 'tcp("host.agentd", 7777)'
for name in inside mapped meta loop; do
	denied "$name.example resolves to what is not public" "^$name.example 7777 104" "tcp('$name.example', 7777)"
done
for target in web.example $web $web6 10.1.2.3 8.8.8.8; do
	denied "UDP to $target is refused at once" '^111' "
s = socket.socket(socket.AF_INET6 if ':' in '$target' else socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(15)
s.connect(('$target', 53 if '$target' == '8.8.8.8' else 443)); s.send(b'x')
try: print('GOT', s.recv(10))
except OSError as e: print(e.errno)"
done
denied "no socket of another kind can be made" '^(1|93|97|94) (1|93|97|94)' "
for kind in (socket.SOCK_RAW, socket.IPPROTO_ICMP), (socket.SOCK_DGRAM, socket.IPPROTO_ICMP):
    try: socket.socket(socket.AF_INET, *kind); print('MADE', end=' ')
    except OSError as e: print(e.errno, end=' ')"
denied "the runtime's own addresses take no connection" '^198.18.0.2 1 (104|end).*
198.18.0.1 53 111' 'tcp("198.18.0.2", 1); tcp("198.18.0.1", 53)'
like "the audit log names what was denied, with the reason" "$(audited network.deny)" '169\.254\.169\.254:7777: 169\.254\.169\.254 is link-local, and no rule names it'
like "and each name that was used" "$(audited network.use)" '(^|
)web.example:443($|
)'

net="trust_level: trusted
network: {policy: full, allowlist: [\"host.agentd:7777\", \"10.1.2.3:80\"]}"
runs "rules add to policy full what is not public" "hello host" 'curl -sS http://host.agentd:7777/'
denied "at the ports that they name" '^10.1.2.3 81 104' 'tcp("10.1.2.3", 81)'

# --- ranges of ports -----------------------------------------------------------------------------------

net="network: {policy: allowlist, allowlist: [\"web.example:7000-9000\", \"web6.example:1-200\", \"$other:80-90\"]}"
# shellcheck disable=SC2016
runs "a name in a wide range of ports" "220 first" 'bash -c "exec 3<>/dev/tcp/web.example/7000; read -r line <&3; echo \$line"'
runs "another in another" "hello web6.example" 'curl -sS http://web6.example/'
runs "and an address" "hello $other" "curl -sS http://$other/"
denied "a port of no range is refused" '^web.example 6999 111' 'tcp("web.example", 6999)'
denied "and of another name reset" '^web.example 80 104' 'tcp("web.example", 80)'
denied "a literal leads nowhere" "^$web 80 101" "tcp('$web', 80)"
denied "the sandbox's own services stay its own" '^127.0.0.1 7001 111' 'tcp("127.0.0.1", 7001)'
runs "where it can have them at ports of the rules, too" "220 mine" 'python3 -c "
import socket
s = socket.socket(); s.bind((\"127.0.0.1\", 7001)); s.listen()
c = socket.create_connection((\"127.0.0.1\", 7001)); s.accept()[0].sendall(b\"220 mine\"); print(c.recv(20).decode(), end=\"\")"'

settled "nothing is left of all these sessions"
