#include "zone_rule.h"

#include <string.h>

#include "calendar.h"
#include "common/cron.h"

enum { NAME_MIN = 3, OFFSET_HOURS = 25, TIME_HOURS = 167, USUAL_TIME = 7200 };

struct reader {
	const char *at, *end;
};

static bool
take(struct reader *reader, char wanted)
{
	if (reader->at == reader->end || *reader->at != wanted)
		return false;
	reader->at++;
	return true;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
take_number(struct reader *reader, int low, int high, int *value)
{
	int digits = 0;

	*value = 0;
	for (; reader->at < reader->end && is_digit(*reader->at); reader->at++) {
		if (++digits > 3)
			return false;
		*value = *value * 10 + (*reader->at - '0');
	}
	return digits > 0 && *value >= low && *value <= high;
}

/* "CET", or anything of letters, digits and signs in angle brackets. */
static bool
take_name(struct reader *reader)
{
	bool quoted = take(reader, '<');
	const char *begin = reader->at;

	while (reader->at < reader->end &&
	       (is_letter(*reader->at) ||
		(quoted && (is_digit(*reader->at) || *reader->at == '+' || *reader->at == '-'))))
		reader->at++;
	return reader->at - begin >= NAME_MIN && (!quoted || take(reader, '>'));
}

/* [+-]hh[:mm[:ss]] */
static bool
take_time(struct reader *reader, int hours_max, int32_t *seconds)
{
	bool negative = take(reader, '-');
	int hours, minutes = 0, rest = 0;

	if (!negative)
		take(reader, '+');
	if (!take_number(reader, 0, hours_max, &hours))
		return false;
	if (take(reader, ':')) {
		if (!take_number(reader, 0, 59, &minutes))
			return false;
		if (take(reader, ':') && !take_number(reader, 0, 59, &rest))
			return false;
	}
	*seconds = hours * 3600 + minutes * 60 + rest;
	if (negative)
		*seconds = -*seconds;
	return true;
}

static bool
take_day(struct reader *reader, struct zone_turn *turn)
{
	if (take(reader, 'J')) {
		turn->kind = DAY_JULIAN;
		return take_number(reader, 1, 365, &turn->day);
	}
	if (!take(reader, 'M')) {
		turn->kind = DAY_OF_YEAR;
		return take_number(reader, 0, 365, &turn->day);
	}
	turn->kind = DAY_WEEKLY;
	return take_number(reader, 1, 12, &turn->month) && take(reader, '.') &&
	       take_number(reader, 1, 5, &turn->week) && take(reader, '.') &&
	       take_number(reader, 0, 6, &turn->day);
}

static bool
take_turn(struct reader *reader, struct zone_turn *turn)
{
	turn->time = USUAL_TIME;
	return take(reader, ',') && take_day(reader, turn) &&
	       (!take(reader, '/') || take_time(reader, TIME_HOURS, &turn->time));
}

static bool
take_rule(struct reader *reader, struct zone_rule *rule)
{
	int32_t west;

	if (!take_name(reader) || !take_time(reader, OFFSET_HOURS, &west))
		return false;
	rule->standard = -west;
	rule->changes = reader->at < reader->end;
	if (!rule->changes)
		return true;
	if (!take_name(reader))
		return false;
	rule->summer = rule->standard + 3600;
	if (reader->at < reader->end && *reader->at != ',') {
		if (!take_time(reader, OFFSET_HOURS, &west))
			return false;
		rule->summer = -west;
	}
	return take_turn(reader, &rule->begin) && take_turn(reader, &rule->end) &&
	       reader->at == reader->end;
}

int
zone_rule_parse(const char *text, size_t length, struct zone_rule *rule, struct error *error)
{
	struct reader reader = {.at = text, .end = text + length};

	memset(rule, 0, sizeof(*rule));
	if (take_rule(&reader, rule))
		return 0;
	return error_why(error, ERR_INVALID, "its last line is no TZ rule, from byte %td on",
			 reader.at - text);
}

static int64_t
turn_day(const struct zone_turn *turn, int year)
{
	int64_t january = day_of_date(year, 1, 1);
	unsigned first, day;

	switch (turn->kind) {
	case DAY_JULIAN:
		return january + turn->day - 1 + (turn->day > 59 && days_in_month(year, 2) == 29);
	case DAY_OF_YEAR:
		return january + turn->day;
	default:
		first = weekday_of(year, (unsigned)turn->month, 1);
		day = 1 + ((unsigned)turn->day + 7 - first) % 7 + 7 * ((unsigned)turn->week - 1);
		if (day > days_in_month(year, (unsigned)turn->month))
			day -= 7;
		return day_of_date(year, (unsigned)turn->month, day);
	}
}

int64_t
zone_rule_begin(const struct zone_rule *rule, int year)
{
	return turn_day(&rule->begin, year) * DAY_SECONDS + rule->begin.time - rule->standard;
}

int64_t
zone_rule_end(const struct zone_rule *rule, int year)
{
	return turn_day(&rule->end, year) * DAY_SECONDS + rule->end.time - rule->summer;
}
