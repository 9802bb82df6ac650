#include "state_format.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/io.h"

enum { FORMAT_BYTES_MAX = 16 };

static const char file[] = "format";

/* The number, 0 where there is none, -1 where the file says something else. */
static long
parse(const char *text)
{
	char *end;
	long number = strtol(text, &end, 10);

	return end != text && strcmp(end, "\n") == 0 && number > 0 ? number : -1;
}

static int
refuse(const struct config *config, long found, struct error *error)
{
	error_why(error, ERR_CONFLICT,
		  "%s holds state of format %ld, this build reads up to format %d",
		  config->state_dir, found, STATE_FORMAT);
	return error_hint(error, "install the newer scarab-runtime that wrote it, or put a backup "
				 "from before it into its place");
}

static int
read_format(int dir, const struct config *config, long *found, struct error *error)
{
	_cleanup_free_ char *text = NULL;
	size_t length;
	int rc = read_file_at(dir, file, FORMAT_BYTES_MAX, &text, &length);

	*found = 0;
	if (rc == -ENOENT)
		return 0;
	if (rc < 0)
		return error_errno(error, -rc, "reading %s/%s", config->state_dir, file);
	*found = parse(text);
	if (*found > STATE_FORMAT)
		return refuse(config, *found, error);
	if (*found > 0)
		return 0;
	error_why(error, ERR_INVALID, "%s/%s holds no number of a format", config->state_dir, file);
	return error_hint(error,
			  "write the number that the state's backup has, or that of this "
			  "build, %d",
			  STATE_FORMAT);
}

int
state_format_check(const struct config *config, struct error *error)
{
	_cleanup_close_ int dir = open(config->state_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	char line[FORMAT_BYTES_MAX];
	long found;
	int length, rc;

	if (dir < 0)
		return error_errno(error, errno, "%s", config->state_dir);
	if (read_format(dir, config, &found, error) < 0)
		return -1;
	if (found == STATE_FORMAT)
		return 0;
	length = snprintf(line, sizeof(line), "%d\n", STATE_FORMAT);
	rc = write_file_durable(dir, file, line, (size_t)length, 0644);
	return rc < 0 ? error_errno(error, -rc, "writing %s/%s", config->state_dir, file) : 0;
}
