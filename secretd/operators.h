/*
 * Operators at secretd's own socket: who they are, one request of each at a time, and the questions
 * to agentd and runnerd that a request waits for. Only secretd.
 */
#ifndef SCARAB_SECRETD_OPERATORS_H
#define SCARAB_SECRETD_OPERATORS_H

#include "secretd.h"

enum {
	OPERATORS_MAX = 64,
	OPERATORS_PER_UID = 32,
};

struct client {
	struct client *next;
	struct secretd *s;
	struct channel *channel; /* NULL until agentd said who it is */
	int fd;                  /* until then */
	uid_t uid;               /* as its listener counts it */
	struct msg_peer peer;
	bool waits; /* for an answer: its next request is not read */
};

/* Takes connections of fd, which is taken over: OPERATORS_MAX, of one user OPERATORS_PER_UID. 0, or
 * -errno. */
int operators_listen(struct secretd *s, int fd);
void operators_free(struct secretd *s);

/* A question on its way. request: what the operator asked, its descriptors owned by the call. */
struct call {
	struct call *next;
	uint32_t id;
	const struct channel *asked;
	struct client *client; /* NULL: nobody waits, or nobody any more */
	/* answer NULL: who was asked went away. */
	void (*then)(struct secretd *s, struct call *call, struct msg *answer);
	struct msg request;
};
typedef void call_fn(struct secretd *s, struct call *call, struct msg *answer);

/* Asks; the client's channel rests until then returns. request (may be NULL) is moved into the
 * call. client may be NULL. 0 or -errno: then nothing was asked, and then is not called. */
int call_ask(struct secretd *s, struct channel *whom, struct msg *question, struct client *client,
	     struct msg *request, call_fn *then);
/* The answer of this channel with its id; false when nobody asked. */
bool call_answered(struct secretd *s, const struct channel *by, struct msg *answer);
/* The channel is gone. */
void calls_give_up(struct secretd *s, const struct channel *whom);

/* Replies; client NULL: nobody listens. */
void client_ok(struct client *client, uint32_t id, uint64_t value);
void client_error(struct client *client, uint32_t id, const struct error *error);
void client_reply(struct client *client, uint32_t id, struct msg *reply);

/* What an entry of the audit log is about; client NULL: the runtime itself, error: why it was
 * refused, texts "" where there is none. */
struct audited {
	const char *action, *secret, *agent, *purpose;
	uint64_t version;
	const struct uuid *session; /* NULL: none */
	const struct error *error;
};
void audit_secret(struct secretd *s, const struct client *client, const struct audited *what,
		  const char *fmt, ...) __attribute__((format(printf, 4, 5)));

#endif
