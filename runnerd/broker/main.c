/* The story of a broker's privileges: root until it has its plan, then nobody who may do nothing.
 */
#include <errno.h>
#include <sys/stat.h>

#include "common/boot.h"
#include "common/cleanup.h"
#include "state.h"

enum {
	OPEN_FILES = 512, /* two a plugin, one a connection, a memfd for each call that waits */
};

static const struct boot boot = {"broker", BROKER_FD_BOOT, CH_BROKER, ROLE_BROKER};

/* What BROKER_BOOT brought besides sockets. */
struct boot_fds {
	int plan, mission, root, program;
};

static int
receive(struct broker *broker, struct boot_fds *fds, struct error *error)
{
	static struct msg msg;
	const struct boot_fd wanted[] = {
	    {"the plan", &fds->plan, S_IFREG, false},
	    {"the mission", &fds->mission, S_IFREG, false},
	    {"the agent's socket", &broker->listener, S_IFSOCK, false},
	    {"the broker's socket", &broker->own_listener, S_IFSOCK, false},
	    {"the private root", &fds->root, S_IFDIR, false},
	    {"the seccomp program", &fds->program, S_IFREG, false},
	};

	if (boot_greet(&boot, error) < 0 || boot_receive(&boot, MSG_BROKER_BOOT, &msg, error) < 0)
		return -1;
	broker->boot = msg.broker_boot;
	return boot_take_fds(&msg, wanted, ARRAY_LEN(wanted), error);
}

static int
drop(const struct broker *broker, const struct boot_fds *fds, struct error *error)
{
	if (boot_drop(broker->boot.uid, fds->root, fds->program, OPEN_FILES, error) < 0 ||
	    boot_listen(broker->own_listener, 4, "the broker's", error) < 0)
		return -1;
	return boot_listen(broker->listener, AGENTS_MAX, "the agent's", error);
}

/* Nothing of plugins is read before the drop; the plan is runnerd's own. */
static int
serve(struct broker *broker, struct error *error)
{
	struct boot_fds fds = {-1, -1, -1, -1};
	int rc;

	if (receive(broker, &fds, error) < 0 || drop(broker, &fds, error) < 0)
		return -1;
	rc = plan_read(broker, fds.plan, fds.mission, error);
	close(fds.plan);
	close(fds.mission);
	if (rc < 0 || link_open(broker, BROKER_FD_BOOT, error) < 0 ||
	    broker_begin(broker, error) < 0)
		return -1;
	if (life_open(broker) < 0)
		return error_errno(error, errno, "watching the keeper's socket");
	return loop_run(broker->loop);
}

int
main(void)
{
	struct error error = ERROR_INIT;
	struct broker *broker;
	int rc;

	boot_begin(&boot, BROKER_FD_LIFE);
	broker = broker_new();
	if (!broker)
		return 1;
	rc = serve(broker, &error);
	if (rc < 0)
		return boot_fail(&boot, &error);
	broker_free(broker);
	return rc;
}
