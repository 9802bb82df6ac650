#!/usr/bin/env python3
"""What an agent may meet, and what one may do: hostile_agent.py MODE [PLUGIN...].

  plugins   calls the tool x of each plugin, all at the same time, and meanwhile good__echo; prints
            what came of each
  agent     does what no client should, each on connections of its own, and meanwhile calls good__echo;
            prints what came of each
  neighbour calls good__echo until the gate opens, and prints how many calls failed

good__echo is called with a deadline of its plugin's: a late answer is a failed one. At the end all of
them wait at /context/gate/fifo, so that what they cost can be looked at.
"""
import json
import socket
import sys
import threading

sys.path.insert(0, sys.argv[0].rpartition("/")[0])
import libagent  # noqa: E402

SOCKET = "/run/agentd/agentd.sock"
PATIENCE = 5  # seconds, for calls that nobody will answer
INITIALIZE = (
    b'{"jsonrpc":"2.0","id":"i","method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},'
    b'"clientInfo":{"name":"hostile","version":"0"}}}\n'
)
CALL = b'{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"good__echo","arguments":{"x":"%s"}}}\n'
PING = b'{"jsonrpc":"2.0","id":"ping","method":"ping"}\n'
opened = threading.Event()


def gate():
    with open("/context/gate/fifo", encoding="utf-8") as fifo:
        fifo.read()
    opened.set()


def good(agent, number):
    answer = agent.call("good__echo", {"n": number})
    return not answer.is_error and '"n": %d' % number in answer.text.replace('"n":', '"n": ').replace("  ", " ")


def count_good(times):
    """How many of so many calls failed."""
    with libagent.connect() as agent:
        return sum(not good(agent, number) for number in range(times))


# --- plugins ---------------------------------------------------------------------------------------


def call_plugin(name):
    try:
        with libagent.connect() as agent:
            answer = agent.call(name + "__x", {"x": "x" * (1 << 20)}, timeout=PATIENCE, progress=lambda step: None)
            return ("failed: " if answer.is_error else "answered: ") + answer.text
    except libagent.AgentError as error:
        return "error: %s %s" % (error.status, error.text)


# --- the agent ---------------------------------------------------------------------------------------


class Raw:
    """A connection that says what it likes."""

    def __init__(self, greeting=INITIALIZE):
        self.peer = socket.socket(socket.AF_UNIX)
        self.peer.connect(SOCKET)
        self.peer.settimeout(60)
        self.lines = self.peer.makefile("rb")
        if greeting:
            self.say(greeting)
            self.lines.readline()

    def say(self, data):
        try:
            self.peer.sendall(data)
        except ConnectionError:
            pass

    def answer(self):
        """In a word: the error's code, "result" or "closed"."""
        try:
            line = self.lines.readline()
        except ConnectionError:
            line = b""
        if not line:
            return "closed"
        message = json.loads(line)
        return str(message["error"]["code"]) if "error" in message else "result"

    def fill(self, data):
        """Writes until nobody takes it any more; never reads."""
        self.peer.settimeout(1)
        try:
            for _ in range(200000):
                self.peer.sendall(data)
        except (TimeoutError, ConnectionError):
            pass


def one_line(data):
    def do():
        raw = Raw()
        raw.say(data + b"\n" + PING)
        return raw.answer()

    return do


def floods():
    raw = Raw()
    raw.fill(b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}\n' * 100)
    return "ended"


def never_reads():
    raw = Raw()
    raw.fill(CALL % (1, b"x" * 1000000))
    return "ended"


def half_line():
    raw = Raw()
    raw.say(PING[:20])
    raw.peer.shutdown(socket.SHUT_WR)
    return raw.answer()


def hundred():
    raw = Raw()
    raw.say(CALL[:60] + b'","arguments":{"x":"')
    for _ in range(100):
        raw.say(b"x" * 1000000)
    raw.say(b'"}}}\n' + PING)
    return raw.answer()


def id_reuse():
    raw = Raw()
    raw.say((CALL % (7, b"one")) * 2)
    return " ".join(sorted([raw.answer(), raw.answer()]))


def storm(data):
    def do():
        raw = Raw()
        for _ in range(100):
            raw.say(data * 1000)
        raw.say(PING)
        return raw.answer()

    return do


def closing():
    """At every point of a conversation."""
    talk = INITIALIZE + b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n' + CALL % (1, b"y") + PING
    for length in range(0, len(talk) + 1, 3):
        raw = Raw(None)
        raw.say(talk[:length])
        raw.peer.close()
    return "ended"


def many():
    """More connections than are taken: those are told so, or wait, and are given up."""
    raws = []
    try:
        for _ in range(200):
            peer = socket.socket(socket.AF_UNIX)
            peer.settimeout(0.2)
            peer.connect(SOCKET)
            raws.append(peer)
    except OSError:
        pass
    for peer in raws:
        peer.close()
    return "ended"


DEEDS = {
    "no_utf8": one_line(b'{"jsonrpc":"2.0","id":1,"method":"\xff"}'),
    "deep": one_line(b'{"jsonrpc":"2.0","id":1,"method":"ping","params":' + b"[" * 100000 + b"]" * 100000 + b"}"),
    "no_json": one_line(b"GET / HTTP/1.1"),
    "batch": one_line(b"[" + PING.strip() + b"]"),
    "strange_id": one_line(b'{"jsonrpc":"2.0","id":[1],"method":"ping"}'),
    "replies": storm(b'{"jsonrpc":"2.0","id":1,"result":{}}\n'),
    "progress": storm(b'{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}\n'),
    "cancels": storm(b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}\n'),
    "half_line": half_line,
    "hundred": hundred,
    "id_reuse": id_reuse,
    "closing": closing,
    "floods": floods,
    "never_reads": never_reads,
}


def at_once(deeds):
    """Each in a thread; prints "NAME: OUTCOME"."""

    def one(name, deed):
        print("%s: %s" % (name, " ".join(str(deed()).split())), flush=True)

    threads = [threading.Thread(target=one, args=deed) for deed in deeds.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main():
    mode = sys.argv[1]
    waiting = threading.Thread(target=gate)
    if mode == "neighbour":
        waiting.start()
        calls = failed = 0
        with libagent.connect() as agent:
            while not opened.wait(0.005):  # so that it is no flood itself
                calls += 1
                failed += not good(agent, calls)
        print("neighbour: %d failed of %s" % (failed, "many" if calls > 100 else calls))
        return
    deeds = {name: lambda name=name: call_plugin(name) for name in sys.argv[2:]} if mode == "plugins" else dict(DEEDS)
    deeds["good"] = lambda: count_good(200)
    at_once(deeds)
    if mode == "agent":
        at_once({"many": many})
    print("still good: %d" % count_good(20), flush=True)
    waiting.start()
    waiting.join()


main()
