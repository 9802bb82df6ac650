#!/bin/bash
# make: missing packages, building twice, installing below DESTDIR with another prefix, running an
# instance from there, a configuration that is kept, uninstalling.
# shellcheck disable=SC2034,SC2154
. "$(dirname "$0")/lib.sh"
instance_new
run_make() { make -C "$root" --no-print-directory BUILD="${built:-$BUILD}" ${SANITIZE:+SANITIZE=1} "$@"; }

status "make without pkg-config fails" 2 run_make PKG_CONFIG=/does/not/exist
like "naming the packages and how to get them" "$err" 'apt-get install .*pkg-config.*libyaml-dev'
like "in one error" "$(grep -c 'apt-get' <<<"$err")" '^1$'
status "make where everything is built" 0 run_make
is "builds nothing" "$(grep -c -- ' -o ' <<<"$out")" 0

# In a copy: other paths are other programs.
cp -a "$BUILD" "$dir/build"
built=$dir/build
tree=$dir/tree
status "make install" 0 run_make install DESTDIR="$tree" prefix=/opt/scarab
for file in bin/ash sbin/agentd libexec/scarab-runtime/{agentd-control,agentd-config,schedd,secretd,runnerd,spawner,keeper,init,homekeeper,hold,mcp-bridge}; do
	[ -x "$tree/opt/scarab/$file" ] || fail "$file is not installed"
done
check "what starts an agent in Python" test -s "$tree/opt/scarab/libexec/scarab-runtime/python/start.py"
check "and its libagent" test -s "$tree/opt/scarab/libexec/scarab-runtime/python/libagent/__init__.py"
check "what starts a module" test -s "$tree/opt/scarab/libexec/scarab-runtime/wasm/start.cjs"
check "the configuration" test -s "$tree/etc/scarab-runtime/agentd.yaml"
for page in agentd.8 ash.1 agent-manifest.5 agentd.yaml.5; do
	[ -s "$tree/opt/scarab/share/man/man${page##*.}/$page" ] || fail "$page is not installed"
done
for unit in agentd.service scarab-sessions.service; do
	[ -s "$tree/opt/scarab/lib/systemd/system/$unit" ] || fail "$unit is not installed"
done
is "no file names the default prefix" "$(grep -rlE '/usr/(libexec/scarab-runtime|sbin/agentd)' "$tree/opt/scarab/lib" "$tree/etc")" ""
check "the example is executable" test -x "$tree/opt/scarab/share/scarab-runtime/examples/agents/changes/changes"
echo '# mine' >"$tree/etc/scarab-runtime/agentd.yaml"
run_make install DESTDIR="$tree" prefix=/opt/scarab >/dev/null 2>&1
is "a configuration that is there is kept" "$(cat "$tree/etc/scarab-runtime/agentd.yaml")" "# mine"

# Without DESTDIR: what is installed is run.
run_make install prefix="$dir/usr" sysconfdir="$dir/etc" >/dev/null 2>&1 || fail "make install prefix="
libexec=$dir/usr/libexec/scarab-runtime agentd=$dir/usr/sbin/agentd ash=$dir/usr/bin/ash
instance_config | grep -v '^libexec_dir:' >"$dir/agentd.yaml"
instance_up "an instance of the installed files starts, its helpers where they were installed"
is "each process is an installed one" "$(processes | while read -r pid _; do readlink "/proc/$pid/exe"; done | grep -cv "^$dir/usr/")" 0
install hello 'echo hello'
is "and runs an agent" "$(ash agent run hello)" hello
instance_stop

# libagent as an author of agents meets it.
cat >"$dir/version.c" <<'C'
#include <scarab/agent.h>
#include <stdio.h>
int
main(void)
{
	struct agent *agent;
	struct agent_error error;

	puts(agent_status_name(agent_connect(&agent, &error)));
	return 0;
}
C
export PKG_CONFIG_PATH=$dir/usr/lib/pkgconfig
like "pkg-config knows libagent" "$(pkg-config --modversion libagent)" '^[0-9]+\.[0-9]+\.[0-9]+$'
# shellcheck disable=SC2046
check "a program compiles with what it says" gcc -Wall -Werror -o "$dir/version" "$dir/version.c" $(pkg-config --cflags --libs libagent)
is "and runs with the shared library" "$(SCARAB_SOCKET=$dir/none LD_LIBRARY_PATH=$dir/usr/lib "$dir/version")" unreachable
like "which it names by its soname" "$(LD_LIBRARY_PATH=$dir/usr/lib ldd "$dir/version")" "libagent.so.0 => $dir/usr/lib"
is "the Python module is installed whole" \
    "$(SCARAB_SOCKET=$dir/none PYTHONPATH=$dir/usr/lib/python3/dist-packages python3 -c 'import libagent
try: libagent.connect()
except libagent.AgentError as error: print(error.status)')" unreachable
check "and the crate" test -s "$dir/usr/share/scarab-runtime/libagent/rust/src/lib.rs"

status "make uninstall" 0 run_make uninstall DESTDIR="$tree" prefix=/opt/scarab
is "leaves the configuration alone" "$(find "$tree" -type f)" "$tree/etc/scarab-runtime/agentd.yaml"
