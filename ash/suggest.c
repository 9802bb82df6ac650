#include "suggest.h"

#include <string.h>

#include "rows.h"
#include "text.h"

enum { SUGGEST_WAIT_MS = 2000, NAMES_MAX = 4096 };

struct nearest {
	const char *word;
	char name[AGENT_NAME_MAX + 1];
	size_t seen;
	bool installed;
};

/* Each beside the best so far: the names need not be kept. */
static int
compare(const struct msg *record, void *arg, struct error *error)
{
	struct nearest *nearest = arg;
	const char *candidates[] = {nearest->name, record->agent_row.name}, *near;

	(void)error;
	nearest->installed |= strcmp(record->agent_row.name, nearest->word) == 0;
	near = text_nearest(nearest->word, *nearest->name ? candidates : candidates + 1,
			    *nearest->name ? 2 : 1);
	if (near && near != nearest->name && ++nearest->seen < NAMES_MAX)
		memcpy(nearest->name, record->agent_row.name, sizeof(nearest->name));
	return 0;
}

/* The name that was given: an operand that is an agent, or --agent. */
static const char *
given_name(const struct args *args)
{
	const char *option = args_value(args, "--agent");

	if (option && *option)
		return option;
	switch (args->command->takes) {
	case TAKES_AGENT:
	case TAKES_AGENT_OR_FILE:
	case TAKES_SESSION_OR_AGENT:
		return args->count ? args->operands[0] : NULL;
	default:
		return NULL;
	}
}

void
suggest_agent(struct ash *ash, const struct args *args, struct error *error)
{
	struct nearest nearest = {.word = given_name(args)};
	struct error ignored = ERROR_INIT;
	struct msg request, reply;

	if (!nearest.word || ash->connection.fd < 0)
		return;
	msg_init(&request, MSG_OP_AGENTS);
	if (connection_call(&ash->connection, &request, MSG_ROWS, &reply, SUGGEST_WAIT_MS,
			    &ignored) < 0)
		return;
	rows_each(reply.fds[0], MSG_AGENT_ROW, compare, &nearest, &ignored);
	msg_close_fds(&reply);
	if (*nearest.name && !nearest.installed)
		error_hint(error, "did you mean '%s'? 'ash agent list' shows what is installed",
			   nearest.name);
}
