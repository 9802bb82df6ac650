/*
 * What `ash top` shows, kept by what agentd pushes: the sessions that have not ended with what they
 * use, the calls that wait for an operator, the next fires. It is asked for once, after a
 * connection begins or something was missed, and in part again when a notice says that a part has
 * changed.
 */
#ifndef ASH_TOP_MODEL_H
#define ASH_TOP_MODEL_H

#include "ask.h"
#include "news.h"

enum {
	TOP_SESSIONS_MAX = 512, /* the queue may be longer: the rest is counted */
	TOP_FIRES_MAX = 16,
};

struct top_session {
	struct uuid id;
	char agent[AGENT_NAME_MAX + 1];
	uint8_t state, step;
	uint64_t since_ms; /* queued, by the wall clock */
	/* The last sample; at_ms 0: none yet. */
	struct msg_session_sample sample;
	double cpu_percent; /* below 0: not known */
};

enum top_order { TOP_BY_AGE, TOP_BY_CPU, TOP_BY_MEMORY, TOP_BY_AGENT, TOP_ORDERS };

struct top_model {
	struct ash *ash;
	struct top_session *sessions; /* heap */
	size_t count;
	uint64_t left_out;
	enum top_order order;
	struct asks asks;
	struct msg_trigger_row fires[TOP_FIRES_MAX];
	size_t fire_count;
	struct msg last; /* the newest news; type 0: none */
	bool changed;
	/* private: what was asked, and what has to be again */
	uint32_t session_ids[STATE_COUNT], asks_id, fires_id;
	bool asks_stale, fires_stale;
};

/* 0, or -1 with error. */
int top_model_init(struct top_model *model, struct ash *ash, struct error *error);
void top_model_free(struct top_model *model);

/* Everything is asked for. -1 with error: the connection is broken. */
int top_model_refresh(struct top_model *model, struct error *error);
/* A message of the stream; its descriptors are closed by the caller. True: it was of the model. -1
 * with error as above. */
int top_model_take(struct top_model *model, struct msg *msg, struct error *error);
/* The time passes: a fire that was next is past. */
int top_model_tick(struct top_model *model, struct error *error);
void top_model_sort(struct top_model *model, enum top_order order);

#endif
