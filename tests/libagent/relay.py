#!/usr/bin/env python3
"""An agent's socket with one real plugin behind it and the runtime's own tools, without a runtime:
relay.py SOCKET NOTES MISSION SERVER COMMAND...

What the agent observes, stores and emits goes to NOTES, one JSON object a line. It is no broker: one
call at a time, nothing checked. What it serves is what tests of agents need.
"""
import json
import socket
import subprocess
import sys

SOCKET, NOTES, MISSION, SERVER = sys.argv[1:5]
OWN = ("mission", "observe", "transition", "result", "emit_event")


class Plugin:
    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.ask(0, "initialize", {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {}}, None)
        self.write({"method": "notifications/initialized"})

    def write(self, message):
        self.process.stdin.write(json.dumps(dict(message, jsonrpc="2.0")).encode() + b"\n")
        self.process.stdin.flush()

    def ask(self, number, method, params, on):
        """The result; notifications meanwhile go to on."""
        self.write({"id": number, "method": method, "params": params})
        while True:
            message = json.loads(self.process.stdout.readline())
            if message.get("id") == number and "method" not in message:
                return message
            if on:
                on(message)


def own(name, arguments, notes):
    if name == "mission":
        return json.loads(MISSION)
    notes.write(json.dumps(dict(arguments, tool=name)) + "\n")
    notes.flush()
    return {"done": True}


def serve(peer, plugin, notes):
    stream = peer.makefile("rwb", buffering=0)

    def send(message):
        stream.write(json.dumps(dict(message, jsonrpc="2.0")).encode() + b"\n")

    for line in peer.makefile("rb"):
        request = json.loads(line)
        number, method, params = request.get("id"), request["method"], request.get("params", {})
        if method == "initialize":
            send({"id": number, "result": {"protocolVersion": params["protocolVersion"], "capabilities": {},
                                           "serverInfo": {"name": "relay", "version": "0"}}})
        elif method == "tools/list":
            tools = plugin.ask(number, method, {}, send)["result"]["tools"]
            tools = [dict(tool, name="%s__%s" % (SERVER, tool["name"])) for tool in tools]
            tools += [{"name": "agentd__" + name, "inputSchema": {}} for name in OWN]
            send({"id": number, "result": {"tools": tools}})
        elif method == "tools/call":
            server, _, name = params["name"].partition("__")
            if server == "agentd" and name in OWN:
                value = own(name, params["arguments"], notes)
                send({"id": number, "result": {"content": [{"type": "text", "text": json.dumps(value)}],
                                               "structuredContent": value}})
            else:
                answer = plugin.ask(number, method, dict(params, name=name), send)
                send(answer)


def main():
    plugin = Plugin(sys.argv[5:])
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(SOCKET)
    listener.listen()
    with open(NOTES, "w", encoding="utf-8") as notes:
        while True:
            peer, _ = listener.accept()
            try:
                serve(peer, plugin, notes)
            except (ConnectionError, BrokenPipeError):
                pass
            peer.close()


main()
