#include "pause.h"

#include <inttypes.h>
#include <string.h>

#include "agent.h"
#include "output.h"

/* Which of them, NAME or --all: into name, "" for all. */
static int
read_target(const struct args *args, char name[AGENT_NAME_MAX + 1], struct error *error)
{
	bool all = args_flag(args, "--all");

	name[0] = '\0';
	if (all == (args->count == 1)) {
		error_why(error, ERR_USAGE,
			  all ? "a name and --all exclude each other" : "NAME is missing");
		return error_hint(error, "name an agent, or say --all");
	}
	if (all)
		return 0;
	if (agent_name_check(args->operands[0], error) < 0)
		return -1;
	strcpy(name, args->operands[0]);
	return 0;
}

static int
print_json(const char *name, bool paused, uint64_t changed, struct error *error)
{
	struct json json = JSON_INIT;

	json_object(&json);
	json_key(&json, "agent");
	json_string(&json, name[0] ? name : NULL);
	json_key(&json, "paused");
	json_bool(&json, paused);
	json_key(&json, "changed");
	json_uint(&json, changed);
	json_object_end(&json);
	return output_json(&json, error);
}

static void
print_text(const struct ash *ash, const char *name, bool paused, uint64_t changed)
{
	const char *word = paused ? "paused" : "resumed";

	if (!name[0])
		output_done(ash, "%" PRIu64 " agents %s", changed, word);
	else if (changed)
		output_done(ash, "%s %s", name, word);
	else
		output_done(ash, "%s was %s already", name, paused ? "paused" : "not paused");
}

static int
order(struct ash *ash, const struct args *args, bool paused, struct error *error)
{
	struct msg request, reply;
	char name[AGENT_NAME_MAX + 1];

	if (read_target(args, name, error) < 0)
		return -1;
	msg_init(&request, paused ? MSG_OP_PAUSE : MSG_OP_RESUME);
	strcpy(paused ? request.op_pause.agent : request.op_resume.agent, name);
	if (connection_query(&ash->connection, &request, MSG_OK, &reply, error) < 0)
		return -1;
	if (ash->json)
		return print_json(name, paused, reply.ok.value, error);
	print_text(ash, name, paused, reply.ok.value);
	return 0;
}

int
agent_pause_command(struct ash *ash, const struct args *args, struct error *error)
{
	return order(ash, args, true, error);
}

int
agent_resume_command(struct ash *ash, const struct args *args, struct error *error)
{
	return order(ash, args, false, error);
}
