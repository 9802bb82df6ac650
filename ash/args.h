/*
 * The command line: a table of commands, their options, and one parser for all of them. Options
 * may stand anywhere, as `--name value`, `--name=value` or `-n value`; `--` ends them.
 */
#ifndef ASH_ARGS_H
#define ASH_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

enum { OPTIONS_MAX = 8 };

struct option_spec {
	const char *name;  /* "--task" */
	char letter;       /* 'f' for -f, 0: none */
	const char *value; /* what stands for its value in usage; NULL: a flag */
	const char *about;
	bool
	    rest; /* all up to `--` is its value: a command of others, whose options are not ours */
};

/* What an operand of a command names: for completion, and for what is said of a name that nothing
 * has. */
enum takes {
	TAKES_NOTHING,
	TAKES_FILE,
	TAKES_AGENT,
	TAKES_AGENT_OR_FILE,
	TAKES_SESSION,
	TAKES_SESSION_OR_AGENT,
	TAKES_CALL,
	TAKES_SECRET,
	TAKES_STATE,
	TAKES_COMMAND,
	TAKES_SHELL,
};

struct ash;
struct args;

struct command {
	const char *words; /* "agent install" */
	const char *usage; /* what follows the words */
	const char *about; /* one line */
	struct option_spec options[OPTIONS_MAX];
	size_t min, max;  /* operands */
	enum takes takes; /* what they name */
	bool pages;       /* what it prints may be long: through a pager, on a terminal */
	int (*run)(struct ash *ash, const struct args *args, struct error *error);
	bool waits; /* exits with an agent's status: 125 for what goes wrong, without --detach */
	bool later; /* a command of a later build */
};

struct args {
	const struct command *command; /* NULL: none was named */
	const char **operands;         /* heap */
	size_t count;
	const char *values[OPTIONS_MAX]; /* by the command's options; "" for a flag that is set */
	const char *
	    *rest; /* heap, ended by NULL: the words of the option that takes the rest; NULL */
	const char *socket;
	bool json, quiet, no_color, no_pager, help, version;
};

/* -1 with ERR_USAGE. What was understood before the error is in args (json, command), so that
 * the error can be printed in the right form. The strings stay argv's. */
int args_parse(const struct command *commands, size_t count, int argc, char **argv,
	       struct args *args, struct error *error);
void args_free(struct args *args);
/* The value of the command's option, "" for a flag, NULL when absent. */
const char *args_value(const struct args *args, const char *name);
bool args_flag(const struct args *args, const char *name);
/* A duration as in manifests; a plain number counts seconds, as timeout(1) has it. An absent option
 * leaves *ms alone. */
int args_duration(const struct args *args, const char *name, uint64_t *ms, struct error *error);
/* The command of these words, or the group that they begin: NULL where there is none. */
const struct command *args_find_command(const struct command *commands, size_t count,
					const char *group, const char *word);
/* The option of the command (or NULL), or a global one; letter 0: by the name's first length bytes.
 */
const struct option_spec *args_find_option(const struct command *command, const char *name,
					   size_t length, char letter);
/* The options that every command takes. */
const struct option_spec *args_global_options(size_t *count);

#endif
