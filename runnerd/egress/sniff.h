/*
 * For whom the first bytes of a connection are: the name in a TLS ClientHello (RFC 6066), the host
 * of an HTTP/1 request (RFC 9112), each of a connection (follow.h). A connection that was opened
 * for a name and asks for another is domain fronting. Looks at what has come so far and keeps
 * nothing. Egress only.
 *
 * What is split is put together first: a ClientHello may lie in any number of TLS records, and with
 * keys of post-quantum exchanges one is longer than a segment.
 */
#ifndef SCARAB_EGRESS_SNIFF_H
#define SCARAB_EGRESS_SNIFF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/limits.h"

enum { SNIFF_BYTES = 16384 /* in which it must say for whom it is */ };

enum sniff {
	SNIFF_MORE, /* cannot be told yet */
	SNIFF_NAME, /* name says for whom, in lower case, without port and without a dot at its end
		     */
	SNIFF_NONE, /* neither TLS nor HTTP, or one that names nobody */
	SNIFF_BAD,  /* why says what is wrong */
};

struct sniffed {
	char name[NET_NAME_MAX + 1];
	bool http; /* a request of HTTP/1 whose head is whole, but for SNIFF_BAD */
	const char *why;
};

/* All that a client sent so far. SNIFF_MORE never comes for SNIFF_BYTES or more. */
enum sniff sniff(const uint8_t *bytes, size_t length, struct sniffed *result);

/* Its two halves. */
enum sniff sniff_tls(const uint8_t *bytes, size_t length, struct sniffed *result);
enum sniff sniff_http(const uint8_t *bytes, size_t length, struct sniffed *result);

/* sniff_http.c: a host with or without a port, as it stands in Host or a target; SNIFF_NAME or
 * SNIFF_BAD. An address in brackets is no name. */
enum sniff sniff_host(const char *text, size_t length, struct sniffed *result);

#endif
