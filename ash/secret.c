/* ash secret set, restore, list, remove, grant, revoke. */
#include "secret.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "agent.h"
#include "common/cleanup.h"
#include "common/io.h"
#include "common/loop.h"
#include "common/timefmt.h"
#include "common/values.h"
#include "hidden.h"
#include "output.h"
#include "rows.h"
#include "text.h"

int
secrets_begin(struct ash *ash, struct error *error)
{
	const char *slash = strrchr(ash->socket, '/');
	int folder = slash ? (int)(slash - ash->socket) + 1 : 0;

	if (!ash->secrets_socket &&
	    asprintf(&ash->secrets_socket, "%.*ssecretd.sock", folder, ash->socket) < 0) {
		ash->secrets_socket = NULL;
		return out_of_memory(error);
	}
	ash->secrets.path = ash->secrets_socket;
	return 0;
}

static int
check_name(const char *name, struct error *error)
{
	char why[REASON_SIZE];

	if (value_secret_name(name, why))
		return 0;
	return error_why(error, ERR_USAGE, "the name of a secret %s", why);
}

/* --- set
 * ---------------------------------------------------------------------------------------------- */

/* secretd takes a value that is there whole; a pipe's pages are never swapped out. */
int
filled_pipe(const void *bytes, size_t length, struct error *error)
{
	_cleanup_close_ int reader = -1, writer = -1;
	int ends[2], rc;

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return error_errno(error, errno, "pipe");
	reader = ends[0];
	writer = ends[1];
	/* 64 KiB by default, less for a user with many pipes. */
	fcntl(writer, F_SETPIPE_SZ, SECRET_BYTES_MAX * 2);
	rc = write_all(writer, bytes, length);
	if (rc < 0)
		return error_errno(error, -rc, "passing the value on");
	return steal_fd(&reader);
}

/* Whole, and a byte more than allowed shows that there is more. */
static ssize_t
read_value(const char *name, const char *from, char *value, size_t size, struct error *error)
{
	_cleanup_close_ int fd = -1;
	char prompt[SECRET_NAME_MAX + 32];
	bool file = from && strcmp(from, "-") != 0;
	ssize_t length;

	if (!file && isatty(STDIN_FILENO)) {
		snprintf(prompt, sizeof(prompt), "Value of %s", name);
		return hidden_line(prompt, value, size, error);
	}
	if (file)
		fd = open(from, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (file && fd < 0)
		return error_errno(error, errno, "opening %s", from);
	length = read_all(file ? fd : STDIN_FILENO, value, size);
	if (length < 0)
		return error_errno(error, (int)-length, "reading %s",
				   file ? from : "standard input");
	if ((size_t)length == size)
		return error_why(error, ERR_USAGE, "a secret has at most %d bytes",
				 SECRET_BYTES_MAX);
	return length;
}

static int
stored_json(const char *name, const struct msg_secret_stored *stored, struct error *error)
{
	struct json json = JSON_INIT;

	json_object(&json);
	json_key(&json, "name");
	json_string(&json, name);
	json_key(&json, "version");
	json_uint(&json, stored->version);
	json_key(&json, "sessions_replaced");
	json_uint(&json, stored->replaced);
	json_key(&json, "sessions_failed");
	json_uint(&json, stored->failed);
	json_object_end(&json);
	return output_json(&json, error);
}

static int
print_stored(struct ash *ash, const char *name, bool now, const struct msg_secret_stored *stored,
	     struct error *error)
{
	char text[160];

	if (ash->json)
		return stored_json(name, stored, error);
	if (stored->failed) {
		snprintf(text, sizeof(text),
			 "%u live sessions keep the old value; agentd's log tells why",
			 stored->failed);
		output_warning(ash, text);
	}
	if (now)
		output_done(ash, "%s is stored, version %llu, and replaced in %u live session%s",
			    name, (unsigned long long)stored->version, stored->replaced,
			    stored->replaced == 1 ? "" : "s");
	else
		output_done(ash, "%s is stored, version %llu", name,
			    (unsigned long long)stored->version);
	if (stored->version == 1)
		output_next(ash, "ash secret grant %s --agent NAME, when NAME is installed", name);
	return 0;
}

static int
send_value(struct ash *ash, const struct args *args, struct error *error)
{
	static char value[SECRET_BYTES_MAX + 1];
	const char *name = args->operands[0];
	struct msg request, reply;
	ssize_t length;
	int fd = -1, r = -1;

	mlock(value, sizeof(value)); /* where the limit lets it */
	madvise(value, sizeof(value), MADV_DONTDUMP);
	length = read_value(name, args_value(args, "--from"), value, sizeof(value), error);
	if (length >= 0)
		fd = filled_pipe(value, (size_t)length, error);
	explicit_bzero(value, sizeof(value));
	if (fd < 0)
		return -1;
	msg_init(&request, MSG_OP_SECRET_SET);
	strcpy(request.op_secret_set.secret, name);
	request.op_secret_set.now = args_flag(args, "--now");
	msg_add_fd(&request, fd);
	r = connection_call(&ash->secrets, &request, MSG_SECRET_STORED, &reply, REPLY_WAIT_MS,
			    error);
	msg_close_fds(&request);
	return r < 0 ? -1
		     : print_stored(ash, name, request.op_secret_set.now, &reply.secret_stored,
				    error);
}

int
secret_set_command(struct ash *ash, const struct args *args, struct error *error)
{
	if (check_name(args->operands[0], error) < 0 || secrets_begin(ash, error) < 0)
		return -1;
	/* Whoever types a value shall not hear afterwards that nobody takes it. */
	if (connection_begin(&ash->secrets, error) < 0)
		return -1;
	return send_value(ash, args, error);
}

int
secret_restore_command(struct ash *ash, const struct args *args, struct error *error)
{
	const char *name = args->operands[0];
	struct msg request, reply;

	msg_init(&request, MSG_OP_SECRET_RESTORE);
	if (check_name(name, error) < 0 || secrets_begin(ash, error) < 0)
		return -1;
	strcpy(request.op_secret_restore.secret, name);
	request.op_secret_restore.now = args_flag(args, "--now");
	if (connection_call(&ash->secrets, &request, MSG_SECRET_STORED, &reply, REPLY_WAIT_MS,
			    error) < 0)
		return -1;
	return print_stored(ash, name, request.op_secret_restore.now, &reply.secret_stored, error);
}

/* --- list
 * --------------------------------------------------------------------------------------------- */

static const struct column list_columns[] = {
    {"NAME", CUT_NEVER, 0, false},    {"VERSION", CUT_NEVER, 0, true},
    {"SIZE", CUT_NEVER, 0, true},     {"CREATED", CUT_NEVER, 0, false},
    {"UPDATED", CUT_NEVER, 0, false}, {"GRANTS", CUT_RIGHT, 24, false},
};

/* One secret whose grants are being read. */
struct listing {
	const struct ash *ash;
	struct table *table;
	struct json json;
	bool any, open;
	struct msg_secret_row row;
	char *grants; /* heap: "agent, agent (lapsed)" */
};

static void
table_row(struct listing *listing)
{
	const struct msg_secret_row *row = &listing->row;
	char number[32], created[32], updated[32], size[32];

	snprintf(number, sizeof(number), "%llu", (unsigned long long)row->version);
	table_cell(listing->table, row->secret, NULL, *row->damage ? COLOR_BAD : COLOR_NONE);
	table_cell(listing->table, number, NULL, COLOR_NONE);
	table_cell(listing->table, size_format(row->size, size), NULL, COLOR_NONE);
	table_cell(listing->table, minute_format(row->created_at_ms, created), NULL, COLOR_NONE);
	table_cell(listing->table, minute_format(row->updated_at_ms, updated), NULL, COLOR_NONE);
	table_cell(listing->table, *row->damage ? row->damage : listing->grants, NULL,
		   *row->damage ? COLOR_BAD : COLOR_NONE);
}

static void
close_row(struct listing *listing)
{
	if (!listing->open)
		return;
	listing->open = false;
	if (listing->table) {
		table_row(listing);
	} else {
		json_array_end(&listing->json);
		json_object_end(&listing->json);
	}
	free(listing->grants);
	listing->grants = NULL;
}

static void
json_time_or_null(struct json *json, const char *key, uint64_t at_ms)
{
	json_key(json, key);
	if (at_ms)
		json_time(json, at_ms);
	else
		json_null(json);
}

static void
json_bound(struct json *json, const char *key, uint64_t bound)
{
	json_key(json, key);
	if (bound)
		json_uint(json, bound);
	else
		json_null(json);
}

static void
open_row(struct listing *listing, const struct msg_secret_row *row)
{
	struct json *json = &listing->json;

	close_row(listing);
	listing->any = listing->open = true;
	listing->row = *row;
	if (listing->table)
		return;
	json_object(json);
	json_key(json, "name");
	json_string(json, row->secret);
	json_key(json, "version");
	json_uint(json, row->version);
	json_key(json, "size");
	json_uint(json, row->size);
	json_time_or_null(json, "created_at", row->created_at_ms);
	json_time_or_null(json, "updated_at", row->updated_at_ms);
	json_key(json, "damage");
	json_string(json, *row->damage ? row->damage : NULL);
	json_key(json, "grants");
	json_array(json);
}

static void
grant_json(struct json *json, const struct msg_grant_row *grant)
{
	json_object(json);
	json_key(json, "agent");
	json_string(json, grant->agent);
	json_key(json, "for");
	json_string(json, *grant->for_server ? grant->for_server : "agent");
	json_key(json, "state");
	json_string(json, grant_state_name((enum grant_state)grant->state));
	json_time_or_null(json, "granted_at", grant->granted_at_ms);
	json_time_or_null(json, "until", grant->until_at_ms);
	json_bound(json, "max_uses", grant->max_uses);
	json_key(json, "uses");
	json_uint(json, grant->uses);
	json_key(json, "uid");
	json_uint(json, grant->uid);
	json_object_end(json);
}

static int
grant_text(struct listing *listing, const struct msg_grant_row *grant, struct error *error)
{
	const char *state = grant_state_name((enum grant_state)grant->state);
	bool holds = grant->state == GRANT_HOLDS;
	char *longer;

	if (asprintf(&longer, "%s%s%s%s%s%s%s%s", listing->grants ? listing->grants : "",
		     listing->grants ? ", " : "", grant->agent, *grant->for_server ? "/" : "",
		     grant->for_server, holds ? "" : " (", holds || !state ? "" : state,
		     holds ? "" : ")") < 0)
		return out_of_memory(error);
	free(listing->grants);
	listing->grants = longer;
	return 0;
}

static int
list_record(const struct msg *record, void *arg, struct error *error)
{
	struct listing *listing = arg;

	if (record->type == MSG_SECRET_ROW)
		open_row(listing, &record->secret_row);
	else if (record->type == MSG_GRANT_ROW && listing->table)
		return grant_text(listing, &record->grant_row, error);
	else if (record->type == MSG_GRANT_ROW)
		grant_json(&listing->json, &record->grant_row);
	return 0;
}

static int
print_list(struct ash *ash, int fd, const char *name, struct error *error)
{
	struct listing listing = {.ash = ash, .json = JSON_INIT};
	int r;

	if (ash->json)
		json_array(&listing.json);
	else
		listing.table = table_new(list_columns, ARRAY_LEN(list_columns));
	if (!ash->json && !listing.table)
		return out_of_memory(error);
	r = rows_each(fd, MSG_NONE, list_record, &listing, error);
	close_row(&listing);
	if (r == 0 && name && !listing.any)
		r = error_why(error, ERR_NOT_FOUND, "no such secret: %s", name);
	if (r == 0 && ash->json) {
		json_array_end(&listing.json);
		return output_json(&listing.json, error);
	}
	json_free(&listing.json);
	if (r == 0 && !listing.any && ash->out_tty) {
		output_empty(ash, "No secret is stored.");
		table_free(listing.table);
		return 0;
	}
	if (r == 0)
		return output_table(ash, listing.table, error);
	table_free(listing.table);
	return -1;
}

int
secret_list_command(struct ash *ash, const struct args *args, struct error *error)
{
	const char *name = args->count ? args->operands[0] : NULL;
	struct msg request, reply;
	int r;

	msg_init(&request, MSG_OP_SECRET_LIST);
	if ((name && check_name(name, error) < 0) || secrets_begin(ash, error) < 0)
		return -1;
	if (name)
		strcpy(request.op_secret_list.secret, name);
	if (connection_query(&ash->secrets, &request, MSG_ROWS, &reply, error) < 0)
		return -1;
	r = print_list(ash, reply.fds[0], name, error);
	msg_close_fds(&reply);
	return r;
}

/* --- remove, grant, revoke
 * ---------------------------------------------------------------------------- */

int
secret_remove_command(struct ash *ash, const struct args *args, struct error *error)
{
	const char *name = args->operands[0];
	struct msg request, reply;

	msg_init(&request, MSG_OP_SECRET_REMOVE);
	if (check_name(name, error) < 0 || secrets_begin(ash, error) < 0)
		return -1;
	strcpy(request.op_secret_remove.secret, name);
	if (connection_call(&ash->secrets, &request, MSG_OK, &reply, REPLY_WAIT_MS, error) < 0)
		return -1;
	output_done(ash, "%s is removed", name);
	return 0;
}

static int
read_until(const char *text, uint64_t *until_at_ms, struct error *error)
{
	uint64_t length;

	if (!text || rfc3339_parse(text, until_at_ms))
		return 0;
	if (duration_parse(text, &length) && length) {
		*until_at_ms = realtime_ms() + length;
		return 0;
	}
	return error_why(error, ERR_USAGE,
			 "--until: '%.80s' is neither a duration (30m, 7d) nor an RFC 3339 time",
			 text);
}

static int
read_max_uses(const char *text, uint64_t *max_uses, struct error *error)
{
	char *end;

	if (!text)
		return 0;
	errno = 0;
	*max_uses = strtoull(text, &end, 10);
	if (errno == 0 && *text >= '1' && *text <= '9' && !*end)
		return 0;
	return error_why(error, ERR_USAGE, "--max-uses: '%.40s' is no number of uses", text);
}

/* The manifest's word for the agent itself is agent. */
static int
read_for(const char *text, char *server, struct error *error)
{
	char why[REASON_SIZE];

	*server = '\0';
	if (!text || strcmp(text, "agent") == 0)
		return 0;
	if (!value_server_name(text, why))
		return error_why(error, ERR_USAGE, "--for: the name of a server %s", why);
	strcpy(server, text);
	return 0;
}

static int
read_agent(const struct args *args, char *agent, struct error *error)
{
	const char *name = args_value(args, "--agent");

	if (!name)
		return error_why(error, ERR_USAGE, "--agent is missing: whose grant is it?");
	if (agent_name_check(name, error) < 0)
		return -1;
	strcpy(agent, name);
	return 0;
}

int
secret_grant_command(struct ash *ash, const struct args *args, struct error *error)
{
	const char *name = args->operands[0];
	struct msg_op_secret_grant *grant;
	struct msg request, reply;

	msg_init(&request, MSG_OP_SECRET_GRANT);
	grant = &request.op_secret_grant;
	if (check_name(name, error) < 0 || read_agent(args, grant->agent, error) < 0 ||
	    read_for(args_value(args, "--for"), grant->for_server, error) < 0 ||
	    read_until(args_value(args, "--until"), &grant->until_at_ms, error) < 0 ||
	    read_max_uses(args_value(args, "--max-uses"), &grant->max_uses, error) < 0 ||
	    secrets_begin(ash, error) < 0)
		return -1;
	strcpy(grant->secret, name);
	/* Granting twice is granting once: it may be asked again while runnerd is being started. */
	if (connection_query(&ash->secrets, &request, MSG_OK, &reply, error) < 0)
		return -1;
	output_done(ash, "%s%s%s may use %s as long as its definition stays as it is", grant->agent,
		    *grant->for_server ? "'s server " : "", grant->for_server, name);
	output_next(ash, "ash agent run %s", grant->agent);
	return 0;
}

int
secret_revoke_command(struct ash *ash, const struct args *args, struct error *error)
{
	const char *name = args->operands[0], *server = args_value(args, "--for");
	struct msg_op_secret_revoke *revoke;
	struct msg request, reply;

	msg_init(&request, MSG_OP_SECRET_REVOKE);
	revoke = &request.op_secret_revoke;
	if (check_name(name, error) < 0)
		return -1;
	if (args_flag(args, "--all") == (args_value(args, "--agent") != NULL))
		return error_why(error, ERR_USAGE, "name one of --agent A and --all");
	if (!args_flag(args, "--all") && read_agent(args, revoke->agent, error) < 0)
		return -1;
	if (read_for(server, revoke->for_server, error) < 0 || secrets_begin(ash, error) < 0)
		return -1;
	revoke->any_server = server == NULL;
	strcpy(revoke->secret, name);
	if (connection_call(&ash->secrets, &request, MSG_OK, &reply, REPLY_WAIT_MS, error) < 0)
		return -1;
	output_done(ash, "%llu grant%s of %s taken back; live sessions keep what they have",
		    (unsigned long long)reply.ok.value, reply.ok.value == 1 ? "" : "s", name);
	return 0;
}

/* --- what an install does to grants
 * -------------------------------------------------------------------- */

struct lapses {
	const struct msg_digest_row *installed;
	void (*warn)(const char *text, void *arg);
	void *arg;
};

static int
lapsed(const struct msg *record, void *arg, struct error *error)
{
	const struct msg_grant_row *grant = &record->grant_row;
	const struct lapses *lapses = arg;
	char text[320];

	(void)error;
	if (grant->digest_len == lapses->installed->digest_len &&
	    memcmp(grant->digest, lapses->installed->digest, grant->digest_len) == 0)
		return 0;
	snprintf(text, sizeof(text),
		 "the grant of %s was for another definition and has lapsed: ash secret grant %s "
		 "--agent %s%s%s",
		 grant->secret, grant->secret, grant->agent, *grant->for_server ? " --for " : "",
		 grant->for_server);
	lapses->warn(text, lapses->arg);
	return 0;
}

void
secrets_warn_lapsed(struct ash *ash, const struct msg_digest_row *installed,
		    void (*warn)(const char *text, void *arg), void *arg)
{
	struct lapses lapses = {.installed = installed, .warn = warn, .arg = arg};
	struct error ignored = ERROR_INIT;
	struct msg request, reply;

	msg_init(&request, MSG_OP_SECRET_LIST);
	memcpy(request.op_secret_list.agent, installed->agent, sizeof(installed->agent));
	if (secrets_begin(ash, &ignored) < 0 ||
	    connection_call(&ash->secrets, &request, MSG_ROWS, &reply, REPLY_WAIT_MS, &ignored) < 0)
		return;
	rows_each(reply.fds[0], MSG_GRANT_ROW, lapsed, &lapses, &ignored);
	msg_close_fds(&reply);
}
