/*
 * Bit flips, truncations, insertions and swaps over the system's time zones, deterministic: the
 * same seed and tzdata, the same cases. Nothing may crash or read beyond a file; a refusal has a
 * reason; in what is accepted, fires only go forward and the clock shows what the expression
 * names.
 *
 * fuzz_zone [CASES [SEED]]
 */
// with: schedd/zone.c schedd/zone_rule.c schedd/next.c
// timeout: 300
#include <inttypes.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "schedd/next.h"
#include "tests/fuzz/mutate.h"

enum { CASES = 20000, GROWTH = 64, FIRES = 20, EDITS_MAX = 4 };

static const char *const names[] = {
    "UTC",          "Europe/Berlin",   "Europe/Dublin", "America/Nuuk",      "Australia/Lord_Howe",
    "Pacific/Apia", "Africa/Monrovia", "Asia/Gaza",     "Africa/Casablanca",
};
static const char *const expressions[] = {
    "30 2 * * *", "*/7 * * * *", "0 0 29 2 *", "* 0 0 L * ?", "15 1/2 ? * 5#5",
};

static void
follow(struct zone *zone, const char *text)
{
	int64_t after = (int64_t)(draw() % UINT64_C(8000000000)) - 2000000000;
	struct cron cron;
	char why[CRON_WHY_SIZE];

	if (!cron_parse(text, &cron, why))
		exit(1);
	for (int i = 0; i < FIRES; i++) {
		int64_t next = cron_next(&cron, zone, after);

		/* After a jump, the clock shows something else. */
		if (next <= after || (next < INT64_MAX && zone_at(zone, next).start != next &&
				      !cron_matches(&cron, zone, next))) {
			printf("\"%s\" after %" PRId64 ": %" PRId64 "\n", text, after, next);
			exit(1);
		}
		if (next == INT64_MAX)
			break;
		after = next;
	}
}

static bool
try(const uint8_t *bytes, size_t size)
{
	struct error error = ERROR_INIT;
	struct zone *zone = zone_parse(bytes, size, &error);

	if (!zone) {
		if (*error.why)
			return false;
		printf("refused without a reason\n");
		exit(1);
	}
	follow(zone, expressions[pick(ARRAY_LEN(expressions))]);
	zone_free(zone);
	return true;
}

static size_t
edit(uint8_t *bytes, size_t size)
{
	size_t at = pick(size), length = pick(GROWTH);

	switch (pick(5)) {
	case 0:
		bytes[at] ^= (uint8_t)(1U << pick(8));
		return size;
	case 1:
		bytes[at] = (uint8_t)draw();
		return size;
	case 2:
		return at + 1;
	case 3: /* inserted */
		memmove(bytes + at + length, bytes + at, size - at);
		return size + length;
	default: /* the rule, as a text */
		at = size - 1 - pick(size < 30 ? size : 30);
		bytes[at] = (uint8_t) "0123456789,./:-+<>MJ\n"[pick(21)];
		return size;
	}
}

static bool
try_one(const char *source, size_t source_size)
{
	size_t size = source_size;
	_cleanup_free_ uint8_t *bytes = calloc(1, size + (size_t)EDITS_MAX * GROWTH), *exact = NULL;

	if (!bytes)
		exit(1);
	memcpy(bytes, source, size);
	for (size_t left = 1 + pick(EDITS_MAX); left > 0; left--)
		size = edit(bytes, size);
	/* Its own memory, so that a sanitizer sees a read beyond its end. */
	exact = malloc(size);
	if (!exact)
		exit(1);
	memcpy(exact, bytes, size);
	return try(exact, size);
}

int
main(int argc, char **argv)
{
	size_t cases = fuzz_begin(argc, argv, CASES, CASES), accepted = 0;

	for (size_t i = 0; i < cases; i++) {
		const char *name = names[i % ARRAY_LEN(names)];
		_cleanup_free_ char *bytes = NULL;
		char path[128];
		size_t size;
		_cleanup_fclose_ FILE *file = NULL;

		snprintf(path, sizeof(path), "/usr/share/zoneinfo/%s", name);
		file = fopen(path, "re");
		if (!file || read_file(fileno(file), ZONE_FILE_MAX, &bytes, &size) < 0) {
			printf("%s cannot be read: install tzdata\n", path);
			return 77;
		}
		accepted += try_one(bytes, size);
	}
	printf("%zu files, %zu accepted\n", cases, accepted);
	return 0;
}
