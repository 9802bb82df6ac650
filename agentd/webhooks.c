#include "webhooks.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "agentd.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/netrule.h"

enum { BACKLOG = 512 };

/* --- the socket ------------------------------------------------------------------------------ */

/* ADDRESS:PORT or [ADDRESS]:PORT, as value_listen() accepted it. */
static int
parse(const char *text, struct sockaddr_in6 *to)
{
	const char *port = strrchr(text, ':');
	char host[64];

	if (!port || (size_t)(port - text) >= sizeof(host))
		return -EINVAL;
	snprintf(host, sizeof(host), "%.*s", (int)(port - text), text);
	*to = (struct sockaddr_in6){.sin6_family = AF_INET6};
	to->sin6_port = htons((uint16_t)strtoul(port + 1, NULL, 10));
	return net_address(host, &to->sin6_addr) ? 0 : -EINVAL;
}

/* An IPv4 address is bound as one: where IPv6 is off, it works too. */
static int
bind_to(int *fd, const struct sockaddr_in6 *to)
{
	bool v4 = IN6_IS_ADDR_V4MAPPED(&to->sin6_addr);
	struct sockaddr_in old = {.sin_family = AF_INET, .sin_port = to->sin6_port};
	const struct sockaddr *address =
	    v4 ? (const struct sockaddr *)&old : (const struct sockaddr *)to;
	int on = 1;

	memcpy(&old.sin_addr, &to->sin6_addr.s6_addr[12], sizeof(old.sin_addr));
	*fd = socket(v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (*fd < 0)
		return -errno;
	/* Connections of the one before, in TIME_WAIT, are no reason to fail. */
	setsockopt(*fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(*fd, address, v4 ? sizeof(old) : sizeof(*to)) < 0 || listen(*fd, BACKLOG) < 0)
		return -errno;
	return 0;
}

int
webhooks_bind(const char *address, struct error *error)
{
	_cleanup_close_ int fd = -1;
	struct sockaddr_in6 to;
	int rc = parse(address, &to);

	if (rc == 0)
		rc = bind_to(&fd, &to);
	if (rc == 0)
		return steal_fd(&fd);
	error_errno(error, -rc, "listening for webhooks at %s", address);
	if (rc == -EADDRINUSE || rc == -EADDRNOTAVAIL || rc == -EACCES)
		error_hint(error, "choose another webhooks.listen in agentd.yaml, then ash reload");
	return -1;
}

/* --- how it stands --------------------------------------------------------------------------- */

static struct daemon *
listener(struct agentd *agentd)
{
	return &agentd->daemons[D_WEBHOOK];
}

static void
tell_schedd(struct agentd *agentd)
{
	const struct daemon *schedd = &agentd->daemons[D_SCHEDD];
	struct msg msg;

	if (schedd->state != DAEMON_READY)
		return;
	msg_init(&msg, MSG_WEBHOOKS_STATE);
	msg.webhooks_state.listening = agentd->webhooks.wanted && !agentd->webhooks.why[0] &&
				       listener(agentd)->state == DAEMON_READY;
	memcpy(msg.webhooks_state.why, agentd->webhooks.why, sizeof(agentd->webhooks.why));
	channel_send(schedd->channel, &msg);
}

static void
set_problem(struct agentd *agentd, const struct error *error)
{
	char text[ERROR_TEXT_MAX + 1];

	log_problem(LOG_LEVEL_ERROR, error);
	snprintf(agentd->webhooks.why, sizeof(agentd->webhooks.why), "%.*s%s%.*s", 700,
		 error_text(error, text), *error->hint ? "; " : "", 250, error->hint);
}

/* --- descriptors ----------------------------------------------------------------------------- */

/* It proves who this host is: nobody but root may have written it. */
static int
open_file(const char *key, const char *path, struct error *error)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return error_errno(error, errno, "webhooks.%s: opening %s", key, path);
	if (!S_ISREG(st.st_mode))
		return error_why(error, ERR_INVALID, "webhooks.%s: %s is no file", key, path);
	if (st.st_uid != 0 || (st.st_mode & S_IWOTH)) {
		error_why(error, ERR_INVALID, "webhooks.%s: %s is not root's alone", key, path);
		return error_hint(error, "chown root and chmod o-w it");
	}
	return steal_fd(&fd);
}

static int
open_files(const struct config *config, int fds[2], struct error *error)
{
	if (!config->webhooks.certificate)
		return 0;
	fds[0] = open_file("certificate", config->webhooks.certificate, error);
	if (fds[0] >= 0)
		fds[1] = open_file("key", config->webhooks.key, error);
	return fds[1] < 0 ? -1 : 0;
}

/* What was opened a moment before may be gone now: then it ends, and is tried with a pause. */
void
webhooks_add(struct agentd *agentd, struct msg *start)
{
	struct error error = ERROR_INIT;
	int fds[2] = {-1, -1};

	msg_add_fd(start, fcntl(agentd->webhooks.fd, F_DUPFD_CLOEXEC, 0));
	if (open_files(agentd->config, fds, &error) < 0)
		set_problem(agentd, &error);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		if (fds[i] >= 0)
			msg_add_fd(start, fds[i]);
}

/* --- needs ----------------------------------------------------------------------------------- */

static int
bind_anew(struct agentd *agentd, struct error *error)
{
	struct webhooks *w = &agentd->webhooks;
	const char *wanted = agentd->config->webhooks.listen;

	if (w->fd >= 0 && strcmp(w->bound, wanted) == 0)
		return 0;
	close_fd(&w->fd);
	w->fd = webhooks_bind(wanted, error);
	snprintf(w->bound, sizeof(w->bound), "%s", wanted);
	return w->fd < 0 ? -1 : 0;
}

static int
prepare(struct agentd *agentd, struct error *error)
{
	_cleanup_close_ int certificate = -1;
	_cleanup_close_ int key = -1;
	int fds[2] = {-1, -1}, rc;

	if (agentd->config->webhooks.off) {
		error_why(error, ERR_FAILED,
			  "agents wait for webhooks, but webhooks.listen is null");
		return error_hint(error, "set webhooks.listen in agentd.yaml, then ash reload");
	}
	rc = open_files(agentd->config, fds, error);
	certificate = fds[0];
	key = fds[1];
	return rc < 0 ? -1 : bind_anew(agentd, error);
}

/* It listens as it should, and holds no certificate that may be another one now. */
static bool
as_wanted(struct agentd *agentd)
{
	const struct webhooks *w = &agentd->webhooks;
	const struct config *config = agentd->config;

	return w->wanted && w->fd >= 0 && !w->why[0] && !w->tls && !config->webhooks.off &&
	       !config->webhooks.certificate && strcmp(w->bound, config->webhooks.listen) == 0 &&
	       listener(agentd)->state == DAEMON_READY;
}

static void
apply(struct agentd *agentd)
{
	struct webhooks *w = &agentd->webhooks;
	struct error error = ERROR_INIT;
	bool start;

	if (as_wanted(agentd))
		return;
	start = w->wanted && prepare(agentd, &error) == 0;
	w->tls = agentd->config->webhooks.certificate != NULL;

	w->why[0] = '\0';
	if (w->wanted && !start)
		set_problem(agentd, &error);
	if (!start)
		close_fd(&w->fd);
	if (start || listener(agentd)->id.pid)
		daemon_want(listener(agentd), start);
	tell_schedd(agentd);
}

void
webhooks_want(struct agentd *agentd, bool wanted)
{
	struct webhooks *w = &agentd->webhooks;

	if (agentd->stopping)
		return;
	/* Another schedd repeats what the one before said. */
	if (w->wanted == wanted && (!wanted || !w->why[0])) {
		tell_schedd(agentd);
		return;
	}
	w->wanted = wanted;
	apply(agentd);
}

void
webhooks_reload(struct agentd *agentd)
{
	if (agentd->webhooks.wanted && !agentd->stopping)
		apply(agentd);
}

void
webhooks_ready(struct agentd *agentd, const struct daemon *daemon)
{
	struct webhooks *w = &agentd->webhooks;

	if (daemon->spec->role == ROLE_WEBHOOK) {
		log_info("webhooks: listening at %s%s", w->bound,
			 agentd->config->webhooks.certificate ? ", with TLS" : "");
		w->why[0] = '\0';
	}
	if (daemon->spec->role == ROLE_WEBHOOK || daemon->spec->role == ROLE_SCHEDD)
		tell_schedd(agentd);
}

void
webhooks_died(struct agentd *agentd, const struct daemon *daemon)
{
	if (daemon->spec->role == ROLE_WEBHOOK)
		tell_schedd(agentd);
}

void
webhooks_gave_up(struct agentd *agentd)
{
	struct error error = ERROR_INIT;

	error_why(&error, ERR_FAILED, "the webhook listener died %d times in a row", DEATHS_MAX);
	error_hint(&error, "see the log for its reason; ash reload starts it again");
	set_problem(agentd, &error);
	close_fd(&agentd->webhooks.fd);
	tell_schedd(agentd);
}
