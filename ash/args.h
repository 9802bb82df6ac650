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

struct ash;
struct args;

struct command {
	const char *words; /* "agent install" */
	const char *usage; /* what follows the words */
	const char *about; /* one line */
	struct option_spec options[OPTIONS_MAX];
	size_t min, max; /* operands */
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
	bool json, quiet, no_color, help, version;
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
/* The options that every command takes. */
const struct option_spec *args_global_options(size_t *count);

#endif
