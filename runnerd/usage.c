#include "usage.h"

#include <errno.h>

#include "common/cleanup.h"
#include "session.h"
#include "tools.h"

const char *
call_outcome_name(uint8_t outcome)
{
	static const char *const names[CALL_OUTCOMES] = {
	    [CALL_OK] = "ok",
	    [CALL_TOOL_ERROR] = "tool-error",
	    [CALL_ERROR] = "error",
	    [CALL_TIMED_OUT] = "timed-out",
	    [CALL_CANCELLED] = "cancelled",
	    [CALL_DIED] = "died",
	    [CALL_BUSY] = "busy",
	    [CALL_REFUSED] = "refused",
	    [CALL_DENIED] = "denied",
	    [CALL_EXPIRED] = "expired",
	    [CALL_BUDGET] = "budget",
	    [CALL_INVALID] = "invalid",
	};

	return outcome < CALL_OUTCOMES ? names[outcome] : NULL;
}

void
usage_call(struct usage *usage, uint8_t outcome, uint64_t took_us)
{
	if (outcome >= CALL_OUTCOMES)
		return;
	usage->calls[outcome]++;
	histogram_note(&usage->call_time, took_us);
}

static uint64_t
asks_pending(const struct runnerd *r)
{
	uint64_t count = 0;

	for (const struct session *s = r->sessions->first; s; s = s->next)
		for (const struct ask *ask = s->tools ? s->tools->asks : NULL; ask; ask = ask->next)
			count++;
	return count;
}

static int
add_calls(const struct usage *usage, struct rows *rows)
{
	uint64_t all = 0;
	int rc = 0;

	for (uint8_t i = 0; rc == 0 && i < CALL_OUTCOMES; i++) {
		all += usage->calls[i];
		if (i != CALL_OK)
			rc = metric_add(rows, METRIC_TOOL_ERRORS, call_outcome_name(i), "",
					usage->calls[i]);
	}
	if (rc == 0)
		rc = metric_add(rows, METRIC_TOOL_CALLS, "", "", all);
	return rc == 0 ? metric_add_histogram(rows, METRIC_TOOL_TIME, "", &usage->call_time) : rc;
}

/* Takes rows over. The sealed memfd or -errno. */
static int
fill(const struct runnerd *r, struct rows *rows, uint32_t *count)
{
	const struct {
		enum metric metric;
		uint64_t value;
	} plain[] = {
	    {METRIC_APPROVALS, asks_pending(r)}, {METRIC_RECEIVED, r->usage.received_bytes},
	    {METRIC_SENT, r->usage.sent_bytes},  {METRIC_DENIALS, r->usage.denials},
	    {METRIC_SECRETS, r->usage.secrets},
	};
	int rc = add_calls(&r->usage, rows);

	for (size_t i = 0; rc == 0 && i < ARRAY_LEN(plain); i++)
		rc = metric_add(rows, plain[i].metric, "", "", plain[i].value);
	*count = rows_count(rows);
	if (rc == 0)
		return rows_seal(rows);
	rows_free(rows);
	return rc;
}

void
metrics_query(struct runnerd *r, struct channel *channel, struct msg *msg)
{
	struct rows *rows = rows_new("metrics");
	struct error error = ERROR_INIT;
	struct msg answer;
	int fd;

	msg_init(&answer, MSG_ROWS);
	answer.id = msg->id;
	fd = rows ? fill(r, rows, &answer.rows.count) : -errno;
	if (fd < 0) {
		error_errno(&error, -fd, "collecting metrics");
		channel_reply_error(channel, msg->id, &error);
		return;
	}
	msg_add_fd(&answer, fd);
	channel_send(channel, &answer);
}
