/*
 * The parsers of the network: rules, questions of DNS, the first bytes of connections, heads and
 * bodies of HTTP/1.1, connections of HTTP/1 that are followed, SOCKS. The first byte of a case says
 * which. Whatever is accepted is held to what it promises: a rule reads its own text again, an
 * answer has its bounds, a name is one, no later byte changes what was decided, and a body is the
 * same in whatever pieces it comes.
 *
 * fuzz_net [CASES [SEED]]: bit flips, cuts, repetitions and grafts over the seeds below, the same
 * for the same seed. With -DSCARAB_LIBFUZZER the entry point of libFuzzer instead (make libfuzzer).
 */
// with: runnerd/egress/dns.c runnerd/egress/sniff_tls.c runnerd/egress/sniff_http.c
// with: runnerd/egress/http_head.c runnerd/egress/http_body.c runnerd/egress/socks.c
// with: runnerd/egress/follow.c
#include "common/cleanup.h"
#include "common/netaddr.h"
#include "common/netrule.h"
#include "runnerd/egress/dns.h"
#include "runnerd/egress/follow.h"
#include "runnerd/egress/http.h"
#include "runnerd/egress/sniff.h"
#include "runnerd/egress/socks.h"
#include "tests/fuzz/mutate.h"

enum { CASES = 400000, CASES_SANITIZED = 100000, CASE_BYTES_MAX = 2048 };

static void
try_rule(const uint8_t *bytes, size_t length)
{
	_cleanup_free_ char *text = strndup((const char *)bytes, length);
	char again[NET_TEXT_MAX + 1], twice[NET_TEXT_MAX + 1], why[REASON_SIZE] = "";
	struct net_rule rule, other;

	if (!text || !net_rule_parse(text, &rule, why)) {
		demand(!text || why[0], "a rule is refused without a reason");
		return;
	}
	net_rule_text(&rule, again, sizeof(again));
	demand(net_rule_parse(again, &other, why), "a rule's own text is none");
	demand(strcmp(net_rule_text(&other, twice, sizeof(twice)), again) == 0,
	       "a rule's text is another rule's");
	demand(rule.low > 0 && rule.low <= rule.high, "a rule has no ports");
	net_range_special(&rule.address, rule.bits);
	net_rule_possible(&rule, why);
}

static void
try_dns(const uint8_t *bytes, size_t length)
{
	struct dns_query query;
	struct in6_addr address = {0};
	uint8_t out[DNS_ANSWER_MAX];
	size_t answer;
	int rcode = dns_parse(bytes, length, &query);

	if (rcode < 0)
		return;
	demand(strlen(query.name) <= NET_NAME_MAX, "a name is too long");
	demand(!query.name[0] || rcode == DNS_NOERROR, "a broken question has a name");
	answer = dns_answer(bytes, &query, (enum dns_rcode)rcode, &address, out);
	demand(answer >= DNS_HEADER_BYTES && answer <= DNS_ANSWER_MAX, "an answer has no bounds");
	demand(out[2] & 0x80 && memcmp(out, bytes, 2) == 0, "an answer is none");
}

static void
try_sniff(const uint8_t *bytes, size_t length)
{
	enum sniff decided = SNIFF_MORE, now;
	struct sniffed first = {0}, result;

	for (size_t i = 1; i <= length; i += 1 + i / 64) {
		_cleanup_free_ uint8_t *exact = malloc(i);

		if (!exact)
			abort();
		memcpy(exact, bytes, i);
		now = sniff(exact, i, &result);
		demand(decided == SNIFF_MORE || now == decided, "what was decided changed");
		demand(now != SNIFF_NAME || net_name_valid(result.name), "a name is none");
		demand(now != SNIFF_NAME || decided != SNIFF_NAME ||
			   strcmp(first.name, result.name) == 0,
		       "a name changed");
		demand(now != SNIFF_BAD || result.why, "a refusal has no reason");
		decided = now;
		first = result;
	}
}

/* What was understood of a head has no byte that could begin another line. */
static void
check_head(const struct http_head *head, size_t length)
{
	demand(head->bytes > 0 && head->bytes <= length, "a head has no bounds");
	demand(head->count <= HTTP_FIELDS_MAX, "a head has too many fields");
	for (size_t i = 0; i < head->count; i++) {
		struct http_text value = head->fields[i].value;

		demand(head->fields[i].name.length > 0, "a field has no name");
		demand(!value.length || (!memchr(value.at, '\r', value.length) &&
					 !memchr(value.at, '\n', value.length) &&
					 !memchr(value.at, '\0', value.length)),
		       "a value has a line's end");
		http_passes(head, &head->fields[i]);
	}
}

/* All of it in pieces of so many bytes: how many bytes of the body there are, and their sum. */
static ssize_t
read_body(const struct http_head *head, const uint8_t *bytes, size_t length, size_t step,
	  uint64_t *sum)
{
	struct http_body body;
	struct http_text piece;
	ssize_t total = 0, n = 1;
	size_t at = 0;

	*sum = 0;
	http_body_begin(&body, head->framing, head->length);
	while (at < length && n > 0) {
		n = http_body_take(&body, bytes + at, step < length - at ? step : length - at,
				   &piece);
		if (n < 0)
			return -1;
		at += (size_t)n;
		demand(at <= length, "a body has no bounds");
		for (size_t i = 0; i < piece.length; i++)
			*sum = *sum * 31 + (uint8_t)piece.at[i];
		total += (ssize_t)piece.length;
	}
	return total;
}

static void
try_body(const struct http_head *head, const uint8_t *bytes, size_t length)
{
	uint64_t whole, parts;
	ssize_t n = read_body(head, bytes, length, length, &whole);

	demand(read_body(head, bytes, length, 1, &parts) == n && (n < 0 || whole == parts),
	       "a body depends on its pieces");
}

static void
try_http(const uint8_t *bytes, size_t length)
{
	struct http_head head;

	if (http_request(bytes, length, &head) == HTTP_WHOLE) {
		check_head(&head, length);
		try_body(&head, bytes + head.bytes, length - head.bytes);
	}
	for (int to_head = 0; to_head < 2; to_head++) {
		if (http_response(bytes, length, to_head, &head) != HTTP_WHOLE)
			continue;
		check_head(&head, length);
		try_body(&head, bytes + head.bytes, length - head.bytes);
	}
	head = (struct http_head){.framing = HTTP_CHUNKED};
	try_body(&head, bytes, length);
}

/* Requests one behind another: where the last one begins that could be followed. A head is the same
 * without what is behind it. */
static size_t
follow_all(const uint8_t *bytes, size_t length, size_t step)
{
	struct follow follow = {0}, alone;
	struct sniffed found;
	const char *why;
	size_t at = 0;
	ssize_t n;

	while (at < length) {
		enum sniff rc = sniff(bytes + at, length - at, &found);

		if (rc == SNIFF_MORE || rc == SNIFF_BAD || !found.http)
			break;
		alone = follow;
		n = follow_head(&follow, bytes + at, length - at, &why);
		if (n < 0)
			break;
		demand(n > 0 && (size_t)n <= length - at, "a request has no bounds");
		demand(follow_head(&alone, bytes + at, (size_t)n, &why) == n,
		       "a request depends on what follows");
		at += (size_t)n;
		for (n = 1; n > 0 && at<length; at += n> 0 ? (size_t)n : 0)
			n = follow_body(&follow, bytes + at,
					step < length - at ? step : length - at);
		if (n < 0 || !follow.body.done)
			break;
	}
	return at;
}

static void
try_follow(const uint8_t *bytes, size_t length)
{
	struct follow whole = {.on = true, .waits = true}, parts = whole;
	size_t at = follow_all(bytes, length, length);

	demand(follow_all(bytes, length, 1) == at || at < length,
	       "a request depends on its pieces");
	follow_answer(&whole, bytes, length);
	for (size_t i = 0; i < length; i++)
		follow_answer(&parts, bytes + i, 1);
	demand(whole.on == parts.on && whole.waits == parts.waits,
	       "an answer depends on its pieces");
}

static void
try_socks(const uint8_t *bytes, size_t length)
{
	struct socks_request request;
	size_t taken = 0;

	if (socks_greeting(bytes, length, &taken) != SOCKS_MORE)
		demand(taken <= length, "a greeting has no bounds");
	else
		demand(length < SOCKS_BYTES_MAX, "a greeting never ends");
	switch (socks_request(bytes, length, &request)) {
	case SOCKS_WHOLE:
		demand(request.bytes <= length && request.port > 0, "a request has no bounds");
		demand(!request.name[0] || net_name_valid(request.name), "a name is none");
		break;
	case SOCKS_BAD:
		demand(request.why && request.reply != SOCKS_GRANTED, "a refusal has no reason");
		break;
	default:
		demand(length < SOCKS_BYTES_MAX, "a request never ends");
	}
}

static void
try_case(const uint8_t *bytes, size_t length)
{
	static void (*const targets[])(const uint8_t *, size_t) = {try_rule, try_dns,   try_sniff,
								   try_http, try_socks, try_follow};

	if (length > 0 && length <= CASE_BYTES_MAX)
		targets[bytes[0] % ARRAY_LEN(targets)](bytes + 1, length - 1);
}
FUZZ_TARGET(try_case)

#ifndef SCARAB_LIBFUZZER

/* --- the short run of every check ------------------------------------------------------------ */

static const struct seed seeds[] = {
    SEED("\x00*.a-b.example:443"),
    SEED("\x00[2001:db8::1]:8000-8010"),
    SEED("\x00"
	 "10.128.0.0/9:1-65535"),
    SEED("\x00host.agentd:11434"),
    SEED("\x01\x12\x34\x01\x20\x00\x01\x00\x00\x00\x00\x00\x01\x03www\x07"
	 "example\x03org\x00\x00\x1c\x00\x01\x00\x00\x29\x10\x00\x00\x00\x00\x00\x00\x00"),
    SEED("\x01\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01"
	 "a\xc0\x0c\x00\x01\x00\x01"),
    SEED("\x02GET http://a.example:80/x?y HTTP/1.1\r\nAccept: */*\r\nHost: "
	 "a.example:80\r\n\r\nGET "),
    SEED("\x02\r\nPOST / HTTP/1.0\nhost:\ta.example. \nX:\n\n\x00"),
    SEED("\x02\x16\x03\x01\x00\x20\x01\x00\x00\x41\x03\x03\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07"
	 "\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x16\x03\x01\x00\x25\x07"
	 "\x07\x07\x07\x07\x07\x00\x00\x02\x13\x01\x01\x00\x00\x16\x00\x00\x00\x0e\x00\x0c\x00\x00"
	 "\x09"
	 "a.example\xff\x01\x00\x00"),
    SEED("\x03POST /v1/a?b HTTP/1.1\r\nHost: a.example\r\nConnection: close, X\r\nX: "
	 "y\r\nTransfer-Encoding: chunked\r\n\r\n5;a=\"b\"\r\nhello\r\n0a\r\n0123456789\r\n0\r\nT: "
	 "u\r\n\r\nGET /"),
    SEED("\x03PUT / HTTP/1.1\r\nHost: a.example:80\r\nContent-Length: 5\r\nExpect: "
	 "100-continue\r\n\r\nhelloGET"),
    SEED("\x03"
	 "CONNECT a.example:443 HTTP/1.0\r\n\r\n"),
    SEED("\x03HTTP/1.1 200 OK\r\nContent-Length: 12\r\nSet-Cookie: a=b\r\n\r\nhello, you"),
    SEED("\x03HTTP/1.0 204\r\nTransfer-Encoding: chunked\r\n\r\n"),
    SEED("\x03"
	 "a\r\n0123456789\r\n00\r\n\r\n"),
    SEED("\x04\x05\x01\x00\x03\x09"
	 "a.example\x01\xbb"),
    SEED("\x04\x05\x01\x00\x01\x2d\x21\x07\x01\x00\x50"),
    SEED("\x04\x05\x02\x00\x02"),
    SEED("\x05GET / HTTP/1.0\r\nHost: a.example\r\n\r\n\r\nPUT / HTTP/1.1\r\nHost: a.example\r\n"
	 "Content-Length: 5\r\n\r\nhelloPUT / HTTP/1.1\r\nHost: a.example\r\nUpgrade: x\r\n"
	 "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: "
	 "b\r\n\r\n"),
    SEED("\x05HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 101 "
	 "Switching Protocols\r\nUpgrade: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"),
};

int
main(int argc, char **argv)
{
	const struct fuzzing fuzzing = {
	    .target = try_case,
	    .seeds = seeds,
	    .seed_count = ARRAY_LEN(seeds),
	    .liked = SEED(" \t\r\n:;,/.*[]-@?\x00\x01\x16\x3f\x40\xc0\xff:0129aA"),
	    .keep = 1,
	    .bytes_max = CASE_BYTES_MAX,
	};
	size_t cases = fuzz_begin(argc, argv, CASES, CASES_SANITIZED);

	fuzz_run(&fuzzing, cases);
	printf(
	    "%zu cases of rules, DNS, first bytes, HTTP and SOCKS: no crash, every promise kept\n",
	    cases);
	return 0;
}

#endif
