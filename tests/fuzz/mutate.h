/*
 * The short run that every check gives a fuzz target: seeds, changed a few times each in ways that
 * parsers dislike; the same cases for the same seed of the random numbers. Included by the one file
 * of a program.
 *
 * program [CASES [SEED]]
 */
#ifndef SCARAB_TESTS_FUZZ_MUTATE_H
#define SCARAB_TESTS_FUZZ_MUTATE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FUZZ_SEED = 20261121 };

struct seed {
	const void *bytes;
	size_t length;
};
#define SEED(text)                                                                                 \
	{                                                                                          \
		text, sizeof(text) - 1                                                             \
	}

typedef void fuzz_fn(const uint8_t *bytes, size_t length);
/* The same for libFuzzer, which brings a main() and mutations of its own. */
#ifdef SCARAB_LIBFUZZER
#define FUZZ_TARGET(fn)                                                                            \
	int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);                           \
	int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)                            \
	{                                                                                          \
		fn(bytes, length);                                                                 \
		return 0;                                                                          \
	}
#else
#define FUZZ_TARGET(fn)
#endif

struct fuzzing {
	fuzz_fn *target;
	const struct seed *seeds;
	size_t seed_count;
	struct seed liked; /* bytes that mean something to the parser */
	size_t keep;       /* so many first bytes of a case are never changed */
	size_t bytes_max;  /* of a case, and of a seed */
};

static uint64_t random_state = FUZZ_SEED;

/* xorshift64*: the same everywhere. */
static inline uint64_t
draw(void)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return random_state * UINT64_C(0x2545F4914F6CDD1D) >> 16;
}

static inline size_t
pick(size_t below)
{
	return (size_t)(draw() % below);
}

static inline void
demand(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "%s\n", what);
	abort();
}

/* How many cases the command line asks for; seeds the random numbers, too. */
static inline size_t
fuzz_begin(int argc, char **argv, size_t cases, size_t cases_sanitized)
{
#ifdef __SANITIZE_ADDRESS__
	cases = cases_sanitized;
#else
	(void)cases_sanitized;
#endif
	random_state = argc > 2 ? strtoull(argv[2], NULL, 10) | 1 : FUZZ_SEED;
	return argc > 1 ? strtoull(argv[1], NULL, 10) : cases;
}

/* --- one change: at a place that is not kept, of which there is one ----------------------------
 */

static inline void
fuzz_flip(const struct fuzzing *fuzzing, uint8_t *bytes, size_t *length, size_t at)
{
	(void)fuzzing, (void)length;
	bytes[at] ^= (uint8_t)(1U << pick(8));
}

static inline void
fuzz_replace(const struct fuzzing *fuzzing, uint8_t *bytes, size_t *length, size_t at)
{
	(void)length;
	bytes[at] = ((const uint8_t *)fuzzing->liked.bytes)[pick(fuzzing->liked.length)];
}

/* Numbers of a wire format: lengths and tags just beside what they were. */
static inline void
fuzz_nudge(const struct fuzzing *fuzzing, uint8_t *bytes, size_t *length, size_t at)
{
	(void)fuzzing, (void)length;
	bytes[at] = (uint8_t)(bytes[at] + (pick(2) ? 1 : 255));
}

static inline void
fuzz_cut_end(const struct fuzzing *fuzzing, uint8_t *bytes, size_t *length, size_t at)
{
	(void)fuzzing, (void)bytes;
	*length = at;
}

static inline void
fuzz_cut_out(const struct fuzzing *fuzzing, uint8_t *bytes, size_t *length, size_t at)
{
	size_t count = pick(*length - at);

	(void)fuzzing;
	memmove(bytes + at, bytes + at + count, *length - at - count);
	*length -= count;
}

/* A part once more. */
static inline void
fuzz_repeat(const struct fuzzing *fuzzing, uint8_t *bytes, size_t *length, size_t at)
{
	size_t count = pick(*length - at);

	if (*length + count > fuzzing->bytes_max)
		return;
	memmove(bytes + at + count, bytes + at, *length - at);
	*length += count;
}

/* A part of another seed between. */
static inline void
fuzz_graft(const struct fuzzing *fuzzing, uint8_t *bytes, size_t *length, size_t at)
{
	const struct seed *other = &fuzzing->seeds[pick(fuzzing->seed_count)];
	size_t from, count;

	if (other->length == 0)
		return;
	from = pick(other->length);
	count = pick(other->length - from);
	if (*length + count > fuzzing->bytes_max)
		return;
	memmove(bytes + at + count, bytes + at, *length - at);
	memcpy(bytes + at, (const uint8_t *)other->bytes + from, count);
	*length += count;
}

static inline void
fuzz_change(const struct fuzzing *fuzzing, uint8_t *bytes, size_t *length)
{
	static void (*const changes[])(const struct fuzzing *, uint8_t *, size_t *, size_t) = {
	    fuzz_flip,    fuzz_flip,    fuzz_replace, fuzz_replace, fuzz_nudge,
	    fuzz_cut_end, fuzz_cut_out, fuzz_repeat,  fuzz_graft,
	};

	if (*length > fuzzing->keep)
		changes[pick(sizeof(changes) / sizeof(changes[0]))](
		    fuzzing, bytes, length, fuzzing->keep + pick(*length - fuzzing->keep));
}

/* --- cases -------------------------------------------------------------------------------------
 */

/* As long as it is and no longer, so that the sanitizers see a read beyond. */
static inline void
fuzz_try(const struct fuzzing *fuzzing, const void *bytes, size_t length)
{
	uint8_t *exact = malloc(length ? length : 1);

	demand(exact, "out of memory");
	memcpy(exact, bytes, length);
	fuzzing->target(exact, length);
	free(exact);
}

/* The seeds themselves, and so many cases made of them. */
static inline void
fuzz_run(const struct fuzzing *fuzzing, size_t cases)
{
	uint8_t *work = calloc(1, fuzzing->bytes_max);

	demand(work, "out of memory");
	for (size_t i = 0; i < fuzzing->seed_count; i++)
		fuzz_try(fuzzing, fuzzing->seeds[i].bytes, fuzzing->seeds[i].length);
	for (size_t i = 0; i < cases; i++) {
		const struct seed *seed = &fuzzing->seeds[pick(fuzzing->seed_count)];
		size_t length = seed->length;

		memcpy(work, seed->bytes, length);
		for (size_t left = 1 + pick(5); left > 0; left--)
			fuzz_change(fuzzing, work, &length);
		fuzz_try(fuzzing, work, length);
	}
	free(work);
}

#endif
