#include "session.h"
#include "images.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "common/cleanup.h"
#include "common/crash.h"
#include "common/io.h"
#include "common/log.h"
#include "disk.h"
#include "fs.h"
#include "home_jobs.h"
#include "net.h"
#include "secrets.h"
#include "spawner.h"
#include "steps/steps.h"
#include "tools.h"

/* --- the table -------------------------------------------------------------------------------- */

struct session_table *
sessions_new(void)
{
	return calloc(1, sizeof(struct session_table));
}

void
sessions_free(struct session_table *sessions)
{
	if (!sessions)
		return;
	while (sessions->first)
		session_free(sessions->first);
	free(sessions);
}

struct session *
session_find(const struct session_table *sessions, const struct uuid *id)
{
	struct session *s;

	for (s = sessions->first; s; s = s->next)
		if (uuid_equal(&s->id, id))
			return s;
	return NULL;
}

uint32_t
sessions_of_agent(const struct session_table *sessions, const char *agent)
{
	const struct session *s;
	uint32_t count = 0;

	for (s = sessions->first; s; s = s->next)
		if (s->phase != PHASE_ENDED && (!agent || !strcmp(s->agent_name, agent)))
			count++;
	return count;
}

bool
sessions_hold_home(const struct session_table *sessions, const char *agent)
{
	const struct session *s;

	for (s = sessions->first; s; s = s->next)
		if (s->phase != PHASE_ENDED && s->built[STEP_IDENTITY] &&
		    !strcmp(s->agent_name, agent))
			return true;
	return false;
}

uint32_t
sessions_count(const struct session_table *sessions)
{
	const struct session *s;
	uint32_t count = 0;

	for (s = sessions->first; s; s = s->next)
		count++;
	return count;
}

struct session *
session_new(struct runnerd *r, const struct uuid *id, const char *agent_name)
{
	struct session *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->timer = loop_add_timer(r->loop, session_timer, s);
	if (!s->timer) {
		free(s);
		return NULL;
	}
	s->r = r;
	s->id = *id;
	uuid_format(id, s->name);
	snprintf(s->agent_name, sizeof(s->agent_name), "%s", agent_name);
	s->records = s->live = s->journal = s->exit_record = s->home_lock = s->layers = -1;
	s->segments[0] = s->segments[1] = s->builder_end = s->keeper_pidfd = s->redaction = -1;
	s->cgroup = (struct session_cgroup)SESSION_CGROUP_INIT;
	s->log.dir = -1;
	s->end = (struct msg_journal_ended){.session = *id,
					    .exit_code = -1,
					    .signal = -1,
					    .wall_ms = -1,
					    .cpu_ms = -1,
					    .peak_memory_bytes = -1};
	snprintf(s->end.agent, sizeof(s->end.agent), "%s", agent_name);
	s->next = r->sessions->first;
	r->sessions->first = s;
	return s;
}

static void
close_descriptors(struct session *s)
{
	int *const all[] = {&s->records,      &s->live,        &s->journal,     &s->exit_record,
			    &s->home_lock,    &s->segments[0], &s->segments[1], &s->builder_end,
			    &s->keeper_pidfd, &s->redaction,   &s->layers};
	size_t i;

	for (i = 0; i < ARRAY_LEN(all); i++)
		close_fd(all[i]);
	cgroup_close(&s->cgroup);
	log_detach(&s->log);
}

void
session_free(struct session *s)
{
	struct session **at = &s->r->sessions->first;

	while (*at && *at != s)
		at = &(*at)->next;
	if (*at)
		*at = s->next;
	if (s->spawn)
		spawner_forget(s->spawn);
	home_job_forget(s->home_job);
	secrets_forget(s);
	channel_free(s->keeper);
	channel_free(s->builder);
	tools_free(s->tools);
	net_free(s);
	loop_remove(s->keeper_watch);
	loop_remove(s->cgroup_watch);
	loop_remove(s->timer);
	close_descriptors(s);
	image_free(s->image);
	agent_unref(s->agent);
	free(s->request);
	free(s->event);
	free(s);
}

/* --- where it stands ----------------------------------------------------------------------------
 */

enum session_state
session_public_state(const struct session *s)
{
	static const enum session_state states[] = {
	    [PHASE_BUILDING] = STATE_SETUP,    [PHASE_PREPARED] = STATE_SETUP,
	    [PHASE_OPENING] = STATE_SETUP,     [PHASE_LIVE] = STATE_RUNNING,
	    [PHASE_STOPPING] = STATE_STOPPING, [PHASE_ENDING] = STATE_STOPPING,
	    [PHASE_ENDED] = STATE_ENDED,
	};

	return states[s->phase];
}

static void
tell_steps(const struct session *s)
{
	struct msg msg;
	int step;

	for (step = STEP_NONE + 1; step < STEP_COUNT; step++) {
		if (!s->told[step].step)
			continue;
		msg_init(&msg, MSG_STEP);
		msg.step = s->told[step];
		channel_send(s->r->schedd, &msg);
	}
}

/* Answers a repeated PREPARE with what was said before. */
static void
tell_again(const struct session *s)
{
	struct msg msg;

	if (!s->r->schedd)
		return;
	if (s->phase == PHASE_ENDED) {
		session_tell_end(s);
		return;
	}
	tell_steps(s);
	if (s->phase == PHASE_PREPARED) {
		msg_init(&msg, MSG_PREPARED);
		msg.prepared.session = s->id;
		channel_send(s->r->schedd, &msg);
	} else if (s->running_at_ms) {
		msg_init(&msg, MSG_RUNNING);
		msg.running.session = s->id;
		msg.running.running_at_ms = s->running_at_ms;
		channel_send(s->r->schedd, &msg);
	}
}

uint32_t
sessions_announce(struct runnerd *r)
{
	const struct session *s;
	uint32_t count = 0;
	struct msg msg;

	for (s = r->sessions->first; s; s = s->next, count++) {
		if (s->phase == PHASE_ENDED) {
			session_tell_end(s);
			continue;
		}
		msg_init(&msg, MSG_INVENTORY);
		msg.inventory.session = s->id;
		snprintf(msg.inventory.agent, sizeof(msg.inventory.agent), "%s", s->agent_name);
		msg.inventory.state = (uint8_t)session_public_state(s);
		msg.inventory.step = (uint8_t)s->step;
		msg.inventory.running_at_ms = s->running_at_ms;
		channel_send(r->schedd, &msg);
	}
	return count;
}

/* --- PREPARE ------------------------------------------------------------------------------------
 */

/* Whatever schedd says: what root and the plan allow at once. */
static int
check_limits(const struct session *s, struct error *error)
{
	const struct config *c = s->r->config;
	uint64_t most = s->effective.max;

	if (sessions_of_agent(s->r->sessions, NULL) > c->limits.sessions)
		return error_why(error, ERR_CONFLICT, "limits.sessions (%llu) are live already",
				 (unsigned long long)c->limits.sessions);
	if (most > c->limits.per_agent)
		most = c->limits.per_agent;
	if (sessions_of_agent(s->r->sessions, s->agent_name) > most)
		return error_why(error, ERR_CONFLICT, "%llu of its sessions are live already",
				 (unsigned long long)most);
	return 0;
}

/* What of its limits the host must be able to enforce beside what every session has. */
static int
check_mechanisms(struct session *s, const struct manifest *plan, struct error *error)
{
	const struct effective *e = &s->effective;
	const struct runnerd *r = s->r;
	const char *wanted[4] = {NULL};
	size_t count = 0;

	if (e->cpus_milli != ABSENT || e->cpu_shares != ABSENT)
		wanted[count++] = "cpu";
	if (net_wants_nf_tables(plan, e->network))
		wanted[count++] = "nf-tables";
	/* So that a session which goes without says so. */
	if (e->home != HOME_NONE && disk_means(r) == DISK_FREE)
		wanted[count++] = DISK_MECHANISM;
	if (mechanisms_check(r->mechanisms, &r->config->degraded, wanted, s->degraded, error) < 0)
		return -1;
	if (s->degraded[0])
		log_session(LOG_LEVEL_WARNING, &s->id,
			    "%s: goes without %s, as agentd.yaml accepts", s->agent_name,
			    s->degraded);
	s->limits = (struct cgroup_limits){.memory_bytes = e->memory_bytes,
					   .pids = e->pids,
					   .cpus_milli = e->cpus_milli,
					   .cpu_shares = e->cpu_shares};
	return 0;
}

static int
admit(struct session *s, struct error *error)
{
	struct runnerd *r = s->r;
	bool damaged;
	struct agent *agent = store_find(r->store, s->agent_name, &damaged);

	if (!agent && damaged)
		return error_why(error, ERR_FAILED,
				 "the plan of %s in the store is damaged: install it again",
				 s->agent_name);
	if (!agent)
		return error_why(error, ERR_NOT_FOUND, "no agent %s is installed", s->agent_name);
	policy_effective(agent->plan, r->config, &s->effective);
	if (check_limits(s, error) < 0)
		return -1;
	if (check_mechanisms(s, agent->plan, error) < 0)
		return -1;
	if (policy_check(agent->plan, agent->head.install_dir, r->config, error) < 0 ||
	    disk_check(r, agent->plan, error) < 0)
		return -1;
	s->agent = agent_ref(agent);
	s->base_uid = agent->head.base_uid;
	s->timeout_ms = s->request->timeout_ms ? s->request->timeout_ms : s->effective.timeout_ms;
	return 0;
}

/* "what: why; hint", as it fits a reason. */
static void
reason_of(const struct error *error, char *reason)
{
	char text[ERROR_TEXT_MAX + 1];

	error_text(error, text);
	snprintf(reason, REASON_MAX + 1, error->hint[0] ? "%.*s; %s" : "%.*s", REASON_MAX, text,
		 error->hint);
}

/* Tells schedd the end of a session of which nothing is here. It is not kept: a schedd that
 * misses the answer asks again, and one that asks without end makes runnerd grow by nothing. */
static void
answer_end(struct runnerd *r, const struct uuid *id, const char *agent,
	   enum session_outcome outcome, const char *reason)
{
	struct msg msg;

	if (outcome != OUTCOME_NONE)
		log_session(LOG_LEVEL_INFO, id, "%s: %s: %s", agent, session_outcome_name(outcome),
			    reason);
	if (!r->schedd)
		return;
	msg_init(&msg, MSG_ENDED);
	msg.ended = (struct msg_ended){.session = *id,
				       .outcome = (uint8_t)outcome,
				       .exit_code = -1,
				       .signal = -1,
				       .ended_at_ms = realtime_ms(),
				       .wall_ms = -1,
				       .cpu_ms = -1,
				       .peak_memory_bytes = -1};
	snprintf(msg.ended.agent, sizeof(msg.ended.agent), "%s", agent);
	snprintf(msg.ended.reason, sizeof(msg.ended.reason), "%s", reason);
	channel_send(r->schedd, &msg);
}

static void
refuse(struct session *s, const struct error *error)
{
	char reason[REASON_MAX + 1];

	reason_of(error, reason);
	answer_end(s->r, &s->id, s->agent_name, OUTCOME_REFUSED, reason);
	session_free(s);
}

/* Bytes that are passed on: what they say is schedd's word to the agent. */
static int
keep_event(struct session *s, int fd, struct error *error)
{
	const uint8_t *bytes = NULL;
	int rc = memfd_map(fd, EVENT_JSON_MAX, &bytes, &s->event_length);

	if (rc < 0)
		return error_errno(error, -rc, "reading the event that started it");
	s->event = s->event_length ? malloc(s->event_length) : NULL;
	if (s->event)
		memcpy(s->event, bytes, s->event_length);
	if (bytes)
		munmap((void *)bytes, s->event_length);
	return s->event ? 0 : error_errno(error, ENOMEM, "keeping the event that started it");
}

void
session_prepare(struct runnerd *r, const struct msg *msg)
{
	const struct msg_prepare *request = &msg->prepare;
	struct session *s = session_find(r->sessions, &request->session);
	struct error error = ERROR_INIT;

	/* It crossed the news that nothing of it ran: schedd may have given it up by then. Who
	 * wants it again says END_ACK first. */
	if (s && s->phase == PHASE_ENDED && s->end.outcome == OUTCOME_NONE)
		return;
	if (s) {
		tell_again(s);
		return;
	}
	s = session_new(r, &request->session, request->agent);
	if (s)
		s->request = malloc(sizeof(*s->request));
	if (!s || !s->request) {
		log_session(LOG_LEVEL_ERROR, &request->session, "no memory to prepare it");
		if (s)
			session_free(s);
		answer_end(r, &request->session, request->agent, OUTCOME_NONE, "out of memory");
		return;
	}
	*s->request = *request;
	if ((msg->nfds && keep_event(s, msg->fds[0], &error) < 0) || admit(s, &error) < 0)
		refuse(s, &error);
	else
		session_setup(s);
}

/* --- GO, CANCEL, END_ACK ------------------------------------------------------------------------
 */

void
session_go(struct runnerd *r, const struct uuid *id)
{
	struct session *s = session_find(r->sessions, id);

	if (!s || s->phase != PHASE_PREPARED)
		return;
	keeper_tell_go(s);
}

void
session_cancel(struct runnerd *r, const struct msg_cancel *cancel)
{
	struct session *s = session_find(r->sessions, &cancel->session);
	enum session_outcome outcome = cancel->outcome;

	if (outcome >= OUTCOME_COUNT || (outcome == OUTCOME_NONE && s && s->gate))
		outcome = OUTCOME_CANCELLED;
	/* What runnerd never heard of has ended as asked. */
	if (!s)
		answer_end(r, &cancel->session, "", outcome, cancel->reason);
	else if (s->phase == PHASE_ENDED)
		session_tell_end(s);
	else if (!s->gate)
		session_end(s, outcome, cancel->reason);
	else if (s->phase == PHASE_OPENING || s->phase == PHASE_LIVE)
		keeper_tell_stop(s, outcome, cancel->reason);
}

/* What was never started keeps its input: it may be prepared again. An exit record without a
 * journal tells that nothing was to be kept. */
static void
forget_records(struct runnerd *r, const char *name, bool keep_input)
{
	static const char *const files[] = {"exit", "journal"};
	_cleanup_close_ int dir = -1;
	size_t i;

	CRASH_POINT("forget.begin");
	dir = open_resolved(r->at.records, name, O_RDONLY | O_DIRECTORY, RESOLVE_BENEATH);
	if (!keep_input) {
		/* First: alone it would be taken for one that waits for its session. */
		if (dir >= 0)
			unlinkat(dir, "input", 0);
		CRASH_POINT("forget.input");
		dir_remove_flat(r->at.records, name);
		CRASH_POINT("forget.end");
		return;
	}
	for (i = 0; dir >= 0 && i < ARRAY_LEN(files); i++)
		unlinkat(dir, files[i], 0);
	unlinkat(r->at.records, name, AT_REMOVEDIR);
}

/* An input goes over to the session that comes after: durable there before its first owner is
 * forgotten, and once however often it is asked. */
static void
bequeath_input(struct runnerd *r, const char *name, const struct uuid *heir)
{
	_cleanup_close_ int from = -1, to = -1;
	char heir_name[UUID_TEXT_LEN + 1];
	int rc = 0;

	from = open_resolved(r->at.records, name, O_RDONLY | O_DIRECTORY, RESOLVE_BENEATH);
	if (from < 0 || faccessat(from, "input", F_OK, 0) < 0)
		return;
	to = dir_make(r->at.records, uuid_format(heir, heir_name), 0700, 0, 0);
	if (to < 0 || renameat(from, "input", to, "input") < 0)
		rc = to < 0 ? to : -errno;
	if (!rc)
		rc = sync_dir(to);
	if (!rc)
		rc = sync_dir(r->at.records);
	if (rc < 0)
		log_session(LOG_LEVEL_ERROR, heir, "taking over the input of session %s: %s", name,
			    strerrordesc_np(-rc));
}

void
session_ack(struct runnerd *r, const struct msg_end_ack *ack)
{
	struct session *s = session_find(r->sessions, &ack->session);
	char name[UUID_TEXT_LEN + 1];

	if (s && s->phase != PHASE_ENDED)
		return;
	uuid_format(&ack->session, name);
	if (!uuid_is_nil(&ack->heir))
		bequeath_input(r, name, &ack->heir);
	forget_records(r, name, ack->keep_input);
	if (s)
		session_free(s);
}

/* --- the one deadline a session has at a time
 * ----------------------------------------------------- */

static void
building_too_long(struct session *s)
{
	struct error error = ERROR_INIT;

	error_why(&error, ERR_FAILED, "%s did not answer within %d s",
		  !s->keeper_up                  ? "the session's keeper"
		  : s->tools && !s->tools->ready ? "the session's broker"
						 : "the sandbox's builder",
		  STEP_WAIT_MS / 1000);
	session_fail(s, &error);
}

void
session_timer(struct loop_source *source, void *arg)
{
	struct session *s = arg;

	(void)source;
	switch (s->phase) {
	case PHASE_BUILDING:
		if (s->waits_for_home)
			session_setup(s);
		else
			building_too_long(s);
		break;
	case PHASE_PREPARED:
		session_end(s, OUTCOME_NONE, "the gate was not opened in time");
		break;
	case PHASE_OPENING:
		session_end(s, OUTCOME_LOST, "the keeper did not start the agent in time");
		break;
	case PHASE_LIVE:
		session_end(s, OUTCOME_LOST, "the keeper did not answer");
		break;
	case PHASE_STOPPING:
		session_end(s, OUTCOME_LOST, "the keeper did not end the session");
		break;
	case PHASE_ENDING:
		session_end_insist(s);
		break;
	case PHASE_ENDED:
		break;
	}
}
