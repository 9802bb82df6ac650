/*
 * SOCKS version 5 as a program inside speaks it (RFC 1928): no authentication, CONNECT alone. Looks
 * at bytes where they lie and keeps nothing. Egress only.
 */
#ifndef SCARAB_EGRESS_SOCKS_H
#define SCARAB_EGRESS_SOCKS_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#include "common/limits.h"

enum {
	SOCKS_VERSION = 5,
	SOCKS_REPLY_BYTES = 10,
	/* The greeting and the request, each at its longest. */
	SOCKS_BYTES_MAX = 2 + 255 + 4 + 1 + 255 + 2,
};

/* What is answered (RFC 1928 6). */
enum socks_reply {
	SOCKS_GRANTED = 0,
	SOCKS_FAILED = 1,
	SOCKS_NOT_ALLOWED = 2,
	SOCKS_UNREACHABLE = 4,
	SOCKS_NO_COMMAND = 7,
	SOCKS_NO_ADDRESS = 8,
};

enum socks {
	SOCKS_MORE, /* it is not whole; never for SOCKS_BYTES_MAX bytes */
	SOCKS_WHOLE,
	SOCKS_BAD, /* reply: what is answered; SOCKS_GRANTED: nothing */
};

struct socks_request {
	char name[NET_NAME_MAX + 1]; /* lower case; empty: address */
	struct in6_addr address;
	unsigned port;
	size_t bytes;
	enum socks_reply reply;
	const char *why;
};

/* The list of methods, which must have "none"; bytes: how many it has. */
enum socks socks_greeting(const uint8_t *bytes, size_t length, size_t *taken);
enum socks socks_request(const uint8_t *bytes, size_t length, struct socks_request *request);
void socks_answer(enum socks_reply reply, uint8_t out[SOCKS_REPLY_BYTES]);

#endif
