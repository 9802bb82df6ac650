#include <string.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/uuid.h"
#include "tests/unit/suite.h"

START_TEST(layout_and_time)
{
	struct uuid uuid = uuid_new();
	uint64_t ms = 0;

	for (int i = 0; i < 6; i++)
		ms = ms << 8 | uuid.bytes[i];
	ck_assert_int_eq(uuid.bytes[6] >> 4, 7);
	ck_assert_int_eq(uuid.bytes[8] >> 6, 2);
	uint64_t now = (uint64_t)time(NULL) * 1000;
	ck_assert(ms + 2000 > now && ms < now + 2000);
}
END_TEST

START_TEST(sorted_in_the_order_of_making)
{
	enum { MANY = 200000 };
	struct uuid last = uuid_new();

	for (int i = 0; i < MANY; i++) {
		struct uuid next = uuid_new();
		ck_assert_int_lt(memcmp(last.bytes, next.bytes, sizeof(last.bytes)), 0);
		last = next;
	}
}
END_TEST

START_TEST(text_and_back)
{
	struct uuid uuid = uuid_new(), parsed;
	char text[UUID_TEXT_LEN + 1];

	ck_assert_uint_eq(strlen(uuid_format(&uuid, text)), UUID_TEXT_LEN);
	ck_assert(uuid_parse(text, &parsed));
	ck_assert(uuid_equal(&uuid, &parsed));
	ck_assert(uuid_parse("017F22E2-79B0-7CC3-98C4-DC0C0C07398F", &parsed));
	ck_assert_str_eq(uuid_format(&parsed, text), "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
	ck_assert(!uuid_is_nil(&parsed));
	ck_assert(uuid_parse("00000000-0000-0000-0000-000000000000", &parsed));
	ck_assert(uuid_is_nil(&parsed));
}
END_TEST

START_TEST(other_text_is_refused)
{
	static const char *const texts[] = {
	    "",
	    "017f22e2",
	    "017f22e279b07cc398c4dc0c0c07398f",
	    "017f22e2-79b0-7cc3-98c4-dc0c0c07398",
	    "017f22e2-79b0-7cc3-98c4-dc0c0c07398ff",
	    "017f22e2-79b0-7cc3-98c4-dc0c0c07398g",
	    "017f22e2_79b0-7cc3-98c4-dc0c0c07398f",
	    "017f22e-279b0-7cc3-98c4-dc0c0c07398f",
	    "{17f22e2-79b0-7cc3-98c4-dc0c0c07398}",
	    " 17f22e2-79b0-7cc3-98c4-dc0c0c07398f",
	};
	struct uuid uuid = uuid_new(), before = uuid;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		ck_assert_msg(!uuid_parse(texts[i], &uuid), "%s", texts[i]);
	ck_assert(uuid_equal(&uuid, &before));
}
END_TEST

int
main(void)
{
	const TTest *tests[] = {layout_and_time, sorted_in_the_order_of_making, text_and_back,
				other_text_is_refused};

	return suite_run("uuid", tests, ARRAY_LEN(tests));
}
