// with: agentd/control/control.c agentd/control/clients.c agentd/control/requests.c
// with: agentd/control/handlers.c agentd/control/run.c agentd/control/install.c
// with: agentd/control/events.c agentd/control/event_data.c
// with: agentd/control/tools.c agentd/control/metrics.c agentd/control/scrape.c
// with: agentd/control/watchers.c
// with: agentd/control/images.c
// with: agentd/control/image_view.c
/* Control with an operator, agentd, schedd and runnerd that the test plays. */
#include <sys/mman.h>
#include <sys/socket.h>

#include "tests/unit/control_stage.h"
#include "tests/unit/suite.h"

START_TEST(ping_is_answered_at_once)
{
	struct stage *stage = begin();
	struct msg msg;

	ask(stage, MSG_OP_PING, 5);
	expect(&stage->ash, MSG_OP_PONG, &msg);
	ck_assert_uint_eq(msg.id, 5);
	ck_assert_str_eq(msg.op_pong.version, scarab_version);
	finish(stage);
}
END_TEST

static struct uuid
ask_run(struct stage *stage, bool follow, int input)
{
	struct uuid id = uuid_new();
	struct msg msg;

	msg_init(&msg, MSG_OP_RUN);
	msg.id = 21;
	msg.op_run.session = id;
	msg.op_run.follow = follow;
	strcpy(msg.op_run.agent, "one");
	if (input >= 0) {
		msg.op_run.has_input = true;
		msg_add_fd(&msg, input);
	}
	peer_send(&stage->ash, &msg);
	return id;
}

static void
push_event(struct stage *stage, const struct uuid *id, enum session_state state)
{
	struct msg msg;

	msg_init(&msg, MSG_SESSION_EVENT);
	msg.session_event.session = *id;
	msg.session_event.state = (uint8_t)state;
	strcpy(msg.session_event.agent, "one");
	peer_send(&stage->schedd, &msg);
}

START_TEST(run_tells_every_event)
{
	struct stage *stage = begin();
	struct uuid id = ask_run(stage, true, -1), other = uuid_new();
	struct msg msg, event;

	identify(stage);
	expect(&stage->schedd, MSG_ENQUEUE, &msg);
	ck_assert_str_eq(msg.enqueue.operator, "alice");
	ck_assert_uint_eq(msg.enqueue.login_uid, 1001);
	push_event(stage, &other, STATE_SETUP);
	push_event(stage, &id, STATE_SETUP); /* before the answer: not lost */
	answer_ok(&stage->schedd, &msg);
	expect(&stage->ash, MSG_SESSION_EVENT, &event);
	ck_assert(uuid_equal(&event.session_event.session, &id));
	expect(&stage->ash, MSG_OP_ACCEPTED, &msg);
	ck_assert_uint_eq(msg.id, 21);
	msg_init(&msg, MSG_LOG_EVENT);
	msg.log_event.session = id;
	peer_send(&stage->runnerd, &msg);
	expect(&stage->ash, MSG_LOG_EVENT, &msg);
	push_event(stage, &id, STATE_ENDED);
	expect(&stage->ash, MSG_SESSION_EVENT, &event);
	ck_assert_uint_eq(stage->client->follow_count, 0);
	finish(stage);
}
END_TEST

START_TEST(input_is_spooled_first)
{
	struct stage *stage = begin();
	int ends[2], dir;
	struct msg msg;

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	ask_run(stage, false, ends[0]);
	identify(stage);
	expect(&stage->runnerd, MSG_INPUT_SPOOL, &msg);
	msg_close_fds(&msg);
	expect_nothing(&stage->schedd);
	answer_ok(&stage->runnerd, &msg);
	expect(&stage->schedd, MSG_ENQUEUE, &msg);
	ck_assert(msg.enqueue.has_input);
	answer_ok(&stage->schedd, &msg);
	expect(&stage->ash, MSG_OP_ACCEPTED, &msg);
	/* A pipe's read end and nothing else. */
	ask_run(stage, false, ends[1]);
	expect_error(stage, 21, ERR_USAGE);
	dir = open("/", O_PATH | O_CLOEXEC);
	ask_run(stage, false, dir);
	expect_error(stage, 21, ERR_USAGE);
	finish(stage);
}
END_TEST

START_TEST(input_of_a_refused_run_is_dropped)
{
	struct stage *stage = begin();
	struct error error = ERROR_INIT;
	struct msg msg;
	int ends[2];

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	ask_run(stage, true, ends[0]);
	close(ends[1]);
	identify(stage);
	expect(&stage->runnerd, MSG_INPUT_SPOOL, &msg);
	msg_close_fds(&msg);
	answer_ok(&stage->runnerd, &msg);
	expect(&stage->schedd, MSG_ENQUEUE, &msg);
	error_why(&error, ERR_NOT_FOUND, "no agent named one is installed");
	channel_reply_error(stage->schedd.channel, msg.id, &error);
	expect(&stage->runnerd, MSG_INPUT_DROP, &msg);
	expect_error(stage, 21, ERR_NOT_FOUND);
	ck_assert_uint_eq(stage->client->follow_count, 0);
	finish(stage);
}
END_TEST

START_TEST(who_went_away_runs_nothing)
{
	struct stage *stage = begin();
	struct msg msg;
	int ends[2];

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	ask_run(stage, true, ends[0]);
	identify(stage);
	expect(&stage->runnerd, MSG_INPUT_SPOOL, &msg);
	msg_close_fds(&msg);
	peer_free(&stage->ash);
	close(ends[1]);
	settle(stage->loop);
	answer_ok(&stage->runnerd, &msg);
	expect(&stage->runnerd, MSG_INPUT_DROP, &msg);
	expect_nothing(&stage->schedd);
	ck_assert_uint_eq(stage->control.request_count, 0);
	finish(stage);
}
END_TEST

START_TEST(a_restarted_schedd_is_asked_again)
{
	struct stage *stage = begin();
	struct uuid id = ask_run(stage, false, -1);
	struct msg msg;

	identify(stage);
	expect(&stage->schedd, MSG_ENQUEUE, &msg);
	peer_free(&stage->schedd);
	settle(stage->loop);
	meet_schedd(stage);
	expect(&stage->schedd, MSG_ENQUEUE, &msg);
	ck_assert(uuid_equal(&msg.enqueue.session, &id));
	answer_ok(&stage->schedd, &msg);
	expect(&stage->ash, MSG_OP_ACCEPTED, &msg);
	finish(stage);
}
END_TEST

START_TEST(a_daemon_that_stays_away_is_named)
{
	struct stage *stage = begin();
	struct msg msg;

	peer_free(&stage->schedd);
	settle(stage->loop);
	ask(stage, MSG_OP_SESSIONS, 6);
	expect(&stage->ash, MSG_ERROR, &msg);
	ck_assert_int_eq(msg.error.code, ERR_UNREACHABLE);
	ck_assert_ptr_nonnull(strstr(msg.error.why, "schedd"));
	finish(stage);
}
END_TEST

START_TEST(what_may_not_be_repeated_fails)
{
	struct stage *stage = begin();
	struct msg msg;

	msg_init(&msg, MSG_OP_REMOVE);
	msg.id = 30;
	strcpy(msg.op_remove.agent, "one");
	peer_send(&stage->ash, &msg);
	identify(stage);
	expect(&stage->runnerd, MSG_AGENT_REMOVE, &msg);
	ck_assert_uint_eq(msg.agent_remove.uid, 1000);
	peer_free(&stage->runnerd);
	expect_error(stage, 30, ERR_UNREACHABLE);
	finish(stage);
}
END_TEST

START_TEST(follow_looks_twice)
{
	struct stage *stage = begin();
	struct uuid id = uuid_new();
	char text[UUID_TEXT_LEN + 1];
	struct msg msg;

	msg_init(&msg, MSG_OP_FOLLOW);
	msg.id = 31;
	strcpy(msg.op_follow.ref, "one@latest");
	peer_send(&stage->ash, &msg);
	expect(&stage->schedd, MSG_SESSION_QUERY, &msg);
	ck_assert_str_eq(msg.session_query.ref, "one@latest");
	answer_session(stage, &msg, &id);
	expect(&stage->schedd, MSG_SESSION_QUERY, &msg);
	ck_assert_str_eq(msg.session_query.ref, uuid_format(&id, text));
	push_event(stage, &id, STATE_RUNNING);
	answer_session(stage, &msg, &id);
	expect(&stage->ash, MSG_SESSION_EVENT, &msg);
	expect(&stage->ash, MSG_ROWS, &msg);
	msg_close_fds(&msg);
	finish(stage);
}
END_TEST

START_TEST(log_goes_from_schedd_to_runnerd)
{
	struct stage *stage = begin();
	struct uuid id = uuid_new();
	struct msg msg, reply;

	msg_init(&msg, MSG_OP_LOG);
	strcpy(msg.op_log.ref, "0123");
	peer_send(&stage->ash, &msg);
	expect(&stage->schedd, MSG_SESSION_QUERY, &msg);
	answer_session(stage, &msg, &id);
	expect(&stage->runnerd, MSG_LOG_QUERY, &msg);
	ck_assert(uuid_equal(&msg.log_query.session, &id));
	ck_assert_str_eq(msg.log_query.agent, "one");
	answer(&msg, MSG_LOG, &reply);
	reply.log.session = id;
	msg_add_fd(&reply, memfd_sealed("log", "x", 1));
	peer_send(&stage->runnerd, &reply);
	expect(&stage->ash, MSG_LOG, &msg);
	ck_assert_uint_eq(msg.nfds, 1);
	msg_close_fds(&msg);
	finish(stage);
}
END_TEST

START_TEST(status_is_composed)
{
	struct stage *stage = begin();
	struct rows_reader *reader;
	struct msg msg, reply, record;

	ask(stage, MSG_OP_STATUS, 40);
	expect(&stage->agentd, MSG_DAEMONS_QUERY, &msg);
	msg_init(&record, MSG_DAEMON_ROW);
	record.daemon_row.role = ROLE_AGENTD;
	record.daemon_row.started_at_ms = 4711;
	answer_rows(&stage->agentd, &msg, &record);
	expect(&stage->schedd, MSG_LEDGER_QUERY, &msg);
	answer(&msg, MSG_LEDGER, &reply);
	reply.ledger.live = 3;
	peer_send(&stage->schedd, &reply);
	expect(&stage->runnerd, MSG_AGENT_QUERY, &msg);
	msg_init(&record, MSG_AGENT_ROW);
	answer_rows(&stage->runnerd, &msg, &record);
	expect(&stage->ash, MSG_ROWS, &msg);
	reader = rows_open(msg.fds[0]);
	ck_assert_int_eq(rows_next(reader, &record), 1);
	ck_assert_int_eq(record.type, MSG_STATUS_ROW);
	ck_assert(record.status_row.ledger_known && record.status_row.agents_known);
	ck_assert_uint_eq(record.status_row.live, 3);
	ck_assert_uint_eq(record.status_row.agents, 1);
	ck_assert_uint_eq(record.status_row.started_at_ms, 4711);
	ck_assert_int_eq(rows_next(reader, &record), 1);
	ck_assert_int_eq(record.type, MSG_STATUS_MORE);
	ck_assert_uint_eq(record.status_more.watchers, 0);
	ck_assert_int_eq(rows_next(reader, &record), 1);
	ck_assert_int_eq(record.type, MSG_DAEMON_ROW);
	ck_assert_int_eq(rows_next(reader, &record), 0);
	rows_close(reader);
	msg_close_fds(&msg);
	finish(stage);
}
END_TEST

START_TEST(status_does_without_who_is_away)
{
	struct stage *stage = begin();
	struct rows_reader *reader;
	struct msg msg, record;

	peer_free(&stage->schedd);
	ask(stage, MSG_OP_STATUS, 41);
	expect(&stage->agentd, MSG_DAEMONS_QUERY, &msg);
	msg_init(&record, MSG_DAEMON_ROW);
	record.daemon_row.role = ROLE_AGENTD;
	answer_rows(&stage->agentd, &msg, &record);
	/* runnerd hangs. */
	expect(&stage->runnerd, MSG_AGENT_QUERY, &msg);
	expect(&stage->ash, MSG_ROWS, &msg);
	reader = rows_open(msg.fds[0]);
	ck_assert_int_eq(rows_next(reader, &record), 1);
	ck_assert_int_eq(record.type, MSG_STATUS_ROW);
	ck_assert(!record.status_row.ledger_known && !record.status_row.agents_known);
	rows_close(reader);
	msg_close_fds(&msg);
	finish(stage);
}
END_TEST

START_TEST(shutdown_drains_first)
{
	struct stage *stage = begin();
	struct msg msg;

	msg_init(&msg, MSG_OP_SHUTDOWN);
	msg.id = 41;
	msg.op_shutdown.drain = true;
	peer_send(&stage->ash, &msg);
	identify(stage);
	expect(&stage->schedd, MSG_DRAIN, &msg);
	answer_ok(&stage->schedd, &msg);
	expect(&stage->agentd, MSG_SHUTDOWN_REQUEST, &msg);
	/* agentd may say stop before it says yes. */
	requests_stop(&stage->control);
	expect(&stage->ash, MSG_OK, &msg);
	ck_assert_uint_eq(msg.id, 41);
	finish(stage);
}
END_TEST

/* --- install --------------------------------------------------------------------------------- */

static const char manifest[] = "apiVersion: scarab/v1\n"
			       "kind: AgentManifest\n"
			       "metadata: {name: one, version: 1.0.0}\n"
			       "spec:\n"
			       "  runtime: rust\n"
			       "  context:\n"
			       "    - {source: /srv, target: /context/srv}\n";

static void
ask_install(struct stage *stage, int text, const char *runtime, unsigned proofs)
{
	struct msg msg;

	msg_init(&msg, MSG_OP_INSTALL);
	msg.id = 50;
	strcpy(msg.op_install.manifest_path, "one.yaml");
	strcpy(msg.op_install.install_dir, "/opt/one");
	strcpy(msg.op_install.runtime, runtime);
	msg_add_fd(&msg, text);
	for (unsigned i = 0; i <= proofs; i++)
		msg_add_fd(&msg, open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
	peer_send(&stage->ash, &msg);
}

static int
sealed(const char *text)
{
	return memfd_sealed("manifest", text, strlen(text));
}

START_TEST(install_sends_a_plan)
{
	struct stage *stage = begin();
	struct error error = ERROR_INIT;
	const uint8_t *bytes;
	struct manifest *plan;
	size_t length;
	struct msg msg, record;

	ask_install(stage, sealed(manifest), "", 1);
	identify(stage);
	expect(&stage->runnerd, MSG_AGENT_INSTALL, &msg);
	ck_assert_uint_eq(msg.nfds, 4);
	ck_assert_uint_eq(msg.agent_install.login_uid, 1001);
	ck_assert_int_eq(memfd_map(msg.fds[0], PLAN_BYTES_MAX, &bytes, &length), 0);
	plan = plan_decode(bytes, length, &error);
	ck_assert_ptr_nonnull(plan);
	ck_assert_str_eq(plan->name, "one");
	manifest_free(plan);
	msg_close_fds(&msg);
	msg_init(&record, MSG_AGENT_ROW);
	answer_rows(&stage->runnerd, &msg, &record);
	expect(&stage->ash, MSG_ROWS, &msg);
	msg_close_fds(&msg);
	finish(stage);
}
END_TEST

START_TEST(install_refuses_what_is_wrong)
{
	struct stage *stage = begin();
	int unsealed = memfd_create("manifest", MFD_CLOEXEC);

	ck_assert_int_eq(write(unsealed, manifest, strlen(manifest)), strlen(manifest));
	ask_install(stage, unsealed, "", 1);
	identify(stage);
	expect_error(stage, 50, ERR_INVALID);
	ask_install(stage, sealed(""), "", 0);
	expect_error(stage, 50, ERR_INVALID);
	ask_install(stage, sealed("metadata: {name: [\n"), "", 0);
	expect_error(stage, 50, ERR_INVALID);
	ask_install(stage, sealed(manifest), "", 2);
	expect_error(stage, 50, ERR_USAGE);
	ask_install(stage, sealed(manifest), "cobol", 1);
	expect_error(stage, 50, ERR_USAGE);
	ask_install(stage, sealed(manifest), "python", 1);
	expect_error(stage, 50, ERR_INVALID);
	expect_nothing(&stage->runnerd);
	finish(stage);
}
END_TEST

/* --- bounds --------------------------------------------------------------------------------------
 */

START_TEST(a_greedy_connection_is_not_read)
{
	struct stage *stage = begin();
	struct peer other;
	struct msg msg;

	for (uint32_t i = 0; i < CLIENT_PENDING_MAX * 3; i++)
		ask(stage, MSG_OP_SESSIONS, i + 1);
	settle(stage->loop);
	ck_assert_uint_eq(stage->control.request_count, CLIENT_PENDING_MAX);
	connect_ash(stage, &other);
	msg_init(&msg, MSG_OP_PING);
	peer_send(&other, &msg);
	expect(&other, MSG_OP_PONG, &msg);
	for (uint32_t i = 0; i < CLIENT_PENDING_MAX * 3; i++) {
		struct uuid id = uuid_new();

		expect(&stage->schedd, MSG_SESSION_QUERY, &msg);
		answer_session(stage, &msg, &id);
		expect(&stage->ash, MSG_ROWS, &msg);
		ck_assert_uint_eq(msg.id, i + 1);
		msg_close_fds(&msg);
	}
	peer_free(&other);
	finish(stage);
}
END_TEST

START_TEST(a_violation_ends_that_connection_only)
{
	struct stage *stage = begin();
	struct peer good;
	struct client *client;
	unsigned count = 0;
	struct msg msg;
	int ends[2];

	connect_ash(stage, &good);
	ck_assert_int_eq(channel_pair(ends), 0);
	client_new(&stage->control, ends[1], 0);
	ck_assert_int_eq(send(ends[0], "noise", 5, 0), 5);
	settle(stage->loop);
	TAILQ_FOREACH(client, &stage->control.clients, entry)
	{
		count++;
	}
	ck_assert_uint_eq(count, 2);
	msg_init(&msg, MSG_OP_PING);
	peer_send(&good, &msg);
	expect(&good, MSG_OP_PONG, &msg);
	close(ends[0]);
	peer_free(&good);
	finish(stage);
}
END_TEST

START_TEST(nothing_stays_open)
{
	int before = open_fds();
	struct stage *stage = begin();
	struct msg msg;
	int ends[2];

	ask_install(stage, sealed(manifest), "", 1);
	identify(stage);
	expect(&stage->runnerd, MSG_AGENT_INSTALL, &msg);
	msg_close_fds(&msg);
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	close(ends[1]);
	ask_run(stage, true, ends[0]);
	ask(stage, MSG_OP_STATUS, 60);
	settle(stage->loop);
	finish(stage);
	ck_assert_int_eq(open_fds(), before);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
	    ping_is_answered_at_once,
	    run_tells_every_event,
	    input_is_spooled_first,
	    input_of_a_refused_run_is_dropped,
	    who_went_away_runs_nothing,
	    a_restarted_schedd_is_asked_again,
	    a_daemon_that_stays_away_is_named,
	    what_may_not_be_repeated_fails,
	    follow_looks_twice,
	    log_goes_from_schedd_to_runnerd,
	    status_is_composed,
	    status_does_without_who_is_away,
	    shutdown_drains_first,
	    install_sends_a_plan,
	    install_refuses_what_is_wrong,
	    a_greedy_connection_is_not_read,
	    a_violation_ends_that_connection_only,
	    nothing_stays_open,
	};

	return suite_run("control", tests, ARRAY_LEN(tests));
}
