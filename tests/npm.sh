# shellcheck shell=bash
# Sourced by tests that need programs of npm's, after tests/system/lib.sh. They are installed into the
# build folder, once for each list of them, and never run a script of theirs while they are.
#
#   npm_install   $npm: the folder that holds node_modules; $node: a newer Node than the system's.
#                 1: they cannot be had, $npm_why.
#   npm_need      the same; where they cannot be had the test is skipped, with the reason

case $(uname -m) in
x86_64) npm_cpu=x64 ;;
*) npm_cpu=arm64 ;;
esac
servers=2026.8.31
npm_packages=(
	@modelcontextprotocol/server-{everything,filesystem,memory,sequential-thinking}@"$servers"
	@modelcontextprotocol/inspector@2.12.0
	@modelcontextprotocol/conformance@0.1.16
	@modelcontextprotocol/client@2.4.0
	@modelcontextprotocol/sdk@1.32.2
	supergateway@4.0.0
	"node-linux-$npm_cpu@24"
)

npm_install() {
	local said new
	npm=$BUILD/npm/$(printf '%s\n' "${npm_packages[@]}" | sha256sum | cut -c1-12)
	# shellcheck disable=SC2034
	node=$npm/node_modules/node-linux-$npm_cpu/bin/node
	[ ! -e "$npm/node_modules" ] || return 0
	npm_why='node and npm are not installed'
	command -v node >/dev/null && command -v npm >/dev/null || return 1
	mkdir -p "$BUILD/npm"
	new=$(mktemp -d "$BUILD/npm/new.XXXXXX")
	chmod 755 "$new"
	if ! said=$(npm install --prefix "$new" --cache "$new/cache" --no-audit --no-fund --ignore-scripts --loglevel=error \
	    --fetch-retries=2 --fetch-retry-mintimeout=500 --fetch-retry-maxtimeout=2000 --fetch-timeout=20000 "${npm_packages[@]}" 2>&1); then
		rm -rf "$new"
		npm_why="npm cannot install them: $(grep -m 1 . <<<"$said")"
		return 1
	fi
	rm -rf "$new/cache" "$npm"
	mv "$new" "$npm"
}

npm_need() {
	npm_install && return
	skip "programs of npm's" "$npm_why"
	exit 0
}
