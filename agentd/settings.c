#include "settings.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/channel.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "helpers.h"

struct settings {
	const char *path;
	int file, login_defs; /* -1: not there */
	int origins;          /* -1: not read, or taken */
	pid_t pid;            /* 0: reaped */
	struct channel *channel;
	struct loop_source *timer;
	settings_fn *done;
	void *arg;
	bool answered;
};

/* --- the file ----------------------------------------------------------------------------------
 */

/* It decides what runs as root and for whom: nobody else may write it. */
static int
check_file(int fd, struct error *error)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return error_errno(error, errno, "fstat");
	if (!S_ISREG(st.st_mode))
		return error_why(error, ERR_INVALID, "not a regular file");
	if (st.st_uid == 0 && !(st.st_mode & S_IWOTH))
		return 0;
	error_why(error, ERR_INVALID, "not root's alone (uid %u, mode %04o)", st.st_uid,
		  st.st_mode & 07777);
	return error_hint(error, "chown root and chmod o-w it");
}

static int
open_file(const struct settings_source *source, struct error *error)
{
	_cleanup_close_ int fd = open(source->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0 && errno == ENOENT && !source->required)
		return -1;
	if (fd < 0)
		error_errno(error, errno, "the configuration cannot be opened");
	else if (check_file(fd, error) == 0)
		return steal_fd(&fd);
	error_as(error, ERR_INVALID);
	error_what(error, "%s", source->path);
	return -2;
}

/* --- the answer ----------------------------------------------------------------------------------
 */

static void
answer(struct settings *s, struct config *config, const struct error *error)
{
	if (s->answered) {
		config_free(config);
		return;
	}
	s->answered = true;
	loop_arm(s->timer, 0);
	s->done(config, error, s->arg);
}

static void
answer_error(struct settings *s, const char *why)
{
	struct error error = ERROR_INIT;

	error_why(&error, ERR_FAILED, "%s", why);
	error_what(&error, "reading %s with agentd-config", s->path);
	answer(s, NULL, &error);
}

static void
parsed(struct settings *s, int fd)
{
	struct error error = ERROR_INIT;
	struct config *config = config_from_memfd(fd, &error);

	if (config && settings_resolve(config, &error) < 0) {
		config_free(config);
		config = NULL;
	}
	if (!config)
		error_what(&error, "%s", s->path);
	answer(s, config, config ? NULL : &error);
}

static void
parser_opened(struct channel *channel, void *arg)
{
	struct settings *s = arg;
	struct msg msg;

	msg_init(&msg, MSG_CONFIG_PARSE);
	msg.config_parse.has_file = s->file >= 0;
	msg.config_parse.has_login_defs = s->login_defs >= 0;
	snprintf(msg.config_parse.path, sizeof(msg.config_parse.path), "%s", s->path);
	if (s->file >= 0)
		msg_add_fd(&msg, steal_fd(&s->file));
	if (s->login_defs >= 0)
		msg_add_fd(&msg, steal_fd(&s->login_defs));
	channel_send(channel, &msg);
}

static void
parser_message(struct channel *channel, struct msg *msg, void *arg)
{
	struct settings *s = arg;
	struct error error = ERROR_INIT;

	(void)channel;
	if (msg->type == MSG_CONFIG_PARSED) {
		s->origins = msg_take_fd(msg, 1);
		parsed(s, msg->fds[0]);
	} else if (msg->type == MSG_ERROR) {
		msg_to_error(msg, &error);
		answer(s, NULL, &error);
	}
}

static void
parser_closed(struct channel *channel, const struct error *error, void *arg)
{
	struct settings *s = arg;

	(void)channel;
	s->channel = NULL;
	answer_error(s, error ? error->why : "it ended without an answer");
}

static void
parser_late(struct loop_source *source, void *arg)
{
	(void)source;
	answer_error(arg, "no answer within 10 s");
}

static const struct channel_ops parser_ops = {
    .opened = parser_opened,
    .message = parser_message,
    .closed = parser_closed,
};

/* --- the parser
 * ------------------------------------------------------------------------------------ */

static int
start_parser(struct settings *s, struct loop *loop, int parser, struct error *error)
{
	int ends[2], rc = channel_pair(ends);

	if (rc < 0)
		return error_errno(error, -rc, "a channel with agentd-config");
	s->pid = helper_start(parser, "agentd-config", ends[1], -1, error);
	close(ends[1]);
	if (s->pid < 0) {
		close(ends[0]);
		s->pid = 0;
		return -1;
	}
	s->channel =
	    channel_new(loop, ends[0], CH_CONFIG, SIDE_A, ROLE_AGENTD, ROLE_CONFIG, &parser_ops, s);
	s->timer = loop_add_timer(loop, parser_late, s);
	if (!s->channel || !s->timer)
		return error_errno(error, errno, "a channel with agentd-config");
	loop_arm_in(s->timer, SETTINGS_TIMEOUT_MS);
	return 0;
}

struct settings *
settings_read(struct loop *loop, const struct settings_source *source, settings_fn *done, void *arg,
	      struct error *error)
{
	struct settings *s = calloc(1, sizeof(*s));

	if (!s) {
		error_errno(error, ENOMEM, "reading the configuration");
		return NULL;
	}
	s->path = source->path;
	s->origins = -1;
	s->done = done;
	s->arg = arg;
	s->login_defs = open("/etc/login.defs", O_RDONLY | O_CLOEXEC | O_NOCTTY);
	s->file = open_file(source, error);
	if (s->file < -1 || start_parser(s, loop, source->parser, error) < 0) {
		settings_free(s);
		return NULL;
	}
	return s;
}

int
settings_take_origins(struct settings *s)
{
	return steal_fd(&s->origins);
}

void
settings_free(struct settings *s)
{
	if (!s)
		return;
	channel_free(s->channel);
	loop_remove(s->timer);
	if (s->pid > 0) {
		kill(s->pid, SIGKILL);
		waitpid(s->pid, NULL, 0);
	}
	close_fd(&s->file);
	close_fd(&s->login_defs);
	close_fd(&s->origins);
	free(s);
}

bool
settings_reaped(struct settings *s, int pid)
{
	if (!s || s->pid != pid)
		return false;
	s->pid = 0;
	return true;
}
