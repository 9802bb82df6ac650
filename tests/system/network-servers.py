#!/usr/bin/python3
"""The Internet of tests/system/network*.sh: name servers, web servers, one that speaks first.
network-servers.py DIRECTORY WEB WEB6 OTHER; says ready on standard output. Further names are lines
`NAME ADDRESS...` of DIRECTORY/names, read at each question and not to be kept; below /smart/ git's own
server answers."""
import http.server
import os
import socket
import socketserver
import ssl
import struct
import subprocess
import sys
import threading

work, web, web6, other = sys.argv[1:5]

NAMES = {
    "web.example": [web],
    "web6.example": [web6],
    "inside.example": ["10.1.2.3"],
    "mapped.example": ["::ffff:10.1.2.3"],
    "meta.example": ["169.254.169.254"],
    "loop.example": ["127.0.0.1", "::1"],
    "gone.example": ["45.33.7.99"],
}


def further(name):
    if os.path.exists(work + "/names"):
        with open(work + "/names") as file:
            for words in map(str.split, file):
                if words[0] == name:
                    return words[1:]
    return None


def addresses(name):
    if name.endswith(".wild.example"):
        return [web]
    return NAMES.get(name)


def name_server():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("127.0.0.1", 53))
    while True:
        query, peer = s.recvfrom(1500)
        at, labels = 12, []
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        kind = struct.unpack(">H", query[at + 1:at + 3])[0]
        name = ".".join(labels).lower()
        with open(work + "/queries", "a") as log:
            log.write(f"{name} {kind}\n")
        found, lifetime = further(name), 0
        if not found:
            found, lifetime = addresses(name), 5
        answers = []
        for address in found or []:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            if kind == (28 if family == socket.AF_INET6 else 1):
                packed = socket.inet_pton(family, address)
                answers.append(b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, lifetime, len(packed)) + packed)
        flags = 0x8180 if found else 0x8183
        s.sendto(query[:2] + struct.pack(">HHHHH", flags, 1, len(answers), 0, 0) +
                 query[12:at + 5] + b"".join(answers), peer)


class Hello(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def git(self):
        """As much of CGI as git http-backend needs."""
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        run = subprocess.run(["git", "http-backend"], input=body, stdout=subprocess.PIPE, env={
            **os.environ, "GIT_PROJECT_ROOT": work, "GIT_HTTP_EXPORT_ALL": "1", "HOME": work,
            "PATH_INFO": path.removeprefix("/smart"), "QUERY_STRING": query,
            "REQUEST_METHOD": self.command, "CONTENT_LENGTH": str(len(body)),
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", "")})
        head, _, body = run.stdout.partition(b"\r\n\r\n")
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        for line in head.decode().split("\r\n"):
            self.send_header(*line.split(": ", 1))
        self.end_headers()
        self.wfile.write(body)

    def count(self):
        """How long the body is, whichever way it comes."""
        length = int(self.headers.get("Content-Length", 0))
        size = len(self.rfile.read(length))
        while self.headers.get("Transfer-Encoding") == "chunked":
            piece = int(self.rfile.readline(), 16)
            size += len(self.rfile.read(piece))
            self.rfile.readline()
            if piece == 0:
                break
        body = f"counted {size}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def switch(self):
        """Another protocol: what comes is sent back."""
        self.send_response(101)
        self.send_header("Upgrade", "echo")
        self.end_headers()
        self.close_connection = True
        while got := self.rfile.read1(65536):
            self.wfile.write(got)

    def do_POST(self):
        if self.path == "/count":
            return self.count()
        self.git()

    def do_GET(self):
        if self.path == "/switch":
            return self.switch()
        if self.path.startswith("/smart/"):
            return self.git()
        if self.path.startswith("/repo.git/"):
            return super().do_GET()
        host = getattr(self.server, "says", None) or self.headers.get("Host", "nobody").split(":")[0]
        body = f"hello {host}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def translate_path(self, path):
        return work + "/" + path.split("?")[0].lstrip("/")

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 1024
    daemon_threads = True

    def handle_error(self, *_):
        pass


class Server6(Server):
    address_family = socket.AF_INET6


class First(socketserver.BaseRequestHandler):
    """Speaks first; then counts, or sends back what begins with echo."""

    def handle(self):
        s = self.request
        s.sendall(b"220 first\n")
        head = b""
        while len(head) < 4:
            got = s.recv(4 - len(head))
            if not got:
                return
            head += got
        if head == b"ruok":
            s.sendall(b"imok")
            return
        if head == b"echo":
            while got := s.recv(65536):
                s.sendall(got)
            return
        count = len(head)
        while got := s.recv(65536):
            count += len(got)
        s.sendall(str(count).encode())


class Postgres(socketserver.BaseRequestHandler):
    """As much of PostgreSQL's protocol 3 as one query of psql needs: without TLS, no password."""

    def read(self, count):
        got = b""
        while len(got) < count:
            piece = self.request.recv(count - len(got))
            if not piece:
                raise ConnectionError
            got += piece
        return got

    def say(self, kind, body):
        self.request.sendall(kind + struct.pack(">I", len(body) + 4) + body)

    def handle(self):
        self.read(8)  # SSLRequest
        self.request.sendall(b"N")
        self.read(struct.unpack(">I", self.read(4))[0] - 4)
        self.say(b"R", struct.pack(">I", 0))
        self.say(b"S", b"server_version\x0015.0\x00")
        self.say(b"Z", b"I")
        while self.read(1) == b"Q":
            self.read(struct.unpack(">I", self.read(4))[0] - 4)
            self.say(b"T", struct.pack(">H", 1) + b"c\x00" + struct.pack(">IHIHIH", 0, 0, 25, 0xffff, 0xffffffff, 0))
            self.say(b"D", struct.pack(">HI", 1, 5) + b"a row")
            self.say(b"C", b"SELECT 1\x00")
            self.say(b"Z", b"I")


class Threaded(socketserver.ThreadingTCPServer):
    request_queue_size = 1024
    allow_reuse_address = True
    daemon_threads = True

    def handle_error(self, *_):
        pass


def repository():
    run = lambda *a: subprocess.run(a, check=True, cwd=work, stdout=subprocess.DEVNULL,
                                    env={**os.environ, "HOME": work, "GIT_CONFIG_NOSYSTEM": "1"})
    run("git", "init", "-q", "-b", "main", "tree")
    with open(work + "/tree/file", "w") as f:
        f.write("a line")
    run("git", "-C", "tree", "add", "file")
    run("git", "-C", "tree", "-c", "user.name=a", "-c", "user.email=a@example", "commit", "-qm", "one")
    run("git", "clone", "-q", "--bare", "tree", "repo.git")
    run("git", "-C", "repo.git", "update-server-info")


repository()
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
tls.load_cert_chain(work + "/cert.pem", work + "/key.pem")
secure = Server((web, 443), Hello)
secure.socket = tls.wrap_socket(secure.socket, server_side=True)
host = Server(("127.0.0.1", 7777), Hello)
host.says = "host"
all_servers = [Server((web, 80), Hello), Server6((web6, 80), Hello), Server((other, 80), Hello),
               secure, host, Threaded((web, 7000), First), Threaded((web, 5432), Postgres)]
for server in all_servers:
    threading.Thread(target=server.serve_forever, daemon=True).start()
threading.Thread(target=name_server, daemon=True).start()
print("ready", flush=True)
threading.Event().wait()
