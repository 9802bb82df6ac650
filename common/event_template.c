#include "event_template.h"

#include <string.h>

#include "cleanup.h"

/* What stands between {{ and }}, and where it goes on; false at the end of the text. literal: how
 * much of it stands for itself before that. */
struct piece {
	const char *literal;
	size_t literal_length;
	char name[TEMPLATE_NAME_MAX + 1];
	const char *fault;
};

static const char *
next_piece(const char *at, struct piece *piece)
{
	const char *open = strstr(at, "{{"), *close = open ? strstr(open, "}}") : NULL;
	const char *from, *end;

	*piece = (struct piece){.literal = at, .literal_length = strlen(at)};
	if (!open)
		return NULL;
	piece->literal_length = (size_t)(open - at);
	if (!close) {
		piece->fault = "{{ without }}";
		return NULL;
	}
	from = open + 2 + strspn(open + 2, " ");
	for (end = close; end > from && end[-1] == ' '; end--)
		;
	if ((size_t)(end - from) >= sizeof(piece->name))
		piece->fault = "a name between {{ and }} is too long";
	else
		memcpy(piece->name, from, (size_t)(end - from));
	return close + 2;
}

static bool
known(const char *name)
{
	static const char *const names[] = {"event.id",      "event.source", "event.type",
					    "event.subject", "event.time",   "event.data"};
	static const char data[] = "event.data.";

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	if (strncmp(name, data, sizeof(data) - 1) != 0)
		return false;
	name += sizeof(data) - 2;
	return !strstr(name, "..") && name[strlen(name) - 1] != '.';
}

const char *
event_template_fault(const char *template)
{
	struct piece piece;

	while (template) {
		template = next_piece(template, &piece);
		if (piece.fault)
			return piece.fault;
		if (template && !known(piece.name))
			return "{{…}} must name event.id, event.source, event.type, event.subject, "
			       "event.time, event.data or a part of it such as event.data.ref";
	}
	return NULL;
}

static int
too_long(size_t size, struct error *error)
{
	return error_why(error, ERR_FAILED, "with the event's values it is longer than %zu bytes",
			 size - 1);
}

int
event_template_expand(const char *template, event_template_fn *fn, void *arg, char *text,
		      size_t size, struct error *error)
{
	const char *fault = event_template_fault(template);
	size_t length = 0;
	struct piece piece;
	long added;

	if (fault)
		return error_why(error, ERR_INVALID, "%s", fault);
	while (template) {
		template = next_piece(template, &piece);
		if (piece.literal_length >= size - length)
			return too_long(size, error);
		memcpy(text + length, piece.literal, piece.literal_length);
		length += piece.literal_length;
		if (!template)
			break;
		added = fn(piece.name, text + length, size - length, arg, error);
		if (added < 0)
			return -1;
		length += (size_t)added;
	}
	text[length] = '\0';
	return 0;
}
