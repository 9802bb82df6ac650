#include "output.h"

#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "text.h"

enum { WIDTH_DEFAULT = 80, WIDTH_LEAST = 20, WIDTH_MOST = 10000, TITLE_WIDTH = 14 };

static size_t
terminal_width(bool out_tty)
{
	const char *columns = getenv("COLUMNS");
	long width = columns ? strtol(columns, NULL, 10) : 0;
	struct winsize size;

	if (width < WIDTH_LEAST || width > WIDTH_MOST)
		width = 0;
	if (width == 0 && out_tty && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
		width = size.ws_col;
	return width >= WIDTH_LEAST ? (size_t)width : WIDTH_DEFAULT;
}

void
output_style(struct ash *ash, const struct args *args)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
	bool dumb = !term || strcmp(term, "dumb") == 0;
	bool color = !args->no_color && !(no_color && *no_color) && !dumb;
	bool err_tty = isatty(STDERR_FILENO);

	ash->json = args->json;
	ash->quiet = args->quiet;
	ash->out_tty = isatty(STDOUT_FILENO);
	ash->live = err_tty && !dumb && !args->quiet && !args->json;
	ash->color_errors = color && err_tty;
	ash->style.color = color && ash->out_tty;
	/* Scripts may count bytes: only a terminal gets the ellipsis of three. */
	ash->style.utf8 =
	    ash->out_tty && setlocale(LC_CTYPE, "") && strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	ash->style.width = terminal_width(ash->out_tty);
}

/* what is never null: where nothing narrower is known, it is the command. */
static const char *
error_subject(const struct ash *ash, const struct error *error)
{
	if (*error->what)
		return error->what;
	return ash->command ? ash->command : "ash";
}

static void
error_json(const struct ash *ash, const struct error *error)
{
	struct json json = JSON_INIT;
	_cleanup_free_ char *text = NULL;

	json_object(&json);
	json_key(&json, "error");
	json_object(&json);
	json_key(&json, "code");
	json_int(&json, error->code);
	json_key(&json, "what");
	json_string(&json, error_subject(ash, error));
	json_key(&json, "why");
	json_string(&json, error->why);
	json_key(&json, "hint");
	json_string(&json, *error->hint ? error->hint : NULL);
	json_object_end(&json);
	json_object_end(&json);
	text = json_take(&json, NULL);
	fprintf(stderr, "%s\n", text ? text : "{\"error\":{\"code\":1}}");
}

void
output_error(const struct ash *ash, const struct error *error)
{
	char text[ERROR_TEXT_MAX + 1];
	struct error clean = *error;

	text_clean_here(clean.what);
	text_clean_here(clean.why);
	text_clean_here(clean.hint);
	fflush(stdout);
	if (ash->json) {
		error_json(ash, &clean);
		return;
	}
	fprintf(stderr, "%sash:%s %s\n", color_on(COLOR_BAD, ash->color_errors),
		color_off(ash->color_errors), error_text(&clean, text));
	if (*clean.hint && !ash->quiet)
		fprintf(stderr, "  %s\n", clean.hint);
}

void
output_warning(const struct ash *ash, const char *text)
{
	_cleanup_free_ char *clean = text_clean(text);

	if (ash->quiet || ash->json || !clean)
		return;
	fflush(stdout);
	fprintf(stderr, "ash: %swarning:%s %s\n", color_on(COLOR_WARN, ash->color_errors),
		color_off(ash->color_errors), clean);
}

void
output_note(const struct ash *ash, const char *fmt, ...)
{
	va_list arguments;

	if (ash->quiet || ash->json)
		return;
	fflush(stdout);
	fputs("ash: ", stderr);
	va_start(arguments, fmt);
	vfprintf(stderr, fmt, arguments);
	va_end(arguments);
	fputc('\n', stderr);
}

void
output_done(const struct ash *ash, const char *fmt, ...)
{
	va_list arguments;

	if (ash->quiet || ash->json)
		return;
	va_start(arguments, fmt);
	vprintf(fmt, arguments);
	va_end(arguments);
	putchar('\n');
}

void
output_next(const struct ash *ash, const char *fmt, ...)
{
	va_list arguments;

	if (!ash->live)
		return;
	fflush(stdout);
	va_start(arguments, fmt);
	fputs("  next: ", stderr);
	vfprintf(stderr, fmt, arguments);
	va_end(arguments);
	fputc('\n', stderr);
}

void
output_line(const struct ash *ash, const char *title, enum color color, const char *fmt, ...)
{
	int spare = TITLE_WIDTH - (int)strlen(title);
	bool enabled = ash->style.color;
	char *text = NULL;
	va_list arguments;
	int r;

	va_start(arguments, fmt);
	r = vasprintf(&text, fmt, arguments);
	va_end(arguments);
	if (r < 0)
		return;
	text_clean_here(text);
	printf("%s%s%c%s%*s%s%s%s\n", color_on(COLOR_BOLD, enabled), title, *title ? ':' : ' ',
	       color_off(enabled), spare > 1 ? spare : 1, "", color_on(color, enabled), text,
	       color_off(enabled && color != COLOR_NONE));
	free(text);
}

void
output_empty(const struct ash *ash, const char *text)
{
	if (!ash->quiet)
		fprintf(stderr, "%s\n", text);
}

int
out_of_memory(struct error *error)
{
	return error_why(error, ERR_FAILED, "out of memory");
}

int
output_json(struct json *json, struct error *error)
{
	_cleanup_free_ char *text = json_take(json, NULL);

	if (!text)
		return out_of_memory(error);
	puts(text);
	return 0;
}

int
output_table(const struct ash *ash, struct table *table, struct error *error)
{
	int r = table_print(table, stdout, &ash->style);

	table_free(table);
	return r < 0 ? out_of_memory(error) : 0;
}

void
output_closed(void)
{
	signal(SIGPIPE, SIG_DFL);
	raise(SIGPIPE);
	_exit(128 + SIGPIPE);
}

int
output_flush(struct error *error)
{
	struct pollfd out = {.fd = STDOUT_FILENO};

	errno = 0;
	if (fflush(stdout) == 0 && !ferror(stdout))
		return 0;
	/* The error may be of an earlier write: a pipe without a reader tells it again. */
	if (errno == EPIPE || (poll(&out, 1, 0) == 1 && (out.revents & POLLERR)))
		output_closed();
	return error_errno(error, errno ? errno : EIO, "writing to standard output");
}
