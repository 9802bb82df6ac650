#include "zones_watch.h"

#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>

#include "common/cleanup.h"
#include "common/limits.h"
#include "common/log.h"

#define OF_FILE (IN_ATTRIB | IN_MODIFY | IN_DELETE_SELF | IN_MOVE_SELF)
#define OF_DIRECTORY (IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

struct zones_watch {
	const char *path;
	zones_watch_fn *fn;
	void *arg;
	int fd;
	struct loop_source *source, *timer;
};

static void
changed(struct loop_source *source, uint32_t events, void *arg)
{
	_Alignas(struct inotify_event) char bytes[4096];
	struct zones_watch *watch = arg;

	(void)source;
	(void)events;
	while (read(watch->fd, bytes, sizeof(bytes)) > 0)
		loop_arm_in(watch->timer, ZONES_SETTLE_MS);
}

static void
settled(struct loop_source *timer, void *arg)
{
	struct zones_watch *watch = arg;

	(void)timer;
	watch->fn(watch->arg);
}

/* One that is not there now is in a directory that is, or root has to say ash reload. */
static void
add(struct zones_watch *watch, const char *path, uint32_t mask)
{
	if (inotify_add_watch(watch->fd, path, mask) < 0 && errno != ENOENT)
		log_warn("updates of the time zones in %s are not noticed: %s", path,
			 strerrordesc_np(errno));
}

void
zones_watch_follow(struct zones_watch *watch, const struct zones *zones)
{
	char path[PATH_LEN_MAX + 1];

	for (unsigned i = ZONE_UTC + 1; i < zones_count(zones); i++) {
		snprintf(path, sizeof(path), "%s/%s", watch->path, zones_name(zones, i));
		add(watch, path, OF_FILE);
		add(watch, dirname(path), OF_DIRECTORY);
	}
}

struct zones_watch *
zones_watch_new(struct loop *loop, const char *path, zones_watch_fn *fn, void *arg,
		struct error *error)
{
	struct zones_watch *watch = calloc(1, sizeof(*watch));

	if (!watch) {
		error_why(error, ERR_FAILED, "out of memory");
		return NULL;
	}
	*watch = (struct zones_watch){.path = path, .fn = fn, .arg = arg};
	watch->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (watch->fd >= 0) {
		watch->source = loop_add_io(loop, watch->fd, EPOLLIN, changed, watch);
		watch->timer = loop_add_timer(loop, settled, watch);
	}
	if (watch->source && watch->timer)
		return watch;
	error_errno(error, errno, "watching the time zones");
	zones_watch_free(watch);
	return NULL;
}

void
zones_watch_free(struct zones_watch *watch)
{
	if (!watch)
		return;
	loop_remove(watch->source);
	loop_remove(watch->timer);
	close_fd(&watch->fd);
	free(watch);
}
