/* What daemons say to agentd: that they are ready, and what only root can answer for control. */
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>

#include "agentd.h"
#include "audit_files.h"
#include "common/cleanup.h"
#include "common/io.h"
#include "common/log.h"
#include "common/metrics.h"
#include "kek.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5 */
#endif

enum { LOGINUID_BYTES_MAX = 16 };

static void
ready(struct daemon *daemon, struct channel *channel, struct msg *msg)
{
	(void)channel;
	(void)msg;
	daemon_confined(daemon);
}

static void
reloaded(struct daemon *daemon, struct channel *channel, struct msg *msg)
{
	(void)channel;
	if (daemon->reloads)
		daemon->reloads--;
	agentd_reload_answered(daemon->agentd, daemon,
			       msg->reloaded.accepted ? NULL : msg->reloaded.why);
}

/* --- who is at the operator socket? --------------------------------------------------------------
 */

/* The peer's own pidfd where the kernel gives it, else one of the pid that it had. */
static int
peer_pidfd(int fd, pid_t pid)
{
	int pidfd = -1;
	socklen_t size = sizeof(pidfd);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size) == 0)
		return pidfd;
	return errno == ENOPROTOOPT && pid > 0 ? pidfd_open(pid, PIDFD_NONBLOCK) : -1;
}

static bool
still_runs(int pidfd)
{
	struct pollfd polled = {.fd = pidfd, .events = POLLIN};

	return poll(&polled, 1, 0) == 0;
}

/* -1: none, not known, or the process is gone and its number may be another's. */
static uint32_t
login_uid(int fd, pid_t pid)
{
	_cleanup_close_ int pidfd = peer_pidfd(fd, pid), file = -1;
	char path[40], text[LOGINUID_BYTES_MAX + 1];
	unsigned long uid;
	ssize_t length;
	char *end;

	if (pidfd < 0)
		return UINT32_MAX;
	snprintf(path, sizeof(path), "/proc/%d/loginuid", pid);
	file = open(path, O_RDONLY | O_CLOEXEC);
	length = file < 0 ? -1 : read(file, text, LOGINUID_BYTES_MAX);
	if (length <= 0 || !still_runs(pidfd))
		return UINT32_MAX;
	text[length] = '\0';
	uid = strtoul(text, &end, 10);
	return end == text || uid > UINT32_MAX ? UINT32_MAX : (uint32_t)uid;
}

static void
name_user(uid_t uid, char *name, size_t size)
{
	const struct passwd *user = getpwuid(uid);

	if (user && strlen(user->pw_name) < size)
		snprintf(name, size, "%s", user->pw_name);
	else
		snprintf(name, size, "uid %u", uid);
}

static void
peer_query(struct daemon *daemon, struct channel *channel, struct msg *msg)
{
	struct error error = ERROR_INIT;
	struct ucred peer;
	socklen_t size = sizeof(peer);
	struct msg answer;

	(void)daemon;
	if (fd_check(msg->fds[0], S_IFSOCK, -1) < 0 ||
	    getsockopt(msg->fds[0], SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0) {
		error_why(&error, ERR_FAILED, "the descriptor is no connection of an operator");
		error_what(&error, "telling who the operator is");
		channel_reply_error(channel, msg->id, &error);
		return;
	}
	msg_init(&answer, MSG_PEER);
	answer.id = msg->id;
	answer.peer.uid = peer.uid;
	answer.peer.gid = peer.gid;
	answer.peer.pid = (uint32_t)peer.pid;
	answer.peer.login_uid = login_uid(msg->fds[0], peer.pid);
	name_user(peer.uid, answer.peer.user, sizeof(answer.peer.user));
	channel_send(channel, &answer);
}

/* --- state
 * ----------------------------------------------------------------------------------------- */

static int
add_row(struct rows *rows, enum role role, pid_t pid, enum daemon_state state, uint32_t restarts,
	uint64_t started_at_ms)
{
	struct msg row;

	msg_init(&row, MSG_DAEMON_ROW);
	row.daemon_row.role = (uint8_t)role;
	row.daemon_row.pid = (uint32_t)pid;
	row.daemon_row.state = (uint8_t)state;
	row.daemon_row.restarts = restarts;
	row.daemon_row.started_at_ms = started_at_ms;
	return rows_add(rows, &row);
}

/* One that nobody needs is no row. */
static bool
shown(const struct daemon *daemon)
{
	return !daemon->spec->on_demand || daemon->state != DAEMON_NONE;
}

static uint32_t
daemons_shown(const struct agentd *agentd)
{
	uint32_t count = 0;

	for (unsigned i = 0; i < DAEMONS; i++)
		count += shown(&agentd->daemons[i]);
	return count;
}

/* Takes rows over. The sealed memfd or -errno. */
static int
fill_rows(const struct agentd *agentd, struct rows *rows)
{
	int rc =
	    add_row(rows, ROLE_AGENTD, getpid(), agentd->stopping ? DAEMON_STOPPING : DAEMON_READY,
		    0, agentd->started_at_ms);

	for (unsigned i = 0; rc == 0 && i < DAEMONS; i++) {
		const struct daemon *d = &agentd->daemons[i];

		if (!shown(d))
			continue;
		rc = add_row(rows, d->spec->role, d->id.pid, d->state, d->restarts,
			     d->started_at_ms);
	}
	if (rc == 0)
		return rows_seal(rows);
	rows_free(rows);
	return rc;
}

static void
daemons_query(struct daemon *daemon, struct channel *channel, struct msg *msg)
{
	struct error error = ERROR_INIT;
	struct rows *rows = rows_new("daemons");
	int fd = rows ? fill_rows(daemon->agentd, rows) : -errno;
	struct msg answer;

	if (fd < 0) {
		error_errno(&error, -fd, "listing the daemons");
		channel_reply_error(channel, msg->id, &error);
		return;
	}
	msg_init(&answer, MSG_ROWS);
	answer.id = msg->id;
	answer.rows.count = daemons_shown(daemon->agentd) + 1;
	msg_add_fd(&answer, fd);
	channel_send(channel, &answer);
}

/* From /proc/PID/statm: the second number, pages. 0: not known. */
static uint64_t
resident_bytes(pid_t pid)
{
	char path[40], text[128];
	_cleanup_close_ int fd = -1;
	unsigned long long pages = 0;
	ssize_t length;

	snprintf(path, sizeof(path), "/proc/%d/statm", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	length = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (length <= 0)
		return 0;
	text[length] = '\0';
	return sscanf(text, "%*s %llu", &pages) == 1 ? pages * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

static int
add_metrics(struct rows *rows, enum role role, pid_t pid, bool up, uint32_t restarts)
{
	const char *name = role_name(role);
	int rc = metric_add(rows, METRIC_DAEMON_UP, name, "", up);

	if (rc == 0)
		rc = metric_add(rows, METRIC_DAEMON_RESTARTS, name, "", restarts);
	return rc == 0 && pid
		   ? metric_add(rows, METRIC_DAEMON_MEMORY, name, "", resident_bytes(pid))
		   : rc;
}

/* Takes rows over. The sealed memfd or -errno. */
static int
fill_metrics(const struct agentd *agentd, struct rows *rows, uint32_t *count)
{
	int rc = metric_add(rows, METRIC_BUILD, scarab_version, scarab_build_id, 1);

	if (rc == 0)
		rc = metric_add(rows, METRIC_START_TIME, "", "", agentd->started_at_ms / 1000);
	if (rc == 0)
		rc = add_metrics(rows, ROLE_AGENTD, getpid(), !agentd->stopping, 0);
	for (unsigned i = 0; rc == 0 && i < DAEMONS; i++) {
		const struct daemon *d = &agentd->daemons[i];

		if (shown(d))
			rc = add_metrics(rows, d->spec->role, d->id.pid, d->state == DAEMON_READY,
					 d->restarts);
	}
	*count = rows_count(rows);
	if (rc == 0)
		return rows_seal(rows);
	rows_free(rows);
	return rc;
}

static void
metrics_query(struct daemon *daemon, struct channel *channel, struct msg *msg)
{
	struct error error = ERROR_INIT;
	struct rows *rows = rows_new("metrics");
	struct msg answer;
	int fd;

	msg_init(&answer, MSG_ROWS);
	answer.id = msg->id;
	fd = rows ? fill_metrics(daemon->agentd, rows, &answer.rows.count) : -errno;
	if (fd < 0) {
		error_errno(&error, -fd, "collecting metrics");
		channel_reply_error(channel, msg->id, &error);
		return;
	}
	msg_add_fd(&answer, fd);
	channel_send(channel, &answer);
}

static void
shutdown_request(struct daemon *daemon, struct channel *channel, struct msg *msg)
{
	channel_reply_ok(channel, msg->id, 0);
	if (!daemon->agentd->stopping)
		daemons_stop(daemon->agentd, 0);
}

static void
reload_request(struct daemon *daemon, struct channel *channel, struct msg *msg)
{
	struct error error = ERROR_INIT;

	if (daemon->agentd->settings || daemon->agentd->reload_id || !msg->id) {
		error_why(&error, ERR_CONFLICT, "a reload is under way");
		channel_reply_error(channel, msg->id, &error);
		return;
	}
	agentd_reload(daemon->agentd, msg->id);
}

static void
config_query(struct daemon *daemon, struct channel *channel, struct msg *msg)
{
	struct agentd *agentd = daemon->agentd;
	struct error error = ERROR_INIT;
	struct msg answer;

	if (agentd->origins_fd < 0) {
		error_why(&error, ERR_FAILED, "it is not known where the configuration was said");
		channel_reply_error(channel, msg->id, &error);
		return;
	}
	msg_init(&answer, MSG_CONFIG);
	answer.id = msg->id;
	snprintf(answer.config.path, sizeof(answer.config.path), "%s", agentd->source.path);
	memcpy(answer.config.pending, agentd->pending, sizeof(answer.config.pending));
	msg_add_fd(&answer, fcntl(agentd->config_fd, F_DUPFD_CLOEXEC, 0));
	msg_add_fd(&answer, fcntl(agentd->origins_fd, F_DUPFD_CLOEXEC, 0));
	channel_send(channel, &answer);
}

/* --- the key of the store of secrets -----------------------------------------------------------
 */

static void
kek_query(struct daemon *daemon, struct channel *channel, struct msg *msg)
{
	enum kek_purpose purpose = (enum kek_purpose)msg->kek_query.purpose;
	struct error error = ERROR_INIT;
	int fd = kek_open(daemon->agentd->config, purpose, &error);
	struct msg answer;

	if (purpose != KEK_OPEN)
		agentd_audit(daemon->agentd, fd >= 0, "agentd.kek", "%s",
			     purpose == KEK_CREATE ? "made, unless it was there"
			     : purpose == KEK_NEXT ? "its successor made"
						   : "its successor put in its place");
	if (fd < 0) {
		channel_reply_error(channel, msg->id, &error);
		return;
	}
	msg_init(&answer, MSG_KEK);
	answer.id = msg->id;
	msg_add_fd(&answer, fd);
	channel_send(channel, &answer);
}

/* --- the audit log
 * ----------------------------------------------------------------------------------- */

static void
audit_log_query(struct daemon *daemon, struct channel *channel, struct msg *msg)
{
	struct error error = ERROR_INIT;
	int fds[AUDIT_FILES_MAX], count;
	struct msg answer;
	unsigned left_out;

	count = audit_files_read(daemon->agentd->log_fd, fds, &left_out, &error);
	if (count < 0) {
		channel_reply_error(channel, msg->id, &error);
		return;
	}
	msg_init(&answer, MSG_AUDIT_LOG);
	answer.id = msg->id;
	answer.audit_log.left_out = left_out;
	for (int i = 0; i < count; i++)
		msg_add_fd(&answer, fds[i]);
	channel_send(channel, &answer);
}

/* A full disk or the like: secretd goes on in the file that it has. */
static void
audit_full(struct daemon *daemon, struct channel *channel, struct msg *msg)
{
	struct agentd *agentd = daemon->agentd;
	struct error error = ERROR_INIT;
	struct msg answer;
	int fd;

	if (daemon->spec->role != ROLE_SECRETD)
		return;
	fd = audit_files_next(agentd->log_fd, agentd->config, msg->audit_full.seq, &error);
	if (fd < 0) {
		log_problem(LOG_LEVEL_ERROR, &error);
		return;
	}
	msg_init(&answer, MSG_AUDIT_NEXT);
	msg_add_fd(&answer, fd);
	channel_send(channel, &answer);
}

/* --- webhooks
 * --------------------------------------------------------------------------------------- */

static void
webhooks_wanted(struct daemon *daemon, struct channel *channel, struct msg *msg)
{
	(void)channel;
	if (daemon->spec->role == ROLE_SCHEDD)
		webhooks_want(daemon->agentd, msg->webhooks_wanted.wanted);
}

/* --- dispatch
 * --------------------------------------------------------------------------------------- */

static const struct {
	enum msg_type type;
	void (*fn)(struct daemon *daemon, struct channel *channel, struct msg *msg);
} requests[] = {
    {MSG_READY, ready},
    {MSG_RELOADED, reloaded},
    {MSG_PEER_QUERY, peer_query},
    {MSG_DAEMONS_QUERY, daemons_query},
    {MSG_METRICS_QUERY, metrics_query},
    {MSG_SHUTDOWN_REQUEST, shutdown_request},
    {MSG_RELOAD_REQUEST, reload_request},
    {MSG_CONFIG_QUERY, config_query},
    {MSG_KEK_QUERY, kek_query},
    {MSG_AUDIT_LOG_QUERY, audit_log_query},
    {MSG_AUDIT_FULL, audit_full},
    {MSG_WEBHOOKS_WANTED, webhooks_wanted},
};

void
daemon_message(struct channel *channel, struct msg *msg, void *arg)
{
	for (size_t i = 0; i < ARRAY_LEN(requests); i++)
		if (requests[i].type == msg->type)
			requests[i].fn(arg, channel, msg);
}
