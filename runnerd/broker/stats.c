/* Calls, errors and latencies of each tool: a bucket an eighth of an octave wide, so that a
 * percentile is off by at most a tenth; told at most once a second. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "state.h"

enum { TOOLS_COUNTED = 4096 /* names beyond are not counted one by one */ };

/* Below 2 * PARTS each value has a bucket; above, octave n has PARTS buckets of 2^n each. */
static unsigned
bucket_of(uint64_t us)
{
	unsigned octave =
	    us < 2 * STATS_PARTS ? 0 : 60U - (unsigned)__builtin_clzll(us); /* PARTS is 2^3 */
	unsigned bucket = octave * STATS_PARTS + (unsigned)(us >> octave);

	return bucket < STATS_OCTAVES * STATS_PARTS ? bucket : STATS_OCTAVES * STATS_PARTS - 1;
}

/* The middle of what falls into it. */
static uint64_t
bucket_us(unsigned bucket)
{
	unsigned octave;

	if (bucket < 2 * STATS_PARTS)
		return bucket;
	octave = bucket / STATS_PARTS - 1;
	return ((uint64_t)(bucket - octave * STATS_PARTS) << octave) +
	       ((UINT64_C(1) << octave) >> 1);
}

static struct tool_stats *
add(struct broker *broker, const char *name)
{
	struct tool_stats *stats = calloc(1, sizeof(*stats));

	if (!stats)
		return NULL;
	snprintf(stats->name, sizeof(stats->name), "%s", name);
	stats->next = broker->stats;
	broker->stats = stats;
	return stats;
}

static struct tool_stats *
find(struct broker *broker, const char *name)
{
	size_t count = 0;

	for (struct tool_stats **at = &broker->stats; *at; at = &(*at)->next, count++) {
		struct tool_stats *stats = *at;

		if (strcmp(stats->name, name) != 0)
			continue;
		*at = stats->next; /* to the front: it will be called again */
		stats->next = broker->stats;
		broker->stats = stats;
		return stats;
	}
	return count < TOOLS_COUNTED ? add(broker, name) : NULL;
}

static void
due(struct loop_source *source, void *arg)
{
	(void)source;
	stats_tell(arg);
}

int
stats_open(struct broker *broker)
{
	broker->stats_timer = loop_add_timer(broker->loop, due, broker);
	return broker->stats_timer ? 0 : -1;
}

void
stats_count(struct broker *broker, const char *name, bool error, uint64_t took_us)
{
	struct tool_stats *stats = find(broker, name);

	if (!broker->stats_due) {
		broker->stats_due = true;
		loop_arm_in(broker->stats_timer, STATS_MS);
	}
	if (!stats)
		return;
	stats->calls++;
	stats->errors += error;
	stats->buckets[bucket_of(took_us)]++;
}

uint64_t
stats_percentile(const struct tool_stats *stats, unsigned percent)
{
	uint64_t wanted = (stats->calls * percent + 99) / 100, seen = 0;

	for (unsigned i = 0; i < STATS_OCTAVES * STATS_PARTS; i++) {
		seen += stats->buckets[i];
		if (seen >= wanted && seen > 0)
			return bucket_us(i);
	}
	return 0;
}

static int
rows_of_stats(const struct broker *broker, struct msg_broker_stats *totals)
{
	struct rows *rows = rows_new("stats");
	struct msg row;

	for (const struct tool_stats *stats = broker->stats; rows && stats; stats = stats->next) {
		msg_init(&row, MSG_TOOL_STATS_ROW);
		memcpy(row.tool_stats_row.name, stats->name, sizeof(stats->name));
		row.tool_stats_row.calls = stats->calls;
		row.tool_stats_row.errors = stats->errors;
		row.tool_stats_row.p50_us = stats_percentile(stats, 50);
		row.tool_stats_row.p99_us = stats_percentile(stats, 99);
		totals->calls += stats->calls;
		totals->errors += stats->errors;
		if (rows_add(rows, &row) < 0) {
			rows_free(rows);
			return -1;
		}
	}
	return rows ? rows_seal(rows) : -1;
}

void
stats_tell(struct broker *broker)
{
	struct msg msg;
	int fd;

	broker->stats_due = false;
	loop_arm(broker->stats_timer, 0);
	if (!broker->stats)
		return;
	msg_init(&msg, MSG_BROKER_STATS);
	fd = rows_of_stats(broker, &msg.broker_stats);
	if (fd >= 0 && msg_add_fd(&msg, fd))
		link_send(broker, &msg);
}

void
stats_free(struct broker *broker)
{
	while (broker->stats) {
		struct tool_stats *stats = broker->stats;

		broker->stats = stats->next;
		free(stats);
	}
}
