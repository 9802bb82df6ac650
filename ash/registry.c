/* ash tool list of sessions and agents, ash tool diff, ash tool pin. */
#include "registry.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent.h"
#include "common/cleanup.h"
#include "common/manifest.h"
#include "common/timefmt.h"
#include "libagent/c/agent.h"
#include "output.h"
#include "rows.h"
#include "session.h"
#include "text.h"

enum { ENTRIES_STEP = 64, DIGEST_SHOWN = 12 };

/* runnerd/broker/broker.h: tool_state */
enum { STATE_OPEN, STATE_ASK, STATE_DENIED, STATE_QUARANTINED, STATE_ABSENT };

static const struct column list_columns[] = {
    {"NAME", CUT_NEVER, 0, false},         {"SERVER", CUT_NEVER, 0, false},
    {"STATE", CUT_NEVER, 0, false},        {"PINNED", CUT_NEVER, 0, false},
    {"DESCRIPTION", CUT_RIGHT, 24, false},
};

/* --- what there is -------------------------------------------------------------------------------
 */

/* A definition: of a tool, or one that is pinned. */
struct entry {
	struct msg_tool_row row; /* of a pin only server, tool and digest */
	struct msg_tool_pin pin;
	char *text; /* heap; NULL: not known */
	size_t length;
};

struct entries {
	struct entry *all; /* heap, in the order of server and tool */
	size_t count;
};

struct registry {
	char agent[AGENT_NAME_MAX + 1];
	struct msg_tools_head head;
	struct entries tools, pins;
};

static void
entries_free(struct entries *entries)
{
	for (size_t i = 0; i < entries->count; i++)
		free(entries->all[i].text);
	free(entries->all);
}

static void
registry_free(struct registry *registry)
{
	entries_free(&registry->tools);
	entries_free(&registry->pins);
}

static int
order(const void *a, const void *b)
{
	const struct entry *one = a, *other = b;
	int r = strcmp(one->row.server, other->row.server);

	return r ? r : strcmp(one->row.tool, other->row.tool);
}

static struct entry *
add_entry(struct entries *entries, struct error *error)
{
	if (entries->count % ENTRIES_STEP == 0) {
		void *all = reallocarray(entries->all, entries->count + ENTRIES_STEP,
					 sizeof(*entries->all));

		if (!all) {
			out_of_memory(error);
			return NULL;
		}
		entries->all = all;
	}
	entries->all[entries->count] = (struct entry){.text = NULL};
	return &entries->all[entries->count++];
}

static int
add_text(struct entries *entries, const struct msg_text_part *part, struct error *error)
{
	struct entry *entry = entries->count ? &entries->all[entries->count - 1] : NULL;
	char *text;

	if (!entry)
		return 0;
	text = realloc(entry->text, entry->length + part->text_len + 1);
	if (!text)
		return out_of_memory(error);
	memcpy(text + entry->length, part->text, part->text_len);
	entry->text = text;
	entry->length += part->text_len;
	text[entry->length] = '\0';
	return 0;
}

static int
take_tool(const struct msg *record, void *arg, struct error *error)
{
	struct registry *registry = arg;
	struct entry *entry;

	if (record->type == MSG_TOOLS_HEAD)
		registry->head = record->tools_head;
	if (record->type == MSG_TEXT_PART)
		return add_text(&registry->tools, &record->text_part, error);
	if (record->type != MSG_TOOL_ROW)
		return 0;
	entry = add_entry(&registry->tools, error);
	if (!entry)
		return -1;
	entry->row = record->tool_row;
	return 0;
}

static int
take_pin(const struct msg *record, void *arg, struct error *error)
{
	struct registry *registry = arg;
	struct entry *entry;

	if (record->type == MSG_TEXT_PART)
		return add_text(&registry->pins, &record->text_part, error);
	if (record->type != MSG_TOOL_PIN)
		return 0;
	entry = add_entry(&registry->pins, error);
	if (!entry)
		return -1;
	entry->pin = record->tool_pin;
	memcpy(entry->row.server, entry->pin.server, sizeof(entry->pin.server));
	memcpy(entry->row.tool, entry->pin.tool, sizeof(entry->pin.tool));
	return 0;
}

static int
registry_read(const struct msg *reply, struct registry *registry, struct error *error)
{
	if (reply->nfds < 2)
		return error_why(error, ERR_FAILED, "agentd's answer does not fit");
	if (rows_each(reply->fds[0], MSG_NONE, take_tool, registry, error) < 0 ||
	    rows_each(reply->fds[1], MSG_NONE, take_pin, registry, error) < 0)
		return -1;
	if (registry->tools.count > 1)
		qsort(registry->tools.all, registry->tools.count, sizeof(struct entry), order);
	if (registry->pins.count > 1)
		qsort(registry->pins.all, registry->pins.count, sizeof(struct entry), order);
	return 0;
}

static int
ask_tools(struct ash *ash, const char *agent, const char *session, struct registry *registry,
	  struct error *error)
{
	struct msg request, reply;
	int r;

	msg_init(&request, MSG_OP_TOOLS);
	snprintf(request.op_tools.agent, sizeof(request.op_tools.agent), "%s", agent);
	snprintf(request.op_tools.ref, sizeof(request.op_tools.ref), "%s", session);
	if (connection_query(&ash->connection, &request, MSG_ROWS, &reply, error) < 0)
		return -1;
	r = registry_read(&reply, registry, error);
	msg_close_fds(&reply);
	return r;
}

static int
ask_agent(struct ash *ash, const char *agent, struct registry *registry, struct error *error)
{
	if (agent_name_check(agent, error) < 0)
		return -1;
	snprintf(registry->agent, sizeof(registry->agent), "%s", agent);
	return ask_tools(ash, agent, "", registry, error);
}

/* An agent's name before the beginning of a session's id; a whole id is a session's. */
static int
ask_any(struct ash *ash, const char *operand, struct registry *registry, struct error *error)
{
	struct error none = ERROR_INIT;

	if (!strchr(operand, '@') && strlen(operand) != UUID_TEXT_LEN &&
	    agent_name_valid(operand)) {
		if (ask_agent(ash, operand, registry, &none) == 0)
			return 0;
		if (none.code != ERR_NOT_FOUND) {
			*error = none;
			return -1;
		}
	}
	if (session_ref_check(operand, &none) == 0)
		return ask_tools(ash, "", operand, registry, error);
	error_why(error, ERR_NOT_FOUND, "'%.80s' is neither an agent nor a session", operand);
	return error_hint(error, "see 'ash agent list' and 'ash session list'");
}

static const struct entry *
pin_of(const struct registry *registry, const struct entry *tool)
{
	const struct entries *pins = &registry->pins;

	return pins->count ? bsearch(tool, pins->all, pins->count, sizeof(*tool), order) : NULL;
}

static bool
is_pinned(const struct entry *tool, const struct entry *pin)
{
	return pin && tool->row.digest_len == DIGEST_BYTES && pin->pin.digest_len == DIGEST_BYTES &&
	       memcmp(tool->row.digest, pin->pin.digest, DIGEST_BYTES) == 0;
}

/* A definition of a plugin's that is not the accepted one. */
static bool
differs(const struct registry *registry, const struct entry *tool)
{
	const struct entry *pin = pin_of(registry, tool);

	if (!tool->row.server[0] || tool->row.digest_len != DIGEST_BYTES)
		return false;
	return pin ? !is_pinned(tool, pin) : tool->row.state == STATE_QUARANTINED;
}

/* --- list ----------------------------------------------------------------------------------------
 */

static const char *
state_word(const struct registry *registry, const struct entry *tool)
{
	static const char *const words[] = {
	    [STATE_OPEN] = "open",     [STATE_ASK] = "ask",
	    [STATE_DENIED] = "denied", [STATE_QUARANTINED] = "quarantined",
	    [STATE_ABSENT] = "absent",
	};

	if (differs(registry, tool))
		return words[STATE_QUARANTINED];
	/* It was pinned since that session told of it. */
	if (tool->row.state == STATE_QUARANTINED)
		return words[STATE_OPEN];
	return tool->row.state < ARRAY_LEN(words) ? words[tool->row.state] : "unknown";
}

static const char *
digest_text(const uint8_t *digest, size_t length, char *text)
{
	for (size_t i = 0; i < length; i++)
		snprintf(text + 2 * i, 3, "%02x", digest[i]);
	return text;
}

static void
list_row(const struct registry *registry, const struct entry *tool, struct table *table)
{
	const char *state = state_word(registry, tool);
	_cleanup_free_ char *description = text_clean(tool->row.description);
	bool bad = strcmp(state, "quarantined") == 0;
	const struct entry *pin = pin_of(registry, tool);
	char digest[2 * DIGEST_BYTES + 1] = "";

	if (pin)
		digest_text(pin->pin.digest, DIGEST_SHOWN / 2, digest);
	table_cell(table, tool->row.name, NULL, COLOR_NONE);
	table_cell(table, tool->row.server[0] ? tool->row.server : "agentd", NULL, COLOR_NONE);
	table_cell(table, state, NULL, bad ? COLOR_BAD : COLOR_NONE);
	table_cell(table, digest, NULL, COLOR_NONE);
	table_cell(table, description, NULL, COLOR_NONE);
}

static int
list_table(struct ash *ash, const struct registry *registry, struct error *error)
{
	struct table *table;

	if (registry->tools.count == 0) {
		output_empty(ash, registry->head.recorded ? "It has no tools."
							  : "No session has told of tools yet.");
		return 0;
	}
	table = table_new(list_columns, ARRAY_LEN(list_columns));
	if (!table)
		return out_of_memory(error);
	for (size_t i = 0; i < registry->tools.count; i++)
		list_row(registry, &registry->tools.all[i], table);
	return output_table(ash, table, error);
}

static void
text_key(struct json *json, const char *key, const char *text)
{
	json_key(json, key);
	json_string(json, text[0] ? text : NULL);
}

static void
digest_key(struct json *json, const char *key, const uint8_t *digest, size_t length)
{
	char text[2 * DIGEST_BYTES + 1] = "";

	text_key(json, key, length == DIGEST_BYTES ? digest_text(digest, length, text) : text);
}

static void
pin_keys(struct json *json, const struct entry *tool, const struct entry *pin)
{
	char session[UUID_TEXT_LEN + 1] = "";

	json_key(json, "pinned");
	json_bool(json, is_pinned(tool, pin));
	digest_key(json, "pinned_digest", pin ? pin->pin.digest : NULL,
		   pin ? pin->pin.digest_len : 0);
	json_key(json, "pinned_at");
	json_time(json, pin ? pin->pin.pinned_at_ms : 0);
	if (pin && !pin->pin.by_operator)
		uuid_format(&pin->pin.session, session);
	text_key(json, "pinned_by_session", session);
	json_key(json, "pinned_by_uid");
	if (pin && pin->pin.by_operator)
		json_uint(json, pin->pin.uid);
	else
		json_null(json);
}

static void
tool_keys(struct json *json, const struct registry *registry, const struct entry *tool)
{
	const char *state = state_word(registry, tool);

	text_key(json, "name", tool->row.name);
	text_key(json, "server", tool->row.server);
	text_key(json, "tool", tool->row.tool);
	text_key(json, "description", tool->row.description);
	text_key(json, "state", state);
	json_key(json, "ask");
	json_bool(json, strcmp(state, "ask") == 0);
	json_key(json, "quarantined");
	json_bool(json, strcmp(state, "quarantined") == 0);
	digest_key(json, "digest", tool->row.digest, tool->row.digest_len);
	pin_keys(json, tool, pin_of(registry, tool));
}

static int
list_json(const struct registry *registry, struct error *error)
{
	struct json json = JSON_INIT;

	json_array(&json);
	for (size_t i = 0; i < registry->tools.count; i++) {
		json_object(&json);
		tool_keys(&json, registry, &registry->tools.all[i]);
		json_object_end(&json);
	}
	json_array_end(&json);
	return output_json(&json, error);
}

int
registry_list(struct ash *ash, const char *operand, struct error *error)
{
	_cleanup_(registry_free) struct registry registry = {.agent = ""};

	if (ask_any(ash, operand, &registry, error) < 0)
		return -1;
	return ash->json ? list_json(&registry, error) : list_table(ash, &registry, error);
}

/* --- diff ----------------------------------------------------------------------------------------
 */

/* What a digest is over. */
static const char *const parts[] = {"name",        "title",        "description",
				    "inputSchema", "outputSchema", "annotations"};

static struct agent_json
part_of(const struct entry *entry, const char *part)
{
	struct agent_json whole = {.text = NULL};

	if (entry && entry->text)
		whole = agent_json(entry->text, entry->length);
	return whole.text ? agent_json_get(whole, part) : whole;
}

static bool
same_text(struct agent_json a, struct agent_json b)
{
	return a.length == b.length && (a.length == 0 || memcmp(a.text, b.text, a.length) == 0);
}

static void
print_part(const struct ash *ash, char sign, const char *part, struct agent_json value)
{
	bool enabled = ash->style.color;
	_cleanup_free_ char *text = NULL;

	if (!value.text)
		return;
	text = strndup(value.text, value.length);
	if (text)
		text_clean_here(text);
	printf("  %s%c %s: %s%s\n", color_on(sign == '+' ? COLOR_GOOD : COLOR_BAD, enabled), sign,
	       part, text ? text : "?", color_off(enabled));
}

static void
print_difference(const struct ash *ash, const struct registry *registry, const struct entry *tool)
{
	const struct entry *pin = pin_of(registry, tool);
	char now[2 * DIGEST_BYTES + 1], before[2 * DIGEST_BYTES + 1] = "nothing", at[32];

	digest_text(tool->row.digest, DIGEST_SHOWN / 2, now);
	if (pin)
		digest_text(pin->pin.digest, DIGEST_SHOWN / 2, before);
	printf("%s: %s, pinned is %s of %s\n", tool->row.name, now, before,
	       minute_format(pin ? pin->pin.pinned_at_ms : 0, at));
	if (!tool->text || (pin && !pin->text))
		printf("  %s definition is not kept\n", tool->text ? "the pinned" : "the new");
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		struct agent_json old = part_of(pin, parts[i]), new = part_of(tool, parts[i]);

		if (same_text(old, new))
			continue;
		print_part(ash, '-', parts[i], old);
		print_part(ash, '+', parts[i], new);
	}
	printf("  accept it with 'ash tool pin %s %s@%s'\n", registry->agent, tool->row.name,
	       digest_text(tool->row.digest, DIGEST_BYTES, now));
}

static void
definition_key(struct json *json, const char *key, const struct entry *entry)
{
	json_key(json, key);
	if (entry && entry->text)
		json_foreign(json, entry->text, entry->length);
	else
		json_null(json);
}

static int
diff_json(const struct registry *registry, struct error *error)
{
	struct json json = JSON_INIT;

	json_array(&json);
	for (size_t i = 0; i < registry->tools.count; i++) {
		const struct entry *tool = &registry->tools.all[i];

		if (!differs(registry, tool))
			continue;
		json_object(&json);
		tool_keys(&json, registry, tool);
		definition_key(&json, "definition", tool);
		definition_key(&json, "pinned_definition", pin_of(registry, tool));
		json_object_end(&json);
	}
	json_array_end(&json);
	return output_json(&json, error);
}

int
tool_diff_command(struct ash *ash, const struct args *args, struct error *error)
{
	_cleanup_(registry_free) struct registry registry = {.agent = ""};
	size_t count = 0;

	if (ask_agent(ash, args->operands[0], &registry, error) < 0)
		return -1;
	if (ash->json)
		return diff_json(&registry, error);
	for (size_t i = 0; i < registry.tools.count; i++)
		if (differs(&registry, &registry.tools.all[i])) {
			print_difference(ash, &registry, &registry.tools.all[i]);
			count++;
		}
	if (count == 0 && ash->out_tty)
		output_empty(ash, "Every definition is the pinned one.");
	return 0;
}

/* --- pin -----------------------------------------------------------------------------------------
 */

/* An operand TOOL or TOOL@DIGEST; a tool's name has no such sign. */
static bool
names_tool(const char *operand, const struct entry *tool)
{
	size_t length = strcspn(operand, "@");

	return strncmp(operand, tool->row.name, length) == 0 && !tool->row.name[length];
}

/* Is it one of those that were named, or were none? used: which names were found. */
static bool
is_named(const struct args *args, const struct entry *tool, bool *used)
{
	bool named = args->count == 1;

	for (size_t i = 1; i < args->count; i++)
		if (names_tool(args->operands[i], tool))
			named = used[i] = true;
	return named;
}

/* Is each that is named with a digest still what `ash tool diff` showed? A beginning of a digest
 * would not do: who writes two definitions finds two that begin alike. */
static int
check_digests(const struct args *args, const struct registry *registry, const struct entry *tool,
	      struct error *error)
{
	char digest[2 * DIGEST_BYTES + 1] = "";

	digest_text(tool->row.digest, tool->row.digest_len, digest);
	for (size_t i = 1; i < args->count; i++) {
		const char *at = strchr(args->operands[i], '@');

		if (!at || !names_tool(args->operands[i], tool) || strcasecmp(at + 1, digest) == 0)
			continue;
		error_why(error, ERR_CONFLICT, "the definition of %s is another one",
			  tool->row.name);
		return error_hint(error, "look at it again with 'ash tool diff %s'",
				  registry->agent);
	}
	return 0;
}

static int
check_names(const struct args *args, const struct registry *registry, struct error *error)
{
	_cleanup_free_ bool *used = calloc(args->count, sizeof(*used));

	if (!used)
		return out_of_memory(error);
	for (size_t i = 0; i < registry->tools.count; i++) {
		const struct entry *tool = &registry->tools.all[i];

		if (!tool->row.server[0])
			continue;
		is_named(args, tool, used);
		if (check_digests(args, registry, tool, error) < 0)
			return -1;
	}
	for (size_t i = 1; i < args->count; i++)
		if (!used[i]) {
			error_why(error, ERR_NOT_FOUND, "%s has no tool '%.80s' of a plugin",
				  registry->agent, args->operands[i]);
			return error_hint(error, "'ash tool list %s' lists them", registry->agent);
		}
	return 0;
}

/* A sealed memfd with what shall be accepted; count: how many. */
static int
accepted_rows(const struct args *args, const struct registry *registry, size_t *count)
{
	_cleanup_free_ bool *used = calloc(args->count, sizeof(*used));
	struct rows *rows = used ? rows_new("accepted") : NULL;
	int r = rows ? 0 : -1;
	struct msg record;

	*count = 0;
	for (size_t i = 0; r == 0 && i < registry->tools.count; i++) {
		const struct entry *tool = &registry->tools.all[i];

		if (!differs(registry, tool) || !is_named(args, tool, used))
			continue;
		msg_init(&record, MSG_TOOL_ROW);
		record.tool_row = tool->row;
		r = rows_add(rows, &record);
		++*count;
	}
	if (r == 0)
		return rows_seal(rows);
	rows_free(rows);
	return -1;
}

static int
say_pinned(struct ash *ash, const struct args *args, const struct registry *registry,
	   struct error *error)
{
	_cleanup_free_ bool *used = calloc(args->count, sizeof(*used));
	struct json json = JSON_INIT;
	char digest[2 * DIGEST_BYTES + 1];

	if (!used)
		return out_of_memory(error);
	json_array(&json);
	for (size_t i = 0; i < registry->tools.count; i++) {
		const struct entry *tool = &registry->tools.all[i];

		if (!differs(registry, tool) || !is_named(args, tool, used))
			continue;
		json_object(&json);
		text_key(&json, "name", tool->row.name);
		text_key(&json, "server", tool->row.server);
		text_key(&json, "tool", tool->row.tool);
		digest_key(&json, "digest", tool->row.digest, tool->row.digest_len);
		json_object_end(&json);
		output_done(ash, "%s is pinned as %s", tool->row.name,
			    digest_text(tool->row.digest, DIGEST_SHOWN / 2, digest));
	}
	json_array_end(&json);
	if (ash->json)
		return output_json(&json, error);
	json_free(&json);
	return 0;
}

/* What is accepted is what was read here: runnerd refuses all of it when it changed meanwhile. */
int
tool_pin_command(struct ash *ash, const struct args *args, struct error *error)
{
	_cleanup_(registry_free) struct registry registry = {.agent = ""};
	struct msg request, reply;
	size_t count;
	int rows;

	if (ask_agent(ash, args->operands[0], &registry, error) < 0 ||
	    check_names(args, &registry, error) < 0)
		return -1;
	rows = accepted_rows(args, &registry, &count);
	if (rows < 0)
		return out_of_memory(error);
	msg_init(&request, MSG_OP_TOOL_PIN);
	memcpy(request.op_tool_pin.agent, registry.agent, sizeof(registry.agent));
	msg_add_fd(&request, rows);
	if (count == 0)
		msg_close_fds(&request);
	else if (connection_call(&ash->connection, &request, MSG_OK, &reply, REPLY_WAIT_MS, error) <
		 0)
		return -1;
	if (count == 0)
		output_done(ash, "every definition is the pinned one");
	return say_pinned(ash, args, &registry, error);
}
