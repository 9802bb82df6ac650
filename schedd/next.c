#include "next.h"

#include "calendar.h"

enum { YEAR_MAX = 9999, HOUR_SECONDS = 3600, MINUTE_SECONDS = 60 };

/* The first second of a day, from second on, whose time the expression names; DAY_SECONDS: none. */
static unsigned
time_from(const struct cron *cron, unsigned second)
{
	unsigned hour = second / HOUR_SECONDS, minute = second / MINUTE_SECONDS % 60;
	uint64_t seconds = cron->seconds >> second % 60 << second % 60;
	uint64_t minutes = cron->minutes >> minute << minute;
	uint32_t hours = cron->hours >> hour << hour;

	/* In this minute, in another one of this hour, in another hour. */
	if (!(hours >> hour & 1) || !(minutes >> minute & 1) || !seconds) {
		seconds = cron->seconds;
		minutes = minutes >> minute & 1 ? minutes & (minutes - 1) : minutes;
		if (!(hours >> hour & 1) || !minutes) {
			minutes = cron->minutes;
			hours = hours >> hour & 1 ? hours & (hours - 1) : hours;
			if (!hours)
				return DAY_SECONDS;
		}
	}
	return (unsigned)__builtin_ctz(hours) * HOUR_SECONDS +
	       (unsigned)__builtin_ctzll(minutes) * MINUTE_SECONDS +
	       (unsigned)__builtin_ctzll(seconds);
}

/* The first date after one, whose month's days are `days`, as a day; INT64_MAX: none. */
static int64_t
date_after(const struct cron *cron, struct date date, uint32_t days)
{
	unsigned months = cron->months & ~0U << (date.month + 1);

	days &= ~(uint32_t)0 << date.day << 1;
	while (!days) {
		if (!months) {
			if (date.year >= YEAR_MAX)
				return INT64_MAX;
			date.year++;
			months = cron->months;
		}
		date.month = (unsigned)__builtin_ctz(months);
		months &= months - 1;
		days = cron_days(cron, date.year, date.month);
	}
	return day_of_date(date.year, date.month, (unsigned)__builtin_ctz(days));
}

/* The first local time from local on that the expression names, whether a clock ever shows it or
 * not; INT64_MAX: none. */
static int64_t
local_from(const struct cron *cron, int64_t local)
{
	int64_t day = day_of_second(local);
	struct date date = date_of_day(day);
	uint32_t days = cron_days(cron, date.year, date.month);

	if (days >> date.day & 1) {
		unsigned second = time_from(cron, (unsigned)(local - day * DAY_SECONDS));

		if (second < DAY_SECONDS)
			return day * DAY_SECONDS + second;
	}
	day = date_after(cron, date, days);
	return day == INT64_MAX ? day : day * DAY_SECONDS + time_from(cron, 0);
}

static bool
follows_the_clock(const struct cron *cron)
{
	return cron->minute_star || cron->hour_star;
}

/* From instant, in span, on: at the first occurrence only, and after a jump for what it skipped. */
static int64_t
next_once(const struct cron *cron, struct zone *zone, const struct zone_span *span, int64_t instant)
{
	int64_t from = instant + span->offset, local;
	struct zone_span shown;

	/* What the clock shows for the second time has fired; what it has just jumped over has not.
	 */
	if (span->before != span->offset &&
	    (instant == span->start || from < span->start + span->before))
		from = span->start + span->before;
	local = local_from(cron, from);
	if (local == INT64_MAX)
		return local;
	shown = zone_showing(zone, local, local - span->offset);
	return local - shown.offset < shown.end ? local - shown.offset : shown.end;
}

/* From instant, in span, on: whenever the clock shows it. */
static int64_t
next_shown(const struct cron *cron, struct zone *zone, const struct zone_span *span,
	   int64_t instant)
{
	int64_t local = local_from(cron, instant + span->offset);
	struct zone_span shown;

	if (local != INT64_MAX && local - span->offset < span->end)
		return local - span->offset;
	/* The clock will be put back, behind what it shows now. */
	if (span->after < span->offset && span->end + span->after < instant + span->offset) {
		int64_t again = local_from(cron, span->end + span->after);

		if (again < span->end + span->offset)
			return again - span->after;
	}
	while (local != INT64_MAX) {
		shown = zone_showing(zone, local, local - span->offset);
		if (local - shown.offset < shown.end)
			return local - shown.offset;
		local = local_from(cron, shown.end + shown.after);
	}
	return local;
}

int64_t
cron_next(const struct cron *cron, struct zone *zone, int64_t after)
{
	int64_t instant, next;
	struct zone_span span;

	if (after >= INSTANT_MAX)
		return INT64_MAX;
	instant = after < INSTANT_MIN ? INSTANT_MIN : after + 1;
	span = zone_at(zone, instant);
	next = follows_the_clock(cron) ? next_shown(cron, zone, &span, instant)
				       : next_once(cron, zone, &span, instant);
	return next > INSTANT_MAX ? INT64_MAX : next;
}

bool
cron_matches(const struct cron *cron, struct zone *zone, int64_t instant)
{
	struct zone_span span = zone_at(zone, instant);
	int64_t local = instant + span.offset, from = local;

	if (!cron->has_seconds)
		from -= (from % MINUTE_SECONDS + MINUTE_SECONDS) % MINUTE_SECONDS;
	return local_from(cron, from) == from;
}
