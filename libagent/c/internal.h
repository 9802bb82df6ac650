/* What the library's files share and its users do not see. */
#ifndef SCARAB_LIBAGENT_INTERNAL_H
#define SCARAB_LIBAGENT_INTERNAL_H

#include "agent.h"
#include "buffer.h"
#include "wire.h"

#ifndef AGENT_VERSION
#define AGENT_VERSION "0.1.0"
#endif

struct agent {
	struct wire wire;
	uint64_t next_id;
};

/* One question that waits for its answer; its id is its progress token too. */
struct request {
	uint64_t id;
	struct patience patience;
	const struct agent_options *options; /* NULL: nobody is told of progress */
};

/* Parts of the line that came last. */
struct reply {
	struct agent_json result, error;
};

/* Fills error (NULL: nothing) and returns status. */
enum agent_status agent_fail(struct agent_error *error, enum agent_status status, const char *fmt,
			     ...) __attribute__((format(printf, 3, 4)));
/* Whole characters of RFC 3629. */
bool agent_is_utf8(const char *text, size_t length);
/* Begins a request's line, up to and without its params; returns its id. */
uint64_t agent_begin(struct agent *agent, struct buffer *line, const char *method);
/* Sends the line, which is emptied, and waits for the answer; result is valid until the next
 * exchange. */
enum agent_status agent_exchange(struct agent *agent, const struct request *request,
				 struct buffer *line, struct agent_json *result,
				 struct agent_error *error);

#endif
