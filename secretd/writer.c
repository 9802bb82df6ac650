#include "writer.h"

#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/log.h"

enum { RETRY_MS = 1000 };

struct writer {
	int fd;
	struct chain chain;
	struct sources sources;
	const uint8_t *key;
	struct loop_source *flush;
	char *pending;
	size_t length, done;
	off_t written; /* bytes of the file */
	int next;      /* to go on in once all is written; -1: none */
	bool full, failing, large;
	const struct writer_ops *ops;
	void *arg;
};

static void
set_full(struct writer *w, bool full)
{
	if (w->full == full)
		return;
	w->full = full;
	w->ops->full(full, w->arg);
}

/* A line cut short by a full disk is completed by the next try: nothing is ever torn by it. */
static int
write_pending(struct writer *w)
{
	while (w->done < w->length) {
		ssize_t n = write(w->fd, w->pending + w->done, w->length - w->done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		w->done += (size_t)n;
	}
	return fdatasync(w->fd) < 0 ? -errno : 0;
}

static void
failed(struct writer *w, int rc)
{
	if (!w->failing)
		log_error(
		    "writing audit.log: %s; entries wait in memory and are tried again every "
		    "second, and commands that change something are refused when too many wait",
		    strerror(-rc));
	w->failing = true;
	loop_arm_in(w->flush, RETRY_MS);
}

static void go_on_in_next(struct writer *w);

static void
flush_pending(struct loop_source *source, void *arg)
{
	struct writer *w = arg;
	int rc = write_pending(w);

	(void)source;
	if (rc < 0) {
		failed(w, rc);
		return;
	}
	if (w->failing)
		log_info("audit.log is written again");
	w->failing = false;
	w->written += (off_t)w->length;
	w->length = w->done = 0;
	set_full(w, false);
	w->ops->durable(w->arg);
	if (w->next >= 0)
		go_on_in_next(w);
	if (w->written >= AUDIT_FILE_BYTES && !w->large && w->ops->large) {
		w->large = true;
		w->ops->large(w->chain.seq, w->arg);
	}
}

static void
append(struct writer *w, const char *line, size_t length)
{
	if (!w->length)
		loop_arm_in(w->flush, 0);
	memcpy(w->pending + w->length, line, length);
	w->length += length;
	if (w->length > WRITER_FULL)
		set_full(w, true);
}

void
writer_add(struct writer *w, enum role role, const struct msg_audit *entry)
{
	_cleanup_free_ char *line = NULL;
	struct chain before = w->chain;
	size_t length;

	if (!sources_note(&w->sources, role, entry)) {
		loop_arm_in(w->flush, 0); /* told again that it is durable */
		return;
	}
	line = chain_line(&w->chain, role, realtime_ms(), entry, w->key, &length);
	if (!line || length > WRITER_PENDING_MAX - w->length) {
		w->chain = before;
		log_error("audit.log: no room for the entry %s of %s; it is lost", entry->action,
			  role_name(role));
		return;
	}
	append(w, line, length);
}

static void
add_own(struct writer *w, const char *action, const char *detail)
{
	struct msg_audit entry = {.allowed = true};

	snprintf(entry.action, sizeof(entry.action), "%s", action);
	snprintf(entry.detail, sizeof(entry.detail), "%s", detail);
	writer_add(w, ROLE_SECRETD, &entry);
}

void
writer_key(struct writer *w, const uint8_t *key)
{
	bool new = key && !w->key;

	w->key = key;
	if (new)
		add_own(w, "audit.key", "entries from here on carry a MAC");
}

static void
go_on_in_next(struct writer *w)
{
	char told[REASON_MAX + 1];

	close(w->fd);
	w->fd = w->next;
	w->next = -1;
	w->written = 0;
	w->large = false;
	sources_tell(&w->sources, told, sizeof(told));
	add_own(w, "audit.begin", told);
}

void
writer_next(struct writer *w, int fd)
{
	close_fd(&w->next);
	w->next = fd;
	loop_arm_in(w->flush, 0);
}

/* What was found at the log's end is itself an entry. */
static void
note_resumption(struct writer *w, enum chain_found found, const char *note)
{
	if (found != CHAIN_TORN && found != CHAIN_BROKEN)
		return;
	log_warn("audit.log: %s", note);
	if (found == CHAIN_TORN)
		append(w, "\n", 1);
	add_own(w, found == CHAIN_TORN ? "audit.torn" : "audit.chain-broken", note);
}

static int
resume(struct writer *w, enum chain_found *found, char *note)
{
	struct stat st;
	int rc = chain_resume(&w->chain, w->fd, found, note);

	if (rc == 0)
		rc = sources_read(&w->sources, w->fd);
	if (rc == 0 && fstat(w->fd, &st) < 0)
		rc = -errno;
	w->written = rc == 0 ? st.st_size : 0;
	return rc;
}

struct writer *
writer_new(struct loop *loop, int fd, const struct writer_ops *ops, void *arg, struct error *error)
{
	struct writer *w = calloc(1, sizeof(*w));
	char note[CHAIN_NOTE_MAX + 1];
	enum chain_found found;
	int rc = -ENOMEM;

	if (!w) {
		close(fd);
		error_errno(error, ENOMEM, "the audit writer");
		return NULL;
	}
	w->fd = fd;
	w->next = -1;
	w->ops = ops;
	w->arg = arg;
	w->pending = malloc(WRITER_PENDING_MAX);
	w->flush = loop_add_timer(loop, flush_pending, w);
	if (w->pending && w->flush)
		rc = resume(w, &found, note);
	if (rc < 0) {
		error_errno(error, -rc, "the end of audit.log cannot be read");
		writer_free(w);
		return NULL;
	}
	note_resumption(w, found, note);
	return w;
}

void
writer_free(struct writer *w)
{
	if (!w)
		return;
	loop_remove(w->flush);
	free(w->pending);
	close_fd(&w->next);
	close(w->fd);
	free(w);
}

struct source
writer_source(const struct writer *w, enum role role)
{
	return w->sources.by_role[role];
}

int
writer_fd(const struct writer *w)
{
	return w->fd;
}

bool
writer_pending(const struct writer *w)
{
	return w->length > 0;
}

const struct chain *
writer_chain(const struct writer *w)
{
	return &w->chain;
}
