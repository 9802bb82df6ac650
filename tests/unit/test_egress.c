/* What an egress process reads of its agent: questions of DNS, and the first bytes of connections.
 */
// with: runnerd/egress/dns.c runnerd/egress/names.c runnerd/egress/sniff_tls.c
// with: runnerd/egress/sniff_http.c
#include <arpa/inet.h>
#include <string.h>

#include "common/cleanup.h"
#include "runnerd/egress/dns.h"
#include "runnerd/egress/names.h"
#include "runnerd/egress/sniff.h"
#include "tests/unit/suite.h"

/* --- DNS -------------------------------------------------------------------------------------- */

#define HEADER "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
#define NAME                                                                                       \
	"\x03"                                                                                     \
	"aPi\x07"                                                                                  \
	"EXAMPLE\x00"
#define A "\x00\x01\x00\x01"
#define AAAA "\x00\x1c\x00\x01"
#define BYTES(text) (const uint8_t *)(text), sizeof(text) - 1

START_TEST(a_question_is_read_and_repeated)
{
	struct dns_query query;
	uint8_t out[DNS_ANSWER_MAX];
	struct in6_addr address;
	size_t length;

	names_address(0, false, &address);
	ck_assert_int_eq(dns_parse(BYTES(HEADER NAME A), &query), DNS_NOERROR);
	ck_assert_str_eq(query.name, "api.example");
	ck_assert_int_eq(query.wants, DNS_WANTS_A);
	length = dns_answer((const uint8_t *)HEADER NAME A, &query, DNS_NOERROR, &address, out);
	ck_assert_uint_eq(length, 12 + 13 + 4 + 16);
	ck_assert_mem_eq(out, "\x12\x34\x85\x80\x00\x01\x00\x01\x00\x00\x00\x00" NAME A, 29);
	ck_assert_mem_eq(out + 29,
			 "\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc6\x12\x01\x00", 16);
	ck_assert_int_eq(dns_parse(BYTES(HEADER NAME AAAA), &query), DNS_NOERROR);
	ck_assert_int_eq(query.wants, DNS_WANTS_AAAA);
	names_address(5, true, &address);
	length = dns_answer((const uint8_t *)HEADER NAME AAAA, &query, DNS_NOERROR, &address, out);
	ck_assert_uint_eq(length, 12 + 13 + 4 + 28);
	ck_assert_mem_eq(out + length - 4, "\xc6\x12\x01\x05", 4);
	length = dns_answer((const uint8_t *)HEADER NAME AAAA, &query, DNS_NXDOMAIN, NULL, out);
	ck_assert_uint_eq(length, 29);
	ck_assert_uint_eq(out[3] & 0xf, DNS_NXDOMAIN);
}
END_TEST

START_TEST(an_opt_is_answered_by_one)
{
	static const char asked[] = "\x12\x34\x01\x20\x00\x01\x00\x00\x00\x00\x00\x01" NAME A
				    "\x00\x00\x29\x10\x00\x00\x00\x00\x00\x00\x00";
	struct dns_query query;
	uint8_t out[DNS_ANSWER_MAX];
	size_t length;

	ck_assert_int_eq(dns_parse(BYTES(asked), &query), DNS_NOERROR);
	ck_assert(query.edns);
	length = dns_answer((const uint8_t *)asked, &query, DNS_NOERROR, NULL, out);
	ck_assert_uint_eq(length, 29 + 11);
	ck_assert_uint_eq(out[11], 1);
	ck_assert_mem_eq(out + 29, "\x00\x00\x29\x04\xd0", 5);
}
END_TEST

static const struct {
	const char *bytes;
	size_t length;
	int rcode;
} questions[] = {
#define Q(text, rcode)                                                                             \
	{                                                                                          \
		text, sizeof(text) - 1, rcode                                                      \
	}
    Q("", -1),
    Q("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00", -1),
    Q("\x12\x34\x81\x00\x00\x01\x00\x00\x00\x00\x00\x00" NAME A, -1),
    Q("\x12\x34\x29\x00\x00\x01\x00\x00\x00\x00\x00\x00" NAME A, DNS_NOTIMP),
    Q("\x12\x34\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00", DNS_FORMERR),
    Q("\x12\x34\x01\x00\x00\x02\x00\x00\x00\x00\x00\x00" NAME A NAME A, DNS_FORMERR),
    Q(HEADER, DNS_FORMERR),
    Q(HEADER "\x03"
	     "ap",
      DNS_FORMERR),
    Q(HEADER NAME "\x00\x01\x00", DNS_FORMERR),
    Q(HEADER "\xc0\x0c" A, DNS_FORMERR),
    Q(HEADER "\x01"
	     "a\xc0\x0c" A,
      DNS_FORMERR),
    Q(HEADER "\x40"
	     "a" A,
      DNS_FORMERR),
    Q(HEADER "\x00" A, DNS_NOERROR),
#undef Q
};

START_TEST(what_is_no_question_is_refused)
{
	for (size_t i = 0; i < ARRAY_LEN(questions); i++) {
		_cleanup_free_ uint8_t *exact = malloc(questions[i].length + 1);
		uint8_t out[DNS_ANSWER_MAX];
		struct dns_query query;
		int rcode;

		memcpy(exact, questions[i].bytes, questions[i].length);
		rcode = dns_parse(exact, questions[i].length, &query);
		ck_assert_msg(rcode == questions[i].rcode, "question %zu: %d", i, rcode);
		ck_assert_str_eq(query.name, "");
		if (rcode > 0)
			ck_assert_uint_eq(
			    dns_answer(exact, &query, (enum dns_rcode)rcode, NULL, out), 12);
	}
}
END_TEST

START_TEST(a_name_that_no_rule_can_have_has_no_text)
{
	struct dns_query query;
	uint8_t message[512] = HEADER;
	size_t at = 12;

	ck_assert_int_eq(dns_parse(BYTES(HEADER "\x03"
						"a\x00"
						"b\x00" A),
				   &query),
			 DNS_NOERROR);
	ck_assert_str_eq(query.name, "");
	ck_assert_int_eq(dns_parse(BYTES(HEADER "\x03"
						"a.b\x00" A),
				   &query),
			 DNS_NOERROR);
	ck_assert_str_eq(query.name, "");
	for (int i = 0; i < 5; i++) {
		message[at++] = 60;
		memset(message + at, 'a', 60);
		at += 60;
	}
	memcpy(message + at, "\x00" A, 5);
	ck_assert_int_ne(dns_parse(message, at + 5, &query), -1);
	ck_assert_str_eq(query.name, "");
}
END_TEST

START_TEST(only_addresses_are_answered)
{
	static const struct {
		const char *type;
		enum dns_wants wants;
	} types[] = {
	    {"\x00\x41\x00\x01", DNS_WANTS_NOTHING}, {"\x00\x40\x00\x01", DNS_WANTS_NOTHING},
	    {"\x00\x0f\x00\x01", DNS_WANTS_OTHER},   {"\x00\x10\x00\x01", DNS_WANTS_OTHER},
	    {"\x00\xff\x00\x01", DNS_WANTS_OTHER},   {"\x00\x01\x00\x03", DNS_WANTS_OTHER},
	};

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		uint8_t message[29] = HEADER NAME;
		struct dns_query query;

		memcpy(message + 25, types[i].type, 4);
		ck_assert_int_eq(dns_parse(message, sizeof(message), &query), DNS_NOERROR);
		ck_assert_int_eq(query.wants, types[i].wants);
	}
}
END_TEST

/* --- names ------------------------------------------------------------------------------------ */

START_TEST(a_name_keeps_its_address)
{
	struct names *names = names_new(0);
	struct in6_addr v4, v6, other;
	int a = names_number(names, "a.example", false, 0),
	    b = names_number(names, "b.example", false, 0);

	ck_assert_int_ne(a, b);
	ck_assert_int_eq(names_number(names, "a.example", true, 0), a);
	names_address(b, false, &v4);
	names_address(b, true, &v6);
	ck_assert_int_eq(names_of_address(names, &v4), b);
	ck_assert_int_eq(names_of_address(names, &v6), b);
	ck_assert_str_eq(names_use(names, b)->name, "b.example");
	net_address("198.18.1.2", &other);
	ck_assert_int_eq(names_of_address(names, &other), -1);
	net_address("198.18.0.1", &other);
	ck_assert_int_eq(names_of_address(names, &other), -1);
	net_address("127.0.0.1", &other);
	ck_assert_int_eq(names_of_address(names, &other), -1);
	net_address("2001:db8::c612:100", &other);
	ck_assert_int_eq(names_of_address(names, &other), -1);
	names_free(names);
}
END_TEST

START_TEST(new_names_below_a_wildcard_come_slowly)
{
	struct names *names = names_new(1000);
	char name[64];
	int number = 0, made = 0;
	uint64_t second = UINT64_C(1000000000);

	for (; made < 1000; made++) {
		snprintf(name, sizeof(name), "x%d.example", made);
		number = names_number(names, name, true, 1000);
		if (number < 0)
			break;
	}
	ck_assert_int_eq(number, -EDQUOT);
	ck_assert_int_eq(made, NAMES_BURST);
	ck_assert_int_eq(names_number(names, "x0.example", true, 1000), 0);
	ck_assert_int_ge(names_number(names, "exact.example", false, 1000), 0);
	for (made = 0; made < 1000; made++) {
		snprintf(name, sizeof(name), "y%d.example", made);
		if (names_number(names, name, true, 1000 + second) < 0)
			break;
	}
	ck_assert_int_eq(made, NAMES_A_SECOND);
	names_free(names);
}
END_TEST

START_TEST(names_have_a_bound)
{
	struct names *names = names_new(0);
	char name[64];

	for (int i = 0; i < NAMES_MAX; i++) {
		snprintf(name, sizeof(name), "n%d.example", i);
		ck_assert_int_eq(names_number(names, name, false, 0), i);
	}
	ck_assert_int_eq(names_number(names, "more.example", false, 0), -ENOSPC);
	ck_assert_int_eq(names_number(names, "n77.example", false, 0), 77);
	names_free(names);
}
END_TEST

/* --- the first bytes of a connection ---------------------------------------------------------- */

/* Every prefix says MORE until one decides, and no longer one says otherwise. */
static enum sniff
sniff_all(const void *bytes, size_t length, struct sniffed *result)
{
	enum sniff decided = SNIFF_MORE, one;
	struct sniffed now;

	for (size_t i = 1; i <= length; i++) {
		_cleanup_free_ uint8_t *exact = malloc(i);

		memcpy(exact, bytes, i);
		one = sniff(exact, i, &now);
		ck_assert(decided == SNIFF_MORE || one == decided);
		ck_assert(decided != SNIFF_NAME || strcmp(now.name, result->name) == 0);
		decided = one;
		*result = now;
	}
	return decided;
}

static const struct {
	const char *text, *name; /* name "": it says none; NULL: refused; "…": not decided */
} heads[] = {
    {"GET / HTTP/1.1\r\nHost: A.example\r\n\r\n", "a.example"},
    {"GET / HTTP/1.1\nHost:a.example.:8080 \n\nbody", "a.example"},
    {"\r\n\r\nPOST /x HTTP/1.1\r\nA: b\r\nhOST: a.example\r\nC: d\r\n\r\n", "a.example"},
    {"GET http://a.example/x HTTP/1.1\r\nHost: a.example\r\n\r\n", "a.example"},
    {"GET http://a.example?x@y HTTP/1.1\r\nHost: a.example\r\n\r\n", "a.example"},
    {"GET / HTTP/1.0\r\n\r\n", ""},
    {"OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n", "a.example"},
    {"CONNECT b.example:443 HTTP/1.1\r\n\r\n", "b.example"},
    {"GET / HTTP/1.1\r\nHost: a.example\r\n", "…"},
    {"GET /", "…"},
    {"GET", "…"},
    {"GET http://b.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n", NULL},
    {"GET http://a.example@b.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n", NULL},
    {"CONNECT b.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n", NULL},
    {"GET / HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\n\r\n", NULL},
    {"GET / HTTP/1.1\r\nHost : a.example\r\n\r\n", NULL},
    {"GET / HTTP/1.1\r\nX: y\r\n Host: a.example\r\n\r\n", NULL},
    {"GET / HTTP/1.1\r\nHost: a.example\r\n b.example\r\n\r\n", NULL},
    {"GET / HTTP/1.1\r\nHost: a.example, b.example\r\n\r\n", NULL},
    {"GET / HTTP/1.1\r\nHost:\r\n\r\n", NULL},
    {"GET / HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n", NULL},
    {"GET / HTTP/1.1\r\nHost: a.example:80x\r\n\r\n", NULL},
    {"GET  / HTTP/1.1\r\nHost: a.example\r\n\r\n", NULL},
    {"GET / x HTTP/1.1\r\nHost: a.example\r\n\r\n", NULL},
    {"GET x HTTP/1.1\r\nHost: a.example\r\n\r\n", NULL},
    {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", NULL},
    {"M-SEARCH / HTTP/1.1\r\nHost: a.example\r\n\r\n", "a.example"},
    {"GET / HTTP/1.1 \r\nHost: a.example\r\n\r\n", NULL},
    {"GET / HTTP/1.9\r\nHost: a.example\r\n\r\n", NULL},
    {"GET / http/1.1\r\nHost: a.example\r\n\r\n", NULL},
    {"GET\t/\tHTTP/1.1\r\nHost: a.example\r\n\r\n", NULL},
    {"GET / HTTP/1.1\r\r\nHost: a.example\r\n\r\n", NULL},
    {"GET /\r\n", ""},
    {"SSH-2.0-OpenSSH_9.2\r\n", ""},
    {"EHLO me\r\nQUIT\r\n", ""},
    {"0032git-upload-pack /x", ""},
    {"a1 LOGIN x y\r\n", ""},
    {"PING\r\n", ""},
};

START_TEST(the_host_of_a_request_is_found)
{
	for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
		const char *name = heads[i].name;
		struct sniffed result;
		enum sniff rc = sniff_all(heads[i].text, strlen(heads[i].text), &result);
		enum sniff want = !name                    ? SNIFF_BAD
				  : strcmp(name, "…") == 0 ? SNIFF_MORE
				  : name[0]                ? SNIFF_NAME
							   : SNIFF_NONE;

		ck_assert_msg(rc == want, "%s: %d", heads[i].text, (int)rc);
		if (rc == SNIFF_NAME)
			ck_assert_str_eq(result.name, name);
		if (rc == SNIFF_BAD)
			ck_assert_ptr_nonnull(result.why);
	}
}
END_TEST

START_TEST(a_head_without_an_end_is_refused)
{
	_cleanup_free_ char *bytes = malloc(SNIFF_BYTES);
	struct sniffed result;

	memset(bytes, 'a', SNIFF_BYTES);
	memcpy(bytes, "GET /", 5);
	ck_assert_int_eq(sniff((uint8_t *)bytes, SNIFF_BYTES - 1, &result), SNIFF_MORE);
	ck_assert_int_eq(sniff((uint8_t *)bytes, SNIFF_BYTES, &result), SNIFF_BAD);
}
END_TEST

/* A ClientHello with these extensions, in records of at most this many bytes. */
static size_t
client_hello(const char *extensions, size_t length, size_t record, uint8_t *out)
{
	uint8_t body[4096];
	size_t at = 4, used = 0;

	memcpy(body + at, "\x03\x03", 2);
	memset(body + at + 2, 7, 32);
	at += 34;
	memcpy(body + at, "\x00\x00\x02\x13\x01\x01\x00", 7);
	at += 7;
	body[at++] = (uint8_t)(length >> 8);
	body[at++] = (uint8_t)length;
	memcpy(body + at, extensions, length);
	at += length;
	memcpy(body, "\x01\x00", 2);
	body[2] = (uint8_t)((at - 4) >> 8);
	body[3] = (uint8_t)(at - 4);
	for (size_t from = 0; from < at; from += record) {
		size_t part = at - from < record ? at - from : record;

		memcpy(out + used, "\x16\x03\x01", 3);
		out[used + 3] = (uint8_t)(part >> 8);
		out[used + 4] = (uint8_t)part;
		memcpy(out + used + 5, body + from, part);
		used += 5 + part;
	}
	return used;
}

#define SNI(name, list, all) "\x00\x00\x00" all "\x00" list "\x00\x00" name
static const struct {
	const char *bytes;
	size_t length;
	const char *name;
} hellos[] = {
#define H(text, name)                                                                              \
	{                                                                                          \
		text, sizeof(text) - 1, name                                                       \
	}
    H("", ""),
    H("\x00\x0b\x00\x02\x01\x00", ""),
    H("\x00\x0b\x00\x02\x01\x00" SNI("\x09"
				     "A.example",
				     "\x0c", "\x0e"),
      "a.example"),
    H(SNI("\x0a"
	  "a.example.",
	  "\x0d", "\x0f") "\xff\x01\x00\x01\x00",
      "a.example"),
    H(SNI("\x08"
	  "10.0.0.1",
	  "\x0b", "\x0d"),
      NULL),
    H(SNI("\x0b"
	  "a.example:1",
	  "\x0e", "\x10"),
      NULL),
    H(SNI("\x09"
	  "a.\x00xample",
	  "\x0c", "\x0e"),
      NULL),
    H(SNI("\x00"
	  "",
	  "\x03", "\x05"),
      NULL),
    H(SNI("\x09"
	  "a.example",
	  "\x0b", "\x0e"),
      NULL),
    H(SNI("\x09"
	  "a.example",
	  "\x0c", "\x0f"),
      NULL),
    H("\x00\x00\x00\x05\x00\x03\x01\x00\x00", NULL),
    H(SNI("\x03"
	  "a.b",
	  "\x06", "\x08") SNI("\x03"
			      "a.c",
			      "\x06", "\x08"),
      NULL),
    H("\x00\x00\x00\x0e\x00\x0c\x00\x00\x03"
      "a.b\x00\x00\x03"
      "a.c",
      NULL),
#undef H
};

START_TEST(the_name_of_a_client_hello_is_found_in_any_records)
{
	static const size_t records[] = {16384, 40, 3, 1};

	for (size_t i = 0; i < ARRAY_LEN(hellos) * ARRAY_LEN(records); i++) {
		size_t n = i / ARRAY_LEN(records);
		const char *name = hellos[n].name;
		struct sniffed result;
		uint8_t bytes[8192];
		size_t length = client_hello(hellos[n].bytes, hellos[n].length,
					     records[i % ARRAY_LEN(records)], bytes);
		enum sniff rc = sniff_all(bytes, length, &result);

		ck_assert_msg(rc == (!name     ? SNIFF_BAD
				     : name[0] ? SNIFF_NAME
					       : SNIFF_NONE),
			      "hello %zu: %d %s", n, (int)rc, result.why ? result.why : "");
		if (rc == SNIFF_NAME)
			ck_assert_str_eq(result.name, name);
	}
}
END_TEST

START_TEST(what_only_begins_like_tls_is_refused)
{
	static const char *const wrong[] = {
	    "\x16\x02\x01\x00\x05\x01\x00\x00\x01\x00", "\x16\x03\x01\x40\x01\x01\x00\x00",
	    "\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00", "\x16\x03\x01\x00\x05\x01\x01\x00\x01\x00",
	    "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03", "\x16\x03\x01\x00\x01\x01\x17\x03\x03\x00",
	};
	static const size_t lengths[] = {10, 8, 10, 10, 10, 10};
	struct sniffed result;

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		ck_assert_msg(sniff_all(wrong[i], lengths[i], &result) == SNIFF_BAD, "%zu", i);
}
END_TEST

int
main(void)
{
	const TTest *tests[] = {
	    a_question_is_read_and_repeated,
	    an_opt_is_answered_by_one,
	    what_is_no_question_is_refused,
	    a_name_that_no_rule_can_have_has_no_text,
	    only_addresses_are_answered,
	    a_name_keeps_its_address,
	    new_names_below_a_wildcard_come_slowly,
	    names_have_a_bound,
	    the_host_of_a_request_is_found,
	    a_head_without_an_end_is_refused,
	    the_name_of_a_client_hello_is_found_in_any_records,
	    what_only_begins_like_tls_is_refused,
	};

	return suite_run("egress", tests, ARRAY_LEN(tests));
}
