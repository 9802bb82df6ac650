/* Which sessions there are, as runnerd tells, and what their egress processes ask for. */
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "dialer.h"

static void
session_close(struct dial_session *session)
{
	struct dial_session **at = &session->dialer->sessions;

	while (*at != session)
		at = &(*at)->next;
	*at = session->next;
	dials_drop(session);
	channel_free(session->channel);
	net_rules_clear(&session->rules);
	answers_clear(&session->answers);
	free(session);
}

void
sessions_close(struct dialer *dialer)
{
	while (dialer->sessions)
		session_close(dialer->sessions);
}

/* --- its egress process ----------------------------------------------------------------------- */

/* Answers that nobody reads hold descriptors, which all sessions share. One that is not owned has
 * fewer under way than this. */
static void
egress_message(struct channel *channel, struct msg *msg, void *arg)
{
	struct dial_session *session = arg;

	if (channel_queued(channel) < DIALS_MAX) {
		dial_begin(session, msg);
		return;
	}
	log_session(LOG_LEVEL_WARNING, &session->id,
		    "its egress process reads no answers: it gets no more");
	session_close(session);
}

static void
egress_closed(struct channel *channel, const struct error *error, void *arg)
{
	struct dial_session *session = arg;

	(void)channel;
	if (error)
		log_problem(LOG_LEVEL_WARNING, error);
	session->channel = NULL;
	session_close(session);
}

static const struct channel_ops egress_ops = {
    .message = egress_message,
    .closed = egress_closed,
};

/* --- runnerd ---------------------------------------------------------------------------------- */

static void
session_begin(struct dialer *dialer, struct msg *msg)
{
	_cleanup_close_ int rules = msg_take_fd(msg, 0);
	struct dial_session *session = dialer->sessions;
	int rc;

	while (session && (!uuid_equal(&session->id, &msg->dialer_session.session) ||
			   session->place != msg->dialer_session.place))
		session = session->next;
	if (session)
		session_close(session);
	session = calloc(1, sizeof(*session));
	if (!session)
		return;
	rc = net_rules_read(rules, &session->rules);
	session->dialer = dialer;
	session->id = msg->dialer_session.session;
	session->place = msg->dialer_session.place;
	session->next = dialer->sessions;
	dialer->sessions = session;
	if (rc == 0)
		session->channel = channel_new(dialer->loop, msg_take_fd(msg, 1), CH_DIAL, SIDE_B,
					       ROLE_DIALER, ROLE_EGRESS, &egress_ops, session);
	if (session->channel)
		return;
	log_session(LOG_LEVEL_ERROR, &session->id, "its rules cannot be taken: %s",
		    strerrordesc_np(rc < 0 ? -rc : errno));
	session_close(session);
}

static void
runnerd_message(struct channel *channel, struct msg *msg, void *arg)
{
	(void)channel;
	session_begin(arg, msg);
}

/* Sessions go on without it. */
static void
runnerd_closed(struct channel *channel, const struct error *error, void *arg)
{
	struct dialer *dialer = arg;

	if (error)
		log_problem(LOG_LEVEL_WARNING, error);
	if (dialer->runnerd == channel)
		dialer->runnerd = NULL;
}

static const struct channel_ops runnerd_ops = {
    .message = runnerd_message,
    .closed = runnerd_closed,
};

void
dialer_introduced(struct dialer *dialer, int fd)
{
	channel_free(dialer->runnerd);
	dialer->runnerd = channel_new(dialer->loop, fd, CH_RUNNERD_DIALER, SIDE_B, ROLE_DIALER,
				      ROLE_RUNNERD, &runnerd_ops, dialer);
	if (!dialer->runnerd)
		log_error("no memory for the channel with runnerd");
}
