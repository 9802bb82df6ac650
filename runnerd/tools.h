/*
 * The tools of one session: its broker, and a sandbox for each plugin that the plan names. runnerd
 * makes pipes, hands their ends to the keeper and to the broker, and passes the news of each to the
 * other; what goes through the pipes it never sees. runnerd/broker/broker.h tells the whole story.
 *
 * The step "tools" begins them and waits; the session's set-up goes on when the broker has heard
 * all plugins.
 */
#ifndef SCARAB_RUNNERD_TOOLS_H
#define SCARAB_RUNNERD_TOOLS_H

#include "recipe.h"
#include "session.h"

struct tool_server {
	struct session *s;
	unsigned number; /* its place in the plan, and how messages call it */
	char name[SERVER_NAME_MAX + 1];
	uint32_t uid; /* inside the agent's range */
	struct channel *builder;
	int builder_end; /* until the keeper has it; -1 */
	struct recipe recipe;
	struct procid init; /* process 1 of its sandbox; pid 0: not known */
	bool built;
	bool credentials_stale; /* one changed while the sandbox was built */
	uint32_t generation;    /* the newest that was asked for */
	uint32_t told_gone;     /* the newest whose end the broker was told */
	uint8_t keeper_state;   /* enum plugin_state, as the keeper told it last */
	/* As the broker told it last. */
	uint8_t state; /* enum server_state */
	uint32_t tool_count;
	char revision[16], software[128];
	char why[REASON_MAX + 1];
};

struct tools {
	struct session *s;
	struct channel *broker;
	int broker_end;   /* until the keeper has it; -1 */
	int agent_socket; /* until the broker has it; -1 */
	bool up, ready;
	bool adopted;       /* by a runnerd that did not start it */
	int registry, rows; /* memfds as BROKER_REGISTRY brought them; -1 */
	uint32_t registered, quarantined;
	int stats; /* memfd of BROKER_STATS; -1 */
	uint64_t calls, errors;
	struct ask *asks;
	char activity[32]; /* plan, act, observe: what the agent says it does */
	uint64_t activity_at_ms;
	struct loop_source *settle; /* what has changed is written down a moment later */
	bool registry_changed, record_changed;
	bool notes_lost;
	unsigned count;
	struct tool_server servers[SERVERS_MAX];
};

/* A call that waits for an operator. */
struct ask {
	struct ask *next;
	struct uuid id; /* as operators name it: the same after a restart of runnerd */
	struct msg_broker_ask call;
	int arguments; /* sealed memfd */
	/* The operator whose answer is with the broker, and who waits for what comes of it. */
	bool answered;
	struct msg_ask_answer answer;
	uint32_t control, request;
};

/* In the step: channels, cgroups and sockets of broker and plugins. 0, or -1 with error. */
int tools_open(struct session *s, struct error *error);
/* After KEEPER_BOOT: what follows it, and BROKER_BOOT. mission: the text of mission.json. */
int tools_boot(struct session *s, const char *mission, size_t length, struct error *error);
/* A restarted runnerd meets the broker of a live session again. */
int tools_adopt(struct session *s, struct error *error);
/* Nothing more is built: builders see the end of their channels. NULL is allowed. */
void tools_end(struct tools *tools);
/* Closes every channel and descriptor; sockets stay in the session's directory. NULL is allowed. */
void tools_free(struct tools *tools);

/* From the builder of the agent's sandbox: SANDBOX_SHARED. */
void tools_share(struct session *s, struct msg *shared);
/* From the session's keeper. */
void tools_heard_keeper(struct session *s, const struct msg_keeper_plugin *told);
/* What a plugin waits for besides its sandbox may have come: the keeper, which can be told when it
 * is up (with many plugins the first sandboxes are built before), every secret of the session, and
 * what its output is filtered by. */
void tools_progress(struct session *s);
/* fd: fingerprints of the session's secrets for the broker, borrowed. */
void tools_tell_redaction(struct session *s, int fd);
/* By the plugin's name; NULL. tools may be NULL. */
struct tool_server *tools_find(struct tools *tools, const char *server);
/* How long the plugins may take for their start, all together, in ms. */
uint64_t tools_start_ms(const struct session *s);

/* --- between the two files that make it up ------------------------------------------------------
 */

extern const struct channel_ops broker_ops;
struct tools *tools_new(struct session *s);
/* Of an adopted session: its plugins as its journal names them, whatever is installed by now. */
void tools_name_servers(struct tools *tools);
/* Starts the plugin's program anew and gives the broker its pipes. */
void tools_start_plugin(struct tool_server *server, uint32_t generation);
void tools_plugin_gone(struct tool_server *server, uint32_t generation, const char *why);
void tools_stop_plugin(struct tool_server *server, uint32_t generation);

/* tools_notes.c: what the agent said of itself with a built-in tool. */
void tools_note(struct tools *tools, struct msg *msg);

/* tools_record.c: what is kept of a session's tools. LOG_DIR/AGENT/SESSION.tools is for `ash
 * session show`, pins and newest registry for the agent (pins.h). */
void tools_touch(struct tools *tools); /* something has changed */
/* The last of it: the broker is gone, and what it said is heard to its end. NULL is allowed. */
void tools_finish(struct tools *tools);
/* TOOLS_HEAD, PLUGIN_ROWs, TOOL_STATS_ROWs and, without their definitions, TOOL_ROWs. A sealed
 * memfd or -errno. */
int tools_rows(const struct tools *tools);
/* TOOLS_HEAD and the registry as the broker told it. */
int tools_registry_rows(const struct tools *tools);
/* Takes what an operator accepted to the broker. */
void tools_accept(struct tools *tools, const struct msg_tool_pin *pin);

/* asks.c: the broker says that this call waits, and that it does no more. */
void asks_told(struct tools *tools, struct msg *msg);
void asks_told_over(struct tools *tools, const struct msg_broker_ask_over *over);
void asks_drop(struct tools *tools);

#endif
