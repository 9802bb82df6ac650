// with: agentd/state_format.c
/* The number of the state's format: written once, read, and refused when it is newer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agentd/state_format.h"
#include "common/cleanup.h"
#include "tests/unit/suite.h"

static char dir[] = "/tmp/state-format-XXXXXX";

static void
put(const char *text)
{
	char path[sizeof(dir) + 8];
	FILE *f;

	snprintf(path, sizeof(path), "%s/format", dir);
	if (!text) {
		unlink(path);
		return;
	}
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	ck_assert_int_eq(fclose(f), 0);
}

static void
holds(const char *want)
{
	char path[sizeof(dir) + 8], text[32] = "";
	FILE *f;

	snprintf(path, sizeof(path), "%s/format", dir);
	f = fopen(path, "r");
	ck_assert_ptr_nonnull(f);
	ck_assert_ptr_nonnull(fgets(text, sizeof(text), f));
	fclose(f);
	ck_assert_str_eq(text, want);
}

static int
check(struct error *error)
{
	const struct config config = {.state_dir = dir};

	*error = (struct error)ERROR_INIT;
	return state_format_check(&config, error);
}

START_TEST(is_written_read_and_refused)
{
	static const char *const damaged[] = {
	    "", "one\n", "1", "-1\n", "0\n", "1 \n", "00000000000000000000000001\n"};
	struct error error;
	char own[16], newer[16];

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(own, sizeof(own), "%d\n", STATE_FORMAT);
	snprintf(newer, sizeof(newer), "%d\n", STATE_FORMAT + 1);
	ck_assert_int_eq(check(&error), 0);
	holds(own);
	ck_assert_int_eq(check(&error), 0);
	put(newer);
	ck_assert_int_eq(check(&error), -1);
	ck_assert_int_eq(error.code, ERR_CONFLICT);
	ck_assert_ptr_nonnull(strstr(error.why, "this build reads up to format"));
	holds(newer);
	for (size_t i = 0; i < ARRAY_LEN(damaged); i++) {
		put(damaged[i]);
		ck_assert_int_eq(check(&error), -1);
	}
	put(NULL);
	ck_assert_int_eq(rmdir(dir), 0);
	ck_assert_int_eq(check(&error), -1);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {is_written_read_and_refused};

	return suite_run("state format", tests, ARRAY_LEN(tests));
}
