#include "commit.h"

#include <fcntl.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "changes.h"
#include "common/cleanup.h"
#include "common/crash.h"
#include "common/io.h"
#include "common/loop.h"
#include "copy.h"
#include "history.h"
#include "layout.h"
#include "merge.h"
#include "runnerd/fs.h"
#include "runnerd/layers.h"
#include "runnerd/trash.h"

static void
before(const struct home_job *job)
{
	CRASH_POINT("commit.step");
	if (job->before)
		job->before(job->arg);
}

static int
session_open(const struct home_job *job)
{
	return tree_open((struct spot){job->dir, HOME_SESSION});
}

/* history/SESSION, made where it is missing. */
static int
entry_make(const struct home_job *job, const struct uuid *session)
{
	_cleanup_close_ int history = dir_make(job->dir, HOME_HISTORY, 0700, 0, 0);
	char name[UUID_TEXT_LEN + 1];

	if (history < 0)
		return history;
	return dir_make(history, uuid_format(session, name), 0700, 0, 0);
}

/* --- back ------------------------------------------------------------------------------------- */

/* One rename takes the session out of being; what it was about to leave in the history follows. */
static int
drop_session(const struct home_job *job)
{
	int rc;

	before(job);
	rc = trash_put(job->dir, job->dir, HOME_SESSION, NULL);
	if (rc < 0 && rc != -ENOENT)
		return rc;
	before(job);
	return history_prune(job->dir, UINT32_MAX);
}

static int
go_back(const struct home_job *job, struct error *error)
{
	int rc = drop_session(job);

	return rc < 0 ? error_errno(error, -rc, "discarding the session's changes") : 0;
}

/* --- forward ---------------------------------------------------------------------------------- */

static int
merge_upper(const struct home_job *job, int session, int entry)
{
	const struct merge merge = {.layer = {session, HOME_UPPER},
				    .home = {job->dir, HOME_TREE},
				    .reverse = {entry, HOME_OLD},
				    .scratch = entry,
				    .before = job->before,
				    .arg = job->arg};

	return merge_run(&merge);
}

static int
write_usage(const struct home_job *job, uint64_t bytes)
{
	struct msg record;

	msg_init(&record, MSG_HOME_USAGE);
	record.home_usage.home_bytes = bytes;
	return history_write_record(job->dir, HOME_USAGE_FILE, &record);
}

/* The mark becomes the entry in one rename: from then on the session is history. */
static int
close_entry(const struct home_job *job, int session, int entry, const struct msg_home_entry *what)
{
	int rc;

	before(job);
	if (syncfs(job->dir) < 0)
		return -errno;
	rc = write_usage(job, what->home_bytes);
	if (rc < 0)
		return rc;
	before(job);
	if (unlinkat(job->dir, HOME_DIRECT_FILE, 0) < 0 && errno != ENOENT)
		return -errno;
	if (renameat(session, HOME_MARK, entry, HOME_ENTRY_FILE) < 0)
		return -errno;
	rc = sync_dir(entry);
	return rc < 0 ? rc : sync_dir(session);
}

static int
roll_forward(const struct home_job *job, int session, const struct msg_home_entry *what)
{
	_cleanup_close_ int entry = entry_make(job, &what->session);
	int rc = entry < 0 ? entry : merge_upper(job, session, entry);

	if (!rc)
		rc = close_entry(job, session, entry, what);
	if (!rc)
		rc = drop_session(job);
	return rc < 0 || job->keep == UINT32_MAX ? rc : history_prune(job->dir, job->keep);
}

static int
go_forward(const struct home_job *job, int session, const struct msg_home_entry *what,
	   struct msg_home_done *done, struct error *error)
{
	int rc = roll_forward(job, session, what);

	if (rc < 0)
		return error_errno(error, -rc, "merging the session's changes into the home");
	done->committed = true;
	done->added = what->added;
	done->modified = what->modified;
	done->removed = what->removed;
	return 0;
}

/* --- up to the mark ----------------------------------------------------------------------------
 */

static int
list_changes(const struct home_job *job, int session, int entry, struct changes *changes)
{
	_cleanup_fclose_ FILE *list = NULL;
	int fd, rc;

	fd = openat(entry, HOME_CHANGES_FILE, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
		    0600);
	list = fd < 0 ? NULL : fdopen(fd, "w");
	if (!list) {
		rc = -errno;
		close_fd(&fd);
		return rc;
	}
	changes->list = list;
	rc = changes_find(changes, (struct spot){session, HOME_UPPER},
			  (struct spot){job->dir, HOME_TREE});
	changes->list = NULL;
	if (!rc && (fflush(list) != 0 || fsync(fd) < 0))
		rc = -errno;
	return rc < 0 ? rc : sync_dir(entry);
}

static uint64_t
usage_now(const struct home_job *job)
{
	_cleanup_close_ int home = -1;
	struct msg record;

	if (history_read_record(job->dir, HOME_USAGE_FILE, MSG_HOME_USAGE, &record) == 0)
		return record.home_usage.home_bytes;
	home = tree_open((struct spot){job->dir, HOME_TREE});
	return home < 0 ? 0 : changes_measure(home);
}

static uint64_t
usage_after(uint64_t now, const struct changes *changes)
{
	uint64_t most = now + changes->new_bytes;

	return most > changes->lost_bytes ? most - changes->lost_bytes : 0;
}

static int
make_entry(const struct home_job *job, const struct changes *changes, uint64_t bytes,
	   struct msg *record)
{
	_cleanup_(history_free) struct history history;
	int rc = history_read(job->dir, &history);

	msg_init(record, MSG_HOME_ENTRY);
	record->home_entry = (struct msg_home_entry){
	    .session = job->session,
	    .seq = rc < 0 ? 0 : history_last(&history) + 1,
	    .committed_at_ms = realtime_ms(),
	    .added = changes->added,
	    .modified = changes->modified,
	    .removed = changes->removed,
	    .undo_bytes = changes->lost_bytes,
	    .home_bytes = bytes,
	    .after_direct = tree_exists((struct spot){job->dir, HOME_DIRECT_FILE}),
	};
	return rc;
}

/* The size of the home is not known while it changes. */
static int
set_mark(const struct home_job *job, int session, const struct msg *record)
{
	before(job);
	if (unlinkat(job->dir, HOME_USAGE_FILE, 0) < 0 && errno != ENOENT)
		return -errno;
	before(job);
	return history_write_record(session, HOME_MARK, record);
}

static int
refuse_size(const struct home_job *job, uint64_t bytes, struct msg_home_done *done)
{
	snprintf(done->why, sizeof(done->why),
		 "the session's changes were discarded: the home would take %llu bytes, over "
		 "home.max_size %llu",
		 (unsigned long long)bytes, (unsigned long long)job->max_bytes);
	return 0;
}

static int
refuse_depth(struct msg_home_done *done)
{
	snprintf(done->why, sizeof(done->why),
		 "the session's changes were discarded: the home would be more than %d directories "
		 "deep",
		 TREE_DEPTH_MAX);
	return 0;
}

/* 1: marked. 0: there is nothing to merge. */
static int
decide(const struct home_job *job, int session, struct msg *record, struct msg_home_done *done)
{
	_cleanup_close_ int entry = entry_make(job, &job->session);
	_cleanup_free_ struct changes *changes = calloc(1, sizeof(*changes));
	uint64_t bytes;
	int rc;

	if (entry < 0 || !changes)
		return entry < 0 ? entry : -ENOMEM;
	rc = list_changes(job, session, entry, changes);
	if (rc == -ELOOP)
		return refuse_depth(done);
	if (rc < 0 || !changes->touched)
		return rc;
	bytes = usage_after(usage_now(job), changes);
	if (job->max_bytes && bytes > job->max_bytes && changes->new_bytes > changes->lost_bytes)
		return refuse_size(job, bytes, done);
	rc = make_entry(job, changes, bytes, record);
	if (!rc)
		rc = set_mark(job, session, record);
	return rc < 0 ? rc : 1;
}

/* --- from memory -------------------------------------------------------------------------------
 */

static int
throw_away(const struct home_job *job, int session, const char *name)
{
	int rc;

	before(job);
	rc = trash_put(job->dir, session, name, NULL);
	return rc == -ENOENT ? 0 : rc;
}

/* A disk that is full to its last block fails everybody: what does not fit is not begun. */
static int
check_room(int upper, int session)
{
	struct statfs fs;

	if (fstatfs(session, &fs) < 0)
		return -errno;
	return changes_measure(upper) > (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize ? -ENOSPC : 0;
}

static int
copy_upper(const struct home_job *job, int session)
{
	_cleanup_close_ int upper = layers_upper(job->layers, HOME_LAYER), links = -1;
	struct copy copy = {
	    .from = upper, .to = {session, HOME_COPY}, .before = job->before, .arg = job->arg};
	int rc;

	rc = upper < 0 ? upper : check_room(upper, session);
	if (rc < 0)
		return rc;
	copy.links = links = dir_make(session, HOME_LINKS, 0700, 0, 0);
	if (links < 0)
		return links;
	rc = copy_run(&copy);
	return rc < 0 ? rc : dir_remove_flat(session, HOME_LINKS);
}

/* Under its own name there is a whole upper layer, or none. */
static int
fetch_upper(const struct home_job *job, int session)
{
	int rc = throw_away(job, session, HOME_COPY);

	if (!rc)
		rc = throw_away(job, session, HOME_LINKS);
	if (!rc)
		rc = copy_upper(job, session);
	if (rc < 0)
		return rc;
	before(job);
	return renameat(session, HOME_COPY, session, HOME_UPPER) < 0 ? -errno : 0;
}

/* Once the layer is on disk, and before it is merged: without either it would be taken for one that
 * nobody held. */
static int
forget_memory(const struct home_job *job, int session)
{
	before(job);
	return unlinkat(session, HOME_MEMORY, 0) < 0 && errno != ENOENT ? -errno : 0;
}

static bool
is_in_memory(int session)
{
	return tree_exists((struct spot){session, HOME_MEMORY}) &&
	       !tree_exists((struct spot){session, HOME_UPPER});
}

/* 1: there is something to decide. */
static int
fetch(const struct home_job *job, int session, struct msg_home_done *done)
{
	int rc = 0;

	if (is_in_memory(session) && job->layers < 0) {
		done->lost = true;
		snprintf(done->why, sizeof(done->why),
			 "what it changed in its home is lost: it was in memory, and nobody held "
			 "it any more");
		return 0;
	}
	if (is_in_memory(session))
		rc = fetch_upper(job, session);
	if (!rc)
		rc = forget_memory(job, session);
	if (rc == -ELOOP)
		return refuse_depth(done);
	return rc < 0 ? rc : 1;
}

/* Without its upper layer it was merged, and a crash kept it from being dropped. */
static bool
is_uncommitted(int session, const struct uuid *id)
{
	char name[UUID_TEXT_LEN + 1];

	return tree_exists((struct spot){session, uuid_format(id, name)}) &&
	       (tree_exists((struct spot){session, HOME_UPPER}) || is_in_memory(session));
}

static int
commit_unmarked(const struct home_job *job, int session, struct msg_home_done *done,
		struct error *error)
{
	struct msg record;
	int rc;

	msg_init(&record, MSG_NONE);
	rc = fetch(job, session, done);
	if (rc < 0)
		return error_errno(error, -rc, "bringing the session's changes to the disk");
	if (rc == 0)
		return 0;
	if (syncfs(session) < 0)
		return error_errno(error, errno, "syncing the session's changes");
	rc = decide(job, session, &record, done);
	if (rc < 0)
		return error_errno(error, -rc, "reading the session's changes");
	if (rc > 0)
		return go_forward(job, session, &record.home_entry, done, error);
	return done->why[0] ? 0 : go_back(job, error);
}

/* commit: what to do when there is no mark. */
static int
end_session(const struct home_job *job, bool commit, struct msg_home_done *done,
	    struct error *error)
{
	_cleanup_close_ int session = session_open(job);
	struct msg record;
	int rc;

	msg_init(&record, MSG_NONE);
	if (session == -ENOENT)
		return 0;
	if (session < 0)
		return error_errno(error, -session, "opening the session's changes");
	rc = history_read_record(session, HOME_MARK, MSG_HOME_ENTRY, &record);
	if (!rc)
		return go_forward(job, session, &record.home_entry, done, error);
	if (rc != -ENOENT)
		return error_errno(error, -rc, "reading the mark of the session's changes");
	if (commit && is_uncommitted(session, &job->session))
		return commit_unmarked(job, session, done, error);
	return go_back(job, error);
}

int
home_commit(const struct home_job *job, struct msg_home_done *done, struct error *error)
{
	return end_session(job, true, done, error);
}

int
home_discard(const struct home_job *job, struct msg_home_done *done, struct error *error)
{
	return end_session(job, false, done, error);
}

int
home_settle(const struct home_job *job, struct msg_home_done *done, struct error *error)
{
	if (home_rollback_resume(job, done, error) < 0)
		return -1;
	return end_session(job, false, done, error);
}
