/*
 * What the tests of homes share: a home with a session's real overlay, random things done in it,
 * and pictures of trees to compare.
 */
#ifndef SCARAB_TESTS_HOME_STAGE_H
#define SCARAB_TESTS_HOME_STAGE_H

#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/loop.h"
#include "runnerd/home/commit.h"
#include "runnerd/home/history.h"
#include "runnerd/home/layout.h"
#include "runnerd/home/tree.h"
#include "runnerd/homes.h"
#include "runnerd/layers.h"
#include "runnerd/overlay.h"
#include "runnerd/trash.h"
#include "tests/unit/suite.h"

enum { OWNER = 3000000, NAMES = 7 };

static char top[] = "/tmp/scarab-home-XXXXXX";

/* --- chance -------------------------------------------------------------------------------------
 */

static uint64_t seed;

static inline unsigned
below(unsigned bound)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)((seed >> 16) % bound);
}

/* A path of one to four names out of a few, so that things meet. */
static inline void
any_path(char *path)
{
	unsigned depth = 1 + below(4), i;

	*path = '\0';
	for (i = 0; i < depth; i++)
		sprintf(path + strlen(path), "%s%c", i ? "/" : "", 'a' + (int)below(NAMES));
}

/* --- what a session does, in as many directories as are given -----------------------------------
 */

static inline int
write_some(int dir, const char *path, unsigned size, unsigned hole, int flags)
{
	_cleanup_close_ int fd =
	    openat(dir, path, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | flags, 0640);
	char bytes[5000];

	if (fd < 0)
		return -errno;
	memset(bytes, 'a' + (int)(size % 26), sizeof(bytes));
	if (hole && lseek(fd, (off_t)hole * 65536, SEEK_END) < 0)
		return -errno;
	return write(fd, bytes, size) == (ssize_t)size ? 0 : -EIO;
}

static inline int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline int
remove_tree(int dir, const char *path)
{
	char full[PATH_MAX];

	snprintf(full, sizeof(full), "/proc/self/fd/%d/%s", dir, path);
	return nftw(full, remove_one, 32, FTW_DEPTH | FTW_PHYS);
}

struct act {
	unsigned kind, size, mode;
	char path[32], other[32];
};

enum {
	ACT_CREATE,
	ACT_APPEND,
	ACT_SPARSE,
	ACT_UNLINK,
	ACT_MKDIR,
	ACT_REMOVE_TREE,
	ACT_RENAME,
	ACT_SYMLINK,
	ACT_LINK,
	ACT_CHMOD,
	ACT_XATTR,
	ACT_TIMES,
	ACT_FIFO,
	ACT_REPLACE,
	ACT_COUNT
};

static inline struct act
any_act(void)
{
	struct act act = {.kind = below(ACT_COUNT), .size = below(5000), .mode = below(0777)};

	any_path(act.path);
	any_path(act.other);
	return act;
}

static inline int
set_attribute(int dir, const struct act *act)
{
	char full[PATH_MAX];

	snprintf(full, sizeof(full), "/proc/self/fd/%d/%s", dir, act->path);
	if (act->mode % 3 == 0)
		return lremovexattr(full, "user.one");
	return lsetxattr(full, act->mode % 2 ? "user.one" : "user.two", full, act->size % 16, 0);
}

static inline int
set_mode(int dir, const struct act *act)
{
	struct stat st;

	if (fstatat(dir, act->path, &st, AT_SYMLINK_NOFOLLOW) < 0 || S_ISLNK(st.st_mode))
		return -1;
	return fchmodat(dir, act->path, act->mode | (S_ISDIR(st.st_mode) ? 0700 : 0), 0);
}

static inline int
replace_tree(int dir, const struct act *act)
{
	if (remove_tree(dir, act->path) < 0 || mkdirat(dir, act->path, 0750) < 0)
		return -1;
	return mkdirat(dir, act->path, 0750);
}

static inline int
perform(int dir, const struct act *act)
{
	const struct timespec times[2] = {{.tv_sec = act->size}, {.tv_sec = act->mode * 1000L}};

	switch (act->kind) {
	case ACT_CREATE:
		return write_some(dir, act->path, act->size, 0, O_CREAT | O_TRUNC);
	case ACT_APPEND:
		return write_some(dir, act->path, act->size, 0, O_APPEND);
	case ACT_SPARSE:
		return write_some(dir, act->path, 1 + act->size, 4, O_CREAT);
	case ACT_UNLINK:
		return unlinkat(dir, act->path, 0);
	case ACT_MKDIR:
		return mkdirat(dir, act->path, 0750);
	case ACT_REMOVE_TREE:
		return remove_tree(dir, act->path);
	case ACT_RENAME:
		return renameat(dir, act->path, dir, act->other);
	case ACT_SYMLINK:
		return symlinkat(act->size % 2 ? "/etc" : act->other, dir, act->path);
	case ACT_LINK:
		return linkat(dir, act->path, dir, act->other, 0);
	case ACT_CHMOD:
		return set_mode(dir, act);
	case ACT_XATTR:
		return set_attribute(dir, act);
	case ACT_TIMES:
		return utimensat(dir, act->path, times, AT_SYMLINK_NOFOLLOW);
	case ACT_FIFO:
		return mkfifoat(dir, act->path, 0600);
	default:
		return replace_tree(dir, act);
	}
}

/* An overlay refuses to rename what lies in the layer below; then neither has it. Files with
 * several names part there when they are written: the model makes no second names. */
static inline void
perform_both(int overlay, int model, const struct act *act)
{
	if (model < 0) {
		perform(overlay, act);
		return;
	}
	if (act->kind == ACT_LINK)
		return;
	errno = 0;
	if (perform(overlay, act) < 0 && act->kind == ACT_RENAME && errno == EXDEV)
		return;
	perform(model, act);
}

/* --- what a tree is ----------------------------------------------------------------------------
 */

struct picture {
	FILE *stream;
	char *text;
	size_t length;
	bool times;
	int root;
};

static inline void
print_attributes(struct picture *p, const char *path)
{
	char names[1024], value[256], list[512] = "";
	ssize_t length = llistxattr(path, names, sizeof(names)), i, size;

	for (i = 0; i < length; i += (ssize_t)strlen(names + i) + 1) {
		/* The test's own view of a layer's marks: none may be in a home. */
		size = lgetxattr(path, names + i, value, sizeof(value));
		snprintf(list + strlen(list), sizeof(list) - strlen(list), " %s=%zd", names + i,
			 size);
	}
	fputs(list, p->stream);
}

static inline void
print_content(struct picture *p, int dir, const char *name)
{
	_cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW);
	uint64_t hash = 1469598103934665603U;
	unsigned char bytes[4096];
	ssize_t length, i;

	while ((length = read(fd, bytes, sizeof(bytes))) > 0)
		for (i = 0; i < length; i++)
			hash = (hash ^ bytes[i]) * 1099511628211U;
	fprintf(p->stream, " %llx", (unsigned long long)hash);
}

static inline void picture_of(struct picture *p, int dir, const char *path);

static inline void
print_entry(struct picture *p, int dir, const char *name, const char *path)
{
	char target[PATH_MAX], full[PATH_MAX * 2];
	struct stat st;
	ssize_t length;

	ck_assert_int_eq(fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW), 0);
	fprintf(p->stream, "%s %o %u", path, st.st_mode, st.st_uid);
	if (!S_ISDIR(st.st_mode))
		fprintf(p->stream, " %lld", (long long)st.st_size);
	if (p->times)
		fprintf(p->stream, " %lld.%ld", (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	if (S_ISREG(st.st_mode))
		print_content(p, dir, name);
	length = S_ISLNK(st.st_mode) ? readlinkat(dir, name, target, sizeof(target)) : 0;
	fprintf(p->stream, " %.*s", (int)length, target);
	snprintf(full, sizeof(full), "/proc/self/fd/%d/%s", p->root, path);
	print_attributes(p, full);
	putc('\n', p->stream);
	if (S_ISDIR(st.st_mode))
		picture_of(p, openat(dir, name, O_RDONLY | O_DIRECTORY), path);
}

static inline int
by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* Takes dir over. */
static inline void
picture_of(struct picture *p, int dir, const char *path)
{
	struct dirent **names = NULL;
	char child[PATH_MAX];
	int count, i;

	count = scandirat(dir, ".", &names, NULL, by_name);
	for (i = 0; i < count; i++) {
		if (strcmp(names[i]->d_name, ".") && strcmp(names[i]->d_name, "..")) {
			snprintf(child, sizeof(child), "%s%s%s", path, *path ? "/" : "",
				 names[i]->d_name);
			print_entry(p, dir, names[i]->d_name, child);
		}
		free(names[i]);
	}
	free(names);
	close(dir);
}

/* A line for each path, by name. The caller frees it. */
static inline char *
picture(int dir, bool times)
{
	struct picture p = {.times = times, .root = dir};
	struct stat st;

	p.stream = open_memstream(&p.text, &p.length);
	ck_assert_int_eq(fstat(dir, &st), 0);
	fprintf(p.stream, ". %o %u", st.st_mode, st.st_uid);
	if (times)
		fprintf(p.stream, " %lld.%ld", (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	putc('\n', p.stream);
	picture_of(&p, openat(dir, ".", O_RDONLY | O_DIRECTORY), "");
	fclose(p.stream);
	return p.text;
}

/* --- a home and a session -------------------------------------------------------------------- */

static bool in_memory; /* the upper layers of sessions are */

struct stage {
	int homes, model, layers;
	struct home home;
	struct uuid session;
	int mount;
	char *old;  /* the home before the session */
	char *seen; /* and as the session left it */
};

static inline void
stage_open(struct stage *stage)
{
	struct error error = ERROR_INIT;
	static unsigned count;
	char name[32];

	*stage = (struct stage){.home = HOME_INIT, .mount = -1, .layers = -1};
	stage->homes = open(top, O_RDONLY | O_DIRECTORY);
	snprintf(name, sizeof(name), "h%d-%u", getpid(), ++count);
	ck_assert_msg(home_open(stage->homes, name, OWNER, &stage->home, &error) == 0, "%s: %s",
		      error.what, error.why);
	ck_assert_int_eq(mkdirat(stage->home.dir, "model", 0700), 0);
	stage->model = openat(stage->home.dir, "model", O_RDONLY | O_DIRECTORY);
}

/* As a sandbox does it: in a place of its own mounts, which is then left. */
static inline int
memory_mount(struct stage *stage)
{
	_cleanup_close_ int upper = -1, work = -1;
	struct error error = ERROR_INIT;

	close_fd(&stage->layers);
	stage->layers = layers_new(1U << 30, &error);
	ck_assert_msg(stage->layers >= 0, "%s", error.why);
	ck_assert(mkdirat(stage->home.dir, "layers", 0700) == 0 || errno == EEXIST);
	ck_assert_int_eq(
	    move_mount(stage->layers, "", stage->home.dir, "layers", MOVE_MOUNT_F_EMPTY_PATH), 0);
	ck_assert_msg(home_layer_in_memory(&stage->home, &stage->session, stage->layers, &error) ==
			  0,
		      "%s: %s", error.what, error.why);
	upper = layers_upper(stage->layers, HOME_LAYER);
	work = openat(stage->layers, HOME_LAYER "/work", O_RDONLY | O_DIRECTORY);
	return overlay_mount("home", stage->home.tree, upper, work);
}

static inline void
session_begin(struct stage *stage)
{
	struct error error = ERROR_INIT;
	int tree;

	stage->session = uuid_new();
	free(stage->old);
	stage->old = picture(stage->home.tree, true);
	stage->mount = in_memory ? memory_mount(stage)
				 : home_layer_mount(&stage->home, &stage->session, NULL, &error);
	ck_assert_msg(stage->mount >= 0, "%s: %s", error.what, error.why);
	/* Attached, because a test of a mount that is not cannot tell when it is gone. */
	ck_assert(mkdirat(stage->home.dir, "at", 0700) == 0 || errno == EEXIST);
	ck_assert_int_eq(
	    move_mount(stage->mount, "", stage->home.dir, "at", MOVE_MOUNT_F_EMPTY_PATH), 0);
	tree = openat(stage->home.dir, "at", O_RDONLY | O_DIRECTORY);
	close(stage->mount);
	stage->mount = tree;
}

static inline void
session_end(struct stage *stage)
{
	char path[64];

	free(stage->seen);
	stage->seen = picture(stage->mount, true);
	close_fd(&stage->mount);
	snprintf(path, sizeof(path), "/proc/self/fd/%d/at", stage->home.dir);
	ck_assert_int_eq(umount2(path, UMOUNT_NOFOLLOW), 0);
	if (!in_memory)
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d/layers", stage->home.dir);
	ck_assert_int_eq(umount2(path, UMOUNT_NOFOLLOW | MNT_DETACH), 0);
}

static inline void
stage_close(struct stage *stage)
{
	free(stage->old);
	free(stage->seen);
	close_fd(&stage->layers);
	close(stage->model);
	close(stage->homes);
	home_close(&stage->home);
}

static inline struct home_job
job_of(const struct stage *stage)
{
	return (struct home_job){.dir = stage->home.dir,
				 .session = stage->session,
				 .layers = stage->layers,
				 .keep = 100};
}

typedef int order_fn(const struct home_job *job, struct msg_home_done *done, struct error *error);

static inline struct msg_home_done
carry_out(order_fn *order, const struct home_job *job)
{
	struct error error = ERROR_INIT;
	struct msg_home_done done = {0};

	ck_assert_msg(order(job, &done, &error) == 0, "%s: %s", error.what, error.why);
	return done;
}

static inline void
assert_same(const char *what, unsigned tree, const char *got, const char *want)
{
	if (strcmp(got, want))
		fprintf(stderr, "--- got\n%s--- want\n%s", got, want);
	ck_assert_msg(!strcmp(got, want), "tree %u: %s", tree, what);
}

static inline void
assert_home(const struct stage *stage, const char *what, unsigned tree, const char *want)
{
	char *got = picture(stage->home.tree, true);

	assert_same(what, tree, got, want);
	free(got);
}

static inline void
assert_settled(const struct stage *stage, unsigned tree)
{
	ck_assert_msg(!tree_exists((struct spot){stage->home.dir, HOME_SESSION}), "tree %u", tree);
	ck_assert_msg(!tree_exists((struct spot){stage->home.dir, HOME_ROLLBACK_FILE}), "tree %u",
		      tree);
}

static inline void
act_randomly(struct stage *stage, bool with_model, unsigned count)
{
	struct act act;

	while (count--) {
		act = any_act();
		perform_both(stage->mount, with_model ? stage->model : -1, &act);
	}
}

static inline void
whole_session(struct stage *stage, unsigned count)
{
	session_begin(stage);
	act_randomly(stage, false, count);
	session_end(stage);
}

/* A private mount namespace, and a file system in memory, where syncing costs nothing. */
static inline int
enter_stage(void)
{
	if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
		printf("skip: a mount namespace of its own needs root\n");
		return 77;
	}
	umask(0);
	if (!mkdtemp(top) || mount("scarab-test", top, "tmpfs", 0, "mode=0755") < 0)
		return 1;
	return 0;
}

#endif
