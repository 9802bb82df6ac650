/*
 * Messages of DNS as the egress process reads and answers them (RFC 1035, 6891, 9460): one question
 * about a name, an answer of at most one address. What the agent wrote is never passed on. No
 * state.
 *
 * Compressed names, which a question has no use for, are refused unread: no pointer is ever
 * followed (RFC 9267 tells what came of following them).
 */
#ifndef SCARAB_EGRESS_DNS_H
#define SCARAB_EGRESS_DNS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/limits.h"

enum {
	DNS_HEADER_BYTES = 12,
	DNS_ANSWER_MAX = 512, /* every answer fits: header, question, one address, OPT */
	DNS_TTL_S = 60,       /* a name keeps its address for the session */
	DNS_PAYLOAD = 1232,   /* what our OPT says that we take */
};

enum dns_rcode {
	DNS_NOERROR,
	DNS_FORMERR,
	DNS_SERVFAIL,
	DNS_NXDOMAIN,
	DNS_NOTIMP,
	DNS_REFUSED,
};

/* What of a question matters here. */
enum dns_wants {
	DNS_WANTS_A,
	DNS_WANTS_AAAA,
	DNS_WANTS_NOTHING, /* HTTPS, SVCB: no such record, so that clients ask for addresses */
	DNS_WANTS_OTHER,   /* refused */
};

struct dns_query {
	char
	    name[NET_NAME_MAX + 1]; /* lower case, no dot at its end; empty: one no rule can have */
	enum dns_wants wants;
	uint16_t type;
	size_t question_bytes; /* as they follow the header, to be repeated in the answer */
	bool has_question;     /* false: the answer repeats none */
	bool edns;
};

/* NOERROR: query is whole. Another code: to be answered so. -1: nothing that is answered, a message
 * of less than a header or an answer itself. */
int dns_parse(const uint8_t *message, size_t length, struct dns_query *query);
/* Writes the answer to that message: how long it is. address, of the kind that was asked for, or
 * NULL: none. out has DNS_ANSWER_MAX bytes. */
size_t dns_answer(const uint8_t *message, const struct dns_query *query, enum dns_rcode rcode,
		  const struct in6_addr *address, uint8_t *out);

#endif
