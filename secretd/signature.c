#include "signature.h"

#include <sodium.h>
#include <string.h>
#include <sys/mman.h>

#include "common/cleanup.h"
#include "common/log.h"

static bool
read_digest(const char *signature, uint8_t digest[crypto_auth_hmacsha256_BYTES])
{
	static const char scheme[] = "sha256=";
	const size_t head = sizeof(scheme) - 1;
	size_t length = 0;

	return strncmp(signature, scheme, head) == 0 &&
	       strlen(signature) == head + 2 * crypto_auth_hmacsha256_BYTES &&
	       sodium_hex2bin(digest, crypto_auth_hmacsha256_BYTES, signature + head,
			      strlen(signature + head), NULL, &length, NULL) == 0 &&
	       length == crypto_auth_hmacsha256_BYTES;
}

bool
signature_valid(const uint8_t *key, size_t key_length, const uint8_t *body, size_t length,
		const char *signature)
{
	uint8_t said[crypto_auth_hmacsha256_BYTES], right[crypto_auth_hmacsha256_BYTES];
	crypto_auth_hmacsha256_state state;

	if (!read_digest(signature, said))
		return false;
	crypto_auth_hmacsha256_init(&state, key, key_length);
	crypto_auth_hmacsha256_update(&state, body, length);
	crypto_auth_hmacsha256_final(&state, right);
	sodium_memzero(&state, sizeof(state));
	return sodium_memcmp(said, right, sizeof(right)) == 0;
}

/* Newlines at a value's end come from how it was stored, not from the sender. */
static size_t
without_newlines(const uint8_t *value, size_t size)
{
	while (size > 0 && (value[size - 1] == '\n' || value[size - 1] == '\r'))
		size--;
	return size;
}

static int
check(struct secretd *s, const struct msg *msg, bool *valid, struct error *error)
{
	const struct msg_signature_query *query = &msg->signature_query;
	const uint8_t *body = NULL;
	size_t length = 0, size;
	int rc = memfd_map(msg->fds[0], SIGNED_BODY_MAX, &body, &length);

	if (rc < 0)
		return error_errno(error, -rc, "mapping the body");
	rc = store_read(s->store, query->secret, &size, error);
	if (rc == 0)
		*valid = signature_valid(store_value(s->store),
					 without_newlines(store_value(s->store), size), body,
					 length, query->signature);
	store_forget(s->store);
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
