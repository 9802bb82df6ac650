#include "builder_seed.h"

#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/crash.h"
#include "namespaces.h"
#include "network.h"

struct operation {
	enum msg_type type;
	const char *doing;
	size_t path; /* where the message holds it; 0: it has none */
	int (*apply)(struct seed *seed, const struct msg *msg, struct error *error);
};

#define OPERATION(TYPE, name, text)                                                                \
	{                                                                                          \
		.type = MSG_SANDBOX_##TYPE, .doing = text,                                         \
		.path = offsetof(struct msg, sandbox_##name.path), .apply = seed_##name            \
	}

static const struct operation operations[] = {
    OPERATION(DIR, dir, "making the directory"),
    OPERATION(FILE, file, "writing the file"),
    OPERATION(LINK, link, "making the link"),
    OPERATION(TMPFS, tmpfs, "mounting a tmpfs at"),
    OPERATION(MOUNT, mount, "attaching a mount at"),
    OPERATION(PROC, proc, "mounting proc at"),
    OPERATION(DEVPTS, devpts, "mounting devpts at"),
    OPERATION(SHARE, share, "sharing the mount at"),
    OPERATION(HOME_LINK, home_link, "making the link"),
    OPERATION(OVERLAY, overlay, "mounting the overlay at"),
    {.type = MSG_SANDBOX_LOWER, .doing = "attaching a layer of the image", .apply = seed_lower},
    {.type = MSG_SANDBOX_LAYERS, .doing = "attaching the layers", .apply = seed_layers},
};

static _Noreturn void
give_up(const struct seed *seed, const struct error *error)
{
	struct msg msg;

	msg_from_error(&msg, 0, error);
	msg_send(seed->gate, CH_INIT, SIDE_B, IN_SETUP, &msg);
	_exit(1);
}

static int
apply(struct seed *seed, const struct msg *msg, struct error *error)
{
	const struct operation *operation = NULL;

	for (size_t i = 0; i < ARRAY_LEN(operations); i++)
		if (operations[i].type == msg->type)
			operation = &operations[i];
	if (!operation)
		return error_why(error, ERR_INVALID, "%s has no place in a recipe",
				 msg_rule(msg->type)->name);
	if (operation->apply(seed, msg, error) == 0)
		return 0;
	if (!operation->path)
		return error_what(error, "%s", operation->doing);
	return error_what(error, "%s %s", operation->doing, (const char *)msg + operation->path);
}

/* 1 when the recipe is complete. EOF: runnerd has given the session up. */
static int
follow_recipe(struct seed *seed, struct error *error)
{
	static struct msg msg;
	int rc;

	for (;;) {
		rc = msg_recv(seed->fds->channel, CH_BUILDER, SIDE_B, IN_OPEN, &msg, -1);
		if (rc == 0)
			_exit(0);
		if (rc < 0)
			return error_errno(error, -rc, "receiving the recipe");
		if (msg.type == MSG_SANDBOX_SEAL)
			break;
		CRASH_POINT_OF("seed", msg_rule(msg.type)->name);
		rc = apply(seed, &msg, error);
		msg_close_fds(&msg);
		if (rc < 0)
			return -1;
	}
	for (unsigned i = 0; i < SEAL_FDS; i++)
		seed->sealed[i] = msg_take_fd(&msg, i);
	return 0;
}

/* Before anything is made or any namespace shows a cgroup as the root: by itself, with one thread
 * ("0" to `tasks`), which takes no lock of all processes. */
static int
enter_cgroups(const struct seed *seed, struct error *error)
{
	struct msg *first = seed->first;

	for (unsigned i = 1; i < first->nfds; i++)
		if (write(first->fds[i], "0", 1) != 1)
			return error_errno(error, errno, "entering the session's cgroups of v1");
	msg_close_fds(first);
	return 0;
}

/* The network that the spawner made ahead is the agent's; a plugin's is made here, while others are
 * being built. The host's is the one that spawner, keeper and builder are in. */
static int
enter_network(const struct seed *seed, struct error *error)
{
	if (seed->fds->net == BUILDER_NET_HOST)
		return 0;
	if (seed->fds->net < 0)
		return network_unshare(error);
	if (setns(seed->fds->net, NAMESPACES_JOINED) < 0)
		return error_errno(error, errno, "setns to the sandbox's network");
	close(seed->fds->net);
	return 0;
}

static int
enter_namespaces(const struct seed *seed, struct error *error)
{
	if (enter_network(seed, error) < 0)
		return -1;
	if (unshare(NAMESPACES_UNSHARED) < 0)
		return error_errno(error, errno, "unshare(CLONE_NEWCGROUP)");
	return 0;
}

_Noreturn void
seed_main(struct seed *seed)
{
	struct error error = ERROR_INIT;

	prctl(PR_SET_NAME, "init", 0, 0, 0);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0); /* until the ids change; then EOF tells */
	umask(0);
	if (enter_cgroups(seed, &error) < 0 || enter_namespaces(seed, &error) < 0 ||
	    seed_make_root(seed, &error) < 0 || follow_recipe(seed, &error) < 0 ||
	    seed_enter_root(seed, &error) < 0)
		give_up(seed, &error);
	CRASH_POINT("seed.pivoted");
	close(seed->root);
	close_fd(&seed->layers);
	close(seed->fds->channel);
	if (seed_drop(seed, &error) == 0)
		seed_become_init(seed, &error);
	give_up(seed, &error);
}
