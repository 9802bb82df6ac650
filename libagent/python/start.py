"""Starts an agent of the runtime python: python3 -I -u start.py ENTRYPOINT [ARGUMENT...].

With -I Python looks for modules in its own directories alone: nothing that the environment, the
home or the working directory holds is imported. Added here, and nothing else, are the entrypoint's
directory, before all; what spec.packages brought; and libagent, which lies beside this file.
"""

import os
import sys

OLDEST = (3, 9)
HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGES = "/run/agentd/packages"

if sys.version_info < OLDEST:
    sys.exit("this is Python %d.%d, and agents need %d.%d or later" % (sys.version_info[:2] + OLDEST))

sys.argv = sys.argv[1:]
sys.path.insert(0, os.path.dirname(sys.argv[0]))
if os.path.isdir(PACKAGES):
    import site

    site.addsitedir(PACKAGES)
sys.path.append(HERE)


def _load(path):
    with open(path, "rb") as file:
        return compile(file.read(), path, "exec")


# The agent is __main__ itself, and no module that this one imported.
__file__ = sys.argv[0]
__doc__ = None
_code = _load(__file__)
for _name in ("os", "site", "OLDEST", "HERE", "PACKAGES", "_load", "_name"):
    globals().pop(_name, None)
exec(globals().pop("_code"))
