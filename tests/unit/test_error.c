#include <errno.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/error.h"
#include "common/json.h"
#include "tests/unit/suite.h"

START_TEST(what_and_why)
{
	struct error error = ERROR_INIT;
	char text[ERROR_TEXT_MAX + 1];

	ck_assert_int_eq(error_why(&error, ERR_INVALID, "line %d is bad", 7), -1);
	ck_assert_str_eq(error_text(&error, text), "line 7 is bad");
	ck_assert_int_eq(error_what(&error, "reading %s", "a.yaml"), -1);
	ck_assert_int_eq(error_what(&error, "installing %s", "a"), -1);
	ck_assert_str_eq(error_text(&error, text), "installing a: reading a.yaml: line 7 is bad");
	error_hint(&error, "see %s", "agent-manifest(5)");
	ck_assert_str_eq(error.hint, "see agent-manifest(5)");
	ck_assert_int_eq(error.code, ERR_INVALID);
	error_as(&error, ERR_CONFLICT);
	ck_assert_int_eq(error.code, ERR_CONFLICT);
	error_why(&error, ERR_FAILED, "other");
	ck_assert_str_eq(error.what, "");
	ck_assert_str_eq(error.hint, "");
}
END_TEST

START_TEST(own_text_as_argument)
{
	struct error error = ERROR_INIT;

	error_why(&error, ERR_FAILED, "a");
	error_what(&error, "b");
	error_why(&error, ERR_FAILED, "%s and %s", error.why, error.what);
	ck_assert_str_eq(error.why, "a and b");
	error_what(&error, "x");
	error_what(&error, "<%s>", error.what);
	ck_assert_str_eq(error.what, "<x>: x");
}
END_TEST

START_TEST(errno_codes)
{
	static const struct {
		int errnum;
		enum error_code code;
	} rows[] = {{EACCES, ERR_PERMISSION}, {EPERM, ERR_PERMISSION}, {ENOENT, ERR_NOT_FOUND},
		    {EEXIST, ERR_CONFLICT},   {EIO, ERR_FAILED},       {99999, ERR_FAILED}};
	struct error error = ERROR_INIT;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		error_errno(&error, rows[i].errnum, "opening %s", "/x");
		ck_assert_int_eq(error.code, rows[i].code);
		ck_assert_ptr_eq(strstr(error.why, "opening /x: "), error.why);
	}
	error_errno(&error, ENOENT, "opening /x");
	ck_assert_str_eq(error.why, "opening /x: No such file or directory");
}
END_TEST

START_TEST(null_is_allowed)
{
	ck_assert_int_eq(error_why(NULL, ERR_FAILED, "x"), -1);
	ck_assert_int_eq(error_errno(NULL, EIO, "x"), -1);
	ck_assert_int_eq(error_what(NULL, "x"), -1);
	ck_assert_int_eq(error_hint(NULL, "x"), -1);
	ck_assert_int_eq(error_as(NULL, ERR_FAILED), -1);
}
END_TEST

START_TEST(as_needs_an_error)
{
	struct error error = ERROR_INIT;

	error_as(&error, ERR_CONFLICT);
	ck_assert_int_eq(error.code, ERR_NONE);
}
END_TEST

START_TEST(long_texts_are_cut)
{
	static char wide[5000];
	struct error error = ERROR_INIT;
	char text[ERROR_TEXT_MAX + 1];

	memset(wide, 'w', sizeof(wide) - 1);
	error_why(&error, ERR_FAILED, "%s", wide);
	ck_assert_uint_eq(strlen(error.why), ERROR_WHY_MAX);
	for (int i = 0; i < 3; i++)
		error_what(&error, "%s", wide);
	ck_assert_uint_eq(strlen(error.what), ERROR_WHAT_MAX);
	error_hint(&error, "%s", wide);
	ck_assert_uint_eq(strlen(error.hint), ERROR_HINT_MAX);
	ck_assert_uint_eq(strlen(error_text(&error, text)), ERROR_TEXT_MAX);
}
END_TEST

START_TEST(cut_between_characters)
{
	static char wide[4096];
	struct error error = ERROR_INIT;

	for (int shift = 0; shift < 4; shift++) {
		memset(wide, 'a', sizeof(wide));
		for (int i = shift; i + 3 < (int)sizeof(wide) - 1; i += 3)
			memcpy(wide + i, "\xe2\x82\xac", 3);
		wide[sizeof(wide) - 1] = '\0';
		error_why(&error, ERR_FAILED, "%s", wide);
		ck_assert(utf8_valid((const uint8_t *)error.why, strlen(error.why)));
		ck_assert_uint_ge(strlen(error.why), ERROR_WHY_MAX - 3);
	}
}
END_TEST

START_TEST(code_names)
{
	ck_assert_str_eq(error_code_name(ERR_USAGE), "usage");
	ck_assert_str_eq(error_code_name(ERR_NOT_FOUND), "not_found");
	ck_assert_str_eq(error_code_name(ERR_INVALID), "invalid");
	ck_assert_str_eq(error_code_name((enum error_code)99), "failed");
}
END_TEST

int
main(void)
{
	const TTest *tests[] = {what_and_why,
				own_text_as_argument,
				errno_codes,
				null_is_allowed,
				as_needs_an_error,
				long_texts_are_cut,
				cut_between_characters,
				code_names};

	return suite_run("error", tests, ARRAY_LEN(tests));
}
