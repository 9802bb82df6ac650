#include <string.h>

#include "common/cleanup.h"
#include "common/cron.h"
#include "tests/unit/suite.h"

static struct cron
parsed(const char *text)
{
	struct cron cron;
	char why[CRON_WHY_SIZE] = "";

	ck_assert_msg(cron_parse(text, &cron, why), "%s: %s", text, why);
	return cron;
}

static void
refused(const char *text, const char *reason)
{
	struct cron cron;
	char why[CRON_WHY_SIZE] = "";

	ck_assert_msg(!cron_parse(text, &cron, why), "%s was accepted", text);
	ck_assert_msg(strstr(why, reason), "%s: \"%s\" instead of \"%s\"", text, why, reason);
}

/* The days of a month that an expression names, as a mask. */
static uint32_t
days_of(const char *text, int year, unsigned month)
{
	struct cron cron = parsed(text);

	return cron_days(&cron, year, month);
}

#define D(day) (UINT32_C(1) << (day))

START_TEST(the_calendar)
{
	ck_assert_uint_eq(days_in_month(2000, 2), 29);
	ck_assert_uint_eq(days_in_month(1900, 2), 28);
	ck_assert_uint_eq(days_in_month(2026, 11), 30);
	ck_assert_uint_eq(weekday_of(2026, 11, 21), 6);
	ck_assert_uint_eq(weekday_of(2000, 1, 1), 6);
	ck_assert_uint_eq(weekday_of(1970, 1, 1), 4);
}
END_TEST

START_TEST(fields_as_masks)
{
	struct cron cron = parsed("*/15 8-18/5 1,15 JAN-mar,dec mon-fri");

	ck_assert_uint_eq(cron.minutes, 1 | 1 << 15 | 1 << 30 | UINT64_C(1) << 45);
	ck_assert_uint_eq(cron.hours, 1 << 8 | 1 << 13 | 1 << 18);
	ck_assert_uint_eq(cron.days, D(1) | D(15));
	ck_assert_uint_eq(cron.months, 1 << 1 | 1 << 2 | 1 << 3 | 1 << 12);
	ck_assert_uint_eq(cron.weekdays, 0x3e);
	ck_assert_uint_eq(cron.seconds, 1);
	ck_assert(!cron.has_seconds);
	ck_assert(cron.minute_star && !cron.hour_star && !cron.day_star && !cron.weekday_star);
}
END_TEST

START_TEST(six_fields_begin_with_seconds)
{
	struct cron cron = parsed("5/20 30 9 * * ?");

	ck_assert(cron.has_seconds);
	ck_assert_uint_eq(cron.seconds, UINT64_C(1) << 5 | 1 << 25 | UINT64_C(1) << 45);
	ck_assert_uint_eq(cron.minutes, UINT64_C(1) << 30);
	ck_assert(cron.day_star && cron.weekday_star);
}
END_TEST

START_TEST(sunday_is_0_and_7)
{
	ck_assert_uint_eq(parsed("0 0 * * 0").weekdays, 1);
	ck_assert_uint_eq(parsed("0 0 * * 7").weekdays, 1);
	ck_assert_uint_eq(parsed("0 0 * * 0-7").weekdays, 0x7f);
	ck_assert_uint_eq(parsed("0 0 * * 5-7").weekdays, 0x61);
	ck_assert_uint_eq(parsed("0 0 * * fri-sun").weekdays, 0x61);
	ck_assert_uint_eq(parsed("0 0 * * sun-tue").weekdays, 0x07);
	ck_assert_uint_eq(parsed("0 0 * * */2").weekdays, 0x55);
	ck_assert_uint_eq(parsed("0 0 * * 1/2").weekdays, 0x2a);
}
END_TEST

START_TEST(steps_from_a_value_run_to_the_end)
{
	ck_assert_uint_eq(parsed("50/3 * * * *").minutes, UINT64_C(1) << 50 | UINT64_C(1) << 53 |
							      UINT64_C(1) << 56 |
							      UINT64_C(1) << 59);
	ck_assert_uint_eq(parsed("0 */99 * * *").hours, 1);
}
END_TEST

START_TEST(macros)
{
	ck_assert_uint_eq(parsed("@hourly").hours, 0xffffff);
	ck_assert_uint_eq(parsed("@Weekly").weekdays, 1);
	ck_assert_uint_eq(parsed("@monthly").days, D(1));
	ck_assert_uint_eq(parsed("@annually").months, 1 << 1);
	ck_assert_uint_eq(parsed("@midnight").minutes, 1);
	refused("@reboot", "unknown macro");
}
END_TEST

START_TEST(day_fields_combine_as_in_crontab)
{
	/* November 2026 begins on a Sunday. */
	ck_assert_uint_eq(days_of("0 0 13 * fri", 2026, 11), D(13) | D(6) | D(20) | D(27));
	ck_assert_uint_eq(days_of("0 0 * * fri", 2026, 11), D(6) | D(13) | D(20) | D(27));
	ck_assert_uint_eq(days_of("0 0 13 * *", 2026, 11), D(13));
	ck_assert_uint_eq(days_of("0 0 13 * ?", 2026, 11), D(13));
	ck_assert_uint_eq(days_of("0 0 */2 * fri", 2026, 11), D(13) | D(27));
	ck_assert_uint_eq(days_of("0 0 1-7 * */2", 2026, 11), D(1) | D(3) | D(5) | D(7));
	ck_assert_uint_eq(days_of("0 0 * 10 *", 2026, 11), 0);
}
END_TEST

START_TEST(last_days)
{
	ck_assert_uint_eq(days_of("0 0 L * *", 2026, 2), D(28));
	ck_assert_uint_eq(days_of("0 0 l * ?", 2028, 2), D(29));
	ck_assert_uint_eq(days_of("0 0 ? * 5L", 2026, 11), D(27));
	ck_assert_uint_eq(days_of("0 0 ? * FRIL", 2026, 11), D(27));
	ck_assert_uint_eq(days_of("0 0 ? * 7L", 2026, 11), D(29));
	ck_assert_uint_eq(days_of("0 0 15,L * ?", 2026, 11), D(15) | D(30));
}
END_TEST

START_TEST(nearest_working_days)
{
	/* The 1st and 15th of November 2026 are Sundays, the 31st of October a Saturday. */
	ck_assert_uint_eq(days_of("0 0 15W * ?", 2026, 11), D(16));
	ck_assert_uint_eq(days_of("0 0 1W * ?", 2026, 11), D(2));
	ck_assert_uint_eq(days_of("0 0 14W * ?", 2026, 11), D(13));
	ck_assert_uint_eq(days_of("0 0 31W * ?", 2026, 10), D(30));
	ck_assert_uint_eq(days_of("0 0 31W * ?", 2026, 11), 0);
	ck_assert_uint_eq(days_of("0 0 LW * ?", 2026, 10), D(30));
	ck_assert_uint_eq(days_of("0 0 LW * ?", 2026, 5), D(29));
	/* Saturday the 1st moves on, Sunday the last moves back. */
	ck_assert_uint_eq(days_of("0 0 1W * ?", 2026, 8), D(3));
	ck_assert_uint_eq(days_of("0 0 31W * ?", 2026, 5), D(29));
}
END_TEST

START_TEST(nth_days_of_the_week)
{
	ck_assert_uint_eq(days_of("0 0 ? * fri#2", 2026, 11), D(13));
	ck_assert_uint_eq(days_of("0 0 ? * 0#5", 2026, 11), D(29));
	ck_assert_uint_eq(days_of("0 0 ? * 2#5", 2026, 11), 0);
	ck_assert_uint_eq(days_of("0 0 ? * mon#1,wed", 2026, 11),
			  D(2) | D(4) | D(11) | D(18) | D(25));
}
END_TEST

START_TEST(what_can_never_fire)
{
	refused("0 0 31 2 *", "can never fire");
	refused("0 0 0 30 2 ?", "can never fire");
	refused("0 0 31 4,6,9,11 *", "can never fire");
	refused("0 0 30W 2 *", "can never fire");
	parsed("0 0 29 2 *");
	parsed("0 0 31 2 fri");
	parsed("0 0 ? 2 sun#5");
	refused("0 0 31 2 */1", "can never fire");
}
END_TEST

START_TEST(what_is_no_expression)
{
	static const struct {
		const char *text, *reason;
	} cases[] = {
	    {"", "five fields"},
	    {"* * * *", "five fields"},
	    {"* * * * * * *", "five fields"},
	    {"60 * * * *", "from 0 to 59"},
	    {"* 24 * * *", "from 0 to 23"},
	    {"* * 0 * *", "from 1 to 31"},
	    {"* * 32 * *", "from 1 to 31"},
	    {"* * * 13 *", "from 1 to 12"},
	    {"* * * * 8", "from 0 to 7"},
	    {"60 * * * * *", "second field"},
	    {"5-1 * * * *", "backwards"},
	    {"* * * dec-jan *", "backwards"},
	    {"*/0 * * * *", "step"},
	    {"*/ * * * *", "step"},
	    {"1- * * * *", "number"},
	    {"1,,2 * * * *", "comma"},
	    {", * * * *", "comma"},
	    {"1, * * * *", "comma"},
	    {"*5 * * * *", "left over"},
	    {"5* * * * *", "left over"},
	    {"-5 * * * *", "number"},
	    {"a * * * *", "number"},
	    {"* * * januar *", "left over"},
	    {"? * * * *", "day fields only"},
	    {"* * ?/2 * *", "number"},
	    {"* * L-3 * *", "number"},
	    {"* * 1-5W * *", "single day"},
	    {"* * W * *", "number"},
	    {"* * * * L", "number"},
	    {"* * * * 5L2", "left over"},
	    {"* * * * 5#6", "from 1 to 5"},
	    {"* * * * 5#0", "from 1 to 5"},
	    {"* * * * 1-5#2", "single day"},
	    {"* * * * fri#", "from 1 to 5"},
	    {"L * * * *", "number"},
	    {"0x1 * * * *", "left over"},
	    {"100 * * * *", "number"},
	    {"99999999999999999999 * * * *", "number"},
	    {"1/99999999999 * * * *", "step"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		refused(cases[i].text, cases[i].reason);
}
END_TEST

START_TEST(long_texts)
{
	char text[400];

	memset(text, '1', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	refused(text, "longer");
	text[200] = '\0';
	refused(text, "five fields");
	memcpy(text + 190, " * * * *", 9);
	refused(text, "number");
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
	    the_calendar,
	    fields_as_masks,
	    six_fields_begin_with_seconds,
	    sunday_is_0_and_7,
	    steps_from_a_value_run_to_the_end,
	    macros,
	    day_fields_combine_as_in_crontab,
	    last_days,
	    nearest_working_days,
	    nth_days_of_the_week,
	    what_can_never_fire,
	    what_is_no_expression,
	    long_texts,
	};

	return suite_run("cron", tests, ARRAY_LEN(tests));
}
