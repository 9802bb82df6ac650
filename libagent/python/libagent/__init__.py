"""What an agent says to the runtime that runs it, and the tools that it was given.

    import libagent

    with libagent.connect() as agent:
        answer = agent.call("fs__read_file", {"path": "/context/a"})
        print(answer.text)

The functions of the C library and of the Rust crate have the same names and do the same;
libagent(3) describes all three. Times are seconds here.

JSON comes out as the text that travels, so that no number is rounded and no escape is lost
(``answer.json``), and as Python values for who wants those (``answer.value``). What goes in is
Python values, or ``Json("...")`` for text that is JSON already.

One ``Agent`` is one connection and belongs to one thread at a time. ``Cancel.fire()`` and ``log()``
may be called from any thread.
"""

from ._agent import (
    ANSWER_MAX,
    ARGUMENTS_MAX,
    CONNECT_SECONDS,
    PAGES_MAX,
    Agent,
    Answer,
    Cancel,
    Progress,
    Tool,
    connect,
    log,
)
from ._error import AgentError
from ._json import DEPTH_MAX, Json

__version__ = "0.1.0"
__all__ = [
    "ANSWER_MAX",
    "ARGUMENTS_MAX",
    "CONNECT_SECONDS",
    "DEPTH_MAX",
    "PAGES_MAX",
    "Agent",
    "AgentError",
    "Answer",
    "Cancel",
    "Json",
    "Progress",
    "Tool",
    "connect",
    "log",
]
