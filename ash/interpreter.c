#include "interpreter.h"

#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "jail.h"

enum { ANSWER_BYTES = 256, ANSWER_WAIT_MS = 10000 /* a cold disk and 90 MiB of Node.js */ };

/* Node.js takes --version, and so does Python; neither begins a program. */
static bool
ask_version(const struct view *view, const char *path, char text[ANSWER_BYTES])
{
	char *argv[] = {(char *)(uintptr_t)path, (char *)"--version", NULL};
	const struct jail jail = {
	    .view = view, .path = path, .argv = argv, .cpu_seconds = ANSWER_WAIT_MS / 1000};
	struct jailed jailed;
	size_t length;

	if (jail_start(&jail, &jailed) < 0)
		return false;
	length = jail_read(&jailed, text, ANSWER_BYTES - 1, jail_now_ms() + ANSWER_WAIT_MS);
	jail_end(&jailed);
	text[length] = '\0';
	return length > 0 && strlen(text) == length;
}

/* --- what it said
 * --------------------------------------------------------------------------------- */

bool
interpreter_version(const char *text, char *version, unsigned *major, unsigned *minor)
{
	size_t length;
	int end = 0;

	text += !strncmp(text, "Python ", strlen("Python ")) ? strlen("Python ") : 0;
	text += text[0] == 'v';
	if (text[0] < '0' || text[0] > '9' || sscanf(text, "%4u.%4u%n", major, minor, &end) != 2 ||
	    !end)
		return false;
	length = strcspn(text, "\n");
	if (length > VERSION_MAX || (text[length] && text[length + 1]))
		return false;
	for (size_t i = 0; i < length; i++)
		if (text[i] <= ' ' || text[i] > '~')
			return false;
	snprintf(version, VERSION_MAX + 1, "%.*s", (int)length, text);
	return true;
}

static int
check_version(const struct interpreter *interpreter, struct found_interpreter *found,
	      const char *text, struct error *error)
{
	unsigned major, minor;

	if (!interpreter_version(text, found->version, &major, &minor) ||
	    major > interpreter->major ||
	    (major == interpreter->major && minor >= interpreter->minor))
		return 0;
	error_why(error, ERR_INVALID, "%s is %s %s, and agents need %u.%u or later", found->path,
		  interpreter->language, found->version, interpreter->major, interpreter->minor);
	return error_hint(error, "install a newer one, or name it with spec.command");
}

/* The first there is, unless the manifest names one. */
static void
find_path(const struct view *view, const struct interpreter *interpreter,
	  struct found_interpreter *found)
{
	const char *command = view->manifest->command;
	const char *const named[] = {command, NULL};
	const char *const *places = command ? named : interpreter->places;

	found->path[0] = found->version[0] = '\0';
	for (size_t i = 0; places[i] && !found->path[0]; i++) {
		char path[2 * PATH_LEN_MAX + 2];
		_cleanup_close_ int fd = -1;

		snprintf(path, sizeof(path), "%s%s%s", places[i][0] == '/' ? "" : view->install_dir,
			 places[i][0] == '/' ? "" : "/", places[i]);
		fd = view_open(view, path);
		if (fd >= 0 && strlen(path) <= PATH_LEN_MAX)
			strcpy(found->path, path);
	}
}

int
interpreter_find(const struct view *view, const struct interpreter *interpreter,
		 struct found_interpreter *found, struct error *error)
{
	char text[ANSWER_BYTES] = "";

	find_path(view, interpreter, found);
	if (!found->path[0] || !ask_version(view, found->path, text))
		return 0;
	return check_version(interpreter, found, text, error);
}
