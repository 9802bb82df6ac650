#include "operators.h"

#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "common/listener.h"
#include "common/log.h"
#include "requests.h"

/* --- replies and the log
 * -------------------------------------------------------------------------- */

void
client_reply(struct client *client, uint32_t id, struct msg *reply)
{
	if (!client) {
		msg_close_fds(reply);
		return;
	}
	reply->id = id;
	channel_send(client->channel, reply);
}

void
client_ok(struct client *client, uint32_t id, uint64_t value)
{
	if (client)
		channel_reply_ok(client->channel, id, value);
}

void
client_error(struct client *client, uint32_t id, const struct error *error)
{
	if (client)
		channel_reply_error(client->channel, id, error);
}

static void
copy_text(char *to, size_t size, const char *text)
{
	snprintf(to, size, "%s", text ? text : "");
}

void
audit_secret(struct secretd *s, const struct client *client, const struct audited *what,
	     const char *fmt, ...)
{
	struct msg_audit entry = {.by_operator = client != NULL,
				  .allowed = what->error == NULL,
				  .version = what->version};
	char detail[512];
	va_list args;

	copy_text(entry.action, sizeof(entry.action), what->action);
	copy_text(entry.agent, sizeof(entry.agent), what->agent);
	copy_text(entry.secret, sizeof(entry.secret), what->secret);
	copy_text(entry.purpose, sizeof(entry.purpose), what->purpose);
	if (what->session)
		entry.session = *what->session;
	if (client) {
		entry.uid = client->peer.uid;
		entry.pid = client->peer.pid;
		entry.login_uid = client->peer.login_uid;
	}
	va_start(args, fmt);
	vsnprintf(detail, sizeof(detail), fmt, args);
	va_end(args);
	snprintf(entry.detail, sizeof(entry.detail), "%s%s%.500s", detail,
		 *detail && what->error ? ": " : "", what->error ? what->error->why : "");
	writer_add(s->writer, ROLE_SECRETD, &entry);
}

/* --- questions
 * ------------------------------------------------------------------------------------- */

static void
rest(struct client *client, bool waits)
{
	client->waits = waits;
	if (client->channel)
		channel_pause(client->channel, waits);
}

static void
call_free(struct call *call)
{
	msg_close_fds(&call->request);
	free(call);
}

int
call_ask(struct secretd *s, struct channel *whom, struct msg *question, struct client *client,
	 struct msg *request, call_fn *then)
{
	struct call *call = calloc(1, sizeof(*call));
	int rc;

	if (!call || !whom) {
		msg_close_fds(question);
		free(call);
		return call ? -ENOTCONN : -ENOMEM;
	}
	question->id = call->id = ++s->last_call ? s->last_call : ++s->last_call;
	rc = channel_send(whom, question);
	if (rc < 0) {
		free(call);
		return rc;
	}
	call->asked = whom;
	call->client = client;
	call->then = then;
	if (request) {
		call->request = *request;
		request->nfds = 0;
	}
	call->next = s->calls;
	s->calls = call;
	if (client)
		rest(client, true);
	return 0;
}

static void
call_done(struct secretd *s, struct call *call, struct msg *answer)
{
	struct call **at = &s->calls;

	while (*at != call)
		at = &(*at)->next;
	*at = call->next;
	if (call->client)
		rest(call->client, false);
	call->then(s, call, answer);
	call_free(call);
}

bool
call_answered(struct secretd *s, const struct channel *by, struct msg *answer)
{
	for (struct call *call = s->calls; call; call = call->next)
		if (call->asked == by && call->id == answer->id) {
			call_done(s, call, answer);
			return true;
		}
	return false;
}

void
calls_give_up(struct secretd *s, const struct channel *whom)
{
	struct call *call = s->calls;

	while (call) {
		if (call->asked == whom) {
			call_done(s, call, NULL);
			call = s->calls; /* the list may be another now */
		} else {
			call = call->next;
		}
	}
}

/* --- connections
 * ----------------------------------------------------------------------------------- */

static void
client_free(struct client *client)
{
	struct secretd *s = client->s;
	struct client **at = &s->clients;

	while (*at != client)
		at = &(*at)->next;
	*at = client->next;
	for (struct call *call = s->calls; call; call = call->next)
		if (call->client == client)
			call->client = NULL;
	macs_forget(s, client);
	channel_free(client->channel);
	close_fd(&client->fd);
	listener_left(s->listener, client->uid);
	free(client);
}

static void
client_message(struct channel *channel, struct msg *msg, void *arg)
{
	(void)channel;
	request_run(arg, msg);
}

static void
client_closed(struct channel *channel, const struct error *error, void *arg)
{
	struct client *client = arg;

	(void)channel;
	if (error)
		log_problem(LOG_LEVEL_INFO, error);
	client->channel = NULL; /* freed by its caller */
	client_free(client);
}

static const struct channel_ops client_ops = {
    .message = client_message,
    .closed = client_closed,
};

/* agentd looked at the connection: who it is goes into every entry of the log. */
static void
identified(struct secretd *s, struct call *call, struct msg *answer)
{
	struct client *client = call->client;

	if (!client)
		return;
	if (!answer || answer->type != MSG_PEER) {
		client_free(client);
		return;
	}
	client->peer = answer->peer;
	client->channel = channel_new(s->loop, steal_fd(&client->fd), CH_SECRETS, SIDE_B,
				      ROLE_SECRETD, ROLE_ASH, &client_ops, client);
	if (!client->channel)
		client_free(client);
}

static bool
refused(const struct custody_rules *rules, uid_t uid)
{
	for (size_t i = 0; i < ARRAY_LEN(rules->daemons); i++)
		if (rules->daemons[i] == uid)
			return true;
	return uid >= rules->agents_first && uid < rules->agents_end;
}

/* The socket's mode lets in root and the operators' group; no daemon and no agent is either. */
static bool
admit(int connection, const struct ucred *peer, void *arg)
{
	_cleanup_close_ int fd = connection;
	struct secretd *s = arg;
	struct client *client;
	struct msg question;

	if (refused(&s->rules, peer->uid)) {
		log_warn("uid %u is a daemon's or an agent's: refused at the operator socket",
			 peer->uid);
		return false;
	}
	client = calloc(1, sizeof(*client));
	if (!client)
		return false;
	client->s = s;
	client->fd = steal_fd(&fd);
	client->uid = peer->uid;
	client->next = s->clients;
	s->clients = client;
	msg_init(&question, MSG_PEER_QUERY);
	if (!msg_add_fd(&question, fcntl(client->fd, F_DUPFD_CLOEXEC, 3)) ||
	    call_ask(s, s->agentd, &question, client, NULL, identified) < 0)
		client_free(client);
	return true;
}

int
operators_listen(struct secretd *s, int fd)
{
	const struct listener_bounds bounds = {.connections = OPERATORS_MAX,
					       .per_uid = OPERATORS_PER_UID};

	s->listener = listener_new(s->loop, fd, &bounds, admit, s);
	return s->listener ? 0 : -errno;
}

void
operators_free(struct secretd *s)
{
	while (s->clients)
		client_free(s->clients);
	while (s->calls) {
		struct call *call = s->calls;

		s->calls = call->next;
		call_free(call);
	}
	listener_free(s->listener);
	s->listener = NULL;
}
