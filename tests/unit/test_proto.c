#include <errno.h>

#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "common/channel.h"
#include "common/cleanup.h"
#include "common/proto.h"
#include "tests/unit/suite.h"

static uint8_t bytes[PROTO_MESSAGE_MAX];

/* Fills every field to its bound. */
#define BOOL(f) m->f = true;
#define U8(f) m->f = UINT8_MAX;
#define U32(f) m->f = UINT32_MAX;
#define U64(f) m->f = UINT64_MAX;
#define I32(f) m->f = INT32_MIN;
#define I64(f) m->f = INT64_MIN;
#define ID(f) m->f = uuid_new();
#define STR(f, max) memset(m->f, 'x', max);
#define BYTES(f, max) memset(m->f, 0, m->f##_len = max);
#define MSG(number, NAME, name, routes, phases, fds_min, fds_max, ...)                             \
	static void fill_##name(struct msg *msg)                                                   \
	{                                                                                          \
		struct msg_##name *m = &msg->name;                                                 \
		__VA_ARGS__                                                                        \
	}
#include "common/proto.def"
#undef MSG

static void (*const fill[])(struct msg *) = {
#define MSG(number, NAME, name, ...) fill_##name,
#include "common/proto.def"
#undef MSG
};

START_TEST(fullest_messages_pass)
{
	size_t count;
	const struct msg_rule *rules = msg_rules(&count);
	char text[65536];

	for (size_t i = 0; i < count; i++) {
		struct msg msg, back;
		msg_init(&msg, rules[i].type);
		fill[i](&msg);
		msg.id = 0x01020304;
		msg.nfds = rules[i].fds_max;
		ssize_t length = msg_encode(&msg, bytes, sizeof(bytes));
		ck_assert_int_gt(length, PROTO_HEADER_BYTES);
		ck_assert_int_eq(msg_size(bytes, sizeof(bytes)), length);
		ck_assert_int_eq(msg_decode(&back, bytes, (size_t)length, msg.nfds), 0);
		msg.nfds = 0;
		ck_assert_mem_eq(&msg, &back, sizeof(msg));
		FILE *stream = fmemopen(text, sizeof(text), "w");
		msg_print(&msg, stream);
		fclose(stream);
		ck_assert_ptr_eq(strstr(text, rules[i].name), text);
		ck_assert_ptr_eq(msg_rule(rules[i].type), &rules[i]);
	}
}
END_TEST

START_TEST(every_cut_and_every_excess_is_refused)
{
	struct msg msg, back;

	msg_init(&msg, MSG_AGENT_ROW);
	strcpy(msg.agent_row.name, "changes");
	size_t length = (size_t)msg_encode(&msg, bytes, sizeof(bytes));
	for (size_t cut = 0; cut < length + 20; cut++) {
		int expected = cut == length ? 0 : -EBADMSG;
		ck_assert_int_eq(msg_decode(&back, bytes, cut, 0), expected);
		/* And with a header that agrees. */
		if (cut < PROTO_HEADER_BYTES)
			continue;
		uint8_t fitted[PROTO_MESSAGE_MAX];
		memcpy(fitted, bytes, sizeof(fitted));
		fitted[8] = (uint8_t)(cut - PROTO_HEADER_BYTES);
		fitted[9] = (uint8_t)((cut - PROTO_HEADER_BYTES) >> 8);
		ck_assert_int_eq(msg_decode(&back, fitted, cut, 0), expected);
	}
}
END_TEST

static void
assert_spoilt(const struct msg *msg, size_t at, uint8_t byte)
{
	struct msg back;
	size_t length = (size_t)msg_encode(msg, bytes, sizeof(bytes));

	ck_assert_int_eq(msg_decode(&back, bytes, length, msg->nfds), 0);
	ck_assert_uint_ne(bytes[at], byte);
	bytes[at] = byte;
	ck_assert_msg(msg_decode(&back, bytes, length, msg->nfds) == -EBADMSG, "byte %zu", at);
}

START_TEST(spoilt_bytes_are_refused)
{
	struct msg msg;

	msg_init(&msg, MSG_OP_SHUTDOWN);
	for (size_t at = 0; at < 12; at++)
		assert_spoilt(&msg, at, 0xee);
	assert_spoilt(&msg, 16, 2); /* a BOOL */
	msg_init(&msg, MSG_OP_FOLLOW);
	strcpy(msg.op_follow.ref, "abc");
	assert_spoilt(&msg, 18, 0); /* a NUL in a string */
	assert_spoilt(&msg, 16, 2); /* a string that is shorter than what there is */
	assert_spoilt(&msg, 16, 4);
	assert_spoilt(&msg, 17, 1);
}
END_TEST

START_TEST(what_cannot_be_encoded)
{
	struct msg msg;

	msg_init(&msg, MSG_OP_FOLLOW);
	memset(msg.op_follow.ref, 'x', sizeof(msg.op_follow.ref));
	ck_assert_int_eq(msg_encode(&msg, bytes, sizeof(bytes)), -EINVAL);
	msg_init(&msg, MSG_OP_FOLLOW);
	for (size_t size = 0; size < 18; size++)
		ck_assert_int_eq(msg_encode(&msg, bytes, size), -EMSGSIZE);
	ck_assert_int_eq(msg_encode(&msg, bytes, 18), 18);
	msg.nfds = 1;
	ck_assert_int_eq(msg_encode(&msg, bytes, sizeof(bytes)), -EINVAL);
	msg_init(&msg, MSG_ROWS);
	ck_assert_int_eq(msg_encode(&msg, bytes, sizeof(bytes)), -EINVAL);
	msg_init(&msg, MSG_NONE);
	ck_assert_int_eq(msg_encode(&msg, bytes, sizeof(bytes)), -EINVAL);
	msg_init(&msg, (enum msg_type)0x7fff);
	ck_assert_int_eq(msg_encode(&msg, bytes, sizeof(bytes)), -EINVAL);
	msg_init(&msg, MSG_SANDBOX_FILE);
	msg.sandbox_file.content_len = 8193;
	ck_assert_int_eq(msg_encode(&msg, bytes, sizeof(bytes)), -EINVAL);
}
END_TEST

START_TEST(permissions)
{
	ck_assert(msg_permitted(MSG_HELLO, CH_OPERATOR, SIDE_A, IN_HELLO));
	ck_assert(!msg_permitted(MSG_HELLO, CH_OPERATOR, SIDE_A, IN_OPEN));
	ck_assert(!msg_permitted(MSG_HELLO, CH_RECORD, SIDE_A, IN_HELLO));
	ck_assert(!msg_permitted(MSG_HELLO, CH_NONE, SIDE_A, IN_HELLO));
	ck_assert(!msg_permitted(MSG_HELLO, CH_COUNT, SIDE_A, IN_HELLO));
	ck_assert(msg_permitted(MSG_OP_RUN, CH_OPERATOR, SIDE_A, IN_OPEN));
	ck_assert(!msg_permitted(MSG_OP_RUN, CH_OPERATOR, SIDE_B, IN_OPEN));
	ck_assert(!msg_permitted(MSG_OP_RUN, CH_CONTROL_SCHEDD, SIDE_A, IN_OPEN));
	ck_assert(!msg_permitted(MSG_OP_RUN, CH_OPERATOR, SIDE_A, IN_HELLO));
	ck_assert(msg_permitted(MSG_GO, CH_KEEPER, SIDE_A, IN_OPEN));
	ck_assert(!msg_permitted(MSG_GO, CH_KEEPER, SIDE_A, IN_SETUP));
	ck_assert(!msg_permitted((enum msg_type)0x7fff, CH_KEEPER, SIDE_A, IN_OPEN));
}
END_TEST

/* An owned listener can tell of requests, and nothing else to anybody. */
START_TEST(the_listener_may_only_deliver)
{
	size_t count;
	const struct msg_rule *rules = msg_rules(&count);

	for (size_t i = 0; i < count; i++)
		ck_assert_msg(msg_permitted(rules[i].type, CH_SCHEDD_WEBHOOK, SIDE_B, IN_OPEN) ==
				  (rules[i].type == MSG_WEBHOOK_DELIVERY),
			      "%s", rules[i].name);
	for (int kind = CH_NONE + 1; kind < CH_COUNT; kind++)
		for (int side = SIDE_A; side <= SIDE_B; side++)
			ck_assert_msg(
			    role_speaks(ROLE_WEBHOOK, (enum channel_kind)kind, (enum side)side) ==
				(side == SIDE_B &&
				 (kind == CH_SCHEDD_WEBHOOK || kind == CH_SUPERVISE)),
			    "%s", channel_kind_name((enum channel_kind)kind));
	ck_assert(!msg_permitted(MSG_SIGNATURE, CH_SCHEDD_WEBHOOK, SIDE_B, IN_OPEN));
	ck_assert(!msg_permitted(MSG_WEBHOOK_DELIVERY, CH_SCHEDD_WEBHOOK, SIDE_A, IN_OPEN));
	ck_assert(!msg_permitted(MSG_WEBHOOK_ANSWER, CH_SCHEDD_WEBHOOK, SIDE_B, IN_OPEN));
}
END_TEST

/* A forgotten route or a doubled one shows here: every message can be sent somewhere, and records
 * are never sent. */
START_TEST(table_is_sound)
{
	size_t count;
	const struct msg_rule *rules = msg_rules(&count);

	for (size_t i = 0; i < count; i++) {
		bool record = (rules[i].routes & BOTH(CH_RECORD)) != 0;
		ck_assert_msg(rules[i].routes != 0, "%s", rules[i].name);
		ck_assert_msg(rules[i].phases != 0, "%s", rules[i].name);
		if (record) {
			ck_assert_msg((rules[i].routes & ~BOTH(CH_RECORD)) == 0, "%s",
				      rules[i].name);
			ck_assert_uint_eq(rules[i].fds_max, 0);
		}
		ck_assert_msg((rules[i].phases == IN_HELLO) == (rules[i].type == MSG_HELLO), "%s",
			      rules[i].name);
	}
}
END_TEST

START_TEST(names)
{
	for (int i = 0; i < ROLE_COUNT; i++)
		ck_assert_ptr_nonnull(role_name((enum role)i));
	for (int i = 0; i < CH_COUNT; i++)
		ck_assert_ptr_nonnull(channel_kind_name((enum channel_kind)i));
	for (int i = 0; i < STEP_COUNT; i++)
		ck_assert_ptr_nonnull(session_step_name((enum session_step)i));
	for (int i = 0; i < STATE_COUNT; i++)
		ck_assert_int_eq(session_state_parse(session_state_name((enum session_state)i)), i);
	for (int i = 0; i < OUTCOME_COUNT; i++)
		ck_assert_int_eq(
		    session_outcome_parse(session_outcome_name((enum session_outcome)i)), i);
	ck_assert_ptr_null(role_name(ROLE_COUNT));
	ck_assert_ptr_null(session_state_name((enum session_state) - 1));
	ck_assert_int_eq(session_state_parse("Queued"), STATE_NONE);
	ck_assert_int_eq(session_outcome_parse(NULL), OUTCOME_NONE);
	ck_assert_str_eq(session_outcome_name(OUTCOME_IDLE_TIMED_OUT), "idle_timed_out");
}
END_TEST

START_TEST(descriptors)
{
	int before = open_fds();
	struct msg msg;

	msg_init(&msg, MSG_OP_INSTALL);
	for (int i = 0; i < PROTO_FDS_MAX; i++)
		ck_assert(msg_add_fd(&msg, dup(0)));
	ck_assert_int_eq(open_fds(), before + PROTO_FDS_MAX);
	ck_assert(!msg_add_fd(&msg, dup(0)));
	ck_assert(!msg_add_fd(&msg, -1));
	ck_assert_int_eq(open_fds(), before + PROTO_FDS_MAX);
	int taken = msg_take_fd(&msg, 3);
	ck_assert_int_ge(taken, 0);
	ck_assert_int_eq(msg_take_fd(&msg, 3), -1);
	ck_assert_int_eq(msg_take_fd(&msg, PROTO_FDS_MAX), -1);
	msg_close_fds(&msg);
	msg_close_fds(&msg);
	ck_assert_int_eq(open_fds(), before + 1);
	close(taken);
}
END_TEST

START_TEST(errors_travel)
{
	struct error error = ERROR_INIT, back = ERROR_INIT;
	struct msg msg;

	error_why(&error, ERR_CONFLICT, "it exists");
	error_what(&error, "installing");
	error_hint(&error, "use --replace");
	msg_from_error(&msg, 9, &error);
	ck_assert_uint_eq(msg.id, 9);
	ck_assert_int_eq(msg_to_error(&msg, &back), -1);
	ck_assert_mem_eq(&error, &back, sizeof(error));
	msg.error.code = 200;
	msg_to_error(&msg, &back);
	ck_assert_int_eq(back.code, ERR_FAILED);
	msg.error.code = ERR_NONE;
	msg_to_error(&msg, &back);
	ck_assert_int_eq(back.code, ERR_FAILED);
	msg_init(&msg, MSG_OK);
	ck_assert_int_eq(msg_to_error(&msg, &back), -1);
	ck_assert_int_eq(msg_to_error(&msg, NULL), -1);
}
END_TEST

/* --- transfer ------------------------------------------------------------------------------- */

/* Sends these bytes with so many copies of descriptor 0, in messages of control as given. */
static void
send_raw(int fd, const void *datagram, size_t length, unsigned nfds)
{
	int fds[253];

	for (unsigned i = 0; i < nfds; i++)
		fds[i] = STDIN_FILENO;
	_Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(fds))] = {0};
	struct iovec iov = {.iov_base = (void *)(uintptr_t)datagram, .iov_len = length};
	struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};
	if (nfds > 0) {
		header.msg_control = control;
		header.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		struct cmsghdr *cmsg = CMSG_FIRSTHDR(&header);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, nfds * sizeof(int));
	}
	ck_assert_int_eq(sendmsg(fd, &header, 0), (ssize_t)length);
}

static int
receive(int fd, struct msg *msg)
{
	return msg_recv_now(fd, CH_OPERATOR, SIDE_A, IN_OPEN, msg);
}

/* ROWS with one descriptor. */
static size_t
encode_rows(void)
{
	struct msg msg;

	msg_init(&msg, MSG_ROWS);
	msg.nfds = 1;
	return (size_t)msg_encode(&msg, bytes, sizeof(bytes));
}

START_TEST(descriptor_counts)
{
	static const unsigned counts[] = {0, 2, 3, 4, 35, 36, 64, 253};
	size_t length = encode_rows();
	int ends[2];
	struct msg msg;

	ck_assert_int_eq(channel_pair(ends), 0);
	int before = open_fds();
	send_raw(ends[1], bytes, length, 1);
	ck_assert_int_eq(receive(ends[0], &msg), 1);
	ck_assert_uint_eq(msg.nfds, 1);
	ck_assert_int_eq(fcntl(msg.fds[0], F_GETFD), FD_CLOEXEC);
	msg_close_fds(&msg);
	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		send_raw(ends[1], bytes, length, counts[i]);
		ck_assert_int_eq(receive(ends[0], &msg), -EBADMSG);
		ck_assert_uint_eq(msg.nfds, 0);
		ck_assert_int_eq(open_fds(), before);
		/* A header that claims what came, where the rule forbids it. */
		bytes[6] = (uint8_t)counts[i];
		send_raw(ends[1], bytes, length, counts[i]);
		ck_assert_int_eq(receive(ends[0], &msg), counts[i] == 2 ? 1 : -EBADMSG);
		msg_close_fds(&msg);
		bytes[6] = 1;
		ck_assert_int_eq(open_fds(), before);
	}
	close(ends[0]);
	close(ends[1]);
}
END_TEST

START_TEST(lengths)
{
	static uint8_t long_one[PROTO_MESSAGE_MAX * 2];
	size_t length = encode_rows();
	int ends[2];
	struct msg msg;

	memcpy(long_one, bytes, length);
	ck_assert_int_eq(channel_pair(ends), 0);
	int before = open_fds();
	static const size_t sizes[] = {
	    1, 15, 16, 19, 21, PROTO_MESSAGE_MAX, PROTO_MESSAGE_MAX + 1, 2 * PROTO_MESSAGE_MAX};
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		send_raw(ends[1], long_one, sizes[i], 1);
		ck_assert_int_eq(receive(ends[0], &msg), -EBADMSG);
		ck_assert_int_eq(open_fds(), before);
	}
	/* An empty datagram: the end; with a descriptor: refused. */
	send_raw(ends[1], "", 0, 0);
	ck_assert_int_eq(receive(ends[0], &msg), 0);
	send_raw(ends[1], "", 0, 1);
	ck_assert_int_eq(receive(ends[0], &msg), -EBADMSG);
	ck_assert_int_eq(open_fds(), before);
	close(ends[0]);
	close(ends[1]);
}
END_TEST

START_TEST(credentials_pass_other_control_does_not)
{
	size_t length = encode_rows();
	int ends[2], on = 1;
	struct msg msg;

	ck_assert_int_eq(channel_pair(ends), 0);
	int before = open_fds();
	ck_assert_int_eq(setsockopt(ends[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)), 0);
	send_raw(ends[1], bytes, length, 1);
	ck_assert_int_eq(receive(ends[0], &msg), 1);
	msg_close_fds(&msg);
	send_raw(ends[1], bytes, length, 253);
	ck_assert_int_eq(receive(ends[0], &msg), -EBADMSG);
	ck_assert_int_eq(open_fds(), before);
	if (setsockopt(ends[0], SOL_SOCKET, SO_TIMESTAMP, &on, sizeof(on)) == 0) {
		send_raw(ends[1], bytes, length, 1);
		ck_assert_int_eq(receive(ends[0], &msg), -EBADMSG);
		ck_assert_int_eq(open_fds(), before);
	}
	close(ends[0]);
	close(ends[1]);
}
END_TEST

START_TEST(a_process_out_of_descriptors)
{
	size_t length = encode_rows();
	int ends[2], filler[512];
	size_t count = 0;
	struct msg msg;
	/* Only the process of the test is to be out of them. */
	pid_t pid = fork();

	if (pid > 0) {
		int status;
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		ck_assert_int_eq(status, 0);
		return;
	}
	struct rlimit limit = {.rlim_cur = 64, .rlim_max = 64};
	if (channel_pair(ends) < 0 || setrlimit(RLIMIT_NOFILE, &limit) < 0)
		_exit(2);
	/* The header claims what there will be room for: only MSG_CTRUNC tells. */
	send_raw(ends[1], bytes, length, 2);
	while ((filler[count] = dup(0)) >= 0)
		count++;
	close(filler[0]);
	if (receive(ends[0], &msg) != -EBADMSG)
		_exit(3);
	int again = dup(0);
	_exit(again == filler[0] && dup(0) < 0 ? 0 : 4);
}
END_TEST

START_TEST(last_words_are_heard)
{
	int ends[2];
	struct msg msg;

	ck_assert_int_eq(channel_pair(ends), 0);
	/* The peer speaks and goes, with a message of ours unread: ECONNRESET comes first. */
	msg_init(&msg, MSG_OP_PING);
	ck_assert_int_eq(msg_send(ends[0], CH_OPERATOR, SIDE_A, IN_OPEN, &msg), 0);
	msg_init(&msg, MSG_OP_PONG);
	msg.op_pong.pid = 42;
	ck_assert_int_eq(msg_send(ends[1], CH_OPERATOR, SIDE_B, IN_OPEN, &msg), 0);
	close(ends[1]);
	ck_assert_int_eq(receive(ends[0], &msg), 1);
	ck_assert_uint_eq(msg.op_pong.pid, 42);
	ck_assert_int_eq(receive(ends[0], &msg), 0);
	ck_assert_int_eq(receive(ends[0], &msg), 0);
	msg_init(&msg, MSG_OP_PING);
	ck_assert_int_eq(msg_send(ends[0], CH_OPERATOR, SIDE_A, IN_OPEN, &msg), -EPIPE);
	close(ends[0]);
}
END_TEST

START_TEST(blocking_calls)
{
	int ends[2];
	struct msg msg;

	ck_assert_int_eq(channel_pair(ends), 0);
	ck_assert_int_eq(receive(ends[0], &msg), -EAGAIN);
	ck_assert_int_eq(msg_recv(ends[0], CH_OPERATOR, SIDE_A, IN_OPEN, &msg, 0), -ETIMEDOUT);
	ck_assert_int_eq(msg_recv(ends[0], CH_OPERATOR, SIDE_A, IN_OPEN, &msg, 10), -ETIMEDOUT);
	msg_init(&msg, MSG_OP_PING);
	ck_assert_int_eq(msg_send(ends[0], CH_OPERATOR, SIDE_B, IN_OPEN, &msg), -EPERM);
	ck_assert_int_eq(msg_send(ends[0], CH_OPERATOR, SIDE_A, IN_HELLO, &msg), -EPERM);
	ck_assert_int_eq(msg_send(ends[0], CH_OPERATOR, SIDE_A, IN_OPEN, &msg), 0);
	/* The right message from the wrong side. */
	ck_assert_int_eq(msg_recv(ends[1], CH_OPERATOR, SIDE_A, IN_OPEN, &msg, -1), -EPERM);
	ck_assert_int_eq(msg.type, MSG_OP_PING);
	ck_assert_int_eq(msg_recv(-1, CH_OPERATOR, SIDE_A, IN_OPEN, &msg, -1), -EBADF);
	close(ends[0]);
	ck_assert_int_eq(msg_recv(ends[1], CH_OPERATOR, SIDE_B, IN_OPEN, &msg, -1), 0);
	close(ends[1]);
}
END_TEST

START_TEST(greeting)
{
	int ends[2];
	struct msg msg;

	ck_assert_int_eq(channel_pair(ends), 0);
	msg_hello(&msg, ROLE_CONTROL);
	ck_assert_int_eq(msg_send(ends[1], CH_OPERATOR, SIDE_B, IN_HELLO, &msg), 0);
	ck_assert_int_eq(msg_greet(ends[0], CH_OPERATOR, SIDE_A, ROLE_ASH, ROLE_CONTROL, 1000), 0);
	msg_hello(&msg, ROLE_ASH);
	ck_assert_int_eq(msg_send(ends[1], CH_OPERATOR, SIDE_B, IN_HELLO, &msg), 0);
	ck_assert_int_eq(msg_greet(ends[0], CH_OPERATOR, SIDE_A, ROLE_ASH, ROLE_NONE, 1000),
			 -EPROTO);
	close(ends[1]);
	ck_assert_int_lt(msg_greet(ends[0], CH_OPERATOR, SIDE_A, ROLE_ASH, ROLE_NONE, 1000), 0);
	close(ends[0]);

	msg_hello(&msg, ROLE_SCHEDD);
	ck_assert_int_eq(msg_hello_check(&msg, CH_AUDIT, SIDE_A, ROLE_NONE), 0);
	ck_assert_int_eq(msg_hello_check(&msg, CH_AUDIT, SIDE_A, ROLE_RUNNERD), -EPROTO);
	ck_assert_int_eq(msg_hello_check(&msg, CH_AUDIT, SIDE_B, ROLE_NONE), -EPROTO);
	msg.hello.role = 255;
	ck_assert_int_eq(msg_hello_check(&msg, CH_AUDIT, SIDE_A, ROLE_NONE), -EPROTO);
	msg_hello(&msg, ROLE_SCHEDD);
	msg.hello.protocol++;
	ck_assert_int_eq(msg_hello_check(&msg, CH_AUDIT, SIDE_A, ROLE_NONE), -EPROTONOSUPPORT);
	msg_hello(&msg, ROLE_SCHEDD);
	msg.hello.build[0] ^= 1;
	ck_assert_int_eq(msg_hello_check(&msg, CH_AUDIT, SIDE_A, ROLE_NONE), -ESTALE);
	msg.hello.role = ROLE_KEEPER;
	ck_assert_int_eq(msg_hello_check(&msg, CH_KEEPER, SIDE_B, ROLE_KEEPER), 0);
	msg.hello.role = ROLE_ASH;
	ck_assert_int_eq(msg_hello_check(&msg, CH_OPERATOR, SIDE_A, ROLE_ASH), 0);
}
END_TEST

int
main(void)
{
	const TTest *tests[] = {fullest_messages_pass,
				every_cut_and_every_excess_is_refused,
				spoilt_bytes_are_refused,
				what_cannot_be_encoded,
				permissions,
				the_listener_may_only_deliver,
				table_is_sound,
				names,
				descriptors,
				errors_travel,
				descriptor_counts,
				lengths,
				credentials_pass_other_control_does_not,
				a_process_out_of_descriptors,
				last_words_are_heard,
				blocking_calls,
				greeting};

	return suite_run("proto", tests, ARRAY_LEN(tests));
}
