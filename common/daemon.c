#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "daemon.h"
#include "log.h"

enum { START_TIMEOUT_MS = 10000 };

static enum channel_kind
supervise_kind(enum role role)
{
	if (role == ROLE_CONTROL)
		return CH_SUPERVISE_CONTROL;
	return role == ROLE_SECRETD ? CH_SUPERVISE_SECRETD : CH_SUPERVISE;
}

/* --- start ------------------------------------------------------------------------------------ */

static int
greet_agentd(enum role role, struct error *error)
{
	int r = msg_greet(DAEMON_FD_AGENTD, supervise_kind(role), SIDE_B, role, ROLE_AGENTD,
			  START_TIMEOUT_MS);

	if (r == 0)
		return 0;
	error_errno(error, -r, "no greeting on descriptor %d", DAEMON_FD_AGENTD);
	error_what(error, "greeting agentd");
	error_hint(error, "agentd starts %s; it is not started by hand", role_name(role));
	return -1;
}

static int
receive_start(enum role role, struct msg *msg, struct error *error)
{
	int r = msg_recv(DAEMON_FD_AGENTD, supervise_kind(role), SIDE_B, IN_SETUP, msg,
			 START_TIMEOUT_MS);

	if (r == 1 && msg->type == MSG_START)
		return 0;
	if (r == 1) {
		msg_close_fds(msg);
		error_why(error, ERR_FAILED, "agentd said stop");
	} else if (r == 0) {
		error_why(error, ERR_FAILED, "agentd went away");
	} else {
		error_errno(error, -r, "no configuration came");
	}
	return error_what(error, "waiting for the configuration from agentd");
}

static enum log_level
config_level(const struct config *config)
{
	int level = config->log.level ? log_level_parse(config->log.level) : -1;

	return level < 0 ? LOG_LEVEL_INFO : (enum log_level)level;
}

int
daemon_start(enum role role, struct config **config, int extra[DAEMON_EXTRAS], struct error *error)
{
	struct msg msg;

	*config = NULL;
	for (unsigned i = 0; i < DAEMON_EXTRAS; i++)
		extra[i] = -1;
	if (greet_agentd(role, error) < 0 || receive_start(role, &msg, error) < 0)
		return -1;
	_cleanup_close_ int memfd = msg_take_fd(&msg, 0);
	*config = config_from_memfd(memfd, error);
	if (!*config) {
		msg_close_fds(&msg);
		return error_what(error, "reading the configuration from agentd");
	}
	for (unsigned i = 0; i < DAEMON_EXTRAS; i++)
		extra[i] = msg_take_fd(&msg, i + 1);
	msg_close_fds(&msg);
	log_open(role_name(role), config_level(*config), log_target_parse((*config)->log.target));
	return 0;
}

/* --- on the loop ------------------------------------------------------------------------------ */

struct supervised {
	const struct daemon_ops *ops;
	void *arg;
};

static void
introduced(struct supervised *daemon, struct msg *msg)
{
	enum channel_kind kind = (enum channel_kind)msg->introduce.kind;
	enum role role = (enum role)msg->introduce.role;

	if (!role_speaks(role, kind, SIDE_A) && !role_speaks(role, kind, SIDE_B)) {
		log_error("agentd introduces role %u on a channel of kind %u, which does not exist",
			  msg->introduce.role, msg->introduce.kind);
		return;
	}
	daemon->ops->introduced(kind, role, msg_take_fd(msg, 0), daemon->arg);
}

static int
take_reload(struct supervised *daemon, int memfd, struct error *error)
{
	struct config *config = config_from_memfd(memfd, error);

	if (!config)
		return error_what(error, "reading the new configuration");
	enum log_level level = config_level(config);
	if (daemon->ops->reload(config, error, daemon->arg) < 0)
		return -1;
	log_set_level(level);
	return 0;
}

static void
reload(struct supervised *daemon, struct channel *channel, struct msg *msg)
{
	_cleanup_close_ int memfd = msg_take_fd(msg, 0);
	struct error error = ERROR_INIT;
	char text[ERROR_TEXT_MAX + 1];
	struct msg answer;

	msg_init(&answer, MSG_RELOADED);
	answer.id = msg->id;
	answer.reloaded.accepted = take_reload(daemon, memfd, &error) == 0;
	if (!answer.reloaded.accepted) {
		log_problem(LOG_LEVEL_ERROR, &error);
		snprintf(answer.reloaded.why, sizeof(answer.reloaded.why), "%.*s",
			 (int)sizeof(answer.reloaded.why) - 1, error_text(&error, text));
	}
	channel_send(channel, &answer);
}

static void
supervised_message(struct channel *channel, struct msg *msg, void *arg)
{
	struct supervised *daemon = arg;

	switch (msg->type) {
	case MSG_INTRODUCE:
		introduced(daemon, msg);
		return;
	case MSG_RELOAD:
		reload(daemon, channel, msg);
		return;
	case MSG_STOP:
		daemon->ops->stop(daemon->arg);
		return;
	default:
		if (daemon->ops->message)
			daemon->ops->message(channel, msg, daemon->arg);
		return;
	}
}

/* Without agentd nobody introduces anybody again: the daemon ends, and the sessions go on. */
static void
supervised_closed(struct channel *channel, const struct error *error, void *arg)
{
	struct supervised *daemon = arg;

	(void)channel;
	if (error)
		log_problem(LOG_LEVEL_ERROR, error);
	daemon->ops->stop(daemon->arg);
}

static const struct channel_ops supervised_ops = {
    .message = supervised_message,
    .closed = supervised_closed,
    .freed = free,
    .keep = true,
};

struct channel *
daemon_ready(struct loop *loop, enum role role, const struct daemon_ops *ops, void *arg)
{
	_cleanup_free_ struct supervised *daemon = calloc(1, sizeof(*daemon));
	struct msg msg;

	if (!daemon)
		return NULL;
	daemon->ops = ops;
	daemon->arg = arg;
	struct channel *channel =
	    channel_new_greeted(loop, DAEMON_FD_AGENTD, supervise_kind(role), SIDE_B, ROLE_AGENTD,
				IN_SETUP, &supervised_ops, daemon);
	if (!channel)
		return NULL;
	steal_ptr(&daemon);
	msg_init(&msg, MSG_READY);
	msg.ready.pid = (uint32_t)getpid();
	channel_send(channel, &msg);
	channel_set_phase(channel, IN_OPEN);
	return channel;
}

void
daemon_not_spoken(enum role self, enum channel_kind kind, enum role peer, int fd)
{
	log_error("introduced to %s over a %s channel, which %s does not speak", role_name(peer),
		  channel_kind_name(kind), role_name(self));
	close(fd);
}

/* --- the rest of main() ----------------------------------------------------------------------- */

int
daemon_empty_root(const struct config *config, struct error *error)
{
	char path[PATH_LEN_MAX + 1];
	int root;

	if (snprintf(path, sizeof(path), "%s/empty", config->run_dir) >= (int)sizeof(path))
		return error_why(error, ERR_INVALID, "run_dir is too long");
	root = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return root < 0 ? error_errno(error, errno, "opening the empty root %s", path) : root;
}

int
daemon_exit(int status, const struct error *error)
{
	if (status < 0)
		log_problem(LOG_LEVEL_ERROR, error);
	return status == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
