// with: secretd/spellings.c
/* What a session learns of secrets, one set after the other. */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/redact.h"
#include "secretd/spellings.h"
#include "tests/unit/suite.h"

/* Until the next call. */
static const char *
shown(const struct redact_set *set, const char *text)
{
	static char shown_text[256];

	snprintf(shown_text, sizeof(shown_text), "%s", text);
	ck_assert_int_eq(redact_text(set, shown_text, sizeof(shown_text)), 0);
	return shown_text;
}

static struct redact_set *
make_set_of(const uint8_t *key, uint8_t session, const char *name, const char *value)
{
	struct spellings *spellings = spellings_new();
	const struct uuid id = {.bytes = {session}};
	struct redact_set *set = NULL;
	int fd;

	spellings_begin(spellings, key, &id);
	ck_assert_int_eq(spellings_add(spellings, name, (const uint8_t *)value, strlen(value)), 0);
	ck_assert(spellings_have(spellings, name) && !spellings_have(spellings, "no such"));
	fd = spellings_seal(spellings);
	ck_assert_int_eq(redact_set_open(fd, &set), 0);
	close(fd);
	spellings_free(spellings);
	return set;
}

/* However often a value changes, none that the session had is shown. */
START_TEST(sets_of_one_session_are_joined)
{
	const uint8_t key[32] = {1, 2, 3};
	struct redact_set *all = make_set_of(key, 1, "key", "value number zero"), *joined;
	char value[32], text[128];

	for (int i = 1; i < 40; i++) {
		struct redact_set *fresh;

		snprintf(value, sizeof(value), "value number %04d", i);
		fresh = make_set_of(key, 1, i % 2 ? "key" : "other", value);
		ck_assert_int_eq(redact_set_join(all, fresh, &joined), 0);
		redact_set_free(all);
		redact_set_free(fresh);
		all = joined;
	}
	ck_assert_uint_eq(all->name_count, 2);
	for (int i = 1; i < 40; i++) {
		snprintf(text, sizeof(text), "<value number %04d>", i);
		ck_assert_str_eq(shown(all, text),
				 i % 2 ? "<[redacted:key]>" : "<[redacted:other]>");
	}
	ck_assert_str_eq(shown(all, "<value number zero>"), "<[redacted:key]>");
	ck_assert_str_eq(shown(all, "<value number 0040>"), "<value number 0040>");
	/* The same again is nothing more. */
	ck_assert_int_eq(redact_set_join(all, all, &joined), 0);
	ck_assert_uint_eq(joined->count, all->count);
	redact_set_free(joined);
	redact_set_free(all);
}
END_TEST

START_TEST(sets_of_two_sessions_have_nothing_in_common)
{
	const uint8_t key[32] = {1, 2, 3}, other[32] = {4};
	struct redact_set *set = make_set_of(key, 1, "key", "the value of the key"), *joined;
	struct redact_set *sets[] = {make_set_of(key, 2, "key", "the value of the key"),
				     make_set_of(other, 1, "key", "the value of the key"),
				     make_set_of(NULL, 1, "key", "the value of the key")};

	for (size_t i = 0; i < ARRAY_LEN(sets); i++) {
		ck_assert_int_eq(redact_set_join(set, sets[i], &joined), -EXDEV);
		for (size_t a = 0; a < set->count; a++)
			for (size_t b = 0; b < sets[i]->count; b++)
				ck_assert_uint_ne(set->prints[a].window, sets[i]->prints[b].window);
		redact_set_free(sets[i]);
	}
	redact_set_free(set);
}
END_TEST

START_TEST(joined_sets_are_bounded)
{
	const uint8_t key[32] = {1};
	struct redact_set *all = make_set_of(key, 1, "key", "a value to begin with"), *joined;
	int rc = 0;

	/* As many names as there may be, and one more. */
	for (int i = 1; rc == 0; i++) {
		char name[16], value[32];
		struct redact_set *fresh;

		ck_assert_int_le(i, REDACT_NAMES_MAX);
		snprintf(name, sizeof(name), "name%d", i);
		snprintf(value, sizeof(value), "the value %04d of it", i);
		fresh = make_set_of(key, 1, name, value);
		rc = redact_set_join(all, fresh, &joined);
		redact_set_free(fresh);
		if (rc < 0)
			break;
		redact_set_free(all);
		all = joined;
	}
	ck_assert_int_eq(rc, -E2BIG);
	ck_assert_uint_le(all->name_count, REDACT_NAMES_MAX);
	ck_assert_uint_ge(all->count, 1000);
	redact_set_free(all);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
	    sets_of_one_session_are_joined,
	    sets_of_two_sessions_have_nothing_in_common,
	    joined_sets_are_bounded,
	};

	if (sodium_init() < 0)
		return 1;
	return suite_run("redact_set", tests, ARRAY_LEN(tests));
}
