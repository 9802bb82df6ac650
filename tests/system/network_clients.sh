#!/bin/bash
# Clients that know nothing of a sandbox reach what a manifest allows, and say what is wrong where it
# allows nothing: curl by HTTP/1.1 and HTTP/2, git, Python, Node, OpenSSH, psql, a program in Rust,
# each with a real server. All of it is in a network namespace of the test's own, whose loopback is
# the Internet.
# timeout: 300
set -u
if [ "${OUTER:-}" != "$PPID" ]; then
	OUTER=$$ unshare --net --mount --propagation private -- bash "$0" "$@"
	exit
fi
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
need_root "clients of networks"

# --- the Internet of this test --------------------------------------------------------------------

web=45.33.7.1 web6=2606:2800:7::1 other=45.33.7.2 far=45.33.7.3
ip link set lo up
for address in $web $other $far; do ip addr add "$address/32" dev lo; done
ip -6 addr add $web6/128 dev lo nodad
work=$(mktemp -d "${TMPDIR:-/tmp}/scarab-net.XXXXXX")
servers=() postgres_pid=''
end_servers() {
	local pid
	# It ends what it has started.
	[ -z "$postgres_pid" ] || { kill -QUIT "$postgres_pid" && wait "$postgres_pid"; } 2>/dev/null
	for pid in "${servers[@]}"; do
		kill -KILL "$pid" && wait "$pid"
	done 2>/dev/null
	rm -rf "$work"
}
trap 'end_servers; finish' EXIT
printf 'nameserver 127.0.0.1\n' >"$work/resolv.conf"
mount --bind "$work/resolv.conf" /etc/resolv.conf
printf '%s\n' "h2.example $far" "ssh.example $far" "db.example $far" "raw.example $web" >"$work/names"
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$work/key.pem" -out "$work/cert.pem" -days 2 -subj /CN=web.example \
    -addext 'subjectAltName=DNS:web.example,DNS:h2.example,DNS:db.example' 2>/dev/null
mkdir "$work/for-agents" "$work/www" "$work/home"
cp "$work/cert.pem" "$work/for-agents/ca.pem"
printf 'a line' >"$work/www/file"
mkfifo "$work/ready"
python3 "$here/network-servers.py" "$work" $web $web6 $other >"$work/ready" 2>"$work/servers.log" &
servers+=($!)
read -r -t $((20 * factor)) answer <"$work/ready" || answer=
is "the servers of the test are up" "$answer" ready

# up ADDRESS PORT: is somebody there?
up() { (exec 3<>"/dev/tcp/$1/$2") 2>/dev/null; }
have() { command -v "$1" >/dev/null; }

if have nghttpd; then
	nghttpd -a $far -d "$work/www" 443 "$work/key.pem" "$work/cert.pem" >"$work/h2.log" 2>&1 &
	servers+=($!)
	check "a server of HTTP/2" eventually 20 up $far 443
fi
if have dropbear && have ssh; then
	ssh-keygen -q -t ed25519 -N '' -f "$work/for-agents/id"
	mkdir -m 0700 "$work/home/.ssh"
	cp "$work/for-agents/id.pub" "$work/home/.ssh/authorized_keys"
	dropbearkey -t ed25519 -f "$work/host-key" 2>/dev/null |
	    sed -n "s/^\(ssh-ed25519 [^ ]*\).*/[ssh.example]:2222 \1/p" >"$work/for-agents/known"
	# The home of whoever is asked for is the test's, and so is the terminal's log.
	# shellcheck disable=SC2016
	unshare --mount --propagation private sh -c 'mount --bind "$1" ~root && shift && exec "$@"' sh "$work/home" \
	    dropbear -F -E -s -j -k -r "$work/host-key" -p $far:2222 >"$work/ssh.log" 2>&1 &
	servers+=($!)
	check "a server of SSH" eventually 20 up $far 2222
fi
postgres=$(find /usr/lib/postgresql -path '*/bin/postgres' 2>/dev/null | sort -V | tail -n 1)
nobody=(setpriv --reuid=nobody --regid=nogroup --clear-groups)
if [ -n "$postgres" ] && have psql; then
	command install -o nobody -m 0700 -d "$work/postgres"
	chmod a+x "$work"
	"${nobody[@]}" "${postgres%/*}/initdb" -D "$work/postgres" -U a -A trust --no-sync >"$work/initdb.log" 2>&1
	command install -o nobody -m 0600 "$work/key.pem" "$work/cert.pem" "$work/postgres"
	echo 'hostssl all all 0.0.0.0/0 trust' >>"$work/postgres/pg_hba.conf"
	"${nobody[@]}" "$postgres" -D "$work/postgres" -h $far -k "$work/postgres" -F -c ssl=on -c ssl_cert_file=cert.pem \
	    -c ssl_key_file=key.pem >"$work/postgres.log" 2>&1 &
	postgres_pid=$!
	pg_up() { "${postgres%/*}/psql" -h $far -U a -c '' postgres; }
	check "a PostgreSQL" eventually 60 pg_up
fi
if rustc --version >/dev/null 2>&1; then
	cat >"$work/raw.rs" <<'RUST'
use std::io::{Read, Write};
fn main() -> std::io::Result<()> {
    let mut stream = std::net::TcpStream::connect(std::env::args().nth(1).unwrap())?;
    stream.write_all(b"ruok")?;
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    print!("{text}");
    Ok(())
}
RUST
	check "rustc compiles" rustc -O -C linker="${CC:-cc}" -o "$work/for-agents/raw" "$work/raw.rs"
fi
chmod -R a+rX "$work/for-agents" "$work/www" && chmod 0755 "$work"

# --- clients ---------------------------------------------------------------------------------------

instance_start "ceilings: {trust_level: trusted, allowed_context: [$work/for-agents]}"
ca=/context/test/ca.pem
spec="network:
  policy: allowlist
  allowlist: ['web.example:80', 'web.example:443', 'h2.example:443', 'ssh.example:2222', 'db.example:5432', 'raw.example:7000']
context: [{source: $work/for-agents, target: /context/test}]
env: {CURL_CA_BUNDLE: $ca, SSL_CERT_FILE: $ca, NODE_EXTRA_CA_CERTS: $ca, GIT_SSL_CAINFO: $ca}"
# run BODY: a session; what it printed is in $said, its exit status in $code, 124 when it hung.
run() {
	install client "timeout $((20 * factor)) sh -c '$1' 2>&1" "$spec" || return
	said=$(ash agent run client 2>"$dir/run.err")
	code=$?
}
# allowed TEXT WANT BODY: all that it prints.
allowed() {
	run "$3"
	is "$1" "$said" "$2"
	[ "$said" = "$2" ] || ash session logs client@latest 2>&1 | sed 's/^/# /' | tail -n 20
}
# denied TEXT PATTERN WHY BODY: it fails, and does not hang, with an error like PATTERN; what the
# operator is told is like WHY.
denied() {
	run "$4"
	[ "$code" -ne 0 ] && [ "$code" -ne 124 ] || said="exit status $code: $said"
	like "$1" "$said" "$2"
	like "… and its operator sees why" "$(ash session why client@latest)" "Denied: +$3"
}
unknown='nowhere.example: no rule names it'

allowed "curl by HTTP/1.1 over TLS" "hello web.example 1.1" 'curl -sS --http1.1 -w " %{http_version}" https://web.example/'
denied "curl to a name outside" 'Could not resolve host: nowhere.example' "$unknown" 'curl -sS https://nowhere.example/'
denied "curl to another name behind an allowed one" 'curl: \(35\).*reset by peer' 'web.example:443: it asks for h2.example' \
    'curl -sS --connect-to h2.example:443:web.example:443 https://h2.example/'
allowed "libc finds a name of one family alone" "198.18." 'getent ahostsv4 web.example | head -n 1 | cut -c1-7'
allowed "a proxy's variables do no harm" "hello web.example" 'NO_PROXY="*" curl -sS http://web.example/'

if have nghttpd; then
	allowed "curl by HTTP/2 over TLS" "a line 2" 'curl -sS -w " %{http_version}" https://h2.example/file'
	allowed "and by eight streams at once" "8" 'curl -sS -Z https://h2.example/file?[1-8] -o "/tmp/#1" 2>/dev/null && cat /tmp/[1-8] | grep -o "a line" | grep -c .'
else
	skip "curl by HTTP/2" "no nghttpd on this host"
fi

allowed "git clones over TLS by git's own protocol" "a line" 'cd /tmp && git clone -q https://web.example/smart/repo.git && cat repo/file'
denied "git to a name outside" 'unable to access .*Could not resolve host: nowhere.example' "$unknown" \
    'git clone -q https://nowhere.example/repo.git /tmp/repo'

allowed "Python's urllib over TLS" "hello web.example" \
    'python3 -c "import urllib.request as r; print(r.urlopen(\"https://web.example/\").read().decode())"'
denied "urllib to a name outside" 'URLError.*(Name or service not known|No address)' "$unknown" \
    'python3 -c "import urllib.request as r; r.urlopen(\"https://nowhere.example/\")"'
tls='import socket, ssl, sys; s = ssl.create_default_context().wrap_socket(socket.create_connection((\"web.example\", 443)), server_hostname=sys.argv[1])'
allowed "Python's ssl" "TLSv1.3 web.example" "python3 -c \"$tls; print(s.version(), s.getpeercert()[\\\"subject\\\"][0][0][1])\" web.example"
denied "ssl with another name" 'ConnectionResetError' 'web.example:443: it asks for h2.example' "python3 -c \"$tls\" h2.example"

if have node; then
	allowed "Node's fetch over TLS" "hello web.example" \
	    'node -e "fetch(\"https://web.example/\").then(r => r.text()).then(t => console.log(t))"'
	denied "fetch of a name outside" 'ENOTFOUND' "$unknown" 'node -e "fetch(\"https://nowhere.example/\").then(r => r.text())"'
else
	skip "Node's fetch" "no node on this host"
fi

ssh='ssh -F none -o UserKnownHostsFile=/context/test/known -o IdentitiesOnly=yes -o BatchMode=yes -i /context/test/id -p 2222'
if have dropbear && have ssh; then
	allowed "OpenSSH's client" "over ssh" "$ssh root@ssh.example echo over ssh"
	allowed "and 8 MB through it" "8388608" "head -c 8388608 /dev/zero | $ssh root@ssh.example cat | wc -c"
	denied "ssh to a name outside" 'Could not resolve hostname nowhere.example' "$unknown" "$ssh root@nowhere.example true"
else
	skip "OpenSSH's client" "no ssh or no dropbear on this host"
fi

if [ -n "$postgres" ] && have psql; then
	to='sslmode=verify-full sslrootcert=/context/test/ca.pem user=a dbname=postgres'
	allowed "PostgreSQL's psql over TLS" "a row, TLS t" \
	    "psql -tAq \"host=db.example $to\" -c \"select \\\$\\\$a row, TLS \\\$\\\$ || ssl::text::char from pg_stat_ssl where pid = pg_backend_pid()\""
	allowed "and a table's worth of rows" "50005000" "psql -tAq \"host=db.example $to\" -c \"copy (select generate_series(1, 10000)) to stdout\" | awk \"{ n += \\\$1 } END { print n }\""
	denied "psql to a name outside" 'could not translate host name "nowhere.example"' "$unknown" "psql \"host=nowhere.example $to\" -c \"\""
else
	skip "PostgreSQL's psql" "no psql or no postgres on this host"
fi

if [ -x "$work/for-agents/raw" ]; then
	allowed "a program in Rust" "220 first
imok" '/context/test/raw raw.example:7000'
	denied "one to a name outside" 'failed to lookup address' "$unknown" '/context/test/raw nowhere.example:7000'
	run '/context/test/raw raw.example:7001'
	like "one to another port is refused" "$said" 'ConnectionRefused'
else
	skip "a program in Rust" "no rustc that runs on this host"
fi
