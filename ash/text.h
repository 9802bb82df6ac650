/*
 * Text as a terminal shows it: how wide it is, how to shorten it, and what of it is safe to
 * print. Strings that agents and manifests wrote pass through text_clean() before people see
 * them, so that no escape sequence reaches a terminal.
 */
#ifndef ASH_TEXT_H
#define ASH_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* A copy (heap; NULL without memory) with '?' for control characters, for what is not UTF-8, and
 * for characters that show nothing or change the direction of others. */
char *text_clean(const char *text);
/* The same in place. */
void text_clean_here(char *text);
/* Characters of UTF-8 text. */
size_t text_width(const char *text);
/* A copy of at most width characters: cut at the end, or at the beginning, where mark (one
 * character wide) then stands. */
char *text_cut(const char *text, size_t width, bool from_left, const char *mark);
/* The candidate that the operator may have meant, or NULL: a distance of at most two edits, a
 * third of the word, or a beginning of three characters and more. */
const char *text_nearest(const char *word, const char *const *candidates, size_t count);

#endif
