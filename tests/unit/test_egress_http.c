/* HTTP/1.1 as the injecting side reads it: what passes, and what is refused because two readers
 * could see two messages in it; what is hidden of answers; and SOCKS 5. */
// with: runnerd/egress/http_head.c runnerd/egress/http_body.c
// with: runnerd/egress/scrub.c runnerd/egress/socks.c runnerd/egress/sniff_http.c
// with: runnerd/egress/authority.c
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "runnerd/egress/exchange.h"
#include "runnerd/egress/http.h"
#include "runnerd/egress/scrub.h"
#include "runnerd/egress/socks.h"
#include "tests/unit/suite.h"

#define HOST "Host: a.example\r\n"
#define BYTES(text) (const uint8_t *)(text), sizeof(text) - 1

/* --- requests --------------------------------------------------------------------------------- */

START_TEST(a_request_is_read)
{
	static const char text[] = "POST /v1/x?y HTTP/1.1\r\nhost: a.example:80 \r\nX-A:\tb c \r\n"
				   "Content-Length: 12\r\n\r\nbody";
	struct http_head head;

	ck_assert_int_eq(http_request(BYTES(text), &head), HTTP_WHOLE);
	ck_assert(http_is(head.method, "POST") && http_is(head.target, "/v1/x?y"));
	ck_assert(http_is(head.host, "a.example:80"));
	ck_assert_uint_eq(head.count, 3);
	ck_assert(http_is(head.fields[1].name, "x-a") && http_is(head.fields[1].value, "b c"));
	ck_assert_int_eq(head.framing, HTTP_LENGTH);
	ck_assert_uint_eq(head.length, 12);
	ck_assert_uint_eq(head.bytes, sizeof(text) - 1 - 4);
	/* Byte by byte the same, and nothing is decided before its end. */
	for (size_t i = 0; i < head.bytes; i++) {
		struct http_head part;

		ck_assert_int_eq(http_request((const uint8_t *)text, i, &part), HTTP_MORE);
	}
}
END_TEST

/* Each was or is read as two things by two programs that stand behind one another. */
static const struct {
	const char *text;
	size_t length;
	unsigned refusal;
} smuggled[] = {
#define CASE(refusal, text)                                                                        \
	{                                                                                          \
		text, sizeof(text) - 1, refusal                                                    \
	}
    CASE(400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
    CASE(400, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"),
    CASE(400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n"),
    CASE(400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 5, 5\r\n\r\n"),
    CASE(400, "POST / HTTP/1.1\r\n" HOST "Content-Length: +5\r\n\r\n"),
    CASE(400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 0x5\r\n\r\n"),
    CASE(400, "POST / HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\n"),
    CASE(400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 99999999999999999999\r\n\r\n"),
    CASE(501, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: identity\r\n\r\n"),
    CASE(501, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n"),
    CASE(501, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked, chunked\r\n\r\n"),
    CASE(501,
	 "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n"),
    CASE(400, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding:\vchunked\r\n\r\n"),
    CASE(400, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding : chunked\r\n\r\n"),
    CASE(400, "POST / HTTP/1.1\r\n" HOST " Transfer-Encoding: chunked\r\n\r\n"),
    CASE(400, "POST / HTTP/1.1\r\n" HOST "X: a\r\n\tfolded\r\n\r\n"),
    CASE(400, "POST / HTTP/1.1\r\n" HOST "X: a\nContent-Length: 5\r\n\r\n"),
    CASE(400, "POST / HTTP/1.1\n" HOST "\n"),
    CASE(400, "POST / HTTP/1.1\r\n" HOST "X: a\rY: b\r\n\r\n"),
    CASE(400, "POST / HTTP/1.1\r\n" HOST "X: a\0b\r\n\r\n"),
    CASE(400, "POST / HTTP/1.1\r\n" HOST "X y: a\r\n\r\n"),
    CASE(400, "POST / HTTP/1.1\r\n" HOST ": a\r\n\r\n"),
    CASE(400, "POST / HTTP/1.1\r\n" HOST "X\r\n\r\n"),
    CASE(400, "POST / HTTP/1.1\r\n" HOST HOST "\r\n"),
    CASE(400, "POST / HTTP/1.1\r\n\r\n"),
    CASE(400, "\r\nPOST / HTTP/1.1\r\n" HOST "\r\n"),
    CASE(400, "PO ST / HTTP/1.1\r\n" HOST "\r\n"),
    CASE(400, "POST  / HTTP/1.1\r\n" HOST "\r\n"),
    CASE(400, "POST /a b HTTP/1.1\r\n" HOST "\r\n"),
    CASE(400, "POST /a#b HTTP/1.1\r\n" HOST "\r\n"),
    CASE(505, "POST / HTTP/1.0\r\n" HOST "\r\n"),
    CASE(505, "POST / HTTP/1.1 \r\n" HOST "\r\n"),
    CASE(505, "POST / http/1.1\r\n" HOST "\r\n"),
    CASE(505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    CASE(501, "TRACE / HTTP/1.1\r\n" HOST "\r\n"),
    CASE(501, "GET / HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n"),
    CASE(417, "GET / HTTP/1.1\r\n" HOST "Expect: 200-ok\r\n\r\n"),
#undef CASE
};

START_TEST(what_could_be_two_requests_is_refused)
{
	for (size_t i = 0; i < ARRAY_LEN(smuggled); i++) {
		const uint8_t *text = (const uint8_t *)smuggled[i].text;
		struct http_head head;

		ck_assert_msg(http_request(text, smuggled[i].length, &head) == HTTP_BAD &&
				  head.refusal == smuggled[i].refusal && head.why,
			      "%s: %u", smuggled[i].text, head.refusal);
		/* Also when more follows that would make it good. */
		for (size_t j = 0; j < smuggled[i].length; j++)
			ck_assert_msg(http_request(text, j, &head) != HTTP_WHOLE, "%s",
				      smuggled[i].text);
	}
}
END_TEST

START_TEST(a_head_has_bounds)
{
	static char text[2 * HTTP_HEAD_MAX];
	size_t used = (size_t)sprintf(text, "GET / HTTP/1.1\r\n%s", HOST);
	struct http_head head;

	memset(text + used, 'a', sizeof(text) - used);
	ck_assert_int_eq(http_request((uint8_t *)text, HTTP_HEAD_MAX - 1, &head), HTTP_MORE);
	ck_assert_int_eq(http_request((uint8_t *)text, HTTP_HEAD_MAX, &head), HTTP_BAD);
	ck_assert_uint_eq(head.refusal, 431);
	for (int i = 0; i <= HTTP_FIELDS_MAX; i++)
		used += (size_t)sprintf(text + used, "X: %d\r\n", i);
	ck_assert_int_eq(http_request((uint8_t *)text, used, &head), HTTP_BAD);
	ck_assert_uint_eq(head.refusal, 431);
}
END_TEST

START_TEST(what_speaks_of_a_connection_does_not_pass)
{
	static const char text[] = "GET / HTTP/1.1\r\n" HOST
				   "Connection: keep-alive, X-Gone\r\nKeep-Alive: 5\r\nTE: gzip\r\n"
				   "Proxy-Authorization: a\r\nx-gone: 1\r\nX-Stays: 2\r\n\r\n";
	struct http_head head;
	size_t passed = 0;

	ck_assert_int_eq(http_request(BYTES(text), &head), HTTP_WHOLE);
	for (size_t i = 0; i < head.count; i++)
		if (http_passes(&head, &head.fields[i])) {
			ck_assert(http_is(head.fields[i].name, "X-Stays"));
			passed++;
		}
	ck_assert_uint_eq(passed, 1);
}
END_TEST

/* --- responses -------------------------------------------------------------------------------- */

static const struct {
	const char *text;
	bool to_head;
	enum http_parsed parsed;
	enum http_framing framing;
	bool close;
} responses[] = {
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false, HTTP_WHOLE, HTTP_LENGTH, false},
    {"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", false, HTTP_WHOLE, HTTP_NO_BODY, false},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n", false, HTTP_WHOLE, HTTP_CHUNKED,
     false},
    {"HTTP/1.1 200 OK\r\n\r\n", false, HTTP_WHOLE, HTTP_UNTIL_CLOSE, true},
    {"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", false, HTTP_WHOLE, HTTP_LENGTH, true},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true, HTTP_WHOLE, HTTP_NO_BODY, false},
    {"HTTP/1.1 204 None\r\nTransfer-Encoding: chunked\r\n\r\n", false, HTTP_WHOLE, HTTP_NO_BODY,
     false},
    {"HTTP/1.1 304 Same\r\nContent-Length: 5\r\n\r\n", false, HTTP_WHOLE, HTTP_NO_BODY, false},
    {"HTTP/1.1 103 Early\r\n\r\n", false, HTTP_WHOLE, HTTP_NO_BODY, false},
    {"HTTP/1.1 101 Switch\r\n\r\n", false, HTTP_BAD, 0, false},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", false, HTTP_BAD, 0,
     false},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", false, HTTP_BAD,
     0, false},
    {"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false, HTTP_BAD, 0, false},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", false, HTTP_BAD, 0, false},
    {"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", false, HTTP_BAD, 0, false},
    {"HTTP/1.1 200 OK\nX: a\n\n", false, HTTP_BAD, 0, false},
    {"HTTP/1.1 2000 OK\r\n\r\n", false, HTTP_BAD, 0, false},
    {"HTTP/1.1 99 OK\r\n\r\n", false, HTTP_BAD, 0, false},
    {"HTTP/2 200 OK\r\n\r\n", false, HTTP_BAD, 0, false},
    {"ICY 200 OK\r\n\r\n", false, HTTP_BAD, 0, false},
};

START_TEST(responses_are_framed_in_one_way)
{
	for (size_t i = 0; i < ARRAY_LEN(responses); i++) {
		struct http_head head;
		enum http_parsed parsed =
		    http_response((const uint8_t *)responses[i].text, strlen(responses[i].text),
				  responses[i].to_head, &head);

		ck_assert_msg(parsed == responses[i].parsed, "%s", responses[i].text);
		ck_assert_msg(parsed == HTTP_BAD || (head.framing == responses[i].framing &&
						     head.close == responses[i].close),
			      "%s", responses[i].text);
	}
}
END_TEST

/* --- bodies ----------------------------------------------------------------------------------- */

/* All of a body in pieces of so many bytes: the text in out; -1: malformed. How many bytes it took.
 */
static ssize_t
take(struct http_body *body, const char *text, size_t length, size_t step, char *out)
{
	size_t at = 0;

	*out = '\0';
	while (at < length && !body->done) {
		size_t size = step < length - at ? step : length - at;
		struct http_text piece;
		ssize_t n = http_body_take(body, (const uint8_t *)text + at, size, &piece);

		if (n < 0)
			return -1;
		ck_assert_int_gt(n, 0);
		strncat(out, piece.length ? piece.at : "", piece.length);
		at += (size_t)n;
	}
	return (ssize_t)at;
}

START_TEST(chunks_are_read_in_any_pieces)
{
	static const char text[] =
	    "5\r\nhello\r\n00A;x=\"y\"\r\n, 10 bytes\r\n0\r\nT: a\r\n\r\nGET /";
	struct http_body body;
	char out[64];

	for (size_t step = 1; step < sizeof(text); step++) {
		http_body_begin(&body, HTTP_CHUNKED, 0);
		ck_assert_int_eq(take(&body, text, sizeof(text) - 1, step, out),
				 sizeof(text) - 1 - 5);
		ck_assert(body.done);
		ck_assert_str_eq(out, "hello, 10 bytes");
	}
}
END_TEST

START_TEST(malformed_chunks_are_refused)
{
	static const char *const texts[] = {
	    "\r\n",          "x\r\n",        "-1\r\n",         " 5\r\nhello",
	    "5 \r\nhello",   "5\nhello",     "5\r\nhello!",    "5\r\nhello\n0\r\n\r\n",
	    "5\rhello",      "0x5\r\nhello", "5;a\nb\r\n",     "fffffffffffffffff\r\n",
	    "0\r\nT: a\n\r", "0\r\n\rx",     "0\r\nT: \x01\r", "5\r\nhello\r\r\n",
	};
	struct http_body body;
	char out[64];

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		http_body_begin(&body, HTTP_CHUNKED, 0);
		ck_assert_msg(take(&body, texts[i], strlen(texts[i]), 64, out) < 0, "%s", texts[i]);
	}
}
END_TEST

START_TEST(a_length_is_kept)
{
	struct http_body body;
	char out[64];

	http_body_begin(&body, HTTP_LENGTH, 5);
	ck_assert_int_eq(take(&body, "helloGET /", 10, 3, out), 5);
	ck_assert(body.done);
	ck_assert_str_eq(out, "hello");
	http_body_begin(&body, HTTP_LENGTH, 0);
	ck_assert(body.done);
}
END_TEST

/* --- what is hidden --------------------------------------------------------------------------- */

#define VALUE "sk-a/b+c\"d"

static void
scrubbed(const char *text, size_t step, char *out)
{
	struct scrubs *scrubs = scrubs_new();
	size_t length = strlen(text), n = 0;
	struct scrub scrub;

	ck_assert_int_eq(scrubs_add(scrubs, (const uint8_t *)VALUE, strlen(VALUE)), 0);
	ck_assert_int_eq(scrub_begin(&scrub, scrubs), 0);
	for (size_t at = 0; at < length; at += step)
		n += scrub_feed(&scrub, (const uint8_t *)text + at,
				step < length - at ? step : length - at, (uint8_t *)out + n);
	n += scrub_flush(&scrub, (uint8_t *)out + n);
	out[n] = '\0';
	ck_assert_uint_eq(n, length);
	scrub_end(&scrub);
	scrubs_free(scrubs);
}

START_TEST(every_spelling_is_hidden_in_any_pieces)
{
	/* Of base64 the letters that hold bits of what stands around it are shown. */
	static const struct {
		const char *text, *shown;
	} cases[] = {
	    {"a" VALUE "z", "a**********z"},
	    {VALUE VALUE, "********************"},
	    {"sk-a/sk-a/b+c\"d", "sk-a/**********"},
	    {"sk-a/b+c", "sk-a/b+c"},
	    {"736b2d612f622b632264", "********************"},
	    {"736B2D612F622B632264", "********************"},
	    {"sk-a%2Fb%2Bc%22d", "****************"},
	    {"sk-a%2fb%2bc%22d", "****************"},
	    {"sk-a/b+c\\\"d", "***********"},
	    {"sk-a\\/b+c\\\"d", "************"},
	    {"sk-a/b%2Bc%22d", "**************"},
	    {"sk-a/b\\u002Bc\\u0022d", "********************"},
	    {"sk-a/b+c&quot;d", "***************"},
	    {"sk-a/b&#43;c&#34;d", "******************"},
	    {"c2stYS9iK2MiZA==", "*************A=="},
	    {"eHNrLWEvYitjImQ=", "eH************Q="},
	    {"eHhzay1hL2IrYyJkeg==", "eHh*************eg=="},
	};
	char out[64];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		for (size_t step = 1; step <= strlen(cases[i].text); step++) {
			scrubbed(cases[i].text, step, out);
			ck_assert_str_eq(out, cases[i].shown);
		}
}
END_TEST

START_TEST(only_what_may_begin_a_spelling_waits)
{
	struct scrubs *scrubs = scrubs_new();
	struct scrub scrub;
	uint8_t out[64];

	scrubs_add(scrubs, (const uint8_t *)VALUE, strlen(VALUE));
	ck_assert_int_eq(scrub_begin(&scrub, scrubs), 0);
	ck_assert_uint_eq(scrub_feed(&scrub, (const uint8_t *)"data: x\n\n", 9, out), 9);
	ck_assert_uint_eq(scrub_feed(&scrub, (const uint8_t *)"ask-a", 5, out), 1);
	ck_assert_uint_eq(scrub_feed(&scrub, (const uint8_t *)"?", 1, out), 5);
	ck_assert_mem_eq(out, "sk-a?", 5);
	scrub_end(&scrub);
	scrubs_free(scrubs);
}
END_TEST

START_TEST(values_have_bounds)
{
	static uint8_t value[SCRUB_VALUE_MAX + 1];
	struct scrubs *scrubs = scrubs_new();

	memset(value, '%', sizeof(value));
	ck_assert_int_eq(scrubs_add(scrubs, value, SCRUB_VALUE_MIN - 1), -EINVAL);
	ck_assert_int_eq(scrubs_add(scrubs, value, SCRUB_VALUE_MAX + 1), -EINVAL);
	ck_assert_int_eq(scrubs_add(scrubs, value, SCRUB_VALUE_MAX), 0);
	scrubs_free(scrubs);
}
END_TEST

/* --- whom a proxy is asked for ---------------------------------------------------------------- */

START_TEST(an_authority_is_a_name_or_an_address)
{
	static const struct {
		const char *text, *name;
		unsigned port; /* 0: refused */
	} cases[] = {
	    {"A.example:443", "a.example", 443},
	    {"a.example.", "a.example", 80},
	    {"45.33.7.1:8080", "", 8080},
	    {"[2001:db8::1]:443", "", 443},
	    {"[2001:db8::1]", "", 80},
	    {"2001:db8::1", NULL, 0},
	    {"a.example:", NULL, 0},
	    {"a.example:0", NULL, 0},
	    {"a.example:443:443", NULL, 0},
	    {"a.example:65536", NULL, 0},
	    {"a.example:+443", NULL, 0},
	    {"user@a.example", NULL, 0},
	    {"user@a.example:443", NULL, 0},
	    {"a.example/x", NULL, 0},
	    {"[45.33.7.1]:443", NULL, 0},
	    {":443", NULL, 0},
	    {"", NULL, 0},
	};
	char name[NET_NAME_MAX + 1];
	struct in6_addr address;
	unsigned port;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct http_text text = {cases[i].text, strlen(cases[i].text)};
		bool good = authority_parse(text, 80, name, &address, &port);

		ck_assert_msg(good == (cases[i].port != 0), "%s", cases[i].text);
		ck_assert_msg(!good || (port == cases[i].port && !strcmp(name, cases[i].name)),
			      "%s", cases[i].text);
	}
	ck_assert(!authority_parse((struct http_text){"a.example", 9}, 0, name, &address, &port));
}
END_TEST

START_TEST(socks_is_connect_without_authentication)
{
	static const char named[] = "\x05\x01\x00\x03\x09"
				    "A.example\x01\xbb";
	static const char bind_[] = "\x05\x02\x00\x01\x01\x02\x03\x04\x00\x50";
	static const char no_port[] = "\x05\x01\x00\x01\x01\x02\x03\x04\x00\x00";
	static const char odd[] = "\x05\x01\x00\x02\x01\x02\x03\x04\x00\x50";
	static const char text[] = "\x05\x01\x00\x03\x0a"
				   "45.33.7.10\x00\x50";
	struct socks_request request;
	size_t taken = 0;

	ck_assert_int_eq(socks_greeting(BYTES("\x05\x02\x02\x00rest"), &taken), SOCKS_WHOLE);
	ck_assert_uint_eq(taken, 4);
	ck_assert_int_eq(socks_greeting(BYTES("\x05\x02\x02"), &taken), SOCKS_MORE);
	ck_assert_int_eq(socks_greeting(BYTES("\x05\x01\x02"), &taken), SOCKS_BAD);
	ck_assert_int_eq(socks_greeting(BYTES("\x04\x01\x00"), &taken), SOCKS_BAD);
	for (size_t i = 0; i < sizeof(named) - 1; i++)
		ck_assert_int_eq(socks_request((const uint8_t *)named, i, &request), SOCKS_MORE);
	ck_assert_int_eq(socks_request(BYTES(named), &request), SOCKS_WHOLE);
	ck_assert_str_eq(request.name, "a.example");
	ck_assert_uint_eq(request.port, 443);
	ck_assert_int_eq(socks_request(BYTES(text), &request), SOCKS_WHOLE);
	ck_assert_str_eq(request.name, "");
	ck_assert_mem_eq(&request.address.s6_addr[12], "\x2d\x21\x07\x0a", 4);
	ck_assert_int_eq(socks_request(BYTES(bind_), &request), SOCKS_BAD);
	ck_assert_int_eq(request.reply, SOCKS_NO_COMMAND);
	ck_assert_int_eq(socks_request(BYTES(no_port), &request), SOCKS_BAD);
	ck_assert_int_eq(request.reply, SOCKS_NOT_ALLOWED);
	ck_assert_int_eq(socks_request(BYTES(odd), &request), SOCKS_BAD);
	ck_assert_int_eq(request.reply, SOCKS_NO_ADDRESS);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
	    a_request_is_read,
	    what_could_be_two_requests_is_refused,
	    a_head_has_bounds,
	    what_speaks_of_a_connection_does_not_pass,
	    responses_are_framed_in_one_way,
	    chunks_are_read_in_any_pieces,
	    malformed_chunks_are_refused,
	    a_length_is_kept,
	    every_spelling_is_hidden_in_any_pieces,
	    only_what_may_begin_a_spelling_waits,
	    values_have_bounds,
	    an_authority_is_a_name_or_an_address,
	    socks_is_connect_without_authentication,
	};

	return suite_run("egress-http", tests, ARRAY_LEN(tests));
}
