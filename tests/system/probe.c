/*
 * An agent that says what it finds at its first instructions: descriptors, identity, environment,
 * mounts, limits. One fact a line; sandbox_view.sh compares. Static, so that nothing of the host
 * is opened before.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

extern char **environ;

static void
say_descriptors(void)
{
	for (int fd = 0; fd < 1024; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			printf("fd %d\n", fd);
}

static void
say_file(const char *prefix, const char *path)
{
	char line[4096];
	FILE *stream = fopen(path, "re");

	if (!stream) {
		printf("%s: %s\n", prefix, strerror(errno));
		return;
	}
	while (fgets(line, sizeof(line), stream))
		printf("%s %s", prefix, line);
	fclose(stream);
}

static void
say_dir(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;

	if (!dir) {
		printf("dir %s: %s\n", path, strerror(errno));
		return;
	}
	while ((entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			printf("dir %s %s\n", path, entry->d_name);
	closedir(dir);
}

static void
say_limits(void)
{
	struct rlimit limit;

	getrlimit(RLIMIT_CORE, &limit);
	printf("core %lu\n", (unsigned long)limit.rlim_max);
	getrlimit(RLIMIT_NOFILE, &limit);
	printf("nofile %lu\n", (unsigned long)limit.rlim_max);
}

static void
say_interfaces(void)
{
	struct if_nameindex *interfaces = if_nameindex();

	for (struct if_nameindex *i = interfaces; i && i->if_name; i++)
		printf("interface %s\n", i->if_name);
	if_freenameindex(interfaces);
}

static void
say_signals(void)
{
	sigset_t blocked;

	sigprocmask(SIG_SETMASK, NULL, &blocked);
	for (int number = 1; number < 65; number++) {
		struct sigaction action;

		if (sigismember(&blocked, number) == 1)
			printf("blocked %d\n", number);
		if (!sigaction(number, NULL, &action) && action.sa_handler == SIG_IGN)
			printf("ignored %d\n", number);
	}
}

/* What of these can be written is named. */
static void
say_writable(void)
{
	static const char *const paths[] = {
	    "/",           "/usr",       "/etc",     "/dev",        "/proc",
	    "/sys",        "/bin",       "/home",    "/run",        "/tmp",
	    "/home/agent", "/run/agent", "/dev/shm", "/run/agentd", "/run/credentials",
	    "/context",
	};

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		char file[128];
		int fd;

		snprintf(file, sizeof(file), "%s/canary", paths[i]);
		fd = open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
		if (fd < 0)
			continue;
		printf("writable %s\n", paths[i]);
		close(fd);
		unlink(file);
	}
}

int
main(int argc, char **argv)
{
	struct utsname uts;
	struct stat st;
	char cwd[4096];
	gid_t groups[64];

	say_descriptors();
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	for (int i = 0; i < argc; i++)
		printf("argument %d %s\n", i, argv[i]);
	printf("uid %d gid %d groups %d\n", (int)getuid(), (int)getgid(), getgroups(64, groups));
	printf("session leader %d\n", getsid(0) == getpid());
	printf("parent %d\n", (int)getppid());
	printf("cwd %s\n", getcwd(cwd, sizeof(cwd)) ? cwd : strerror(errno));
	uname(&uts);
	printf("hostname %s\n", uts.nodename);
	printf("root uid %d\n", stat("/", &st) ? -1 : (int)st.st_uid);
	printf("securebits %d\n", prctl(PR_GET_SECUREBITS));
	for (char **variable = environ; *variable; variable++)
		printf("env %s\n", *variable);
	say_file("status", "/proc/self/status");
	say_file("mount", "/proc/self/mountinfo");
	say_file("cgroup", "/proc/self/cgroup");
	say_limits();
	say_interfaces();
	say_signals();
	say_writable();
	say_dir("/");
	say_dir("/dev");
	say_dir("/etc");
	say_dir("/run");
	say_dir("/run/agentd");
	say_dir("/run/credentials");
	say_dir("/proc/sys");
	return 0;
}
