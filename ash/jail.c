#include "jail.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"

enum {
	NOBODY = 65534,
	PROCESSES = 1024,  /* of nobody, whose they may be besides */
	MEMORY_MIB = 2048, /* of one process: 512 MiB of packages, and twice that while they grow */
	FIRST_FD = STDERR_FILENO + 1,
};

/* --- inside ------------------------------------------------------------------------------------
 */

static int
limit(unsigned cpu_seconds)
{
	const struct {
		__rlimit_resource_t what;
		rlim_t most;
	} limits[] = {
	    {RLIMIT_CPU, cpu_seconds}, {RLIMIT_AS, (rlim_t)MEMORY_MIB << 20},
	    {RLIMIT_FSIZE, 0},         {RLIMIT_CORE, 0},
	    {RLIMIT_NPROC, PROCESSES},
	};

	for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
		struct rlimit rlimit = {limits[i].most, limits[i].most};

		if (setrlimit(limits[i].what, &rlimit) < 0)
			return -1;
	}
	return 0;
}

static int
enter_image(const struct jail *jail)
{
	if (jail->view->image < 0)
		return chdir("/");
	if (fchdir(jail->view->image) < 0 || chroot(".") < 0)
		return -1;
	return chdir("/");
}

static int
drop(bool root)
{
	if (root && (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
		     setresuid(NOBODY, NOBODY, NOBODY) < 0))
		return -1;
	/* The kernel forgets the signal where a user changes. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return -1;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

static int
open_streams(int output)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0 || dup2(output, STDOUT_FILENO) < 0 || dup2(null, STDIN_FILENO) < 0)
		return -1;
	return dup2(null, STDERR_FILENO);
}

/* Copies out of the way of each other first: in their order, above all that they will be. */
static int
place_descriptors(const struct jail *jail)
{
	unsigned first = FIRST_FD + (unsigned)jail->count, end = first;
	_cleanup_free_ int *copies = calloc(jail->count + 1, sizeof(*copies));

	for (size_t i = 0; copies && i < jail->count; i++) {
		copies[i] = fcntl(jail->fds[i], F_DUPFD_CLOEXEC, (int)end);
		if (copies[i] < 0)
			return -1;
		end = (unsigned)copies[i] + 1;
	}
	for (size_t i = 0; copies && i < jail->count; i++)
		if (dup2(copies[i], FIRST_FD + (int)i) < 0)
			return -1;
	return copies ? close_range(first, ~0U, CLOSE_RANGE_CLOEXEC) : -1;
}

static _Noreturn void
become_program(const struct jail *jail, int output, bool root)
{
	char *envp[] = {(char *)"PATH=/usr/local/bin:/usr/bin:/bin", (char *)"LANG=C.UTF-8", NULL};
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* Without a terminal: TIOCSTI would type at the one that ash is called from. */
	if (setsid() >= 0 && open_streams(output) >= 0 && enter_image(jail) == 0 &&
	    place_descriptors(jail) == 0 && limit(jail->cpu_seconds) == 0 && drop(root) == 0)
		execve(jail->path, jail->argv, envp);
	_exit(127);
}

/* --- beside it ----------------------------------------------------------------------------------
 */

static pid_t
clone_child(const struct jail *jail, int output, int *pidfd)
{
	bool root = geteuid() == 0;
	struct clone_args args = {
	    .flags = CLONE_PIDFD | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC |
		     CLONE_NEWUTS | (root ? 0 : CLONE_NEWUSER),
	    .pidfd = (uintptr_t)pidfd,
	    .exit_signal = SIGCHLD,
	};
	long pid = syscall(SYS_clone3, &args, sizeof(args));

	/* Who may make no namespaces may run the host's own, which is no stranger. */
	if (pid < 0 && jail->view->image < 0 && !root) {
		args.flags = CLONE_PIDFD;
		pid = syscall(SYS_clone3, &args, sizeof(args));
	}
	if (pid == 0)
		become_program(jail, output, root);
	return (pid_t)pid;
}

int
jail_start(const struct jail *jail, struct jailed *jailed)
{
	int ends[2];

	*jailed = (struct jailed){.pid = -1, .pidfd = -1, .output = -1};
	if (jail->view->image < 0 && !view_is_of_host(jail->view, jail->path))
		return -EACCES;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	jailed->pid = clone_child(jail, ends[1], &jailed->pidfd);
	jailed->output = ends[0];
	close(ends[1]);
	if (jailed->pid >= 0)
		return 0;
	close_fd(&jailed->output);
	return -EPERM;
}

void
jail_end(struct jailed *jailed)
{
	if (jailed->pid < 0)
		return;
	syscall(SYS_pidfd_send_signal, jailed->pidfd, SIGKILL, NULL, 0);
	while (waitpid(jailed->pid, NULL, 0) < 0 && errno == EINTR)
		;
	close_fd(&jailed->pidfd);
	close_fd(&jailed->output);
	jailed->pid = -1;
}

uint64_t
jail_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

size_t
jail_read(const struct jailed *jailed, void *bytes, size_t size, uint64_t deadline_ms)
{
	size_t length = 0;
	uint64_t now;

	while (length < size && (now = jail_now_ms()) < deadline_ms) {
		struct pollfd wait = {.fd = jailed->output, .events = POLLIN};
		ssize_t got;

		if (poll(&wait, 1, (int)(deadline_ms - now)) <= 0)
			continue;
		got = read(jailed->output, (char *)bytes + length, size - length);
		if (got == 0 || (got < 0 && errno != EINTR))
			break;
		length += got > 0 ? (size_t)got : 0;
	}
	return length;
}
