#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cleanup.h"
#include "timefmt.h"

enum { MS_A_SECOND = 1000, SECONDS_A_DAY = 86400, TEXT_MAX = 32 };

struct civil {
	int64_t year;
	unsigned month, day;
};

/* Days since 1970-01-01, and back: the proleptic Gregorian calendar in eras of 400 years, counted
 * from 1 March. Not gmtime(): glibc reads the zone's file on the first call of any of its family,
 * which a confined process may not. */
static int64_t
days_from_civil(int64_t year, unsigned month, unsigned day)
{
	year -= month <= 2;
	int64_t era = year / 400;
	int64_t of_era = year - era * 400;
	int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static struct civil
civil_from_days(int64_t days)
{
	days += 719468;
	int64_t era = days / 146097;
	int64_t of_era = days - era * 146097;
	int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
	unsigned shifted = (unsigned)((5 * of_year + 2) / 153);
	unsigned day = (unsigned)(of_year - (153 * shifted + 2) / 5 + 1);
	unsigned month = shifted < 10 ? shifted + 3 : shifted - 9;

	return (struct civil){.year = year + era * 400 + (month <= 2), .month = month, .day = day};
}

const char *
rfc3339_format(uint64_t epoch_ms, char *text)
{
	uint64_t ms = epoch_ms > RFC3339_LAST_MS ? RFC3339_LAST_MS : epoch_ms;
	uint64_t seconds = ms / MS_A_SECOND;
	struct civil civil = civil_from_days((int64_t)(seconds / SECONDS_A_DAY));
	unsigned of_day = (unsigned)(seconds % SECONDS_A_DAY);

	snprintf(text, RFC3339_LEN + 1, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ",
		 (unsigned)civil.year % 10000, civil.month % 100, civil.day % 100, of_day / 3600,
		 of_day / 60 % 60, of_day % 60, (unsigned)(ms % MS_A_SECOND));
	return text;
}

/* --- parsing ---------------------------------------------------------------------------------- */

static bool
digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Exactly count digits, then one of the characters in after (NULL: anything). */
static bool
take_number(const char **text, int count, const char *after, unsigned *number)
{
	*number = 0;
	while (count-- > 0) {
		if (!digit(**text))
			return false;
		*number = *number * 10 + (unsigned)(*(*text)++ - '0');
	}
	if (!after)
		return true;
	if (!**text || !strchr(after, **text))
		return false;
	(*text)++;
	return true;
}

static unsigned
days_of_month(unsigned year, unsigned month)
{
	static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return month == 2 && leap ? 29 : days[month - 1];
}

/* "." and 1 to 9 digits, or nothing. */
static bool
take_fraction(const char **text, unsigned *ms)
{
	int count = 0;

	*ms = 0;
	if (**text != '.')
		return true;
	for ((*text)++; digit(**text); (*text)++, count++) {
		if (count < 3)
			*ms = *ms * 10 + (unsigned)(**text - '0');
	}
	for (int i = count; i < 3; i++)
		*ms *= 10;
	return count >= 1 && count <= 9;
}

static bool
take_offset(const char **text, int64_t *seconds)
{
	unsigned hours, minutes;
	char sign = *(*text)++;

	*seconds = 0;
	if (sign == 'Z' || sign == 'z')
		return true;
	if (sign != '+' && sign != '-')
		return false;
	if (!take_number(text, 2, ":", &hours) || !take_number(text, 2, NULL, &minutes))
		return false;
	*seconds = (int64_t)(hours * 3600 + minutes * 60) * (sign == '-' ? -1 : 1);
	return hours < 24 && minutes < 60;
}

bool
rfc3339_parse(const char *text, uint64_t *epoch_ms)
{
	unsigned year, month, day, hour, minute, second, ms;
	int64_t offset;

	if (!take_number(&text, 4, "-", &year) || !take_number(&text, 2, "-", &month) ||
	    !take_number(&text, 2, "Tt ", &day) || !take_number(&text, 2, ":", &hour) ||
	    !take_number(&text, 2, ":", &minute) || !take_number(&text, 2, NULL, &second))
		return false;
	if (!take_fraction(&text, &ms) || !take_offset(&text, &offset) || *text)
		return false;
	if (month < 1 || month > 12 || day < 1 || day > days_of_month(year, month))
		return false;
	/* A leap second counts as the one after it. */
	if (hour > 23 || minute > 59 || second > 60)
		return false;
	int64_t seconds = days_from_civil(year, month, day) * SECONDS_A_DAY + hour * 3600 +
			  minute * 60 + second - offset;
	if (seconds < 0)
		return false;
	*epoch_ms = (uint64_t)seconds * MS_A_SECOND + ms;
	return true;
}

struct unit {
	const char *name;
	uint64_t factor;
};

/* One decimal number, no sign, no spaces, and one of the units right behind it. */
static bool
parse_with_unit(const char *text, const struct unit *units, size_t count, uint64_t *value)
{
	uint64_t number = 0;

	if (!digit(*text))
		return false;
	for (; digit(*text); text++) {
		if (__builtin_mul_overflow(number, 10, &number) ||
		    __builtin_add_overflow(number, (uint64_t)(*text - '0'), &number))
			return false;
	}
	for (size_t i = 0; i < count; i++) {
		if (strcmp(text, units[i].name) == 0)
			return !__builtin_mul_overflow(number, units[i].factor, value);
	}
	return false;
}

bool
duration_parse(const char *text, uint64_t *ms)
{
	static const struct unit units[] = {
	    {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000},
	};

	return parse_with_unit(text, units, ARRAY_LEN(units), ms);
}

const char *
period_format(uint64_t ms, char *text)
{
	static const struct {
		uint64_t ms;
		const char *unit;
	} units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}};
	size_t i = 0;

	while (ms % units[i].ms)
		i++;
	snprintf(text, 32, "%llu%s", (unsigned long long)(ms / units[i].ms), units[i].unit);
	return text;
}

bool
size_parse(const char *text, uint64_t *bytes)
{
	static const struct unit units[] = {
	    {"", 1},
	    {"Ki", 1 << 10},
	    {"Mi", 1 << 20},
	    {"Gi", 1 << 30},
	};

	return parse_with_unit(text, units, ARRAY_LEN(units), bytes);
}

/* --- for people ---------------------------------------------------------------------------------
 */

/* "A big B small"; the second part only when it is not 0. */
static void
two_units(char *text, uint64_t big, const char *big_name, uint64_t small, const char *small_name)
{
	int n = snprintf(text, TEXT_MAX, "%" PRIu64 " %s", big, big_name);

	if (small > 0 && n > 0 && n < TEXT_MAX)
		snprintf(text + n, (size_t)(TEXT_MAX - n), " %" PRIu64 " %s", small, small_name);
}

const char *
duration_format(uint64_t ms, char *text)
{
	uint64_t seconds = ms / MS_A_SECOND;

	if (ms < MS_A_SECOND)
		snprintf(text, TEXT_MAX, "%" PRIu64 " ms", ms);
	else if (seconds < 60)
		snprintf(text, TEXT_MAX, "%" PRIu64 ".%" PRIu64 " s", seconds,
			 ms % MS_A_SECOND / 100);
	else if (seconds < 3600)
		two_units(text, seconds / 60, "min", seconds % 60, "s");
	else if (seconds < SECONDS_A_DAY)
		two_units(text, seconds / 3600, "h", seconds / 60 % 60, "min");
	else
		two_units(text, seconds / SECONDS_A_DAY, "d", seconds / 3600 % 24, "h");
	return text;
}

const char *
size_format(uint64_t bytes, char *text)
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	size_t unit = 0;

	if (bytes < 1024) {
		snprintf(text, TEXT_MAX, "%" PRIu64 " B", bytes);
		return text;
	}
	while (unit + 1 < ARRAY_LEN(units) && bytes >= UINT64_C(1024) * 1024) {
		bytes /= 1024;
		unit++;
	}
	snprintf(text, TEXT_MAX, "%" PRIu64 ".%" PRIu64 " %s", bytes / 1024,
		 bytes % 1024 * 10 / 1024, units[unit]);
	return text;
}

const char *
local_format(uint64_t epoch_ms, char *text)
{
	time_t seconds =
	    (time_t)((epoch_ms > RFC3339_LAST_MS ? RFC3339_LAST_MS : epoch_ms) / MS_A_SECOND);
	struct tm tm;

	/* Where there is no zone's file this is UTC. */
	if (!localtime_r(&seconds, &tm) || strftime(text, TEXT_MAX, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		snprintf(text, TEXT_MAX, "?");
	return text;
}
