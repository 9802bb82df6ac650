#include "requests.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "common/log.h"
#include "common/values.h"
#include "hand.h"

/* --- checks
 * ----------------------------------------------------------------------------------------- */

static int
check_name(const char *name, struct error *error)
{
	char why[REASON_SIZE];

	if (value_secret_name(name, why))
		return 0;
	error_why(error, ERR_USAGE, "the name of a secret %s", why);
	return -1;
}

ssize_t
pipe_read(int fd, uint8_t *bytes, size_t max, struct error *error)
{
	uint8_t more;
	ssize_t length = fd_check(fd, S_IFIFO, O_RDONLY);

	if (length == 0)
		length = fd_set_nonblock(fd, true);
	if (length == 0)
		length = read_all(fd, bytes, max);
	if (length == (ssize_t)max && read(fd, &more, 1) != 0)
		return error_why(error, ERR_USAGE, "it has more than %zu bytes", max);
	if (length < 0)
		return error_errno(error, (int)-length, "it did not come whole");
	return length;
}

/* Newlines at the end do not count: redaction looks for what stands before them. */
static int
check_value(const uint8_t *value, size_t size, struct error *error)
{
	while (size > 0 && (value[size - 1] == '\n' || value[size - 1] == '\r'))
		size--;
	if (size >= SECRET_BYTES_MIN)
		return 0;
	error_why(error, ERR_USAGE, "it has less than %d bytes", SECRET_BYTES_MIN);
	return error_hint(error, "what is shorter could not be kept out of logs: ordinary text "
				 "has it too");
}

/* --- set
 * -------------------------------------------------------------------------------------------- */

static int
store_value_of(struct secretd *s, struct msg *msg, uint64_t *version, struct error *error)
{
	const char *name = msg->op_secret_set.secret;
	ssize_t size;
	int rc = -1;

	if (check_name(name, error) < 0)
		return -1;
	size = pipe_read(msg->fds[0], store_value(s->store), SECRET_BYTES_MAX, error);
	if (size >= 0 && check_value(store_value(s->store), (size_t)size, error) == 0)
		rc = store_set(s->store, name, (size_t)size, version, error);
	store_forget(s->store);
	return rc < 0 ? error_what(error, "storing the secret %s", name) : 0;
}

/* The version that it takes the place of is then the one before. */
static int
restore_value_of(struct secretd *s, struct msg *msg, uint64_t *version, struct error *error)
{
	const char *name = msg->op_secret_restore.secret;
	size_t size;
	int rc = -1;

	if (check_name(name, error) < 0)
		return -1;
	if (store_read_previous(s->store, name, &size, error) == 0)
		rc = store_set(s->store, name, size, version, error);
	store_forget(s->store);
	return rc < 0 ? error_what(error, "restoring the secret %s", name) : 0;
}

/* Of the two requests that store a value. */
static const char *
secret_of(const struct msg *msg)
{
	return msg->type == MSG_OP_SECRET_RESTORE ? msg->op_secret_restore.secret
						  : msg->op_secret_set.secret;
}

static bool
is_for_now(const struct msg *msg)
{
	return msg->type == MSG_OP_SECRET_RESTORE ? msg->op_secret_restore.now
						  : msg->op_secret_set.now;
}

static void
reply_stored(struct client *client, uint32_t id, uint64_t version, uint32_t replaced,
	     uint32_t failed)
{
	struct msg reply;

	msg_init(&reply, MSG_SECRET_STORED);
	reply.secret_stored.version = version;
	reply.secret_stored.replaced = replaced;
	reply.secret_stored.failed = failed;
	client_reply(client, id, &reply);
}

static uint64_t
version_of(const struct secretd *s, const char *name)
{
	const struct secret *secret = index_find(store_index(s->store), name);

	return secret ? secret->version : 0;
}

/* runnerd has put it into what sessions it could. */
static void
replaced(struct secretd *s, struct call *call, struct msg *answer)
{
	const char *name = secret_of(&call->request);
	uint32_t done = answer ? answer->secret_replaced.replaced : 0;
	uint32_t failed = answer ? answer->secret_replaced.failed : 0;
	struct error error = ERROR_INIT;

	if (!answer) {
		error_why(&error, ERR_UNREACHABLE,
			  "%s is stored, but runnerd went away while live sessions got it", name);
		error_hint(&error, "ash secret set %s --now again", name);
		client_error(call->client, call->request.id, &error);
		return;
	}
	audit_secret(s, call->client,
		     &(struct audited){.action = "secret.replace",
				       .secret = name,
				       .version = version_of(s, name)},
		     "in %u live sessions, %u could not get it", done, failed);
	reply_stored(call->client, call->request.id, version_of(s, name), done, failed);
}

static void
replace_now(struct client *client, struct msg *msg)
{
	struct secretd *s = client->s;
	struct error error = ERROR_INIT;
	struct msg question;

	msg_init(&question, MSG_SECRET_CHANGED);
	memcpy(question.secret_changed.secret, secret_of(msg),
	       sizeof(question.secret_changed.secret));
	if (call_ask(s, s->runnerd, &question, client, msg, replaced) == 0)
		return;
	error_why(&error, ERR_UNREACHABLE,
		  "%s is stored, but runnerd is away and live sessions keep the old value",
		  secret_of(msg));
	client_error(client, msg->id, &error);
}

static void
set(struct client *client, struct msg *msg)
{
	bool restore = msg->type == MSG_OP_SECRET_RESTORE;
	struct secretd *s = client->s;
	struct error error = ERROR_INIT;
	uint64_t version = 0;
	int rc = restore ? restore_value_of(s, msg, &version, &error)
			 : store_value_of(s, msg, &version, &error);

	audit_secret(s, client,
		     &(struct audited){.action = restore ? "secret.restore" : "secret.set",
				       .secret = secret_of(msg),
				       .version = version,
				       .error = rc < 0 ? &error : NULL},
		     "change %llu of the store", (unsigned long long)store_counter(s->store));
	if (rc < 0)
		client_error(client, msg->id, &error);
	else if (is_for_now(msg))
		replace_now(client, msg);
	else
		reply_stored(client, msg->id, version, 0, 0);
}

/* --- list
 * ------------------------------------------------------------------------------------------- */

static int
add_grants(struct secretd *s, struct rows *rows, const struct secret *secret, const char *agent)
{
	struct msg row;
	int rc = 0;

	for (const struct grant *g = secret->grants; rc == 0 && g; g = g->next) {
		if (*agent && strcmp(g->agent, agent) != 0)
			continue;
		msg_init(&row, MSG_GRANT_ROW);
		memcpy(row.grant_row.secret, secret->name, sizeof(secret->name));
		memcpy(row.grant_row.agent, g->agent, sizeof(g->agent));
		memcpy(row.grant_row.for_server, g->for_server, sizeof(g->for_server));
		row.grant_row.digest_len = sizeof(g->digest);
		memcpy(row.grant_row.digest, g->digest, sizeof(g->digest));
		row.grant_row.granted_at_ms = g->granted_at_ms;
		row.grant_row.until_at_ms = g->until_at_ms;
		row.grant_row.max_uses = g->max_uses;
		row.grant_row.uses = g->uses;
		row.grant_row.uid = g->uid;
		row.grant_row.state = (uint8_t)grant_state(s, g);
		rc = rows_add(rows, &row);
	}
	return rc;
}

static int
add_secret(struct secretd *s, struct rows *rows, const struct secret *secret, const char *agent)
{
	struct msg row;
	int rc;

	msg_init(&row, MSG_SECRET_ROW);
	memcpy(row.secret_row.secret, secret->name, sizeof(secret->name));
	row.secret_row.version = secret->version;
	row.secret_row.size = secret->size;
	row.secret_row.created_at_ms = secret->created_at_ms;
	row.secret_row.updated_at_ms = secret->updated_at_ms;
	snprintf(row.secret_row.damage, sizeof(row.secret_row.damage), "%s",
		 secret->damage ? secret->damage : "");
	rc = rows_add(rows, &row);
	return rc < 0 ? rc : add_grants(s, rows, secret, agent);
}

int
list_rows(struct secretd *s, struct rows *rows, const struct msg_op_secret_list *list)
{
	_cleanup_free_ struct secret **all = NULL;
	const struct secret *one;
	int rc = 0;

	if (store_state(s->store) == STORE_EMPTY)
		return 0;
	if (*list->secret) {
		one = index_find(store_index(s->store), list->secret);
		return one ? add_secret(s, rows, one, list->agent) : 0;
	}
	all = index_sorted(store_index(s->store));
	for (size_t i = 0; rc == 0 && all && all[i]; i++)
		rc = add_secret(s, rows, all[i], list->agent);
	return all ? rc : -ENOMEM;
}

static void
list(struct client *client, struct msg *msg)
{
	struct rows *rows = rows_new("secrets");
	struct error error = ERROR_INIT;
	struct msg reply;
	int rc = rows ? list_rows(client->s, rows, &msg->op_secret_list) : -ENOMEM;

	msg_init(&reply, MSG_ROWS);
	reply.rows.count = rows ? rows_count(rows) : 0;
	if (rc == 0)
		rc = rows_seal(rows);
	else
		rows_free(rows);
	if (rc < 0) {
		error_errno(&error, -rc, "listing the secrets");
		client_error(client, msg->id, &error);
		return;
	}
	msg_add_fd(&reply, rc);
	client_reply(client, msg->id, &reply);
}

/* --- remove, grant, revoke
 * -------------------------------------------------------------------------- */

static void
finish(struct client *client, const struct msg *msg, int rc, const struct error *error)
{
	if (rc < 0)
		client_error(client, msg->id, error);
	else
		client_ok(client, msg->id, (uint64_t)rc);
}

static void
remove_secret(struct client *client, struct msg *msg)
{
	const char *name = msg->op_secret_remove.secret;
	struct error error = ERROR_INIT;
	int rc = check_name(name, &error);

	if (rc == 0)
		rc = store_remove(client->s->store, name, &error);
	audit_secret(client->s, client,
		     &(struct audited){.action = "secret.remove",
				       .secret = name,
				       .error = rc < 0 ? &error : NULL},
		     "%s", "");
	finish(client, msg, rc, &error);
}

static int
grant_secret(struct client *client, const struct msg_op_secret_grant *asked, struct error *error)
{
	struct grant grant = {.granted_at_ms = realtime_ms(),
			      .until_at_ms = asked->until_at_ms,
			      .max_uses = asked->max_uses,
			      .uid = client->peer.uid};
	char why[REASON_SIZE];

	if (check_name(asked->secret, error) < 0)
		return -1;
	if (!agent_name_valid(asked->agent))
		return error_why(error, ERR_USAGE, "--agent: '%s' is no agent's name",
				 asked->agent);
	if (*asked->for_server && !value_server_name(asked->for_server, why))
		return error_why(error, ERR_USAGE, "--for: the name of a server %s", why);
	if (grant.until_at_ms && grant.until_at_ms <= grant.granted_at_ms)
		return error_why(error, ERR_USAGE, "--until: that time is past");
	if (!index_find(store_index(client->s->store), asked->secret)) {
		error_why(error, ERR_NOT_FOUND, "no such secret: %s", asked->secret);
		return error_hint(error, "store it first: ash secret set %s", asked->secret);
	}
	if (plan_digest_of(client->s, asked->agent, grant.digest, error) < 0)
		return -1;
	memcpy(grant.agent, asked->agent, sizeof(grant.agent));
	memcpy(grant.for_server, asked->for_server, sizeof(grant.for_server));
	return store_grant(client->s->store, asked->secret, &grant, error);
}

static void
grant(struct client *client, struct msg *msg)
{
	const struct msg_op_secret_grant *asked = &msg->op_secret_grant;
	struct error error = ERROR_INIT;
	int rc = grant_secret(client, asked, &error);

	/* ash asks again while runnerd is away. */
	if (rc == 0 || error.code != ERR_UNREACHABLE)
		audit_secret(client->s, client,
			     &(struct audited){.action = "secret.grant",
					       .secret = asked->secret,
					       .agent = asked->agent,
					       .purpose = purpose_of(asked->for_server),
					       .error = rc < 0 ? &error : NULL},
			     "%s", asked->until_at_ms || asked->max_uses ? "bounded" : "");
	finish(client, msg, rc, &error);
}

static void
revoke_grants(struct client *client, struct msg *msg)
{
	const struct msg_op_secret_revoke *asked = &msg->op_secret_revoke;
	struct error error = ERROR_INIT;
	int rc = check_name(asked->secret, &error);

	if (rc == 0)
		rc = store_revoke(client->s->store, asked->secret,
				  *asked->agent ? asked->agent : NULL,
				  asked->any_server ? NULL : asked->for_server, &error);
	if (rc == 0)
		rc = error_why(&error, ERR_NOT_FOUND, "%s has no such grant", asked->secret);
	audit_secret(
	    client->s, client,
	    &(struct audited){.action = "secret.revoke",
			      .secret = asked->secret,
			      .agent = asked->agent,
			      .purpose = asked->any_server ? "" : purpose_of(asked->for_server),
			      .error = rc < 0 ? &error : NULL},
	    "%d grants", rc < 0 ? 0 : rc);
	finish(client, msg, rc, &error);
}

/* --- dispatch
 * --------------------------------------------------------------------------------------- */

enum need {
	NEED_NOTHING,
	NEED_LOOK, /* an open store, or an empty one */
	NEED_OPEN,
	NEED_MADE, /* an open store, made when there is none */
};

static const struct request_rule {
	enum msg_type type;
	enum need need;
	void (*run)(struct client *client, struct msg *msg);
} rules[] = {
    {MSG_OP_SECRET_SET, NEED_MADE, set},
    {MSG_OP_SECRET_RESTORE, NEED_OPEN, set},
    {MSG_OP_SECRET_LIST, NEED_LOOK, list},
    {MSG_OP_SECRET_REMOVE, NEED_OPEN, remove_secret},
    {MSG_OP_SECRET_GRANT, NEED_OPEN, grant},
    {MSG_OP_SECRET_REVOKE, NEED_OPEN, revoke_grants},
    {MSG_OP_SECRET_KEYING, NEED_NOTHING, request_keying},
    {MSG_OP_SECRET_KEY, NEED_NOTHING, request_key},
    {MSG_OP_SECRET_ROTATE, NEED_OPEN, request_rotate},
    {MSG_OP_AUDIT_MACS, NEED_OPEN, request_macs},
};

static const struct request_rule *
rule_of(enum msg_type type)
{
	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		if (rules[i].type == type)
			return &rules[i];
	return NULL;
}

static bool
served(const struct secretd *s, enum need need)
{
	enum store_state state = store_state(s->store);

	return need == NEED_NOTHING || state == STORE_OPEN ||
	       (need == NEED_LOOK && state == STORE_EMPTY);
}

/* agentd's answer: the key, or why there is none. */
static void
keyed(struct secretd *s, struct call *call, struct msg *answer)
{
	const struct request_rule *rule = rule_of(call->request.type);
	struct error error = ERROR_INIT;
	int rc;

	if (!call->client)
		return;
	if (served(s, rule->need))
		rc = 0;
	else if (answer && answer->type == MSG_KEK)
		rc = keying_use(s, answer->fds[0], &error);
	else if (answer && answer->type == MSG_ERROR)
		rc = msg_to_error(answer, &error);
	else
		rc = error_why(&error, ERR_UNREACHABLE, "agentd went away");
	if (rc == 0) {
		rule->run(call->client, &call->request);
		return;
	}
	error_what(&error, "the store of secrets is locked");
	client_error(call->client, call->request.id, &error);
}

static int
ask_key(struct client *client, struct msg *msg, const struct request_rule *rule)
{
	struct secretd *s = client->s;
	enum store_state state = store_state(s->store);
	struct msg question;

	if (s->rules.passphrase || state == STORE_DAMAGED ||
	    (state == STORE_EMPTY && rule->need != NEED_MADE))
		return -ENOKEY;
	msg_init(&question, MSG_KEK_QUERY);
	question.kek_query.purpose = state == STORE_EMPTY ? KEK_CREATE : KEK_OPEN;
	return call_ask(s, s->agentd, &question, client, msg, keyed);
}

void
request_run(struct client *client, struct msg *msg)
{
	const struct request_rule *rule = rule_of(msg->type);
	struct error error = ERROR_INIT;

	if (!rule)
		return;
	if (served(client->s, rule->need)) {
		rule->run(client, msg);
		return;
	}
	if (ask_key(client, msg, rule) == 0)
		return;
	store_closed(client->s->store, &error);
	if (store_state(client->s->store) == STORE_EMPTY && client->s->rules.passphrase) {
		error_why(&error, ERR_CONFLICT, "no passphrase seals the store of secrets yet");
		error_hint(&error, "ash secret unlock sets it");
	}
	client_error(client, msg->id, &error);
}
