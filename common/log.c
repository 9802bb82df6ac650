#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#include "cleanup.h"
#include "json.h"
#include "log.h"
#include "loop.h"
#include "timefmt.h"

enum {
	LINE_MAX_BYTES = 8192,
	FACILITY_DAEMON = 3 << 3, /* RFC 3164 */
};

/* The module's only state: set up once, before confinement. */
static struct {
	const char *name;
	enum log_level level;
	enum log_target target;
	int syslog_fd, journal_fd;
} state = {.name = "scarab-runtime", .level = LOG_LEVEL_INFO, .syslog_fd = -1, .journal_fd = -1};

/* --- one line ------------------------------------------------------------------------------- */

struct line {
	char text[LINE_MAX_BYTES];
	size_t used;
};

static void
line_add(struct line *line, const char *text, size_t length)
{
	size_t room = sizeof(line->text) - 1 - line->used;

	if (length > room)
		length = room;
	memcpy(line->text + line->used, text, length);
	line->used += length;
}

static void __attribute__((format(printf, 2, 3)))
line_format(struct line *line, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	line_add(line, text, strlen(text));
}

static size_t
character_length(const uint8_t *at, size_t left)
{
	size_t width = at[0] < 0x80 ? 1 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;

	return width <= left && utf8_valid(at, width) ? width : 0;
}

/* What others may have written cannot forge a line or drive a terminal: control characters, C1
 * ones too, and bytes that are not UTF-8 become \xNN. */
static void
line_escaped(struct line *line, const char *text)
{
	const uint8_t *at = (const uint8_t *)text;
	size_t left = strlen(text);

	while (left > 0) {
		size_t width = character_length(at, left);
		bool c1 = width == 2 && at[0] == 0xc2 && at[1] < 0xa0;
		bool control = width == 1 && (at[0] < 0x20 || at[0] == 0x7f);
		if (width > 0 && !c1 && !control) {
			line_add(line, (const char *)at, width);
		} else {
			width = 1;
			line_format(line, *at == '\n' ? "\\n" : "\\x%02x", *at);
		}
		at += width;
		left -= width;
	}
}

/* --- targets ---------------------------------------------------------------------------------- */

static const char *
level_name(enum log_level level)
{
	switch (level) {
	case LOG_LEVEL_ERROR:
		return "error";
	case LOG_LEVEL_WARNING:
		return "warning";
	case LOG_LEVEL_INFO:
		return "info";
	case LOG_LEVEL_DEBUG:
		return "debug";
	}
	return "info";
}

/* "<30>Jan  2 03:04:05 name[pid]: " */
static void
line_syslog(struct line *line, enum log_level level)
{
	static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
					   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	time_t now = (time_t)(realtime_ms() / 1000);
	struct tm tm;

	/* The zone was read by log_open. */
	if (!localtime_r(&now, &tm))
		memset(&tm, 0, sizeof(tm));
	line_format(line, "<%d>%s %2d %02d:%02d:%02d %s[%d]: ", FACILITY_DAEMON | (int)level,
		    months[tm.tm_mon], tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, state.name,
		    (int)getpid());
}

static void
line_head(struct line *line, enum log_level level)
{
	char now[RFC3339_LEN + 1];

	switch (state.target) {
	case LOG_TO_JOURNAL:
		line_format(line, "<%d>%s: ", (int)level, state.name);
		return;
	case LOG_TO_SYSLOG:
		line_syslog(line, level);
		return;
	case LOG_TO_STDERR:
		line_format(line, "%s %s: %s: ", rfc3339_format(realtime_ms(), now), state.name,
			    level_name(level));
		return;
	}
}

/* One write for one line: lines of several processes never mix. */
static void
line_write(struct line *line)
{
	ssize_t n;

	if (state.target == LOG_TO_SYSLOG) {
		n = send(state.syslog_fd, line->text, line->used, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n >= 0)
			return;
	}
	line->text[line->used++] = '\n';
	do
		n = write(STDERR_FILENO, line->text, line->used);
	while (n < 0 && errno == EINTR);
}

/* --- the journal's own protocol: a datagram of fields, a line each ------------------------------
 */

static const char journal_path[] = "/run/systemd/journal/socket";

/* Drawn once with systemd-id128 new; never changed, for journals outlive programs. */
static const char *const message_ids[LOG_EVENTS] = {
    [LOG_EVENT_READY] = "a0ab7b48bebb4ce5a3f5fa6835049de5",
    [LOG_EVENT_SESSION_ENDED] = "f7662cf6a6164648ac96ad8cd42fcd5e",
    [LOG_EVENT_SESSION_FAILED] = "554c05ef3fd84ceabb3b14ff0d1e0c60",
    [LOG_EVENT_DAEMON_DIED] = "5a56b01c6afe4e378718f628820d3b3b",
    [LOG_EVENT_CONFIG_REFUSED] = "3f42775265ae4b5e91556433a5a77513",
};

struct said {
	enum log_event event;
	enum log_level level;
	const char *agent; /* NULL: none */
	const struct uuid *session;
};

/* The text holds no newline, so that no value needs a length of its own. */
static bool
journal_send(const struct said *said, const char *text)
{
	struct line line = {.used = 0};
	char id[UUID_TEXT_LEN + 1];

	if (state.journal_fd < 0)
		return false;
	line_format(&line, "PRIORITY=%d\nSYSLOG_IDENTIFIER=%s\nSCARAB_ROLE=%s\n", (int)said->level,
		    state.name, state.name);
	if (said->session)
		line_format(&line, "SCARAB_SESSION=%s\n", uuid_format(said->session, id));
	if (said->agent)
		line_format(&line, "SCARAB_AGENT=%s\n", said->agent);
	if (message_ids[said->event])
		line_format(&line, "MESSAGE_ID=%s\n", message_ids[said->event]);
	line_add(&line, "MESSAGE=", strlen("MESSAGE="));
	line_escaped(&line, text);
	line.text[line.used++] = '\n';
	return send(state.journal_fd, line.text, line.used, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
}

static void __attribute__((format(printf, 2, 0)))
log_line(const struct said *said, const char *fmt, va_list ap)
{
	int saved = errno;
	struct line line = {.used = 0};
	char text[LINE_MAX_BYTES], id[UUID_TEXT_LEN + 1];

	if (said->level > state.level)
		return;
	vsnprintf(text, sizeof(text), fmt, ap); /* errno is the caller's, for %m */
	if (state.target != LOG_TO_JOURNAL || !journal_send(said, text)) {
		line_head(&line, said->level);
		if (said->session)
			line_format(&line, "session=%s ", uuid_format(said->session, id));
		line_escaped(&line, text);
		line_write(&line);
	}
	errno = saved;
}

/* --- set-up -------------------------------------------------------------------------------------
 */

static int
datagrams_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -1;
	return steal_fd(&fd);
}

void
log_open(const char *name, enum log_level level, enum log_target target)
{
	state.name = name;
	state.level = level;
	state.target = target;
	close_fd(&state.syslog_fd);
	close_fd(&state.journal_fd);
	if (target == LOG_TO_JOURNAL)
		log_journal_at(journal_path);
	if (target != LOG_TO_SYSLOG)
		return;
	tzset();
	state.syslog_fd = datagrams_to("/dev/log");
	if (state.syslog_fd >= 0)
		return;
	state.target = LOG_TO_STDERR;
	log_warn("syslog cannot be reached at /dev/log (%s), logging to standard error",
		 strerrordesc_np(errno));
}

int
log_journal_at(const char *path)
{
	close_fd(&state.journal_fd);
	state.journal_fd = datagrams_to(path);
	return state.journal_fd < 0 ? -errno : 0;
}

void
log_closed_from(int first)
{
	if (state.syslog_fd >= first)
		state.syslog_fd = -1;
	if (state.journal_fd >= first)
		state.journal_fd = -1;
}

void
log_set_level(enum log_level level)
{
	state.level = level;
}

int
log_level_parse(const char *text)
{
	static const enum log_level levels[] = {LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO,
						LOG_LEVEL_DEBUG};

	for (size_t i = 0; i < ARRAY_LEN(levels); i++) {
		if (strcmp(text, level_name(levels[i])) == 0)
			return (int)levels[i];
	}
	return -1;
}

enum log_target
log_target_auto(void)
{
	const char *stream = getenv("JOURNAL_STREAM"); /* "device:inode" of the journal's socket */
	unsigned long long device, inode;
	struct stat st;

	if (!stream || sscanf(stream, "%llu:%llu", &device, &inode) != 2)
		return LOG_TO_STDERR;
	if (fstat(STDERR_FILENO, &st) < 0 || st.st_dev != device || st.st_ino != inode)
		return LOG_TO_STDERR;
	return LOG_TO_JOURNAL;
}

enum log_target
log_target_parse(const char *text)
{
	if (text && strcmp(text, "journal") == 0)
		return LOG_TO_JOURNAL;
	if (text && strcmp(text, "syslog") == 0)
		return LOG_TO_SYSLOG;
	if (text && strcmp(text, "stderr") == 0)
		return LOG_TO_STDERR;
	return log_target_auto();
}

/* --- what callers say ----------------------------------------------------------------------------
 */

void
log_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(&(struct said){.level = LOG_LEVEL_ERROR}, fmt, ap);
	va_end(ap);
}

void
log_warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(&(struct said){.level = LOG_LEVEL_WARNING}, fmt, ap);
	va_end(ap);
}

void
log_info(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(&(struct said){.level = LOG_LEVEL_INFO}, fmt, ap);
	va_end(ap);
}

void
log_debug(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(&(struct said){.level = LOG_LEVEL_DEBUG}, fmt, ap);
	va_end(ap);
}

void
log_session(enum log_level level, const struct uuid *session, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(&(struct said){.level = level, .session = session}, fmt, ap);
	va_end(ap);
}

void
log_event(enum log_event event, enum log_level level, const char *agent, const struct uuid *session,
	  const char *fmt, ...)
{
	const struct said said = {event, level, agent, session};
	va_list ap;

	va_start(ap, fmt);
	log_line(&said, fmt, ap);
	va_end(ap);
}

static void __attribute__((format(printf, 2, 3))) log_at(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(&(struct said){.level = level}, fmt, ap);
	va_end(ap);
}

void
log_problem(enum log_level level, const struct error *error)
{
	char text[ERROR_TEXT_MAX + 1];

	error_text(error, text);
	if (error->hint[0])
		log_at(level, "%s (%s)", text, error->hint);
	else
		log_at(level, "%s", text);
}
