/*
 * ash's end of an operator socket, control's or secretd's: connect, greet, ask, hear.
 */
#ifndef ASH_CONNECT_H
#define ASH_CONNECT_H

#include "common/error.h"
#include "common/proto.h"

enum {
	/* For the greeting, which is sent as soon as a connection is taken. */
	HELLO_WAIT_MS = 10000,
	/* For an answer: control gives up on the others before (AWAY_WAIT_MS, ANSWER_WAIT_MS). */
	REPLY_WAIT_MS = 60000,
	RETRY_MS = 100
};

struct connection {
	const char *path;
	enum channel_kind kind; /* CH_OPERATOR, CH_SECRETS */
	int fd;                 /* -1: closed */
	bool opened, greeted;
	uint32_t last_id;
};

#define CONNECTION_INIT                                                                            \
	{                                                                                          \
		.kind = CH_OPERATOR, .fd = -1                                                      \
	}
#define SECRETS_CONNECTION_INIT                                                                    \
	{                                                                                          \
		.kind = CH_SECRETS, .fd = -1                                                       \
	}

/* Connects and sends HELLO; the answer is awaited with the first reply. -1 with error. */
int connection_open(struct connection *connection, const char *path, struct error *error);
/* Connects unless that was done before. The first request does it too: a command's usage is
 * checked before agentd is looked for. */
int connection_begin(struct connection *connection, struct error *error);
void connection_close(struct connection *connection);

/* Numbers and sends a request. 0 or -1 with error (ERR_UNREACHABLE when agentd went away). */
int connection_send(struct connection *connection, struct msg *request, struct error *error);
/* The next message, past the greeting: 1; 0 when the other side closed; -1 with error.
 * timeout_ms as poll(2). */
int connection_receive(struct connection *connection, struct msg *msg, int timeout_ms,
		       struct error *error);
/* What is there already: 1, 0 when nothing is, -1 with ERR_UNREACHABLE when the connection is
 * over. */
int connection_poll(struct connection *connection, struct msg *msg, struct error *error);

/* The errors of a connection whose other side closed it, and of one that says nothing: which
 * process that is, and what to do. */
int connection_lost(struct connection *connection, struct error *error);
int connection_silent(const struct connection *connection, struct error *error);

/* One request and its reply, which must be of this type; events in between are dropped.
 * ERROR becomes error. -1 with error. */
int connection_call(struct connection *connection, struct msg *request, enum msg_type expected,
		    struct msg *reply, int timeout_ms, struct error *error);
/* For requests that change nothing: when the connection breaks or a daemon is being restarted,
 * connects and asks again for up to RESTART_WAIT_MS. */
int connection_query(struct connection *connection, struct msg *request, enum msg_type expected,
		     struct msg *reply, struct error *error);

#endif
