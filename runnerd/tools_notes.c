/*
 * What an agent says of itself: one JSON line each in LOG_DIR/AGENT/SESSION.notes.jsonl, up to a
 * bound. The broker has checked that what it carries is JSON; here it is bytes.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "broker/broker.h"
#include "common/cleanup.h"
#include "common/io.h"
#include "common/json.h"
#include "common/log.h"
#include "emitted.h"
#include "pins.h"
#include "tools.h"

enum { NOTES_BYTES_MAX = 8 << 20 /* of one session */ };

static const char *const kinds[NOTE_KINDS] = {
    [NOTE_OBSERVATION] = "observation",
    [NOTE_TRANSITION] = "transition",
    [NOTE_RESULT] = "result",
    [NOTE_EVENT] = "event",
};

static void
text_key(struct json *json, const char *key, const char *value)
{
	if (!value[0])
		return;
	json_key(json, key);
	json_string(json, value);
}

/* fd: a sealed memfd, or -1. Heap text with its newline; NULL when memory ran out. */
static char *
note_line(const struct msg_broker_note *note, int fd, size_t *length)
{
	struct json json = JSON_INIT;
	const uint8_t *bytes = NULL;
	size_t size = 0;
	char *line;

	json_object(&json);
	json_key(&json, "time");
	json_time(&json, note->at_ms);
	json_key(&json, "kind");
	json_string(&json, kinds[note->kind]);
	text_key(&json, "name", note->name);
	text_key(&json, "subject", note->subject);
	text_key(&json, "reason", note->why);
	if (fd >= 0 && memfd_map(fd, NOTE_BYTES_MAX, &bytes, &size) == 0 && size) {
		json_key(&json, "data");
		json_raw(&json, (const char *)bytes, size);
		munmap((void *)bytes, size);
	}
	json_object_end(&json);
	line = json_take(&json, length);
	if (line)
		line[(*length)++] = '\n'; /* in place of the NUL */
	return line;
}

static int
append(const struct session *s, const char *line, size_t length)
{
	char name[UUID_TEXT_LEN + sizeof(".notes.jsonl")];
	_cleanup_close_ int fd = -1;
	struct stat st;

	snprintf(name, sizeof(name), "%s.notes.jsonl", s->name);
	fd = openat(s->log.dir, name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size == 0 && fchown(fd, 0, (gid_t)s->r->config->ids.group) < 0)
		return -errno;
	if ((uint64_t)st.st_size + length > NOTES_BYTES_MAX)
		return -EFBIG;
	return write_all(fd, line, length);
}

static void
emit(struct session *s, const struct msg_broker_note *note, int fd)
{
	int data = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	int rc = fd >= 0 && data < 0 ? -errno : emitted_add(s, note, data);

	if (rc == -EINVAL)
		log_session(LOG_LEVEL_WARNING, &s->id,
			    "an event that the agent emits has no type that an event can have");
	else if (rc < 0)
		log_session(LOG_LEVEL_WARNING, &s->id, "an event that the agent emits is lost: %s",
			    strerrordesc_np(-rc));
}

/* The last one counts. It is bytes here; who shows it looks whether it is JSON. */
static void
keep_result(const struct session *s, int fd)
{
	char name[UUID_TEXT_LEN + sizeof(".result.json")];
	int rc;

	snprintf(name, sizeof(name), "%s.result.json", s->name);
	rc = rows_file_write(s->log.dir, name, fd, true);
	if (rc < 0)
		log_session(LOG_LEVEL_WARNING, &s->id, "its result is not kept: %s",
			    strerrordesc_np(-rc));
}

void
tools_note(struct tools *tools, struct msg *msg)
{
	const struct msg_broker_note *note = &msg->broker_note;
	struct session *s = tools->s;
	_cleanup_free_ char *line = NULL;
	_cleanup_close_ int fd = msg_take_fd(msg, 0);
	size_t length = 0;
	int rc;

	if (note->kind >= NOTE_KINDS || s->log.dir < 0)
		return;
	if (note->kind == NOTE_EVENT)
		emit(s, note, fd);
	if (note->kind == NOTE_TRANSITION) {
		snprintf(tools->activity, sizeof(tools->activity), "%.31s", note->name);
		tools->activity_at_ms = note->at_ms;
		tools_touch(tools);
	}
	if (note->kind == NOTE_RESULT && fd >= 0)
		keep_result(s, fd);
	line = note_line(note, fd, &length);
	rc = line ? append(s, line, length) : -ENOMEM;
	if (rc < 0 && !tools->notes_lost)
		log_session(LOG_LEVEL_WARNING, &s->id, "what the agent notes is not kept: %s",
			    rc == -EFBIG ? "it has noted too much" : strerrordesc_np(-rc));
	tools->notes_lost |= rc < 0;
}
