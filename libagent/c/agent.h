/*
 * libagent: what an agent says to the runtime that runs it, and the tools that it was given.
 *
 *	struct agent *agent;
 *	struct agent_answer answer;
 *	struct agent_error error;
 *
 *	if (agent_connect(&agent, &error) ||
 *	    agent_call(agent, "fs__read_file", "{\"path\":\"/context/a\"}", NULL, &answer, &error))
 *		errx(1, "%s", error.text);
 *	puts(answer.text);
 *	agent_answer_free(&answer);
 *	agent_close(agent);
 *
 * The functions of the Rust crate and of the Python module have the same names and do the same;
 * libagent(3) describes all three.
 *
 * JSON goes in and comes out as the text that travels: no number is rounded, no escape is lost. The
 * helpers at the end read fields of such text and quote strings for it.
 *
 * Errors. Functions return AGENT_OK (0) or why they failed, and fill error, which may be NULL.
 *After AGENT_CLOSED and AGENT_PROTOCOL the connection is gone: only agent_close() is of use.
 *
 * Ownership. What a function hands over as char * is released with free(), structures with their
 * _free function. What is passed in is borrowed until the function returns.
 *
 * Threads. One struct agent is one connection and belongs to one thread at a time; threads that
 *call tools at the same time connect once each. agent_cancel_fire() and agent_log() may be called
 *from any thread, agent_cancel_fire() also from a signal handler. Nothing here installs signal
 *handlers, starts threads or changes the process; descriptors are close-on-exec.
 *
 * Times are milliseconds. Texts are UTF-8; what ends at a NUL is said to.
 */
#ifndef SCARAB_AGENT_H
#define SCARAB_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define AGENT_API __attribute__((visibility("default")))
#else
#define AGENT_API
#endif

enum {
	AGENT_CONNECT_MS = 30000,      /* agent_connect() gives up after this */
	AGENT_ARGUMENTS_MAX = 8 << 20, /* bytes of one request, as the runtime takes them */
	AGENT_ANSWER_MAX = 64 << 20,   /* bytes of one message from the runtime */
	AGENT_DEPTH_MAX = 128,         /* levels of JSON in either */
	AGENT_ERROR_MAX = 511,         /* bytes of an error's text */
	AGENT_PAGES_MAX = 1000,        /* of a list of tools */
};

enum agent_status {
	AGENT_OK,
	AGENT_INVALID,     /* what was passed in: no JSON, no UTF-8, too long */
	AGENT_UNREACHABLE, /* no socket, or nobody answers there */
	AGENT_CLOSED,      /* the runtime closed the connection, or it was closed before */
	AGENT_TIMEOUT,     /* timeout_ms passed; the call was cancelled */
	AGENT_CANCELLED,   /* by agent_cancel_fire() or by the progress callback */
	AGENT_REFUSED,     /* the runtime answered with an error: code and text are its own */
	AGENT_FAILED,      /* one of the runtime's own tools did not do it: text is its answer */
	AGENT_PROTOCOL,    /* what came was no valid message */
	AGENT_MEMORY,
};

struct agent_error {
	enum agent_status status;
	int64_t code; /* AGENT_REFUSED: JSON-RPC's code, such as -32602; else 0 */
	char text[AGENT_ERROR_MAX + 1];
};

/* "timeout" for AGENT_TIMEOUT, and so on. */
AGENT_API const char *agent_status_name(enum agent_status status);

struct agent;

/* Connects to the socket that SCARAB_SOCKET names, else to /run/agentd/agentd.sock, and greets. */
AGENT_API enum agent_status agent_connect(struct agent **agent, struct agent_error *error);
/* NULL is allowed. Calls that were cancelled and not yet answered are forgotten. */
AGENT_API void agent_close(struct agent *agent);

/* Why this session runs: mission.json with the state of the plugins, as JSON text that ends at a
 * NUL. */
AGENT_API enum agent_status agent_mission(struct agent *agent, char **json,
					  struct agent_error *error);

/* --- tools -------------------------------------------------------------------------------------
 */

struct agent_tool {
	char *name;        /* what agent_call() takes */
	char *description; /* empty where it has none */
	char *json;        /* the whole definition: inputSchema, annotations and the like */
};

struct agent_tools {
	struct agent_tool *tools;
	size_t count;
};

/* Every tool that can be called now, in the runtime's order. */
AGENT_API enum agent_status agent_tools(struct agent *agent, struct agent_tools *tools,
					struct agent_error *error);
/* Also leaves an empty list. */
AGENT_API void agent_tools_free(struct agent_tools *tools);

struct agent_progress {
	double progress;
	double total;        /* 0: not told */
	const char *message; /* ends at a NUL; NULL: none. Valid during the callback */
};

/* Called by agent_call(), in its thread. False cancels the call. It must not use the agent. */
typedef bool agent_progress_fn(const struct agent_progress *progress, void *arg);

struct agent_cancel;

struct agent_options {
	uint64_t timeout_ms;         /* for the whole call; 0: as long as the runtime allows */
	agent_progress_fn *progress; /* NULL: none is asked for */
	void *arg;
	struct agent_cancel *cancel; /* borrowed; NULL: none */
};

struct agent_answer {
	char *json; /* the result as it came, NUL-terminated: content, structuredContent, isError */
	size_t length;
	char *text; /* its text contents one after the other, a newline between; NUL-terminated */
	size_t text_length; /* a NUL may be part of the text */
	char *structured;   /* structuredContent, JSON text; NULL: none */
	bool
	    is_error; /* the tool says that it failed; text says why. The call itself is AGENT_OK */
};

/* Calls a tool and waits for its answer. arguments: a JSON object as text that ends at a NUL; NULL:
 * an empty one. options may be NULL. A call that is given up is cancelled at the runtime as well.
 */
AGENT_API enum agent_status agent_call(struct agent *agent, const char *tool, const char *arguments,
				       const struct agent_options *options,
				       struct agent_answer *answer, struct agent_error *error);
/* Also leaves an empty answer. */
AGENT_API void agent_answer_free(struct agent_answer *answer);

/* Ends calls that wait, from another thread. Once fired it stays so: a call that is given it later
 * is not made. NULL when memory or descriptors ran out, and in modules of WebAssembly, which have
 * one thread. */
AGENT_API struct agent_cancel *agent_cancel_new(void);
AGENT_API void agent_cancel_fire(struct agent_cancel *cancel);
/* Not while a call has it. NULL is allowed. */
AGENT_API void agent_cancel_free(struct agent_cancel *cancel);

/* --- what an agent tells -------------------------------------------------------------------------
 */

/* Notes what the agent found. data: JSON text of any type, or NULL. */
AGENT_API enum agent_status agent_observe(struct agent *agent, const char *text, const char *data,
					  struct agent_error *error);
/* state: "plan", "act" or "observe". reason may be NULL. */
AGENT_API enum agent_status agent_transition(struct agent *agent, const char *state,
					     const char *reason, struct agent_error *error);
/* Stores the session's result: JSON text of any type. The last one counts. */
AGENT_API enum agent_status agent_result(struct agent *agent, const char *json,
					 struct agent_error *error);
/* Emits an event. data (JSON text of any type) and subject may be NULL. */
AGENT_API enum agent_status agent_emit_event(struct agent *agent, const char *type,
					     const char *data, const char *subject,
					     struct agent_error *error);
/* Writes `LEVEL: TEXT` to standard error, which the runtime keeps as the session's log; each line
 * of text becomes one. level: "debug", "info", "warning", "error". Needs no connection. */
AGENT_API void agent_log(const char *level, const char *text);

/* --- JSON text
 * ------------------------------------------------------------------------------------ */

/* A part of somebody's text. text NULL: nothing. */
struct agent_json {
	const char *text;
	size_t length;
};

enum agent_json_type {
	AGENT_JSON_NONE, /* no value, or not valid */
	AGENT_JSON_NULL,
	AGENT_JSON_BOOL,
	AGENT_JSON_NUMBER,
	AGENT_JSON_STRING,
	AGENT_JSON_ARRAY,
	AGENT_JSON_OBJECT,
};

/* The whole text as one value: strict JSON in UTF-8, at most AGENT_DEPTH_MAX levels; nothing when
 * it is not. Blanks around it are left out. The functions below take what this one or they
 * returned. */
AGENT_API struct agent_json agent_json(const char *text, size_t length);
AGENT_API enum agent_json_type agent_json_type(struct agent_json json);
/* An object's member of this name (the last one of several), or nothing. */
AGENT_API struct agent_json agent_json_get(struct agent_json json, const char *name);
/* An array's element, or nothing. Asking for each in turn takes quadratic time: see
 * agent_json_next(). */
AGENT_API struct agent_json agent_json_at(struct agent_json json, size_t index);
/* An array's element after this one; the first after nothing. */
AGENT_API struct agent_json agent_json_next(struct agent_json json, struct agent_json element);
/* A string's content, NUL-terminated heap memory; length (may be NULL) does not count the NUL at
 * the end. Half a surrogate pair becomes U+FFFD. NULL when it is no string, or memory ran out. */
AGENT_API char *agent_json_string(struct agent_json json, size_t *length);
/* False when it is no number; integers also when it has a fraction or does not fit. */
AGENT_API bool agent_json_number(struct agent_json json, double *number);
AGENT_API bool agent_json_integer(struct agent_json json, int64_t *number);
AGENT_API bool agent_json_true(struct agent_json json);
/* The text in quotes, escaped: JSON in heap memory. NULL when it is no UTF-8 or memory ran out. */
AGENT_API char *agent_json_quote(const char *text, size_t length);

#ifdef __cplusplus
}
#endif

#endif
