/*
 * Definitions of tools: those that are accepted for an agent (STATE_DIR/tools/AGENT.pins), and
 * those that its newest session had (AGENT.seen). A tool is pinned as it was when the first session
 * saw it, or as an operator accepted it. Pins belong to the name of the agent, of its server and of
 * the tool: they outlive an install over the agent and its removal, and go when it is purged, like
 * its home.
 *
 * A set is rows (common/proto.h) in memory: the heads, each with the text of its definition where
 * that is known. runnerd compares digests and never reads a text.
 */
#ifndef SCARAB_RUNNERD_PINS_H
#define SCARAB_RUNNERD_PINS_H

#include "common/proto.h"

enum {
	AGENT_PINS_MAX = 16384, /* as many as a broker keeps: beyond, nothing is accepted */
	DEFINITION_BYTES_MAX = 64 << 10, /* a longer one is pinned by its digest alone */
	DEFINITIONS_BYTES_MAX = 16 << 20 /* of one agent; then likewise */
};

struct pin {
	struct msg_tool_pin head;
	uint8_t state; /* enum tool_state; of a registry */
	char *text;    /* NULL: not known */
	size_t length;
};

struct pins {
	struct pin *items;
	size_t count, sorted; /* the first of them are in order */
	size_t bytes;         /* of texts */
};

/* The rows of a sealed memfd: TOOL_PINs or TOOL_ROWs of plugins with their TEXT_PARTs; others are
 * passed over. 0 or -errno (-EFBIG: more than there can be). */
int pins_take(struct pins *pins, int rows_fd);
/* Among those that are in order. */
struct pin *pins_find(const struct pins *pins, const char *server, const char *tool);
/* One more, with a copy of the text of that definition (may be NULL); not in order yet. 0, -ENOSPC,
 * -ENOMEM. */
int pins_add(struct pins *pins, const struct msg_tool_pin *head, const struct pin *definition);
/* The definition behind a pin is another one now. */
void pin_change(struct pins *pins, struct pin *pin, const struct msg_tool_pin *head,
		const struct pin *definition);
void pins_sort(struct pins *pins);
void pins_free(struct pins *pins);

/* A sealed memfd with TOOL_PINs and their texts, or -errno. */
int pins_rows(const struct pins *pins);

/* AGENT.pins beneath STATE_DIR/tools. No file is an empty set. Written durably. 0 or -errno. */
int pins_read(int tools_fd, const char *agent, struct pins *pins);
int pins_write(int tools_fd, const char *agent, const struct pins *pins);
/* Both files of the agent. */
int pins_purge(int tools_fd, const char *agent);

/* Files, root's alone, that hold what a memfd of rows does: whole, old or new, after the death of
 * any process, and after that of the host where durable. The descriptor of a sealed memfd or
 * -errno; 0 or -errno. */
int rows_file_read(int dir_fd, const char *name);
int rows_file_write(int dir_fd, const char *name, int rows_fd, bool durable);

#endif
