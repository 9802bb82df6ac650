#include "skill.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "field.h"
#include "limits.h"
#include "plain.h"
#include "values.h"
#include "yaml_tree.h"

enum { NAME_CHARS = 64, SHORT_BYTES = 2000, METADATA_ENTRIES = 64, METADATA_BYTES = 4096 };

struct front_matter {
	char *name, *description, *license, *compatibility;
	struct pairs metadata;
	char *allowed_tools;
};

/* --- values ------------------------------------------------------------------------------------
 */

static bool
name_valid(const char *name)
{
	size_t length = strlen(name);

	return length >= 1 && length <= NAME_CHARS &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == length;
}

static bool
value_name(const char *text, char why[REASON_SIZE])
{
	return name_valid(text) ||
	       value_wrong(why, "must be 1 to %d of a-z, 0-9 and -", NAME_CHARS);
}

static size_t
characters(const char *text)
{
	size_t count = 0;

	for (; *text; text++)
		count += ((unsigned char)*text & 0xc0) != 0x80;
	return count;
}

static bool
value_description(const char *text, char why[REASON_SIZE])
{
	size_t count = characters(text);

	if (count < 1 || count > SKILL_DESCRIPTION_CHARS)
		return value_wrong(why, "has %zu characters; 1 to %d are allowed", count,
				   SKILL_DESCRIPTION_CHARS);
	return value_text(text, why);
}

#define STRUCT struct front_matter
static const struct field front_fields[] = {
    TEXT_REQUIRED(1, "name", name, SKILL_DESCRIPTION_BYTES, value_name),
    TEXT_REQUIRED(2, "description", description, SKILL_HEAD_BYTES, value_description),
    TEXT(3, "license", license, SHORT_BYTES, value_text),
    TEXT(4, "compatibility", compatibility, SHORT_BYTES, value_text),
    PAIRS(5, "metadata", metadata, METADATA_ENTRIES, value_line, METADATA_BYTES, value_text),
    TEXT(6, "allowed-tools", allowed_tools, METADATA_BYTES, value_text),
};
static const struct record front_record = {RECORD(front_fields)};
#undef STRUCT

/* --- the part between the lines -----------------------------------------------------------------
 */

static bool
is_fence(const char *line, size_t length)
{
	while (length > 3 && strchr(" \t\r", line[length - 1]))
		length--;
	return length == 3 && memcmp(line, "---", 3) == 0;
}

/* The first fence begins a YAML document and may stay: so lines count as the file's do. */
static int
front_length(const char *text, size_t length, const char *file, size_t *front, struct error *error)
{
	size_t at = 0, line = 0;

	for (; at < length; line++) {
		const char *end = memchr(text + at, '\n', length - at);
		size_t size = end ? (size_t)(end - text) - at : length - at;
		bool fence = is_fence(text + at, size);

		if (line == 0 && !fence)
			break;
		if (line > 0 && fence) {
			*front = at;
			return 0;
		}
		at += size + 1;
	}
	error_why(error, ERR_INVALID, "%.*s:%zu:1: %s", YAML_FILE_SHOWN, file, line + 1,
		  line == 0 ? "it does not begin with front matter"
			    : "the front matter does not end");
	return error_hint(error,
			  "a SKILL.md begins with a line ---, the keys name and description, and "
			  "another line --- within its first %d KiB",
			  SKILL_HEAD_BYTES >> 10);
}

static struct yaml_node *
front_tree(const char *text, size_t length, const char *file, struct error *error)
{
	size_t front = 0;

	if (front_length(text, length, file, &front, error) < 0)
		return NULL;
	return yaml_parse(text, front, file, error);
}

static void
cleanup_tree(struct yaml_node **tree)
{
	yaml_tree_free(*tree);
}

/* --- strict -------------------------------------------------------------------------------------
 */

static int
check_tree(const struct yaml_node *tree, const char *file, const char *directory,
	   struct error *error)
{
	struct place place = {.node = tree, .file = file, .error = error};
	struct front_matter front = {0};
	int rc = 0;

	record_init(&front_record, &front);
	if (record_read(&front_record, &front, &place) < 0 ||
	    record_check(&front_record, &front, &place) < 0)
		rc = -1;
	else if (strcmp(front.name, directory) != 0)
		rc = complain_at(&place, "name", "must be the name of the directory, \"%s\"",
				 directory);
	record_clear(&front_record, &front);
	return rc;
}

int
skill_check(const char *text, size_t length, const char *file, const char *directory,
	    struct error *error)
{
	_cleanup_(cleanup_tree) struct yaml_node *tree = front_tree(text, length, file, error);

	return tree ? check_tree(tree, file, directory, error) : -1;
}

/* --- lenient ------------------------------------------------------------------------------------
 */

static const char *
text_of(const struct yaml_node *tree, const char *key)
{
	const struct yaml_node *node = yaml_get(tree, key, strlen(key));

	return node && node->kind == NODE_SCALAR && !yaml_is_null(node) ? node->text : NULL;
}

/* A copy that a plan may hold; NULL when nothing can be read in it. */
static char *
bounded_copy(const char *text)
{
	size_t bytes = 0, count = 0, left = strlen(text);
	char why[REASON_SIZE];

	if (strspn(text, " \t\r\n") == left || !value_text(text, why))
		return NULL;
	while (bytes < left) {
		count += ((unsigned char)text[bytes] & 0xc0) != 0x80;
		if (count > SKILL_DESCRIPTION_CHARS)
			break;
		bytes++;
	}
	return strndup(text, bytes);
}

static void __attribute__((format(printf, 2, 3))) warn(char **warning, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	if (vasprintf(warning, fmt, args) < 0)
		*warning = NULL;
	else
		plain_text(*warning);
	va_end(args);
}

int
skill_load(const char *text, size_t length, const char *file, const char *directory,
	   struct manifest_skill *skill, char **warning)
{
	struct error error = ERROR_INIT;
	_cleanup_(cleanup_tree) struct yaml_node *tree = front_tree(text, length, file, &error);
	const char *description = tree ? text_of(tree, "description") : NULL;

	*warning = NULL;
	*skill = (struct manifest_skill){.name = strdup(directory)};
	if (!skill->name)
		return -ENOMEM;
	if (description)
		skill->description = bounded_copy(description);
	if (!tree)
		warn(warning, "%s; the skill is left out", error.why);
	else if (!skill->description)
		warn(warning, "%s: it has no description; the skill is left out", file);
	else if (check_tree(tree, file, directory, &error) < 0)
		warn(warning, "%s", error.why);
	return 0;
}
