#!/usr/bin/env python3
"""An agent's socket as it should be, and as it should not: fake_server.py SOCKET TRANSCRIPT.
With --plugin instead, the same tools as a plugin, over standard input and output.

Serves one connection after the other until it is killed. What clients send is written to TRANSCRIPT,
one line of theirs a line (long ones by length and remainder), so that it can be compared. Each tool is one
way to answer; clients tell none of them from a plugin's.
"""
import json
import os
import socket
import sys
import time

RESULT = '{"jsonrpc":"2.0","id":%s,"result":%s}'


def text_result(text, more=""):
    return '{"content":[{"type":"text","text":%s}]%s}' % (json.dumps(text), more)


def structured(value):
    """As the runtime's own tools answer."""
    return text_result(value, ',"structuredContent":' + value)


class Gone(Exception):
    pass


class Connection:
    def __init__(self, peer, transcript):
        """peer None: standard input and output, and no transcript."""
        self.peer = peer
        self.stream = peer.makefile("rb") if peer else sys.stdin.buffer
        self.transcript = transcript
        self.late = []  # lines that are sent before the next answer
        self.notes = []  # what the client said since the last report

    def send(self, *lines):
        for line in lines:
            self.raw(line.encode("utf-8", "surrogatepass") + b"\n")

    def raw(self, text):
        if self.peer:
            self.peer.sendall(text)
        else:
            sys.stdout.buffer.write(text)
            sys.stdout.buffer.flush()

    def end(self):
        if not self.peer:
            sys.exit(0)
        self.peer.shutdown(socket.SHUT_WR)

    def answer(self, request, result):
        self.send(*self.late)
        self.late.clear()
        self.send(RESULT % (json.dumps(request["id"]), result))

    def read(self):
        line = self.stream.readline()
        if not line:
            raise Gone
        text = line.decode().rstrip("\n")
        if not self.transcript:
            pass
        elif len(text) > 400:
            self.transcript.write("%d bytes, remainder %d\n" % (len(line) - 1, remainder(line[:-1])))
        else:
            self.transcript.write(text + "\n")
        if self.transcript:
            self.transcript.flush()
        message = json.loads(text)
        message["raw"] = text
        return message

    def until(self, method):
        """What the client sends next that is this notification; the rest is noted."""
        while True:
            message = self.read()
            if message.get("method") == method:
                return message
            self.take(message)

    def progress(self, request, *values):
        token = request["params"].get("_meta", {}).get("progressToken")
        for value in values:
            if token is not None:
                params = '{"progressToken":%s,%s}' % (json.dumps(token), value)
                self.send('{"jsonrpc":"2.0","method":"notifications/progress","params":%s}' % params)

    def take(self, message):
        method = message.get("method")
        if method == "initialize":
            wanted = os.environ.get("FAKE_REVISION", message["params"]["protocolVersion"])
            self.answer(
                message,
                '{"protocolVersion":"%s","capabilities":{"tools":{"listChanged":true}},'
                '"serverInfo":{"name":"fake","version":"1"}}' % wanted,
            )
        elif method == "tools/list" and not self.peer:
            self.answer(message, every_tool())
        elif method == "tools/list":
            self.answer(message, page(message.get("params", {}).get("cursor")))
        elif method == "tools/call":
            name = message["params"]["name"]
            tool = TOOLS.get(name)
            if tool:
                tool(self, message)
            else:
                self.send(
                    '{"jsonrpc":"2.0","id":%d,"error":{"code":-32602,"message":"Unknown tool: %s"}}'
                    % (message["id"], name)
                )
        elif method == "notifications/cancelled":
            self.notes.append("cancelled " + message["params"].get("reason", ""))
        elif "result" in message:
            self.notes.append("answered " + json.dumps(message["id"]))
        elif "error" in message:
            self.notes.append("refused %s" % message["error"]["code"])


def remainder(data):
    """As the drivers print it: the bytes as one big number, modulo a prime."""
    return int.from_bytes(data, "big") % 2147483647


def page(cursor):
    """Two pages; the empty string is a cursor."""
    if cursor is None:
        return (
            '{"tools":[{"name":"echo","description":"Says \\"it\\" again",'
            '"inputSchema":{"type":"object"}}],"nextCursor":""}'
        )
    return (
        '{"tools":[ {"name":"w\\u00f6rter","inputSchema":{"type":"object","n":9007199254740993}},'
        '{"description":"","name":"mute","annotations":{"readOnlyHint":true}} ]}'
    )


def every_tool():
    """What a broker asks for: it calls no tool that was not listed."""
    names = [name for name in TOOLS if not name.startswith("agentd__")]
    return '{"tools":[%s]}' % ",".join('{"name":"%s","inputSchema":{"type":"object"}}' % name for name in names)


# --- tools ---------------------------------------------------------------------------------------

TOOLS = {}


def tool(function):
    TOOLS[function.__name__] = function
    return function


@tool
def echo(connection, request):
    """The arguments as they came."""
    at = request["raw"].index('"arguments":') + len('"arguments":')
    _, end = json.JSONDecoder().raw_decode(request["raw"], at)
    connection.answer(request, text_result("", ',"structuredContent":' + request["raw"][at:end]))


@tool
def texts(connection, request):
    connection.answer(
        request,
        '{"content":[{"type":"text","text":"a\\u0000b"},{"type":"image","data":"AA==","mimeType":'
        '"image/png"},{"text":"\\ud83e\\udeb2 \\ud800 \\u00e9","type":"text"}],"isError":false}',
    )


@tool
def numbers(connection, request):
    connection.answer(request, '{"content":[],"structuredContent":{"n":9007199254740993,"x":1.50e+400}}')


@tool
def blanks(connection, request):
    """CRLF, empty lines, blanks, members in another order."""
    connection.raw(b"\r\n\n  \n")
    connection.raw(b'{ "result" : { "content" : [ ] } , "id" : %d , "jsonrpc":"2.0" } \r\n\r\n' % request["id"])


@tool
def twice(connection, request):
    """A member of one name twice: the last one counts."""
    connection.answer(request, '{"content":[],"isError":false,"isError":true}')


@tool
def huge(connection, request):
    connection.answer(request, text_result("x" * request["params"]["arguments"]["bytes"]))


@tool
def drip(connection, request):
    """In pieces of a byte each, two messages in one of them."""
    line = RESULT % (request["id"], text_result("drip"))
    both = '{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}\n' + line + "\n"
    for byte in both.encode():
        connection.raw(bytes([byte]))


@tool
def fails(connection, request):
    connection.answer(request, text_result("the disk is full", ',"isError":true'))


@tool
def refuses(connection, request):
    connection.send(
        '{"jsonrpc":"2.0","id":%d,"error":{"code":-32603,"message":"no \\u201cway\\u201d","data":[1]}}'
        % request["id"]
    )


@tool
def counts(connection, request):
    """Three steps of progress, one of somebody else's call, one without a total."""
    connection.progress(request, '"progress":1,"total":3,"message":"one"', '"progress":2.5,"total":3')
    connection.send('{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"x","progress":9}}')
    connection.send('{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":7777,"progress":9}}')
    connection.progress(request, '"progress":3')
    connection.answer(request, text_result("counted"))


@tool
def waits(connection, request):
    """Answers when the call is cancelled: too late."""
    connection.progress(request, '"progress":1')
    connection.until("notifications/cancelled")
    connection.notes.append("cancelled")
    connection.late.append(RESULT % (request["id"], text_result("too late")))


@tool
def noise(connection, request):
    """Answers, and then says 8 MiB before it reads anything: who only writes meanwhile waits for ever."""
    connection.answer(request, text_result("and now"))
    note = '{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"%s"}}' % ("z" * 65000)
    connection.send(*[note] * 129)


@tool
def stalls(connection, request):
    """Answers, and then reads nothing until the file RELEASE exists."""
    connection.answer(request, text_result("stalled"))
    while not os.path.exists(os.environ["RELEASE"]):
        time.sleep(0.01)
    os.unlink(os.environ["RELEASE"])


@tool
def strangers(connection, request):
    """Replies to nothing, with ids of every kind, before the one that was asked for."""
    for number in ("7777", '"%d"' % request["id"], "null", "%d.0" % request["id"], "-1", "true", "[]"):
        connection.send(RESULT % (number, text_result("stranger")))
    connection.send('{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error"}}')
    connection.answer(request, text_result("mine"))


@tool
def asks(connection, request):
    """Pings, with ids of the server's own, and asks for what was never offered."""
    connection.send('{"jsonrpc":"2.0","id":0,"method":"ping"}')
    connection.send('{"jsonrpc":"2.0","id":"a\\"b","method":"ping"}')
    connection.send('{"jsonrpc":"2.0","id":1,"method":"roots/list"}')
    for _ in range(3):
        connection.take(connection.read())
    connection.answer(request, text_result(", ".join(connection.notes)))
    connection.notes.clear()


@tool
def report(connection, request):
    connection.answer(request, text_result(", ".join(connection.notes)))
    connection.notes.clear()


def breaking(name, line, end=b"\n"):
    def function(connection, request):
        connection.raw(line.replace(b"ID", b"%d" % request["id"]) + end)
        connection.end()

    TOOLS[name] = function


breaking("closes", b"", b"")
breaking("half_line", b'{"jsonrpc":"2.0","id":ID,"resu', b"")
breaking("no_json", b"Segmentation fault")
breaking("no_utf8", b'{"jsonrpc":"2.0","id":ID,"result":{"content":[],"x":"\xc3\x28"}}')
breaking("control", b'{"jsonrpc":"2.0","id":ID,"result":{"content":[],"x":"\x01"}}')
breaking("trailing", b'{"jsonrpc":"2.0","id":ID,"result":{"content":[]}}}')
breaking("too_deep", b'{"jsonrpc":"2.0","id":ID,"result":{"content":' + b"[" * 127 + b"]" * 127 + b"}}")
breaking("batch", b'[{"jsonrpc":"2.0","id":ID,"result":{"content":[]}}]')
breaking("no_result", b'{"jsonrpc":"2.0","id":ID}')
breaking("no_object", b'{"jsonrpc":"2.0","id":ID,"result":[]}')
breaking("nan", b'{"jsonrpc":"2.0","id":ID,"result":{"content":[],"x":NaN}}')


@tool
def deep(connection, request):
    """As deep as is still read: 126 arrays in two objects."""
    connection.answer(request, '{"content":%s%s}' % ("[" * 126, "]" * 126))


# --- the runtime's own ---------------------------------------------------------------------------


@tool
def agentd__mission(connection, request):
    connection.answer(request, structured('{"version":1,"task":"say \\"hi\\"","plugins":[]}'))


@tool
def agentd__observe(connection, request):
    connection.answer(request, structured('{"recorded":true}'))


@tool
def agentd__transition(connection, request):
    state = request["params"]["arguments"]["state"]
    if state not in ("plan", "act", "observe"):
        connection.answer(request, text_result('there is no state "%s"' % state, ',"isError":true'))
    else:
        connection.answer(request, structured('{"state":"%s","previous":null}' % state))


@tool
def agentd__result(connection, request):
    connection.answer(request, structured('{"stored":true}'))


@tool
def agentd__emit_event(connection, request):
    connection.answer(request, structured('{"emitted":true}'))


def serve(connection):
    try:
        while True:
            connection.take(connection.read())
    except (Gone, ConnectionError):
        pass


def main():
    if sys.argv[1] == "--plugin":
        serve(Connection(None, None))
        return
    path, transcript = sys.argv[1:3]
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    with open(transcript, "w", encoding="utf-8") as written:
        while True:
            peer, _ = listener.accept()
            connection = Connection(peer, written)
            written.write("--- connected\n")
            serve(connection)
            written.write("--- gone\n")
            written.flush()
            peer.close()


main()
