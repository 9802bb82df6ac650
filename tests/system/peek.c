/*
 * A static program that says what it finds at its first instruction: descriptors, environment,
 * mounts, status. With `true` it says nothing; the other words are ways to behave badly.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

extern char **environ;

static void
print_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	char path[300], target[300];
	struct dirent *entry;
	ssize_t length;

	while (dir && (entry = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/self/fd/%s", entry->d_name);
		length = readlink(path, target, sizeof(target) - 1);
		if (length < 0 || (dir && atoi(entry->d_name) == dirfd(dir)))
			continue;
		target[length] = '\0';
		printf("fd %s -> %s\n", entry->d_name, target);
	}
	if (dir)
		closedir(dir);
}

static void
print_file(const char *path)
{
	FILE *file = fopen(path, "re");
	char line[4096];

	printf("== %s%s%s\n", path, file ? "" : ": ", file ? "" : strerror(errno));
	while (file && fgets(line, sizeof(line), file))
		fputs(line, stdout);
	if (file)
		fclose(file);
}

static void
print_dir(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	struct stat st;

	printf("== %s%s%s\n", path, dir ? "" : ": ", dir ? "" : strerror(errno));
	while (dir && (entry = readdir(dir)))
		if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			printf("%06o %u:%u %s\n", st.st_mode, st.st_uid, st.st_gid, entry->d_name);
	if (dir)
		closedir(dir);
}

static void
print_self(void)
{
	struct utsname name;
	struct ifreq lo = {.ifr_name = "lo"};
	char cwd[4096];
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	uname(&name);
	printf("uid %u gid %u pid %d ppid %d sid %d host %s dumpable %d\n", getuid(), getgid(),
	       getpid(), getppid(), getsid(0), name.nodename, prctl(PR_GET_DUMPABLE));
	printf("cwd %s\n", getcwd(cwd, sizeof(cwd)) ? cwd : strerror(errno));
	if (fd >= 0 && ioctl(fd, SIOCGIFFLAGS, &lo) == 0)
		printf("lo %s\n", lo.ifr_flags & IFF_UP ? "up" : "down");
	printf("securebits %#x kill(1) %s\n", (unsigned)prctl(PR_GET_SECUREBITS),
	       kill(1, 0) == 0 ? "allowed" : strerror(errno));
	for (char **variable = environ; *variable; variable++)
		printf("env %s\n", *variable);
}

/* Keeps the keeper busy with many lines, and leaves while its pipe holds many packets (O_DIRECT:
 * each write is read on its own). */
static int
write_packets(void)
{
	static char lines[65536];
	char packet[32];

	memset(lines, '\n', sizeof(lines));
	if (fcntl(1, F_SETFL, O_WRONLY | O_DIRECT) < 0 || fcntl(1, F_SETPIPE_SZ, 1 << 20) < 0 ||
	    fcntl(2, F_SETPIPE_SZ, 1 << 20) < 0)
		return 1;
	for (int i = 0; i < 4; i++)
		if (write(2, lines, sizeof(lines)) < 0)
			return 1;
	for (int i = 1; i <= 250; i++)
		if (write(1, packet, (size_t)snprintf(packet, sizeof(packet), "packet %d\n", i)) <
		    0)
			return 1;
	return 0;
}

int
main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "true") == 0)
		return 0;
	if (argc > 1 && strcmp(argv[1], "packets") == 0)
		return write_packets();
	print_fds();
	print_self();
	print_file("/proc/self/mountinfo");
	print_file("/proc/self/status");
	print_file("/proc/self/limits");
	print_file("/proc/self/cgroup");
	print_file("/proc/self/uid_map");
	print_file("/proc/keys");
	print_file("/proc/1/status");
	print_dir("/");
	print_dir("/proc");
	print_dir("/dev");
	print_dir("/etc");
	return 0;
}
