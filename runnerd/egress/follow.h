/*
 * A connection of HTTP/1 whose bytes pass as they came: where each request ends and the next one
 * begins, so that each is asked for whom it is. Bodies are skipped by their lengths. What is framed
 * in a way that two readers could understand differently is refused (http.h). Egress only.
 *
 * Who asks for another protocol with the first request is waited for until the server has answered:
 * 101, and what follows is looked at like the first bytes of a connection (HTTP/2 would name other
 * hosts); any other status, and it is the next request. With a later request there could be answers
 * under way whose bodies look like one: it is followed as any other.
 */
#ifndef SCARAB_EGRESS_FOLLOW_H
#define SCARAB_EGRESS_FOLLOW_H

#include "http.h"

enum { FOLLOW_STATUS = 12 /* HTTP/1.1 101 */ };

struct follow {
	bool on;    /* HTTP/1 */
	bool later; /* a request has passed */
	bool spoke; /* the server did, before there was a request */
	bool waits; /* for the answer to Upgrade */
	bool ended_line;
	size_t count; /* of status */
	char status[FOLLOW_STATUS];
	struct http_body body;
};

/* The head that sniff() found whole for a right name: how many bytes it has, with the empty lines
 * before it; what is behind them is not looked at. -1: why says what is wrong. */
ssize_t follow_head(struct follow *follow, const uint8_t *bytes, size_t length, const char **why);
/* How many of the next bytes are the request's body; 0: it is whole. -1: it is malformed. */
ssize_t follow_body(struct follow *follow, const uint8_t *bytes, size_t length);
/* What the server said next. */
void follow_answer(struct follow *follow, const uint8_t *bytes, size_t length);

#endif
