/* The scanner, the frames, the queues, messages: what stands between hostile bytes and the rest. */
// with: runnerd/broker/frame.c runnerd/broker/outq.c runnerd/broker/rpc.c
// with: runnerd/broker/splice.c
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "runnerd/broker/frame.h"
#include "runnerd/broker/outq.h"
#include "runnerd/broker/rpc.h"
#include "runnerd/broker/splice.h"
#include "suite.h"

static struct span
text_span(const char *text)
{
	return (struct span){text, strlen(text)};
}

static const char *
scan_text(const char *text)
{
	struct span value;

	return scan(text_span(text), &value);
}

START_TEST(json_is_taken)
{
	static const char *const texts[] = {
	    "{}",
	    "[]",
	    " {\"a\" : [ 1 , -0.5e+10 , true , false , null , \"\" ] } ",
	    "0",
	    "-1",
	    "\"\\u0000\\\"\\\\\\/\\b\\f\\n\\r\\t\\ud800\"",
	    "\"\xc2\x80\xe2\x82\xac\xf0\x9f\x98\x80\"",
	    "\"\x7f\"",
	    "1E9",
	    "[[[[]]]]",
	    "{\"a\":{\"a\":{}}}",
	    "\"0123456701234567\\\"01234567\"",
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		ck_assert_msg(scan_text(texts[i]) == NULL, "%s: %s", texts[i], scan_text(texts[i]));
}
END_TEST

START_TEST(anything_else_is_refused)
{
	static const char *const texts[] = {
	    "",
	    " ",
	    "{",
	    "}",
	    "[",
	    "]",
	    "{]",
	    "[}",
	    "{\"a\"}",
	    "{\"a\":}",
	    "{a:1}",
	    "{\"a\":1,}",
	    "[1,]",
	    "[,1]",
	    "[1 2]",
	    "{\"a\":1 \"b\":2}",
	    "01",
	    "+1",
	    "1.",
	    ".5",
	    "1e",
	    "1e+",
	    "-",
	    "0x1",
	    "NaN",
	    "Infinity",
	    "nul",
	    "tru",
	    "True",
	    "'a'",
	    "\"",
	    "\"\\",
	    "\"\\x\"",
	    "\"\\u12\"",
	    "\"\\u12g4\"",
	    "\"a\tb\"",
	    "\"\x01\"",
	    "{}{}",
	    "{} x",
	    "1 2",
	    "/**/1",
	    "\xef\xbb\xbf{}",
	    "\"\xc0\x80\"",
	    "\"\xc1\xbf\"",
	    "\"\x80\"",
	    "\"\xed\xa0\x80\"",
	    "\"\xe0\x80\x80\"",
	    "\"\xf0\x80\x80\x80\"",
	    "\"\xf4\x90\x80\x80\"",
	    "\"\xf5\x80\x80\x80\"",
	    "\"\xe2\x82\"",
	    "\"\xe2\x82",
	    "\"0123456789abcd\xff\"",
	    "\"01234567\n\"",
	    "\"0123456\x1f\"",
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		ck_assert_msg(scan_text(texts[i]) != NULL, "%s", texts[i]);
	/* A NUL is no end of a text. */
	struct span value;
	ck_assert_ptr_nonnull(scan((struct span){"{}\0", 3}, &value));
	ck_assert_ptr_nonnull(scan((struct span){"\"\0\"", 3}, &value));
}
END_TEST

START_TEST(sixty_four_levels)
{
	char text[2 * (SCAN_DEPTH + 1) + 1];

	for (size_t depth = SCAN_DEPTH; depth <= SCAN_DEPTH + 1; depth++) {
		memset(text, '[', depth);
		memset(text + depth, ']', depth);
		text[2 * depth] = '\0';
		ck_assert_int_eq(scan_text(text) == NULL, depth == SCAN_DEPTH);
	}
}
END_TEST

/* Whatever is cut off is not a value. */
START_TEST(every_cut_is_refused)
{
	static const char text[] =
	    "{\"a\":[1,\"b\\u00e9\xc3\xa9\",true,{\"c\":null}],\"d\":-1.5e3}";
	struct span value;

	for (size_t length = 0; length < sizeof(text) - 1; length++) {
		/* Exactly as much memory as it may look at. */
		char *own = malloc(length + !length);
		memcpy(own, text, length);
		ck_assert_ptr_nonnull(scan((struct span){own, length}, &value));
		free(own);
	}
	ck_assert_ptr_null(scan_text(text));
}
END_TEST

START_TEST(members_are_found)
{
	static const char *const names[] = {"id", "name"};
	struct span object, values[2];
	char text[16];
	uint64_t number;

	ck_assert_ptr_null(
	    scan(text_span(" {\"x\":{\"id\":1,\"a\":\"}\\\"\"} , \"n\\u0061me\" :\"b\","
			   "\"id\" : [ 7 ] } "),
		 &object));
	ck_assert_int_eq(members(object, names, 2, values), 0);
	ck_assert(span_equal(values[0], SPAN("[ 7 ]")));
	ck_assert(span_equal(values[1], SPAN("\"b\"")));
	ck_assert(!member(object, "none").at);
	ck_assert_int_eq(value_kind(member(object, "x")), VALUE_OBJECT);
	ck_assert(span_equal(member(member(object, "x"), "a"), SPAN("\"}\\\"\"")));
	/* Twice, in whatever disguise. */
	ck_assert_int_eq(members(SPAN("{\"id\":1,\"id\":2}"), names, 1, values), -1);
	ck_assert_int_eq(members(SPAN("{\"id\":1,\"i\\u0064\":2}"), names, 1, values), -1);
	ck_assert_int_eq(members(SPAN("{\"ID\":1,\"id\":2}"), names, 1, values), -1);
	ck_assert_int_eq(members(SPAN("{\"ID\":1}"), names, 1, values), 0);
	ck_assert_ptr_null(values[0].at);

	ck_assert_int_eq(string_text(SPAN("\"a\\u20ac\\ud83d\\ude00\""), text, sizeof(text)), 8);
	ck_assert_str_eq(text, "a\xe2\x82\xac\xf0\x9f\x98\x80");
	ck_assert_int_eq(string_text(SPAN("\"\\u0000\""), text, sizeof(text)), -1);
	ck_assert_int_eq(string_text(SPAN("\"\\ud800x\""), text, sizeof(text)), -1);
	ck_assert_int_eq(string_text(SPAN("\"0123456789abcde\""), text, sizeof(text)), 15);
	ck_assert_int_eq(string_text(SPAN("\"0123456789abcdef\""), text, sizeof(text)), -1);
	ck_assert_int_eq(string_text(SPAN("1"), text, sizeof(text)), -1);
	ck_assert(number_uint(SPAN("9007199254740992"), &number));
	ck_assert(!number_uint(SPAN("9007199254740993"), &number));
	ck_assert(!number_uint(SPAN("-1"), &number));
	ck_assert(!number_uint(SPAN("1.0"), &number));
}
END_TEST

START_TEST(messages_are_told_apart)
{
	static const struct {
		const char *line;
		int code;
		enum rpc_kind kind;
	} cases[] = {
	    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\"}", 0, RPC_REQUEST},
	    {"{\"jsonrpc\":\"2.0\",\"id\":\"\",\"method\":\"m\",\"params\":{}}", 0, RPC_REQUEST},
	    {"{\"jsonrpc\":\"2.0\",\"method\":\"m\"}", 0, RPC_NOTIFICATION},
	    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}", 0, RPC_RESULT},
	    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{}}", 0, RPC_ERROR},
	    {"{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{}}", 0, RPC_ERROR},
	    {"{\"jsonrpc\":\"2.0\",\"error\":{}}", 0, RPC_ERROR},
	    {"[]", 0, RPC_BATCH},
	    {"{\"jsonrpc\":\"2.0\",\"result\":{}}", RPC_INVALID_REQUEST, RPC_RESULT},
	    {"{\"jsonrpc\":\"2.0\",\"id\":1}", RPC_INVALID_REQUEST, RPC_RESULT},
	    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{},\"error\":{}}", RPC_INVALID_REQUEST, 0},
	    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":1}", RPC_INVALID_REQUEST, 0},
	    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"result\":{}}", RPC_INVALID_REQUEST,
	     0},
	    {"{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"m\"}", RPC_INVALID_REQUEST, 0},
	    {"{\"jsonrpc\":\"2.0\",\"id\":1e3,\"method\":\"m\"}", RPC_INVALID_REQUEST, 0},
	    {"{\"jsonrpc\":2.0,\"id\":1,\"method\":\"m\"}", RPC_INVALID_REQUEST, 0},
	    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":7}", RPC_INVALID_REQUEST, 0},
	    {"\"jsonrpc\"", RPC_INVALID_REQUEST, 0},
	    {"{\"jsonrpc\":\"2.0\",", RPC_PARSE_ERROR, 0},
	};
	const char *why;
	struct rpc rpc;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		ck_assert_msg(rpc_parse(text_span(cases[i].line), &rpc, &why) == cases[i].code,
			      "%s", cases[i].line);
		if (cases[i].code == 0)
			ck_assert_msg(rpc.kind == cases[i].kind, "%s", cases[i].line);
	}
}
END_TEST

/* --- frames ---------------------------------------------------------------------------------- */

struct seen {
	char text[512];
	int lines, stop_after;
};

static bool
see(enum frame_event event, struct span line, void *arg)
{
	struct seen *seen = arg;
	size_t length = strlen(seen->text);

	snprintf(seen->text + length, sizeof(seen->text) - length, "%s%.*s|",
		 event == FRAME_TOO_LONG ? "!" : "", (int)line.length, line.at);
	return ++seen->lines != seen->stop_after;
}

START_TEST(lines_come_whole_however_they_are_cut)
{
	static const char stream[] = "one\r\n\n \t\r\ntwo two\nthree\r\r\n\r\nfour";
	struct pool pool = {.max = 1 << 20};
	struct frame frame;

	for (size_t step = 1; step < sizeof(stream); step++) {
		struct seen seen = {.stop_after = -1};

		frame_init(&frame, &pool, 64);
		for (size_t at = 0; at < sizeof(stream) - 1; at += step)
			ck_assert(frame_feed(
			    &frame, stream + at,
			    at + step < sizeof(stream) - 1 ? step : sizeof(stream) - 1 - at, see,
			    &seen));
		ck_assert_str_eq(seen.text, "one|two two|three\r|");
		ck_assert(frame_pending(&frame));
		frame_free(&frame);
		ck_assert_uint_eq(pool.used, 0);
	}
}
END_TEST

START_TEST(a_line_that_is_too_long_keeps_its_ends)
{
	struct pool pool = {.max = 1 << 20};
	struct seen seen = {.stop_after = -1};
	struct frame frame;
	char *at;

	frame_init(&frame, &pool, 1000);
	frame_feed(&frame, "{\"id\":7,", 8, see, &seen);
	for (int i = 0; i < 100000; i++)
		ck_assert(frame_feed(&frame, "0123456789", 10, see, &seen));
	ck_assert_uint_eq(pool.used, 0); /* nothing is held meanwhile */
	frame_feed(&frame, "\"id\":9}\nnext\n", 13, see, &seen);
	ck_assert_int_eq(seen.lines, 2);
	ck_assert_int_eq(strncmp(seen.text, "!{\"id\":7,0123456789", 19), 0);
	at = strstr(seen.text, "|next|");
	ck_assert_ptr_nonnull(at);
	ck_assert_int_eq(strncmp(at - 10, "789\"id\":9}", 10), 0);
	frame_free(&frame);
}
END_TEST

START_TEST(the_pool_bounds_all_frames)
{
	struct pool pool = {.max = 10000};
	struct seen seen = {.stop_after = 1};
	struct frame a, b;
	char text[6000];

	memset(text, 'x', sizeof(text));
	frame_init(&a, &pool, 8000);
	frame_init(&b, &pool, 8000);
	frame_feed(&a, text, sizeof(text), see, &seen);
	frame_feed(&b, text, sizeof(text), see, &seen);
	ck_assert_uint_le(pool.used, pool.max);
	ck_assert_uint_gt(b.dropped, 0);
	ck_assert(!frame_feed(&b, "\n\n", 2, see, &seen));
	frame_free(&a);
	frame_free(&b);
	ck_assert_uint_eq(pool.used, 0);
}
END_TEST

/* --- queues ---------------------------------------------------------------------------------- */

static void
count_waits(bool waiting, void *arg)
{
	*(int *)arg += waiting ? 1 : -1;
}

static struct iovec
piece(const char *text)
{
	return (struct iovec){(void *)(uintptr_t)text, strlen(text)};
}

/* All that comes out, up to its size. */
static void
drain(int fd, char *text, size_t size)
{
	ssize_t n = read(fd, text, size - 1);

	text[n > 0 ? n : 0] = '\0';
}

START_TEST(queues_keep_their_order_and_bound)
{
	static char big[400000];
	struct pool pool = {.max = 1 << 20};
	int ends[2], waits = 0;
	char text[sizeof(big) + 64], *out = text;
	size_t left = sizeof(text);
	struct outq q;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
	memset(big, 'x', sizeof(big) - 1);
	outq_init(&q, &pool, ends[0], 500000, count_waits, &waits);
	ck_assert_int_eq(outq_send(&q, (struct iovec[]){piece("a"), piece("b\n")}, 2, 1), 0);
	ck_assert_int_eq(waits, 0);
	ck_assert_int_eq(outq_send(&q, (struct iovec[]){piece(big)}, 1, 2), 0);
	ck_assert_int_eq(waits, 1);
	ck_assert_int_eq(outq_send(&q, (struct iovec[]){piece("c\n")}, 1, 3), 0);
	ck_assert_int_eq(outq_send(&q, (struct iovec[]){piece("d\n")}, 1, 4), 0);
	ck_assert_int_eq(outq_send_first(&q, (struct iovec[]){piece("first\n")}, 1), 0);
	ck_assert_int_eq(outq_send(&q, (struct iovec[]){piece(big)}, 1, 5), -ENOBUFS);
	ck_assert(outq_take_back(&q, 3));
	ck_assert(!outq_take_back(&q, 3));
	ck_assert(!outq_take_back(&q, 2)); /* it has begun */
	while (waits) {
		drain(ends[1], out, left);
		left -= strlen(out);
		out += strlen(out);
		ck_assert_int_eq(outq_flush(&q), 0);
	}
	drain(ends[1], out, left);
	ck_assert_uint_eq(strlen(text), 3 + sizeof(big) - 1 + 6 + 2);
	ck_assert_str_eq(text + 3 + sizeof(big) - 1, "first\nd\n");
	ck_assert_uint_eq(pool.used, 0);
	close(ends[1]);
	ck_assert_int_eq(outq_send(&q, (struct iovec[]){piece("e")}, 1, 6), -EPIPE);
	outq_free(&q);
	close(ends[0]);
}
END_TEST

START_TEST(splices)
{
	static const char text[] = "{\"id\":1,\"name\":\"x\",\"t\":2}";
	struct span whole = SPAN("{\"id\":1,\"name\":\"x\",\"t\":2}"), value;
	struct iovec pieces[SPLICE_PIECES];
	struct splice splice = {0};
	char out[64] = "";

	whole.at = text;
	value = member(whole, "t");
	splice_put(&splice, value, "33", 2);
	value = member(whole, "id");
	splice_put(&splice, value, "\"one\"", 5);
	value = member(whole, "name");
	splice_put(&splice, value, "\"y\"", 3);
	int count = splice_pieces(&splice, whole, pieces);
	for (int i = 0; i < count; i++)
		strncat(out, pieces[i].iov_base, pieces[i].iov_len);
	ck_assert_str_eq(out, "{\"id\":\"one\",\"name\":\"y\",\"t\":33}\n");
}
END_TEST

int
main(void)
{
	const TTest *tests[] = {
	    json_is_taken,
	    anything_else_is_refused,
	    sixty_four_levels,
	    every_cut_is_refused,
	    members_are_found,
	    messages_are_told_apart,
	    lines_come_whole_however_they_are_cut,
	    a_line_that_is_too_long_keeps_its_ends,
	    the_pool_bounds_all_frames,
	    queues_keep_their_order_and_bound,
	    splices,
	};

	signal(SIGPIPE, SIG_IGN);
	return suite_run("broker_scan", tests, ARRAY_LEN(tests));
}
