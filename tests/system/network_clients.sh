#!/bin/bash
# Clients that know nothing of a sandbox reach what a manifest allows, and say what is wrong where it
# allows nothing: curl by HTTP/1.1 and HTTP/2, git, Python, Node, OpenSSH, psql, a program in Rust,
# each with a real server. All of it is in a network namespace of the test's own, whose loopback is
# the Internet.
# timeout: 300
# shellcheck source=tests/internet.sh
. "$(dirname "$0")/../internet.sh" "clients of networks" "$@"

# --- servers besides those ---------------------------------------------------------------------------

far=45.33.7.3 postgres_pid=''
ip addr add $far/32 dev lo
printf '%s\n' "h2.wild.example $far" "ssh.wild.example $far" "db.wild.example $far" "raw.wild.example $web" >"$work/names"
end_postgres() {
	# It ends what it has started.
	[ -z "$postgres_pid" ] || { kill -QUIT "$postgres_pid" && wait "$postgres_pid"; } 2>/dev/null
}
trap 'end_postgres; end_servers; finish' EXIT
mkdir "$work/www" "$work/home"
printf 'a line' >"$work/www/file"
agents=$work/agent-ca

# up ADDRESS PORT: is somebody there?
up() { (exec 3<>"/dev/tcp/$1/$2") 2>/dev/null; }
have() { command -v "$1" >/dev/null; }

if have nghttpd; then
	nghttpd -a $far -d "$work/www" 443 "$work/key.pem" "$work/cert.pem" >"$work/h2.log" 2>&1 &
	servers+=($!)
	check "a server of HTTP/2" eventually 20 up $far 443
fi
if have dropbear && have ssh; then
	ssh-keygen -q -t ed25519 -N '' -f "$agents/id"
	mkdir -m 0700 "$work/home/.ssh"
	cp "$agents/id.pub" "$work/home/.ssh/authorized_keys"
	dropbearkey -t ed25519 -f "$work/host-key" 2>/dev/null |
	    sed -n "s/^\(ssh-ed25519 [^ ]*\).*/[ssh.wild.example]:2222 \1/p" >"$agents/known"
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
	check "rustc compiles" rustc -O -o "$agents/raw" "$work/raw.rs"
fi
chmod -R a+rX "$agents" "$work/www" && chmod 0755 "$work"

# --- clients ---------------------------------------------------------------------------------------

instance_start "ceilings: {trust_level: trusted, allowed_context: [$agents]}"
spec="network:
  policy: allowlist
  allowlist: ['web.example:80', 'web.example:443', 'h2.wild.example:443', 'ssh.wild.example:2222', 'db.wild.example:5432', 'raw.wild.example:7000']
$context
$ca_env"
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
# refused TEXT PATTERN WHY BODY: it fails, and does not hang, with an error like PATTERN; what the
# operator is told is like WHY.
refused() {
	run "$4"
	[ "$code" -ne 0 ] && [ "$code" -ne 124 ] || said="exit status $code: $said"
	like "$1" "$said" "$2"
	like "… and its operator sees why" "$(ash session why client@latest)" "Denied: +$3"
}
unknown='nowhere.example: no rule names it'

allowed "curl by HTTP/1.1 over TLS" "hello web.example 1.1" 'curl -sS --http1.1 -w " %{http_version}" https://web.example/'
refused "curl to a name outside" 'Could not resolve host: nowhere.example' "$unknown" 'curl -sS https://nowhere.example/'
refused "curl to another name behind an allowed one" 'curl: \(35\).*reset by peer' 'web.example:443: it asks for h2.wild.example' \
    'curl -sS --connect-to h2.wild.example:443:web.example:443 https://h2.wild.example/'
allowed "libc finds a name of one family alone" "198.18." 'getent ahostsv4 web.example | head -n 1 | cut -c1-7'
allowed "a proxy's variables do no harm" "hello web.example" 'NO_PROXY="*" curl -sS http://web.example/'

if have nghttpd; then
	allowed "curl by HTTP/2 over TLS" "a line 2" 'curl -sS -w " %{http_version}" https://h2.wild.example/file'
	allowed "and by eight streams at once" "8" 'curl -sS -Z https://h2.wild.example/file?[1-8] -o "/tmp/#1" 2>/dev/null && cat /tmp/[1-8] | grep -o "a line" | grep -c .'
else
	skip "curl by HTTP/2" "no nghttpd on this host"
fi

allowed "git clones over TLS by git's own protocol" "a line" 'cd /tmp && git clone -q https://web.example/smart/repo.git && cat repo/file'
refused "git to a name outside" 'unable to access .*Could not resolve host: nowhere.example' "$unknown" \
    'git clone -q https://nowhere.example/repo.git /tmp/repo'

allowed "Python's urllib over TLS" "hello web.example" \
    'python3 -c "import urllib.request as r; print(r.urlopen(\"https://web.example/\").read().decode())"'
refused "urllib to a name outside" 'URLError.*(Name or service not known|No address)' "$unknown" \
    'python3 -c "import urllib.request as r; r.urlopen(\"https://nowhere.example/\")"'
tls='import socket, ssl, sys; s = ssl.create_default_context().wrap_socket(socket.create_connection((\"web.example\", 443)), server_hostname=sys.argv[1])'
allowed "Python's ssl" "TLSv1.3 web.example" "python3 -c \"$tls; print(s.version(), s.getpeercert()[\\\"subject\\\"][0][0][1])\" web.example"
refused "ssl with another name" 'ConnectionResetError' 'web.example:443: it asks for h2.wild.example' "python3 -c \"$tls\" h2.wild.example"

if have node; then
	allowed "Node's fetch over TLS" "hello web.example" \
	    'node -e "fetch(\"https://web.example/\").then(r => r.text()).then(t => console.log(t))"'
	refused "fetch of a name outside" 'ENOTFOUND' "$unknown" 'node -e "fetch(\"https://nowhere.example/\").then(r => r.text())"'
else
	skip "Node's fetch" "no node on this host"
fi

ssh='ssh -F none -o UserKnownHostsFile=/context/ca/known -o IdentitiesOnly=yes -o BatchMode=yes -i /context/ca/id -p 2222'
if have dropbear && have ssh; then
	allowed "OpenSSH's client" "over ssh" "$ssh root@ssh.wild.example echo over ssh"
	allowed "and 8 MB through it" "8388608" "head -c 8388608 /dev/zero | $ssh root@ssh.wild.example cat | wc -c"
	refused "ssh to a name outside" 'Could not resolve hostname nowhere.example' "$unknown" "$ssh root@nowhere.example true"
else
	skip "OpenSSH's client" "no ssh or no dropbear on this host"
fi

if [ -n "$postgres" ] && have psql; then
	to='sslmode=verify-full sslrootcert=/context/ca/ca.pem user=a dbname=postgres'
	allowed "PostgreSQL's psql over TLS" "a row, TLS t" \
	    "psql -tAq \"host=db.wild.example $to\" -c \"select \\\$\\\$a row, TLS \\\$\\\$ || ssl::text::char from pg_stat_ssl where pid = pg_backend_pid()\""
	allowed "and a table's worth of rows" "50005000" "psql -tAq \"host=db.wild.example $to\" -c \"copy (select generate_series(1, 10000)) to stdout\" | awk \"{ n += \\\$1 } END { print n }\""
	refused "psql to a name outside" 'could not translate host name "nowhere.example"' "$unknown" "psql \"host=nowhere.example $to\" -c \"\""
else
	skip "PostgreSQL's psql" "no psql or no postgres on this host"
fi

if [ -x "$agents/raw" ]; then
	allowed "a program in Rust" "220 first
imok" '/context/ca/raw raw.wild.example:7000'
	refused "one to a name outside" 'failed to lookup address' "$unknown" '/context/ca/raw nowhere.example:7000'
	refused "one to another port" 'ConnectionRefused' 'other ports: [12] refused: no rule names them' '/context/ca/raw raw.wild.example:7001'
	refused "one to an address" 'NetworkUnreachable|Network is unreachable' 'other addresses: 1 refused: no rule names them' "/context/ca/raw $web:7000"
else
	skip "a program in Rust" "no rustc that runs on this host"
fi
