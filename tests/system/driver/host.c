#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/confine.h"
#include "common/keeper_calls.h"
#include "common/proto.h"
#include "driver.h"
#include "runnerd/seccomp.h"

_Noreturn void
die(const char *what)
{
	fprintf(stderr, "driver: %s: %s\n", what, strerror(errno));
	exit(2);
}

static void
find_cgroup(struct host *host)
{
	char line[4096], mount[1024] = "", own[2048] = "/", root[1024], point[1024];
	FILE *file = fopen("/proc/self/mountinfo", "re");

	while (file && fgets(line, sizeof(line), file))
		if (strstr(line, " - cgroup2 ") &&
		    sscanf(line, "%*d %*d %*s %1023s %1023s", root, point) == 2)
			snprintf(mount, sizeof(mount), "%s", point);
	if (file)
		fclose(file);
	file = fopen("/proc/self/cgroup", "re");
	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, "0::", 3) == 0)
			snprintf(own, sizeof(own), "%.*s", (int)strcspn(line + 3, "\n"), line + 3);
	if (file)
		fclose(file);
	snprintf(host->cgroup, sizeof(host->cgroup), "%s%s/scarab-driver-%d", mount,
		 strcmp(own, "/") ? own : "", getpid());
	if (mkdir(host->cgroup, 0755) < 0)
		die(host->cgroup);
}

static int
open_binary(const struct host *host, const char *name)
{
	char path[PATH_LEN_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", host->build, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		die(path);
	return fd;
}

int
pair(int *other)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		die("socketpair");
	*other = ends[1];
	return ends[0];
}

static void
start_spawner(struct host *host)
{
	int fds[7], end, null = open("/dev/null", O_RDWR | O_CLOEXEC);
	char *argv[] = {(char[]){"spawner"}, NULL}, *envp[] = {NULL};
	int binary = open_binary(host, "spawner");

	host->spawner = pair(&end);
	fds[0] = fds[1] = null;
	fds[2] = 2;
	fds[3] = end;
	fds[4] = null;
	fds[5] = open_binary(host, "keeper");
	fds[6] = open_binary(host, "init");
	host->spawner_pid = fork();
	if (host->spawner_pid == 0) {
		for (int i = 0; i < 7; i++)
			fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 100);
		for (int i = 0; i < 7; i++)
			dup2(fds[i], i);
		fcntl(binary, F_DUPFD_CLOEXEC, 7);
		fexecve(binary, argv, envp);
		_exit(127);
	}
	close(end);
	close(fds[5]);
	close(fds[6]);
	close(null);
	close(binary);
	if (msg_greet(host->spawner, CH_SPAWNER, SIDE_A, ROLE_RUNNERD, ROLE_SPAWNER, WAIT_MS) < 0)
		die("greeting the spawner");
}

static int
program(const int *calls, size_t count)
{
	struct error error = ERROR_INIT;
	int fd = confine_program(calls, count, &error);

	if (fd < 0) {
		fprintf(stderr, "%s: %s\n", error.what, error.why);
		exit(2);
	}
	return fd;
}

void
open_host(struct host *host)
{
	struct error error = ERROR_INIT;
	char path[128];

	snprintf(host->dir, sizeof(host->dir), "/tmp/sandbox-driver-XXXXXX");
	if (!mkdtemp(host->dir))
		die("mkdtemp");
	chmod(host->dir, 0711);
	snprintf(path, sizeof(path), "%s/empty", host->dir);
	mkdir(path, 0555);
	host->empty = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	find_cgroup(host);
	host->keeper_program = program(keeper_syscalls, keeper_syscall_count);
	host->builder_program = program(builder_syscalls, builder_syscall_count);
	host->init_program = program(init_syscalls, init_syscall_count);
	host->agent_program = profile_program(PROFILE_DEFAULT, &error);
	if (host->agent_program < 0)
		die(error.why);
	start_spawner(host);
}

void
close_host(struct host *host)
{
	char path[128];

	close(host->spawner);
	waitpid(host->spawner_pid, NULL, 0);
	rmdir(host->cgroup);
	snprintf(path, sizeof(path), "%s/empty", host->dir);
	rmdir(path);
	rmdir(host->dir);
}

void
sweep_host(const struct host *host)
{
	char command[3 * PATH_LEN_MAX];

	if (!host->dir[0] || !host->cgroup[0] || access(host->dir, F_OK) < 0)
		return;
	snprintf(command, sizeof(command),
		 "echo 1 >'%s/cgroup.kill'; for i in 1 2 3 4 5 6 7 8 9; do "
		 "find '%s' -depth -type d -exec rmdir {} + 2>/dev/null; done; rm -rf '%s'",
		 host->cgroup, host->cgroup, host->dir);
	if (system(command) != 0)
		fprintf(stderr, "driver: cannot sweep %s\n", host->cgroup);
}
