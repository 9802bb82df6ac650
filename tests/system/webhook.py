"""A sender of webhooks, good and bad; for webhook.sh.

  sign KIND KEY BODY [ID [TIME]]   prints the headers that a sender of this kind adds, one a line
  many PORT PATH N                 N requests on connections of their own, unsigned: how many of each status
  slow PORT PATH SECONDS           a byte a tenth of a second for so long: what came of it
  flood PORT N                     N connections that say nothing, from this process, as long as input stays open
  corpus PORT DIRECTORY            sends each file as it is; prints each that got no answer and no end
  fuzz PORT SEED N                 the same with N requests that are changed at random
"""

import base64
import concurrent.futures
import ctypes
import hashlib
import hmac
import os
import random
import resource
import select
import signal
import socket
import sys
import time


def mac(key, text):
    return hmac.new(key.encode() if isinstance(key, str) else key, text, hashlib.sha256)


def sign(kind, key, body, name="", when=""):
    body = body.encode()
    when = when or str(int(time.time()))
    if kind == "github":
        print("X-Hub-Signature-256: sha256=" + mac(key, body).hexdigest())
        print("X-GitHub-Delivery: " + (name or os.urandom(8).hex()))
    elif kind == "stripe":
        print("Stripe-Signature: t=%s,v1=%s,v0=00" % (when, mac(key, when.encode() + b"." + body).hexdigest()))
    elif kind == "generic":
        print("X-Timestamp: " + when)
        print("X-Signature-256: sha256=" + mac(key, when.encode() + b"." + body).hexdigest())
        if name:
            print("Idempotency-Key: " + name)
    elif kind == "standard":
        raw = base64.b64decode(key.removeprefix("whsec_"))
        text = ("%s.%s." % (name, when)).encode() + body
        print("Webhook-Id: %s\nWebhook-Timestamp: %s" % (name, when))
        print("Webhook-Signature: v1a,x v1," + base64.b64encode(mac(raw, text).digest()).decode())


def dial(port, address="127.0.0.1"):
    return socket.create_connection(("127.0.0.1", int(port)), timeout=60, source_address=(address, 0))


def anybody():
    """Of loopback every address may call: each has a rate of its own."""
    return "127.%d.%d.%d" % tuple(random.randint(1, 250) for _ in range(3))


def answer(s):
    """The status line's number, or what came instead."""
    data = b""
    try:
        while b"\r\n\r\n" not in data:
            got = s.recv(4096)
            if not got:
                break
            data += got
    except ConnectionResetError:
        pass
    except socket.timeout:
        return "timeout"
    if not data.startswith(b"HTTP/1."):
        return "closed"
    later = [line.split(b": ")[1] for line in data.split(b"\r\n") if line.startswith(b"Retry-After: ")]
    return b"/".join([data.split(b" ")[1], *later]).decode()


def post(path, body, extra=()):
    head = ["POST %s HTTP/1.1" % path, "Host: x", "Content-Length: %d" % len(body), *extra]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def many(port, path, count):
    seen = {}

    def send(i):
        with dial(port) as s:
            s.sendall(post(path, b"{}", ["Idempotency-Key: many-%d" % i]))
            return answer(s)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for status in pool.map(send, range(int(count))):
            seen[status] = seen.get(status, 0) + 1
    print(" ".join("%s=%d" % item for item in sorted(seen.items())))


def slow(port, path, seconds):
    s = dial(port)
    text = post(path, b"x" * 100000)
    until = time.monotonic() + float(seconds)
    sent = 0
    try:
        while time.monotonic() < until:
            s.sendall(text[sent:sent + 1])
            sent += 1
            if select.select([s], [], [], 0.1)[0]:
                print(answer(s))
                return
    except OSError:
        print("closed")
        return
    print("open")


def flood(port, count):
    held = []
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG: not without the test
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    for _ in range(int(count)):
        try:
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex(("127.0.0.1", int(port)))
            held.append(s)
        except OSError as e:
            print("only", len(held), e, flush=True)
            break
    print("held", len(held), flush=True)
    sys.stdin.read()


def one(port, text):
    s = dial(port, anybody())
    try:
        s.sendall(text)
        s.shutdown(socket.SHUT_WR)
    except OSError:
        pass
    return answer(s)


def corpus(port, directory):
    for name in sorted(os.listdir(directory)):
        with open(os.path.join(directory, name), "rb") as f:
            status = one(port, f.read())
        print(name, status)


def fuzz(port, seed, count):
    rng = random.Random(int(seed))
    seeds = [
        post("/open/generic", b'{"n": 1}', ["Content-Type: application/json"]),
        post("/hub/github", b"x" * 300, ["X-Hub-Signature-256: sha256=" + "0" * 64, "X-GitHub-Delivery: a"]),
        b"POST /open/generic HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
    ]
    texts = []
    for _ in range(int(count)):
        text = bytearray(rng.choice(seeds))
        for _ in range(rng.randint(1, 8)):
            at = rng.randrange(len(text) + 1)
            how = rng.randrange(4)
            if how == 0 and at < len(text):
                text[at] = rng.randrange(256)
            elif how == 1:
                text[at:at] = bytes(rng.choice([b"\r\n", b"\0", b":", b" ", b"%00", b"A" * 2000, b"\xff"]))
            elif how == 2:
                del text[at:at + rng.randint(1, 20)]
            else:
                text[at:at] = text[max(0, at - 30):at]
        texts.append(bytes(text))
    # What has no end waits for the listener's deadline: many at once.
    seen = {}
    with concurrent.futures.ThreadPoolExecutor(200) as pool:
        for status in pool.map(lambda text: one(port, text), texts):
            seen[status] = seen.get(status, 0) + 1
    print(" ".join("%s=%d" % item for item in sorted(seen.items())))


globals()[sys.argv[1]](*sys.argv[2:])
