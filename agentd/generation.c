#include "generation.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/time.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "common/log.h"
#include "common/loop.h"

static const char lock_name[] = "agentd.lock";
static const char pids_name[] = "agentd.pids";

enum { PIDS_BYTES_MAX = 4096, ALARM_EVERY_MS = 100 };

/* --- who is recorded -------------------------------------------------------------------------- */

static void
read_holders(int run_fd, struct holders *holders)
{
	_cleanup_free_ char *text = NULL;
	char *line, *rest = NULL;
	size_t length;

	holders->count = 0;
	if (read_file_at(run_fd, pids_name, PIDS_BYTES_MAX, &text, &length) < 0)
		return;
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		struct holder *holder = &holders->all[holders->count];

		if (holders->count == GENERATION_HOLDERS_MAX)
			break;
		if (sscanf(line, "%31s %d %" SCNu64, holder->role, &holder->id.pid,
			   &holder->id.start_ticks) == 3)
			holders->count++;
	}
}

static bool
alive(const struct holder *holder)
{
	_cleanup_close_ int fd = procid_open(&holder->id);

	return fd >= 0;
}

static const struct holder *
living_agentd(const struct holders *holders)
{
	for (unsigned i = 0; i < holders->count; i++)
		if (strcmp(holders->all[i].role, "agentd") == 0 && alive(&holders->all[i]))
			return &holders->all[i];
	return NULL;
}

int
generation_record(int run_fd, const struct holders *holders)
{
	char text[PIDS_BYTES_MAX];
	size_t used = 0;

	for (unsigned i = 0; i < holders->count; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s %d %" PRIu64 "\n",
					 holders->all[i].role, holders->all[i].id.pid,
					 holders->all[i].id.start_ticks);
	return write_file_durable(run_fd, pids_name, text, used, 0644);
}

void
generation_forget(int run_fd)
{
	unlinkat(run_fd, pids_name, 0);
}

/* --- the lock ------------------------------------------------------------------------------------
 */

static void
wake(int number)
{
	(void)number; /* flock returns EINTR */
}

/* flock with a deadline: an alarm that comes again, so that none is lost before flock sleeps. */
static int
lock_within(int fd, unsigned ms)
{
	struct itimerval often = {.it_interval = {.tv_usec = ALARM_EVERY_MS * 1000},
				  .it_value = {.tv_usec = ALARM_EVERY_MS * 1000}};
	struct itimerval never = {0};
	struct sigaction action = {.sa_handler = wake}, before;
	uint64_t deadline = boottime_ns() + (uint64_t)ms * 1000000;
	int rc;

	sigaction(SIGALRM, &action, &before);
	setitimer(ITIMER_REAL, &often, NULL);
	do {
		rc = flock(fd, LOCK_EX) < 0 ? -errno : 0;
	} while (rc == -EINTR && boottime_ns() < deadline);
	setitimer(ITIMER_REAL, &never, NULL);
	sigaction(SIGALRM, &before, NULL);
	return rc;
}

static void
kill_holders(const struct holders *holders)
{
	for (unsigned i = 0; i < holders->count; i++)
		if (procid_kill(&holders->all[i].id, SIGKILL) == 0)
			log_warn("killed %s (pid %d) of the generation before, it did not end",
				 holders->all[i].role, holders->all[i].id.pid);
}

static int
still_held(const struct holders *holders, const char *run_dir, struct error *error)
{
	char names[256] = "";
	size_t used = 0;

	for (unsigned i = 0; i < holders->count; i++)
		if (alive(&holders->all[i]) && used < sizeof(names))
			used += (size_t)snprintf(names + used, sizeof(names) - used, " %s (pid %d)",
						 holders->all[i].role, holders->all[i].id.pid);
	error_why(error, ERR_CONFLICT, "%s/%s is held by%s", run_dir, lock_name,
		  used ? names : " a process that agentd.pids does not name");
	return error_hint(error, "see who holds it: fuser -v %s/%s", run_dir, lock_name);
}

/* Daemons end at the EOF of their agentd; those that do not in time are killed. */
static int
outlast(int fd, const struct holders *holders, const char *run_dir, struct error *error)
{
	log_info("waiting for the daemons of the generation before to end");
	if (lock_within(fd, GENERATION_WAIT_MS) == 0)
		return 0;
	kill_holders(holders);
	if (lock_within(fd, GENERATION_KILLED_WAIT_MS) == 0)
		return 0;
	return still_held(holders, run_dir, error);
}

int
generation_take(int run_fd, const char *run_dir, struct error *error)
{
	_cleanup_close_ int fd =
	    openat(run_fd, lock_name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	const struct holder *other;
	struct holders holders;

	if (fd < 0)
		return error_errno(error, errno, "opening %s/%s", run_dir, lock_name);
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return steal_fd(&fd);
	if (errno != EWOULDBLOCK)
		return error_errno(error, errno, "locking %s/%s", run_dir, lock_name);
	read_holders(run_fd, &holders);
	other = living_agentd(&holders);
	if (other)
		return error_why(error, ERR_CONFLICT, "another agentd (pid %d) runs on %s",
				 other->id.pid, run_dir);
	if (outlast(fd, &holders, run_dir, error) < 0)
		return -1;
	return steal_fd(&fd);
}

bool
generation_held(const char *run_dir)
{
	_cleanup_close_ int fd = -1;
	_cleanup_free_ char *path = NULL;

	if (asprintf(&path, "%s/%s", run_dir, lock_name) < 0)
		return true;
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno != ENOENT;
	return flock(fd, LOCK_SH | LOCK_NB) < 0;
}
