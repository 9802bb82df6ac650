/*
 * What ash says: errors, hints, warnings and notes on standard error, JSON on standard output.
 */
#ifndef ASH_OUTPUT_H
#define ASH_OUTPUT_H

#include "ash.h"
#include "common/json.h"

/* Colour, width and liveliness from the terminal, the environment and the options. */
void output_style(struct ash *ash, const struct args *args);

/* `ash: what: why` and the hint, or the JSON object. */
void output_error(const struct ash *ash, const struct error *error);
/* Not with --quiet; a warning with --json goes into the object instead. */
void output_warning(const struct ash *ash, const char *text);
void output_note(const struct ash *ash, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A sentence on standard output that confirms what was done; not with --quiet or --json. */
void output_done(const struct ash *ash, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* What one would do next, on standard error, to who looks at a terminal. */
void output_next(const struct ash *ash, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* "Title:        text" on standard output, the text cleaned and in this colour; title empty: one
 * more line of the title before. */
void output_line(const struct ash *ash, const char *title, enum color color, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* A friendly line on standard error in place of an empty table, for who looks at a terminal. */
void output_empty(const struct ash *ash, const char *text);

/* Prints the value and a newline, and frees json. -1 with error. */
int output_json(struct json *json, struct error *error);
/* Prints the table and frees it. */
int output_table(const struct ash *ash, struct table *table, struct error *error);
/* Writes out what is buffered. Where nobody reads any more, the process ends as by SIGPIPE. */
int output_flush(struct error *error);
/* Ends the process as SIGPIPE would have. */
void output_closed(void) __attribute__((noreturn));

int out_of_memory(struct error *error);

#endif
