/*
 * webhook(8). The story of its privileges: started by agentd as root, with a socket that listens
 * already, it becomes its own user with an empty root and no capability, reads the certificate and
 * key that it was given as descriptors, and only then looks at the network. It can open no file and
 * make no connection.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "common/cleanup.h"
#include "common/confine.h"
#include "common/daemon.h"
#include "common/io.h"
#include "listener.h"

enum {
	NOGROUP = 65534, /* no user is a member: never the operators' group */
	OPEN_FILES = CONNECTIONS_MAX + CONNECTIONS_MAX / 4 + DELIVERIES_MAX + 64,
	PEM_MAX = 256 << 10,
};
enum { EXTRA_SOCKET, EXTRA_CERTIFICATE, EXTRA_KEY };

/* Besides the base; a file to open and a connection to make are none of it. */
static const int webhook_syscalls[] = {
    SYS_accept4,  SYS_setsockopt, SYS_getsockopt, SYS_ioctl,
    SYS_eventfd2, SYS_getrusage, /* what GnuTLS draws randomness from, beside the kernel's */
    SYS_sendfile,
};

static void
introduced(enum channel_kind kind, enum role peer, int fd, void *arg)
{
	if (kind == CH_SCHEDD_WEBHOOK) {
		deliver_introduced(arg, fd);
		return;
	}
	daemon_not_spoken(ROLE_WEBHOOK, kind, peer, fd);
}

/* What concerns it starts it anew. */
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
	struct listener *l = arg;

	loop_stop(l->loop, 0);
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
	to.uid = (uid_t)config->ids.webhook;
	to.gid = NOGROUP;
	to.syscalls = webhook_syscalls;
	to.syscall_count = ARRAY_LEN(webhook_syscalls);
	to.open_files = OPEN_FILES;
	to.file_bytes = EVENT_DATA_MAX; /* a memfd */
	to.no_processes = true;
	to.landlock = true;
	return confine(&to, error);
}

/* --- certificate and key --------------------------------------------------------------------- */

static void
cleanup_secret(char **text)
{
	if (*text)
		explicit_bzero(*text, strlen(*text));
	free(*text);
}

/* NULL: too long, or none. */
static char *
read_text(int fd)
{
	_cleanup_(cleanup_secret) char *text = calloc(1, PEM_MAX + 1);
	size_t length = 0;
	ssize_t got = 1;

	while (text && length <= PEM_MAX && got > 0) {
		got = read(fd, text + length, PEM_MAX + 1 - length);
		length += got > 0 ? (size_t)got : 0;
	}
	if (!text || got < 0 || length > PEM_MAX || !length)
		return NULL;
	return steal_ptr(&text);
}

static int
open_http(struct listener *l, int extra[DAEMON_EXTRAS], bool tls, struct error *error)
{
	_cleanup_(cleanup_secret) char *certificate = NULL;
	_cleanup_(cleanup_secret) char *key = NULL;

	if (tls) {
		certificate = read_text(extra[EXTRA_CERTIFICATE]);
		key = read_text(extra[EXTRA_KEY]);
		if (!certificate || !key)
			return error_why(error, ERR_FAILED,
					 "the certificate or its key cannot be read");
	}
	return http_open(l, steal_fd(&extra[EXTRA_SOCKET]), certificate, key, error);
}

/* --- start ----------------------------------------------------------------------------------- */

static int
serve(struct listener *l, int extra[DAEMON_EXTRAS], bool tls, struct error *error)
{
	int status;

	l->timer = loop_add_timer(l->loop, clients_expired, l);
	l->rates = rates_new();
	if (!l->timer || !l->rates)
		return error_errno(error, ENOMEM, "the listener");
	if (open_http(l, extra, tls, error) < 0)
		return -1;
	l->agentd = daemon_ready(l->loop, ROLE_WEBHOOK, &daemon_ops, l);
	if (!l->agentd)
		return error_errno(error, errno, "joining agentd");
	status = loop_run(l->loop);
	channel_free(l->schedd);
	channel_free(l->agentd);
	return status;
}

static int
run(struct error *error)
{
	struct listener l = {.loop = loop_new()};
	int extra[DAEMON_EXTRAS], status = -1;
	struct config *config = NULL;

	if (!l.loop)
		return error_errno(error, errno, "epoll");
	for (unsigned phase = 0; phase < PHASES; phase++)
		TAILQ_INIT(&l.clients[phase]);
	if (daemon_start(ROLE_WEBHOOK, &config, extra, error) < 0)
		return -1;
	if (give_up_privileges(config, error) == 0)
		status = serve(&l, extra, config->webhooks.certificate != NULL, error);
	http_close(&l);
	for (unsigned i = 0; i < DAEMON_EXTRAS; i++)
		close_fd(&extra[i]);
	rates_free(l.rates);
	loop_remove(l.timer);
	loop_free(l.loop);
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
