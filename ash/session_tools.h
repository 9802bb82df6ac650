/*
 * What came of a session's tools: its plugins, calls by tool, what the agent said that it does, its
 * result. From runnerd, of a live session or as it was kept.
 */
#ifndef ASH_SESSION_TOOLS_H
#define ASH_SESSION_TOOLS_H

#include <stdbool.h>

#include "ash.h"
#include "common/json.h"
#include "common/proto.h"

struct session_tools {
	struct msg_tools_head head;
	struct msg_plugin_row *plugins; /* heap */
	size_t plugin_count;
	struct msg_tool_stats_row *stats; /* heap */
	size_t stats_count;
	struct msg_net_meter *meters; /* heap */
	size_t meter_count;
	char *result; /* heap, as it was stored; NULL: there is none */
	size_t result_length, result_size;
};

/* From the rows of a descriptor. -1 with error; free it in both cases. */
int session_tools_read(int fd, struct session_tools *tools, struct error *error);
void session_tools_free(struct session_tools *tools);

/* The keys activity, activity_at, plugins, tools, network, result; tools NULL: nothing is known. */
void session_tools_json(const struct session_tools *tools, struct json *json);
/* Lines of its own among those of a session, then the tables. */
void session_tools_lines(const struct ash *ash, const struct session_tools *tools);
int session_tools_tables(const struct ash *ash, const struct session_tools *tools,
			 struct error *error);

/* JSON that somebody else wrote, on one line; what is none becomes a string, or null where it is
 * not even UTF-8. */
void json_foreign(struct json *json, const char *text, size_t length);

#endif
