#include "follow.h"

#include <string.h>

ssize_t
follow_head(struct follow *follow, const uint8_t *bytes, size_t length, const char **why)
{
	struct http_head head;
	size_t empty = 0;

	/* As sniff_http() and servers skip them. */
	while (empty < length && (bytes[empty] == '\r' || bytes[empty] == '\n'))
		empty++;
	*why = "its head is malformed";
	switch (http_request_kept(bytes + empty, length - empty, &head)) {
	case HTTP_WHOLE:
		break;
	case HTTP_BAD:
		*why = head.why;
		return -1;
	case HTTP_MORE:
		return -1;
	}
	http_body_begin(&follow->body, head.framing, head.length);
	follow->waits = head.upgrade && !follow->later && !follow->spoke;
	follow->on = follow->later = true;
	return (ssize_t)(empty + head.bytes);
}

ssize_t
follow_body(struct follow *follow, const uint8_t *bytes, size_t length)
{
	struct http_text piece;
	size_t at = 0;
	ssize_t n;

	while (at < length && !follow->body.done) {
		n = http_body_take(&follow->body, bytes + at, length - at, &piece);
		if (n < 0)
			return -1;
		at += (size_t)n;
	}
	return (ssize_t)at;
}

/* --- the answer to Upgrade -------------------------------------------------------------------- */

/* A status is whole. Behind 100 and its like there comes another one. */
static void
take_status(struct follow *follow)
{
	const char *status = follow->status;

	follow->ended_line = false;
	if (memcmp(status, "HTTP/1.1 101", FOLLOW_STATUS) == 0)
		*follow = (struct follow){.spoke = true};
	else if (memcmp(status, "HTTP/1.1 1", 10) != 0)
		follow->waits = false;
}

void
follow_answer(struct follow *follow, const uint8_t *bytes, size_t length)
{
	follow->spoke = true;
	for (size_t i = 0; i < length && follow->waits; i++) {
		char c = (char)bytes[i];

		if (follow->count < FOLLOW_STATUS) {
			follow->status[follow->count++] = c;
			if (follow->count == FOLLOW_STATUS)
				take_status(follow);
		} else if (c == '\n' && follow->ended_line) {
			follow->count = 0;
		} else if (c != '\r') {
			follow->ended_line = c == '\n';
		}
	}
}
