/* session_ids beside the ids that others hand out: login.defs(5), systemd's ranges. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "config.h"
#include "limits.h"

struct id_range {
	const char *name, *low_key, *high_key; /* keys of login.defs; NULL: fixed */
	uint64_t low, high;                    /* what holds when the file is silent */
};

static const struct id_range others[] = {
    {"accounts of login.defs (UID_MIN-UID_MAX)", "UID_MIN", "UID_MAX", 1000, 60000},
    {"groups of login.defs (GID_MIN-GID_MAX)", "GID_MIN", "GID_MAX", 1000, 60000},
    {"system accounts of login.defs (SYS_UID_MIN-SYS_UID_MAX)", "SYS_UID_MIN", "SYS_UID_MAX", 100,
     999},
    {"system groups of login.defs (SYS_GID_MIN-SYS_GID_MAX)", "SYS_GID_MIN", "SYS_GID_MAX", 100,
     999},
    {"subordinate uids of login.defs (SUB_UID_MIN-SUB_UID_MAX)", "SUB_UID_MIN", "SUB_UID_MAX",
     100000, 600100000},
    {"subordinate gids of login.defs (SUB_GID_MIN-SUB_GID_MAX)", "SUB_GID_MIN", "SUB_GID_MAX",
     100000, 600100000},
    {"systemd's dynamic users", NULL, NULL, 61184, 65519},
    {"systemd's containers", NULL, NULL, 524288, 1879048191},
};

enum { LINE_TEXT = 256 };

/* "KEY VALUE" of one line; the number may be decimal, octal or hexadecimal, as in shadow. */
static bool
line_value(const char *line, size_t length, const char *key, uint64_t *value)
{
	char text[LINE_TEXT], *number, *end;

	if (length >= sizeof(text))
		return false;
	memcpy(text, line, length);
	text[length] = '\0';
	number = text + strspn(text, " \t");
	if (strncmp(number, key, strlen(key)) != 0 || !strchr(" \t", number[strlen(key)]))
		return false;
	number += strlen(key);
	number += strspn(number, " \t\"");
	if (*number < '0' || *number > '9')
		return false;
	*value = strtoull(number, &end, 0);
	return end != number;
}

/* The last line that sets the key holds, as in shadow. */
static void
login_defs_value(const char *text, size_t length, const char *key, uint64_t *value)
{
	while (text && length > 0) {
		const char *newline = memchr(text, '\n', length);
		size_t line = newline ? (size_t)(newline - text) : length;
		size_t used = line + (newline != NULL);

		line_value(text, line, key, value);
		text += used;
		length -= used;
	}
}

int
config_check_ids(const struct config *config, const char *login_defs, size_t length,
		 struct error *error)
{
	uint64_t first = config->session_ids.first;
	uint64_t last = first + config->session_ids.ranges * ID_RANGE - 1;

	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		uint64_t low = others[i].low, high = others[i].high;

		if (others[i].low_key) {
			login_defs_value(login_defs, length, others[i].low_key, &low);
			login_defs_value(login_defs, length, others[i].high_key, &high);
		}
		if (low > high || last < low || first > high)
			continue;
		error_why(error, ERR_INVALID,
			  "session_ids %" PRIu64 "-%" PRIu64 " overlap %s, %" PRIu64 "-%" PRIu64,
			  first, last, others[i].name, low, high);
		return error_hint(error, "choose session_ids outside of it, such as first: "
					 "1879048192, ranges: 4096");
	}
	return 0;
}
