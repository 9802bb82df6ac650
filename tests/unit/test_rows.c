#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "common/proto.h"
#include "tests/unit/suite.h"

static struct msg
step_row(uint64_t number)
{
	struct msg row;

	msg_init(&row, MSG_STEP_ROW);
	row.step_row.session = uuid_new();
	row.step_row.took_us = number;
	return row;
}

START_TEST(written_sealed_and_read)
{
	enum { MANY = 10000 };
	int before = open_fds();
	struct rows *rows = rows_new("test");

	for (uint64_t i = 0; i < MANY; i++) {
		struct msg row = step_row(i);
		ck_assert_int_eq(rows_add(rows, &row), 0);
	}
	ck_assert_uint_eq(rows_count(rows), MANY);
	int fd = rows_seal(rows);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_lt(write(fd, "x", 1), 0);
	struct rows_reader *reader = rows_open(fd);
	ck_assert_ptr_nonnull(reader);
	struct msg row;
	for (uint64_t i = 0; i < MANY; i++) {
		ck_assert_int_eq(rows_next(reader, &row), 1);
		ck_assert_int_eq(row.type, MSG_STEP_ROW);
		ck_assert_uint_eq(row.step_row.took_us, i);
	}
	ck_assert_int_eq(rows_next(reader, &row), 0);
	ck_assert_int_eq(rows_next(reader, &row), 0);
	rows_close(reader);
	close(fd);
	ck_assert_int_eq(open_fds(), before);
}
END_TEST

START_TEST(no_rows)
{
	int fd = rows_seal(rows_new("test"));
	struct rows_reader *reader = rows_open(fd);
	struct msg row;

	ck_assert_ptr_nonnull(reader);
	ck_assert_int_eq(rows_next(reader, &row), 0);
	rows_close(reader);
	close(fd);
	rows_free(NULL);
	rows_close(NULL);
	rows_free(rows_new("never sealed"));
}
END_TEST

START_TEST(only_records)
{
	struct rows *rows = rows_new("test");
	struct msg msg;

	msg_init(&msg, MSG_OK);
	ck_assert_int_eq(rows_add(rows, &msg), -EPERM);
	msg_hello(&msg, ROLE_ASH);
	ck_assert_int_eq(rows_add(rows, &msg), -EPERM);
	ck_assert_uint_eq(rows_count(rows), 0);
	rows_free(rows);
}
END_TEST

START_TEST(bounded)
{
	struct rows *rows = rows_new("test");
	struct msg row;
	uint32_t added = 0;
	int r;

	msg_init(&row, MSG_EXEC_STRING);
	memset(row.exec_string.text, 'x', sizeof(row.exec_string.text) - 1);
	while ((r = rows_add(rows, &row)) == 0)
		added++;
	ck_assert_int_eq(r, -EFBIG);
	ck_assert_uint_eq(rows_count(rows), added);
	rows_free(rows);
}
END_TEST

/* A memfd with these bytes and seals. */
static int
memfd_with(const void *bytes, size_t length, int seals)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write_all(fd, bytes, length), 0);
	if (seals)
		ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

START_TEST(spoilt_rows)
{
	uint8_t bytes[PROTO_MESSAGE_MAX];
	struct msg row = step_row(1), read;
	size_t length = (size_t)msg_encode(&row, bytes, sizeof(bytes));

	for (size_t cut = 0; cut <= length; cut++) {
		_cleanup_close_ int fd = memfd_sealed("test", bytes, cut);
		struct rows_reader *reader = rows_open(fd);
		ck_assert_ptr_nonnull(reader);
		int expected = cut == 0 ? 0 : cut == length ? 1 : -EBADMSG;
		ck_assert_int_eq(rows_next(reader, &read), expected);
		rows_close(reader);
	}
	/* A message, but no record; a record that claims a descriptor; a payload of 4 GiB. */
	static const struct {
		size_t at;
		uint8_t byte;
	} spoils[] = {{4, MSG_OK}, {6, 1}, {11, 0xff}, {0, 0}, {2, 9}, {3, 1}, {7, 1}};
	for (size_t i = 0; i < ARRAY_LEN(spoils); i++) {
		uint8_t spoilt[PROTO_MESSAGE_MAX];
		memcpy(spoilt, bytes, length);
		spoilt[spoils[i].at] = spoils[i].byte;
		_cleanup_close_ int fd = memfd_sealed("test", spoilt, length);
		struct rows_reader *reader = rows_open(fd);
		ck_assert_int_eq(rows_next(reader, &read), -EBADMSG);
		rows_close(reader);
	}
}
END_TEST

START_TEST(unsealed_is_refused)
{
	static const int lacking[] = {0, F_SEAL_WRITE, F_SEAL_WRITE | F_SEAL_GROW,
				      F_SEAL_WRITE | F_SEAL_SHRINK, F_SEAL_GROW | F_SEAL_SHRINK};
	const uint8_t *bytes;
	size_t length;

	for (size_t i = 0; i < ARRAY_LEN(lacking); i++) {
		_cleanup_close_ int fd = memfd_with("abc", 3, lacking[i]);
		ck_assert_int_eq(memfd_map(fd, 10, &bytes, &length), -EPERM);
		ck_assert_ptr_null(rows_open(fd));
		ck_assert_int_eq(errno, EPERM);
	}
}
END_TEST

START_TEST(other_descriptors_are_refused)
{
	const uint8_t *bytes;
	size_t length;
	int ends[2];

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	ck_assert_int_eq(memfd_map(ends[0], 10, &bytes, &length), -EINVAL);
	close(ends[0]);
	close(ends[1]);
	_cleanup_close_ int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	ck_assert_int_lt(memfd_map(file, 1 << 30, &bytes, &length), 0);
	_cleanup_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	ck_assert_int_lt(memfd_map(null, 10, &bytes, &length), 0);
	ck_assert_int_eq(memfd_map(-1, 10, &bytes, &length), -EBADF);
	_cleanup_close_ int path = open("/dev/null", O_PATH | O_CLOEXEC);
	ck_assert_int_eq(memfd_map(path, 10, &bytes, &length), -EBADF);
}
END_TEST

START_TEST(mapped)
{
	const uint8_t *bytes;
	size_t length;
	_cleanup_close_ int fd = memfd_sealed("test", "hello", 5);

	ck_assert_int_eq(memfd_map(fd, 4, &bytes, &length), -EFBIG);
	ck_assert_int_eq(memfd_map(fd, 5, &bytes, &length), 0);
	ck_assert_uint_eq(length, 5);
	ck_assert_mem_eq(bytes, "hello", 5);
	munmap((void *)(uintptr_t)bytes, length);
	ck_assert_int_eq(fcntl(fd, F_GET_SEALS), F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK |
						     F_SEAL_SEAL | (fcntl(fd, F_GET_SEALS) & ~0xf));
	_cleanup_close_ int empty = memfd_sealed("test", "", 0);
	ck_assert_int_eq(memfd_map(empty, 5, &bytes, &length), 0);
	ck_assert_uint_eq(length, 0);
	ck_assert_ptr_null(bytes);
}
END_TEST

START_TEST(files)
{
	char directory[] = "/tmp/scarab-rows-XXXXXX";
	ck_assert_ptr_nonnull(mkdtemp(directory));
	_cleanup_close_ int dir = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_free_ char *text = NULL;
	size_t length;

	ck_assert_int_eq(write_file_durable(dir, "file", "one", 3, 0640), 0);
	ck_assert_int_eq(write_file_durable(dir, "file", "two!", 4, 0600), 0);
	ck_assert_int_eq(read_file_at(dir, "file", 3, &text, &length), -EFBIG);
	ck_assert_int_eq(read_file_at(dir, "file", 4, &text, &length), 0);
	ck_assert_str_eq(text, "two!");
	ck_assert_uint_eq(length, 4);
	ck_assert_int_eq(symlinkat("file", dir, "link"), 0);
	ck_assert_int_eq(read_file_at(dir, "link", 4, &text, &length), -ELOOP);
	ck_assert_int_eq(read_file_at(dir, ".", 4, &text, &length), -EINVAL);
	ck_assert_int_eq(read_file_at(dir, "absent", 4, &text, &length), -ENOENT);
	ck_assert_int_eq(unlinkat(dir, "link", 0), 0);
	ck_assert_int_eq(unlinkat(dir, "file", 0), 0);
	ck_assert_int_eq(rmdir(directory), 0);
}
END_TEST

START_TEST(checked_descriptors)
{
	_cleanup_close_ int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int path = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	_cleanup_close_ int directory = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int ends[2];

	ck_assert_int_eq(fd_check(file, S_IFREG, O_RDONLY), 0);
	ck_assert_int_eq(fd_check(file, S_IFREG, -1), 0);
	ck_assert_int_eq(fd_check(file, S_IFREG, O_RDWR), -EBADF);
	ck_assert_int_eq(fd_check(file, S_IFREG, O_PATH), -EBADF);
	ck_assert_int_eq(fd_check(file, S_IFIFO, O_RDONLY), -EINVAL);
	ck_assert_int_eq(fd_check(path, S_IFREG, O_RDONLY), -EBADF);
	ck_assert_int_eq(fd_check(path, S_IFREG, -1), -EBADF);
	ck_assert_int_eq(fd_check(path, S_IFREG, O_PATH), 0);
	ck_assert_int_eq(fd_check(directory, S_IFDIR, O_RDONLY), 0);
	ck_assert_int_eq(fd_check(-1, S_IFDIR, O_RDONLY), -EBADF);
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	ck_assert_int_eq(fd_check(ends[0], S_IFIFO, O_RDONLY), 0);
	ck_assert_int_eq(fd_check(ends[1], S_IFIFO, O_RDONLY), -EBADF);
	ck_assert_int_eq(fd_set_nonblock(ends[0], true), 0);
	ck_assert_int_lt(read(ends[0], &(char){0}, 1), 0);
	ck_assert_int_eq(errno, EAGAIN);
	close(ends[0]);
	close(ends[1]);
}
END_TEST

int
main(void)
{
	const TTest *tests[] = {written_sealed_and_read,
				no_rows,
				only_records,
				bounded,
				spoilt_rows,
				unsealed_is_refused,
				other_descriptors_are_refused,
				checked_descriptors,
				mapped,
				files};

	return suite_run("rows", tests, ARRAY_LEN(tests));
}
