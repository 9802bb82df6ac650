#include "peers.h"

#include <fcntl.h>
#include <string.h>

#include "asks.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "emitted.h"
#include "explain.h"
#include "fs.h"
#include "home_requests.h"
#include "image_view.h"
#include "images.h"
#include "install.h"
#include "logs.h"
#include "mechanism.h"
#include "net.h"
#include "recover.h"
#include "samples.h"
#include "secrets.h"
#include "session.h"
#include "spool.h"
#include "tools_requests.h"
#include "watch.h"

struct peer_rule {
	enum msg_type type;
	void (*handler)(struct runnerd *r, struct channel *channel, struct msg *msg);
};

static void
dispatch(const struct peer_rule *rules, size_t count, struct runnerd *r, struct channel *channel,
	 struct msg *msg)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (rules[i].type == msg->type)
			rules[i].handler(r, channel, msg);
}

static void
log_end(const struct error *error, const char *peer)
{
	if (error)
		log_problem(LOG_LEVEL_WARNING, error);
	else
		log_info("%s went away", peer);
}

/* --- control -----------------------------------------------------------------------------------
 */

static void
input_spool(struct runnerd *r, struct channel *channel, struct msg *msg)
{
	spool_start(r->spools, channel, msg);
}

static void
input_drop(struct runnerd *r, struct channel *channel, struct msg *msg)
{
	struct error error = ERROR_INIT;
	int rc = spool_drop(r, &msg->input_drop.session);

	if (rc == 0) {
		channel_reply_ok(channel, msg->id, 0);
		return;
	}
	error_errno(&error, -rc, "cannot drop the input");
	channel_reply_error(channel, msg->id, &error);
}

static void
send_log(struct channel *channel, const struct msg *request, struct log_view *view,
	 uint64_t dropped, bool complete)
{
	struct msg msg;

	msg_init(&msg, MSG_LOG);
	msg.id = request->id;
	msg.log.session = request->log_query.session;
	msg.log.offset = view->offset;
	msg.log.older_offset = view->older_offset;
	msg.log.total_bytes = view->total;
	msg.log.dropped_bytes = dropped;
	msg.log.complete = complete;
	msg_add_fd(&msg, steal_fd(&view->newest));
	if (view->older >= 0)
		msg_add_fd(&msg, steal_fd(&view->older));
	channel_send(channel, &msg);
}

/* The log of a session that runnerd holds no more, or not yet: by its name alone. */
static int
view_forgotten(struct runnerd *r, const struct msg_log_query *query, struct log_view *view)
{
	struct session_log log = {.dir = -1};
	int rc;

	if (!agent_name_valid(query->agent))
		return -EINVAL;
	uuid_format(&query->session, log.id);
	log.dir = open_resolved(r->at.logs, query->agent, O_RDONLY | O_DIRECTORY,
				RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
	rc = log.dir < 0 ? log.dir : log_view(&log, view);
	log_detach(&log);
	return rc;
}

/* No byte was written yet; a reader asks again or follows LOG_EVENT. */
static int
view_empty(struct log_view *view)
{
	*view = (struct log_view){.newest = memfd_sealed("log", "", 0), .older = -1};
	return view->newest < 0 ? view->newest : 0;
}

static void
log_query(struct runnerd *r, struct channel *channel, struct msg *msg)
{
	const struct session *s = session_find(r->sessions, &msg->log_query.session);
	bool live = s && s->phase != PHASE_ENDED, written = true;
	struct error error = ERROR_INIT;
	struct log_view view;
	int rc;

	if (live && s->log.dir >= 0)
		rc = log_view(&s->log, &view);
	else
		rc = view_forgotten(r, &msg->log_query, &view);
	if (rc == -ENOENT) {
		written = false;
		rc = view_empty(&view);
	}
	if (rc < 0) {
		error_errno(&error, -rc, "cannot open the log");
		channel_reply_error(channel, msg->id, &error);
		return;
	}
	send_log(channel, msg, &view, s ? s->log.dropped : 0, s ? !live : written);
}

static void
doctor_query(struct runnerd *r, struct channel *channel, struct msg *msg)
{
	struct rows *rows = rows_new("mechanisms");
	struct error error = ERROR_INIT;
	struct msg record, answer;
	size_t i;
	int rc = rows ? 0 : -ENOMEM;

	for (i = 0; !rc && i < mechanisms_count(r->mechanisms); i++) {
		mechanism_row(r->mechanisms, i, &record);
		rc = rows_add(rows, &record);
	}
	msg_init(&answer, MSG_ROWS);
	answer.id = msg->id;
	answer.rows.count = (uint32_t)i;
	if (!rc)
		rc = rows_seal(rows);
	else
		rows_free(rows);
	if (rc < 0) {
		error_errno(&error, -rc, "making the answer");
		channel_reply_error(channel, msg->id, &error);
		return;
	}
	msg_add_fd(&answer, rc);
	channel_send(channel, &answer);
}

static void
runnerd_query(struct runnerd *r, struct channel *channel, struct msg *msg)
{
	channel_reply_ok(channel, msg->id, sessions_count(r->sessions));
}

static const struct peer_rule control_rules[] = {
    {.type = MSG_AGENT_INSTALL, .handler = agent_install},
    {.type = MSG_AGENT_REMOVE, .handler = agent_remove},
    {.type = MSG_AGENT_QUERY, .handler = agent_query},
    {.type = MSG_INPUT_SPOOL, .handler = input_spool},
    {.type = MSG_INPUT_DROP, .handler = input_drop},
    {.type = MSG_LOG_QUERY, .handler = log_query},
    {.type = MSG_DOCTOR_QUERY, .handler = doctor_query},
    {.type = MSG_RUNNERD_QUERY, .handler = runnerd_query},
    {.type = MSG_EXPLAIN_QUERY, .handler = explain_query},
    {.type = MSG_IMAGE_VIEW, .handler = image_view_request},
    {.type = MSG_HOME_QUERY, .handler = home_query},
    {.type = MSG_HOME_DIFF_QUERY, .handler = home_diff_query},
    {.type = MSG_HOME_ROLLBACK, .handler = home_rollback_request},
    {.type = MSG_TOOLS_QUERY, .handler = tools_query},
    {.type = MSG_TOOLS_PIN, .handler = tools_pin},
    {.type = MSG_SESSION_TOOLS_QUERY, .handler = session_tools_query},
    {.type = MSG_METRICS_QUERY, .handler = metrics_query},
    {.type = MSG_ASKS_QUERY, .handler = asks_query},
    {.type = MSG_ASK_ANSWER, .handler = ask_answer},
    {.type = MSG_SAMPLES_QUERY, .handler = samples_query},
    {.type = MSG_IMAGE_ADD, .handler = images_add_request},
    {.type = MSG_IMAGE_QUERY, .handler = images_query},
    {.type = MSG_IMAGE_REMOVE, .handler = images_remove},
    {.type = MSG_IMAGES_GC, .handler = images_collect},
};

static void
control_message(struct channel *channel, struct msg *msg, void *arg)
{
	dispatch(control_rules, ARRAY_LEN(control_rules), arg, channel, msg);
}

static void
control_closed(struct channel *channel, const struct error *error, void *arg)
{
	struct runnerd *r = arg;

	log_end(error, "control");
	spools_forget(r->spools, channel);
	if (r->control == channel)
		r->control = NULL;
}

static const struct channel_ops control_ops = {
    .message = control_message,
    .closed = control_closed,
};

/* --- schedd ------------------------------------------------------------------------------------
 */

static void
prepare(struct runnerd *r, struct channel *channel, struct msg *msg)
{
	(void)channel;
	session_prepare(r, msg);
}

static void
go(struct runnerd *r, struct channel *channel, struct msg *msg)
{
	(void)channel;
	session_go(r, &msg->go.session);
}

static void
cancel(struct runnerd *r, struct channel *channel, struct msg *msg)
{
	(void)channel;
	session_cancel(r, &msg->cancel);
}

static void
end_ack(struct runnerd *r, struct channel *channel, struct msg *msg)
{
	(void)channel;
	session_ack(r, &msg->end_ack);
}

/* Of one that is here nothing is deleted: schedd asks again, later. */
static void
session_prune(struct runnerd *r, struct channel *channel, struct msg *msg)
{
	const struct msg_session_prune *asked = &msg->session_prune;
	struct msg answer;
	int rc = -EINVAL;

	if (session_find(r->sessions, &asked->session))
		rc = -EBUSY;
	else if (agent_name_valid(asked->agent))
		rc = log_delete(r->at.logs, asked->agent, &asked->session);
	if (rc < 0)
		log_session(LOG_LEVEL_WARNING, &asked->session, "%s: deleting its log: %s",
			    asked->agent, strerrordesc_np(-rc));
	msg_init(&answer, MSG_SESSION_PRUNED);
	answer.session_pruned.session = asked->session;
	answer.session_pruned.gone = rc == 0;
	channel_send(channel, &answer);
}

static void
open_watch(struct runnerd *r, struct channel *channel, struct msg *msg)
{
	struct msg answer;

	watch_open(r, &msg->watch_open, &answer);
	channel_send(channel, &answer);
}

static void
agent_event_ack(struct runnerd *r, struct channel *channel, struct msg *msg)
{
	(void)channel;
	emitted_acknowledged(r, &msg->agent_event_ack.event);
}

static const struct peer_rule schedd_rules[] = {
    {.type = MSG_PREPARE, .handler = prepare},
    {.type = MSG_GO, .handler = go},
    {.type = MSG_CANCEL, .handler = cancel},
    {.type = MSG_END_ACK, .handler = end_ack},
    {.type = MSG_SESSION_PRUNE, .handler = session_prune},
    {.type = MSG_AGENT_EVENT_ACK, .handler = agent_event_ack},
    {.type = MSG_WATCH_OPEN, .handler = open_watch},
};

static void
schedd_message(struct channel *channel, struct msg *msg, void *arg)
{
	dispatch(schedd_rules, ARRAY_LEN(schedd_rules), arg, channel, msg);
}

/* Definitions first, so that schedd knows every agent whose session it hears of. */
static void
schedd_opened(struct channel *channel, void *arg)
{
	struct runnerd *r = arg;
	struct msg msg;

	msg_init(&msg, MSG_INVENTORY_END);
	msg.inventory_end.agents = agents_announce(r);
	msg.inventory_end.sessions = sessions_announce(r);
	inputs_announce(r);
	channel_send(channel, &msg);
	emitted_announce(r);
}

static void
schedd_closed(struct channel *channel, const struct error *error, void *arg)
{
	struct runnerd *r = arg;

	log_end(error, "schedd");
	if (r->schedd == channel)
		r->schedd = NULL;
}

static const struct channel_ops schedd_ops = {
    .opened = schedd_opened,
    .message = schedd_message,
    .closed = schedd_closed,
};

/* --- the dialer, which only listens --------------------------------------------------------------
 */

static void
dialer_message(struct channel *channel, struct msg *msg, void *arg)
{
	(void)channel;
	(void)msg;
	(void)arg;
}

static void
dialer_closed(struct channel *channel, const struct error *error, void *arg)
{
	struct runnerd *r = arg;

	log_end(error, "the dialer");
	if (r->dialer == channel)
		r->dialer = NULL;
}

static const struct channel_ops dialer_ops = {
    .message = dialer_message,
    .closed = dialer_closed,
};

/* --- introductions -------------------------------------------------------------------------------
 */

static void
replace(struct channel **slot, struct channel *channel, const char *peer)
{
	channel_free(*slot);
	*slot = channel;
	if (!channel)
		log_error("no memory for the channel with %s", peer);
}

void
peer_introduced(struct runnerd *r, enum channel_kind kind, int fd)
{
	switch (kind) {
	case CH_CONTROL_RUNNERD:
		if (r->control)
			spools_forget(r->spools, r->control);
		r->controls++;
		replace(&r->control,
			channel_new(r->loop, fd, kind, SIDE_B, ROLE_RUNNERD, ROLE_CONTROL,
				    &control_ops, r),
			"control");
		break;
	case CH_SCHEDD_RUNNERD:
		replace(&r->schedd,
			channel_new(r->loop, fd, kind, SIDE_B, ROLE_RUNNERD, ROLE_SCHEDD,
				    &schedd_ops, r),
			"schedd");
		break;
	case CH_RUNNERD_SECRETD:
		secrets_introduced(r->secrets, fd);
		break;
	case CH_RUNNERD_DIALER:
		replace(&r->dialer,
			channel_new(r->loop, fd, kind, SIDE_A, ROLE_RUNNERD, ROLE_DIALER,
				    &dialer_ops, r),
			"the dialer");
		net_dialer_introduced(r);
		break;
	case CH_AUDIT:
		audit_introduced(r->audit, fd);
		break;
	default:
		log_error("agentd introduced a channel of kind %s, which runnerd has not",
			  channel_kind_name(kind));
		close(fd);
	}
}

void
peers_free(struct runnerd *r)
{
	channel_free(r->control);
	channel_free(r->schedd);
	channel_free(r->dialer);
	r->control = r->schedd = r->dialer = NULL;
}
