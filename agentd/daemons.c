/*
 * The life of a daemon: STARTING until it says READY, then introduced to the others; its death or
 * the end of its channel lead to WAITING and a new start, with a pause that grows.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>

#include "agentd.h"
#include "audit_files.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/notice.h"
#include "generation.h"
#include "helpers.h"
#include "kek.h"
#include "notify.h"

enum {
	READY_WITHIN_MS = 20000,
	DEATHS_WINDOW_MS = 60000,
	PAUSE_FIRST_MS = 100,
	PAUSE_MAX_MS = 5000,
	STOP_WITHIN_MS = 5000,
};

const struct daemon_spec daemon_specs[DAEMONS] = {
    [D_SECRETD] = {ROLE_SECRETD, CH_SUPERVISE_SECRETD, "secretd"},
    [D_RUNNERD] = {ROLE_RUNNERD, CH_SUPERVISE, "runnerd"},
    [D_SCHEDD] = {ROLE_SCHEDD, CH_SUPERVISE, "schedd"},
    [D_DIALER] = {ROLE_DIALER, CH_SUPERVISE, "dialer"},
    [D_CONTROL] = {ROLE_CONTROL, CH_SUPERVISE_CONTROL, "agentd-control"},
    [D_WEBHOOK] = {ROLE_WEBHOOK, CH_SUPERVISE, "webhook", .on_demand = true},
};

/* Every channel between daemons, DESIGN 2: side A and side B. */
static const struct introduction {
	enum channel_kind kind;
	enum daemon_number a, b;
} introductions[] = {
    {CH_CONTROL_SCHEDD, D_CONTROL, D_SCHEDD},
    {CH_CONTROL_RUNNERD, D_CONTROL, D_RUNNERD},
    {CH_SCHEDD_RUNNERD, D_SCHEDD, D_RUNNERD},
    {CH_AUDIT, D_CONTROL, D_SECRETD},
    {CH_AUDIT, D_SCHEDD, D_SECRETD},
    {CH_AUDIT, D_RUNNERD, D_SECRETD},
    {CH_RUNNERD_SECRETD, D_RUNNERD, D_SECRETD},
    {CH_RUNNERD_DIALER, D_RUNNERD, D_DIALER},
    {CH_SCHEDD_SECRETD, D_SCHEDD, D_SECRETD},
    {CH_SCHEDD_WEBHOOK, D_SCHEDD, D_WEBHOOK},
};

static void start(struct daemon *daemon);
static void check_stopped(struct agentd *agentd);

static const char *
name_of(const struct daemon *daemon)
{
	return role_name(daemon->spec->role);
}

void
agentd_audit(struct agentd *agentd, bool allowed, const char *action, const char *fmt, ...)
{
	struct msg_audit entry = {.allowed = allowed};
	va_list args;

	snprintf(entry.action, sizeof(entry.action), "%s", action);
	va_start(args, fmt);
	vsnprintf(entry.detail, sizeof(entry.detail), fmt, args);
	va_end(args);
	audit_send(agentd->audit, &entry);
}

/* To control, which tells who watches. */
static void
notice_daemon(struct agentd *agentd, enum notice_kind kind, const struct daemon *daemon, pid_t pid,
	      const char *text)
{
	const struct daemon *control = &agentd->daemons[D_CONTROL];
	struct msg msg;

	if (control->state != DAEMON_READY)
		return;
	notice_init(&msg, kind);
	msg.notice.count = (uint64_t)pid;
	snprintf(msg.notice.name, sizeof(msg.notice.name), "%s", name_of(daemon));
	snprintf(msg.notice.text, sizeof(msg.notice.text), "%s", text);
	notice_send(control->channel, &agentd->missed, &msg);
}

static void
add_holder(struct holders *holders, const char *role, const struct procid *id)
{
	struct holder *holder = &holders->all[holders->count++];

	snprintf(holder->role, sizeof(holder->role), "%s", role);
	holder->id = *id;
}

/* A stopping agentd does not call itself so: the next one shall wait for it, not refuse. */
static void
record(struct agentd *agentd)
{
	struct holders holders = {0};
	struct procid self;
	int rc = procid_read(getpid(), &self);

	if (rc == 0)
		add_holder(&holders, agentd->stopping ? "stopping" : "agentd", &self);
	for (unsigned i = 0; i < DAEMONS; i++)
		if (agentd->daemons[i].id.pid)
			add_holder(&holders, name_of(&agentd->daemons[i]), &agentd->daemons[i].id);
	rc = generation_record(agentd->run_fd, &holders);
	if (rc < 0)
		log_error("writing %s/agentd.pids: %s", agentd->config->run_dir, strerror(-rc));
}

/* --- introductions -------------------------------------------------------------------------------
 */

static int
introduce_end(struct daemon *to, enum channel_kind kind, enum role peer, int fd)
{
	struct msg msg;

	msg_init(&msg, MSG_INTRODUCE);
	msg.introduce.kind = (uint8_t)kind;
	msg.introduce.role = (uint8_t)peer;
	msg_add_fd(&msg, fd);
	return channel_send(to->channel, &msg);
}

static void
introduce(struct daemon *a, struct daemon *b, enum channel_kind kind)
{
	int ends[2], rc = channel_pair(ends);

	if (rc == 0) {
		rc = introduce_end(a, kind, b->spec->role, ends[0]);
		if (rc == 0)
			rc = introduce_end(b, kind, a->spec->role, ends[1]);
		else
			close(ends[1]);
	}
	if (rc < 0 && rc != -EPIPE) /* a daemon that just died meets the others at its return */
		log_error("introducing %s and %s: %s", name_of(a), name_of(b), strerror(-rc));
}

static void
introduce_agentd(struct agentd *agentd, struct daemon *secretd)
{
	int ends[2], rc = channel_pair(ends);

	if (rc == 0) {
		audit_introduced(agentd->audit, ends[0]);
		rc = introduce_end(secretd, CH_AUDIT, ROLE_AGENTD, ends[1]);
	}
	if (rc < 0 && rc != -EPIPE)
		log_error("introducing agentd to secretd: %s", strerror(-rc));
}

/* To each of the others that can be spoken with; the rest meet it when they are ready. */
static void
introduce_all(struct daemon *daemon)
{
	struct agentd *agentd = daemon->agentd;

	if (daemon->spec->role == ROLE_SECRETD)
		introduce_agentd(agentd, daemon);
	for (size_t i = 0; i < ARRAY_LEN(introductions); i++) {
		struct daemon *a = &agentd->daemons[introductions[i].a];
		struct daemon *b = &agentd->daemons[introductions[i].b];

		if ((a == daemon || b == daemon) && a->state == DAEMON_READY &&
		    b->state == DAEMON_READY)
			introduce(a, b, introductions[i].kind);
	}
}

static bool
all_ready(const struct agentd *agentd)
{
	for (unsigned i = 0; i < DAEMONS; i++)
		if (!agentd->daemons[i].spec->on_demand && agentd->daemons[i].state != DAEMON_READY)
			return false;
	return true;
}

static unsigned
count_ready(const struct agentd *agentd)
{
	unsigned count = 0;

	for (unsigned i = 0; i < DAEMONS; i++)
		count += agentd->daemons[i].state == DAEMON_READY;
	return count;
}

static void
announce(struct agentd *agentd)
{
	char lines[128];

	if (!all_ready(agentd))
		return;
	if (!agentd->announced)
		log_event(LOG_EVENT_READY, LOG_LEVEL_INFO, NULL, NULL, "ready: %s",
			  agentd->config->socket);
	agentd->announced = true;
	snprintf(lines, sizeof(lines), "READY=1\nSTATUS=%u daemons are ready.",
		 count_ready(agentd));
	notify_send(agentd->notify, lines);
}

static void
send_reload(struct daemon *daemon)
{
	struct agentd *agentd = daemon->agentd;
	struct msg msg;

	msg_init(&msg, MSG_RELOAD);
	msg.reload.generation = agentd->config_generation;
	msg_add_fd(&msg, fcntl(agentd->config_fd, F_DUPFD_CLOEXEC, 0));
	if (channel_send(daemon->channel, &msg) < 0)
		return;
	daemon->generation = agentd->config_generation;
	daemon->reloads++;
}

void
daemon_confined(struct daemon *daemon)
{
	daemon->state = DAEMON_READY;
	channel_set_phase(daemon->channel, IN_OPEN);
	loop_arm(daemon->timer, 0);
	log_debug("%s (pid %d) is confined and ready", name_of(daemon), daemon->id.pid);
	if (daemon->generation != daemon->agentd->config_generation)
		send_reload(daemon); /* one came while it started */
	introduce_all(daemon);
	notice_daemon(daemon->agentd, NOTICE_DAEMON_STARTED, daemon, daemon->id.pid, "");
	webhooks_ready(daemon->agentd, daemon);
	announce(daemon->agentd);
}

/* --- start
 * ------------------------------------------------------------------------------------------- */

/* Which file the chain goes on in is looked up for each secretd. */
static void
find_audit_log(struct agentd *agentd)
{
	struct error error = ERROR_INIT;
	int fd = audit_files_open(agentd->log_fd, agentd->config, &error);

	if (fd < 0) {
		log_problem(LOG_LEVEL_ERROR, &error);
		return;
	}
	close(agentd->audit_fd);
	agentd->audit_fd = fd;
}

static void
add_copy(struct msg *msg, int fd)
{
	msg_add_fd(msg, fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

/* A key that is not there, or none to be had without an operator: secretd asks again when it needs
 * it, and tells the operator who waits for it. */
static void
add_kek(struct agentd *agentd, struct msg *msg)
{
	struct error error = ERROR_INIT;
	int kek = kek_open(agentd->config, KEK_OPEN, &error);

	if (kek >= 0)
		msg_add_fd(msg, kek);
}

/* Which the dialer reads once it is confined. */
static void
add_resolvers(struct msg *msg)
{
	int fd = open("/etc/resolv.conf", O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd >= 0)
		msg_add_fd(msg, fd);
}

static void
send_start(struct channel *channel, void *arg)
{
	struct daemon *daemon = arg;
	struct agentd *agentd = daemon->agentd;
	struct msg msg;

	if (daemon->spec->role == ROLE_SECRETD)
		find_audit_log(agentd);
	msg_init(&msg, MSG_START);
	msg.start.generation = daemon->generation = agentd->config_generation;
	add_copy(&msg, agentd->config_fd);
	if (daemon->spec->role == ROLE_CONTROL) {
		add_copy(&msg, agentd->listen_fd);
		if (agentd->metrics_fd >= 0)
			add_copy(&msg, agentd->metrics_fd);
	} else if (daemon->spec->role == ROLE_SECRETD) {
		add_copy(&msg, agentd->audit_fd);
		add_copy(&msg, agentd->secrets_fd);
		add_kek(agentd, &msg);
	} else if (daemon->spec->role == ROLE_DIALER) {
		add_resolvers(&msg);
	} else if (daemon->spec->role == ROLE_WEBHOOK) {
		webhooks_add(agentd, &msg);
	}
	channel_send(channel, &msg);
}

/* Its death follows, and with it everything else. */
static void
kill_daemon(struct daemon *daemon)
{
	if (daemon->id.pid)
		kill(daemon->id.pid, SIGKILL);
}

static void
channel_closed(struct channel *channel, const struct error *error, void *arg)
{
	struct daemon *daemon = arg;

	(void)channel;
	daemon->channel = NULL;
	if (daemon->agentd->stopping || !daemon->id.pid)
		return;
	if (error)
		log_problem(LOG_LEVEL_ERROR, error);
	log_debug("the channel of %s (pid %d) closed", name_of(daemon), daemon->id.pid);
	kill_daemon(daemon);
}

static const struct channel_ops supervise_ops = {
    .opened = send_start,
    .message = daemon_message,
    .closed = channel_closed,
};

static int
spawn(struct daemon *daemon, struct error *error)
{
	struct agentd *agentd = daemon->agentd;
	int ends[2], rc = channel_pair(ends);
	pid_t pid;

	if (rc < 0)
		return error_errno(error, -rc, "a channel with %s", name_of(daemon));
	pid = helper_start(daemon->binary, daemon->spec->binary, ends[1], agentd->lock_fd, error);
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		return -1;
	}
	daemon->id = (struct procid){.pid = pid};
	procid_read(pid, &daemon->id);
	daemon->channel = channel_new(agentd->loop, ends[0], daemon->spec->kind, SIDE_A,
				      ROLE_AGENTD, daemon->spec->role, &supervise_ops, daemon);
	if (!daemon->channel) {
		kill_daemon(daemon);
		return error_errno(error, errno, "a channel with %s", name_of(daemon));
	}
	return 0;
}

/* How often it died lately, and so how long it waits. */
static unsigned
recent_deaths(const struct daemon *daemon)
{
	uint64_t now = boottime_ns();
	unsigned count = 0;

	while (count < DEATHS_MAX && daemon->deaths_ns[count] &&
	       now - daemon->deaths_ns[count] < UINT64_C(1000000) * DEATHS_WINDOW_MS)
		count++;
	return count;
}

static uint64_t
pause_ms(unsigned deaths)
{
	uint64_t pause = PAUSE_FIRST_MS;

	if (deaths < 2)
		return 0;
	for (; deaths > 2 && pause < PAUSE_MAX_MS; deaths--)
		pause *= 2;
	return pause < PAUSE_MAX_MS ? pause : PAUSE_MAX_MS;
}

static void
restart_later(struct daemon *daemon)
{
	struct agentd *agentd = daemon->agentd;
	unsigned deaths;

	memmove(daemon->deaths_ns + 1, daemon->deaths_ns,
		(DEATHS_MAX - 1) * sizeof(*daemon->deaths_ns));
	daemon->deaths_ns[0] = boottime_ns();
	deaths = recent_deaths(daemon);
	if (deaths == DEATHS_MAX && daemon->spec->on_demand) {
		daemon->state = DAEMON_NONE;
		webhooks_gave_up(agentd);
		return;
	}
	if (deaths == DEATHS_MAX) {
		log_error("%s died %d times within %d s; agentd gives up", name_of(daemon),
			  DEATHS_MAX, DEATHS_WINDOW_MS / 1000);
		agentd_audit(agentd, true, "agentd.give-up", "%s died %d times within %d s",
			     name_of(daemon), DEATHS_MAX, DEATHS_WINDOW_MS / 1000);
		daemons_stop(agentd, 1);
		return;
	}
	daemon->state = DAEMON_WAITING;
	daemon->restarts++;
	loop_arm_in(daemon->timer, pause_ms(deaths));
	webhooks_died(agentd, daemon);
}

static void
timer_due(struct loop_source *source, void *arg)
{
	struct daemon *daemon = arg;

	(void)source;
	if (daemon->state == DAEMON_WAITING) {
		start(daemon);
	} else if (daemon->state == DAEMON_STOPPING) {
		kill_daemon(daemon);
	} else if (daemon->state == DAEMON_STARTING) {
		log_error("%s (pid %d) was not ready within %d s", name_of(daemon), daemon->id.pid,
			  READY_WITHIN_MS / 1000);
		kill_daemon(daemon);
	}
}

static void
start(struct daemon *daemon)
{
	struct error error = ERROR_INIT;

	daemon->state = DAEMON_STARTING;
	daemon->started_at_ms = realtime_ms();
	loop_arm_in(daemon->timer, READY_WITHIN_MS);
	if (spawn(daemon, &error) < 0) {
		log_problem(LOG_LEVEL_ERROR, &error);
		if (!daemon->id.pid)
			restart_later(daemon);
		return;
	}
	log_debug("started %s (pid %d)", name_of(daemon), daemon->id.pid);
	record(daemon->agentd);
}

int
daemons_open(struct agentd *agentd, struct error *error)
{
	for (unsigned i = 0; i < DAEMONS; i++) {
		struct daemon *daemon = &agentd->daemons[i];

		daemon->spec = &daemon_specs[i];
		daemon->agentd = agentd;
		daemon->binary =
		    helper_open(agentd->config->libexec_dir, daemon->spec->binary, error);
		if (daemon->binary < 0)
			return -1;
	}
	return 0;
}

int
daemons_start(struct agentd *agentd, struct error *error)
{
	for (unsigned i = 0; i < DAEMONS; i++) {
		struct daemon *daemon = &agentd->daemons[i];

		daemon->timer = loop_add_timer(agentd->loop, timer_due, daemon);
		if (!daemon->timer)
			return error_errno(error, errno, "a timer for %s", name_of(daemon));
	}
	for (unsigned i = 0; i < DAEMONS; i++) {
		struct daemon *daemon = &agentd->daemons[i];

		daemon->wanted = !daemon->spec->on_demand;
		if (daemon->wanted)
			start(daemon);
	}
	return 0;
}

/* --- death
 * ------------------------------------------------------------------------------------------- */

static const char *
how_it_ended(int status, char *text, size_t size)
{
	if (WIFSIGNALED(status))
		snprintf(text, size, "killed by SIG%s%s", sigabbrev_np(WTERMSIG(status)),
			 WTERMSIG(status) == SIGSYS ? " (a system call that it may not make)" : "");
	else
		snprintf(text, size, "exited with status %d", WEXITSTATUS(status));
	return text;
}

static void
died(struct daemon *daemon, int status)
{
	struct agentd *agentd = daemon->agentd;
	pid_t pid = daemon->id.pid;
	char how[80];

	how_it_ended(status, how, sizeof(how));
	daemon->id = (struct procid){0};
	channel_free(daemon->channel);
	daemon->channel = NULL;
	daemon->reloads = 0;
	loop_arm(daemon->timer, 0);
	agentd_reload_answered(agentd, daemon, NULL);
	if (agentd->stopping) {
		daemon->state = DAEMON_NONE;
		log_debug("%s (pid %d) %s", name_of(daemon), pid, how);
		check_stopped(agentd);
		return;
	}
	if (daemon->state == DAEMON_STOPPING) {
		daemon->state = DAEMON_NONE;
		record(agentd);
		if (daemon->wanted)
			start(daemon);
		return;
	}
	log_event(LOG_EVENT_DAEMON_DIED, LOG_LEVEL_WARNING, NULL, NULL,
		  "%s (pid %d) %s; it is started again", name_of(daemon), pid, how);
	agentd_audit(agentd, true, "agentd.daemon-restart", "%s (pid %d) %s", name_of(daemon), pid,
		     how);
	notice_daemon(agentd, NOTICE_DAEMON_ENDED, daemon, pid, how);
	record(agentd);
	restart_later(daemon);
}

static struct daemon *
by_pid(struct agentd *agentd, pid_t pid)
{
	for (unsigned i = 0; i < DAEMONS; i++)
		if (agentd->daemons[i].id.pid == pid)
			return &agentd->daemons[i];
	return NULL;
}

/* Whoever is neither a daemon nor the parser was orphaned to the subreaper: a keeper. */
void
daemons_reap(struct agentd *agentd)
{
	struct daemon *daemon;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		daemon = by_pid(agentd, pid);
		if (daemon)
			died(daemon, status);
		else if (!settings_reaped(agentd->settings, pid))
			log_debug("reaped the orphan %d", pid);
	}
}

/* --- stop
 * ---------------------------------------------------------------------------------------------- */

static void
send_stop(struct daemon *daemon)
{
	struct msg msg;

	if (!daemon->id.pid) {
		daemon->state = DAEMON_NONE;
		loop_arm(daemon->timer, 0);
		return;
	}
	if (daemon->state == DAEMON_STOPPING)
		return;
	daemon->state = DAEMON_STOPPING;
	msg_init(&msg, MSG_STOP);
	if (!daemon->channel || channel_send(daemon->channel, &msg) < 0)
		kill_daemon(daemon);
}

void
daemon_want(struct daemon *daemon, bool wanted)
{
	daemon->wanted = wanted && !daemon->agentd->stopping;
	memset(daemon->deaths_ns, 0, sizeof(daemon->deaths_ns));
	if (!daemon->id.pid) {
		daemon->state = DAEMON_NONE;
		loop_arm(daemon->timer, 0);
		if (daemon->wanted)
			start(daemon);
		return;
	}
	loop_arm_in(daemon->timer, STOP_WITHIN_MS);
	if (daemon->state == DAEMON_STARTING) { /* which takes no STOP yet */
		daemon->state = DAEMON_STOPPING;
		kill_daemon(daemon);
	} else {
		send_stop(daemon);
	}
}

static bool
any_runs(const struct agentd *agentd)
{
	for (unsigned i = 0; i < DAEMONS; i++)
		if (agentd->daemons[i].id.pid)
			return true;
	return false;
}

/* secretd goes last: it writes what the others said at their end. */
static void
check_stopped(struct agentd *agentd)
{
	for (unsigned i = 0; i < DAEMONS; i++)
		if (i != D_SECRETD && agentd->daemons[i].id.pid)
			return;
	if (agentd->daemons[D_SECRETD].state != DAEMON_STOPPING) {
		agentd_audit(agentd, true, "agentd.stop", "sessions go on without daemons");
		send_stop(&agentd->daemons[D_SECRETD]);
	}
	if (!any_runs(agentd))
		loop_stop(agentd->loop, agentd->status);
}

static void
kill_all(struct loop_source *source, void *arg)
{
	struct agentd *agentd = arg;

	(void)source;
	for (unsigned i = 0; i < DAEMONS; i++) {
		if (!agentd->daemons[i].id.pid)
			continue;
		log_warn("%s (pid %d) did not stop within %d s; it is killed",
			 name_of(&agentd->daemons[i]), agentd->daemons[i].id.pid,
			 STOP_WITHIN_MS / 1000);
		kill_daemon(&agentd->daemons[i]);
	}
}

void
daemons_stop(struct agentd *agentd, int status)
{
	if (agentd->stopping) {
		kill_all(NULL, agentd);
		return;
	}
	agentd->stopping = true;
	agentd->status = status;
	log_info("stopping the daemons; sessions go on");
	notify_send(agentd->notify, "STOPPING=1\nSTATUS=Stopping the daemons; sessions go on.");
	record(agentd);
	agentd->stop_timer = loop_add_timer(agentd->loop, kill_all, agentd);
	if (agentd->stop_timer)
		loop_arm_in(agentd->stop_timer, STOP_WITHIN_MS);
	for (unsigned i = 0; i < DAEMONS; i++)
		if (i != D_SECRETD)
			send_stop(&agentd->daemons[i]);
	check_stopped(agentd);
}

void
daemons_reload(struct agentd *agentd)
{
	for (unsigned i = 0; i < DAEMONS; i++)
		if (agentd->daemons[i].state == DAEMON_READY)
			send_reload(&agentd->daemons[i]);
}

bool
daemons_reloading(const struct agentd *agentd)
{
	for (unsigned i = 0; i < DAEMONS; i++)
		if (agentd->daemons[i].reloads)
			return true;
	return false;
}

void
daemons_free(struct agentd *agentd)
{
	for (unsigned i = 0; i < DAEMONS; i++) {
		struct daemon *daemon = &agentd->daemons[i];

		channel_free(daemon->channel);
		loop_remove(daemon->timer);
		if (daemon->spec)
			close_fd(&daemon->binary);
	}
}
