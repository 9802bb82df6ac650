/*
 * What a broker is made of, and the functions by which its parts know each other. One process, one
 * thread; everything hangs on struct broker. Who frees what: servers live as long as the broker;
 * agents (connections) are doomed first and freed by the reaper between two rounds of the loop, so
 * that no caller up the stack holds a dead one; calls belong to their table.
 */
#ifndef SCARAB_BROKER_STATE_H
#define SCARAB_BROKER_STATE_H

#include "broker.h"
#include "calls.h"
#include "catalog.h"
#include "clean.h"
#include "common/channel.h"
#include "common/cleanup.h"
#include "common/json.h"
#include "frame.h"
#include "outq.h"
#include "rpc.h"

enum {
	AGENTS_MAX = 32, /* connections at once: a bridge for each of an agent's clients */
	AGENT_LINE_BYTES = 8 << 20,   /* MCP.md 1 */
	AGENT_QUEUE_BYTES = 64 << 20, /* what waits for a connection; then it is closed */
	AGENT_HIGH_BYTES = 1 << 20,   /* from here on it is not read from, and gets no progress */
	PRESSURE_BYTES = 16 << 20,    /* unread answers: from here on plugins are not read from */
	STALL_MS = 10000, /* and a connection that takes nothing for so long is closed */
	SERVER_QUEUE_BYTES = 16 << 20,
	IN_FLIGHT_SERVER = 64,
	GARBAGE_MAX = 8,         /* lines of a plugin that are no message; then it is ended */
	TOTAL_FACTOR = 10,       /* a call's total time as a multiple of its timeout */
	RELIST_WAIT_MS = 50,     /* list_changed: what comes at once is one */
	RELIST_PAUSE_MS = 1000,  /* between two lists of one plugin */
	RESTART_FIRST_MS = 250,  /* then twice as long, each time */
	RESTART_LAST_MS = 30000, /* at most */
	HEALTHY_MS = 60000,      /* a plugin that ran so long begins anew with its restarts */
	ASKS_MAX = 16,           /* calls that wait for an operator */
	SUBSCRIPTIONS_MAX = 64,  /* of one connection: listens, and resources */
	LIST_TTL_MS = 5000,      /* ttlMs of a list: changes are told besides */
};

/* How a message reached us; what an answer looks like follows from it. */
enum era { ERA_NONE, ERA_LEGACY, ERA_MODERN };

struct broker;
struct agent;
struct batch;

/* --- plugins --------------------------------------------------------------------------------- */

struct rules {
	char **globs;
	size_t count;
};

struct listing; /* server_lists.c: one list that is being fetched */

struct server {
	struct broker *broker;
	uint8_t number;
	struct msg_broker_server plan;
	struct rules rules[RULE_KINDS];

	uint32_t generation;
	enum server_state state;
	bool unwritable; /* it is broken at the end of this round */
	const char
	    *ended_why; /* a pipe ended while it started: the news of its end are waited for */
	bool was_ready; /* once: then it is started again after a crash */
	unsigned failures;
	char why[REASON_MAX + 1], revision[16], software[128];
	uint64_t ready_ns;
	struct loop_source *timer; /* the start's deadline; the pause before a restart */

	int in, out; /* the pipes; -1: none */
	struct loop_source *in_source, *out_source;
	struct frame frame;
	struct outq queue;
	unsigned in_flight, garbage;
	uint64_t logged_ns;
	unsigned logged, unlogged;

	bool offers[ITEM_KINDS], subscribes, completes, logs;
	struct listing *listings[ITEM_KINDS];
	bool stale[ITEM_KINDS];                       /* list_changed came */
	size_t bytes[ITEM_KINDS], counts[ITEM_KINDS]; /* of definitions, listed and being listed */
	uint64_t listed_ns;
	struct loop_source *relist;
};

/* server.c: handover, end, restart. */
int servers_start(struct broker *broker);
void server_handed(struct server *server, uint32_t generation, int in, int out);
void server_gone(struct server *server, uint32_t generation, const char *why);
/* It is of no use any more: its calls fail, its pipes are closed, its end is asked for. */
void server_break(struct server *server, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* The same for good. */
void server_fail(struct server *server, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Their standard inputs are closed; what they still write is read and dropped. */
void servers_stop(struct broker *broker);
bool servers_drained(const struct broker *broker); /* none writes any more */
void servers_free(struct broker *broker);
void servers_pause(struct broker *broker, bool paused);
void servers_reap(struct broker *broker); /* those that could not be written to */
/* A line to its standard input. 0, -ENOBUFS (busy), -EPIPE: it breaks at the end of this round. */
int server_send(struct server *server, const struct iovec *pieces, int count, uint64_t tag);
int server_send_first(struct server *server, const struct iovec *pieces, int count);
/* At most a few a second for each plugin; the rest is counted. */
void server_log(struct server *server, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* server_start.c: handshake; server_lists.c: lists, fetched again when they changed. */
void server_greet(struct server *server);
void server_list(struct server *server);
void server_listed(struct server *server); /* all lists are there */
void server_list_changed(struct server *server, enum item_kind kind);
void server_forget_lists(struct server *server);
loop_timer_fn server_relist;

/* server_in.c: what it says. */
bool server_line(enum frame_event event, struct span line, void *arg);

/* --- the agent's connections ----------------------------------------------------------------- */

struct subscription {
	char *id;              /* of subscriptions/listen, as it came; NULL: resources/subscribe */
	char *uri;             /* in the bytes of the agent; NULL: lists */
	char *own;             /* as the plugin names it, in quotes */
	struct server *server; /* whose it is */
	bool kinds[ITEM_KINDS];
};

struct agent {
	struct broker *broker;
	struct agent *next;
	int fd;
	struct loop_source *source;
	struct frame frame;
	struct outq queue;
	bool waiting; /* its socket is full */
	bool moved;   /* it has read since somebody last looked */
	bool shut;    /* it writes no more, but waits for its answers */
	bool doomed;
	bool initialized; /* the handshake was made: requests without _meta are of that era */
	char revision[16];
	bool logs;
	struct subscription *subscriptions;
	size_t subscription_count;
};

/* Who asked, and how an answer finds back. */
struct origin {
	struct agent *agent; /* NULL: it went away, or never was */
	enum era era;
	char *id; /* as it came */
	size_t id_length;
	char *token; /* progressToken as it came, NULL: none */
	struct batch *batch;
};

/* agent.c */
int agents_listen(struct broker *broker);
void agents_open(struct broker *broker);     /* from now on connections are accepted */
void agents_watch(struct broker *broker);    /* back-pressure may have changed */
void agents_pressure(struct broker *broker); /* more or less is unread */
void agents_reap(struct broker *broker);
loop_timer_fn agents_stalled;
/* Takes fd over, a stream that does not block, unless it returns NULL. */
struct agent *agent_new(struct broker *broker, int fd);
void agent_doom(struct agent *agent, const char *why);
void agents_free(struct broker *broker);
void agent_notify(struct agent *agent, const struct iovec *pieces, int count);

/* agent_requests.c: one line of an agent. */
bool agent_line(enum frame_event event, struct span line, void *arg);

/* answer.c: exactly one of these ends an origin, which is empty afterwards. */
int origin_set(struct origin *origin, struct agent *agent, enum era era, struct span id,
	       struct batch *batch);
void answer_error(struct origin *origin, int code, const char *message, const char *extra);
/* result: the whole object's text, of whatever era. */
void answer_result(struct origin *origin, const char *result, size_t length);
/* A tool's result: text, is it an error; structured: JSON or NULL. */
void answer_tool(struct origin *origin, bool is_error, const char *text, struct span structured);
/* A plugin's answer with the agent's id; cacheable: of resources/read. */
void answer_forward(struct origin *origin, const struct rpc *answer, bool cacheable);
/* Nobody wants an answer. */
void answer_none(struct origin *origin);
/* resultType and what else results of 2026-07-28 begin with; nothing on the old wire. */
void result_open(struct json *json, enum era era, bool cacheable);
struct batch *batch_new(struct agent *agent);
void batch_hold(struct batch *batch); /* one more answer is to come */
/* All of it was read: sent when nothing of it waits any more. */
void batch_close(struct batch *batch);

/* forward.c: requests that a plugin answers. */
void forward_tool(struct agent *agent, struct origin *origin, const struct rpc *rpc);
void forward_prompt(struct agent *agent, struct origin *origin, const struct rpc *rpc);
void forward_resource(struct agent *agent, struct origin *origin, const struct rpc *rpc);
void forward_completion(struct agent *agent, struct origin *origin, const struct rpc *rpc);
/* Sends what an approval held back. */
void forward_allowed(struct call *call, size_t length);
void forward_progress(struct call *call, const struct rpc *rpc);
void forward_cancel(struct agent *agent, struct span id);
void budget_tell(struct broker *broker); /* BROKER_END */

/* builtin.c */
int builtins_register(struct broker *broker);
void builtin_call(struct broker *broker, struct origin *origin, const struct item *tool,
		  struct span arguments);

/* policy.c: what allow, deny, ask, capabilities and pins say of a tool. */
enum tool_state policy_rules(const struct broker *broker, const struct server *server,
			     const char *tool, const char *exposed);
int policy_pin(struct broker *broker, uint8_t server, const char *tool, const uint8_t *digest);
bool policy_accepted(struct broker *broker, uint8_t server, const char *tool,
		     const uint8_t *digest);
void tool_digest(struct span definition, uint8_t digest[DIGEST_BYTES]);

/* registry.c: catalog and policy together, and what is told of them. */
int registry_replace(struct broker *broker, struct server *server, enum item_kind kind,
		     struct item **items, size_t count, char *why, size_t why_size);
void registry_drop(struct broker *broker, struct server *server);
void registry_accept(struct broker *broker, const char *server, const char *tool,
		     const uint8_t *digest);
bool item_listed(const struct item *item);
/* The array of what the agent sees of a kind; borrowed until the registry changes. NULL: memory. */
const char *registry_text(struct broker *broker, enum item_kind kind, size_t *length);
void registry_report(struct broker *broker);     /* soon, to runnerd */
void registry_report_now(struct broker *broker); /* what is due */
loop_timer_fn registry_report_due;
bool registry_offers(const struct broker *broker, enum item_kind kind);

/* subscribe.c */
void listen_request(struct agent *agent, struct origin *origin, const struct rpc *rpc);
void subscribe_request(struct agent *agent, struct origin *origin, const struct rpc *rpc);
void unsubscribe_request(struct agent *agent, struct origin *origin, const struct rpc *rpc);
void log_level_request(struct agent *agent, struct origin *origin, const struct rpc *rpc);
bool listen_cancel(struct agent *agent, struct span id);
void listens_end(struct broker *broker);
void subscriptions_free(struct agent *agent);
void notify_changed(struct broker *broker, enum item_kind kind);
void notify_resource(struct server *server, const struct rpc *rpc);
void notify_message(struct server *server, const struct rpc *rpc);
/* Subscribes again after a plugin's restart. */
void subscriptions_renew(struct server *server);
/* Which plugin has this resource, and what does it call it (heap)? */
struct server *resource_owner(struct broker *broker, struct span uri, char **own);

/* approval.c */
int approval_ask(struct call *call, const struct iovec *pieces, int count, struct span arguments);
void approval_answer(struct broker *broker, const struct msg_broker_answer *answer);
void approval_closed(struct call *call, enum call_outcome outcome); /* for call_end */
void approvals_tell(struct broker *broker);                         /* all that wait, again */

/* --- runnerd --------------------------------------------------------------------------------- */

struct audit_line {
	struct audit_line *next;
	struct msg_broker_call line;
};

struct held_note;

struct broker {
	struct loop *loop;
	struct pool pool;
	struct msg_broker_boot boot;
	struct server servers[SERVERS_MAX];
	size_t server_count;
	struct rules capabilities;
	char *mission;
	size_t mission_length;

	struct catalog catalogs[ITEM_KINDS];
	char *texts[ITEM_KINDS];
	size_t text_lengths[ITEM_KINDS];
	struct pin *pins;
	size_t pin_count;
	struct loop_source *report;
	bool report_due;

	struct cleaner cleaner;
	struct calls calls;
	struct agent *agents;
	size_t agent_count;
	int listener;
	struct loop_source *accept, *reaper;
	struct loop_source *stall, *last_words;
	bool open, stopping, pressed;

	bool ready_told, ready;
	char ready_why[REASON_MAX + 1];
	uint64_t tool_calls;
	bool budget_told;
	uint64_t next_ask;
	char transition[8];
	uint64_t transition_at_ms;

	int own_listener;
	struct channel *channel;
	struct loop_source *link_accept;
	struct audit_line *audit_first, **audit_last;
	size_t audit_count;
	struct loop_source *audit_timer, *stats_timer;
	struct tool_stats *stats;
	bool stats_due;
	struct held_note *notes, **notes_last;
	unsigned note_count;
	struct loop_source *life;
	uint64_t signed_ns;

	char scratch[FRAME_READ_BYTES];
};

/* broker.c: the parts, and the moment when all plugins are ready or failed. */
struct broker *broker_new(void);
int broker_begin(struct broker *broker, struct error *error);
void broker_free(struct broker *broker);
void broker_settled(struct broker *broker); /* a plugin became ready or failed */
void broker_stop(struct broker *broker);
void broker_drained(struct broker *broker); /* a plugin that was stopped writes no more */

/* plan.c: the plan's records. 0, or -1 with error. */
int plan_read(struct broker *broker, int plan_fd, int mission_fd, struct error *error);
void plan_free(struct broker *broker);

/* link.c: the channel with runnerd; nothing fails when there is none. */
int link_open(struct broker *broker, int boot_fd, struct error *error);
void link_send(struct broker *broker, struct msg *msg);
void link_tell_server(struct server *server);
void link_tell_ready(struct broker *broker);
void link_want(struct server *server, uint32_t generation, bool start, const char *why);
void link_close(struct broker *broker);

/* recorder.c: a line for each call that ended. */
int recorder_open(struct broker *broker);
void recorder_call(struct broker *broker, struct call *call, enum call_outcome outcome,
		   uint64_t result_bytes);
/* Is there room for one more call's line? */
bool recorder_room(const struct broker *broker);
/* May agents be read from? */
bool recorder_calm(const struct broker *broker);
void recorder_flush(struct broker *broker);
void recorder_free(struct broker *broker);
void shape_of(struct span arguments, char shape[SHAPE_MAX + 1]);

/* What is left is told in the session's log: nobody else hears it any more. */
void recorder_leave(struct broker *broker);

/* notes.c: takes the descriptors over. False: too many wait for runnerd. */
bool notes_pass(struct broker *broker, struct msg *msg);
void notes_flush(struct broker *broker); /* runnerd is back */
void notes_free(struct broker *broker);

/* life.c: signs of the agent's life for the keeper, and the news of its end. */
int life_open(struct broker *broker);
void life_sign(struct broker *broker);

/* stats.c */
int stats_open(struct broker *broker);
void stats_count(struct broker *broker, const char *name, bool error, uint64_t took_us);
uint64_t stats_percentile(const struct tool_stats *stats, unsigned percent);
void stats_tell(struct broker *broker);
void stats_free(struct broker *broker);

#endif
