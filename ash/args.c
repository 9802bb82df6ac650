#include "args.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/timefmt.h"
#include "text.h"

enum { SUGGESTIONS_MAX = 64 };

enum global {
	GLOBAL_SOCKET,
	GLOBAL_JSON,
	GLOBAL_QUIET,
	GLOBAL_NO_COLOR,
	GLOBAL_NO_PAGER,
	GLOBAL_HELP,
	GLOBAL_VERSION
};

static const struct option_spec global_options[] = {
    [GLOBAL_SOCKET] = {"--socket", 's', "SOCKET", "agentd's operator socket"},
    [GLOBAL_JSON] = {"--json", 0, NULL, "print JSON"},
    [GLOBAL_QUIET] = {"--quiet", 'q', NULL, "no progress, notes, hints and warnings"},
    [GLOBAL_NO_COLOR] = {"--no-color", 0, NULL, "no colour"},
    [GLOBAL_NO_PAGER] = {"--no-pager", 0, NULL, "no pager for what is long"},
    [GLOBAL_HELP] = {"--help", 'h', NULL, "how to use the command"},
    [GLOBAL_VERSION] = {"--version", 'V', NULL, "print the version"},
};

struct parser {
	const struct command *commands;
	size_t count;
	char **argv;
	int argc, at;
	bool operands;     /* after `--` */
	const char *group; /* the first word of a command of two */
	struct args *args;
	struct error *error;
};

const struct option_spec *
args_global_options(size_t *count)
{
	*count = ARRAY_LEN(global_options);
	return global_options;
}

static size_t
first_word_length(const char *words)
{
	return strcspn(words, " ");
}

static bool
is_group(const struct parser *parser, const char *word)
{
	size_t length = strlen(word);

	for (size_t i = 0; i < parser->count; i++) {
		const char *words = parser->commands[i].words;

		if (words[first_word_length(words)] == ' ' && length == first_word_length(words) &&
		    strncmp(words, word, length) == 0)
			return true;
	}
	return false;
}

const struct command *
args_find_command(const struct command *commands, size_t count, const char *group, const char *word)
{
	size_t length = group ? strlen(group) : 0;

	for (size_t i = 0; i < count; i++) {
		const char *words = commands[i].words;

		if (group && (strncmp(words, group, length) != 0 || words[length] != ' '))
			continue;
		if (strcmp(group ? words + length + 1 : words, word) == 0)
			return &commands[i];
	}
	return NULL;
}

static const struct command *
find_command(const struct parser *parser, const char *group, const char *word)
{
	return args_find_command(parser->commands, parser->count, group, word);
}

/* The words that could stand where `word` does: a group's, or all first ones. */
static int
unknown_command(const struct parser *parser, const char *word)
{
	char firsts[SUGGESTIONS_MAX][32];
	const char *words[SUGGESTIONS_MAX], *near;
	size_t count = 0, skip = parser->group ? strlen(parser->group) + 1 : 0;
	const char *prefix = parser->group ? parser->group : "", *space = parser->group ? " " : "";

	for (size_t i = 0; i < parser->count && count < SUGGESTIONS_MAX; i++) {
		const char *full = parser->commands[i].words, *from = full + skip;

		if (skip && (strncmp(full, parser->group, skip - 1) != 0 || full[skip - 1] != ' '))
			continue;
		snprintf(firsts[count], sizeof(firsts[0]), "%.*s", (int)first_word_length(from),
			 from);
		words[count] = firsts[count];
		count++;
	}
	near = text_nearest(word, words, count);
	error_why(parser->error, ERR_USAGE, "there is no command '%s%s%s'", prefix, space, word);
	if (near)
		error_hint(parser->error, "did you mean '%s%s%s'?", prefix, space, near);
	else
		error_hint(parser->error, "see 'ash help'");
	return -1;
}

/* Usage errors of a command are told with its words and its usage. */
static int
usage_error(const struct parser *parser)
{
	const struct command *command = parser->args->command;

	if (command) {
		error_what(parser->error, "%s", command->words);
		error_hint(parser->error, "usage: ash %s%s%s", command->words,
			   *command->usage ? " " : "", command->usage);
	}
	return -1;
}

/* "audit" is a command and the beginning of "audit verify"; not once it has options of its own. */
static bool
longer_command(struct parser *parser, const char *word)
{
	struct args *args = parser->args;
	const struct command *longer;

	if (!args->command || args->count > 0)
		return false;
	for (size_t i = 0; i < OPTIONS_MAX; i++)
		if (args->values[i])
			return false;
	longer = find_command(parser, args->command->words, word);
	if (longer)
		args->command = longer;
	return longer != NULL;
}

static int
take_word(struct parser *parser, const char *word)
{
	struct args *args = parser->args;

	if (longer_command(parser, word))
		return 0;
	if (args->command) {
		args->operands[args->count++] = word;
		return 0;
	}
	args->command = find_command(parser, parser->group, word);
	if (args->command)
		return 0;
	if (!parser->group && is_group(parser, word)) {
		parser->group = word;
		return 0;
	}
	return unknown_command(parser, word);
}

static bool
same_name(const struct option_spec *option, const char *name, size_t length)
{
	return option->name && strlen(option->name) == length &&
	       strncmp(option->name, name, length) == 0;
}

static const struct option_spec *
find_option(const struct option_spec *options, size_t count, const char *name, size_t length,
	    char letter)
{
	for (size_t i = 0; i < count && options[i].name; i++)
		if (letter ? options[i].letter == letter : same_name(&options[i], name, length))
			return &options[i];
	return NULL;
}

static void
set_global(struct args *args, enum global global, const char *value)
{
	switch (global) {
	case GLOBAL_SOCKET:
		args->socket = value;
		break;
	case GLOBAL_JSON:
		args->json = true;
		break;
	case GLOBAL_QUIET:
		args->quiet = true;
		break;
	case GLOBAL_NO_COLOR:
		args->no_color = true;
		break;
	case GLOBAL_NO_PAGER:
		args->no_pager = true;
		break;
	case GLOBAL_HELP:
		args->help = true;
		break;
	case GLOBAL_VERSION:
		args->version = true;
		break;
	}
}

static void
set_option(struct args *args, const struct option_spec *option, const char *value)
{
	if (option >= global_options && option < global_options + ARRAY_LEN(global_options))
		set_global(args, (enum global)(option - global_options), value);
	else
		args->values[option - args->command->options] = value;
}

static int
unknown_option(const struct parser *parser, const char *name, size_t length)
{
	const char *names[OPTIONS_MAX + ARRAY_LEN(global_options)], *near;
	const struct command *command = parser->args->command;
	char word[64];
	size_t count = 0;

	snprintf(word, sizeof(word), "%.*s", (int)length, name);
	for (size_t i = 0; command && i < OPTIONS_MAX && command->options[i].name; i++)
		names[count++] = command->options[i].name;
	for (size_t i = 0; i < ARRAY_LEN(global_options); i++)
		names[count++] = global_options[i].name;
	near = length > 3 ? text_nearest(word, names, count) : NULL;
	error_why(parser->error, ERR_USAGE, "there is no option '%s'", word);
	if (!command)
		error_hint(parser->error, "options of a command follow its name; see 'ash help'");
	usage_error(parser);
	if (near)
		error_hint(parser->error, "did you mean '%s'?", near);
	return -1;
}

const struct option_spec *
args_find_option(const struct command *command, const char *name, size_t length, char letter)
{
	const struct option_spec *option = NULL;

	if (command)
		option = find_option(command->options, OPTIONS_MAX, name, length, letter);
	if (!option)
		option =
		    find_option(global_options, ARRAY_LEN(global_options), name, length, letter);
	return option;
}

static const struct option_spec *
look_up(const struct parser *parser, const char *name, size_t length, char letter)
{
	return args_find_option(parser->args->command, name, length, letter);
}

/* The value that follows in the next argument. */
static int
next_value(struct parser *parser, const struct option_spec *option)
{
	if (parser->at + 1 >= parser->argc) {
		error_why(parser->error, ERR_USAGE, "%s needs a value (%s)", option->name,
			  option->value);
		return usage_error(parser);
	}
	set_option(parser->args, option, parser->argv[++parser->at]);
	return 0;
}

/* Everything up to `--`, or to the end. */
static int
take_rest(struct parser *parser, const struct option_spec *option)
{
	const char **rest = calloc((size_t)parser->argc, sizeof(*rest));
	size_t count = 0;

	free(parser->args->rest);
	parser->args->rest = rest;
	if (!rest)
		return error_why(parser->error, ERR_FAILED, "out of memory");
	while (++parser->at < parser->argc && strcmp(parser->argv[parser->at], "--") != 0)
		rest[count++] = parser->argv[parser->at];
	parser->operands = true;
	if (count) {
		set_option(parser->args, option, rest[0]);
		return 0;
	}
	error_why(parser->error, ERR_USAGE, "%s needs a value (%s)", option->name, option->value);
	return usage_error(parser);
}

static int
take_long(struct parser *parser, const char *argument)
{
	size_t length = strcspn(argument, "=");
	const struct option_spec *option = look_up(parser, argument, length, 0);
	const char *value = argument[length] == '=' ? argument + length + 1 : NULL;

	if (!option)
		return unknown_option(parser, argument, length);
	if (!option->value && value) {
		error_why(parser->error, ERR_USAGE, "%s takes no value", option->name);
		return usage_error(parser);
	}
	if (option->rest && !value)
		return take_rest(parser, option);
	if (option->value && !value)
		return next_value(parser, option);
	set_option(parser->args, option, value ? value : "");
	return 0;
}

/* -f, -fq, -sSOCKET, -s SOCKET */
static int
take_letters(struct parser *parser, const char *letters)
{
	for (; *letters; letters++) {
		const struct option_spec *option = look_up(parser, "", 0, *letters);
		char name[] = {'-', *letters, '\0'};

		if (!option)
			return unknown_option(parser, name, 2);
		if (option->value && letters[1]) {
			set_option(parser->args, option, letters + 1);
			return 0;
		}
		if (option->value)
			return next_value(parser, option);
		set_option(parser->args, option, "");
	}
	return 0;
}

static int
check_operands(const struct parser *parser)
{
	const struct args *args = parser->args;
	const struct command *command = args->command;

	if (args->help || args->version)
		return 0;
	if (!command) {
		if (parser->group) {
			error_why(parser->error, ERR_USAGE, "'%s' needs one more word",
				  parser->group);
			error_hint(parser->error, "see 'ash help %s'", parser->group);
		} else {
			error_why(parser->error, ERR_USAGE, "no command is given");
			error_hint(parser->error, "see 'ash help'");
		}
		return -1;
	}
	if (command->later)
		return 0;
	if (args->count < command->min)
		error_why(parser->error, ERR_USAGE, "%.*s is missing",
			  (int)strcspn(command->usage, " |."), command->usage);
	else if (args->count > command->max)
		error_why(parser->error, ERR_USAGE, "'%s' is one argument too many",
			  args->operands[command->max]);
	else
		return 0;
	return usage_error(parser);
}

static int
take_argument(struct parser *parser)
{
	const char *argument = parser->argv[parser->at];

	/* A command of a later build has no options here yet: everything is an operand. */
	if (!parser->operands && parser->args->command && parser->args->command->later &&
	    !look_up(parser, argument, strlen(argument), 0))
		return 0;
	if (parser->operands || argument[0] != '-' || argument[1] == '\0')
		return take_word(parser, argument);
	if (strcmp(argument, "--") == 0) {
		parser->operands = true;
		return 0;
	}
	if (argument[1] == '-')
		return take_long(parser, argument);
	return take_letters(parser, argument + 1);
}

int
args_parse(const struct command *commands, size_t count, int argc, char **argv, struct args *args,
	   struct error *error)
{
	struct parser parser = {.commands = commands,
				.count = count,
				.argv = argv,
				.argc = argc,
				.args = args,
				.error = error};

	*args = (struct args){.operands = calloc((size_t)argc + 1, sizeof(char *))};
	if (!args->operands)
		return error_why(error, ERR_FAILED, "out of memory");
	for (parser.at = 1; parser.at < argc; parser.at++)
		if (take_argument(&parser) < 0)
			return -1;
	if (args->help && !args->command && parser.group)
		args->operands[args->count++] = parser.group;
	return check_operands(&parser);
}

void
args_free(struct args *args)
{
	free(args->operands);
	free(args->rest);
	args->operands = args->rest = NULL;
}

const char *
args_value(const struct args *args, const char *name)
{
	for (size_t i = 0; i < OPTIONS_MAX && args->command->options[i].name; i++)
		if (strcmp(args->command->options[i].name, name) == 0)
			return args->values[i];
	return NULL;
}

bool
args_flag(const struct args *args, const char *name)
{
	return args_value(args, name) != NULL;
}

int
args_duration(const struct args *args, const char *name, uint64_t *ms, struct error *error)
{
	const char *text = args_value(args, name);
	size_t length = text ? strlen(text) : 0;
	char seconds[24];

	if (!text)
		return 0;
	if (length > 0 && length <= 10 && strspn(text, "0123456789") == length) {
		snprintf(seconds, sizeof(seconds), "%ss", text);
		text = seconds;
	}
	if (duration_parse(text, ms) && *ms > 0)
		return 0;
	return error_why(error, ERR_USAGE, "%s: '%.80s' is not a duration such as 90s or 5m", name,
			 text);
}
