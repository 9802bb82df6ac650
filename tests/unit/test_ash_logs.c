// with: ash/logs.c ash/logline.c ash/jsonline.c
// with: ash/output.c ash/table.c ash/text.c ash/progress.c
/* Log lines become the bytes that were printed; segments are read as one stream. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ash/logline.h"
#include "ash/logs.h"
#include "common/cleanup.h"
#include "common/json.h"
#include "suite.h"

static char buffer[65536];

static bool
parse(const char *line, struct logline *parsed)
{
	strcpy(buffer, line);
	return logline_parse(buffer, strlen(buffer), parsed);
}

static void
gives(const char *line, const char *stream, const char *content, size_t length)
{
	struct logline parsed;

	ck_assert_msg(parse(line, &parsed), "%s", line);
	ck_assert_str_eq(parsed.stream, stream);
	ck_assert_uint_eq(parsed.length, length);
	ck_assert_int_eq(memcmp(parsed.content, content, length), 0);
}

START_TEST(text_is_decoded)
{
	gives("{\"time\":\"2026-11-21T10:00:00.000Z\",\"stream\":\"stdout\",\"text\":\"hello\"}",
	      "stdout", "hello", 5);
	gives("{\"stream\":\"stderr\",\"text\":\"a\\tb\\\"c\\\\d\\/\\r\\b\\f\\n\"}", "stderr",
	      "a\tb\"c\\d/\r\b\f\n", 12);
	gives("{\"stream\":\"stdout\",\"text\":\"nul\\u0000nul\"}", "stdout", "nul\0nul", 7);
	gives("{\"stream\":\"stdout\",\"text\":\"\\u00e4\\u20ac\\ud83d\\ude00ä\"}", "stdout",
	      "ä€😀ä", 11);
	gives(" { \"stream\" : \"fs\" , \"text\" : \"\" , \"partial\" : false } ", "fs", "", 0);
}
END_TEST

START_TEST(bytes_are_decoded)
{
	gives("{\"stream\":\"stdout\",\"bytes\":\"/wD+\"}", "stdout", "\377\0\376", 3);
	gives("{\"stream\":\"stdout\",\"bytes\":\"YQ==\"}", "stdout", "a", 1);
	gives("{\"stream\":\"stdout\",\"bytes\":\"YWI=\"}", "stdout", "ab", 2);
	gives("{\"stream\":\"stdout\",\"bytes\":\"\"}", "stdout", "", 0);
}
END_TEST

START_TEST(partial_lines_are_told)
{
	struct logline parsed;

	ck_assert(parse("{\"stream\":\"stdout\",\"text\":\"x\",\"partial\":true}", &parsed));
	ck_assert(parsed.partial);
	ck_assert(parse("{\"stream\":\"stdout\",\"text\":\"x\"}", &parsed));
	ck_assert(!parsed.partial);
}
END_TEST

START_TEST(what_is_no_log_line_is_refused)
{
	static const char *const lines[] = {
	    "",
	    "{",
	    "{}",
	    "[]",
	    "null",
	    "{\"stream\":\"stdout\"}",
	    "{\"text\":\"x\"}",
	    "{\"stream\":\"stdout\",\"text\":\"x\"",
	    "{\"stream\":\"stdout\",\"text\":\"x}",
	    "{\"stream\":\"stdout\",\"text\":\"\\x\"}",
	    "{\"stream\":\"stdout\",\"text\":\"\\u12\"}",
	    "{\"stream\":\"stdout\",\"text\":\"\\ud800\"}",
	    "{\"stream\":\"stdout\",\"text\":\"\\udc00x\"}",
	    "{\"stream\":\"stdout\",\"text\":\"\\ud800\\u0041\"}",
	    "{\"stream\":\"stdout\",\"text\":\"\\",
	    "{\"stream\":\"stdout\",\"text\":\"\\u",
	    "{\"stream\":\"stdout\",\"bytes\":\"YQ=\"}",
	    "{\"stream\":\"stdout\",\"bytes\":\"Y!==\"}",
	    "{\"stream\":\"stdout\",\"text\":\"x\"} trailing",
	    "{\"stream\":\"stdout\",\"text\":\"x\",}",
	    "{\"stream\":\"stdout\",\"text\":}",
	    "{\"stream\":\"a-stream-whose-name-is-longer-than-any-plugin-can-be-called-"
	    "0123456789\",\"text\":\"x\"}",
	};
	struct logline parsed;

	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		ck_assert_msg(!parse(lines[i], &parsed), "%s", lines[i]);
}
END_TEST

/* Whatever the runtime's own writer puts into a string comes out as it was. */
START_TEST(every_byte_survives)
{
	for (int c = 0; c < 256; c++) {
		struct json json = JSON_INIT;
		char byte[] = {'<', (char)c, '>'};
		struct logline parsed;
		_cleanup_free_ char *line = NULL;
		size_t length;

		json_object(&json);
		json_key(&json, "stream");
		json_string(&json, "stdout");
		json_key(&json, c < 0x80 ? "text" : "bytes");
		if (c < 0x80)
			json_string_n(&json, byte, 3);
		else
			json_base64(&json, (uint8_t *)byte, 3);
		json_object_end(&json);
		line = json_take(&json, &length);
		ck_assert(logline_parse(line, length, &parsed));
		ck_assert_uint_eq(parsed.length, 3);
		ck_assert_int_eq(memcmp(parsed.content, byte, 3), 0);
	}
}
END_TEST

/* Cut anywhere, a line is refused and nothing beyond it is read (the sanitizers watch). */
START_TEST(truncation_is_harmless)
{
	static const char line[] = "{\"time\":\"t\",\"stream\":\"stdout\",\"text\":"
				   "\"\\ud83d\\ude00\\u0000\",\"partial\":true}";
	struct logline parsed;

	for (size_t length = 0; length < sizeof(line) - 1; length++) {
		_cleanup_free_ char *cut = malloc(length ? length : 1);

		memcpy(cut, line, length);
		ck_assert(!logline_parse(cut, length, &parsed));
	}
}
END_TEST

/* --- segments ------------------------------------------------------------------------------------
 */

static int
segment(const char *text)
{
	int fd = memfd_create("segment", MFD_CLOEXEC);

	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	return fd;
}

static void
hand_over(struct logs *logs, int fd, uint64_t offset, int older, uint64_t older_offset)
{
	struct msg msg;

	msg_init(&msg, MSG_LOG);
	msg.log.offset = offset;
	msg.log.older_offset = older_offset;
	msg_add_fd(&msg, fd);
	if (older >= 0)
		msg_add_fd(&msg, older);
	logs_take(logs, &msg);
	msg_close_fds(&msg);
}

/* What logs_pump prints to standard output. */
static const char *
pumped(struct logs *logs)
{
	int saved = dup(STDOUT_FILENO), file = memfd_create("out", 0);
	ssize_t n;

	fflush(stdout);
	dup2(file, STDOUT_FILENO);
	ck_assert_int_eq(logs_pump(logs, NULL), 0);
	dup2(saved, STDOUT_FILENO);
	n = pread(file, buffer, sizeof(buffer) - 1, 0);
	buffer[n] = '\0';
	close(saved);
	close(file);
	return buffer;
}

#define LINE(text) "{\"stream\":\"stdout\",\"text\":\"" text "\"}\n"

START_TEST(two_segments_are_one_stream)
{
	struct logs logs = LOGS_INIT;
	static const char older[] = LINE("one") LINE("two");
	uint64_t half = sizeof(older) - 1;

	hand_over(&logs, segment(LINE("three")), half, segment(older), 0);
	ck_assert_str_eq(pumped(&logs), "one\ntwo\nthree\n");
	ck_assert_uint_eq(logs.position, half + strlen(LINE("three")));
	ck_assert_uint_eq(logs.missed, 0);
	ck_assert_str_eq(pumped(&logs), "");
	logs_free(&logs);
}
END_TEST

START_TEST(reading_goes_on_from_its_offset)
{
	struct logs logs = LOGS_INIT;
	uint64_t one = strlen(LINE("one"));

	hand_over(&logs, segment(LINE("one")), 0, -1, 0);
	ck_assert_str_eq(pumped(&logs), "one\n");
	/* The log went on to its next segment meanwhile. */
	hand_over(&logs, segment(LINE("three")), 2 * one, segment(LINE("one") LINE("two")), 0);
	ck_assert_str_eq(pumped(&logs), "two\nthree\n");
	/* And far beyond what is kept. */
	hand_over(&logs, segment(LINE("nine")), 1000, segment(LINE("eight")), 900);
	pumped(&logs);
	ck_assert_uint_gt(logs.missed, 0);
	logs_free(&logs);
}
END_TEST

START_TEST(lines_may_come_in_pieces)
{
	struct logs logs = LOGS_INIT;
	int fd = segment("{\"stream\":\"stdout\",\"te"), writer = dup(fd);

	hand_over(&logs, fd, 0, -1, 0);
	ck_assert_str_eq(pumped(&logs), "");
	ck_assert_int_gt(write(writer, "xt\":\"whole\"}\n", 13), 0);
	ck_assert_str_eq(pumped(&logs), "whole\n");
	close(writer);
	logs_free(&logs);
}
END_TEST

START_TEST(damage_is_left_out_and_counted)
{
	struct logs logs = LOGS_INIT;
	_cleanup_free_ char *endless = calloc(1, 400001);

	memset(endless, 'x', 400000);
	endless[399999] = '\n';
	int fd = segment(LINE("before") "not json\n");
	ck_assert_int_gt(write(fd, endless, 400000), 0);
	ck_assert_int_gt(write(fd, LINE("after"), strlen(LINE("after"))), 0);
	hand_over(&logs, fd, 0, -1, 0);
	ck_assert_str_eq(pumped(&logs), "before\nafter\n");
	ck_assert_uint_eq(logs.damaged, 2);
	logs_free(&logs);
}
END_TEST

START_TEST(json_is_the_line_as_stored)
{
	struct logs logs = LOGS_INIT;

	logs.json = true;
	hand_over(&logs, segment(LINE("\\u0000x")), 0, -1, 0);
	ck_assert_str_eq(pumped(&logs), LINE("\\u0000x"));
	logs_free(&logs);
}
END_TEST

int
main(void)
{
	const TTest *tests[] = {
	    text_is_decoded,
	    bytes_are_decoded,
	    partial_lines_are_told,
	    what_is_no_log_line_is_refused,
	    every_byte_survives,
	    truncation_is_harmless,
	    two_segments_are_one_stream,
	    reading_goes_on_from_its_offset,
	    lines_may_come_in_pieces,
	    damage_is_left_out_and_counted,
	    json_is_the_line_as_stored,
	};

	return suite_run("ash logs", tests, ARRAY_LEN(tests));
}
