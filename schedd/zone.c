/* The table of a zone: from the file's changes, then from its rule for 400 years, after which dates
 * and days of the week repeat. See zone.h. */
#include "zone.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "calendar.h"
#include "common/cleanup.h"
#include "common/io.h"
#include "zone_rule.h"

enum {
	CYCLE_YEARS = 400,
	/* Two years for the table to give way to the rule, one beyond the end to look at. */
	RULE_YEARS = CYCLE_YEARS + 4,
	SPANS_MAX = ZONE_CHANGES_MAX + 2 * RULE_YEARS + 2,
	NEAR = 4, /* spans tried before a search */
};

struct zone {
	size_t count, last; /* spans; the last one found */
	int64_t horizon;    /* from here on an instant is looked up whole cycles earlier */
	int64_t *starts;    /* [0]: INT64_MIN, [count]: INT64_MAX */
	int32_t *offsets;
};

void
zone_free(struct zone *zone)
{
	if (!zone)
		return;
	free(zone->starts);
	free(zone->offsets);
	free(zone);
}

static void
cleanup_zone(struct zone **zone)
{
	zone_free(*zone);
}

static struct zone *
zone_new(size_t spans)
{
	struct zone *zone = calloc(1, sizeof(*zone));

	if (!zone)
		return NULL;
	zone->horizon = INT64_MAX;
	zone->starts = calloc(spans + 1, sizeof(*zone->starts));
	zone->offsets = calloc(spans + 1, sizeof(*zone->offsets));
	if (zone->starts && zone->offsets)
		return zone;
	zone_free(zone);
	return NULL;
}

/* The first with INT64_MIN. At the start of the last one it takes its place; an offset that is the
 * one before changes nothing. */
static void
add_span(struct zone *zone, int64_t start, int32_t offset)
{
	if (zone->count > 0 && zone->starts[zone->count - 1] == start)
		zone->count--;
	if (zone->count > 0 && zone->offsets[zone->count - 1] == offset)
		return;
	zone->starts[zone->count] = start;
	zone->offsets[zone->count++] = offset;
}

struct zone *
zone_utc(void)
{
	struct zone *zone = zone_new(1);

	if (!zone)
		return NULL;
	add_span(zone, INT64_MIN, 0);
	zone->starts[zone->count] = INT64_MAX;
	return zone;
}

/* --- the file -------------------------------------------------------------------------------- */

enum { HEADER_SIZE = 44, TYPE_SIZE = 6, TYPES_MAX = 256, NAMES_MAX = 2048, LEAP_SIZE = 4 };

struct tzif {
	const uint8_t *at, *end;
	int version; /* 1 … 4 */
	uint32_t ut_marks, standard_marks, leaps, changes, types, names;
};

static uint32_t
big32(const uint8_t *bytes)
{
	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
	       bytes[3];
}

static int64_t
big_time(const uint8_t *bytes, size_t width)
{
	if (width == 4)
		return (int32_t)big32(bytes);
	return (int64_t)((uint64_t)big32(bytes) << 32 | big32(bytes + 4));
}

static int
broken(struct error *error, const char *what)
{
	return error_why(error, ERR_INVALID, "it is no time zone file: %s", what);
}

static int
read_header(struct tzif *file, struct error *error)
{
	const uint8_t *h = file->at;

	if (file->end - h < HEADER_SIZE || memcmp(h, "TZif", 4) != 0)
		return broken(error, "it does not begin with TZif");
	if (h[4] != 0 && (h[4] < '2' || h[4] > '4'))
		return broken(error, "its version is unknown");
	file->version = h[4] ? h[4] - '0' : 1;
	file->ut_marks = big32(h + 20);
	file->standard_marks = big32(h + 24);
	file->leaps = big32(h + 28);
	file->changes = big32(h + 32);
	file->types = big32(h + 36);
	file->names = big32(h + 40);
	file->at += HEADER_SIZE;
	if (file->types < 1 || file->types > TYPES_MAX || file->names > NAMES_MAX ||
	    file->changes > ZONE_CHANGES_MAX || file->leaps > ZONE_CHANGES_MAX ||
	    (file->ut_marks && file->ut_marks != file->types) ||
	    (file->standard_marks && file->standard_marks != file->types))
		return broken(error, "its counts are out of bounds");
	return 0;
}

static size_t
body_size(const struct tzif *file, size_t width)
{
	return (size_t)file->changes * (width + 1) + (size_t)file->types * TYPE_SIZE + file->names +
	       (size_t)file->leaps * (width + LEAP_SIZE) + file->standard_marks + file->ut_marks;
}

/* The offset of each type, checked. */
static int
read_types(const struct tzif *file, const uint8_t *bytes, int32_t offsets[TYPES_MAX],
	   struct error *error)
{
	for (uint32_t i = 0; i < file->types; i++, bytes += TYPE_SIZE) {
		offsets[i] = (int32_t)big32(bytes);
		if (offsets[i] < OFFSET_MIN || offsets[i] > OFFSET_MAX)
			return broken(error, "an offset is out of bounds");
		if (bytes[4] > 1 || bytes[5] >= file->names)
			return broken(error, "a type is out of bounds");
	}
	return 0;
}

/* Sets *last to the last change, INSTANT_MIN where there is none in reach. */
static int
read_changes(const struct tzif *file, size_t width, struct zone *zone, int64_t *last,
	     struct error *error)
{
	const uint8_t *times = file->at, *types = times + file->changes * width;
	int32_t offsets[TYPES_MAX];
	int64_t before = INT64_MIN;

	if (read_types(file, types + file->changes, offsets, error) < 0)
		return -1;
	add_span(zone, INT64_MIN, offsets[0]);
	*last = INSTANT_MIN;
	for (uint32_t i = 0; i < file->changes; i++) {
		int64_t time = big_time(times + i * width, width);

		if (types[i] >= file->types || (i > 0 && time <= before))
			return broken(error, "its changes are out of order");
		before = time;
		if (time > INSTANT_MAX)
			continue;
		/* What old versions of zic wrote at the Big Bang. */
		add_span(zone, time <= INSTANT_MIN ? INT64_MIN : time, offsets[types[i]]);
		if (time > *last)
			*last = time;
	}
	return 0;
}

/* --- the rule ----------------------------------------------------------------------------------
 */

static void
follow_rule(struct zone *zone, const struct zone_rule *rule, int64_t last)
{
	int first = date_of_day(day_of_second(last)).year;

	for (int year = first; year < first + RULE_YEARS; year++) {
		int64_t begin = zone_rule_begin(rule, year), end = zone_rule_end(rule, year);

		if (begin < end && begin > last)
			add_span(zone, begin, rule->summer);
		if (end > last)
			add_span(zone, end, rule->standard);
		if (begin >= end && begin > last)
			add_span(zone, begin, rule->summer);
	}
	zone->horizon = day_of_date(first + CYCLE_YEARS + 2, 1, 1) * DAY_SECONDS;
}

/* "\nCET-1CEST,M3.5.0,M10.5.0/3\n"; nothing between the line ends: nobody knows. */
static int
read_rule(const struct tzif *file, struct zone *zone, int64_t last, struct error *error)
{
	const char *text = (const char *)file->at, *end = (const char *)file->end;
	const char *line_end = end > text ? memchr(text + 1, '\n', (size_t)(end - text) - 1) : NULL;
	struct zone_rule rule;

	if (!line_end || *text != '\n')
		return broken(error, "its last line is missing");
	if (line_end == text + 1)
		return 0;
	if (zone_rule_parse(text + 1, (size_t)(line_end - text) - 1, &rule, error) < 0)
		return -1;
	if (rule.standard < OFFSET_MIN || rule.standard > OFFSET_MAX || rule.summer < OFFSET_MIN ||
	    rule.summer > OFFSET_MAX)
		return broken(error, "an offset of its rule is out of bounds");
	if (rule.changes)
		follow_rule(zone, &rule, last);
	else
		add_span(zone, last > INSTANT_MIN ? last : INT64_MIN, rule.standard);
	return 0;
}

/* --- the whole ---------------------------------------------------------------------------------
 */

static int64_t
jump(const struct zone *zone, size_t into)
{
	int64_t jump = (int64_t)zone->offsets[into] - zone->offsets[into - 1];

	return jump < 0 ? -jump : jump;
}

/* A local time shall be shown once, twice or never: no two jumps may reach into each other. Nor may
 * changes run backwards, which a rule can make them do. */
static int
check_jumps(const struct zone *zone, struct error *error)
{
	for (size_t i = 1; i + 1 < zone->count; i++)
		if (zone->starts[i + 1] <= zone->starts[i] ||
		    zone->starts[i + 1] - zone->starts[i] < jump(zone, i) + jump(zone, i + 1))
			return broken(error, "its changes lie too close to each other");
	return 0;
}

static int
read_tables(struct tzif *file, struct zone *zone, struct error *error)
{
	size_t width = 4;
	int64_t last;

	if (read_header(file, error) < 0)
		return -1;
	if (file->version > 1) {
		if ((size_t)(file->end - file->at) < body_size(file, width))
			return broken(error, "it is cut");
		file->at += body_size(file, width);
		width = 8;
		if (read_header(file, error) < 0)
			return -1;
	}
	if ((size_t)(file->end - file->at) < body_size(file, width))
		return broken(error, "it is cut");
	if (file->leaps)
		return error_why(error, ERR_INVALID,
				 "it counts leap seconds, which the clock of a host does not");
	if (read_changes(file, width, zone, &last, error) < 0)
		return -1;
	file->at += body_size(file, width);
	return width == 8 ? read_rule(file, zone, last, error) : 0;
}

struct zone *
zone_parse(const void *bytes, size_t size, struct error *error)
{
	_cleanup_(cleanup_zone) struct zone *all = zone_new(SPANS_MAX);
	struct tzif file = {.at = bytes, .end = (const uint8_t *)bytes + size};
	struct zone *zone;

	if (!all) {
		error_why(error, ERR_FAILED, "out of memory");
		return NULL;
	}
	if (read_tables(&file, all, error) < 0 || check_jumps(all, error) < 0)
		return NULL;
	zone = zone_new(all->count);
	if (!zone) {
		error_why(error, ERR_FAILED, "out of memory");
		return NULL;
	}
	memcpy(zone->starts, all->starts, all->count * sizeof(*all->starts));
	memcpy(zone->offsets, all->offsets, all->count * sizeof(*all->offsets));
	zone->starts[all->count] = INT64_MAX;
	zone->count = all->count;
	zone->horizon = all->horizon;
	return zone;
}

static int
open_beneath(int directory, const char *name)
{
	struct open_how how = {
	    .flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
	    .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};

	return (int)syscall(SYS_openat2, directory, name, &how, sizeof(how));
}

struct zone *
zone_load(int directory, const char *name, struct error *error)
{
	_cleanup_close_ int fd = open_beneath(directory, name);
	_cleanup_free_ char *bytes = NULL;
	struct zone *zone = NULL;
	size_t size = 0;
	int rc;

	if (fd < 0)
		error_errno(error, errno, "opening it among the system's time zones");
	else if ((rc = fd_check(fd, S_IFREG, O_RDONLY)) < 0 ||
		 (rc = read_file(fd, ZONE_FILE_MAX, &bytes, &size)) < 0)
		error_errno(error, -rc, "reading its file");
	else
		zone = zone_parse(bytes, size, error);
	if (!zone)
		error_what(error, "time zone %s", name);
	return zone;
}

/* --- looking up ---------------------------------------------------------------------------------
 */

static size_t
search(const struct zone *zone, int64_t instant)
{
	size_t low = 0, length = zone->count;

	while (length > 1) {
		size_t half = length / 2;

		if (zone->starts[low + half] <= instant)
			low += half;
		length -= half;
	}
	return low;
}

static size_t
find(const struct zone *zone, size_t near, int64_t instant)
{
	size_t end = near + NEAR < zone->count ? near + NEAR : zone->count;

	if (instant >= zone->starts[near])
		for (size_t i = near; i < end; i++)
			if (instant < zone->starts[i + 1])
				return i;
	return search(zone, instant);
}

/* Whole cycles to take from an instant so that the table knows it. */
static int64_t
cycles_before(const struct zone *zone, int64_t instant)
{
	if (instant < zone->horizon)
		return 0;
	return (1 + (instant - zone->horizon) / CYCLE_SECONDS) * CYCLE_SECONDS;
}

static struct zone_span
span(const struct zone *zone, size_t i, int64_t shift)
{
	int64_t start = zone->starts[i], end = zone->starts[i + 1];

	return (struct zone_span){
	    .start = start == INT64_MIN ? start : start + shift,
	    .end = end == INT64_MAX ? end : end + shift,
	    .offset = zone->offsets[i],
	    .before = zone->offsets[i > 0 ? i - 1 : 0],
	    .after = zone->offsets[i + 1 < zone->count ? i + 1 : i],
	};
}

struct zone_span
zone_at(struct zone *zone, int64_t instant)
{
	int64_t shift = cycles_before(zone, instant);

	zone->last = find(zone, zone->last, instant - shift);
	return span(zone, zone->last, shift);
}

/* Does local come after everything that clocks show, or pass over, until span i is left? */
static bool
beyond(const struct zone *zone, size_t i, int64_t local)
{
	int32_t before = zone->offsets[i], after;

	if (i + 1 == zone->count)
		return false;
	after = zone->offsets[i + 1];
	return local >= zone->starts[i + 1] + (before > after ? before : after);
}

struct zone_span
zone_showing(struct zone *zone, int64_t local, int64_t near)
{
	int64_t shift = cycles_before(zone, near);
	size_t i = find(zone, zone->last, near - shift);

	local -= shift;
	while (beyond(zone, i, local))
		i++;
	while (i > 0 && !beyond(zone, i - 1, local))
		i--;
	return span(zone, i, shift);
}
