// with: libagent/c/json.c libagent/c/buffer.c
/* JSON as libagent reads it; whatever stands in the text, it reads nothing outside of it. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "libagent/c/agent.h"
#include "tests/unit/suite.h"

static struct agent_json
whole(const char *text)
{
	return agent_json(text, strlen(text));
}

static char *
nested(int levels)
{
	char *text = calloc(1, (size_t)levels * 2 + 1);

	ck_assert_ptr_nonnull(text);
	memset(text, '[', (size_t)levels);
	memset(text + levels, ']', (size_t)levels);
	return text;
}

START_TEST(what_is_json_and_what_is_not)
{
	static const char *const good[] = {
	    "{}",   " [1, -0.5e+7, 0]\n",   "\"\\u00e9\\\"\\/\"",
	    "true", "{\"a\":{\"a\":null}}", "\"ü\xf0\x9f\xaa\xb2\"",
	};
	static const char *const bad[] = {
	    "",
	    "{",
	    "{}{}",
	    "01",
	    "1.",
	    ".5",
	    "+1",
	    "tru",
	    "[1,]",
	    "{\"a\"}",
	    "\"\t\"",
	    "\"\\x\"",
	    "\"\\u12g4\"",
	    "\"\\u12",
	    "NaN",
	    "'a'",
	    "{a:1}",
	    "\"\xc3\x28\"",
	    "\"\xed\xa0\x80\"",
	    "\"\xc0\x80\"",
	    "\"\xf4\x90\x80\x80\"",
	    "\"\xff\"",
	    "\"\\",
	    "[",
	};
	_cleanup_free_ char *most = nested(AGENT_DEPTH_MAX), *more = nested(AGENT_DEPTH_MAX + 1);

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		ck_assert_msg(whole(good[i]).text, "%s", good[i]);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_msg(!whole(bad[i]).text, "%s", bad[i]);
	ck_assert(whole(most).text);
	ck_assert(!whole(more).text);
}
END_TEST

START_TEST(members_and_elements)
{
	struct agent_json object =
	    whole(" { \"a\" : 1 , \"b\":[2, \"x\"], \"\\u0061\":9007199254740993 } ");
	struct agent_json list = agent_json_get(object, "b");
	int64_t number;
	double real;

	ck_assert(agent_json_integer(agent_json_get(object, "a"), &number));
	ck_assert_int_eq(number, INT64_C(9007199254740993));
	ck_assert_int_eq(agent_json_type(agent_json_get(object, "c")), AGENT_JSON_NONE);
	ck_assert_int_eq(agent_json_type(agent_json_at(list, 1)), AGENT_JSON_STRING);
	ck_assert(!agent_json_at(list, 2).text);
	ck_assert(!agent_json_get(list, "a").text);
	ck_assert(!agent_json_at(object, 0).text);
	ck_assert(!agent_json_integer(whole("1.0"), &number));
	ck_assert(!agent_json_integer(whole("9223372036854775808"), &number));
	ck_assert(agent_json_number(whole("-1.5e2"), &real) && fabs(real + 150) < 1e-9);
	ck_assert(!agent_json_number(whole("\"1\""), &real));
	ck_assert(agent_json_true(whole(" true ")) && !agent_json_true(whole("false")));
}
END_TEST

START_TEST(strings)
{
	size_t length;
	_cleanup_free_ char *text =
	    agent_json_string(whole("\"a\\u0000\\ud83e\\udeb2\\ud800x\\/\\udc00\""), &length);
	_cleanup_free_ char *quoted = agent_json_quote("a\"\\\x01\n€", 8), *again;
	static const char want[] = "a\0🪲\xef\xbf\xbdx/\xef\xbf\xbd";

	ck_assert_uint_eq(length, sizeof(want) - 1);
	ck_assert_mem_eq(text, want, sizeof(want));
	ck_assert_str_eq(quoted, "\"a\\\"\\\\\\u0001\\n€\"");
	again = agent_json_string(whole(quoted), NULL);
	ck_assert_str_eq(again, "a\"\\\x01\n€");
	ck_assert_ptr_null(agent_json_quote("\xff", 1));
	ck_assert_ptr_null(agent_json_string(whole("1"), NULL));
}
END_TEST

/* Every value of a text, however deep. */
static void
visit(struct agent_json json, int depth)
{
	struct agent_json element = {.text = NULL};
	double number;

	free(agent_json_string(json, NULL));
	agent_json_number(json, &number);
	agent_json_get(json, "b");
	while (depth < 8 && (element = agent_json_next(json, element)).text)
		visit(element, depth + 1);
	element = agent_json_get(json, "a");
	if (depth < 8 && element.text)
		visit(element, depth + 1);
}

/* In memory of its exact size, for the sanitizer to see what is read behind it. */
static void
try_text(const char *text, size_t length)
{
	_cleanup_free_ char *exact = malloc(length ? length : 1);
	struct agent_json json;

	ck_assert_ptr_nonnull(exact);
	memcpy(exact, text, length);
	json = agent_json(exact, length);
	if (json.text)
		visit(json, 0);
}

START_TEST(any_bytes)
{
	static const char seed[] =
	    "{\"a\":[1.5e-7,\"\\ud83e\\udeb2\\n\",{\"b\":true,\"\\u0061\":null}],"
	    "\"é\":\"🪲\",\"b\":[[],{}, -0]}";
	char text[sizeof(seed)];
	uint32_t state = 1;

	for (size_t length = 0; length < sizeof(seed); length++)
		try_text(seed, length);
	for (int round = 0; round < 20000; round++) {
		memcpy(text, seed, sizeof(seed));
		for (int change = 0; change < 1 + round % 4; change++) {
			state = state * 1664525 + 1013904223;
			text[(state >> 8) % (sizeof(seed) - 1)] =
			    round % 2 ? (char)(state >> 24) : "{}[]\",:\\u0e-"[(state >> 24) % 12];
		}
		try_text(text, sizeof(seed) - 1);
	}
}
END_TEST

int
main(void)
{
	const TTest *tests[] = {what_is_json_and_what_is_not, members_and_elements, strings,
				any_bytes};

	return suite_run("agent_json", tests, ARRAY_LEN(tests));
}
