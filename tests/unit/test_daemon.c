#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/daemon.h"
#include "common/log.h"
#include "tests/unit/suite.h"

/* The daemon is a child; the test speaks as agentd. */
struct own {
	struct loop *loop;
	unsigned introductions;
};

enum { ENDED_BY_STOP = 40, NO_START = 50 };

static void
introduced(enum channel_kind kind, enum role peer, int fd, void *arg)
{
	struct own *own = arg;

	if (kind == CH_AUDIT && peer == ROLE_SECRETD && fcntl(fd, F_GETFD) == FD_CLOEXEC)
		own->introductions++;
	close(fd);
}

static int
reload(struct config *config, struct error *error, void *arg)
{
	uint64_t sessions = config->limits.sessions;

	(void)arg;
	config_free(config);
	return sessions == 7 ? 0 : error_why(error, ERR_INVALID, "sessions is not 7");
}

static void
stopped(void *arg)
{
	struct own *own = arg;

	loop_stop(own->loop, ENDED_BY_STOP + (int)own->introductions);
}

static const struct daemon_ops ops = {.introduced = introduced, .reload = reload, .stop = stopped};

static int
daemon_main(enum role role)
{
	struct own own = {.loop = loop_new()};
	struct error error = ERROR_INIT;
	struct config *config;
	int extra[DAEMON_EXTRAS];

	if (daemon_start(role, &config, extra, &error) < 0)
		return NO_START;
	if (extra[0] < 0 || config->limits.sessions != 5)
		return 1;
	config_free(config);
	struct channel *agentd = daemon_ready(own.loop, role, &ops, &own);
	if (!agentd)
		return 2;
	int status = loop_run(own.loop);
	channel_free(agentd);
	loop_free(own.loop);
	return status;
}

/* Forks the daemon with its descriptors in place; returns agentd's end. */
static int
start(enum role role, pid_t *pid)
{
	int ends[2];

	ck_assert_int_eq(channel_pair(ends), 0);
	*pid = fork();
	if (*pid == 0) {
		int null = open("/dev/null", O_WRONLY);
		dup2(null, STDERR_FILENO);
		if (ends[1] == DAEMON_FD_AGENTD)
			fcntl(ends[1], F_SETFD, 0);
		else
			dup2(ends[1], DAEMON_FD_AGENTD);
		for (int fd = DAEMON_FD_AGENTD + 1; fd < 64; fd++)
			close(fd);
		_exit(daemon_main(role));
	}
	close(ends[1]);
	return ends[0];
}

static int
config_memfd(uint64_t sessions)
{
	struct config *config = config_read(NULL, 0, "test", NULL);
	_cleanup_free_ uint8_t *bytes = NULL;
	size_t length;

	ck_assert_ptr_nonnull(config);
	config->limits.sessions = sessions;
	ck_assert_int_eq(config_encode(config, &bytes, &length), 0);
	config_free(config);
	int fd = memfd_sealed("config", bytes, length);
	ck_assert_int_ge(fd, 0);
	return fd;
}

static void
say(int fd, enum channel_kind kind, enum phase phase, struct msg *msg)
{
	ck_assert_int_eq(msg_send(fd, kind, SIDE_A, phase, msg), 0);
	msg_close_fds(msg);
}

static void
bring_up(int fd, enum channel_kind kind, enum role role)
{
	struct msg msg;

	ck_assert_int_eq(msg_greet(fd, kind, SIDE_A, ROLE_AGENTD, role, 5000), 0);
	msg_init(&msg, MSG_START);
	msg_add_fd(&msg, config_memfd(5));
	msg_add_fd(&msg, dup(0));
	say(fd, kind, IN_SETUP, &msg);
	ck_assert_int_eq(msg_recv(fd, kind, SIDE_A, IN_SETUP, &msg, 5000), 1);
	ck_assert_int_eq(msg.type, MSG_READY);
}

static int
status_of(pid_t pid)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
introduce(int fd, uint8_t kind, uint8_t role)
{
	struct msg msg;
	int ends[2];

	ck_assert_int_eq(channel_pair(ends), 0);
	msg_init(&msg, MSG_INTRODUCE);
	msg.introduce.kind = kind;
	msg.introduce.role = role;
	msg_add_fd(&msg, ends[0]);
	say(fd, CH_SUPERVISE, IN_OPEN, &msg);
	close(ends[1]);
}

START_TEST(whole_life)
{
	pid_t pid;
	_cleanup_close_ int fd = start(ROLE_SCHEDD, &pid);
	struct msg msg;

	bring_up(fd, CH_SUPERVISE, ROLE_SCHEDD);
	introduce(fd, CH_AUDIT, ROLE_SECRETD);
	introduce(fd, CH_AUDIT, ROLE_SECRETD);
	introduce(fd, CH_AUDIT, ROLE_ASH);
	introduce(fd, 200, 200);
	for (uint64_t sessions = 7; sessions < 9; sessions++) {
		msg_init(&msg, MSG_RELOAD);
		msg.id = (uint32_t)sessions;
		msg_add_fd(&msg, config_memfd(sessions));
		say(fd, CH_SUPERVISE, IN_OPEN, &msg);
		ck_assert_int_eq(msg_recv(fd, CH_SUPERVISE, SIDE_A, IN_OPEN, &msg, 5000), 1);
		ck_assert_int_eq(msg.type, MSG_RELOADED);
		ck_assert_uint_eq(msg.id, sessions);
		ck_assert(msg.reloaded.accepted == (sessions == 7));
		ck_assert_str_eq(msg.reloaded.why, sessions == 7 ? "" : "sessions is not 7");
	}
	/* Not a configuration at all. */
	msg_init(&msg, MSG_RELOAD);
	msg_add_fd(&msg, dup(0));
	say(fd, CH_SUPERVISE, IN_OPEN, &msg);
	ck_assert_int_eq(msg_recv(fd, CH_SUPERVISE, SIDE_A, IN_OPEN, &msg, 5000), 1);
	ck_assert(!msg.reloaded.accepted);
	msg_init(&msg, MSG_STOP);
	say(fd, CH_SUPERVISE, IN_OPEN, &msg);
	ck_assert_int_eq(status_of(pid), ENDED_BY_STOP + 2);
}
END_TEST

START_TEST(agentd_goes_away)
{
	pid_t pid;
	int fd = start(ROLE_CONTROL, &pid);

	bring_up(fd, CH_SUPERVISE_CONTROL, ROLE_CONTROL);
	close(fd);
	ck_assert_int_eq(status_of(pid), ENDED_BY_STOP);
}
END_TEST

START_TEST(no_start)
{
	for (int i = 0; i < 4; i++) {
		pid_t pid;
		int fd = start(ROLE_SCHEDD, &pid);
		struct msg msg;
		msg_hello(&msg, ROLE_AGENTD);
		if (i == 1)
			msg.hello.build[0] ^= 1;
		if (i > 0)
			say(fd, CH_SUPERVISE, IN_HELLO, &msg);
		msg_init(&msg, i == 2 ? MSG_STOP : MSG_START);
		if (i == 3)
			msg_add_fd(&msg, dup(0));
		if (i >= 2)
			say(fd, CH_SUPERVISE, IN_SETUP, &msg);
		if (i == 0 || i == 1)
			close(fd);
		ck_assert_int_eq(status_of(pid), NO_START);
		if (i >= 2)
			close(fd);
	}
}
END_TEST

int
main(void)
{
	const TTest *tests[] = {whole_life, agentd_goes_away, no_start};

	signal(SIGPIPE, SIG_IGN);
	return suite_run("daemon", tests, ARRAY_LEN(tests));
}
