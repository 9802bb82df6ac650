/*
 * One line of a session's log, {"time":…,"stream":…,"text"|"bytes":…[,"partial":true]}, back into
 * the bytes that were printed.
 */
#ifndef ASH_LOGLINE_H
#define ASH_LOGLINE_H

#include <stdbool.h>
#include <stddef.h>

enum { LOGLINE_STREAM_MAX = 63 };

struct logline {
	char stream[LOGLINE_STREAM_MAX + 1];
	char *content; /* points into the line */
	size_t length;
	bool partial; /* no newline ended it */
};

/* Decodes a line (without its newline) in place: content is where its JSON form was. False for
 * what is not such an object. */
bool logline_parse(char *line, size_t length, struct logline *parsed);

#endif
