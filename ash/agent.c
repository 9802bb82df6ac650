#include "agent.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "ash.h"
#include "common/cleanup.h"
#include "common/manifest.h"
#include "common/timefmt.h"
#include "explain.h"
#include "output.h"
#include "rows.h"
#include "session.h"

static const struct column list_columns[] = {
    {"NAME", CUT_NEVER, 0, false},        {"VERSION", CUT_RIGHT, 9, false},
    {"RUNTIME", CUT_NEVER, 0, false},     {"TRIGGERS", CUT_NEVER, 0, true},
    {"LAST", CUT_RIGHT, 12, false},       {"NEXT", CUT_NEVER, 0, false},
    {"INSTALL-DIR", CUT_LEFT, 16, false}, {"INSTALLED-AT", CUT_NEVER, 0, false},
};

int
agent_name_check(const char *name, struct error *error)
{
	if (agent_name_valid(name))
		return 0;
	error_why(error, ERR_NOT_FOUND, "'%.80s' cannot be an agent's name", name);
	return error_hint(error, "names are lower-case letters, digits and hyphens, 63 at most; "
				 "see 'ash agent list'");
}

const char *
minute_format(uint64_t epoch_ms, char *text)
{
	if (epoch_ms == 0)
		return strcpy(text, "-");
	local_format(epoch_ms, text);
	text[16] = '\0';
	return text;
}

static void
last_json(const struct msg_agent_last *last, struct json *json)
{
	char id[UUID_TEXT_LEN + 1];
	bool known = last && !uuid_is_nil(&last->session);

	json_key(json, "last_session");
	json_string(json, known ? uuid_format(&last->session, id) : NULL);
	json_key(json, "last_state");
	json_string(json, known ? session_state_name(last->state) : NULL);
	json_key(json, "last_outcome");
	json_string(json, known && last->outcome ? session_outcome_name(last->outcome) : NULL);
	json_key(json, "last_at");
	json_time(json, known ? last->at_ms : 0);
	json_key(json, "next_fire_at");
	json_time(json, last ? last->next_fire_at_ms : 0);
}

static void
standing_json(const struct msg_agent_last *last, struct json *json)
{
	bool paused = last && last->paused_at_ms;

	json_key(json, "paused");
	json_bool(json, paused);
	json_key(json, "paused_at");
	json_time(json, paused ? last->paused_at_ms : 0);
	json_key(json, "paused_by");
	json_string(json, paused && last->paused_by[0] ? last->paused_by : NULL);
	json_key(json, "pause_reason");
	json_string(json, paused ? last->pause_reason : NULL);
	json_key(json, "failures");
	if (last)
		json_uint(json, last->failures);
	else
		json_null(json);
	json_key(json, "runs_today");
	if (last)
		json_uint(json, last->runs_today);
	else
		json_null(json);
}

static void
triggers_json(const struct msg_agent_row *row, struct json *json)
{
	char text[sizeof(row->trigger_text)], *rest = text, *line;

	memcpy(text, row->trigger_text, sizeof(text));
	json_array(json);
	while (*text && (line = strsep(&rest, "\n")))
		json_string(json, line);
	json_array_end(json);
}

void
agent_json_keys(const struct msg_agent_row *row, const struct msg_agent_last *last,
		struct json *json)
{
	json_key(json, "name");
	json_string(json, row->name);
	json_key(json, "version");
	json_string(json, row->version);
	json_key(json, "description");
	json_string(json, *row->description ? row->description : NULL);
	json_key(json, "runtime");
	json_string(json, row->runtime);
	json_key(json, "trust_level");
	json_string(json, row->trust_level);
	json_key(json, "install_dir");
	json_string(json, row->install_dir);
	json_key(json, "installed_at");
	json_time(json, row->installed_at_ms);
	standing_json(last, json);
	json_key(json, "triggers");
	triggers_json(row, json);
	json_key(json, "first_uid");
	json_uint(json, row->base_uid);
	last_json(last, json);
}

/* --- lists ------------------------------------------------------------------------------------ */

struct agents {
	struct msg_agent_last *lasts; /* heap */
	size_t count, size;
	struct table *table;
	struct json *json;
	size_t shown;
};

static int
keep_last(const struct msg *record, void *arg, struct error *error)
{
	struct agents *agents = arg;

	if (agents->count == agents->size) {
		size_t size = agents->size ? agents->size * 2 : 32;
		void *lasts = reallocarray(agents->lasts, size, sizeof(*agents->lasts));

		if (!lasts)
			return out_of_memory(error);
		agents->lasts = lasts;
		agents->size = size;
	}
	agents->lasts[agents->count++] = record->agent_last;
	return 0;
}

static const struct msg_agent_last *
find_last(const struct agents *agents, const char *name)
{
	for (size_t i = 0; i < agents->count; i++)
		if (strcmp(agents->lasts[i].agent, name) == 0)
			return &agents->lasts[i];
	return NULL;
}

static void
list_row(struct table *table, const struct msg_agent_row *row, const struct msg_agent_last *last)
{
	char triggers[16], time[32], brief[32];
	bool ran = last && !uuid_is_nil(&last->session);
	const char *outcome = ran ? session_shown(last->state, last->outcome) : NULL;

	bool paused = last && last->paused_at_ms;

	table_cell(table, row->name, NULL, paused ? COLOR_DIM : COLOR_NONE);
	table_cell(table, row->version, NULL, COLOR_NONE);
	table_cell(table, row->runtime, NULL, COLOR_NONE);
	snprintf(triggers, sizeof(triggers), "%u", row->triggers);
	table_cell(table, triggers, NULL, COLOR_NONE);
	table_cell(table, outcome, NULL,
		   ran ? session_color(last->state, last->outcome) : COLOR_NONE);
	minute_format(last ? last->next_fire_at_ms : 0, time);
	if (paused)
		table_cell(table, "paused", NULL, COLOR_WARN);
	else
		table_cell(table, time, strlen(time) > 11 ? time + 5 : NULL, COLOR_NONE);
	table_cell(table, row->install_dir, NULL, COLOR_NONE);
	minute_format(row->installed_at_ms, time);
	snprintf(brief, sizeof(brief), "%.10s", time);
	table_cell(table, time, brief, COLOR_NONE);
}

static int
show_agent(const struct msg *record, void *arg, struct error *error)
{
	struct agents *agents = arg;
	const struct msg_agent_row *row = &record->agent_row;
	const struct msg_agent_last *last = find_last(agents, row->name);

	(void)error;
	agents->shown++;
	if (agents->table) {
		list_row(agents->table, row, last);
		return 0;
	}
	json_object(agents->json);
	agent_json_keys(row, last, agents->json);
	json_object_end(agents->json);
	return 0;
}

static int
query_agents(struct ash *ash, const char *name, struct msg *reply, struct error *error)
{
	struct msg request;

	msg_init(&request, MSG_OP_AGENTS);
	strcpy(request.op_agents.agent, name);
	return connection_query(&ash->connection, &request, MSG_ROWS, reply, error);
}

static int
read_lasts(const struct msg *reply, struct agents *agents, struct error *error)
{
	if (reply->nfds < 2)
		return 0;
	return rows_each(reply->fds[1], MSG_AGENT_LAST, keep_last, agents, error);
}

static int
print_agent_table(struct ash *ash, struct agents *agents, int fd, struct error *error)
{
	agents->table = table_new(list_columns, ARRAY_LEN(list_columns));
	if (!agents->table)
		return out_of_memory(error);
	if (rows_each(fd, MSG_AGENT_ROW, show_agent, agents, error) < 0) {
		table_free(agents->table);
		return -1;
	}
	if (agents->shown == 0 && ash->out_tty) {
		table_free(agents->table);
		output_empty(ash, "No agents are installed; 'ash agent install MANIFEST' installs "
				  "one.");
		return 0;
	}
	return output_table(ash, agents->table, error);
}

int
agent_list_command(struct ash *ash, const struct args *args, struct error *error)
{
	struct agents agents = {0};
	struct json json = JSON_INIT;
	struct msg reply;
	int r;

	(void)args;
	if (query_agents(ash, "", &reply, error) < 0)
		return -1;
	r = read_lasts(&reply, &agents, error);
	if (r == 0 && !ash->json)
		r = print_agent_table(ash, &agents, reply.fds[0], error);
	if (r == 0 && ash->json) {
		agents.json = &json;
		json_array(&json);
		r = rows_each(reply.fds[0], MSG_AGENT_ROW, show_agent, &agents, error);
		json_array_end(&json);
		if (r == 0)
			r = output_json(&json, error);
		json_free(&json);
	}
	msg_close_fds(&reply);
	free(agents.lasts);
	return r;
}

/* --- one agent ----------------------------------------------------------------------------------
 */

static struct manifest *
read_plan(int fd, struct error *error)
{
	const uint8_t *bytes;
	size_t length;
	struct manifest *manifest;
	int r = memfd_map(fd, PLAN_BYTES_MAX, &bytes, &length);

	if (r < 0) {
		error_errno(error, -r, "reading the plan that agentd sent");
		return NULL;
	}
	manifest = plan_decode(bytes, length, error);
	if (bytes)
		munmap((void *)bytes, length);
	return manifest;
}

static void
show_json(const struct msg_agent_row *row, const struct msg_agent_last *last,
	  const struct manifest *manifest, const struct facts *facts, struct json *json)
{
	json_object(json);
	agent_json_keys(row, last, json);
	json_key(json, "sandbox");
	facts_json(facts, json);
	json_key(json, "manifest");
	manifest_json(manifest, json);
	json_object_end(json);
}

static void
show_triggers(const struct ash *ash, const struct msg_agent_row *row,
	      const struct msg_agent_last *last)
{
	char text[sizeof(row->trigger_text)], *rest = text, *line, time[32];

	memcpy(text, row->trigger_text, sizeof(text));
	if (!*text)
		output_line(ash, "Triggers", COLOR_NONE, "none");
	while (*text && (line = strsep(&rest, "\n")))
		output_line(ash, "Trigger", COLOR_NONE, "%s", line);
	if (last && last->next_fire_at_ms)
		output_line(ash, "Next", COLOR_NONE, "%s",
			    minute_format(last->next_fire_at_ms, time));
}

static void
show_last(const struct ash *ash, const struct msg_agent_last *last)
{
	char id[UUID_TEXT_LEN + 1], time[32];
	enum color color;

	if (!last || uuid_is_nil(&last->session)) {
		output_line(ash, "Last", COLOR_NONE, "never ran");
		return;
	}
	color = session_color(last->state, last->outcome);
	output_line(ash, "Last", color, "%s, %s, session %s",
		    session_shown(last->state, last->outcome), minute_format(last->at_ms, time),
		    uuid_format(&last->session, id));
}

/* The words of what is executed, and what they are said to be. */
static void
command_text(const struct ash *ash, const struct facts *facts)
{
	const char *interpreter = facts_find(facts, "interpreter");
	const char *version = facts_find(facts, "interpreter_version");
	const char *engine = facts_find(facts, "engine");
	_cleanup_free_ char *text = NULL;
	size_t length;
	FILE *stream = open_memstream(&text, &length);

	if (!stream)
		return;
	fputs(facts_find(facts, "command") ? facts_find(facts, "command") : "", stream);
	for (size_t i = 0; i < facts->count; i++)
		if (facts->items[i].kind == FACT_ITEM && !*facts->items[i].section &&
		    strcmp(facts->items[i].key, "arguments") == 0)
			fprintf(stream, " %s", facts->items[i].text);
	fclose(stream);
	if (text)
		output_line(ash, "Command", COLOR_NONE, "%s", text);
	if (interpreter)
		output_line(ash, engine ? "Engine" : "Interpreter", COLOR_NONE, "%s%s%s, %s",
			    engine ? engine : "", engine ? " of " : "", interpreter,
			    version ? version : "its version is not known");
}

static void
image_text(const struct ash *ash, const struct facts *facts)
{
	const char *digest = facts_find(facts, "image_digest");
	unsigned long long layers = facts_find_number(facts, "image_layers");
	const char *user = facts_find(facts, "image_user");

	if (!digest)
		return;
	if (layers)
		output_line(ash, "Image digest", COLOR_NONE, "%s, %llu layer%s, user %s", digest,
			    layers, layers == 1 ? "" : "s", user && *user ? user : "0");
	else
		output_line(ash, "Image digest", COLOR_BAD, "%s, which is gone", digest);
}

static void
show_text(const struct ash *ash, const struct msg_agent_row *row, const struct msg_agent_last *last,
	  const struct manifest *manifest, const struct facts *facts)
{
	static const char *const told[] = {"agent",
					   "trust_level",
					   "install_dir",
					   "runtime",
					   "command",
					   "arguments",
					   "interpreter",
					   "interpreter_version",
					   "image_digest",
					   "image_layers",
					   "image_user",
					   "engine",
					   NULL};
	char time[32];

	output_line(ash, "Agent", COLOR_NONE, "%s %s", row->name, row->version);
	if (last && last->paused_at_ms)
		output_line(ash, "Paused", COLOR_WARN, "since %s: %s",
			    minute_format(last->paused_at_ms, time), last->pause_reason);
	if (*row->description)
		output_line(ash, "Description", COLOR_NONE, "%s", row->description);
	output_line(ash, "Runtime", COLOR_NONE, "%s", row->runtime);
	output_line(ash, "Trust level", COLOR_NONE, "%s", row->trust_level);
	output_line(ash, "Installed", COLOR_NONE, "%s from %s",
		    minute_format(row->installed_at_ms, time), row->install_dir);
	show_triggers(ash, row, last);
	show_last(ash, last);
	command_text(ash, facts);
	image_text(ash, facts);
	if (manifest->task)
		output_line(ash, "Task", COLOR_NONE, "%s", manifest->task);
	facts_text_whole(ash, facts, told);
}

int
agent_show_command(struct ash *ash, const struct args *args, struct error *error)
{
	struct agents agents = {0};
	struct facts facts = {0};
	struct json json = JSON_INIT;
	struct msg one, all, row;
	struct manifest *manifest = NULL;
	int r;

	if (agent_name_check(args->operands[0], error) < 0 ||
	    query_agents(ash, args->operands[0], &one, error) < 0)
		return -1;
	r = rows_first(one.fds[0], MSG_AGENT_ROW, &row, error);
	if (r == 0)
		r = error_why(error, ERR_NOT_FOUND, "there is no agent %s", args->operands[0]);
	if (r == 1)
		manifest = read_plan(one.nfds > 1 ? one.fds[1] : -1, error);
	msg_close_fds(&one);
	if (!manifest)
		return -1;
	r = explain_agent(ash, args->operands[0], &facts, error);
	if (r == 0)
		r = query_agents(ash, "", &all, error);
	if (r == 0) {
		r = read_lasts(&all, &agents, error);
		msg_close_fds(&all);
	}
	if (r == 0 && ash->json) {
		show_json(&row.agent_row, find_last(&agents, row.agent_row.name), manifest, &facts,
			  &json);
		r = output_json(&json, error);
	} else if (r == 0) {
		show_text(ash, &row.agent_row, find_last(&agents, row.agent_row.name), manifest,
			  &facts);
	}
	facts_free(&facts);
	free(agents.lasts);
	manifest_free(manifest);
	return r;
}

static int
removed_json(const char *name, bool purged, struct error *error)
{
	struct json json = JSON_INIT;

	json_object(&json);
	json_key(&json, "agent");
	json_string(&json, name);
	json_key(&json, "removed");
	json_bool(&json, true);
	json_key(&json, "purged");
	json_bool(&json, purged);
	json_object_end(&json);
	return output_json(&json, error);
}

int
agent_remove_command(struct ash *ash, const struct args *args, struct error *error)
{
	const char *name = args->operands[0];
	bool purge = args_flag(args, "--purge");
	struct msg request, reply;

	if (agent_name_check(name, error) < 0)
		return -1;
	msg_init(&request, MSG_OP_REMOVE);
	strcpy(request.op_remove.agent, name);
	request.op_remove.purge = purge;
	if (connection_call(&ash->connection, &request, MSG_OK, &reply, REPLY_WAIT_MS, error) < 0)
		return -1;
	if (ash->json)
		return removed_json(name, purge, error);
	output_done(ash, "%s removed%s", name,
		    purge ? ", its home and history too" : "; its home is kept");
	return 0;
}
