// with: runnerd/layers.c runnerd/fs.c
/* The layers of a session are bounded in bytes and inodes, and are gone with their descriptor. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "runnerd/layers.h"
#include "suite.h"

enum { LIMIT = 1 << 20, OWNER = 3001000 };

static int
new_layers(uint64_t bytes)
{
	struct error error = ERROR_INIT;
	int layers = layers_new(bytes, &error);

	ck_assert_msg(layers >= 0, "%s", error.why);
	return layers;
}

START_TEST(bytes_are_bounded)
{
	_cleanup_close_ int layers = new_layers(LIMIT), upper = -1, fd = -1;
	char bytes[4096] = {1};
	unsigned written = 0;

	upper = layers_add(layers, "home", 0750, OWNER);
	ck_assert_int_ge(upper, 0);
	fd = openat(upper, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	while (write(fd, bytes, sizeof(bytes)) > 0)
		written++;
	ck_assert_int_eq(errno, ENOSPC);
	ck_assert_uint_le(written, LIMIT / sizeof(bytes));
	ck_assert_uint_gt(written, LIMIT / sizeof(bytes) / 2);
}
END_TEST

START_TEST(inodes_are_bounded)
{
	_cleanup_close_ int layers = new_layers(LIMIT), upper = -1;
	unsigned made = 0;
	char name[16];

	upper = layers_add(layers, "home", 0750, OWNER);
	do
		snprintf(name, sizeof(name), "%u", made++);
	while (mkdirat(upper, name, 0700) == 0);
	ck_assert_int_eq(errno, ENOSPC);
	ck_assert_uint_le(made, layers_inodes(LIMIT));
	ck_assert_uint_eq(layers_inodes(LIMIT), LAYERS_INODES_LEAST);
	ck_assert_uint_eq(layers_inodes(UINT64_C(1) << 30), 262144);
	ck_assert_uint_eq(layers_inodes(UINT64_MAX), UINT32_MAX);
}
END_TEST

START_TEST(each_layer_has_its_parts)
{
	_cleanup_close_ int layers = new_layers(LIMIT), image = -1, home = -1;
	struct stat st;

	image = layers_add(layers, "image", 0755, OWNER);
	home = layers_add(layers, "home", 0700, OWNER + 1);
	ck_assert_int_eq(fstat(image, &st), 0);
	ck_assert_uint_eq(st.st_mode, S_IFDIR | 0755);
	ck_assert_uint_eq(st.st_uid, OWNER);
	ck_assert_int_eq(fstat(home, &st), 0);
	ck_assert_uint_eq(st.st_gid, OWNER + 1);
	ck_assert_int_eq(fstatat(layers, "home/work", &st, 0), 0);
	ck_assert_uint_eq(st.st_uid, 0);
}
END_TEST

START_TEST(an_envelope_keeps_them)
{
	_cleanup_close_ int layers = new_layers(LIMIT), upper = -1, first = -1, second = -1,
			    other = -1;
	int envelope = layers_seal(layers);
	struct stat before, after;

	ck_assert_int_ge(envelope, 0);
	upper = layers_add(layers, "home", 0700, OWNER);
	ck_assert_int_eq(fstat(upper, &before), 0);
	close_fd(&upper);
	close_fd(&layers);
	first = layers_unseal(envelope);
	second = layers_unseal(envelope);
	ck_assert_int_ge(first, 0);
	ck_assert_int_ge(second, 0);
	upper = layers_upper(second, "home");
	ck_assert_int_eq(fstat(upper, &after), 0);
	ck_assert(before.st_dev == after.st_dev && before.st_ino == after.st_ino);
	close(envelope);
	/* What is not root's alone, or nothing, is not taken for them. */
	other = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
	envelope = layers_seal(other);
	ck_assert_int_eq(layers_unseal(envelope), -EPERM);
	close(envelope);
	ck_assert_int_lt(layers_unseal(other), 0);
}
END_TEST

START_TEST(without_a_bound_there_are_none)
{
	struct error error = ERROR_INIT;

	ck_assert_int_lt(layers_new(0, &error), 0);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {bytes_are_bounded, inodes_are_bounded,
				      each_layer_has_its_parts, an_envelope_keeps_them,
				      without_a_bound_there_are_none};

	if (geteuid() != 0) {
		printf("skip: file systems are made by root\n");
		return 77;
	}
	return suite_run("layers", tests, ARRAY_LEN(tests));
}
