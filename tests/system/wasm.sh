#!/bin/bash
# Agents of the runtime wasm: what a module must be, what it finds and reaches, its socket, its ends.
# timeout: 300
# shellcheck disable=SC2154
. "$(dirname "$0")/lib.sh"
need_root "sessions"
command -v node >/dev/null || { skip "modules" "Node.js is not installed: the package nodejs"; exit 0; }
[ -e /usr/lib/wasm32-wasi/libc.a ] || { skip "modules" "wasi-libc is not installed: the packages wasi-libc, libclang-rt-14-dev-wasm32, clang, lld and llvm"; exit 0; }
instance_new
mkdir -p "$dir/context/below" "$dir/other" "$dir/images/bare/usr/bin"
echo read >"$dir/context/below/file"
ln -s /etc/passwd "$dir/context/out"
ln -s ../../etc/passwd "$dir/context/up"
echo other >"$dir/other/file"
printf '%s\n' "ceilings: {allowed_context: [$dir], allowed_images: [$dir/images]}" >>"$dir/agentd.yaml"
instance_up "the instance starts"

# manifest NAME SPEC: a folder for the agent with a manifest; prints the folder.
manifest() {
	mkdir -p "$dir/agents/$1"
	printf 'apiVersion: scarab/v1\nkind: AgentManifest\nmetadata: {name: %s, version: 1.0.0}\nspec: {%s}\n' "$1" "$2" >"$dir/agents/$1/manifest.yaml"
	echo "$dir/agents/$1"
}
refused() {
	local text=$1 pattern=$2 name=$3
	shift 3
	status "$text" 7 ash agent install --replace "$dir/agents/$name/manifest.yaml" "$@"
	like "$text: in words" "$err" "$pattern"
}
# module FILE [OPTION…]: of the C on standard input.
module() {
	local file=$1
	shift
	clang --target=wasm32-wasi -O1 -D_GNU_SOURCE -o "$file" -x c - "$@" || fail "$file is compiled"
}
shown() { ash --json agent show "$1" | jq -r ".sandbox.$2"; }

# --- what a module must be ------------------------------------------------------------------------------
folder=$(manifest odd 'runtime: wasm, entrypoint: odd.wasm')
bytes() { printf %b "$1" >"$folder/odd.wasm"; }
bytes 'no module at all'
refused "what is no module" 'no module of WebAssembly' odd
bytes '\0asm\15\0\1\0'
refused "a component" 'is a component .WASI preview 2' odd
bytes '\0asm\2\0\0\0'
refused "a later format" 'version 2 of WebAssembly' odd
bytes '\0asm\1\0\0\0\2\177'
refused "half a module" 'damaged module' odd
bytes '\0asm\1\0\0\0\2\13\1\3env\3foo\0\0'
refused "what imports a host's function" 'imports the function foo from env' odd
like "says what would do" "$err" 'wasm32-wasi'
bytes '\0asm\1\0\0\0\2\17\1\3env\6memory\2\0\1'
refused "what imports its memory" 'imports the memory memory from env' odd
bytes '\0asm\1\0\0\0'
refused "a module without a start" 'exports no function _start' odd
echo 'int add(int a, int b) { return a + b; }' | module "$folder/odd.wasm" -mexec-model=reactor -Wl,--export=add
refused "a library" 'library .a reactor' odd
ln -s /etc/passwd "$folder/link.wasm"
manifest odd 'entrypoint: link.wasm' >/dev/null
status "a link out of install_dir" 7 ash agent install --replace "$folder/manifest.yaml"
manifest odd 'entrypoint: gone.wasm' >/dev/null
refused "a module that is not there" 'gone.wasm' odd
echo 'int main(void) { return 0; }' | module "$folder/odd.wasm"
manifest odd "entrypoint: odd.wasm, image: 'dir:$dir/images/bare'" >/dev/null
refused "an image without an engine" 'nothing that runs WebAssembly in the image' odd
like "says which would do" "$err" 'Node.js 18.17 or later'
printf '#include <stdio.h>\nint main(void) { return puts("v18.16.1") < 0; }' | gcc -static -x c -o "$dir/images/bare/usr/bin/node" -
refused "an engine that is too old" '/usr/bin/node is Node.js 18.16.1, and agents need 18.17 or later' odd

# --- what it is, and what it finds ------------------------------------------------------------------------
folder=$(manifest plain "entrypoint: bin/plain.wasm, args: [one, 'two words'], env: {OWN: value}, context: [{source: $dir/context, target: /context/c}, {source: $dir/other, target: /srv/other}]")
mkdir "$folder/bin"
module "$folder/bin/plain.wasm" <<-'C'
	#include <errno.h>
	#include <fcntl.h>
	#include <stdio.h>
	#include <stdlib.h>
	#include <string.h>
	#include <unistd.h>
	#include <sys/stat.h>

	static void look(const char *path, int flags)
	{
		int fd = open(path, flags, 0644);
		printf("%s %s\n", path, fd < 0 ? strerror(errno) : "opened");
		if (fd >= 0)
			close(fd);
	}

	int main(int argc, char **argv)
	{
		char line[64];
		printf("%d %s %s %s %s\n", argc, argv[1], argv[2], getenv("OWN"), getenv("AGENT_NAME"));
		if (fgets(line, sizeof(line), stdin))
			printf("said %s", line);
		fprintf(stderr, "to stderr\n");
		look("/home/agent/kept", O_RDWR | O_CREAT);
		look("/tmp/x", O_RDWR | O_CREAT);
		look("/run/agent/x", O_RDWR | O_CREAT);
		look("/run/agentd/mission.json", O_RDONLY);
		look("/run/agentd/x", O_RDWR | O_CREAT);
		look("/context/c/below/file", O_RDONLY);
		look("/context/c/x", O_RDWR | O_CREAT);
		look("/srv/other/file", O_RDONLY);
		look(argv[0], O_RDONLY);
		look(argv[0], O_RDWR);
		look("/etc/passwd", O_RDONLY);
		look("/", O_RDONLY | O_DIRECTORY);
		look("/home", O_RDONLY | O_DIRECTORY);
		look("/home/agent/../../etc/passwd", O_RDONLY);
		look("/usr/bin/node", O_RDONLY);
		look("/proc/self/environ", O_RDONLY);
		look("/socket", O_RDONLY);
		look("/context/c/out", O_RDONLY);
		look("/context/c/up", O_RDONLY);
		printf("%d", symlink("../../etc/passwd", "/home/agent/up"));
		printf("%d\n", symlink("/etc/passwd", "/home/agent/absolute"));
		return 42;
	}
C
check "a module installs" ash agent install "$folder/manifest.yaml"
is "is listed" "$(ash agent list | awk '$1 == "plain" { print $3 }')" wasm
is "its engine is recorded" "$(shown plain engine)" node:wasi
is "with its program" "$(shown plain interpreter)" /usr/bin/node
is "and its version" "v$(shown plain interpreter_version)" "$(/usr/bin/node --version)"
like "in words" "$(ash agent show plain)" 'Engine: +node:wasi of /usr/bin/node, [0-9.]+'
like "and all that is executed" "$(ash agent show plain)" "Command: +/usr/bin/node --no-warnings /run/agentd/wasm/start.cjs --dir $folder --dir /srv/other $folder/bin/plain.wasm one two words"
found=$(echo hello | ash agent run plain --input - 2>/dev/null)
is "its exit status is the session's" $? 42
is "what it finds" "$found" "3 one two words value plain
said hello
/home/agent/kept opened
/tmp/x opened
/run/agent/x opened
/run/agentd/mission.json opened
/run/agentd/x Read-only file system
/context/c/below/file opened
/context/c/x Read-only file system
/srv/other/file opened
$folder/bin/plain.wasm opened
$folder/bin/plain.wasm Permission denied
/etc/passwd Capabilities insufficient
/ Capabilities insufficient
/home Capabilities insufficient
/home/agent/../../etc/passwd Capabilities insufficient
/usr/bin/node Capabilities insufficient
/proc/self/environ Capabilities insufficient
/socket Capabilities insufficient
/context/c/out Capabilities insufficient
/context/c/up Capabilities insufficient
-1-1"
is "nothing but its own words is in its log" "$(ash session logs plain@latest 2>&1 >/dev/null)" "to stderr"

# --- its ends ------------------------------------------------------------------------------------------------
folder=$(manifest ends 'entrypoint: ends.wasm, resources: {memory_limit: 256Mi}, lifecycle: {stop_grace: 20s}')
module "$folder/ends.wasm" <<-'C'
	#include <stdio.h>
	#include <stdlib.h>
	#include <string.h>
	int main(void)
	{
		const char *task = getenv("SCARAB_TASK");
		volatile unsigned count = 0;
		printf("at %s\n", task);
		fflush(stdout);
		if (!strcmp(task, "trap"))
			__builtin_trap();
		if (!strcmp(task, "abort"))
			abort();
		if (!strcmp(task, "large"))
			exit(256);
		for (volatile char *block; !strcmp(task, "eat") && (block = malloc(1 << 20));)
			for (int i = 0; i < 1 << 20; i += 4096)
				block[i] = 1;
		while (!strcmp(task, "loop"))
			count++;
		return 0;
	}
C
check "a module that ends in many ways" ash agent install "$folder/manifest.yaml"
status "a trap" 134 ash agent run ends --task trap
is "is the session's signal" "$(latest ends .signal)" 6
like "and is told" "$(ash session logs ends@latest 2>&1)" 'ends.wasm: unreachable'
status "a status that is too large is no success" 255 ash agent run ends --task large
status "a loop" 124 ash agent run ends --task loop --timeout 3s
is "ends at the deadline" "$(latest ends .outcome)" timed_out
status "memory" 137 ash agent run ends --task eat
is "is bounded by the cgroup" "$(latest ends .outcome)" oom_killed
check "one that loops starts" ash agent run ends --task loop --detach
looping() { ash session logs ends@latest 2>/dev/null | grep -q 'at loop'; }
check "and runs" eventually 30 looping
check "is cancelled" ash session cancel ends@latest
status "its waiter is told" 125 ash session wait ends@latest
is "was cancelled" "$(latest ends .outcome)" cancelled

# --- the smallest set of calls does ---------------------------------------------------------------------------
folder=$(manifest least 'entrypoint: least.wasm, trust_level: untrusted')
echo '#include <stdio.h>
int main(void) { return puts("least") < 0; }' | module "$folder/least.wasm"
check "one that is not trusted installs" ash agent install "$folder/manifest.yaml"
is "and runs" "$(ash agent run least)" least

# --- the socket --------------------------------------------------------------------------------------------------
folder=$(manifest socket 'entrypoint: socket.wasm')
module "$folder/socket.wasm" <<-'C'
	#include <errno.h>
	#include <fcntl.h>
	#include <poll.h>
	#include <stdio.h>
	#include <stdlib.h>
	#include <string.h>
	#include <sys/socket.h>
	#include <sys/stat.h>
	#include <time.h>
	#include <unistd.h>

	static void told(const char *what, long is) { printf("%s %ld %s\n", what, is, is < 0 ? strerror(errno) : ""); }

	int main(void)
	{
		static const char ping[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{\"protocolVersion\":"
			"\"2025-11-25\",\"capabilities\":{},\"clientInfo\":{\"name\":\"raw\",\"version\":\"1\"}}}\n";
		int fd = atoi(getenv("SCARAB_SOCKET_FD"));
		struct pollfd wait = {.fd = fd, .events = POLLIN};
		char line[4096];
		struct stat st;
		ssize_t got;
		time_t before;

		told("socket", fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode));
		told("seek", lseek(fd, 0, SEEK_CUR));
		told("directory", openat(fd, "x", O_RDONLY));
		fcntl(fd, F_SETFL, O_NONBLOCK);
		told("nonblock", fcntl(fd, F_GETFL) & O_NONBLOCK);
		told("nothing", read(fd, line, sizeof(line)));
		before = time(NULL);
		told("no answer", poll(&wait, 1, 1100));
		told("waited", time(NULL) - before >= 1);
		told("bad pointer", read(fd, (void *)0xfffffff0, 64));
		told("written", write(fd, ping, strlen(ping)) == (ssize_t)strlen(ping));
		told("answered", poll(&wait, 1, 60000));
		got = recv(fd, line, 10, MSG_PEEK);
		told("peeked", got);
		fcntl(fd, F_SETFL, 0);
		told("again", recv(fd, line, 10, 0));
		while ((got = read(fd, line, sizeof(line))) > 0 && line[got - 1] != '\n')
			;
		told("whole", got > 0);
		told("shut", shutdown(fd, SHUT_WR));
		told("end", read(fd, line, sizeof(line)));
		told("closed", close(fd));
		told("gone", read(fd, line, sizeof(line)));
		return 0;
	}
C
check "one that uses the descriptor itself" ash agent install "$folder/manifest.yaml"
status "ends well" 0 ash agent run socket
is "as WASI has it" "${out// $'\n'/$'\n'}" "socket 1
seek -1 Invalid seek
directory -1 Not a directory
nonblock 4
nothing -1 Resource temporarily unavailable
no answer 0
waited 1
bad pointer -1 Bad address
written 1
answered 1
peeked 10
again 10
whole 1
shut 0
end 0
closed 0
gone -1 Bad file descriptor"
instance_stop
