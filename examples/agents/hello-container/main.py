"""The smallest agent that does all that one does: it is told what for, remembers, calls a tool and reports.

The same agent in Rust, Python and for Node.js is beside it; this one is in an image. The task "wait"
waits until the session is ended.
"""

import json
import os
import pathlib
import signal
import sys

import libagent

TOOL = "survey__summarise"


def visits():
    """How often it ran: what lies in its home is there again in the next session."""
    file = pathlib.Path.home() / "visits"
    count = int(file.read_text()) + 1 if file.exists() else 1
    file.write_text("%d\n" % count)
    return count


def main():
    with libagent.connect() as agent:
        mission = json.loads(agent.mission())
        count = visits()
        print("hello from %s, visit %d: %s" % (os.environ["AGENT_NAME"], count, mission["task"]))
        if mission["task"] == "wait":
            signal.pause()
        answer = agent.call(TOOL, {"path": "/context"}, timeout=60)
        print(answer.text)
        agent.result({"task": mission["task"], "visits": count, "summary": answer.value})
        return 1 if answer.is_error else 0


sys.exit(main())
