/*
 * An MCP plugin as a child of ash, for who writes one: no sandbox, no broker, the operator's own
 * environment and rights. Its standard error is ash's. What it writes is bounded in size and time
 * and is believed in nothing; what it leaves behind is ended with it.
 */
#ifndef ASH_PLUGIN_H
#define ASH_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "libagent/c/agent.h"

enum {
	PLUGIN_LINE_MAX = 32 << 20, /* bytes of one message, as in a session */
	PLUGIN_START_MS = 20000,    /* for its first answer, likewise */
	PLUGIN_CALL_MS = 60000,     /* for each later one, likewise */
	PLUGIN_GRACE_MS = 2000,     /* from the end of its input to SIGTERM, and to SIGKILL */
	PLUGIN_BAD_LINES = 8,       /* lines that are no message, before it is given up: likewise */
};

struct plugin;

/* Told of what a plugin does that is not an answer and that its author wants to know. */
typedef void plugin_say_fn(const char *text, void *arg);

/* command: its arguments, ended by NULL. NULL with error. */
struct plugin *plugin_start(const char *const *command, plugin_say_fn *say, void *arg,
			    struct error *error);
/* The handshake. -1 with error. */
int plugin_greet(struct plugin *plugin, struct error *error);
/* "NAME VERSION, MCP REVISION", after the handshake. */
const char *plugin_about(const struct plugin *plugin);
/* Asks and waits. params: JSON text, or NULL. result is valid until the next question. An answer
 * that is an error is -1 as well. */
int plugin_ask(struct plugin *plugin, const char *method, const char *params, uint64_t timeout_ms,
	       struct agent_json *result, struct error *error);
/* Closes its standard input, waits, ends what is left. NULL is allowed. */
void plugin_stop(struct plugin *plugin);

#endif
