#!/bin/bash
# mcp-bridge between pipes and a socket: byte for byte, bounded, and how it ends.
# shellcheck disable=SC2154
. "$(dirname "$0")/lib.sh"
work=$(mktemp -d "${TMPDIR:-/tmp}/scarab-bridge.XXXXXX")
trap 'rm -rf "$work"; finish' EXIT
python3 "$root/tests/libagent/bridge.py" "$BUILD/mcp-bridge" "$work" || failed=1
