/*
 * A session's two channels: with its keeper for its whole life, with its builder until the
 * sandbox stands.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "common/crash.h"
#include "common/log.h"
#include "common/procid.h"
#include "journal.h"
#include "layers.h"
#include "secrets.h"
#include "session.h"
#include "spawner.h"
#include "tools.h"

#define BUILDER_DIED "the sandbox's builder died"

enum { STOP_SLACK_MS = 10000 /* what a keeper gets beyond the grace */ };

static const char keeper_died[] = "the keeper died";

/* Ends what has lost its keeper; a program may look for this reason of a lost session. */
static void
lose_keeper(struct session *s)
{
	if (s->gate)
		session_end(s, OUTCOME_LOST, REASON_KEEPER);
	else
		session_end(s, OUTCOME_SETUP_FAILED, keeper_died);
}

/* --- the keeper as a process --------------------------------------------------------------------
 */

static void
keeper_ended(struct loop_source *source, uint32_t events, void *arg)
{
	struct session *s = arg;

	(void)source;
	(void)events;
	loop_remove(s->keeper_watch);
	s->keeper_watch = NULL;
	s->keeper_gone = true;
	/* A channel that is open still holds what the keeper said last. */
	if (s->phase == PHASE_ENDING)
		session_end_advance(s);
	else if (s->phase != PHASE_ENDED && !s->keeper)
		lose_keeper(s);
}

int
keeper_watch(struct session *s, int pidfd)
{
	s->keeper_pidfd = pidfd;
	s->keeper_watch = loop_add_io(s->r->loop, pidfd, EPOLLIN, keeper_ended, s);
	return s->keeper_watch ? 0 : -errno;
}

static int
keeper_record(struct session *s, pid_t pid, int pidfd)
{
	struct procid id;
	int rc;

	rc = keeper_watch(s, pidfd);
	if (rc < 0)
		return rc;
	rc = procid_read(pid, &id);
	if (rc < 0)
		return rc == -ESRCH ? 0 : rc; /* gone already: its pidfd tells */
	return journal_keeper(s->journal, (uint32_t)pid, id.start_ticks, s->r->boot_id);
}

void
keeper_spawned(pid_t pid, int pidfd, const struct error *error, void *arg)
{
	struct session *s = arg;
	struct error why = ERROR_INIT;
	int rc = 0;

	CRASH_POINT("keeper.spawned");
	s->spawn = NULL;
	if (!error)
		rc = keeper_record(s, pid, pidfd);
	else
		s->keeper_gone = true;
	if (s->phase == PHASE_ENDING) {
		session_end_advance(s);
		return;
	}
	if (error && error->code == ERR_UNREACHABLE) {
		session_end(s, OUTCOME_NONE, error->why); /* it can be built again */
	} else if (error) {
		session_fail(s, error);
	} else if (rc < 0) {
		error_errno(&why, -rc, "watching the keeper");
		session_fail(s, &why);
	} else if (!s->builder && !s->sandbox_built) {
		error_why(&why, ERR_FAILED, BUILDER_DIED);
		session_fail(s, &why);
	}
}

/* --- messages of the keeper
 * ----------------------------------------------------------------------- */

void
keeper_tell_redaction(struct session *s, int fd)
{
	struct msg msg;

	close_fd(&s->redaction);
	if (!s->keeper || channel_phase(s->keeper) != IN_OPEN) {
		s->redaction = fd;
		return;
	}
	msg_init(&msg, MSG_KEEPER_REDACT);
	msg.keeper_redact.number = s->redactions;
	msg_add_fd(&msg, fd);
	channel_send(s->keeper, &msg);
}

int
keeper_tell_layers(struct session *s)
{
	int envelope = layers_seal(s->layers);
	struct msg msg;

	if (envelope < 0)
		return envelope;
	msg_init(&msg, MSG_KEEPER_LAYERS);
	msg_add_fd(&msg, envelope);
	return channel_send(s->keeper, &msg);
}

void
keeper_let_go(struct session *s)
{
	struct msg msg;

	if (s->keeper && s->home_in_memory && channel_phase(s->keeper) == IN_OPEN) {
		msg_init(&msg, MSG_KEEPER_RELEASE);
		channel_send(s->keeper, &msg);
		CRASH_POINT("held.released");
	}
	channel_free(s->keeper);
	s->keeper = NULL;
}

/* It was booted by the last step: the home is built. What it shall hold it gets before GO. */
static void
on_up(struct session *s, struct msg *msg)
{
	struct error error = ERROR_INIT;
	int rc;

	(void)msg;
	channel_set_phase(s->keeper, IN_OPEN);
	s->keeper_up = true;
	rc = s->home_in_memory ? keeper_tell_layers(s) : 0;
	if (rc < 0) {
		error_errno(&error, -rc, "giving the keeper the session's layers");
		session_fail(s, &error);
		return;
	}
	if (s->redaction >= 0)
		keeper_tell_redaction(s, steal_fd(&s->redaction));
	session_progress(s);
}

static void
on_redacted(struct session *s, struct msg *msg)
{
	s->keeper_redactions = msg->keeper_redacted.number;
	secrets_redacted(s);
}

static void
on_running(struct session *s, struct msg *msg)
{
	struct msg told;

	if (s->phase == PHASE_OPENING) {
		s->phase = PHASE_LIVE;
		loop_arm(s->timer, 0);
	}
	s->running_at_ms = msg->keeper_running.running_at_ms;
	CRASH_POINT("keeper.runs");
	if (!s->r->schedd)
		return;
	msg_init(&told, MSG_RUNNING);
	told.running.session = s->id;
	told.running.running_at_ms = s->running_at_ms;
	channel_send(s->r->schedd, &told);
}

static void
send_segment(struct session *s)
{
	int fd = log_next(&s->log);
	struct msg msg;

	if (fd < 0) {
		log_session(LOG_LEVEL_ERROR, &s->id, "cannot open its next log segment: %s",
			    strerrordesc_np(-fd));
		return;
	}
	msg_init(&msg, MSG_KEEPER_SEGMENT);
	msg.keeper_segment.segment = s->log.segment + 1;
	msg_add_fd(&msg, fd);
	channel_send(s->keeper, &msg);
}

/* The keeper can be one segment ahead, never more: it has no other descriptor. */
static void
follow_log(struct session *s, uint32_t segment)
{
	int rc;

	if (segment != s->log.segment + 1)
		return;
	rc = log_switch(&s->log, segment);
	if (rc < 0) {
		log_session(LOG_LEVEL_ERROR, &s->id, "cannot rename its log segments: %s",
			    strerrordesc_np(-rc));
		return;
	}
	journal_segment(s->journal, segment, s->log.offset);
}

static void
tell_log(struct session *s)
{
	struct msg msg;

	if (!s->r->control)
		return;
	msg_init(&msg, MSG_LOG_EVENT);
	msg.log_event.session = s->id;
	msg.log_event.total_bytes = s->log.total;
	msg.log_event.segment = s->log.segment;
	channel_send(s->r->control, &msg);
}

static void
on_log(struct session *s, struct msg *msg)
{
	uint32_t before = s->log.segment;

	s->log.total = msg->keeper_log.total_bytes;
	s->log.dropped = msg->keeper_log.dropped_bytes;
	follow_log(s, msg->keeper_log.segment);
	if (s->log.segment != before)
		send_segment(s);
	tell_log(s);
}

/* A keeper ends when its builder failed; the builder, or its end, tells why. */
static bool
builder_will_tell(const struct session *s)
{
	return s->phase == PHASE_BUILDING && s->builder && !s->sandbox_built;
}

static void
on_ended(struct session *s, struct msg *msg)
{
	(void)msg;
	if (builder_will_tell(s))
		return;
	if (s->phase != PHASE_ENDING)
		s->keeper_holds = s->gate && s->home_in_memory;
	session_end(s, OUTCOME_NONE, "");
}

static void
on_plugin(struct session *s, struct msg *msg)
{
	tools_heard_keeper(s, &msg->keeper_plugin);
}

static void
on_keeper_error(struct session *s, struct msg *msg)
{
	struct error error = ERROR_INIT;

	msg_to_error(msg, &error);
	if (s->phase == PHASE_BUILDING)
		session_fail(s, &error);
	else
		log_session(LOG_LEVEL_ERROR, &s->id, "its keeper: %s", error.why);
}

/* Another session's keeper, or none of ours, must not be taken for it. */
static bool
state_is_ours(const struct session *s, const struct msg_keeper_state *state)
{
	return uuid_equal(&s->id, &state->session);
}

static void
on_state(struct session *s, struct msg *msg)
{
	const struct msg_keeper_state *state = &msg->keeper_state;

	if (s->phase != PHASE_LIVE)
		return;
	if (!state_is_ours(s, state)) {
		session_end(s, OUTCOME_LOST, "another session's keeper answered");
		return;
	}
	loop_arm(s->timer, 0);
	s->running_at_ms = state->running_at_ms;
	s->log.total = state->total_bytes;
	s->log.dropped = state->dropped_bytes;
	if (state->state == STATE_STOPPING)
		s->phase = PHASE_STOPPING;
	follow_log(s, state->segment);
	if (!state->has_next)
		send_segment(s);
	log_session(LOG_LEVEL_INFO, &s->id, "adopted: its keeper goes on");
	CRASH_POINT("adopt.end");
	tell_log(s);
}

/* From a keeper that outlived the runnerd that knew them. What is no such thing is taken for
 * nothing: then they are lost. */
static void
on_layers(struct session *s, struct msg *msg)
{
	int layers = layers_unseal(msg->fds[0]);

	if (layers < 0) {
		log_session(LOG_LEVEL_ERROR, &s->id,
			    "its keeper has no layers in their envelope: %s",
			    strerrordesc_np(-layers));
		return;
	}
	close_fd(&s->layers);
	s->layers = layers;
	s->home_in_memory = true;
}

static const struct {
	enum msg_type type;
	void (*handler)(struct session *s, struct msg *msg);
} keeper_messages[] = {
    {.type = MSG_KEEPER_UP, .handler = on_up},
    {.type = MSG_KEEPER_STATE, .handler = on_state},
    {.type = MSG_KEEPER_LAYERS, .handler = on_layers},
    {.type = MSG_KEEPER_REDACTED, .handler = on_redacted},
    {.type = MSG_KEEPER_RUNNING, .handler = on_running},
    {.type = MSG_KEEPER_LOG, .handler = on_log},
    {.type = MSG_KEEPER_PLUGIN, .handler = on_plugin},
    {.type = MSG_KEEPER_ENDED, .handler = on_ended},
    {.type = MSG_ERROR, .handler = on_keeper_error},
};

static void
keeper_message(struct channel *channel, struct msg *msg, void *arg)
{
	size_t i;

	(void)channel;
	for (i = 0; i < ARRAY_LEN(keeper_messages); i++)
		if (keeper_messages[i].type == msg->type)
			keeper_messages[i].handler(arg, msg);
}

static void
keeper_opened(struct channel *channel, void *arg)
{
	struct session *s = arg;
	struct msg msg;

	if (s->phase != PHASE_LIVE)
		return;
	msg_init(&msg, MSG_KEEPER_QUERY);
	channel_send(channel, &msg);
}

static void
keeper_closed(struct channel *channel, const struct error *error, void *arg)
{
	struct session *s = arg;

	(void)channel;
	if (error)
		log_problem(LOG_LEVEL_WARNING, error);
	s->keeper = NULL;
	if (s->phase == PHASE_ENDING || s->phase == PHASE_ENDED)
		return;
	if (builder_will_tell(s))
		return;
	if (error)
		session_end(s, s->gate ? OUTCOME_LOST : OUTCOME_SETUP_FAILED, error->why);
	else
		lose_keeper(s);
}

static const struct channel_ops keeper_ops = {
    .opened = keeper_opened,
    .message = keeper_message,
    .closed = keeper_closed,
};

int
keeper_channel_open(struct session *s, int fd)
{
	s->keeper = channel_new(s->r->loop, fd, CH_KEEPER, SIDE_A, ROLE_RUNNERD, ROLE_KEEPER,
				&keeper_ops, s);
	return s->keeper ? 0 : -errno;
}

/* --- messages of the builder
 * ----------------------------------------------------------------------- */

/* Noted so that a restarted runnerd finds the sandbox too. */
static void
know_init(struct session *s, pid_t pid)
{
	if (procid_read(pid, &s->init) < 0)
		s->init = (struct procid){0}; /* gone already: the keeper tells */
	else if (s->built[STEP_CREDENTIALS] &&
		 secret_uses_count(s->agent->plan, "", PLACE_CREDENTIALS))
		journal_init(s->journal, &s->init);
	secrets_built(s, "");
}

static void
builder_message(struct channel *channel, struct msg *msg, void *arg)
{
	struct session *s = arg;
	struct error error = ERROR_INIT;

	(void)channel;
	if (msg->type == MSG_SANDBOX_SHARED) {
		tools_share(s, msg);
		return;
	}
	if (msg->type == MSG_SANDBOX_BUILT && s->keeper) {
		s->sandbox_built = true;
		know_init(s, (pid_t)msg->sandbox_built.pid);
		session_progress(s);
		return;
	}
	if (msg->type == MSG_SANDBOX_BUILT)
		error_why(&error, ERR_FAILED, "%s", keeper_died);
	else
		msg_to_error(msg, &error);
	session_fail(s, &error);
}

static void
builder_closed(struct channel *channel, const struct error *error, void *arg)
{
	struct session *s = arg;
	struct error died = ERROR_INIT;

	(void)channel;
	s->builder = NULL;
	s->recipe.builder = NULL;
	if (s->sandbox_built || s->phase != PHASE_BUILDING)
		return;
	/* A spawner that died took its end along: keeper_spawned() tells. */
	if (s->spawn && !error)
		return;
	error_why(&died, ERR_FAILED, BUILDER_DIED);
	session_fail(s, error ? error : &died);
}

static const struct channel_ops builder_ops = {
    .message = builder_message,
    .closed = builder_closed,
};

int
builder_channel_open(struct session *s, int fd)
{
	s->builder = channel_new(s->r->loop, fd, CH_BUILDER, SIDE_A, ROLE_RUNNERD, ROLE_BUILDER,
				 &builder_ops, s);
	return s->builder ? 0 : -errno;
}

/* --- what the keeper is told
 * ---------------------------------------------------------------------- */

/* The mark first: after a crash between the two, nobody takes a session that may have run for one
 * that never did. */
void
keeper_tell_go(struct session *s)
{
	struct msg msg;

	s->gate = true;
	s->phase = PHASE_OPENING;
	loop_arm_in(s->timer, STEP_WAIT_MS);
	if (journal_step(s->journal, STEP_AGENT, MARK_GATE) < 0) {
		s->gate = false;
		session_end(s, OUTCOME_NONE, "the journal could not be written");
		return;
	}
	msg_init(&msg, MSG_GO);
	msg.go.session = s->id;
	channel_send(s->keeper, &msg);
	CRASH_POINT("keeper.told-go");
}

void
keeper_tell_stop(struct session *s, enum session_outcome outcome, const char *reason)
{
	uint64_t grace_ms = s->effective.grace_ms;
	struct msg msg;

	msg_init(&msg, MSG_KEEPER_STOP);
	msg.keeper_stop.outcome = (uint8_t)outcome;
	msg.keeper_stop.grace_ms = grace_ms;
	snprintf(msg.keeper_stop.reason, sizeof(msg.keeper_stop.reason), "%s", reason);
	s->phase = PHASE_STOPPING;
	loop_arm_in(s->timer, grace_ms + STOP_SLACK_MS);
	channel_send(s->keeper, &msg);
}

/* --- adoption
 * --------------------------------------------------------------------------------------- */

int
keeper_adopt(struct session *s, struct error *error)
{
	int fd;

	CRASH_POINT("adopt.begin");
	fd = session_connect(s, "keeper", KEEPER_UID, error);
	if (fd < 0)
		return -1;
	s->phase = PHASE_LIVE;
	s->gate = true;
	if (keeper_channel_open(s, fd) < 0)
		return error_errno(error, errno, "opening the keeper's channel");
	channel_set_phase(s->keeper, IN_OPEN);
	loop_arm_in(s->timer, KEEPER_WAIT_MS);
	return 0;
}
