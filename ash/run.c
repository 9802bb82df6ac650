/* ash agent run, session wait, session logs. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "ash.h"
#include "common/cleanup.h"
#include "common/io.h"
#include "common/timefmt.h"
#include "output.h"
#include "session.h"
#include "watch.h"

/* --- the end -------------------------------------------------------------------------------------
 */

/* In words on standard error. What the agent's own exit status tells is only said to who looks
 * at a terminal: elsewhere standard error holds what the agent wrote. */
static void
tell_ending(const struct watch *watch)
{
	const struct ending *ending = &watch->ending;
	bool own = ending->outcome == OUTCOME_FAILED || ending->outcome == OUTCOME_SIGNALED;
	struct error error = ERROR_INIT;
	char text[ENDING_TEXT_MAX + 1];

	if (ending->outcome == OUTCOME_SUCCESS)
		output_next(watch->ash, "ash session show %s, ash schedule next %s", watch->ref,
			    watch->agent);
	if (ending->outcome == OUTCOME_SUCCESS || (own && !watch->ash->live))
		return;
	error_why(&error, ERR_FAILED, "%s", ending_text(ending, text));
	error_what(&error, "%s", watch->agent);
	error_hint(&error, "more: ash session why %s", watch->ref);
	output_error(watch->ash, &error);
}

static int
print_session(struct ash *ash, const char *ref, struct error *error)
{
	_cleanup_(session_tools_free) struct session_tools tools = {0};
	struct json json = JSON_INIT;
	struct session session;

	if (session_get_all(ash, ref, &session, &tools, error) < 0)
		return -1;
	session_json(&session, &json);
	if (output_json(&json, error) < 0)
		return -1;
	return output_flush(error);
}

static int
end_watch(struct watch *watch, struct error *error)
{
	if (watch->ash->json && print_session(watch->ash, watch->ref, error) < 0)
		return -1;
	tell_ending(watch);
	return ending_status(&watch->ending);
}

static void
tell_gaps(const struct watch *watch)
{
	char text[32];

	if (watch->logs.missed)
		output_note(watch->ash,
			    "%s of the output were gone already: a log keeps its newest part",
			    size_format(watch->logs.missed, text));
	if (watch->logs.damaged)
		output_note(watch->ash, "%llu damaged lines of the log were left out",
			    (unsigned long long)watch->logs.damaged);
}

/* --- run
 * -------------------------------------------------------------------------------------------- */

static int
read_input(const char *path, struct run *run, char **input, struct error *error)
{
	_cleanup_close_ int file = -1;
	int fd = STDIN_FILENO, r;

	if (strcmp(path, "-") != 0) {
		fd = file = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0) {
			error_errno(error, errno, "opening the input");
			return error_what(error, "%s", path);
		}
	}
	r = read_file(fd, INPUT_BYTES_MAX, input, &run->input_length);
	if (r == -EFBIG)
		error_why(error, ERR_FAILED, "the input is larger than %d MiB",
			  INPUT_BYTES_MAX >> 20);
	else if (r < 0)
		error_errno(error, -r, "reading the input");
	if (r < 0)
		return error_what(error, "%s", strcmp(path, "-") == 0 ? "standard input" : path);
	run->input = (const uint8_t *)*input;
	run->request.op_run.has_input = true;
	return 0;
}

static int
set_task(const char *task, struct msg_op_run *request, struct error *error)
{
	size_t length = strlen(task);

	if (length > TASK_MAX)
		return error_why(error, ERR_FAILED, "--task is longer than %d bytes", TASK_MAX);
	if (!utf8_valid((const uint8_t *)task, length))
		return error_why(error, ERR_FAILED, "--task is not UTF-8");
	request->has_task = true;
	strcpy(request->task, task);
	return 0;
}

static int
run_options(const struct args *args, struct run *run, struct error *error)
{
	const char *task = args_value(args, "--task");
	struct msg_op_run *request = &run->request.op_run;
	bool detach = args_flag(args, "--detach");

	if (detach && args_flag(args, "--wait"))
		return error_why(error, ERR_USAGE, "--detach and --wait exclude each other");
	if (args_duration(args, "--timeout", &request->timeout_ms, error) < 0)
		return -1;
	if (task && set_task(task, request, error) < 0)
		return -1;
	if (agent_name_check(args->operands[0], error) < 0)
		return -1;
	strcpy(request->agent, args->operands[0]);
	request->session = uuid_new();
	request->follow = !detach;
	return 0;
}

static int
end_detached(struct watch *watch, struct error *error)
{
	if (watch->ash->json)
		return print_session(watch->ash, watch->ref, error);
	puts(watch->ref);
	return 0;
}

static int
run_watch(struct watch *watch, struct error *error)
{
	bool detached = watch->until_row;
	int r = watch_session(watch, error);

	if (r == 0)
		tell_gaps(watch);
	if (r == 0)
		r = detached ? end_detached(watch, error) : end_watch(watch, error);
	watch_free(watch);
	return r == WATCH_INTERRUPTED ? EXIT_SIGNAL_BASE + SIGINT : r;
}

int
agent_run_command(struct ash *ash, const struct args *args, struct error *error)
{
	const char *input = args_value(args, "--input");
	_cleanup_free_ char *bytes = NULL;
	char id[UUID_TEXT_LEN + 1];
	struct watch watch;
	struct run run = {0};

	msg_init(&run.request, MSG_OP_RUN);
	if (run_options(args, &run, error) < 0)
		return -1;
	if (connection_begin(&ash->connection, error) < 0)
		return -1;
	if (input && read_input(input, &run, &bytes, error) < 0)
		return -1;
	watch_init(&watch, ash, uuid_format(&run.request.op_run.session, id), args->operands[0]);
	watch.run = &run;
	watch.until_row = !run.request.op_run.follow;
	/* With --json standard output holds the session's object alone. */
	watch.output = !ash->json && !watch.until_row;
	watch.cancels = !watch.until_row;
	return run_watch(&watch, error);
}

/* --- wait, logs
 * --------------------------------------------------------------------------------------- */

static void
watch_existing(struct watch *watch, struct ash *ash, const struct session *session)
{
	char id[UUID_TEXT_LEN + 1];

	watch_init(watch, ash, uuid_format(&session->row.session, id), session->row.agent);
	watch->state = session->row.state;
	watch->step = session->row.step;
}

int
session_wait_command(struct ash *ash, const struct args *args, struct error *error)
{
	struct session session;
	struct watch watch;

	if (session_get(ash, args->operands[0], &session, error) < 0)
		return -1;
	watch_existing(&watch, ash, &session);
	return run_watch(&watch, error);
}

/* What is there of a log now. A session that never printed has none. */
static int
print_log(struct watch *watch, const struct msg_session_row *row, struct error *error)
{
	struct msg request, reply;
	int r;

	msg_init(&request, MSG_OP_LOG);
	strcpy(request.op_log.ref, watch->ref);
	if (connection_query(&watch->ash->connection, &request, MSG_LOG, &reply, error) < 0) {
		bool none = error->code == ERR_NOT_FOUND && row->log_bytes == 0;

		if (none)
			*error = (struct error)ERROR_INIT;
		return none ? 0 : -1;
	}
	watch->logs.json = watch->ash->json;
	logs_take(&watch->logs, &reply);
	msg_close_fds(&reply);
	r = logs_pump(&watch->logs, error);
	if (r == 0 && reply.log.dropped_bytes)
		output_note(watch->ash,
			    "the agent printed faster than its log could take: "
			    "%llu bytes were dropped",
			    (unsigned long long)reply.log.dropped_bytes);
	return r;
}

int
session_logs_command(struct ash *ash, const struct args *args, struct error *error)
{
	struct session session;
	struct watch watch;
	int r;

	if (session_get(ash, args->operands[0], &session, error) < 0)
		return -1;
	watch_existing(&watch, ash, &session);
	if (args_flag(args, "--follow") && session.row.state != STATE_ENDED) {
		watch.output = true;
		r = watch_session(&watch, error);
	} else {
		r = print_log(&watch, &session.row, error);
	}
	if (r == 0)
		tell_gaps(&watch);
	watch_free(&watch);
	return r;
}
