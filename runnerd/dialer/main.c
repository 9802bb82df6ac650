/*
 * dialer(8). The story of its privileges: started by agentd as root, it becomes its own user with
 * an empty root and no capability, and only then reads where names are asked and hears of sessions.
 * Of all processes below agentd it alone may make connections.
 */
#include <errno.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "common/cleanup.h"
#include "common/confine.h"
#include "common/daemon.h"
#include "dialer.h"

enum {
	NOGROUP = 65534,    /* no user is a member: never the operators' group */
	OPEN_FILES = 16384, /* a channel a session, a socket for each dial under way */
};

/* Besides the base; a file to open is none of it. */
static const int dialer_syscalls[] = {
    SYS_socket, SYS_connect, SYS_setsockopt, SYS_getsockopt, SYS_ioctl,
};

static void
introduced(enum channel_kind kind, enum role peer, int fd, void *arg)
{
	if (kind == CH_RUNNERD_DIALER) {
		dialer_introduced(arg, fd);
		return;
	}
	daemon_not_spoken(ROLE_DIALER, kind, peer, fd);
}

static int
reload(struct config *config, struct error *error, void *arg)
{
	(void)error;
	(void)arg;
	config_free(config);
	return 0;
}

static void
stop(void *arg)
{
	struct dialer *dialer = arg;

	loop_stop(dialer->loop, 0);
}

static const struct daemon_ops daemon_ops = {
    .introduced = introduced,
    .reload = reload,
    .stop = stop,
};

static int
give_up_privileges(const struct config *config, struct error *error)
{
	struct confinement to = CONFINEMENT_INIT;

	to.root_fd = daemon_empty_root(config, error);
	if (to.root_fd < 0)
		return -1;
	to.uid = (uid_t)config->ids.dialer;
	to.gid = NOGROUP;
	to.syscalls = dialer_syscalls;
	to.syscall_count = ARRAY_LEN(dialer_syscalls);
	to.open_files = OPEN_FILES;
	to.file_bytes = 0;
	to.no_processes = true;
	to.landlock = to.landlock_connect = true;
	return confine(&to, error);
}

static int
serve(struct dialer *dialer, int resolv_conf, struct error *error)
{
	int status;

	if (resolver_servers(dialer->resolver, resolv_conf, error) < 0)
		return -1;
	dialer->agentd = daemon_ready(dialer->loop, ROLE_DIALER, &daemon_ops, dialer);
	if (!dialer->agentd)
		return error_errno(error, errno, "joining agentd");
	status = loop_run(dialer->loop);
	sessions_close(dialer);
	channel_free(dialer->runnerd);
	channel_free(dialer->agentd);
	return status;
}

/* c-ares draws its random key before the root is gone. */
static int
run(struct error *error)
{
	struct config *config = NULL;
	struct dialer dialer = {.loop = loop_new()};
	int extra[DAEMON_EXTRAS], status = -1;

	if (!dialer.loop)
		return error_errno(error, errno, "epoll");
	if (daemon_start(ROLE_DIALER, &config, extra, error) < 0)
		return -1;
	dialer.resolver = resolver_new(dialer.loop, error);
	if (dialer.resolver && give_up_privileges(config, error) == 0)
		status = serve(&dialer, extra[0], error);
	close_fd(&extra[0]);
	resolver_free(dialer.resolver);
	loop_free(dialer.loop);
	config_free(config);
	return status;
}

int
main(void)
{
	struct error error = ERROR_INIT;
	int status;

	umask(077);
	signal(SIGPIPE, SIG_IGN);
	status = run(&error);
	return daemon_exit(status, &error);
}
