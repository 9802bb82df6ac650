/*
 * homekeeper: one job on one agent's home, in a process of its own, because merging what a session
 * changed can take long and acts as root on names that an agent chose. The story of its privileges:
 * root of runnerd's capabilities, it receives the job, makes the home's directory its root, keeps
 * what owning files takes and no other capability, and may from then on call nothing but what acts
 * on names beneath open directories. It dies with runnerd, which is a crash like any other: a layer
 * that is in memory is held by the session's keeper until the home is settled.
 */
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "commit.h"
#include "common/cleanup.h"
#include "common/confine.h"
#include "common/crash.h"
#include "common/log.h"
#include "order.h"
#include "runnerd/child.h"
#include "runnerd/layers.h"
#include "runnerd/trash.h"

#define CAP(name) (UINT64_C(1) << CAP_##name)

enum { FD_HOME, FD_LOCK, FD_PROGRAM, FD_LAYERS, GREET_WAIT_MS = 5000 };

/* SYS_ADMIN: the marks of an overlay are trusted attributes. */
static const uint64_t kept_capabilities = CAP(CHOWN) | CAP(DAC_OVERRIDE) | CAP(DAC_READ_SEARCH) |
					  CAP(FOWNER) | CAP(FSETID) | CAP(SYS_ADMIN);

typedef int order_fn(const struct home_job *job, struct msg_home_done *done, struct error *error);

static order_fn *const orders[HOME_ORDER_COUNT] = {
    [HOME_ORDER_COMMIT] = home_commit,
    [HOME_ORDER_DISCARD] = home_discard,
    [HOME_ORDER_SETTLE] = home_settle,
    [HOME_ORDER_ROLLBACK] = home_rollback,
};

static int
receive(struct msg *msg, struct error *error)
{
	int rc = msg_greet(CHILD_FD_CHANNEL, CH_HOME, SIDE_B, ROLE_HOMEKEEPER, ROLE_RUNNERD,
			   GREET_WAIT_MS);

	if (rc < 0)
		return error_errno(error, -rc, "greeting runnerd");
	rc = msg_recv(CHILD_FD_CHANNEL, CH_HOME, SIDE_B, IN_OPEN, msg, GREET_WAIT_MS);
	if (rc <= 0)
		return error_errno(error, rc < 0 ? -rc : ECONNRESET, "waiting for the job");
	if (msg->type != MSG_HOME_JOB || msg->home_job.order >= HOME_ORDER_COUNT)
		return error_why(error, ERR_FAILED, "runnerd asks for what this build has not");
	return 0;
}

static int
drop(struct msg *msg, struct error *error)
{
	_cleanup_close_ int program = msg_take_fd(msg, FD_PROGRAM);
	struct confinement to = CONFINEMENT_INIT;

	umask(0);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return error_errno(error, errno, "prctl PR_SET_PDEATHSIG");
	to.root_fd = msg_take_fd(msg, FD_HOME);
	to.keep_caps = kept_capabilities;
	to.program_fd = program;
	to.no_processes = true;
	return confine_prebuilt(&to, error);
}

static int
carry_out(const struct msg_home_job *order, int home, int layers, struct msg *answer,
	  struct error *error)
{
	const struct home_job job = {.dir = home,
				     .session = order->session,
				     .layers = layers,
				     .max_bytes = order->max_bytes,
				     .keep = order->keep};

	msg_init(answer, MSG_HOME_DONE);
	return orders[order->order](&job, &answer->home_done, error);
}

/* What is in the trash is nobody's: the next session need not wait until it is deleted. */
static int
serve(struct error *error)
{
	_cleanup_close_ int home = -1, lock = -1, envelope = -1, layers = -1;
	struct msg msg, answer;
	int rc;

	if (receive(&msg, error) < 0)
		return -1;
	CRASH_POINT("homekeeper.begin");
	lock = msg_take_fd(&msg, FD_LOCK);
	if (msg.nfds > FD_LAYERS)
		envelope = msg_take_fd(&msg, FD_LAYERS);
	if (drop(&msg, error) < 0)
		return -1;
	layers = envelope < 0 ? -1 : layers_unseal(envelope);
	if (envelope >= 0 && layers < 0)
		return error_errno(error, -layers, "opening the session's layers");
	home = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (home < 0)
		return error_errno(error, errno, "opening the home");
	if (carry_out(&msg.home_job, home, layers, &answer, error) < 0)
		msg_from_error(&answer, 0, error);
	CRASH_POINT("homekeeper.done");
	close_fd(&lock);
	rc = msg_send(CHILD_FD_CHANNEL, CH_HOME, SIDE_B, IN_OPEN, &answer);
	CRASH_POINT("homekeeper.answered");
	trash_sweep(home);
	CRASH_POINT("homekeeper.end");
	return rc < 0 ? error_errno(error, -rc, "answering runnerd") : 0;
}

int
main(void)
{
	struct error error = ERROR_INIT;
	struct msg answer;

	log_open("homekeeper", LOG_LEVEL_INFO, log_target_auto());
	if (serve(&error) == 0)
		return 0;
	msg_from_error(&answer, 0, &error);
	msg_send(CHILD_FD_CHANNEL, CH_HOME, SIDE_B, IN_OPEN, &answer);
	return 1;
}
