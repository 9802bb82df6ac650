/* schedd on a stage: a runnerd and a control that the test plays, what they say and expect. */
#ifndef SCARAB_TESTS_STAGE_H
#define SCARAB_TESTS_STAGE_H

#include <fcntl.h>
#include <stdlib.h>

#include "common/log.h"
#include "schedd/peers.h"
#include "schedd/schedd.h"
#include "schedd/sessions.h"
#include "tests/unit/peer.h"
#include "tests/unit/suite.h"

static char dir[] = "/tmp/scarab-schedd-XXXXXX";
static char path[sizeof(dir) + 16];

struct stage {
	struct loop *loop;
	struct schedd schedd;
	struct peer control, runnerd;
};

static inline void
make_dir(void)
{
	strcpy(dir, "/tmp/scarab-schedd-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/ledger.db", dir);
	log_set_level(LOG_LEVEL_ERROR);
}

static inline void
remove_dir(void)
{
	char wal[sizeof(path) + 8];

	snprintf(wal, sizeof(wal), "%s-wal", path);
	unlink(wal);
	unlink(path);
	rmdir(dir);
}

/* Left open: schedd's is for its life, too. */
static inline int
zoneinfo_fd(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = open("/usr/share/zoneinfo", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd;
}

/* schedd begins with what the ledger holds and nobody to talk to. */
static inline struct stage *
begin(void)
{
	struct stage *stage = calloc(1, sizeof(*stage));
	struct error error = ERROR_INIT;
	struct config *config = config_read(NULL, 0, "defaults", &error);
	struct ledger *ledger = ledger_open(path, path, &error);

	ck_assert_msg(ledger != NULL, "%s: %s", error.what, error.why);
	stage->loop = loop_new();
	ck_assert_int_eq(
	    schedd_init(&stage->schedd, stage->loop, config, ledger, zoneinfo_fd(), &error), 0);
	return stage;
}

static inline void
meet_control(struct stage *stage)
{
	int fd = peer_open(&stage->control, stage->loop, CH_CONTROL_SCHEDD, SIDE_A, ROLE_CONTROL,
			   ROLE_SCHEDD);

	peers_introduce_control(&stage->schedd, fd);
}

static inline void
meet_runnerd(struct stage *stage)
{
	int fd = peer_open(&stage->runnerd, stage->loop, CH_SCHEDD_RUNNERD, SIDE_B, ROLE_RUNNERD,
			   ROLE_SCHEDD);

	peers_introduce_runnerd(&stage->schedd, fd);
}

static inline void
install(struct stage *stage, const char *name, enum overlap policy)
{
	struct msg msg;

	msg_init(&msg, MSG_AGENT_DEF);
	strcpy(msg.agent_def.agent, name);
	msg.agent_def.overlap = (uint8_t)policy;
	msg.agent_def.max = 1;
	msg.agent_def.queue_limit = 2;
	msg.agent_def.timeout_ms = 60000;
	strcpy(msg.agent_def.task, "the manifest's task");
	peer_send(&stage->runnerd, &msg);
}

static inline void
end_inventory(struct stage *stage)
{
	struct msg msg;

	msg_init(&msg, MSG_INVENTORY_END);
	peer_send(&stage->runnerd, &msg);
	settle(stage->loop);
}

/* Everybody is there, an agent is installed. */
static inline struct stage *
begin_with(const char *agent, enum overlap policy)
{
	struct stage *stage = begin();

	meet_control(stage);
	meet_runnerd(stage);
	install(stage, agent, policy);
	end_inventory(stage);
	return stage;
}

static inline void
finish(struct stage *stage)
{
	peer_free(&stage->control);
	peer_free(&stage->runnerd);
	schedd_release(&stage->schedd);
	loop_free(stage->loop);
	free(stage);
}

static inline void
ask(enum msg_type type, struct msg *msg, uint32_t id)
{
	msg_init(msg, type);
	msg->id = id;
}

static inline struct uuid
enqueue_as(struct stage *stage, const char *agent, struct uuid id, uint32_t request)
{
	struct msg msg;

	ask(MSG_ENQUEUE, &msg, request);
	msg.enqueue.session = id;
	strcpy(msg.enqueue.agent, agent);
	strcpy(msg.enqueue.operator, "root");
	peer_send(&stage->control, &msg);
	return id;
}

static inline struct uuid
enqueue(struct stage *stage, const char *agent)
{
	return enqueue_as(stage, agent, uuid_new(), 7);
}

static inline void
expect_event(struct stage *stage, const struct uuid *id, enum session_state state,
	     enum session_outcome outcome)
{
	struct msg msg;

	expect(&stage->control, MSG_SESSION_EVENT, &msg);
	ck_assert(uuid_equal(&msg.session_event.session, id));
	ck_assert_str_eq(session_state_name(msg.session_event.state), session_state_name(state));
	ck_assert_int_eq(msg.session_event.outcome, outcome);
}

/* The answer and the first event of an accepted session, in the order schedd gives them. */
static inline void
expect_accepted(struct stage *stage, const struct uuid *id, enum session_state state)
{
	struct msg msg;

	expect_event(stage, id, state, OUTCOME_NONE);
	expect(&stage->control, MSG_OK, &msg);
	ck_assert_uint_eq(msg.id, 7);
}

static inline void
expect_error(struct stage *stage, enum error_code code)
{
	struct msg msg;

	expect(&stage->control, MSG_ERROR, &msg);
	ck_assert_int_eq(msg.error.code, code);
	ck_assert_int_ne(msg.error.why[0], '\0');
}

static inline void
say(struct stage *stage, enum msg_type type, const struct uuid *id)
{
	struct msg msg;

	msg_init(&msg, type);
	switch (type) {
	case MSG_PREPARED:
		msg.prepared.session = *id;
		break;
	case MSG_RUNNING:
		msg.running.session = *id;
		msg.running.running_at_ms = realtime_ms();
		break;
	case MSG_STEP:
		msg.step.session = *id;
		msg.step.step = STEP_IMAGE;
		msg.step.took_us = 42000;
		break;
	default:
		ck_abort_msg("not a message of one session");
	}
	peer_send(&stage->runnerd, &msg);
}

static inline void
say_ended(struct stage *stage, const struct uuid *id, enum session_outcome outcome)
{
	struct msg msg;

	msg_init(&msg, MSG_ENDED);
	msg.ended.session = *id;
	msg.ended.outcome = (uint8_t)outcome;
	msg.ended.exit_code = outcome == OUTCOME_FAILED ? 3 : 0;
	msg.ended.signal = -1;
	msg.ended.ended_at_ms = realtime_ms();
	msg.ended.log_bytes = 1234;
	peer_send(&stage->runnerd, &msg);
}

static inline void
say_held(struct stage *stage, const struct uuid *id, enum session_state state)
{
	struct msg msg;

	msg_init(&msg, MSG_INVENTORY);
	msg.inventory.session = *id;
	msg.inventory.state = (uint8_t)state;
	msg.inventory.running_at_ms = state == STATE_RUNNING ? 99 : 0;
	peer_send(&stage->runnerd, &msg);
}

static inline void
expect_for(struct stage *stage, enum msg_type type, const struct uuid *id)
{
	struct msg msg;

	expect(&stage->runnerd, type, &msg);
	ck_assert(uuid_equal(type == MSG_PREPARE  ? &msg.prepare.session
			     : type == MSG_GO     ? &msg.go.session
			     : type == MSG_CANCEL ? &msg.cancel.session
						  : &msg.end_ack.session,
			     id));
}

/* From ENQUEUE to RUNNING. */
static inline struct uuid
run(struct stage *stage, const char *agent)
{
	struct uuid id = enqueue(stage, agent);

	expect_for(stage, MSG_PREPARE, &id);
	expect_accepted(stage, &id, STATE_SETUP);
	say(stage, MSG_PREPARED, &id);
	expect_for(stage, MSG_GO, &id);
	say(stage, MSG_RUNNING, &id);
	expect_event(stage, &id, STATE_RUNNING, OUTCOME_NONE);
	return id;
}

static inline struct msg_session_row
row_of(struct stage *stage, const char *ref)
{
	struct rows_reader *reader;
	struct msg msg, record;

	ask(MSG_SESSION_QUERY, &msg, 9);
	strcpy(msg.session_query.ref, ref);
	peer_send(&stage->control, &msg);
	do
		ck_assert(peer_next(&stage->control, &msg));
	while (msg.type == MSG_SESSION_EVENT || msg.type == MSG_OK);
	ck_assert_int_eq(msg.type, MSG_ROWS);
	reader = rows_open(msg.fds[0]);
	ck_assert_ptr_nonnull(reader);
	ck_assert_int_eq(rows_next(reader, &record), 1);
	ck_assert_int_eq(record.type, MSG_SESSION_ROW);
	rows_close(reader);
	msg_close_fds(&msg);
	return record.session_row;
}

static inline struct msg_session_row
row_by_id(struct stage *stage, const struct uuid *id)
{
	char ref[UUID_TEXT_LEN + 1];

	return row_of(stage, uuid_format(id, ref));
}

static inline void
cancel(struct stage *stage, const struct uuid *id)
{
	struct msg msg;

	ask(MSG_SESSION_CANCEL, &msg, 11);
	uuid_format(id, msg.session_cancel.ref);
	strcpy(msg.session_cancel.reason, "cancelled by root");
	peer_send(&stage->control, &msg);
}

/* The answer, which follows the session's event. */
static inline void
expect_cancelled(struct stage *stage, uint64_t over)
{
	struct msg msg;

	expect(&stage->control, MSG_OK, &msg);
	ck_assert_uint_eq(msg.id, 11);
	ck_assert_uint_eq(msg.ok.value, over);
}

static inline int
run_suite(const TTest *const *tests, size_t count)
{
	Suite *suite = suite_create("schedd");
	TCase *all = tcase_create("schedd");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(all, make_dir, remove_dir);
	for (size_t i = 0; i < count; i++)
		_tcase_add_test(all, tests[i], 0, 0, 0, 1);
	tcase_set_timeout(all, 60);
	suite_add_tcase(suite, all);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
