#include "interpreter.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/sched.h>

#include "common/cleanup.h"

enum {
	NOBODY = 65534,
	ANSWER_BYTES = 256,
	ANSWER_WAIT_MS = 10000, /* a cold disk and a Node.js of 90 MiB */
	CPU_SECONDS = 10,
	PROCESSES = 1024, /* of nobody, whose they may be besides */
};

/* --- in the process --------------------------------------------------------------------------- */

struct question {
	const struct view *view;
	const char *path;
	int answer; /* the pipe's end to write to */
	bool root;
};

static int
limit(void)
{
	static const struct {
		__rlimit_resource_t what;
		rlim_t most;
	} limits[] = {
	    {RLIMIT_CPU, CPU_SECONDS},
	    {RLIMIT_FSIZE, 0},
	    {RLIMIT_CORE, 0},
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
enter_image(const struct question *question)
{
	if (question->view->image < 0)
		return chdir("/");
	if (fchdir(question->view->image) < 0 || chroot(".") < 0)
		return -1;
	return chdir("/");
}

static int
drop(const struct question *question)
{
	if (question->root && (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
			       setresuid(NOBODY, NOBODY, NOBODY) < 0))
		return -1;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

static int
open_streams(const struct question *question)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDERR_FILENO) < 0 ||
	    dup2(question->answer, STDOUT_FILENO) < 0)
		return -1;
	return 0;
}

static _Noreturn void
ask(const struct question *question)
{
	/* Node.js takes --version, and so does Python; neither begins a program. */
	char *argv[] = {(char *)(uintptr_t)question->path, (char *)"--version", NULL};
	char *envp[] = {(char *)"PATH=/usr/local/bin:/usr/bin:/bin", (char *)"LANG=C.UTF-8", NULL};
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (open_streams(question) == 0 &&
	    close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC) == 0 &&
	    enter_image(question) == 0 && limit() == 0 && drop(question) == 0)
		execve(question->path, argv, envp);
	_exit(127);
}

/* --- beside it ----------------------------------------------------------------------------------
 */

/* Whatever it starts ends with it: it is the first of its pid namespace. */
static pid_t
start(const struct question *question, int *pidfd)
{
	struct clone_args args = {
	    .flags = CLONE_PIDFD | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC |
		     CLONE_NEWUTS | (question->root ? 0 : CLONE_NEWUSER),
	    .pidfd = (uintptr_t)pidfd,
	    .exit_signal = SIGCHLD,
	};
	long pid = syscall(SYS_clone3, &args, sizeof(args));

	/* Who may make no namespaces may ask the host's own, which is no stranger. */
	if (pid < 0 && question->view->image < 0 && !question->root) {
		args.flags = CLONE_PIDFD;
		pid = syscall(SYS_clone3, &args, sizeof(args));
	}
	if (pid == 0)
		ask(question);
	return (pid_t)pid;
}

static uint64_t
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Up to the end of what it says, and no longer than its time. */
static size_t
read_answer(int fd, char text[ANSWER_BYTES])
{
	uint64_t deadline = now_ms() + ANSWER_WAIT_MS, now;
	size_t length = 0;
	ssize_t got;

	while (length < ANSWER_BYTES - 1 && (now = now_ms()) < deadline) {
		struct pollfd wait = {.fd = fd, .events = POLLIN};

		if (poll(&wait, 1, (int)(deadline - now)) <= 0)
			continue;
		got = read(fd, text + length, ANSWER_BYTES - 1 - length);
		if (got <= 0 && errno != EINTR)
			break;
		length += got > 0 ? (size_t)got : 0;
	}
	text[length] = '\0';
	return length;
}

static bool
converse(const struct question *question, int from, int *to, char text[ANSWER_BYTES])
{
	int pidfd = -1, status = 0;
	pid_t pid = start(question, &pidfd);
	size_t length;

	close_fd(to);
	if (pid < 0)
		return false;
	length = read_answer(from, text);
	syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
	close(pidfd);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return length > 0 && strlen(text) == length;
}

static bool
ask_version(const struct view *view, const char *path, char text[ANSWER_BYTES])
{
	_cleanup_close_ int from = -1, to = -1;
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return false;
	from = ends[0];
	to = ends[1];
	return converse(
	    &(struct question){.view = view, .path = path, .answer = to, .root = geteuid() == 0},
	    from, &to, text);
}

/* --- what it said
 * --------------------------------------------------------------------------------- */

bool
interpreter_version(const char *text, char *version, unsigned *major, unsigned *minor)
{
	size_t length;
	int end = 0;

	text += !strncmp(text, "Python ", strlen("Python ")) ? strlen("Python ") : 0;
	text += text[0] == 'v';
	if (text[0] < '0' || text[0] > '9' || sscanf(text, "%4u.%4u%n", major, minor, &end) != 2 ||
	    !end)
		return false;
	length = strcspn(text, "\n");
	if (length > VERSION_MAX || (text[length] && text[length + 1]))
		return false;
	for (size_t i = 0; i < length; i++)
		if (text[i] <= ' ' || text[i] > '~')
			return false;
	snprintf(version, VERSION_MAX + 1, "%.*s", (int)length, text);
	return true;
}

static int
check_version(const struct interpreter *interpreter, struct found_interpreter *found,
	      const char *text, struct error *error)
{
	unsigned major, minor;

	if (!interpreter_version(text, found->version, &major, &minor) ||
	    major > interpreter->major ||
	    (major == interpreter->major && minor >= interpreter->minor))
		return 0;
	error_why(error, ERR_INVALID, "%s is %s %s, and agents need %u.%u or later", found->path,
		  interpreter->language, found->version, interpreter->major, interpreter->minor);
	return error_hint(error, "install a newer one, or name it with spec.command");
}

/* The first there is, unless the manifest names one. */
static void
find_path(const struct view *view, const struct interpreter *interpreter,
	  struct found_interpreter *found)
{
	const char *command = view->manifest->command;
	const char *const named[] = {command, NULL};
	const char *const *places = command ? named : interpreter->places;

	found->path[0] = found->version[0] = '\0';
	for (size_t i = 0; places[i] && !found->path[0]; i++) {
		char path[2 * PATH_LEN_MAX + 2];
		_cleanup_close_ int fd = -1;

		snprintf(path, sizeof(path), "%s%s%s", places[i][0] == '/' ? "" : view->install_dir,
			 places[i][0] == '/' ? "" : "/", places[i]);
		fd = view_open(view, path);
		if (fd >= 0 && strlen(path) <= PATH_LEN_MAX)
			strcpy(found->path, path);
	}
}

int
interpreter_find(const struct view *view, const struct interpreter *interpreter,
		 struct found_interpreter *found, struct error *error)
{
	char text[ANSWER_BYTES] = "";

	find_path(view, interpreter, found);
	if (!found->path[0] || !ask_version(view, found->path, text))
		return 0;
	return check_version(interpreter, found, text, error);
}
