/* What every daemon counts, asked for one after the other and joined; who is away is left out. */
#include "common/metrics.h"

#include <errno.h>

#include "common/cleanup.h"
#include "requests.h"

static void ask_next(struct request *request);

/* 0 or -errno. Only metrics, and no more than a reader takes. */
static int
join(struct rows *rows, int fd)
{
	struct rows_reader *reader = rows_open(fd);
	struct msg row;
	int rc = reader ? 1 : -errno;

	while (reader && (rc = rows_next(reader, &row)) > 0) {
		if (row.type != MSG_METRIC || rows_count(rows) == METRICS_ROWS_MAX)
			continue;
		rc = rows_add(rows, &row);
		if (rc < 0)
			break;
	}
	rows_close(reader);
	return rc < 0 ? rc : 0;
}

/* Takes rows over. */
static void
finish(struct request *request, struct rows *rows)
{
	struct audit *audit = request->control->audit;
	uint64_t entries = audit ? audit_entries(audit) : 0;
	struct msg answer;
	int rc = entries ? metric_add(rows, METRIC_AUDIT_ENTRIES, "", "", entries) : 0;

	msg_init(&answer, MSG_ROWS);
	answer.rows.count = rows_count(rows);
	if (rc == 0)
		rc = rows_seal(rows);
	else
		rows_free(rows);
	if (rc < 0) {
		request_fail_rows(request, "a daemon");
		return;
	}
	msg_add_fd(&answer, rc);
	request_reply(request, &answer);
}

/* Each answer is joined to those before it, which lie sealed in rows_fd. */
static void
answered(struct request *request, struct msg *answer)
{
	struct rows *rows = rows_new("metrics");
	int rc = rows ? 0 : -errno;

	if (rc == 0 && request->rows_fd >= 0)
		rc = join(rows, request->rows_fd);
	if (rc == 0 && answer)
		rc = join(rows, answer->fds[0]);
	close_fd(&request->rows_fd);
	if (rc == 0 && ++request->asked < UP_COUNT) {
		rc = request->rows_fd = rows_seal(rows);
		rows = NULL;
	} else if (rc == 0) {
		finish(request, rows);
		return;
	}
	rows_free(rows);
	if (rc < 0)
		request_fail_rows(request, "a daemon");
	else
		ask_next(request);
}

static void
ask_next(struct request *request)
{
	struct call call = {
	    .upstream = (enum upstream)request->asked,
	    .flags = CALL_REPEATED,
	    .expected = MSG_ROWS,
	    .wait_ms = STATUS_WAIT_MS,
	    .then = answered,
	    .optional = true,
	};
	struct msg msg;

	msg_init(&msg, MSG_METRICS_QUERY);
	request_call(request, &call, &msg);
}

void
request_metrics(struct request *request)
{
	if (request->control->audit)
		audit_entries(request->control->audit); /* there when the others have answered */
	ask_next(request);
}
