# shellcheck shell=bash
# A network namespace of a test's own, whose loopback is the Internet, so that what a failing sandbox
# lets out goes nowhere; with names from a server of the test's own. Sourced first of all, with what
# is tested, which needs root:
#	. tests/netns.sh "networks of agents" "$@"
# Sources lib.sh. Variables: $web, $other (addresses), $work (a directory), servers (processes, which
# end_servers ends; it is called at the end).

set -u
netns_why=$1
shift
if [ "$(id -u)" -eq 0 ] && [ "${OUTER:-}" != "$PPID" ]; then
	OUTER=$PPID exec unshare --net --mount --propagation private -- bash "$0" "$@"
fi
# shellcheck source=tests/system/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/system/lib.sh"
need_root "$netns_why"

web=45.33.7.1 other=45.33.7.2
ip link set lo up
ip addr add $web/32 dev lo
ip addr add $other/32 dev lo
work=$(mktemp -d "${TMPDIR:-/tmp}/scarab-net.XXXXXX")
servers=()
end_servers() {
	local pid
	for pid in "${servers[@]}"; do
		kill -KILL "$pid" && wait "$pid"
	done 2>/dev/null
	rm -rf "$work"
}
trap 'end_servers; finish' EXIT
printf 'nameserver 127.0.0.1\n' >"$work/resolv.conf"
mount --bind "$work/resolv.conf" /etc/resolv.conf
