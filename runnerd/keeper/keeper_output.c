#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/json.h"
#include "common/timefmt.h"
#include "keeper.h"

/* What a pipe holds at most: 1 MiB, in packets (O_DIRECT) of a page or less, each a read. */
enum { DRAIN_ROUNDS = 512 };

/* --- one line of the log -----------------------------------------------------------------------
 */

static char *
encode(const char *stream, const uint8_t *bytes, size_t length, bool partial, size_t *size)
{
	struct json json = JSON_INIT;

	json_object(&json);
	json_key(&json, "time");
	json_time(&json, realtime_ms());
	json_key(&json, "stream");
	json_string(&json, stream);
	if (utf8_valid(bytes, length)) {
		json_key(&json, "text");
		json_string_n(&json, (const char *)bytes, length);
	} else {
		json_key(&json, "bytes");
		json_base64(&json, bytes, length);
	}
	if (partial) {
		json_key(&json, "partial");
		json_bool(&json, true);
	}
	json_object_end(&json);
	return json_take(&json, size);
}

static void
write_line(struct keeper *keeper, const char *stream, const uint8_t *bytes, size_t length,
	   bool partial)
{
	_cleanup_free_ char *line = NULL;
	uint64_t output = length + !partial;
	size_t size;

	if (segments_refuse(&keeper->segments, output))
		return;
	line = encode(stream, bytes, length, partial, &size);
	if (!line) {
		keeper->segments.dropped += length;
		return;
	}
	line[size] = '\n'; /* in place of the NUL */
	segments_add(&keeper->segments, line, size + 1, output);
}

/* What a plugin wrote too much of, in its own stream. */
static void
say_over(struct stream *stream)
{
	char text[96];

	if (!stream->over)
		return;
	snprintf(text, sizeof(text), "%llu bytes more were dropped: over %d KiB a second",
		 (unsigned long long)stream->over, PLUGIN_LOG_BYTES >> 10);
	stream->over = 0;
	write_line(stream->keeper, stream->name, (const uint8_t *)text, strlen(text), false);
}

/* Whole lines, behind the filter of secrets: what is dropped before it would part them. */
static bool
is_over(struct stream *stream, size_t length)
{
	uint64_t now = boottime_ns();

	if (!stream->rationed)
		return false;
	if (now - stream->ration_ns > UINT64_C(1000000000)) {
		stream->ration_ns = now;
		stream->rationed_bytes = 0;
		say_over(stream);
	}
	stream->rationed_bytes += length;
	if (stream->rationed_bytes <= PLUGIN_LOG_BYTES)
		return false;
	stream->over += length;
	return true;
}

static void
emit(const uint8_t *bytes, size_t length, bool partial, void *arg)
{
	struct stream *stream = arg;

	if (is_over(stream, length))
		return;
	write_line(stream->keeper, stream->name, bytes, length, partial);
}

/* --- telling runnerd: at most every LOG_REPORT_MS, and when another segment is needed -----------
 */

static void
report(struct loop_source *source, void *arg)
{
	struct keeper *keeper = arg;

	(void)source;
	keeper->reported_ns = boottime_ns();
	keeper->reported_segment = keeper->segments.number;
	link_owe(keeper, DUE_LOG);
}

static void
grown(struct keeper *keeper)
{
	uint64_t next = keeper->reported_ns + LOG_REPORT_MS * UINT64_C(1000000);

	segments_flush(&keeper->segments);
	if (boottime_ns() >= next || keeper->segments.number != keeper->reported_segment)
		report(NULL, keeper);
	else
		loop_arm(keeper->report_timer, next);
}

void
output_say(struct keeper *keeper, const char *text)
{
	write_line(keeper, "runtime", (const uint8_t *)text, strlen(text), false);
	grown(keeper);
}

void
output_told_dropped(struct keeper *keeper)
{
	char text[64];

	snprintf(text, sizeof(text), "%llu bytes of output were dropped",
		 (unsigned long long)keeper->segments.untold);
	keeper->segments.untold = 0;
	output_say(keeper, text);
}

/* --- the agent's two streams -------------------------------------------------------------------
 */

/* What may be shown becomes lines. */
static void
add_shown(const uint8_t *bytes, size_t length, void *arg)
{
	struct stream *stream = arg;

	while (length > 0) {
		size_t part = length < LINES_READ_BYTES ? length : LINES_READ_BYTES;

		memcpy(lines_room(&stream->lines), bytes, part);
		lines_added(&stream->lines, part, emit, stream);
		bytes += part;
		length -= part;
	}
}

/* A line that is not complete is told after LOG_LINE_MS, but for what begins like a secret. */
static void
line_waits(struct loop_source *source, void *arg)
{
	struct stream *stream = arg;

	(void)source;
	if (stream->redact)
		redact_flush(stream->redact);
	lines_flush(&stream->lines, false, emit, stream);
	if (stream->lines.length)
		loop_arm_in(stream->timer, LOG_LINE_MS);
	grown(stream->keeper);
}

static void
stream_end(struct stream *stream)
{
	if (stream->redact)
		redact_end(stream->redact);
	lines_flush(&stream->lines, true, emit, stream);
	say_over(stream);
	loop_remove(stream->source);
	loop_remove(stream->timer);
	stream->source = stream->timer = NULL;
	redact_free(stream->redact);
	stream->redact = NULL;
	close_fd(&stream->fd);
}

/* Nothing is shown that might be a secret. */
static void
mute(struct keeper *keeper, int rc)
{
	char text[128];

	snprintf(text, sizeof(text),
		 "output is dropped from here on: secrets in it cannot be told: %s",
		 strerrordesc_np(-rc));
	output_say(keeper, text);
	keeper->mute = true;
}

/* What ends with a line is told at once: it waits for nothing but a secret. */
static void
redact_read(struct stream *stream, const uint8_t *bytes, size_t length)
{
	struct keeper *keeper = stream->keeper;
	int rc = redact_feed(stream->redact, bytes, length);

	if (rc == 0 && bytes[length - 1] == '\n')
		rc = redact_flush(stream->redact);
	if (rc < 0)
		mute(keeper, rc);
}

static ssize_t
read_piece(struct stream *stream)
{
	static uint8_t piece[LINES_READ_BYTES];
	uint8_t *to = stream->redact ? piece : lines_room(&stream->lines);
	ssize_t count = read(stream->fd, to, LINES_READ_BYTES);

	if (count <= 0)
		return count;
	if (stream->keeper->mute)
		segments_drop(&stream->keeper->segments, (uint64_t)count);
	else if (stream->redact)
		redact_read(stream, piece, (size_t)count);
	else
		lines_added(&stream->lines, (size_t)count, emit, stream);
	return count;
}

static bool
stream_waits(const struct stream *stream)
{
	return stream->lines.length || (stream->redact && redact_waits(stream->redact));
}

/* One read, so that a flood keeps nothing else waiting. False at the end and when there is
 * nothing to read. */
static bool
stream_read(struct stream *stream)
{
	size_t before = stream->lines.length;
	bool waited = stream_waits(stream);
	ssize_t count = read_piece(stream);

	if (count < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (count <= 0) {
		stream_end(stream);
		return false;
	}
	idle_sign(stream->keeper);
	if (!stream_waits(stream))
		loop_arm(stream->timer, 0);
	else if (!waited || stream->lines.length < before)
		loop_arm_in(stream->timer, LOG_LINE_MS);
	return true;
}

static void
stream_ready(struct loop_source *source, uint32_t events, void *arg)
{
	struct stream *stream = arg;

	(void)source;
	(void)events;
	stream_read(stream);
	grown(stream->keeper);
}

int
stream_open(struct keeper *keeper, struct stream *stream, const char *name)
{
	stream->name = name;
	stream->keeper = keeper;
	stream->timer = loop_add_timer(keeper->loop, line_waits, stream);
	stream->source = loop_add_io(keeper->loop, stream->fd, EPOLLIN, stream_ready, stream);
	return stream->timer && stream->source ? 0 : -errno;
}

int
output_open(struct keeper *keeper)
{
	keeper->report_timer = loop_add_timer(keeper->loop, report, keeper);
	if (!keeper->report_timer || stream_open(keeper, &keeper->streams[0], "stdout") < 0 ||
	    stream_open(keeper, &keeper->streams[1], "stderr") < 0)
		return -errno;
	return 0;
}

void
stream_drain(struct stream *stream)
{
	for (int round = 0; stream->fd >= 0 && round < DRAIN_ROUNDS; round++)
		if (!stream_read(stream))
			break;
	if (stream->fd >= 0)
		stream_end(stream);
}

/* The agent's two, the broker's, the plugins'; NULL after the last. */
static struct stream *
stream_at(struct keeper *keeper, size_t number)
{
	size_t own = ARRAY_LEN(keeper->streams);

	if (number < own)
		return &keeper->streams[number];
	number -= own;
	if (!keeper->boot.broker || number > keeper->boot.plugins)
		return NULL;
	return number == 0 ? &keeper->broker_log : &keeper->plugins[number - 1].stderr_stream;
}

void
output_drain(struct keeper *keeper)
{
	struct stream *stream;

	for (size_t i = 0; (stream = stream_at(keeper, i)); i++)
		stream_drain(stream);
	segments_flush(&keeper->segments);
}

/* --- secrets -----------------------------------------------------------------------------------
 */

static int
stream_redact(struct stream *stream, const struct redact_set *secrets)
{
	if (stream->fd < 0)
		return 0;
	if (stream->redact)
		return redact_change(stream->redact, secrets);
	stream->redact = redact_new(secrets, add_shown, stream);
	return stream->redact ? 0 : -ENOMEM;
}

/* With what was known before: the session may have seen every value that it was given. */
static int
learn(struct keeper *keeper, int fd, struct redact_set **secrets)
{
	struct redact_set *fresh;
	int rc = redact_set_open(fd, &fresh);

	if (rc < 0 || !keeper->secrets) {
		*secrets = rc < 0 ? NULL : fresh;
		return rc;
	}
	rc = redact_set_join(keeper->secrets, fresh, secrets);
	redact_set_free(fresh);
	return rc;
}

bool
output_redact(struct keeper *keeper, int fd)
{
	struct redact_set *secrets, *before = keeper->secrets;
	int rc = learn(keeper, fd, &secrets), failed;
	struct stream *stream;

	close(fd);
	if (rc == 0) {
		keeper->secrets = secrets;
		for (size_t i = 0; (stream = stream_at(keeper, i)); i++) {
			failed = stream_redact(stream, secrets);
			rc = failed < 0 ? failed : rc;
		}
		redact_set_free(before);
	}
	if (rc < 0)
		mute(keeper, rc);
	return rc == 0 || keeper->opened;
}

void
output_clean(const struct keeper *keeper, char *text, size_t size)
{
	if (keeper->secrets)
		redact_text(keeper->secrets, text, size);
}
