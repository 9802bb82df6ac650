// with: schedd/queue.c schedd/turns.c schedd/wakes.c
#include <string.h>

#include "common/cleanup.h"
#include "schedd/queue.h"
#include "tests/unit/suite.h"

static const struct queue_limits wide = {.sessions = 64, .per_agent = 4, .queue = 100};

static struct agent *
define(struct queue *queue, const char *name, enum overlap policy, uint32_t max, int32_t priority)
{
	struct msg_agent_def def = {.overlap = (uint8_t)policy,
				    .max = max,
				    .queue_limit = QUEUE_LIMIT_DEFAULT,
				    .priority = priority};

	strcpy(def.agent, name);
	return queue_define(queue, &def);
}

static int64_t last_seq;

static struct session *
add(struct queue *queue, const char *agent)
{
	struct uuid id = uuid_new();

	return queue_add(queue, &id, ++last_seq, agent, STATE_QUEUED);
}

START_TEST(order_of_arrival)
{
	struct queue *queue = queue_new(&wide);
	struct session *first, *second;

	define(queue, "a", OVERLAP_QUEUE, 2, 0);
	first = add(queue, "a");
	second = add(queue, "a");
	ck_assert_uint_eq(queue_position(second), 2);
	ck_assert_ptr_eq(queue_next(queue), first);
	queue_start(queue, first);
	ck_assert_ptr_eq(queue_next(queue), second);
	queue_start(queue, second);
	ck_assert_ptr_null(queue_next(queue));
	ck_assert_uint_eq(queue_live(queue), 2);
	queue_requeue(queue, first);
	ck_assert_ptr_eq(queue_next(queue), first);
	queue_free(queue);
}
END_TEST

START_TEST(agents_take_turns)
{
	struct queue *queue = queue_new(&wide);
	const char *order[] = {"a", "b", "a", "b"};

	define(queue, "a", OVERLAP_QUEUE, 4, 0);
	define(queue, "b", OVERLAP_QUEUE, 4, 0);
	add(queue, "a");
	add(queue, "a");
	add(queue, "b");
	add(queue, "b");
	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		struct session *next = queue_next(queue);

		ck_assert_str_eq(next->agent->name, order[i]);
		queue_start(queue, next);
	}
	queue_free(queue);
}
END_TEST

START_TEST(priority_goes_first)
{
	struct queue *queue = queue_new(&wide);
	struct session *urgent;

	define(queue, "calm", OVERLAP_QUEUE, 1, 0);
	define(queue, "urgent", OVERLAP_QUEUE, 1, 10);
	add(queue, "calm");
	urgent = add(queue, "urgent");
	ck_assert_ptr_eq(queue_next(queue), urgent);
	queue_free(queue);
}
END_TEST

START_TEST(limits_hold)
{
	struct queue *queue = queue_new(&(struct queue_limits){2, 1, 3});
	struct agent *a = define(queue, "a", OVERLAP_QUEUE, 8, 0);
	struct agent *b = define(queue, "b", OVERLAP_QUEUE, 8, 0);
	struct agent *c = define(queue, "c", OVERLAP_QUEUE, 8, 0);

	ck_assert_int_eq(queue_admit(queue, a, true), ADMIT_START);
	ck_assert_int_eq(queue_admit(queue, a, false), ADMIT_WAIT);
	queue_start(queue, add(queue, "a"));
	ck_assert_int_eq(queue_admit(queue, a, true), ADMIT_WAIT); /* per_agent */
	add(queue, "a");
	ck_assert_ptr_null(queue_next(queue));
	queue_start(queue, add(queue, "b"));
	ck_assert_int_eq(queue_admit(queue, c, true), ADMIT_WAIT); /* sessions */
	add(queue, "b");
	add(queue, "c");
	ck_assert_int_eq(queue_admit(queue, b, true), ADMIT_OVERFLOW);
	queue_set_limits(queue, &wide);
	ck_assert_int_eq(queue_admit(queue, b, true), ADMIT_WAIT);
	ck_assert_ptr_nonnull(queue_next(queue));
	queue_free(queue);
}
END_TEST

START_TEST(one_at_a_time_without_a_word)
{
	struct queue *queue = queue_new(&wide);
	struct agent *agent = define(queue, "a", OVERLAP_ABSENT, 0, 0);

	queue_start(queue, add(queue, "a"));
	ck_assert_int_eq(queue_admit(queue, agent, true), ADMIT_WAIT);
	queue_free(queue);
}
END_TEST

START_TEST(queue_limit_holds)
{
	struct queue *queue = queue_new(&wide);
	struct agent *agent = define(queue, "a", OVERLAP_QUEUE, 1, 0);

	queue_start(queue, add(queue, "a"));
	for (int i = 0; i < QUEUE_LIMIT_DEFAULT; i++) {
		ck_assert_int_eq(queue_admit(queue, agent, true), ADMIT_WAIT);
		add(queue, "a");
	}
	ck_assert_int_eq(queue_admit(queue, agent, true), ADMIT_FULL);
	agent->policy = OVERLAP_ALLOW;
	ck_assert_int_eq(queue_admit(queue, agent, true), ADMIT_WAIT);
	queue_free(queue);
}
END_TEST

START_TEST(skip_means_none_beside_it)
{
	struct queue *queue = queue_new(&wide);
	struct agent *agent = define(queue, "a", OVERLAP_SKIP, 1, 0);

	ck_assert_int_eq(queue_admit(queue, agent, true), ADMIT_START);
	ck_assert_int_eq(queue_admit(queue, agent, false), ADMIT_WAIT);
	add(queue, "a");
	ck_assert_int_eq(queue_admit(queue, agent, true), ADMIT_SKIP);
	queue_free(queue);
}
END_TEST

struct named {
	struct session *found[8];
	size_t count;
};

static void
note(struct session *session, void *arg)
{
	struct named *named = arg;

	named->found[named->count++] = session;
}

START_TEST(replace_ends_the_oldest)
{
	struct queue *queue = queue_new(&wide);
	struct agent *agent = define(queue, "a", OVERLAP_REPLACE, 2, 0);
	struct session *waiting, *live, *older, *by;
	struct named named = {0};

	define(queue, "b", OVERLAP_REPLACE, 1, 0);
	add(queue, "b");
	older = add(queue, "a");
	live = add(queue, "a");
	waiting = add(queue, "a");
	queue_start(queue, older);
	queue_start(queue, live);
	ck_assert_int_eq(queue_admit(queue, agent, true), ADMIT_REPLACE);
	by = add(queue, "a");
	queue_replaced(queue, agent, by, note, &named);
	ck_assert_uint_eq(named.count, 2);
	ck_assert_ptr_eq(named.found[0], older);
	ck_assert_ptr_eq(named.found[1], live);
	ck_assert_uint_eq(queue_position(waiting), 1);
	queue_free(queue);
}
END_TEST

START_TEST(unknown_agents_wait)
{
	struct queue *queue = queue_new(&wide);
	struct session *session = add(queue, "later");

	ck_assert_ptr_null(queue_next(queue));
	define(queue, "later", OVERLAP_QUEUE, 1, 0);
	ck_assert_ptr_eq(queue_next(queue), session);
	queue_unconfirm(queue);
	ck_assert_uint_eq(queue_sweep(queue), 1);
	ck_assert_ptr_null(queue_next(queue));
	ck_assert_ptr_eq(queue_find(queue, &session->id), session);
	queue_remove(queue, session);
	ck_assert_ptr_null(queue_agent(queue, "later"));
	queue_free(queue);
}
END_TEST

/* One agent's thousands take turns with another's one; priority goes before both. */
START_TEST(thousands_starve_nobody)
{
	const struct queue_limits limits = {.sessions = 3, .per_agent = 2, .queue = 20000};
	struct queue *queue = queue_new(&limits);
	struct session *many[10000], *one, *urgent;

	define(queue, "many", OVERLAP_ALLOW, 2, 0);
	define(queue, "one", OVERLAP_QUEUE, 1, 0);
	define(queue, "urgent", OVERLAP_QUEUE, 1, 100);
	define(queue, "idle", OVERLAP_QUEUE, 1, -100);
	for (size_t i = 0; i < ARRAY_LEN(many); i++)
		many[i] = add(queue, "many");
	add(queue, "idle");
	queue_start(queue, queue_next(queue));
	ck_assert_int_eq(many[0]->state, STATE_SETUP);
	one = add(queue, "one");
	ck_assert_ptr_eq(queue_next(queue), many[1]); /* its turn came first */
	urgent = add(queue, "urgent");
	ck_assert_ptr_eq(queue_next(queue), urgent);
	queue_start(queue, urgent);
	queue_remove(queue, many[0]);
	ck_assert_uint_eq(queue_position(many[9999]), 9999);
	queue_start(queue, queue_next(queue));
	ck_assert_ptr_eq(queue_next(queue), one);
	queue_requeue(queue, many[1]);
	ck_assert_uint_eq(queue_position(many[1]), 1);
	queue_free(queue);
}
END_TEST

START_TEST(a_held_agent_waits)
{
	struct queue *queue = queue_new(&wide);
	struct agent *a = define(queue, "a", OVERLAP_QUEUE, 1, 0);
	struct session *of_a = add(queue, "a"), *of_b;

	define(queue, "b", OVERLAP_QUEUE, 1, -1);
	of_b = add(queue, "b");
	queue_hold(queue, a, 100);
	ck_assert_ptr_eq(queue_next(queue), of_b);
	ck_assert_int_eq(queue_wakes_at(queue), 100);
	ck_assert(!queue_wake(queue, 99));
	ck_assert(queue_wake(queue, 100));
	ck_assert_ptr_eq(queue_next(queue), of_a);
	queue_hold(queue, a, NEVER);
	ck_assert_int_eq(queue_wakes_at(queue), NEVER);
	ck_assert(!queue_wake(queue, NEVER - 1));
	ck_assert_ptr_eq(queue_next(queue), of_b);
	queue_hold(queue, a, 200);
	queue_clock_set(queue, 100);
	ck_assert_int_eq(queue_wakes_at(queue), NEVER);
	ck_assert_ptr_eq(queue_next(queue), of_a);
	queue_hold(queue, a, 300);
	queue_free(queue);
}
END_TEST

START_TEST(a_deferred_session_waits)
{
	struct queue *queue = queue_new(&wide);
	struct agent *a = define(queue, "a", OVERLAP_QUEUE, 2, 0);
	struct session *first = add(queue, "a"), *second = add(queue, "a"), *third;

	queue_defer(queue, first, 100, 100);
	ck_assert_uint_eq(queue_position(first), 0);
	ck_assert_uint_eq(queue_position(second), 1);
	ck_assert_uint_eq(queue_waiting(queue), 2);
	ck_assert_ptr_eq(queue_next(queue), second);
	queue_start(queue, second);
	ck_assert_ptr_null(queue_next(queue));
	ck_assert_int_eq(queue_admit(queue, a, true), ADMIT_START); /* not behind it */
	third = add(queue, "a");
	ck_assert(queue_wake(queue, 100));
	ck_assert_ptr_eq(queue_next(queue), first);
	ck_assert_uint_eq(queue_position(third), 2);
	queue_defer(queue, first, 5000, 50);
	queue_clock_set(queue, 1000); /* it was set back since */
	ck_assert_int_eq(queue_wakes_at(queue), 1050);
	queue_clock_set(queue, 1020);
	ck_assert_int_eq(queue_wakes_at(queue), 1050);
	queue_remove(queue, first);
	ck_assert_int_eq(queue_wakes_at(queue), NEVER);
	queue_free(queue);
}
END_TEST

/* Against a list: what is due first, whatever was taken out between. */
START_TEST(wakes_come_in_order)
{
	enum { COUNT = 500 };
	struct wakes wakes = {.first = NULL};
	struct wake all[COUNT] = {0};
	uint32_t state = 1;

	for (int round = 0; round < 20 * COUNT; round++) {
		struct wake *wake;
		int64_t least = NEVER;

		state = state * 1664525U + 1013904223U;
		wake = &all[state / 65536 % COUNT];
		if (wake->waits)
			wakes_remove(&wakes, wake);
		else
			wakes_add(&wakes, wake, state % 1000);
		for (int i = 0; i < COUNT; i++)
			if (all[i].waits && all[i].at_ms < least)
				least = all[i].at_ms;
		ck_assert_int_eq(wakes.first ? wakes.first->at_ms : NEVER, least);
	}
	for (int64_t before = 0; wakes.first; wakes_remove(&wakes, wakes.first)) {
		ck_assert_int_ge(wakes.first->at_ms, before);
		before = wakes.first->at_ms;
	}
	for (int i = 0; i < COUNT; i++)
		ck_assert(!all[i].waits);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
	    order_of_arrival,
	    agents_take_turns,
	    priority_goes_first,
	    limits_hold,
	    one_at_a_time_without_a_word,
	    queue_limit_holds,
	    skip_means_none_beside_it,
	    replace_ends_the_oldest,
	    unknown_agents_wait,
	    thousands_starve_nobody,
	    a_held_agent_waits,
	    a_deferred_session_waits,
	    wakes_come_in_order,
	};

	return suite_run("queue", tests, ARRAY_LEN(tests));
}
