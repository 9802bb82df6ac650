#include "hand.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "common/log.h"
#include "operators.h"
#include "spellings.h"

struct plan {
	struct plan *next;
	char agent[AGENT_NAME_MAX + 1];
	uint8_t digest[PLAN_DIGEST_BYTES];
};

/* --- what is installed
 * ------------------------------------------------------------------------------- */

static struct plan *
plan_find(const struct secretd *s, const char *agent)
{
	struct plan *plan = s->plans;

	while (plan && strcmp(plan->agent, agent) != 0)
		plan = plan->next;
	return plan;
}

void
plans_free(struct secretd *s)
{
	struct plan *plan;

	while ((plan = s->plans)) {
		s->plans = plan->next;
		free(plan);
	}
	s->plans_known = false;
}

int
plan_digest_of(const struct secretd *s, const char *agent, uint8_t digest[PLAN_DIGEST_BYTES],
	       struct error *error)
{
	const struct plan *plan = plan_find(s, agent);

	if (plan) {
		memcpy(digest, plan->digest, PLAN_DIGEST_BYTES);
		return 0;
	}
	if (!s->plans_known)
		return error_why(error, ERR_UNREACHABLE,
				 "runnerd is being started and has not said what is installed");
	error_why(error, ERR_NOT_FOUND, "no such agent: %s", agent);
	return error_hint(error, "a grant is bound to the installed definition: install it first");
}

enum grant_state
grant_state(const struct secretd *s, const struct grant *grant)
{
	const struct plan *plan = plan_find(s, grant->agent);

	if (grant->until_at_ms && realtime_ms() >= grant->until_at_ms)
		return GRANT_EXPIRED;
	if (grant->max_uses && grant->uses >= grant->max_uses)
		return GRANT_USED_UP;
	if (!plan)
		return GRANT_UNKNOWN;
	return memcmp(plan->digest, grant->digest, PLAN_DIGEST_BYTES) == 0 ? GRANT_HOLDS
									   : GRANT_LAPSED;
}

static void
plan_digest(struct secretd *s, struct msg *msg)
{
	struct plan *plan = plan_find(s, msg->plan_digest.agent);

	if (msg->plan_digest.digest_len != PLAN_DIGEST_BYTES)
		return;
	if (!plan) {
		plan = calloc(1, sizeof(*plan));
		if (!plan) {
			log_error("no memory to know the agent %s", msg->plan_digest.agent);
			return;
		}
		memcpy(plan->agent, msg->plan_digest.agent, sizeof(plan->agent));
		plan->next = s->plans;
		s->plans = plan;
	}
	memcpy(plan->digest, msg->plan_digest.digest, sizeof(plan->digest));
}

static void
plan_gone(struct secretd *s, struct msg *msg)
{
	const char *agent = msg->plan_gone.agent;
	struct error error = ERROR_INIT;
	struct plan **at = &s->plans, *plan;
	int rc;

	while (*at && strcmp((*at)->agent, agent) != 0)
		at = &(*at)->next;
	plan = *at;
	if (plan)
		*at = plan->next;
	free(plan);
	rc = store_revoke_agent(s->store, agent, &error);
	if (rc != 0)
		audit_secret(s, NULL,
			     &(struct audited){.action = "secret.revoke",
					       .agent = agent,
					       .error = rc < 0 ? &error : NULL},
			     "the agent was removed: %d grants", rc < 0 ? 0 : rc);
}

static void
plans_end(struct secretd *s, struct msg *msg)
{
	(void)msg;
	s->plans_known = true;
}

/* --- may it?
 * ----------------------------------------------------------------------------------------- */

static int
deny(const struct msg_secret_hand *hand, struct error *error, const char *why)
{
	const char *server = hand->for_server;

	error_why(error, ERR_PERMISSION, "%s", why);
	error_hint(error, "ash secret grant %s --agent %s%s%s", hand->secret, hand->agent,
		   *server ? " --for " : "", server);
	return error_what(error, "the secret %s", hand->secret);
}

static uint64_t
least_bound(uint64_t a, uint64_t b)
{
	return a && (!b || a < b) ? a : b;
}

const struct grant *
hand_decide(const struct store *store, const struct msg_secret_hand *hand, uint64_t now_ms,
	    struct error *error)
{
	const struct secret *secret = index_find(store_index(store), hand->secret);
	const struct grant *grant;
	uint64_t most;

	if (!secret) {
		error_why(error, ERR_NOT_FOUND, "no such secret: %s", hand->secret);
		error_hint(error, "ash secret set %s, then ash secret grant %s --agent %s%s%s",
			   hand->secret, hand->secret, hand->agent,
			   *hand->for_server ? " --for " : "", hand->for_server);
		return NULL;
	}
	grant = grant_find(secret, hand->agent, hand->for_server);
	most = grant ? least_bound(grant->max_uses, hand->max_uses) : 0;
	if (!grant)
		deny(hand, error, "it is not granted to this agent");
	else if (hand->digest_len != PLAN_DIGEST_BYTES ||
		 memcmp(grant->digest, hand->digest, PLAN_DIGEST_BYTES) != 0)
		deny(hand, error, "its grant was for another definition of this agent");
	else if (grant->until_at_ms && now_ms >= grant->until_at_ms)
		deny(hand, error, "its grant has expired");
	else if (!hand->replace && most && grant->uses >= most)
		deny(hand, error, "its grant is used up");
	else
		return grant;
	return NULL;
}

/* --- handing over
 * ------------------------------------------------------------------------------------- */

enum { SEALS = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL };

/* A try before this one may have left a part, or all. */
static int
write_value(int fd, const uint8_t *value, size_t size, bool seal)
{
	int rc;

	if (seal && (fcntl(fd, F_GET_SEALS) & SEALS) == SEALS)
		return 0;
	if (ftruncate(fd, 0) < 0)
		return -errno;
	rc = pwrite_all(fd, value, size, 0);
	return rc == 0 && seal && fcntl(fd, F_ADD_SEALS, SEALS) < 0 ? -errno : rc;
}

static int
hand_over(struct secretd *s, const struct msg_secret_hand *hand, int fd, uint64_t *version,
	  struct error *error)
{
	const struct secret *secret;
	const struct grant *grant;
	size_t size;
	int rc;

	if (store_state(s->store) == STORE_EMPTY)
		return deny(hand, error, "there is no such secret");
	if (store_state(s->store) != STORE_OPEN)
		return store_closed(s->store, error);
	grant = hand_decide(s->store, hand, realtime_ms(), error);
	if (!grant)
		return -1;
	if (fd_check(fd, S_IFREG, O_WRONLY) < 0)
		return error_why(error, ERR_FAILED, "runnerd passed no file to write");
	secret = index_find(store_index(s->store), hand->secret);
	*version = secret->version;
	if (!hand->replace && (grant->max_uses || hand->max_uses) &&
	    store_use(s->store, secret, grant, error) < 0)
		return -1;
	if (store_read(s->store, hand->secret, &size, error) < 0)
		return -1;
	rc = write_value(fd, store_value(s->store), size, hand->seal);
	store_forget(s->store);
	return rc < 0 ? error_errno(error, -rc, "writing the credential %s", hand->secret) : 0;
}

const char *
purpose_of(const char *for_server)
{
	return *for_server ? for_server : "agent";
}

static void
audit_hand(struct secretd *s, const struct msg_secret_hand *hand, uint64_t version,
	   const struct error *error)
{
	audit_secret(s, NULL,
		     &(struct audited){.action = error ? "secret.deny" : "secret.hand-over",
				       .secret = hand->secret,
				       .agent = hand->agent,
				       .purpose = purpose_of(hand->for_server),
				       .version = version,
				       .session = &hand->session,
				       .error = error},
		     "%s", hand->replace ? "in place of the last" : "");
}

static void
secret_hand(struct secretd *s, struct msg *msg)
{
	struct error error = ERROR_INIT;
	uint64_t version = 0;
	struct msg answer;
	int rc = hand_over(s, &msg->secret_hand, msg->fds[0], &version, &error);

	audit_hand(s, &msg->secret_hand, version, rc < 0 ? &error : NULL);
	if (rc < 0) {
		channel_reply_error(s->runnerd, msg->id, &error);
		return;
	}
	msg_init(&answer, MSG_SECRET_HANDED);
	answer.id = msg->id;
	answer.secret_handed.version = version;
	channel_send(s->runnerd, &answer);
}

/* --- the channel
 * --------------------------------------------------------------------------------------- */

/* What keepers filter by. */

/* The next text of the list with its NUL; NULL at its end, and when that is no text. */
static const char *
next_text(const uint8_t **at, const uint8_t *end, size_t max)
{
	const char *text = (const char *)*at;
	const uint8_t *nul = memchr(*at, '\0', (size_t)(end - *at));

	if (!nul || (size_t)(nul - *at) > max)
		return NULL;
	*at = nul + 1;
	return text;
}

static int
spell(struct secretd *s, const char *name, struct error *error)
{
	struct error none = ERROR_INIT;
	size_t size;
	int rc;

	if (spellings_have(s->spellings, name))
		return 0; /* for another sandbox of the session */
	rc = store_read(s->store, name, &size, error);
	if (rc < 0)
		return -1;
	rc = spellings_add(s->spellings, name, store_value(s->store), size);
	/* It may have been set anew between the hand-over and now. */
	if (rc == 0 && store_read_previous(s->store, name, &size, &none) == 0)
		rc = spellings_add(s->spellings, name, store_value(s->store), size);
	store_forget(s->store);
	return rc < 0 ? error_errno(error, -rc, "the fingerprints of %s", name) : 0;
}

/* Only of what this agent may have: a fingerprint says a little about a value. */
static int
spell_all(struct secretd *s, const struct msg_secret_prints_query *query, struct error *error)
{
	struct msg_secret_hand hand = {.digest_len = query->digest_len, .replace = true};
	const uint8_t *at = query->secrets, *end = at + query->secrets_len;

	if (store_state(s->store) != STORE_OPEN)
		return store_closed(s->store, error);
	memcpy(hand.agent, query->agent, sizeof(hand.agent));
	memcpy(hand.digest, query->digest, sizeof(hand.digest));
	spellings_begin(s->spellings, store_prints_key(s->store), &query->session);
	while (at < end) {
		const char *name = next_text(&at, end, SECRET_NAME_MAX);
		const char *server = name ? next_text(&at, end, SERVER_NAME_MAX) : NULL;

		if (!server)
			return error_why(error, ERR_INVALID, "the list of secrets is damaged");
		memcpy(hand.secret, name, strlen(name) + 1);
		memcpy(hand.for_server, server, strlen(server) + 1);
		if (!hand_decide(s->store, &hand, realtime_ms(), error) ||
		    spell(s, name, error) < 0)
			return -1;
	}
	return 0;
}

static void
secret_prints_query(struct secretd *s, struct msg *msg)
{
	struct error error = ERROR_INIT;
	struct msg answer;
	int fd = spell_all(s, &msg->secret_prints_query, &error);

	if (fd == 0) {
		fd = spellings_seal(s->spellings);
		if (fd < 0)
			error_errno(&error, -fd, "sealing fingerprints");
	}
	if (fd < 0) {
		channel_reply_error(s->runnerd, msg->id, &error);
		return;
	}
	msg_init(&answer, MSG_SECRET_PRINTS);
	answer.id = msg->id;
	msg_add_fd(&answer, fd);
	channel_send(s->runnerd, &answer);
}

static void
secret_replaced(struct secretd *s, struct msg *msg)
{
	call_answered(s, s->runnerd, msg);
}

static const struct {
	enum msg_type type;
	void (*run)(struct secretd *s, struct msg *msg);
} messages[] = {
    {MSG_PLAN_DIGEST, plan_digest},
    {MSG_PLAN_GONE, plan_gone},
    {MSG_PLANS_END, plans_end},
    {MSG_SECRET_HAND, secret_hand},
    {MSG_SECRET_REPLACED, secret_replaced},
    {MSG_SECRET_PRINTS_QUERY, secret_prints_query},
};

static void
runnerd_message(struct channel *channel, struct msg *msg, void *arg)
{
	(void)channel;
	for (size_t i = 0; i < ARRAY_LEN(messages); i++)
		if (messages[i].type == msg->type)
			messages[i].run(arg, msg);
}

static void
runnerd_closed(struct channel *channel, const struct error *error, void *arg)
{
	struct secretd *s = arg;

	if (error)
		log_problem(LOG_LEVEL_WARNING, error);
	if (s->runnerd == channel)
		s->runnerd = NULL;
	plans_free(s);
	calls_give_up(s, channel);
}

static const struct channel_ops runnerd_ops = {
    .message = runnerd_message,
    .closed = runnerd_closed,
};

void
runnerd_introduced(struct secretd *s, int fd)
{
	const struct channel *before = s->runnerd;

	channel_free(s->runnerd);
	plans_free(s);
	s->runnerd = channel_new(s->loop, fd, CH_RUNNERD_SECRETD, SIDE_B, ROLE_SECRETD,
				 ROLE_RUNNERD, &runnerd_ops, s);
	if (!s->runnerd)
		log_error("the channel of runnerd: %s", strerror(errno));
	if (before)
		calls_give_up(s, before);
}
