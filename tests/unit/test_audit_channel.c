/* What a daemon keeps for the audit log until secretd has written it. */
#include <fcntl.h>
#include <string.h>

#include "common/channel.h"
#include "common/cleanup.h"
#include "common/daemon.h"
#include "tests/unit/suite.h"

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

static void
acknowledge(int fd, uint64_t generation, uint64_t sequence)
{
	struct msg msg;

	msg_init(&msg, MSG_AUDIT_ACK);
	msg.audit_ack.generation = generation;
	msg.audit_ack.sequence = sequence;
	ck_assert_int_eq(msg_send(fd, CH_AUDIT, SIDE_B, IN_OPEN, &msg), 0);
}

/* The end that secretd has, greeted. */
static int
introduce_secretd(struct loop *loop, struct audit *audit)
{
	int ends[2];

	ck_assert_int_eq(channel_pair(ends), 0);
	audit_introduced(audit, ends[0]);
	ck_assert_int_eq(msg_greet(ends[1], CH_AUDIT, SIDE_B, ROLE_SECRETD, ROLE_RUNNERD, 1000), 0);
	run_for(loop, 10);
	return ends[1];
}

/* Expects these entries, one sequence after the other; returns the generation. The socket holds a
 * few only: the sender has its turn. */
static uint64_t
expect_entries(struct loop *loop, int fd, uint64_t first, uint64_t last)
{
	struct msg msg;

	for (uint64_t sequence = first; sequence <= last; sequence++) {
		int rc;

		do {
			while ((rc = msg_recv_now(fd, CH_AUDIT, SIDE_B, IN_OPEN, &msg)) == -EAGAIN)
				run_for(loop, 1);
			ck_assert_int_eq(rc, 1);
		} while (msg.type == MSG_AUDIT_COUNT_QUERY); /* once at the beginning */
		ck_assert_uint_eq(msg.audit.sequence, sequence);
		if (strcmp(msg.audit.action, "test") == 0)
			ck_assert_uint_eq(msg.audit.pid, sequence);
	}
	return msg.audit.generation;
}

static void
send_entries(struct audit *audit, uint32_t first, uint32_t last)
{
	struct msg_audit line = {.action = "test"};

	for (line.pid = first; line.pid <= last; line.pid++)
		audit_send(audit, &line);
}

/* What is not acknowledged is sent again, in order, to whoever comes; what is, is not. */
START_TEST(audit_waits)
{
	int before = open_fds(), fd;
	struct loop *loop = loop_new();
	struct audit *audit = audit_new(loop, ROLE_RUNNERD);
	uint64_t generation;

	send_entries(audit, 1, 300);
	fd = introduce_secretd(loop, audit);
	generation = expect_entries(loop, fd, 1, 300);
	acknowledge(fd, generation, 44);
	acknowledge(fd, generation + 1, 300); /* another process's */
	run_for(loop, 10);
	close(fd); /* killed: 45 to 300 may be lost */
	run_for(loop, 10);
	send_entries(audit, 301, 310);
	fd = introduce_secretd(loop, audit);
	expect_entries(loop, fd, 45, 310);
	acknowledge(fd, generation, 310);
	run_for(loop, 10);
	close(fd);
	run_for(loop, 10);
	send_entries(audit, 311, 311);
	fd = introduce_secretd(loop, audit);
	expect_entries(loop, fd, 311, 311);
	close(fd);
	audit_free(audit);
	audit_free(NULL);
	loop_free(loop);
	ck_assert_int_eq(open_fds(), before);
}
END_TEST

/* Over the bound new ones are dropped, and an entry says how many; before that, what can be
 * refused is. */
START_TEST(audit_overflows)
{
	struct loop *loop = loop_new();
	struct audit *audit = audit_new(loop, ROLE_RUNNERD);
	_cleanup_close_ int kept = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY);
	uint64_t generation;
	struct msg msg;
	int fd;

	dup2(null, STDERR_FILENO);
	send_entries(audit, 1, AUDIT_READY_MAX - 1);
	ck_assert(audit_ready(audit));
	send_entries(audit, AUDIT_READY_MAX, AUDIT_KEPT_MAX);
	ck_assert(!audit_ready(audit));
	send_entries(audit, 1, 7);
	fd = introduce_secretd(loop, audit);
	generation = expect_entries(loop, fd, 1, 100);
	acknowledge(fd, generation, 100);
	expect_entries(loop, fd, 101, AUDIT_KEPT_MAX);
	run_for(loop, 10);
	ck_assert_int_eq(msg_recv(fd, CH_AUDIT, SIDE_B, IN_OPEN, &msg, 1000), 1);
	ck_assert_str_eq(msg.audit.action, "audit.dropped");
	ck_assert_ptr_nonnull(strstr(msg.audit.detail, "7 entries"));
	dup2(kept, STDERR_FILENO);
	close(fd);
	audit_free(audit);
	loop_free(loop);
}
END_TEST

int
main(void)
{
	const TTest *tests[] = {audit_waits, audit_overflows};

	return suite_run("audit_channel", tests, ARRAY_LEN(tests));
}
