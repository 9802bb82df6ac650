/* Listeners: what they take at once, of one user, and again when connections have ended. */
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/listener.h"
#include "common/log.h"
#include "tests/unit/suite.h"

enum { AT_ONCE = 3, SEEN_MAX = 8 };

struct stage {
	struct loop *loop;
	struct listener *listener;
	struct sockaddr_un address;
	socklen_t length;
	int taken[SEEN_MAX];
	unsigned count;
	bool refuse;
};

static bool
take(int fd, const struct ucred *peer, void *arg)
{
	struct stage *stage = arg;

	ck_assert_uint_eq(peer->uid, getuid());
	ck_assert_int_eq(peer->pid, getpid());
	if (stage->refuse) {
		close(fd);
		return false;
	}
	ck_assert_uint_lt(stage->count, SEEN_MAX);
	stage->taken[stage->count++] = fd;
	return true;
}

static void
begin(struct stage *stage, unsigned per_uid)
{
	const struct listener_bounds bounds = {.connections = AT_ONCE, .per_uid = per_uid};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	*stage = (struct stage){.loop = loop_new(), .address = {.sun_family = AF_UNIX}};
	log_set_level(LOG_LEVEL_ERROR);
	/* Autobind: an abstract name that nobody has, unix(7). */
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&stage->address, sizeof(sa_family_t)), 0);
	stage->length = sizeof(stage->address);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&stage->address, &stage->length), 0);
	ck_assert_int_eq(listen(fd, SEEN_MAX), 0);
	stage->listener = listener_new(stage->loop, fd, &bounds, take, stage);
	ck_assert_ptr_nonnull(stage->listener);
}

static int
connected(const struct stage *stage)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(connect(fd, (const struct sockaddr *)&stage->address, stage->length), 0);
	return fd;
}

static void
stop(struct loop_source *timer, void *arg)
{
	(void)timer;
	loop_stop(arg, 0);
}

/* One round after all that is ready now. */
static void
settle(struct stage *stage)
{
	struct loop_source *timer = loop_add_timer(stage->loop, stop, stage->loop);

	loop_arm_in(timer, 1);
	ck_assert_int_eq(loop_run(stage->loop), 0);
	loop_remove(timer);
}

static bool
is_open(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_DONTWAIT) < 0;
}

static void
end(struct stage *stage)
{
	for (unsigned i = 0; i < stage->count; i++)
		close(stage->taken[i]);
	listener_free(stage->listener);
	loop_free(stage->loop);
}

START_TEST(a_full_one_takes_the_next_when_one_has_ended)
{
	struct stage stage;
	int ends[AT_ONCE + 1];

	begin(&stage, AT_ONCE);
	for (unsigned i = 0; i <= AT_ONCE; i++)
		ends[i] = connected(&stage);
	settle(&stage);
	ck_assert_uint_eq(stage.count, AT_ONCE);
	listener_left(stage.listener, getuid() + 1);
	settle(&stage);
	ck_assert_uint_eq(stage.count, AT_ONCE);
	listener_left(stage.listener, getuid());
	settle(&stage);
	ck_assert_uint_eq(stage.count, AT_ONCE + 1);
	for (unsigned i = 0; i <= AT_ONCE; i++)
		close(ends[i]);
	end(&stage);
}
END_TEST

START_TEST(one_user_has_a_bound_of_its_own)
{
	struct stage stage;
	int ends[3];

	begin(&stage, 1);
	for (unsigned i = 0; i < 2; i++)
		ends[i] = connected(&stage);
	settle(&stage);
	ck_assert_uint_eq(stage.count, 1);
	ck_assert(is_open(ends[0]));
	ck_assert(!is_open(ends[1]));
	listener_left(stage.listener, getuid());
	ends[2] = connected(&stage);
	settle(&stage);
	ck_assert_uint_eq(stage.count, 2);
	for (unsigned i = 0; i < 3; i++)
		close(ends[i]);
	end(&stage);
}
END_TEST

START_TEST(who_is_refused_does_not_count)
{
	struct stage stage;
	int end_of;

	begin(&stage, AT_ONCE);
	stage.refuse = true;
	for (unsigned i = 0; i < 2 * AT_ONCE; i++) {
		end_of = connected(&stage);
		settle(&stage);
		ck_assert(!is_open(end_of));
		close(end_of);
	}
	stage.refuse = false;
	end_of = connected(&stage);
	settle(&stage);
	ck_assert_uint_eq(stage.count, 1);
	close(end_of);
	end(&stage);
}
END_TEST

int
main(void)
{
	const TTest *tests[] = {a_full_one_takes_the_next_when_one_has_ended,
				one_user_has_a_bound_of_its_own, who_is_refused_does_not_count};

	return suite_run("listener", tests, ARRAY_LEN(tests));
}
