#include "cgroup_host.h"

#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "common/limits.h"
#include "fs.h"

enum { CONTROL_MAX = 1024 };

/* --- one group's files -------------------------------------------------------------------------
 */

int
group_open(int dir_fd, const char *name, bool make)
{
	int fd;

	if (make && mkdirat(dir_fd, name, 0755) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int
group_write(int dir_fd, const char *file, const char *text)
{
	_cleanup_close_ int fd = openat(dir_fd, file, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

int
group_read(int dir_fd, const char *file, char *text, size_t size)
{
	_cleanup_close_ int fd = openat(dir_fd, file, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, text, size - 1);

	if (length < 0)
		return -errno;
	text[length] = '\0';
	return 0;
}

/* --- where sessions are made --------------------------------------------------------------------
 */

/* What the holder of the sessions' unit wrote: a path and a newline. */
static char *
held_path(const char *run_dir)
{
	_cleanup_close_ int dir = open(run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char text[PATH_LEN_MAX + 2];

	if (dir < 0 || group_read(dir, "cgroup", text, sizeof(text)) < 0)
		return NULL;
	text[strcspn(text, "\n")] = '\0';
	return text[0] == '/' ? strdup(text) : NULL;
}

static unsigned
run_dir_hash(const char *run_dir)
{
	uint32_t hash = 0x811c9dc5;

	for (; *run_dir; run_dir++)
		hash = (hash ^ (uint8_t)*run_dir) * 0x01000193;
	return hash;
}

/* The v2 path that root named, or the holder; NULL: below our own. */
static char *
named_path(const struct config *config, bool *held)
{
	char *path;

	*held = false;
	if (strcmp(config->cgroup, "auto") != 0)
		return asprintf(&path, "%s%s", config->cgroup[0] == '/' ? "" : "/",
				config->cgroup) < 0
			   ? NULL
			   : path;
	path = held_path(config->run_dir);
	*held = path != NULL;
	return path;
}

/* A name below our own v2 group means the same place below our own group of each v1 hierarchy: we
 * may be bounded there, and no session shall get out of that. */
static char *
base_path(const struct cgroup_layout *layout, const struct cgroup_place *place, const char *named,
	  const char *run_dir)
{
	const char *own = strcmp(place->own, "/") != 0 ? place->own : "";
	const char *above = layout->all[0].own;
	char *path;
	int rc;

	if (!named)
		rc = asprintf(&path, "%s/scarab-%08x", own, run_dir_hash(run_dir));
	else if (path_within(named, above))
		rc = asprintf(&path, "%s%s", own, named + (strcmp(above, "/") ? strlen(above) : 0));
	else
		rc = asprintf(&path, "%s", named);
	return rc < 0 ? NULL : path;
}

/* Every group on the way is made. Descriptor or -errno. */
static int
make_base(int root, const char *path)
{
	_cleanup_free_ char *copy = strdup(path + 1);
	char *rest = copy, *name;
	int at, next;

	if (!copy)
		return -ENOMEM;
	at = fcntl(root, F_DUPFD_CLOEXEC, 3);
	while (at >= 0 && (name = strsep(&rest, "/"))) {
		next = group_open(at, name, true);
		close(at);
		at = next;
	}
	return at == -1 ? -errno : at;
}

static int
hierarchy_open(struct hierarchy *hierarchy, const struct cgroup_place *place)
{
	hierarchy->root = open(place->mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (hierarchy->root < 0)
		return -errno;
	if (!hierarchy->base_path)
		return -ENOMEM;
	hierarchy->base = make_base(hierarchy->root, hierarchy->base_path);
	return hierarchy->base < 0 ? hierarchy->base : 0;
}

/* --- what can be limited ------------------------------------------------------------------------
 */

static void __attribute__((format(printf, 3, 4)))
found(struct cgroups *cgroups, enum controller controller, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cgroups->limits[controller].found, sizeof(cgroups->limits[controller].found), fmt,
		  ap);
	va_end(ap);
}

static bool
has_word(const char *text, const char *word)
{
	size_t length = strlen(word);

	for (; (text = strstr(text, word)); text += length)
		if (!text[length] || strchr(" \n", text[length]))
			return true;
	return false;
}

/* Gives the group's children the controller. 0 or -errno. */
static int
enable_in(int group, const char *name)
{
	char text[CONTROL_MAX];
	int rc = group_read(group, "cgroup.subtree_control", text, sizeof(text));

	if (rc < 0 || has_word(text, name))
		return rc;
	snprintf(text, sizeof(text), "+%s", name);
	return group_write(group, "cgroup.subtree_control", text);
}

/* From the root to the base itself, whose children sessions are. */
static int
enable_on_the_way(const struct hierarchy *v2, const char *name, char *at, size_t size)
{
	const char *rest = v2->base_path;
	_cleanup_close_ int group = fcntl(v2->root, F_DUPFD_CLOEXEC, 3);
	int next, rc;

	*at = '\0';
	for (;;) {
		rc = group < 0 ? -errno : enable_in(group, name);
		if (rc < 0 || !*rest)
			return rc;
		rest += strcspn(rest + 1, "/") + 1;
		snprintf(at, size, "%.*s", (int)(rest - v2->base_path), v2->base_path);
		next = group_open(v2->root, at + 1, false);
		if (next < 0)
			return next;
		close(group);
		group = next;
	}
}

/* A kernel that swaps and does not count it lets a limit of memory be exceeded. */
static bool
swap_is_counted(const struct hierarchy *hierarchy)
{
	const char *file = hierarchy->unified ? "memory.swap.max" : "memory.memsw.limit_in_bytes";

	return faccessat(hierarchy->base, file, F_OK, 0) == 0 || access("/proc/swaps", F_OK) < 0;
}

static void
use(struct cgroups *cgroups, enum controller controller, struct hierarchy *hierarchy)
{
	if (controller == CONTROLLER_MEMORY && !swap_is_counted(hierarchy)) {
		found(cgroups, controller, "the kernel does not count swap (swapaccount=0?)");
		return;
	}
	hierarchy->controllers |= 1U << controller;
	cgroups->limits[controller].in = hierarchy;
	found(cgroups, controller, "cgroup v%d, %.160s", hierarchy->unified ? 2 : 1,
	      hierarchy->base_path);
}

static void
look_in_v2(struct cgroups *cgroups, enum controller controller)
{
	struct hierarchy *v2 = &cgroups->all[0];
	const char *name = controller_name(controller);
	char text[CONTROL_MAX], at[96];
	int rc = group_read(v2->root, "cgroup.controllers", text, sizeof(text));

	if (rc < 0 || !has_word(text, name)) {
		found(cgroups, controller, "the kernel offers no controller %s", name);
		return;
	}
	rc = enable_on_the_way(v2, name, at, sizeof(at));
	if (rc < 0)
		found(cgroups, controller, "%s cannot be enabled in %s/cgroup.subtree_control: %s",
		      name, at, rc == -EBUSY ? "processes live in that group" : strerror(-rc));
	else
		use(cgroups, controller, v2);
}

/* A controller that v1 holds is not offered by v2. */
static void
look_in_v1(struct cgroups *cgroups, enum controller controller, const struct cgroup_layout *layout,
	   const char *named, const char *run_dir)
{
	const struct cgroup_place *place = NULL;
	struct hierarchy *hierarchy;
	unsigned i;
	int rc;

	for (i = 1; i < layout->count; i++)
		if (layout->all[i].controllers & (1U << controller))
			place = &layout->all[i];
	if (!place)
		return;
	for (i = 1; i < cgroups->count; i++)
		if (cgroups->all[i].controllers & place->controllers) {
			use(cgroups, controller, &cgroups->all[i]);
			return;
		}
	hierarchy = &cgroups->all[cgroups->count];
	*hierarchy = (struct hierarchy){.root = -1, .base = -1, .own_base = true};
	hierarchy->base_path = base_path(layout, place, named, run_dir);
	rc = hierarchy_open(hierarchy, place);
	if (rc == 0) {
		cgroups->count++;
		use(cgroups, controller, hierarchy);
		return;
	}
	found(cgroups, controller, "cannot make the group %.100s of v1: %s",
	      hierarchy->base_path ? hierarchy->base_path : "", strerror(-rc));
	close_fd(&hierarchy->root);
	free(steal_ptr(&hierarchy->base_path));
}

/* --- all of it ----------------------------------------------------------------------------------
 */

static int
open_v2(struct cgroups *cgroups, const struct cgroup_layout *layout, const char *named,
	const struct config *config, struct error *error)
{
	struct hierarchy *v2 = &cgroups->all[0];
	int rc;

	v2->base_path = base_path(layout, &layout->all[0], named, config->run_dir);
	rc = hierarchy_open(v2, &layout->all[0]);
	if (rc == 0)
		return 0;
	return error_errno(error, -rc, "cannot make the cgroup %s for sessions",
			   v2->base_path ? v2->base_path : "");
}

struct cgroups *
cgroups_open_at(const struct cgroup_layout *layout, const struct config *config,
		struct error *error)
{
	struct cgroups *cgroups = calloc(1, sizeof(*cgroups));
	_cleanup_free_ char *named = NULL;
	bool held;

	if (!cgroups) {
		error_errno(error, ENOMEM, "cgroups");
		return NULL;
	}
	named = named_path(config, &held);
	cgroups->count = 1;
	cgroups->all[0] = (struct hierarchy){.unified = true, .root = -1, .base = -1};
	if (open_v2(cgroups, layout, named, config, error) < 0) {
		cgroups_close(cgroups);
		return NULL;
	}
	cgroups->all[0].own_base = !held;
	for (unsigned i = 0; i < CONTROLLERS; i++) {
		look_in_v2(cgroups, i);
		if (!cgroups->limits[i].in)
			look_in_v1(cgroups, i, layout, named, config->run_dir);
	}
	return cgroups;
}

struct cgroups *
cgroups_open(const struct config *config, struct error *error)
{
	struct cgroup_layout layout;
	struct cgroups *cgroups = NULL;

	if (cgroup_layout_read(&layout, error) == 0)
		cgroups = cgroups_open_at(&layout, config, error);
	cgroup_layout_free(&layout);
	return cgroups;
}

static void
hierarchy_close(struct hierarchy *hierarchy)
{
	/* Fails, as it should, while sessions live in it. */
	if (hierarchy->base >= 0 && hierarchy->own_base)
		unlinkat(hierarchy->root, hierarchy->base_path + 1, AT_REMOVEDIR);
	close_fd(&hierarchy->base);
	close_fd(&hierarchy->root);
	free(hierarchy->base_path);
}

void
cgroups_close(struct cgroups *cgroups)
{
	for (unsigned i = 0; cgroups && i < cgroups->count; i++)
		hierarchy_close(&cgroups->all[i]);
	free(cgroups);
}

const char *
cgroups_base(const struct cgroups *cgroups)
{
	return cgroups->all[0].base_path;
}

bool
cgroups_can_kill(const struct cgroups *cgroups)
{
	return faccessat(cgroups->all[0].base, "cgroup.kill", F_OK, 0) == 0;
}
