#include "cgroup_layout.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/io.h"

enum { PROC_FILE_MAX = 1 << 20 };

const char *
controller_name(enum controller controller)
{
	static const char *const names[CONTROLLERS] = {
	    [CONTROLLER_MEMORY] = "memory",
	    [CONTROLLER_PIDS] = "pids",
	    [CONTROLLER_CPU] = "cpu",
	};

	return names[controller];
}

/* The bits of ours in "cpu,cpuacct". Changes the list. */
static unsigned
controllers_in(char *list)
{
	unsigned found = 0;
	char *name;

	while ((name = strsep(&list, ",")))
		for (unsigned i = 0; i < CONTROLLERS; i++)
			if (strcmp(name, controller_name(i)) == 0)
				found |= 1U << i;
	return found;
}

/* mountinfo writes blank, tab, newline and backslash as three octal digits. */
static void
unescape(char *text)
{
	char *to = text;

	for (; *text; text++, to++) {
		*to = *text;
		if (text[0] == '\\' && text[1] && text[2] && text[3]) {
			*to = (char)((text[1] - '0') * 64 + (text[2] - '0') * 8 + text[3] - '0');
			text += 3;
		}
	}
	*to = '\0';
}

static struct cgroup_place *
place_of(struct cgroup_layout *layout, unsigned controllers)
{
	for (unsigned i = 1; i < layout->count; i++)
		if (layout->all[i].controllers & controllers)
			return &layout->all[i];
	return NULL;
}

/* The first mount of each hierarchy counts: a later one shows the same. */
static int
add_place(struct cgroup_layout *layout, bool unified, unsigned controllers, char *point)
{
	struct cgroup_place *place = &layout->all[0];

	if (!unified && (!controllers || place_of(layout, controllers)))
		return 0;
	if (!unified)
		place = &layout->all[layout->count++];
	if (place->mount)
		return 0;
	unescape(point);
	*place = (struct cgroup_place){.controllers = controllers, .mount = strdup(point)};
	return place->mount ? 0 : -ENOMEM;
}

/* "ID PARENT MAJ:MIN ROOT POINT OPTIONS… - TYPE SOURCE SUPER", whole hierarchies only. */
static int
take_mount(struct cgroup_layout *layout, char *line)
{
	char *type = strstr(line, " - cgroup"), *field = NULL, *super;
	bool unified;

	if (!type)
		return 0;
	*type = '\0';
	type += strlen(" - ");
	unified = strncmp(type, "cgroup2 ", strlen("cgroup2 ")) == 0;
	if (!unified && strncmp(type, "cgroup ", strlen("cgroup ")) != 0)
		return 0;
	for (int i = 0; i < 4; i++)
		field = strsep(&line, " ");
	if (!field || strcmp(field, "/") != 0 || !(field = strsep(&line, " ")))
		return 0;
	super = strrchr(type, ' ');
	return add_place(layout, unified, unified || !super ? 0 : controllers_in(super + 1), field);
}

/* "NUMBER:CONTROLLER,…:PATH"; v2 is "0::PATH". */
static int
take_group(struct cgroup_layout *layout, char *line)
{
	struct cgroup_place *place;
	char *number = strsep(&line, ":"), *list = strsep(&line, ":");

	if (!list || !line || line[0] != '/')
		return 0;
	if (strcmp(number, "0") == 0 && !*list)
		place = &layout->all[0];
	else
		place = place_of(layout, controllers_in(list));
	if (!place || place->own)
		return 0;
	place->own = strdup(line);
	return place->own ? 0 : -ENOMEM;
}

/* A controller whose group of ours is not known is not here. */
static void
drop_unknown(struct cgroup_layout *layout)
{
	unsigned kept = 1;

	for (unsigned i = 1; i < layout->count; i++) {
		struct cgroup_place *place = &layout->all[i];

		if (place->own)
			layout->all[kept++] = *place;
		else
			free(place->mount);
	}
	memset(&layout->all[kept], 0, (HIERARCHIES_MAX - kept) * sizeof(layout->all[0]));
	layout->count = kept;
}

int
cgroup_layout_parse(char *mountinfo, char *cgroup, struct cgroup_layout *layout,
		    struct error *error)
{
	char *line;
	int rc = 0;

	*layout = (struct cgroup_layout){.count = 1};
	while (rc == 0 && (line = strsep(&mountinfo, "\n")))
		rc = take_mount(layout, line);
	while (rc == 0 && (line = strsep(&cgroup, "\n")))
		rc = take_group(layout, line);
	if (rc < 0)
		return error_errno(error, -rc, "reading where cgroups are");
	drop_unknown(layout);
	if (layout->all[0].mount && layout->all[0].own)
		return 0;
	error_why(error, ERR_FAILED, "no cgroup v2 hierarchy is mounted");
	return error_hint(error, "mount -t cgroup2 none /sys/fs/cgroup/unified (or boot with "
				 "systemd.unified_cgroup_hierarchy=1)");
}

static char *
read_proc(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *text = NULL;
	size_t length;

	return fd < 0 || read_file(fd, PROC_FILE_MAX, &text, &length) < 0 ? NULL : text;
}

int
cgroup_layout_read(struct cgroup_layout *layout, struct error *error)
{
	_cleanup_free_ char *mountinfo = read_proc("/proc/self/mountinfo");
	_cleanup_free_ char *cgroup = read_proc("/proc/self/cgroup");

	*layout = (struct cgroup_layout){0};
	if (!mountinfo || !cgroup)
		return error_errno(error, errno, "reading /proc/self/mountinfo and cgroup");
	return cgroup_layout_parse(mountinfo, cgroup, layout, error);
}

void
cgroup_layout_free(struct cgroup_layout *layout)
{
	for (unsigned i = 0; i < HIERARCHIES_MAX; i++) {
		free(layout->all[i].mount);
		free(layout->all[i].own);
	}
	*layout = (struct cgroup_layout){0};
}
