#include "watch.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>

#include "common/cleanup.h"
#include "common/manifest.h"
#include "fs.h"
#include "policy.h"
#include "store.h"

/* What the words of `on` are in the kernel's. A file that is renamed in is created as well. */
static const struct {
	const char *word;
	uint32_t mask;
} words[] = {
    {"create", IN_CREATE | IN_MOVED_TO},
    {"modify", IN_MODIFY | IN_CLOSE_WRITE},
    {"delete", IN_DELETE | IN_MOVED_FROM},
    {"move", IN_MOVED_FROM | IN_MOVED_TO},
};

/* The directory itself is gone, or another one takes its place. */
#define GONE (IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR | IN_EXCL_UNLINK)
/* Of a directory in which another one is awaited. */
#define AWAITED (IN_CREATE | IN_MOVED_TO)

/* What goes or comes between the opening of a path and its watch is not told: -EAGAIN, and all is
 * looked at again, so often at most. */
enum { LOOKS_MAX = 16 };

uint8_t
watch_words(const struct strings *on)
{
	uint8_t bits = 0;

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		bool wanted = on->count == 0;

		for (size_t j = 0; j < on->count; j++)
			wanted |= strcmp(on->items[j], words[i].word) == 0;
		bits |= (uint8_t)(wanted << i);
	}
	return bits;
}

static uint32_t
mask_of(const struct strings *on)
{
	uint8_t bits = watch_words(on);
	uint32_t mask = 0;

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		mask |= bits & 1U << i ? words[i].mask : 0;
	return mask;
}

/* The path trigger of this id, which install.c gave it. */
static const struct manifest_trigger *
find_trigger(const struct manifest *plan, const char *id)
{
	char own[TRIGGER_ID_MAX + 1];

	for (size_t i = 0; i < plan->triggers.count; i++) {
		snprintf(own, sizeof(own), "%s-%zu", trigger_kind_name(TRIGGER_PATH), i + 1);
		if (plan->triggers.items[i].kind == TRIGGER_PATH && strcmp(own, id) == 0)
			return &plan->triggers.items[i];
	}
	return NULL;
}

/* inotify has no call that takes a descriptor. fd, or -errno. */
static int
watch_directory(int dir, uint32_t mask)
{
	_cleanup_close_ int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	char name[64];

	if (fd < 0)
		return -errno;
	snprintf(name, sizeof(name), "/proc/self/fd/%d", dir);
	if (inotify_add_watch(fd, name, mask) < 0)
		return -errno;
	return steal_fd(&fd);
}

/* Watches dir, which was opened as path, while it is still there. fd, or -errno. */
static int
watch_place(int dir, const char *path, uint32_t mask)
{
	_cleanup_close_ int watch = watch_directory(dir, mask), again = -1;
	struct stat before, now;

	if (watch < 0)
		return steal_fd(&watch);
	again = open_without_links(path, O_PATH | O_DIRECTORY);
	if (again < 0 || fstat(dir, &before) < 0 || fstat(again, &now) < 0 ||
	    before.st_dev != now.st_dev || before.st_ino != now.st_ino)
		return -EAGAIN;
	return steal_fd(&watch);
}

static int
note_change(int fd, int watch, struct msg_watch *answer)
{
	struct stat st;

	if (watch >= 0 && fstat(fd, &st) == 0)
		answer->changed_at_ms =
		    (uint64_t)st.st_mtim.tv_sec * 1000 + (uint64_t)st.st_mtim.tv_nsec / 1000000;
	return watch;
}

/* Of a file its directory is watched, so that one that is renamed over it is noticed. */
static int
watch_entry(const char *path, uint32_t mask, struct msg_watch *answer)
{
	_cleanup_close_ int fd = open_without_links(path, O_PATH), dir = -1;
	char parent[PATH_LEN_MAX + 1];
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return note_change(fd, watch_place(fd, path, mask | GONE), answer);
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	snprintf(answer->name, sizeof(answer->name), "%s", path_split(path, parent));
	dir = open_without_links(parent, O_PATH | O_DIRECTORY);
	return dir < 0 ? dir : note_change(fd, watch_place(dir, parent, mask | GONE), answer);
}

/* Nothing is there, or what cannot be watched: a link, a FIFO, a file in a directory's place. */
static bool
may_come(int error)
{
	return error == -ENOENT || error == -ENOTDIR || error == -ELOOP || error == -EINVAL;
}

/* target: whether it is the path itself, which may be a file. */
static bool
has_come(const char *here, bool target)
{
	_cleanup_close_ int fd = open_without_links(here, O_PATH);
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 &&
	       (S_ISDIR(st.st_mode) || (target && S_ISREG(st.st_mode)));
}

/* Watches the directory parent until here, which is in it, comes. fd, or -errno. */
static int
await_entry(const char *parent, const char *here, bool target)
{
	_cleanup_close_ int dir = open_without_links(parent, O_PATH | O_DIRECTORY);
	_cleanup_close_ int watch = -1;

	if (dir < 0)
		return dir;
	watch = watch_place(dir, parent, AWAITED | GONE);
	return watch < 0 || !has_come(here, target) ? steal_fd(&watch) : -EAGAIN;
}

/* It is not there: what is awaited appears in the nearest directory that is. */
static int
watch_ancestor(const struct manifest *plan, const char *path, const struct config *config,
	       struct msg_watch *answer)
{
	char here[PATH_LEN_MAX + 1], parent[PATH_LEN_MAX + 1];
	int fd = -ENOENT;

	snprintf(here, sizeof(here), "%s", path);
	answer->waiting = true;
	do {
		snprintf(answer->name, sizeof(answer->name), "%s", path_split(here, parent));
		if (policy_watch(plan, parent, config, NULL) < 0)
			return -ENOENT;
		fd = await_entry(parent, here, strcmp(here, path) == 0);
		memcpy(here, parent, sizeof(here));
	} while (may_come(fd) && here[1]);
	return fd;
}

static int
watch_path(const struct manifest *plan, const struct manifest_trigger *trigger,
	   const struct config *config, struct msg_watch *answer)
{
	const struct msg_watch blank = *answer;
	int fd = -EAGAIN, above;

	for (int looks = 0; looks < LOOKS_MAX && fd == -EAGAIN; looks++) {
		*answer = blank;
		fd = watch_entry(trigger->path, mask_of(&trigger->on), answer);
		if (may_come(fd)) {
			above = watch_ancestor(plan, trigger->path, config, answer);
			if (fd != -ENOENT)
				snprintf(answer->problem, sizeof(answer->problem), "%s",
					 "is a link or behind one, or neither file nor directory");
			fd = above == -ENOENT ? fd : above;
		}
	}
	return fd;
}

static int
open_watch(struct runnerd *r, const struct msg_watch_open *asked, struct msg_watch *answer,
	   struct error *error)
{
	bool damaged;
	const struct agent *agent = store_find(r->store, asked->agent, &damaged);
	const struct manifest_trigger *trigger =
	    agent ? find_trigger(agent->plan, asked->id) : NULL;
	int fd;

	if (!trigger)
		return error_why(error, ERR_NOT_FOUND, "there is no such trigger");
	if (!path_is_normal(trigger->path))
		return error_why(error, ERR_INVALID, "%s is no absolute path without . and ..",
				 trigger->path);
	if (policy_watch(agent->plan, trigger->path, r->config, error) < 0)
		return -1;
	fd = watch_path(agent->plan, trigger, r->config, answer);
	if (fd >= 0)
		return fd;
	if (fd == -EAGAIN)
		return error_why(error, ERR_FAILED,
				 "%.900s goes and comes faster than it can be "
				 "watched",
				 trigger->path);
	error_errno(error, -fd, "watching %.900s", trigger->path);
	if (fd == -EMFILE || fd == -ENOSPC)
		error_hint(error, "raise fs.inotify.max_user_instances or max_user_watches");
	return -1;
}

void
watch_open(struct runnerd *r, const struct msg_watch_open *asked, struct msg *answer)
{
	struct error error = ERROR_INIT;
	char text[ERROR_TEXT_MAX + 1];
	int fd;

	msg_init(answer, MSG_WATCH);
	memcpy(answer->watch.agent, asked->agent, sizeof(asked->agent));
	memcpy(answer->watch.id, asked->id, sizeof(asked->id));
	fd = open_watch(r, asked, &answer->watch, &error);
	if (fd >= 0)
		msg_add_fd(answer, fd);
	else
		snprintf(answer->watch.problem, sizeof(answer->watch.problem), "%s",
			 error_text(&error, text));
}
