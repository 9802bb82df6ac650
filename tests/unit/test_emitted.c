// with: runnerd/emitted.c
/* Events that agents emit, while nobody takes them. */
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "runnerd/emitted.h"
#include "tests/unit/suite.h"

static void
message(struct channel *channel, struct msg *msg, void *arg)
{
	(void)channel;
	(void)msg;
	(void)arg;
}

static void
closed(struct channel *channel, const struct error *error, void *arg)
{
	(void)channel;
	(void)error;
	(void)arg;
}

static const struct channel_ops ops = {.message = message, .closed = closed};

static void
stop(struct loop_source *timer, void *arg)
{
	(void)timer;
	loop_stop(arg, 1);
}

static void
run_for(struct loop *loop, uint64_t ms)
{
	struct loop_source *timer = loop_add_timer(loop, stop, loop);

	loop_arm_in(timer, ms);
	ck_assert_int_eq(loop_run(loop), 1);
	loop_remove(timer);
}

/* Each that waits holds a descriptor: what waits is not told once more. */
START_TEST(one_that_waits_for_a_stopped_schedd_waits_once)
{
	struct runnerd r = {.loop = loop_new()};
	struct session session = {.r = &r, .agent_name = "one"};
	struct msg_broker_note note = {.name = "thing.happened"};
	int ends[2];

	ck_assert_int_eq(channel_pair(ends), 0);
	while (send(ends[0], "x", 1, MSG_DONTWAIT) == 1)
		;
	r.schedd = channel_new_greeted(r.loop, ends[0], CH_SCHEDD_RUNNERD, SIDE_B, ROLE_SCHEDD,
				       IN_OPEN, &ops, NULL);
	r.emitted = emitted_new(&r);
	ck_assert(r.schedd && r.emitted);
	ck_assert_int_eq(emitted_add(&session, &note, -1), 0);
	ck_assert_uint_eq(channel_queued(r.schedd), 1);
	run_for(r.loop, 2 * EMITTED_AGAIN_MS + EMITTED_AGAIN_MS / 4);
	ck_assert_uint_eq(channel_queued(r.schedd), 1);
	emitted_free(r.emitted);
	channel_free(r.schedd);
	close(ends[1]);
	loop_free(r.loop);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {one_that_waits_for_a_stopped_schedd_waits_once};

	return suite_run("emitted", tests, ARRAY_LEN(tests));
}
