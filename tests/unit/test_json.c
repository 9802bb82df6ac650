#include <string.h>

#include "common/cleanup.h"
#include "common/json.h"
#include "tests/unit/suite.h"

static void
assert_taken(struct json *json, const char *expected)
{
	size_t length;
	_cleanup_free_ char *text = json_take(json, &length);

	ck_assert_ptr_nonnull(text);
	ck_assert_str_eq(text, expected);
	ck_assert_uint_eq(length, strlen(expected));
	ck_assert_ptr_null(json->text);
}

START_TEST(commas)
{
	struct json json = JSON_INIT;

	json_object(&json);
	json_key(&json, "a");
	json_int(&json, -1);
	json_key(&json, "b");
	json_array(&json);
	json_array(&json);
	json_array_end(&json);
	json_object(&json);
	json_object_end(&json);
	json_uint(&json, UINT64_MAX);
	json_bool(&json, true);
	json_bool(&json, false);
	json_null(&json);
	json_raw(&json, "{\"x\":1}", 7);
	json_array_end(&json);
	json_key(&json, "c");
	json_string(&json, NULL);
	json_object_end(&json);
	assert_taken(&json, "{\"a\":-1,\"b\":[[],{},18446744073709551615,true,false,null,"
			    "{\"x\":1}],\"c\":null}");
}
END_TEST

START_TEST(times)
{
	struct json json = JSON_INIT;

	json_array(&json);
	json_time(&json, 0);
	json_time(&json, 1767323045678);
	json_array_end(&json);
	assert_taken(&json, "[null,\"2026-01-02T03:04:05.678Z\"]");
}
END_TEST

START_TEST(strings)
{
	struct json json = JSON_INIT;

	json_array(&json);
	json_string(&json, "");
	json_string(&json, "a\"\\/\b\f\n\r\t\x01\x7f");
	json_string(&json, "\xc3\xa9\xe2\x82\xac\xf0\x9f\xaa\xb2");
	json_string_n(&json, "a\0b", 3);
	json_array_end(&json);
	assert_taken(&json, "[\"\",\"a\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u007f\","
			    "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\xaa\xb2\",\"a\\u0000b\"]");
}
END_TEST

START_TEST(bytes_that_are_no_text)
{
	struct json json = JSON_INIT;

	json_string(&json, "a\xff"
			   "b\xc3");
	assert_taken(&json, "\"a\xef\xbf\xbd"
			    "b\xef\xbf\xbd\"");
}
END_TEST

START_TEST(base64)
{
	static const char *const rows[][2] = {{"", ""},
					      {"f", "Zg=="},
					      {"fo", "Zm8="},
					      {"foo", "Zm9v"},
					      {"foob", "Zm9vYg=="},
					      {"fooba", "Zm9vYmE="},
					      {"foobar", "Zm9vYmFy"}};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct json json = JSON_INIT;
		char expected[32];
		snprintf(expected, sizeof(expected), "\"%s\"", rows[i][1]);
		json_base64(&json, (const uint8_t *)rows[i][0], strlen(rows[i][0]));
		assert_taken(&json, expected);
	}
}
END_TEST

START_TEST(empty_and_long)
{
	struct json json = JSON_INIT;

	assert_taken(&json, "");
	json_array(&json);
	for (int i = 0; i < 100000; i++)
		json_string(&json, "0123456789");
	json_array_end(&json);
	size_t length;
	_cleanup_free_ char *text = json_take(&json, &length);
	ck_assert_uint_eq(length, 100000 * 13 + 1);
	json_key(&json, "x");
	json_free(&json);
	ck_assert_ptr_null(json.text);
}
END_TEST

START_TEST(utf8)
{
	static const struct {
		const char *bytes;
		size_t length, valid;
		bool partial;
	} rows[] = {
	    {"abc", 3, 3, false},
	    {"a\xc3", 2, 1, true},
	    {"a\xe2\x82", 3, 1, true},
	    {"a\xf0\x9f\xaa", 4, 1, true},
	    {"a\xf0\x9f\xaa\xb2", 5, 5, false},
	    {"\xc0\x80", 2, 0, false},         /* overlong */
	    {"\xe0\x80\x80", 3, 0, false},     /* overlong */
	    {"\xe0\x80", 2, 0, false},         /* can never become one */
	    {"\xf0\x80\x80\x80", 4, 0, false}, /* overlong */
	    {"\xed\xa0\x80", 3, 0, false},     /* surrogate */
	    {"\xed\xa0", 2, 0, false},
	    {"\xf4\x90\x80\x80", 4, 0, false}, /* over U+10FFFF */
	    {"\xf4\x8f\xbf\xbf", 4, 4, false},
	    {"\xf5\x80", 2, 0, false},
	    {"\x80", 1, 0, false},
	    {"a\xffz", 3, 1, false},
	    {"a\xe2\x28\xa1", 4, 1, false},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		bool partial;
		const uint8_t *bytes = (const uint8_t *)rows[i].bytes;
		ck_assert_msg(utf8_prefix(bytes, rows[i].length, &partial) == rows[i].valid,
			      "row %zu", i);
		ck_assert_msg(partial == rows[i].partial, "row %zu", i);
		ck_assert(utf8_valid(bytes, rows[i].length) == (rows[i].valid == rows[i].length));
	}
}
END_TEST

int
main(void)
{
	const TTest *tests[] = {commas, times,          strings, bytes_that_are_no_text,
				base64, empty_and_long, utf8};

	return suite_run("json", tests, ARRAY_LEN(tests));
}
