/*
 * Requests that plugins are to answer, each under an id of our own: a number that is never used
 * again, whose low bits are its place in the table, so that a late or invented reply finds nothing.
 */
#ifndef SCARAB_BROKER_CALLS_H
#define SCARAB_BROKER_CALLS_H

#include "broker.h"
#include "common/loop.h"
#include "rpc.h"

enum { CALLS_MAX = 256 /* in flight in one session; a power of two */ };

struct broker;
struct call;
struct origin;
struct server;
struct tool_stats;

/* The end of a call: answer is the plugin's, or NULL and why says what happened (outcome). The call
 * is freed when it returns. */
typedef void call_fn(struct call *call, const struct rpc *answer, enum call_outcome outcome,
		     const char *why);

struct call {
	uint64_t id;
	struct broker *broker;
	struct server *server;
	call_fn *ended;
	uint64_t began_ns, deadline_ns, total_ns; /* 0: none */
	uint64_t timeout_ns;
	bool sent; /* it is with the plugin, or in its queue */
	int kind;  /* for the caller's use */

	/* of an agent's request */
	struct origin *origin;
	bool is_tool, cacheable;
	char tool[TOOL_NAME_MAX + 1], exposed[EXPOSED_NAME_MAX + 1];
	char shape[SHAPE_MAX + 1];
	uint64_t argument_bytes;
	char operator[OPERATOR_MAX + 1];

	/* while it waits for an operator */
	uint64_t ask, asked_at_ms, expires_at_ms;
	char *held;
	size_t held_length;
	int ask_fd;
};

struct calls {
	struct call *slots[CALLS_MAX];
	unsigned count, next;
	uint64_t sequence;
	struct loop_source *timer;
	uint64_t armed_ns;
};

int calls_init(struct broker *broker);
call_fn call_nothing; /* for one that ends before anybody waits */
/* NULL with errno: EBUSY when the table or the plugin has enough, ENOMEM. timeout_ms 0: none. */
struct call *call_new(struct broker *broker, struct server *server, call_fn *ended,
		      uint64_t timeout_ms);
struct call *call_find(struct broker *broker, uint64_t id);
/* Its deadline runs from now on. */
void call_start_clock(struct call *call, uint64_t timeout_ms);
/* The plugin is still at it. */
void call_extend(struct call *call);
/* Ends it: calls ended, frees. */
void call_end(struct call *call, const struct rpc *answer, enum call_outcome outcome,
	      const char *why);
/* Tells the plugin that nobody waits any more, ahead of what is queued for it; or takes the request
 * back when it was not written yet. The call itself stays. */
void call_withdraw(struct call *call, const char *reason);
/* Ends all of a plugin's. */
void calls_fail(struct broker *broker, struct server *server, enum call_outcome outcome,
		const char *why);
void calls_free(struct broker *broker);

#endif
