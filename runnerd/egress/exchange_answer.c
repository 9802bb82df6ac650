/* The server's side: its answer is read strictly, scrubbed, and written anew for the agent. */
#include <string.h>

#include "common/cleanup.h"
#include "exchange.h"

enum { FRAME_BYTES = 64 };

/* --- its head --------------------------------------------------------------------------------- */

/* Of names and values alike: lengths do not change. */
static void
put_scrubbed(struct exchange *x, struct http_text text)
{
	uint8_t *out = x->egress->buffer;
	size_t length;

	if (!x->to.secret) {
		bytes_put(&x->down, text.at, text.length);
		return;
	}
	length = scrub_feed(&x->scrub, (const uint8_t *)text.at, text.length, out);
	length += scrub_flush(&x->scrub, out + length);
	bytes_put(&x->down, out, length);
}

static void
put_framing(struct exchange *x, const struct http_head *head)
{
	if (head->framing == HTTP_CHUNKED)
		bytes_say(&x->down, "Transfer-Encoding: chunked\r\n");
	else if (head->has_length && head->framing != HTTP_UNTIL_CLOSE && head->status != 204)
		bytes_say(&x->down, "Content-Length: %llu\r\n", (unsigned long long)head->length);
	if (x->last)
		bytes_say(&x->down, "Connection: close\r\n");
	bytes_say(&x->down, "\r\n");
}

static void
put_head(struct exchange *x, const struct http_head *head)
{
	bytes_say(&x->down, "HTTP/1.1 %u ", head->status);
	put_scrubbed(x, head->reason);
	bytes_say(&x->down, "\r\n");
	for (size_t i = 0; i < head->count; i++) {
		if (!http_passes(head, &head->fields[i]))
			continue;
		put_scrubbed(x, head->fields[i].name);
		bytes_say(&x->down, ": ");
		put_scrubbed(x, head->fields[i].value);
		bytes_say(&x->down, "\r\n");
	}
	put_framing(x, head);
}

static bool
is_encoded(const struct http_head *head)
{
	for (size_t i = 0; i < head->count; i++)
		if (http_is(head->fields[i].name, "Content-Encoding") &&
		    !http_is(head->fields[i].value, "identity"))
			return true;
	return false;
}

static void
begin_answer(struct exchange *x, struct http_head *head)
{
	if (x->to.secret && is_encoded(head)) {
		exchange_refuse(x, 502, "its answer is compressed, and cannot be searched");
		return;
	}
	/* What is still to be sent of a request would be read as the next one. */
	x->last |= head->framing == HTTP_UNTIL_CLOSE || !x->sending.done;
	x->framing = head->framing;
	http_body_begin(&x->receiving, head->framing, head->length);
	put_head(x, head);
	if (x->down.overflown) {
		exchange_refuse(x, 502, "its head is too long");
		return;
	}
	x->answered = true;
	x->server_last = head->close;
	bytes_drop(&x->answer, head->bytes);
}

/* Nothing of a 1xx is of use to the agent, who has been told to continue. */
static void
skip_informational(struct exchange *x, const struct http_head *head)
{
	bytes_drop(&x->answer, head->bytes);
	if (++x->informational > INFORMATIONAL_MAX)
		exchange_refuse(x, 502, "it never answers");
}

bool
exchange_take_answer(struct exchange *x)
{
	struct http_head head;
	enum http_parsed rc = HTTP_MORE;

	if (x->state != EXCHANGE_RELAYING || x->answered || bytes_used(&x->down))
		return false;
	if (bytes_used(&x->answer))
		rc = http_response(bytes_first(&x->answer), bytes_used(&x->answer), x->to_head,
				   &head);
	if (rc == HTTP_MORE) {
		if (x->server.ended)
			exchange_refuse(x, 502, "it ended the connection without an answer");
		return x->server.ended;
	}
	if (rc == HTTP_BAD)
		exchange_refuse(x, 502, head.why);
	else if (head.status < 200)
		skip_informational(x, &head);
	else
		begin_answer(x, &head);
	return true;
}

/* --- its body --------------------------------------------------------------------------------- */

static void
put_body(struct exchange *x, const uint8_t *bytes, size_t length)
{
	bool chunked = x->framing == HTTP_CHUNKED;

	if (!length)
		return;
	if (chunked)
		bytes_say(&x->down, "%zx\r\n", length);
	bytes_put(&x->down, bytes, length);
	if (chunked)
		bytes_say(&x->down, "\r\n");
}

static void
put_piece(struct exchange *x, struct http_text piece)
{
	uint8_t *out = x->egress->buffer;
	size_t length;

	if (!x->to.secret) {
		put_body(x, (const uint8_t *)piece.at, piece.length);
		return;
	}
	length = scrub_feed(&x->scrub, (const uint8_t *)piece.at, piece.length, out);
	put_body(x, out, length);
}

/* The whole answer is on its way to the agent. */
static void
end_answer(struct exchange *x)
{
	bool unsent = !x->sending.done || bytes_used(&x->up);

	if (x->to.secret)
		put_body(x, x->egress->buffer, scrub_flush(&x->scrub, x->egress->buffer));
	if (x->framing == HTTP_CHUNKED)
		bytes_say(&x->down, "0\r\n\r\n");
	/* Whatever follows an answer was asked for by nobody. */
	if (x->server_last || x->server.ended || unsent || bytes_used(&x->answer))
		exchange_drop_server(x);
	x->answered = false;
	x->state = x->last || unsent ? EXCHANGE_CLOSING : EXCHANGE_HEAD;
	exchange_wait(x, IDLE_WAIT_MS);
}

bool
exchange_take_receiving(struct exchange *x)
{
	size_t room = bytes_room(&x->down), used = bytes_used(&x->answer);
	struct http_text piece = {0};
	ssize_t n;

	if (x->state != EXCHANGE_RELAYING || !x->answered || room <= SCRUB_HELD_MAX + FRAME_BYTES)
		return false;
	room -= SCRUB_HELD_MAX + FRAME_BYTES;
	n = http_body_take(&x->receiving, bytes_first(&x->answer), used < room ? used : room,
			   &piece);
	if (n < 0 ||
	    (n == 0 && x->server.ended && !x->receiving.done && x->framing != HTTP_UNTIL_CLOSE)) {
		exchange_refuse(x, 502, "its answer breaks off");
		return true;
	}
	put_piece(x, piece);
	bytes_drop(&x->answer, (size_t)n);
	if (n == 0 && x->server.ended && x->framing == HTTP_UNTIL_CLOSE)
		x->receiving.done = true;
	if (!x->receiving.done)
		return n > 0;
	end_answer(x);
	return true;
}
