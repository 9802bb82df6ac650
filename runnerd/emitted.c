#include "emitted.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/cleanup.h"
#include "common/glob.h"
#include "common/log.h"
#include "common/values.h"

struct kept {
	TAILQ_ENTRY(kept) entry;
	struct msg_agent_event event;
	int data; /* owned; -1 */
};

struct emitted {
	struct runnerd *r;
	TAILQ_HEAD(kept_queue, kept) queue;
	size_t count;
	struct loop_source *again;
};

/* --- telling ------------------------------------------------------------------------------- */

static void
tell(struct emitted *emitted, const struct kept *kept)
{
	struct msg msg;
	int data;

	if (!emitted->r->schedd)
		return;
	msg_init(&msg, MSG_AGENT_EVENT);
	msg.agent_event = kept->event;
	data = kept->data < 0 ? -1 : fcntl(kept->data, F_DUPFD_CLOEXEC, 0);
	if (kept->data >= 0 && data < 0)
		return; /* told again later */
	if (data >= 0)
		msg_add_fd(&msg, data);
	channel_send(emitted->r->schedd, &msg);
}

void
emitted_announce(struct runnerd *r)
{
	struct kept *kept;

	TAILQ_FOREACH(kept, &r->emitted->queue, entry)
	{
		tell(r->emitted, kept);
	}
}

static void
tell_again(struct loop_source *timer, void *arg)
{
	struct emitted *emitted = arg;

	/* Each message holds a descriptor: behind what a stopped schedd has not read comes none. */
	if (emitted->r->schedd && channel_queued(emitted->r->schedd) == 0)
		emitted_announce(emitted->r);
	if (emitted->count > 0)
		loop_arm_in(timer, EMITTED_AGAIN_MS);
}

/* --- what an agent may say ------------------------------------------------------------------- */

static bool
may_emit(const struct session *s, const char *type)
{
	static const char domain[] = "event.emit:";
	const struct manifest *plan = s->agent ? s->agent->plan : NULL;

	for (size_t i = 0; plan && i < plan->capabilities.count; i++) {
		const char *one = plan->capabilities.items[i];

		if (strncmp(one, domain, sizeof(domain) - 1) == 0 &&
		    glob_match(one + sizeof(domain) - 1, type))
			return true;
	}
	return false;
}

/* false: no event can have that type. */
static bool
name_event(const struct session *s, const struct msg_broker_note *note,
	   struct msg_agent_event *event)
{
	char why[REASON_SIZE];

	if (!value_event_type(note->name, why) ||
	    (note->subject[0] && !value_event_name(note->subject, why)))
		return false;
	/* 128 bytes at most, says the check. */
	if (may_emit(s, note->name))
		snprintf(event->type, sizeof(event->type), "%s", note->name);
	else
		snprintf(event->type, sizeof(event->type), "agent.%s.%.128s", s->agent_name,
			 note->name);
	snprintf(event->subject, sizeof(event->subject), "%s", note->subject);
	snprintf(event->agent, sizeof(event->agent), "%s", s->agent_name);
	event->session = s->id;
	event->event = uuid_new();
	return true;
}

/* --- keeping ------------------------------------------------------------------------------- */

int
emitted_add(struct session *s, const struct msg_broker_note *note, int data)
{
	struct emitted *emitted = s->r->emitted;
	_cleanup_close_ int own = data;
	struct kept *kept;

	if (emitted->count == EMITTED_KEPT_MAX)
		return -ENOBUFS;
	kept = calloc(1, sizeof(*kept));
	if (!kept)
		return -ENOMEM;
	if (!name_event(s, note, &kept->event)) {
		free(kept);
		return -EINVAL;
	}
	kept->data = steal_fd(&own);
	TAILQ_INSERT_TAIL(&emitted->queue, kept, entry);
	if (emitted->count++ == 0)
		loop_arm_in(emitted->again, EMITTED_AGAIN_MS);
	tell(emitted, kept);
	return 0;
}

static void
forget(struct emitted *emitted, struct kept *kept)
{
	TAILQ_REMOVE(&emitted->queue, kept, entry);
	close_fd(&kept->data);
	free(kept);
	if (--emitted->count == 0)
		loop_arm(emitted->again, 0);
}

void
emitted_acknowledged(struct runnerd *r, const struct uuid *event)
{
	struct kept *kept;

	TAILQ_FOREACH(kept, &r->emitted->queue, entry)
	{
		if (uuid_equal(&kept->event.event, event))
			break;
	}
	if (kept)
		forget(r->emitted, kept);
}

struct emitted *
emitted_new(struct runnerd *r)
{
	struct emitted *emitted = calloc(1, sizeof(*emitted));

	if (!emitted)
		return NULL;
	emitted->r = r;
	TAILQ_INIT(&emitted->queue);
	emitted->again = loop_add_timer(r->loop, tell_again, emitted);
	if (!emitted->again) {
		free(emitted);
		return NULL;
	}
	return emitted;
}

void
emitted_free(struct emitted *emitted)
{
	struct kept *kept;

	if (!emitted)
		return;
	while ((kept = TAILQ_FIRST(&emitted->queue)))
		forget(emitted, kept);
	loop_remove(emitted->again);
	free(emitted);
}
