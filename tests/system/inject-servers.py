#!/usr/bin/python3
"""The Internet of tests/system/inject.sh: a name server, and TLS servers with certificates of the
test's own CA and of nobody. inject-servers.py DIRECTORY API OTHER; says ready on standard output.
Every request that a server reads is a line of DIRECTORY/requests."""
import base64
import json
import socket
import socketserver
import ssl
import struct
import sys
import threading
import urllib.parse

work, api, other = sys.argv[1:4]
key = open(work + "/key").read()
NAMES = {"api.example": api, "wrong.example": other, "unknown.example": other, "plain.example": api}
released = threading.Event()


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
        found = NAMES.get(".".join(labels).lower())
        answer = b""
        if found and kind == 1:
            answer = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 5, 4) + socket.inet_aton(found)
        s.sendto(query[:2] + struct.pack(">HHHHH", 0x8180 if found else 0x8183, 1, bool(answer), 0, 0) +
                 query[12:at + 5] + answer, peer)


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


class Api(socketserver.BaseRequestHandler):
    """Reads requests as a server does that believes what they say of their lengths."""

    def line(self):
        got = b""
        while not got.endswith(b"\n"):
            piece = self.request.recv(1)
            if not piece:
                raise ConnectionError
            got += piece
        return got.rstrip(b"\r\n")

    def exactly(self, count):
        got = bytearray()
        while len(got) < count:
            piece = self.request.recv(count - len(got))
            if not piece:
                raise ConnectionError
            got += piece
        return bytes(got)

    def body(self, fields):
        if fields.get("transfer-encoding", "").lower() == "chunked":
            got = b""
            while size := int(self.line().split(b";")[0], 16):
                got += self.exactly(size)
                self.line()
            while self.line():
                pass
            return got
        return self.exactly(int(fields.get("content-length", 0)))

    def answer(self, body, head=b""):
        self.request.sendall(b"HTTP/1.1 200 OK\r\n" + head + b"Content-Length: %d\r\n\r\n" % len(body) + body)

    def in_chunks(self, pieces):
        self.request.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in pieces:
            self.request.sendall(chunk(piece))
        self.request.sendall(b"0\r\nX-Trailer: dropped\r\n\r\n")

    def handle(self):
        try:
            while self.one():
                pass
        except (ConnectionError, ssl.SSLError, ValueError, OSError):
            pass

    def one(self):
        first = self.line().decode()
        fields, lines = {}, []
        while one := self.line().decode():
            name, value = one.split(":", 1)
            fields[name.lower()] = value.strip()
            lines.append(one)
        body = self.body(fields)
        path = first.split()[1]
        with open(work + "/requests", "a") as log:
            log.write(" | ".join([first] + lines) + "\n")
        k = key.encode()
        if path == "/echo":
            self.answer(json.dumps({"lines": lines, "body": body.decode()}).encode(), b"X-Echo: " + k + b"\r\n")
        elif path == "/keyless":
            has = fields.get("x-api-key") == key
            self.answer(json.dumps({"has": has, "count": sum(l.lower().startswith("x-api-key:") for l in lines),
                                    "rest": [l for l in lines if not l.lower().startswith("x-api-key:")],
                                    "body": body.decode()}).encode())
        elif path == "/spelled":
            b64 = base64.b64encode
            self.answer(b"[".join([k, k.hex().encode(), k.hex().upper().encode(), b64(k), b64(b"a" + k),
                                   b64(b"ab" + k), urllib.parse.quote(key, safe="").encode(),
                                   urllib.parse.quote(key).encode(), k.replace(b"+", b"\\u002B")]) + b"]")
        elif path == "/pieces":
            self.in_chunks([b"<"] + [k[i:i + 3] for i in range(0, len(k), 3)] + [b">"])
        elif path == "/events":
            self.request.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: first\n\n")
            released.wait()
            self.request.sendall(b"data: second\n\n")
            return False
        elif path == "/release":
            released.set()
            self.answer(b"released")
        elif path == "/redirect":
            self.request.sendall(b"HTTP/1.1 302 Found\r\nLocation: http://plain.example/moved\r\nContent-Length: 0\r\n\r\n")
        elif path == "/two":
            self.request.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd")
            return False
        elif path == "/more":
            self.answer(b"one", b"")
            self.request.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        elif path == "/glued":
            self.request.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\noneHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        elif path == "/short":
            self.request.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")
            return False
        elif path == "/zipped":
            self.answer(b"not really", b"Content-Encoding: gzip\r\n")
        elif path == "/early":
            self.request.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n")
            self.answer(b"late")
        elif first.startswith("HEAD"):
            self.request.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        else:
            self.answer(b"body %d " % len(body) + path.encode())
        return fields.get("connection", "").lower() != "close"


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, address, cert):
        super().__init__(address, Api)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
        if cert:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(f"{work}/{cert}.pem", f"{work}/{cert}.key")
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def handle_error(self, *_):
        pass


for server in [Server((api, 443), "api"), Server((other, 443), "api"), Server((other, 8443), "stranger"),
               Server((api, 80), None)]:
    threading.Thread(target=server.serve_forever, daemon=True).start()
threading.Thread(target=name_server, daemon=True).start()
print("ready", flush=True)
threading.Event().wait()
