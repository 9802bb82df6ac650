/* Whether the MACs of the audit log are right, for an operator: secretd has the key and nobody
 * else. The files are agentd's; they are read in steps, with all other work between them. */
#include <stdlib.h>
#include <string.h>

#include "chain.h"
#include "common/cleanup.h"
#include "requests.h"

enum { STEP_BYTES = 1 << 20 /* some 5 ms */ };

struct macs {
	struct secretd *s;
	struct client *client;
	uint32_t id;
	int fds[AUDIT_FILES_MAX]; /* oldest first */
	unsigned count, at;
	struct chain_walk walk;
	struct loop_source *step;
	struct msg_audit_macs found;
};

static void
macs_free(struct macs *m)
{
	m->s->macs = NULL;
	loop_remove(m->step);
	chain_walk_free(&m->walk);
	for (unsigned i = 0; i < m->count; i++)
		close(m->fds[i]);
	free(m);
}

void
macs_forget(struct secretd *s, const struct client *client)
{
	if (s->macs && s->macs->client == client)
		macs_free(s->macs);
}

static void
check_entry(const char *line, size_t length, const struct chain *link, void *arg)
{
	struct macs *m = arg;
	const uint8_t *key = store_audit_key(m->s->store);
	enum chain_mac_found found = key ? chain_mac_check(key, line, length) : CHAIN_MAC_NONE;

	if (found == CHAIN_MAC_NONE)
		return;
	m->found.covered_seq = link->seq;
	m->found.right += found == CHAIN_MAC_RIGHT;
	if (found == CHAIN_MAC_WRONG && !m->found.wrong_seq)
		m->found.wrong_seq = link->seq;
}

static void
reply(struct macs *m)
{
	struct msg msg;

	msg_init(&msg, MSG_AUDIT_MACS);
	msg.audit_macs = m->found;
	msg.audit_macs.entries = m->walk.entries;
	msg.audit_macs.last_seq = m->walk.at.seq;
	memcpy(msg.audit_macs.problem, m->walk.problem, sizeof(msg.audit_macs.problem));
	client_reply(m->client, m->id, &msg);
}

static void
step(struct loop_source *source, void *arg)
{
	struct error error = ERROR_INIT;
	struct macs *m = arg;
	int rc = chain_walk_some(&m->walk, m->fds[m->at], STEP_BYTES);

	if (rc < 0) {
		error_errno(&error, -rc, "reading the audit log");
		client_error(m->client, m->id, &error);
		macs_free(m);
		return;
	}
	m->at += rc == 0;
	if (m->at < m->count) {
		loop_arm_in(source, 0);
		return;
	}
	reply(m);
	macs_free(m);
}

static int
begin(struct secretd *s, struct call *call, struct msg *answer)
{
	struct macs *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->s = s;
	s->macs = m;
	m->client = call->client;
	m->id = call->request.id;
	m->walk.fn = check_entry;
	m->walk.arg = m;
	m->walk.from_middle = answer->audit_log.left_out > 0;
	m->count = answer->nfds;
	for (unsigned i = 0; i < m->count; i++)
		m->fds[m->count - 1 - i] = msg_take_fd(answer, i);
	m->step = loop_add_timer(s->loop, step, m);
	if (!m->step) {
		macs_free(m);
		return -ENOMEM;
	}
	loop_arm_in(m->step, 0);
	return 0;
}

static void
found_log(struct secretd *s, struct call *call, struct msg *answer)
{
	struct error error = ERROR_INIT;

	if (!call->client)
		return;
	if (s->macs)
		error_why(&error, ERR_CONFLICT, "it is being verified for another; try again");
	else if (answer && answer->type == MSG_ERROR)
		msg_to_error(answer, &error);
	else if (!answer || answer->type != MSG_AUDIT_LOG)
		error_why(&error, ERR_UNREACHABLE, "agentd went away");
	else if (begin(s, call, answer) < 0)
		error_why(&error, ERR_FAILED, "out of memory");
	if (error.code)
		client_error(call->client, call->request.id, &error);
}

void
request_macs(struct client *client, struct msg *msg)
{
	struct error error = ERROR_INIT;
	struct msg question;

	msg_init(&question, MSG_AUDIT_LOG_QUERY);
	if (call_ask(client->s, client->s->agentd, &question, client, msg, found_log) == 0)
		return;
	error_why(&error, ERR_UNREACHABLE, "agentd went away");
	client_error(client, msg->id, &error);
}
