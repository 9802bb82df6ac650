// with: runnerd/sandbox/builder_path.c
/* Nothing that a recipe names leads out of the root or through a link. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "runnerd/sandbox/builder_path.h"
#include "suite.h"

static char dir[64];
static int root;

static void
start(void)
{
	snprintf(dir, sizeof(dir), "/tmp/sandbox-paths-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	root = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(root, 0);
}

static void
finish(void)
{
	char command[100];

	close(root);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	ck_assert_int_eq(system(command), 0);
}

START_TEST(plain)
{
	ck_assert(path_plain("/a"));
	ck_assert(path_plain("/a/b.c/..d/...") && path_plain("/a b"));
	ck_assert(!path_plain("") && !path_plain("a") && !path_plain("/"));
	ck_assert(!path_plain("/a/") && !path_plain("//a") && !path_plain("/a//b"));
	ck_assert(!path_plain("/.") && !path_plain("/a/.") && !path_plain("/a/./b"));
	ck_assert(!path_plain("/..") && !path_plain("/a/..") && !path_plain("/../a"));
}
END_TEST

START_TEST(parents_are_made)
{
	const char *leaf;
	struct stat st;
	int fd, before;

	start();
	before = open_fds();
	umask(0);
	fd = path_parent(root, "/a/b/c/file", &leaf);
	ck_assert_int_ge(fd, 0);
	ck_assert_str_eq(leaf, "file");
	close(fd);
	ck_assert_int_eq(fstatat(root, "a/b/c", &st, 0), 0);
	ck_assert_uint_eq(st.st_mode, S_IFDIR | 0755);
	fd = path_parent(root, "/top", &leaf);
	ck_assert_int_ge(fd, 0);
	close(fd);
	ck_assert_int_eq(open_fds(), before);
	finish();
}
END_TEST

START_TEST(links_are_not_followed)
{
	const char *leaf;

	start();
	ck_assert_int_eq(symlinkat("/etc", root, "link"), 0);
	ck_assert_int_eq(symlinkat("gone", root, "dangling"), 0);
	ck_assert_int_eq(path_parent(root, "/link/x", &leaf), -ELOOP);
	ck_assert_int_eq(path_parent(root, "/link/x/y", &leaf), -ELOOP);
	ck_assert_int_eq(path_parent(root, "/dangling/x/y", &leaf), -ELOOP);
	ck_assert_int_lt(path_open(root, "/link", O_DIRECTORY), 0);
	ck_assert_int_lt(path_mount_point(root, "/link", true), 0);
	ck_assert_int_lt(path_mount_point(root, "/dangling", false), 0);
	ck_assert_int_eq(faccessat(root, "gone", F_OK, 0), -1);
	finish();
}
END_TEST

START_TEST(mount_points)
{
	struct stat st;
	int fd;

	start();
	fd = path_mount_point(root, "/m/dir", true);
	ck_assert_int_ge(fd, 0);
	close(fd);
	fd = path_mount_point(root, "/m/file", false);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert(S_ISREG(st.st_mode));
	close(fd);
	fd = path_mount_point(root, "/m/file", false);
	ck_assert_int_ge(fd, 0);
	close(fd);
	ck_assert_int_lt(path_mount_point(root, "/m/file", true), 0);
	ck_assert_int_eq(path_mount_point(root, "/m/dir", false), -EISDIR);
	ck_assert_int_lt(path_mount_point(root, "/m/file/x", true), 0);
	finish();
}
END_TEST

int
main(void)
{
	const TTest *tests[] = {plain, parents_are_made, links_are_not_followed, mount_points};

	return suite_run("sandbox_paths", tests, ARRAY_LEN(tests));
}
