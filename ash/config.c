/* ash config show: what holds, and where each value comes from. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ash.h"
#include "common/cleanup.h"
#include "common/config.h"
#include "common/config_schema.h"
#include "config.h"
#include "output.h"
#include "rows.h"

static const struct column columns[] = {
    {"KEY", CUT_NEVER, 0, false},
    {"VALUE", CUT_RIGHT, 16, false},
    {"FROM", CUT_NEVER, 0, false},
};

struct shown {
	const struct config *config;
	const struct msg_config *said;
	int origins; /* CONFIG_ORIGINs */
	struct json *json;
	struct table *table;
	struct error *error;
};

struct wanted {
	const char *key;
	struct msg_config_origin origin; /* line 0: the file does not say it */
};

static int
match(const struct msg *record, void *arg, struct error *error)
{
	struct wanted *wanted = arg;

	(void)error;
	if (strcmp(record->config_origin.key, wanted->key) == 0)
		wanted->origin = record->config_origin;
	return 0;
}

/* What follows from another key where the file is silent. */
static const char *
derived_from(const char *key)
{
	return strcmp(key, "socket") == 0 ? "run_dir" : NULL;
}

/* Is the key, or the group that it is in, among those that wait for a restart? */
static bool
waits(const struct shown *shown, const char *key)
{
	const char *at = shown->said->pending;

	while (*at) {
		size_t length = strcspn(at, ",");

		if (strncmp(at, key, length) == 0 && (key[length] == '\0' || key[length] == '.'))
			return true;
		at += length;
		at += strspn(at, ", ");
	}
	return false;
}

/* null is a word of its own there. */
static bool
is_off(const struct shown *shown, const char *key)
{
	return (strcmp(key, "ceilings.allowed_install") == 0 &&
		shown->config->ceilings.any_install) ||
	       (strcmp(key, "webhooks.listen") == 0 && shown->config->webhooks.off);
}

static const char *
unit_of(const struct field *field)
{
	if (field->type == FIELD_SIZE)
		return "bytes";
	return field->type == FIELD_DURATION || field->type == FIELD_SECONDS ? "ms" : NULL;
}

/* As one would write it: the largest unit that leaves a whole number. */
static void
write_units(const struct field *field, uint64_t number, char *text, size_t size)
{
	static const struct unit {
		uint64_t size;
		const char *name;
	} sizes[] = {{UINT64_C(1) << 30, "Gi"}, {1 << 20, "Mi"}, {1 << 10, "Ki"}, {1, ""}},
	  times[] = {{86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}};
	const struct unit *unit = field->type == FIELD_SIZE ? sizes : times;

	if (field->type == FIELD_SECONDS) {
		snprintf(text, size, "%llu", (unsigned long long)number / 1000);
		return;
	}
	while (number % unit->size != 0 || number == 0) {
		if (unit->size == 1)
			break;
		unit++;
	}
	snprintf(text, size, "%llu%s", (unsigned long long)(number / unit->size), unit->name);
}

static int
add_json(const struct shown *shown, const struct field *field, const void *object,
	 const struct wanted *wanted)
{
	struct json *json = shown->json;
	const char *derived = derived_from(wanted->key), *unit = unit_of(field);
	bool file = wanted->origin.line > 0;

	json_object(json);
	json_key(json, "key");
	json_string(json, wanted->key);
	json_key(json, "value");
	if (is_off(shown, wanted->key))
		json_null(json);
	else
		record_json_value(field, object, json);
	json_key(json, "unit");
	json_string(json, unit);
	json_key(json, "origin");
	json_string(json, file ? "file" : derived ? "derived" : "default");
	json_key(json, "file");
	json_string(json, file ? shown->said->path : NULL);
	json_key(json, "line");
	if (file)
		json_uint(json, wanted->origin.line);
	else
		json_null(json);
	json_key(json, "derived_from");
	json_string(json, file ? NULL : derived);
	json_key(json, "restart_needed");
	json_bool(json, waits(shown, wanted->key));
	json_object_end(json);
	return 0;
}

/* A value as YAML has it: JSON, but for texts and units. */
static int
write_value(const struct shown *shown, const struct field *field, const void *object,
	    const char *key, char **text)
{
	struct json json = JSON_INIT;
	char units[48];
	size_t length;

	*text = NULL;
	if (is_off(shown, key)) {
		*text = strdup("null");
	} else if (unit_of(field) && *(const uint64_t *)member(object, field->offset) != ABSENT) {
		write_units(field, *(const uint64_t *)member(object, field->offset), units,
			    sizeof(units));
		*text = strdup(units);
	} else if (field->type == FIELD_TEXT && *(char *const *)member(object, field->offset)) {
		*text = strdup(*(char *const *)member(object, field->offset));
	} else {
		record_json_value(field, object, &json);
		*text = json_take(&json, &length);
	}
	json_free(&json);
	return *text ? 0 : out_of_memory(shown->error);
}

static int
add_line(const struct shown *shown, const struct field *field, const void *object,
	 const struct wanted *wanted)
{
	const char *derived = derived_from(wanted->key);
	_cleanup_free_ char *value = NULL;
	char from[PATH_LEN_MAX + 64];

	if (write_value(shown, field, object, wanted->key, &value) < 0)
		return -1;
	if (wanted->origin.line)
		snprintf(from, sizeof(from), "%s:%u", shown->said->path, wanted->origin.line);
	else
		snprintf(from, sizeof(from), "%s%s", derived ? "derived from " : "default",
			 derived ? derived : "");
	if (waits(shown, wanted->key))
		strncat(from, ", changed: needs a restart", sizeof(from) - strlen(from) - 1);
	table_cell(shown->table, wanted->key, NULL, COLOR_NONE);
	table_cell(shown->table, value, NULL, COLOR_NONE);
	table_cell(shown->table, from, NULL, waits(shown, wanted->key) ? COLOR_WARN : COLOR_NONE);
	return 0;
}

static int
walk(const struct shown *shown, const struct record *record, const void *object, const char *prefix)
{
	char key[64];
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < record->count; i++) {
		const struct field *field = &record->fields[i];
		bool group = field->type == FIELD_GROUP;
		struct wanted wanted = {.key = key};

		if (field->hidden)
			continue;
		snprintf(key, sizeof(key), "%s%s%s", prefix, field->key, group ? "." : "");
		if (group) {
			rc = walk(shown, field->record, member(object, field->offset), key);
			continue;
		}
		rc = rows_each(shown->origins, MSG_CONFIG_ORIGIN, match, &wanted, shown->error);
		if (rc == 0)
			rc = shown->json ? add_json(shown, field, object, &wanted)
					 : add_line(shown, field, object, &wanted);
	}
	return rc;
}

static int
show(struct ash *ash, struct shown *shown)
{
	struct json json = JSON_INIT;
	int rc;

	if (!ash->json) {
		shown->table = table_new(columns, ARRAY_LEN(columns));
		if (!shown->table)
			return out_of_memory(shown->error);
		if (walk(shown, &config_record, shown->config, "") == 0)
			return output_table(ash, shown->table, shown->error);
		table_free(shown->table);
		return -1;
	}
	shown->json = &json;
	json_array(&json);
	rc = walk(shown, &config_record, shown->config, "");
	json_array_end(&json);
	shown->json = NULL;
	if (rc == 0)
		rc = output_json(&json, shown->error);
	json_free(&json);
	return rc;
}

static int
ask(struct ash *ash, struct msg *reply, struct error *error)
{
	struct msg request;

	msg_init(&request, MSG_OP_CONFIG);
	return connection_call(&ash->connection, &request, MSG_CONFIG, reply, REPLY_WAIT_MS, error);
}

int
config_show_command(struct ash *ash, const struct args *args, struct error *error)
{
	struct config *config;
	struct msg reply;
	struct shown shown = {.error = error, .said = &reply.config};
	int rc;

	(void)args;
	if (ask(ash, &reply, error) < 0)
		return -1;
	config = config_from_memfd(reply.fds[0], error);
	shown.config = config;
	shown.origins = reply.fds[1];
	rc = config ? show(ash, &shown) : -1;
	config_free(config);
	msg_close_fds(&reply);
	return rc;
}

int
config_pending(struct ash *ash, char *pending, size_t size, struct error *error)
{
	struct msg reply;

	if (ask(ash, &reply, error) < 0)
		return -1;
	snprintf(pending, size, "%s", reply.config.pending);
	msg_close_fds(&reply);
	return 0;
}
