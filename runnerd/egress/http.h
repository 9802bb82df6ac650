/*
 * Requests and responses of HTTP/1.1 as who stands between an agent and a server reads them (RFC
 * 9110, 9112): strictly, so that no two readers see two messages in one. What is read is not passed
 * on as it came: heads are written anew from what was understood, and bodies are framed anew; but
 * for connections that are only followed (follow.h). Looks at bytes where they lie and keeps
 * nothing but a body's place. Egress only.
 *
 * Refused: lines that end in a lone line feed, a lone carriage return, folded lines, space before a
 * colon, names that are no tokens, NUL and other controls, more than one Host or Content-Length,
 * Content-Length beside Transfer-Encoding, transfer codings other than chunked, versions other than
 * 1.1 in requests (CVE-2019-16276, CVE-2019-20372, CVE-2021-33193, CVE-2022-32213 tell why).
 */
#ifndef SCARAB_EGRESS_HTTP_H
#define SCARAB_EGRESS_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	HTTP_HEAD_MAX = 32 << 10,
	HTTP_FIELDS_MAX = 128,
	HTTP_CHUNK_LINE_MAX = 256, /* a chunk's size and what is written behind it */
	HTTP_TRAILER_MAX = 8 << 10,
};

/* Bytes of what was parsed; valid as long as those lie where they did. */
struct http_text {
	const char *at;
	size_t length;
};

struct http_field {
	struct http_text name, value; /* value without blanks around it */
};

enum http_framing {
	HTTP_NO_BODY,
	HTTP_LENGTH,
	HTTP_CHUNKED,
	HTTP_UNTIL_CLOSE, /* responses only */
};

struct http_head {
	struct http_text method, target; /* of a request */
	struct http_text host;
	unsigned status; /* of a response */
	struct http_text reason;
	bool old;     /* of HTTP/1.0 */
	bool upgrade; /* a request that asks for another protocol */
	struct http_field fields[HTTP_FIELDS_MAX];
	size_t count;
	enum http_framing framing;
	uint64_t length; /* has_length: what it says, also where there is no body */
	bool has_length;
	bool close;   /* Connection: close, or one of HTTP/1.0 */
	bool expects; /* Expect: 100-continue */
	size_t bytes; /* how many it has, the empty line included */
	/* HTTP_BAD: what a client is answered, and why. */
	unsigned refusal;
	const char *why;
};

enum http_parsed {
	HTTP_MORE, /* it is not whole; never for HTTP_HEAD_MAX bytes or more */
	HTTP_WHOLE,
	HTTP_BAD,
};

/* All that came so far of one head. */
enum http_parsed http_request(const uint8_t *bytes, size_t length, struct http_head *head);
/* Of a request that goes on as it came: of HTTP/1.0 as well, with Upgrade or without a host.
 * CONNECT is refused. */
enum http_parsed http_request_kept(const uint8_t *bytes, size_t length, struct http_head *head);
/* to_head: of the answer to a HEAD, which has no body whatever it says. */
enum http_parsed http_response(const uint8_t *bytes, size_t length, bool to_head,
			       struct http_head *head);

bool http_is(struct http_text text, const char *word); /* in any case */
/* Is the word one of a list that commas part? */
bool http_lists(struct http_text list, struct http_text word);
/* May a message of another hop have this field? Not those that speak of one connection (RFC 9110
 * 7.6.1), of its framing, or to a proxy; and not those that Connection names. */
bool http_passes(const struct http_head *head, const struct http_field *field);

/* --- bodies ----------------------------------------------------------------------------------- */

struct http_body {
	enum http_framing framing;
	uint64_t left; /* of the whole, or of a chunk */
	unsigned state, line, digits;
	size_t trailer;
	bool done;
};

void http_body_begin(struct http_body *body, enum http_framing framing, uint64_t length);
/* Takes from what came next: how many bytes, and which of them are the body's (piece). 0: it is
 * done, or there was nothing. -1: it is malformed. The end of HTTP_UNTIL_CLOSE is the caller's. */
ssize_t http_body_take(struct http_body *body, const uint8_t *bytes, size_t length,
		       struct http_text *piece);

#endif
