#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "error.h"

static const char *
errno_text(int errnum)
{
	/* Not strerror: no buffer, no locale. */
	const char *text = strerrordesc_np(errnum);

	return text ? text : "unknown error";
}

static enum error_code
errno_code(int errnum)
{
	switch (errnum) {
	case EACCES:
	case EPERM:
		return ERR_PERMISSION;
	case ENOENT:
		return ERR_NOT_FOUND;
	case EEXIST:
		return ERR_CONFLICT;
	default:
		return ERR_FAILED;
	}
}

/* Cuts what does not fit; never leaves half a UTF-8 character at the cut. */
static void __attribute__((format(printf, 3, 0)))
format_text(char *text, size_t size, const char *fmt, va_list ap)
{
	int n = vsnprintf(text, size, fmt, ap);

	if (n < 0)
		text[0] = '\0';
	if (n < 0 || (size_t)n < size)
		return;
	size_t end = size - 1;
	while (end > 0 && ((unsigned char)text[end - 1] & 0xc0) == 0x80)
		end--;
	if (end > 0 && (unsigned char)text[end - 1] >= 0xc0)
		end--;
	else
		end = size - 1;
	text[end] = '\0';
}

static void __attribute__((format(printf, 3, 4)))
format_pieces(char *text, size_t size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	format_text(text, size, fmt, ap);
	va_end(ap);
}

int
error_why(struct error *error, enum error_code code, const char *fmt, ...)
{
	char why[ERROR_WHY_MAX + 1];
	va_list ap;

	if (!error)
		return -1;
	va_start(ap, fmt);
	format_text(why, sizeof(why), fmt, ap);
	va_end(ap);
	*error = (struct error){.code = code};
	memcpy(error->why, why, sizeof(why));
	return -1;
}

int
error_errno(struct error *error, int errnum, const char *fmt, ...)
{
	char doing[ERROR_WHY_MAX + 1];
	va_list ap;

	if (!error)
		return -1;
	va_start(ap, fmt);
	format_text(doing, sizeof(doing), fmt, ap);
	va_end(ap);
	*error = (struct error){.code = errno_code(errnum)};
	format_pieces(error->why, sizeof(error->why), "%s: %s", doing, errno_text(errnum));
	return -1;
}

int
error_what(struct error *error, const char *fmt, ...)
{
	char outer[ERROR_WHAT_MAX + 1];
	char inner[ERROR_WHAT_MAX + 1];
	va_list ap;

	if (!error)
		return -1;
	va_start(ap, fmt);
	format_text(outer, sizeof(outer), fmt, ap);
	va_end(ap);
	memcpy(inner, error->what, sizeof(inner));
	format_pieces(error->what, sizeof(error->what), "%s%s%s", outer, inner[0] ? ": " : "",
		      inner);
	return -1;
}

int
error_hint(struct error *error, const char *fmt, ...)
{
	char hint[ERROR_HINT_MAX + 1];
	va_list ap;

	if (!error)
		return -1;
	va_start(ap, fmt);
	format_text(hint, sizeof(hint), fmt, ap);
	va_end(ap);
	memcpy(error->hint, hint, sizeof(hint));
	return -1;
}

int
error_as(struct error *error, enum error_code code)
{
	if (error && error->code != ERR_NONE)
		error->code = code;
	return -1;
}

const char *
error_text(const struct error *error, char *text)
{
	snprintf(text, ERROR_TEXT_MAX + 1, "%s%s%s", error->what, error->what[0] ? ": " : "",
		 error->why);
	return text;
}

const char *
error_code_name(enum error_code code)
{
	static const char *const names[] = {
	    [ERR_NONE] = "none",
	    [ERR_FAILED] = "failed",
	    [ERR_USAGE] = "usage",
	    [ERR_NOT_FOUND] = "not_found",
	    [ERR_PERMISSION] = "permission",
	    [ERR_CONFLICT] = "conflict",
	    [ERR_UNREACHABLE] = "unreachable",
	    [ERR_INVALID] = "invalid",
	};

	return (size_t)code < ARRAY_LEN(names) && names[code] ? names[code] : "failed";
}
