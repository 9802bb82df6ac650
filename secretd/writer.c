#include "writer.h"

#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"

enum { RETRY_MS = 1000 };

struct writer {
	int fd;
	struct chain chain;
	struct loop_source *flush;
	char *pending;
	size_t length, done;
	bool full, failing;
	writer_full_fn *on_full;
	void *arg;
};

static void
set_full(struct writer *w, bool full)
{
	if (w->full == full)
		return;
	w->full = full;
	w->on_full(full, w->arg);
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
flush_pending(struct loop_source *source, void *arg)
{
	struct writer *w = arg;
	int rc = write_pending(w);

	if (rc < 0) {
		if (!w->failing)
			log_error("writing audit.log: %s; entries wait in memory and are tried "
				  "again every second",
				  strerror(-rc));
		w->failing = true;
		loop_arm_in(source, RETRY_MS);
		return;
	}
	if (w->failing)
		log_info("audit.log is written again");
	w->failing = false;
	w->length = w->done = 0;
	set_full(w, false);
}

static void
append(struct writer *w, const char *line, size_t length)
{
	if (length > WRITER_PENDING_MAX - w->length) {
		log_error("audit.log: no room for another entry; it is lost");
		return;
	}
	if (!w->length)
		loop_arm_in(w->flush, 0);
	memcpy(w->pending + w->length, line, length);
	w->length += length;
	if (w->length > WRITER_PENDING_MAX / 2)
		set_full(w, true);
}

void
writer_add(struct writer *w, enum role role, const struct msg_audit *entry)
{
	struct chain before = w->chain;
	size_t length;
	_cleanup_free_ char *line = chain_line(&w->chain, role, realtime_ms(), entry, &length);

	if (!line || length > WRITER_PENDING_MAX - w->length) {
		w->chain = before;
		log_error("audit.log: no room for the entry %s of %s; it is lost", entry->action,
			  role_name(role));
		return;
	}
	append(w, line, length);
}

/* What was found at the log's end is itself an entry. */
static void
note_resumption(struct writer *w, enum chain_found found, const char *note)
{
	struct msg_audit entry = {.allowed = true};

	if (found != CHAIN_TORN && found != CHAIN_BROKEN)
		return;
	log_warn("audit.log: %s", note);
	snprintf(entry.action, sizeof(entry.action), "%s",
		 found == CHAIN_TORN ? "audit.torn" : "audit.chain-broken");
	snprintf(entry.detail, sizeof(entry.detail), "%s", note);
	if (found == CHAIN_TORN)
		append(w, "\n", 1);
	writer_add(w, ROLE_SECRETD, &entry);
}

struct writer *
writer_new(struct loop *loop, int fd, writer_full_fn *full, void *arg, struct error *error)
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
	w->on_full = full;
	w->arg = arg;
	w->pending = malloc(WRITER_PENDING_MAX);
	w->flush = loop_add_timer(loop, flush_pending, w);
	if (w->pending && w->flush)
		rc = chain_resume(&w->chain, fd, &found, note);
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
	close(w->fd);
	free(w);
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
