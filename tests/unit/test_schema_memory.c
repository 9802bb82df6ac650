/*
 * Every allocation of reading, encoding, decoding and printing fails in turn: the answer is an
 * error, nothing crashes, nothing stays allocated.
 */
#include <stdbool.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/config.h"
#include "common/manifest.h"
#include "tests/unit/corpus.h"
#include "tests/unit/suite.h"

#ifdef __SANITIZE_ADDRESS__

int
main(void)
{
	puts("the sanitizers bring an allocator of their own");
	return 77;
}

#else

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void __libc_free(void *memory);

static bool counting;
static long calls, fail_at, live;

static bool
fails(void)
{
	return counting && ++calls == fail_at;
}

static void *
counted(void *memory)
{
	live += counting && memory;
	return memory;
}

__attribute__((visibility("default"))) void *
malloc(size_t size)
{
	if (fails())
		return NULL;
	return counted(__libc_malloc(size));
}

__attribute__((visibility("default"))) void *
calloc(size_t count, size_t size)
{
	if (fails())
		return NULL;
	return counted(__libc_calloc(count, size));
}

__attribute__((visibility("default"))) void *
realloc(void *memory, size_t size)
{
	void *grown;

	if (fails())
		return NULL;
	grown = __libc_realloc(memory, size);
	if (!memory)
		counted(grown);
	return grown;
}

__attribute__((visibility("default"))) void
free(void *memory)
{
	live -= counting && memory;
	__libc_free(memory);
}

typedef bool trial(const char *text, size_t length);

/* Runs the trial with the first, second, … allocation failing until none is left to fail. */
static void
sweep(const char *path, trial *run)
{
	size_t length;
	_cleanup_free_ char *text = corpus_text(path, &length);

	for (fail_at = 1;; fail_at++) {
		bool worked;

		calls = live = 0;
		counting = true;
		worked = run(text, length);
		counting = false;
		ck_assert_msg(live == 0, "allocation %ld failed: %ld stay", fail_at, live);
		if (calls < fail_at) {
			ck_assert(worked);
			break;
		}
	}
	ck_assert_int_gt(fail_at, 50);
}

static bool
trial_plan(const struct manifest *manifest)
{
	struct error error = ERROR_INIT;
	_cleanup_free_ uint8_t *plan = NULL;
	struct manifest *decoded;
	size_t length;

	if (plan_encode(manifest, &plan, &length) < 0)
		return false;
	decoded = plan_decode(plan, length, &error);
	if (!decoded)
		ck_assert_int_ne(error.code, ERR_NONE);
	manifest_free(decoded);
	return decoded != NULL;
}

static bool
trial_json(const struct manifest *manifest)
{
	struct json json = JSON_INIT;
	char *text;

	manifest_json(manifest, &json);
	text = json_take(&json, NULL);
	free(text);
	json_free(&json);
	return text != NULL;
}

static bool
trial_manifest(const char *text, size_t length)
{
	struct error error = ERROR_INIT;
	char *warnings = NULL;
	struct manifest *manifest = manifest_read(text, length, "f", &warnings, &error);
	bool worked;

	if (!manifest) {
		ck_assert_int_ne(error.code, ERR_NONE);
		return false;
	}
	worked = trial_plan(manifest) && trial_json(manifest);
	free(warnings);
	manifest_free(manifest);
	return worked;
}

static bool
trial_config(const char *text, size_t length)
{
	struct error error = ERROR_INIT;
	struct config *config = config_read(text, length, "f", &error), *decoded = NULL;
	_cleanup_free_ uint8_t *bytes = NULL;
	size_t size;

	if (!config) {
		ck_assert_int_ne(error.code, ERR_NONE);
		return false;
	}
	if (config_encode(config, &bytes, &size) == 0)
		decoded = config_decode(bytes, size, &error);
	config_free(config);
	config_free(decoded);
	return decoded != NULL;
}

START_TEST(manifests)
{
	sweep("tests/corpus/manifests/good-complete.yaml", trial_manifest);
	sweep("tests/corpus/manifests/good-multiline.yaml", trial_manifest);
}
END_TEST

START_TEST(configurations)
{
	sweep("tests/corpus/configs/good-complete.yaml", trial_config);
	sweep("tests/corpus/configs/good-private.yaml", trial_config);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {manifests, configurations};

	return suite_run("schema-memory", tests, ARRAY_LEN(tests));
}

#endif
