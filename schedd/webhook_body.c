#include "webhook_body.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/json.h"

static const char field[] = "payload=";

/* application/json, and what ends in +json; parameters do not count. */
static bool
declared_json(const char *type)
{
	size_t length = strcspn(type, "; ");

	return length >= 4 && strncasecmp(type + length - 4, "json", 4) == 0;
}

static bool
declared_form(const char *type)
{
	static const char form[] = "application/x-www-form-urlencoded";

	return strncasecmp(type, form, sizeof(form) - 1) == 0;
}

static int
digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The value of the form's first field. NULL without memory, or where it is not encoded right. */
static char *
decode(struct span form, size_t *length)
{
	const char *at = form.at, *end = form.at + form.length;
	char *text = malloc(form.length + 1), *to = text;

	for (; text && at < end && *at != '&'; at++) {
		int high, low;

		if (*at != '%') {
			*to++ = *at == '+' ? ' ' : *at;
			continue;
		}
		high = end - at > 2 ? digit(at[1]) : -1;
		low = end - at > 2 ? digit(at[2]) : -1;
		if (high < 0 || low < 0) {
			free(text);
			return NULL;
		}
		*to++ = (char)(high << 4 | low);
		at += 2;
	}
	*length = text ? (size_t)(to - text) : 0;
	return text;
}

static char *
as_string(struct span body, size_t *length)
{
	struct json json = JSON_INIT;

	if (!utf8_valid((const uint8_t *)body.at, body.length))
		return NULL;
	json_string_n(&json, body.at, body.length);
	return json_take(&json, length);
}

/* Takes text over. */
static int
read_held(char *text, size_t length, struct span *data, char **held, struct error *error)
{
	const char *fault =
	    text ? scan((struct span){text, length}, data) : "it is no UTF-8, or not encoded right";

	if (!fault) {
		*held = text;
		return 0;
	}
	free(text);
	return error_why(error, ERR_INVALID, "the body is neither JSON nor text: %s", fault);
}

int
webhook_body(const char *content_type, struct span body, struct span *data, char **held,
	     struct error *error)
{
	const size_t head = sizeof(field) - 1;
	const char *fault = scan(body, data);
	size_t length = 0;
	char *text;

	*held = NULL;
	if (!fault)
		return 0;
	if (declared_json(content_type) || !body.length)
		return error_why(error, ERR_INVALID, "the body is not JSON: %s", fault);
	if (declared_form(content_type) && body.length > head && memcmp(body.at, field, head) == 0)
		text = decode((struct span){body.at + head, body.length - head}, &length);
	else
		text = as_string(body, &length);
	return read_held(text, length, data, held, error);
}
