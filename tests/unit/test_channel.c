#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/channel.h"
#include "common/cleanup.h"
#include "common/daemon.h"
#include "tests/unit/suite.h"

/* One end under test, and what it was told. */
struct end {
	struct loop *loop;
	struct channel *channel;
	unsigned opened, messages, closed, freed;
	bool error;
	char text[ERROR_TEXT_MAX + 1];
	uint64_t values[8192];
	int wanted; /* stops the loop after so many messages */
	bool free_in_opened, free_in_message, free_in_closed, pause_in_message, stay;
	struct channel *victim; /* freed in message() */
};

static void
opened(struct channel *channel, void *arg)
{
	struct end *end = arg;

	end->opened++;
	if (!end->free_in_opened)
		return;
	channel_free(channel);
	loop_stop(end->loop, 1);
}

static void
message(struct channel *channel, struct msg *msg, void *arg)
{
	struct end *end = arg;

	if (msg->type == MSG_OK)
		end->values[end->messages % ARRAY_LEN(end->values)] = msg->ok.value;
	end->messages++;
	if (end->pause_in_message)
		channel_pause(channel, true);
	if (end->victim)
		channel_free(steal_ptr(&end->victim));
	if (end->free_in_message)
		channel_free(channel);
	if (end->free_in_message || (end->wanted && (int)end->messages == end->wanted))
		loop_stop(end->loop, 1);
}

static void
closed(struct channel *channel, const struct error *error, void *arg)
{
	struct end *end = arg;

	end->closed++;
	end->error = error != NULL;
	if (error)
		error_text(error, end->text);
	end->channel = NULL;
	if (end->free_in_closed)
		channel_free(channel);
	if (!end->stay)
		loop_stop(end->loop, 2);
}

static void
freed(void *arg)
{
	((struct end *)arg)->freed++;
}

static const struct channel_ops ops = {
    .opened = opened, .message = message, .closed = closed, .freed = freed};

/* The two ends of a channel between control and schedd: a is the one under test, fd the raw other.
 */
static int
open_one(struct end *a, struct loop *loop)
{
	int ends[2];

	ck_assert_int_eq(channel_pair(ends), 0);
	a->loop = loop;
	a->channel = channel_new(loop, ends[0], CH_CONTROL_SCHEDD, SIDE_A, ROLE_CONTROL,
				 ROLE_SCHEDD, &ops, a);
	ck_assert_ptr_nonnull(a->channel);
	return ends[1];
}

static void
open_both(struct end *a, struct end *b, struct loop *loop)
{
	b->loop = loop;
	b->channel = channel_new(loop, open_one(a, loop), CH_CONTROL_SCHEDD, SIDE_B, ROLE_SCHEDD,
				 ROLE_CONTROL, &ops, b);
	ck_assert_ptr_nonnull(b->channel);
}

static int
send_ok(struct channel *channel, uint64_t value)
{
	return channel_reply_ok(channel, 0, value);
}

static void
stop(struct loop_source *timer, void *arg)
{
	(void)timer;
	loop_stop(arg, 0);
}

/* Runs until stopped or for so long. */
static int
run_for(struct loop *loop, uint64_t ms)
{
	struct loop_source *timer = loop_add_timer(loop, stop, loop);

	loop_arm_in(timer, ms);
	int status = loop_run(loop);
	loop_remove(timer);
	return status;
}

/* The raw peer's side of HELLO. */
static void
greet(int fd)
{
	ck_assert_int_eq(msg_greet(fd, CH_CONTROL_SCHEDD, SIDE_B, ROLE_SCHEDD, ROLE_CONTROL, 1000),
			 0);
}

START_TEST(messages_wait_for_hello_and_keep_their_order)
{
	int before = open_fds();
	struct loop *loop = loop_new();
	struct end a = {.wanted = 0}, b = {.wanted = 100};

	open_both(&a, &b, loop);
	for (uint64_t i = 0; i < 100; i++)
		ck_assert_int_eq(send_ok(a.channel, i), 0);
	ck_assert_int_eq(channel_phase(a.channel), IN_HELLO);
	ck_assert_int_eq(run_for(loop, 1000), 1);
	for (uint64_t i = 0; i < 100; i++)
		ck_assert_uint_eq(b.values[i], i);
	ck_assert_int_eq(channel_phase(b.channel), IN_OPEN);
	ck_assert_int_eq(channel_peer(b.channel), ROLE_CONTROL);
	ck_assert_uint_eq(a.opened, 1);
	ck_assert_uint_eq(b.opened, 1);
	channel_free(a.channel);
	ck_assert_int_eq(run_for(loop, 1000), 2);
	ck_assert_uint_eq(b.closed, 1);
	ck_assert(!b.error);
	ck_assert_uint_eq(a.freed, 1);
	ck_assert_uint_eq(b.freed, 1);
	ck_assert_uint_eq(a.closed, 0);
	loop_free(loop);
	ck_assert_int_eq(open_fds(), before);
}
END_TEST

static int
send_at_once(struct channel *channel, uint64_t value)
{
	struct msg msg;

	msg_init(&msg, MSG_OK);
	msg.ok.value = value;
	return channel_send_at_once(channel, &msg);
}

START_TEST(what_is_held_leaves_when_it_is_passed)
{
	int before = open_fds();
	struct loop *loop = loop_new();
	struct end a = {.wanted = 0}, b = {.wanted = 0};
	struct channel_hold hold = {0};

	open_both(&a, &b, loop);
	channel_set_hold(a.channel, &hold);
	run_for(loop, 10);
	send_ok(a.channel, 1);
	hold.number = 1;
	send_ok(a.channel, 2);
	send_ok(a.channel, 3);
	hold.number = 2;
	send_ok(a.channel, 4);
	send_at_once(a.channel, 5);
	run_for(loop, 10);
	ck_assert_uint_eq(b.messages, 2);
	ck_assert(b.values[0] == 1 && b.values[1] == 5);
	channel_hold_pass(&hold, 1);
	run_for(loop, 10);
	ck_assert_uint_eq(b.messages, 4);
	ck_assert(b.values[2] == 2 && b.values[3] == 3);
	send_at_once(a.channel, 6);
	channel_hold_pass(&hold, 2);
	send_ok(a.channel, 7);
	run_for(loop, 10);
	ck_assert_uint_eq(b.messages, 7);
	ck_assert(b.values[4] == 6 && b.values[5] == 4 && b.values[6] == 7);
	/* One that goes leaves the hold, whatever it still had. */
	hold.number = 3;
	send_ok(a.channel, 8);
	channel_free(a.channel);
	ck_assert_ptr_null(hold.channels);
	run_for(loop, 10);
	ck_assert_uint_eq(b.messages, 7);
	loop_free(loop);
	ck_assert_int_eq(open_fds(), before);
}
END_TEST

START_TEST(what_is_held_waits_for_the_socket_too)
{
	enum { MANY = 3000 };
	struct loop *loop = loop_new();
	struct end a = {.wanted = 0}, b = {.wanted = 2 * MANY};
	struct channel_hold hold = {0};

	open_both(&a, &b, loop);
	channel_set_hold(a.channel, &hold);
	run_for(loop, 10);
	channel_pause(b.channel, true);
	hold.number = 1;
	for (uint64_t i = 0; i < MANY; i++)
		ck_assert_int_eq(send_ok(a.channel, MANY + i), 0);
	/* More than the socket takes: what may leave stays in front of what may not. */
	for (uint64_t i = 0; i < MANY; i++)
		ck_assert_int_eq(send_at_once(a.channel, i), 0);
	channel_pause(b.channel, false);
	run_for(loop, 100);
	ck_assert_uint_eq(b.messages, MANY);
	channel_hold_pass(&hold, 1);
	ck_assert_int_eq(run_for(loop, 1000), 1);
	for (uint64_t i = 0; i < 2 * MANY; i++)
		ck_assert_uint_eq(b.values[i], i);
	channel_free(a.channel);
	channel_free(b.channel);
	loop_free(loop);
}
END_TEST

START_TEST(full_socket_queues)
{
	enum { MANY = 3000 };
	struct loop *loop = loop_new();
	struct end a = {.wanted = 0}, b = {.wanted = MANY};
	struct msg msg;

	open_both(&a, &b, loop);
	run_for(loop, 10);
	channel_pause(b.channel, true);
	for (int i = 0; i < MANY; i++) {
		msg_init(&msg, MSG_ENQUEUE);
		ck_assert_int_eq(channel_send(a.channel, &msg), 0);
	}
	run_for(loop, 10);
	ck_assert_uint_eq(b.messages, 0);
	channel_pause(b.channel, false);
	ck_assert_int_eq(run_for(loop, 5000), 1);
	ck_assert_uint_eq(b.messages, MANY);
	channel_free(a.channel);
	channel_free(b.channel);
	loop_free(loop);
}
END_TEST

START_TEST(queue_is_bounded)
{
	int before = open_fds();
	struct loop *loop = loop_new();
	struct end a = {.wanted = 0};
	int fd = open_one(&a, loop), r = 0, sent = 0;

	greet(fd);
	run_for(loop, 10);
	while (r == 0 && sent++ < 100000)
		r = send_ok(a.channel, 0);
	ck_assert_int_eq(r, -ENOBUFS);
	ck_assert_int_gt(sent, CHANNEL_QUEUE_MAX);
	/* Not from inside the call. */
	ck_assert_uint_eq(a.closed, 0);
	ck_assert_int_eq(send_ok(a.channel, 0), -EPIPE);
	ck_assert_int_eq(run_for(loop, 1000), 2);
	ck_assert(a.error);
	ck_assert_ptr_nonnull(strstr(a.text, "does not read"));
	close(fd);
	loop_free(loop);
	ck_assert_int_eq(open_fds(), before);
}
END_TEST

/* An operator's client is let go far earlier, by number and by bytes. */
START_TEST(queue_of_an_operator_is_small)
{
	int before = open_fds();
	struct loop *loop = loop_new();
	struct end a = {.loop = loop};
	int ends[2], r = 0, sent = 0;
	struct msg msg;

	ck_assert_int_eq(channel_pair(ends), 0);
	a.channel =
	    channel_new(loop, ends[1], CH_OPERATOR, SIDE_B, ROLE_CONTROL, ROLE_ASH, &ops, &a);
	ck_assert_ptr_nonnull(a.channel);
	ck_assert_int_eq(msg_greet(ends[0], CH_OPERATOR, SIDE_A, ROLE_ASH, ROLE_CONTROL, 1000), 0);
	run_for(loop, 10);
	while (r == 0 && sent++ < 100000) {
		msg_init(&msg, MSG_ERROR);
		memset(msg.error.why, 'y', ERROR_WHY_MAX);
		r = channel_send(a.channel, &msg);
	}
	ck_assert_int_eq(r, -ENOBUFS);
	ck_assert_int_lt(sent, OPERATOR_QUEUE_MAX);
	run_for(loop, 1000);
	ck_assert_uint_eq(a.closed, 1);
	close(ends[0]);
	loop_free(loop);
	ck_assert_int_eq(open_fds(), before);
}
END_TEST

START_TEST(queued_descriptors_are_closed)
{
	int before = open_fds();
	struct loop *loop = loop_new();
	struct end a = {.wanted = 0};
	int ends[2];
	struct msg msg;

	ck_assert_int_eq(channel_pair(ends), 0);
	a.loop = loop;
	a.channel =
	    channel_new(loop, ends[0], CH_SPAWNER, SIDE_A, ROLE_RUNNERD, ROLE_SPAWNER, &ops, &a);
	for (int i = 0; i < 10; i++) {
		msg_init(&msg, MSG_SPAWN);
		msg_add_fd(&msg, dup(0));
		msg_add_fd(&msg, dup(0));
		ck_assert_int_eq(channel_send(a.channel, &msg), 0);
		ck_assert_uint_eq(msg.nfds, 0);
	}
	close(ends[1]);
	ck_assert_int_eq(run_for(loop, 1000), 2);
	msg_init(&msg, MSG_SPAWN);
	loop_free(loop);
	ck_assert_int_eq(open_fds(), before);
}
END_TEST

START_TEST(freed_in_its_own_callbacks)
{
	for (int which = 0; which < 3; which++) {
		int before = open_fds();
		struct loop *loop = loop_new();
		struct end a = {.free_in_opened = which == 0,
				.free_in_message = which == 1,
				.free_in_closed = which == 2};
		struct end b = {.stay = true};
		open_both(&a, &b, loop);
		send_ok(b.channel, 1);
		send_ok(b.channel, 2);
		if (which == 2) {
			run_for(loop, 10);
			channel_free(b.channel);
		}
		ck_assert_int_eq(run_for(loop, 1000), which == 2 ? 2 : 1);
		ck_assert_uint_eq(a.freed, 1);
		ck_assert_uint_eq(a.closed, which == 2 ? 1 : 0);
		ck_assert_uint_eq(a.messages, (unsigned)which);
		run_for(loop, 10);
		if (which != 2)
			ck_assert_uint_eq(b.closed, 1);
		loop_free(loop);
		ck_assert_int_eq(open_fds(), before);
	}
}
END_TEST

START_TEST(freed_by_another)
{
	struct loop *loop = loop_new();
	struct end a = {.wanted = 0}, b = {.wanted = 0}, c = {.wanted = 0}, d = {.wanted = 0};

	open_both(&a, &b, loop);
	open_both(&c, &d, loop);
	run_for(loop, 10);
	/* Both readable in one round; whichever comes first frees the other. */
	a.victim = c.channel;
	c.victim = a.channel;
	d.stay = b.stay = true;
	send_ok(b.channel, 1);
	send_ok(d.channel, 1);
	run_for(loop, 20);
	ck_assert_uint_eq(a.messages + c.messages, 1);
	ck_assert_uint_eq(a.freed + c.freed, 1);
	ck_assert_uint_eq(b.closed + d.closed, 1);
	channel_free(a.freed ? c.channel : a.channel);
	run_for(loop, 10);
	loop_free(loop);
}
END_TEST

START_TEST(paused_with_a_dead_peer_is_quiet)
{
	struct loop *loop = loop_new();
	struct end a = {.pause_in_message = true};
	int fd = open_one(&a, loop);
	struct msg msg;

	greet(fd);
	msg_init(&msg, MSG_OK);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(msg_send(fd, CH_CONTROL_SCHEDD, SIDE_B, IN_OPEN, &msg), 0);
	run_for(loop, 10);
	ck_assert_uint_eq(a.messages, 1);
	close(fd);
	run_for(loop, 10);
	ck_assert_int_eq(send_ok(a.channel, 1), -EPIPE);
	run_for(loop, 10);
	ck_assert_uint_eq(a.closed, 0);
	/* What it had sent is still heard. */
	a.pause_in_message = false;
	channel_pause(a.channel, false);
	ck_assert_int_eq(run_for(loop, 1000), 2);
	ck_assert_uint_eq(a.messages, 3);
	ck_assert(!a.error);
	loop_free(loop);
}
END_TEST

START_TEST(last_words_before_the_end)
{
	struct loop *loop = loop_new();
	struct end a = {.wanted = 0};
	int fd = open_one(&a, loop);
	struct msg msg;

	greet(fd);
	run_for(loop, 10);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(send_ok(a.channel, 1), 0);
	msg_init(&msg, MSG_OK);
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(msg_send(fd, CH_CONTROL_SCHEDD, SIDE_B, IN_OPEN, &msg), 0);
	close(fd);
	/* A reset first, then a broken pipe; neither loses what waits to be read. */
	ck_assert_int_eq(send_ok(a.channel, 1), -EPIPE);
	ck_assert_int_eq(send_ok(a.channel, 1), -EPIPE);
	ck_assert_int_eq(run_for(loop, 1000), 2);
	ck_assert_uint_eq(a.messages, 100);
	ck_assert(!a.error);
	loop_free(loop);
}
END_TEST

START_TEST(peer_that_only_stops_reading)
{
	struct loop *loop = loop_new();
	struct end a = {.wanted = 0};
	int fd = open_one(&a, loop);

	greet(fd);
	run_for(loop, 10);
	shutdown(fd, SHUT_RD);
	ck_assert_int_eq(send_ok(a.channel, 1), -EPIPE);
	ck_assert_int_eq(run_for(loop, 1000), 2);
	ck_assert_uint_eq(a.closed, 1);
	close(fd);
	loop_free(loop);
}
END_TEST

START_TEST(violations_end_it)
{
	static const char *const reasons[] = {"ENQUEUE, which is not permitted", "no message",
					      "HELLO, which is not permitted"};

	for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
		int before = open_fds();
		struct loop *loop = loop_new();
		struct end a = {.wanted = 0};
		int fd = open_one(&a, loop);
		struct msg msg;
		greet(fd);
		run_for(loop, 10);
		msg_init(&msg, MSG_ENQUEUE);
		if (i == 0)
			msg_send(fd, CH_CONTROL_SCHEDD, SIDE_A, IN_OPEN, &msg);
		else if (i == 1)
			send(fd, "garbage", 7, 0);
		else {
			msg_hello(&msg, ROLE_SCHEDD);
			msg_send(fd, CH_CONTROL_SCHEDD, SIDE_B, IN_HELLO, &msg);
		}
		ck_assert_int_eq(run_for(loop, 1000), 2);
		ck_assert(a.error);
		ck_assert_msg(strstr(a.text, reasons[i]), "%s", a.text);
		ck_assert_ptr_eq(strstr(a.text, "control-schedd channel with schedd: "), a.text);
		ck_assert_uint_eq(a.messages, 0);
		close(fd);
		loop_free(loop);
		ck_assert_int_eq(open_fds(), before);
	}
}
END_TEST

START_TEST(bad_greetings)
{
	for (int i = 0; i < 5; i++) {
		struct loop *loop = loop_new();
		struct end a = {.wanted = 0};
		int fd = open_one(&a, loop);
		struct msg msg;
		msg_hello(&msg, ROLE_SCHEDD);
		if (i == 0)
			msg.hello.protocol++;
		else if (i == 1)
			msg.hello.role = ROLE_RUNNERD;
		else if (i == 2)
			msg.hello.build[0] ^= 1;
		if (i < 3) {
			msg_send(fd, CH_CONTROL_SCHEDD, SIDE_B, IN_HELLO, &msg);
		} else if (i == 3) {
			msg_init(&msg, MSG_OK);
			msg_send(fd, CH_CONTROL_SCHEDD, SIDE_B, IN_OPEN, &msg);
		} else {
			send(fd, "SR\1\0\1\0", 6, 0);
		}
		ck_assert_int_eq(run_for(loop, 1000), 2);
		ck_assert(a.error);
		ck_assert_uint_eq(a.opened, 0);
		close(fd);
		loop_free(loop);
	}
}
END_TEST

START_TEST(silence_instead_of_a_greeting)
{
	struct loop *loop = loop_new();
	struct end a = {.wanted = 0};
	int fd = open_one(&a, loop);
	uint64_t start = boottime_ns();

	ck_assert_int_eq(send_ok(a.channel, 1), 0);
	ck_assert_int_eq(run_for(loop, 7000), 2);
	ck_assert_uint_ge(boottime_ns() - start, CHANNEL_HELLO_MS * UINT64_C(1000000));
	ck_assert_ptr_nonnull(strstr(a.text, "did not greet"));
	close(fd);
	loop_free(loop);
}
END_TEST

START_TEST(gone_before_the_greeting)
{
	struct loop *loop = loop_new();
	int before = open_fds();
	int ends[2];
	struct end a = {.loop = loop};

	ck_assert_int_eq(channel_pair(ends), 0);
	close(ends[1]);
	a.channel = channel_new(loop, ends[0], CH_CONTROL_SCHEDD, SIDE_A, ROLE_CONTROL, ROLE_SCHEDD,
				&ops, &a);
	ck_assert_ptr_nonnull(a.channel);
	ck_assert_uint_eq(a.closed, 0);
	ck_assert_int_eq(run_for(loop, 1000), 2);
	ck_assert(!a.error);
	ck_assert_int_eq(open_fds(), before);
	ck_assert_ptr_null(
	    channel_new(loop, -1, CH_CONTROL_SCHEDD, SIDE_A, ROLE_CONTROL, ROLE_SCHEDD, &ops, &a));
	loop_free(loop);
}
END_TEST

START_TEST(forbidden_to_send)
{
	int before = open_fds();
	struct loop *loop = loop_new();
	struct end a = {.wanted = 0};
	int fd = open_one(&a, loop);
	struct msg msg;

	/* Standard error would show the complaint about the bug. */
	_cleanup_close_ int kept = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY);
	dup2(null, STDERR_FILENO);
	msg_init(&msg, MSG_SPAWN);
	msg_add_fd(&msg, dup(0));
	ck_assert_int_eq(channel_send(a.channel, &msg), -EPERM);
	msg_init(&msg, MSG_OK);
	msg_add_fd(&msg, dup(0));
	ck_assert_int_eq(channel_send(a.channel, &msg), -EINVAL);
	dup2(kept, STDERR_FILENO);
	channel_free(a.channel);
	channel_free(NULL);
	close(fd);
	loop_free(loop);
	ck_assert_int_eq(open_fds(), before + 2);
}
END_TEST

START_TEST(phases)
{
	struct loop *loop = loop_new();
	struct end a = {.loop = loop, .stay = true};
	int ends[2];

	for (int chosen = 0; chosen < 2; chosen++) {
		ck_assert_int_eq(channel_pair(ends), 0);
		struct channel *boot = channel_new(loop, ends[0], CH_KEEPER, SIDE_A, ROLE_RUNNERD,
						   ROLE_KEEPER, &ops, &a);
		if (chosen)
			channel_set_phase(boot, IN_OPEN);
		ck_assert_int_eq(channel_phase(boot), IN_HELLO);
		ck_assert_int_eq(
		    msg_greet(ends[1], CH_KEEPER, SIDE_B, ROLE_KEEPER, ROLE_RUNNERD, 1000), 0);
		run_for(loop, 5);
		ck_assert_int_eq(channel_phase(boot), chosen ? IN_OPEN : IN_SETUP);
		channel_set_phase(boot, IN_OPEN);
		ck_assert_int_eq(channel_phase(boot), IN_OPEN);
		channel_free(boot);
		close(ends[1]);
	}
	loop_free(loop);
}
END_TEST

/* A connection through a bound socket, as a restarted runnerd makes one, begins open on both
 * sides. */
START_TEST(named_keeper_socket)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct loop *loop = loop_new();
	struct end a = {.loop = loop}, b = {.loop = loop};
	int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	int client = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	/* Autobound: an abstract name that the kernel picks. */
	socklen_t length = sizeof(sa_family_t);

	ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, length), 0);
	ck_assert_int_eq(listen(listener, 1), 0);
	length = sizeof(address);
	ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &length), 0);
	ck_assert_int_eq(connect(client, (struct sockaddr *)&address, length), 0);
	int accepted = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	a.channel =
	    channel_new(loop, client, CH_KEEPER, SIDE_A, ROLE_RUNNERD, ROLE_KEEPER, &ops, &a);
	b.channel =
	    channel_new(loop, accepted, CH_KEEPER, SIDE_B, ROLE_KEEPER, ROLE_RUNNERD, &ops, &b);
	run_for(loop, 10);
	ck_assert_int_eq(channel_phase(a.channel), IN_OPEN);
	ck_assert_int_eq(channel_phase(b.channel), IN_OPEN);
	channel_free(a.channel);
	channel_free(b.channel);
	close(listener);
	loop_free(loop);
}
END_TEST

START_TEST(greeted_already)
{
	struct loop *loop = loop_new();
	struct end a = {.loop = loop, .wanted = 1};
	int ends[2];
	struct msg msg;

	ck_assert_int_eq(channel_pair(ends), 0);
	a.channel = channel_new_greeted(loop, ends[0], CH_SUPERVISE, SIDE_B, ROLE_AGENTD, IN_SETUP,
					&ops, &a);
	msg_init(&msg, MSG_READY);
	ck_assert_int_eq(channel_send(a.channel, &msg), 0);
	ck_assert_int_eq(msg_recv(ends[1], CH_SUPERVISE, SIDE_A, IN_SETUP, &msg, 100), 1);
	ck_assert_int_eq(msg.type, MSG_READY);
	msg_init(&msg, MSG_STOP);
	ck_assert_int_eq(msg_send(ends[1], CH_SUPERVISE, SIDE_A, IN_OPEN, &msg), 0);
	ck_assert_int_eq(run_for(loop, 1000), 1);
	ck_assert_uint_eq(a.opened, 0);
	channel_free(a.channel);
	close(ends[1]);
	loop_free(loop);
}
END_TEST

int
main(void)
{
	const TTest *tests[] = {messages_wait_for_hello_and_keep_their_order,
				what_is_held_leaves_when_it_is_passed,
				what_is_held_waits_for_the_socket_too,
				full_socket_queues,
				queue_is_bounded,
				queue_of_an_operator_is_small,
				queued_descriptors_are_closed,
				freed_in_its_own_callbacks,
				freed_by_another,
				paused_with_a_dead_peer_is_quiet,
				last_words_before_the_end,
				peer_that_only_stops_reading,
				violations_end_it,
				bad_greetings,
				silence_instead_of_a_greeting,
				gone_before_the_greeting,
				forbidden_to_send,
				phases,
				named_keeper_socket,
				greeted_already};

	return suite_run("channel", tests, ARRAY_LEN(tests));
}
