/* What a session's names resolved to is kept as long as its answer says, and bounded. */
// with: runnerd/dialer/answers.c
#include <stdio.h>

#include "common/cleanup.h"
#include "runnerd/dialer/answers.h"
#include "tests/unit/suite.h"

static const uint64_t second = 1000000000;

static void
put(struct answers *answers, const char *name, unsigned ttl_s, uint64_t now_ns)
{
	const struct in6_addr addresses[] = {{.s6_addr = {1}}, {.s6_addr = {2}}};

	answers_put(answers, name, addresses, 2, ttl_s, now_ns);
}

START_TEST(an_answer_is_valid_as_long_as_it_says)
{
	struct answers answers = {.count = 0};
	const struct answer *found;

	put(&answers, "a.example", 5, 100 * second);
	found = answers_find(&answers, "a.example", 105 * second - 1);
	ck_assert_ptr_nonnull(found);
	ck_assert_uint_eq(found->count, 2);
	ck_assert_uint_eq(found->addresses[1].s6_addr[0], 2);
	ck_assert_ptr_null(answers_find(&answers, "b.example", 100 * second));
	ck_assert_ptr_null(answers_find(&answers, "a.example", 105 * second));
	ck_assert_uint_eq(answers.count, 0);
}
END_TEST

START_TEST(an_answer_is_never_valid_for_long)
{
	struct answers answers = {.count = 0};

	put(&answers, "a.example", 86400, 0);
	ck_assert_ptr_nonnull(answers_find(&answers, "a.example", ANSWER_S_MAX * second - 1));
	ck_assert_ptr_null(answers_find(&answers, "a.example", ANSWER_S_MAX * second));
}
END_TEST

START_TEST(what_is_valid_for_no_time_is_not_kept)
{
	struct answers answers = {.count = 0};

	put(&answers, "a.example", 9, 0);
	put(&answers, "a.example", 0, 0);
	ck_assert_ptr_null(answers_find(&answers, "a.example", 0));
	answers_clear(&answers);
}
END_TEST

START_TEST(a_new_answer_takes_the_place_of_the_old_one)
{
	struct answers answers = {.count = 0};
	const struct in6_addr other = {.s6_addr = {9}};
	const struct answer *found;

	put(&answers, "a.example", 5, 0);
	answers_put(&answers, "a.example", &other, 1, 5, second);
	ck_assert_uint_eq(answers.count, 1);
	found = answers_find(&answers, "a.example", second);
	ck_assert_uint_eq(found->count, 1);
	ck_assert_uint_eq(found->addresses[0].s6_addr[0], 9);
	answers_drop(&answers, "a.example");
	ck_assert_ptr_null(answers_find(&answers, "a.example", second));
}
END_TEST

START_TEST(the_one_that_ends_first_makes_room)
{
	struct answers answers = {.count = 0};
	char name[32];

	for (unsigned i = 0; i < ANSWERS_MAX; i++) {
		snprintf(name, sizeof(name), "n%u.example", i);
		put(&answers, name, i == 7 ? 10 : 100, 0);
	}
	put(&answers, "new.example", 100, 0);
	ck_assert_uint_eq(answers.count, ANSWERS_MAX);
	ck_assert_ptr_null(answers_find(&answers, "n7.example", 0));
	ck_assert_ptr_nonnull(answers_find(&answers, "n8.example", 0));
	ck_assert_ptr_nonnull(answers_find(&answers, "new.example", 0));
	answers_clear(&answers);
	ck_assert_uint_eq(answers.count, 0);
}
END_TEST

int
main(void)
{
	const TTest *tests[] = {
	    an_answer_is_valid_as_long_as_it_says, an_answer_is_never_valid_for_long,
	    what_is_valid_for_no_time_is_not_kept, a_new_answer_takes_the_place_of_the_old_one,
	    the_one_that_ends_first_makes_room,
	};

	return suite_run("answers", tests, ARRAY_LEN(tests));
}
