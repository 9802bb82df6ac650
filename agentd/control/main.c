/*
 * agentd-control(8): the operators' door. The story of its privileges: started by agentd as root
 * with the listening socket, it roots itself in an empty directory, becomes its own user without
 * capabilities, without files and outside the operators' group, and only then accepts anybody.
 */
#include <errno.h>
#include <sys/syscall.h>

#include "common/cleanup.h"
#include "common/confine.h"
#include "requests.h"
#include "scrape.h"
#include "watchers.h"

enum {
	NOGROUP = 65534, /* no user is a member: never the operators' group */
	OPEN_FILES = 8192,
};

/* Besides the base: the operator socket, and who agentd is. */
static const int control_syscalls[] = {SYS_accept4, SYS_getsockopt, SYS_getppid};

static void
introduced(enum channel_kind kind, enum role peer, int fd, void *arg)
{
	struct control *control = arg;

	switch (kind) {
	case CH_CONTROL_SCHEDD:
		upstream_introduce(control, UP_SCHEDD, fd);
		break;
	case CH_CONTROL_RUNNERD:
		upstream_introduce(control, UP_RUNNERD, fd);
		break;
	case CH_AUDIT:
		audit_introduced(control->audit, fd);
		break;
	default:
		daemon_not_spoken(ROLE_CONTROL, kind, peer, fd);
	}
}

static int
reload(struct config *config, struct error *error, void *arg)
{
	struct control *control = arg;

	(void)error;
	config_free(control->config);
	control->config = config;
	return 0;
}

static void
stop(void *arg)
{
	struct control *control = arg;

	requests_stop(control);
	loop_stop(control->loop, 0);
}

static void
agentd_message(struct channel *agentd, struct msg *msg, void *arg)
{
	(void)agentd;
	if (msg->type == MSG_NOTICE)
		watchers_tell(arg, ROLE_AGENTD, msg);
	else
		upstream_answer(arg, UP_AGENTD, msg);
}

static const struct daemon_ops daemon_ops = {
    .introduced = introduced,
    .reload = reload,
    .stop = stop,
    .message = agentd_message,
};

static int
give_up_privileges(const struct config *config, struct error *error)
{
	struct confinement confinement = CONFINEMENT_INIT;

	if (config->ids.group == NOGROUP)
		return error_why(error, ERR_INVALID,
				 "group %d is nobody's and cannot be the "
				 "operators'",
				 NOGROUP);
	confinement.root_fd = daemon_empty_root(config, error);
	if (confinement.root_fd < 0)
		return -1;
	confinement.uid = (uid_t)config->ids.control;
	confinement.gid = NOGROUP;
	confinement.syscalls = control_syscalls;
	confinement.syscall_count = ARRAY_LEN(control_syscalls);
	confinement.open_files = OPEN_FILES;
	confinement.file_bytes = MANIFEST_BYTES_MAX * 2; /* memfds only: plans and rows */
	confinement.no_processes = true;
	confinement.landlock = true;
	return confine(&confinement, error);
}

static int
run(struct loop *loop, struct config *config, int listener, int metrics, struct error *error)
{
	struct control control;
	int status;

	if (control_init(&control, loop, config, listener, error) < 0)
		return -1;
	if (metrics >= 0 && !(control.scrapes = scrapes_new(&control, metrics)))
		return error_errno(error, errno, "watching metrics.socket");
	control.audit = audit_new(loop, ROLE_CONTROL);
	control.up[UP_AGENTD] = daemon_ready(loop, ROLE_CONTROL, &daemon_ops, &control);
	if (!control.audit || !control.up[UP_AGENTD])
		return error_errno(error, errno, "joining agentd");
	status = loop_run(loop);
	control_release(&control);
	return status;
}

int
main(void)
{
	struct error error = ERROR_INIT;
	struct config *config = NULL;
	struct loop *loop = NULL;
	int extra[DAEMON_EXTRAS], status = -1;

	if (daemon_start(ROLE_CONTROL, &config, extra, &error) == 0 &&
	    give_up_privileges(config, &error) == 0) {
		loop = loop_new();
		status = loop ? run(loop, config, extra[0], extra[1], &error)
			      : error_errno(&error, errno, "epoll");
	}
	return daemon_exit(status, &error);
}
