#include "webhooks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "counters.h"
#include "event_plans.h"
#include "events.h"
#include "flush.h"
#include "webhook_body.h"
#include "webhook_scheme.h"

/* HTTP statuses, for the sender. */
enum status {
	HTTP_OK = 200,
	HTTP_ACCEPTED = 202,
	HTTP_BAD_REQUEST = 400,
	HTTP_UNAUTHORIZED = 401,
	HTTP_FORBIDDEN = 403,
	HTTP_NOT_FOUND = 404,
	HTTP_CONFLICT = 409,
	HTTP_TOO_LARGE = 413,
	HTTP_UNAVAILABLE = 503,
};

/* One request, from the listener's word to the answer. */
struct delivery {
	TAILQ_ENTRY(delivery) entry;
	uint32_t id;      /* of the question to secretd, and of the event on its way */
	uint32_t request; /* the listener's; 0: nobody waits */
	enum webhook_kind kind;
	bool verifying, verified;
	int body;
	bool signed_once, body_alone; /* one signature; of the body, without a time */
	uint8_t signature[SIGNATURE_BYTES];
	struct msg_webhook_delivery said;
};

struct webhooks {
	struct schedd *schedd;
	struct channel *agentd; /* borrowed; NULL in tests */
	struct channel *listener, *secretd;
	TAILQ_HEAD(delivery_list, delivery) deliveries;
	unsigned verifying;
	uint32_t last_id;
	bool wanted, told; /* agentd knows what agents wait for */
	bool listening;
	char why[REASON_MAX + 1]; /* nobody listens */
	struct {
		uint64_t said_ns; /* 0: never */
		unsigned refused;
	} log;
};

/* --- deliveries ------------------------------------------------------------------------------ */

static void
drop(struct webhooks *webhooks, struct delivery *delivery)
{
	TAILQ_REMOVE(&webhooks->deliveries, delivery, entry);
	if (delivery->verifying)
		webhooks->verifying--;
	close_fd(&delivery->body);
	free(delivery);
}

static struct delivery *
find(struct webhooks *webhooks, uint32_t id)
{
	struct delivery *delivery;

	TAILQ_FOREACH(delivery, &webhooks->deliveries, entry)
	{
		if (delivery->id == id)
			return delivery;
	}
	return NULL;
}

/* While secretd has enough to do the listener is not read, and its own bound fills. */
static void
throttle(struct webhooks *webhooks)
{
	if (webhooks->listener)
		channel_pause(webhooks->listener, webhooks->verifying >= WEBHOOKS_VERIFYING_MAX);
}

static enum refusal
refusal_of(enum status status)
{
	switch (status) {
	case HTTP_UNAUTHORIZED:
		return REFUSED_UNAUTHORIZED;
	case HTTP_FORBIDDEN:
		return REFUSED_FORBIDDEN;
	case HTTP_NOT_FOUND:
		return REFUSED_NOT_FOUND;
	case HTTP_CONFLICT:
		return REFUSED_CONFLICT;
	case HTTP_TOO_LARGE:
		return REFUSED_TOO_LARGE;
	case HTTP_UNAVAILABLE:
		return REFUSED_UNAVAILABLE;
	default:
		return REFUSED_MALFORMED;
	}
}

/* Not stored. */
static void
tell(struct webhooks *webhooks, uint32_t request, enum status status, const char *why)
{
	struct msg msg;

	counters_webhook(webhooks->schedd->counters, false, refusal_of(status));
	if (!webhooks->listener || !request)
		return;
	msg_init(&msg, MSG_WEBHOOK_ANSWER);
	msg.id = request;
	msg.webhook_answer.status = status;
	snprintf(msg.webhook_answer.why, sizeof(msg.webhook_answer.why), "%s", why);
	channel_send(webhooks->listener, &msg);
}

static void
say_refused(struct webhooks *webhooks, const struct msg_webhook_delivery *said, const char *why)
{
	uint64_t now = boottime_ns();

	webhooks->log.refused++;
	if (webhooks->log.said_ns &&
	    now - webhooks->log.said_ns < WEBHOOKS_SAY_EVERY_MS * UINT64_C(1000000))
		return;
	log_warn("webhook /%s/%s: a request of %s was refused: %s (%u refused since this was last "
		 "said)",
		 said->agent, said->hook, said->client, why, webhooks->log.refused);
	webhooks->log.said_ns = now;
	webhooks->log.refused = 0;
}

/* Frees the delivery. */
static void
refuse(struct webhooks *webhooks, struct delivery *delivery, enum status status, const char *why)
{
	say_refused(webhooks, &delivery->said, why);
	tell(webhooks, delivery->request, status, why);
	drop(webhooks, delivery);
}

/* --- storing --------------------------------------------------------------------------------- */

static enum status
status_of(bool repeated, const struct error *error)
{
	if (!error)
		return repeated ? HTTP_OK : HTTP_ACCEPTED;
	return error->code == ERR_CONFLICT ? HTTP_CONFLICT : HTTP_UNAVAILABLE;
}

/* It is on the disk, or it is not there. */
static void
stored(struct schedd *schedd, const struct event_told *told, const struct event *event,
       bool repeated, const struct error *error)
{
	struct webhooks *webhooks = schedd->webhooks;
	struct delivery *delivery = find(webhooks, told->request);
	struct msg msg;

	if (!delivery)
		return;
	counters_webhook(schedd->counters, !error, refusal_of(status_of(repeated, error)));
	msg_init(&msg, MSG_WEBHOOK_ANSWER);
	msg.id = delivery->request;
	msg.webhook_answer.status = status_of(repeated, error);
	msg.webhook_answer.repeated = repeated;
	snprintf(msg.webhook_answer.event, sizeof(msg.webhook_answer.event), "%s", event->id);
	if (error)
		snprintf(msg.webhook_answer.why, sizeof(msg.webhook_answer.why), "%.255s",
			 error->code == ERR_CONFLICT ? error->why
						     : "it could not be stored; send it again");
	if (webhooks->listener && delivery->request)
		channel_send(webhooks->listener, &msg);
	drop(webhooks, delivery);
}

/* Where the sender names a delivery, that; else what it signed, which is the same when it is sent
 * again; else nothing can be the same. */
static void
name_id(const struct delivery *delivery, char id[EVENT_NAME_MAX + 1])
{
	static const char digits[] = "0123456789abcdef";

	if (*id)
		return;
	if (!delivery->signed_once) {
		struct uuid fresh = uuid_new();

		uuid_format(&fresh, id);
		return;
	}
	for (size_t i = 0; i < SIGNATURE_BYTES; i++) {
		*id++ = digits[delivery->signature[i] >> 4];
		*id++ = digits[delivery->signature[i] & 15];
	}
	*id = '\0';
}

/* A type says who vouches for it: unsigned ones begin so, and every other with the kind. */
static void
accept_event(struct webhooks *webhooks, struct delivery *delivery, struct span data)
{
	char type[EVENT_TYPE_MAX + 1], id[EVENT_NAME_MAX + 1], source[EVENT_NAME_MAX + 1];
	char full[sizeof(type) + sizeof("unsigned.")];
	struct event_told told = {.fn = stored, .request = delivery->id};
	struct event event = {.type = full,
			      .source = source,
			      .id = id,
			      .subject = "",
			      .operator= "",
			      .uid = UINT32_MAX,
			      .login_uid = UINT32_MAX,
			      .data = (const uint8_t *)data.at,
			      .data_length = data.length,
			      .signed_once = delivery->signed_once};

	if (data.length > EVENT_DATA_MAX) {
		refuse(webhooks, delivery, HTTP_TOO_LARGE, "the body is too large as JSON");
		return;
	}
	if (!webhook_name(delivery->kind, &delivery->said, data, type, id)) {
		refuse(webhooks, delivery, HTTP_BAD_REQUEST, "the delivery's name is too long");
		return;
	}
	snprintf(full, sizeof(full), "%s%s", delivery->verified ? "" : "unsigned.", type);
	snprintf(source, sizeof(source), WEBHOOK_SOURCE "%s/%s", delivery->said.agent,
		 delivery->said.hook);
	name_id(delivery, id);
	memcpy(event.signature, delivery->signature, sizeof(event.signature));
	events_accept(webhooks->schedd->events, &event, false, &told);
}

static void
store(struct webhooks *webhooks, struct delivery *delivery)
{
	_cleanup_free_ char *held = NULL;
	struct error error = ERROR_INIT;
	const uint8_t *bytes = NULL;
	struct span data;
	size_t length = 0;
	int rc = memfd_map(delivery->body, EVENT_DATA_MAX, &bytes, &length);

	if (rc < 0) {
		refuse(webhooks, delivery, HTTP_TOO_LARGE, "the body cannot be used");
		return;
	}
	rc = webhook_body(delivery->said.content_type,
			  (struct span){length ? (const char *)bytes : "", length}, &data, &held,
			  &error);
	if (rc < 0)
		refuse(webhooks, delivery, HTTP_BAD_REQUEST, error.why);
	else if (delivery->body_alone &&
		 webhook_body_has_time((struct span){(const char *)bytes, length}))
		refuse(webhooks, delivery, HTTP_UNAUTHORIZED,
		       "its time was signed, and is not where this webhook has it");
	else
		accept_event(webhooks, delivery, data);
	if (bytes)
		munmap((void *)(uintptr_t)bytes, length);
}

/* --- secretd --------------------------------------------------------------------------------- */

static void
verified(struct webhooks *webhooks, struct delivery *delivery, bool valid)
{
	delivery->verified = valid;
	if (valid)
		store(webhooks, delivery);
	else
		refuse(webhooks, delivery, HTTP_UNAUTHORIZED, "its signature or token is wrong");
}

/* What only an operator can mend is said in the log, and no sender's matter. */
static void
not_verified(struct webhooks *webhooks, struct delivery *delivery, const struct msg *msg)
{
	struct error error = ERROR_INIT;
	bool denied;

	msg_to_error(msg, &error);
	denied = error.code == ERR_PERMISSION || error.code == ERR_NOT_FOUND;
	say_refused(webhooks, &delivery->said, error_text(&error, (char[ERROR_TEXT_MAX + 1]){0}));
	tell(webhooks, delivery->request, denied ? HTTP_FORBIDDEN : HTTP_UNAVAILABLE,
	     denied ? "the secret of this webhook is not granted to its agent"
		    : "signatures cannot be checked now; send it again later");
	drop(webhooks, delivery);
}

static void
secretd_message(struct channel *channel, struct msg *msg, void *arg)
{
	struct webhooks *webhooks = arg;
	struct delivery *delivery = find(webhooks, msg->id);

	(void)channel;
	if (!delivery || !delivery->verifying)
		return;
	delivery->verifying = false;
	webhooks->verifying--;
	throttle(webhooks);
	if (msg->type == MSG_SIGNATURE)
		verified(webhooks, delivery, msg->signature.valid);
	else
		not_verified(webhooks, delivery, msg);
}

/* Who waited for the one that went away sends it again. */
static void
forget_secretd(struct webhooks *webhooks)
{
	struct delivery *delivery, *next;

	for (delivery = TAILQ_FIRST(&webhooks->deliveries); delivery; delivery = next) {
		next = TAILQ_NEXT(delivery, entry);
		if (delivery->verifying)
			refuse(webhooks, delivery, HTTP_UNAVAILABLE,
			       "signatures cannot be checked now; send it again later");
	}
	throttle(webhooks);
}

static void
secretd_closed(struct channel *channel, const struct error *error, void *arg)
{
	struct webhooks *webhooks = arg;

	if (error)
		log_problem(LOG_LEVEL_WARNING, error);
	if (webhooks->secretd != channel)
		return;
	webhooks->secretd = NULL;
	forget_secretd(webhooks);
}

static const struct channel_ops secretd_ops = {
    .message = secretd_message,
    .closed = secretd_closed,
};

void
webhooks_introduce_secretd(struct webhooks *webhooks, int fd)
{
	channel_free(webhooks->secretd);
	forget_secretd(webhooks);
	webhooks->secretd = channel_new(webhooks->schedd->loop, fd, CH_SCHEDD_SECRETD, SIDE_A,
					ROLE_SCHEDD, ROLE_SECRETD, &secretd_ops, webhooks);
	if (!webhooks->secretd)
		log_error("the channel of secretd: %s", strerrordesc_np(errno));
}

/* What is signed without the name of the delivery must not come under another name. */
static void
keep_signature(struct delivery *delivery, const struct msg_signature_query *query)
{
	delivery->signed_once = query->signatures_len == SIGNATURE_BYTES && !query->encoded;
	delivery->body_alone = query->signatures_len && !query->prefix[0];
	if (delivery->signed_once)
		memcpy(delivery->signature, query->signatures, SIGNATURE_BYTES);
}

static void
verify(struct webhooks *webhooks, struct delivery *delivery, const char *secret)
{
	struct error error = ERROR_INIT;
	struct msg msg;

	msg_init(&msg, MSG_SIGNATURE_QUERY);
	msg.id = delivery->id;
	if (webhook_question(delivery->kind, &delivery->said, realtime_ms() / 1000,
			     &msg.signature_query, &error) < 0) {
		refuse(webhooks, delivery, HTTP_UNAUTHORIZED, error.why);
		return;
	}
	if (!webhooks->secretd) {
		refuse(webhooks, delivery, HTTP_UNAVAILABLE,
		       "signatures cannot be checked now; send it again later");
		return;
	}
	memcpy(msg.signature_query.agent, delivery->said.agent, sizeof(delivery->said.agent));
	snprintf(msg.signature_query.secret, sizeof(msg.signature_query.secret), "%s", secret);
	msg_add_fd(&msg, fcntl(delivery->body, F_DUPFD_CLOEXEC, 0));
	keep_signature(delivery, &msg.signature_query);
	delivery->verifying = true;
	webhooks->verifying++;
	throttle(webhooks);
	channel_send(webhooks->secretd, &msg);
}

/* --- the listener ---------------------------------------------------------------------------- */

struct asked {
	const char *hook;
	const struct event_trigger *trigger;
};

static int
is_asked(const char *agent, const struct event_trigger *trigger, void *arg)
{
	struct asked *asked = arg;

	if (strcmp(trigger->webhook + strlen(agent) + 1, asked->hook) == 0)
		asked->trigger = trigger;
	return asked->trigger != NULL;
}

static const struct event_trigger *
trigger_of(struct webhooks *webhooks, const struct msg_webhook_delivery *said)
{
	const struct agent *agent = queue_agent(webhooks->schedd->queue, said->agent);
	struct asked asked = {.hook = said->hook};

	if (agent && agent->installed && *said->agent)
		event_plans_webhooks(webhooks->schedd->event_plans, said->agent, is_asked, &asked);
	return asked.trigger;
}

static void
begin(struct webhooks *webhooks, struct msg *msg, const struct event_trigger *trigger)
{
	struct delivery *delivery = calloc(1, sizeof(*delivery));

	if (!delivery) {
		tell(webhooks, msg->id, HTTP_UNAVAILABLE, "out of memory");
		return;
	}
	delivery->said = msg->webhook_delivery;
	delivery->body = msg_take_fd(msg, 0);
	delivery->request = msg->id;
	delivery->id = ++webhooks->last_id ? webhooks->last_id : ++webhooks->last_id;
	delivery->kind = webhook_kind_parse(delivery->said.hook);
	TAILQ_INSERT_TAIL(&webhooks->deliveries, delivery, entry);
	if (trigger->secret)
		verify(webhooks, delivery, trigger->secret);
	else
		store(webhooks, delivery);
}

static void
listener_message(struct channel *channel, struct msg *msg, void *arg)
{
	struct webhooks *webhooks = arg;
	const struct event_trigger *trigger;

	(void)channel;
	if (msg->type != MSG_WEBHOOK_DELIVERY)
		return;
	trigger = trigger_of(webhooks, &msg->webhook_delivery);
	if (!webhooks->schedd->known)
		tell(webhooks, msg->id, HTTP_UNAVAILABLE,
		     "the agents are not known yet; send it again later");
	else if (!trigger || webhook_kind_parse(msg->webhook_delivery.hook) == WEBHOOK_NONE)
		tell(webhooks, msg->id, HTTP_NOT_FOUND, "no webhook has this path");
	else
		begin(webhooks, msg, trigger);
}

/* What it told is stored all the same; nobody waits for the answer. */
static void
forget_listener(struct webhooks *webhooks)
{
	struct delivery *delivery;

	TAILQ_FOREACH(delivery, &webhooks->deliveries, entry)
	{
		delivery->request = 0;
	}
}

static void
listener_closed(struct channel *channel, const struct error *error, void *arg)
{
	struct webhooks *webhooks = arg;

	if (error)
		log_problem(LOG_LEVEL_WARNING, error);
	if (webhooks->listener != channel)
		return;
	webhooks->listener = NULL;
	forget_listener(webhooks);
}

static const struct channel_ops listener_ops = {
    .message = listener_message,
    .closed = listener_closed,
};

void
webhooks_introduce_listener(struct webhooks *webhooks, int fd)
{
	channel_free(webhooks->listener);
	forget_listener(webhooks);
	webhooks->listener = channel_new(webhooks->schedd->loop, fd, CH_SCHEDD_WEBHOOK, SIDE_A,
					 ROLE_SCHEDD, ROLE_WEBHOOK, &listener_ops, webhooks);
	if (webhooks->listener)
		flush_hold_answers(webhooks->schedd->flush, webhooks->listener);
	else
		log_error("the channel of the webhook listener: %s", strerrordesc_np(errno));
	throttle(webhooks);
}

/* --- needs ----------------------------------------------------------------------------------- */

static int
is_one(const char *agent, const struct event_trigger *trigger, void *arg)
{
	(void)agent;
	(void)trigger;
	(void)arg;
	return 1;
}

void
webhooks_changed(struct webhooks *webhooks)
{
	struct schedd *schedd = webhooks->schedd;
	bool wanted;
	struct msg msg;

	if (!schedd->known || !webhooks->agentd)
		return;
	wanted = event_plans_webhooks(schedd->event_plans, "", is_one, NULL) != 0;
	if (webhooks->told && wanted == webhooks->wanted)
		return;
	webhooks->told = true;
	webhooks->wanted = wanted;
	msg_init(&msg, MSG_WEBHOOKS_WANTED);
	msg.webhooks_wanted.wanted = wanted;
	channel_send(webhooks->agentd, &msg);
}

void
webhooks_join(struct webhooks *webhooks, struct channel *agentd)
{
	webhooks->agentd = agentd;
	webhooks_changed(webhooks);
}

void
webhooks_state(struct webhooks *webhooks, const struct msg_webhooks_state *state)
{
	webhooks->listening = state->listening;
	memcpy(webhooks->why, state->why, sizeof(webhooks->why));
}

/* --- what is shown --------------------------------------------------------------------------- */

struct showing {
	const struct webhooks *webhooks;
	struct rows *rows;
};

static int
add_row(const char *agent, const struct event_trigger *trigger, void *arg)
{
	struct showing *showing = arg;
	const struct webhooks *webhooks = showing->webhooks;
	struct msg_trigger_row *row;
	struct msg record;

	msg_init(&record, MSG_TRIGGER_ROW);
	row = &record.trigger_row;
	snprintf(row->agent, sizeof(row->agent), "%s", agent);
	snprintf(row->trigger_id, sizeof(row->trigger_id), "%s", trigger->id);
	snprintf(row->kind, sizeof(row->kind), "webhook");
	snprintf(row->expression, sizeof(row->expression), "POST /%s", trigger->webhook);
	if (!webhooks->listening)
		snprintf(row->note, sizeof(row->note), "nobody listens: %.900s",
			 webhooks->why[0] ? webhooks->why : "the listener is being started");
	if (ledger_last_fire(webhooks->schedd->ledger, agent, trigger->id, &row->last_fire_at_ms,
			     NULL) < 0)
		return -EIO;
	return rows_add(showing->rows, &record);
}

int
webhooks_add_rows(struct webhooks *webhooks, const char *agent, struct rows *rows)
{
	struct showing showing = {.webhooks = webhooks, .rows = rows};

	return event_plans_webhooks(webhooks->schedd->event_plans, agent, add_row, &showing);
}

/* --- life ------------------------------------------------------------------------------------ */

struct webhooks *
webhooks_new(struct schedd *schedd)
{
	struct webhooks *webhooks = calloc(1, sizeof(*webhooks));

	if (!webhooks)
		return NULL;
	webhooks->schedd = schedd;
	TAILQ_INIT(&webhooks->deliveries);
	return webhooks;
}

void
webhooks_free(struct webhooks *webhooks)
{
	struct delivery *delivery;

	if (!webhooks)
		return;
	while ((delivery = TAILQ_FIRST(&webhooks->deliveries)))
		drop(webhooks, delivery);
	channel_free(webhooks->listener);
	channel_free(webhooks->secretd);
	free(webhooks);
}
