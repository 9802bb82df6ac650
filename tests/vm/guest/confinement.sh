#!/bin/bash
# Each process of the packaged service, while a session lives, is as agentd(8)'s table says: what
# tests/system/confinement.sh asks of a private instance, and what the unit takes away beside that.
# shellcheck disable=SC2016,SC2154,SC2317
. "$(dirname "$0")/lib.sh"

[ -p /srv/gate ] || mkfifo -m 0444 /srv/gate
kept=/var/results/agentd.yaml
cp -p /etc/scarab-runtime/agentd.yaml $kept
echo 'webhooks: {listen: "127.0.0.1:20123"}' >>/etc/scarab-runtime/agentd.yaml
check "agentd listens for webhooks" systemctl restart agentd
agent waits 'echo up; read -r _ </context/gate/gate; exit 0' "runtime: native
context: [{source: /srv, target: /context/gate}]
network: {policy: allowlist, allowlist: ['host.agentd:1']}
triggers: [{webhook: generic, secret: hook}]"
exec 9<>/srv/gate
id=$(ash agent run waits --detach)
logged() { ash session logs "$id" | grep -q up; }
check "a session lives" eventually 10 logged
check "and the listener of webhooks" eventually 10 pgrep -x webhook
mapfile -t pids < <(find /sys/fs/cgroup/system.slice/agentd.service "$cgroups/$id" -name cgroup.procs -exec cat {} + | sort -un)
ash --json config show >/var/results/config.json
UNIT_CALLS=$(systemctl show -p SystemCallFilter --value agentd | tr -d '~')
# The disk is held by quotas of projects, and memory by cgroup v2.
ABSENT='runnerd:tree keeper:eventfd'
export UNIT_CALLS ABSENT
like "the unit keeps calls from them" "$UNIT_CALLS" 'settimeofday'
if python3 tests/confined.py "${pids[@]}" >/var/results/seen; then
	python3 tests/confinement.py /var/results/config.json </var/results/seen || failed=$((failed + 1))
else
	fail "the kernel tells what they may do"
fi
echo >&9
check "the session ends" ash session wait "$id"
cp -p $kept /etc/scarab-runtime/agentd.yaml
check "the configuration is as before" systemctl restart agentd
rm -f $kept /var/results/seen /var/results/config.json
exit $failed
