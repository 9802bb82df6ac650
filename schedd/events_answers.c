/* What control asks of events; see events.h. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/cleanup.h"
#include "common/glob.h"
#include "common/log.h"
#include "common/scan.h"
#include "deliver.h"
#include "event_match.h"
#include "events.h"

/* --- emit ---------------------------------------------------------------------------------- */

static void
tell_control(struct schedd *schedd, const struct event_told *told, const struct event *event,
	     bool repeated, const struct error *error)
{
	struct msg msg;

	if (!schedd->control || !told->request)
		return;
	if (error) {
		channel_reply_error(schedd->control, told->request, error);
		return;
	}
	msg_init(&msg, MSG_EVENT_STORED);
	msg.id = told->request;
	snprintf(msg.event_stored.type, sizeof(msg.event_stored.type), "%s", event->type);
	snprintf(msg.event_stored.source, sizeof(msg.event_stored.source), "%s", event->source);
	snprintf(msg.event_stored.id, sizeof(msg.event_stored.id), "%s", event->id);
	msg.event_stored.replay = event->replay;
	msg.event_stored.at_ms = event->at_ms;
	msg.event_stored.repeated = repeated;
	channel_send(schedd->control, &msg);
}

/* Control has looked at it already; here it is looked at by who will read it. */
static int
read_data(const uint8_t *bytes, size_t length, struct event *event, struct error *error)
{
	struct span value;
	const char *fault = scan((struct span){(const char *)bytes, length}, &value);

	if (fault)
		return error_why(error, ERR_USAGE, "the data is not JSON: %s", fault);
	event->data = (const uint8_t *)value.at;
	event->data_length = value.length;
	return 0;
}

/* With the data that came as the message's descriptor. 0, or -1 with error: it is none. */
static int
accept_data(struct schedd *schedd, const struct msg *msg, struct event *event,
	    const struct event_told *told, struct error *error)
{
	const uint8_t *bytes = NULL;
	size_t length = 0;
	int rc = msg->nfds ? memfd_map(msg->fds[0], EVENT_DATA_MAX, &bytes, &length) : 0;

	if (rc < 0)
		return error_errno(error, -rc, "mapping the event's data");
	if (msg->nfds)
		rc = read_data(bytes, length, event, error);
	if (rc == 0)
		events_accept(schedd->events, event, false, told);
	if (bytes)
		munmap((void *)bytes, length);
	return rc;
}

void
events_emit(struct schedd *schedd, const struct msg *msg)
{
	const struct msg_event_emit *asked = &msg->event_emit;
	struct event_told told = {.fn = tell_control, .request = msg->id};
	struct error error = ERROR_INIT;
	struct event event = {.type = asked->type,
			      .source = asked->source,
			      .id = asked->id,
			      .subject = asked->subject,
			      .uid = asked->uid,
			      .pid = asked->pid,
			      .login_uid = asked->login_uid,
			      .operator= asked->operator,
			      .delivered = true };

	if (accept_data(schedd, msg, &event, &told, &error) < 0)
		channel_reply_error(schedd->control, msg->id, &error);
}

/* --- of agents ----------------------------------------------------------------------------- */

static void
acknowledge(struct schedd *schedd, const struct uuid *event)
{
	struct msg msg;

	if (!schedd->runnerd)
		return;
	msg_init(&msg, MSG_AGENT_EVENT_ACK);
	msg.agent_event_ack.event = *event;
	channel_send(schedd->runnerd, &msg);
}

/* What could not be stored is told again. */
static void
tell_runnerd(struct schedd *schedd, const struct event_told *told, const struct event *event,
	     bool repeated, const struct error *error)
{
	(void)event;
	(void)repeated;
	if (!error || error->code == ERR_CONFLICT)
		acknowledge(schedd, &told->event);
}

void
events_from_agent(struct schedd *schedd, const struct msg *msg)
{
	const struct msg_agent_event *said = &msg->agent_event;
	struct event_told told = {.fn = tell_runnerd, .event = said->event};
	char source[EVENT_NAME_MAX + 1], session[UUID_TEXT_LEN + 1], id[UUID_TEXT_LEN + 1];
	struct error error = ERROR_INIT;
	struct event event = {.type = said->type,
			      .source = source,
			      .id = uuid_format(&said->event, id),
			      .subject = said->subject,
			      .operator= "",
			      .uid = UINT32_MAX,
			      .login_uid = UINT32_MAX};

	snprintf(source, sizeof(source), AGENT_SOURCE "%s/sessions/%s", said->agent,
		 uuid_format(&said->session, session));
	event.depth = deliver_depth_of(schedd, &said->session) + 1;
	if (accept_data(schedd, msg, &event, &told, &error) == 0)
		return;
	log_session(LOG_LEVEL_WARNING, &said->session, "an event that it emitted is dropped: %s",
		    error.why);
	acknowledge(schedd, &said->event);
}

/* --- finding one ----------------------------------------------------------------------------- */

struct finding {
	int64_t seq;
	char source[EVENT_NAME_MAX + 1];
	unsigned sources;
};

static int
find(const struct event *event, void *arg)
{
	struct finding *finding = arg;

	if (!finding->sources || strcmp(finding->source, event->source) != 0)
		finding->sources++;
	finding->seq = event->seq;
	snprintf(finding->source, sizeof(finding->source), "%s", event->source);
	return 0;
}

/* The oldest row that is kept of it: the event itself, or a replay. */
static int
find_event(struct schedd *schedd, const char *source, const char *id, struct finding *finding,
	   struct error *error)
{
	struct event_filter filter = {.source = source, .id = id};

	*finding = (struct finding){0};
	if (events_table_each(events_table_of(schedd->events), &filter, find, finding, error) < 0)
		return -1;
	if (finding->sources == 1)
		return 0;
	if (finding->sources) {
		error_why(error, ERR_CONFLICT, "several sources have told an event %s", id);
		return error_hint(error, "say which: --source S");
	}
	error_why(error, ERR_NOT_FOUND, "no event %s%s%s is kept", id, *source ? " of " : "",
		  source);
	return error_hint(error, "'ash event list' shows those that are");
}

/* --- list and show --------------------------------------------------------------------------- */

struct event_rows {
	const struct msg_event_query *asked;
	struct rows *rows;
	int failed, data_fd;
};

static void
fill_row(const struct event *event, struct msg *record)
{
	msg_init(record, MSG_EVENT_ROW);
	snprintf(record->event_row.type, sizeof(record->event_row.type), "%s", event->type);
	snprintf(record->event_row.source, sizeof(record->event_row.source), "%s", event->source);
	snprintf(record->event_row.id, sizeof(record->event_row.id), "%s", event->id);
	snprintf(record->event_row.subject, sizeof(record->event_row.subject), "%s",
		 event->subject);
	snprintf(record->event_row.operator, sizeof(record->event_row.operator), "%s",
		 event->operator);
	record->event_row.replay = event->replay;
	record->event_row.at_ms = event->at_ms;
	record->event_row.repeats = event->repeats;
	record->event_row.delivered = event->delivered;
	record->event_row.has_data = event->has_data;
	record->event_row.data_bytes = event->data_length;
}

static int
add_event(const struct event *event, void *arg)
{
	struct event_rows *walk = arg;
	struct msg record;

	if (walk->asked->type[0] && !glob_match(walk->asked->type, event->type))
		return 0;
	fill_row(event, &record);
	walk->failed = rows_add(walk->rows, &record);
	return walk->failed || (walk->asked->limit && rows_count(walk->rows) >= walk->asked->limit);
}

static int
copy_data(const struct event *event, void *arg)
{
	struct event_rows *walk = arg;

	if (event->data)
		walk->data_fd = memfd_sealed("event", event->data, event->data_length);
	if (walk->data_fd < -1)
		walk->failed = walk->data_fd;
	return 1;
}

static int
collect(struct schedd *schedd, struct event_rows *walk, struct error *error)
{
	const struct msg_event_query *asked = walk->asked;
	struct event_filter filter = {
	    .source = asked->source, .id = asked->id, .since_ms = asked->since_ms};
	struct events_table *table = events_table_of(schedd->events);
	struct finding finding;

	if (asked->id[0]) {
		if (find_event(schedd, asked->source, asked->id, &finding, error) < 0)
			return -1;
		filter.source = finding.source;
		if (events_table_get(table, finding.seq, copy_data, walk, error) < 0)
			return -1;
	}
	return events_table_each(table, &filter, add_event, walk, error);
}

/* Seals what was collected into the answer. A list that outgrew its bound ends there. */
static int
finish(struct event_rows *walk, int rc, struct msg *answer, struct error *error)
{
	_cleanup_close_ int data = walk->data_fd;
	uint32_t count = rows_count(walk->rows);
	int fd;

	if (rc == 0 && walk->failed != 0 && walk->failed != -EFBIG)
		rc = error_errno(error, -walk->failed, "collecting events");
	if (rc < 0) {
		rows_free(walk->rows);
		return -1;
	}
	fd = rows_seal(walk->rows);
	if (fd < 0)
		return error_errno(error, -fd, "sealing rows");
	msg_init(answer, MSG_ROWS);
	answer->rows.count = count;
	msg_add_fd(answer, fd);
	if (data >= 0)
		msg_add_fd(answer, steal_fd(&data));
	return 0;
}

void
events_query(struct schedd *schedd, const struct msg *msg)
{
	struct event_rows walk = {
	    .asked = &msg->event_query, .rows = rows_new("events"), .data_fd = -1};
	struct error error = ERROR_INIT;
	struct msg answer;
	int rc = -1;

	if (walk.rows)
		rc = finish(&walk, collect(schedd, &walk, &error), &answer, &error);
	else
		error_errno(&error, errno, "making a memfd for rows");
	if (rc < 0) {
		channel_reply_error(schedd->control, msg->id, &error);
		return;
	}
	answer.id = msg->id;
	channel_send(schedd->control, &answer);
}

/* --- of one session ------------------------------------------------------------------------ */

struct one_row {
	struct rows *rows;
	int failed;
};

static int
add_one(const struct event *event, void *arg)
{
	struct one_row *one = arg;
	struct msg record;

	fill_row(event, &record);
	one->failed = rows_add(one->rows, &record);
	return 1;
}

int
events_add_row(struct events *events, int64_t seq, struct rows *rows)
{
	struct one_row one = {.rows = rows};
	struct error error = ERROR_INIT;

	if (events_table_get(events_table_of(events), seq, add_one, &one, &error) < 0)
		log_problem(LOG_LEVEL_WARNING, &error);
	return one.failed;
}

/* --- replay ---------------------------------------------------------------------------------- */

struct replaying {
	struct schedd *schedd;
	const struct msg *msg;
};

static int
accept_again(const struct event *event, void *arg)
{
	const struct replaying *replaying = arg;
	const struct msg_event_replay *asked = &replaying->msg->event_replay;
	struct event_told told = {.fn = tell_control, .request = replaying->msg->id};
	struct event again = *event;

	again.uid = asked->uid;
	again.pid = asked->pid;
	again.login_uid = asked->login_uid;
	again.operator= asked->operator;
	events_accept(replaying->schedd->events, &again, true, &told);
	return 1;
}

void
events_replay(struct schedd *schedd, const struct msg *msg)
{
	const struct msg_event_replay *asked = &msg->event_replay;
	struct replaying replaying = {.schedd = schedd, .msg = msg};
	struct error error = ERROR_INIT;
	struct finding finding;
	int rc = find_event(schedd, asked->source, asked->id, &finding, &error);

	if (rc == 0)
		rc = events_table_get(events_table_of(schedd->events), finding.seq, accept_again,
				      &replaying, &error);
	if (rc < 0)
		channel_reply_error(schedd->control, msg->id, &error);
}
