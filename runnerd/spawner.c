#include "spawner.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/channel.h"
#include "common/cleanup.h"
#include "common/confine.h"
#include "common/daemon.h"
#include "common/log.h"
#include "sandbox/spawner.h"

enum {
	BACKOFF_FIRST_MS = 100,
	BACKOFF_MOST_MS = 5000,
	STEADY_MS = 10000, /* lived so long: the next death is a first one again */
};

struct spawner_request {
	struct spawner_request *next;
	struct uuid session;
	uint32_t id;
	int boot; /* until it is sent, as what follows */
	struct cgroup_entry entry;
	bool sent;
	spawned_fn *fn; /* NULL: forgotten */
	void *arg;
};

struct spawner {
	struct loop *loop;
	struct channel *channel; /* NULL while none lives */
	struct loop_source *again;
	pid_t pid;
	uint64_t started_ns, backoff_ms;
	int binary, keeper, init;
	uint32_t last_id;
	struct spawner_request *first;
};

/* --- requests ------------------------------------------------------------------------------- */

static void
request_free(struct spawner *spawner, struct spawner_request *request)
{
	struct spawner_request **at = &spawner->first;

	while (*at && *at != request)
		at = &(*at)->next;
	if (*at)
		*at = request->next;
	close_fd(&request->boot);
	cgroup_entry_close(&request->entry);
	free(request);
}

static void
request_answer(struct spawner *spawner, struct spawner_request *request, pid_t pid, int pidfd,
	       const struct error *error)
{
	spawned_fn *fn = request->fn;
	void *arg = request->arg;

	request_free(spawner, request);
	if (fn)
		fn(pid, pidfd, error, arg);
	else if (pidfd >= 0)
		close(pidfd);
}

static void
request_send(struct spawner *spawner, struct spawner_request *request)
{
	struct msg msg;

	msg_init(&msg, MSG_SPAWN);
	msg.id = request->id;
	msg.spawn.session = request->session;
	msg_add_fd(&msg, steal_fd(&request->boot));
	for (unsigned i = 0; i < request->entry.count; i++)
		msg_add_fd(&msg, request->entry.fds[i]);
	request->entry.count = 0;
	request->sent = true;
	channel_send(spawner->channel, &msg);
}

struct spawner_request *
spawner_ask(struct spawner *spawner, const struct uuid *session, int boot,
	    struct cgroup_entry *entry, spawned_fn *fn, void *arg)
{
	struct spawner_request *request = calloc(1, sizeof(*request));

	if (!request) {
		close(boot);
		cgroup_entry_close(entry);
		return NULL;
	}
	*request = (struct spawner_request){.next = spawner->first,
					    .session = *session,
					    .id = ++spawner->last_id,
					    .boot = boot,
					    .entry = *entry,
					    .fn = fn,
					    .arg = arg};
	entry->count = 0;
	if (!spawner->last_id)
		request->id = ++spawner->last_id;
	spawner->first = request;
	if (spawner->channel)
		request_send(spawner, request);
	return request;
}

void
spawner_forget(struct spawner_request *request)
{
	request->fn = NULL;
}

/* Whether one that was sent left a keeper behind, nobody knows: it fails, and the keeper, if
 * there is one, ends with its channel. */
static void
fail_sent(struct spawner *spawner)
{
	struct error error = ERROR_INIT;
	struct spawner_request *request;

	error_why(&error, ERR_UNREACHABLE, "the spawner died");
	for (;;) {
		for (request = spawner->first; request && !request->sent; request = request->next)
			;
		if (!request)
			return;
		request_answer(spawner, request, -1, -1, &error);
	}
}

/* --- the process ---------------------------------------------------------------------------- */

/* Moves a descriptor to its fixed number; the source is above all of them. */
static bool
place(int fd, int number)
{
	return dup2(fd, number) == number;
}

static _Noreturn void
run_child(const struct spawner *spawner, int end)
{
	static char *argv[] = {(char *)"spawner", NULL}, *envp[] = {NULL, NULL};
	const int above = 16;
	int channel = fcntl(end, F_DUPFD, above), keeper = fcntl(spawner->keeper, F_DUPFD, above);
	int init = fcntl(spawner->init, F_DUPFD, above);
	int binary = fcntl(spawner->binary, F_DUPFD, above);
	const char *journal = getenv("JOURNAL_STREAM");
	char stream[64];
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (journal) {
		snprintf(stream, sizeof(stream), "JOURNAL_STREAM=%s", journal);
		envp[0] = stream;
	}
	if (!place(channel, SPAWNER_FD_CHANNEL) ||
	    !place(DAEMON_FD_GENERATION, SPAWNER_FD_GENERATION) ||
	    fcntl(SPAWNER_FD_GENERATION, F_SETFD, 0) < 0 || !place(keeper, SPAWNER_FD_KEEPER) ||
	    !place(init, SPAWNER_FD_INIT) || dup3(binary, SPAWNER_FD_INIT + 1, O_CLOEXEC) < 0)
		_exit(1);
	if (close_from(SPAWNER_FD_INIT + 2) < 0)
		_exit(1);
	execveat(SPAWNER_FD_INIT + 1, "", argv, envp, AT_EMPTY_PATH);
	_exit(1);
}

static int
fork_child(struct spawner *spawner)
{
	int ends[2], rc;

	rc = channel_pair(ends);
	if (rc < 0)
		return rc;
	spawner->pid = fork();
	if (!spawner->pid)
		run_child(spawner, ends[1]);
	rc = -errno;
	close(ends[1]);
	if (spawner->pid > 0)
		return ends[0];
	close(ends[0]);
	return rc;
}

static void
spawner_message(struct channel *channel, struct msg *msg, void *arg)
{
	struct spawner *spawner = arg;
	struct spawner_request *request = spawner->first;
	struct error error = ERROR_INIT;

	(void)channel;
	while (request && request->id != msg->id)
		request = request->next;
	if (!request)
		return;
	if (msg->type == MSG_SPAWNED) {
		request_answer(spawner, request, (pid_t)msg->spawned.pid, msg_take_fd(msg, 0),
			       NULL);
		return;
	}
	msg_to_error(msg, &error);
	request_answer(spawner, request, -1, -1, &error);
}

static void
reap(struct spawner *spawner)
{
	if (spawner->pid <= 0)
		return;
	/* Its channel broke: whatever it does now, nobody listens. */
	kill(spawner->pid, SIGKILL);
	while (waitpid(spawner->pid, NULL, 0) < 0 && errno == EINTR)
		;
	spawner->pid = 0;
}

static void
spawner_closed(struct channel *channel, const struct error *error, void *arg)
{
	struct spawner *spawner = arg;
	uint64_t lived_ms = (boottime_ns() - spawner->started_ns) / 1000000;

	(void)channel;
	if (error)
		log_problem(LOG_LEVEL_ERROR, error);
	spawner->channel = NULL;
	reap(spawner);
	fail_sent(spawner);
	if (lived_ms > STEADY_MS)
		spawner->backoff_ms = 0;
	log_warn("the spawner ended; it is started again in %llu ms",
		 (unsigned long long)spawner->backoff_ms);
	loop_arm_in(spawner->again, spawner->backoff_ms ? spawner->backoff_ms : 1);
	spawner->backoff_ms = spawner->backoff_ms ? spawner->backoff_ms * 2 : BACKOFF_FIRST_MS;
	if (spawner->backoff_ms > BACKOFF_MOST_MS)
		spawner->backoff_ms = BACKOFF_MOST_MS;
}

static const struct channel_ops spawner_ops = {
    .message = spawner_message,
    .closed = spawner_closed,
};

static int
spawner_start(struct spawner *spawner)
{
	struct spawner_request *request;
	int fd = fork_child(spawner);

	if (fd < 0)
		return fd;
	spawner->started_ns = boottime_ns();
	spawner->channel = channel_new(spawner->loop, fd, CH_SPAWNER, SIDE_A, ROLE_RUNNERD,
				       ROLE_SPAWNER, &spawner_ops, spawner);
	if (!spawner->channel) {
		reap(spawner);
		return -ENOMEM;
	}
	for (request = spawner->first; request; request = request->next)
		if (!request->sent)
			request_send(spawner, request);
	return 0;
}

static void
spawner_again(struct loop_source *source, void *arg)
{
	struct spawner *spawner = arg;
	struct error error = ERROR_INIT;
	int rc = spawner_start(spawner);

	if (rc == 0)
		return;
	error_errno(&error, -rc, "cannot start the spawner");
	log_problem(LOG_LEVEL_ERROR, &error);
	loop_arm_in(source, BACKOFF_MOST_MS);
}

static int
open_binary(int dir, const char *name, struct error *error)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd >= 0)
		return fd;
	error_errno(error, errno, "cannot open %s of libexec_dir", name);
	return error_hint(error, "libexec_dir of agentd.yaml must name the directory with the "
				 "runtime's helpers");
}

static int
open_binaries(struct spawner *spawner, const char *libexec_dir, struct error *error)
{
	_cleanup_close_ int dir = open(libexec_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return error_errno(error, errno, "cannot open libexec_dir %s", libexec_dir);
	spawner->binary = open_binary(dir, "spawner", error);
	if (spawner->binary >= 0)
		spawner->keeper = open_binary(dir, "keeper", error);
	if (spawner->keeper >= 0)
		spawner->init = open_binary(dir, "init", error);
	return spawner->init < 0 ? -1 : 0;
}

struct spawner *
spawner_new(struct loop *loop, const char *libexec_dir, struct error *error)
{
	struct spawner *spawner = calloc(1, sizeof(*spawner));
	int rc;

	if (!spawner) {
		error_errno(error, ENOMEM, "the spawner");
		return NULL;
	}
	*spawner = (struct spawner){.loop = loop, .binary = -1, .keeper = -1, .init = -1};
	spawner->again = loop_add_timer(loop, spawner_again, spawner);
	rc = open_binaries(spawner, libexec_dir, error);
	if (!rc && (!spawner->again || spawner_start(spawner) < 0))
		rc = error_errno(error, errno, "cannot start the spawner");
	if (!rc)
		return spawner;
	spawner_free(spawner);
	return NULL;
}

void
spawner_free(struct spawner *spawner)
{
	if (!spawner)
		return;
	channel_free(spawner->channel);
	reap(spawner);
	while (spawner->first)
		request_free(spawner, spawner->first);
	loop_remove(spawner->again);
	close_fd(&spawner->binary);
	close_fd(&spawner->keeper);
	close_fd(&spawner->init);
	free(spawner);
}
