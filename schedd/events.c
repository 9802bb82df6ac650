#include "events.h"

#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "common/notice.h"
#include "counters.h"
#include "deliver.h"

struct waiting {
	TAILQ_ENTRY(waiting) entry;
	struct event *event; /* owned */
	struct event_told told;
	bool again;
	enum event_fate fate;
	struct error error;
};
TAILQ_HEAD(waiting_queue, waiting);

struct events {
	struct schedd *schedd;
	struct events_table *table;
	struct loop_source *timer; /* due in the next round while something waits */
	struct loop_source *again; /* delivers what could not be delivered */
	struct waiting_queue waiting;
	size_t count, bytes;
	unsigned commits;
};

/* --- told to who watches -------------------------------------------------------------------- */

static void
notice(const struct events *events, enum notice_kind kind, const struct event *event)
{
	struct schedd *schedd = events->schedd;
	struct msg msg;

	notice_init(&msg, kind);
	snprintf(msg.notice.name, sizeof(msg.notice.name), "%s", event->type);
	snprintf(msg.notice.source, sizeof(msg.notice.source), "%s", event->source);
	snprintf(msg.notice.id, sizeof(msg.notice.id), "%s", event->id);
	if (kind == NOTICE_EVENT_EMITTED)
		snprintf(msg.notice.by, sizeof(msg.notice.by), "%s", event->operator);
	notice_send(schedd->control, &schedd->missed, &msg);
}

/* --- storing ------------------------------------------------------------------------------- */

static void
store(struct events *events, struct waiting *one, struct error *broken)
{
	struct event *event = one->event;

	event->delivered = events->schedd->known && !deliver_wanted(events->schedd, event);
	if (one->again && events_table_next_replay(events->table, event->source, event->id,
						   &event->replay, broken) < 0)
		return;
	if (events_table_insert(events->table, event, &one->fate, broken) < 0)
		return;
	if (one->fate == EVENT_DIFFERS) {
		error_why(&one->error, ERR_CONFLICT,
			  "event %s of %s was told before, with another content", event->id,
			  event->source);
		error_hint(&one->error, "an id names one event for ever; choose another");
	}
	if (one->fate == EVENT_REPLAYED)
		error_why(&one->error, ERR_CONFLICT,
			  "what was signed came before, under another id: a replay");
}

static void
prune(struct events *events, struct error *error)
{
	uint64_t now = realtime_ms(), age = events->schedd->config->retention.age_ms;
	uint64_t before = events->commits++ % EVENTS_PRUNE_EVERY == 0 && age < now ? now - age : 0;

	events_table_prune(events->table, before, error);
}

void
events_prune(struct events *events)
{
	struct error error = ERROR_INIT;

	prune(events, &error);
	if (error.code != ERR_NONE)
		log_problem(LOG_LEVEL_WARNING, &error);
}

static int
commit(struct events *events, struct waiting_queue *queue, struct error *error)
{
	struct ledger *ledger = events->schedd->ledger;
	struct waiting *one;

	if (ledger_begin(ledger, error) < 0)
		return -1;
	TAILQ_FOREACH(one, queue, entry)
	{
		store(events, one, error);
		if (error->code != ERR_NONE)
			break;
	}
	if (error->code == ERR_NONE)
		prune(events, error);
	if (error->code == ERR_NONE && ledger_commit(ledger, error) == 0)
		return 0;
	ledger_rollback(ledger);
	events_table_recount(events->table);
	return -1;
}

/* --- delivering ------------------------------------------------------------------------------ */

static int
copy_event(const struct event *event, void *arg)
{
	*(struct event **)arg = event_copy(event);
	return 1;
}

/* From a copy: what it starts reads the table too. */
static int
deliver_one(struct events *events, int64_t seq, struct error *error)
{
	_cleanup_free_ struct event *event = NULL;

	if (events_table_get(events->table, seq, copy_event, &event, error) < 0)
		return -1;
	if (!event)
		return error_why(error, ERR_FAILED, "out of memory");
	if (deliver_event(events->schedd, event, error) < 0 ||
	    events_table_delivered(events->table, seq, error) < 0)
		return -1;
	notice(events, NOTICE_EVENT_DELIVERED, event);
	return 0;
}

/* A drain starts nothing; the next schedd does. */
void
events_deliver(struct events *events)
{
	struct error error = ERROR_INIT;
	int64_t seq = 0;

	loop_arm(events->again, 0);
	if (!events->schedd->known || events->schedd->draining)
		return;
	while ((seq = events_table_undelivered(events->table, seq, &error)) > 0) {
		struct error problem = ERROR_INIT;

		if (deliver_one(events, seq, &problem) == 0)
			continue;
		log_problem(LOG_LEVEL_WARNING, &problem);
		loop_arm_in(events->again, EVENTS_AGAIN_MS);
	}
	if (seq < 0) {
		log_problem(LOG_LEVEL_ERROR, &error);
		loop_arm_in(events->again, EVENTS_AGAIN_MS);
	}
}

static void
deliver_again(struct loop_source *timer, void *arg)
{
	(void)timer;
	events_deliver(arg);
}

void
events_deliver_soon(struct events *events)
{
	if (events)
		loop_arm(events->again, 1); /* long past: after what is ready now */
}

/* --- committing ------------------------------------------------------------------------------ */

static void
flush(struct events *events)
{
	struct waiting_queue queue = TAILQ_HEAD_INITIALIZER(queue);
	struct error broken = ERROR_INIT;
	struct waiting *one;
	bool wanted = false;

	TAILQ_CONCAT(&queue, &events->waiting, entry);
	events->count = events->bytes = 0;
	loop_arm(events->timer, 0);
	if (!TAILQ_EMPTY(&queue) && commit(events, &queue, &broken) < 0)
		log_problem(LOG_LEVEL_ERROR, &broken);
	while ((one = TAILQ_FIRST(&queue))) {
		const struct error *error = broken.code != ERR_NONE       ? &broken
					    : one->error.code != ERR_NONE ? &one->error
									  : NULL;

		TAILQ_REMOVE(&queue, one, entry);
		wanted |= !error && one->fate == EVENT_NEW && !one->event->delivered;
		if (!error)
			counters_event(events->schedd->counters, one->fate == EVENT_REPEATED);
		if (!error && one->fate == EVENT_NEW)
			notice(events, NOTICE_EVENT_EMITTED, one->event);
		one->told.fn(events->schedd, &one->told, one->event, one->fate == EVENT_REPEATED,
			     error);
		free(one->event);
		free(one);
	}
	if (wanted)
		events_deliver(events);
}

static void
flush_due(struct loop_source *timer, void *arg)
{
	(void)timer;
	flush(arg);
}

/* --- accepting ------------------------------------------------------------------------------- */

void
events_accept(struct events *events, const struct event *event, bool again,
	      const struct event_told *told)
{
	struct waiting *one = calloc(1, sizeof(*one));
	struct error error = ERROR_INIT;

	if (one)
		one->event = event_copy(event);
	if (!one || !one->event) {
		free(one);
		error_why(&error, ERR_FAILED, "out of memory");
		told->fn(events->schedd, told, event, false, &error);
		return;
	}
	one->event->at_ms = schedd_now_ms(events->schedd);
	one->again = again;
	one->told = *told;
	TAILQ_INSERT_TAIL(&events->waiting, one, entry);
	events->bytes += event->data_length;
	if (++events->count >= EVENTS_WAITING_MAX || events->bytes >= EVENTS_WAITING_BYTES)
		flush(events);
	else if (events->count == 1)
		loop_arm(events->timer, 1); /* long past: after what is ready now */
}

struct events *
events_new(struct schedd *schedd, struct error *error)
{
	struct events *events = calloc(1, sizeof(*events));

	if (!events) {
		error_why(error, ERR_FAILED, "out of memory");
		return NULL;
	}
	events->schedd = schedd;
	TAILQ_INIT(&events->waiting);
	events->timer = loop_add_timer(schedd->loop, flush_due, events);
	events->again = loop_add_timer(schedd->loop, deliver_again, events);
	if (!events->timer || !events->again)
		error_why(error, ERR_FAILED, "out of memory");
	else
		events->table = events_table_open(schedd->ledger, error);
	if (!events->table) {
		events_free(events);
		return NULL;
	}
	return events;
}

void
events_free(struct events *events)
{
	if (!events)
		return;
	if (events->table)
		flush(events);
	loop_remove(events->timer);
	loop_remove(events->again);
	events_table_close(events->table);
	free(events);
}

void
events_forget_control(struct events *events)
{
	struct waiting *one;

	TAILQ_FOREACH(one, &events->waiting, entry)
	{
		one->told.request = 0;
	}
}

struct events_table *
events_table_of(struct events *events)
{
	return events->table;
}
