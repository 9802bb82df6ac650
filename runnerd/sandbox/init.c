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
	pid_t program;       /* 0: none, at the gate */
	int status;          /* its end, once ended */
	bool ended;          /* what else it started is still being ended */
	uint64_t kill_at_ns; /* CLOCK_BOOTTIME; 0: nobody asked for the end */
	bool killed;
	bool leaving; /* asked to exit when nothing runs */
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

static void
tell_ended(int status)
{
	struct msg msg;

	msg_init(&msg, MSG_INIT_ENDED);
	msg.init_ended.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	msg.init_ended.signal = WIFSIGNALED(status) ? WTERMSIG(status) : -1;
	tell(&msg, IN_OPEN);
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
	if (init->spec.head.stays) {
		/* It will start programs again and again: under the widest filter that a program
		 * has, which does not keep the next one from loading its own. */
		rc = confine_load(INIT_FD_OWN_PROGRAM);
		if (rc < 0)
			fail_setup("loading init's filter", -rc);
		close(INIT_FD_OWN_PROGRAM);
	}
	msg_init(&msg, MSG_INIT_READY);
	tell(&msg, IN_SETUP);
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
tell_started(pid_t program, struct msg *msg)
{
	msg->init_started.errnum = program < 0 ? -program : 0;
	tell(msg, IN_OPEN);
}

static void
start(struct init *init, struct msg *go)
{
	const int io[2] = {msg_take_fd(go, 0), msg_take_fd(go, 1)};
	bool stays = init->spec.head.stays;
	struct msg msg;
	pid_t program;

	msg_init(&msg, MSG_INIT_STARTED);
	program = init_start(&init->spec, io, msg.init_started.why, sizeof(msg.init_started.why));
	for (int i = 0; i < 2; i++)
		if (io[i] >= 0)
			close(io[i]);
	if (program > 0 && !stays)
		keep_little();
	tell_started(program, &msg);
	if (program < 0 && !stays)
		leave();
	init->program = program > 0 ? program : 0;
	init->ended = init->killed = false;
	init->kill_at_ns = 0;
}

/* --- while the program runs ------------------------------------------------------------------- */

/* Nothing of it is left: the next start finds the sandbox as the first one did. */
static void
return_to_gate(struct init *init)
{
	if (!init->ended)
		return;
	tell_ended(init->status);
	if (init->leaving)
		leave();
	init->program = 0;
	init->ended = false;
	init->kill_at_ns = 0;
}

/* The kernel ends what is left when process 1 leaves; one that stays does it itself. */
static void
program_ended(struct init *init, int status)
{
	if (!init->spec.head.stays) {
		tell_ended(status);
		leave();
	}
	init->ended = true;
	init->status = status;
	kill(-1, SIGKILL);
}

static void
reap(struct init *init)
{
	int status;
	pid_t pid;

	for (int i = 0; i < REAP_ROUND; i++) {
		pid = waitpid(-1, &status, WNOHANG | __WALL);
		if (pid > 0 && pid == init->program)
			program_ended(init, status);
		if (pid < 0)
			return_to_gate(init);
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
stop(struct init *init, const struct msg_init_stop *wish)
{
	init->leaving |= !wish->stay || !init->spec.head.stays;
	if (!init->program && init->leaving)
		leave();
	if (!init->program || init->kill_at_ns)
		return;
	init->kill_at_ns = boottime_ns() + wish->grace_ms * UINT64_C(1000000);
	kill(-1, SIGTERM);
	kill(-1, SIGCONT);
}

static void
obey(struct init *init)
{
	static struct msg msg;

	if (msg_recv(INIT_FD_KEEPER, CH_INIT, SIDE_B, IN_OPEN, &msg, -1) != 1)
		leave();
	if (msg.type == MSG_INIT_GO && !init->program)
		start(init, &msg);
	else if (msg.type == MSG_INIT_STOP)
		stop(init, &msg.init_stop);
	msg_close_fds(&msg);
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
	for (;;)
		attend(&init);
}
