#include "homes.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/cleanup.h"
#include "common/confine.h"
#include "common/crash.h"
#include "common/limits.h"
#include "common/loop.h"
#include "fs.h"
#include "home/layout.h"
#include "home/tree.h"
#include "layers.h"
#include "overlay.h"
#include "quota.h"
#include "trash.h"

void
home_close(struct home *home)
{
	close_fd(&home->dir);
	close_fd(&home->tree);
	close_fd(&home->lock);
}

static bool
exists(int dir, const char *name)
{
	return faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int
lock_home(struct home *home, const char *agent, struct error *error)
{
	home->lock = openat(home->dir, HOME_LOCK, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (home->lock < 0)
		return error_errno(error, errno, "cannot open homes/%s/lock", agent);
	if (flock(home->lock, LOCK_EX | LOCK_NB) < 0)
		return error_why(error, ERR_CONFLICT, "another session holds the home of %s",
				 agent);
	if (!exists(home->dir, HOME_SESSION) && !exists(home->dir, HOME_ROLLBACK_FILE))
		return 0;
	error_why(error, ERR_CONFLICT, "an earlier change of the home of %s is not finished",
		  agent);
	return error_hint(error, "the log of agentd says why");
}

int
home_open(int homes_fd, const char *agent, uint32_t base_uid, struct home *home,
	  struct error *error)
{
	uid_t owner = base_uid + AGENT_UID;

	home->dir = dir_make(homes_fd, agent, 0700, 0, 0);
	if (home->dir < 0)
		return error_errno(error, -home->dir, "cannot make homes/%s", agent);
	if (lock_home(home, agent, error) < 0)
		return -1;
	home->tree = dir_make(home->dir, HOME_TREE, 0700, owner, owner);
	if (home->tree < 0)
		return error_errno(error, -home->tree, "cannot make homes/%s/home", agent);
	return 0;
}

int
home_note_direct(const struct home *home)
{
	_cleanup_close_ int mark = -1;

	if (unlinkat(home->dir, HOME_USAGE_FILE, 0) < 0 && errno != ENOENT)
		return -errno;
	if (!exists(home->dir, HOME_HISTORY))
		return 0;
	mark =
	    openat(home->dir, HOME_DIRECT_FILE, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	return mark < 0 ? -errno : 0;
}

/* --- the layer of a session ------------------------------------------------------------------- */

/* What the agent sees as its home's own attributes are the upper layer's. */
static int
look_like(int upper, int tree)
{
	struct stat st;
	int rc = tree_copy_attributes(tree, upper);

	if (!rc && (fstat(tree, &st) < 0 ||
		    futimens(upper, (struct timespec[]){st.st_atim, st.st_mtim}) < 0))
		rc = -errno;
	return rc;
}

static int
make_upper(int session, int tree)
{
	_cleanup_close_ int upper = dir_make(session, HOME_UPPER, 0700, 0, 0);
	int rc = upper < 0 ? upper : look_like(upper, tree);

	return rc < 0 ? rc : steal_fd(&upper);
}

/* Whose it is stands in it, so that nobody takes another session's changes for its own. */
static int
make_session(int home, const struct uuid *id)
{
	_cleanup_close_ int dir = dir_make(home, HOME_SESSION, 0700, 0, 0), mark = -1;
	char name[UUID_TEXT_LEN + 1];
	int rc;

	CRASH_POINT("layer.made");
	if (dir >= 0)
		mark = openat(dir, uuid_format(id, name),
			      O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (mark >= 0)
		return steal_fd(&dir);
	rc = dir < 0 ? dir : -errno;
	unlinkat(home, HOME_SESSION, AT_REMOVEDIR);
	return rc;
}

/* Everything that is made in the session's directory is the project's. */
static int
limit_session(int session, const struct home_limit *limit)
{
	int rc = limit ? quota_enter(session, limit->project) : 0;

	if (!rc && limit)
		rc =
		    quota_allow(session, limit->project, limit->bytes, layers_inodes(limit->bytes));
	return rc;
}

int
home_layer_mount(const struct home *home, const struct uuid *session,
		 const struct home_limit *limit, struct error *error)
{
	_cleanup_close_ int dir = -1, upper = -1, work = -1;
	int rc;

	dir = make_session(home->dir, session);
	if (dir < 0)
		return error_errno(error, -dir, "making the session's directory in its home");
	CRASH_POINT("layer.named");
	rc = limit_session(dir, limit);
	if (rc < 0)
		return error_errno(error, -rc, "setting the disk quota");
	upper = make_upper(dir, home->tree);
	work = dir_make(dir, HOME_WORK, 0700, 0, 0);
	if (upper < 0 || work < 0)
		return error_errno(error, upper < 0 ? -upper : -work,
				   "making the layers of the home");
	CRASH_POINT("layer.complete");
	rc = overlay_mount("home", home->tree, upper, work);
	CRASH_POINT("layer.mounted");
	if (rc >= 0)
		return rc;
	error_errno(error, -rc, "mounting the overlay of the home");
	return error_hint(error,
			  "home mode journal needs state_dir on a file system that an overlay's "
			  "upper layer may lie on (ext4, xfs, btrfs, tmpfs); home modes direct "
			  "and none do not");
}

static int
note_memory(int session)
{
	int fd = openat(session, HOME_MEMORY, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

int
home_layer_in_memory(const struct home *home, const struct uuid *session, int layers,
		     struct error *error)
{
	_cleanup_close_ int dir = make_session(home->dir, session), upper = -1;
	int rc = dir < 0 ? dir : note_memory(dir);

	if (rc < 0)
		return error_errno(error, -rc, "making the session's directory in its home");
	upper = layers_add(layers, HOME_LAYER, 0700, 0);
	rc = upper < 0 ? upper : look_like(upper, home->tree);
	return rc < 0 ? error_errno(error, -rc, "making the layer of the home in memory") : 0;
}

bool
home_unsettled(int homes_fd, const char *agent, const struct uuid *session)
{
	char path[sizeof(HOME_SESSION) + UUID_TEXT_LEN + 1], name[UUID_TEXT_LEN + 1];
	_cleanup_close_ int dir =
	    openat(homes_fd, agent, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (dir < 0)
		return false;
	if (!session)
		return exists(dir, HOME_SESSION) || exists(dir, HOME_ROLLBACK_FILE) ||
		       exists(dir, HOME_ROLLBACK_NEW);
	snprintf(path, sizeof(path), "%s/%s", HOME_SESSION, uuid_format(session, name));
	return exists(dir, path);
}

bool
home_undecided(int homes_fd, const char *agent, const struct uuid *session)
{
	_cleanup_close_ int dir =
	    openat(homes_fd, agent, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return dir >= 0 && home_unsettled(homes_fd, agent, session) &&
	       !exists(dir, HOME_SESSION "/" HOME_MARK) &&
	       (exists(dir, HOME_SESSION "/" HOME_UPPER) ||
		exists(dir, HOME_SESSION "/" HOME_MEMORY));
}

bool
home_is_locked(int homes_fd, const char *agent)
{
	char path[AGENT_NAME_MAX + sizeof("/" HOME_LOCK)];
	_cleanup_close_ int lock = -1;

	snprintf(path, sizeof(path), "%s/" HOME_LOCK, agent);
	lock = openat(homes_fd, path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	return lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) < 0;
}

static int
found_trash(int dir_fd, const char *name)
{
	(void)dir_fd;
	(void)name;
	return 1;
}

bool
home_has_trash(int homes_fd, const char *agent)
{
	_cleanup_close_ int dir =
	    openat(homes_fd, agent, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return dir >= 0 && trash_each(dir, found_trash) == 1;
}

/* --- deletion ------------------------------------------------------------------------------- */

int
homes_sweep(int homes_fd)
{
	return trash_each(homes_fd, trash_delete_aside);
}

int
home_purge(int homes_fd, const char *agent)
{
	char name[TRASH_NAME_MAX];
	int rc = trash_put(homes_fd, homes_fd, agent, name);

	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	return trash_delete_aside(homes_fd, name);
}
