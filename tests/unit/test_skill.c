#include <string.h>

#include "common/cleanup.h"
#include "common/limits.h"
#include "common/skill.h"
#include "tests/unit/suite.h"

#define LONG_64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

/* refused NULL: sound. */
static const struct {
	const char *text, *directory, *refused;
} files[] = {
    {"---\nname: notes\ndescription: Keeps notes.\n---\n# Notes\n", "notes", NULL},
    {"---\r\nname: notes\r\ndescription: Keeps notes.\r\n---\r\n", "notes", NULL},
    {"---  \nname: notes\ndescription: >\n  Two\n  lines.\n--- \n", "notes", NULL},
    {"---\nname: notes\ndescription: x\nlicense: MIT\ncompatibility: needs git\n"
     "metadata: {author: me, version: \"1\"}\nallowed-tools: Read Bash\n---",
     "notes", NULL},
    {"---\nname: " LONG_64 "\ndescription: x\n---\n", LONG_64, NULL},
    {"---\nname: a" LONG_64 "\ndescription: x\n---\n", "a" LONG_64,
     "f:2:7: name: must be 1 to 64 of a-z, 0-9 and -"},
    {"---\nname: Notes\ndescription: x\n---\n", "Notes",
     "f:2:7: name: must be 1 to 64 of a-z, 0-9 and -"},
    {"---\ndescription: x\nname: other\n---\n", "notes",
     "f:3:7: name: must be the name of the directory, \"notes\""},
    {"---\nname: notes\n---\n", "notes", "f:2:1: description: is required"},
    {"---\ndescription: x\n---\n", "notes", "f:2:1: name: is required"},
    {"---\nname: notes\ndescription: \"\"\n---\n", "notes",
     "f:3:14: description: has 0 characters; 1 to 1024 are allowed"},
    {"---\nname: notes\ndescription: x\nalowed-tools: y\n---\n", "notes",
     "f:4:1: unknown key \"alowed-tools\""},
    {"---\nname: notes\ndescription: x\nmetadata: [a]\n---\n", "notes",
     "f:4:11: metadata: must be a mapping"},
    {"---\nname: notes\ndescription: {a: b\n---\n", "notes", "f:"},
    {"---\nname: notes\ndescription: *x\n---\n", "notes", "f:3:14: aliases (*name)"},
    {"---\n- name\n---\n", "notes", "f:2:1: must be a mapping"},
    {"---\n---\n", "notes", "f:"},
    {"---\nname: notes\ndescription: x\n", "notes", "f:4:1: the front matter does not end"},
    {"# Notes\n", "notes", "f:1:1: it does not begin with front matter"},
    {"", "notes", "f:1:1: it does not begin with front matter"},
    {"----\nname: notes\n---\n", "notes", "f:1:1: it does not begin with front matter"},
};

START_TEST(front_matter_is_judged_strictly)
{
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		struct error error = ERROR_INIT;
		int rc = skill_check(files[i].text, strlen(files[i].text), "f", files[i].directory,
				     &error);

		ck_assert_msg((rc == 0) == !files[i].refused, "%s: %s", files[i].text, error.why);
		if (!files[i].refused)
			continue;
		ck_assert_int_eq(error.code, ERR_INVALID);
		ck_assert_msg(strstr(error.why, files[i].refused) == error.why, "%s: %s",
			      files[i].text, error.why);
	}
}
END_TEST

/* A SKILL.md with a description of so many characters of two bytes. */
static size_t
with_description(char *text, size_t characters)
{
	size_t length = (size_t)sprintf(text, "---\nname: notes\ndescription: ");

	for (size_t i = 0; i < characters; i++)
		length += (size_t)sprintf(text + length, "\xc3\xa9");
	return length + (size_t)sprintf(text + length, "\n---\n");
}

START_TEST(a_description_has_1024_characters_at_most)
{
	char text[SKILL_HEAD_BYTES];
	struct error error = ERROR_INIT;
	size_t length = with_description(text, 1024);

	ck_assert_int_eq(skill_check(text, length, "f", "notes", &error), 0);
	length = with_description(text, 1025);
	ck_assert_int_eq(skill_check(text, length, "f", "notes", &error), -1);
	ck_assert_ptr_nonnull(strstr(error.why, "has 1025 characters"));
}
END_TEST

struct loaded {
	struct manifest_skill skill;
	char *warning;
};

static struct loaded
load(const char *text, size_t length)
{
	struct loaded loaded;

	ck_assert_int_eq(skill_load(text, length, "f", "notes", &loaded.skill, &loaded.warning), 0);
	ck_assert_str_eq(loaded.skill.name, "notes");
	return loaded;
}

static void
loaded_free(struct loaded *loaded)
{
	free(loaded->skill.name);
	free(loaded->skill.description);
	free(loaded->warning);
}

/* description NULL: left out; warning NULL: none. */
static const struct {
	const char *text, *description, *warning;
} loads[] = {
    {"---\nname: notes\ndescription: Keeps notes.\n---\n", "Keeps notes.", NULL},
    {"---\nname: Other Name\ndescription: x\n---\n", "x", "f:2:7: name: must be 1 to 64"},
    {"---\ndescription: x\n---\n", "x", "f:2:1: name: is required"},
    {"---\nname: notes\ndescription: x\nversion: 3\n---\n", "x", "f:4:1: unknown key"},
    {"---\nname: notes\n---\n", NULL, "f: it has no description; the skill is left out"},
    {"---\nname: notes\ndescription: \" \"\n---\n", NULL, "f: it has no description"},
    {"---\nname: notes\ndescription: [a]\n---\n", NULL, "f: it has no description"},
    {"---\nname: notes\ndescription: ~\n---\n", NULL, "f: it has no description"},
    {"---\nname: notes\ndescription: \"a\\eb\"\n---\n", NULL, "f: it has no description"},
    {"---\nname: [\n---\n", NULL, "f:"},
    {"no front matter", NULL, "f:1:1: it does not begin with front matter; the skill is left out"},
};

START_TEST(front_matter_is_loaded_leniently)
{
	for (size_t i = 0; i < ARRAY_LEN(loads); i++) {
		struct loaded loaded = load(loads[i].text, strlen(loads[i].text));

		ck_assert_msg(!loaded.skill.description == !loads[i].description, "%s",
			      loads[i].text);
		if (loads[i].description)
			ck_assert_str_eq(loaded.skill.description, loads[i].description);
		ck_assert_msg(!loaded.warning == !loads[i].warning, "%s: %s", loads[i].text,
			      loaded.warning ? loaded.warning : "-");
		if (loads[i].warning)
			ck_assert_msg(strstr(loaded.warning, loads[i].warning) == loaded.warning,
				      "%s: %s", loads[i].text, loaded.warning);
		loaded_free(&loaded);
	}
}
END_TEST

/* Cut between characters, and small enough for a plan. */
START_TEST(a_long_description_is_cut)
{
	char text[SKILL_HEAD_BYTES];
	size_t length = with_description(text, 3000);
	struct loaded loaded = load(text, length);

	ck_assert_uint_eq(strlen(loaded.skill.description), 2048);
	ck_assert(utf8_valid((const uint8_t *)loaded.skill.description, 2048));
	ck_assert_ptr_nonnull(loaded.warning);
	loaded_free(&loaded);
}
END_TEST

START_TEST(a_plan_carries_what_is_known_of_skills)
{
	static const char text[] = "apiVersion: scarab/v1\nkind: AgentManifest\n"
				   "metadata: {name: a, version: 1.0.0}\n"
				   "spec: {skills: [./skills/notes, /srv/other]}\n";
	struct error error = ERROR_INIT;
	struct manifest *manifest = manifest_read(text, strlen(text), "f", NULL, &error), *plan;
	_cleanup_free_ uint8_t *bytes = NULL;
	char path[PATH_LEN_MAX + 1];
	size_t length;

	ck_assert_msg(manifest != NULL, "%s", error.why);
	ck_assert_uint_eq(manifest->skill_index.count, 0);
	manifest->skill_index.items = calloc(2, sizeof(struct manifest_skill));
	manifest->skill_index.count = 2;
	manifest->skill_index.items[0] = (struct manifest_skill){strdup("notes"), strdup("Keeps.")};
	manifest->skill_index.items[1] = (struct manifest_skill){strdup("other"), NULL};
	ck_assert_int_eq(plan_encode(manifest, &bytes, &length), 0);
	plan = plan_decode(bytes, length, &error);
	ck_assert_msg(plan != NULL, "%s", error.why);
	ck_assert_uint_eq(plan->skill_index.count, 2);
	ck_assert_str_eq(plan->skill_index.items[0].description, "Keeps.");
	ck_assert_ptr_null(plan->skill_index.items[1].description);
	ck_assert_int_eq(skill_path(plan->skills.items[0], "/opt/a", path), 0);
	ck_assert_str_eq(path, "/opt/a/skills/notes");
	ck_assert_int_eq(skill_path(plan->skills.items[1], "/opt/a", path), 0);
	ck_assert_str_eq(path, "/srv/other");
	manifest_free(manifest);
	manifest_free(plan);
}
END_TEST

int
main(void)
{
	const TTest *tests[] = {
	    front_matter_is_judged_strictly,        a_description_has_1024_characters_at_most,
	    front_matter_is_loaded_leniently,       a_long_description_is_cut,
	    a_plan_carries_what_is_known_of_skills,
	};

	return suite_run("skill", tests, ARRAY_LEN(tests));
}
