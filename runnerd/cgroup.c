#include "cgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>

#include "cgroup_limits.h"
#include "common/cleanup.h"
#include "common/limits.h"

enum { CONTROL_MAX = 4096, LEAF_MAX = PATH_LEN_MAX + 32 };

static const struct {
	const char *name;
	enum cgroup_part part;
} leaves[] = {
    {.name = "runtime", .part = PART_RUNTIME},
    {.name = "agent", .part = PART_AGENT},
};

/* --- names --------------------------------------------------------------------------------------
 */

/* A group for the session as a whole is made where something is set on it: on v2, and where v1
 * has the CPU's shares. Elsewhere its leaves alone are made. */
static bool
is_nested(const struct hierarchy *hierarchy)
{
	return hierarchy->unified || (hierarchy->controllers & (1U << CONTROLLER_CPU));
}

/* Below the root of the hierarchy, as openat() takes it. */
static const char *
leaf_path(const struct hierarchy *hierarchy, const char *session, const char *leaf,
	  char path[LEAF_MAX])
{
	snprintf(path, LEAF_MAX, "%s%c%s", session + 1, is_nested(hierarchy) ? '/' : '-', leaf);
	return path;
}

static bool
concerns(const struct hierarchy *hierarchy, enum cgroup_part part,
	 const struct cgroup_limits *limits)
{
	for (unsigned i = 0; i < CONTROLLERS; i++)
		if ((hierarchy->controllers & (1U << i)) && limits_concern(i, part, limits))
			return true;
	return false;
}

static bool
is_needed(const struct hierarchy *hierarchy, const struct cgroup_limits *limits)
{
	return hierarchy->unified || concerns(hierarchy, PART_AGENT, limits) ||
	       concerns(hierarchy, PART_SESSION, limits);
}

int
cgroup_name(const struct cgroups *cgroups, const char *name, const struct cgroup_limits *limits,
	    struct session_cgroup *cgroup)
{
	for (unsigned i = 0; cgroups && i < cgroups->count; i++) {
		if (!is_needed(&cgroups->all[i], limits))
			continue;
		free(steal_ptr(&cgroup->paths[i]));
		if (asprintf(&cgroup->paths[i], "%s/%s", cgroups->all[i].base_path, name) < 0) {
			cgroup->paths[i] = NULL;
			return -ENOMEM;
		}
	}
	return 0;
}

static const char *
path_in(const struct cgroups *cgroups, const struct session_cgroup *cgroup,
	enum controller controller)
{
	const struct hierarchy *in = cgroups->limits[controller].in;

	return in && !in->unified ? cgroup->paths[in - cgroups->all] : NULL;
}

/* The fields of the record, by controller. */
static char *
field_of(struct msg_journal_groups *groups, enum controller controller)
{
	char *const fields[CONTROLLERS] = {
	    [CONTROLLER_MEMORY] = groups->memory,
	    [CONTROLLER_PIDS] = groups->pids,
	    [CONTROLLER_CPU] = groups->cpu,
	};

	return fields[controller];
}

bool
cgroup_to_journal(const struct cgroups *cgroups, const struct session_cgroup *cgroup,
		  struct msg_journal_groups *groups)
{
	bool any = false;

	*groups = (struct msg_journal_groups){0};
	for (unsigned i = 0; i < CONTROLLERS; i++) {
		const char *path = path_in(cgroups, cgroup, i);

		if (!path)
			continue;
		snprintf(field_of(groups, i), PATH_LEN_MAX + 1, "%s", path);
		any = true;
	}
	return any;
}

int
cgroup_from_journal(const struct cgroups *cgroups, const char *v2,
		    const struct msg_journal_groups *groups, struct session_cgroup *cgroup)
{
	struct msg_journal_groups *fields = (struct msg_journal_groups *)groups;

	if (v2[0] == '/' && !(cgroup->paths[0] = strdup(v2)))
		return -ENOMEM;
	for (unsigned i = 0; cgroups && i < CONTROLLERS; i++) {
		const struct hierarchy *in = cgroups->limits[i].in;
		char **path = in && !in->unified ? &cgroup->paths[in - cgroups->all] : NULL;

		if (path && !*path && field_of(fields, i)[0] == '/' &&
		    !(*path = strdup(field_of(fields, i))))
			return -ENOMEM;
	}
	return 0;
}

/* --- making them --------------------------------------------------------------------------------
 */

/* The session's group gives its leaves what they will be limited by. */
static int
pass_on(const struct hierarchy *v2, int dir, const struct cgroup_limits *limits,
	struct error *error)
{
	char text[CONTROLLERS * 16] = "";
	size_t length = 0;
	int rc = 0;

	for (unsigned i = 0; i < CONTROLLERS; i++)
		if ((v2->controllers & (1U << i)) && limits_concern(i, PART_AGENT, limits))
			length += (size_t)snprintf(text + length, sizeof(text) - length, "%s+%s",
						   length ? " " : "", controller_name(i));
	if (length)
		rc = group_write(dir, "cgroup.subtree_control", text);
	return rc < 0 ? error_errno(error, -rc, "writing %s to cgroup.subtree_control", text) : 0;
}

/* Descriptor, or -1 with error. */
static int
make_group(const struct hierarchy *hierarchy, const char *path, enum cgroup_part part,
	   const struct cgroup_limits *limits, struct error *error)
{
	_cleanup_close_ int dir = group_open(hierarchy->root, path, true);

	if (dir < 0)
		return error_errno(error, -dir, "making the cgroup %.200s", path);
	if (limits_write(hierarchy, part, dir, limits, error) < 0)
		return -1;
	return steal_fd(&dir);
}

static int
make_v2(const struct hierarchy *v2, const struct cgroup_limits *limits,
	struct session_cgroup *cgroup, struct error *error)
{
	int *const dirs[] = {&cgroup->runtime, &cgroup->agent};
	char path[LEAF_MAX];

	cgroup->dir = make_group(v2, cgroup->paths[0] + 1, PART_SESSION, limits, error);
	if (cgroup->dir < 0 || pass_on(v2, cgroup->dir, limits, error) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(leaves); i++) {
		*dirs[i] = make_group(v2, leaf_path(v2, cgroup->paths[0], leaves[i].name, path),
				      leaves[i].part, limits, error);
		if (*dirs[i] < 0)
			return -1;
	}
	cgroup->events = openat(cgroup->dir, "cgroup.events", O_RDONLY | O_CLOEXEC);
	return cgroup->events < 0 ? error_errno(error, errno, "opening cgroup.events") : 0;
}

/* The keeper's CPU time is not worth a group of its own on v1. */
static bool
has_leaf(const struct hierarchy *hierarchy, enum cgroup_part part,
	 const struct cgroup_limits *limits)
{
	return part == PART_AGENT || concerns(hierarchy, part, limits);
}

static int
make_v1(const struct hierarchy *v1, const char *session, const struct cgroup_limits *limits,
	struct error *error)
{
	char path[LEAF_MAX];
	int dir;

	if (is_nested(v1)) {
		dir = make_group(v1, session + 1, PART_SESSION, limits, error);
		if (dir < 0)
			return -1;
		close(dir);
	}
	for (size_t i = 0; i < ARRAY_LEN(leaves); i++) {
		if (!has_leaf(v1, leaves[i].part, limits))
			continue;
		dir = make_group(v1, leaf_path(v1, session, leaves[i].name, path), leaves[i].part,
				 limits, error);
		if (dir < 0)
			return -1;
		close(dir);
	}
	return 0;
}

int
cgroup_create(struct cgroups *cgroups, const struct cgroup_limits *limits,
	      struct session_cgroup *cgroup, struct error *error)
{
	if (!cgroup->paths[0])
		return error_errno(error, ENOMEM, "naming the session's cgroup");
	if (make_v2(&cgroups->all[0], limits, cgroup, error) < 0)
		return -1;
	for (unsigned i = 1; i < cgroups->count; i++)
		if (cgroup->paths[i] &&
		    make_v1(&cgroups->all[i], cgroup->paths[i], limits, error) < 0)
			return -1;
	return 0;
}

int
cgroup_find(struct cgroups *cgroups, struct session_cgroup *cgroup)
{
	if (!cgroups || !cgroup->paths[0])
		return 0;
	cgroup->dir = group_open(cgroups->all[0].root, cgroup->paths[0] + 1, false);
	if (cgroup->dir < 0)
		return cgroup->dir == -ENOENT ? 0 : cgroup->dir;
	cgroup->runtime = group_open(cgroup->dir, "runtime", false);
	cgroup->agent = group_open(cgroup->dir, "agent", false);
	cgroup->events = openat(cgroup->dir, "cgroup.events", O_RDONLY | O_CLOEXEC);
	return 0;
}

/* --- entering them ------------------------------------------------------------------------------
 */

void
cgroup_entry_close(struct cgroup_entry *entry)
{
	while (entry->count)
		close(entry->fds[--entry->count]);
}

static int
add_entry(struct cgroup_entry *entry, int fd)
{
	if (fd < 0)
		return -errno;
	entry->fds[entry->count++] = fd;
	return 0;
}

/* has_all: the session has that leaf in every hierarchy. */
static int
enter(const struct cgroups *cgroups, const struct session_cgroup *cgroup, const char *leaf, int v2,
      bool has_all, struct cgroup_entry *entry)
{
	char path[LEAF_MAX], file[LEAF_MAX + 8];
	int rc, fd;

	entry->count = 0;
	rc = add_entry(entry, fcntl(v2, F_DUPFD_CLOEXEC, 3));
	for (unsigned i = 1; rc == 0 && i < cgroups->count; i++) {
		if (!cgroup->paths[i])
			continue;
		leaf_path(&cgroups->all[i], cgroup->paths[i], leaf, path);
		snprintf(file, sizeof(file), "%s/tasks", path);
		fd = openat(cgroups->all[i].root, file, O_WRONLY | O_CLOEXEC);
		if (fd >= 0 || has_all || errno != ENOENT)
			rc = add_entry(entry, fd);
	}
	if (rc < 0)
		cgroup_entry_close(entry);
	return rc;
}

int
cgroup_enter_runtime(const struct cgroups *cgroups, const struct session_cgroup *cgroup,
		     struct cgroup_entry *entry)
{
	return enter(cgroups, cgroup, "runtime", cgroup->runtime, false, entry);
}

int
cgroup_enter_agent(const struct cgroups *cgroups, const struct session_cgroup *cgroup,
		   struct cgroup_entry *entry)
{
	return enter(cgroups, cgroup, "agent", cgroup->agent, true, entry);
}

static int
enter_plugin_v1(const struct hierarchy *v1, const char *session, const struct cgroup_limits *limits,
		const char *name, struct cgroup_entry *entry, struct error *error)
{
	_cleanup_close_ int dir = -1;
	char path[LEAF_MAX];

	dir = make_group(v1, leaf_path(v1, session, name, path), PART_AGENT, limits, error);
	if (dir < 0)
		return -1;
	if (add_entry(entry, openat(dir, "tasks", O_WRONLY | O_CLOEXEC)) < 0)
		return error_errno(error, errno, "opening the tasks of the cgroup %.200s", path);
	return 0;
}

/* On v2 first, where its removal will look for names. */
int
cgroup_enter_plugin(const struct cgroups *cgroups, const struct cgroup_limits *limits,
		    const struct session_cgroup *cgroup, const char *name,
		    struct cgroup_entry *entry, struct error *error)
{
	char path[LEAF_MAX];
	int rc;

	entry->count = 0;
	leaf_path(&cgroups->all[0], cgroup->paths[0], name, path);
	rc = make_group(&cgroups->all[0], path, PART_AGENT, limits, error);
	if (rc >= 0)
		rc = add_entry(entry, rc);
	for (unsigned i = 1; rc == 0 && i < cgroups->count; i++)
		if (cgroup->paths[i])
			rc = enter_plugin_v1(&cgroups->all[i], cgroup->paths[i], limits, name,
					     entry, error);
	if (rc < 0)
		cgroup_entry_close(entry);
	return rc;
}

/* --- what happened in them ----------------------------------------------------------------------
 */

/* The agent's leaf where its memory is limited. Descriptor, or -errno; -ENOENT: it is not. */
static int
open_memory_leaf(const struct cgroups *cgroups, const struct session_cgroup *cgroup)
{
	const struct hierarchy *in = cgroups ? cgroups->limits[CONTROLLER_MEMORY].in : NULL;
	char path[LEAF_MAX];

	if (!in || !cgroup->paths[in - cgroups->all])
		return -ENOENT;
	leaf_path(in, cgroup->paths[in - cgroups->all], "agent", path);
	return group_open(in->root, path, false);
}

static int
watch_v1(int leaf, int fds[2])
{
	char line[32];

	fds[0] = openat(leaf, "memory.oom_control", O_RDONLY | O_CLOEXEC);
	fds[1] = fds[0] < 0 ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fds[1] < 0)
		return -errno;
	snprintf(line, sizeof(line), "%d %d", fds[1], fds[0]);
	return group_write(leaf, "cgroup.event_control", line);
}

int
cgroup_watch_oom(const struct cgroups *cgroups, const struct session_cgroup *cgroup, int fds[2])
{
	_cleanup_close_ int leaf = open_memory_leaf(cgroups, cgroup);
	int rc;

	fds[0] = fds[1] = -1;
	if (leaf < 0)
		return leaf == -ENOENT ? 0 : leaf;
	if (!cgroups->limits[CONTROLLER_MEMORY].in->unified) {
		rc = watch_v1(leaf, fds);
	} else {
		fds[0] = openat(leaf, "memory.events", O_RDONLY | O_CLOEXEC);
		rc = fds[0] < 0 ? -errno : 0;
	}
	if (rc < 0) {
		close_fd(&fds[0]);
		close_fd(&fds[1]);
	}
	return rc;
}

/* The number after the word at the beginning of a line, or of the file (word ""). */
static int64_t
number_in(int dir, const char *file, const char *word)
{
	char text[CONTROL_MAX], *at = text, *end;
	int64_t value;

	if (dir < 0 || group_read(dir, file, text, sizeof(text)) < 0)
		return -1;
	while (at && strncmp(at, word, strlen(word)) != 0) {
		at = strchr(at, '\n');
		at = at ? at + 1 : NULL;
	}
	if (!at)
		return -1;
	at += strlen(word);
	value = strtoll(at, &end, 10);
	return end == at ? -1 : value;
}

struct cgroup_use
cgroup_used(const struct cgroups *cgroups, const struct session_cgroup *cgroup)
{
	_cleanup_close_ int leaf = open_memory_leaf(cgroups, cgroup);
	int64_t cpu_us = number_in(cgroup->agent, "cpu.stat", "usage_usec ");
	struct cgroup_use use = {.cpu_ms = cpu_us < 0 ? -1 : cpu_us / 1000};

	use.peak_memory_bytes = number_in(leaf, "memory.peak", "");
	if (use.peak_memory_bytes < 0)
		use.peak_memory_bytes = number_in(leaf, "memory.max_usage_in_bytes", "");
	return use;
}

struct cgroup_sample
cgroup_sampled(const struct cgroups *cgroups, const struct session_cgroup *cgroup)
{
	_cleanup_close_ int leaf = open_memory_leaf(cgroups, cgroup);
	struct cgroup_sample sample = {
	    .cpu_us = number_in(cgroup->dir, "cpu.stat", "usage_usec "),
	};

	sample.memory_bytes = number_in(leaf, "memory.current", "");
	if (sample.memory_bytes < 0)
		sample.memory_bytes = number_in(leaf, "memory.usage_in_bytes", "");
	return sample;
}

int
cgroup_kill(int dir)
{
	return dir < 0 ? 0 : group_write(dir, "cgroup.kill", "1");
}

bool
cgroup_populated(const struct session_cgroup *cgroup)
{
	char text[CONTROL_MAX];
	ssize_t length;

	if (cgroup->events < 0)
		return false;
	length = pread(cgroup->events, text, sizeof(text) - 1, 0);
	if (length < 0)
		return errno != ENODEV;
	text[length] = '\0';
	return strstr(text, "populated 1") != NULL;
}

static DIR *
open_groups(const struct session_cgroup *cgroup)
{
	_cleanup_close_ int fd =
	    cgroup->dir < 0 ? -1 : openat(cgroup->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *groups = fd < 0 ? NULL : fdopendir(fd);

	if (groups)
		steal_fd(&fd);
	return groups;
}

/* The leaves of plugins have names: those that are there on v2. */
static const char *
next_plugin(DIR *groups)
{
	const struct dirent *entry;

	while ((entry = readdir(groups)))
		if (!strncmp(entry->d_name, "plugin-", strlen("plugin-")))
			return entry->d_name;
	return NULL;
}

/* One whose news cannot be read is taken for one in which something lives, unless it is gone. */
static bool
kill_leaf(int leaf)
{
	char text[CONTROL_MAX];
	int rc;

	cgroup_kill(leaf);
	rc = group_read(leaf, "cgroup.events", text, sizeof(text));
	if (rc < 0)
		return rc != -ENOENT && rc != -ENODEV;
	return strstr(text, "populated 1") != NULL;
}

bool
cgroup_kill_sandboxes(const struct session_cgroup *cgroup)
{
	_cleanup_closedir_ DIR *groups = open_groups(cgroup);
	bool lives = cgroup->agent >= 0 && kill_leaf(cgroup->agent);
	const char *name;

	while (groups && (name = next_plugin(groups))) {
		_cleanup_close_ int leaf =
		    openat(cgroup->dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (leaf >= 0 && kill_leaf(leaf))
			lives = true;
	}
	return lives;
}

/* --- their end ----------------------------------------------------------------------------------
 */

static int
remove_leaf(const struct cgroups *cgroups, const struct session_cgroup *cgroup, const char *leaf)
{
	char path[LEAF_MAX];

	for (unsigned i = cgroups->count; i-- > 0;) {
		if (!cgroup->paths[i])
			continue;
		leaf_path(&cgroups->all[i], cgroup->paths[i], leaf, path);
		if (unlinkat(cgroups->all[i].root, path, AT_REMOVEDIR) < 0 && errno != ENOENT)
			return -errno;
	}
	return 0;
}

static int
remove_plugins(const struct cgroups *cgroups, const struct session_cgroup *cgroup)
{
	_cleanup_closedir_ DIR *groups = open_groups(cgroup);
	const char *name;
	int rc = 0;

	while (rc == 0 && groups && (name = next_plugin(groups)))
		rc = remove_leaf(cgroups, cgroup, name);
	return rc;
}

/* By path: a group of which nothing could be opened goes too. */
static int
remove_groups(const struct hierarchy *hierarchy, const char *session)
{
	char path[LEAF_MAX];

	for (size_t i = ARRAY_LEN(leaves); i-- > 0;) {
		leaf_path(hierarchy, session, leaves[i].name, path);
		if (unlinkat(hierarchy->root, path, AT_REMOVEDIR) < 0 && errno != ENOENT)
			return -errno;
	}
	if (unlinkat(hierarchy->root, session + 1, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return -errno;
	return 0;
}

int
cgroup_remove(const struct cgroups *cgroups, struct session_cgroup *cgroup)
{
	int rc = cgroups ? remove_plugins(cgroups, cgroup) : 0;

	for (unsigned i = cgroups ? cgroups->count : 0; rc == 0 && i-- > 0;)
		if (cgroup->paths[i])
			rc = remove_groups(&cgroups->all[i], cgroup->paths[i]);
	if (rc == 0)
		cgroup_close(cgroup);
	return rc;
}

void
cgroup_close(struct session_cgroup *cgroup)
{
	close_fd(&cgroup->events);
	close_fd(&cgroup->agent);
	close_fd(&cgroup->runtime);
	close_fd(&cgroup->dir);
	for (unsigned i = 0; i < HIERARCHIES_MAX; i++)
		free(steal_ptr(&cgroup->paths[i]));
}
