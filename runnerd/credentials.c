#include "credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/vfs.h>

#include "common/cleanup.h"
#include "common/loop.h"
#include "fs.h"
#include "secrets.h"

enum { PAGE_BYTES = 4096 };

/* Directories are root's; where the program may enter, of its group. */
static const struct {
	const char *path;
	mode_t mode;
	bool programs;
} places[SECRET_PLACES] = {
    [PLACE_CREDENTIALS] = {CREDENTIALS_PATH, 0550, true},
    [PLACE_ENVIRONMENT] = {ENVIRONMENT_PATH, 0500, false},
};

/* --- made ---------------------------------------------------------------------------------------
 */

static int
set_number(int context, const char *key, uint64_t number)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
	return fsconfig(context, FSCONFIG_SET_STRING, key, text, 0);
}

static int
set_mode(int context, mode_t mode)
{
	char text[16];

	snprintf(text, sizeof(text), "%o", mode);
	return fsconfig(context, FSCONFIG_SET_STRING, "mode", text, 0);
}

/* Each file may stand beside its successor. */
static int
configure(int context, uid_t root, gid_t group, mode_t mode, size_t count)
{
	if (set_number(context, "size", count * 2 * (SECRET_BYTES_MAX + PAGE_BYTES)) < 0 ||
	    set_number(context, "nr_inodes", count * 2 + 2) < 0 || set_mode(context, mode) < 0 ||
	    set_number(context, "uid", root) < 0 || set_number(context, "gid", group) < 0)
		return -errno;
	/* Linux 6.4; before, what is written may be swapped out like any program's memory. */
	if (fsconfig(context, FSCONFIG_SET_FLAG, "noswap", NULL, 0) < 0 && errno != EINVAL)
		return -errno;
	return fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0 ? -errno : 0;
}

/* A detached mount with room for so many secrets; not swapped where the kernel can (6.4). */
static int
make_mount(const struct session *s, enum secret_place place, uint32_t uid, size_t count,
	   struct error *error)
{
	_cleanup_close_ int context = fsopen("tmpfs", FSOPEN_CLOEXEC);
	gid_t group = s->base_uid + (places[place].programs ? uid : 0);
	int rc = context < 0 ? -errno
			     : configure(context, s->base_uid, group, places[place].mode, count);
	int fd;

	if (rc < 0)
		return error_errno(error, -rc, "the tmpfs of %s", places[place].path);
	fd = fsmount(context, FSMOUNT_CLOEXEC, CREDENTIALS_ATTRIBUTES);
	return fd < 0 ? error_errno(error, errno, "fsmount of %s", places[place].path) : fd;
}

int
credentials_file(const struct session *s, int dir, const char *name, enum secret_place place,
		 uint32_t uid)
{
	uid_t owner = s->base_uid + (places[place].programs ? uid : 0);
	_cleanup_close_ int fd =
	    openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0400);

	if (fd < 0 || fchown(fd, owner, owner) < 0 || fchmod(fd, 0400) < 0)
		return -errno;
	return steal_fd(&fd);
}

/* The files of one mount that is not attached yet. */
struct filling {
	struct session *s;
	int mount;
	enum secret_place place;
	uint32_t uid;
	struct error *error;
};

static int
fill_one(const struct secret_use *use, void *arg)
{
	const struct filling *filling = arg;
	struct session *s = filling->s;
	struct error *error = filling->error;
	uint64_t max_uses;
	int fd, rc;

	if (use->place != filling->place)
		return 0;
	if (policy_secret(s->agent->plan, use->credential, realtime_ms(), &max_uses, error) < 0)
		return -1;
	fd = credentials_file(s, filling->mount, use->file, use->place, filling->uid);
	if (fd < 0)
		return error_errno(error, -fd, "making the file of the credential %s",
				   use->credential->name);
	rc = secrets_ask(s, use, max_uses, fd);
	return rc < 0 ? error_errno(error, -rc, "asking for %s", use->credential->name) : 0;
}

/* It goes to the builder whole. */
static int
fill_place(struct session *s, struct recipe *recipe, const char *server, enum secret_place place,
	   uint32_t uid, struct error *error)
{
	size_t count = secret_uses_count(s->agent->plan, server, place);
	struct filling filling = {.s = s, .place = place, .uid = uid, .error = error};
	_cleanup_close_ int mount = -1;

	if (!count)
		return 0;
	if (recipe->facts) {
		recipe_explain(recipe, places[place].path, "tmpfs", "tmpfs",
			       CREDENTIALS_ATTRIBUTES);
		return 0;
	}
	mount = filling.mount = make_mount(s, place, uid, count, error);
	if (mount < 0 || secret_uses(s->agent->plan, server, fill_one, &filling) < 0)
		return -1;
	recipe_mount(recipe, places[place].path, steal_fd(&mount), true);
	return 0;
}

int
credentials_place(struct session *s, struct recipe *recipe, const char *server, uint32_t uid,
		  struct error *error)
{
	if (!secret_uses_count(s->agent->plan, server, PLACE_CREDENTIALS))
		recipe_dir(recipe, CREDENTIALS_PATH, 0500, uid);
	for (unsigned place = 0; place < SECRET_PLACES; place++)
		if (fill_place(s, recipe, server, (enum secret_place)place, uid, error) < 0)
			return -1;
	return 0;
}

/* --- found again --------------------------------------------------------------------------------
 */

/* Only runnerd makes such a directory: nothing inside may mount, nor write the root. */
static int
check_dir(int fd, uint32_t base_uid, mode_t mode)
{
	struct statfs fs;
	struct stat st;

	if (fstatfs(fd, &fs) < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (fs.f_type != TMPFS_MAGIC || st.st_uid != base_uid || (st.st_mode & 07777) != mode)
		return -ESTALE;
	return 0;
}

int
credentials_dir(const struct session *s, const struct procid *init, enum secret_place place)
{
	_cleanup_close_ int process = -1, root = -1, dir = -1;
	char path[32];
	struct procid now;
	int rc;

	if (!init->pid)
		return -ESRCH;
	snprintf(path, sizeof(path), "/proc/%d", init->pid);
	process = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (process < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	/* If it started when ours did, process is ours, or one that ended before: then it has no
	 * root any more. */
	rc = procid_read(init->pid, &now);
	if (rc < 0 || now.start_ticks != init->start_ticks)
		return rc < 0 ? rc : -ESRCH;
	root = openat(process, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	dir = open_resolved(root, places[place].path + 1, O_RDONLY | O_DIRECTORY,
			    RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
	if (dir < 0)
		return dir;
	rc = check_dir(dir, s->base_uid, places[place].mode);
	return rc < 0 ? rc : steal_fd(&dir);
}

const char *
credentials_new_name(const char *name, char *text, size_t size)
{
	snprintf(text, size, ".%s.new", name);
	return text;
}
