/* ash audit: the entries of the audit log. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent.h"
#include "audit_log.h"
#include "clock.h"
#include "common/audit_chain.h"
#include "common/cleanup.h"
#include "common/timefmt.h"
#include "common/uuid.h"
#include "jsonline.h"
#include "output.h"
#include "session.h"
#include "text.h"

enum {
	READ_BYTES = 65536,
	POLL_MS = 200,   /* for new entries */
	LOOK_MS = 2000,  /* without any: is there another audit.log by now? */
	CELL_MAX = 1100, /* of an entry's text: a detail at its longest */
};

static const struct column columns[] = {
    {"TIME", CUT_NEVER, 0, false},    {"ROLE", CUT_NEVER, 0, false},
    {"WHO", CUT_NEVER, 0, false},     {"ACTION", CUT_NEVER, 0, false},
    {"AGENT", CUT_RIGHT, 0, false},   {"SESSION", CUT_NEVER, 0, false},
    {"ALLOWED", CUT_NEVER, 0, false}, {"DETAIL", CUT_RIGHT, 0, false},
};

/* --- files -------------------------------------------------------------------------------------
 */

int
audit_log_open(struct ash *ash, struct audit_log *log, struct error *error)
{
	struct msg request, reply;

	msg_init(&request, MSG_OP_AUDIT);
	if (connection_query(&ash->connection, &request, MSG_AUDIT_LOG, &reply, error) < 0)
		return -1;
	log->count = reply.nfds;
	log->left_out = reply.audit_log.left_out;
	for (unsigned i = 0; i < log->count; i++)
		log->fds[log->count - 1 - i] = msg_take_fd(&reply, i);
	msg_close_fds(&reply);
	return 0;
}

void
audit_log_close(struct audit_log *log)
{
	for (unsigned i = 0; i < log->count; i++)
		close_fd(&log->fds[i]);
	log->count = 0;
}

/* --- an entry ----------------------------------------------------------------------------------
 */

/* Texts are cut to their room, NUL-terminated. */
struct entry {
	char time[32], role[32], action[64], agent[AGENT_NAME_MAX + 1], session[UUID_TEXT_LEN + 1];
	char uid[16], login_uid[16], allowed[8], secret[128], version[24], purpose[64];
	char detail[CELL_MAX];
};

static bool
take_member(const struct json_text *key, const struct json_text *value, bool string, void *arg)
{
	struct entry *entry = arg;
	const struct {
		const char *key;
		char *to;
		size_t size;
	} members[] = {
	    {"time", entry->time, sizeof(entry->time)},
	    {"role", entry->role, sizeof(entry->role)},
	    {"action", entry->action, sizeof(entry->action)},
	    {"agent", entry->agent, sizeof(entry->agent)},
	    {"session", entry->session, sizeof(entry->session)},
	    {"uid", entry->uid, sizeof(entry->uid)},
	    {"login_uid", entry->login_uid, sizeof(entry->login_uid)},
	    {"allowed", entry->allowed, sizeof(entry->allowed)},
	    {"secret", entry->secret, sizeof(entry->secret)},
	    {"version", entry->version, sizeof(entry->version)},
	    {"purpose", entry->purpose, sizeof(entry->purpose)},
	    {"detail", entry->detail, sizeof(entry->detail)},
	};

	if (!string && json_text_is(value, "null"))
		return true;
	for (size_t i = 0; i < ARRAY_LEN(members); i++)
		if (json_text_is(key, members[i].key))
			snprintf(members[i].to, members[i].size, "%.*s", (int)value->length,
				 value->from);
	return true;
}

/* line is not changed. False: it is no entry; verify tells. */
static bool
entry_parse(struct entry *entry, const char *line, size_t length)
{
	_cleanup_free_ char *copy = strndup(line, length);

	*entry = (struct entry){.time = ""};
	return copy && jsonline_parse(copy, length, take_member, entry);
}

/* "secret anthropic-key version 3 for agent: detail" */
static void
detail_text(const struct entry *entry, char text[CELL_MAX + 256])
{
	snprintf(text, CELL_MAX + 256, "%s%s%s%s%s%s%s%s", *entry->secret ? "secret " : "",
		 entry->secret, *entry->version ? " version " : "", entry->version,
		 *entry->purpose ? " for " : "", entry->purpose,
		 *entry->secret && *entry->detail ? ": " : "", entry->detail);
	text_clean_here(text);
}

static void
who_text(const struct entry *entry, char text[48])
{
	if (*entry->login_uid && strcmp(entry->login_uid, entry->uid) != 0)
		snprintf(text, 48, "uid %s (login %s)", entry->uid, entry->login_uid);
	else
		snprintf(text, 48, "%s%s", *entry->uid ? "uid " : "", entry->uid);
}

/* --- which ones, and how ------------------------------------------------------------------------
 */

struct listing {
	const struct ash *ash;
	const char *agent;
	char session[UUID_TEXT_LEN + 1]; /* or its beginning */
	uint64_t since_ms;
	bool follow;
	struct table *table; /* NULL: for programs, or following */
	size_t shown;
};

static bool
wanted(const struct listing *listing, const struct entry *entry)
{
	uint64_t at_ms;

	if (listing->agent && strcmp(entry->agent, listing->agent) != 0)
		return false;
	if (*listing->session &&
	    strncasecmp(entry->session, listing->session, strlen(listing->session)) != 0)
		return false;
	return !listing->since_ms ||
	       (rfc3339_parse(entry->time, &at_ms) && at_ms >= listing->since_ms);
}

/* People read the clock on their wall. */
static const char *
shown_time(const struct entry *entry, char text[32])
{
	uint64_t at_ms;

	return rfc3339_parse(entry->time, &at_ms) ? local_format(at_ms, text) : entry->time;
}

static void
show_row(struct table *table, const struct entry *entry)
{
	bool refused = strcmp(entry->allowed, "false") == 0;
	char who[48], detail[CELL_MAX + 256], brief[14], at[32];

	who_text(entry, who);
	detail_text(entry, detail);
	snprintf(brief, sizeof(brief), "%.13s", entry->session);
	table_cell(table, shown_time(entry, at), NULL, COLOR_NONE);
	table_cell(table, entry->role, NULL, COLOR_NONE);
	table_cell(table, who, NULL, COLOR_NONE);
	table_cell(table, entry->action, NULL, COLOR_NONE);
	table_cell(table, entry->agent, NULL, COLOR_NONE);
	table_cell(table, entry->session, brief, COLOR_NONE);
	table_cell(table, refused ? "no" : "yes", NULL, refused ? COLOR_BAD : COLOR_NONE);
	table_cell(table, detail, NULL, COLOR_NONE);
}

/* One after the other: columns cannot wait for the last entry. */
static void
show_followed(const struct ash *ash, const struct entry *entry)
{
	bool refused = strcmp(entry->allowed, "false") == 0;
	char who[48], detail[CELL_MAX + 256], at[32];

	who_text(entry, who);
	detail_text(entry, detail);
	printf("%s %s %s%s%s%s %s%s%s%s%s%s%s\n", shown_time(entry, at), entry->role,
	       color_on(refused ? COLOR_BAD : COLOR_NONE, ash->style.color), entry->action,
	       refused ? " refused" : "", color_off(ash->style.color), *who ? who : "-",
	       *entry->agent ? " agent " : "", entry->agent, *entry->session ? " session " : "",
	       entry->session, *detail ? ": " : "", detail);
}

static void
show_line(struct listing *listing, const char *line, size_t length)
{
	struct entry entry;

	if (!entry_parse(&entry, line, length) || !wanted(listing, &entry))
		return;
	if (listing->table) {
		show_row(listing->table, &entry);
	} else if (listing->ash->json) {
		if (!listing->follow)
			fputs(listing->shown ? "," : "[", stdout);
		fwrite(line, 1, length, stdout);
		if (listing->follow)
			fputc('\n', stdout);
	} else {
		show_followed(listing->ash, &entry);
	}
	listing->shown++;
}

/* --- reading -------------------------------------------------------------------------------------
 */

struct reader {
	off_t offset;
	size_t length;
	char text[READ_BYTES];
};

static void
show_whole_lines(struct listing *listing, struct reader *reader)
{
	char *from = reader->text, *end = from + reader->length, *newline;

	while ((newline = memchr(from, '\n', (size_t)(end - from)))) {
		show_line(listing, from, (size_t)(newline - from));
		from = newline + 1;
	}
	reader->length = (size_t)(end - from);
	if (reader->length > CHAIN_LINE_MAX)
		reader->length = 0; /* no entry is so long */
	memmove(reader->text, from, reader->length);
}

/* On from where it stands. Bytes read, or -1 with error. */
static ssize_t
read_on(struct listing *listing, struct reader *reader, int fd, struct error *error)
{
	ssize_t n, sum = 0;

	while ((n = pread(fd, reader->text + reader->length, READ_BYTES - reader->length,
			  reader->offset)) > 0) {
		reader->offset += n;
		reader->length += (size_t)n;
		sum += n;
		show_whole_lines(listing, reader);
	}
	return n < 0 ? error_errno(error, errno, "reading the audit log") : sum;
}

static int
read_all_files(struct listing *listing, const struct audit_log *log, struct reader *reader,
	       struct error *error)
{
	for (unsigned i = 0; i < log->count; i++) {
		reader->offset = 0;
		reader->length = 0;
		if (read_on(listing, reader, log->fds[i], error) < 0)
			return -1;
	}
	return 0;
}

/* --- following
 * ------------------------------------------------------------------------------------ */

static bool
same_file(int one, int other)
{
	struct stat a, b;

	return fstat(one, &a) == 0 && fstat(other, &b) == 0 && a.st_dev == b.st_dev &&
	       a.st_ino == b.st_ino;
}

/* Another audit.log may have begun: what is left of the one at hand, then those after it. Ends
 * when agentd is away for longer than a restart takes; what it refuses now is asked later. */
static int
look_again(struct ash *ash, struct listing *listing, struct audit_log *log, struct reader *reader,
	   struct error *error)
{
	struct audit_log now;
	unsigned at = 0;
	int rc = 0;

	if (audit_log_open(ash, &now, error) < 0)
		return error->code == ERR_UNREACHABLE || error->code == ERR_PERMISSION ? -1 : 0;
	while (at < now.count && !same_file(now.fds[at], log->fds[log->count - 1]))
		at++;
	if (at + 1 < now.count)
		rc = (int)read_on(listing, reader, log->fds[log->count - 1], error);
	for (at = at == now.count ? 0 : at + 1; rc >= 0 && at < now.count; at++) {
		reader->offset = 0;
		reader->length = 0;
		rc = (int)read_on(listing, reader, now.fds[at], error);
	}
	audit_log_close(log);
	*log = now;
	return rc < 0 ? -1 : 0;
}

static int
follow(struct ash *ash, struct listing *listing, struct audit_log *log, struct reader *reader,
       struct error *error)
{
	uint64_t quiet_since = clock_ms();
	ssize_t n;

	while (output_flush(error) == 0) {
		poll(NULL, 0, POLL_MS);
		n = read_on(listing, reader, log->fds[log->count - 1], error);
		if (n < 0)
			return -1;
		if (n == 0 && clock_ms() - quiet_since < LOOK_MS)
			continue;
		quiet_since = clock_ms();
		if (n == 0 && look_again(ash, listing, log, reader, error) < 0)
			return -1;
	}
	return -1;
}

/* --- the command
 * ---------------------------------------------------------------------------------- */

static int
take_filters(struct ash *ash, const struct args *args, struct listing *listing, struct error *error)
{
	const char *session = args_value(args, "--session"), *since = args_value(args, "--since");
	struct session found;

	listing->agent = args_value(args, "--agent");
	if (listing->agent && agent_name_check(listing->agent, error) < 0)
		return -1;
	if (since && since_parse(since, &listing->since_ms, error) < 0)
		return -1;
	if (!session)
		return 0;
	if (session_ref_check(session, error) < 0)
		return -1;
	if (!strchr(session, '@')) {
		snprintf(listing->session, sizeof(listing->session), "%s", session);
		return 0;
	}
	if (session_get(ash, session, &found, error) < 0)
		return -1;
	uuid_format(&found.row.session, listing->session);
	return 0;
}

static int
finish(struct ash *ash, struct listing *listing, struct error *error)
{
	struct table *table = listing->table;

	if (ash->json) {
		puts(listing->shown ? "]" : "[]");
		return output_flush(error);
	}
	listing->table = NULL;
	if (!listing->shown && ash->out_tty) {
		table_free(table);
		output_empty(ash, "No entries.");
		return 0;
	}
	return output_table(ash, table, error);
}

int
audit_command(struct ash *ash, const struct args *args, struct error *error)
{
	struct listing listing = {.ash = ash, .follow = args_flag(args, "--follow")};
	_cleanup_free_ struct reader *reader = calloc(1, sizeof(*reader));
	struct audit_log log = {.count = 0};
	int rc = -1;

	if (!ash->json && !listing.follow)
		listing.table = table_new(columns, ARRAY_LEN(columns));
	if (!reader || (!ash->json && !listing.follow && !listing.table))
		return out_of_memory(error);
	if (take_filters(ash, args, &listing, error) == 0 && audit_log_open(ash, &log, error) == 0)
		rc = read_all_files(&listing, &log, reader, error);
	if (rc == 0 && log.left_out)
		output_note(ash, "%u older files are not shown", log.left_out);
	if (rc == 0)
		rc = listing.follow ? follow(ash, &listing, &log, reader, error)
				    : finish(ash, &listing, error);
	table_free(listing.table);
	audit_log_close(&log);
	return rc;
}
