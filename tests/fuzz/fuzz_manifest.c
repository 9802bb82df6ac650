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

#include "common/cleanup.h"
#include "common/config.h"
#include "common/io.h"
#include "common/manifest.h"
#include "tests/fuzz/mutate.h"

enum { CASES = 100000, CASES_SANITIZED = 20000, SEED_BYTES_MAX = 64 << 10, GROWTH = 256 };

struct samples {
	struct seed items[512];
	size_t count;
};

struct target {
	const char *name, *corpus;
	fuzz_fn *try;
	void (*seed)(struct samples *samples, const char *text, size_t length);
};

static uint64_t accepted, refused;

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

/* Each reader takes whatever bytes come. */
static void
try_all(const uint8_t *bytes, size_t length)
{
	try_manifest(bytes, length);
	try_plan(bytes, length);
	try_config(bytes, length);
	try_encoded_config(bytes, length);
}
FUZZ_TARGET(try_all)

#else

/* --- seeds ------------------------------------------------------------------------------------ */

static void
add(struct samples *samples, const void *bytes, size_t length)
{
	void *copy;

	if (samples->count == ARRAY_LEN(samples->items) || length > SEED_BYTES_MAX)
		return;
	copy = malloc(length + 1);
	if (!copy)
		fail("out of memory");
	memcpy(copy, bytes, length);
	samples->items[samples->count++] = (struct seed){copy, length};
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
		free((void *)samples->items[i].bytes);
}

static void
run(const struct target *target, size_t cases)
{
	static const uint8_t liked[] = {0,   1,   0x7f, 0x80, 0xff, '"',  '\'', '[', ']',
					'{', '}', ':',  '-',  '\n', '\t', '&',  '*', '!',
					'#', '%', '/',  '.',  '0',  '9',  ' ',  'a', '|',
					'>', '@', 0xc3, 0xe2, '?',  ','};
	static struct samples samples;
	struct fuzzing fuzzing = {
	    .target = target->try,
	    .liked = {liked, sizeof(liked)},
	    .bytes_max = SEED_BYTES_MAX + GROWTH,
	};

	accepted = refused = 0;
	load(&samples, target);
	fuzzing.seeds = samples.items;
	fuzzing.seed_count = samples.count;
	fuzz_run(&fuzzing, cases);
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
	size_t cases = fuzz_begin(argc, argv, CASES, CASES_SANITIZED);

	for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
		fuzz_begin(argc, argv, 0, 0); /* each kind has the same numbers */
		run(&targets[i], cases);
	}
	printf("%zu cases of each kind: no crash, every accepted plan encodes to itself\n", cases);
	return 0;
}

#endif
