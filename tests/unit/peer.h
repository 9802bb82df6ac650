/* A peer that a test plays: the other end of a daemon's channel, on the same loop. What the daemon
 * sends is kept in order; expect() runs the loop until the next message is of that type. */
#ifndef SCARAB_TESTS_PEER_H
#define SCARAB_TESTS_PEER_H

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "common/channel.h"
#include "common/cleanup.h"

struct kept {
	struct kept *next;
	struct msg msg;
};

struct peer {
	struct loop *loop;
	struct channel *channel;
	struct kept *first, **last;
	bool closed;
	bool notices; /* kept too; else dropped: they are told beside everything else */
};

static inline void
peer_message(struct channel *channel, struct msg *msg, void *arg)
{
	struct peer *peer = arg;
	struct kept *kept = calloc(1, sizeof(*kept));

	(void)channel;
	if (msg->type == MSG_NOTICE && !peer->notices) {
		free(kept);
		return;
	}
	ck_assert_ptr_nonnull(kept);
	kept->msg = *msg;
	msg->nfds = 0;
	*peer->last = kept;
	peer->last = &kept->next;
	loop_stop(peer->loop, 0);
}

static inline void
peer_closed(struct channel *channel, const struct error *error, void *arg)
{
	struct peer *peer = arg;

	(void)channel;
	(void)error;
	peer->channel = NULL;
	peer->closed = true;
	loop_stop(peer->loop, 0);
}

static const struct channel_ops peer_ops = {.message = peer_message, .closed = peer_closed};

/* Returns the daemon's end. */
static inline int
peer_open(struct peer *peer, struct loop *loop, enum channel_kind kind, enum side side,
	  enum role own, enum role other)
{
	int ends[2];

	*peer = (struct peer){.loop = loop};
	peer->last = &peer->first;
	ck_assert_int_eq(channel_pair(ends), 0);
	peer->channel = channel_new(loop, ends[side == SIDE_A ? 0 : 1], kind, side, own, other,
				    &peer_ops, peer);
	ck_assert_ptr_nonnull(peer->channel);
	return ends[side == SIDE_A ? 1 : 0];
}

static inline void
peer_free(struct peer *peer)
{
	while (peer->first) {
		struct kept *kept = peer->first;

		peer->first = kept->next;
		msg_close_fds(&kept->msg);
		free(kept);
	}
	peer->last = &peer->first;
	channel_free(peer->channel);
	peer->channel = NULL;
}

static inline void
stop_on_timer(struct loop_source *timer, void *arg)
{
	loop_stop(arg, 0);
	(void)timer;
}

/* Lets everything that is ready happen. */
static inline void
settle(struct loop *loop)
{
	struct loop_source *timer = loop_add_timer(loop, stop_on_timer, loop);
	uint64_t until = boottime_ns() + UINT64_C(30000000);

	while (boottime_ns() < until) {
		loop_arm(timer, until);
		loop_run(loop);
	}
	loop_remove(timer);
}

/* The next message, whatever it is; waits for at most eight seconds. */
static inline bool
peer_next(struct peer *peer, struct msg *msg)
{
	struct loop_source *timer = loop_add_timer(peer->loop, stop_on_timer, peer->loop);
	uint64_t until = boottime_ns() + UINT64_C(8000000000);
	struct kept *kept;

	loop_arm(timer, until);
	while (!peer->first && !peer->closed && boottime_ns() < until)
		loop_run(peer->loop);
	loop_remove(timer);
	kept = peer->first;
	if (!kept)
		return false;
	peer->first = kept->next;
	if (!peer->first)
		peer->last = &peer->first;
	*msg = kept->msg;
	free(kept);
	return true;
}

#define expect(peer, wanted, msg)                                                                  \
	do {                                                                                       \
		ck_assert_msg(peer_next(peer, msg), "no message came, %s was expected",            \
			      msg_rule(wanted)->name);                                             \
		ck_assert_msg((msg)->type == (wanted), "%s came, %s was expected",                 \
			      msg_rule((msg)->type)->name, msg_rule(wanted)->name);                \
	} while (0)

#define expect_nothing(peer)                                                                       \
	do {                                                                                       \
		settle((peer)->loop);                                                              \
		ck_assert_msg(!(peer)->first, "%s came, nothing was expected",                     \
			      (peer)->first ? msg_rule((peer)->first->msg.type)->name : "");       \
	} while (0)

static inline void
peer_send(struct peer *peer, struct msg *msg)
{
	ck_assert_int_eq(channel_send(peer->channel, msg), 0);
}

#endif
