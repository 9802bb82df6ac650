#include "watchers.h"

#include <errno.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/notice.h"
#include "requests.h"

enum { SETTLE_MS = 500 /* until who missed something is looked at again */ };

struct watchers {
	struct control *control;
	struct loop_source *settle; /* armed while somebody missed something */
	struct loop_source *sample; /* armed while somebody wants samples */
	bool asked;                 /* runnerd, which has not answered */
};

static bool
listens(const struct client *client)
{
	return client->watches && channel_phase(client->channel) == IN_OPEN;
}

/* --- what happens ---------------------------------------------------------------------------- */

static void
tell(struct control *control, struct client *client, const struct msg *msg)
{
	struct msg copy = *msg;

	copy.id = 0;
	notice_send(client->channel, &client->missed, &copy);
	if (client->missed)
		loop_arm_in(control->watchers->settle, SETTLE_MS);
}

void
watchers_tell(struct control *control, enum role teller, const struct msg *msg)
{
	struct client *client;

	if (msg->type == MSG_NOTICE && notice_teller(msg->notice.kind) != teller &&
	    msg->notice.kind != NOTICE_MISSED) {
		log_warn("%s told a notice of kind %u, which is not its own", role_name(teller),
			 msg->notice.kind);
		return;
	}
	TAILQ_FOREACH(client, &control->clients, entry)
	{
		if (listens(client))
			tell(control, client, msg);
	}
}

static void
settle(struct loop_source *timer, void *arg)
{
	struct watchers *watchers = arg;
	struct client *client;
	bool remains = false;

	TAILQ_FOREACH(client, &watchers->control->clients, entry)
	{
		if (listens(client))
			remains |= notice_settle(client->channel, &client->missed);
	}
	if (remains)
		loop_arm_in(timer, SETTLE_MS);
}

/* --- samples ---------------------------------------------------------------------------------- */

static bool
wanted(const struct control *control)
{
	const struct client *client;

	TAILQ_FOREACH(client, &control->clients, entry)
	{
		if (client->samples && listens(client))
			return true;
	}
	return false;
}

static void
ask(struct watchers *watchers)
{
	struct channel *runnerd = watchers->control->up[UP_RUNNERD];
	struct msg msg;

	if (!runnerd || watchers->asked)
		return;
	msg_init(&msg, MSG_SAMPLES_QUERY);
	watchers->asked = channel_send(runnerd, &msg) == 0;
}

static void
sample_due(struct loop_source *timer, void *arg)
{
	struct watchers *watchers = arg;

	if (!wanted(watchers->control))
		return;
	ask(watchers);
	loop_arm_in(timer, SAMPLES_EVERY_MS);
}

/* A sample that finds no room is of no use later: it is left out and not counted. */
void
watchers_sample(struct control *control, const struct msg *msg)
{
	struct client *client;
	struct msg copy;

	TAILQ_FOREACH(client, &control->clients, entry)
	{
		if (!client->samples || !listens(client) ||
		    channel_queued(client->channel) >= NOTICES_WAITING_MAX / 2)
			continue;
		copy = *msg;
		copy.id = 0;
		channel_send(client->channel, &copy);
	}
	if (msg->session_sample.last)
		control->watchers->asked = false;
}

void
watchers_unsampled(struct control *control)
{
	control->watchers->asked = false;
}

/* --- OP_WATCH ----------------------------------------------------------------------------------
 */

void
request_watch(struct request *request)
{
	struct client *client = request->client;
	struct watchers *watchers = request->control->watchers;

	if (client) {
		client->watches = true;
		client->samples = request->msg.op_watch.samples;
	}
	request_reply_ok(request, 0);
	if (client && client->samples)
		sample_due(watchers->sample, watchers);
}

/* --- life ----------------------------------------------------------------------------------------
 */

struct watchers *
watchers_new(struct control *control)
{
	struct watchers *watchers = calloc(1, sizeof(*watchers));

	if (!watchers)
		return NULL;
	watchers->control = control;
	watchers->settle = loop_add_timer(control->loop, settle, watchers);
	watchers->sample = loop_add_timer(control->loop, sample_due, watchers);
	if (watchers->settle && watchers->sample)
		return watchers;
	watchers_free(watchers);
	errno = ENOMEM;
	return NULL;
}

void
watchers_free(struct watchers *watchers)
{
	if (!watchers)
		return;
	loop_remove(watchers->settle);
	loop_remove(watchers->sample);
	free(watchers);
}
