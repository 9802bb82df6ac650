"""The connection: lines out and in, with a deadline and a way to interrupt.

Nothing waits but line(), which also sends what is still to be sent, so that two peers that both
write first cannot wait for each other. What is left of a request that was given up is sent ahead
of the next.
"""

import select
import socket
import time

from ._error import AgentError

READ_BYTES = 64 << 10


def _gone():
    return AgentError("closed", "the runtime closed the connection")


class Wire:
    def __init__(self, answer_max, unsent_max):
        self._socket = None
        self._in = bytearray()
        self._out = bytearray()
        self._searched = 0
        self._answer_max = answer_max
        self._unsent_max = unsent_max

    def open(self, path, deadline):
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.setblocking(False)
        while True:
            try:
                self._socket.connect(path)
                return
            except BlockingIOError:
                # The backlog is full, and nobody tells when it no longer is.
                if time.monotonic() >= deadline:
                    raise
                time.sleep(0.01)

    def close(self):
        if self._socket:
            self._socket.close()
        self._socket = None
        self._in.clear()
        self._out.clear()
        self._searched = 0

    def _flush(self):
        try:
            while self._out:
                sent = self._socket.send(self._out[: 1 << 20])
                del self._out[:sent]
        except BlockingIOError:
            pass
        except OSError:
            # What the peer has sent before it closed is still to be read: line() tells.
            pass

    def send(self, line):
        if not self._socket:
            raise _gone()
        self._out += line.encode()
        self._out += b"\n"
        self._flush()
        if len(self._out) > self._unsent_max:
            raise _gone()

    def _next(self):
        """A whole line that has been read already and is not blank, or None."""
        while True:
            end = self._in.find(b"\n", self._searched)
            if end < 0:
                self._searched = len(self._in)
                return None
            line = bytes(self._in[:end]).rstrip(b"\r \t")
            del self._in[: end + 1]
            self._searched = 0
            if line:
                return line

    def _wait(self, deadline, interrupt):
        poll = select.poll()
        poll.register(self._socket, select.POLLIN | (select.POLLOUT if self._out else 0))
        if interrupt is not None:
            poll.register(interrupt, select.POLLIN)
        # Rounded up, so that the deadline has passed when it returns.
        left = None if deadline is None else max(0, int((deadline - time.monotonic()) * 1000 + 1))
        if left is not None and time.monotonic() >= deadline:
            left = 0
        ready = [fd for fd, _ in poll.poll(left)]
        if interrupt is not None and interrupt in ready:
            raise AgentError("cancelled", "cancelled")
        if not ready:
            raise AgentError("timeout", "no answer in time")

    def _fill(self):
        if len(self._in) > self._answer_max:
            raise AgentError("protocol", "the runtime sent what is no message")
        try:
            got = self._socket.recv(READ_BYTES if len(self._in) < READ_BYTES else 1 << 20)
        except BlockingIOError:
            return
        except OSError:
            raise _gone() from None
        if not got:
            raise _gone()
        self._in += got

    def line(self, deadline, interrupt):
        """The next line that is not blank. deadline: on time.monotonic(), or None."""
        while True:
            line = self._next()
            if line is not None:
                return line
            if not self._socket:
                raise _gone()
            self._wait(deadline, interrupt)
            self._flush()
            self._fill()
