/* ash home log, diff, rollback. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "ash.h"
#include "common/cleanup.h"
#include "common/timefmt.h"
#include "output.h"
#include "patient.h"
#include "rows.h"
#include "session.h"
#include "text.h"

static const struct column log_columns[] = {
    {"SESSION", CUT_NEVER, 0, false}, {"COMMITTED", CUT_NEVER, 0, false},
    {"ADDED", CUT_NEVER, 0, true},    {"MODIFIED", CUT_NEVER, 0, true},
    {"REMOVED", CUT_NEVER, 0, true},  {"UNDO", CUT_NEVER, 0, true},
    {"HOME", CUT_NEVER, 0, true},
};

/* --- the history -------------------------------------------------------------------------------
 */

struct entries {
	struct msg_home_entry *all; /* heap, oldest first */
	size_t count;
};

static int
keep_entry(const struct msg *record, void *arg, struct error *error)
{
	struct entries *entries = arg;
	void *all = reallocarray(entries->all, entries->count + 1, sizeof(*entries->all));

	if (!all)
		return out_of_memory(error);
	entries->all = all;
	entries->all[entries->count++] = record->home_entry;
	return 0;
}

static void
free_entries(struct entries *entries)
{
	free(entries->all);
}

static int
ask_entries(struct ash *ash, const char *agent, struct entries *entries, struct error *error)
{
	struct msg request, reply;
	int r;

	if (agent_name_check(agent, error) < 0)
		return -1;
	msg_init(&request, MSG_OP_HOME_LOG);
	strcpy(request.op_home_log.agent, agent);
	if (connection_query(&ash->connection, &request, MSG_ROWS, &reply, error) < 0)
		return -1;
	r = rows_each(reply.fds[0], MSG_HOME_ENTRY, keep_entry, entries, error);
	msg_close_fds(&reply);
	return r;
}

/* An id, its beginning or AGENT@latest among the sessions of the history. */
static bool
names(const char *ref, const char *agent, const struct entries *entries, size_t index)
{
	char id[UUID_TEXT_LEN + 1];
	size_t length = strlen(agent);

	if (!strncmp(ref, agent, length) && !strcmp(ref + length, "@latest"))
		return index + 1 == entries->count;
	uuid_format(&entries->all[index].session, id);
	return !strncasecmp(id, ref, strlen(ref));
}

static int
find_session(struct ash *ash, const char *agent, const char *ref, struct uuid *session,
	     struct error *error)
{
	_cleanup_(free_entries) struct entries entries = {0};
	size_t i, found = 0;

	if (session_ref_check(ref, error) < 0 || ask_entries(ash, agent, &entries, error) < 0)
		return -1;
	for (i = 0; i < entries.count; i++)
		if (names(ref, agent, &entries, i)) {
			*session = entries.all[i].session;
			found++;
		}
	if (found == 1)
		return 0;
	if (found)
		error_why(error, ERR_NOT_FOUND, "'%.80s' is the beginning of several sessions",
			  ref);
	else
		error_why(error, ERR_NOT_FOUND, "the history of %s's home has no session %.80s",
			  agent, ref);
	return error_hint(error, "'ash home log %s' lists them", agent);
}

/* --- log ---------------------------------------------------------------------------------------
 */

static void
number_cell(struct table *table, uint64_t number)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
	table_cell(table, text, NULL, COLOR_NONE);
}

static void
size_cell(struct table *table, uint64_t bytes)
{
	char text[32];

	table_cell(table, size_format(bytes, text), NULL, COLOR_NONE);
}

static void
log_row(struct table *table, const struct msg_home_entry *entry, size_t prefix)
{
	char id[UUID_TEXT_LEN + 1], brief[UUID_TEXT_LEN + 1], time[32];

	uuid_format(&entry->session, id);
	snprintf(brief, sizeof(brief), "%.*s", (int)prefix, id);
	table_cell(table, id, brief, COLOR_NONE);
	table_cell(table, minute_format(entry->committed_at_ms, time), NULL, COLOR_NONE);
	number_cell(table, entry->added);
	number_cell(table, entry->modified);
	number_cell(table, entry->removed);
	size_cell(table, entry->undo_bytes);
	size_cell(table, entry->home_bytes);
}

static size_t
prefix_of(const struct entries *entries)
{
	struct uuid *ids = reallocarray(NULL, entries->count, sizeof(*ids));
	size_t i, prefix;

	for (i = 0; ids && i < entries->count; i++)
		ids[i] = entries->all[i].session;
	prefix = ids ? session_prefix(ids, entries->count) : UUID_TEXT_LEN;
	free(ids);
	return prefix;
}

static int
log_table(struct ash *ash, const struct entries *entries, struct error *error)
{
	struct table *table;
	size_t i, prefix;

	if (!entries->count && ash->out_tty) {
		output_empty(ash, "No session's changes can be undone.");
		return 0;
	}
	prefix = entries->count ? prefix_of(entries) : 0;
	table = table_new(log_columns, ARRAY_LEN(log_columns));
	if (!table)
		return out_of_memory(error);
	for (i = entries->count; i-- > 0;)
		log_row(table, &entries->all[i], prefix);
	return output_table(ash, table, error);
}

static void
json_number(struct json *json, const char *key, uint64_t number)
{
	json_key(json, key);
	json_uint(json, number);
}

static void
json_session(struct json *json, const struct uuid *session, uint64_t committed_at_ms)
{
	char id[UUID_TEXT_LEN + 1];

	json_key(json, "session");
	json_string(json, uuid_format(session, id));
	json_key(json, "committed_at");
	json_time(json, committed_at_ms);
}

static int
log_json(const struct entries *entries, struct error *error)
{
	struct json json = JSON_INIT;
	size_t i;

	json_array(&json);
	for (i = entries->count; i-- > 0;) {
		const struct msg_home_entry *entry = &entries->all[i];

		json_object(&json);
		json_session(&json, &entry->session, entry->committed_at_ms);
		json_number(&json, "added", entry->added);
		json_number(&json, "modified", entry->modified);
		json_number(&json, "removed", entry->removed);
		json_number(&json, "undo_bytes", entry->undo_bytes);
		json_number(&json, "home_bytes", entry->home_bytes);
		json_object_end(&json);
	}
	json_array_end(&json);
	return output_json(&json, error);
}

int
home_log_command(struct ash *ash, const struct args *args, struct error *error)
{
	_cleanup_(free_entries) struct entries entries = {0};

	if (ask_entries(ash, args->operands[0], &entries, error) < 0)
		return -1;
	return ash->json ? log_json(&entries, error) : log_table(ash, &entries, error);
}

/* --- diff --------------------------------------------------------------------------------------
 */

static const struct change {
	char mark;
	const char *name;
	enum color color;
} changes[] = {
    {'+', "added", COLOR_GOOD},
    {'~', "modified", COLOR_WARN},
    {'-', "removed", COLOR_BAD},
};

static const struct change *
change_of(char mark)
{
	for (size_t i = 0; i < ARRAY_LEN(changes); i++)
		if (changes[i].mark == mark)
			return &changes[i];
	return NULL;
}

static void
change_json(struct json *json, const struct change *change, const char *path)
{
	size_t length = strlen(path);

	json_object(json);
	json_key(json, "change");
	json_string(json, change->name);
	if (utf8_valid((const uint8_t *)path, length)) {
		json_key(json, "path");
		json_string_n(json, path, length);
	} else {
		json_key(json, "path_bytes");
		json_base64(json, (const uint8_t *)path, length);
	}
	json_object_end(json);
}

static void
change_line(const struct ash *ash, const struct change *change, const char *path)
{
	char *clean = text_clean(path);

	printf("%s%c %s%s\n", color_on(change->color, ash->style.color), change->mark,
	       clean ? clean : "?", color_off(ash->style.color));
	free(clean);
}

/* json NULL: for people. The list is as proto.def says of HOME_CHANGES. */
static int
each_change(const struct ash *ash, int fd, struct json *json, struct error *error)
{
	_cleanup_fclose_ FILE *list = fdopen(fd, "r");
	_cleanup_free_ char *line = NULL;
	const struct change *change;
	size_t size = 0;
	ssize_t length;

	if (!list) {
		close(fd);
		return out_of_memory(error);
	}
	while ((length = getdelim(&line, &size, '\0', list)) > 1) {
		change = change_of(line[0]);
		if (!change || line[length - 1])
			return error_why(error, ERR_FAILED, "the list of changes is damaged");
		if (json)
			change_json(json, change, line + 1);
		else
			change_line(ash, change, line + 1);
	}
	return ferror(list) ? error_errno(error, errno, "reading the list of changes") : 0;
}

static int
diff_json(const struct ash *ash, const char *agent, struct msg *reply, struct error *error)
{
	const struct msg_home_changes *head = &reply->home_changes;
	struct json json = JSON_INIT;

	json_object(&json);
	json_key(&json, "agent");
	json_string(&json, agent);
	json_session(&json, &head->session, head->committed_at_ms);
	json_number(&json, "added", head->added);
	json_number(&json, "modified", head->modified);
	json_number(&json, "removed", head->removed);
	json_key(&json, "changes");
	json_array(&json);
	if (each_change(ash, msg_take_fd(reply, 0), &json, error) < 0) {
		json_free(&json);
		return -1;
	}
	json_array_end(&json);
	json_object_end(&json);
	return output_json(&json, error);
}

int
home_diff_command(struct ash *ash, const struct args *args, struct error *error)
{
	struct msg request, reply;

	msg_init(&request, MSG_OP_HOME_DIFF);
	if (find_session(ash, args->operands[0], args->operands[1], &request.op_home_diff.session,
			 error) < 0)
		return -1;
	strcpy(request.op_home_diff.agent, args->operands[0]);
	if (connection_query(&ash->connection, &request, MSG_HOME_CHANGES, &reply, error) < 0)
		return -1;
	if (ash->json)
		return diff_json(ash, args->operands[0], &reply, error);
	return each_change(ash, msg_take_fd(&reply, 0), NULL, error);
}

/* --- rollback ----------------------------------------------------------------------------------
 */

static int
undone_json(const char *agent, const struct uuid *session, uint64_t undone, struct error *error)
{
	struct json json = JSON_INIT;
	char id[UUID_TEXT_LEN + 1];

	json_object(&json);
	json_key(&json, "agent");
	json_string(&json, agent);
	json_key(&json, "session");
	json_string(&json, uuid_format(session, id));
	json_number(&json, "undone", undone);
	json_object_end(&json);
	return output_json(&json, error);
}

int
home_rollback_command(struct ash *ash, const struct args *args, struct error *error)
{
	const char *agent = args->operands[0];
	struct msg request, reply;
	char id[UUID_TEXT_LEN + 1];
	uint64_t undone;

	msg_init(&request, MSG_OP_HOME_ROLLBACK);
	if (find_session(ash, agent, args->operands[1], &request.op_home_rollback.session, error) <
	    0)
		return -1;
	strcpy(request.op_home_rollback.agent, agent);
	if (patient_call(ash, &request, MSG_OK, &reply, false, true, error) < 0)
		return -1;
	undone = reply.ok.value;
	if (ash->json)
		return undone_json(agent, &request.op_home_rollback.session, undone, error);
	output_done(ash, "%s's home is what it was before session %.13s; %llu session%s undone",
		    agent, uuid_format(&request.op_home_rollback.session, id),
		    (unsigned long long)undone, undone == 1 ? "" : "s");
	return 0;
}
