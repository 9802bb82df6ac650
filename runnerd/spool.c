#include "spool.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/crash.h"
#include "common/io.h"
#include "fs.h"
#include "session.h"

enum {
	SPOOL_IDLE_MS = 60000,
	SPOOL_CHUNK = 64 << 10,
	SPOOLS_MAX = 64, /* at once: descriptors are bounded */
};

struct spool {
	struct spool *next;
	struct spools *all;
	struct uuid session;
	struct channel *channel;
	uint32_t request;
	int pipe, dir, file;
	uint64_t bytes;
	struct loop_source *io, *timer;
};

struct spools {
	struct runnerd *r;
	struct spool *first;
	unsigned count;
};

struct spools *
spools_new(struct runnerd *r)
{
	struct spools *spools = calloc(1, sizeof(*spools));

	if (spools)
		spools->r = r;
	return spools;
}

static void
spool_free(struct spool *spool)
{
	struct spool **at = &spool->all->first;

	while (*at && *at != spool)
		at = &(*at)->next;
	if (*at) {
		*at = spool->next;
		spool->all->count--;
	}
	loop_remove(spool->io);
	loop_remove(spool->timer);
	close_fd(&spool->pipe);
	close_fd(&spool->file);
	close_fd(&spool->dir);
	free(spool);
}

void
spools_free(struct spools *spools)
{
	if (!spools)
		return;
	while (spools->first)
		spool_free(spools->first);
	free(spools);
}

int
spool_drop(struct runnerd *r, const struct uuid *session)
{
	char name[UUID_TEXT_LEN + 1];

	if (session_find(r->sessions, session))
		return -EBUSY;
	return dir_remove_flat(r->at.records, uuid_format(session, name));
}

static void
spool_fail(struct spool *spool, struct error *error)
{
	struct runnerd *r = spool->all->r;
	struct uuid session = spool->session;

	error_what(error, "cannot spool the input");
	if (spool->channel)
		channel_reply_error(spool->channel, spool->request, error);
	spool_free(spool);
	spool_drop(r, &session);
}

static void
spool_fail_errno(struct spool *spool, int errnum, const char *call)
{
	struct error error = ERROR_INIT;

	error_errno(&error, errnum, "%s", call);
	spool_fail(spool, &error);
}

/* The name `input` stands for a whole input only. */
static void
spool_done(struct spool *spool)
{
	int rc = fdatasync(spool->file) < 0 ? -errno : 0;

	CRASH_POINT("spool.synced");
	if (!rc && renameat(spool->dir, "input.part", spool->dir, "input") < 0)
		rc = -errno;
	CRASH_POINT("spool.named");
	if (!rc)
		rc = sync_dir(spool->dir);
	if (!rc)
		rc = sync_dir(spool->all->r->at.records);
	if (rc < 0) {
		spool_fail_errno(spool, -rc, "syncing it");
		return;
	}
	if (spool->channel)
		channel_reply_ok(spool->channel, spool->request, spool->bytes);
	spool_free(spool);
}

static void
spool_chunk(struct spool *spool, const char *bytes, size_t length)
{
	struct error error = ERROR_INIT;
	int rc;

	spool->bytes += length;
	if (spool->bytes > INPUT_BYTES_MAX) {
		error_why(&error, ERR_INVALID, "it is over %d MiB", INPUT_BYTES_MAX >> 20);
		error_hint(&error, "give the agent a context directory with the file instead");
		spool_fail(spool, &error);
		return;
	}
	rc = write_all(spool->file, bytes, length);
	if (rc < 0)
		spool_fail_errno(spool, -rc, "writing it");
	else
		loop_arm_in(spool->timer, SPOOL_IDLE_MS);
}

static void
spool_ready(struct loop_source *source, uint32_t events, void *arg)
{
	struct spool *spool = arg;
	char bytes[SPOOL_CHUNK];
	ssize_t length;

	(void)source;
	(void)events;
	length = read(spool->pipe, bytes, sizeof(bytes));
	if (length > 0)
		spool_chunk(spool, bytes, (size_t)length);
	else if (length == 0)
		spool_done(spool);
	else if (errno != EAGAIN && errno != EINTR)
		spool_fail_errno(spool, errno, "reading it");
}

static void
spool_idle(struct loop_source *source, void *arg)
{
	struct error error = ERROR_INIT;

	(void)source;
	error_why(&error, ERR_FAILED, "nothing came for %d s", SPOOL_IDLE_MS / 1000);
	spool_fail(arg, &error);
}

/* A description of our own: who shares the one that came could make it block again. */
static int
own_pipe(struct spool *spool)
{
	int own, rc = fd_check(spool->pipe, S_IFIFO, O_RDONLY);

	if (rc < 0)
		return rc;
	own = reopen_readable(spool->pipe);
	if (own < 0)
		return own;
	close(spool->pipe);
	spool->pipe = own;
	return 0;
}

static int
spool_open(struct spool *spool)
{
	struct runnerd *r = spool->all->r;
	char name[UUID_TEXT_LEN + 1];
	int rc = own_pipe(spool);

	if (rc < 0)
		return rc;
	spool->dir = dir_make(r->at.records, uuid_format(&spool->session, name), 0700, 0, 0);
	if (spool->dir < 0)
		return spool->dir;
	CRASH_POINT("spool.begin");
	spool->file = openat(spool->dir, "input.part",
			     O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (spool->file < 0)
		return -errno;
	spool->timer = loop_add_timer(r->loop, spool_idle, spool);
	spool->io = loop_add_io(r->loop, spool->pipe, EPOLLIN, spool_ready, spool);
	if (!spool->timer || !spool->io)
		return -ENOMEM;
	loop_arm_in(spool->timer, SPOOL_IDLE_MS);
	return 0;
}

static bool
is_spooling(const struct spools *spools, const struct uuid *session)
{
	const struct spool *spool;

	for (spool = spools->first; spool; spool = spool->next)
		if (uuid_equal(&spool->session, session))
			return true;
	return false;
}

void
spool_start(struct spools *spools, struct channel *channel, struct msg *msg)
{
	const struct uuid *session = &msg->input_spool.session;
	struct error error = ERROR_INIT;
	struct spool *spool;
	int rc;

	if (session_find(spools->r->sessions, session) || is_spooling(spools, session))
		error_why(&error, ERR_CONFLICT, "this session has an input already");
	else if (spools->count >= SPOOLS_MAX)
		error_why(&error, ERR_FAILED, "%d inputs are being spooled already", SPOOLS_MAX);
	spool = error.code ? NULL : calloc(1, sizeof(*spool));
	if (!spool) {
		if (!error.code)
			error_errno(&error, ENOMEM, "spooling the input");
		channel_reply_error(channel, msg->id, &error);
		return;
	}
	*spool = (struct spool){.all = spools,
				.session = *session,
				.channel = channel,
				.request = msg->id,
				.pipe = msg_take_fd(msg, 0),
				.dir = -1,
				.file = -1,
				.next = spools->first};
	spools->first = spool;
	spools->count++;
	rc = spool_open(spool);
	if (rc < 0)
		spool_fail_errno(spool, -rc, "preparing");
}

void
spools_forget(struct spools *spools, const struct channel *channel)
{
	struct spool *spool;

	for (spool = spools->first; spool; spool = spool->next)
		if (spool->channel == channel)
			spool->channel = NULL;
}
