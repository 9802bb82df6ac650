#include <string.h>
#include <strings.h>

#include "common/cleanup.h"
#include "http.h"

enum { DIGITS_MAX = 18 /* of a length: below 2^63 */ };

static enum http_parsed
bad(struct http_head *head, unsigned refusal, const char *why)
{
	head->refusal = refusal;
	head->why = why;
	return HTTP_BAD;
}

static bool
is_token(struct http_text text)
{
	static const char others[] = "!#$%&'*+-.^_`|~";

	for (size_t i = 0; i < text.length; i++) {
		char c = text.at[i];
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

		if (!letter && !(c >= '0' && c <= '9') && !(c && strchr(others, c)))
			return false;
	}
	return text.length > 0;
}

bool
http_is(struct http_text text, const char *word)
{
	return text.length == strlen(word) && strncasecmp(text.at, word, text.length) == 0;
}

static struct http_text
trimmed(struct http_text text)
{
	while (text.length && (*text.at == ' ' || *text.at == '\t')) {
		text.at++;
		text.length--;
	}
	while (text.length && strchr(" \t", text.at[text.length - 1]))
		text.length--;
	return text;
}

bool
http_lists(struct http_text list, struct http_text word)
{
	while (list.length) {
		const char *comma = memchr(list.at, ',', list.length);
		size_t length = comma ? (size_t)(comma - list.at) : list.length;
		struct http_text one = trimmed((struct http_text){list.at, length});

		if (one.length == word.length && strncasecmp(one.at, word.at, word.length) == 0)
			return true;
		length += comma != NULL;
		list.at += length;
		list.length -= length;
	}
	return false;
}

/* --- lines ------------------------------------------------------------------------------------ */

/* What is left to be read of a head. */
struct reader {
	const char *at;
	size_t left;
};

/* The next line, without its end. Bytes of a line are blanks, visible ones, or beyond ASCII. */
static enum http_parsed
next_line(struct reader *reader, struct http_text *line, struct http_head *head)
{
	const char *end = memchr(reader->at, '\n', reader->left);

	line->at = reader->at;
	line->length = end ? (size_t)(end - reader->at) : reader->left;
	if (end && (line->length == 0 || end[-1] != '\r'))
		return bad(head, 400, "a line of its head ends in a lone line feed");
	if (end)
		line->length--;
	/* The last byte that came may be the carriage return of a line's end. */
	else if (line->length && line->at[line->length - 1] == '\r')
		line->length--;
	for (size_t i = 0; i < line->length; i++) {
		unsigned char c = (unsigned char)line->at[i];

		if ((c < ' ' && c != '\t') || c == 0x7f)
			return bad(head, 400, "its head has a control character");
	}
	if (!end)
		return HTTP_MORE;
	reader->left -= line->length + 2;
	reader->at = end + 1;
	return HTTP_WHOLE;
}

/* --- fields ----------------------------------------------------------------------------------- */

/* What has been seen of those that may come once. */
struct seen {
	bool host, length, coding;
};

static enum http_parsed
take_length(struct http_head *head, struct http_text value, struct seen *seen)
{
	uint64_t length = 0;

	if (seen->length)
		return bad(head, 400, "it has two lengths");
	seen->length = head->has_length = true;
	if (value.length == 0 || value.length > DIGITS_MAX)
		return bad(head, 400, "its length is malformed");
	for (size_t i = 0; i < value.length; i++) {
		if (value.at[i] < '0' || value.at[i] > '9')
			return bad(head, 400, "its length is malformed");
		length = length * 10 + (uint64_t)(value.at[i] - '0');
	}
	head->length = length;
	return HTTP_WHOLE;
}

static enum http_parsed
take_coding(struct http_head *head, struct http_text value, struct seen *seen)
{
	if (seen->coding || !http_is(value, "chunked"))
		return bad(head, 501, "its transfer coding is not chunked alone");
	seen->coding = true;
	return HTTP_WHOLE;
}

static enum http_parsed
take_host(struct http_head *head, struct http_text value, struct seen *seen)
{
	if (seen->host)
		return bad(head, 400, "it names two hosts");
	seen->host = true;
	head->host = value;
	return HTTP_WHOLE;
}

static enum http_parsed
take_connection(struct http_head *head, struct http_text value, struct seen *seen)
{
	(void)seen;
	if (http_lists(value, (struct http_text){"close", 5}))
		head->close = true;
	return HTTP_WHOLE;
}

static const struct {
	const char *name;
	enum http_parsed (*take)(struct http_head *head, struct http_text value, struct seen *seen);
} framing_fields[] = {
    {"Content-Length", take_length},
    {"Transfer-Encoding", take_coding},
    {"Host", take_host},
    {"Connection", take_connection},
};

static enum http_parsed
take_field(struct http_head *head, struct http_text line, struct seen *seen)
{
	const char *colon = memchr(line.at, ':', line.length);
	struct http_field field = {.name = {line.at, colon ? (size_t)(colon - line.at) : 0}};

	if (*line.at == ' ' || *line.at == '\t')
		return bad(head, 400, "a line of its head is folded");
	if (!is_token(field.name))
		return bad(head, 400, "its head has a malformed line");
	if (head->count == HTTP_FIELDS_MAX)
		return bad(head, 431, "its head has too many lines");
	field.value = trimmed((struct http_text){colon + 1, line.length - field.name.length - 1});
	head->fields[head->count++] = field;
	for (size_t i = 0; i < ARRAY_LEN(framing_fields); i++)
		if (http_is(field.name, framing_fields[i].name))
			return framing_fields[i].take(head, field.value, seen);
	return HTTP_WHOLE;
}

static enum http_parsed
take_fields(struct reader *reader, struct http_head *head, struct seen *seen)
{
	enum http_parsed rc;
	struct http_text line;

	while ((rc = next_line(reader, &line, head)) == HTTP_WHOLE && line.length) {
		rc = take_field(head, line, seen);
		if (rc == HTTP_BAD)
			return rc;
	}
	if (rc == HTTP_WHOLE && seen->length && seen->coding)
		return bad(head, 400, "it has a length and a transfer coding");
	return rc;
}

/* --- requests --------------------------------------------------------------------------------- */

/* METHOD SP TARGET SP HTTP/1.1; Python writes CONNECT with 1.0. kept: http_request_kept(). */
static enum http_parsed
take_request_line(struct http_head *head, struct http_text line, bool kept)
{
	static const char current[] = " HTTP/1.1", old[] = " HTTP/1.0";
	const char *version = current;
	const char *space = memchr(line.at, ' ', line.length), *target;
	size_t length;

	head->method = (struct http_text){line.at, space ? (size_t)(space - line.at) : 0};
	if (!is_token(head->method))
		return bad(head, 400, "its request line is malformed");
	head->old = line.length && line.at[line.length - 1] == '0';
	if (head->old && (kept || http_is(head->method, "CONNECT")))
		version = old;
	if (line.length < head->method.length + sizeof(current) ||
	    memcmp(line.at + line.length - strlen(version), version, strlen(version)) != 0)
		return bad(head, 505, "it is not of HTTP/1.1");
	target = space + 1;
	length = line.length - head->method.length - 1 - strlen(version);
	for (size_t i = 0; i < length; i++)
		if (target[i] == ' ' || target[i] == '\t' ||
		    (!kept && (target[i] < ' ' || target[i] > '~' || target[i] == '#')))
			return bad(head, 400, "its target is malformed");
	head->target = (struct http_text){target, length};
	return length ? HTTP_WHOLE : bad(head, 400, "its request line is malformed");
}

/* What asks for another protocol, or for the request as it arrived. */
static enum http_parsed
check_request(struct http_head *head, const struct seen *seen)
{
	for (size_t i = 0; i < head->count; i++) {
		const struct http_field *field = &head->fields[i];

		if (http_is(field->name, "Upgrade"))
			return bad(head, 501, "it asks for another protocol");
		if (!http_is(field->name, "Expect"))
			continue;
		if (!http_is(field->value, "100-continue"))
			return bad(head, 417, "what it expects is not known");
		head->expects = true;
	}
	if (http_is(head->method, "TRACE"))
		return bad(head, 501, "its method is not offered here");
	if (!seen->host && !http_is(head->method, "CONNECT"))
		return bad(head, 400, "it names no host");
	return HTTP_WHOLE;
}

static enum http_parsed
check_kept(struct http_head *head, const struct seen *seen)
{
	for (size_t i = 0; i < head->count; i++)
		head->upgrade |= http_is(head->fields[i].name, "Upgrade");
	if (http_is(head->method, "CONNECT"))
		return bad(head, 501, "it asks for a tunnel");
	if (seen->coding && head->old)
		return bad(head, 400, "it is of HTTP/1.0 and chunked");
	return HTTP_WHOLE;
}

/* A head that does not end is too long. */
static enum http_parsed
bounded(enum http_parsed rc, size_t length, struct http_head *head)
{
	if (rc == HTTP_MORE && length >= HTTP_HEAD_MAX)
		return bad(head, 431, "its head is too long");
	return rc;
}

static enum http_parsed
read_request(const uint8_t *bytes, size_t length, bool kept, struct http_head *head)
{
	struct reader reader = {(const char *)bytes, length};
	struct seen seen = {0};
	struct http_text line;
	enum http_parsed rc;

	*head = (struct http_head){0};
	rc = next_line(&reader, &line, head);
	if (rc == HTTP_WHOLE)
		rc = take_request_line(head, line, kept);
	if (rc == HTTP_WHOLE)
		rc = take_fields(&reader, head, &seen);
	if (rc != HTTP_WHOLE)
		return bounded(rc, length, head);
	head->bytes = length - reader.left;
	head->framing = seen.coding                   ? HTTP_CHUNKED
			: seen.length && head->length ? HTTP_LENGTH
						      : HTTP_NO_BODY;
	if (head->bytes > HTTP_HEAD_MAX)
		return bad(head, 431, "its head is too long");
	return kept ? check_kept(head, &seen) : check_request(head, &seen);
}

enum http_parsed
http_request(const uint8_t *bytes, size_t length, struct http_head *head)
{
	return read_request(bytes, length, false, head);
}

enum http_parsed
http_request_kept(const uint8_t *bytes, size_t length, struct http_head *head)
{
	return read_request(bytes, length, true, head);
}

/* --- responses -------------------------------------------------------------------------------- */

/* HTTP/1.x SP 3DIGIT [SP reason] */
static enum http_parsed
take_status_line(struct http_head *head, struct http_text line)
{
	const char *code = line.at + 9;

	if (line.length < 12 || memcmp(line.at, "HTTP/1.", 7) != 0 ||
	    (line.at[7] != '0' && line.at[7] != '1') || line.at[8] != ' ' ||
	    (line.length > 12 && line.at[12] != ' '))
		return bad(head, 502, "its status line is malformed");
	for (int i = 0; i < 3; i++) {
		if (code[i] < '0' || code[i] > '9')
			return bad(head, 502, "its status line is malformed");
		head->status = head->status * 10 + (unsigned)(code[i] - '0');
	}
	if (head->status < 100 || head->status > 599 || head->status == 101)
		return bad(head, 502, "its status is not one of this request");
	head->old = line.at[7] == '0';
	head->close = head->old;
	if (line.length > 13)
		head->reason = (struct http_text){line.at + 13, line.length - 13};
	return HTTP_WHOLE;
}

static enum http_parsed
frame_response(struct http_head *head, const struct seen *seen, bool to_head)
{
	if (seen->coding && head->old)
		return bad(head, 502, "it is of HTTP/1.0 and chunked");
	if (to_head || head->status < 200 || head->status == 204 || head->status == 304)
		head->framing = HTTP_NO_BODY;
	else if (seen->coding)
		head->framing = HTTP_CHUNKED;
	else if (seen->length)
		head->framing = head->length ? HTTP_LENGTH : HTTP_NO_BODY;
	else
		head->framing = HTTP_UNTIL_CLOSE;
	if (head->framing == HTTP_UNTIL_CLOSE)
		head->close = true;
	return HTTP_WHOLE;
}

enum http_parsed
http_response(const uint8_t *bytes, size_t length, bool to_head, struct http_head *head)
{
	struct reader reader = {(const char *)bytes, length};
	struct seen seen = {0};
	struct http_text line;
	enum http_parsed rc;

	*head = (struct http_head){0};
	rc = next_line(&reader, &line, head);
	if (rc == HTTP_WHOLE)
		rc = take_status_line(head, line);
	if (rc == HTTP_WHOLE)
		rc = take_fields(&reader, head, &seen);
	if (rc != HTTP_WHOLE)
		return bounded(rc, length, head);
	head->bytes = length - reader.left;
	return frame_response(head, &seen, to_head);
}

/* --- what passes ------------------------------------------------------------------------------ */

bool
http_passes(const struct http_head *head, const struct http_field *field)
{
	static const char *const own[] = {
	    "Connection",     "Keep-Alive",        "TE",     "Trailer",        "Upgrade", "Host",
	    "Content-Length", "Transfer-Encoding", "Expect", "HTTP2-Settings",
	};

	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		if (http_is(field->name, own[i]))
			return false;
	if (field->name.length > 6 && strncasecmp(field->name.at, "Proxy-", 6) == 0)
		return false;
	for (size_t i = 0; i < head->count; i++)
		if (http_is(head->fields[i].name, "Connection") &&
		    http_lists(head->fields[i].value, field->name))
			return false;
	return true;
}
