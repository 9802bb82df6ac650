/* Rows for control: the ledger's, with what memory knows newer; see answers.h. */
#include "answers.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "deliver.h"
#include "events.h"
#include "gate.h"
#include "schedule.h"
#include "successors.h"

/* --- references ------------------------------------------------------------------------------- */

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The lowest and the highest id whose text begins so. */
static bool
prefix_range(const char *prefix, struct uuid *low, struct uuid *high)
{
	size_t length = strlen(prefix), digit = 0;

	memset(low, 0, sizeof(*low));
	memset(high, 0xff, sizeof(*high));
	if (length == 0 || length > UUID_TEXT_LEN)
		return false;
	for (size_t i = 0; i < length; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;
		int value = hex_value(prefix[i]);
		unsigned shift = digit % 2 ? 0 : 4;

		if (dash != (prefix[i] == '-') || (!dash && value < 0))
			return false;
		if (dash)
			continue;
		low->bytes[digit / 2] |= (uint8_t)(value << shift);
		high->bytes[digit / 2] &= (uint8_t) ~((15 - value) << shift);
		digit++;
	}
	return true;
}

static int
resolve_prefix(struct schedd *schedd, const char *ref, struct ledger_session *row,
	       struct error *error)
{
	struct uuid low, high;
	uint32_t count = 0;
	int found;

	if (!prefix_range(ref, &low, &high)) {
		error_why(error, ERR_NOT_FOUND, "%s names no session", ref);
		return error_hint(error, "give an id, the beginning of one, or AGENT@latest");
	}
	found = ledger_range(schedd->ledger, &low, &high, row, &count, error);
	if (found < 0)
		return -1;
	if (count > 1) {
		error_why(error, ERR_CONFLICT, "%u sessions have an id that begins with %s", count,
			  ref);
		return error_hint(error, "give more of the id: ash session list shows them");
	}
	if (found)
		return 0;
	error_why(error, ERR_NOT_FOUND, "no session %s", ref);
	return error_hint(error, "ash session list shows the sessions that are kept");
}

static int
resolve_latest(struct schedd *schedd, const char *ref, size_t name_length,
	       struct ledger_session *row, struct error *error)
{
	char agent[REF_MAX + 1];
	int found;

	memcpy(agent, ref, name_length);
	agent[name_length] = '\0';
	if (strcmp(ref + name_length, "@latest") != 0) {
		error_why(error, ERR_NOT_FOUND, "%s names no session", ref);
		return error_hint(error, "the newest session of an agent is AGENT@latest");
	}
	found = ledger_latest(schedd->ledger, agent, row, error);
	if (found == 0)
		error_why(error, ERR_NOT_FOUND, "no session of an agent named %s is kept", agent);
	return found > 0 ? 0 : -1;
}

int
answer_resolve(struct schedd *schedd, const char *ref, struct ledger_session *row,
	       struct error *error)
{
	const char *at = strchr(ref, '@');

	if (at)
		return resolve_latest(schedd, ref, (size_t)(at - ref), row, error);
	return resolve_prefix(schedd, ref, row, error);
}

/* --- rows ---------------------------------------------------------------------------------- */

struct rows_walk {
	struct schedd *schedd;
	struct rows *rows;
	int failed; /* -errno */
};

/* What it waits for besides a slot. */
static void
tell_wait(struct schedd *schedd, const struct session *session, struct msg_session_row *row)
{
	const struct gate_question question = {
	    .schedd = schedd,
	    .agent = session->agent,
	    .now_ms = schedule_now(schedd->schedule),
	};
	struct gate_verdict gate;

	gate_check(&question, &gate);
	if (gate.word != GATE_OPEN)
		memcpy(row->reason, gate.reason, sizeof(row->reason));
}

/* Memory is ahead of the ledger for what has not ended. */
static void
refresh(struct schedd *schedd, struct msg_session_row *row)
{
	struct session *session = queue_find(schedd->queue, &row->session);

	if (!session || row->state == STATE_ENDED)
		return;
	row->state = (uint8_t)session->state;
	row->step = (uint8_t)session->step;
	row->running_at_ms = session->running_at_ms;
	row->queue_position = queue_position(session);
	if (session->state == STATE_QUEUED)
		tell_wait(schedd, session, row);
}

/* Whom it follows, and who follows it. */
static void
tell_chain(struct schedd *schedd, const struct ledger_session *session, struct msg_session_row *row)
{
	const struct agent *agent = queue_agent(schedd->queue, row->agent);
	const struct session *live = queue_find(schedd->queue, &row->session);
	struct successor link;

	if (agent && agent->installed)
		row->attempts = agent->retry_max + 1;
	if (successors_get(schedd->successors, session->seq, &link, NULL) > 0) {
		row->succession = (uint8_t)link.kind;
		row->former = link.former;
	}
	if (live && live->deferred.waits)
		row->not_before_ms = (uint64_t)live->deferred.at_ms;
	if (row->state == STATE_ENDED &&
	    successors_after(schedd->successors, &row->session, &link, NULL) > 0) {
		row->next_succession = (uint8_t)link.kind;
		row->next = link.session;
	}
}

static int
add_row(struct rows_walk *walk, const struct ledger_session *session)
{
	struct msg record;

	msg_init(&record, MSG_SESSION_ROW);
	record.session_row = session->row;
	trigger_id_cut(record.session_row.trigger_id);
	refresh(walk->schedd, &record.session_row);
	tell_chain(walk->schedd, session, &record.session_row);
	walk->failed = rows_add(walk->rows, &record);
	return walk->failed;
}

static int
add_session(const struct ledger_session *session, void *arg)
{
	return add_row(arg, session);
}

static int
add_steps(struct rows_walk *walk, const struct ledger_session *row, struct error *error)
{
	const struct session *session = queue_find(walk->schedd->queue, &row->row.session);
	struct step_time kept[STEP_COUNT];
	struct msg record;

	if (ledger_get_steps(walk->schedd->ledger, row->seq, kept, error) < 0)
		return -1;
	for (int step = 1; step < STEP_COUNT && walk->failed == 0; step++) {
		const struct step_time *time = session ? &session->steps[step] : &kept[step];

		if (time->took_us == UINT64_MAX)
			continue;
		msg_init(&record, MSG_STEP_ROW);
		record.step_row.session = row->row.session;
		record.step_row.step = (uint8_t)step;
		record.step_row.started_at_ms = time->started_at_ms;
		record.step_row.took_us = time->took_us;
		walk->failed = rows_add(walk->rows, &record);
	}
	return 0;
}

static int
add_one(struct rows_walk *walk, const char *ref, struct error *error)
{
	_cleanup_free_ struct ledger_session *row = malloc(sizeof(*row));
	int64_t event;

	if (!row)
		return error_why(error, ERR_FAILED, "out of memory");
	if (answer_resolve(walk->schedd, ref, row, error) < 0)
		return -1;
	event = trigger_id_cut(row->row.trigger_id);
	add_row(walk, row);
	if (event && walk->failed == 0)
		walk->failed = events_add_row(walk->schedd->events, event, walk->rows);
	return add_steps(walk, row, error);
}

static int
add_matching(struct rows_walk *walk, const struct msg_session_query *query, struct error *error)
{
	struct ledger_filter filter = {
	    .agent = query->agent,
	    .state = session_state_parse(query->state),
	    .since_ms = query->since_ms,
	    .limit = query->limit,
	};

	if (query->state[0] && filter.state == STATE_NONE)
		return error_why(error, ERR_USAGE,
				 "%s is no state: queued, setup, running, stopping or ended",
				 query->state);
	return ledger_each(walk->schedd->ledger, &filter, add_session, walk, error);
}

/* Seals what was collected into the answer. A list that outgrew its bound ends there. */
static int
finish(struct rows_walk *walk, int rc, struct msg *answer, struct error *error)
{
	uint32_t count;
	int fd;

	if (rc == 0 && walk->failed != 0 && walk->failed != -EFBIG)
		rc = error_errno(error, -walk->failed, "collecting rows");
	if (rc < 0) {
		rows_free(walk->rows);
		return -1;
	}
	count = rows_count(walk->rows);
	fd = rows_seal(walk->rows);
	if (fd < 0)
		return error_errno(error, -fd, "sealing rows");
	msg_init(answer, MSG_ROWS);
	answer->rows.count = count;
	msg_add_fd(answer, fd);
	return 0;
}

static int
begin(struct rows_walk *walk, struct schedd *schedd, const char *name, struct error *error)
{
	*walk = (struct rows_walk){.schedd = schedd, .rows = rows_new(name)};
	return walk->rows ? 0 : error_errno(error, errno, "making a memfd for rows");
}

int
answer_sessions(struct schedd *schedd, const struct msg *query, struct msg *answer,
		struct error *error)
{
	const struct msg_session_query *asked = &query->session_query;
	struct rows_walk walk;
	int rc;

	if (begin(&walk, schedd, "sessions", error) < 0)
		return -1;
	rc = asked->ref[0] ? add_one(&walk, asked->ref, error) : add_matching(&walk, asked, error);
	return finish(&walk, rc, answer, error);
}

static void
fill_standing(struct schedd *schedd, struct msg_agent_last *last)
{
	const struct agent *agent = queue_agent(schedd->queue, last->agent);

	last->next_fire_at_ms = schedule_next_ms(schedd->schedule, last->agent);
	if (!agent)
		return;
	last->paused_at_ms = agent->standing.paused_at_ms;
	snprintf(last->paused_by, sizeof(last->paused_by), "%s", agent->standing.paused_by);
	snprintf(last->pause_reason, sizeof(last->pause_reason), "%s",
		 agent->standing.pause_reason);
	last->failures = agent->standing.failures;
	last->runs_today = standing_runs(&agent->standing, schedule_now(schedd->schedule));
}

static int
add_last(const struct ledger_session *session, void *arg)
{
	struct rows_walk *walk = arg;
	struct msg_session_row row = session->row;
	struct msg record;

	refresh(walk->schedd, &row);
	msg_init(&record, MSG_AGENT_LAST);
	memcpy(record.agent_last.agent, row.agent, sizeof(row.agent));
	record.agent_last.session = row.session;
	record.agent_last.state = row.state;
	record.agent_last.outcome = row.outcome;
	record.agent_last.at_ms = row.state == STATE_ENDED ? row.ended_at_ms
				  : row.started_at_ms      ? row.started_at_ms
							   : row.queued_at_ms;
	fill_standing(walk->schedd, &record.agent_last);
	walk->failed = rows_add(walk->rows, &record);
	return walk->failed;
}

struct never_ran {
	struct rows_walk *walk;
	struct ledger_session row;
};

/* An installed agent of which no session is kept. */
static void
add_unrun(struct agent *agent, void *arg)
{
	struct never_ran *never = arg;
	struct schedd *schedd = never->walk->schedd;
	struct msg record;

	if (never->walk->failed || (!agent->installed && !agent->damaged) ||
	    ledger_latest(schedd->ledger, agent->name, &never->row, NULL) != 0)
		return;
	msg_init(&record, MSG_AGENT_LAST);
	memcpy(record.agent_last.agent, agent->name, sizeof(agent->name));
	fill_standing(schedd, &record.agent_last);
	never->walk->failed = rows_add(never->walk->rows, &record);
}

int
answer_agents_last(struct schedd *schedd, struct msg *answer, struct error *error)
{
	_cleanup_free_ struct never_ran *never = calloc(1, sizeof(*never));
	struct rows_walk walk;
	int rc;

	if (!never)
		return error_why(error, ERR_FAILED, "out of memory");
	if (begin(&walk, schedd, "agents", error) < 0)
		return -1;
	rc = ledger_each_last(schedd->ledger, add_last, &walk, error);
	never->walk = &walk;
	if (rc == 0)
		queue_each_agent(schedd->queue, add_unrun, never);
	return finish(&walk, rc, answer, error);
}

void
answer_ledger(struct schedd *schedd, struct msg *answer)
{
	msg_init(answer, MSG_LEDGER);
	answer->ledger.queued = queue_waiting(schedd->queue);
	answer->ledger.live = queue_live(schedd->queue);
	answer->ledger.ended = schedd->ended;
	answer->ledger.sessions_limit = (uint32_t)schedd->config->limits.sessions;
	answer->ledger.queue_limit = (uint32_t)schedd->config->limits.queue;
	answer->ledger.draining = schedd->draining;
}
