/* Requests on their way to schedd, and its answers; see listener.h. */
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "listener.h"

/* --- to schedd ------------------------------------------------------------------------------- */

void
deliver(struct listener *l, struct request *request)
{
	struct msg msg = request->delivery;
	int body;

	if (!l->schedd || channel_phase(l->schedd) != IN_OPEN) {
		request_refuse(request, MHD_HTTP_SERVICE_UNAVAILABLE,
			       "the scheduler is being started; send it again later");
		return;
	}
	if (l->under_way >= DELIVERIES_MAX) {
		request_refuse(request, MHD_HTTP_SERVICE_UNAVAILABLE,
			       "too much is under way; send it again later");
		return;
	}
	body = memfd_sealed("webhook", request->body, request->length);
	request_drop_body(l, request);
	if (body < 0) {
		log_error("a webhook's body: %s", strerrordesc_np(-body));
		request_refuse(request, MHD_HTTP_SERVICE_UNAVAILABLE, "send it again later");
		return;
	}
	msg_add_fd(&msg, body);
	request->id = msg.id = ++l->last_id ? l->last_id : ++l->last_id;
	l->under_way++;
	client_enter(l, request->client, WAITING);
	channel_send(l->schedd, &msg);
}

/* --- and back -------------------------------------------------------------------------------- */

void
deliver_answered(struct listener *l, struct request *request)
{
	if (request->id)
		l->under_way--;
	request->id = 0;
	if (!request->suspended)
		return;
	request->suspended = false;
	MHD_resume_connection(request->client->connection);
}

static struct request *
find(struct listener *l, uint32_t id)
{
	struct client *client;

	TAILQ_FOREACH(client, &l->clients[WAITING], entry)
	{
		if (client->request && client->request->id == id)
			return client->request;
	}
	return NULL;
}

static void
schedd_message(struct channel *channel, struct msg *msg, void *arg)
{
	const struct msg_webhook_answer *said = &msg->webhook_answer;
	struct listener *l = arg;
	struct request *request = find(l, msg->id);

	(void)channel;
	if (msg->type != MSG_WEBHOOK_ANSWER || !request)
		return; /* its time was over, or its sender went away */
	request->answer.status = said->status;
	request->answer.repeated = said->repeated;
	memcpy(request->answer.event, said->event, sizeof(said->event));
	memcpy(request->answer.why, said->why, sizeof(said->why));
	client_enter(l, request->client, SENDING);
	deliver_answered(l, request);
	http_turn(l);
}

/* What it was told may be stored and may be not: who sends it again is told which. */
static void
give_up(struct listener *l)
{
	struct client *client;

	while ((client = TAILQ_FIRST(&l->clients[WAITING]))) {
		client_enter(l, client, SENDING);
		if (!client->request)
			continue;
		request_refuse(client->request, MHD_HTTP_SERVICE_UNAVAILABLE,
			       "the scheduler was restarted; send it again");
		deliver_answered(l, client->request);
	}
	http_turn(l);
}

static void
schedd_closed(struct channel *channel, const struct error *error, void *arg)
{
	struct listener *l = arg;

	if (error)
		log_problem(LOG_LEVEL_WARNING, error);
	if (l->schedd != channel)
		return;
	l->schedd = NULL;
	give_up(l);
}

static const struct channel_ops schedd_ops = {
    .message = schedd_message,
    .closed = schedd_closed,
};

void
deliver_introduced(struct listener *l, int fd)
{
	channel_free(l->schedd);
	give_up(l);
	l->schedd = channel_new(l->loop, fd, CH_SCHEDD_WEBHOOK, SIDE_B, ROLE_WEBHOOK, ROLE_SCHEDD,
				&schedd_ops, l);
	if (!l->schedd)
		log_error("the channel of schedd: %s", strerrordesc_np(errno));
}

/* --- what is said ---------------------------------------------------------------------------- */

void
deliver_note(struct listener *l, unsigned status)
{
	uint64_t now = boottime_ns();

	if (status == MHD_HTTP_TOO_MANY_REQUESTS || status == MHD_HTTP_SERVICE_UNAVAILABLE)
		l->told.limited++;
	else if (status >= MHD_HTTP_BAD_REQUEST)
		l->told.refused++;
	if (!l->told.limited && !l->told.refused && !l->told.let_go)
		return;
	if (l->told.said_ns && now - l->told.said_ns < SAY_EVERY_MS * UINT64_C(1000000))
		return;
	log_warn("webhooks: %u requests refused, %u because there were too many, %u connections "
		 "let go for newer ones",
		 l->told.refused, l->told.limited, l->told.let_go);
	l->told.said_ns = now;
	l->told.refused = l->told.limited = l->told.let_go = 0;
}
