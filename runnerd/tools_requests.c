#include "tools_requests.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "broker/broker.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "fs.h"
#include "pins.h"
#include "session.h"
#include "store.h"
#include "tools.h"

/* --- where it is kept --------------------------------------------------------------------------
 */

/* LOG_DIR/AGENT. fd or -errno. */
static int
open_logs(const struct runnerd *r, const char *agent)
{
	if (!agent_name_valid(agent))
		return -ENOENT;
	return open_resolved(r->at.logs, agent, O_RDONLY | O_DIRECTORY,
			     RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
}

/* A session's file, as rows. fd or -errno. */
static int
open_kept(const struct runnerd *r, const char *agent, const struct uuid *session,
	  const char *ending)
{
	_cleanup_close_ int dir = open_logs(r, agent);
	char id[UUID_TEXT_LEN + 1], name[UUID_TEXT_LEN + 32];

	if (dir < 0)
		return dir;
	snprintf(name, sizeof(name), "%s.%s", uuid_format(session, id), ending);
	return rows_file_read(dir, name);
}

/* Nothing was kept of it: no tool was called and there are no plugins, or its log is gone. */
static int
no_rows(const struct uuid *session, const char *agent)
{
	struct rows *rows = rows_new("session-tools");
	struct msg head;

	if (!rows)
		return -ENOMEM;
	msg_init(&head, MSG_TOOLS_HEAD);
	if (session)
		head.tools_head.session = *session;
	snprintf(head.tools_head.agent, sizeof(head.tools_head.agent), "%s", agent);
	if (rows_add(rows, &head) == 0)
		return rows_seal(rows);
	rows_free(rows);
	return -ENOMEM;
}

static bool
has_tools(const struct session *s)
{
	return s->phase < PHASE_ENDING && s->tools;
}

/* The agent's newest session that lives and has a registry, or NULL. */
static const struct session *
newest_live(const struct runnerd *r, const char *agent)
{
	const struct session *s, *newest = NULL;

	for (s = r->sessions->first; s; s = s->next)
		if (has_tools(s) && s->tools->rows >= 0 && !strcmp(s->agent_name, agent) &&
		    (!newest || memcmp(s->id.bytes, newest->id.bytes, sizeof(s->id.bytes)) > 0))
			newest = s;
	return newest;
}

/* What the agent's newest session has, or had. A sealed memfd or -errno. */
static int
registry_of_agent(const struct runnerd *r, const char *agent)
{
	const struct session *live = newest_live(r, agent);
	char name[AGENT_NAME_MAX + sizeof(".seen")];
	int rc;

	if (live)
		return tools_registry_rows(live->tools);
	snprintf(name, sizeof(name), "%s.seen", agent);
	rc = rows_file_read(r->at.tools, name);
	return rc == -ENOENT ? no_rows(NULL, agent) : rc;
}

static int
registry_of_session(const struct runnerd *r, const struct uuid *session, const char *agent)
{
	const struct session *s = session_find(r->sessions, session);
	int rc;

	if (s && has_tools(s))
		return s->tools->rows >= 0 ? tools_registry_rows(s->tools)
					   : no_rows(session, agent);
	rc = open_kept(r, agent, session, "tools");
	return rc == -ENOENT ? no_rows(session, agent) : rc;
}

/* --- TOOLS_QUERY -------------------------------------------------------------------------------
 */

static int
pins_of_agent(const struct runnerd *r, const char *agent)
{
	_cleanup_(pins_free) struct pins pins = {0};
	int rc = pins_read(r->at.tools, agent, &pins);

	return rc < 0 ? rc : pins_rows(&pins);
}

static int
check_agent(const struct runnerd *r, const char *agent, struct error *error)
{
	if (!agent_name_valid(agent) || !store_find(r->store, agent, NULL))
		return error_why(error, ERR_NOT_FOUND, "no such agent: %.63s", agent);
	return 0;
}

static void
reply_two(struct channel *channel, uint32_t id, int first, int second)
{
	struct error error = ERROR_INIT;
	struct msg answer;

	if (first < 0 || second < 0) {
		error_errno(&error, first < 0 ? -first : -second, "reading what is known of tools");
		close_fd(&first);
		close_fd(&second);
		channel_reply_error(channel, id, &error);
		return;
	}
	msg_init(&answer, MSG_ROWS);
	answer.id = id;
	msg_add_fd(&answer, first);
	msg_add_fd(&answer, second);
	channel_send(channel, &answer);
}

void
tools_query(struct runnerd *r, struct channel *channel, struct msg *msg)
{
	const struct msg_tools_query *query = &msg->tools_query;
	struct error error = ERROR_INIT;

	if (!uuid_is_nil(&query->session)) {
		reply_two(channel, msg->id, registry_of_session(r, &query->session, query->agent),
			  pins_of_agent(r, query->agent));
		return;
	}
	if (check_agent(r, query->agent, &error) < 0) {
		channel_reply_error(channel, msg->id, &error);
		return;
	}
	reply_two(channel, msg->id, registry_of_agent(r, query->agent),
		  pins_of_agent(r, query->agent));
}

/* --- TOOLS_PIN ---------------------------------------------------------------------------------
 */

/* Everything that one such request needs. */
struct pinning {
	const struct msg_tools_pin *asked;
	struct pins wanted, seen, pins;
	size_t changed;
};

static void
pinning_free(struct pinning *pinning)
{
	pins_free(&pinning->wanted);
	pins_free(&pinning->seen);
	pins_free(&pinning->pins);
}

static int
pin_one(struct pinning *pinning, const struct pin *wanted, struct error *error)
{
	const struct pin *seen = pins_find(&pinning->seen, wanted->head.server, wanted->head.tool);
	struct pin *pin = pins_find(&pinning->pins, wanted->head.server, wanted->head.tool);
	struct msg_tool_pin head = wanted->head;
	int rc = 0;

	if (!seen || memcmp(seen->head.digest, head.digest, DIGEST_BYTES) != 0) {
		error_why(error, ERR_CONFLICT,
			  "the definition of %s of the server %s changed meanwhile", head.tool,
			  head.server);
		return error_hint(error, "look at it again with 'ash tool diff %s'",
				  pinning->asked->agent);
	}
	if (pin && memcmp(pin->head.digest, head.digest, DIGEST_BYTES) == 0)
		return 0;
	head.pinned_at_ms = realtime_ms();
	head.by_operator = true;
	head.uid = pinning->asked->uid;
	head.login_uid = pinning->asked->login_uid;
	head.session = (struct uuid){0};
	pinning->changed++;
	if (pin)
		pin_change(&pinning->pins, pin, &head, seen);
	else
		rc = pins_add(&pinning->pins, &head, seen);
	return rc < 0 ? error_errno(error, -rc, "pinning %s", head.tool) : 0;
}

static int
read_sets(const struct runnerd *r, struct pinning *pinning, int wanted_fd, struct error *error)
{
	_cleanup_close_ int registry = registry_of_agent(r, pinning->asked->agent);
	int rc = registry < 0 ? registry : pins_take(&pinning->seen, registry);

	if (rc == 0)
		rc = pins_read(r->at.tools, pinning->asked->agent, &pinning->pins);
	if (rc < 0)
		return error_errno(error, -rc, "reading what is known of the agent's tools");
	rc = pins_take(&pinning->wanted, wanted_fd);
	return rc < 0 ? error_errno(error, -rc, "reading what shall be pinned") : 0;
}

static void
tell_brokers(const struct runnerd *r, const struct pinning *pinning)
{
	for (const struct session *s = r->sessions->first; s; s = s->next)
		for (size_t i = 0; has_tools(s) && !strcmp(s->agent_name, pinning->asked->agent) &&
				   i < pinning->wanted.count;
		     i++)
			tools_accept(s->tools, &pinning->wanted.items[i].head);
}

/* All of it or nothing. */
static int
pin(struct runnerd *r, struct pinning *pinning, int wanted_fd, struct error *error)
{
	int rc;

	if (check_agent(r, pinning->asked->agent, error) < 0 ||
	    read_sets(r, pinning, wanted_fd, error) < 0)
		return -1;
	for (size_t i = 0; i < pinning->wanted.count; i++)
		if (pin_one(pinning, &pinning->wanted.items[i], error) < 0)
			return -1;
	if (pinning->changed) {
		pins_sort(&pinning->pins);
		rc = pins_write(r->at.tools, pinning->asked->agent, &pinning->pins);
		if (rc < 0)
			return error_errno(error, -rc, "writing the agent's pins");
	}
	tell_brokers(r, pinning);
	return 0;
}

/* control writes its own line; this one stands whoever speaks for control. */
static void
audit(struct runnerd *r, const struct pinning *pinning, const struct error *error)
{
	const struct msg_tools_pin *asked = pinning->asked;
	struct msg_audit line = {.by_operator = true,
				 .uid = asked->uid,
				 .pid = asked->pid,
				 .login_uid = asked->login_uid,
				 .allowed = !error};
	char text[ERROR_TEXT_MAX + 1];
	size_t length = 0;

	snprintf(line.action, sizeof(line.action), "tool.pin");
	memcpy(line.agent, asked->agent, sizeof(line.agent));
	if (error)
		snprintf(line.detail, sizeof(line.detail), "%.*s", REASON_MAX,
			 error_text(error, text));
	for (size_t i = 0; !error && i < pinning->wanted.count; i++) {
		const struct msg_tool_pin *head = &pinning->wanted.items[i].head;

		if (length + sizeof(head->tool) + 64 > sizeof(line.detail)) {
			snprintf(line.detail + length, sizeof(line.detail) - length, ", ...");
			break;
		}
		length += (size_t)snprintf(line.detail + length, sizeof(line.detail) - length,
					   "%s%s/%s %02x%02x%02x%02x%02x%02x", length ? ", " : "",
					   head->server, head->tool, head->digest[0],
					   head->digest[1], head->digest[2], head->digest[3],
					   head->digest[4], head->digest[5]);
	}
	audit_send(r->audit, &line);
}

void
tools_pin(struct runnerd *r, struct channel *channel, struct msg *msg)
{
	_cleanup_(pinning_free) struct pinning pinning = {.asked = &msg->tools_pin};
	struct error error = ERROR_INIT;
	int rc = pin(r, &pinning, msg->fds[0], &error);

	audit(r, &pinning, rc < 0 ? &error : NULL);
	if (rc < 0)
		channel_reply_error(channel, msg->id, &error);
	else
		channel_reply_ok(channel, msg->id, pinning.changed);
}

/* --- SESSION_TOOLS_QUERY -----------------------------------------------------------------------
 */

static int
add_result(struct rows *rows, int fd)
{
	const uint8_t *bytes = NULL;
	size_t length = 0;
	struct msg record;
	int rc = memfd_map(fd, NOTE_BYTES_MAX, &bytes, &length);

	msg_init(&record, MSG_RESULT_ROW);
	record.result_row.bytes = length;
	if (rc == 0)
		rc = rows_add(rows, &record);
	msg_init(&record, MSG_TEXT_PART);
	for (size_t at = 0, size; rc == 0 && at < length; at += size) {
		size = length - at;
		if (size > sizeof(record.text_part.text))
			size = sizeof(record.text_part.text);
		record.text_part.text_len = (uint32_t)size;
		memcpy(record.text_part.text, bytes + at, size);
		rc = rows_add(rows, &record);
	}
	if (bytes)
		munmap((void *)(uintptr_t)bytes, length);
	return rc;
}

/* Of what is kept, what `ash session show` shows: no registry. */
static int
add_kept(struct rows *rows, int fd)
{
	struct rows_reader *reader = rows_open(fd);
	struct msg record;
	int rc = 0, next;

	if (!reader)
		return -errno;
	while (rc == 0 && (next = rows_next(reader, &record)) != 0)
		rc = next < 0 ? next : record.type == MSG_TOOL_ROW ? 0 : rows_add(rows, &record);
	rows_close(reader);
	return rc;
}

static int
kept_rows(const struct runnerd *r, const struct msg_session_tools_query *query)
{
	const struct session *s = session_find(r->sessions, &query->session);
	int rc;

	if (s && has_tools(s))
		return tools_rows(s->tools);
	rc = open_kept(r, query->agent, &query->session, "tools");
	return rc == -ENOENT ? no_rows(&query->session, query->agent) : rc;
}

/* A sealed memfd or -errno. */
static int
session_rows(const struct runnerd *r, const struct msg_session_tools_query *query)
{
	_cleanup_close_ int kept = kept_rows(r, query);
	_cleanup_close_ int result = open_kept(r, query->agent, &query->session, "result.json");
	struct rows *rows = kept < 0 ? NULL : rows_new("session-tools");
	int rc = kept < 0 ? kept : rows ? add_kept(rows, kept) : -ENOMEM;

	if (rc == 0 && result != -ENOENT)
		rc = result < 0 ? result : add_result(rows, result);
	if (rc == 0)
		return rows_seal(rows);
	rows_free(rows);
	return rc;
}

void
session_tools_query(struct runnerd *r, struct channel *channel, struct msg *msg)
{
	const struct msg_session_tools_query *query = &msg->session_tools_query;
	struct error error = ERROR_INIT;
	int rows = session_rows(r, query);
	struct msg answer;

	if (rows < 0) { /* damaged: the rest of the session is shown all the same */
		log_session(LOG_LEVEL_WARNING, &query->session,
			    "the record of its tools cannot be read: %s", strerrordesc_np(-rows));
		rows = no_rows(&query->session, query->agent);
	}
	if (rows < 0) {
		error_errno(&error, -rows, "reading what is known of the session's tools");
		channel_reply_error(channel, msg->id, &error);
		return;
	}
	msg_init(&answer, MSG_ROWS);
	answer.id = msg->id;
	msg_add_fd(&answer, rows);
	channel_send(channel, &answer);
}
