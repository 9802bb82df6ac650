"""JSON text where it lies: which part of it is which member, without changing a byte."""

import json
import re

from ._error import AgentError

DEPTH_MAX = 128  # levels

_BLANKS = re.compile(r"[ \t\n\r]*")
_CONTROLS = re.compile(r"[\x00-\x1f]")
_BRACKETS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[{]|[\]}]', re.DOTALL)


class Json(str):
    """Text that is JSON already, and travels as it is."""


def _refuse(word):
    raise ValueError(word + " is no JSON")


# Numbers stay text: their value is not of interest here, and int() refuses long ones.
_decoder = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=_refuse)


def _too_deep(text):
    depth = 0
    for match in _BRACKETS.finditer(text):
        character = match.group()[0]
        if character in "[{":
            depth += 1
            if depth > DEPTH_MAX:
                return True
        elif character != '"':
            depth -= 1
    return False


def _blanks(text, at):
    return _BLANKS.match(text, at).end()


def whole(text):
    """The text as one value, without the blanks around it, or None when it is no JSON."""
    begin = _blanks(text, 0)
    try:
        if _too_deep(text):
            return None
        _, end = _decoder.raw_decode(text, begin)
    except (ValueError, RecursionError):
        return None
    return text[begin:end] if _blanks(text, end) == len(text) else None


def get(text, name):
    """The text of an object's member of this name (the last one of several), or None."""
    if not text or text[0] != "{":
        return None
    found = None
    at = _blanks(text, 1)
    while text[at] != "}":
        key, at = _decoder.raw_decode(text, at)
        at = _blanks(text, _blanks(text, at) + 1)
        _, end = _decoder.raw_decode(text, at)
        if key == name:
            found = text[at:end]
        at = _blanks(text, end)
        if text[at] == ",":
            at = _blanks(text, at + 1)
    return found


def elements(text):
    """The texts of an array's elements."""
    at = _blanks(text, 1)
    while text[at] != "]":
        _, end = _decoder.raw_decode(text, at)
        yield text[at:end]
        at = _blanks(text, end)
        if text[at] == ",":
            at = _blanks(text, at + 1)


def string(text):
    """A string's content, or None. Half a surrogate pair becomes U+FFFD."""
    if not text or text[0] != '"':
        return None
    content = json.loads(text)
    return content.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def is_utf8(text):
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def quote(text, what):
    if not isinstance(text, str) or not is_utf8(text):
        raise AgentError("invalid", what + " is no UTF-8")
    return json.dumps(text, ensure_ascii=False)


def write(value, what):
    """A value, or JSON text, as JSON on one line."""
    if not isinstance(value, Json):
        try:
            return json.dumps(value, allow_nan=False, separators=(",", ":"))
        except (TypeError, ValueError, RecursionError) as error:
            raise AgentError("invalid", "%s is no JSON: %s" % (what, error)) from None
    text = whole(value) if is_utf8(value) else None
    if text is None:
        raise AgentError("invalid", what + " is no JSON")
    # Outside of strings a line's break is a blank, and inside there is none.
    return _CONTROLS.sub(" ", text)
