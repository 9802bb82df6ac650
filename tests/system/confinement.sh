#!/bin/bash
# Every process that lives while a session does: its user, group, capabilities, root, system calls and
# descriptors, as the kernel tells them, are those of the table in agentd(8).
# shellcheck disable=SC2154
. "$(dirname "$0")/lib.sh"
if [ -n "${SANITIZE:-}" ]; then
	skip "the processes are as agentd(8) says" "the sanitizers' runtime needs calls of its own"
	exit 0
fi
instance_new
gate_new
port=$((20000 + RANDOM % 10000))
cat >>"$dir/agentd.yaml" <<-YAML
	ceilings: {allowed_context: ["$dir/gate"]}
	webhooks: {listen: "127.0.0.1:$port"}
YAML
instance_up "the instance starts"
install waits "echo up; $gate_wait exit 0" "$gate_context
network: {policy: allowlist, allowlist: ['host.agentd:1']}
triggers: [{webhook: generic, secret: hook}]"
gate_shut
id=$(ash agent run --detach waits)
logged() { ash session logs "$id" | grep -q up; }
check "a session lives" eventually 10 logged
check "and the listener of webhooks" eventually 10 daemon webhook
mapfile -t pids < <(processes | cut -d' ' -f1)
if ! /usr/bin/python3 "$root/tests/confined.py" "${pids[@]}" >"$dir/seen" 2>"$dir/why"; then
	skip "the processes are as agentd(8) says" "the kernel does not tell filters: $(tail -n 1 "$dir/why")"
	exit 0
fi
ash --json config show >"$dir/config.json"
/usr/bin/python3 "$root/tests/confinement.py" "$dir/config.json" ${CONFINEMENT_WRITE:+--write} <"$dir/seen" || failed=$((failed + 1))
gate_open
check "the session ends" ash session wait "$id"
