/* Bodies: so many bytes, chunks, or all until the end. */
#include <string.h>

#include "http.h"

enum state {
	SIZE,      /* the digits of a chunk's size */
	EXTENSION, /* what is behind them, which nobody here understands */
	SIZE_END,  /* the line feed */
	CONTENT,
	CONTENT_END, /* carriage return */
	CONTENT_LF,
	TRAILER, /* at the beginning of a line */
	TRAILER_LINE,
	TRAILER_LF,
	LAST_LF,
	STATES,
};

enum { SIZE_DIGITS = 15 /* below 2^60 */ };

void
http_body_begin(struct http_body *body, enum http_framing framing, uint64_t length)
{
	*body = (struct http_body){.framing = framing, .left = length, .state = SIZE};
	if (framing == HTTP_CHUNKED)
		body->left = 0;
	body->done = framing == HTTP_NO_BODY || (framing == HTTP_LENGTH && length == 0);
}

static int
digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Each function takes one byte of the framing: the next state, or -1. */
static int
take_size(struct http_body *body, uint8_t c)
{
	int value = digit(c);

	if (value >= 0 && body->digits < SIZE_DIGITS) {
		body->digits++;
		body->left = body->left * 16 + (unsigned)value;
		return SIZE;
	}
	if (body->digits == 0)
		return -1;
	return c == '\r' ? SIZE_END : c == ';' ? EXTENSION : -1;
}

static int
take_extension(struct http_body *body, uint8_t c)
{
	if (c == '\r')
		return SIZE_END;
	return (c >= ' ' || c == '\t') && c != 0x7f && ++body->line <= HTTP_CHUNK_LINE_MAX
		   ? EXTENSION
		   : -1;
}

static int
take_size_end(struct http_body *body, uint8_t c)
{
	body->digits = body->line = 0;
	if (c != '\n')
		return -1;
	return body->left ? CONTENT : TRAILER;
}

static int
take_content_end(struct http_body *body, uint8_t c)
{
	(void)body;
	return c == '\r' ? CONTENT_LF : -1;
}

static int
take_content_lf(struct http_body *body, uint8_t c)
{
	(void)body;
	return c == '\n' ? SIZE : -1;
}

/* Trailers are read and dropped: what they say would be believed of nobody. */
static int
take_trailer_line(struct http_body *body, uint8_t c)
{
	if (++body->trailer > HTTP_TRAILER_MAX)
		return -1;
	if (c == '\r')
		return TRAILER_LF;
	return (c >= ' ' || c == '\t') && c != 0x7f ? TRAILER_LINE : -1;
}

static int
take_trailer(struct http_body *body, uint8_t c)
{
	return c == '\r' ? LAST_LF : take_trailer_line(body, c);
}

static int
take_trailer_lf(struct http_body *body, uint8_t c)
{
	(void)body;
	return c == '\n' ? TRAILER : -1;
}

static int
take_last_lf(struct http_body *body, uint8_t c)
{
	body->done = c == '\n';
	return body->done ? SIZE : -1;
}

static int (*const framing[STATES])(struct http_body *body, uint8_t c) = {
    [SIZE] = take_size,
    [EXTENSION] = take_extension,
    [SIZE_END] = take_size_end,
    [CONTENT_END] = take_content_end,
    [CONTENT_LF] = take_content_lf,
    [TRAILER] = take_trailer,
    [TRAILER_LINE] = take_trailer_line,
    [TRAILER_LF] = take_trailer_lf,
    [LAST_LF] = take_last_lf,
};

/* As many as are left of the whole, or of a chunk. */
static size_t
take_content(struct http_body *body, const uint8_t *bytes, size_t length, struct http_text *piece)
{
	if (length > body->left)
		length = (size_t)body->left;
	*piece = (struct http_text){(const char *)bytes, length};
	body->left -= length;
	return length;
}

static ssize_t
take_chunks(struct http_body *body, const uint8_t *bytes, size_t length, struct http_text *piece)
{
	size_t at = 0;

	while (at < length && !body->done && body->state != CONTENT) {
		int next = framing[body->state](body, bytes[at++]);

		if (next < 0)
			return -1;
		body->state = (unsigned)next;
	}
	if (body->state != CONTENT || at == length)
		return (ssize_t)at;
	at += take_content(body, bytes + at, length - at, piece);
	if (body->left == 0)
		body->state = CONTENT_END;
	return (ssize_t)at;
}

ssize_t
http_body_take(struct http_body *body, const uint8_t *bytes, size_t length, struct http_text *piece)
{
	*piece = (struct http_text){0};
	if (body->done)
		return 0;
	if (body->framing == HTTP_CHUNKED)
		return take_chunks(body, bytes, length, piece);
	if (body->framing == HTTP_UNTIL_CLOSE)
		body->left = UINT64_MAX;
	length = take_content(body, bytes, length, piece);
	body->done = body->left == 0;
	return (ssize_t)length;
}
