/*
 * Texts with {{event.…}} in them: the task of a session that an event starts. What stands between
 * the braces names one thing and is replaced by its text, once, never read again; nothing of it
 * reaches a shell. Pure; any process.
 *
 *   {{event.id}} {{event.source}} {{event.type}} {{event.subject}} {{event.time}}
 *   {{event.data}} {{event.data.NAME.NAME…}}   a number as NAME: an item of an array, from 0
 */
#ifndef SCARAB_EVENT_TEMPLATE_H
#define SCARAB_EVENT_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>

#include "error.h"

enum { TEMPLATE_NAME_MAX = 255 };

/* The text that a name (without braces and the space around it) stands for, into size bytes. Its
 * length, or -1 with error. */
typedef long event_template_fn(const char *name, char *text, size_t size, void *arg,
			       struct error *error);

/* Is every {{…}} of it one of the names above? NULL, or what is wrong. */
const char *event_template_fault(const char *template);
/* Into size bytes, NUL-terminated. 0, or -1 with error: a name that stands for nothing here, or a
 * text that does not fit. */
int event_template_expand(const char *template, event_template_fn *fn, void *arg, char *text,
			  size_t size, struct error *error);

#endif
