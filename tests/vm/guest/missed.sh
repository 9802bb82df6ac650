#!/bin/bash
# missed.sh before: an agent that should have started while agentd was down; then the machine reboots.
# missed.sh after: agentd has started by itself, and the agent once.
# shellcheck disable=SC2016,SC2154,SC2317
. "$(dirname "$0")/lib.sh"

if [ "$1" = before ]; then
	at=$(date -u -d '+20 seconds' '+%s')
	agent nightly 'echo ran' "runtime: native
triggers: [{cron: \"$(date -u -d "@$at" '+%-S %-M %-H * * *')\", timezone: UTC, missed: run-once}]"
	systemctl stop agentd
	while [ "$(date +%s)" -le "$at" ]; do sleep 1; done
	[ $failed -eq 0 ] || exit 1
	exit 0
fi
up() { [ "$(systemctl is-active agentd)" = active ] && ash ping; }
check "agentd starts with the machine" eventually 10 up
ran() { [ "$(latest nightly .outcome)" = success ]; }
check "what was missed while the machine was down is made up for" eventually 10 ran
[ "$(latest nightly .outcome)" = success ] || note "$(latest nightly '[.outcome, .reason] | join(": ")')"
is "once" "$(ash --json session list --agent nightly | jq length)" 1
is "by its trigger" "$(latest nightly .trigger.kind)" cron
exit $failed
