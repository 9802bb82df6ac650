#include "cron.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "cleanup.h"

enum { STEP_DIGITS_MAX = 3, FIELD_MIN = 5, FIELD_MAX = 6, FIELD_TEXT = 256 };

static bool wrong(char why[CRON_WHY_SIZE], const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static bool
wrong(char why[CRON_WHY_SIZE], const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(why, CRON_WHY_SIZE, fmt, args);
	va_end(args);
	return false;
}

/* --- the calendar ------------------------------------------------------------------------------
 */

unsigned
days_in_month(int year, unsigned month)
{
	static const uint8_t days[] = {0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return month == 2 && leap ? 29U : days[month];
}

/* Sakamoto's method. */
unsigned
weekday_of(int year, unsigned month, unsigned day)
{
	static const uint8_t shift[] = {0, 0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4};

	year -= month < 3;
	return ((unsigned)(year + year / 4 - year / 100 + year / 400) + shift[month] + day) % 7;
}

/* The working day nearest to day, without leaving the month. */
static unsigned
nearest_workday(int year, unsigned month, unsigned day)
{
	unsigned weekday = weekday_of(year, month, day), length = days_in_month(year, month);

	if (weekday == 6)
		return day > 1 ? day - 1 : day + 2;
	if (weekday == 0)
		return day < length ? day + 1 : day - 2;
	return day;
}

static uint32_t
days_by_number(const struct cron *cron, int year, unsigned month, unsigned length)
{
	uint32_t days = cron->days;

	if (cron->last_day)
		days |= UINT32_C(1) << length;
	if (cron->last_workday)
		days |= UINT32_C(1) << nearest_workday(year, month, length);
	for (uint32_t left = cron->nearest; left; left &= left - 1) {
		unsigned wanted = (unsigned)__builtin_ctz(left);

		if (wanted <= length)
			days |= UINT32_C(1) << nearest_workday(year, month, wanted);
	}
	return days;
}

/* Every day of a month that begins with weekday first whose day of the week is in weekdays. */
static uint32_t
repeat_weekdays(unsigned weekdays, unsigned first)
{
	unsigned week = (weekdays >> first | weekdays << (7 - first)) & 0x7f;

	return (uint32_t)(week * UINT64_C(0x10204081)) << 1; /* five weeks, from day 1 on */
}

static uint32_t
days_by_weekday(const struct cron *cron, unsigned first, unsigned length)
{
	uint32_t days = repeat_weekdays(cron->weekdays, first);

	if (cron->last)
		days |= repeat_weekdays(cron->last, first) & ~(uint32_t)0 << (length - 6);
	for (unsigned n = 1; cron->has_nth && n < ARRAY_LEN(cron->nth); n++)
		days |= repeat_weekdays(cron->nth[n], first) & UINT32_C(0xfe) << 7 * (n - 1);
	return days;
}

uint32_t
cron_days(const struct cron *cron, int year, unsigned month)
{
	unsigned length = days_in_month(year, month);
	uint32_t number, weekday;

	if (!(cron->months & 1U << month))
		return 0;
	number = days_by_number(cron, year, month, length);
	weekday = days_by_weekday(cron, weekday_of(year, month, 1), length);
	return (cron->day_star || cron->weekday_star ? number & weekday : number | weekday) &
	       (uint32_t)((UINT64_C(2) << length) - 2);
}

/* The calendar repeats itself every 400 years. */
static bool
ever_fires(const struct cron *cron)
{
	for (int year = 2000; year < 2400; year++)
		for (unsigned month = 1; month <= 12; month++)
			if (cron_days(cron, year, month))
				return true;
	return false;
}

/* --- fields ----------------------------------------------------------------------------------- */

enum kind { SECOND, MINUTE, HOUR, DAY, MONTH, WEEKDAY, KINDS };

struct range {
	const char *name;
	unsigned low, high;
	const char *const *words; /* of low, low + 1, … */
};

static const char *const month_words[] = {"jan", "feb", "mar", "apr", "may", "jun", "jul",
					  "aug", "sep", "oct", "nov", "dec", NULL};
static const char *const weekday_words[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL};

static const struct range ranges[KINDS] = {
    [SECOND] = {"second", 0, 59, NULL},      [MINUTE] = {"minute", 0, 59, NULL},
    [HOUR] = {"hour", 0, 23, NULL},          [DAY] = {"day of month", 1, 31, NULL},
    [MONTH] = {"month", 1, 12, month_words}, [WEEKDAY] = {"day of week", 0, 7, weekday_words},
};

/* One item of a field while it is being read. */
struct item {
	struct cron *cron;
	enum kind kind;
	const char *text; /* the whole item, for messages */
	const char *at;
	char *why;
};

static bool
bad_item(const struct item *item, const char *reason)
{
	return wrong(item->why, "has \"%.60s\" in the %s field: %s", item->text,
		     ranges[item->kind].name, reason);
}

static bool
take_digits(const char **at, unsigned *value, unsigned digits_max)
{
	unsigned digits = 0;

	*value = 0;
	for (; **at >= '0' && **at <= '9'; (*at)++, digits++) {
		if (digits == digits_max)
			return false;
		*value = *value * 10 + (unsigned)(**at - '0');
	}
	return digits > 0;
}

static bool
take_word(struct item *item, unsigned *value)
{
	const struct range *range = &ranges[item->kind];

	for (unsigned i = 0; range->words && range->words[i]; i++)
		if (strncasecmp(item->at, range->words[i], 3) == 0) {
			item->at += 3;
			*value = range->low + i;
			return true;
		}
	return false;
}

static bool
take_value(struct item *item, unsigned *value)
{
	const struct range *range = &ranges[item->kind];
	char reason[64];

	if (!take_word(item, value) && !take_digits(&item->at, value, 2))
		return bad_item(item, range->words ? "a number or a name of three letters is wanted"
						   : "a number is wanted");
	if (*value >= range->low && *value <= range->high)
		return true;
	snprintf(reason, sizeof(reason), "from %u to %u is allowed", range->low, range->high);
	return bad_item(item, reason);
}

static void
set_bit(struct cron *cron, enum kind kind, unsigned value)
{
	switch (kind) {
	case SECOND:
		cron->seconds |= UINT64_C(1) << value;
		break;
	case MINUTE:
		cron->minutes |= UINT64_C(1) << value;
		break;
	case HOUR:
		cron->hours |= UINT32_C(1) << value;
		break;
	case DAY:
		cron->days |= UINT32_C(1) << value;
		break;
	case MONTH:
		cron->months = (uint16_t)(cron->months | 1U << value);
		break;
	default:
		cron->weekdays = (uint8_t)(cron->weekdays | 1U << value % 7);
	}
}

static bool
take_step(struct item *item, unsigned *step)
{
	if (*item->at != '/')
		return true;
	item->at++;
	if (!take_digits(&item->at, step, STEP_DIGITS_MAX) || *step == 0)
		return bad_item(item, "a step from 1 is wanted after /");
	return true;
}

/* "*", "a", "a-b", each with "/n"; "a/n" runs to the field's end. */
static bool
read_span(struct item *item)
{
	const struct range *range = &ranges[item->kind];
	unsigned low = range->low, high = range->high - (item->kind == WEEKDAY), step = 1;
	bool single = false;

	if (*item->at == '*') {
		item->at++;
	} else {
		if (!take_value(item, &low))
			return false;
		single = *item->at != '/';
		high = single ? low : low > high ? low : high;
		if (*item->at == '-') {
			item->at++;
			if (!take_value(item, &high))
				return false;
			/* "fri-sun" ends with the other Sunday. */
			if (item->kind == WEEKDAY && high == 0 && low > 0)
				high = 7;
		}
	}
	if (!take_step(item, &step))
		return false;
	if (*item->at)
		return bad_item(item, "something is left over");
	if (low > high)
		return bad_item(item, "the range runs backwards");
	for (unsigned value = low; value <= high; value += step)
		set_bit(item->cron, item->kind, value);
	return true;
}

static bool
ends_with(const struct item *item, size_t length)
{
	return item->at[length] == '\0';
}

/* L, LW, nW. Sets *known when it was one of them. */
static bool
read_day(struct item *item, bool *known)
{
	unsigned day;

	*known = true;
	if (strcasecmp(item->at, "L") == 0) {
		item->cron->last_day = true;
		return true;
	}
	if (strcasecmp(item->at, "LW") == 0) {
		item->cron->last_workday = true;
		return true;
	}
	*known = strchr("Ww", item->at[strlen(item->at) - 1]) != NULL;
	if (!*known)
		return true;
	if (!take_value(item, &day))
		return false;
	if (!ends_with(item, 1))
		return bad_item(item, "W follows a single day");
	item->cron->nearest |= UINT32_C(1) << day;
	return true;
}

/* nL, d#n. */
static bool
read_weekday(struct item *item, bool *known)
{
	size_t length = strlen(item->at);
	const char *hash = strchr(item->at, '#');
	bool last = item->at[length - 1] == 'L' || item->at[length - 1] == 'l';
	unsigned weekday, nth;

	*known = last || hash;
	if (!*known)
		return true;
	if (!take_value(item, &weekday))
		return false;
	weekday %= 7;
	if (last) {
		if (!ends_with(item, 1))
			return bad_item(item, "L follows a single day");
		item->cron->last = (uint8_t)(item->cron->last | 1U << weekday);
		return true;
	}
	if (item->at != hash)
		return bad_item(item, "# follows a single day");
	item->at++;
	if (!take_digits(&item->at, &nth, 1) || *item->at || nth < 1 || nth > 5)
		return bad_item(item, "from 1 to 5 is allowed after #");
	item->cron->nth[nth] = (uint8_t)(item->cron->nth[nth] | 1U << weekday);
	item->cron->has_nth = true;
	return true;
}

static bool
read_item(struct cron *cron, enum kind kind, char *text, char *why)
{
	struct item item = {.cron = cron, .kind = kind, .text = text, .at = text, .why = why};
	bool known = false;

	if (*text == '\0')
		return bad_item(&item, "nothing stands beside a comma");
	if (kind == DAY && !read_day(&item, &known))
		return false;
	if (kind == WEEKDAY && !read_weekday(&item, &known))
		return false;
	return known || read_span(&item);
}

static void
note_star(struct cron *cron, enum kind kind)
{
	cron->minute_star |= kind == MINUTE;
	cron->hour_star |= kind == HOUR;
	cron->day_star |= kind == DAY;
	cron->weekday_star |= kind == WEEKDAY;
}

static bool
read_field(struct cron *cron, enum kind kind, char *text, char *why)
{
	char star[] = "*", *next = text, *part;

	if (strcmp(text, "?") == 0) {
		if (kind != DAY && kind != WEEKDAY)
			return wrong(why, "has ? in the %s field: it stands in day fields only",
				     ranges[kind].name);
		text = next = star;
	}
	if (*text == '*')
		note_star(cron, kind);
	while ((part = strsep(&next, ",")))
		if (!read_item(cron, kind, part, why))
			return false;
	return true;
}

/* --- expressions ------------------------------------------------------------------------------ */

static const char *
expand_macro(const char *text)
{
	static const struct {
		const char *name, *fields;
	} macros[] = {
	    {"@hourly", "0 * * * *"},   {"@daily", "0 0 * * *"},   {"@midnight", "0 0 * * *"},
	    {"@weekly", "0 0 * * 0"},   {"@monthly", "0 0 1 * *"}, {"@yearly", "0 0 1 1 *"},
	    {"@annually", "0 0 1 1 *"},
	};

	for (size_t i = 0; i < ARRAY_LEN(macros); i++)
		if (strcasecmp(text, macros[i].name) == 0)
			return macros[i].fields;
	return text;
}

static size_t
split_fields(char *text, char *fields[FIELD_MAX])
{
	size_t count = 0;
	char *part;

	while ((part = strsep(&text, " \t"))) {
		if (*part == '\0')
			continue;
		if (count == FIELD_MAX)
			return FIELD_MAX + 1;
		fields[count++] = part;
	}
	return count;
}

bool
cron_parse(const char *text, struct cron *cron, char why[CRON_WHY_SIZE])
{
	const char *expanded = expand_macro(text);
	char copy[FIELD_TEXT], *fields[FIELD_MAX];
	size_t count, first;

	memset(cron, 0, sizeof(*cron));
	if (*expanded == '@')
		return wrong(why,
			     "has an unknown macro; known are @hourly, @daily, @midnight, @weekly, "
			     "@monthly, @yearly and @annually");
	if (strlen(expanded) > CRON_TEXT_MAX)
		return wrong(why, "is longer than %d characters", CRON_TEXT_MAX);
	memcpy(copy, expanded, strlen(expanded) + 1);
	count = split_fields(copy, fields);
	if (count != FIELD_MIN && count != FIELD_MAX)
		return wrong(why,
			     "must have five fields (minute hour day month weekday), or six with "
			     "seconds first");
	cron->has_seconds = count == FIELD_MAX;
	cron->seconds = cron->has_seconds ? 0 : 1;
	first = cron->has_seconds ? SECOND : MINUTE;
	for (size_t i = 0; i < count; i++)
		if (!read_field(cron, (enum kind)(first + i), fields[i], why))
			return false;
	return ever_fires(cron) || wrong(why, "can never fire: no such date exists");
}
