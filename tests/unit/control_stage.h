/* Control with an operator, agentd, schedd and runnerd that the test plays. */
#ifndef SCARAB_TESTS_CONTROL_STAGE_H
#define SCARAB_TESTS_CONTROL_STAGE_H

#include "agentd/control/requests.h"
#include "common/log.h"
#include "tests/unit/peer.h"

struct stage {
	struct loop *loop;
	struct control control;
	struct peer agentd, schedd, runnerd, ash;
	struct client *client;
};

static inline void
agentd_message(struct channel *channel, struct msg *msg, void *arg)
{
	(void)channel;
	upstream_answer(arg, UP_AGENTD, msg);
}

static inline void
agentd_closed(struct channel *channel, const struct error *error, void *arg)
{
	struct control *control = arg;

	(void)channel;
	(void)error;
	control->up[UP_AGENTD] = NULL;
}

static const struct channel_ops agentd_ops = {.message = agentd_message, .closed = agentd_closed};

static inline void
meet_agentd(struct stage *stage)
{
	int fd = peer_open(&stage->agentd, stage->loop, CH_SUPERVISE_CONTROL, SIDE_A, ROLE_AGENTD,
			   ROLE_CONTROL);
	struct channel *channel =
	    channel_new(stage->loop, fd, CH_SUPERVISE_CONTROL, SIDE_B, ROLE_CONTROL, ROLE_AGENTD,
			&agentd_ops, &stage->control);

	channel_set_phase(stage->agentd.channel, IN_OPEN);
	channel_set_phase(channel, IN_OPEN);
	stage->control.up[UP_AGENTD] = channel;
}

static inline void
meet_schedd(struct stage *stage)
{
	int fd = peer_open(&stage->schedd, stage->loop, CH_CONTROL_SCHEDD, SIDE_B, ROLE_SCHEDD,
			   ROLE_CONTROL);

	upstream_introduce(&stage->control, UP_SCHEDD, fd);
}

static inline void
meet_runnerd(struct stage *stage)
{
	int fd = peer_open(&stage->runnerd, stage->loop, CH_CONTROL_RUNNERD, SIDE_B, ROLE_RUNNERD,
			   ROLE_CONTROL);

	upstream_introduce(&stage->control, UP_RUNNERD, fd);
}

static inline void
connect_ash(struct stage *stage, struct peer *ash)
{
	int fd = peer_open(ash, stage->loop, CH_OPERATOR, SIDE_A, ROLE_ASH, ROLE_CONTROL);

	stage->client = client_new(&stage->control, fd, 0);
	ck_assert_ptr_nonnull(stage->client);
}

static inline struct stage *
begin(void)
{
	struct stage *stage = calloc(1, sizeof(*stage));
	struct error error = ERROR_INIT;

	log_set_level(LOG_LEVEL_ERROR);
	stage->loop = loop_new();
	ck_assert_int_eq(control_init(&stage->control, stage->loop,
				      config_read(NULL, 0, "defaults", &error), -1, &error),
			 0);
	meet_agentd(stage);
	meet_schedd(stage);
	meet_runnerd(stage);
	connect_ash(stage, &stage->ash);
	return stage;
}

static inline void
finish(struct stage *stage)
{
	peer_free(&stage->ash);
	peer_free(&stage->schedd);
	peer_free(&stage->runnerd);
	settle(stage->loop);
	channel_free(stage->control.up[UP_AGENTD]);
	peer_free(&stage->agentd);
	control_release(&stage->control);
	loop_free(stage->loop);
	free(stage);
}

static inline void
answer(const struct msg *question, enum msg_type type, struct msg *msg)
{
	msg_init(msg, type);
	msg->id = question->id;
}

static inline void
answer_ok(struct peer *peer, const struct msg *question)
{
	struct msg msg;

	answer(question, MSG_OK, &msg);
	peer_send(peer, &msg);
}

static inline void
answer_rows(struct peer *peer, const struct msg *question, const struct msg *record)
{
	struct rows *rows = rows_new("test");
	struct msg msg;

	ck_assert_int_eq(rows_add(rows, record), 0);
	answer(question, MSG_ROWS, &msg);
	msg.rows.count = 1;
	msg_add_fd(&msg, rows_seal(rows));
	peer_send(peer, &msg);
}

static inline void
answer_session(struct stage *stage, const struct msg *question, const struct uuid *id)
{
	struct msg record;

	msg_init(&record, MSG_SESSION_ROW);
	record.session_row.session = *id;
	strcpy(record.session_row.agent, "one");
	answer_rows(&stage->schedd, question, &record);
}

/* agentd is asked who the operator is, and tells. */
static inline void
identify(struct stage *stage)
{
	struct msg msg, reply;

	expect(&stage->agentd, MSG_PEER_QUERY, &msg);
	ck_assert_uint_eq(msg.nfds, 1);
	msg_close_fds(&msg);
	answer(&msg, MSG_PEER, &reply);
	reply.peer.uid = 1000;
	reply.peer.login_uid = 1001;
	strcpy(reply.peer.user, "alice");
	peer_send(&stage->agentd, &reply);
}

static inline void
ask(struct stage *stage, enum msg_type type, uint32_t id)
{
	struct msg msg;

	msg_init(&msg, type);
	msg.id = id;
	peer_send(&stage->ash, &msg);
}

static inline void
expect_error(struct stage *stage, uint32_t id, enum error_code code)
{
	struct msg msg;

	expect(&stage->ash, MSG_ERROR, &msg);
	ck_assert_uint_eq(msg.id, id);
	ck_assert_msg(msg.error.code == code, "code %d: %s", msg.error.code, msg.error.why);
}

#endif
