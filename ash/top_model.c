#include "top_model.h"

#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/loop.h"
#include "common/notice.h"
#include "output.h"
#include "rows.h"

int
top_model_init(struct top_model *model, struct ash *ash, struct error *error)
{
	*model = (struct top_model){.ash = ash};
	model->sessions = calloc(TOP_SESSIONS_MAX, sizeof(*model->sessions));
	return model->sessions ? 0 : out_of_memory(error);
}

void
top_model_free(struct top_model *model)
{
	free(model->sessions);
	asks_free(&model->asks);
}

/* --- order -------------------------------------------------------------------------------------
 */

static int
by_age(const void *a, const void *b)
{
	const struct top_session *one = a, *other = b;

	return memcmp(one->id.bytes, other->id.bytes, sizeof(one->id.bytes));
}

static int
by_cpu(const void *a, const void *b)
{
	const struct top_session *one = a, *other = b;

	if (one->cpu_percent > other->cpu_percent)
		return -1;
	return one->cpu_percent < other->cpu_percent ? 1 : by_age(a, b);
}

static int
by_memory(const void *a, const void *b)
{
	const struct top_session *one = a, *other = b;

	if (one->sample.memory_bytes > other->sample.memory_bytes)
		return -1;
	return one->sample.memory_bytes < other->sample.memory_bytes ? 1 : by_age(a, b);
}

static int
by_agent(const void *a, const void *b)
{
	const struct top_session *one = a, *other = b;
	int order = strcmp(one->agent, other->agent);

	return order ? order : by_age(a, b);
}

static int (*const orders[TOP_ORDERS])(const void *, const void *) = {
    [TOP_BY_AGE] = by_age,
    [TOP_BY_CPU] = by_cpu,
    [TOP_BY_MEMORY] = by_memory,
    [TOP_BY_AGENT] = by_agent,
};

void
top_model_sort(struct top_model *model, enum top_order order)
{
	model->order = order;
	model->changed = true;
	qsort(model->sessions, model->count, sizeof(*model->sessions), orders[order]);
}

/* --- sessions ----------------------------------------------------------------------------------
 */

static struct top_session *
find(struct top_model *model, const struct uuid *id)
{
	for (size_t i = 0; i < model->count; i++)
		if (uuid_equal(&model->sessions[i].id, id))
			return &model->sessions[i];
	return NULL;
}

static struct top_session *
find_or_add(struct top_model *model, const struct uuid *id)
{
	struct top_session *session = find(model, id);

	if (session)
		return session;
	if (model->count == TOP_SESSIONS_MAX) {
		model->left_out++;
		return NULL;
	}
	session = &model->sessions[model->count++];
	*session = (struct top_session){.id = *id, .cpu_percent = -1};
	session->sample.cpu_us = session->sample.memory_bytes = -1;
	return session;
}

static void
forget(struct top_model *model, const struct uuid *id)
{
	struct top_session *session = find(model, id);

	if (session)
		memmove(session, session + 1,
			(size_t)(&model->sessions[--model->count] - session) * sizeof(*session));
}

static int
take_row(const struct msg *record, void *arg, struct error *error)
{
	const struct msg_session_row *row = &record->session_row;
	struct top_model *model = arg;
	struct top_session *session;

	(void)error;
	if (row->state == STATE_ENDED)
		return 0;
	session = find_or_add(model, &row->session);
	if (!session)
		return 0;
	memcpy(session->agent, row->agent, sizeof(session->agent));
	session->state = row->state;
	session->step = row->step;
	session->since_ms = row->queued_at_ms;
	return 0;
}

static void
take_event(struct top_model *model, const struct msg_session_event *event)
{
	struct top_session *session;

	if (event->state == STATE_ENDED) {
		forget(model, &event->session);
		return;
	}
	session = find_or_add(model, &event->session);
	if (!session)
		return;
	memcpy(session->agent, event->agent, sizeof(session->agent));
	session->state = event->state;
	session->step = event->step;
	if (!session->since_ms)
		session->since_ms = event->at_ms;
}

static void
take_sample(struct top_model *model, const struct msg_session_sample *sample)
{
	struct top_session *session = find(model, &sample->session);
	const struct msg_session_sample *before;

	if (!session)
		return;
	before = &session->sample;
	if (before->at_ms && sample->at_ms > before->at_ms && sample->cpu_us >= before->cpu_us &&
	    before->cpu_us >= 0)
		session->cpu_percent = (double)(sample->cpu_us - before->cpu_us) / 10.0 /
				       (double)(sample->at_ms - before->at_ms);
	session->sample = *sample;
}

/* --- asking ------------------------------------------------------------------------------------
 */

static int
send_request(struct top_model *model, struct msg *request, uint32_t *id, struct error *error)
{
	int r = connection_send(&model->ash->connection, request, error);

	*id = r == 0 ? request->id : 0;
	return r;
}

/* One at a time: what changes meanwhile is asked for when the answer is here. */
static int
ask_asks(struct top_model *model, struct error *error)
{
	struct msg request;

	model->asks_stale = model->asks_id != 0;
	if (model->asks_id)
		return 0;
	msg_init(&request, MSG_OP_ASKS);
	return send_request(model, &request, &model->asks_id, error);
}

static int
ask_fires(struct top_model *model, struct error *error)
{
	struct msg request;

	model->fires_stale = model->fires_id != 0;
	if (model->fires_id)
		return 0;
	msg_init(&request, MSG_OP_SCHEDULE);
	request.op_schedule.count = 0;
	request.op_schedule.from_ms = -1;
	return send_request(model, &request, &model->fires_id, error);
}

int
top_model_refresh(struct top_model *model, struct error *error)
{
	static const uint8_t states[] = {STATE_SETUP, STATE_RUNNING, STATE_STOPPING, STATE_QUEUED};
	struct msg request;

	model->count = 0;
	model->left_out = 0;
	model->asks_id = model->fires_id = 0;
	memset(model->session_ids, 0, sizeof(model->session_ids));
	for (size_t i = 0; i < ARRAY_LEN(states); i++) {
		msg_init(&request, MSG_OP_SESSIONS);
		strcpy(request.op_sessions.state, session_state_name(states[i]));
		request.op_sessions.limit = TOP_SESSIONS_MAX;
		if (send_request(model, &request, &model->session_ids[states[i]], error) < 0)
			return -1;
	}
	return ask_asks(model, error) < 0 ? -1 : ask_fires(model, error);
}

/* --- answers -----------------------------------------------------------------------------------
 */

static int
by_fire(const void *a, const void *b)
{
	const struct msg_trigger_row *one = a, *other = b;

	return one->next_fire_at_ms < other->next_fire_at_ms   ? -1
	       : one->next_fire_at_ms > other->next_fire_at_ms ? 1
							       : strcmp(one->agent, other->agent);
}

/* The soonest ones, whatever their order is. */
static int
take_fire(const struct msg *record, void *arg, struct error *error)
{
	const struct msg_trigger_row *row = &record->trigger_row;
	struct top_model *model = arg;
	struct msg_trigger_row *last = &model->fires[TOP_FIRES_MAX - 1];

	(void)error;
	if (!row->next_fire_at_ms)
		return 0;
	if (model->fire_count < TOP_FIRES_MAX)
		model->fires[model->fire_count++] = *row;
	else if (row->next_fire_at_ms < last->next_fire_at_ms)
		*last = *row;
	else
		return 0;
	qsort(model->fires, model->fire_count, sizeof(*model->fires), by_fire);
	return 0;
}

static int
take_asks(struct top_model *model, const struct msg *msg, struct error *error)
{
	struct asks asks = {0};

	model->asks_id = 0;
	if (msg->type == MSG_ROWS && asks_read(msg->fds[0], &asks, error) < 0) {
		asks_free(&asks);
		return -1;
	}
	asks_free(&model->asks);
	model->asks = asks;
	return model->asks_stale ? ask_asks(model, error) : 0;
}

static int
take_fires(struct top_model *model, const struct msg *msg, struct error *error)
{
	model->fires_id = 0;
	model->fire_count = 0;
	if (msg->type == MSG_ROWS &&
	    rows_each(msg->fds[0], MSG_TRIGGER_ROW, take_fire, model, error) < 0)
		return -1;
	return model->fires_stale ? ask_fires(model, error) : 0;
}

static int
take_answer(struct top_model *model, const struct msg *msg, struct error *error)
{
	if (msg->id == model->asks_id)
		return take_asks(model, msg, error) < 0 ? -1 : 1;
	if (msg->id == model->fires_id)
		return take_fires(model, msg, error) < 0 ? -1 : 1;
	for (size_t i = 0; i < STATE_COUNT; i++) {
		if (msg->id != model->session_ids[i])
			continue;
		model->session_ids[i] = 0;
		if (msg->type == MSG_ROWS &&
		    rows_each(msg->fds[0], MSG_SESSION_ROW, take_row, model, error) < 0)
			return -1;
		return 1;
	}
	return 0;
}

/* --- what happens ------------------------------------------------------------------------------
 */

static int
take_notice(struct top_model *model, const struct msg_notice *notice, struct error *error)
{
	switch (notice->kind) {
	case NOTICE_CALL_ASKED:
	case NOTICE_CALL_DECIDED:
		return ask_asks(model, error);
	case NOTICE_MISSED:
	case NOTICE_DAEMON_STARTED:
		return top_model_refresh(model, error);
	case NOTICE_TRIGGER_FIRED:
	case NOTICE_AGENT_INSTALLED:
	case NOTICE_AGENT_REMOVED:
	case NOTICE_AGENT_PAUSED:
	case NOTICE_AGENT_RESUMED:
		return ask_fires(model, error);
	default:
		return 0;
	}
}

int
top_model_take(struct top_model *model, struct msg *msg, struct error *error)
{
	int r = 1;

	if (msg->type == MSG_SESSION_SAMPLE)
		take_sample(model, &msg->session_sample);
	else if (msg->type == MSG_SESSION_EVENT)
		take_event(model, &msg->session_event);
	else if (msg->type == MSG_NOTICE)
		r = take_notice(model, &msg->notice, error) < 0 ? -1 : 1;
	else
		r = msg->id ? take_answer(model, msg, error) : 0;
	if (r == 1 && news_kind(msg))
		model->last = *msg;
	if (r == 1)
		top_model_sort(model, model->order);
	return r;
}

int
top_model_tick(struct top_model *model, struct error *error)
{
	if (model->fires_id || model->fire_count == 0 ||
	    model->fires[0].next_fire_at_ms + 1000 > realtime_ms())
		return 0;
	return ask_fires(model, error);
}
