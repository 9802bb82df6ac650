/* Days since 1970-01-01 and dates of the proleptic Gregorian calendar, from year 1 on; seconds
 * since then on a clock. Pure. */
#ifndef SCARAB_SCHEDD_CALENDAR_H
#define SCARAB_SCHEDD_CALENDAR_H

#include <stdint.h>

enum { DAY_SECONDS = 86400 };
#define CYCLE_SECONDS INT64_C(12622780800) /* 400 years: dates and weekdays repeat */

struct date {
	int year;
	unsigned month, day; /* from 1 */
};

static inline int64_t
day_of_second(int64_t second)
{
	return second >= 0 ? second / DAY_SECONDS : -((-second - 1) / DAY_SECONDS) - 1;
}

/* Both count years from March on, so that a leap day ends its year. */
static inline struct date
date_of_day(int64_t day)
{
	uint32_t since = (uint32_t)(day + 719468); /* 0000-03-01 */
	uint32_t century = (4 * since + 3) / 146097;
	uint32_t in_century = since - century * 146097 / 4;
	uint32_t year = (4 * in_century + 3) / 1461;
	uint32_t in_year = in_century - year * 1461 / 4;
	uint32_t month = (5 * in_year + 2) / 153;

	return (struct date){
	    .year = (int)(century * 100 + year + (month >= 10)),
	    .month = month < 10 ? month + 3 : month - 9,
	    .day = in_year - (153 * month + 2) / 5 + 1,
	};
}

static inline int64_t
day_of_date(int year, unsigned month, unsigned day)
{
	uint32_t y = (uint32_t)year - (month <= 2), century = y / 100;
	uint32_t in_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

	return (int64_t)(y * 365 + y / 4 - century + century / 4 + in_year) - 719468;
}

#endif
