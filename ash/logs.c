#include "logs.h"

#include <stdlib.h>
#include <string.h>

#include "ash.h"
#include "common/cleanup.h"
#include "output.h"
#include "session.h"

enum {
	CHUNK_BYTES = 65536,
	LINE_LEAST = 4096,
	LINE_MOST = 8 * LOG_LINE_BYTES, /* \u00xx for every byte, and the rest of the object */
};

void
logs_take(struct logs *logs, struct msg *log)
{
	close_fd(&logs->fd);
	close_fd(&logs->older_fd);
	logs->fd = msg_take_fd(log, 0);
	logs->older_fd = log->nfds > 1 ? msg_take_fd(log, 1) : -1;
	logs->start = log->log.offset;
	logs->older_start = logs->older_fd >= 0 ? log->log.older_offset : log->log.offset;
	if (logs->position < logs->older_start) {
		logs->missed += logs->older_start - logs->position;
		logs->position = logs->older_start;
		logs->used = 0;
	}
}

bool
logs_open(const struct logs *logs)
{
	return logs->fd >= 0;
}

/* Standard output and standard error keep their order where they are one terminal. */
static void
print_content(struct logs *logs, const struct logline *line)
{
	bool out = strcmp(line->stream, "stdout") == 0;
	bool runtime = !out && strcmp(line->stream, "stderr") != 0;
	FILE *stream = out ? stdout : stderr;
	bool *open = out ? &logs->out_open : &logs->err_open;

	if (!out)
		fflush(stdout);
	if (runtime && !*open)
		fprintf(stderr, "%s: ", line->stream);
	fwrite(line->content, 1, line->length, stream);
	if (!line->partial)
		fputc('\n', stream);
	*open = line->partial && line->length > 0;
	if (logs->progress)
		logs->progress->held = logs->out_open || logs->err_open;
}

static void
print_line(struct logs *logs, char *line, size_t length)
{
	struct logline parsed;

	if (logs->json) {
		fwrite(line, 1, length, stdout);
		fputc('\n', stdout);
		return;
	}
	if (!logline_parse(line, length, &parsed))
		logs->damaged++;
	else if (logs->heard)
		logs->heard(&parsed, logs->heard_arg);
	else
		print_content(logs, &parsed);
}

static bool
keep(struct logs *logs, const char *bytes, size_t length)
{
	size_t size = logs->size ? logs->size : LINE_LEAST;
	char *line;

	if (length > LINE_MOST - logs->used)
		return false;
	while (size < logs->used + length)
		size *= 2;
	if (size > logs->size) {
		line = realloc(logs->line, size);
		if (!line)
			return false;
		logs->line = line;
		logs->size = size;
	}
	memcpy(logs->line + logs->used, bytes, length);
	logs->used += length;
	return true;
}

/* A line that is too long is damage: it is dropped up to its end. */
static void
take_bytes(struct logs *logs, char *bytes, size_t length)
{
	while (length > 0) {
		char *end = memchr(bytes, '\n', length);
		size_t part = end ? (size_t)(end - bytes) : length;

		if (!logs->skipping && end && logs->used == 0) {
			print_line(logs, bytes, part);
		} else if (!logs->skipping && !keep(logs, bytes, part)) {
			logs->skipping = true;
			logs->damaged++;
		} else if (!logs->skipping && end) {
			print_line(logs, logs->line, logs->used);
		}
		if (end) {
			logs->used = 0;
			logs->skipping = false;
		}
		bytes += part + (end != NULL);
		length -= part + (end != NULL);
	}
}

/* Reads on: how much there was, 0 at the end, -errno. */
static ssize_t
read_on(struct logs *logs, char *bytes, size_t size)
{
	ssize_t n;

	if (logs->older_fd >= 0 && logs->position < logs->start) {
		uint64_t left = logs->start - logs->position;

		if (left < size)
			size = (size_t)left;
		n = pread(logs->older_fd, bytes, size, (off_t)(logs->position - logs->older_start));
		if (n != 0)
			return n < 0 ? -errno : n;
		/* The older segment is shorter than was said. */
		logs->missed += left;
		logs->position = logs->start;
		logs->used = 0;
	}
	n = pread(logs->fd, bytes, size, (off_t)(logs->position - logs->start));
	return n < 0 ? -errno : n;
}

int
logs_pump(struct logs *logs, struct error *error)
{
	char bytes[CHUNK_BYTES];
	ssize_t n;

	if (!logs_open(logs))
		return 0;
	while ((n = read_on(logs, bytes, sizeof(bytes))) > 0) {
		logs->position += (uint64_t)n;
		if (logs->progress)
			progress_clear(logs->progress);
		take_bytes(logs, bytes, (size_t)n);
		if (ferror(stdout))
			break;
	}
	if (n < 0)
		return error_errno(error, (int)-n, "reading the session's log");
	return output_flush(error);
}

void
logs_free(struct logs *logs)
{
	close_fd(&logs->fd);
	close_fd(&logs->older_fd);
	free(logs->line);
	logs->line = NULL;
}
