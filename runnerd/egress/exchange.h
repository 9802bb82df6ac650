/*
 * Requests of HTTP/1.1 that are read, checked one by one, and written anew (http.h): to the hosts
 * of inject, over TLS and with the secret added, and of programs that use the session's proxy for
 * http:// URLs. One request is under way at a time; what the agent sends behind it waits unread.
 * Egress only.
 *
 *   client ── in ── request ── up ── server
 *   client ── down ── answer ── answer ── server
 *
 * Each connection of the agent holds four bounded buffers; who does not read is waited for by who
 * writes, and EXCHANGES_MAX bounds them all.
 */
#ifndef SCARAB_EGRESS_EXCHANGE_H
#define SCARAB_EGRESS_EXCHANGE_H

#include "egress.h"
#include "http.h"
#include "inject.h"
#include "scrub.h"
#include "tls.h"

enum {
	EXCHANGES_MAX = 256, /* 200 KiB each at the most; no more are accepted then */
	EXCHANGE_IN = HTTP_HEAD_MAX,
	EXCHANGE_UP = 2 * HTTP_HEAD_MAX, /* a head with what is added to it */
	EXCHANGE_ANSWER = HTTP_HEAD_MAX,
	EXCHANGE_DOWN = 2 * HTTP_HEAD_MAX,
	HEAD_WAIT_MS = 30000,  /* from its first byte to its last */
	IDLE_WAIT_MS = 120000, /* between two requests */
	TLS_WAIT_MS = 20000,
	LAST_WAIT_MS = 2000, /* for the client to see an answer before its connection is closed */
	INFORMATIONAL_MAX = 8,
};

enum exchange_state {
	EXCHANGE_HEAD, /* the next request has not come whole */
	EXCHANGE_DIALING,
	EXCHANGE_HANDSHAKE,
	EXCHANGE_RELAYING,
	EXCHANGE_CLOSING, /* down is sent, then nothing more */
	EXCHANGE_GONE,
};

struct bytes {
	uint8_t *at;
	size_t start, end, size;
	bool overflown;
};

struct party {
	int fd; /* -1: there is none */
	struct loop_source *source;
	uint32_t events;
	bool ended; /* says nothing more */
};

struct exchange {
	struct exchange *next, **at;
	struct egress *egress;
	enum exchange_state state;
	const struct msg_inject_rule *rule; /* NULL: of the proxy */
	/* Whom this request is for, and whom server leads to. */
	struct target {
		char host[NET_NAME_MAX + 1]; /* empty: address */
		struct in6_addr address;
		unsigned port;
		bool secret; /* a rule of inject leads there: by TLS */
		bool below;  /* a wildcard's: new ones come slowly */
	} to, connected;
	int number; /* of the name that it is counted for; -1: an address */
	uint32_t dial;
	struct party client, server;
	struct tls_stream *tls;
	struct bytes in, up, answer, down;
	struct http_body sending, receiving;
	enum http_framing framing; /* of the answer */
	bool answered;             /* its head was passed on */
	bool to_head, last;        /* last: the connection ends with this answer */
	bool server_last;          /* so does the server's */
	bool shut;                 /* the client was told of the end */
	unsigned informational;
	struct scrub scrub;
	struct loop_source *timer;
	uint64_t deadline_ns; /* 0: none */
};

/* exchange.c. client is taken over; its first bytes (borrowed) were read already. rule NULL: of the
 * proxy. */
void exchange_begin(struct egress *egress, int client, const struct msg_inject_rule *rule,
		    const uint8_t *first, size_t length);
/* What the dialer answered. False: it was not asked by an exchange. */
bool exchange_dialed(struct egress *egress, struct msg *answer);
void exchanges_dial_again(struct egress *egress);
void exchanges_close(struct egress *egress);

/* Between the three files. Each step moves what it can: true when something moved. */
bool exchange_take_request(struct exchange *x); /* exchange_request.c */
bool exchange_take_sending(struct exchange *x);
bool exchange_take_answer(struct exchange *x); /* exchange_answer.c */
bool exchange_take_receiving(struct exchange *x);
/* Answers with an error of its own, once and last; why is noted too. Where an answer has begun, the
 * connection is reset instead. */
void exchange_refuse(struct exchange *x, unsigned status, const char *why);
void exchange_connect(struct exchange *x); /* to x->to, or goes on where it is */
void exchange_drop_server(struct exchange *x);
void exchange_wait(struct exchange *x, unsigned ms); /* 0: as long as it takes */

/* authority.c: HOST[:PORT], where HOST is a name (lower case then) or an address, in brackets if it
 * is one of IPv6; name is empty for an address. usual: the port where it says none; 0: it must. */
bool authority_parse(struct http_text text, unsigned usual, char name[NET_NAME_MAX + 1],
		     struct in6_addr *address, unsigned *port);

/* bytes.c */
int bytes_make(struct bytes *bytes, size_t size);
void bytes_free(struct bytes *bytes); /* overwrites them */
size_t bytes_used(const struct bytes *bytes);
size_t bytes_room(const struct bytes *bytes);
const uint8_t *bytes_first(const struct bytes *bytes);
void bytes_drop(struct bytes *bytes, size_t count); /* the first */
/* Moves what is there to the beginning; where the next may be written, bytes_room() of them. */
uint8_t *bytes_next(struct bytes *bytes);
/* What has no room sets overflown. */
void bytes_put(struct bytes *bytes, const void *what, size_t length);
void bytes_say(struct bytes *bytes, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
