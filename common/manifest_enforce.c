#include "manifest_enforce.h"

#include <string.h>

#include "cleanup.h"
#include "manifest_schema.h"

enum rule {
	ABSENT_ONLY, /* whatever is written asks for something */
	WORDS_ONLY,  /* an enum: the values whose bits are in words */
	NOT_BEGUN,   /* a text that does not begin so */
};

struct enforced {
	const char *path;
	enum rule rule;
	unsigned words;
	const char *text;
};

#define WORD(value) (1U << (value))

/* Everything that is not named here is enforced. */
static const struct enforced table[] = {
    {"spec.runtime", .rule = WORDS_ONLY,
     .words = WORD(RUNTIME_RUST) | WORD(RUNTIME_PYTHON) | WORD(RUNTIME_NODE) | WORD(RUNTIME_WASM)},
    {"spec.image", .rule = NOT_BEGUN, .text = "oci:"},
};

static bool
enforced(const struct enforced *row, const struct field *field, const void *object)
{
	const void *slot = member(object, field->offset);

	if (field_absent(field, object))
		return true;
	switch (row->rule) {
	case WORDS_ONLY:
		return (row->words & WORD(*(const unsigned *)slot)) != 0;
	case NOT_BEGUN:
		return strncmp(*(char *const *)slot, row->text, strlen(row->text)) != 0;
	default:
		return false;
	}
}

/* One of spec.mcp_servers; what is wrong with it, or NULL. */
static const char *
server_unenforceable(const struct manifest_server *server)
{
	if (server->transport == TRANSPORT_HTTP)
		return "transport Http: plugins that are reached over a network come later";
	return NULL;
}

static const char *
servers_unenforceable(const struct manifest *manifest, struct error *reason)
{
	size_t i;

	for (i = 0; i < manifest->mcp_servers.count; i++) {
		const struct manifest_server *server = &manifest->mcp_servers.items[i];
		const char *what = server_unenforceable(server);

		if (!what)
			continue;
		error_why(reason, ERR_INVALID, "this build cannot enforce spec.mcp_servers: %s: %s",
			  server->name, what);
		error_hint(reason, "remove the key, or install a build that has what it asks for");
		return "spec.mcp_servers";
	}
	return NULL;
}

static void
refuse(const struct enforced *row, const struct field *field, const void *object,
       struct error *reason)
{
	const void *slot = member(object, field->offset);
	const char *value = NULL;

	if (field->type == FIELD_ENUM)
		value = choice_name(field->choices, *(const unsigned *)slot);
	else if (field->type == FIELD_TEXT)
		value = *(char *const *)slot;
	error_why(reason, ERR_INVALID, "this build cannot enforce %s%s%.200s", row->path,
		  value ? ": " : "", value ? value : "");
	error_hint(reason, "remove the key, or install a build that has what it asks for");
}

const char *
manifest_unenforceable(const struct manifest *manifest, struct error *reason)
{
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		const void *object = manifest;
		const struct field *field = record_find(&manifest_record, table[i].path, &object);

		if (field && enforced(&table[i], field, object))
			continue;
		if (field)
			refuse(&table[i], field, object, reason);
		else /* a row that names no key refuses everything: fail closed */
			error_why(reason, ERR_FAILED, "%s is no key of a manifest", table[i].path);
		return table[i].path;
	}
	return servers_unenforceable(manifest, reason);
}

int
plan_enforceable(const struct manifest *manifest, struct error *error)
{
	return manifest_unenforceable(manifest, error) ? -1 : 0;
}
