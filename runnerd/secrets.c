#include "secrets.h"

#include <fcntl.h>
#include <sodium.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "credentials.h"
#include "inject.h"
#include "tools.h"

_Static_assert(PLAN_DIGEST_BYTES == crypto_generichash_BYTES, "a digest is BLAKE2b-256");

enum { NEW_NAME_MAX = 128 + sizeof("..new") };

/* `ash secret set --now`, until every live session has the value or cannot have it. */
struct replacement {
	struct replacement *next;
	uint32_t id; /* secretd's question */
	unsigned waiting;
	uint32_t replaced, failed;
};

/* One file that secretd shall write; or the fingerprints of all that the session has. */
struct hand {
	struct hand *next;
	uint32_t id;
	struct session *session;
	struct msg_secret_hand what;
	int fd; /* its write end, until secretd says that it is written */
	/* A value that changed: the directory where it takes the old one's place. */
	int dir;
	char file[128 + 1];
	struct replacement *replacement; /* NULL: nobody waits for the count */
	unsigned rule;                   /* what.seal: of inject */
	bool prints, refreshed;          /* refreshed: a value has changed */
	bool written;                    /* and waits until it can be told apart */
};

struct secrets {
	struct runnerd *r;
	struct channel *channel;
	bool open;
	uint32_t last_id;
	struct hand *hands;
	struct replacement *replacements;
};

/* --- what is installed --------------------------------------------------------------------------
 */

void
plan_digest(const struct agent *agent, uint8_t digest[PLAN_DIGEST_BYTES])
{
	const char *dir = agent->head.install_dir;
	crypto_generichash_state state;

	crypto_generichash_init(&state, NULL, 0, PLAN_DIGEST_BYTES);
	crypto_generichash_update(&state, (const uint8_t *)dir, strlen(dir) + 1);
	crypto_generichash_update(&state, agent->plan_bytes, agent->head.plan_bytes);
	crypto_generichash_final(&state, digest, PLAN_DIGEST_BYTES);
}

void
secrets_tell_plan(struct secrets *secrets, const struct agent *agent)
{
	struct msg msg;

	if (!secrets || !secrets->open)
		return;
	msg_init(&msg, MSG_PLAN_DIGEST);
	memcpy(msg.plan_digest.agent, agent->head.name, sizeof(agent->head.name));
	msg.plan_digest.digest_len = PLAN_DIGEST_BYTES;
	plan_digest(agent, msg.plan_digest.digest);
	channel_send(secrets->channel, &msg);
}

void
secrets_tell_gone(struct secrets *secrets, const char *agent)
{
	struct msg msg;

	if (!secrets || !secrets->open)
		return;
	msg_init(&msg, MSG_PLAN_GONE);
	snprintf(msg.plan_gone.agent, sizeof(msg.plan_gone.agent), "%s", agent);
	channel_send(secrets->channel, &msg);
}

static void
tell_plans(struct secrets *secrets)
{
	size_t count = store_count(secrets->r->store);
	struct msg msg;

	for (size_t i = 0; i < count; i++)
		secrets_tell_plan(secrets, store_at(secrets->r->store, i));
	msg_init(&msg, MSG_PLANS_END);
	msg.plans_end.agents = (uint32_t)count;
	channel_send(secrets->channel, &msg);
}

/* --- asking
 * ---------------------------------------------------------------------------------------- */

/* What is asked in one message: each secret with the server that it is for. */
static int
add_print(const struct secret_use *use, void *arg)
{
	struct msg_secret_prints_query *query = arg;
	size_t name = strlen(use->credential->name) + 1, server = strlen(use->server) + 1;

	/* SECRETS_OF_PLAN_MAX of them have room. */
	if (query->secrets_len + name + server > sizeof(query->secrets))
		return -E2BIG;
	memcpy(query->secrets + query->secrets_len, use->credential->name, name);
	query->secrets_len += (uint32_t)name;
	memcpy(query->secrets + query->secrets_len, use->server, server);
	query->secrets_len += (uint32_t)server;
	return 0;
}

static void
send_prints_query(struct secrets *secrets, const struct hand *hand)
{
	struct msg_secret_prints_query *query;
	struct msg msg;

	msg_init(&msg, MSG_SECRET_PRINTS_QUERY);
	msg.id = hand->id;
	query = &msg.secret_prints_query;
	query->session = hand->what.session;
	memcpy(query->agent, hand->what.agent, sizeof(query->agent));
	query->digest_len = hand->what.digest_len;
	memcpy(query->digest, hand->what.digest, sizeof(query->digest));
	secret_uses(hand->session->agent->plan, NULL, add_print, query);
	channel_send(secrets->channel, &msg);
}

static void
send_hand(struct secrets *secrets, const struct hand *hand)
{
	struct msg msg;

	if (!secrets->open || hand->written)
		return;
	if (hand->prints) {
		send_prints_query(secrets, hand);
		return;
	}
	msg_init(&msg, MSG_SECRET_HAND);
	msg.id = hand->id;
	msg.secret_hand = hand->what;
	if (msg_add_fd(&msg, fcntl(hand->fd, F_DUPFD_CLOEXEC, 3)))
		channel_send(secrets->channel, &msg);
	else
		log_session(LOG_LEVEL_ERROR, &hand->session->id, "no descriptor to pass on");
}

static void
hand_free(struct secrets *secrets, struct hand *hand)
{
	struct hand **at = &secrets->hands;

	while (*at && *at != hand)
		at = &(*at)->next;
	if (*at)
		*at = hand->next;
	close_fd(&hand->fd);
	close_fd(&hand->dir);
	free(hand);
}

static struct hand *
hand_new(struct session *s)
{
	struct secrets *secrets = s->r->secrets;
	struct hand *hand = calloc(1, sizeof(*hand));

	if (!hand)
		return NULL;
	hand->session = s;
	hand->fd = hand->dir = -1;
	hand->id = ++secrets->last_id ? secrets->last_id : ++secrets->last_id;
	hand->what.session = s->id;
	memcpy(hand->what.agent, s->agent_name, sizeof(s->agent_name));
	hand->what.digest_len = PLAN_DIGEST_BYTES;
	plan_digest(s->agent, hand->what.digest);
	hand->next = secrets->hands;
	secrets->hands = hand;
	return hand;
}

static struct hand *
hand_of(struct session *s, const struct secret_use *use, uint64_t max_uses)
{
	struct hand *hand = hand_new(s);

	if (!hand)
		return NULL;
	snprintf(hand->what.secret, sizeof(hand->what.secret), "%s", use->credential->name);
	snprintf(hand->what.for_server, sizeof(hand->what.for_server), "%s", use->server);
	hand->what.max_uses = max_uses;
	hand->what.seal = use->place == PLACE_EGRESS;
	hand->rule = use->rule;
	snprintf(hand->file, sizeof(hand->file), "%s", use->file);
	return hand;
}

/* What the keeper filters by: before the gate opens, and again before a changed value takes its
 * place. 0 or -ENOMEM. */
static int
ask_prints(struct session *s, bool refreshed)
{
	struct hand *hand = hand_new(s);

	if (!hand)
		return -ENOMEM;
	hand->prints = true;
	hand->refreshed = refreshed;
	if (!refreshed)
		s->hands++;
	send_hand(s->r->secrets, hand);
	return 0;
}

int
secrets_ask(struct session *s, const struct secret_use *use, uint64_t max_uses, int fd)
{
	struct hand *hand = hand_of(s, use, max_uses);

	if (!hand) {
		close(fd);
		return -ENOMEM;
	}
	hand->fd = fd;
	s->hands++;
	send_hand(s->r->secrets, hand);
	return 0;
}

/* --- replacing
 * --------------------------------------------------------------------------------------- */

static void
replacement_done(struct secrets *secrets, struct replacement *done)
{
	struct replacement **at = &secrets->replacements;
	struct msg msg;

	while (*at != done)
		at = &(*at)->next;
	*at = done->next;
	msg_init(&msg, MSG_SECRET_REPLACED);
	msg.id = done->id;
	msg.secret_replaced.replaced = done->replaced;
	msg.secret_replaced.failed = done->failed;
	if (secrets->open)
		channel_send(secrets->channel, &msg);
	free(done);
}

/* One session more has the new value, or keeps the old one. */
static void
count_in(struct secrets *secrets, struct replacement *replacement, bool replaced)
{
	if (!replacement)
		return;
	replacement->replaced += replaced;
	replacement->failed += !replaced;
	if (--replacement->waiting == 0)
		replacement_done(secrets, replacement);
}

/* Whose files they are. */
struct holder {
	const struct procid *init; /* NULL: there is no such sandbox */
	uint32_t uid;
	bool *stale;
};

static struct holder
holder_of(struct session *s, const char *server)
{
	struct tool_server *plugin = *server ? tools_find(s->tools, server) : NULL;

	if (!*server)
		return (struct holder){&s->init, AGENT_UID, &s->credentials_stale};
	if (!plugin)
		return (struct holder){0};
	return (struct holder){&plugin->init, plugin->uid, &plugin->credentials_stale};
}

static int
replace_one(struct session *s, const struct secret_use *use, const struct holder *holder,
	    struct replacement *replacement)
{
	_cleanup_close_ int dir = credentials_dir(s, holder->init, use->place), fd = -1;
	char fresh[NEW_NAME_MAX];
	struct hand *hand;

	if (dir < 0)
		return dir;
	credentials_new_name(use->file, fresh, sizeof(fresh));
	if (unlinkat(dir, fresh, 0) < 0 && errno != ENOENT)
		return -errno;
	fd = credentials_file(s, dir, fresh, use->place, holder->uid);
	if (fd < 0)
		return fd;
	/* The keeper hides the new value before the program can read it. */
	if (ask_prints(s, true) < 0)
		return -ENOMEM;
	hand = hand_of(s, use, 0);
	if (!hand)
		return -ENOMEM;
	hand->what.replace = true;
	hand->fd = steal_fd(&fd);
	hand->dir = steal_fd(&dir);
	hand->replacement = replacement;
	send_hand(s->r->secrets, hand);
	return 0;
}

static void
replace_in(struct session *s, const struct secret_use *use, struct replacement *replacement)
{
	struct holder holder = holder_of(s, use->server);
	int rc;

	if (replacement)
		replacement->waiting++;
	/* Who injects it has one value for the session. */
	if (use->place == PLACE_EGRESS) {
		count_in(s->r->secrets, replacement, false);
		return;
	}
	/* It is being built: gets it as soon as its first process is known. */
	if (s->phase == PHASE_BUILDING && holder.init && !holder.init->pid) {
		*holder.stale = true;
		count_in(s->r->secrets, replacement, true);
		return;
	}
	rc = holder.init ? replace_one(s, use, &holder, replacement) : -ESRCH;
	if (rc == 0)
		return;
	if (rc != -ESRCH) /* it is ending */
		log_session(LOG_LEVEL_WARNING, &s->id, "cannot replace the credential %s: %s",
			    use->file, strerrordesc_np(-rc));
	count_in(s->r->secrets, replacement, false);
}

static bool
holds_credentials(const struct session *s)
{
	return s->agent && s->phase <= PHASE_STOPPING && s->built[STEP_CREDENTIALS];
}

/* A changed secret in one session. */
struct changed {
	struct session *s;
	const char *secret; /* NULL: all */
	struct replacement *replacement;
};

static int
change_one(const struct secret_use *use, void *arg)
{
	const struct changed *changed = arg;

	if (!changed->secret || strcmp(use->credential->name, changed->secret) == 0)
		replace_in(changed->s, use, changed->replacement);
	return 0;
}

static void
secret_changed(struct secrets *secrets, const struct msg *msg)
{
	struct replacement *replacement = calloc(1, sizeof(*replacement));
	struct changed changed = {.secret = msg->secret_changed.secret, .replacement = replacement};

	if (!replacement)
		return;
	replacement->id = msg->id;
	replacement->waiting = 1; /* until all sessions were seen */
	replacement->next = secrets->replacements;
	secrets->replacements = replacement;
	for (changed.s = secrets->r->sessions->first; changed.s; changed.s = changed.s->next)
		if (holds_credentials(changed.s))
			secret_uses(changed.s->agent->plan, NULL, change_one, &changed);
	if (--replacement->waiting == 0)
		replacement_done(secrets, replacement);
}

void
secrets_built(struct session *s, const char *server)
{
	struct holder holder = holder_of(s, server);
	struct changed changed = {.s = s};

	if (!holder.init || !*holder.stale || !holds_credentials(s))
		return;
	*holder.stale = false;
	secret_uses(s->agent->plan, server, change_one, &changed);
}

/* --- answers
 * ------------------------------------------------------------------------------------------- */

static struct hand *
hand_find(const struct secrets *secrets, uint32_t id)
{
	struct hand *hand = secrets->hands;

	while (hand && hand->id != id)
		hand = hand->next;
	return hand;
}

/* The agent reads the old value or the new one, never a part. */
static void
replaced(struct secrets *secrets, struct hand *hand, const struct error *error)
{
	char fresh[NEW_NAME_MAX];
	int rc = error ? -ECANCELED : 0;

	credentials_new_name(hand->file, fresh, sizeof(fresh));
	if (rc == 0 && renameat(hand->dir, fresh, hand->dir, hand->file) < 0)
		rc = -errno;
	if (rc < 0) {
		unlinkat(hand->dir, fresh, 0);
		log_session(LOG_LEVEL_WARNING, &hand->session->id,
			    "its credential %s stays as it was: %s", hand->file,
			    error ? error->why : strerrordesc_np(-rc));
	}
	count_in(secrets, hand->replacement, rc == 0);
	hand_free(secrets, hand);
}

/* Is what the session prints filtered by all that its keeper and its broker were told? */
static bool
filters_are_new(const struct session *s)
{
	bool broker = s->tools && s->tools->broker;

	return s->keeper_redactions >= s->redactions &&
	       (!broker || s->broker_redactions >= s->redactions);
}

static void
take_place(struct secrets *secrets, struct hand *hand)
{
	struct error error = ERROR_INIT;

	hand->written = true;
	if (hand->session->redaction_failed) {
		error_why(&error, ERR_FAILED,
			  "the new value could not be told apart in its output");
		replaced(secrets, hand, &error);
	} else if (filters_are_new(hand->session)) {
		replaced(secrets, hand, NULL);
	}
}

void
secrets_redacted(struct session *s)
{
	struct secrets *secrets = s->r->secrets;
	struct hand *hand, *next;

	for (hand = secrets ? secrets->hands : NULL; hand; hand = next) {
		next = hand->next;
		if (hand->session == s && hand->written)
			take_place(secrets, hand);
	}
}

/* What an operator can grant or store ends it as refused; what only a repair helps, as failed. */
static void
refuse(struct session *s, const struct error *error)
{
	char text[ERROR_TEXT_MAX + 1], reason[REASON_MAX + 1];

	if (error->code == ERR_FAILED) {
		s->step = STEP_CREDENTIALS;
		session_fail(s, error);
		return;
	}
	snprintf(reason, sizeof(reason), error->hint[0] ? "%.500s; %s" : "%.500s",
		 error_text(error, text), error->hint);
	session_end(s, OUTCOME_REFUSED, reason);
}

static void
answered(struct secrets *secrets, struct msg *msg, const struct error *error)
{
	struct error no_memory = ERROR_INIT;
	struct hand *hand = hand_find(secrets, msg->id);
	struct session *s;

	if (!hand)
		return;
	if (hand->prints)
		hand->session->redaction_failed = error != NULL;
	if (hand->prints && !error) {
		hand->session->redactions++;
		tools_tell_redaction(hand->session, msg->fds[0]);
		keeper_tell_redaction(hand->session, msg_take_fd(msg, 0));
	}
	if (hand->what.replace) {
		if (error)
			replaced(secrets, hand, error);
		else
			take_place(secrets, hand);
		return;
	}
	s = hand->session;
	s->r->usage.secrets += !hand->prints && !error;
	if (hand->prints && hand->refreshed) {
		hand_free(secrets, hand);
		if (error)
			log_session(LOG_LEVEL_WARNING, &s->id,
				    "its output is filtered by the old values: %s", error->why);
		return;
	}
	if (hand->what.seal && !error)
		inject_written(s, hand->rule);
	if (--s->hands == 0 && !hand->prints && !error && ask_prints(s, false) < 0)
		error_errno(&no_memory, ENOMEM, "asking for fingerprints");
	hand_free(secrets, hand);
	if (error || no_memory.code)
		refuse(s, error ? error : &no_memory);
	else
		session_progress(s);
}

void
secrets_forget(struct session *s)
{
	struct secrets *secrets = s->r->secrets;
	struct hand *hand, *next;

	for (hand = secrets ? secrets->hands : NULL; hand; hand = next) {
		next = hand->next;
		if (hand->session != s)
			continue;
		count_in(secrets, hand->replacement, false);
		hand_free(secrets, hand);
	}
	s->hands = 0;
}

/* --- the channel
 * ---------------------------------------------------------------------------------------- */

static void
message(struct channel *channel, struct msg *msg, void *arg)
{
	struct error error = ERROR_INIT;

	(void)channel;
	if (msg->type == MSG_SECRET_CHANGED) {
		secret_changed(arg, msg);
	} else if (msg->type == MSG_SECRET_HANDED || msg->type == MSG_SECRET_PRINTS) {
		answered(arg, msg, NULL);
	} else if (msg->type == MSG_ERROR) {
		msg_to_error(msg, &error);
		answered(arg, msg, &error);
	}
}

static void
opened(struct channel *channel, void *arg)
{
	struct secrets *secrets = arg;

	(void)channel;
	secrets->open = true;
	tell_plans(secrets);
	for (struct hand *hand = secrets->hands; hand; hand = hand->next)
		send_hand(secrets, hand);
}

/* Nobody waits for the counts any more; the files are written all the same by the next secretd. */
static void
let_go(struct secrets *secrets)
{
	struct replacement *replacement;

	for (struct hand *hand = secrets->hands; hand; hand = hand->next)
		hand->replacement = NULL;
	while ((replacement = secrets->replacements)) {
		secrets->replacements = replacement->next;
		free(replacement);
	}
	secrets->open = false;
}

static void
closed(struct channel *channel, const struct error *error, void *arg)
{
	struct secrets *secrets = arg;

	if (error)
		log_problem(LOG_LEVEL_WARNING, error);
	else
		log_info("secretd went away");
	if (secrets->channel == channel)
		secrets->channel = NULL;
	let_go(secrets);
}

static const struct channel_ops ops = {.opened = opened, .message = message, .closed = closed};

void
secrets_introduced(struct secrets *secrets, int fd)
{
	channel_free(secrets->channel);
	let_go(secrets);
	secrets->channel = channel_new(secrets->r->loop, fd, CH_RUNNERD_SECRETD, SIDE_A,
				       ROLE_RUNNERD, ROLE_SECRETD, &ops, secrets);
	if (!secrets->channel)
		log_error("the channel with secretd: %s", strerrordesc_np(errno));
}

struct secrets *
secrets_new(struct runnerd *r)
{
	struct secrets *secrets = calloc(1, sizeof(*secrets));

	if (secrets)
		secrets->r = r;
	return secrets;
}

void
secrets_free(struct secrets *secrets)
{
	if (!secrets)
		return;
	channel_free(secrets->channel);
	while (secrets->hands)
		hand_free(secrets, secrets->hands);
	let_go(secrets);
	free(secrets);
}
