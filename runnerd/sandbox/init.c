#include "init.h"

#include <errno.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/confine.h"
#include "common/loop.h"

enum {
	REAP_ROUND = 256,          /* zombies before the keeper is listened to again */
	KILL_WAIT_NS = 1000000000, /* for the end of an agent that was killed */
};

struct init {
	struct exec_spec spec;
	int signals;
	pid_t agent;
	uint64_t kill_at_ns; /* CLOCK_BOOTTIME; 0: nobody asked for the end */
	bool killed;
};

/* EOF or a broken rule: the keeper is gone. Nothing inside may outlive process 1. */
static _Noreturn void
leave(void)
{
	_exit(0);
}

static void
tell(struct msg *msg, enum phase phase)
{
	if (msg_send(INIT_FD_KEEPER, CH_INIT, SIDE_B, phase, msg) < 0)
		leave();
}

static _Noreturn void
tell_ended(int status)
{
	struct msg msg;

	msg_init(&msg, MSG_INIT_ENDED);
	msg.init_ended.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	msg.init_ended.signal = WIFSIGNALED(status) ? WTERMSIG(status) : -1;
	tell(&msg, IN_OPEN);
	leave();
}

/* --- before the gate -------------------------------------------------------------------------- */

static int
block_signals(void)
{
	sigset_t child;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &child, NULL) < 0)
		return -1;
	return signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
}

static _Noreturn void
fail_setup(const char *doing, int errnum)
{
	struct error error = ERROR_INIT;
	struct msg msg;

	error_errno(&error, errnum, "%s", doing);
	error_what(&error, "starting init");
	msg_from_error(&msg, 0, &error);
	tell(&msg, IN_SETUP);
	leave();
}

static void
prepare(struct init *init)
{
	struct msg msg;
	int rc;

	prctl(PR_SET_NAME, "init", 0, 0, 0);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	init->signals = block_signals();
	if (init->signals < 0)
		fail_setup("signalfd", errno);
	rc = init_read_spec(INIT_FD_SPEC, &init->spec);
	if (rc < 0)
		fail_setup("reading what to run", -rc);
	close(INIT_FD_SPEC);
	msg_init(&msg, MSG_INIT_READY);
	tell(&msg, IN_SETUP);
}

static void
stand_at_gate(void)
{
	struct msg msg;

	if (msg_recv(INIT_FD_KEEPER, CH_INIT, SIDE_B, IN_OPEN, &msg, -1) != 1 ||
	    msg.type != MSG_INIT_GO)
		leave();
}

/* The agent's ends of its pipes are the agent's alone from here on. init's own filter comes after
 * the fork: what is loaded before, the agent would inherit, and init's is far narrower. */
static void
keep_little(void)
{
	if (close_range(0, 2, 0) < 0 || confine_caps(UINT64_C(1) << CAP_KILL) < 0 ||
	    confine_load(INIT_FD_OWN_PROGRAM) < 0)
		leave();
	close(INIT_FD_AGENT_PROGRAM);
	close(INIT_FD_OWN_PROGRAM);
}

static void
start(struct init *init)
{
	struct msg msg;

	msg_init(&msg, MSG_INIT_STARTED);
	init->agent = init_start(&init->spec, msg.init_started.why, sizeof(msg.init_started.why));
	msg.init_started.errnum = init->agent < 0 ? -init->agent : 0;
	if (init->agent > 0)
		keep_little();
	tell(&msg, IN_OPEN);
	if (init->agent < 0)
		leave();
}

/* --- while the agent runs --------------------------------------------------------------------- */

static void
reap(const struct init *init)
{
	int status;
	pid_t pid;

	for (int i = 0; i < REAP_ROUND; i++) {
		pid = waitpid(-1, &status, WNOHANG | __WALL);
		if (pid == init->agent)
			tell_ended(status);
		if (pid <= 0)
			return;
	}
	kill(getpid(), SIGCHLD); /* there may be more */
}

/* The grace is over. The kernel would end everything with process 1; the agent is killed first and
 * waited for, a second at most, so that its end is told. */
static void
run_out(struct init *init)
{
	if (init->killed)
		leave();
	init->killed = true;
	init->kill_at_ns += KILL_WAIT_NS;
	kill(-1, SIGKILL);
}

/* The first STOP counts. CONT lets a stopped process see its TERM. */
static void
obey(struct init *init)
{
	struct msg msg;

	if (msg_recv(INIT_FD_KEEPER, CH_INIT, SIDE_B, IN_OPEN, &msg, -1) != 1)
		leave();
	if (msg.type != MSG_INIT_STOP || init->kill_at_ns)
		return;
	init->kill_at_ns = boottime_ns() + msg.init_stop.grace_ms * UINT64_C(1000000);
	kill(-1, SIGTERM);
	kill(-1, SIGCONT);
}

/* NULL: for ever. */
static const struct timespec *
time_left(const struct init *init, struct timespec *left)
{
	uint64_t now, ns;

	if (!init->kill_at_ns)
		return NULL;
	now = boottime_ns();
	ns = now < init->kill_at_ns ? init->kill_at_ns - now : 0;
	left->tv_sec = (time_t)(ns / 1000000000);
	left->tv_nsec = (long)(ns % 1000000000);
	return left;
}

static void
attend(struct init *init)
{
	struct signalfd_siginfo seen;
	struct pollfd fds[] = {
	    {.fd = INIT_FD_KEEPER, .events = POLLIN},
	    {.fd = init->signals, .events = POLLIN},
	};
	struct timespec left;
	int ready = ppoll(fds, ARRAY_LEN(fds), time_left(init, &left), NULL);

	if (fds[0].revents && ready > 0)
		obey(init);
	if (fds[1].revents && ready > 0 && read(init->signals, &seen, sizeof(seen)) > 0)
		reap(init);
	if (init->kill_at_ns && boottime_ns() >= init->kill_at_ns)
		run_out(init);
}

int
main(void)
{
	static struct init init;

	prepare(&init);
	stand_at_gate();
	start(&init);
	for (;;)
		attend(&init);
}
