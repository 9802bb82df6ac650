/*
 * ash completion: for each shell a script of a few lines that asks `ash completion words` what may
 * follow, so that the table of commands is the only place that knows. What only agentd knows is
 * asked for with a short deadline; on any failure nothing is offered.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ash.h"
#include "ask.h"
#include "common/cleanup.h"
#include "output.h"
#include "rows.h"
#include "secret.h"
#include "text.h"

enum {
	DEADLINE_S = 1, /* then SIGALRM ends the process, without a word */
	SESSIONS_OFFERED = 50,
};

static const struct {
	const char *shell, *script;
} scripts[] = {
    {"bash",
     "# ash(1) completion for bash\n"
     "_ash() {\n"
     "\tlocal line\n"
     "\tCOMPREPLY=()\n"
     "\twhile IFS= read -r line; do\n"
     "\t\tif [ \"$line\" = : ]; then\n"
     "\t\t\tcompopt -o default 2>/dev/null\n"
     "\t\telse\n"
     "\t\t\tCOMPREPLY+=(\"${line%%$'\\t'*}\")\n"
     "\t\tfi\n"
     "\tdone < <(\"${COMP_WORDS[0]}\" completion words -- \"${COMP_WORDS[@]:1:COMP_CWORD}\" "
     "2>/dev/null)\n"
     "}\n"
     "complete -F _ash ash\n"},
    {"zsh", "#compdef ash\n"
	    "# ash(1) completion for zsh\n"
	    "_ash() {\n"
	    "\tlocal line files=0\n"
	    "\tlocal -a offered\n"
	    "\twhile IFS= read -r line; do\n"
	    "\t\tif [[ $line == : ]]; then\n"
	    "\t\t\tfiles=1\n"
	    "\t\telse\n"
	    "\t\t\toffered+=(\"${${line%%$'\\t'*}//:/\\\\:}:${line#*$'\\t'}\")\n"
	    "\t\tfi\n"
	    "\tdone < <(${words[1]} completion words -- \"${(@)words[2,CURRENT]}\" 2>/dev/null)\n"
	    "\t(( $#offered )) && _describe ash offered\n"
	    "\t(( files )) && _files\n"
	    "}\n"
	    "if [ \"$funcstack[1]\" = _ash ]; then\n"
	    "\t_ash \"$@\"\n"
	    "else\n"
	    "\tcompdef _ash ash\n"
	    "fi\n"},
    {"fish",
     "# ash(1) completion for fish\n"
     "function __ash_complete\n"
     "\tset -l words (commandline -opc)\n"
     "\tset -l current (commandline -ct)\n"
     "\tfor line in ($words[1] completion words -- $words[2..-1] \"$current\" 2>/dev/null)\n"
     "\t\tif test \"$line\" = :\n"
     "\t\t\t__fish_complete_path \"$current\"\n"
     "\t\telse\n"
     "\t\t\techo $line\n"
     "\t\tend\n"
     "\tend\n"
     "end\n"
     "complete -c ash -f -a '(__ash_complete)'\n"},
};

/* What was typed up to the cursor. */
struct line {
	struct ash *ash;
	const char *word;  /* begun; "" for a new one */
	const char *group; /* the first word of a command of two */
	const struct command *command;
	const struct option_spec *option; /* whose value the word is */
	size_t operands;
	bool only_operands;
};

/* --- offering ----------------------------------------------------------------------------------
 */

static void
offer(const struct line *line, const char *word, const char *about)
{
	_cleanup_free_ char *clean = text_clean(about);

	if (strncmp(word, line->word, strlen(line->word)) == 0 && clean)
		printf("%s\t%s\n", word, clean);
}

static void
offer_files(void)
{
	puts(":");
}

static int
offer_agent(const struct msg *record, void *arg, struct error *error)
{
	(void)error;
	offer(arg, record->agent_row.name, record->agent_row.description);
	return 0;
}

/* AGENT@latest, for where a session is meant. */
static int
offer_latest(const struct msg *record, void *arg, struct error *error)
{
	char ref[AGENT_NAME_MAX + 8];

	(void)error;
	snprintf(ref, sizeof(ref), "%s@latest", record->agent_row.name);
	offer(arg, ref, "its newest session");
	return 0;
}

static int
offer_session(const struct msg *record, void *arg, struct error *error)
{
	const struct msg_session_row *row = &record->session_row;
	char id[UUID_TEXT_LEN + 1], about[128];

	(void)error;
	snprintf(about, sizeof(about), "%s, %s", row->agent,
		 row->state == STATE_ENDED && row->outcome ? session_outcome_name(row->outcome)
							   : session_state_name(row->state));
	offer(arg, uuid_format(&row->session, id), about);
	return 0;
}

static int
offer_call(const struct msg *record, void *arg, struct error *error)
{
	char id[UUID_TEXT_LEN + 1], about[AGENT_NAME_MAX + EXPOSED_NAME_MAX + 8];

	(void)error;
	snprintf(about, sizeof(about), "%s of %s", record->ask_row.name, record->ask_row.agent);
	offer(arg, uuid_format(&record->ask_row.ask, id), about);
	return 0;
}

static int
offer_secret(const struct msg *record, void *arg, struct error *error)
{
	(void)error;
	offer(arg, record->secret_row.secret, "");
	return 0;
}

static void
ask(struct line *line, struct connection *connection, struct msg *request, enum msg_type type,
    row_fn *row)
{
	struct error ignored = ERROR_INIT;
	struct msg reply;

	if (connection_call(connection, request, MSG_ROWS, &reply, REPLY_WAIT_MS, &ignored) < 0)
		return;
	rows_each(reply.fds[0], type, row, line, &ignored);
	msg_close_fds(&reply);
}

static void
offer_agents(struct line *line, row_fn *row)
{
	struct msg request;

	msg_init(&request, MSG_OP_AGENTS);
	ask(line, &line->ash->connection, &request, MSG_AGENT_ROW, row);
}

static void
offer_sessions(struct line *line)
{
	struct msg request;

	offer_agents(line, offer_latest);
	msg_init(&request, MSG_OP_SESSIONS);
	request.op_sessions.limit = SESSIONS_OFFERED;
	ask(line, &line->ash->connection, &request, MSG_SESSION_ROW, offer_session);
}

static void
offer_secrets(struct line *line)
{
	struct error ignored = ERROR_INIT;
	struct msg request;

	if (secrets_begin(line->ash, &ignored) < 0)
		return;
	msg_init(&request, MSG_OP_SECRET_LIST);
	ask(line, &line->ash->secrets, &request, MSG_SECRET_ROW, offer_secret);
}

static void
offer_calls(struct line *line)
{
	struct msg request;

	msg_init(&request, MSG_OP_ASKS);
	ask(line, &line->ash->connection, &request, MSG_ASK_ROW, offer_call);
}

/* The words that may stand here of commands; of a group its second ones. */
static void
offer_commands(const struct line *line)
{
	size_t skip = line->group ? strlen(line->group) : 0;
	char last[32] = "";

	for (size_t i = 0; i < line->ash->command_count; i++) {
		const struct command *command = &line->ash->commands[i];
		const char *words = command->words;
		char word[32];

		if (command->later)
			continue;
		if (skip && (strncmp(words, line->group, skip) != 0 || words[skip] != ' '))
			continue;
		words += skip ? skip + 1 : 0;
		snprintf(word, sizeof(word), "%.*s", (int)strcspn(words, " "), words);
		if (strcmp(word, last) == 0)
			continue; /* one more of a group */
		offer(line, word, strchr(words, ' ') ? "" : command->about);
		memcpy(last, word, sizeof(last));
	}
}

static void
offer_options(const struct line *line)
{
	size_t count;
	const struct option_spec *globals = args_global_options(&count);

	for (size_t i = 0; line->command && i < OPTIONS_MAX && line->command->options[i].name; i++)
		offer(line, line->command->options[i].name, line->command->options[i].about);
	for (size_t i = 0; i < count; i++)
		offer(line, globals[i].name, globals[i].about);
}

static void
offer_states(const struct line *line)
{
	for (int state = STATE_QUEUED; state < STATE_COUNT; state++)
		offer(line, session_state_name((enum session_state)state), "");
}

static void
offer_shells(const struct line *line)
{
	for (size_t i = 0; i < ARRAY_LEN(scripts); i++)
		offer(line, scripts[i].shell, "");
}

static void
offer_names(struct line *line, enum takes takes)
{
	switch (takes) {
	case TAKES_FILE:
		offer_files();
		break;
	case TAKES_AGENT_OR_FILE:
		offer_files();
		offer_agents(line, offer_agent);
		break;
	case TAKES_AGENT:
		offer_agents(line, offer_agent);
		break;
	case TAKES_SESSION_OR_AGENT:
		offer_agents(line, offer_agent);
		offer_sessions(line);
		break;
	case TAKES_SESSION:
		offer_sessions(line);
		break;
	case TAKES_CALL:
		offer_calls(line);
		break;
	case TAKES_SECRET:
		offer_secrets(line);
		break;
	case TAKES_STATE:
		offer_states(line);
		break;
	case TAKES_COMMAND:
		offer_commands(line);
		break;
	case TAKES_SHELL:
		offer_shells(line);
		break;
	case TAKES_NOTHING:
		break;
	}
}

/* --- reading -----------------------------------------------------------------------------------
 */

/* What the value of an option names, by the option. */
static enum takes
option_takes(const struct option_spec *option)
{
	static const struct {
		const char *name;
		enum takes takes;
	} values[] = {
	    {"--agent", TAKES_AGENT}, {"--session", TAKES_SESSION}, {"--state", TAKES_STATE},
	    {"--dir", TAKES_FILE},    {"--input", TAKES_FILE},      {"--from", TAKES_FILE},
	    {"--plugin", TAKES_FILE}, {"--socket", TAKES_FILE},
	};

	for (size_t i = 0; i < ARRAY_LEN(values); i++)
		if (strcmp(values[i].name, option->name) == 0)
			return values[i].takes;
	return TAKES_NOTHING;
}

static bool
begins_group(const struct line *line, const char *word)
{
	size_t length = strlen(word);

	for (size_t i = 0; i < line->ash->command_count; i++)
		if (strncmp(line->ash->commands[i].words, word, length) == 0 &&
		    line->ash->commands[i].words[length] == ' ')
			return true;
	return false;
}

static void
read_plain(struct line *line, const char *word)
{
	const struct ash *ash = line->ash;
	const struct command *longer = NULL;

	if (line->command && line->operands == 0)
		longer = args_find_command(ash->commands, ash->command_count, line->command->words,
					   word);
	if (longer) {
		line->command = longer;
	} else if (line->command) {
		line->operands++;
	} else {
		line->command =
		    args_find_command(ash->commands, ash->command_count, line->group, word);
		if (!line->command && !line->group && begins_group(line, word))
			line->group = word;
	}
}

/* An option that was typed before the word: its value, when it takes one, is what follows. bash
 * parts
 * `--agent=x` at its `=`. */
static void
read_option(struct line *line, const char *word)
{
	size_t length = strcspn(word, "=");
	const struct option_spec *option =
	    word[1] == '-' ? args_find_option(line->command, word, length, 0)
			   : args_find_option(line->command, "", 0, word[strlen(word) - 1]);

	if (option && option->value && !word[length])
		line->option = option;
	/* A socket that was named is the one to ask. */
	if (option && strcmp(option->name, "--socket") == 0 && word[length])
		line->ash->socket = line->ash->connection.path = word + length + 1;
}

static void
read_word(struct line *line, const char *word)
{
	if (line->option && strcmp(word, "=") == 0)
		return;
	if (line->option) {
		if (strcmp(line->option->name, "--socket") == 0)
			line->ash->socket = line->ash->connection.path = word;
		line->option = NULL;
	} else if (line->only_operands || word[0] != '-' || !word[1]) {
		read_plain(line, word);
	} else if (strcmp(word, "--") == 0) {
		line->only_operands = true;
	} else {
		read_option(line, word);
	}
}

static void
offer_what_fits(struct line *line)
{
	const struct command *command = line->command;

	if (line->option)
		offer_names(line, option_takes(line->option));
	else if (line->word[0] == '-' && !line->only_operands)
		offer_options(line);
	else if (!command)
		offer_commands(line);
	else if (line->operands < command->max)
		offer_names(line, line->operands == 1 && command->max == 2 &&
					  command->takes == TAKES_AGENT
				      ? TAKES_SESSION
				      : command->takes);
	/* "audit" is a command, and the beginning of "audit verify". */
	if (command && !line->option && line->operands == 0 && begins_group(line, command->words)) {
		line->group = command->words;
		offer_commands(line);
	}
}

static int
words(struct ash *ash, const struct args *args)
{
	struct line line = {.ash = ash, .word = ""};

	alarm(DEADLINE_S);
	for (size_t i = 1; i + 1 < args->count; i++)
		read_word(&line, args->operands[i]);
	if (args->count > 1)
		line.word = args->operands[args->count - 1];
	if (line.option && strcmp(line.word, "=") == 0)
		line.word = "";
	offer_what_fits(&line);
	return 0;
}

int
completion_command(struct ash *ash, const struct args *args, struct error *error)
{
	const char *shell = args->operands[0];

	if (strcmp(shell, "words") == 0)
		return words(ash, args);
	for (size_t i = 0; i < ARRAY_LEN(scripts); i++) {
		if (strcmp(scripts[i].shell, shell) != 0)
			continue;
		fputs(scripts[i].script, stdout);
		return 0;
	}
	error_why(error, ERR_USAGE, "there is no completion for '%.80s'", shell);
	return error_hint(error, "there is one for bash, zsh and fish");
}
