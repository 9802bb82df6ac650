#include "plugin_process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "common/loop.h"

enum { READ_BYTES = 64 << 10, NS_PER_MS = 1000000 };

uint64_t
child_now_ms(void)
{
	return boottime_ns() / NS_PER_MS;
}

static int
milliseconds_until(uint64_t deadline_ms)
{
	uint64_t now = child_now_ms();

	return deadline_ms <= now            ? 0
	       : deadline_ms - now > INT_MAX ? INT_MAX
					     : (int)(deadline_ms - now);
}

/* --- start -------------------------------------------------------------------------------------
 */

struct ends {
	int in[2], out[2], failed[2]; /* read, write */
};

static void
close_ends(struct ends *ends)
{
	int *const fds[] = {&ends->in[0],  &ends->in[1],     &ends->out[0],
			    &ends->out[1], &ends->failed[0], &ends->failed[1]};

	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		close_fd(fds[i]);
}

static _Noreturn void
run_child(const struct ends *ends, const char *const *command)
{
	sigset_t none;
	int failure;

	sigemptyset(&none);
	signal(SIGPIPE, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setpgid(0, 0);
	/* An ash that is interrupted leaves nothing behind. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (dup2(ends->in[0], STDIN_FILENO) >= 0 && dup2(ends->out[1], STDOUT_FILENO) >= 0)
		execvp(command[0], (char *const *)command);
	failure = errno;
	write_all(ends->failed[1], &failure, sizeof(failure));
	_exit(127);
}

/* What kept it from running: nothing comes when it runs. */
static int
exec_failure(int fd)
{
	int failure = 0;

	return read_all(fd, &failure, sizeof(failure)) == sizeof(failure) ? failure : 0;
}

int
child_start(struct plugin_process *process, const char *const *command, struct error *error)
{
	_cleanup_(close_ends) struct ends ends = {{-1, -1}, {-1, -1}, {-1, -1}};
	int failure;

	*process = (struct plugin_process){.pid = -1, .in = -1, .out = -1};
	if (pipe2(ends.in, O_CLOEXEC) < 0 || pipe2(ends.out, O_CLOEXEC) < 0 ||
	    pipe2(ends.failed, O_CLOEXEC) < 0)
		return error_errno(error, errno, "making pipes");
	/* What it leaves behind becomes ours to end. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	process->pid = fork();
	if (process->pid < 0)
		return error_errno(error, errno, "fork");
	if (!process->pid)
		run_child(&ends, command);
	setpgid(process->pid, process->pid);
	close_fd(&ends.failed[1]);
	failure = exec_failure(ends.failed[0]);
	if (failure) {
		waitpid(process->pid, &process->status, 0);
		process->reaped = true;
		return error_errno(error, failure, "cannot run %s", command[0]);
	}
	process->in = steal_fd(&ends.in[1]);
	process->out = steal_fd(&ends.out[0]);
	fd_set_nonblock(process->in, true);
	fd_set_nonblock(process->out, true);
	return 0;
}

/* --- lines -------------------------------------------------------------------------------------
 */

static int
reap(struct plugin_process *process, int options)
{
	if (!process->reaped && waitpid(process->pid, &process->status, options) == process->pid)
		process->reaped = true;
	return process->reaped ? 0 : -1;
}

/* Its output has ended, or nobody reads its input; why is known when it is dead. */
static int
ended(struct plugin_process *process, struct error *error)
{
	uint64_t deadline = child_now_ms() + PLUGIN_GRACE_MS;

	while (reap(process, WNOHANG) < 0 && child_now_ms() < deadline)
		poll(NULL, 0, 5);
	if (!process->reaped)
		return error_why(error, ERR_FAILED, "it closed its standard output");
	if (WIFSIGNALED(process->status))
		return error_why(error, ERR_FAILED, "it was ended by signal %d",
				 WTERMSIG(process->status));
	return error_why(error, ERR_FAILED, "it ended with exit status %d",
			 WEXITSTATUS(process->status));
}

/* 1: bytes came, or nothing was there; 0: the end; -1 with error. */
static int
fill(struct plugin_process *process, struct error *error)
{
	ssize_t got;

	if (process->given) {
		process->length -= process->given;
		memmove(process->held, process->held + process->given, process->length);
		process->searched -= process->given;
		process->given = 0;
	}
	if (process->length > PLUGIN_LINE_MAX) {
		error_why(error, ERR_FAILED, "it wrote a line of more than %d MiB",
			  PLUGIN_LINE_MAX >> 20);
		return -1;
	}
	if (process->size - process->length < READ_BYTES) {
		size_t size = process->size ? process->size * 2 : READ_BYTES * 2;
		char *held = realloc(process->held, size);

		if (!held)
			return error_why(error, ERR_FAILED, "out of memory");
		process->held = held;
		process->size = size;
	}
	got = read(process->out, process->held + process->length, READ_BYTES);
	if (got < 0)
		return errno == EAGAIN || errno == EINTR ? 1 : error_errno(error, errno, "read");
	process->length += (size_t)got;
	return got > 0;
}

/* Waits until its output can be read, or its input be written (writing). 0, or -1 with error. */
static int
wait_for(const struct plugin_process *process, bool writing, uint64_t deadline_ms,
	 struct pollfd fds[2], struct error *error)
{
	int ready;

	fds[0] = (struct pollfd){.fd = process->out, .events = POLLIN};
	fds[1] = (struct pollfd){.fd = writing ? process->in : -1, .events = POLLOUT};
	do {
		ready = poll(fds, 2, milliseconds_until(deadline_ms));
	} while (ready < 0 && errno == EINTR);
	if (ready > 0)
		return 0;
	return ready < 0 ? error_errno(error, errno, "poll")
			 : error_why(error, ERR_FAILED,
				     writing ? "it does not read what it is sent"
					     : "it does not answer in time");
}

int
child_write(struct plugin_process *process, const char *line, size_t length, uint64_t deadline_ms,
	    struct error *error)
{
	struct pollfd fds[2];
	ssize_t put;

	while (length) {
		if (wait_for(process, true, deadline_ms, fds, error) < 0)
			return -1;
		if (fds[1].revents) {
			put = write(process->in, line, length);
			if (put < 0 && errno == EPIPE)
				return ended(process, error);
			if (put > 0) {
				line += put;
				length -= (size_t)put;
			}
		}
		/* A plugin that writes before it reads is not waited for while it waits for us. */
		if (fds[0].revents) {
			int more = fill(process, error);

			if (more <= 0)
				return more < 0 ? -1 : ended(process, error);
		}
	}
	return 0;
}

static bool
next_line(struct plugin_process *process, const char **line, size_t *length)
{
	const char *end, *from;

	do {
		from = process->held + process->given;
		end = process->length > process->searched
			  ? memchr(process->held + process->searched, '\n',
				   process->length - process->searched)
			  : NULL;
		if (!end) {
			process->searched = process->length;
			return false;
		}
		process->given = process->searched = (size_t)(end + 1 - process->held);
		while (end > from && strchr(" \t\r", end[-1]))
			end--;
	} while (end == from);
	*line = from;
	*length = (size_t)(end - from);
	return true;
}

int
child_read(struct plugin_process *process, uint64_t deadline_ms, const char **line, size_t *length,
	   struct error *error)
{
	struct pollfd fds[2];
	int more;

	while (!next_line(process, line, length)) {
		/* Also where lines come faster than they are read. */
		if (child_now_ms() >= deadline_ms)
			return error_why(error, ERR_FAILED, "it does not answer in time");
		if (wait_for(process, false, deadline_ms, fds, error) < 0)
			return -1;
		more = fill(process, error);
		if (more <= 0)
			return more < 0 ? -1 : ended(process, error);
	}
	return 0;
}

/* --- the end -----------------------------------------------------------------------------------
 */

/* Drops what it still writes, so that it can end. */
static void
drain(const struct plugin_process *process)
{
	char bytes[READ_BYTES];

	while (read(process->out, bytes, sizeof(bytes)) > 0)
		;
}

static bool
ends_within(struct plugin_process *process, uint64_t ms)
{
	uint64_t deadline = child_now_ms() + ms;
	struct pollfd fd = {.fd = process->out, .events = POLLIN};

	while (reap(process, WNOHANG) < 0) {
		if (child_now_ms() >= deadline)
			return false;
		/* Its output may be closed, and then no longer tells. */
		poll(&fd, 1, 5);
		drain(process);
		if (fd.revents & (POLLHUP | POLLERR))
			poll(NULL, 0, 5);
	}
	return true;
}

/* What it started and did not wait for became our children when their parents ended. */
static void
end_orphans(void)
{
	char path[64], pids[4096];

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)syscall(SYS_gettid));
	for (;;) {
		_cleanup_fclose_ FILE *file = fopen(path, "re");
		size_t length = file ? fread(pids, 1, sizeof(pids) - 1, file) : 0;
		char *rest = pids, *word;

		pids[length] = '\0';
		while ((word = strsep(&rest, " ")))
			if (*word)
				kill((pid_t)strtol(word, NULL, 10), SIGKILL);
		if (!length || (waitpid(-1, NULL, 0) < 0 && errno == ECHILD))
			return;
	}
}

void
child_end(struct plugin_process *process, const char **said)
{
	static const struct {
		int signal;
		const char *said;
	} steps[] = {
	    {0, NULL},
	    {SIGTERM, "it did not end when its standard input was closed; SIGTERM ended it"},
	    {SIGKILL, "it did not end on SIGTERM either, and was killed"},
	};

	*said = NULL;
	close_fd(&process->in);
	for (size_t i = 0; i < ARRAY_LEN(steps) && process->pid > 0 && !process->reaped; i++) {
		if (steps[i].signal)
			kill(-process->pid, steps[i].signal);
		*said = steps[i].said;
		ends_within(process, PLUGIN_GRACE_MS);
	}
	if (process->pid > 0) {
		kill(-process->pid, SIGKILL);
		end_orphans();
	}
	close_fd(&process->out);
	free(process->held);
	process->held = NULL;
}
