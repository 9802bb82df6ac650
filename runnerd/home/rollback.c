#include <fcntl.h>
#include <unistd.h>

#include "commit.h"
#include "common/cleanup.h"
#include "common/crash.h"
#include "common/io.h"
#include "history.h"
#include "layout.h"
#include "merge.h"
#include "runnerd/trash.h"

static void
before(const struct home_job *job)
{
	CRASH_POINT("rollback.step");
	if (job->before)
		job->before(job->arg);
}

/* --- what may be undone --------------------------------------------------------------------------
 */

static int
refuse_direct(struct error *error)
{
	error_why(error, ERR_CONFLICT,
		  "a session of home mode direct wrote the home since: what is older cannot be "
		  "brought back");
	return error_hint(error, "'ash home log' shows the sessions that can be undone");
}

/* What a session wrote directly is in no entry: nothing can be undone past it. */
static int
check_direct(const struct home_job *job, const struct history *history,
	     const struct msg_home_entry *target, struct error *error)
{
	size_t i;

	if (tree_exists((struct spot){job->dir, HOME_DIRECT_FILE}))
		return refuse_direct(error);
	for (i = 0; i < history->count; i++)
		if (history->entries[i].seq > target->seq && history->entries[i].after_direct)
			return refuse_direct(error);
	return 0;
}

/* --- undoing ---------------------------------------------------------------------------------- */

/* Its reverse goes into the entry itself, so that one rename takes both away. */
static int
undo_entry(const struct home_job *job, int history, const char *name)
{
	_cleanup_close_ int entry = tree_open((struct spot){history, name});
	int rc;

	if (entry < 0)
		return entry;
	const struct merge merge = {.layer = {entry, HOME_OLD},
				    .home = {job->dir, HOME_TREE},
				    .reverse = {entry, HOME_UNDONE},
				    .scratch = entry,
				    .before = job->before,
				    .arg = job->arg};

	rc = merge_run(&merge);
	if (rc < 0)
		return rc;
	before(job);
	if (syncfs(job->dir) < 0)
		return -errno;
	rc = trash_put(job->dir, history, name, NULL);
	return rc < 0 ? rc : sync_dir(history);
}

static int
undo_from(const struct home_job *job, uint64_t seq, uint32_t *undone)
{
	_cleanup_(history_free) struct history all;
	_cleanup_close_ int dir = tree_open((struct spot){job->dir, HOME_HISTORY});
	char name[UUID_TEXT_LEN + 1];
	int rc = history_read(job->dir, &all);
	size_t i;

	if (rc < 0 || dir < 0)
		return dir == -ENOENT ? 0 : rc < 0 ? rc : dir;
	for (i = all.count; !rc && i-- > 0 && all.entries[i].seq >= seq;) {
		rc = undo_entry(job, dir, uuid_format(&all.entries[i].session, name));
		*undone += !rc;
	}
	return rc;
}

static int
resume(const struct home_job *job, struct msg_home_done *done)
{
	struct msg record;
	int rc = history_read_record(job->dir, HOME_ROLLBACK_FILE, MSG_HOME_ROLLBACK_MARK, &record);

	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	rc = undo_from(job, record.home_rollback_mark.seq, &done->undone);
	if (rc < 0)
		return rc;
	before(job);
	if (unlinkat(job->dir, HOME_ROLLBACK_FILE, 0) < 0)
		return -errno;
	return sync_dir(job->dir);
}

int
home_rollback_resume(const struct home_job *job, struct msg_home_done *done, struct error *error)
{
	int rc = 0;

	if (unlinkat(job->dir, HOME_ROLLBACK_NEW, 0) < 0 && errno != ENOENT)
		rc = -errno;
	if (!rc)
		rc = resume(job, done);
	return rc < 0 ? error_errno(error, -rc, "undoing the changes of sessions") : 0;
}

static int
set_mark(const struct home_job *job, const struct msg_home_entry *target)
{
	struct msg record;

	before(job);
	if (unlinkat(job->dir, HOME_USAGE_FILE, 0) < 0 && errno != ENOENT)
		return -errno;
	msg_init(&record, MSG_HOME_ROLLBACK_MARK);
	record.home_rollback_mark.session = target->session;
	record.home_rollback_mark.seq = target->seq;
	before(job);
	return history_write_record(job->dir, HOME_ROLLBACK_FILE, &record);
}

static int
begin(const struct home_job *job, struct error *error)
{
	_cleanup_(history_free) struct history history;
	const struct msg_home_entry *target;
	int rc = history_read(job->dir, &history);

	if (rc < 0)
		return error_errno(error, -rc, "reading the home's history");
	target = history_find(&history, &job->session);
	if (!target) {
		error_why(error, ERR_NOT_FOUND, "the home's history has no such session");
		return error_hint(error, "'ash home log' shows the sessions that can be undone");
	}
	if (check_direct(job, &history, target, error) < 0)
		return -1;
	rc = set_mark(job, target);
	return rc < 0 ? error_errno(error, -rc, "marking the rollback") : 0;
}

int
home_rollback(const struct home_job *job, struct msg_home_done *done, struct error *error)
{
	struct msg_home_done earlier = {0};

	if (home_settle(job, &earlier, error) < 0 || begin(job, error) < 0)
		return -1;
	return home_rollback_resume(job, done, error);
}
