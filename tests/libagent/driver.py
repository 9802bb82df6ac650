#!/usr/bin/env python3
"""Does the steps of a script with the Python module: see steps.txt."""
import os
import sys
import threading

import libagent
from libagent import Json

SHOWN = 300


def show(title, text):
    data = text.encode()
    if len(data) > SHOWN:
        remainder = int.from_bytes(data, "big") % 2147483647
        print("%s %d bytes, remainder %d" % (title, len(data), remainder))
    else:
        print(title, "".join(c if c >= " " else "\\x%02x" % ord(c) for c in text))


def show_error(error):
    told = {"refused": " %d %s" % (error.code, error.text), "failed": " " + error.text}
    print("error " + error.status + told.get(error.status, ""))


def call(agent, tool, arguments, *options):
    values = dict(option.partition("=")[::2] for option in options)
    cancel = libagent.Cancel()
    seen = 0

    def progress(told):
        nonlocal seen
        seen += 1
        print("progress %g/%g %s" % (told.progress, told.total, told.message or "-"))
        if seen == int(values.get("fire", 0)):
            threading.Thread(target=cancel.fire).start()
        return seen != int(values.get("stop", 0))

    if "fired" in values:
        cancel.fire()
    watched = {"progress", "stop", "fire"} & set(values)
    try:
        answer = agent.call(
            tool,
            Json(arguments),
            timeout=int(values.get("timeout", 0)) / 1000,
            progress=progress if watched else None,
            cancel=cancel,
        )
    finally:
        cancel.close()
    show("answer", answer.json)
    show("text", answer.text)
    if answer.structured is not None:
        show("structured", answer.structured)
    print("failed", "true" if answer.is_error else "false")


def json_or_none(text):
    return None if text is None else Json(text)


def step(agent, verb, *fields):
    field = list(fields) + [None] * 4
    if verb == "tools":
        tools = agent.tools()
        for tool in tools:
            print("tool %s | %s | %s" % (tool.name, tool.description, tool.json))
        print("tools", len(tools))
    elif verb == "mission":
        show("mission", agent.mission())
    elif verb == "call":
        call(agent, *fields)
    elif verb == "big":
        call(agent, field[0], '{"x":"' + "x" * (int(field[1]) - 8) + '"}', *fields[2:])
    elif verb == "release":
        open(os.environ["RELEASE"], "w", encoding="utf-8").close()
    elif verb == "log":
        libagent.log(field[0], field[1])
    else:
        if verb == "observe":
            agent.observe(field[0], json_or_none(field[1]))
        elif verb == "transition":
            agent.transition(field[0], field[1])
        elif verb == "result":
            agent.result(Json(field[0]))
        elif verb == "emit_event":
            agent.emit_event(field[0], json_or_none(field[1]), field[2])
        print("ok")


def main():
    agent = None
    sys.stdout.reconfigure(line_buffering=True, errors="surrogateescape")
    for line in sys.stdin:
        line = line.rstrip("\n")
        if not line or line.startswith("#"):
            continue
        print("> " + line)
        fields = [field.replace("\\n|", "\n") for field in line.split("\t")]
        try:
            if fields[0] == "connect":
                if agent:
                    agent.close()
                agent = libagent.connect()
                print("ok")
            else:
                step(agent, *fields)
        except libagent.AgentError as error:
            show_error(error)


main()
