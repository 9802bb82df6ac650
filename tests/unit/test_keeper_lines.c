// with: runnerd/keeper/keeper_lines.c
/* Output is cut at newline and at 16 KiB, never inside a character, and loses no byte. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "runnerd/keeper/keeper_lines.h"
#include "suite.h"

static struct lines lines;
static char seen[1 << 20];
static size_t seen_length, calls, partials;

/* What `ash agent run --wait` prints: the bytes as they were. */
static void
collect(const uint8_t *bytes, size_t length, bool partial, void *arg)
{
	(void)arg;
	ck_assert_uint_le(length, LOG_LINE_BYTES);
	ck_assert_uint_le(seen_length + length + 1, sizeof(seen));
	memcpy(seen + seen_length, bytes, length);
	seen_length += length;
	if (!partial)
		seen[seen_length++] = '\n';
	calls++;
	partials += partial;
}

static void
start(void)
{
	memset(&lines, 0, sizeof(lines));
	seen_length = calls = partials = 0;
}

static void
add(const char *bytes, size_t length)
{
	memcpy(lines_room(&lines), bytes, length);
	lines_added(&lines, length, collect, NULL);
}

START_TEST(whole_lines)
{
	start();
	add("one\ntwo\n\nthr", 12);
	ck_assert_uint_eq(calls, 3);
	add("ee\n", 3);
	ck_assert_uint_eq(calls, 4);
	ck_assert_uint_eq(partials, 0);
	ck_assert_mem_eq(seen, "one\ntwo\n\nthree\n", 15);
}
END_TEST

START_TEST(flush_keeps_a_begun_character_once)
{
	start();
	add("caf\xc3", 4);
	lines_flush(&lines, false, collect, NULL);
	ck_assert_uint_eq(seen_length, 3);
	ck_assert_uint_eq(lines.length, 1);
	add("\xa9", 1);
	lines_flush(&lines, false, collect, NULL);
	ck_assert_mem_eq(seen, "caf\xc3\xa9", 5);
	add("\xe2\x82", 2);
	lines_flush(&lines, false, collect, NULL);
	ck_assert_uint_eq(seen_length, 7);
	ck_assert_uint_eq(lines.length, 0);
}
END_TEST

START_TEST(last_flush_leaves_nothing)
{
	start();
	add("ab\xf0\x9f", 4);
	lines_flush(&lines, true, collect, NULL);
	ck_assert_uint_eq(seen_length, 4);
	ck_assert_uint_eq(calls, 1);
	lines_flush(&lines, true, collect, NULL);
	ck_assert_uint_eq(calls, 1);
}
END_TEST

START_TEST(long_line_is_cut_between_characters)
{
	char text[LOG_LINE_BYTES + 10];

	start();
	memset(text, 'x', sizeof(text));
	memcpy(text + LOG_LINE_BYTES - 1, "\xc3\xa9", 2);
	add(text, sizeof(text));
	ck_assert_uint_eq(calls, 1);
	ck_assert_uint_eq(seen_length, LOG_LINE_BYTES - 1);
	lines_flush(&lines, true, collect, NULL);
	ck_assert_uint_eq(seen_length, sizeof(text));
	ck_assert_mem_eq(seen, text, sizeof(text));
}
END_TEST

START_TEST(exactly_16_kib_wait_for_their_newline)
{
	char text[LOG_LINE_BYTES + 1];

	start();
	memset(text, 'x', sizeof(text));
	text[LOG_LINE_BYTES] = '\n';
	add(text, LOG_LINE_BYTES);
	ck_assert_uint_eq(calls, 0);
	add(text + LOG_LINE_BYTES, 1);
	ck_assert_uint_eq(calls, 1);
	ck_assert_uint_eq(partials, 0);
}
END_TEST

/* Any bytes in any pieces with flushes in between come out as they went in. */
static void
add_random(unsigned seed)
{
	static char text[400000];
	size_t at, piece;

	start();
	srand(seed);
	for (at = 0; at < sizeof(text); at++)
		text[at] = (char)(rand() % 5000 == 0 ? '\n' : rand() % 245 + 11);
	for (at = 0; at < sizeof(text); at += piece) {
		piece = (size_t)rand() % LINES_READ_BYTES + 1;
		if (piece > sizeof(text) - at)
			piece = sizeof(text) - at;
		add(text + at, piece);
		ck_assert_uint_le(lines.length, LOG_LINE_BYTES);
		if (rand() % 4 == 0)
			lines_flush(&lines, false, collect, NULL);
	}
	lines_flush(&lines, true, collect, NULL);
	ck_assert_uint_eq(seen_length, sizeof(text));
	ck_assert_mem_eq(seen, text, sizeof(text));
}

START_TEST(nothing_is_lost)
{
	for (unsigned seed = 1; seed <= 20; seed++)
		add_random(seed);
}
END_TEST

int
main(void)
{
	const TTest *tests[] = {whole_lines,
				flush_keeps_a_begun_character_once,
				last_flush_leaves_nothing,
				long_line_is_cut_between_characters,
				exactly_16_kib_wait_for_their_newline,
				nothing_is_lost};

	return suite_run("keeper_lines", tests, ARRAY_LEN(tests));
}
