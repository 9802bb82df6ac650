#!/usr/bin/env python3
"""What answers look like, as bytes: lines.py REQUESTS [COMMAND...].

Sends each line of REQUESTS, one after the other, to COMMAND's standard input, or without COMMAND to the
agent's socket, and prints for each "ID BYTES SHA-256" of the line that answers it. The answer to
tools/list is taken apart: "tool BYTES SHA-256" of each definition, in the order of their names and without the
runtime's own. Two lists of such lines are equal where every byte is.
"""
import hashlib
import json
import os
import socket
import subprocess
import sys

INITIALIZE = {
    "jsonrpc": "2.0", "id": "greeting", "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "lines", "version": "1"}},
}


def connect(command):
    """Two binary files: what we say, what we are told."""
    if command:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return process.stdin, process.stdout
    peer = socket.socket(socket.AF_UNIX)
    peer.connect(os.environ["SCARAB_SOCKET"])
    stream = peer.makefile("rwb")
    return stream, stream


def answer(told, number):
    """The line that answers this id, without its end."""
    for line in told:
        message = json.loads(line)
        if "method" not in message and message.get("id") == number and type(message["id"]) is type(number):
            return line.rstrip(b"\r\n")
    sys.exit("the connection ended")


def show(name, data):
    print(name, len(data), hashlib.sha256(data).hexdigest())


def definitions(line):
    """Name and bytes of each tool of a tools/list."""
    text = line.decode()
    at = text.index('"tools":[') + len('"tools":[')
    while text[at] != "]":
        tool, end = json.JSONDecoder().raw_decode(text, at)
        yield tool["name"], text[at:end].encode()
        at = end + (text[end] == ",")


def main():
    say, told = connect(sys.argv[2:])

    def send(data):
        say.write(data + b"\n")
        say.flush()

    send(json.dumps(INITIALIZE).encode())
    answer(told, "greeting")
    send(b'{"jsonrpc":"2.0","method":"notifications/initialized"}')
    with open(sys.argv[1], "rb") as requests:
        for request in requests:
            message = json.loads(request)
            send(request.rstrip(b"\n"))
            line = answer(told, message["id"])
            if message["method"] != "tools/list":
                show(json.dumps(message["id"]), line)
                continue
            for name, definition in sorted(definitions(line)):
                if not name.startswith("agentd__"):
                    show(name, definition)


main()
