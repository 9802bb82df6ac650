// with: schedd/zone*.c schedd/next.c schedd/triggers.c
/*
 * cron_driver: reads lines "ZONE TAB INSTANT TAB COUNT TAB EXPRESSION" and answers each with the
 * COUNT next fires after INSTANT, in seconds since 1970, or "never", or "refused".
 *
 * cron_driver bench FILE: how long a next fire takes, over expressions as schedulers see them, and
 * how long a million triggers take to be due in their heap, and how much memory. FILE gets it as
 * JSON.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/cleanup.h"
#include "schedd/next.h"
#include "schedd/triggers.h"

enum { ZONES = 128, LINE = 1024, NAME = 64 };

struct known {
	char name[NAME];
	struct zone *zone;
};

struct driver {
	int directory;
	struct known known[ZONES];
	size_t count;
};

static struct zone *
zone_named(struct driver *driver, const char *name)
{
	struct error error = ERROR_INIT;
	struct known *known = driver->known;
	char text[ERROR_TEXT_MAX + 1];

	for (; known < driver->known + driver->count; known++)
		if (strcmp(known->name, name) == 0)
			return known->zone;
	if (driver->count == ZONES || strlen(name) >= NAME)
		exit(3);
	known->zone = zone_load(driver->directory, name, &error);
	if (!known->zone) {
		fprintf(stderr, "%s\n", error_text(&error, text));
		exit(3);
	}
	memcpy(known->name, name, strlen(name) + 1);
	driver->count++;
	return known->zone;
}

static void
answer(const char *expression, struct zone *zone, int64_t after, long count)
{
	char why[CRON_WHY_SIZE];
	struct cron cron;

	if (!cron_parse(expression, &cron, why)) {
		printf("refused\n");
		return;
	}
	for (long i = 0; i < count; i++) {
		after = cron_next(&cron, zone, after);
		if (after == INT64_MAX) {
			printf("%snever", i ? " " : "");
			break;
		}
		printf("%s%" PRId64, i ? " " : "", after);
	}
	printf("\n");
}

static int
answer_all(struct driver *driver)
{
	char line[LINE];

	while (fgets(line, sizeof(line), stdin)) {
		char *rest = line, *zone = strsep(&rest, "\t"), *instant = strsep(&rest, "\t"),
		     *count = strsep(&rest, "\t"), *expression = strsep(&rest, "\n");

		if (!expression)
			return 2;
		answer(expression, zone_named(driver, zone), strtoll(instant, NULL, 10),
		       strtol(count, NULL, 10));
	}
	return 0;
}

/* --- the bench ---------------------------------------------------------------------------------
 */

enum { ENTRIES = 100000, ROUNDS = 20 };
#define BENCH_AT INT64_C(1800000000) /* 2027-01-15 */

struct entry {
	struct cron cron;
	struct zone *zone;
};

static uint64_t
cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

/* A few of the kinds people write, with times of their own. */
static void
make_entry(struct driver *driver, struct entry *entry, unsigned i)
{
	static const char *const zones[] = {"UTC", "Europe/Berlin", "America/New_York",
					    "Asia/Kolkata", "Australia/Lord_Howe"};
	char text[64], why[CRON_WHY_SIZE];

	switch (i % 8) {
	case 0:
		snprintf(text, sizeof(text), "*/%u * * * *", 1 + i / 8 % 30);
		break;
	case 1:
		snprintf(text, sizeof(text), "%u * * * *", i % 60);
		break;
	case 2:
		snprintf(text, sizeof(text), "%u %u * * mon-fri", i % 60, i / 60 % 24);
		break;
	case 3:
		snprintf(text, sizeof(text), "%u %u %u * *", i % 60, i / 60 % 24, 1 + i % 28);
		break;
	case 4:
		snprintf(text, sizeof(text), "%u %u L * ?", i % 60, i / 60 % 24);
		break;
	case 5:
		snprintf(text, sizeof(text), "%u %u ? * fri#2", i % 60, i / 60 % 24);
		break;
	case 6:
		snprintf(text, sizeof(text), "%u %u 1 %u *", i % 60, i / 60 % 24, 1 + i % 12);
		break;
	default:
		snprintf(text, sizeof(text), "%u %u * * *", i % 60, i / 60 % 24);
	}
	if (!cron_parse(text, &entry->cron, why))
		exit(3);
	entry->zone = zone_named(driver, zones[i / 8 % ARRAY_LEN(zones)]);
}

static double
bench_next(const struct entry *entries)
{
	uint64_t best = UINT64_MAX;
	int64_t sum = 0;

	for (int round = 0; round < ROUNDS; round++) {
		uint64_t began = cpu_ns();

		for (unsigned i = 0; i < ENTRIES; i++)
			sum += cron_next(&entries[i].cron, entries[i].zone, BENCH_AT + round);
		began = cpu_ns() - began;
		best = began < best ? began : best;
	}
	printf("next fire of a cron entry: %.1f ns (%d entries, 5 zones; checksum %" PRId64 ")\n",
	       (double)best / ENTRIES, ENTRIES, sum % 1000);
	return (double)best / ENTRIES;
}

/* --- a million ---------------------------------------------------------------------------------
 */

enum { MILLION = 1000000, OF_AGENT = 50 };

struct load {
	double ms;
	long bytes; /* each */
};

static long
resident_bytes(void)
{
	_cleanup_fclose_ FILE *file = fopen("/proc/self/statm", "re");
	long pages = 0;

	if (!file || fscanf(file, "%*d %ld", &pages) != 1)
		exit(3);
	return pages * sysconf(_SC_PAGESIZE);
}

/* Prepared triggers as they come, one agent's after another: when is each due, and into the heap.
 */
static struct load
bench_load(const struct entry *entries, struct zones *zones)
{
	static const char *const names[] = {"UTC", "Europe/Berlin", "America/New_York",
					    "Asia/Kolkata", "Australia/Lord_Howe"};
	struct trigger some[OF_AGENT] = {{.kind = TRIGGER_CRON}};
	struct triggers *triggers = triggers_new();
	long before = resident_bytes();
	uint64_t began = cpu_ns();
	struct load load;
	char name[32];

	for (unsigned i = 0; i < MILLION; i++) {
		struct trigger *one = &some[i % OF_AGENT];

		*one = (struct trigger){.kind = TRIGGER_CRON};
		one->cron = entries[i % ENTRIES].cron;
		one->zone = (unsigned)zones_find(zones, names[i / 8 % ARRAY_LEN(names)], NULL) &
			    (ZONES_MAX - 1);
		one->due_ms = trigger_next(one, zones, BENCH_AT * 1000);
		if (i % OF_AGENT < OF_AGENT - 1)
			continue;
		snprintf(name, sizeof(name), "agent-%u", i / OF_AGENT);
		if (triggers_put(triggers, name, some, OF_AGENT) < 0)
			exit(3);
	}
	load.ms = (double)(cpu_ns() - began) / 1e6;
	load.bytes = (resident_bytes() - before) / MILLION;
	printf("a million triggers of %d agents: %.0f ms, %ld bytes each with their agents\n",
	       MILLION / OF_AGENT, load.ms, load.bytes);
	triggers_free(triggers);
	return load;
}

static int
bench(struct driver *driver, const char *path)
{
	_cleanup_free_ struct entry *entries = calloc(ENTRIES, sizeof(*entries));
	_cleanup_fclose_ FILE *file = fopen(path, "we");
	struct zones *zones = zones_new(driver->directory, NULL);
	struct load load;
	double next_ns;

	if (!entries || !file || !zones)
		return 3;
	for (unsigned i = 0; i < ENTRIES; i++)
		make_entry(driver, &entries[i], i);
	next_ns = bench_next(entries);
	load = bench_load(entries, zones);
	fprintf(file, "{\"next_fire_ns\":%.1f,\"million_load_ms\":%.0f,\"trigger_bytes\":%ld}\n",
		next_ns, load.ms, load.bytes);
	zones_free(zones);
	return 0;
}

int
main(int argc, char **argv)
{
	const char *zones = getenv("ZONEINFO");
	struct driver driver = {
	    .directory =
		open(zones ? zones : "/usr/share/zoneinfo", O_PATH | O_DIRECTORY | O_CLOEXEC),
	};
	int status;

	status = argc == 3 && strcmp(argv[1], "bench") == 0 ? bench(&driver, argv[2])
							    : answer_all(&driver);
	for (size_t i = 0; i < driver.count; i++)
		zone_free(driver.known[i].zone);
	return status;
}
