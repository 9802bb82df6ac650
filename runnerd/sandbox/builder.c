#include "builder.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "builder_seed.h"
#include "common/cleanup.h"
#include "common/confine.h"
#include "common/crash.h"
#include "common/proto.h"

enum {
	OWN_FIRST = 64,        /* where the builder's descriptors stand, one after the other */
	SETUP_WAIT_MS = 60000, /* for any one message of a peer while a sandbox is built */
};

/* The keeper had more open: the home's lock among them, which only it may hold. With many plugins
 * it has some where these are to stand: they are moved out of the way first. */
static int
keep_own(struct builder *own)
{
	int *const fds[] = {&own->channel, &own->nursery,  &own->init,     &own->net,
			    &own->program, &own->stdio[0], &own->stdio[1], &own->stdio[2]};
	const int end = OWN_FIRST + (int)ARRAY_LEN(fds);
	int next = OWN_FIRST;

	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		if (*fds[i] >= 0 && (*fds[i] = fcntl(*fds[i], F_DUPFD_CLOEXEC, end)) < 0)
			return -1;
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		if (*fds[i] < 0)
			continue;
		if (dup3(*fds[i], next, O_CLOEXEC) < 0)
			return -1;
		*fds[i] = next++;
	}
	if (close_range(3, OWN_FIRST - 1, 0) < 0 || close_range((unsigned)next, ~0U, 0) < 0)
		return -1;
	return 0;
}

/* To runnerd, which asked, and to the keeper, which records it. */
static _Noreturn void
give_up(const struct builder *own, const struct error *error)
{
	struct msg msg;

	msg_from_error(&msg, 0, error);
	msg_send(own->nursery, CH_NURSERY, SIDE_A, IN_OPEN, &msg);
	msg_send(own->channel, CH_BUILDER, SIDE_B, IN_OPEN, &msg);
	_exit(1);
}

/* --- one sandbox ------------------------------------------------------------------------------ */

struct nursling {
	pid_t pid;
	int pidfd;
	int gate; /* CH_INIT, side A: the builder's until the keeper has it */
};

static int
receive_begin(const struct builder *own, struct msg *msg, struct error *error)
{
	int rc = msg_recv(own->channel, CH_BUILDER, SIDE_B, IN_OPEN, msg, SETUP_WAIT_MS);

	if (rc == 0)
		_exit(0); /* runnerd has given the session up */
	if (rc < 0)
		return error_errno(error, -rc, "receiving SANDBOX_BEGIN");
	if (msg->type != MSG_SANDBOX_BEGIN)
		return error_why(error, ERR_INVALID, "the recipe does not begin with its begin");
	return 0;
}

/* Two ends: [0] the keeper's side. The child goes on in seed_main. */
static int
clone_seed(const struct builder *own, struct msg *begin, struct nursling *child,
	   struct error *error)
{
	int ends[2];
	struct seed seed = {.fds = own,
			    .root = -1,
			    .layers = -1,
			    .sealed = {-1, -1, -1},
			    .first = begin,
			    .begin = &begin->sandbox_begin};

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return error_errno(error, errno, "socketpair for init");
	child->pid = builder_clone(begin->fds[0], &child->pidfd);
	if (child->pid == 0) {
		seed.gate = ends[1];
		close(ends[0]);
		close(own->nursery);
		close(own->program);
		seed_main(&seed);
	}
	close(ends[1]);
	child->gate = ends[0];
	if (child->pid < 0)
		return error_errno(error, -child->pid,
				   "clone3 of the sandbox into its cgroup and namespaces");
	return 0;
}

/* What only the seed needs; then nothing beyond the program's calls. */
static int
confine_builder(const struct builder *own, struct error *error)
{
	int rc;

	for (size_t i = 0; i < ARRAY_LEN(own->stdio); i++)
		close(own->stdio[i]);
	close(own->init);
	if (own->net >= 0)
		close(own->net);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return error_errno(error, errno, "no_new_privs of the builder");
	rc = confine_load(own->program);
	if (rc < 0)
		return error_errno(error, -rc, "the builder's seccomp program");
	close(own->program);
	return 0;
}

static int
answer_mapped(const struct nursling *child, struct error *error)
{
	struct msg msg;
	int rc;

	msg_init(&msg, MSG_SEED_MAPPED);
	rc = msg_send(child->gate, CH_INIT, SIDE_A, IN_SETUP, &msg);
	return rc < 0 ? error_errno(error, -rc, "telling the sandbox of its id maps") : 0;
}

/* Waits until init stands at the gate. */
static int
accompany(const struct nursling *child, int proc, const struct msg_sandbox_begin *begin,
	  struct error *error)
{
	struct msg msg;
	int rc;

	while ((rc = msg_recv(child->gate, CH_INIT, SIDE_A, IN_SETUP, &msg, -1)) == 1) {
		if (msg.type == MSG_INIT_READY)
			return 0;
		if (msg.type == MSG_ERROR)
			return msg_to_error(&msg, error);
		CRASH_POINT("builder.maps");
		if (builder_write_maps(proc, child->pid, begin, error) < 0 ||
		    answer_mapped(child, error) < 0)
			return -1;
	}
	if (rc < 0)
		return error_errno(error, -rc, "receiving from the sandbox's first process");
	return error_why(error, ERR_FAILED, "the sandbox's first process ended while being built");
}

static int
hand_over(const struct builder *own, const struct nursling *child,
	  const struct msg_sandbox_begin *begin, struct error *error)
{
	struct msg msg;
	int rc;

	msg_init(&msg, MSG_NURSERY_INIT);
	snprintf(msg.nursery_init.name, sizeof(msg.nursery_init.name), "%s", begin->name);
	msg.nursery_init.place = begin->place;
	msg.nursery_init.pid = (uint32_t)child->pid;
	msg_add_fd(&msg, child->pidfd);
	msg_add_fd(&msg, child->gate);
	CRASH_POINT("builder.stands");
	rc = msg_send(own->nursery, CH_NURSERY, SIDE_A, IN_OPEN, &msg);
	CRASH_POINT("builder.handed");
	if (rc < 0)
		return error_errno(error, -rc, "handing init to the keeper");
	msg_init(&msg, MSG_SANDBOX_BUILT);
	msg.sandbox_built.pid = (uint32_t)child->pid;
	msg_add_fd(&msg, child->pidfd);
	rc = msg_send(own->channel, CH_BUILDER, SIDE_B, IN_OPEN, &msg);
	return rc < 0 && rc != -EPIPE ? error_errno(error, -rc, "telling runnerd") : 0;
}

static int
raise_child(const struct builder *own, const struct nursling *child, int proc,
	    const struct msg_sandbox_begin *begin, struct error *error)
{
	if (confine_builder(own, error) < 0 || accompany(child, proc, begin, error) < 0 ||
	    hand_over(own, child, begin, error) < 0) {
		syscall(SYS_pidfd_send_signal, child->pidfd, SIGKILL, NULL, 0);
		return -1;
	}
	return 0;
}

_Noreturn void
builder_main(const struct builder *fds)
{
	static struct msg begin;
	struct builder own = *fds;
	struct nursling child = {.pidfd = -1, .gate = -1};
	struct error error = ERROR_INIT;
	int proc, rc;

	prctl(PR_SET_NAME, "builder", 0, 0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (getppid() != fds->keeper || keep_own(&own) < 0)
		_exit(1);
	rc = msg_greet(own.channel, CH_BUILDER, SIDE_B, ROLE_BUILDER, ROLE_RUNNERD, SETUP_WAIT_MS);
	if (rc < 0)
		_exit(1);
	proc = builder_open_proc(&error);
	if (proc < 0 || receive_begin(&own, &begin, &error) < 0 ||
	    clone_seed(&own, &begin, &child, &error) < 0)
		give_up(&own, &error);
	CRASH_POINT("builder.cloned");
	msg_close_fds(&begin);
	if (raise_child(&own, &child, proc, &begin.sandbox_begin, &error) < 0)
		give_up(&own, &error);
	_exit(0);
}
