#!/usr/bin/env python3
"""The plugin that the conformance suite for servers wants to find: its tools, resources and prompts, as
the descriptions of its scenarios have them. What it asks of its client it gives up on when it is refused."""
import json
import re
import sys
import time

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
WAV = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA="
PAUSE = 0.05  # seconds between what must not come at once


def send(message):
    sys.stdout.write(json.dumps(dict(message, jsonrpc="2.0")) + "\n")
    sys.stdout.flush()


def text(words):
    return {"type": "text", "text": words}


def image():
    return {"type": "image", "data": PNG, "mimeType": "image/png"}


def resource(uri, kind, words):
    return {"type": "resource", "resource": {"uri": uri, "mimeType": kind, "text": words}}


def user(*contents):
    return {"messages": [{"role": "user", "content": content} for content in contents]}


# --- tools ---------------------------------------------------------------------------------------


def with_logging(params):
    for words in ("started", "processing data", "completed"):
        send({"method": "notifications/message", "params": {"level": "info", "data": "Tool " + words}})
        time.sleep(PAUSE)
    return text("logged")


def with_progress(params):
    token = params.get("_meta", {}).get("progressToken")
    for value in (0, 50, 100):
        if token is not None:
            send({"method": "notifications/progress", "params": {"progressToken": token, "progress": value, "total": 100}})
        time.sleep(PAUSE)
    return text("done")


def ask(method, params):
    """What the client answers: its result, or its error's words."""
    send({"id": 0, "method": method, "params": params})
    while True:
        message = json.loads(sys.stdin.readline())
        if message.get("id") == 0 and "method" not in message:
            return message.get("result") or message["error"]["message"]
        serve(message)


def sampling(params):
    content = text(params["arguments"]["prompt"])
    messages = [{"role": "user", "content": content}]
    return text(str(ask("sampling/createMessage", {"messages": messages, "maxTokens": 100})))


def elicitation(params):
    schema = {"type": "object", "properties": {"username": {"type": "string"}}}
    wanted = {"message": params["arguments"].get("message", "?"), "requestedSchema": schema}
    return text(str(ask("elicitation/create", wanted)))


SCHEMA_2020 = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {"address": {"type": "object", "properties": {"street": {"type": "string"}, "city": {"type": "string"}}}},
    "properties": {"name": {"type": "string"}, "address": {"$ref": "#/$defs/address"}},
    "additionalProperties": False,
}
MIXED = resource("test://mixed-content-resource", "application/json", '{"test":"data","value":123}')
TOOLS = {
    "test_simple_text": text("This is a simple text response for testing."),
    "test_image_content": image(),
    "test_audio_content": {"type": "audio", "data": WAV, "mimeType": "audio/wav"},
    "test_embedded_resource": resource("test://embedded-resource", "text/plain", "This is an embedded resource content."),
    "test_multiple_content_types": [text("Multiple content types test:"), image(), MIXED],
    "test_error_handling": text("This tool intentionally returns an error for testing"),
    "test_tool_with_logging": with_logging,
    "test_tool_with_progress": with_progress,
    "test_sampling": sampling,
    "test_elicitation": elicitation,
    "test_elicitation_sep1034_defaults": elicitation,
    "test_elicitation_sep1330_enums": elicitation,
    "test_reconnection": text("reconnected"),
    "json_schema_2020_12_tool": text("ok"),
}


def call(params):
    tool = TOOLS[params["name"]]
    content = tool(params) if callable(tool) else tool
    result = {"content": content if isinstance(content, list) else [content]}
    if params["name"] == "test_error_handling":
        result["isError"] = True
    return result


def definition(name):
    schema = SCHEMA_2020 if name == "json_schema_2020_12_tool" else {"type": "object"}
    return {"name": name, "description": "For the suite: " + name, "inputSchema": schema}


# --- resources and prompts ---------------------------------------------------------------------------

RESOURCES = {
    "test://static-text": {"mimeType": "text/plain", "text": "This is the content of the static text resource."},
    "test://static-binary": {"mimeType": "image/png", "blob": PNG},
    "test://watched-resource": {"mimeType": "text/plain", "text": "watched"},
}
TEMPLATE = "test://template/{id}/data"
PROMPTS = {
    "test_simple_prompt": [],
    "test_prompt_with_arguments": ["arg1", "arg2"],
    "test_prompt_with_embedded_resource": ["resourceUri"],
    "test_prompt_with_image": [],
}


def read(params):
    uri = params["uri"]
    found = re.fullmatch("test://template/(.*)/data", uri)
    if found:
        number = found[1]
        words = json.dumps({"id": number, "templateTest": True, "data": "Data for ID: " + number})
        return {"contents": [{"uri": uri, "mimeType": "application/json", "text": words}]}
    return {"contents": [dict(RESOURCES[uri], uri=uri)]}


def prompt(params):
    name, given = params["name"], params.get("arguments", {})
    if name == "test_prompt_with_arguments":
        return user(text("Prompt with arguments: arg1='%(arg1)s', arg2='%(arg2)s'" % given))
    if name == "test_prompt_with_embedded_resource":
        embedded = resource(given["resourceUri"], "text/plain", "Embedded resource content for testing.")
        return user(embedded, text("Please process the embedded resource above."))
    if name == "test_prompt_with_image":
        return user(image(), text("Please analyze the image above."))
    return user(text("This is a simple prompt for testing."))


CAPABILITIES = {"tools": {}, "resources": {"subscribe": True}, "prompts": {}, "completions": {}, "logging": {}}
METHODS = {
    "initialize": lambda params: {
        "protocolVersion": "2025-11-25", "capabilities": CAPABILITIES, "serverInfo": {"name": "conformance", "version": "1"},
    },
    "ping": lambda params: {},
    "logging/setLevel": lambda params: {},
    "tools/list": lambda params: {"tools": [definition(name) for name in TOOLS]},
    "tools/call": call,
    "resources/list": lambda params: {"resources": [{"uri": uri, "name": uri, "description": uri} for uri in RESOURCES]},
    "resources/templates/list": lambda params: {"resourceTemplates": [{"uriTemplate": TEMPLATE, "name": "template"}]},
    "resources/read": read,
    "resources/subscribe": lambda params: {},
    "resources/unsubscribe": lambda params: {},
    "prompts/list": lambda params: {
        "prompts": [
            {"name": name, "description": name, "arguments": [{"name": one, "required": True} for one in wanted]}
            for name, wanted in PROMPTS.items()
        ]
    },
    "prompts/get": prompt,
    "completion/complete": lambda params: {"completion": {"values": ["paris", "park", "party"], "total": 3, "hasMore": False}},
}


def serve(message):
    if "id" not in message or "method" not in message:
        return
    method = METHODS.get(message["method"])
    if not method:
        send({"id": message["id"], "error": {"code": -32601, "message": "Method not found"}})
        return
    try:
        send({"id": message["id"], "result": method(message.get("params", {}))})
    except (KeyError, TypeError) as problem:
        send({"id": message["id"], "error": {"code": -32602, "message": "Invalid params: %s" % problem}})


for line in sys.stdin:
    serve(json.loads(line))
