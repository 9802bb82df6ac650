#include "asks.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>

#include "broker/broker.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/notice.h"
#include "session.h"
#include "tools.h"

enum {
	SESSION_ASKS_MAX = 64, /* a broker lets fewer wait */
	OVER_MAX = 256,        /* remembered */
};

struct over {
	struct uuid id;
	uint8_t outcome; /* enum call_outcome */
	char operator[OPERATOR_MAX + 1];
};

struct asks_over {
	struct over items[OVER_MAX];
	size_t next;
};

struct asks_over *
asks_over_new(void)
{
	return calloc(1, sizeof(struct asks_over));
}

void
asks_over_free(struct asks_over *over)
{
	free(over);
}

/* --- ids ---------------------------------------------------------------------------------------
 */

/* The time, then a hash over whose it is and which. */
static void
make_id(struct ask *ask, const struct session *s)
{
	uint8_t of[sizeof(s->id.bytes) + sizeof(uint64_t)], hash[crypto_generichash_BYTES_MIN];
	uint64_t at_ms = ask->call.asked_at_ms;

	memcpy(of, s->id.bytes, sizeof(s->id.bytes));
	memcpy(of + sizeof(s->id.bytes), &ask->call.ask, sizeof(uint64_t));
	crypto_generichash(hash, sizeof(hash), of, sizeof(of), NULL, 0);
	memcpy(ask->id.bytes, hash, sizeof(ask->id.bytes));
	for (int i = 5; i >= 0; i--, at_ms >>= 8)
		ask->id.bytes[i] = (uint8_t)at_ms;
	ask->id.bytes[6] = (uint8_t)(0x80 | (ask->id.bytes[6] & 0x0f)); /* version 8: our own */
	ask->id.bytes[8] = (uint8_t)(0x80 | (ask->id.bytes[8] & 0x3f));
}

static bool
begins_so(const struct uuid *id, const char *ref)
{
	char text[UUID_TEXT_LEN + 1];

	return strncasecmp(uuid_format(id, text), ref, strlen(ref)) == 0;
}

static void
notice_ask(const struct tools *tools, const struct ask *ask, enum notice_kind kind,
	   const char *text)
{
	struct runnerd *r = tools->s->r;
	struct msg msg;

	notice_init(&msg, kind);
	msg.notice.session = tools->s->id;
	msg.notice.ask = ask->id;
	memcpy(msg.notice.agent, tools->s->agent_name, sizeof(msg.notice.agent));
	snprintf(msg.notice.name, sizeof(msg.notice.name), "%s", ask->call.name);
	snprintf(msg.notice.source, sizeof(msg.notice.source), "%s",
		 tools->servers[ask->call.server].name);
	snprintf(msg.notice.text, sizeof(msg.notice.text), "%s", text);
	if (ask->answered)
		snprintf(msg.notice.by, sizeof(msg.notice.by), "%s", ask->answer.operator);
	notice_send(r->control, &r->missed, &msg);
}

/* --- told by brokers ---------------------------------------------------------------------------
 */

static struct ask **
find_told(struct tools *tools, uint64_t number)
{
	struct ask **at = &tools->asks;

	while (*at && (*at)->call.ask != number)
		at = &(*at)->next;
	return at;
}

void
asks_told(struct tools *tools, struct msg *msg)
{
	struct ask *ask, **at = find_told(tools, msg->broker_ask.ask);
	unsigned count = 0;

	if (*at || msg->broker_ask.server >= tools->count)
		return; /* told again */
	for (ask = tools->asks; ask; ask = ask->next)
		count++;
	ask = count < SESSION_ASKS_MAX ? calloc(1, sizeof(*ask)) : NULL;
	if (!ask)
		return; /* it expires */
	ask->call = msg->broker_ask;
	ask->arguments = msg_take_fd(msg, 0);
	make_id(ask, tools->s);
	*at = ask;
	log_session(LOG_LEVEL_INFO, &tools->s->id, "a call of %s waits for an operator",
		    ask->call.name);
	notice_ask(tools, ask, NOTICE_CALL_ASKED, ask->call.shape);
}

static const char *
outcome_words(uint8_t outcome)
{
	switch (outcome) {
	case CALL_OK:
		return "approved";
	case CALL_DENIED:
		return "denied";
	case CALL_EXPIRED:
	case CALL_TIMED_OUT:
		return "over: nobody had answered in time";
	case CALL_CANCELLED:
		return "over: the agent waits for it no more";
	case CALL_REFUSED:
		return "over: the definition of its tool has changed";
	default:
		return "over: its plugin or its session has ended";
	}
}

static void
say_over(struct error *error, uint8_t outcome, const char *operator)
{
	error_why(error, ERR_CONFLICT, "the call is %s already%s%s",
		  outcome_words(outcome), operator[0] ? ", by " : "", operator);
}

/* Who answered hears whether it counted. */
static void
tell_operator(const struct runnerd *r, const struct ask *ask, uint8_t outcome)
{
	bool counted = outcome == (ask->answer.allowed ? CALL_OK : CALL_DENIED);
	struct error error = ERROR_INIT;

	if (!ask->answered || !r->control || r->controls != ask->control)
		return;
	if (counted) {
		channel_reply_ok(r->control, ask->request, 0);
		return;
	}
	say_over(&error, outcome, "");
	channel_reply_error(r->control, ask->request, &error);
}

/* control writes its own line; this one stands whoever speaks for control. */
static void
audit_answer(const struct tools *tools, const struct ask *ask, uint8_t outcome)
{
	const struct msg_ask_answer *answer = &ask->answer;
	bool counted = outcome == (answer->allowed ? CALL_OK : CALL_DENIED);
	struct msg_audit line = {.by_operator = true,
				 .session = tools->s->id,
				 .uid = answer->uid,
				 .pid = answer->pid,
				 .login_uid = answer->login_uid,
				 .allowed = counted};

	snprintf(line.action, sizeof(line.action), "%s",
		 answer->allowed ? "tool.approve" : "tool.deny");
	memcpy(line.agent, tools->s->agent_name, sizeof(line.agent));
	snprintf(line.detail, sizeof(line.detail), "%s: arguments %s (%llu bytes)%s%s",
		 ask->call.name, ask->call.shape, (unsigned long long)ask->call.argument_bytes,
		 counted ? "" : ": ", counted ? "" : outcome_words(outcome));
	audit_send(tools->s->r->audit, &line);
}

/* Takes ask out and frees it. */
static void
end_ask(struct tools *tools, struct ask **at, uint8_t outcome)
{
	struct runnerd *r = tools->s->r;
	struct ask *ask = *at;
	struct over *over = &r->asks_over->items[r->asks_over->next++ % OVER_MAX];

	*over = (struct over){.id = ask->id, .outcome = outcome};
	if (ask->answered) {
		memcpy(over->operator, ask->answer.operator, sizeof(over->operator));
		audit_answer(tools, ask, outcome);
	}
	notice_ask(tools, ask, NOTICE_CALL_DECIDED, outcome_words(outcome));
	tell_operator(r, ask, outcome);
	*at = ask->next;
	close_fd(&ask->arguments);
	free(ask);
}

void
asks_told_over(struct tools *tools, const struct msg_broker_ask_over *over)
{
	struct ask **at = find_told(tools, over->ask);

	if (*at)
		end_ask(tools, at, over->outcome);
}

/* The session is over; or runnerd is, and the answers that are on their way count all the same. */
void
asks_drop(struct tools *tools)
{
	while (tools->asks)
		end_ask(tools, &tools->asks, CALL_DIED);
}

/* --- asked by operators ------------------------------------------------------------------------
 */

struct found {
	struct tools *tools;
	struct ask *ask;
	size_t count;
};

static void
find(const struct runnerd *r, const char *ref, struct found *found)
{
	*found = (struct found){0};
	for (struct session *s = r->sessions->first; s; s = s->next)
		for (struct ask *ask = s->tools ? s->tools->asks : NULL; ask; ask = ask->next)
			if (begins_so(&ask->id, ref)) {
				found->tools = s->tools;
				found->ask = ask;
				found->count++;
			}
}

static int
say_none(const struct runnerd *r, const char *ref, struct error *error)
{
	const struct over *last = NULL;

	for (size_t i = 0; i < OVER_MAX; i++) {
		const struct over *over = &r->asks_over->items[i];

		if (!uuid_is_nil(&over->id) && begins_so(&over->id, ref))
			last = over;
	}
	if (last)
		say_over(error, last->outcome, last->operator);
	else
		error_why(error, ERR_NOT_FOUND, "no call '%s' waits for an operator", ref);
	return error_hint(error, "'ash pending' lists those that do");
}

/* The one call that is meant, or -1 with error. */
static int
find_one(const struct runnerd *r, const char *ref, struct found *found, struct error *error)
{
	find(r, ref, found);
	if (found->count == 0)
		return say_none(r, ref, error);
	if (found->count == 1)
		return 0;
	error_why(error, ERR_NOT_FOUND, "'%s' is the beginning of several ids", ref);
	return error_hint(error, "give more of it; 'ash pending' lists them");
}

static int
add_arguments(struct rows *rows, const struct ask *ask)
{
	const uint8_t *bytes = NULL;
	size_t length = 0;
	struct msg part;
	int rc = memfd_map(ask->arguments, ASK_BYTES_MAX, &bytes, &length);

	msg_init(&part, MSG_TEXT_PART);
	for (size_t at = 0, size; rc == 0 && at < length; at += size) {
		size = length - at;
		if (size > sizeof(part.text_part.text))
			size = sizeof(part.text_part.text);
		part.text_part.text_len = (uint32_t)size;
		memcpy(part.text_part.text, bytes + at, size);
		rc = rows_add(rows, &part);
	}
	if (bytes)
		munmap((void *)(uintptr_t)bytes, length);
	return rc;
}

static int
add_ask(struct rows *rows, const struct tools *tools, const struct ask *ask)
{
	const struct msg_broker_ask *call = &ask->call;
	struct msg row;
	int rc;

	msg_init(&row, MSG_ASK_ROW);
	row.ask_row = (struct msg_ask_row){.ask = ask->id,
					   .session = tools->s->id,
					   .asked_at_ms = call->asked_at_ms,
					   .expires_at_ms = call->expires_at_ms,
					   .argument_bytes = call->argument_bytes};
	memcpy(row.ask_row.agent, tools->s->agent_name, sizeof(row.ask_row.agent));
	memcpy(row.ask_row.server, tools->servers[call->server].name, SERVER_NAME_MAX + 1);
	memcpy(row.ask_row.tool, call->tool, sizeof(call->tool));
	memcpy(row.ask_row.name, call->name, sizeof(call->name));
	memcpy(row.ask_row.shape, call->shape, sizeof(call->shape));
	rc = rows_add(rows, &row);
	return rc == 0 ? add_arguments(rows, ask) : rc;
}

static int
add_asks(const struct runnerd *r, struct rows *rows)
{
	int rc = 0;

	for (struct session *s = r->sessions->first; s; s = s->next)
		for (struct ask *ask = s->tools ? s->tools->asks : NULL; rc == 0 && ask;
		     ask = ask->next)
			if (!ask->answered)
				rc = add_ask(rows, s->tools, ask);
	return rc;
}

void
asks_query(struct runnerd *r, struct channel *channel, struct msg *msg)
{
	const char *ref = msg->asks_query.ref;
	struct error error = ERROR_INIT;
	struct msg answer;
	struct found found;
	struct rows *rows;
	int rc;

	if (ref[0] && find_one(r, ref, &found, &error) < 0) {
		channel_reply_error(channel, msg->id, &error);
		return;
	}
	rows = rows_new("asks");
	rc = !rows ? -ENOMEM : ref[0] ? add_ask(rows, found.tools, found.ask) : add_asks(r, rows);
	msg_init(&answer, MSG_ROWS);
	answer.id = msg->id;
	answer.rows.count = rc == 0 ? rows_count(rows) : 0;
	if (rc == 0)
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

static int
pass_answer(const struct found *found, const struct msg_ask_answer *answer, struct error *error)
{
	struct channel *broker = found->tools->broker;
	struct msg msg;
	int rc;

	if (found->ask->answered) {
		say_over(error, found->ask->answer.allowed ? CALL_OK : CALL_DENIED,
			 found->ask->answer.operator);
		return -1;
	}
	if (!broker || channel_phase(broker) != IN_OPEN)
		return error_why(error, ERR_UNREACHABLE, "the session's broker is away");
	msg_init(&msg, MSG_BROKER_ANSWER);
	msg.broker_answer.ask = found->ask->call.ask;
	msg.broker_answer.allowed = answer->allowed;
	memcpy(msg.broker_answer.operator, answer->operator, sizeof(answer->operator));
	rc = channel_send(broker, &msg);
	return rc < 0 ? error_errno(error, -rc, "telling the session's broker") : 0;
}

void
ask_answer(struct runnerd *r, struct channel *channel, struct msg *msg)
{
	const struct msg_ask_answer *answer = &msg->ask_answer;
	struct error error = ERROR_INIT;
	char ref[UUID_TEXT_LEN + 1];
	struct found found;

	uuid_format(&answer->ask, ref);
	if (find_one(r, ref, &found, &error) < 0 || pass_answer(&found, answer, &error) < 0) {
		channel_reply_error(channel, msg->id, &error);
		return;
	}
	found.ask->answered = true;
	found.ask->answer = *answer;
	found.ask->control = r->controls;
	found.ask->request = msg->id;
}
