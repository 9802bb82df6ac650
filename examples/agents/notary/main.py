"""An agent that asks a tool about a directory and signs the answer with a secret that it was granted.

Its task is the directory. The key is a file that only this session has; who has the same key can tell
whether the result is the agent's.
"""

import hashlib
import hmac
import json
import os
import pathlib
import sys

import libagent


def key():
    return (pathlib.Path(os.environ["CREDENTIALS_DIRECTORY"]) / "notary-key").read_bytes()


def main():
    with libagent.connect() as agent:
        path = json.loads(agent.mission())["task"]
        answer = agent.call("survey__summarise", {"path": path}, timeout=60)
        if answer.is_error:
            libagent.log("error", "%s: %s" % (path, answer.text))
            return 1
        signature = hmac.new(key(), answer.text.encode(), hashlib.sha256).hexdigest()
        print(answer.text)
        print("signed: " + signature)
        agent.result({"path": path, "summary": answer.text, "signature": signature})
        return 0


sys.exit(main())
