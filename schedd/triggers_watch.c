#include "triggers_watch.h"

#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/queue.h>

#include "common/cleanup.h"
#include "common/json.h"
#include "common/log.h"
#include "events.h"
#include "triggers_seen.h"

enum { READ_BYTES = 32 << 10 };

struct change {
	char name[NAME_MAX + 1]; /* bytes, as the file system has them */
	const char *what;
};

/* What one event tells. */
struct batch {
	uint64_t first_ms;      /* CLOCK_BOOTTIME of the first change; 0: there is none */
	uint64_t read_ms;       /* schedd's clock when the last one was read */
	struct change *changes; /* heap */
	size_t count;
	bool more, overflow, unseen;
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
	struct batch coming, sent; /* sent: until its event is stored */
	struct uuid event;         /* on its way into the table, or nil */
};

struct watches {
	struct schedd *schedd;
	struct triggers_seen *seen;
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
empty(struct batch *batch)
{
	free(batch->changes);
	*batch = (struct batch){.changes = NULL};
}

/* All that changed by then is told, or was before it was watched. */
static void
note_seen(const struct watch *watch, uint64_t at_ms)
{
	triggers_seen_put(watch->watches->seen, watch->agent, watch->path, at_ms);
}

static void
settle_later(struct watch *watch)
{
	uint64_t now = boottime_ns() / 1000000, last;

	if (!watch->coming.first_ms)
		watch->coming.first_ms = now;
	last = watch->coming.first_ms + WATCH_PATIENCE_MS;
	loop_arm_in(watch->timer, now + WATCH_SETTLE_MS < last ? WATCH_SETTLE_MS
				  : last > now                 ? last - now
							       : 1);
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
		if (error) {
			loop_arm_in(watch->timer, WATCH_AGAIN_MS);
			return;
		}
		note_seen(watch, watch->sent.read_ms);
		empty(&watch->sent);
		if (watch->coming.first_ms)
			settle_later(watch);
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
	const struct batch *batch = &watch->sent;
	struct json json = JSON_INIT;

	json_object(&json);
	json_key(&json, "path");
	json_string(&json, watch->path);
	json_key(&json, "changes");
	json_array(&json);
	for (size_t i = 0; i < batch->count; i++) {
		json_object(&json);
		add_name(&json, batch->changes[i].name);
		json_key(&json, "what");
		json_string(&json, batch->changes[i].what);
		json_object_end(&json);
	}
	json_array_end(&json);
	json_key(&json, "more");
	json_bool(&json, batch->more || batch->overflow);
	json_key(&json, "unseen");
	json_bool(&json, batch->unseen);
	json_object_end(&json);
	return json_take(&json, length);
}

static void
send(struct watch *watch, struct loop_source *timer)
{
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
fire(struct loop_source *timer, void *arg)
{
	struct watch *watch = arg;

	if (!uuid_is_nil(&watch->event))
		return; /* stored() goes on */
	if (!watch->sent.first_ms) {
		watch->sent = watch->coming;
		watch->coming = (struct batch){.changes = NULL};
	}
	send(watch, timer);
}

/* --- reading --------------------------------------------------------------------------------- */

static void
add_change(struct batch *batch, const char *name, const char *what)
{
	for (size_t i = 0; i < batch->count; i++)
		if (strcmp(batch->changes[i].name, name) == 0 &&
		    strcmp(batch->changes[i].what, what) == 0)
			return;
	if (!batch->changes)
		batch->changes = calloc(WATCH_CHANGES_MAX, sizeof(*batch->changes));
	if (!batch->changes || batch->count == WATCH_CHANGES_MAX) {
		batch->more = true;
		return;
	}
	snprintf(batch->changes[batch->count].name, sizeof(batch->changes->name), "%s", name);
	batch->changes[batch->count++].what = what;
}

/* False: the directory is gone, or what was awaited may be there. */
static bool
note(struct watch *watch, const struct inotify_event *event)
{
	const char *name = event->len ? event->name : "";

	if (event->mask & IN_Q_OVERFLOW)
		watch->coming.overflow = true;
	if (event->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED))
		return false;
	if (!(event->mask & IN_Q_OVERFLOW) && *watch->name && strcmp(watch->name, name) != 0)
		return true;
	if (watch->waiting)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (event->mask & kinds[i].mask)
			add_change(&watch->coming, name, kinds[i].what);
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
	watch->coming.read_ms = schedd_now_ms(watch->watches->schedd);
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

/* What it is like is not known from before: another directory is there, or nobody has watched. */
static void
look_back(struct watch *watch, bool was_lost, uint64_t changed_at_ms)
{
	struct watches *watches = watch->watches;
	uint64_t now = schedd_now_ms(watches->schedd);
	uint64_t seen = triggers_seen_get(watches->seen, watch->agent, watch->path);

	if (!was_lost && (seen == 0 || changed_at_ms <= seen)) {
		note_seen(watch, now);
		return;
	}
	log_info("agent %s: %s %s", watch->agent, watch->path,
		 was_lost ? "is there again" : "has changed while nobody watched");
	watch->coming.unseen = true;
	watch->coming.read_ms = now;
	settle_later(watch);
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
		log_info("agent %s: %s waits for %s, which %s", answer->agent, answer->id,
			 watch->path, *answer->problem ? answer->problem : "is not there");
	else
		look_back(watch, was_lost, answer->changed_at_ms);
}

/* --- which there are ------------------------------------------------------------------------- */

static void
drop(struct watch *watch)
{
	LIST_REMOVE(watch, entry);
	stop_watching(watch);
	loop_remove(watch->timer);
	empty(&watch->coming);
	empty(&watch->sent);
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
		if (strcmp(watch->agent, agent) == 0 && !watch->wanted) {
			triggers_seen_drop(watches->seen, agent, watch->path);
			drop(watch);
			continue;
		}
		watch->wanted = false;
	}
}

struct watches *
watches_new(struct schedd *schedd, struct error *error)
{
	struct watches *watches = calloc(1, sizeof(*watches));

	if (!watches) {
		error_why(error, ERR_FAILED, "out of memory");
		return NULL;
	}
	watches->schedd = schedd;
	LIST_INIT(&watches->all);
	watches->seen = triggers_seen_open(schedd->ledger, error);
	if (watches->seen)
		return watches;
	free(watches);
	return NULL;
}

void
watches_free(struct watches *watches)
{
	struct watch *watch;

	if (!watches)
		return;
	while ((watch = LIST_FIRST(&watches->all))) {
		if (watch->fd >= 0 && !watch->waiting && !watch->coming.first_ms &&
		    !watch->sent.first_ms)
			note_seen(watch, schedd_now_ms(watches->schedd));
		drop(watch);
	}
	triggers_seen_close(watches->seen);
	free(watches);
}
