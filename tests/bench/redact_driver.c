// with: secretd/spellings.c
/*
 * redact_driver MIB FILE: how fast the redaction filter is with 32 secrets, and whether it hides
 * anything of MIB mebibytes of random bytes and of as many bytes of lines of text. Time is CPU
 * time. Prints it; FILE gets it as JSON.
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/redact.h"
#include "secretd/spellings.h"

enum { SECRETS = 32, PIECE = 65536, PIECES_PER_MIB = (1 << 20) / PIECE };

static struct redact_set *
make_set(void)
{
	struct spellings *spellings = spellings_new();
	struct redact_set *set = NULL;
	uint8_t value[8 + SECRETS];
	int fd;

	for (size_t i = 0; spellings && i < SECRETS; i++) {
		for (size_t at = 0; at < sizeof(value); at++)
			value[at] = (uint8_t)('0' + randombytes_uniform(75));
		spellings_add(spellings, "key", value, 8 + i);
	}
	fd = spellings ? spellings_seal(spellings) : -1;
	spellings_free(spellings);
	if (fd >= 0)
		redact_set_open(fd, &set);
	close_fd(&fd);
	return set;
}

static void
count(const uint8_t *bytes, size_t length, void *arg)
{
	uint64_t *shown = arg;

	(void)bytes;
	*shown += length;
}

/* Lines of 20 to 100 characters. */
static void
make_text(uint8_t *piece)
{
	unsigned left = 20;

	for (size_t i = 0; i < PIECE; i++) {
		piece[i] = (uint8_t)(' ' + piece[i] % 95);
		if (left-- == 0) {
			piece[i] = '\n';
			left = 20 + piece[i - 1] % 80U;
		}
	}
}

static double
seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Megabytes a second; *changed: how many bytes more or less came out than went in. */
static double
measure(const struct redact_set *set, unsigned long mib, bool text, int64_t *changed)
{
	static uint8_t piece[PIECE];
	uint64_t shown = 0, fed = 0;
	struct redact *redact = redact_new(set, count, &shown);
	double took = 0, from;

	for (unsigned long i = 0; redact && i < mib * PIECES_PER_MIB; i++) {
		randombytes_buf(piece, sizeof(piece));
		if (text)
			make_text(piece);
		from = seconds();
		redact_feed(redact, piece, sizeof(piece));
		took += seconds() - from;
		fed += sizeof(piece);
	}
	if (redact)
		redact_end(redact);
	redact_free(redact);
	*changed = (int64_t)(shown - fed);
	return (double)fed / 1e6 / took;
}

int
main(int argc, char **argv)
{
	struct redact_set *set = sodium_init() < 0 ? NULL : make_set();
	unsigned long mib = argc == 3 ? strtoul(argv[1], NULL, 10) : 0;
	_cleanup_fclose_ FILE *json = argc == 3 ? fopen(argv[2], "we") : NULL;
	int64_t binary_changed, text_changed;
	double binary, text;

	if (!set || !mib || !json)
		return 1;
	binary = measure(set, mib, false, &binary_changed);
	text = measure(set, mib, true, &text_changed);
	printf("redaction, %d secrets (%zu fingerprints), one core: %.0f MB/s of random bytes, "
	       "%.0f MB/s of text; false redactions in 2 x %lu MiB: %s\n",
	       SECRETS, set->count, binary, text, mib,
	       binary_changed || text_changed ? "SOME" : "none");
	fprintf(json,
		"{\"random_mb_per_s\":%.0f,\"text_mb_per_s\":%.0f,\"mib\":%lu,\"false\":%s}\n",
		binary, text, mib, binary_changed || text_changed ? "true" : "false");
	redact_set_free(set);
	return binary_changed || text_changed;
}
