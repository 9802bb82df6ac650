#include "triggers_watch.h"

#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/queue.h>

#include "common/cleanup.h"
#include "common/json.h"
#include "common/log.h"
#include "events.h"

enum { READ_BYTES = 32 << 10 };

struct change {
	char name[NAME_MAX + 1]; /* bytes, as the file system has them */
	const char *what;
};

struct watch {
	LIST_ENTRY(watch) entry;
	struct watches *watches;
	char agent[AGENT_NAME_MAX + 1], id[TRIGGER_ID_MAX + 1];
	char *path; /* owned */
	uint8_t on;
	char name[NAME_MAX + 1]; /* the only one that counts; empty: all do */
	bool waiting;            /* its directory is not there */
	bool lost;               /* it was not, or is another one now */
	bool wanted;             /* while an agent's are told */
	struct loop_source *source, *timer;
	int fd;
	uint64_t first_ms;      /* of the changes, CLOCK_BOOTTIME */
	struct change *changes; /* heap */
	size_t count;
	bool more, overflow, appeared;
	struct uuid event; /* on its way into the table */
};

struct watches {
	struct schedd *schedd;
	LIST_HEAD(watch_list, watch) all;
};

static const struct {
	uint32_t mask;
	const char *what;
} kinds[] = {
    {IN_CREATE, "create"},
    {IN_MOVED_FROM | IN_MOVED_TO, "move"},
    {IN_DELETE, "delete"},
    {IN_MODIFY | IN_CLOSE_WRITE, "modify"},
};

/* --- asking runnerd -------------------------------------------------------------------------- */

static void
ask(struct watch *watch)
{
	struct channel *runnerd = watch->watches->schedd->runnerd;
	struct msg msg;

	if (!runnerd)
		return; /* it tells all triggers when it is back */
	msg_init(&msg, MSG_WATCH_OPEN);
	memcpy(msg.watch_open.agent, watch->agent, sizeof(watch->agent));
	memcpy(msg.watch_open.id, watch->id, sizeof(watch->id));
	channel_send(runnerd, &msg);
}

static void
stop_watching(struct watch *watch)
{
	loop_remove(watch->source);
	watch->source = NULL;
	close_fd(&watch->fd);
}

/* --- firing ---------------------------------------------------------------------------------- */

static void
forget_changes(struct watch *watch)
{
	free(watch->changes);
	watch->changes = NULL;
	watch->count = 0;
	watch->first_ms = 0;
	watch->more = watch->overflow = watch->appeared = false;
}

/* The table took it, or it comes again: nothing is lost for want of room. */
static void
stored(struct schedd *schedd, const struct event_told *told, const struct event *event,
       bool repeated, const struct error *error)
{
	struct watch *watch;

	(void)event;
	(void)repeated;
	LIST_FOREACH(watch, &schedd->watches->all, entry)
	{
		if (!uuid_equal(&watch->event, &told->event))
			continue;
		watch->event = (struct uuid){.bytes = {0}};
		if (error)
			loop_arm_in(watch->timer, WATCH_AGAIN_MS);
		else
			forget_changes(watch);
		return;
	}
}

static void
add_name(struct json *json, const char *name)
{
	bool text = utf8_valid((const uint8_t *)name, strlen(name));

	json_key(json, text ? "name" : "name_bytes");
	if (text)
		json_string(json, name);
	else
		json_base64(json, (const uint8_t *)name, strlen(name));
}

/* Heap; NULL without memory. */
static char *
changes_json(const struct watch *watch, size_t *length)
{
	struct json json = JSON_INIT;

	json_object(&json);
	json_key(&json, "path");
	json_string(&json, watch->path);
	json_key(&json, "changes");
	json_array(&json);
	for (size_t i = 0; i < watch->count; i++) {
		json_object(&json);
		add_name(&json, watch->changes[i].name);
		json_key(&json, "what");
		json_string(&json, watch->changes[i].what);
		json_object_end(&json);
	}
	json_array_end(&json);
	json_key(&json, "more");
	json_bool(&json, watch->more || watch->overflow);
	json_key(&json, "appeared");
	json_bool(&json, watch->appeared);
	json_object_end(&json);
	return json_take(&json, length);
}

static void
fire(struct loop_source *timer, void *arg)
{
	struct watch *watch = arg;
	char source[EVENT_NAME_MAX + 1], id[UUID_TEXT_LEN + 1];
	struct event_told told = {.fn = stored, .event = uuid_new()};
	struct event event = {.type = "path.changed",
			      .source = source,
			      .id = uuid_format(&told.event, id),
			      .subject = watch->id,
			      .operator= "",
			      .uid = UINT32_MAX,
			      .login_uid = UINT32_MAX,
			      .has_data = true};
	_cleanup_free_ char *data = changes_json(watch, &event.data_length);

	if (!data) {
		loop_arm_in(timer, WATCH_AGAIN_MS);
		return;
	}
	path_source(watch->agent, watch->id, source);
	event.data = (const uint8_t *)data;
	watch->event = told.event;
	events_accept(watch->watches->schedd->events, &event, false, &told);
}

static void
settle_later(struct watch *watch)
{
	uint64_t now = boottime_ns() / 1000000, last;

	if (!watch->first_ms)
		watch->first_ms = now;
	last = watch->first_ms + WATCH_PATIENCE_MS;
	loop_arm_in(watch->timer, now + WATCH_SETTLE_MS < last ? WATCH_SETTLE_MS
				  : last > now                 ? last - now
							       : 1);
}

/* --- reading --------------------------------------------------------------------------------- */

static void
add_change(struct watch *watch, const char *name, const char *what)
{
	for (size_t i = 0; i < watch->count; i++)
		if (strcmp(watch->changes[i].name, name) == 0 &&
		    strcmp(watch->changes[i].what, what) == 0)
			return;
	if (!watch->changes)
		watch->changes = calloc(WATCH_CHANGES_MAX, sizeof(*watch->changes));
	if (!watch->changes || watch->count == WATCH_CHANGES_MAX) {
		watch->more = true;
		return;
	}
	snprintf(watch->changes[watch->count].name, sizeof(watch->changes->name), "%s", name);
	watch->changes[watch->count++].what = what;
}

/* False: the directory is gone, or what was awaited may be there. */
static bool
note(struct watch *watch, const struct inotify_event *event)
{
	const char *name = event->len ? event->name : "";

	if (event->mask & IN_Q_OVERFLOW)
		watch->overflow = true;
	if (event->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED))
		return false;
	if (!(event->mask & IN_Q_OVERFLOW) && *watch->name && strcmp(watch->name, name) != 0)
		return true;
	if (watch->waiting)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (event->mask & kinds[i].mask)
			add_change(watch, name, kinds[i].what);
	settle_later(watch);
	return true;
}

static void
readable(struct loop_source *source, uint32_t events, void *arg)
{
	_Alignas(struct inotify_event) char bytes[READ_BYTES];
	struct watch *watch = arg;
	const struct inotify_event *event;
	bool there = true;
	ssize_t length = read(watch->fd, bytes, sizeof(bytes));

	(void)source;
	(void)events;
	for (const char *at = bytes; at < bytes + length; at += sizeof(*event) + event->len) {
		event = (const void *)at;
		there = note(watch, event) && there;
	}
	if (there && (length > 0 || errno == EAGAIN || errno == EINTR))
		return;
	watch->lost = true;
	stop_watching(watch);
	ask(watch);
}

void
watches_opened(struct watches *watches, struct msg *msg)
{
	const struct msg_watch *answer = &msg->watch;
	bool was_lost;
	struct watch *watch;

	LIST_FOREACH(watch, &watches->all, entry)
	{
		if (strcmp(watch->agent, answer->agent) == 0 && strcmp(watch->id, answer->id) == 0)
			break;
	}
	if (!watch || watch->fd >= 0)
		return;
	if (msg->nfds == 0) {
		log_warn("agent %s: %s watches nothing: %s", answer->agent, answer->id,
			 answer->problem);
		return;
	}
	watch->fd = msg_take_fd(msg, 0);
	was_lost = watch->lost;
	watch->lost = watch->waiting = answer->waiting;
	memcpy(watch->name, answer->name, sizeof(watch->name));
	watch->source = loop_add_io(watches->schedd->loop, watch->fd, EPOLLIN, readable, watch);
	if (!watch->source) {
		log_error("agent %s: %s: out of memory", answer->agent, answer->id);
		stop_watching(watch);
		return;
	}
	if (watch->waiting)
		log_info("agent %s: %s waits for %s, which is not there", answer->agent, answer->id,
			 watch->path);
	if (!was_lost || watch->waiting)
		return;
	/* What was put in before it could be watched is part of it. */
	log_info("agent %s: %s is there again", answer->agent, watch->path);
	watch->appeared = true;
	settle_later(watch);
}

/* --- which there are ------------------------------------------------------------------------- */

static void
drop(struct watch *watch)
{
	LIST_REMOVE(watch, entry);
	stop_watching(watch);
	loop_remove(watch->timer);
	free(watch->changes);
	free(watch->path);
	free(watch);
}

static struct watch *
find_same(struct watches *watches, const char *agent, const struct event_trigger *trigger)
{
	struct watch *watch;

	LIST_FOREACH(watch, &watches->all, entry)
	{
		if (strcmp(watch->agent, agent) == 0 && strcmp(watch->id, trigger->id) == 0 &&
		    strcmp(watch->path, trigger->path) == 0 && watch->on == trigger->on)
			break;
	}
	return watch;
}

static struct watch *
add(struct watches *watches, const char *agent, const struct event_trigger *trigger)
{
	struct watch *watch = calloc(1, sizeof(*watch));

	if (!watch)
		return NULL;
	watch->watches = watches;
	watch->fd = -1;
	watch->on = trigger->on;
	snprintf(watch->agent, sizeof(watch->agent), "%s", agent);
	snprintf(watch->id, sizeof(watch->id), "%s", trigger->id);
	LIST_INSERT_HEAD(&watches->all, watch, entry);
	watch->path = strdup(trigger->path);
	watch->timer = loop_add_timer(watches->schedd->loop, fire, watch);
	if (watch->path && watch->timer)
		return watch;
	drop(watch);
	return NULL;
}

static int
follow_one(const char *agent, const struct event_trigger *trigger, void *arg)
{
	struct watches *watches = arg;
	struct watch *watch;

	if (trigger->kind != TRIGGER_PATH || !trigger->path)
		return 0;
	watch = find_same(watches, agent, trigger);
	if (!watch)
		watch = add(watches, agent, trigger);
	if (!watch) {
		log_error("agent %s: %s: out of memory", agent, trigger->id);
		return 0;
	}
	watch->wanted = true;
	if (watch->fd < 0)
		ask(watch);
	return 0;
}

void
watches_follow(struct watches *watches, const char *agent)
{
	struct watch *watch, *next;

	event_plans_each(watches->schedd->event_plans, agent, follow_one, watches);
	for (watch = LIST_FIRST(&watches->all); watch; watch = next) {
		next = LIST_NEXT(watch, entry);
		if (strcmp(watch->agent, agent) == 0 && !watch->wanted)
			drop(watch);
		else
			watch->wanted = false;
	}
}

struct watches *
watches_new(struct schedd *schedd)
{
	struct watches *watches = calloc(1, sizeof(*watches));

	if (!watches)
		return NULL;
	watches->schedd = schedd;
	LIST_INIT(&watches->all);
	return watches;
}

void
watches_free(struct watches *watches)
{
	while (watches && LIST_FIRST(&watches->all))
		drop(LIST_FIRST(&watches->all));
	free(watches);
}
