#!/bin/bash
# The sandbox's processes without the daemons: every outcome of a session, floods, killed keepers,
# recipes that must fail, and what is left of privileges, seen from outside.
# timeout: 120
exec "$BUILD/tests/sandbox_driver" "$BUILD"
