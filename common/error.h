/*
 * One error as people meet it: what was being done, why it failed, what to do about it.
 * Inward functions return 0 or -errno; functions that face people take a struct error * as
 * their last argument, fill it once where the failure happens (error_why, error_errno) and
 * add context on the way up (error_what). All of them return -1, so `return error_why(...)`
 * reads well. A NULL error is allowed and ignored.
 */
#ifndef SCARAB_ERROR_H
#define SCARAB_ERROR_H

#include <stdint.h>

/* The exit statuses of ash, CONTRACT section 5; a reply on any channel carries the same. */
enum error_code {
	ERR_NONE = 0,
	ERR_FAILED = 1,
	ERR_USAGE = 2,
	ERR_NOT_FOUND = 3,
	ERR_PERMISSION = 4,
	ERR_CONFLICT = 5,
	ERR_UNREACHABLE = 6,
	ERR_INVALID = 7, /* manifest or configuration */
};

enum {
	ERROR_WHAT_MAX = 767, /* bytes, NUL not counted; longer texts are cut at the end */
	ERROR_WHY_MAX = 2047,
	ERROR_HINT_MAX = 511,
};

struct error {
	enum error_code code;
	char what[ERROR_WHAT_MAX + 1];
	char why[ERROR_WHY_MAX + 1];
	char hint[ERROR_HINT_MAX + 1];
};

#define ERROR_INIT                                                                                 \
	{                                                                                          \
		.code = ERR_NONE                                                                   \
	}

/* Sets code and reason, forgets any earlier what and hint. */
int error_why(struct error *error, enum error_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same with ": " and the text of errnum (positive) appended; EACCES and EPERM give
 * ERR_PERMISSION, ENOENT ERR_NOT_FOUND, EEXIST ERR_CONFLICT, anything else ERR_FAILED. */
int error_errno(struct error *error, int errnum, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Puts "text: " before what stands there already. */
int error_what(struct error *error, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int error_hint(struct error *error, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Overrides the code of an error that is already set. */
int error_as(struct error *error, enum error_code code);

/* "what: why" or "why"; points into a buffer of at least ERROR_TEXT_MAX + 1 bytes. */
enum { ERROR_TEXT_MAX = ERROR_WHAT_MAX + 2 + ERROR_WHY_MAX };
const char *error_text(const struct error *error, char *text);

/* A stable word for a code: "failed", "usage", "not_found", … */
const char *error_code_name(enum error_code code);

#endif
