// with: schedd/*.c
/* Events: durable before they are told to be, once for each name, bounded. */
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "schedd/deliver.h"
#include "schedd/events.h"
#include "tests/unit/stage.h"

static struct event
an_event(const char *id)
{
	return (struct event){.type = "demo.one",
			      .source = "/demo",
			      .id = id,
			      .subject = "",
			      .operator= "root",
			      .at_ms = 1000,
			      .delivered = true};
}

static void
send_event(struct stage *stage, const char *id, const char *data, uint32_t request)
{
	struct msg msg;

	ask(MSG_EVENT_EMIT, &msg, request);
	strcpy(msg.event_emit.type, "demo.one");
	strcpy(msg.event_emit.source, "/demo");
	strcpy(msg.event_emit.id, id);
	strcpy(msg.event_emit.operator, "root");
	if (data)
		msg_add_fd(&msg, memfd_sealed("data", data, strlen(data)));
	peer_send(&stage->control, &msg);
}

static bool
stored(struct stage *stage, uint32_t request)
{
	struct msg msg;

	expect(&stage->control, MSG_EVENT_STORED, &msg);
	ck_assert_uint_eq(msg.id, request);
	return !msg.event_stored.repeated;
}

static int
count_one(const struct event *event, void *arg)
{
	(void)event;
	++*(unsigned *)arg;
	return 0;
}

static unsigned
count(struct stage *stage, const char *id)
{
	struct event_filter filter = {.source = "", .id = id};
	struct error error = ERROR_INIT;
	unsigned events = 0;

	ck_assert_int_eq(events_table_each(events_table_of(stage->schedd.events), &filter,
					   count_one, &events, &error),
			 0);
	return events;
}

/* --- once ---------------------------------------------------------------------------------- */

START_TEST(a_name_is_stored_once)
{
	struct stage *stage = begin_with("one", OVERLAP_QUEUE);

	send_event(stage, "a", "{\"n\":1}", 1);
	ck_assert(stored(stage, 1));
	send_event(stage, "a", " {\"n\":1}\n", 2); /* space around it is no content */
	ck_assert(!stored(stage, 2));
	send_event(stage, "a", "{\"n\":2}", 3);
	expect_error(stage, ERR_CONFLICT);
	send_event(stage, "a", NULL, 4);
	expect_error(stage, ERR_CONFLICT);
	send_event(stage, "b", NULL, 5);
	ck_assert(stored(stage, 5));
	send_event(stage, "b", NULL, 6);
	ck_assert(!stored(stage, 6));
	ck_assert_uint_eq(count(stage, "a"), 1);
	ck_assert_uint_eq(count(stage, ""), 2);
	finish(stage);
}
END_TEST

/* Of one commit: the second is the first's repetition although neither is durable yet. */
START_TEST(one_commit_holds_many_and_their_repetitions)
{
	struct stage *stage = begin_with("one", OVERLAP_QUEUE);
	unsigned fresh = 0;
	char id[16];

	for (uint32_t i = 0; i < 2 * EVENTS_WAITING_MAX; i++) {
		snprintf(id, sizeof(id), "%u", i % EVENTS_WAITING_MAX);
		send_event(stage, id, "[]", i + 1);
	}
	for (uint32_t i = 0; i < 2 * EVENTS_WAITING_MAX; i++)
		fresh += stored(stage, i + 1);
	ck_assert_uint_eq(fresh, EVENTS_WAITING_MAX);
	ck_assert_uint_eq(count(stage, ""), EVENTS_WAITING_MAX);
	finish(stage);
}
END_TEST

START_TEST(what_was_told_is_there_after_a_restart)
{
	struct stage *stage = begin_with("one", OVERLAP_QUEUE);

	send_event(stage, "a", "1", 1);
	ck_assert(stored(stage, 1));
	finish(stage);
	stage = begin_with("one", OVERLAP_QUEUE);
	ck_assert_uint_eq(count(stage, "a"), 1);
	send_event(stage, "a", "1", 1);
	ck_assert(!stored(stage, 1));
	finish(stage);
}
END_TEST

START_TEST(no_json_is_refused_here_too)
{
	struct stage *stage = begin_with("one", OVERLAP_QUEUE);

	send_event(stage, "a", "{]", 1);
	expect_error(stage, ERR_USAGE);
	send_event(stage, "a", "", 2);
	expect_error(stage, ERR_USAGE);
	ck_assert_uint_eq(count(stage, ""), 0);
	finish(stage);
}
END_TEST

/* A request of the control before is nobody's: the next one numbers its own from 1 again. */
START_TEST(a_new_control_is_not_told_of_the_old_ones_events)
{
	struct stage *stage = begin_with("one", OVERLAP_QUEUE);
	struct msg msg;

	ask(MSG_EVENT_EMIT, &msg, 1);
	strcpy(msg.event_emit.type, "demo.one");
	strcpy(msg.event_emit.source, "/demo");
	strcpy(msg.event_emit.id, "a");
	events_emit(&stage->schedd, &msg); /* not committed before the loop runs */
	peer_free(&stage->control);
	meet_control(stage);
	send_event(stage, "b", "1", 9);
	ck_assert(stored(stage, 9));
	expect_nothing(&stage->control);
	ck_assert_uint_eq(count(stage, ""), 2);
	finish(stage);
}
END_TEST

/* --- what fails ---------------------------------------------------------------------------- */

START_TEST(nothing_is_told_stored_that_is_not)
{
	struct stage *stage = begin_with("one", OVERLAP_QUEUE);
	struct rlimit none = {.rlim_cur = 0, .rlim_max = RLIM_INFINITY}, all;

	signal(SIGXFSZ, SIG_IGN);
	log_set_level(LOG_LEVEL_ERROR + 1);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &all), 0);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
	send_event(stage, "a", NULL, 1);
	expect_error(stage, ERR_FAILED);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &all), 0);
	ck_assert_uint_eq(count(stage, ""), 0);
	send_event(stage, "a", NULL, 2);
	ck_assert(stored(stage, 2));
	finish(stage);
}
END_TEST

/* --- replays --------------------------------------------------------------------------------- */

static void
replay(struct stage *stage, const char *id, uint32_t request)
{
	struct msg msg;

	ask(MSG_EVENT_REPLAY, &msg, request);
	strcpy(msg.event_replay.id, id);
	peer_send(&stage->control, &msg);
}

START_TEST(replays_are_numbered)
{
	struct stage *stage = begin_with("one", OVERLAP_QUEUE);
	struct msg msg;

	send_event(stage, "a", "[1]", 1);
	ck_assert(stored(stage, 1));
	for (uint32_t i = 1; i <= 3; i++) {
		replay(stage, "a", i);
		expect(&stage->control, MSG_EVENT_STORED, &msg);
		ck_assert_uint_eq(msg.event_stored.replay, i);
		ck_assert(!msg.event_stored.repeated);
	}
	ck_assert_uint_eq(count(stage, "a"), 4);
	replay(stage, "b", 9);
	expect_error(stage, ERR_NOT_FOUND);
	finish(stage);
}
END_TEST

static void
put(struct stage *stage, const struct event *event)
{
	struct error error = ERROR_INIT;
	struct event copy = *event;
	enum event_fate fate;

	ck_assert_int_eq(
	    events_table_insert(events_table_of(stage->schedd.events), &copy, &fate, &error), 0);
	ck_assert_int_eq(fate, EVENT_NEW);
}

/* --- what they start ---------------------------------------------------------------------------
 */

static void
tell_trigger(struct stage *stage, const char *agent, const char *event, const char *task)
{
	struct rows *rows = rows_new("triggers");
	struct msg row, msg;

	msg_init(&row, MSG_EVENT_TRIGGER);
	row.event_trigger.kind = TRIGGER_EVENT;
	strcpy(row.event_trigger.id, "event-1");
	strcpy(row.event_trigger.event, event);
	strcpy(row.event_trigger.task, task);
	ck_assert_int_eq(rows_add(rows, &row), 0);
	msg_init(&msg, MSG_AGENT_EVENTS);
	strcpy(msg.agent_events.agent, agent);
	msg_add_fd(&msg, rows_seal(rows));
	peer_send(&stage->runnerd, &msg);
	settle(stage->loop);
}

/* Everybody is there; the agent one starts at demo.*, two waits in its queue. */
static struct stage *
begin_started_by(const char *event, const char *task)
{
	struct stage *stage = begin();

	meet_control(stage);
	meet_runnerd(stage);
	install(stage, "one", OVERLAP_QUEUE);
	tell_trigger(stage, "one", event, task);
	end_inventory(stage);
	return stage;
}

static void
expect_prepare(struct stage *stage, struct msg *msg)
{
	expect(&stage->runnerd, MSG_PREPARE, msg);
	ck_assert_str_eq(msg->prepare.trigger_kind, "event");
	ck_assert_str_eq(msg->prepare.trigger_id, "event-1");
	ck_assert_uint_eq(msg->nfds, 1);
}

START_TEST(an_event_starts_a_session_with_its_task_and_the_event)
{
	struct stage *stage = begin_started_by("demo.*", "see {{event.data.n}}");
	const uint8_t *bytes;
	size_t length;
	struct msg msg;

	send_event(stage, "a", "{\"n\":1}", 1);
	ck_assert(stored(stage, 1));
	expect_prepare(stage, &msg);
	ck_assert_str_eq(msg.prepare.task, "see 1");
	ck_assert_int_eq(memfd_map(msg.fds[0], EVENT_JSON_MAX, &bytes, &length), 0);
	ck_assert_ptr_nonnull(memmem(bytes, length, "\"id\":\"a\"", 8));
	ck_assert_ptr_nonnull(memmem(bytes, length, "\"data\":{\"n\":1}", 14));
	msg_close_fds(&msg);
	/* The same again starts nothing, another does. */
	send_event(stage, "a", "{\"n\":1}", 2);
	settle(stage->loop);
	ck_assert_uint_eq(queue_live(stage->schedd.queue) + queue_waiting(stage->schedd.queue), 1);
	send_event(stage, "b", "{\"n\":2}", 3);
	settle(stage->loop);
	ck_assert_uint_eq(queue_waiting(stage->schedd.queue), 1);
	finish(stage);
}
END_TEST

START_TEST(what_came_before_the_agents_are_known_starts_them_then)
{
	struct stage *stage = begin();

	meet_control(stage);
	send_event(stage, "a", "{\"n\":1}", 1);
	ck_assert(stored(stage, 1));
	finish(stage);
	stage = begin_started_by("demo.*", "");
	ck_assert_uint_eq(queue_live(stage->schedd.queue), 1);
	finish(stage);
	/* And once: delivering it again finds the row. */
	stage = begin_started_by("demo.*", "");
	ck_assert_uint_eq(queue_live(stage->schedd.queue), 1);
	ck_assert_uint_eq(queue_waiting(stage->schedd.queue), 0);
	finish(stage);
}
END_TEST

/* A crash between the session's row and the mark that the event is delivered. */
START_TEST(delivering_again_starts_nothing_twice)
{
	struct stage *stage = begin_started_by("demo.*", "");
	struct event event = an_event("a");
	struct error error = ERROR_INIT;

	event.delivered = false;
	ck_assert_int_eq(ledger_begin(stage->schedd.ledger, &error), 0);
	put(stage, &event);
	ck_assert_int_eq(ledger_commit(stage->schedd.ledger, &error), 0);
	event.seq = 1;
	ck_assert_int_eq(deliver_event(&stage->schedd, &event, &error), 0);
	ck_assert_uint_eq(queue_live(stage->schedd.queue), 1);
	events_deliver(stage->schedd.events);
	ck_assert_uint_eq(queue_live(stage->schedd.queue), 1);
	ck_assert_uint_eq(queue_waiting(stage->schedd.queue), 0);
	ck_assert_int_eq(events_table_undelivered(events_table_of(stage->schedd.events), 0, &error),
			 0);
	finish(stage);
}
END_TEST

START_TEST(a_task_that_cannot_be_written_is_refused_in_the_ledger)
{
	struct stage *stage = begin_started_by("demo.*", "see {{event.data.missing}}");
	struct msg_session_row row;

	send_event(stage, "a", "{\"n\":1}", 1);
	ck_assert(stored(stage, 1));
	settle(stage->loop);
	row = row_of(stage, "one@latest");
	ck_assert_int_eq(row.state, STATE_ENDED);
	ck_assert_int_eq(row.outcome, OUTCOME_REFUSED);
	ck_assert_str_eq(row.trigger_id, "event-1");
	ck_assert_ptr_nonnull(strstr(row.reason, "the event has no data.missing"));
	finish(stage);
}
END_TEST

START_TEST(other_types_and_removed_agents_start_nothing)
{
	struct stage *stage = begin_started_by("other.*", "");
	struct msg msg;

	send_event(stage, "a", NULL, 1);
	ck_assert(stored(stage, 1));
	tell_trigger(stage, "one", "demo.*", "");
	msg_init(&msg, MSG_AGENT_GONE);
	strcpy(msg.agent_gone.agent, "one");
	peer_send(&stage->runnerd, &msg);
	settle(stage->loop);
	send_event(stage, "b", NULL, 2);
	ck_assert(stored(stage, 2));
	expect_nothing(&stage->runnerd);
	ck_assert_uint_eq(queue_live(stage->schedd.queue), 0);
	finish(stage);
}
END_TEST

/* --- of agents ---------------------------------------------------------------------------------
 */

static void
emit_as(struct stage *stage, const char *agent, const struct uuid *event, const char *data)
{
	struct msg msg;

	msg_init(&msg, MSG_AGENT_EVENT);
	msg.agent_event.event = *event;
	strcpy(msg.agent_event.agent, agent);
	snprintf(msg.agent_event.type, sizeof(msg.agent_event.type), "agent.%s.done", agent);
	if (data)
		msg_add_fd(&msg, memfd_sealed("data", data, strlen(data)));
	peer_send(&stage->runnerd, &msg);
}

static void
expect_ack(struct stage *stage, const struct uuid *event)
{
	struct msg msg;

	expect(&stage->runnerd, MSG_AGENT_EVENT_ACK, &msg);
	ck_assert(uuid_equal(&msg.agent_event_ack.event, event));
}

START_TEST(an_agents_event_is_acknowledged_when_it_is_durable)
{
	struct stage *stage = begin_with("one", OVERLAP_QUEUE);
	struct rlimit none = {.rlim_cur = 0, .rlim_max = RLIM_INFINITY}, all;
	struct uuid event = uuid_new(), bad = uuid_new();
	char id[UUID_TEXT_LEN + 1];

	signal(SIGXFSZ, SIG_IGN);
	log_set_level(LOG_LEVEL_ERROR + 1);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &all), 0);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
	emit_as(stage, "two", &event, "{}");
	settle(stage->loop);
	expect_nothing(&stage->runnerd); /* told again later */
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &all), 0);
	emit_as(stage, "two", &event, "{}");
	expect_ack(stage, &event);
	emit_as(stage, "two", &event, "{}");
	expect_ack(stage, &event);
	emit_as(stage, "two", &bad, "{");
	expect_ack(stage, &bad);
	ck_assert_uint_eq(count(stage, uuid_format(&event, id)), 1);
	ck_assert_uint_eq(count(stage, uuid_format(&bad, id)), 0);
	finish(stage);
}
END_TEST

START_TEST(an_agent_is_not_started_by_what_it_emits)
{
	struct stage *stage = begin_started_by("agent.*", "");
	struct uuid own = uuid_new(), other = uuid_new();
	struct msg msg;

	emit_as(stage, "one", &own, NULL);
	expect_ack(stage, &own);
	expect_nothing(&stage->runnerd);
	emit_as(stage, "one2", &other, NULL);
	/* PREPARE waits for no disk. */
	expect_prepare(stage, &msg);
	msg_close_fds(&msg);
	expect_ack(stage, &other);
	finish(stage);
}
END_TEST

/* --- what is kept ---------------------------------------------------------------------------- */

static void
prune(struct stage *stage, uint64_t before_ms)
{
	struct error error = ERROR_INIT;

	ck_assert_int_eq(
	    events_table_prune(events_table_of(stage->schedd.events), before_ms, &error), 0);
}

START_TEST(so_many_are_kept_and_the_newest)
{
	struct stage *stage = begin_with("one", OVERLAP_QUEUE);
	struct error error = ERROR_INIT;
	char id[16];

	ck_assert_int_eq(ledger_begin(stage->schedd.ledger, &error), 0);
	for (unsigned i = 0; i < EVENTS_KEPT_MAX + 1000; i++) {
		struct event event = an_event(id);

		snprintf(id, sizeof(id), "%u", i);
		put(stage, &event);
	}
	prune(stage, 0);
	ck_assert_int_eq(ledger_commit(stage->schedd.ledger, &error), 0);
	ck_assert_uint_eq(count(stage, ""), EVENTS_KEPT_MAX);
	ck_assert_uint_eq(count(stage, "999"), 0);
	ck_assert_uint_eq(count(stage, "1000"), 1);
	finish(stage);
}
END_TEST

START_TEST(so_many_bytes_are_kept_and_what_waits)
{
	enum { LARGE = EVENTS_KEPT_BYTES / 4 + 1 };
	struct stage *stage = begin_with("one", OVERLAP_QUEUE);
	struct error error = ERROR_INIT;
	uint8_t *data = calloc(1, LARGE);
	char id[2] = "a";

	ck_assert_ptr_nonnull(data);
	ck_assert_int_eq(ledger_begin(stage->schedd.ledger, &error), 0);
	for (; id[0] <= 'e'; id[0]++) {
		struct event event = an_event(id);

		event.data = data;
		event.data_length = LARGE;
		event.delivered = id[0] > 'a';
		put(stage, &event);
	}
	prune(stage, 0);
	ck_assert_uint_eq(count(stage, ""), 3);
	ck_assert_uint_eq(count(stage, "a"), 1); /* is still to be delivered */
	ck_assert_uint_eq(count(stage, "b"), 0);
	ck_assert_uint_eq(count(stage, "e"), 1);
	ledger_rollback(stage->schedd.ledger);
	free(data);
	finish(stage);
}
END_TEST

START_TEST(old_ones_go)
{
	struct stage *stage = begin_with("one", OVERLAP_QUEUE);
	struct error error = ERROR_INIT;
	char id[16];

	ck_assert_int_eq(ledger_begin(stage->schedd.ledger, &error), 0);
	for (unsigned i = 0; i < 1000; i++) {
		struct event event = an_event(id);

		snprintf(id, sizeof(id), "%u", i);
		event.at_ms = i;
		put(stage, &event);
	}
	prune(stage, 900);
	ck_assert_uint_eq(count(stage, ""), 100);
	ck_assert_uint_eq(count(stage, "899"), 0);
	ledger_rollback(stage->schedd.ledger);
	finish(stage);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
	    a_name_is_stored_once,
	    one_commit_holds_many_and_their_repetitions,
	    what_was_told_is_there_after_a_restart,
	    no_json_is_refused_here_too,
	    a_new_control_is_not_told_of_the_old_ones_events,
	    nothing_is_told_stored_that_is_not,
	    replays_are_numbered,
	    an_event_starts_a_session_with_its_task_and_the_event,
	    what_came_before_the_agents_are_known_starts_them_then,
	    delivering_again_starts_nothing_twice,
	    a_task_that_cannot_be_written_is_refused_in_the_ledger,
	    other_types_and_removed_agents_start_nothing,
	    an_agents_event_is_acknowledged_when_it_is_durable,
	    an_agent_is_not_started_by_what_it_emits,
	    so_many_are_kept_and_the_newest,
	    so_many_bytes_are_kept_and_what_waits,
	    old_ones_go,
	};

	return run_suite(tests, ARRAY_LEN(tests));
}
