#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/loop.h"
#include "tests/unit/suite.h"

enum { MANY = 500, MS = 1000000 };

struct trial {
	struct loop *loop;
	struct loop_source *sources[MANY];
	uint64_t deadlines[MANY];
	int pipes[8][2];
	int calls, wanted;
	uint64_t last;
};

static void
called(struct trial *trial)
{
	if (++trial->calls == trial->wanted)
		loop_stop(trial->loop, 7);
}

static void
in_order(struct loop_source *timer, void *arg)
{
	struct trial *trial = arg;
	int i = 0;

	while (trial->sources[i] != timer)
		i++;
	ck_assert_uint_ge(trial->deadlines[i], trial->last);
	ck_assert_uint_ge(boottime_ns(), trial->deadlines[i]);
	trial->last = trial->deadlines[i];
	called(trial);
}

START_TEST(timers_in_order)
{
	struct trial trial = {.loop = loop_new()};
	uint64_t now = boottime_ns();
	unsigned seed = 1;

	for (int i = 0; i < MANY; i++) {
		trial.sources[i] = loop_add_timer(trial.loop, in_order, &trial);
		trial.deadlines[i] = now + MS + (uint64_t)(rand_r(&seed) % 20000) * 1000;
		loop_arm(trial.sources[i], now + 3600ULL * 1000 * MS);
	}
	/* Armed again, disarmed, removed in between. */
	for (int i = 0; i < MANY; i++)
		loop_arm(trial.sources[i], trial.deadlines[i]);
	for (int i = 0; i < MANY; i += 5)
		loop_arm(trial.sources[i], 0);
	for (int i = 1; i < MANY; i += 5) {
		loop_remove(trial.sources[i]);
		trial.sources[i] = NULL;
	}
	trial.wanted = MANY * 3 / 5;
	ck_assert_int_eq(loop_run(trial.loop), 7);
	ck_assert_int_eq(trial.calls, trial.wanted);
	loop_free(trial.loop);
}
END_TEST

static void
rearm(struct loop_source *timer, void *arg)
{
	called(arg);
	loop_arm(timer, 1);
}

static void
readable(struct loop_source *source, uint32_t events, void *arg)
{
	struct trial *trial = arg;

	(void)source;
	ck_assert_uint_ne(events & EPOLLIN, 0);
	trial->last++;
	if (trial->last == 10)
		loop_stop(trial->loop, 3);
}

START_TEST(timer_armed_for_the_past_starves_nobody)
{
	struct trial trial = {.loop = loop_new()};
	struct loop_source *timer = loop_add_timer(trial.loop, rearm, &trial);

	ck_assert_int_eq(pipe(trial.pipes[0]), 0);
	ck_assert_int_eq(write(trial.pipes[0][1], "x", 1), 1);
	loop_add_io(trial.loop, trial.pipes[0][0], EPOLLIN, readable, &trial);
	loop_arm(timer, 1);
	ck_assert_int_eq(loop_run(trial.loop), 3);
	ck_assert_int_ge(trial.calls, 5);
	loop_free(trial.loop);
	close(trial.pipes[0][0]);
	close(trial.pipes[0][1]);
}
END_TEST

static void
remove_all(struct loop_source *source, uint32_t events, void *arg)
{
	struct trial *trial = arg;

	(void)source;
	(void)events;
	for (size_t i = 0; i < ARRAY_LEN(trial->pipes); i++)
		loop_remove(trial->sources[i]);
	trial->calls++;
	loop_arm_in(trial->sources[MANY - 1], 20);
}

static void
stop(struct loop_source *timer, void *arg)
{
	(void)timer;
	loop_stop(((struct trial *)arg)->loop, 0);
}

START_TEST(removed_in_the_same_round)
{
	int before = open_fds();
	struct trial trial = {.loop = loop_new()};

	for (size_t i = 0; i < ARRAY_LEN(trial.pipes); i++) {
		ck_assert_int_eq(pipe(trial.pipes[i]), 0);
		ck_assert_int_eq(write(trial.pipes[i][1], "x", 1), 1);
		trial.sources[i] =
		    loop_add_io(trial.loop, trial.pipes[i][0], EPOLLIN, remove_all, &trial);
		ck_assert_ptr_nonnull(trial.sources[i]);
	}
	trial.sources[MANY - 1] = loop_add_timer(trial.loop, stop, &trial);
	ck_assert_int_eq(loop_run(trial.loop), 0);
	ck_assert_int_eq(trial.calls, 1);
	loop_free(trial.loop);
	for (size_t i = 0; i < ARRAY_LEN(trial.pipes); i++) {
		close(trial.pipes[i][0]);
		close(trial.pipes[i][1]);
	}
	ck_assert_int_eq(open_fds(), before);
}
END_TEST

static void
hang_up(struct loop_source *source, uint32_t events, void *arg)
{
	struct trial *trial = arg;

	ck_assert_uint_ne(events & EPOLLHUP, 0);
	ck_assert_int_eq(loop_set_events(source, 0), 0);
	called(trial);
	loop_arm_in(trial->sources[0], 20);
}

START_TEST(unwatched_means_no_hang_up_either)
{
	struct trial trial = {.loop = loop_new(), .wanted = 100};

	ck_assert_int_eq(pipe(trial.pipes[0]), 0);
	close(trial.pipes[0][1]);
	trial.sources[0] = loop_add_timer(trial.loop, stop, &trial);
	struct loop_source *io =
	    loop_add_io(trial.loop, trial.pipes[0][0], EPOLLIN, hang_up, &trial);
	ck_assert_int_eq(loop_run(trial.loop), 0);
	ck_assert_int_eq(trial.calls, 1);
	ck_assert_int_eq(loop_set_events(io, EPOLLIN), 0);
	ck_assert_int_eq(loop_run(trial.loop), 0);
	ck_assert_int_eq(trial.calls, 2);
	loop_free(trial.loop);
	close(trial.pipes[0][0]);
}
END_TEST

static void
signalled(const struct signalfd_siginfo *signal, void *arg)
{
	ck_assert_uint_eq(signal->ssi_signo, SIGUSR1);
	called(arg);
}

START_TEST(signals)
{
	struct trial trial = {.loop = loop_new(), .wanted = 1};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	ck_assert_int_eq(loop_add_signals(trial.loop, &set, signalled, &trial), 0);
	ck_assert_int_eq(loop_add_signals(trial.loop, &set, signalled, &trial), -EBUSY);
	kill(getpid(), SIGUSR1);
	ck_assert_int_eq(loop_run(trial.loop), 7);
	loop_free(trial.loop);
}
END_TEST

static void
child_ended(struct loop_source *source, uint32_t events, void *arg)
{
	(void)events;
	loop_remove(source);
	called(arg);
}

START_TEST(child_ends)
{
	struct trial trial = {.loop = loop_new(), .wanted = 1};
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	ck_assert_int_ge(pidfd, 0);
	ck_assert_ptr_nonnull(loop_add_io(trial.loop, pidfd, EPOLLIN, child_ended, &trial));
	ck_assert_int_eq(loop_run(trial.loop), 7);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	loop_free(trial.loop);
	close(pidfd);
}
END_TEST

START_TEST(refused)
{
	struct loop *loop = loop_new();

	ck_assert_ptr_null(loop_add_io(loop, -1, EPOLLIN, readable, NULL));
	ck_assert_int_eq(errno, EBADF);
	_cleanup_close_ int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	ck_assert_ptr_null(loop_add_io(loop, file, EPOLLIN, readable, NULL));
	ck_assert_int_eq(errno, EPERM);
	loop_remove(NULL);
	loop_stop(loop, 5);
	ck_assert_int_eq(loop_run(loop), 5);
	loop_free(loop);
	loop_free(NULL);
}
END_TEST

START_TEST(far_deadline)
{
	struct trial trial = {.loop = loop_new()};
	struct loop_source *far = loop_add_timer(trial.loop, rearm, &trial);
	struct loop_source *near = loop_add_timer(trial.loop, stop, &trial);

	loop_arm_in(far, UINT64_MAX);
	loop_arm_in(near, 5);
	ck_assert_int_eq(loop_run(trial.loop), 0);
	ck_assert_int_eq(trial.calls, 0);
	loop_free(trial.loop);
}
END_TEST

int
main(void)
{
	const TTest *tests[] = {timers_in_order,
				timer_armed_for_the_past_starves_nobody,
				removed_in_the_same_round,
				unwatched_means_no_hang_up_either,
				signals,
				child_ends,
				refused,
				far_deadline};

	return suite_run("loop", tests, ARRAY_LEN(tests));
}
