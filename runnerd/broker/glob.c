#include "glob.h"

#include <stddef.h>
#include <string.h>

/* One element of a pattern that matches one character: the end of it, NULL when it does not. */
static const char *
match_set(const char *pattern, char c)
{
	bool negated = pattern[1] == '!' || pattern[1] == '^', found = false;
	const char *at = pattern + 1 + negated, *close = *at ? strchr(at + 1, ']') : NULL;

	if (!close) /* no set: the bracket itself */
		return c == '[' ? pattern + 1 : NULL;
	while (at < close) {
		if (at[1] == '-' && at + 2 < close) {
			found |= (unsigned char)at[0] <= (unsigned char)c &&
				 (unsigned char)c <= (unsigned char)at[2];
			at += 3;
		} else {
			found |= *at++ == c;
		}
	}
	return found != negated ? close + 1 : NULL;
}

static const char *
match_one(const char *pattern, char c)
{
	switch (*pattern) {
	case '?':
		return pattern + 1;
	case '[':
		return match_set(pattern, c);
	case '\0':
		return NULL;
	default:
		return *pattern == c ? pattern + 1 : NULL;
	}
}

bool
glob_match(const char *pattern, const char *text)
{
	const char *star = NULL, *again = NULL, *next;

	/* Only the last star need be tried again with one character more. */
	while (*text) {
		if (*pattern == '*') {
			star = ++pattern;
			again = text;
			continue;
		}
		next = match_one(pattern, *text);
		if (next) {
			pattern = next;
			text++;
		} else if (star) {
			pattern = star;
			text = ++again;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}
