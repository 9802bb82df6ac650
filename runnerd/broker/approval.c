/* Calls that wait for an operator: held as they would be sent, until answered, cancelled, expired.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "state.h"

static void
tell(struct call *call)
{
	struct msg msg;
	int arguments = fcntl(call->ask_fd, F_DUPFD_CLOEXEC, 0);

	msg_init(&msg, MSG_BROKER_ASK);
	if (!msg_add_fd(&msg, arguments))
		return;
	msg.broker_ask = (struct msg_broker_ask){
	    .ask = call->ask,
	    .server = call->server->number,
	    .asked_at_ms = call->asked_at_ms,
	    .expires_at_ms = call->expires_at_ms,
	    .argument_bytes = call->argument_bytes,
	};
	memcpy(msg.broker_ask.tool, call->tool, sizeof(call->tool));
	memcpy(msg.broker_ask.shape, call->shape, sizeof(call->shape));
	memcpy(msg.broker_ask.name, call->exposed, sizeof(call->exposed));
	link_send(call->broker, &msg);
}

static unsigned
waiting(const struct broker *broker)
{
	unsigned count = 0;

	for (size_t i = 0; i < CALLS_MAX; i++)
		count += broker->calls.slots[i] && broker->calls.slots[i]->ask != 0;
	return count;
}

static char *
joined(const struct iovec *pieces, int count, size_t *length)
{
	char *text;

	*length = 0;
	for (int i = 0; i < count; i++)
		*length += pieces[i].iov_len;
	text = malloc(*length + 1);
	for (size_t at = 0, i = 0; text && i < (size_t)count; at += pieces[i++].iov_len)
		if (pieces[i].iov_len > 0)
			memcpy(text + at, pieces[i].iov_base, pieces[i].iov_len);
	return text;
}

int
approval_ask(struct call *call, const struct iovec *pieces, int count, struct span arguments)
{
	struct broker *broker = call->broker;
	_cleanup_free_ char *shown = NULL;
	size_t length = 0;

	if (waiting(broker) >= ASKS_MAX)
		return -EBUSY;
	if (arguments.at)
		shown = clean_json(&broker->cleaner, arguments, &length);
	if (arguments.at && !shown)
		return -ENOMEM;
	call->ask_fd = memfd_sealed("arguments", shown ? shown : "",
				    length < ASK_BYTES_MAX ? length : ASK_BYTES_MAX);
	if (call->ask_fd < 0)
		return -ENOMEM;
	call->held = joined(pieces, count, &length);
	if (!call->held || !pool_take(&broker->pool, length))
		return -ENOMEM;
	call->held_length = length;
	call->ask = ++broker->next_ask;
	call->asked_at_ms = realtime_ms();
	call->expires_at_ms = call->asked_at_ms + broker->boot.approval_ms;
	call_start_clock(call, broker->boot.approval_ms);
	tell(call);
	return 0;
}

/* Called for each call that waits, whatever ends that. */
void
approval_closed(struct call *call, enum call_outcome outcome)
{
	struct msg msg;

	msg_init(&msg, MSG_BROKER_ASK_OVER);
	msg.broker_ask_over.ask = call->ask;
	msg.broker_ask_over.outcome = (uint8_t)outcome;
	link_send(call->broker, &msg);
	pool_give(&call->broker->pool, call->held_length);
	call->ask = 0;
	call->held_length = 0;
	close_fd(&call->ask_fd);
}

/* While it waited the plugin may have made another tool of it. */
static bool
still_accepted(const struct call *call)
{
	const struct item *item = catalog_find(&call->broker->catalogs[ITEM_TOOL], call->exposed);

	return item && item->state == TOOL_ASK;
}

void
approval_answer(struct broker *broker, const struct msg_broker_answer *answer)
{
	for (size_t i = 0; i < CALLS_MAX; i++) {
		struct call *call = broker->calls.slots[i];
		size_t length;

		if (!call || call->ask == 0 || call->ask != answer->ask)
			continue;
		memcpy(call->operator, answer->operator, sizeof(call->operator));
		if (!answer->allowed) {
			call_end(call, NULL, CALL_DENIED, "an operator denied this call");
			return;
		}
		if (!still_accepted(call)) {
			call_end(call, NULL, CALL_REFUSED,
				 "the definition of this tool has changed since it was called");
			return;
		}
		length = call->held_length;
		approval_closed(call, CALL_OK);
		call_start_clock(call, call->server->plan.timeout_ms);
		forward_allowed(call, length);
		return;
	}
}

void
approvals_tell(struct broker *broker)
{
	for (size_t i = 0; i < CALLS_MAX; i++)
		if (broker->calls.slots[i] && broker->calls.slots[i]->ask != 0)
			tell(broker->calls.slots[i]);
}
