#include "glob.h"

#include <stddef.h>
#include <string.h>

/* The set at pattern[0] == '['. *end: behind it; NULL when it has no end and is a plain '['. */
static bool
in_set(const char *pattern, char c, const char **end)
{
	const char *at = pattern + 1;
	bool negated = *at == '!' || *at == '^', found = false;

	at += negated;
	for (const char *first = at; *at && (*at != ']' || at == first); at++) {
		if (at[1] == '-' && at[2] && at[2] != ']') {
			found |= (unsigned char)at[0] <= (unsigned char)c &&
				 (unsigned char)c <= (unsigned char)at[2];
			at += 2;
		} else {
			found |= *at == c;
		}
	}
	*end = *at ? at + 1 : NULL;
	return found != negated;
}

/* One byte of the name against the pattern's next part; *next: behind that part. */
static bool
matches_one(const char *pattern, char c, const char **next)
{
	bool found;

	*next = pattern + 1;
	if (*pattern == '?')
		return true;
	if (*pattern == '[') {
		found = in_set(pattern, c, next);
		if (*next)
			return found;
		*next = pattern + 1;
	}
	return *pattern == c;
}

bool
glob_match(const char *pattern, const char *name)
{
	const char *star = NULL, *retry = NULL, *next;

	while (*name) {
		if (*pattern == '*') {
			star = ++pattern;
			retry = name;
		} else if (*pattern && matches_one(pattern, *name, &next)) {
			pattern = next;
			name++;
		} else if (star) {
			/* The last * takes one byte more; earlier ones need not be tried again. */
			pattern = star;
			name = ++retry;
		} else {
			return false;
		}
	}
	return pattern[strspn(pattern, "*")] == '\0';
}
