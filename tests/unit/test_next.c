// with: schedd/zone.c schedd/zone_rule.c schedd/next.c
/* Zones and next fires: the rule's examples, bounds, and files that are none. Zones are written
 * here, so that no update of tzdata changes a result; tests/model compares with those of the
 * host. */
#include <string.h>

#include "common/cleanup.h"
#include "schedd/calendar.h"
#include "schedd/next.h"
#include "tests/unit/suite.h"

enum { FILE_MAX = 8192 };

/* A TZif file as zic would write it, field by field. */
struct file {
	uint8_t bytes[FILE_MAX];
	size_t size;
};

static void
put(struct file *file, const void *bytes, size_t size)
{
	ck_assert_uint_le(file->size + size, sizeof(file->bytes));
	memcpy(file->bytes + file->size, bytes, size);
	file->size += size;
}

static void
put_big(struct file *file, uint64_t value, size_t width)
{
	for (size_t i = width; i-- > 0;)
		put(file, &(uint8_t){(uint8_t)(value >> 8 * i)}, 1);
}

struct change {
	int64_t at;
	uint8_t type;
};

static void
put_header(struct file *file, char version, uint32_t leaps, uint32_t changes, uint32_t types)
{
	put(file, "TZif", 4);
	put(file, &version, 1);
	put(file, (uint8_t[15]){0}, 15);
	put_big(file, 0, 4);
	put_big(file, 0, 4);
	put_big(file, leaps, 4);
	put_big(file, changes, 4);
	put_big(file, types, 4);
	put_big(file, 4, 4);
}

/* Version 2, with an empty first part. */
static struct file
file_of(const int32_t *offsets, size_t types, const struct change *changes, size_t count,
	const char *rule)
{
	struct file file = {.size = 0};

	put_header(&file, '2', 0, 0, 1);
	put(&file, (uint8_t[10]){0}, 10);
	put_header(&file, '2', 0, (uint32_t)count, (uint32_t)types);
	for (size_t i = 0; i < count; i++)
		put_big(&file, (uint64_t)changes[i].at, 8);
	for (size_t i = 0; i < count; i++)
		put(&file, &changes[i].type, 1);
	for (size_t i = 0; i < types; i++) {
		put_big(&file, (uint32_t)offsets[i], 4);
		put(&file, "\0\0", 2);
	}
	put(&file, "XYZ", 4);
	put(&file, "\n", 1);
	put(&file, rule, strlen(rule));
	put(&file, "\n", 1);
	return file;
}

static struct zone *
zone_of(const struct file *file)
{
	struct error error = ERROR_INIT;
	struct zone *zone = zone_parse(file->bytes, file->size, &error);

	ck_assert_msg(zone != NULL, "%s", error.why);
	return zone;
}

static struct zone *
zone_by_rule(const char *rule, int32_t offset)
{
	struct file file = file_of(&offset, 1, NULL, 0, rule);

	return zone_of(&file);
}

static int64_t
at(int year, unsigned month, unsigned day, int hour, int minute)
{
	return day_of_date(year, month, day) * DAY_SECONDS + hour * 3600 + minute * 60;
}

static void
fires(const char *text, struct zone *zone, int64_t after, const int64_t *wanted, size_t count)
{
	struct cron cron;
	char why[CRON_WHY_SIZE];

	ck_assert_msg(cron_parse(text, &cron, why), "%s: %s", text, why);
	for (size_t i = 0; i < count; i++) {
		int64_t next = cron_next(&cron, zone, after);

		ck_assert_msg(next == wanted[i], "%s: fire %zu at %lld instead of %lld", text, i,
			      (long long)next, (long long)wanted[i]);
		after = next;
	}
}
#define FIRES(text, zone, after, ...)                                                              \
	fires(text, zone, after, (const int64_t[]){__VA_ARGS__},                                   \
	      sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

/* --- the rule, as agent-manifest(5) tells it ---------------------------------------------------
 */

/* Berlin: 29 March 2026 from 02:00 to 03:00, 01:00 UTC; 25 October from 03:00 to 02:00. */
START_TEST(a_skipped_hour)
{
	struct zone *berlin = zone_by_rule("CET-1CEST,M3.5.0,M10.5.0/3", 3600);
	int64_t from = at(2026, 3, 28, 12, 0), jump = at(2026, 3, 29, 1, 0);

	FIRES("30 2 * * *", berlin, from, jump, at(2026, 3, 30, 0, 30));
	FIRES("0,10,50 2 * * *", berlin, from, jump, at(2026, 3, 30, 0, 0));
	FIRES("0 2,3 * * *", berlin, from, jump, at(2026, 3, 30, 0, 0));
	FIRES("0 3 * * *", berlin, from, jump, at(2026, 3, 30, 1, 0));
	FIRES("*/30 2 * * *", berlin, from, at(2026, 3, 30, 0, 0), at(2026, 3, 30, 0, 30));
	FIRES("30 * * * *", berlin, jump - 3600, jump - 1800, jump + 1800);
	/* The skipped date must match too. */
	FIRES("30 2 * * 1", berlin, from, at(2026, 3, 30, 0, 30));
	FIRES("30 2 * * 0", berlin, jump - 1, jump, at(2026, 4, 5, 0, 30));
	FIRES("* 30 2 * * *", berlin, jump - 1, jump, at(2026, 3, 30, 0, 30));
	zone_free(berlin);
}
END_TEST

START_TEST(a_repeated_hour)
{
	struct zone *berlin = zone_by_rule("CET-1CEST,M3.5.0,M10.5.0/3", 3600);
	int64_t change = at(2026, 10, 25, 1, 0);

	FIRES("30 2 * * *", berlin, change - 7200, change - 1800, at(2026, 10, 26, 1, 30));
	FIRES("30 2 * * *", berlin, change, at(2026, 10, 26, 1, 30));
	FIRES("*/30 2 * * *", berlin, change - 7200, change - 3600, change - 1800, change,
	      change + 1800, at(2026, 10, 26, 1, 0));
	FIRES("30 * * * *", berlin, change - 3600, change - 1800, change + 1800, change + 5400);
	/* Between both, the one that was not yet shown. */
	FIRES("15 1-3 * * *", berlin, change + 1, change + 4500);
	FIRES("15 * 25 10 *", berlin, change - 60, change + 900);
	zone_free(berlin);
}
END_TEST

/* Apia went over 30 December 2011: 00:00 of the 31st followed 24:00 of the 29th. */
START_TEST(a_skipped_day)
{
	static const int32_t offsets[] = {-36000, 50400};
	int64_t jump = at(2011, 12, 30, 10, 0), day = DAY_SECONDS;
	struct change change = {.at = jump, .type = 1};
	struct file file = file_of(offsets, 2, &change, 1, "<+14>-14");
	struct zone *apia = zone_of(&file);

	FIRES("0 9 * * *", apia, jump - day, jump - 15 * 3600, jump, jump + 9 * 3600);
	FIRES("0 9 30 * *", apia, jump - day, jump, at(2012, 1, 29, 19, 0));
	FIRES("0 9 * * fri", apia, jump - day, jump, jump + 6 * day + 9 * 3600);
	FIRES("0 9 31 12 *", apia, jump - day, jump + 9 * 3600);
	FIRES("*/30 9 30 12 *", apia, jump - day, at(2012, 12, 29, 19, 0));
	zone_free(apia);
}
END_TEST

/* Lord Howe: half an hour, at 02:00. */
START_TEST(half_an_hour)
{
	struct zone *howe = zone_by_rule("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", 37800);
	int64_t spring = at(2026, 10, 3, 15, 30), autumn = at(2026, 4, 4, 15, 0);

	FIRES("15 2 * * *", howe, spring - 3600, spring, at(2026, 10, 4, 15, 15));
	FIRES("30 2 * * *", howe, spring - 3600, spring, at(2026, 10, 4, 15, 30));
	FIRES("45 1 * * *", howe, autumn - 3600, autumn - 900, at(2026, 4, 5, 15, 15));
	FIRES("45 * * * *", howe, autumn - 3600, autumn - 900, autumn + 900, autumn + 4500);
	zone_free(howe);
}
END_TEST

/* --- bounds ------------------------------------------------------------------------------------
 */

START_TEST(far_times)
{
	struct zone *berlin = zone_by_rule("CET-1CEST,M3.5.0,M10.5.0/3", 3600);
	struct zone *utc = zone_utc();

	FIRES("30 2 * * *", berlin, at(9998, 3, 28, 12, 0), at(9998, 3, 29, 1, 0));
	FIRES("0 0 29 2 *", utc, at(2097, 1, 1, 0, 0), at(2104, 2, 29, 0, 0));
	FIRES("0 0 ? 2 1#5", utc, 0, at(1988, 2, 29, 0, 0), at(2016, 2, 29, 0, 0));
	FIRES("59 59 23 31 12 ?", utc, INSTANT_MAX - 1, INSTANT_MAX, INT64_MAX);
	FIRES("0 0 1 1 *", utc, INSTANT_MAX - 100, INT64_MAX);
	FIRES("0 0 * * *", utc, INT64_MIN, INSTANT_MIN);
	FIRES("* * * * *", utc, INT64_MAX, INT64_MAX);
	FIRES("0 12 1 1 *", utc, at(1969, 6, 1, 0, 0), at(1970, 1, 1, 12, 0));
	FIRES("30 6 * * *", utc, at(1, 12, 31, 7, 0), at(2, 1, 1, 6, 30));
	zone_free(berlin);
	zone_free(utc);
}
END_TEST

START_TEST(every_day_of_the_calendar)
{
	int64_t day = day_of_date(1, 1, 1);

	for (int year = 1; year <= 2500; year++)
		for (unsigned month = 1; month <= 12; month++)
			for (unsigned d = 1; d <= days_in_month(year, month); d++, day++) {
				struct date date = date_of_day(day);

				ck_assert_int_eq(day_of_date(year, month, d), day);
				ck_assert(date.year == year && date.month == month &&
					  date.day == d);
			}
}
END_TEST

START_TEST(what_matches_now)
{
	struct zone *berlin = zone_by_rule("CET-1CEST,M3.5.0,M10.5.0/3", 3600);
	struct cron cron;
	char why[CRON_WHY_SIZE];

	ck_assert(cron_parse("* 22-23 * * *", &cron, why));
	ck_assert(cron_matches(&cron, berlin, at(2026, 7, 1, 20, 0)));
	ck_assert(cron_matches(&cron, berlin, at(2026, 7, 1, 21, 59) + 59));
	ck_assert(!cron_matches(&cron, berlin, at(2026, 7, 1, 22, 0)));
	ck_assert(!cron_matches(&cron, berlin, at(2026, 7, 1, 19, 59) + 59));
	ck_assert(cron_matches(&cron, berlin, -7200));
	zone_free(berlin);
}
END_TEST

/* --- files -------------------------------------------------------------------------------------
 */

static void
refused(const struct file *file, const char *reason)
{
	struct error error = ERROR_INIT;
	struct zone *zone = zone_parse(file->bytes, file->size, &error);

	ck_assert_msg(!zone, "accepted instead of \"%s\"", reason);
	ck_assert_msg(strstr(error.why, reason), "\"%s\" instead of \"%s\"", error.why, reason);
}

START_TEST(files_that_are_cut)
{
	static const int32_t offsets[] = {3600, 7200};
	struct change changes[] = {{1000000, 1}, {20000000, 0}};
	struct file file = file_of(offsets, 2, changes, 2, "CET-1CEST,M3.5.0,M10.5.0/3");
	size_t size = file.size;

	zone_free(zone_of(&file));
	for (file.size = 0; file.size < size; file.size++) {
		/* Its own memory, so that a sanitizer sees a read beyond its end. */
		_cleanup_free_ uint8_t *bytes = malloc(file.size ? file.size : 1);
		struct error error = ERROR_INIT;

		memcpy(bytes, file.bytes, file.size);
		ck_assert_ptr_null(zone_parse(bytes, file.size, &error));
	}
}
END_TEST

START_TEST(files_that_lie)
{
	static const int32_t offsets[] = {3600, 7200}, far[] = {93600};
	struct change backwards[] = {{20000000, 1}, {1000000, 0}}, unknown[] = {{1000000, 2}};
	struct file file;

	file = file_of(offsets, 2, backwards, 2, "");
	refused(&file, "out of order");
	file = file_of(offsets, 2, unknown, 1, "");
	refused(&file, "out of order");
	file = file_of(far, 1, NULL, 0, "");
	refused(&file, "offset is out of bounds");
	file = file_of(offsets, 1, NULL, 0, "");
	file.bytes[44 + 10 + 31] = 1; /* leap seconds */
	refused(&file, "cut");
	file.bytes[44 + 10 + 32] = 0x7f; /* changes */
	refused(&file, "counts are out of bounds");
	file.bytes[4] = '9';
	refused(&file, "version");
	file.bytes[0] = 'X';
	refused(&file, "TZif");
}
END_TEST

START_TEST(changes_that_lie_too_close)
{
	static const int32_t offsets[] = {3600, 7200};
	struct change close[] = {{1000000, 1}, {1007199, 0}};
	struct file file = file_of(offsets, 2, close, 2, "");

	refused(&file, "too close");
	close[1].at++;
	file = file_of(offsets, 2, close, 2, "");
	zone_free(zone_of(&file));
}
END_TEST

START_TEST(rules)
{
	static const char *const good[] = {
	    "UTC0",
	    "<-03>3",
	    "IST-1GMT0,M10.5.0,M3.5.0/1",
	    "<-02>2<-01>,M3.5.0/-1,M10.5.0/0",
	    "EET-2EEST,M3.4.4/50,M10.4.4/50",
	    "EST5EDT,0/0,J365/25",
	    "AAA-3:30:15BBB-4:30,J60/1:2:3,200",
	    "XXX-24:59:59",
	};
	static const char *const bad[] = {
	    "U0",
	    "UTC",
	    "UTC26",
	    "<UTC0",
	    "CET-1CEST",
	    "CET-1CEST,M3.5.0",
	    "CET-1CEST,M13.5.0,M10.5.0",
	    "CET-1CEST,M3.6.0,M10.5.0",
	    "CET-1CEST,M3.5.7,M10.5.0",
	    "CET-1CEST,J0,J9",
	    "CET-1CEST,J366,J9",
	    "CET-1CEST,366,9",
	    "CET-1CEST,M3.5.0/168,M10.5.0",
	    "CET-1CEST,M3.5.0,M10.5.0/3x",
	    "CET-1:60",
	    "CET-0001",
	    "CET--1",
	    "CET-1CEST,M3.5,M1.1.1",
	    "CET-1CEST,M3.5.0,M3.5.0",
	};
	struct error error = ERROR_INIT;
	int32_t offset = 0;

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		zone_free(zone_by_rule(good[i], 0));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct file file = file_of(&offset, 1, NULL, 0, bad[i]);

		ck_assert_msg(!zone_parse(file.bytes, file.size, &error), "%s is accepted", bad[i]);
	}
}
END_TEST

START_TEST(a_rule_without_winter)
{
	struct zone *zone = zone_by_rule("EST5EDT,0/0,J365/25", -18000);

	for (int year = 2; year < 9999; year++) {
		ck_assert_int_eq(zone_at(zone, at(year, 1, 1, 4, 59)).offset, -14400);
		ck_assert_int_eq(zone_at(zone, at(year, 1, 1, 5, 0)).offset, -14400);
	}
	zone_free(zone);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
	    a_skipped_hour,
	    a_repeated_hour,
	    a_skipped_day,
	    half_an_hour,
	    far_times,
	    every_day_of_the_calendar,
	    what_matches_now,
	    files_that_are_cut,
	    files_that_lie,
	    changes_that_lie_too_close,
	    rules,
	    a_rule_without_winter,
	};

	return suite_run("next", tests, ARRAY_LEN(tests));
}
