/* ash agent validate: manifests without agentd, for editors and for continuous integration. */
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "ash.h"
#include "common/cleanup.h"
#include "document.h"
#include "output.h"
#include "skills.h"
#include "text.h"

/* What is said of one file: printed, or collected for the array. */
struct verdict {
	const struct ash *ash;
	struct json *json; /* the warnings' array is open */
};

static void
warn(const char *text, void *arg)
{
	const struct verdict *verdict = arg;

	if (verdict->ash->json)
		json_string(verdict->json, text);
	else
		output_warning(verdict->ash, text);
}

/* What lies on this host, from where install would put install_dir without --dir. */
static int
check_paths(const struct document *document, struct verdict *verdict, struct error *error)
{
	_cleanup_free_ char *copy = strdup(document->path);
	char folder[PATH_MAX];

	if (!copy || !realpath(dirname(copy), folder))
		return 0;
	document_check_paths(document, folder, warn, verdict);
	return skills_validate(document, folder, warn, verdict, error);
}

/* Sound, but not for this build: a warning, as another build may enforce it. */
static bool
check_enforceable(const struct document *document, struct verdict *verdict)
{
	struct error error = ERROR_INIT;
	char text[ERROR_TEXT_MAX + 1];

	if (manifest_enforceable(document->text, document->length, document->path, &error) == 0)
		return true;
	warn(error_text(&error, text), verdict);
	return false;
}

static void
print_problem(const struct error *error)
{
	char text[ERROR_TEXT_MAX + 1];
	struct error clean = *error;

	text_clean_here(clean.what);
	text_clean_here(clean.why);
	text_clean_here(clean.hint);
	fflush(stdout);
	fprintf(stderr, "%s%s%s%s\n", error_text(&clean, text), *clean.hint ? " (" : "", clean.hint,
		*clean.hint ? ")" : "");
}

static void
error_keys(const struct error *error, struct json *json)
{
	json_key(json, "error");
	if (!error) {
		json_null(json);
		return;
	}
	json_object(json);
	json_key(json, "code");
	json_int(json, error->code);
	json_key(json, "what");
	json_string(json, *error->what ? error->what : "agent validate");
	json_key(json, "why");
	json_string(json, error->why);
	json_key(json, "hint");
	json_string(json, *error->hint ? error->hint : NULL);
	json_object_end(json);
}

static void
open_object(const char *path, struct json *json)
{
	_cleanup_free_ char *clean = text_clean(path);

	json_object(json);
	json_key(json, "file");
	json_string(json, clean);
	json_key(json, "warnings");
	json_array(json);
}

static void
close_object(const struct document *document, bool enforceable, const struct error *error,
	     struct json *json)
{
	json_array_end(json);
	json_key(json, "valid");
	json_bool(json, !error);
	json_key(json, "enforceable");
	if (error)
		json_null(json);
	else
		json_bool(json, enforceable);
	json_key(json, "agent");
	json_string(json, document->manifest ? document->manifest->name : NULL);
	json_key(json, "version");
	json_string(json, document->manifest ? document->manifest->version : NULL);
	error_keys(error, json);
	json_object_end(json);
}

/* 0, or what the file's error is. */
static int
validate(const struct ash *ash, const char *path, struct json *json)
{
	struct verdict verdict = {.ash = ash, .json = json};
	struct error error = ERROR_INIT;
	struct document document;
	bool enforceable = false;
	int r;

	if (ash->json)
		open_object(path, json);
	r = document_read(path, &document, &error);
	if (r == 0) {
		document_each_warning(&document, warn, &verdict);
		enforceable = check_enforceable(&document, &verdict);
		r = check_paths(&document, &verdict, &error);
	}
	if (ash->json) {
		close_object(&document, enforceable, r < 0 ? &error : NULL, json);
	} else if (r < 0) {
		print_problem(&error);
	} else if (!ash->quiet) {
		_cleanup_free_ char *clean = text_clean(path);

		printf("%s: ok\n", clean ? clean : path);
	}
	document_free(&document);
	return r < 0 ? (int)error.code : 0;
}

/* Any file that is no sound manifest makes it 7; one that cannot be read, when no other is
 * wrong, gives its own status. */
int
agent_validate_command(struct ash *ash, const struct args *args, struct error *error)
{
	struct json json = JSON_INIT;
	int status = 0;

	if (ash->json)
		json_array(&json);
	for (size_t i = 0; i < args->count; i++) {
		int found = validate(ash, args->operands[i], &json);

		if (found == ERR_INVALID || status == 0)
			status = found;
	}
	if (ash->json) {
		json_array_end(&json);
		if (output_json(&json, error) < 0)
			return -1;
	}
	return status;
}
