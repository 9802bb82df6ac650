/*
 * Agents as ash shows them: the JSON object of CONTRACT 9 and the checks of a name.
 */
#ifndef ASH_AGENT_H
#define ASH_AGENT_H

#include "common/json.h"
#include "common/proto.h"

/* The keys of an agent, into an object that the caller opened and closes. last may be NULL. */
void agent_json_keys(const struct msg_agent_row *row, const struct msg_agent_last *last,
		     struct json *json);
/* -1 with ERR_NOT_FOUND for what cannot be an agent's name. */
int agent_name_check(const char *name, struct error *error);
/* "2026-11-21 10:02", or "-"; at least 32 bytes. The date alone is its first ten characters. */
const char *minute_format(uint64_t epoch_ms, char *text);

#endif
