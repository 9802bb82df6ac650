"""The connection's conversation, tools, and what an agent tells."""

import json
import os
import socket
import time

from . import _json
from ._error import AgentError
from ._json import Json
from ._wire import Wire

CONNECT_SECONDS = 30  # connect() gives up after this
ARGUMENTS_MAX = 8 << 20  # bytes of one request, as the runtime takes them
ANSWER_MAX = 64 << 20  # bytes of one message from the runtime
PAGES_MAX = 1000  # of a list of tools

_DEFAULT_SOCKET = "/run/agentd/agentd.sock"
# Revisions that begin with initialize, the one we ask for first.
_REVISIONS = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
_VERSION = "0.1.0"


class Cancel:
    """Ends calls that wait, from another thread. Once fired it stays so: a call that is given it
    later is not made."""

    def __init__(self):
        self._read, self._write = socket.socketpair()
        self._write.setblocking(False)

    def fire(self):
        try:
            self._write.send(b"x")
        except BlockingIOError:
            pass

    def fired(self):
        try:
            return bool(self._read.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except BlockingIOError:
            return False

    def close(self):
        self._read.close()
        self._write.close()

    def _descriptor(self):
        return self._read.fileno()


class Progress:
    """progress and total (0: not told) are floats, message is text or None."""

    def __init__(self, progress, total, message):
        self.progress = progress
        self.total = total
        self.message = message


class Tool:
    """name is what call() takes, description may be empty, json is the whole definition."""

    def __init__(self, name, description, text):
        self.name = name
        self.description = description
        self.json = text

    @property
    def value(self):
        return json.loads(self.json)


class Answer:
    """json is the result as it came, text its text contents with a newline between, structured the
    text of structuredContent or None. is_error: the tool says that it failed; text says why."""

    def __init__(self, result):
        self.json = result
        self.structured = _json.get(result, "structuredContent")
        self.is_error = _json.get(result, "isError") == "true"
        content = _json.get(result, "content")
        texts = []
        if content and content[0] == "[":
            texts = [_json.string(_json.get(item, "text")) for item in _json.elements(content)]
        self.text = "\n".join(text for text in texts if text is not None)

    @property
    def value(self):
        """structuredContent as Python values, or None."""
        return None if self.structured is None else json.loads(self.structured)


class _Request:
    def __init__(self, number, deadline=None, progress=None, cancel=None):
        self.id = number
        self.deadline = deadline
        self.progress = progress
        self.cancel = cancel


def _number(text, number):
    """Is it this number of ours?"""
    return text == str(number)


def log(level, text):
    """Writes `LEVEL: TEXT` to standard error, which the runtime keeps as the session's log; each
    line of text becomes one. level: "debug", "info", "warning", "error". Needs no connection."""
    lines = text.split("\n")
    if len(lines) > 1 and not lines[-1]:
        lines.pop()
    written = "".join("%s: %s\n" % (level, line) for line in lines)
    # One write: lines of several threads do not mix. Who does not hear the log is not told.
    try:
        os.write(2, written.encode("utf-8", "replace"))
    except OSError:
        pass


def connect():
    """Connects to the socket that SCARAB_SOCKET names, else to /run/agentd/agentd.sock."""
    return Agent.connect()


class Agent:
    """A connection. Made by connect()."""

    def __init__(self):
        self._wire = Wire(ANSWER_MAX, 4 * ARGUMENTS_MAX)
        self._next = 1

    @classmethod
    def connect(cls):
        agent = cls()
        path = os.environ.get("SCARAB_SOCKET") or _DEFAULT_SOCKET
        deadline = time.monotonic() + CONNECT_SECONDS
        try:
            agent._wire.open(path, deadline)
            agent._greet(deadline)
        except OSError as error:
            agent.close()
            text = "cannot connect to the agent's socket %s: %s" % (path, error.strerror or error)
            raise AgentError("unreachable", text) from None
        except AgentError as error:
            agent.close()
            if error.status != "timeout":
                raise
            text = "nobody answers at the agent's socket " + path
            raise AgentError("unreachable", text) from None
        return agent

    def close(self):
        """Calls that were cancelled and not yet answered are forgotten."""
        self._wire.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # --- the conversation ----------------------------------------------------------------------

    def _begin(self):
        number = self._next
        self._next += 1
        return number

    def _greet(self, deadline):
        request = _Request(self._begin(), deadline)
        result = self._exchange(
            request,
            "initialize",
            '{"protocolVersion":"%s","capabilities":{},"clientInfo":{"name":"libagent",'
            '"version":"%s"}}' % (_REVISIONS[0], _VERSION),
        )
        revision = _json.string(_json.get(result, "protocolVersion"))
        if revision not in _REVISIONS:
            text = "the runtime speaks no revision of MCP that libagent knows"
            raise AgentError("protocol", text)
        self._wire.send('{"jsonrpc":"2.0","method":"notifications/initialized"}')

    def _exchange(self, request, method, params=None):
        """Sends a request and waits for the text of its result."""
        more = "" if params is None else ',"params":' + params
        line = '{"jsonrpc":"2.0","id":%d,"method":"%s"%s}' % (request.id, method, more)
        try:
            self._wire.send(line)
            return self._await(request)
        except AgentError as error:
            if error.status in ("timeout", "cancelled"):
                self._cancelled(request, error.status)
            if error.status in ("closed", "protocol"):
                self._wire.close()
            raise
        except BaseException:
            # The progress callback raised, or the program is interrupted: nobody waits any more.
            self._cancelled(request, "cancelled")
            raise

    def _cancelled(self, request, why):
        self._wire.send(
            '{"jsonrpc":"2.0","method":"notifications/cancelled","params":'
            '{"requestId":%d,"reason":"%s"}}' % (request.id, why)
        )

    def _await(self, request):
        interrupt = request.cancel._descriptor() if request.cancel else None
        while True:
            line = self._wire.line(request.deadline, interrupt)
            try:
                message = _json.whole(line.decode())
            except UnicodeDecodeError:
                message = None
            if message is None or message[0] != "{":
                raise AgentError("protocol", "the runtime sent what is no message")
            result = self._take(request, message)
            if result is not None:
                return result

    def _take(self, request, message):
        method = _json.get(message, "method")
        if method and method[0] == '"':
            self._take_method(request, message, method)
            return None
        # An answer that is neither ours nor late is dropped like a late one: it is nobody's.
        if not _number(_json.get(message, "id"), request.id):
            return None
        refusal = _json.get(message, "error")
        if refusal is not None:
            code = _json.get(refusal, "code") or "0"
            text = _json.string(_json.get(refusal, "message")) or ""
            raise AgentError("refused", text, int(code) if code.lstrip("-").isdigit() else 0)
        result = _json.get(message, "result")
        if result is None:
            raise AgentError("protocol", "the runtime sent what is no message")
        return result

    def _take_method(self, request, message, method):
        """A request or a notification. The runtime asks nothing of us but whether we are there."""
        number = _json.get(message, "id")
        if number is not None:
            answer = '"error":{"code":-32601,"message":"Method not found"}'
            if method == '"ping"':
                answer = '"result":{}'
            self._wire.send('{"jsonrpc":"2.0","id":%s,%s}' % (number, answer))
        elif method == '"notifications/progress"' and request.progress:
            self._tell_progress(request, _json.get(message, "params"))

    def _tell_progress(self, request, params):
        try:
            progress = float(_json.get(params, "progress"))
        except (TypeError, ValueError):
            return
        if not _number(_json.get(params, "progressToken"), request.id):
            return
        try:
            total = float(_json.get(params, "total") or 0)
        except ValueError:
            total = 0.0
        message = _json.string(_json.get(params, "message"))
        if request.progress(Progress(progress, total, message)) is False:
            raise AgentError("cancelled", "cancelled")

    # --- tools ---------------------------------------------------------------------------------

    def tools(self):
        """Every tool that can be called now, in the runtime's order."""
        tools, cursor = [], None
        for _ in range(PAGES_MAX):
            params = None if cursor is None else '{"cursor":%s}' % cursor
            page = self._exchange(_Request(self._begin()), "tools/list", params)
            listed = _json.get(page, "tools")
            if not listed or listed[0] != "[":
                raise AgentError("protocol", "the runtime's list of tools is none")
            for definition in _json.elements(listed):
                name = _json.string(_json.get(definition, "name"))
                if name is None:
                    raise AgentError("protocol", "a tool has no name")
                description = _json.string(_json.get(definition, "description"))
                tools.append(Tool(name, description or "", definition))
            cursor = _json.get(page, "nextCursor")
            if not cursor or cursor[0] != '"':
                return tools
        raise AgentError("protocol", "the list of tools does not end")

    def call(self, tool, arguments=None, *, timeout=None, progress=None, cancel=None):
        """Calls a tool and waits for its answer.

        arguments: a dict, or Json text of an object. timeout: seconds for the whole call; None: as
        long as the runtime allows. progress: called with a Progress, in this thread; False cancels
        the call. A call that is given up is cancelled at the runtime as well.
        """
        name = _json.quote(tool, "the tool's name")
        text = "{}" if arguments is None else _json.write(arguments, "arguments")
        if len(text.encode()) + len(tool.encode()) > ARGUMENTS_MAX - 1024:
            why = "the arguments of %s are too long; a request has at most %d bytes"
            raise AgentError("invalid", why % (tool, ARGUMENTS_MAX))
        if text[0] != "{":
            raise AgentError("invalid", "the arguments of %s are no JSON object" % tool)
        if cancel and cancel.fired():
            raise AgentError("cancelled", "cancelled")
        deadline = None if not timeout else time.monotonic() + timeout
        request = _Request(self._begin(), deadline, progress, cancel)
        meta = ',"_meta":{"progressToken":%d}' % request.id if progress else ""
        params = '{"name":%s,"arguments":%s%s}' % (name, text, meta)
        result = self._exchange(request, "tools/call", params)
        if result[0] != "{":
            raise AgentError("protocol", "the answer of a tool is no object")
        return Answer(result)

    # --- the runtime's own ---------------------------------------------------------------------

    def _ask(self, tool, *members):
        arguments = ",".join('"%s":%s' % member for member in members if member[1] is not None)
        answer = self.call("agentd__" + tool, Json("{%s}" % arguments))
        if answer.is_error:
            raise AgentError("failed", answer.text)
        return answer

    def mission(self):
        """Why this session runs: mission.json with the state of the plugins, as JSON text."""
        answer = self._ask("mission")
        # Older revisions of MCP have the text alone.
        return Json(answer.text if answer.structured is None else answer.structured)

    def observe(self, text, data=None):
        """Notes what the agent found."""
        self._ask(
            "observe",
            ("text", _json.quote(text, "text")),
            ("data", None if data is None else _json.write(data, "data")),
        )

    def transition(self, state, reason=None):
        """state: "plan", "act" or "observe"."""
        self._ask(
            "transition",
            ("state", _json.quote(state, "state")),
            ("reason", None if reason is None else _json.quote(reason, "reason")),
        )

    def result(self, value):
        """Stores the session's result. The last one counts."""
        self._ask("result", ("result", _json.write(value, "result")))

    def emit_event(self, type, data=None, subject=None):
        """Emits an event."""
        self._ask(
            "emit_event",
            ("type", _json.quote(type, "type")),
            ("data", None if data is None else _json.write(data, "data")),
            ("subject", None if subject is None else _json.quote(subject, "subject")),
        )

    def log(self, level, text):
        log(level, text)
