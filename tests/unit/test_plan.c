#include <endian.h>
#include <errno.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/limits.h"
#include "common/manifest.h"
#include "common/manifest_schema.h"
#include "tests/unit/corpus.h"
#include "tests/unit/suite.h"

#define HEAD                                                                                       \
	"apiVersion: scarab/v1\nkind: AgentManifest\nmetadata: {name: a, version: 1.0.0}\nspec:\n"

static struct manifest *
read_text(const char *text)
{
	struct error error = ERROR_INIT;
	struct manifest *manifest = manifest_read(text, strlen(text), "f", NULL, &error);

	ck_assert_msg(manifest, "%s", error.why);
	return manifest;
}

/* Decoding what was encoded gives the same bytes and the same JSON. */
static bool
comes_back(const char *text, size_t length, const char *file, struct error *error)
{
	struct manifest *manifest = manifest_read(text, length, file, NULL, error), *decoded;
	_cleanup_free_ uint8_t *bytes = NULL, *again = NULL;
	size_t size, again_size;
	struct json json[2] = {JSON_INIT, JSON_INIT};

	ck_assert_msg(manifest, "%s", error->why);
	ck_assert_int_eq(plan_encode(manifest, &bytes, &size), 0);
	decoded = plan_decode(bytes, size, error);
	ck_assert_msg(decoded, "%s: %s", file, error->why);
	ck_assert_int_eq(plan_encode(decoded, &again, &again_size), 0);
	ck_assert_uint_eq(size, again_size);
	ck_assert_mem_eq(bytes, again, size);
	manifest_json(manifest, &json[0]);
	manifest_json(decoded, &json[1]);
	ck_assert_uint_eq(json[0].length, json[1].length);
	ck_assert_mem_eq(json[0].text, json[1].text, json[0].length);
	json_free(&json[0]);
	json_free(&json[1]);
	manifest_free(manifest);
	manifest_free(decoded);
	return true;
}

START_TEST(every_good_manifest_comes_back)
{
	corpus_walk("tests/corpus/manifests/good-*.yaml", 10, corpus_good, comes_back);
}
END_TEST

START_TEST(trigger_kinds_follow_from_their_keys)
{
	struct error error = ERROR_INIT;
	struct manifest *m = read_text(HEAD "  triggers: [{every: 1m}, {after: b}]\n"), *d;
	_cleanup_free_ uint8_t *bytes = NULL;
	size_t size;

	ck_assert_int_eq(plan_encode(m, &bytes, &size), 0);
	d = plan_decode(bytes, size, &error);
	ck_assert_ptr_nonnull(d);
	ck_assert_int_eq(d->triggers.items[0].kind, TRIGGER_EVERY);
	ck_assert_int_eq(d->triggers.items[1].kind, TRIGGER_AFTER);
	manifest_free(m);
	manifest_free(d);
}
END_TEST

/* --- values that no manifest can have, in a plan of a control process gone bad ------------------
 */

typedef void spoil_fn(struct manifest *manifest);

static void
set(char **slot, const char *text)
{
	free(*slot);
	*slot = strdup(text);
}

static void
spoil_name(struct manifest *m)
{
	set(&m->name, "../../etc");
}

static void
spoil_no_name(struct manifest *m)
{
	free(m->name);
	m->name = NULL;
}

static void
spoil_env(struct manifest *m)
{
	set(&m->env.items[0].key, "SCARAB_SOCKET");
}

static void
spoil_env_twice(struct manifest *m)
{
	set(&m->env.items[0].key, "B");
}

static void
spoil_command(struct manifest *m)
{
	set(&m->command, "../sh");
}

static void
spoil_target(struct manifest *m)
{
	set(&m->context.items[0].target, "/etc");
}

static void
spoil_same_target(struct manifest *m)
{
	set(&m->context.items[0].target, "/context/b");
}

static void
spoil_source(struct manifest *m)
{
	set(&m->context.items[0].source, "/srv/../etc");
}

static void
spoil_priority(struct manifest *m)
{
	m->priority = 1000;
}

static void
spoil_files(struct manifest *m)
{
	m->resources.max_open_files = 1 << 30;
}

static void
spoil_mode(struct manifest *m)
{
	m->home.mode = (enum home_mode)7;
}

static void
spoil_concurrency(struct manifest *m)
{
	m->concurrency.max = 3;
}

static void
spoil_utf8(struct manifest *m)
{
	set(&m->task, "\xff");
}

static void
spoil_snapshot(struct manifest *m)
{
	m->auto_snapshot = true;
	m->home.mode = HOME_ABSENT;
}

static void
spoil_rule(struct manifest *m)
{
	set(&m->network.allowlist.items[0], "*");
}

static void
spoil_policy(struct manifest *m)
{
	m->network.policy = NETWORK_ABSENT;
}

static const struct {
	spoil_fn *spoil;
	const char *why;
} spoiled[] = {
    {spoil_name, "plan: metadata.name: must be"},
    {spoil_no_name, "plan: metadata.name: is required"},
    {spoil_env, "plan: spec.env.SCARAB_SOCKET: is set by the runtime"},
    {spoil_env_twice, "plan: spec.env.B: is there twice"},
    {spoil_command, "plan: spec.command: must be a plain path"},
    {spoil_target, "plan: spec.context[0].target: must not lie in /etc"},
    {spoil_same_target, "plan: spec.context[1].target: is another entry's"},
    {spoil_source, "plan: spec.context[0].source: must be a plain path"},
    {spoil_priority, "plan: spec.priority: must be from -100 to 100"},
    {spoil_files, "plan: spec.resources.max_open_files: must be from 16 to 1048576"},
    {spoil_mode, "plan: is damaged"},
    {spoil_concurrency, "plan: spec.concurrency.max: over 1 needs home mode none"},
    {spoil_utf8, "plan: spec.task: is not valid UTF-8"},
    {spoil_snapshot, "plan: spec.workspace.auto_snapshot: needs spec.home.mode: journal"},
    {spoil_rule, "plan: spec.network.allowlist[0]: needs a port"},
    {spoil_policy, "plan: spec.network.allowlist: needs policy"},
};

START_TEST(every_bound_is_checked_again)
{
	static const char text[] = HEAD
	    "  command: x\n  env: {A: 1, B: 2}\n  task: t\n  priority: 1\n"
	    "  home: {mode: direct}\n  resources: {max_open_files: 64}\n"
	    "  network: {policy: local, allowlist: [\"a.b:1\"]}\n"
	    "  context: [{source: /a, target: /context/a}, {source: /b, target: /context/b}]\n";

	for (size_t i = 0; i < ARRAY_LEN(spoiled); i++) {
		struct error error = ERROR_INIT;
		struct manifest *m = read_text(text);
		_cleanup_free_ uint8_t *bytes = NULL;
		size_t size;

		spoiled[i].spoil(m);
		ck_assert_int_eq(plan_encode(m, &bytes, &size), 0);
		ck_assert_ptr_null(plan_decode(bytes, size, &error));
		ck_assert_msg(strncmp(error.why, spoiled[i].why, strlen(spoiled[i].why)) == 0,
			      "\"%s\" instead of \"%s\"", error.why, spoiled[i].why);
		manifest_free(m);
	}
}
END_TEST

/* --- bytes --------------------------------------------------------------------------------------
 */

/* A plan by hand: header and what is inside spec; metadata is that of HEAD. */
struct bytes {
	uint8_t at[512];
	size_t length;
};

static void
put(struct bytes *bytes, const void *what, size_t length)
{
	memcpy(bytes->at + bytes->length, what, length);
	bytes->length += length;
}

static void
put_field(struct bytes *bytes, uint16_t tag, const void *what, uint32_t length)
{
	uint16_t wire_tag = htole16(tag);
	uint32_t wire_length = htole32(length);

	put(bytes, &wire_tag, sizeof(wire_tag));
	put(bytes, &wire_length, sizeof(wire_length));
	put(bytes, what, length);
}

static struct bytes
plan_with(const struct bytes *spec)
{
	struct bytes plan = {0}, metadata = {0};

	put(&plan, "SRPL\1\0\0\0", 8);
	put_field(&metadata, 1, "a", 1);
	put_field(&metadata, 2, "1.0.0", 5);
	put_field(&plan, 1, metadata.at, (uint32_t)metadata.length);
	if (spec)
		put_field(&plan, 2, spec->at, (uint32_t)spec->length);
	return plan;
}

static bool
decodes(const struct bytes *plan)
{
	struct error error = ERROR_INIT;
	struct manifest *m = plan_decode(plan->at, plan->length, &error);

	manifest_free(m);
	ck_assert_int_eq(error.code, m ? ERR_NONE : ERR_INVALID);
	return m != NULL;
}

START_TEST(one_form_for_every_plan)
{
	static const uint8_t number[8] = {5};
	struct bytes spec = {0}, plan = plan_with(NULL);

	ck_assert(decodes(&plan));
	plan = plan_with(&spec); /* an empty group */
	ck_assert(!decodes(&plan));
	put_field(&spec, 2, "x", 1);
	plan = plan_with(&spec);
	ck_assert(decodes(&plan));
	put_field(&spec, 1, "\1", 1); /* tags out of order */
	plan = plan_with(&spec);
	ck_assert(!decodes(&plan));
	spec.length = 0;
	put_field(&spec, 2, "x", 1);
	put_field(&spec, 2, "y", 1); /* twice */
	plan = plan_with(&spec);
	ck_assert(!decodes(&plan));
	spec.length = 0;
	put_field(&spec, 20, number, 8);
	plan = plan_with(&spec);
	ck_assert(decodes(&plan));
	spec.length = 0;
	put_field(&spec, 20, number, 7); /* a short number */
	plan = plan_with(&spec);
	ck_assert(!decodes(&plan));
	spec.length = 0;
	put_field(&spec, 20, "\0\0\0\0\0\0\0", 8); /* the fallback */
	plan = plan_with(&spec);
	ck_assert(!decodes(&plan));
	spec.length = 0;
	put_field(&spec, 99, number, 8); /* an unknown tag */
	plan = plan_with(&spec);
	ck_assert(!decodes(&plan));
	spec.length = 0;
	put_field(&spec, 3, "", 0); /* an empty list */
	plan = plan_with(&spec);
	ck_assert(!decodes(&plan));
	spec.length = 0;
	put_field(&spec, 10, "", 0); /* but no capabilities at all can be said */
	plan = plan_with(&spec);
	ck_assert(decodes(&plan));
	spec.length = 0;
	put_field(&spec, 3, "\4\0\0\0abcd", 8);
	plan = plan_with(&spec);
	ck_assert(decodes(&plan));
	spec.length = 0;
	put_field(&spec, 3, "\5\0\0\0abcd", 8); /* an entry beyond its list */
	plan = plan_with(&spec);
	ck_assert(!decodes(&plan));
	spec.length = 0;
	put_field(&spec, 3, "\4\0\0\0ab\0d", 8); /* NUL */
	plan = plan_with(&spec);
	ck_assert(!decodes(&plan));
	spec.length = 0;
	put_field(&spec, 6, "\1\0\0\0A", 5); /* a key without a value */
	plan = plan_with(&spec);
	ck_assert(!decodes(&plan));
}
END_TEST

START_TEST(headers)
{
	struct bytes plan = plan_with(NULL);
	struct error error = ERROR_INIT;

	ck_assert_ptr_null(plan_decode(NULL, 0, &error));
	for (size_t i = 0; i < 8; i++) {
		struct bytes other = plan;

		other.at[i] ^= 1;
		ck_assert(!decodes(&other));
	}
	put(&plan, "", 1); /* a byte left over */
	ck_assert(!decodes(&plan));
}
END_TEST

START_TEST(plans_are_bounded)
{
	struct error error = ERROR_INIT;
	_cleanup_free_ uint8_t *big = calloc(1, PLAN_BYTES_MAX + 1);
	_cleanup_free_ char *text = malloc(1 << 20);
	char *end = stpcpy(text, HEAD "  env:\n");
	struct manifest *m;

	ck_assert_ptr_null(plan_decode(big, PLAN_BYTES_MAX + 1, &error));
	ck_assert_str_eq(error.why, "plan: is bigger than 1 MiB");
	for (int i = 0; i < 31; i++) {
		end += sprintf(end, "    V%d: ", i);
		memset(end, 'x', 32768);
		end += 32768;
		*end++ = '\n';
	}
	m = manifest_read(text, (size_t)(end - text), "f", NULL, &error);
	ck_assert_msg(m, "%s", error.why);
	for (size_t i = 0; i < m->env.count; i++) {
		m->env.items[i].value = realloc(m->env.items[i].value, 40000);
		memset(m->env.items[i].value, 'y', 39999);
		m->env.items[i].value[39999] = '\0';
	}
	ck_assert_int_eq(plan_encode(m, &big, &(size_t){0}), -EFBIG);
	manifest_free(m);
}
END_TEST

/* Fields of a record that came later do not disturb plans stored before. */
START_TEST(tags_of_the_first_release_stay)
{
	static const struct {
		const char *path;
		unsigned tag;
	} tags[] = {
	    {"metadata", 1},        {"spec", 2},           {"metadata.name", 1},
	    {"spec.command", 2},    {"spec.env", 6},       {"spec.capabilities", 10},
	    {"spec.context", 15},   {"spec.home", 12},     {"spec.resources", 25},
	    {"spec.lifecycle", 23}, {"spec.home.mode", 1}, {"spec.lifecycle.stop_grace", 5},
	    {"spec.workspace", 27},
	};

	for (size_t i = 0; i < ARRAY_LEN(tags); i++) {
		const struct manifest empty = {0};
		const void *object = &empty;
		const struct field *field = record_find(&manifest_record, tags[i].path, &object);

		ck_assert_msg(field, "%s", tags[i].path);
		ck_assert_uint_eq(field->tag, tags[i].tag);
	}
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
	    every_good_manifest_comes_back,
	    trigger_kinds_follow_from_their_keys,
	    every_bound_is_checked_again,
	    one_form_for_every_plan,
	    headers,
	    plans_are_bounded,
	    tags_of_the_first_release_stay,
	};

	return suite_run("plan", tests, ARRAY_LEN(tests));
}
