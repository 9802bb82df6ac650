#include "packages.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "common/cleanup.h"
#include "common/confine.h"
#include "common/crash.h"
#include "fs.h"
#include "install.h"
#include "package_files.h"
#include "session.h"
#include "store.h"
#include "trash.h"

enum { WHEN_BYTES = 24, DIRECTORY_MODE = 0755 };

struct packages_job {
	struct runnerd *r;
	pid_t pid;
	int pidfd, answer;
	struct loop_source *watch;
	packages_fn *fn;
	void *arg;
};

/* --- the child that makes them -------------------------------------------------------------------
 */

static void
name_when(uint64_t when_ms, char name[WHEN_BYTES])
{
	snprintf(name, WHEN_BYTES, "%llu", (unsigned long long)when_ms);
}

/* Made anew: what is there is of an installation that died. */
static int
open_target(const struct runnerd *r, const char *agent, uint64_t when_ms)
{
	_cleanup_close_ int all = dir_make(r->at.state, "packages", 0700, 0, 0), own = -1;
	char name[WHEN_BYTES];

	own = all < 0 ? all : dir_make(all, agent, 0700, 0, 0);
	if (own < 0)
		return own;
	CRASH_POINT("packages.begin");
	name_when(when_ms, name);
	if (mkdirat(own, name, DIRECTORY_MODE) < 0)
		return -errno;
	return dir_make(own, name, DIRECTORY_MODE, 0, 0);
}

/* What is wrong goes to standard output, a pipe: its code and then words. */
static _Noreturn void
become_writer(int dir, int index, int content, int answer)
{
	enum { ABOVE = 16 };
	const int fds[] = {answer, dir, index, content};
	int copies[ARRAY_LEN(fds)];
	struct error error = ERROR_INIT;
	char text[ERROR_TEXT_MAX + 1];

	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		copies[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, ABOVE);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		if (dup2(copies[i], STDERR_FILENO + 1 + (int)i) < 0)
			_exit(1);
	if (close_from(STDERR_FILENO + 1 + (int)ARRAY_LEN(fds)) < 0)
		_exit(1);
	if (package_files_make(4, 5, 6, &error) == 0)
		_exit(0);
	error_text(&error, text);
	dprintf(3, "%s", text);
	_exit(1);
}

static void
job_free(struct packages_job *job)
{
	loop_remove(job->watch);
	close_fd(&job->pidfd);
	close_fd(&job->answer);
	free(job);
}

static void
writer_ended(struct loop_source *source, uint32_t events, void *arg)
{
	struct packages_job *job = arg;
	struct error error = ERROR_INIT;
	char text[ERROR_TEXT_MAX + 1] = "";
	packages_fn *fn = job->fn;
	int status = 0;

	(void)source;
	(void)events;
	arg = job->arg;
	while (waitpid(job->pid, &status, 0) < 0 && errno == EINTR)
		;
	if (read(job->answer, text, ERROR_TEXT_MAX) < 0)
		text[0] = '\0';
	CRASH_POINT("packages.written");
	if (status)
		error_why(&error, ERR_FAILED, "%s", text[0] ? text : "their writer died");
	job_free(job);
	fn(arg, status ? &error : NULL);
}

static int
start(struct packages_job *job, int dir, int index, int content)
{
	_cleanup_close_ int to = -1;
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	job->answer = ends[0];
	to = ends[1];
	job->pid = fork();
	if (job->pid < 0)
		return -errno;
	if (!job->pid)
		become_writer(dir, index, content, to);
	job->pidfd = (int)syscall(SYS_pidfd_open, job->pid, 0);
	if (job->pidfd >= 0)
		job->watch = loop_add_io(job->r->loop, job->pidfd, EPOLLIN, writer_ended, job);
	if (job->watch)
		return 0;
	kill(job->pid, SIGKILL);
	while (waitpid(job->pid, NULL, 0) < 0 && errno == EINTR)
		;
	return -ENOMEM;
}

int
packages_write(struct runnerd *r, const struct packages_request *request, packages_fn *fn,
	       void *arg, struct error *error)
{
	_cleanup_close_ int dir = open_target(r, request->agent, request->when_ms);
	struct packages_job *job = dir < 0 ? NULL : calloc(1, sizeof(*job));
	int rc = dir < 0 ? dir : -ENOMEM;

	if (job) {
		*job =
		    (struct packages_job){.r = r, .pidfd = -1, .answer = -1, .fn = fn, .arg = arg};
		CRASH_POINT("packages.made");
		rc = start(job, dir, request->index, request->content);
		CRASH_POINT("packages.started");
	}
	if (rc == 0)
		return 0;
	if (job)
		job_free(job);
	error_errno(error, -rc, "making a directory for the packages");
	return -1;
}

int
packages_open(const struct runnerd *r, const char *agent, uint64_t when_ms)
{
	char path[sizeof("packages//") + AGENT_NAME_MAX + WHEN_BYTES], name[WHEN_BYTES];

	name_when(when_ms, name);
	snprintf(path, sizeof(path), "packages/%s/%s", agent, name);
	return open_resolved(r->at.state, path, O_PATH | O_DIRECTORY,
			     RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
}

/* --- what is no longer named
 * ----------------------------------------------------------------------
 */

/* keep "": nothing. */
static void
sweep_entries(int all, int own, const char *keep)
{
	int fd = openat(own, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_closedir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	char moved[TRASH_NAME_MAX];

	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.' && strcmp(entry->d_name, keep) != 0 &&
		    trash_put(all, own, entry->d_name, moved) == 0) {
			CRASH_POINT("packages.aside");
			trash_delete_aside(all, moved);
		}
}

static void
sweep_agent(struct runnerd *r, int all, const char *name)
{
	_cleanup_close_ int own =
	    openat(all, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	char keep[WHEN_BYTES] = "";
	bool damaged = false;
	const struct agent *agent = store_find(r->store, name, &damaged);

	if (own < 0 || damaged || sessions_of_agent(r->sessions, name) ||
	    installs_under_way(r, name))
		return;
	if (agent && agent->plan->packages.count)
		name_when(agent->head.installed_at_ms, keep);
	sweep_entries(all, own, keep);
	if (!keep[0])
		unlinkat(all, name, AT_REMOVEDIR);
}

void
packages_sweep(struct runnerd *r, const char *agent)
{
	int all = openat(r->at.state, "packages", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_closedir_ DIR *dir = all < 0 ? NULL : fdopendir(all);
	const struct dirent *entry;

	if (!dir)
		return;
	if (agent) {
		sweep_agent(r, all, agent);
		return;
	}
	trash_each(all, trash_delete_aside);
	while ((entry = readdir(dir)))
		if (agent_name_valid(entry->d_name))
			sweep_agent(r, all, entry->d_name);
}
