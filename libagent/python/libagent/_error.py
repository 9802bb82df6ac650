"""Why something failed."""


class AgentError(Exception):
    """status is one word, the same as in C and Rust:

    invalid      what was passed in: no JSON, no UTF-8, too long
    unreachable  no socket, or nobody answers there
    closed       the runtime closed the connection, or it was closed before
    timeout      the timeout passed; the call was cancelled
    cancelled    by Cancel.fire() or by the progress callback
    refused      the runtime answered with an error: code and text are its own
    failed       one of the runtime's own tools did not do it: text is its answer
    protocol     what came was no valid message

    After closed and protocol the connection is gone.
    """

    def __init__(self, status, text, code=0):
        super().__init__(text)
        self.status = status
        self.text = text
        self.code = code
