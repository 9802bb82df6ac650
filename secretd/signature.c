#include "signature.h"

#include <sodium.h>
#include <string.h>
#include <sys/mman.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "hand.h"

enum { ENCODED_KEY_MAX = 128 /* Standard Webhooks: 24 to 64 bytes */ };
_Static_assert(SIGNATURE_BYTES == crypto_auth_hmacsha256_BYTES, "HMAC-SHA256");

struct question {
	const struct msg_signature_query *query;
	const uint8_t *body;
	size_t length;
};

/* Of all that is said, so that the time tells nothing. */
static bool
signed_with(const struct question *q, const uint8_t *key, size_t size)
{
	const struct msg_signature_query *query = q->query;
	crypto_auth_hmacsha256_state state;
	uint8_t right[SIGNATURE_BYTES];
	bool valid = false;

	crypto_auth_hmacsha256_init(&state, key, size);
	crypto_auth_hmacsha256_update(&state, (const uint8_t *)query->prefix,
				      strlen(query->prefix));
	crypto_auth_hmacsha256_update(&state, q->body, q->length);
	crypto_auth_hmacsha256_final(&state, right);
	for (size_t at = 0; at + SIGNATURE_BYTES <= query->signatures_len; at += SIGNATURE_BYTES)
		valid |= sodium_memcmp(query->signatures + at, right, SIGNATURE_BYTES) == 0;
	sodium_memzero(&state, sizeof(state));
	sodium_memzero(right, sizeof(right));
	return valid;
}

/* Digests are compared: their length says nothing of the secret's. */
static bool
token_is(const char *token, const uint8_t *value, size_t size)
{
	uint8_t said[crypto_hash_sha256_BYTES], right[crypto_hash_sha256_BYTES];
	bool same;

	crypto_hash_sha256(said, (const uint8_t *)token, strlen(token));
	crypto_hash_sha256(right, value, size);
	same = sodium_memcmp(said, right, sizeof(said)) == 0;
	sodium_memzero(right, sizeof(right));
	return same;
}

/* Standard Webhooks write a key as whsec_BASE64, some without the first word. */
static bool
signed_with_encoded(const struct question *q, const uint8_t *value, size_t size)
{
	static const char word[] = "whsec_";
	const size_t head = sizeof(word) - 1;
	bool named = size > head && memcmp(value, word, head) == 0, valid = false;
	uint8_t key[ENCODED_KEY_MAX];
	size_t length = 0;

	if (sodium_base642bin(key, sizeof(key), (const char *)value + (named ? head : 0),
			      size - (named ? head : 0), NULL, &length, NULL,
			      sodium_base64_VARIANT_ORIGINAL) == 0 &&
	    length)
		valid = signed_with(q, key, length);
	sodium_memzero(key, sizeof(key));
	return valid;
}

/* Newlines at a value's end come from how it was stored, not from the sender. */
static size_t
without_newlines(const uint8_t *value, size_t size)
{
	while (size > 0 && (value[size - 1] == '\n' || value[size - 1] == '\r'))
		size--;
	return size;
}

static bool
verify(const struct question *q, const uint8_t *value, size_t size)
{
	size = without_newlines(value, size);
	/* Everybody knows that key. */
	if (!size)
		return false;
	if (q->query->token[0])
		return token_is(q->query->token, value, size);
	return signed_with(q, value, size) ||
	       (q->query->encoded && signed_with_encoded(q, value, size));
}

/* The same grant as for a credential of the agent. It is not counted as used: anybody could use it
 * up with forged requests. */
static int
granted(struct secretd *s, const struct msg_signature_query *query, struct error *error)
{
	const struct secret *secret = index_find(store_index(s->store), query->secret);
	const struct grant *grant = secret ? grant_find(secret, query->agent, "") : NULL;
	enum grant_state state = grant ? grant_state(s, grant) : GRANT_UNKNOWN;

	if (grant && state == GRANT_HOLDS)
		return 0;
	error_why(error, secret ? ERR_PERMISSION : ERR_NOT_FOUND, "%s",
		  !secret  ? "there is no such secret"
		  : !grant ? "it is not granted to this agent"
			   : grant_state_name(state));
	error_what(error, "the secret %s of a webhook of %s", query->secret, query->agent);
	return error_hint(error, "ash secret grant %s --agent %s", query->secret, query->agent);
}

int
signature_check(struct secretd *s, const struct msg_signature_query *query, const uint8_t *body,
		size_t length, bool *valid, struct error *error)
{
	const struct question question = {.query = query, .body = body, .length = length};
	size_t size;
	int rc;

	*valid = false;
	if (store_state(s->store) != STORE_OPEN)
		return store_closed(s->store, error);
	if (granted(s, query, error) < 0)
		return -1;
	rc = store_read(s->store, query->secret, &size, error);
	if (rc == 0)
		*valid = verify(&question, store_value(s->store), size);
	store_forget(s->store);
	return rc;
}

static int
check(struct secretd *s, const struct msg *msg, bool *valid, struct error *error)
{
	const uint8_t *body = NULL;
	size_t length = 0;
	int rc = memfd_map(msg->fds[0], SIGNED_BODY_MAX, &body, &length);

	if (rc < 0)
		return error_errno(error, -rc, "mapping the body");
	rc = signature_check(s, &msg->signature_query, body, length, valid, error);
	if (body)
		munmap((void *)(uintptr_t)body, length);
	return rc;
}

static void
schedd_message(struct channel *channel, struct msg *msg, void *arg)
{
	struct error error = ERROR_INIT;
	struct msg answer;

	msg_init(&answer, MSG_SIGNATURE);
	answer.id = msg->id;
	if (check(arg, msg, &answer.signature.valid, &error) < 0)
		channel_reply_error(channel, msg->id, &error);
	else
		channel_send(channel, &answer);
}

static void
schedd_closed(struct channel *channel, const struct error *error, void *arg)
{
	struct secretd *s = arg;

	if (error)
		log_problem(LOG_LEVEL_WARNING, error);
	if (s->schedd == channel)
		s->schedd = NULL;
}

static const struct channel_ops schedd_ops = {
    .message = schedd_message,
    .closed = schedd_closed,
};

void
schedd_introduced(struct secretd *s, int fd)
{
	channel_free(s->schedd);
	s->schedd = channel_new(s->loop, fd, CH_SCHEDD_SECRETD, SIDE_B, ROLE_SECRETD, ROLE_SCHEDD,
				&schedd_ops, s);
	if (!s->schedd)
		log_error("the channel of schedd: %s", strerror(errno));
}
