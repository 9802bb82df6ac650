/*
 * Lines out of a stream, against a reading of the same bytes at once: however they are cut into
 * pieces, the same lines are told, the same ones are too long, and no memory stays taken. A case is
 * the bound on a line, a seed for the pieces, and the stream.
 *
 * fuzz_frame [CASES [SEED]]: streams of a few bytes that matter, the same for the same seed. With
 * -DSCARAB_LIBFUZZER the entry point of libFuzzer instead (make libfuzzer).
 */
// with: runnerd/broker/frame.c
#include <inttypes.h>

#include "common/cleanup.h"
#include "runnerd/broker/frame.h"
#include "tests/fuzz/mutate.h"

enum {
	CASES = 200000,
	CASES_SANITIZED = 40000,
	STREAM_BYTES_MAX = 600,
	LINE_BYTES_MAX = 300, /* no bound is below what is kept of a dropped line */
	POOL = 1 << 20,
};

/* The stream, and how far it was told. */
struct reading {
	const char *at, *end;
	size_t max;
};

static uint64_t lines_told, lines_dropped;

static void
fail(const char *what, struct span line)
{
	fprintf(stderr, "%s: %.*s\n", what, (int)line.length, line.at);
	abort();
}

/* --- what is to be told ----------------------------------------------------------------------- */

static bool
blank(struct span line)
{
	for (size_t i = 0; i < line.length; i++)
		if (line.at[i] != ' ' && line.at[i] != '\t')
			return false;
	return true;
}

/* The next event of the stream, read at once. False: there is none. */
static bool
next_event(struct reading *reading, enum frame_event *event, struct span *line)
{
	while (reading->at < reading->end) {
		const char *at = reading->at, *lf = memchr(at, '\n', (size_t)(reading->end - at));

		if (!lf)
			return false;
		reading->at = lf + 1;
		*line = (struct span){at, (size_t)(lf - at)};
		*event = line->length > reading->max ? FRAME_TOO_LONG : FRAME_LINE;
		if (*event == FRAME_TOO_LONG)
			return true;
		if (line->length > 0 && lf[-1] == '\r')
			line->length--;
		if (!blank(*line))
			return true;
	}
	return false;
}

/* Of a line that was dropped only its ends are there. */
static void
check_ends(struct span told, struct span line)
{
	if (told.length != 2 * FRAME_KEEP)
		fail("the ends of a long line have another length", told);
	if (memcmp(told.at, line.at, FRAME_KEEP) != 0)
		fail("another head", told);
	if (memcmp(told.at + FRAME_KEEP, line.at + line.length - FRAME_KEEP, FRAME_KEEP) != 0)
		fail("another tail", told);
}

static bool
check(enum frame_event event, struct span told, void *arg)
{
	enum frame_event wanted;
	struct span line;

	if (!next_event(arg, &wanted, &line))
		fail("a line that is none", told);
	if (event != wanted)
		fail("a line that is too long, or is not", told);
	if (event == FRAME_TOO_LONG)
		check_ends(told, line);
	else if (told.length != line.length || memcmp(told.at, line.at, line.length) != 0)
		fail("another line", told);
	lines_dropped += event == FRAME_TOO_LONG;
	lines_told++;
	return true;
}

/* --- one case --------------------------------------------------------------------------------- */

static void
feed(const char *bytes, size_t length, size_t max)
{
	struct reading reading = {bytes, bytes + length, max};
	struct pool pool = {.max = POOL};
	enum frame_event event;
	struct frame frame;
	struct span line;

	frame_init(&frame, &pool, max);
	for (size_t done = 0, piece; done < length; done += piece) {
		/* As it may be, or all that is left. */
		piece = pick(4) ? 1 + pick(length - done < 40 ? length - done : 40) : length - done;
		frame_feed(&frame, bytes + done, piece, check, &reading);
		if (pool.used > 2 * max + 4096)
			fail("more memory than a line has", (struct span){bytes, length});
	}
	if (next_event(&reading, &event, &line))
		fail("a line was not told", line);
	frame_free(&frame);
	if (pool.used != 0)
		fail("memory stays taken", (struct span){bytes, length});
}

#ifdef SCARAB_LIBFUZZER

static void
try_case(const uint8_t *bytes, size_t length)
{
	if (length < 3)
		return;
	random_state = 1 + (uint64_t)bytes[1];
	feed((const char *)bytes + 2, length - 2, FRAME_KEEP + bytes[0]);
}
FUZZ_TARGET(try_case)

#else

static void
one_case(void)
{
	static const char liked[] = "\n\n\r\r \t{}\"ab\0";
	size_t length = pick(STREAM_BYTES_MAX) + 1;
	bool sparse = pick(2); /* long lines too */
	_cleanup_free_ char *stream = malloc(length);

	if (!stream)
		abort();
	for (size_t i = 0; i < length; i++)
		stream[i] = sparse && pick(50) ? 'x' : liked[pick(sizeof(liked))];
	feed(stream, length, FRAME_KEEP + pick(LINE_BYTES_MAX - FRAME_KEEP));
}

int
main(int argc, char **argv)
{
	size_t cases = fuzz_begin(argc, argv, CASES, CASES_SANITIZED);

	for (size_t i = 0; i < cases; i++)
		one_case();
	printf("%zu streams in pieces: %" PRIu64 " lines as at once, %" PRIu64
	       " of them too long\n",
	       cases, lines_told, lines_dropped);
	return 0;
}

#endif
