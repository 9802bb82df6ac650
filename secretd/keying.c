/* The store's keys: opened with agentd's, or with what ash made of a passphrase; changed without a
 * moment in which only a key that nobody has kept opens it. */
#include <sodium.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "requests.h"

/* Argon2id: half a second of one processor, in ash; secretd has other work to do meanwhile. */
static const uint64_t pwhash_operations = crypto_pwhash_OPSLIMIT_MODERATE;
static const uint64_t pwhash_memory = crypto_pwhash_MEMLIMIT_MODERATE;

static void
tell_open(const struct secretd *s, const char *note)
{
	if (*note)
		log_warn("secrets: %s", note);
	writer_key(s->writer, store_audit_key(s->store));
	log_info("the store of secrets is open: %zu secrets, change %llu",
		 store_index(s->store)->secrets, (unsigned long long)store_counter(s->store));
}

static int
use_kek(struct secretd *s, const struct wrap *terms, struct error *error)
{
	char note[STORE_NOTE_MAX + 1] = "";
	int rc;

	if (store_state(s->store) == STORE_EMPTY)
		rc = store_make(s->store, terms, s->kek, error);
	else
		rc = store_unlock(s->store, s->kek, note, error);
	if (rc < 0)
		return -1;
	if (*note)
		audit_secret(s, NULL, &(struct audited){.action = "secret.repair"}, "%s", note);
	tell_open(s, note);
	return 0;
}

static int
read_kek(struct secretd *s, int fd, struct error *error)
{
	int rc = kek_from_file(fd, s->kek);

	if (rc == -ERANGE) {
		error_why(error, ERR_INVALID, "the key has not %d to %d bytes", KEK_FILE_MIN,
			  KEK_FILE_MAX);
		return error_hint(error, "32 random bytes make a good one");
	}
	return rc < 0 ? error_errno(error, -rc, "reading the key") : 0;
}

int
keying_use(struct secretd *s, int fd, struct error *error)
{
	static const struct wrap terms = {.passphrase = false};
	int rc = read_kek(s, fd, error);

	if (rc == 0)
		rc = use_kek(s, &terms, error);
	sodium_memzero(s->kek, KEY_BYTES);
	return rc;
}

/* --- for nobody
 * -------------------------------------------------------------------------------------- */

static void
tried(struct secretd *s, struct call *call, struct msg *answer)
{
	struct error error = ERROR_INIT;

	(void)call;
	if (answer && answer->type == MSG_KEK && store_state(s->store) == STORE_LOCKED &&
	    keying_use(s, answer->fds[0], &error) < 0)
		log_problem(LOG_LEVEL_ERROR, &error);
}

void
keying_try(struct secretd *s)
{
	struct msg question;

	if (s->rules.passphrase || store_state(s->store) != STORE_LOCKED)
		return;
	msg_init(&question, MSG_KEK_QUERY);
	question.kek_query.purpose = KEK_OPEN;
	call_ask(s, s->agentd, &question, NULL, NULL, tried);
}

/* --- what ash asks
 * ------------------------------------------------------------------------------------ */

static void
reply_keying(struct secretd *s, struct client *client, uint32_t id, const char *why)
{
	const struct wrap *wrap = store_wrap(s->store);
	struct msg reply;

	msg_init(&reply, MSG_SECRET_KEYING);
	reply.secret_keying.passphrase = s->rules.passphrase;
	reply.secret_keying.open = store_state(s->store) == STORE_OPEN;
	reply.secret_keying.operations = pwhash_operations;
	reply.secret_keying.memory_bytes = pwhash_memory;
	if (wrap && wrap->passphrase) {
		reply.secret_keying.salt_len = sizeof(wrap->salt);
		memcpy(reply.secret_keying.salt, wrap->salt, sizeof(wrap->salt));
		reply.secret_keying.operations = wrap->operations;
		reply.secret_keying.memory_bytes = wrap->memory_bytes;
	}
	reply.secret_keying.next_salt_len = SECRET_SALT_BYTES;
	randombytes_buf(reply.secret_keying.next_salt, SECRET_SALT_BYTES);
	snprintf(reply.secret_keying.why, sizeof(reply.secret_keying.why), "%s", why);
	client_reply(client, id, &reply);
}

static void
keying_known(struct secretd *s, struct call *call, struct msg *answer)
{
	struct error error = ERROR_INIT;

	tried(s, call, answer);
	if (answer && answer->type == MSG_ERROR)
		msg_to_error(answer, &error);
	else if (store_state(s->store) == STORE_LOCKED)
		error_why(&error, ERR_PERMISSION, "the key does not open secrets/key");
	reply_keying(s, call->client, call->request.id, error.why);
}

void
request_keying(struct client *client, struct msg *msg)
{
	struct secretd *s = client->s;
	struct error error = ERROR_INIT;
	struct msg question;

	if (store_state(s->store) == STORE_DAMAGED) {
		store_closed(s->store, &error);
		client_error(client, msg->id, &error);
		return;
	}
	msg_init(&question, MSG_KEK_QUERY);
	question.kek_query.purpose = KEK_OPEN;
	if (!s->rules.passphrase && store_state(s->store) == STORE_LOCKED &&
	    call_ask(s, s->agentd, &question, client, msg, keying_known) == 0)
		return;
	reply_keying(s, client, msg->id, "");
}

static int
take_key(struct client *client, struct msg *msg, struct error *error)
{
	const struct msg_op_secret_key *asked = &msg->op_secret_key;
	struct secretd *s = client->s;
	struct wrap terms = {
	    .passphrase = true, .operations = pwhash_operations, .memory_bytes = pwhash_memory};

	if (!s->rules.passphrase)
		return error_why(error, ERR_CONFLICT,
				 "agentd.yaml names a key for the store, not a passphrase");
	if (asked->salt_len != SECRET_SALT_BYTES ||
	    pipe_read(msg->fds[0], s->kek, KEY_BYTES, error) != KEY_BYTES)
		return error_why(error, ERR_USAGE, "the key did not come whole");
	memcpy(terms.salt, asked->salt, sizeof(terms.salt));
	if (!asked->rotate)
		return use_kek(s, &terms, error);
	if (store_wrap_add(s->store, &terms, s->kek, error) < 0)
		return -1;
	return store_wrap_settle(s->store, s->kek, error);
}

void
request_key(struct client *client, struct msg *msg)
{
	struct error error = ERROR_INIT;
	int rc = take_key(client, msg, &error);

	sodium_memzero(client->s->kek, KEY_BYTES);
	audit_secret(client->s, client,
		     &(struct audited){.action = msg->op_secret_key.rotate ? "secret.rotate-key"
									   : "secret.unlock",
				       .error = rc < 0 ? &error : NULL},
		     "with a passphrase");
	if (rc < 0)
		client_error(client, msg->id, &error);
	else
		client_ok(client, msg->id, 0);
}

/* --- a new key of agentd's
 * ------------------------------------------------------------------------------ */

static void
rotation_over(struct secretd *s, struct call *call, const struct error *error)
{
	audit_secret(s, call->client,
		     &(struct audited){.action = "secret.rotate-key", .error = error},
		     "%u keys open the store", store_wraps(s->store));
	if (error)
		client_error(call->client, call->request.id, error);
	else
		client_ok(call->client, call->request.id, store_wraps(s->store));
}

static int
answered_kek(const struct msg *answer, struct error *error)
{
	if (answer && answer->type == MSG_KEK)
		return 0;
	if (answer && answer->type == MSG_ERROR)
		return msg_to_error(answer, error);
	return error_why(error, ERR_UNREACHABLE, "agentd went away");
}

/* Read back from where it is kept: from here on it alone opens the store. A credential is systemd's
 * to change; until it has, both open it. */
static void
rotation_committed(struct secretd *s, struct call *call, struct msg *answer)
{
	struct error error = ERROR_INIT;
	int rc = answered_kek(answer, &error);

	if (rc == 0)
		rc = read_kek(s, answer->fds[0], &error);
	if (rc == 0)
		rc = store_wrap_settle(s->store, s->kek, &error);
	sodium_memzero(s->kek, KEY_BYTES);
	rotation_over(s, call, rc < 0 && error.code != ERR_CONFLICT ? &error : NULL);
}

static void
rotation_next(struct secretd *s, struct call *call, struct msg *answer)
{
	static const struct wrap terms = {.passphrase = false};
	struct error error = ERROR_INIT;
	struct msg question;
	int rc = answered_kek(answer, &error);

	if (rc == 0)
		rc = read_kek(s, answer->fds[0], &error);
	if (rc == 0)
		rc = store_wrap_add(s->store, &terms, s->kek, &error);
	sodium_memzero(s->kek, KEY_BYTES);
	msg_init(&question, MSG_KEK_QUERY);
	question.kek_query.purpose = KEK_COMMIT;
	if (rc == 0 &&
	    call_ask(s, s->agentd, &question, call->client, &call->request, rotation_committed) < 0)
		rc = error_why(&error, ERR_UNREACHABLE, "agentd went away");
	if (rc < 0)
		rotation_over(s, call, &error);
}

void
request_rotate(struct client *client, struct msg *msg)
{
	struct secretd *s = client->s;
	struct error error = ERROR_INIT;
	struct msg question;

	msg_init(&question, MSG_KEK_QUERY);
	question.kek_query.purpose = KEK_NEXT;
	if (s->rules.passphrase) {
		error_why(&error, ERR_USAGE, "a passphrase is changed by ash secret rotate-key");
		client_error(client, msg->id, &error);
	} else if (call_ask(s, s->agentd, &question, client, msg, rotation_next) < 0) {
		error_why(&error, ERR_UNREACHABLE, "agentd went away");
		client_error(client, msg->id, &error);
	}
}
