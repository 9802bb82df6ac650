#include "user.h"

#include <stdbool.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "common/limits.h"

enum { FILE_MAX = 1 << 20, FIELDS = 4 /* name, password, id, and passwd's group */ };

static bool
read_id(const char *text, uint32_t *id)
{
	unsigned long number;
	char *end;

	if (!text[0] || strspn(text, "0123456789") != strlen(text) || strlen(text) > 9)
		return false;
	number = strtoul(text, &end, 10);
	*id = (uint32_t)number;
	return number < ID_RANGE;
}

/* Parts a line at its colons; false: it has too few. */
static bool
part(char *line, char *fields[FIELDS], size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!(fields[i] = strsep(&line, ":")))
			return false;
	return true;
}

/* The line whose name (or, where key is an id, whose id) this is. */
static bool
find_line(char *text, const char *key, bool is_id, size_t count, char *fields[FIELDS])
{
	char *line;

	while ((line = strsep(&text, "\n")))
		if (part(line, fields, count) && !strcmp(fields[is_id ? 2 : 0], key))
			return true;
	return false;
}

static int
read_text(int fd, char **text, const char *what, struct error *error)
{
	size_t length;
	int rc;

	if (fd < 0) {
		*text = strdup("");
		return *text ? 0 : error_errno(error, ENOMEM, "reading %s", what);
	}
	rc = read_file(fd, FILE_MAX, text, &length);
	return rc < 0 ? error_errno(error, -rc, "reading the image's %s", what) : 0;
}

static int
find_user(const char *name, int passwd, uint32_t *uid, uint32_t *gid, struct error *error)
{
	_cleanup_free_ char *text = NULL;
	bool is_id = read_id(name, uid);
	char *fields[FIELDS];
	bool found;

	if (read_text(passwd, &text, "/etc/passwd", error) < 0)
		return -1;
	found = find_line(text, name, is_id, FIELDS, fields);
	if (found && read_id(fields[2], uid) && read_id(fields[3], gid))
		return 0;
	*gid = 0;
	if (is_id && !found)
		return 0;
	return error_why(error, ERR_INVALID,
			 "its user %.64s is not in its /etc/passwd, with ids below 65536", name);
}

static int
find_group(const char *name, int group, uint32_t *gid, struct error *error)
{
	_cleanup_free_ char *text = NULL;
	char *fields[FIELDS];

	if (read_id(name, gid))
		return 0;
	if (read_text(group, &text, "/etc/group", error) < 0)
		return -1;
	if (find_line(text, name, false, 3, fields) && read_id(fields[2], gid))
		return 0;
	return error_why(error, ERR_INVALID,
			 "its group %.64s is not in its /etc/group, with an id below 65536", name);
}

int
user_find(const char *user, int passwd, int group, uint32_t *uid, uint32_t *gid,
	  struct error *error)
{
	char copy[IMAGE_USER_MAX + 1], *of_group;

	strcpy(copy, user);
	of_group = strchr(copy, ':');
	if (of_group)
		*of_group++ = '\0';
	*uid = *gid = 0;
	if (copy[0] && find_user(copy, passwd, uid, gid, error) < 0)
		return -1;
	return of_group && of_group[0] ? find_group(of_group, group, gid, error) : 0;
}
