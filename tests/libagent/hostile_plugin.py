#!/usr/bin/env python3
"""A plugin that does what none should: hostile_plugin.py HOW [FILE]. Limits itself: it ends after a
minute, whatever it was told to do, and so does all that it starts. In a session its tool is x."""
import json
import os
import signal
import sys
import threading
import time

HOW = sys.argv[1]
LIFE = 60
CALLS = []
out = sys.stdout.buffer


def raw(text):
    out.write(text if isinstance(text, bytes) else text.encode())
    out.flush()


def send(message):
    raw(json.dumps(dict(message, jsonrpc="2.0")) + "\n")


def sleep_for_good():
    time.sleep(LIFE)
    os._exit(0)


def fork_away(path):
    """A daemon as they are made: twice forked, a session of its own, deaf to SIGTERM."""
    read, write = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            with open(path, "w", encoding="utf-8") as file:
                file.write(str(os.getpid()))
            os.write(write, b"x")
            sleep_for_good()
        os._exit(0)
    os.read(read, 1)


def before_greeting():
    if HOW == "exits":
        sys.exit(3)
    if HOW == "killed":
        os.kill(os.getpid(), signal.SIGSEGV)
    if HOW == "garbage":
        for _ in range(100):
            raw("Debugger listening on ws://127.0.0.1:9229\n")
        sleep_for_good()
    if HOW == "chatty":
        raw("starting up\r\n\n")
    if HOW == "closes_output":
        os.close(1)
        sleep_for_good()
    if HOW == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if HOW == "forks":
        fork_away(sys.argv[2])


def call(request):
    number = request["id"]
    result = {"content": [{"type": "text", "text": "done\x1b[31m"}]}
    if HOW == "silent":
        return
    if HOW == "dies":
        sys.exit(4)
    if HOW == "half_line":
        raw('{"jsonrpc":"2.0","id":%d,"resu' % number)
        sys.exit(0)
    if HOW == "big_line":
        for _ in range(100):
            raw(b"x" * (1 << 20))
        sleep_for_good()
    if HOW == "no_utf8":
        raw(b'{"jsonrpc":"2.0","id":%d,"result":{"content":"\xff"}}\n' % number)
        return
    if HOW == "deep":
        raw('{"jsonrpc":"2.0","id":%d,"result":{"content":%s%s}}\n' % (number, "[" * 100000, "]" * 100000))
        return
    if HOW == "storm":
        token = request["params"].get("_meta", {}).get("progressToken")
        params = json.dumps({} if token is None else {"progressToken": token, "progress": 1})
        end = time.monotonic() + LIFE
        while time.monotonic() < end:
            raw('{"jsonrpc":"2.0","method":"notifications/progress","params":%s}\n' % params * 1000)
    if HOW == "strangers":
        for stranger in (number + 1, str(number), None, -1):
            send({"id": stranger, "result": {"content": [{"type": "text", "text": "wrong"}]}})
    if HOW == "asks":
        send({"id": 0, "method": "ping"})
        send({"id": number, "method": "roots/list"})
        result["content"][0]["text"] = sys.stdin.readline() + sys.stdin.readline()
    if HOW == "no_result":
        send({"id": number})
        return
    if HOW == "twice":
        send({"id": number, "result": result})
    if HOW == "changes":
        CALLS.append(number)
        send({"method": "notifications/tools/list_changed"})
        send({"method": "notifications/tools/list_changed"})
    if HOW == "names":
        result["content"][0]["text"] = "of names: " + request["params"]["name"]
    if HOW == "fails":
        result["isError"] = True
    if HOW == "refuses":
        send({"id": number, "error": {"code": -32000, "message": "no \x1b[31mway"}})
        return
    send({"id": number, "result": result})


def flood():
    end = time.monotonic() + LIFE
    while time.monotonic() < end:
        raw('{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"x"}}\n' * 1000)


def page(request):
    tools = [{"name": "a b/c"}, {"name": "long-" + "x" * 60, "inputSchema": {}}]
    if "SCARAB_PLUGIN" in os.environ:
        tools = [{"name": "x", "description": "called %d times" % len(CALLS), "inputSchema": {"type": "object"}}]
    if HOW == "names":
        tools += [{"name": name, "inputSchema": {}} for name in ("good__echo", "agentd__result", "echo")]
    if HOW == "endless":
        return {"tools": [], "nextCursor": "again"}
    if HOW == "many":
        return {"tools": [{"name": "t%d" % i, "inputSchema": {}} for i in range(10001)]}
    if HOW == "nameless":
        return {"tools": [{"inputSchema": {}}]}
    if HOW == "no_list":
        return {"tools": {}}
    if HOW == "two_pages" and "params" not in request:
        return {"tools": tools[:1], "nextCursor": ""}
    return {"tools": tools[1:] if HOW == "two_pages" else tools}


def main():
    before_greeting()
    while True:
        line = sys.stdin.readline()
        if not line:
            break
        request = json.loads(line)
        if "id" not in request:
            continue
        if request["method"] == "initialize":
            revision = {"future": "2099-01-01", "no_revision": 7}.get(HOW, "2025-11-25")
            if HOW == "half_greeting":
                raw('{"jsonrpc":"2.0","id":%d,"result":{"protocolV' % request["id"])
                break
            send({"id": request["id"], "result": {
                "protocolVersion": revision, "capabilities": {"tools": {}}, "serverInfo": {"name": "hostile", "version": "0"}}})
            if HOW == "never_reads":
                sleep_for_good()
        elif request["method"] == "tools/list":
            send({"id": request["id"], "result": page(request)})
            if HOW == "stops_reading":
                sleep_for_good()
            if HOW == "flood":
                threading.Thread(target=flood, daemon=True).start()
        elif request["method"] == "tools/call":
            call(request)
    if HOW in ("no_eof", "deaf"):
        sleep_for_good()


if HOW != "forks":
    watchdog = threading.Timer(LIFE, os._exit, [9])
    watchdog.daemon = True
    watchdog.start()
main()
os._exit(0)
