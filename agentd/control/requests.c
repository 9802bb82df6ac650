/* Requests and their calls; see requests.h. What each request does is in handlers.c. */
#include "requests.h"

#include <fcntl.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "watchers.h"

static const char *const upstream_names[UP_COUNT] = {
    [UP_AGENTD] = "agentd",
    [UP_SCHEDD] = "schedd",
    [UP_RUNNERD] = "runnerd",
};

/* --- the end of a request ------------------------------------------------------------------- */

static void
drop_call(struct request *request)
{
	request->call_id = 0;
	request->sent = false;
	if (request->sending)
		msg_close_fds(request->sending);
	free(request->sending);
	request->sending = NULL;
	loop_arm(request->timer, 0);
}

static void
request_free(struct request *request)
{
	struct control *control = request->control;
	struct client *client = request->client;

	drop_call(request);
	loop_remove(request->timer);
	msg_close_fds(&request->msg);
	close_fd(&request->rows_fd);
	TAILQ_REMOVE(&control->requests, request, entry);
	control->request_count--;
	free(request);
	if (client && client->pending-- == CLIENT_PENDING_MAX)
		channel_pause(client->channel, false);
}

static void
audit(const struct request *request, const struct error *failure)
{
	struct msg_audit line = {.by_operator = true, .allowed = failure == NULL};
	char text[ERROR_TEXT_MAX + 1];

	if (!request->rule->action || !request->control->audit)
		return;
	snprintf(line.action, sizeof(line.action), "%s", request->rule->action);
	memcpy(line.agent, request->agent, sizeof(line.agent));
	line.session = request->session;
	line.uid = request->peer.uid;
	line.pid = request->peer.pid;
	line.login_uid = request->peer.login_uid;
	memcpy(line.detail, request->detail, sizeof(line.detail));
	if (failure)
		snprintf(line.detail, sizeof(line.detail), "%.*s", REASON_MAX,
			 error_text(failure, text));
	audit_send(request->control->audit, &line);
}

void
request_reply(struct request *request, struct msg *answer)
{
	audit(request, NULL);
	answer->id = request->msg.id;
	if (request->client) {
		channel_send(request->client->channel, answer);
	} else {
		if (request->told)
			request->told(answer, request->told_arg);
		msg_close_fds(answer);
	}
	request_free(request);
}

void
request_reply_ok(struct request *request, uint64_t value)
{
	struct msg answer;

	msg_init(&answer, MSG_OK);
	answer.ok.value = value;
	request_reply(request, &answer);
}

void
request_fail(struct request *request, const struct error *error)
{
	if (request->failed)
		request->failed(request);
	audit(request, error);
	if (request->client)
		channel_reply_error(request->client->channel, request->msg.id, error);
	else if (request->told)
		request->told(NULL, request->told_arg);
	request_free(request);
}

/* --- calls ---------------------------------------------------------------------------------- */

/* A copy with descriptors of its own. 0 or -errno. */
static int
copy_message(const struct msg *msg, struct msg *copy)
{
	*copy = *msg;
	copy->nfds = 0;
	for (unsigned i = 0; i < msg->nfds; i++) {
		int fd = fcntl(msg->fds[i], F_DUPFD_CLOEXEC, 0);

		if (fd < 0) {
			int saved = errno;

			msg_close_fds(copy);
			return -saved;
		}
		msg_add_fd(copy, fd);
	}
	return 0;
}

/* For a daemon that is being restarted. */
static uint64_t
away_wait(const struct request *request)
{
	return request->call.optional ? request->call.wait_ms : AWAY_WAIT_MS;
}

static void
send_call(struct request *request)
{
	struct channel *channel = request->control->up[request->call.upstream];
	struct error error = ERROR_INIT;
	struct msg copy;
	int rc = 0;

	if (!channel) {
		loop_arm_in(request->timer, away_wait(request));
		return;
	}
	request->sent = request->uncertain = true;
	if (request->call.flags == CALL_REPEATED) {
		rc = copy_message(request->sending, &copy);
		if (rc == 0)
			rc = channel_send(channel, &copy);
	} else {
		rc = channel_send(channel, request->sending);
		request->sending->nfds = 0;
	}
	if (rc == -EPIPE && request->call.flags == CALL_REPEATED) {
		/* It died, and nobody has told yet. */
		request->sent = request->uncertain = false;
		loop_arm_in(request->timer, away_wait(request));
	} else if (rc < 0) {
		error_errno(&error, -rc, "asking %s", upstream_names[request->call.upstream]);
		request_fail(request, &error);
	} else if (request->call.wait_ms) {
		loop_arm_in(request->timer, request->call.wait_ms);
	} else {
		loop_arm(request->timer, 0);
	}
}

void
request_call(struct request *request, const struct call *call, struct msg *msg)
{
	struct error error = ERROR_INIT;

	drop_call(request);
	request->sending = malloc(sizeof(*msg));
	if (!request->sending) {
		msg_close_fds(msg);
		error_why(&error, ERR_FAILED, "out of memory");
		request_fail(request, &error);
		return;
	}
	if (++request->control->last_call == 0)
		request->control->last_call = 1;
	*request->sending = *msg;
	request->call = *call;
	request->sending->id = request->call_id = request->control->last_call;
	request->uncertain = false;
	send_call(request);
}

static void
fail_away(struct request *request)
{
	const char *name = upstream_names[request->call.upstream];
	struct error error = ERROR_INIT;

	if (request->sent)
		error_why(&error, ERR_UNREACHABLE, "%s did not answer in time", name);
	else
		error_why(&error, ERR_UNREACHABLE, "%s is away", name);
	error_hint(&error, "ash status shows the daemons; what %s reports is in the log of agentd",
		   name);
	request_fail(request, &error);
}

static void
call_expired(struct loop_source *timer, void *arg)
{
	struct request *request = arg;

	(void)timer;
	if (!request->call.optional) {
		fail_away(request);
		return;
	}
	drop_call(request);
	request->call.then(request, NULL);
}

/* The daemon died: wait for the next one, unless the answer is lost for good. */
static void
call_interrupted(struct request *request)
{
	const char *name = upstream_names[request->call.upstream];
	struct error error = ERROR_INIT;

	if (!request->sent)
		return;
	if (request->call.flags == CALL_REPEATED) {
		request->sent = false;
		loop_arm_in(request->timer, away_wait(request));
		return;
	}
	error_why(&error, ERR_UNREACHABLE, "%s was restarted before it answered", name);
	error_hint(&error, "look whether it took effect before asking again");
	request_fail(request, &error);
}

/* --- upstreams ------------------------------------------------------------------------------ */

static struct request *
request_of_call(struct control *control, enum upstream upstream, uint32_t id)
{
	struct request *request;

	TAILQ_FOREACH(request, &control->requests, entry)
	{
		if (request->call_id == id && request->call.upstream == upstream && request->sent)
			return request;
	}
	return NULL;
}

void
upstream_answer(struct control *control, enum upstream upstream, struct msg *msg)
{
	struct request *request = msg->id ? request_of_call(control, upstream, msg->id) : NULL;
	struct error error = ERROR_INIT;

	if (!request)
		return; /* too late, or an answer nobody waits for */
	request->uncertain = false;
	drop_call(request);
	if (msg->type == MSG_ERROR) {
		msg_to_error(msg, &error);
		request_fail(request, &error);
	} else if (msg->type != request->call.expected) {
		error_why(&error, ERR_FAILED, "%s gave an answer that does not fit",
			  upstream_names[upstream]);
		request_fail(request, &error);
	} else {
		request->call.then(request, msg);
	}
}

static void
schedd_message(struct channel *channel, struct msg *msg, void *arg)
{
	struct control *control = arg;
	struct client *client;

	(void)channel;
	if (msg->type == MSG_NOTICE || msg->type == MSG_SESSION_EVENT)
		watchers_tell(control, ROLE_SCHEDD, msg);
	else
		upstream_answer(control, UP_SCHEDD, msg);
	if (msg->type != MSG_SESSION_EVENT)
		return;
	clients_push(control, &msg->session_event.session, msg);
	if (msg->session_event.state != STATE_ENDED)
		return;
	TAILQ_FOREACH(client, &control->clients, entry)
	{
		client_unfollow(client, &msg->session_event.session);
	}
}

static void
runnerd_message(struct channel *channel, struct msg *msg, void *arg)
{
	struct control *control = arg;

	(void)channel;
	if (msg->type == MSG_LOG_EVENT)
		clients_push(control, &msg->log_event.session, msg);
	else if (msg->type == MSG_NOTICE)
		watchers_tell(control, ROLE_RUNNERD, msg);
	else if (msg->type == MSG_SESSION_SAMPLE)
		watchers_sample(control, msg);
	else
		upstream_answer(control, UP_RUNNERD, msg);
}

/* Calls fn for each request that waits for this daemon; fn may end it. */
static void
each_waiting(struct control *control, enum upstream upstream, request_fn *fn)
{
	struct request *request = TAILQ_FIRST(&control->requests);

	while (request) {
		struct request *next = TAILQ_NEXT(request, entry);

		if (request->call_id && request->call.upstream == upstream)
			fn(request);
		request = next;
	}
}

static void
upstream_gone(struct control *control, enum upstream upstream, const struct error *error)
{
	if (error)
		log_problem(LOG_LEVEL_WARNING, error);
	control->up[upstream] = NULL;
	if (upstream == UP_RUNNERD)
		watchers_unsampled(control);
	each_waiting(control, upstream, call_interrupted);
}

static void
schedd_closed(struct channel *channel, const struct error *error, void *arg)
{
	(void)channel;
	upstream_gone(arg, UP_SCHEDD, error);
}

static void
runnerd_closed(struct channel *channel, const struct error *error, void *arg)
{
	(void)channel;
	upstream_gone(arg, UP_RUNNERD, error);
}

struct upstream_rule {
	enum channel_kind kind;
	enum role peer;
	struct channel_ops ops;
};

static const struct upstream_rule upstream_rules[UP_COUNT] = {
    [UP_SCHEDD] = {.kind = CH_CONTROL_SCHEDD,
		   .peer = ROLE_SCHEDD,
		   .ops = {.message = schedd_message, .closed = schedd_closed}},
    [UP_RUNNERD] = {.kind = CH_CONTROL_RUNNERD,
		    .peer = ROLE_RUNNERD,
		    .ops = {.message = runnerd_message, .closed = runnerd_closed}},
};

void
upstream_introduce(struct control *control, enum upstream upstream, int fd)
{
	const struct upstream_rule *rule = &upstream_rules[upstream];

	if (control->up[upstream]) {
		channel_free(control->up[upstream]);
		upstream_gone(control, upstream, NULL);
	}
	control->up[upstream] = channel_new(control->loop, fd, rule->kind, SIDE_A, ROLE_CONTROL,
					    rule->peer, &rule->ops, control);
	if (!control->up[upstream])
		log_error("channel with %s: %s", upstream_names[upstream], strerrordesc_np(errno));
	else
		each_waiting(control, upstream, send_call);
}

/* --- the beginning of a request --------------------------------------------------------------- */

static void
identified(struct request *request, struct msg *answer)
{
	request->peer = answer->peer;
	if (request->client) {
		request->client->peer = answer->peer;
		request->client->identified = true;
	}
	request->rule->start(request);
}

/* Who asks, by agentd's word: before anything that the audit will tell. */
static void
identify(struct request *request)
{
	static const struct call call = {
	    .upstream = UP_AGENTD,
	    .flags = CALL_ONCE,
	    .expected = MSG_PEER,
	    .wait_ms = ANSWER_WAIT_MS,
	    .then = identified,
	};
	struct error error = ERROR_INIT;
	struct msg msg;
	int fd;

	if (request->client->identified) {
		request->peer = request->client->peer;
		request->rule->start(request);
		return;
	}
	fd = fcntl(channel_fd(request->client->channel), F_DUPFD_CLOEXEC, 0);
	if (fd < 0) {
		error_errno(&error, errno, "duplicating the connection");
		request_fail(request, &error);
		return;
	}
	msg_init(&msg, MSG_PEER_QUERY);
	msg_add_fd(&msg, fd);
	request_call(request, &call, &msg);
}

static const struct request_rule *
rule_of(enum msg_type type)
{
	for (size_t i = 0; i < request_rule_count; i++) {
		if (request_rules[i].type == type)
			return &request_rules[i];
	}
	return NULL;
}

/* client NULL: one of control's own. */
static struct request *
request_alloc(struct control *control, struct client *client, struct msg *msg)
{
	struct request *request = NULL;

	if (control->request_count < REQUESTS_MAX)
		request = calloc(1, sizeof(*request));
	if (!request)
		return NULL;
	request->timer = loop_add_timer(control->loop, call_expired, request);
	if (!request->timer) {
		free(request);
		return NULL;
	}
	request->control = control;
	request->client = client;
	request->rows_fd = -1;
	request->msg = *msg;
	msg->nfds = 0; /* the request closes them */
	TAILQ_INSERT_TAIL(&control->requests, request, entry);
	control->request_count++;
	return request;
}

/* What cannot be told in the audit log is not begun. */
static bool
refuse_untold(struct client *client, const struct request_rule *rule, const struct msg *msg)
{
	const struct audit *log = client->control->audit;
	struct error error = ERROR_INIT;

	if (!rule || !rule->action || !log || audit_ready(log))
		return false;
	error_why(&error, ERR_FAILED, "the audit log cannot be written: too much waits for it");
	error_hint(&error, "make room on the disk of log_dir; the log of agentd says what fails");
	channel_reply_error(client->channel, msg->id, &error);
	return true;
}

void
request_new(struct client *client, struct msg *msg)
{
	const struct request_rule *rule = rule_of(msg->type);
	struct error error = ERROR_INIT;
	struct request *request;

	if (refuse_untold(client, rule, msg))
		return;
	request = rule ? request_alloc(client->control, client, msg) : NULL;
	if (!request) {
		if (rule)
			error_why(&error, ERR_FAILED, "%d requests are under way already",
				  REQUESTS_MAX);
		else
			error_why(&error, ERR_USAGE, "this build does not know the request");
		channel_reply_error(client->channel, msg->id, &error);
		return;
	}
	request->rule = rule;
	if (++client->pending == CLIENT_PENDING_MAX)
		channel_pause(client->channel, true);
	if (rule->action)
		identify(request);
	else
		rule->start(request);
}

struct request *
request_inside(struct control *control, enum msg_type type,
	       void (*told)(struct msg *answer, void *arg), void *arg)
{
	struct request *request;
	struct msg msg;

	msg_init(&msg, type);
	request = request_alloc(control, NULL, &msg);
	if (!request)
		return NULL;
	request->rule = rule_of(type);
	request->told = told;
	request->told_arg = arg;
	return request;
}

void
request_begin(struct request *request)
{
	request->rule->start(request);
}

void
request_abandon(struct request *request)
{
	request->told = NULL;
}

void
requests_orphan(struct client *client)
{
	struct request *request;

	TAILQ_FOREACH(request, &client->control->requests, entry)
	{
		if (request->client == client)
			request->client = NULL;
	}
}

void
requests_release(struct control *control)
{
	struct request *request;

	while ((request = TAILQ_FIRST(&control->requests))) {
		request->client = NULL;
		request_free(request);
	}
}

void
requests_stop(struct control *control)
{
	struct request *request = TAILQ_FIRST(&control->requests);

	while (request) {
		struct request *next = TAILQ_NEXT(request, entry);

		if (request->msg.type == MSG_OP_SHUTDOWN && request->call_id &&
		    request->call.upstream == UP_AGENTD && request->sent)
			request_reply_ok(request, 0);
		request = next;
	}
}
