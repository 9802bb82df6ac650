#include "name.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static const char mark[] = ".wh.", opaque_mark[] = ".wh..wh..opq";

const char *
name_shown(const char *raw, char shown[128])
{
	size_t i;

	for (i = 0; i < 100 && raw[i]; i++)
		shown[i] = raw[i];
	for (size_t j = 0; j < i; j++)
		if (shown[j] < ' ' || shown[j] > '~')
			shown[j] = '?';
	strcpy(shown + i, raw[i] ? "..." : "");
	return shown;
}

/* How long the character is, 0: it is none (overlong, a surrogate, beyond the last). */
static size_t
character(const uint8_t *at)
{
	size_t length = at[0] < 0x80   ? 1
			: at[0] < 0xc2 ? 0
			: at[0] < 0xe0 ? 2
			: at[0] < 0xf0 ? 3
			: at[0] < 0xf5 ? 4
				       : 0;

	for (size_t i = 1; i < length; i++)
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	if ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) ||
	    (at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] > 0x8f))
		return 0;
	return length;
}

static bool
is_utf8(const char *text)
{
	const uint8_t *at = (const uint8_t *)text;

	while (*at) {
		size_t length = character(at);

		if (!length)
			return false;
		at += length;
	}
	return true;
}

static int
refuse(const char *raw, const char *why, struct error *error)
{
	char shown[128];

	return error_why(error, ERR_INVALID, "the entry %s %s", name_shown(raw, shown), why);
}

static bool
is_mark(const char *component)
{
	return !strncmp(component, mark, strlen(mark));
}

/* Appends one component, a dot is none. */
static int
append(const char *raw, const char *component, size_t length, char *name, size_t *used,
       struct error *error)
{
	if (!length || (length == 1 && component[0] == '.'))
		return 0;
	if (length == 2 && !memcmp(component, "..", 2))
		return refuse(raw, "leads upwards by '..'", error);
	if (length > COMPONENT_MAX)
		return refuse(raw, "has a name of over 255 bytes", error);
	if (*used + 1 + length > PATH_LEN_MAX)
		return refuse(raw, "has a path of over 4095 bytes", error);
	if (*used)
		name[(*used)++] = '/';
	memcpy(name + *used, component, length);
	*used += length;
	name[*used] = '\0';
	return 0;
}

int
name_normalise(const char *raw, char name[PATH_LEN_MAX + 1], struct error *error)
{
	const char *at = raw, *slash;
	size_t used = 0, depth = 0;

	name[0] = '\0';
	if (!is_utf8(raw))
		return refuse(raw, "has a name that is not UTF-8", error);
	for (; at; at = slash ? slash + 1 : NULL) {
		size_t before = used;

		slash = strchr(at, '/');
		if (append(raw, at, slash ? (size_t)(slash - at) : strlen(at), name, &used, error) <
		    0)
			return -1;
		if (used > before && ++depth > NAME_DEPTH_MAX)
			return refuse(raw, "is more than 128 directories deep", error);
		if (used > before && slash && slash[strspn(slash, "/.")] &&
		    is_mark(name + before + (before > 0)))
			return refuse(raw, "lies below a whiteout", error);
	}
	return 0;
}

const char *
name_split(const char *name, char parent[PATH_LEN_MAX + 1])
{
	const char *slash = strrchr(name, '/');
	size_t length = slash ? (size_t)(slash - name) : 0;

	memcpy(parent, name, length);
	parent[length] = '\0';
	return slash ? slash + 1 : name;
}

int
name_whiteout(const char *base, const char **hidden, struct error *error)
{
	*hidden = base + strlen(mark);
	if (!is_mark(base))
		return WHITEOUT_NONE;
	if (!strcmp(base, opaque_mark))
		return WHITEOUT_OPAQUE;
	if (!**hidden || !strcmp(*hidden, ".") || !strcmp(*hidden, "..") || is_mark(*hidden))
		return refuse(base, "is no whiteout of any name", error);
	return WHITEOUT_NAME;
}
