/*
 * What of a session's requests gets a secret: rules of spec.credentials[].inject, as runnerd typed
 * them, and the values, which secretd wrote into sealed memfds. A value is read from its memfd's
 * pages when a request is written, and is otherwise known only to what hides it (scrub.h). Egress
 * only.
 */
#ifndef SCARAB_EGRESS_INJECT_H
#define SCARAB_EGRESS_INJECT_H

#include "common/proto.h"
#include "http.h"
#include "scrub.h"

enum { INJECTS_MAX = 32, INJECT_PORT = 80 /* where the agent speaks to it, inside */ };

struct inject {
	struct msg_inject_rule rule;
	const uint8_t *value; /* of the memfd's pages */
	size_t length;
};

struct injects {
	struct inject *items;
	size_t count, values; /* values: how many are there */
	struct scrubs *scrubs;
};

/* The rules of a sealed memfd (borrowed). 0 or -errno. */
int injects_read(int memfd, struct injects *injects);
/* The value of the rule with this number, from a sealed memfd (borrowed). 0, or -1 with error: it
 * is not sealed, or not a text that a header could have. */
int injects_value(struct injects *injects, unsigned number, int memfd, struct error *error);
void injects_clear(struct injects *injects);

/* The host that this name (lower case) stands for, itself or as NAME.agentd; NULL: no rule names
 * it. Borrowed. */
const struct msg_inject_rule *injects_host(const struct injects *injects, const char *name);
/* May the request go to the host? NULL, or why not. */
const char *injects_refuse(const struct injects *injects, const char *host,
			   const struct http_head *head);
/* Is the field one that some rule of the host writes itself? */
bool injects_own(const struct injects *injects, const char *host, struct http_text name);
/* The next one from *at on, 0 in the beginning, that adds its header to the request; NULL: there is
 * none. A header is added once: two are read as two things. */
const struct inject *injects_next(const struct injects *injects, const char *host,
				  const struct http_head *head, size_t *at);

#endif
