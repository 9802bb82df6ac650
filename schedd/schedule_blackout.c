#include "schedule_blackout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "calendar.h"
#include "common/cleanup.h"
#include "common/cron.h"
#include "common/timefmt.h"
#include "next.h"

enum { MS = 1000, MINUTE_SECONDS = 60, HOUR_SECONDS = 3600, BUCKETS = 256 };

#define ALL_OF_60 ((UINT64_C(1) << 60) - 1)
#define SEEN_SECONDS ((int64_t)BLACKOUT_SEEN_DAYS * DAY_SECONDS)

struct window {
	struct cron cron;
	unsigned zone; /* of zones */
};

/* What was found holds from `from` until before `to`, in seconds. */
struct blackout {
	LIST_ENTRY(blackout) in_bucket;
	char agent[AGENT_NAME_MAX + 1];
	bool broken, dark;
	int64_t from, to;
	const struct zones *zones;
	struct window *windows; /* heap */
	size_t count;
};
LIST_HEAD(blackout_bucket, blackout);

struct blackouts {
	struct zones *zones;
	size_t count;
	struct blackout_bucket buckets[BUCKETS];
};

/* --- one expression -------------------------------------------------------------------------- */

/* How many bits are set from one on. */
static int
run_length(uint64_t bits, unsigned from)
{
	return __builtin_ctzll(~(bits >> from));
}

/* Until when, at least, it goes on to match what it matches at the instant. */
static int64_t
match_end(const struct blackout *blackout, const struct window *window, int64_t instant)
{
	const struct cron *cron = &window->cron;
	struct zone_span span = zone_at(zones_at(blackout->zones, window->zone), instant);
	int64_t local = instant + span.offset, second = local - day_of_second(local) * DAY_SECONDS;
	unsigned hour = (unsigned)(second / HOUR_SECONDS), minute = (unsigned)(second / 60 % 60);
	int64_t end;

	if (cron->has_seconds && cron->seconds != ALL_OF_60)
		end = second + run_length(cron->seconds, (unsigned)(second % 60));
	else if (cron->minutes != ALL_OF_60)
		end = second - second % 60 + run_length(cron->minutes, minute) * MINUTE_SECONDS;
	else
		end = (int64_t)(hour + (unsigned)run_length(cron->hours, hour)) * HOUR_SECONDS;
	end += instant - second;
	return end < span.end ? end : span.end;
}

static const struct window *
find_match(const struct blackout *blackout, int64_t instant)
{
	for (size_t i = 0; i < blackout->count; i++)
		if (cron_matches(&blackout->windows[i].cron,
				 zones_at(blackout->zones, blackout->windows[i].zone), instant))
			return &blackout->windows[i];
	return NULL;
}

/* --- an agent's --------------------------------------------------------------------------------
 */

static void
look(struct blackout *blackout, int64_t instant)
{
	const struct window *window = find_match(blackout, instant);
	int64_t end = instant;
	int steps = 0;

	blackout->from = instant;
	blackout->dark = window != NULL || blackout->broken;
	if (!blackout->dark) {
		blackout->to = instant + 1; /* where another second may begin one */
		return;
	}
	for (; window && end - instant < SEEN_SECONDS && steps < BLACKOUT_STEPS_MAX; steps++) {
		end = match_end(blackout, window, end);
		window = find_match(blackout, end);
	}
	if (blackout->broken || end - instant >= SEEN_SECONDS)
		end = INT64_MAX;
	blackout->to = end;
}

static void
look_at(struct blackout *blackout, int64_t at_ms)
{
	int64_t instant = at_ms >= 0 ? at_ms / MS : -((-at_ms + MS - 1) / MS);

	if (instant < blackout->from || instant >= blackout->to)
		look(blackout, instant);
}

static void
blackout_free(struct blackout *blackout)
{
	free(blackout->windows);
	free(blackout);
}

/* --- all ------------------------------------------------------------------------------------- */

static struct blackout_bucket *
bucket(const struct blackouts *blackouts, const char *agent)
{
	uint32_t hash = 2166136261U; /* FNV-1a */

	for (const char *c = agent; *c; c++)
		hash = (hash ^ (uint8_t)*c) * 16777619U;
	return (struct blackout_bucket *)&blackouts->buckets[hash % BUCKETS];
}

static struct blackout *
find(const struct blackouts *blackouts, const char *agent)
{
	struct blackout *blackout;

	LIST_FOREACH(blackout, bucket(blackouts, agent), in_bucket)
	{
		if (strcmp(blackout->agent, agent) == 0)
			return blackout;
	}
	return NULL;
}

struct blackouts *
blackouts_new(struct zones *zones)
{
	struct blackouts *blackouts = calloc(1, sizeof(*blackouts));

	if (!blackouts)
		return NULL;
	blackouts->zones = zones;
	return blackouts;
}

void
blackouts_free(struct blackouts *blackouts)
{
	struct blackout *blackout;

	for (size_t i = 0; blackouts && i < BUCKETS; i++) {
		while ((blackout = LIST_FIRST(&blackouts->buckets[i]))) {
			LIST_REMOVE(blackout, in_bucket);
			blackout_free(blackout);
		}
	}
	free(blackouts);
}

bool
blackouts_has(const struct blackouts *blackouts, const char *agent)
{
	return find(blackouts, agent) != NULL;
}

static void
drop(struct blackouts *blackouts, const char *agent)
{
	struct blackout *blackout = find(blackouts, agent);

	if (!blackout)
		return;
	LIST_REMOVE(blackout, in_bucket);
	blackout_free(blackout);
	blackouts->count--;
}

/* --- reading what runnerd told -----------------------------------------------------------------
 */

static int
add_window(struct blackouts *blackouts, struct blackout *blackout, const struct msg_blackout *row,
	   struct error *error)
{
	struct window *windows = blackout->windows;
	char why[CRON_WHY_SIZE];
	int zone;

	if (blackout->count == BLACKOUTS_MAX)
		return error_why(error, ERR_INVALID, "more than %d blackouts", BLACKOUTS_MAX);
	windows = reallocarray(windows, blackout->count + 1, sizeof(*windows));
	if (!windows)
		return error_why(error, ERR_FAILED, "out of memory");
	blackout->windows = windows;
	if (!cron_parse(row->cron, &windows[blackout->count].cron, why))
		return error_why(error, ERR_INVALID, "the expression %s", why);
	zone = zones_find(blackouts->zones, row->timezone, error);
	if (zone < 0)
		return -1;
	windows[blackout->count++].zone = (unsigned)zone;
	return 0;
}

static int
read_rows(struct blackouts *blackouts, struct blackout *blackout, int rows, struct error *error)
{
	struct rows_reader *reader = rows_open(rows);
	struct msg row;
	int rc = reader ? 0 : error_why(error, ERR_FAILED, "they cannot be read");
	int next = 0;

	while (rc == 0 && (next = rows_next(reader, &row)) == 1)
		if (row.type == MSG_BLACKOUT)
			rc = add_window(blackouts, blackout, &row.blackout, error);
	rows_close(reader);
	if (rc == 0 && next < 0)
		rc = error_errno(error, -next, "reading them");
	return rc;
}

int
blackouts_set(struct blackouts *blackouts, const char *agent, int rows, struct error *error)
{
	struct blackout *blackout;
	int rc;

	drop(blackouts, agent);
	if (rows < 0)
		return 0;
	blackout = calloc(1, sizeof(*blackout));
	if (!blackout)
		return error_why(error, ERR_FAILED, "out of memory");
	snprintf(blackout->agent, sizeof(blackout->agent), "%s", agent);
	blackout->zones = blackouts->zones;
	rc = read_rows(blackouts, blackout, rows, error);
	blackout->broken = rc < 0;
	if (rc == 0 && blackout->count == 0) {
		blackout_free(blackout);
		return 0;
	}
	LIST_INSERT_HEAD(bucket(blackouts, agent), blackout, in_bucket);
	blackouts->count++;
	return rc < 0 ? error_what(error, "the blackouts of agent %s", agent) : 0;
}

/* The instant in ms. */
static int64_t
end_ms(const struct blackout *blackout)
{
	return blackout->to == INT64_MAX ? INT64_MAX : blackout->to * MS;
}

/* --- questions ------------------------------------------------------------------------------- */

int64_t
blackouts_until(struct blackouts *blackouts, const char *agent, int64_t at_ms)
{
	struct blackout *blackout = blackouts->count ? find(blackouts, agent) : NULL;

	if (!blackout)
		return 0;
	look_at(blackout, at_ms);
	return blackout->dark ? end_ms(blackout) : 0;
}

void
blackouts_look_again(struct blackouts *blackouts)
{
	struct blackout *blackout;

	for (size_t i = 0; i < BUCKETS; i++) {
		LIST_FOREACH(blackout, &blackouts->buckets[i], in_bucket)
		{
			blackout->from = blackout->to = 0;
		}
	}
}

char *
blackout_text(int64_t until_ms, char text[BLACKOUT_TEXT_MAX])
{
	char time[RFC3339_LEN + 1];

	if (until_ms == INT64_MAX)
		snprintf(text, BLACKOUT_TEXT_MAX, "blackout that has no end");
	else
		snprintf(text, BLACKOUT_TEXT_MAX, "blackout until %s",
			 rfc3339_format((uint64_t)until_ms, time));
	return text;
}
