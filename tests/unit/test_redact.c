// with: secretd/spellings.c
/* What is hidden and what is shown, against a plain matcher that knows the secrets. */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "common/cleanup.h"
#include "common/proto.h"
#include "common/redact.h"
#include "secretd/spellings.h"
#include "tests/unit/suite.h"

enum { TEXT_MAX = 1 << 18, SECRETS_MAX = 8 };

struct secret {
	const char *name, *value;
};

struct output {
	size_t length;
	char bytes[TEXT_MAX];
};

static struct output out;

static void
collect(const uint8_t *bytes, size_t length, void *arg)
{
	struct output *to = arg;

	ck_assert_uint_lt(to->length + length, sizeof(to->bytes));
	memcpy(to->bytes + to->length, bytes, length);
	to->length += length;
	to->bytes[to->length] = '\0';
}

static int
seal_set(const struct secret *secrets, size_t count)
{
	struct spellings *spellings = spellings_new();
	int fd;

	for (size_t i = 0; i < count; i++)
		ck_assert_int_eq(spellings_add(spellings, secrets[i].name,
					       (const uint8_t *)secrets[i].value,
					       strlen(secrets[i].value)),
				 0);
	fd = spellings_seal(spellings);
	ck_assert_int_ge(fd, 0);
	spellings_free(spellings);
	return fd;
}

static struct redact_set *
make_set(const struct secret *secrets, size_t count)
{
	struct redact_set *set = NULL;
	int fd = seal_set(secrets, count);

	ck_assert_int_eq(redact_set_open(fd, &set), 0);
	close(fd);
	return set;
}

/* The text through a filter, in pieces of these lengths (the last one is for all the rest). */
static const char *
filter(const struct redact_set *set, const char *text, size_t length, const size_t *pieces,
       size_t count)
{
	struct redact *redact = redact_new(set, collect, &out);
	size_t at = 0;

	out.length = 0;
	out.bytes[0] = '\0';
	for (size_t i = 0; at < length; i++) {
		size_t piece = i < count ? pieces[i] : length - at;

		if (piece > length - at)
			piece = length - at;
		ck_assert_int_eq(redact_feed(redact, (const uint8_t *)text + at, piece), 0);
		at += piece;
	}
	ck_assert_int_eq(redact_end(redact), 0);
	redact_free(redact);
	return out.bytes;
}

static const char *
filter_text(const struct redact_set *set, const char *text)
{
	return filter(set, text, strlen(text), NULL, 0);
}

/* --- a matcher that knows --------------------------------------------------------------------- */

struct run {
	size_t start, end, length;
	const char *name;
};

/* How much of the secret can be told to be there: all, or as much as the last check covers. */
static bool
occurs(const char *text, size_t there, const char *value)
{
	size_t length = strlen(value), told = REDACT_WINDOW;

	if (there >= length)
		return memcmp(text, value, length) == 0;
	for (size_t check = REDACT_FIRST_CHECK; check <= there; check *= 2)
		told = check;
	return there >= told && memcmp(text, value, told) == 0;
}

static size_t
add_run(struct run *runs, size_t count, size_t start, size_t end, size_t length, const char *name)
{
	struct run *last = count ? &runs[count - 1] : NULL;

	if (last && start < last->end) {
		if (start == last->start && length > last->length) {
			last->name = name;
			last->length = length;
		}
		if (end > last->end)
			last->end = end;
		return count;
	}
	runs[count] = (struct run){.start = start, .end = end, .length = length, .name = name};
	return count + 1;
}

static const char *
reference(const struct secret *secrets, size_t count, const char *text)
{
	static char plain[TEXT_MAX], shown[TEXT_MAX];
	static struct run runs[TEXT_MAX / 8];
	size_t length = 0, run_count = 0, at = 0, n = 0, run = 0;

	for (const char *c = text; *c; c++)
		if (*c != '\n' && *c != '\r')
			plain[length++] = *c;
	for (size_t i = 0; i < length; i++)
		for (size_t s = 0; s < count; s++) {
			size_t end = i + strlen(secrets[s].value);

			if (!occurs(plain + i, length - i, secrets[s].value))
				continue;
			run_count = add_run(runs, run_count, i, end < length ? end : length,
					    (end < length ? end : length) - i, secrets[s].name);
		}
	for (const char *c = text; *c; c++) {
		bool line_end = *c == '\n' || *c == '\r';

		while (run < run_count && runs[run].end <= at)
			run++;
		if (run < run_count && !line_end && at == runs[run].start)
			n += (size_t)sprintf(shown + n, "[redacted:%s]", runs[run].name);
		if (run == run_count || at < runs[run].start || (line_end && at == runs[run].start))
			shown[n++] = *c;
		at += !line_end;
	}
	shown[n] = '\0';
	return shown;
}

static uint32_t
draw(uint64_t *state, uint32_t below)
{
	*state = *state * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (uint32_t)(*state >> 33) % below;
}

/* Few letters, so that secrets overlap, repeat and begin alike all the time. */
static void
draw_secrets(uint64_t *state, struct secret *secrets, char values[][48], size_t count)
{
	static const char *const names[] = {"one", "two", "three", "four"};

	for (size_t i = 0; i < count; i++) {
		size_t length = REDACT_WINDOW + draw(state, i % 2 ? 4 : 30);

		for (size_t at = 0; at < length; at++)
			values[i][at] = (char)('a' + draw(state, 2));
		values[i][length] = '\0';
		if (i > 0 && draw(state, 3) == 0)
			memcpy(values[i], values[i - 1],
			       strnlen(values[i - 1], length)); /* one begins as another */
		secrets[i] = (struct secret){names[i], values[i]};
	}
}

static void
draw_text(uint64_t *state, char *text, const struct secret *secrets, size_t count)
{
	char *end = text + 600;

	while (text < end) {
		const char *value = secrets[draw(state, (uint32_t)count)].value;
		size_t length = 1 + draw(state, (uint32_t)strlen(value));

		if (draw(state, 3) == 0)
			length = strlen(value);
		for (size_t i = 0; i < length; i++) {
			*text++ = value[i];
			if (draw(state, 12) == 0)
				*text++ = "\n\r"[draw(state, 2)];
		}
		if (draw(state, 4) == 0)
			*text++ = 'x';
	}
	*text = '\0';
}

static bool
differ(const struct secret *secrets, size_t count)
{
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < i; j++)
			if (strcmp(secrets[i].value, secrets[j].value) == 0)
				return false;
	return true;
}

START_TEST(as_the_reference)
{
	char values[4][48], text[1024];
	struct secret secrets[4];
	size_t pieces[64];
	uint64_t state = 7;

	for (unsigned round = 0; round < 2000; round++) {
		size_t count = 1 + draw(&state, 3);
		struct redact_set *set;

		draw_secrets(&state, secrets, values, count);
		if (!differ(secrets, count))
			continue; /* which of two names is told is not said */
		draw_text(&state, text, secrets, count);
		for (size_t i = 0; i < ARRAY_LEN(pieces); i++)
			pieces[i] = 1 + draw(&state, round % 2 ? 40 : 5);
		set = make_set(secrets, count);
		ck_assert_str_eq(filter(set, text, strlen(text), pieces, ARRAY_LEN(pieces)),
				 reference(secrets, count, text));
		redact_set_free(set);
	}
}
END_TEST

START_TEST(every_split)
{
	static const struct secret secrets[] = {{"short", "hunter2hunter2"},
						{"longer", "hunter2hunter2-and-more"},
						{"other", "2-and-more-of-it"}};
	static const char text[] = "a hunter2hunter2 b hunter2hunter2-and-more-of-it c\nhunter2hu\n"
				   "nter2 hunter2 hunter2hunter2-and";
	static const char want[] = "a [redacted:short] b [redacted:longer] c\n[redacted:short] "
				   "hunter2 [redacted:longer]";
	struct redact_set *set = make_set(secrets, ARRAY_LEN(secrets));

	for (size_t first = 0; first < sizeof(text) - 1; first++)
		for (size_t second = 1; first + second < sizeof(text); second++) {
			size_t pieces[] = {first, second};

			ck_assert_str_eq(filter(set, text, sizeof(text) - 1, pieces, 2), want);
		}
	redact_set_free(set);
}
END_TEST

/* --- spellings -------------------------------------------------------------------------------- */

static void
assert_hidden(const struct redact_set *set, const char *before, const char *spelled,
	      const char *after, const char *want)
{
	char text[4096];
	size_t length = (size_t)snprintf(text, sizeof(text), "%s%s%s", before, spelled, after);

	for (size_t piece = 0; piece <= length; piece++)
		ck_assert_str_eq(filter(set, text, length, &piece, 1), want);
}

static const char key_text[] = "S3cr3t/+\\\"v\xc3\xa4lue?>~";

START_TEST(hexadecimal)
{
	const struct secret secret = {"key", key_text};
	struct redact_set *set = make_set(&secret, 1);
	char hex[128];

	sodium_bin2hex(hex, sizeof(hex), (const uint8_t *)key_text, strlen(key_text));
	assert_hidden(set, "x=", hex, ";", "x=[redacted:key];");
	for (char *c = hex; *c; c++)
		if (*c >= 'a')
			*c = (char)(*c - 32);
	assert_hidden(set, "00", hex, "00", "00[redacted:key]00");
	redact_set_free(set);
}
END_TEST

/* Among other bytes at every alignment, before every number of bytes; what is left of the base64
 * around it decodes to these bytes only. */
START_TEST(base64_alignments)
{
	static const int alphabets[] = {sodium_base64_VARIANT_ORIGINAL,
					sodium_base64_VARIANT_URLSAFE_NO_PADDING};

	for (size_t length = REDACT_WINDOW; length <= strlen(key_text); length++) {
		char value[64], text[256], plain[128];
		const struct secret secret = {"key", value};
		struct redact_set *set;

		snprintf(value, sizeof(value), "%.*s", (int)length, key_text);
		set = make_set(&secret, 1);
		for (size_t at = 0; at < 12; at++) {
			size_t before = at % 6, after = at / 6 + before % 2;

			snprintf(plain, sizeof(plain), "%.*s%s%.*s", (int)before, "<<<<<<", value,
				 (int)after, ">>>>>>");
			sodium_bin2base64(text, sizeof(text), (const uint8_t *)plain, strlen(plain),
					  alphabets[at % 2]);
			filter_text(set, text);
			ck_assert_ptr_nonnull(strstr(out.bytes, "[redacted:key]"));
			/* whole groups before it, of four characters for three bytes */
			ck_assert_uint_le((size_t)(strchr(out.bytes, '[') - out.bytes),
					  (8 * before) / 6);
			ck_assert_mem_eq(out.bytes, text,
					 (size_t)(strchr(out.bytes, '[') - out.bytes));
			ck_assert_uint_le(strlen(strchr(out.bytes, ']') + 1), 4 * (after + 2) / 3);
		}
		redact_set_free(set);
	}
}
END_TEST

START_TEST(wrapped)
{
	const struct secret secret = {
	    "long", "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ;:,.-+*#'?=)"};
	struct redact_set *set = make_set(&secret, 1);
	char base64[256], text[512] = "";

	sodium_bin2base64(base64, sizeof(base64), (const uint8_t *)secret.value,
			  strlen(secret.value), sodium_base64_VARIANT_ORIGINAL);
	for (size_t at = 0; at < strlen(base64); at += 76)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%.76s\r\n",
			 base64 + at);
	filter_text(set, text);
	ck_assert_uint_eq(strspn(out.bytes, "[redacted:long]=\r\n"), strlen(out.bytes));
	redact_set_free(set);
}
END_TEST

START_TEST(several_lines)
{
	static const char pem[] = "-----BEGIN TEST KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n"
				  "BKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\nshort\n"
				  "-----END TEST KEY-----\n";
	const struct secret secret = {"pem", pem};
	struct redact_set *set = make_set(&secret, 1);
	char text[1024], *to = text;

	assert_hidden(set, "key:\n", pem, "done\n", "key:\n[redacted:pem]\ndone\n");
	to += sprintf(text, "{\"key\":\"");
	for (const char *c = pem; *c; c++)
		to += sprintf(to, *c == '\n' ? "\\n" : "%c", *c);
	sprintf(to, "\"}");
	/* its last line end is no part of it */
	ck_assert_str_eq(filter_text(set, text), "{\"key\":\"[redacted:pem]\\n\"}");
	ck_assert_str_eq(filter_text(set, "> MIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n> short\n"),
			 "> [redacted:pem]\n> short\n");
	ck_assert_str_eq(filter_text(set, "-----BEGIN TEST KEY-----\n> other -----END\n"),
			 "-----BEGIN TEST KEY-----\n> other -----END\n");
	redact_set_free(set);
}
END_TEST

START_TEST(sizes)
{
	struct spellings *spellings = spellings_new();
	uint8_t *value = calloc(1, SPELLED_MAX + 1);
	struct redact_set *set;
	struct redact *redact;
	int fd;

	for (size_t i = 0; i <= SPELLED_MAX; i++)
		value[i] = (uint8_t)(i * 2654435761U >> 13);
	ck_assert_int_eq(spellings_add(spellings, "large", value, SPELLED_MAX + 1), -E2BIG);
	ck_assert_int_eq(spellings_add(spellings, "tiny", value, 7), 0);
	ck_assert_int_eq(spellings_add(spellings, "large", value, SPELLED_MAX), 0);
	fd = spellings_seal(spellings);
	ck_assert_int_eq(redact_set_open(fd, &set), 0);
	close(fd);
	redact = redact_new(set, collect, &out);
	out.length = 0;
	for (size_t i = 0; i < SPELLED_MAX; i += 1000)
		ck_assert_int_eq(
		    redact_feed(redact, value + i, SPELLED_MAX - i < 1000 ? SPELLED_MAX - i : 1000),
		    0);
	ck_assert_int_eq(redact_end(redact), 0);
	ck_assert_str_eq(out.bytes, "[redacted:large]");
	redact_free(redact);
	redact_set_free(set);
	spellings_free(spellings);
	free(value);
}
END_TEST

/* --- time ------------------------------------------------------------------------------------- */

static void
feed(struct redact *redact, const char *text)
{
	ck_assert_int_eq(redact_feed(redact, (const uint8_t *)text, strlen(text)), 0);
}

/* A pause anywhere in a secret shows at most the first 8 characters of it. */
START_TEST(pauses)
{
	static const char value[] = "correct-horse-battery-staple";
	const struct secret secret = {"key", value};
	struct redact_set *set = make_set(&secret, 1);

	for (size_t split = 1; split < sizeof(value) - 1; split++) {
		struct redact *redact = redact_new(set, collect, &out);
		char first[64];

		out.length = 0;
		snprintf(first, sizeof(first), "is: %.*s", (int)split, value);
		feed(redact, first);
		ck_assert_int_eq(redact_flush(redact), 0);
		ck_assert(!redact_waits(redact));
		if (split < REDACT_WINDOW)
			ck_assert_str_eq(out.bytes, first);
		else
			ck_assert_str_eq(out.bytes, "is:");
		feed(redact, value + split);
		feed(redact, " and on");
		ck_assert_int_eq(redact_end(redact), 0);
		snprintf(first, sizeof(first), "is: %.*s[redacted:key] and on",
			 split < REDACT_WINDOW ? (int)split : 0, value);
		ck_assert_str_eq(out.bytes, first);
		redact_free(redact);
	}
	redact_set_free(set);
}
END_TEST

/* What is whole but for a character that may follow does not wait for it. */
START_TEST(pause_after_base64)
{
	const struct secret secret = {"key", "correct-horse"};
	struct redact_set *set = make_set(&secret, 1);
	struct redact *redact = redact_new(set, collect, &out);
	char text[64];

	out.length = 0;
	sodium_bin2base64(text, sizeof(text), (const uint8_t *)secret.value, strlen(secret.value),
			  sodium_base64_VARIANT_ORIGINAL_NO_PADDING);
	text[strlen(text) - 1] = '\0'; /* the last one has two bits of it */
	feed(redact, text);
	ck_assert(redact_waits(redact));
	ck_assert_int_eq(redact_flush(redact), 0);
	ck_assert_str_eq(out.bytes, "[redacted:key]");
	redact_free(redact);
	redact_set_free(set);
}
END_TEST

START_TEST(line_ends_are_shown)
{
	const struct secret secret = {"key", "correct-horse"};
	struct redact_set *set = make_set(&secret, 1);
	struct redact *redact = redact_new(set, collect, &out);

	out.length = 0;
	feed(redact, "one\ntwo\r\n");
	ck_assert(redact_waits(redact));
	ck_assert_int_eq(redact_flush(redact), 0);
	ck_assert_str_eq(out.bytes, "one\ntwo\r\n");
	ck_assert(!redact_waits(redact));
	feed(redact, "\n\ncorrect-horse\n\n");
	ck_assert_int_eq(redact_flush(redact), 0);
	ck_assert_str_eq(out.bytes, "one\ntwo\r\n\n\n[redacted:key]\n\n");
	redact_free(redact);
	redact_set_free(set);
}
END_TEST

START_TEST(other_set)
{
	const struct secret old = {"old", "correct-horse"}, new = {"new", "battery-staple"};
	struct redact_set *first = make_set(&old, 1), *second = make_set(&new, 1);
	struct redact *redact = redact_new(first, collect, &out);

	out.length = 0;
	feed(redact, "correct-horse correct-ho");
	ck_assert_int_eq(redact_change(redact, second), 0);
	feed(redact, " battery-staple correct-horse batte");
	ck_assert_int_eq(redact_change(redact, second), 0);
	feed(redact, "ry-staple.");
	ck_assert_int_eq(redact_end(redact), 0);
	ck_assert_str_eq(out.bytes, "[redacted:old] [redacted:old] [redacted:new] correct-horse "
				    "batte[redacted:new].");
	redact_free(redact);
	redact_set_free(first);
	redact_set_free(second);
}
END_TEST

START_TEST(texts)
{
	const struct secret secret = {"key", "correct-horse"};
	struct redact_set *set = make_set(&secret, 1);
	char text[24] = "exec correct-horse: no", tight[14] = "correct-horse";

	ck_assert_int_eq(redact_text(set, text, sizeof(text)), 0);
	ck_assert_str_eq(text, "exec [redacted:key]: no");
	ck_assert_int_eq(redact_text(set, tight, sizeof(tight)), 0);
	ck_assert_str_eq(tight, "[redacted:key");
	redact_set_free(set);
}
END_TEST

/* --- bounds ----------------------------------------------------------------------------------- */

static void
count_bytes(const uint8_t *bytes, size_t length, void *arg)
{
	size_t *counts = arg;

	for (size_t i = 0; i < length; i++)
		counts[bytes[i]]++;
}

/* The worst stream for the worst secret takes no time to speak of, and nothing of it is shown. */
START_TEST(degenerate)
{
	char value[3001], piece[4096];
	const struct secret secret = {"same", value};
	size_t counts[256] = {0};
	struct redact_set *set;
	struct redact *redact;

	memset(value, 'a', 3000);
	value[3000] = '\0';
	memset(piece, 'a', sizeof(piece));
	set = make_set(&secret, 1);
	redact = redact_new(set, count_bytes, counts);
	for (unsigned i = 0; i < 256; i++)
		ck_assert_int_eq(redact_feed(redact, (uint8_t *)piece, sizeof(piece)), 0);
	ck_assert_int_eq(redact_end(redact), 0);
	ck_assert_uint_eq(counts['['], 1);
	ck_assert_uint_eq(counts['a'], 2); /* of [redacted:same] */
	redact_free(redact);
	redact_set_free(set);
}
END_TEST

/* More beginnings of a secret than are followed, with nothing else to bound them. */
START_TEST(many_beginnings)
{
	char value[3001], text[301];
	const struct secret secret = {"same", value};
	struct redact_set *set;

	memset(value, 'a', 3000);
	value[3000] = '\0';
	memset(text, 'a', 300);
	text[300] = '\0';
	set = make_set(&secret, 1);
	ck_assert_str_eq(filter_text(set, text), "[redacted:same]");
	redact_set_free(set);
}
END_TEST

/* What is always nearly a secret would be hashed again at every place: after so much of that it is
 * hidden without. */
START_TEST(work_is_bounded)
{
	char value[3001], text[3001];
	const struct secret secret = {"same", value};
	size_t counts[256] = {0};
	struct redact_set *set;
	struct redact *redact;

	memset(value, 'a', 3000);
	value[3000] = '\0';
	memcpy(text, value, sizeof(text));
	text[2999] = 'b';
	set = make_set(&secret, 1);
	redact = redact_new(set, count_bytes, counts);
	feed(redact, text);
	ck_assert_uint_eq(counts['['], 0);
	for (unsigned i = 0; i < 100; i++)
		feed(redact, text);
	ck_assert_int_eq(redact_end(redact), 0);
	ck_assert_uint_gt(counts['['], 0);
	redact_free(redact);
	redact_set_free(set);
}
END_TEST

/* A secret that begins and is then followed by line ends alone is given up and hidden. */
START_TEST(flood_of_line_ends)
{
	const struct secret secret = {"key", "correct-horse"};
	struct redact_set *set = make_set(&secret, 1);
	size_t counts[256] = {0};
	struct redact *redact = redact_new(set, count_bytes, counts);
	uint8_t newlines[1000];

	memset(newlines, '\n', sizeof(newlines));
	feed(redact, "correct-ho");
	for (unsigned i = 0; i < 1000; i++)
		ck_assert_int_eq(redact_feed(redact, newlines, sizeof(newlines)), 0);
	ck_assert_int_eq(redact_end(redact), 0);
	ck_assert_uint_eq(counts['h'], 0);
	ck_assert_uint_ge(counts['\n'], 900000);
	redact_free(redact);
	redact_set_free(set);
}
END_TEST

/* `make bench` looks at 1 GB. */
START_TEST(random_bytes_pass)
{
	enum { PIECE = 1 << 20, PIECES = 48 };
	char values[32][40];
	struct secret secrets[32];
	uint64_t state = 11, *piece = malloc(PIECE);
	size_t counts[256], sum[256];
	struct redact_set *set;
	struct redact *redact;

	for (size_t i = 0; i < 32; i++) {
		for (size_t at = 0; at < 39; at++)
			values[i][at] = (char)('0' + draw(&state, 70));
		values[i][8 + i] = '\0';
		secrets[i] = (struct secret){"key", values[i]};
	}
	set = make_set(secrets, 32);
	memset(counts, 0, sizeof(counts));
	memset(sum, 0, sizeof(sum));
	redact = redact_new(set, count_bytes, counts);
	for (unsigned i = 0; i < PIECES; i++) {
		for (size_t at = 0; at < PIECE / 8; at++) {
			state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
			piece[at] = state ^ state >> 29;
		}
		count_bytes((uint8_t *)piece, PIECE, sum);
		ck_assert_int_eq(redact_feed(redact, (uint8_t *)piece, PIECE), 0);
	}
	ck_assert_int_eq(redact_end(redact), 0);
	ck_assert_mem_eq(counts, sum, sizeof(sum));
	redact_free(redact);
	redact_set_free(set);
	free(piece);
}
END_TEST

/* --- sets from outside ------------------------------------------------------------------------ */

static int
try_set(const uint8_t *bytes, size_t length)
{
	struct redact_set *set = NULL;
	int fd = memfd_sealed("set", bytes, length), rc = redact_set_open(fd, &set);

	close(fd);
	if (rc == 0)
		filter_text(set, "any text of more than eight bytes");
	redact_set_free(set);
	return rc;
}

START_TEST(damaged_sets)
{
	const struct secret secret = {"key", "correct-horse"};
	_cleanup_close_ int fd = seal_set(&secret, 1), open_fd = -1;
	struct redact_set *set;
	const uint8_t *bytes;
	uint8_t copy[8192] = {0};
	size_t length;

	ck_assert_int_eq(memfd_map(fd, sizeof(copy), &bytes, &length), 0);
	for (size_t cut = 0; cut < length; cut++)
		ck_assert_int_lt(try_set(bytes, cut), 0);
	for (size_t at = 0; at < length; at++)
		for (unsigned bit = 0; bit < 8; bit++) {
			memcpy(copy, bytes, length);
			copy[at] ^= (uint8_t)(1U << bit);
			try_set(copy, length); /* survives it; what is no set is refused */
		}
	memcpy(copy, bytes, length);
	copy[0] ^= 1;
	ck_assert_int_eq(try_set(copy, length), -EBADMSG);
	copy[0] ^= 1;
	copy[4] = 2;
	ck_assert_int_eq(try_set(copy, length), -EPROTONOSUPPORT);
	munmap((void *)bytes, length);
	open_fd = memfd_create("open", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ck_assert_int_eq(write(open_fd, copy, 100), 100);
	ck_assert_int_lt(redact_set_open(open_fd, &set), 0);
}
END_TEST

START_TEST(empty_set)
{
	struct redact_set *set = make_set(NULL, 0);

	ck_assert_str_eq(filter_text(set, "all of it\n"), "all of it\n");
	redact_set_free(set);
}
END_TEST

/* Nothing of a value or its spellings lies in the set. */
START_TEST(sets_hold_no_values)
{
	static const char value[] = "correct-horse-battery-staple";
	const struct secret secret = {"key", value};
	_cleanup_close_ int fd = seal_set(&secret, 1);
	const uint8_t *bytes;
	size_t length;

	ck_assert_int_eq(memfd_map(fd, REDACT_SET_BYTES_MAX, &bytes, &length), 0);
	for (size_t at = 0; at + 4 < sizeof(value); at++)
		ck_assert_ptr_null(memmem(bytes, length, value + at, 4));
	munmap((void *)bytes, length);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
	    as_the_reference,
	    every_split,
	    hexadecimal,
	    base64_alignments,
	    wrapped,
	    several_lines,
	    sizes,
	    pauses,
	    line_ends_are_shown,
	    other_set,
	    texts,
	    degenerate,
	    flood_of_line_ends,
	    random_bytes_pass,
	    damaged_sets,
	    empty_set,
	    sets_hold_no_values,
	    many_beginnings,
	    work_is_bounded,
	    pause_after_base64,
	};

	if (sodium_init() < 0)
		return 1;
	return suite_run("redact", tests, ARRAY_LEN(tests));
}
