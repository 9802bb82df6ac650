// with: agentd/control/control.c agentd/control/clients.c agentd/control/requests.c
// with: agentd/control/handlers.c agentd/control/run.c agentd/control/install.c
// with: agentd/control/events.c agentd/control/event_data.c
// with: agentd/control/tools.c agentd/control/watchers.c
// with: agentd/control/metrics.c agentd/control/scrape.c
// with: agentd/control/images.c agentd/control/image_view.c
/* Operators who watch everything: what they are told, and what they miss. */
#include <string.h>

#include "agentd/control/watchers.h"
#include "common/notice.h"
#include "tests/unit/control_stage.h"
#include "tests/unit/suite.h"

static void
watch(struct stage *stage, bool samples)
{
	struct msg msg;

	msg_init(&msg, MSG_OP_WATCH);
	msg.id = 9;
	msg.op_watch.samples = samples;
	peer_send(&stage->ash, &msg);
	stage->ash.notices = true;
	expect(&stage->ash, MSG_OK, &msg);
	ck_assert_uint_eq(msg.id, 9);
}

static void
say_notice(struct peer *peer, enum notice_kind kind, const char *agent)
{
	struct msg msg;

	notice_init(&msg, kind);
	snprintf(msg.notice.agent, sizeof(msg.notice.agent), "%s", agent);
	peer_send(peer, &msg);
}

START_TEST(who_watches_is_told_what_happens)
{
	struct stage *stage = begin();
	struct msg msg;

	watch(stage, false);
	say_notice(&stage->schedd, NOTICE_AGENT_PAUSED, "one");
	expect(&stage->ash, MSG_NOTICE, &msg);
	ck_assert_uint_eq(msg.notice.kind, NOTICE_AGENT_PAUSED);
	ck_assert_uint_eq(msg.id, 0);
	say_notice(&stage->runnerd, NOTICE_CALL_ASKED, "two");
	expect(&stage->ash, MSG_NOTICE, &msg);
	ck_assert_str_eq(msg.notice.agent, "two");
	msg_init(&msg, MSG_SESSION_EVENT);
	msg.session_event.state = STATE_RUNNING;
	peer_send(&stage->schedd, &msg);
	expect(&stage->ash, MSG_SESSION_EVENT, &msg);
	finish(stage);
}
END_TEST

START_TEST(a_daemon_tells_its_own_news_only)
{
	struct stage *stage = begin();
	struct msg msg;

	log_set_level(LOG_LEVEL_ERROR);
	watch(stage, false);
	say_notice(&stage->schedd, NOTICE_AGENT_INSTALLED, "forged");
	say_notice(&stage->runnerd, NOTICE_EVENT_EMITTED, "forged");
	say_notice(&stage->runnerd, NOTICE_DAEMON_ENDED, "forged");
	say_notice(&stage->runnerd, NOTICE_AGENT_INSTALLED, "true");
	expect(&stage->ash, MSG_NOTICE, &msg);
	ck_assert_str_eq(msg.notice.agent, "true");
	finish(stage);
}
END_TEST

/* He reads nothing while more comes than socket and queue hold. */
START_TEST(a_slow_watcher_is_told_how_many_he_missed)
{
	enum { SENT = 5000 };
	struct stage *stage = begin();
	uint64_t heard = 0, missed = 0;
	struct client *client;
	struct msg msg;

	watch(stage, false);
	client = stage->client;
	channel_pause(stage->ash.channel, true);
	for (unsigned i = 0; i < SENT; i++) {
		notice_init(&msg, NOTICE_AGENT_RESUMED);
		memset(msg.notice.text, 'x', sizeof(msg.notice.text) - 1);
		watchers_tell(&stage->control, ROLE_SCHEDD, &msg);
		ck_assert_uint_le(channel_queued(client->channel), NOTICES_WAITING_MAX);
	}
	ck_assert_uint_gt(client->missed, 0);
	channel_pause(stage->ash.channel, false);
	while (heard + missed < SENT) {
		expect(&stage->ash, MSG_NOTICE, &msg);
		if (msg.notice.kind == NOTICE_MISSED)
			missed += msg.notice.count;
		else
			heard++;
	}
	ck_assert_uint_gt(missed, 0);
	ck_assert_uint_eq(heard + missed, SENT);
	finish(stage);
}
END_TEST

START_TEST(samples_are_asked_for_while_somebody_wants_them)
{
	struct stage *stage = begin();
	struct msg msg;

	watch(stage, false);
	settle(stage->loop);
	ck_assert_ptr_null(stage->runnerd.first);
	watch(stage, true);
	expect(&stage->runnerd, MSG_SAMPLES_QUERY, &msg);
	msg_init(&msg, MSG_SESSION_SAMPLE);
	msg.session_sample.cpu_us = 7;
	msg.session_sample.last = true;
	peer_send(&stage->runnerd, &msg);
	expect(&stage->ash, MSG_SESSION_SAMPLE, &msg);
	ck_assert_int_eq(msg.session_sample.cpu_us, 7);
	expect(&stage->runnerd, MSG_SAMPLES_QUERY, &msg);
	finish(stage);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
	    who_watches_is_told_what_happens,
	    a_daemon_tells_its_own_news_only,
	    a_slow_watcher_is_told_how_many_he_missed,
	    samples_are_asked_for_while_somebody_wants_them,
	};

	return suite_run("watchers", tests, ARRAY_LEN(tests));
}
