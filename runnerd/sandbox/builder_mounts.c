#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "attributes.h"
#include "builder_path.h"
#include "builder_seed.h"
#include "common/cleanup.h"

enum {
	PTY_GID = 5,  /* group tty of every distribution */
	PTY_MAX = 64, /* in one sandbox: the kernel's own bound (4096) is the whole host's */
};

/* A file system being configured: the first failure sticks, with the call that failed. */
struct new_fs {
	int context;
	int failure;
	char call[64];
};

static void
fs_failed(struct new_fs *fs, const char *call, const char *key)
{
	fs->failure = errno;
	snprintf(fs->call, sizeof(fs->call), "%s %s", call, key);
}

static void
fs_begin(struct new_fs *fs, const char *type)
{
	*fs = (struct new_fs){.context = fsopen(type, FSOPEN_CLOEXEC)};
	if (fs->context < 0)
		fs_failed(fs, "fsopen", type);
}

static void
fs_string(struct new_fs *fs, const char *key, const char *value)
{
	if (!fs->failure && fsconfig(fs->context, FSCONFIG_SET_STRING, key, value, 0) < 0)
		fs_failed(fs, "fsconfig", key);
}

static void
fs_flag(struct new_fs *fs, const char *key)
{
	if (!fs->failure && fsconfig(fs->context, FSCONFIG_SET_FLAG, key, NULL, 0) < 0)
		fs_failed(fs, "fsconfig", key);
}

static void
fs_number(struct new_fs *fs, const char *key, uint64_t value)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	fs_string(fs, key, text);
}

static void
fs_octal(struct new_fs *fs, const char *key, unsigned value)
{
	char text[32];

	snprintf(text, sizeof(text), "%o", value);
	fs_string(fs, key, text);
}

/* The detached mount, or -1 with error. */
static int
fs_mount(struct new_fs *fs, unsigned attributes, struct error *error)
{
	int fd = -1;

	if (!fs->failure && fsconfig(fs->context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		fs_failed(fs, "fsconfig", "create");
	if (!fs->failure) {
		fd = fsmount(fs->context, FSMOUNT_CLOEXEC, attributes);
		if (fd < 0)
			fs_failed(fs, "fsmount", "");
	}
	close_fd(&fs->context);
	return fs->failure ? error_errno(error, fs->failure, "%s", fs->call) : fd;
}

int
seed_attach(const struct seed *seed, int mount, const char *path, bool directory,
	    struct error *error)
{
	_cleanup_close_ int point = -1;

	if (seed_clear(seed, path, directory ? S_IFDIR : S_IFREG, error) < 0)
		return -1;
	point = path_mount_point(seed->root, path, directory);
	if (point < 0)
		return error_errno(error, -point, "opening the mount point");
	if (move_mount(mount, "", point, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return error_errno(error, errno, "move_mount");
	return 0;
}

/* Takes the mount over. */
static int
attach_new(const struct seed *seed, int mount, const char *path, struct error *error)
{
	_cleanup_close_ int taken = mount;

	return taken < 0 ? -1 : seed_attach(seed, taken, path, true, error);
}

static int
new_tmpfs(const struct msg_sandbox_tmpfs *tmpfs, struct error *error)
{
	struct new_fs fs;

	fs_begin(&fs, "tmpfs");
	fs_number(&fs, "size", tmpfs->size_bytes);
	fs_number(&fs, "nr_inodes", tmpfs->inodes);
	fs_octal(&fs, "mode", tmpfs->mode & 07777);
	fs_number(&fs, "uid", tmpfs->uid);
	fs_number(&fs, "gid", tmpfs->gid);
	return fs_mount(&fs,
			TMPFS_ATTRIBUTES | (tmpfs->noexec ? (unsigned)TMPFS_ATTRIBUTES_NOEXEC : 0U),
			error);
}

/* A tmpfs without a bound would take 0 for "no limit". */
int
seed_tmpfs(struct seed *seed, const struct msg *msg, struct error *error)
{
	const struct msg_sandbox_tmpfs *tmpfs = &msg->sandbox_tmpfs;

	if (tmpfs->size_bytes == 0 || tmpfs->inodes == 0)
		return error_why(error, ERR_INVALID, "it has no bound in bytes or inodes");
	return attach_new(seed, new_tmpfs(tmpfs, error), tmpfs->path, error);
}

int
seed_proc(struct seed *seed, const struct msg *msg, struct error *error)
{
	struct new_fs fs;
	int mount;

	fs_begin(&fs, "proc");
	fs_string(&fs, "subset", "pid");
	fs_string(&fs, "hidepid", "invisible");
	mount = fs_mount(&fs, PROC_ATTRIBUTES, error);
	return attach_new(seed, mount, msg->sandbox_proc.path, error);
}

/* ptmx beside it is a link into it. */
static int
link_ptmx(const struct seed *seed, const char *path, struct error *error)
{
	_cleanup_close_ int parent = -1;
	const char *leaf;
	char target[NAME_MAX + 8];

	parent = path_parent(seed->root, path, &leaf);
	if (parent < 0)
		return error_errno(error, -parent, "opening its parent");
	snprintf(target, sizeof(target), "%s/ptmx", leaf);
	if (symlinkat(target, parent, "ptmx") < 0 && errno != EEXIST)
		return error_errno(error, errno, "symlinkat of ptmx");
	return 0;
}

static int
make_devpts(const char *gid, struct error *error)
{
	struct new_fs fs;

	fs_begin(&fs, "devpts");
	fs_flag(&fs, "newinstance");
	fs_string(&fs, "ptmxmode", "0666");
	fs_string(&fs, "mode", "0620");
	fs_string(&fs, "gid", gid);
	fs_number(&fs, "max", PTY_MAX);
	return fs_mount(&fs, DEVPTS_ATTRIBUTES, error);
}

int
seed_devpts(struct seed *seed, const struct msg *msg, struct error *error)
{
	const char *path = msg->sandbox_devpts.path;
	uint32_t gid = (uint32_t)(seed->begin->base_uid + PTY_GID);
	char text[16];
	int mount;

	snprintf(text, sizeof(text), "%u", gid);
	mount = make_devpts(text, error);
	/* Older kernels (6.1 is one) read the number as an int, and take it back as one. */
	if (mount < 0 && gid > INT32_MAX) {
		snprintf(text, sizeof(text), "%d", (int32_t)gid);
		mount = make_devpts(text, error);
	}
	if (attach_new(seed, mount, path, error) < 0)
		return -1;
	return link_ptmx(seed, path, error);
}

/* Private before it is attached: upon a shared mount of the host, the next mount below it would
 * show up in the host too. */
int
seed_mount(struct seed *seed, const struct msg *msg, struct error *error)
{
	const struct msg_sandbox_mount *mount = &msg->sandbox_mount;
	struct mount_attr attributes = {.propagation = MS_PRIVATE};

	if (mount_setattr(msg->fds[0], "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes,
			  sizeof(attributes)) < 0)
		return error_errno(error, errno, "mount_setattr private");
	return seed_attach(seed, msg->fds[0], mount->path, mount->directory, error);
}

/* To another sandbox of this session. Cloned here, where the mount is attached: before Linux 6.15 a
 * detached one cannot be. */
int
seed_share(struct seed *seed, const struct msg *msg, struct error *error)
{
	_cleanup_close_ int point = path_mount_point(seed->root, msg->sandbox_share.path, true);
	struct msg shared;
	int mount, rc;

	if (point < 0)
		return error_errno(error, -point, "opening it");
	mount = open_tree(point, "",
			  OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE);
	if (mount < 0)
		return error_errno(error, errno, "open_tree");
	msg_init(&shared, MSG_SANDBOX_SHARED);
	shared.sandbox_shared.place = msg->sandbox_share.place;
	msg_add_fd(&shared, mount);
	rc = msg_send(seed->fds->channel, CH_BUILDER, SIDE_B, IN_OPEN, &shared);
	msg_close_fds(&shared);
	return rc < 0 ? error_errno(error, -rc, "sending it") : 0;
}

/* --- the root --------------------------------------------------------------------------------- */

static int
new_root(const struct seed *seed, struct error *error)
{
	struct new_fs fs;

	if (seed->begin->root_bytes == 0 || seed->begin->root_inodes == 0)
		return error_why(error, ERR_INVALID, "it has no bound in bytes or inodes");
	fs_begin(&fs, "tmpfs");
	fs_number(&fs, "size", seed->begin->root_bytes);
	fs_number(&fs, "nr_inodes", seed->begin->root_inodes);
	fs_octal(&fs, "mode", 0755);
	return fs_mount(&fs, ROOT_ATTRIBUTES, error);
}

/* Attached first: before Linux 6.15 nothing can be mounted upon a detached mount. */
int
seed_make_root(struct seed *seed, struct error *error)
{
	struct stat st;

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return error_errno(error, errno,
				   "making every mount private (/ must be a mount point)");
	seed->root = new_root(seed, error);
	if (seed->root < 0)
		return error_what(error, "mounting the root");
	if (move_mount(seed->root, "", AT_FDCWD, "/new", MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return error_errno(error, errno, "move_mount of the root");
	if (fstat(seed->root, &st) < 0)
		return error_errno(error, errno, "fstat of the root");
	seed->root_device = st.st_dev;
	return 0;
}
