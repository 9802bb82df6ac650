#include "watch.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>

#include "clock.h"
#include "common/cleanup.h"
#include "common/io.h"
#include "output.h"

void
watch_init(struct watch *watch, struct ash *ash, const char *ref, const char *agent)
{
	*watch = (struct watch){
	    .ash = ash,
	    .logs = LOGS_INIT,
	    .signal_fd = -1,
	    .pipe_fd = -1,
	    .ending = {.exit_code = -1, .signal = -1},
	    .progress = {.enabled = ash->live, .width = ash->style.width, .since_ms = clock_ms()},
	};
	snprintf(watch->ref, sizeof(watch->ref), "%s", ref);
	snprintf(watch->agent, sizeof(watch->agent), "%s", agent);
}

void
watch_free(struct watch *watch)
{
	progress_clear(&watch->progress);
	close_fd(&watch->signal_fd);
	close_fd(&watch->pipe_fd);
	logs_free(&watch->logs);
}

/* --- requests ----------------------------------------------------------------------------------
 */

static int
send_request(struct watch *watch, struct msg *request, uint32_t *id, struct error *error)
{
	int r = connection_send(&watch->ash->connection, request, error);

	*id = r == 0 ? request->id : 0;
	/* A broken connection is dealt with where its end is read. */
	return r < 0 && error->code != ERR_UNREACHABLE ? -1 : 0;
}

static int
ask(struct watch *watch, enum msg_type type, uint32_t *id, struct error *error)
{
	struct msg request;

	msg_init(&request, type);
	switch (type) {
	case MSG_OP_FOLLOW:
		strcpy(request.op_follow.ref, watch->ref);
		break;
	case MSG_OP_SESSIONS:
		strcpy(request.op_sessions.ref, watch->ref);
		break;
	case MSG_OP_LOG:
		strcpy(request.op_log.ref, watch->ref);
		watch->log_asked = watch->log_total;
		break;
	default:
		strcpy(request.op_cancel.ref, watch->ref);
		break;
	}
	return send_request(watch, &request, id, error);
}

/* The input goes through a pipe, never as the operator's own descriptor; each try gets all. */
static int
attach_input(struct watch *watch, struct msg *request, struct error *error)
{
	int ends[2];

	close_fd(&watch->pipe_fd);
	if (pipe2(ends, O_CLOEXEC) < 0 || fd_set_nonblock(ends[1], true) < 0)
		return error_errno(error, errno, "making a pipe for the input");
	watch->pipe_fd = ends[1];
	watch->fed = 0;
	msg_add_fd(request, ends[0]);
	return 0;
}

/* Starts the session, or takes up where the last connection ended. */
static int
begin(struct watch *watch, struct error *error)
{
	int r = 0;

	watch->run_id = watch->follow_id = watch->log_id = watch->row_id = watch->cancel_id = 0;
	watch->cancel_sent = false;
	watch->quiet_since = watch->heard_ms = clock_ms();
	if (!watch->run || watch->accepted)
		return ask(watch, MSG_OP_FOLLOW, &watch->follow_id, error);
	if (watch->run->request.op_run.has_input)
		r = attach_input(watch, &watch->run->request, error);
	if (r == 0)
		r = send_request(watch, &watch->run->request, &watch->run_id, error);
	msg_close_fds(&watch->run->request);
	watch->run->request.nfds = 0;
	return r;
}

/* --- a broken connection ------------------------------------------------------------------------
 */

/* agentd or a daemon of it is being restarted: the connection is given up and tried again. */
static void
lose(struct watch *watch)
{
	connection_close(&watch->ash->connection);
	close_fd(&watch->pipe_fd);
	if (!watch->broken_since)
		watch->broken_since = clock_ms();
	watch->retry_at = clock_ms() + RETRY_MS;
}

static int
reconnect(struct watch *watch, struct error *error)
{
	if (clock_ms() < watch->retry_at)
		return 0;
	if (connection_open(&watch->ash->connection, watch->ash->socket, error) == 0)
		return begin(watch, error);
	if (error->code == ERR_PERMISSION)
		return -1;
	lose(watch);
	return 0;
}

/* --- output
 * ---------------------------------------------------------------------------------------- */

static int
follow_log(struct watch *watch, bool may_ask, struct error *error)
{
	if (!watch->output)
		return 0;
	if (logs_pump(&watch->logs, error) < 0)
		return -1;
	if (watch->logs.position >= watch->log_total || watch->log_id || !may_ask)
		return 0;
	/* There is more than these descriptors hold: the log went on to its next segment. */
	if (watch->ended && watch->log_final)
		return 0;
	watch->log_final = watch->ended;
	return ask(watch, MSG_OP_LOG, &watch->log_id, error);
}

static void
grow_log(struct watch *watch, uint64_t total)
{
	if (total > watch->log_total)
		watch->log_total = total;
}

static int
take_log(struct watch *watch, struct msg *msg, struct error *error)
{
	uint64_t said = watch->log_total;

	if (msg->id != watch->log_id)
		return 0;
	watch->log_id = 0;
	logs_take(&watch->logs, msg);
	grow_log(watch, msg->log.total_bytes);
	/* What was said meanwhile may lie in a segment that is newer still. */
	return follow_log(watch, watch->ended || said > watch->log_asked, error);
}

static int
take_log_event(struct watch *watch, struct msg *msg, struct error *error)
{
	char id[UUID_TEXT_LEN + 1];

	if (strcmp(uuid_format(&msg->log_event.session, id), watch->ref) != 0)
		return 0;
	grow_log(watch, msg->log_event.total_bytes);
	return follow_log(watch, true, error);
}

/* --- events
 * ------------------------------------------------------------------------------------------ */

static int
take_state(struct watch *watch, const struct msg_session_event *event, struct error *error)
{
	watch->broken_since = 0;
	watch->state = event->state;
	watch->step = event->step;
	if (*event->agent)
		snprintf(watch->agent, sizeof(watch->agent), "%s", event->agent);
	grow_log(watch, event->log_bytes);
	if (event->state != STATE_ENDED)
		return 0;
	snprintf(watch->reason, sizeof(watch->reason), "%s", event->reason);
	watch->ending = (struct ending){
	    .outcome = event->outcome,
	    .step = event->step,
	    .exit_code = event->exit_code,
	    .signal = event->signal,
	    .reason = watch->reason,
	};
	watch->ended = true;
	return follow_log(watch, true, error);
}

static int
take_event(struct watch *watch, struct msg *msg, struct error *error)
{
	char id[UUID_TEXT_LEN + 1];

	if (strcmp(uuid_format(&msg->session_event.session, id), watch->ref) != 0 || watch->ended)
		return 0;
	return take_state(watch, &msg->session_event, error);
}

static void
row_event(const struct msg_session_row *row, struct msg_session_event *event)
{
	*event = (struct msg_session_event){
	    .session = row->session,
	    .state = row->state,
	    .step = row->step,
	    .outcome = row->outcome,
	    .exit_code = row->exit_code,
	    .signal = row->signal,
	    .log_bytes = row->log_bytes,
	};
	strcpy(event->agent, row->agent);
	strcpy(event->reason, row->reason);
}

static int
take_rows(struct watch *watch, struct msg *msg, struct error *error)
{
	struct msg_session_event event;
	struct session session;
	bool live;

	if (msg->id != watch->follow_id && msg->id != watch->row_id)
		return 0;
	watch->row_id = 0;
	if (session_read(msg->fds[0], &session, error) < 0)
		return -1;
	watch->accepted = true;
	row_event(&session.row, &event);
	if (watch->ended)
		return 0;
	if (take_state(watch, &event, error) < 0)
		return -1;
	live = event.state == STATE_RUNNING || event.state == STATE_STOPPING;
	/* How much a live session has printed is not in its row. */
	if (!live || !watch->output || watch->log_id)
		return 0;
	return ask(watch, MSG_OP_LOG, &watch->log_id, error);
}

static int
take_accepted(struct watch *watch, struct msg *msg, struct error *error)
{
	(void)error;
	if (msg->id != watch->run_id)
		return 0;
	watch->accepted = true;
	watch->broken_since = 0;
	if (!watch->state)
		watch->state = STATE_QUEUED;
	close_fd(&watch->pipe_fd);
	return 0;
}

static int
take_error(struct watch *watch, struct msg *msg, struct error *error)
{
	bool start = msg->id == watch->run_id || msg->id == watch->follow_id;
	bool asked = start || msg->id == watch->row_id;

	if (msg->id == watch->row_id)
		watch->row_id = 0;
	if (asked && msg->error.code == ERR_UNREACHABLE) {
		msg_to_error(msg, error);
		lose(watch);
		return 0;
	}
	if (start)
		return msg_to_error(msg, error);
	if (msg->id == watch->cancel_id)
		output_note(watch->ash, "cancelling: %s", msg->error.why);
	if (msg->id != watch->log_id)
		return 0;
	/* No log yet, or runnerd is being restarted: asked again when something happens. */
	watch->log_id = 0;
	if (msg->error.code == ERR_UNREACHABLE) {
		watch->log_final = false;
		lose(watch);
	}
	return 0;
}

static const struct {
	enum msg_type type;
	int (*take)(struct watch *watch, struct msg *msg, struct error *error);
} takers[] = {
    {MSG_OP_ACCEPTED, take_accepted}, {MSG_ROWS, take_rows},           {MSG_LOG, take_log},
    {MSG_LOG_EVENT, take_log_event},  {MSG_SESSION_EVENT, take_event}, {MSG_ERROR, take_error},
};

static int
take_message(struct watch *watch, struct msg *msg, struct error *error)
{
	bool event = msg->type == MSG_SESSION_EVENT || msg->type == MSG_LOG_EVENT;

	/* An answer carries the number of its request; 0 stands for "none asked" here. */
	if (!event && msg->id == 0)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(takers); i++)
		if (takers[i].type == msg->type)
			return takers[i].take(watch, msg, error);
	return 0;
}

static int
take_messages(struct watch *watch, struct error *error)
{
	struct msg msg;
	int r;

	while ((r = connection_poll(&watch->ash->connection, &msg, error)) == 1) {
		watch->quiet_since = watch->heard_ms = clock_ms();
		r = take_message(watch, &msg, error);
		msg_close_fds(&msg);
		if (r < 0)
			return -1;
		if (watch->ash->connection.fd < 0)
			return 0;
	}
	if (r < 0 && error->code != ERR_UNREACHABLE)
		return -1;
	if (r < 0)
		lose(watch);
	return 0;
}

/* --- Ctrl-C, input, time
 * ------------------------------------------------------------------------------- */

static int
catch_interrupts(struct watch *watch, struct error *error)
{
	sigset_t signals;

	if (!watch->cancels)
		return 0;
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	watch->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (watch->signal_fd < 0)
		return error_errno(error, errno, "waiting for Ctrl-C");
	return 0;
}

static int
take_interrupts(struct watch *watch)
{
	struct signalfd_siginfo signal;

	while (read(watch->signal_fd, &signal, sizeof(signal)) == sizeof(signal))
		watch->interrupts++;
	if (watch->interrupts == 1) {
		progress_clear(&watch->progress);
		output_note(watch->ash, "cancelling session %s; Ctrl-C again leaves it to itself",
			    watch->ref);
	}
	return watch->interrupts > 1 ? WATCH_INTERRUPTED : 0;
}

static void
feed_input(struct watch *watch)
{
	const struct run *run = watch->run;

	while (watch->fed < run->input_length) {
		ssize_t n =
		    write(watch->pipe_fd, run->input + watch->fed, run->input_length - watch->fed);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0 && errno != EINTR)
			break;
		if (n > 0) {
			watch->fed += (size_t)n;
			watch->heard_ms = clock_ms();
		}
	}
	close_fd(&watch->pipe_fd);
}

static void
draw(struct watch *watch)
{
	const char *step = watch->step ? session_step_name(watch->step) : NULL;
	const char *state = session_state_name(watch->state);
	char text[64];

	if (watch->broken_since)
		snprintf(text, sizeof(text), "waiting for agentd");
	else if (watch->state == STATE_SETUP && step)
		snprintf(text, sizeof(text), "setup: %s", step);
	else
		snprintf(text, sizeof(text), "%s", watch->state && state ? state : "starting");
	progress_draw(&watch->progress, watch->agent, text);
}

/* What was asked should have been answered by now: a stopped process keeps its connections. */
static bool
is_silent(const struct watch *watch, uint64_t now)
{
	const struct connection *connection = &watch->ash->connection;
	bool waits = !watch->accepted || watch->row_id;

	return waits &&
	       now - watch->heard_ms > (connection->greeted ? REPLY_WAIT_MS : HELLO_WAIT_MS);
}

static int
on_time(struct watch *watch, struct error *error)
{
	uint64_t now = clock_ms();
	bool idle = now - watch->quiet_since >= WATCH_IDLE_MS;

	if (watch->broken_since && now - watch->broken_since > RESTART_WAIT_MS)
		return error->code ? -1 : error_why(error, ERR_UNREACHABLE, "agentd went away");
	if (watch->ash->connection.fd < 0)
		return reconnect(watch, error);
	if (is_silent(watch, now)) {
		connection_silent(&watch->ash->connection, error);
		lose(watch);
		return 0;
	}
	if (watch->interrupts && watch->accepted && !watch->cancel_sent) {
		watch->cancel_sent = true;
		return ask(watch, MSG_OP_CANCEL, &watch->cancel_id, error);
	}
	/* An end that was told while a daemon restarted may have been missed. */
	if (idle && watch->accepted && !watch->row_id) {
		watch->quiet_since = now;
		return ask(watch, MSG_OP_SESSIONS, &watch->row_id, error);
	}
	return 0;
}

static int
patience(const struct watch *watch)
{
	if (watch->ash->connection.fd < 0)
		return RETRY_MS;
	return watch->progress.enabled ? PROGRESS_TICK_MS : WATCH_IDLE_MS;
}

static int
turn(struct watch *watch, struct error *error)
{
	struct pollfd fds[] = {
	    {.fd = watch->ash->connection.fd, .events = POLLIN},
	    {.fd = watch->signal_fd, .events = POLLIN},
	    {.fd = watch->pipe_fd, .events = POLLOUT},
	    {.fd = watch->output ? STDOUT_FILENO : -1}, /* POLLERR: nobody reads any more */
	};
	int r = 0;

	if (poll(fds, ARRAY_LEN(fds), patience(watch)) < 0 && errno != EINTR)
		return error_errno(error, errno, "waiting for agentd");
	if (fds[3].revents & POLLERR)
		output_closed();
	if (fds[1].revents)
		r = take_interrupts(watch);
	if (r == 0 && fds[2].revents)
		feed_input(watch);
	if (r == 0 && fds[0].revents)
		r = take_messages(watch, error);
	return r == 0 ? on_time(watch, error) : r;
}

static bool
finished(const struct watch *watch)
{
	if (watch->until_row)
		return watch->accepted;
	return watch->ended && watch->log_id == 0 &&
	       (!watch->output || watch->log_final || watch->logs.position >= watch->log_total);
}

int
watch_session(struct watch *watch, struct error *error)
{
	int r = catch_interrupts(watch, error);

	watch->logs.progress = &watch->progress;
	watch->logs.json = watch->ash->json;
	if (r == 0)
		r = begin(watch, error);
	while (r == 0 && !finished(watch)) {
		draw(watch);
		r = turn(watch, error);
	}
	progress_clear(&watch->progress);
	return r;
}
