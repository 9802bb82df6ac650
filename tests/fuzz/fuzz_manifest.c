/*
 * Bit flips, truncations, repetitions and swaps over the corpora of manifests and configurations
 * and over their encoded forms, deterministic: the same seed, the same cases. Nothing may crash;
 * a refusal has a reason; bytes that a decoder accepts encode to themselves.
 *
 * fuzz_manifest [CASES [SEED]]. With -DSCARAB_LIBFUZZER the entry point of libFuzzer instead (make
 * libfuzzer); tests/corpus/manifests and configs are its first corpus.
 */
// timeout: 300
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/config.h"
#include "common/io.h"
#include "common/manifest.h"

enum { CASES = 100000, CASES_SANITIZED = 20000, SEED_BYTES_MAX = 64 << 10, GROWTH = 256 };

struct sample {
	uint8_t *bytes;
	size_t length;
};

struct samples {
	struct sample items[512];
	size_t count;
};

struct target {
	const char *name, *corpus;
	void (*try)(const uint8_t *bytes, size_t length);
	void (*seed)(struct samples *samples, const char *text, size_t length);
};

static uint64_t random_state;
static uint64_t accepted, refused;

/* xorshift64*: the same everywhere. */
static size_t
pick(size_t below)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return (size_t)((random_state * UINT64_C(0x2545F4914F6CDD1D) >> 33) % below);
}

static void
fail(const char *what)
{
	printf("%s\n", what);
	exit(1);
}

static void
judge(bool ok, const struct error *error)
{
	if (ok)
		accepted++;
	else
		refused++;
	if (!ok && (error->code == ERR_NONE || *error->why == '\0'))
		fail("a refusal without a reason");
}

/* --- what is fuzzed --------------------------------------------------------------------------- */

static void
same_bytes(const uint8_t *bytes, size_t length, const uint8_t *again, size_t again_length)
{
	if (length != again_length || memcmp(bytes, again, length) != 0)
		fail("accepted bytes encode to others");
}

static void
try_plan(const uint8_t *bytes, size_t length)
{
	struct error error = ERROR_INIT;
	struct manifest *manifest = plan_decode(bytes, length, &error);
	_cleanup_free_ uint8_t *again = NULL;
	struct json json = JSON_INIT;
	size_t again_length;

	judge(manifest, &error);
	if (!manifest)
		return;
	if (plan_encode(manifest, &again, &again_length) < 0)
		fail("an accepted plan does not encode");
	same_bytes(bytes, length, again, again_length);
	manifest_json(manifest, &json);
	json_free(&json);
	plan_enforceable(manifest, &error);
	manifest_free(manifest);
}

static void
try_manifest(const uint8_t *bytes, size_t length)
{
	struct error error = ERROR_INIT;
	_cleanup_free_ char *warnings = NULL;
	_cleanup_free_ uint8_t *plan = NULL;
	struct manifest *manifest =
	    manifest_read((const char *)bytes, length, "fuzz", &warnings, &error);
	uint64_t before = accepted;
	size_t size;

	judge(manifest, &error);
	if (!manifest)
		return;
	if (plan_encode(manifest, &plan, &size) < 0)
		fail("a manifest that was read does not encode");
	manifest_free(manifest);
	try_plan(plan, size);
	if (accepted != before + 2)
		fail("the plan of a manifest that was read is refused");
	accepted = before + 1;
	manifest_enforceable((const char *)bytes, length, "fuzz", &error);
}

static void
try_encoded_config(const uint8_t *bytes, size_t length)
{
	struct error error = ERROR_INIT;
	struct config *config = config_decode(bytes, length, &error);
	_cleanup_free_ uint8_t *again = NULL;
	size_t again_length;

	judge(config, &error);
	if (!config)
		return;
	if (config_encode(config, &again, &again_length) < 0)
		fail("an accepted configuration does not encode");
	same_bytes(bytes, length, again, again_length);
	config_free(config);
}

static void
try_config(const uint8_t *bytes, size_t length)
{
	struct error error = ERROR_INIT;
	struct config *config = config_read((const char *)bytes, length, "fuzz", &error);
	_cleanup_free_ uint8_t *encoded = NULL;
	uint64_t before = accepted;
	size_t size;

	judge(config, &error);
	if (!config)
		return;
	config_check_ids(config, (const char *)bytes, length, &error);
	if (config_encode(config, &encoded, &size) < 0)
		fail("a configuration that was read does not encode");
	config_free(config);
	try_encoded_config(encoded, size);
	if (accepted != before + 2)
		fail("a configuration that was read is refused when encoded");
	accepted = before + 1;
}

#ifdef SCARAB_LIBFUZZER

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

/* Each reader takes whatever bytes come. */
int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	try_manifest(bytes, length);
	try_plan(bytes, length);
	try_config(bytes, length);
	try_encoded_config(bytes, length);
	return 0;
}

#else

/* --- seeds ------------------------------------------------------------------------------------ */

static void
add(struct samples *samples, const void *bytes, size_t length)
{
	struct sample *sample;

	if (samples->count == ARRAY_LEN(samples->items) || length > SEED_BYTES_MAX)
		return;
	sample = &samples->items[samples->count++];
	sample->bytes = malloc(length + 1);
	if (!sample->bytes)
		fail("out of memory");
	memcpy(sample->bytes, bytes, length);
	sample->length = length;
}

static void
seed_text(struct samples *samples, const char *text, size_t length)
{
	add(samples, text, length);
}

static void
seed_plan(struct samples *samples, const char *text, size_t length)
{
	struct manifest *manifest = manifest_read(text, length, "seed", NULL, NULL);
	_cleanup_free_ uint8_t *bytes = NULL;
	size_t size;

	if (manifest && plan_encode(manifest, &bytes, &size) == 0)
		add(samples, bytes, size);
	manifest_free(manifest);
}

static void
seed_config(struct samples *samples, const char *text, size_t length)
{
	struct config *config = config_read(text, length, "seed", NULL);
	_cleanup_free_ uint8_t *bytes = NULL;
	size_t size;

	if (config && config_encode(config, &bytes, &size) == 0)
		add(samples, bytes, size);
	config_free(config);
}

static void
load(struct samples *samples, const struct target *target)
{
	glob_t files;

	samples->count = 0;
	if (glob(target->corpus, 0, NULL, &files) != 0)
		fail("no corpus; run it from the source tree");
	for (size_t i = 0; i < files.gl_pathc; i++) {
		_cleanup_close_ int fd = open(files.gl_pathv[i], O_RDONLY | O_CLOEXEC);
		_cleanup_free_ char *text = NULL;
		size_t length;

		if (fd < 0 || read_file(fd, 1 << 20, &text, &length) < 0)
			fail("a file of the corpus cannot be read");
		target->seed(samples, text, length);
	}
	globfree(&files);
	if (samples->count == 0)
		fail("the corpus gives no seeds");
}

static void
unload(struct samples *samples)
{
	for (size_t i = 0; i < samples->count; i++)
		free(samples->items[i].bytes);
}

/* --- mutations -------------------------------------------------------------------------------- */

static void
flip(uint8_t *bytes, size_t *length)
{
	if (*length)
		bytes[pick(*length)] ^= (uint8_t)(1U << pick(8));
}

static void
replace(uint8_t *bytes, size_t *length)
{
	static const uint8_t choice[] = {0,   1,   0x7f, 0x80, 0xff, '"',  '\'', '[', ']',
					 '{', '}', ':',  '-',  '\n', '\t', '&',  '*', '!',
					 '#', '%', '/',  '.',  '0',  '9',  ' ',  'a', '|',
					 '>', '@', 0xc3, 0xe2, '?',  ','};

	if (*length)
		bytes[pick(*length)] = choice[pick(sizeof(choice))];
}

static void
truncate_at(uint8_t *bytes, size_t *length)
{
	(void)bytes;
	if (*length)
		*length = pick(*length);
}

static void
cut_out(uint8_t *bytes, size_t *length)
{
	size_t from, count;

	if (*length < 2)
		return;
	from = pick(*length - 1);
	count = 1 + pick((*length - from) < 32 ? *length - from : 32);
	memmove(bytes + from, bytes + from + count, *length - from - count);
	*length -= count;
}

static void
repeat(uint8_t *bytes, size_t *length)
{
	size_t from, count;

	if (*length < 2)
		return;
	from = pick(*length - 1);
	count = 1 + pick((*length - from) < 32 ? *length - from : 32);
	memmove(bytes + from + count, bytes + from, *length - from);
	*length += count;
}

/* Numbers of a wire format: lengths and tags just beside what they were. */
static void
nudge(uint8_t *bytes, size_t *length)
{
	if (*length) {
		uint8_t *byte = &bytes[pick(*length)];

		*byte = (uint8_t)(*byte + (pick(2) ? 1 : 255));
	}
}

static void
mutate(uint8_t *bytes, size_t *length)
{
	static void (*const mutations[])(uint8_t *, size_t *) = {
	    flip, flip, flip, replace, replace, truncate_at, cut_out, repeat, nudge,
	};

	for (size_t i = 1 + pick(4); i > 0; i--)
		mutations[pick(ARRAY_LEN(mutations))](bytes, length);
}

static void
run(const struct target *target, size_t cases)
{
	static struct samples samples;
	static uint8_t work[SEED_BYTES_MAX + GROWTH];

	accepted = refused = 0;
	load(&samples, target);
	for (size_t i = 0; i < samples.count; i++)
		target->try(samples.items[i].bytes, samples.items[i].length);
	for (size_t i = 0; i < cases; i++) {
		const struct sample *sample = &samples.items[pick(samples.count)];
		size_t length = sample->length;
		_cleanup_free_ uint8_t *exact = NULL;

		memcpy(work, sample->bytes, length);
		mutate(work, &length);
		/* Exactly as long as it is, so that the sanitizers see a read beyond. */
		exact = malloc(length ? length : 1);
		if (!exact)
			fail("out of memory");
		memcpy(exact, work, length);
		target->try(exact, length);
	}
	printf("%s: %zu seeds, %zu cases, %" PRIu64 " accepted, %" PRIu64 " refused\n",
	       target->name, samples.count, cases, accepted, refused);
	unload(&samples);
}

int
main(int argc, char **argv)
{
	static const struct target targets[] = {
	    {"manifests", "tests/corpus/manifests/good-*.yaml", try_manifest, seed_text},
	    {"hostile manifests", "tests/corpus/manifests/bad-*.yaml", try_manifest, seed_text},
	    {"plans", "tests/corpus/manifests/good-*.yaml", try_plan, seed_plan},
	    {"configurations", "tests/corpus/configs/good-*.yaml", try_config, seed_text},
	    {"hostile configurations", "tests/corpus/configs/bad-*.yaml", try_config, seed_text},
	    {"encoded configurations", "tests/corpus/configs/good-*.yaml", try_encoded_config,
	     seed_config},
	};
#ifdef __SANITIZE_ADDRESS__
	size_t cases = CASES_SANITIZED;
#else
	size_t cases = CASES;
#endif

	if (argc > 1)
		cases = strtoull(argv[1], NULL, 10);
	for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
		random_state = argc > 2 ? strtoull(argv[2], NULL, 10) | 1 : 20261121;
		run(&targets[i], cases);
	}
	printf("%zu cases of each kind: no crash, every accepted plan encodes to itself\n", cases);
	return 0;
}

#endif
