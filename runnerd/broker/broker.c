/* The parts of a broker, and the moment when every plugin is ready or has failed. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "state.h"

enum { LAST_WORDS_MS = 1000 /* for a runnerd that is slow to read them */ };

struct broker *
broker_new(void)
{
	struct broker *broker = calloc(1, sizeof(*broker));

	if (!broker)
		return NULL;
	broker->pool.max = POOL_BYTES;
	broker->listener = broker->own_listener = -1;
	broker->audit_last = &broker->audit_first;
	broker->notes_last = &broker->notes;
	broker->loop = loop_new();
	if (broker->loop)
		return broker;
	free(broker);
	return NULL;
}

/* What was doomed during the round. */
static void
reap(struct loop_source *source, void *arg)
{
	(void)source;
	servers_reap(arg);
	agents_reap(arg);
}

int
broker_begin(struct broker *broker, struct error *error)
{
	broker->reaper = loop_add_timer(broker->loop, reap, broker);
	broker->report = loop_add_timer(broker->loop, registry_report_due, broker);
	broker->stall = loop_add_timer(broker->loop, agents_stalled, broker);
	if (!broker->reaper || !broker->report || !broker->stall || calls_init(broker) < 0 ||
	    recorder_open(broker) < 0 || stats_open(broker) < 0 || servers_start(broker) < 0)
		return error_errno(error, errno, "the broker's timers");
	if (builtins_register(broker) < 0)
		return error_errno(error, ENOMEM, "the runtime's own tools");
	broker_settled(broker);
	return 0;
}

void
broker_settled(struct broker *broker)
{
	registry_report(broker);
	if (broker->ready_told || broker->stopping)
		return;
	for (size_t i = 0; i < broker->server_count; i++) {
		const struct server *server = &broker->servers[i];

		if (server->state == SERVER_FAILED && server->plan.required) {
			snprintf(broker->ready_why, sizeof(broker->ready_why),
				 "the plugin %s: %.900s", server->plan.name, server->why);
			broker->ready_told = true;
			break;
		}
		if (server->state != SERVER_READY && server->state != SERVER_FAILED)
			return;
	}
	broker->ready = !broker->ready_told;
	broker->ready_told = true;
	registry_report_now(broker);
	link_tell_ready(broker);
	if (broker->ready)
		agents_open(broker);
}

static void
stop_now(struct loop_source *source, void *arg)
{
	struct broker *broker = arg;

	(void)source;
	recorder_flush(broker);
	recorder_leave(broker);
	loop_stop(broker->loop, 0);
}

static bool
all_told(const struct broker *broker)
{
	return !broker->channel ||
	       (channel_queued(broker->channel) == 0 && broker->audit_count == 0);
}

void
broker_drained(struct broker *broker)
{
	if (!servers_drained(broker))
		return;
	if (all_told(broker) || !broker->last_words)
		stop_now(NULL, broker);
	else
		loop_arm_in(broker->last_words, LAST_WORDS_MS);
}

/* The calls fail, which is told; what remains in the channel's queue has a moment to go out, and
 * plugins have one to end. */
void
broker_stop(struct broker *broker)
{
	if (broker->stopping)
		return;
	broker->stopping = true;
	listens_end(broker);
	servers_stop(broker);
	registry_report_now(broker);
	stats_tell(broker);
	recorder_flush(broker);
	broker->last_words = loop_add_timer(broker->loop, stop_now, broker);
	if (broker->last_words)
		loop_arm_in(broker->last_words, DRAIN_MS);
	broker_drained(broker);
}

void
broker_free(struct broker *broker)
{
	if (!broker)
		return;
	broker->stopping = true;
	servers_free(broker);
	agents_free(broker);
	calls_free(broker);
	link_close(broker);
	for (size_t kind = 0; kind < ITEM_KINDS; kind++) {
		catalog_free(&broker->catalogs[kind]);
		free(broker->texts[kind]);
	}
	recorder_free(broker);
	notes_free(broker);
	stats_free(broker);
	clean_forget(&broker->cleaner);
	plan_free(broker);
	close_fd(&broker->listener);
	close_fd(&broker->own_listener);
	loop_free(broker->loop);
	free(broker);
}
