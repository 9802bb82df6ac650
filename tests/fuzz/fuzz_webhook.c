/*
 * What schedd reads of senders of webhooks: their headers, before anything is verified, and their
 * bodies, after. A case is a kind, headers each ended by a newline, and a body. Whatever is
 * accepted is held to what it promises: signatures are whole, what is signed before a body fits, a
 * time is near now, a type is one, data is one JSON value.
 *
 * fuzz_webhook [CASES [SEED]]: bit flips, cuts, repetitions and grafts over the seeds below, the
 * same for the same seed. With -DSCARAB_LIBFUZZER the entry point of libFuzzer instead (make
 * libfuzzer).
 */
// with: schedd/webhook_scheme.c schedd/webhook_body.c
#include "common/cleanup.h"
#include "schedd/webhook_body.h"
#include "schedd/webhook_scheme.h"
#include "tests/fuzz/mutate.h"

enum { CASES = 400000, CASES_SANITIZED = 100000, CASE_BYTES_MAX = 4096, NOW = 1614265330 };

/* The next line of a case into a header, as the listener lets it through: printable, bounded. */
static void
take(struct span *rest, char *field)
{
	size_t length = 0;

	while (rest->length > 0 && *rest->at != '\n') {
		if (*rest->at >= ' ' && *rest->at <= '~' && length < HEADER_MAX)
			field[length++] = *rest->at;
		rest->at++;
		rest->length--;
	}
	field[length] = '\0';
	if (rest->length > 0) {
		rest->at++;
		rest->length--;
	}
}

static void
take_headers(struct span *rest, struct msg_webhook_delivery *d)
{
	char *const fields[] = {
	    d->hub_signature, d->stripe_signature,  d->webhook_id,   d->webhook_timestamp,
	    d->timestamp,     d->webhook_signature, d->signature,    d->authorization,
	    d->event_type,    d->github_event,      d->gitlab_event,
	};

	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		take(rest, fields[i]);
	memcpy(d->gitlab_token, d->authorization, sizeof(d->gitlab_token));
	memcpy(d->github_delivery, d->webhook_id, sizeof(d->github_delivery));
	memcpy(d->idempotency_key, d->timestamp, sizeof(d->idempotency_key));
}

static void
try_question(enum webhook_kind kind, const struct msg_webhook_delivery *d)
{
	struct msg_signature_query query = {.agent = ""};
	struct error error = ERROR_INIT;

	if (webhook_question(kind, d, NOW, &query, &error) < 0) {
		demand(error.why[0] != '\0', "a request is refused without a reason");
		return;
	}
	demand(query.signatures_len % SIGNATURE_BYTES == 0 &&
		   query.signatures_len <= SIGNATURES_BYTES,
	       "a part of a signature");
	demand((query.signatures_len > 0) != (query.token[0] != '\0'),
	       "neither a signature nor a token, or both");
	demand(kind != WEBHOOK_STRIPE || strtoull(query.prefix, NULL, 10) + 300 >= NOW,
	       "an old time is accepted");
	demand(kind != WEBHOOK_GITHUB || !query.prefix[0], "GitHub signs no more than a body");
}

static void
try_body(enum webhook_kind kind, const struct msg_webhook_delivery *d, const char *type,
	 struct span body)
{
	char name[EVENT_TYPE_MAX + 1], id[EVENT_NAME_MAX + 1];
	_cleanup_free_ char *held = NULL;
	struct error error = ERROR_INIT;
	struct span data, again;

	if (webhook_body(type, body, &data, &held, &error) < 0) {
		demand(error.why[0] != '\0', "a body is refused without a reason");
		return;
	}
	demand(!scan(data, &again) && span_equal(data, again), "data is no JSON value");
	if (!webhook_name(kind, d, data, name, id))
		return;
	demand(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-/") == strlen(name) &&
		   strlen(name) <= 128,
	       "a type is none");
	demand(strncmp(name, webhook_kind_name(kind), strlen(webhook_kind_name(kind))) == 0,
	       "a type does not say its kind");
}

static void
try_case(const uint8_t *bytes, size_t length)
{
	static const char *const types[] = {"application/json", "",
					    "application/x-www-form-urlencoded", "text/plain"};
	struct msg_webhook_delivery *d;
	struct span rest = {(const char *)bytes + 1, length - 1};
	enum webhook_kind kind;

	if (length < 1 || length > CASE_BYTES_MAX)
		return;
	d = calloc(1, sizeof(*d));
	if (!d)
		abort();
	kind = (enum webhook_kind)(WEBHOOK_NONE + 1 + bytes[0] % (WEBHOOK_KINDS - 1));
	take_headers(&rest, d);
	try_question(kind, d);
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		try_body(kind, d, types[i], rest);
	free(d);
}
FUZZ_TARGET(try_case)

#ifndef SCARAB_LIBFUZZER

/* --- the short run of every check ------------------------------------------------------------ */

#define HEX "5257a869e7ecebeda32affa62cdca3fa51cad7e77a0e56ff536d0ce8e108d8bd"
#define BASE64 "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

static const struct seed seeds[] = {
    SEED("\x00sha256=" HEX "\n\nd\n\n\n\n\n\n\npush\n\n{\"ref\": \"x\"}"),
    SEED("\x01\n\nmsg_1\n1614265330\n\nv1," BASE64 " v1a,x v1," BASE64 "\n\n\n\n\nPush Hook\n"
	 "{\"object_kind\": \"push\"}"),
    SEED("\x02\nt=1614265330,v1=" HEX ",v1=" HEX ",v0=a\n\n\n\n\n\n\n\n\n\n"
	 "{\"id\": \"evt_1\", \"type\": \"invoice.paid\"}"),
    SEED("\x03\n\n\n\n1614265300\n\nsha256=" HEX "\n\nA b\n\n\npayload=%7B%22a%22%3A+1%7D&x=1"),
    SEED("\x04\n\n\n\n\n\n\nBearer token\n\n\n\nHello, \xc3\xa9!\n"),
};

int
main(int argc, char **argv)
{
	const struct fuzzing fuzzing = {
	    .target = try_case,
	    .seeds = seeds,
	    .seed_count = ARRAY_LEN(seeds),
	    .liked = SEED(" \n,.=%+&\"{}[]:\\0129aAtv\x00\xff\xc3"),
	    .bytes_max = CASE_BYTES_MAX,
	};
	size_t cases = fuzz_begin(argc, argv, CASES, CASES_SANITIZED);

	fuzz_run(&fuzzing, cases);
	printf("%zu cases of webhooks' headers and bodies: no crash, every promise kept\n", cases);
	return 0;
}

#endif
