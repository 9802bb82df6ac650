#!/usr/bin/env python3
"""What mcp-bridge promises, against sockets that this program serves: bridge.py BRIDGE DIRECTORY.

Prints `ok - TEXT` and `FAIL - TEXT` lines. Every wait is for an event, with a deadline.
"""
import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading

BRIDGE, DIRECTORY = sys.argv[1:3]
DEADLINE = 30 * int(os.environ.get("TEST_TIME_FACTOR", "1"))
failed = 0


def check(text, good, said=""):
    global failed
    print(("ok - " if good else "FAIL - ") + text)
    if not good:
        failed += 1
        print("# %r" % (said,))


class Stage:
    """A listening socket and a bridge that found it; the accepted connection is .peer."""

    def __init__(self, **options):
        self.path = os.path.join(DIRECTORY, "agentd.sock")
        if os.path.exists(self.path):
            os.unlink(self.path)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self.path)
        listener.listen()
        listener.settimeout(DEADLINE)
        options.setdefault("stdin", subprocess.PIPE)
        options.setdefault("stdout", subprocess.PIPE)
        environment = {"SCARAB_SOCKET": self.path, "API_KEY": "canary"}
        self.bridge = subprocess.Popen(
            [BRIDGE], stderr=subprocess.PIPE, env=environment, bufsize=0, **options
        )
        self.peer = listener.accept()[0]
        self.peer.settimeout(DEADLINE)
        listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.bridge.poll() is None:
            self.bridge.kill()
        self.bridge.wait()
        for stream in (self.bridge.stdin, self.bridge.stdout, self.bridge.stderr):
            if stream:
                stream.close()
        self.peer.close()

    def ended(self):
        """Its exit status, or None when it does not end."""
        try:
            return self.bridge.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            return None


def read_all(peer):
    parts = []
    while part := peer.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)


def digest(text):
    return hashlib.sha256(text).hexdigest()


def both_ways():
    up, down = os.urandom(9 << 20), os.urandom(9 << 20)
    got = {}
    with Stage() as stage:

        def serve():
            read_all(stage.peer)

        def answer():
            stage.peer.sendall(down)
            stage.peer.shutdown(socket.SHUT_WR)

        def write():
            try:
                stage.bridge.stdin.write(up)
                stage.bridge.stdin.close()
            except BrokenPipeError:
                pass

        threads = [threading.Thread(target=f) for f in (serve, answer, write)]
        for thread in threads:
            thread.start()
        got["down"] = stage.bridge.stdout.read()
        # The session has sent all: the bridge ends, and what was still on its way up with it.
        status = stage.ended()
        for thread in threads:
            thread.join(DEADLINE)
    check("9 MiB of any bytes come down as they are", digest(got["down"]) == digest(down))
    check("and it ends with status 0 when the session has closed", status == 0, status)


def upwards():
    up = os.urandom(9 << 20)
    with Stage() as stage:
        writer = threading.Thread(target=lambda: (stage.bridge.stdin.write(up), stage.bridge.stdin.close()))
        writer.start()
        got = read_all(stage.peer)
        writer.join(DEADLINE)
        check("9 MiB of any bytes go up as they are, and then their end", digest(got) == digest(up))
        check("the end of standard input does not end it", stage.bridge.poll() is None)
        stage.peer.sendall(b'{"late":"answer"}\n')
        stage.peer.close()
        check("answers that come later are delivered", stage.bridge.stdout.read() == b'{"late":"answer"}\n')
        check("before it ends", stage.ended() == 0)


def signals():
    for number in (signal.SIGTERM, signal.SIGINT):
        name = signal.Signals(number).name

        def ignore(number=number):
            signal.signal(number, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_BLOCK, [number])

        for how, prepare in (("", None), (", also where its parent ignores and blocks it", ignore)):
            with Stage(preexec_fn=prepare) as stage:
                # What went up tells that it is past its beginning.
                stage.bridge.stdin.write(b"x")
                stage.peer.recv(1)
                stage.bridge.send_signal(number)
                check("%s ends it%s" % (name, how), stage.ended() == -number, stage.bridge.returncode)


def resident(pid):
    with open("/proc/%d/status" % pid) as status:
        return int(next(line for line in status if line.startswith("VmRSS:")).split()[1])


def nobody_reads():
    with Stage() as stage:
        stage.peer.setblocking(False)
        sent = 0
        # Until all that lies between is full; what was written then stays full for good.
        stage.bridge.stdin.write(b"x")
        stage.peer.settimeout(2)
        try:
            while sent < 64 << 20:
                sent += stage.peer.send(b"y" * 65536)
        except socket.timeout:
            pass
        check("a client that does not read stops the session's writes", sent < 4 << 20, sent)
        check("in bounded memory", resident(stage.bridge.pid) < 4096, resident(stage.bridge.pid))
        stage.bridge.stdin.write(b"cancel\n")
        stage.peer.settimeout(DEADLINE)
        got = b""
        while not got.endswith(b"cancel\n"):
            got += stage.peer.recv(4096)
        check("and what the client sends still goes up", got == b"xcancel\n", got)


def gone():
    with Stage() as stage:
        stage.bridge.stdout.close()
        check("it ends when its client no longer reads", stage.ended() == 0)
    with Stage() as stage:
        stage.peer.close()
        check("it ends when the session closes, with standard input still open", stage.ended() == 0)
    with Stage() as stage:
        stage.peer.shutdown(socket.SHUT_RD)
        stage.bridge.stdin.write(b"unwanted\n")
        stage.peer.sendall(b"last words\n")
        stage.peer.shutdown(socket.SHUT_WR)
        check("what a session that no longer reads has sent is delivered", stage.bridge.stdout.read() == b"last words\n")


def socket_pairs():
    """As clients on libuv start it."""
    ends = [socket.socketpair() for _ in range(2)]
    with Stage(stdin=ends[0][1], stdout=ends[1][1]) as stage:
        for _, theirs in ends:
            theirs.close()
        ends[0][0].sendall(b"question\n")
        check("standard input may be a socket", stage.peer.recv(64) == b"question\n")
        stage.peer.sendall(b"answer\n")
        check("and standard output", ends[1][0].recv(64) == b"answer\n")
        ends[1][0].close()
        check("whose end ends it", stage.ended() == 0)
    ends[0][0].close()


def no_socket():
    path = os.path.join(DIRECTORY, "none.sock")
    for text, where, why in (
        ("no socket", path, "No such file or directory"),
        ("a name that is too long", "/tmp/" + "x" * 200, "File name too long"),
    ):
        ended = subprocess.run(
            [BRIDGE], env={"SCARAB_SOCKET": where, "API_KEY": "canary"}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=DEADLINE
        )
        said = ended.stderr.decode()
        check("%s: status 1, a line on standard error, nothing on standard output" % text,
              ended.returncode == 1 and why in said and said.count("\n") == 1 and not ended.stdout, said)
        check("%s: nothing of its environment but the socket's name" % text, "canary" not in said and "API_KEY" not in said)
    ended = subprocess.run([BRIDGE], env={}, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=DEADLINE)
    check("without SCARAB_SOCKET it looks at the default path", b"/run/agentd/agentd.sock" in ended.stderr, ended.stderr)
    ended = subprocess.run([BRIDGE], env={"SCARAB_SOCKET": ""}, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=DEADLINE)
    check("also where it is empty", b"/run/agentd/agentd.sock" in ended.stderr, ended.stderr)
    with open(path, "w"):
        pass
    ended = subprocess.run([BRIDGE], env={"SCARAB_SOCKET": path}, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=DEADLINE)
    check("a file in its place: status 1", ended.returncode == 1 and b"refused" in ended.stderr, ended.stderr)


for test in (both_ways, upwards, signals, nobody_reads, gone, socket_pairs, no_socket):
    test()
sys.exit(failed != 0)
