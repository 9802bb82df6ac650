/* The plan of one session's plugins, as runnerd wrote it: typed records, checked again. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/cleanup.h"
#include "pin.h"
#include "state.h"

enum { RULES_MAX = 512, MISSION_BYTES = EVENT_JSON_MAX + (256 << 10) };

static int
refuse(struct error *error, const char *what)
{
	return error_why(error, ERR_INVALID, "the plan of the broker %s", what);
}

static int
take_server(struct broker *broker, const struct msg *row, struct error *error)
{
	struct server *server = &broker->servers[broker->server_count];

	if (broker->server_count == SERVERS_MAX)
		return refuse(error, "has too many plugins");
	for (size_t i = 0; i < broker->server_count; i++)
		if (strcmp(broker->servers[i].plan.name, row->broker_server.name) == 0)
			return refuse(error, "names a plugin twice");
	if (!row->broker_server.name[0] || row->broker_server.start_timeout_ms == 0 ||
	    row->broker_server.result_bytes == 0 ||
	    row->broker_server.result_bytes > AGENT_QUEUE_BYTES / 2)
		return refuse(error, "holds a plugin without name, start_timeout or bound");
	server->broker = broker;
	server->number = (uint8_t)broker->server_count++;
	server->plan = row->broker_server;
	server->in = server->out = -1;
	return 0;
}

static int
add_rule(struct rules *rules, const char *glob, struct error *error)
{
	void *grown;

	if (rules->count == RULES_MAX)
		return refuse(error, "has too many rules");
	grown = reallocarray(rules->globs, rules->count + 1, sizeof(char *));
	if (!grown)
		return error_errno(error, ENOMEM, "reading the plan of the broker");
	rules->globs = grown;
	rules->globs[rules->count] = strdup(glob);
	if (!rules->globs[rules->count])
		return error_errno(error, ENOMEM, "reading the plan of the broker");
	rules->count++;
	return 0;
}

static int
take_rule(struct broker *broker, const struct msg *row, struct error *error)
{
	const struct msg_broker_rule *rule = &row->broker_rule;

	if (rule->kind == RULE_CAPABILITY)
		return add_rule(&broker->capabilities, rule->glob, error);
	if (rule->kind >= RULE_KINDS || rule->server >= broker->server_count)
		return refuse(error, "holds a rule of no plugin");
	return add_rule(&broker->servers[rule->server].rules[rule->kind], rule->glob, error);
}

static int
take_pin(struct broker *broker, const struct msg *row, struct error *error)
{
	const struct msg_broker_pin *pin = &row->broker_pin;

	if (pin->server >= broker->server_count || pin->digest_len != DIGEST_BYTES)
		return refuse(error, "holds a pin of no plugin");
	if (policy_pin(broker, pin->server, pin->tool, pin->digest) < 0)
		return refuse(error, "has too many pins");
	return 0;
}

static int
take_row(struct broker *broker, const struct msg *row, struct error *error)
{
	switch (row->type) {
	case MSG_BROKER_SERVER:
		return take_server(broker, row, error);
	case MSG_BROKER_RULE:
		return take_rule(broker, row, error);
	case MSG_BROKER_PIN:
		return take_pin(broker, row, error);
	default:
		return refuse(error, "holds another record");
	}
}

static int
read_rows(struct broker *broker, int fd, struct error *error)
{
	struct rows_reader *reader = rows_open(fd);
	struct msg row;
	int rc;

	if (!reader)
		return error_errno(error, errno, "opening the plan of the broker");
	while ((rc = rows_next(reader, &row)) == 1)
		if (take_row(broker, &row, error) < 0)
			break;
	rows_close(reader);
	if (rc < 0)
		return refuse(error, "is damaged");
	return rc == 0 ? 0 : -1;
}

static int
read_mission(struct broker *broker, int fd, struct error *error)
{
	const uint8_t *bytes;
	size_t length;
	int rc = memfd_map(fd, MISSION_BYTES, &bytes, &length);

	if (rc < 0)
		return error_errno(error, -rc, "mapping the mission");
	broker->mission = malloc(length + 1);
	if (broker->mission && length > 0)
		memcpy(broker->mission, bytes, length);
	broker->mission_length = length;
	if (length > 0)
		munmap((void *)(uintptr_t)bytes, length);
	return broker->mission ? 0 : error_errno(error, ENOMEM, "the mission");
}

int
plan_read(struct broker *broker, int plan_fd, int mission_fd, struct error *error)
{
	if (read_rows(broker, plan_fd, error) < 0)
		return -1;
	for (size_t i = 0; i < broker->server_count; i++)
		if (broker->servers[i].plan.passthrough && broker->server_count > 1)
			return refuse(error, "lets names through though there are other plugins");
	return read_mission(broker, mission_fd, error);
}

static void
free_rules(struct rules *rules)
{
	for (size_t i = 0; i < rules->count; i++)
		free(rules->globs[i]);
	free(rules->globs);
}

void
plan_free(struct broker *broker)
{
	for (size_t i = 0; i < broker->server_count; i++)
		for (size_t kind = 0; kind < RULE_KINDS; kind++)
			free_rules(&broker->servers[i].rules[kind]);
	free_rules(&broker->capabilities);
	for (size_t i = 0; i < broker->pin_count; i++)
		free(broker->pins[i].tool);
	free(broker->pins);
	free(broker->mission);
}
