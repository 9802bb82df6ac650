#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/timefmt.h"
#include "tests/unit/suite.h"

START_TEST(rfc3339_text)
{
	static const struct {
		uint64_t ms;
		const char *text;
	} rows[] = {
	    {0, "1970-01-01T00:00:00.000Z"},
	    {1767323045678, "2026-01-02T03:04:05.678Z"},
	    {951782400000, "2000-02-29T00:00:00.000Z"},
	    {4107542399999, "2100-02-28T23:59:59.999Z"},
	    {4107542400000, "2100-03-01T00:00:00.000Z"},
	    {253402300799999, "9999-12-31T23:59:59.999Z"},
	    {253402300800000, "9999-12-31T23:59:59.999Z"},
	    {UINT64_MAX, "9999-12-31T23:59:59.999Z"},
	};
	char text[RFC3339_LEN + 1];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		ck_assert_str_eq(rfc3339_format(rows[i].ms, text), rows[i].text);
}
END_TEST

START_TEST(rfc3339_every_day_agrees_with_libc)
{
	char text[RFC3339_LEN + 1], expected[RFC3339_LEN + 1];

	for (uint64_t day = 0; day < 365 * 600; day += 13) {
		time_t seconds = (time_t)(day * 86400 + day % 86400);
		struct tm tm;
		uint64_t back;
		gmtime_r(&seconds, &tm);
		strftime(expected, sizeof(expected), "%Y-%m-%dT%H:%M:%S.000Z", &tm);
		ck_assert_str_eq(rfc3339_format((uint64_t)seconds * 1000, text), expected);
		ck_assert(rfc3339_parse(text, &back));
		ck_assert_uint_eq(back, (uint64_t)seconds * 1000);
	}
}
END_TEST

START_TEST(rfc3339_parsed)
{
	static const struct {
		const char *text;
		uint64_t ms;
	} rows[] = {
	    {"2026-01-02T03:04:05Z", 1767323045000},
	    {"2026-01-02t03:04:05.6z", 1767323045600},
	    {"2026-01-02T03:04:05.678912345Z", 1767323045678},
	    {"2026-01-02T05:04:05.678+02:00", 1767323045678},
	    {"2026-01-01T21:34:05.678-05:30", 1767323045678},
	    {"2016-12-31T23:59:60Z", 1483228800000},
	    {"1970-01-01T00:00:00+00:00", 0},
	};
	uint64_t ms;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		ck_assert_msg(rfc3339_parse(rows[i].text, &ms), "%s", rows[i].text);
		ck_assert_uint_eq(ms, rows[i].ms);
	}
}
END_TEST

START_TEST(rfc3339_refused)
{
	static const char *const texts[] = {
	    "",
	    "2026",
	    "2026-01-02",
	    "2026-01-02T03:04Z",
	    "2026-01-02T03:04:05",
	    "2026-01-02T03:04:05.Z",
	    "2026-01-02T03:04:05.1234567890Z",
	    "2026-13-02T03:04:05Z",
	    "2026-00-02T03:04:05Z",
	    "2026-02-29T03:04:05Z",
	    "2100-02-29T03:04:05Z",
	    "2026-01-32T03:04:05Z",
	    "2026-01-00T03:04:05Z",
	    "2026-01-02T24:04:05Z",
	    "2026-01-02T03:60:05Z",
	    "2026-01-02T03:04:61Z",
	    "2026-01-02T03:04:05+24:00",
	    "2026-01-02T03:04:05+2:00",
	    "2026-01-02T03:04:05+0200",
	    "2026-01-02T03:04:05Z ",
	    "1969-12-31T23:59:59Z",
	    "1970-01-01T00:00:00+00:01",
	    "-026-01-02T03:04:05Z",
	};
	uint64_t ms;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		ck_assert_msg(!rfc3339_parse(texts[i], &ms), "%s", texts[i]);
}
END_TEST

START_TEST(durations)
{
	static const struct {
		const char *text;
		uint64_t ms;
	} rows[] = {
	    {"500ms", 500}, {"15m", 900000}, {"0s", 0}, {"2h", 7200000}, {"90d", 7776000000}};
	static const char *const bad[] = {"",      "5",
					  "ms",    "-5s",
					  "+5s",   "5 s",
					  "2h30m", "1.5h",
					  "5S",    "99999999999999999999s",
					  "0x5s",  "18446744073709551615s"};
	uint64_t ms;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		ck_assert_msg(duration_parse(rows[i].text, &ms), "%s", rows[i].text);
		ck_assert_uint_eq(ms, rows[i].ms);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_msg(!duration_parse(bad[i], &ms), "%s", bad[i]);
}
END_TEST

START_TEST(sizes)
{
	static const char *const bad[] = {"",
					  "Ki",
					  "1K",
					  "1kib",
					  "1.5Gi",
					  "-1",
					  "1 Ki",
					  "1Gib",
					  "1Kii",
					  "18446744073709551616",
					  "18446744073709551615Ki"};
	uint64_t bytes;

	ck_assert(size_parse("4096", &bytes) && bytes == 4096);
	ck_assert(size_parse("64Ki", &bytes) && bytes == 65536);
	ck_assert(size_parse("2Mi", &bytes) && bytes == 2 << 20);
	ck_assert(size_parse("8Gi", &bytes) && bytes == UINT64_C(8) << 30);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_msg(!size_parse(bad[i], &bytes), "%s", bad[i]);
}
END_TEST

START_TEST(for_people)
{
	char text[32];

	ck_assert_str_eq(duration_format(0, text), "0 ms");
	ck_assert_str_eq(duration_format(120, text), "120 ms");
	ck_assert_str_eq(duration_format(3240, text), "3.2 s");
	ck_assert_str_eq(duration_format(60000, text), "1 min");
	ck_assert_str_eq(duration_format(7500000, text), "2 h 5 min");
	ck_assert_str_eq(duration_format(90000000, text), "1 d 1 h");
	ck_assert_uint_lt(strlen(duration_format(UINT64_MAX, text)), sizeof(text));
	ck_assert_str_eq(size_format(0, text), "0 B");
	ck_assert_str_eq(size_format(1023, text), "1023 B");
	ck_assert_str_eq(size_format(1536, text), "1.5 KiB");
	ck_assert_str_eq(size_format(UINT64_C(8) << 30, text), "8.0 GiB");
	ck_assert_uint_lt(strlen(size_format(UINT64_MAX, text)), sizeof(text));
}
END_TEST

START_TEST(local_time)
{
	char text[32];

	setenv("TZ", "UTC", 1);
	tzset();
	ck_assert_str_eq(local_format(1767323045678, text), "2026-01-02 03:04:05");
	ck_assert_str_eq(local_format(UINT64_MAX, text), "9999-12-31 23:59:59");
	setenv("TZ", "/nonexistent/zone", 1);
	tzset();
	ck_assert_str_eq(local_format(1767323045678, text), "2026-01-02 03:04:05");
	setenv("TZ", "XXX-14", 1);
	tzset();
	ck_assert_uint_lt(strlen(local_format(UINT64_MAX, text)), sizeof(text));
	unsetenv("TZ");
	tzset();
}
END_TEST

int
main(void)
{
	const TTest *tests[] = {rfc3339_text,   rfc3339_every_day_agrees_with_libc,
				rfc3339_parsed, rfc3339_refused,
				durations,      sizes,
				for_people,     local_time};

	return suite_run("timefmt", tests, ARRAY_LEN(tests));
}
