#include "logs.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/crash.h"
#include "fs.h"

enum { LOG_NAME_MAX = 96 };

static void
newest_name(const struct session_log *log, char *name)
{
	snprintf(name, LOG_NAME_MAX, "%s.jsonl", log->id);
}

static void
older_name(const struct session_log *log, char *name)
{
	snprintf(name, LOG_NAME_MAX, "%s.jsonl.1", log->id);
}

/* Its number is in its name, so that after a crash nobody has to guess what was renamed. */
static void
ahead_name(const struct session_log *log, uint32_t segment, char *name)
{
	snprintf(name, LOG_NAME_MAX, "%s.jsonl.next.%u", log->id, segment);
}

int
log_attach(struct session_log *log, int logs_fd, const char *agent, const struct uuid *session,
	   unsigned gid)
{
	*log = (struct session_log){.gid = gid};
	uuid_format(session, log->id);
	log->dir = dir_make(logs_fd, agent, 0750, 0, gid);
	return log->dir < 0 ? log->dir : 0;
}

static int
open_segment(const struct session_log *log, const char *name)
{
	_cleanup_close_ int fd = -1;

	fd = openat(log->dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (fd < 0)
		return -errno;
	if (fchown(fd, 0, log->gid) < 0 || fchmod(fd, 0640) < 0)
		return -errno;
	return steal_fd(&fd);
}

int
log_next(struct session_log *log)
{
	char name[LOG_NAME_MAX];

	ahead_name(log, log->segment + 1, name);
	CRASH_POINT("log.next");
	return open_segment(log, name);
}

int
log_begin(struct session_log *log, int *first, int *next)
{
	_cleanup_close_ int opened = -1;
	char name[LOG_NAME_MAX];

	newest_name(log, name);
	opened = open_segment(log, name);
	if (opened < 0)
		return opened;
	*next = log_next(log);
	if (*next < 0)
		return *next;
	*first = steal_fd(&opened);
	return 0;
}

static uint64_t
size_of(const struct session_log *log, const char *name)
{
	struct stat st;

	return fstatat(log->dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ? 0 : (uint64_t)st.st_size;
}

int
log_switch(struct session_log *log, uint32_t segment)
{
	char newest[LOG_NAME_MAX], older[LOG_NAME_MAX], ahead[LOG_NAME_MAX];

	newest_name(log, newest);
	older_name(log, older);
	ahead_name(log, segment, ahead);
	CRASH_POINT("log.switch");
	if (faccessat(log->dir, ahead, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
		if (renameat(log->dir, newest, log->dir, older) < 0 && errno != ENOENT)
			return -errno;
		CRASH_POINT("log.displaced");
		if (renameat(log->dir, ahead, log->dir, newest) < 0)
			return -errno;
	}
	CRASH_POINT("log.switched");
	log->offset += size_of(log, older);
	log->segment = segment;
	return 0;
}

void
log_finish(struct session_log *log, bool never)
{
	char name[LOG_NAME_MAX];

	if (log->dir < 0)
		return;
	ahead_name(log, log->segment + 1, name);
	CRASH_POINT("log.finish");
	/* A keeper that was killed may have gone on without telling. */
	if (size_of(log, name))
		log_switch(log, log->segment + 1);
	unlinkat(log->dir, name, 0);
	CRASH_POINT("log.finished");
	newest_name(log, name);
	if (never && !size_of(log, name))
		unlinkat(log->dir, name, 0);
}

uint64_t
log_length(const struct session_log *log)
{
	char name[LOG_NAME_MAX];

	if (log->dir < 0)
		return 0;
	newest_name(log, name);
	return log->offset + size_of(log, name);
}

void
log_detach(struct session_log *log)
{
	close_fd(&log->dir);
}

int
log_view(const struct session_log *log, struct log_view *view)
{
	char name[LOG_NAME_MAX];
	struct stat st;

	*view = (struct log_view){.newest = -1, .older = -1, .offset = log->offset};
	newest_name(log, name);
	view->newest = openat(log->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (view->newest < 0)
		return -errno;
	if (fstat(view->newest, &st) < 0) {
		close_fd(&view->newest);
		return -errno;
	}
	older_name(log, name);
	view->older = openat(log->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	/* Nobody remembers where the log of a session long gone began: count from what is left. */
	if (view->older >= 0 && view->offset < size_of(log, name))
		view->offset = size_of(log, name);
	view->older_offset = view->older < 0 ? 0 : view->offset - size_of(log, name);
	view->total = view->offset + (uint64_t)st.st_size;
	return 0;
}

int
log_delete(int logs_fd, const char *agent, const struct uuid *session)
{
	static const char *const endings[] = {"jsonl.1", "tools", "notes.jsonl", "result.json",
					      "jsonl"};
	_cleanup_close_ int dir = open_resolved(logs_fd, agent, O_RDONLY | O_DIRECTORY,
						RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
	char id[UUID_TEXT_LEN + 1], name[LOG_NAME_MAX];

	if (dir < 0)
		return dir == -ENOENT ? 0 : dir;
	uuid_format(session, id);
	for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
		snprintf(name, sizeof(name), "%s.%s", id, endings[i]);
		if (unlinkat(dir, name, 0) < 0 && errno != ENOENT)
			return -errno;
	}
	return 0;
}
