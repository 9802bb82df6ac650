// with: runnerd/keeper/keeper_segments.c
/* Lines are never torn over two segments; where there is no room they are dropped and counted. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "runnerd/keeper/keeper_segments.h"
#include "suite.h"

enum { LIMIT = 100 };

static struct segments segments;
static int files[3];

static void
start(void)
{
	memset(&segments, 0, sizeof(segments));
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		files[i] = memfd_create("segment", MFD_CLOEXEC);
	segments_init(&segments, dup(files[0]), dup(files[1]), LIMIT);
}

static void
finish(void)
{
	segments_flush(&segments);
	close(segments.fd);
	if (segments.next >= 0)
		close(segments.next);
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		close(files[i]);
}

static off_t
size(int file)
{
	struct stat st;

	ck_assert_int_eq(fstat(file, &st), 0);
	return st.st_size;
}

/* 40 bytes that hold 10 of output. */
static void
add(char fill)
{
	char line[40];

	memset(line, fill, sizeof(line));
	segments_add(&segments, line, sizeof(line), 10);
}

START_TEST(goes_on_in_the_next)
{
	start();
	for (int i = 0; i < 4; i++)
		add('a');
	segments_flush(&segments);
	ck_assert_int_eq(size(files[0]), 80);
	ck_assert_int_eq(size(files[1]), 80);
	ck_assert_uint_eq(segments.number, 1);
	ck_assert_uint_eq(segments.total, 160);
	ck_assert_uint_eq(segments.dropped, 0);
	finish();
}
END_TEST

START_TEST(drops_whole_lines_and_says_so_later)
{
	start();
	for (int i = 0; i < 7; i++)
		add('a');
	ck_assert_uint_eq(segments.dropped, 30);
	ck_assert_uint_eq(segments.untold, 30);
	segments_add(&segments, "short\n", 6, 5); /* not before the gap is told */
	ck_assert_uint_eq(segments.dropped, 35);
	ck_assert(segments_next(&segments, dup(files[2])));
	ck_assert_uint_eq(segments.number, 2);
	add('b');
	segments_flush(&segments);
	ck_assert_int_eq(size(files[2]), 40);
	ck_assert_uint_eq(segments.total, 200);
	finish();
}
END_TEST

START_TEST(next_before_it_is_needed)
{
	int before = open_fds();

	start();
	ck_assert(!segments_next(&segments, dup(files[2])));
	ck_assert_uint_eq(segments.number, 0);
	finish();
	ck_assert_int_eq(open_fds(), before);
}
END_TEST

START_TEST(a_line_longer_than_a_segment)
{
	char line[70000];

	start();
	memset(line, 'x', sizeof(line));
	segments_add(&segments, line, sizeof(line), 7);
	add('a');
	segments_flush(&segments);
	ck_assert_int_eq(size(files[0]), sizeof(line));
	ck_assert_int_eq(size(files[1]), 40);
	finish();
}
END_TEST

/* A disk that is full: counted, and the torn bytes are written over. */
START_TEST(what_cannot_be_written_is_dropped)
{
	start();
	close(segments.fd);
	segments.fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	add('a');
	segments_flush(&segments);
	ck_assert_uint_eq(segments.dropped, 10);
	ck_assert_uint_eq(segments.used, 0);
	ck_assert_uint_eq(segments.total, 0);
	finish();
}
END_TEST

int
main(void)
{
	const TTest *tests[] = {goes_on_in_the_next, drops_whole_lines_and_says_so_later,
				next_before_it_is_needed, a_line_longer_than_a_segment,
				what_cannot_be_written_is_dropped};

	return suite_run("keeper_segments", tests, ARRAY_LEN(tests));
}
