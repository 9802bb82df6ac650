/*
 * What a person types and nobody shall see: a line from the terminal without echo. Wiped by who
 * asked for it.
 */
#ifndef ASH_HIDDEN_H
#define ASH_HIDDEN_H

#include <stddef.h>
#include <sys/types.h>

#include "common/error.h"

/* Asks with this prompt; the line's newline is not part of it. The terminal is put back as it was,
 * also when a signal ends ash meanwhile. Bytes read, or -1 with error (also for an empty line, and
 * for one of more than size bytes). */
ssize_t hidden_line(const char *prompt, char *line, size_t size, struct error *error);
/* The same twice. */
ssize_t hidden_twice(const char *prompt, const char *again, char *line, size_t size,
		     struct error *error);

#endif
