/* ash status, ping, doctor, reload, shutdown. */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

#include "ash.h"
#include "common/cleanup.h"
#include "common/loop.h"
#include "common/timefmt.h"
#include "output.h"
#include "rows.h"

static const struct column daemon_columns[] = {
    {"DAEMON", CUT_NEVER, 0, false}, {"PID", CUT_NEVER, 0, true},
    {"STATE", CUT_NEVER, 0, false},  {"RESTARTS", CUT_NEVER, 0, true},
    {"SINCE", CUT_NEVER, 0, false},
};

static const struct column mechanism_columns[] = {
    {"MECHANISM", CUT_NEVER, 0, false},
    {"STATE", CUT_NEVER, 0, false},
    {"NEEDED", CUT_NEVER, 0, false},
    {"FOUND", CUT_RIGHT, 16, false},
};

static int
call(struct ash *ash, enum msg_type type, enum msg_type expected, struct msg *reply,
     struct error *error)
{
	struct msg request;

	msg_init(&request, type);
	return connection_call(&ash->connection, &request, expected, reply, REPLY_WAIT_MS, error);
}

/* --- status
 * ------------------------------------------------------------------------------------------ */

static const char *
daemon_state(const struct msg_daemon_row *row)
{
	const char *name = daemon_state_name(row->state);

	return name ? name : "-";
}

static int
daemon_json(const struct msg *record, void *arg, struct error *error)
{
	const struct msg_daemon_row *row = &record->daemon_row;
	struct json *json = arg;

	(void)error;
	json_object(json);
	json_key(json, "name");
	json_string(json, role_name(row->role));
	json_key(json, "pid");
	if (row->pid)
		json_uint(json, row->pid);
	else
		json_null(json);
	json_key(json, "state");
	json_string(json, daemon_state(row));
	json_key(json, "restarts");
	json_uint(json, row->restarts);
	json_key(json, "started_at");
	json_time(json, row->started_at_ms);
	json_object_end(json);
	return 0;
}

/* null while the daemon that knows is away. */
static void
json_count(struct json *json, bool known, uint64_t count)
{
	if (known)
		json_uint(json, count);
	else
		json_null(json);
}

static void
counts_json(const struct msg_status_row *row, struct json *json)
{
	const struct {
		const char *key;
		uint64_t count;
	} counts[] = {{"queued", row->queued},
		      {"live", row->live},
		      {"ended", row->ended},
		      {"sessions_limit", row->sessions_limit}};

	json_key(json, "agents");
	json_count(json, row->agents_known, row->agents);
	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		json_key(json, counts[i].key);
		json_count(json, row->ledger_known, counts[i].count);
	}
	json_key(json, "draining");
	if (row->ledger_known)
		json_bool(json, row->draining);
	else
		json_null(json);
}

static int
status_json(const struct ash *ash, const struct msg_status_row *row, int fd, struct error *error)
{
	struct json json = JSON_INIT;
	const struct {
		const char *key, *text;
	} texts[] = {{"version", row->version},     {"build", row->build},
		     {"socket", ash->socket},       {"run_dir", row->run_dir},
		     {"state_dir", row->state_dir}, {"log_dir", row->log_dir}};
	int r;

	json_object(&json);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		json_key(&json, texts[i].key);
		json_string(&json, texts[i].text);
	}
	json_key(&json, "started_at");
	json_time(&json, row->started_at_ms);
	json_key(&json, "uptime_ms");
	json_uint(&json, realtime_ms() - row->started_at_ms);
	counts_json(row, &json);
	json_key(&json, "daemons");
	json_array(&json);
	r = rows_each(fd, MSG_DAEMON_ROW, daemon_json, &json, error);
	json_array_end(&json);
	json_object_end(&json);
	if (r == 0)
		r = output_json(&json, error);
	json_free(&json);
	return r;
}

static int
daemon_line(const struct msg *record, void *arg, struct error *error)
{
	const struct msg_daemon_row *row = &record->daemon_row;
	struct table *table = arg;
	char text[32];

	(void)error;
	table_cell(table, role_name(row->role), NULL, COLOR_NONE);
	snprintf(text, sizeof(text), "%u", row->pid);
	table_cell(table, row->pid ? text : "", NULL, COLOR_NONE);
	table_cell(table, daemon_state(row), NULL,
		   row->state == DAEMON_READY ? COLOR_GOOD : COLOR_WARN);
	snprintf(text, sizeof(text), "%u", row->restarts);
	table_cell(table, text, NULL, row->restarts ? COLOR_WARN : COLOR_NONE);
	table_cell(table, row->started_at_ms ? local_format(row->started_at_ms, text) : "", NULL,
		   COLOR_NONE);
	return 0;
}

static void
counts_text(const struct ash *ash, const struct msg_status_row *row)
{
	if (row->agents_known)
		output_line(ash, "Agents", COLOR_NONE, "%u", row->agents);
	else
		output_line(ash, "Agents", COLOR_WARN, "unknown, runnerd is away");
	if (row->ledger_known)
		output_line(ash, "Sessions", COLOR_NONE,
			    "%u live of at most %u, %u queued, %llu ended", row->live,
			    row->sessions_limit, row->queued, (unsigned long long)row->ended);
	else
		output_line(ash, "Sessions", COLOR_WARN, "unknown, schedd is away");
}

static int
status_text(const struct ash *ash, const struct msg_status_row *row, int fd, struct error *error)
{
	struct table *table = table_new(daemon_columns, ARRAY_LEN(daemon_columns));
	char text[32];

	if (!table)
		return out_of_memory(error);
	if (rows_each(fd, MSG_DAEMON_ROW, daemon_line, table, error) < 0) {
		table_free(table);
		return -1;
	}
	output_line(ash, "Version", COLOR_NONE, "%s", row->version);
	output_line(ash, "Up for", COLOR_NONE, "%s",
		    duration_format(realtime_ms() - row->started_at_ms, text));
	counts_text(ash, row);
	if (row->ledger_known && row->draining)
		output_line(ash, "Draining", COLOR_WARN, "no session starts any more");
	output_line(ash, "Socket", COLOR_NONE, "%s", ash->socket);
	output_line(ash, "Run dir", COLOR_NONE, "%s", row->run_dir);
	output_line(ash, "State dir", COLOR_NONE, "%s", row->state_dir);
	output_line(ash, "Log dir", COLOR_NONE, "%s", row->log_dir);
	putchar('\n');
	return output_table(ash, table, error);
}

int
status_command(struct ash *ash, const struct args *args, struct error *error)
{
	struct msg reply, row;
	int r;

	(void)args;
	if (call(ash, MSG_OP_STATUS, MSG_ROWS, &reply, error) < 0)
		return -1;
	r = rows_first(reply.fds[0], MSG_STATUS_ROW, &row, error);
	if (r == 0)
		r = error_why(error, ERR_FAILED, "agentd's answer holds no status");
	if (r == 1)
		r = ash->json ? status_json(ash, &row.status_row, reply.fds[0], error)
			      : status_text(ash, &row.status_row, reply.fds[0], error);
	msg_close_fds(&reply);
	return r;
}

/* --- ping
 * ---------------------------------------------------------------------------------------------- */

static uint64_t
elapsed_us(const struct timespec *since)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)((now.tv_sec - since->tv_sec) * 1000000 +
			  (now.tv_nsec - since->tv_nsec) / 1000);
}

int
ping_command(struct ash *ash, const struct args *args, struct error *error)
{
	struct json json = JSON_INIT;
	struct timespec since;
	struct msg reply;
	uint64_t took_us;
	char took_ms[32];

	(void)args;
	clock_gettime(CLOCK_MONOTONIC, &since);
	if (call(ash, MSG_OP_PING, MSG_OP_PONG, &reply, error) < 0)
		return -1;
	took_us = elapsed_us(&since);
	snprintf(took_ms, sizeof(took_ms), "%llu.%03llu", (unsigned long long)(took_us / 1000),
		 (unsigned long long)(took_us % 1000));
	if (!ash->json) {
		output_done(ash, "agentd %s answers, pid %u, after %s ms", reply.op_pong.version,
			    reply.op_pong.pid, took_ms);
		return 0;
	}
	json_object(&json);
	json_key(&json, "version");
	json_string(&json, reply.op_pong.version);
	json_key(&json, "build");
	json_string(&json, reply.op_pong.build);
	json_key(&json, "pid");
	json_uint(&json, reply.op_pong.pid);
	json_key(&json, "took_ms");
	json_raw(&json, took_ms, strlen(took_ms));
	json_object_end(&json);
	return output_json(&json, error);
}

/* --- doctor
 * --------------------------------------------------------------------------------------------- */

struct checkup {
	struct table *table;
	struct json *json;
	unsigned missing; /* required ones */
	unsigned absent;  /* all */
};

static int
mechanism_json(const struct msg *record, void *arg, struct error *error)
{
	const struct msg_mechanism_row *row = &record->mechanism_row;
	struct checkup *checkup = arg;
	struct json *json = checkup->json;

	(void)error;
	checkup->missing += row->required && !row->present;
	json_object(json);
	json_key(json, "name");
	json_string(json, row->name);
	json_key(json, "present");
	json_bool(json, row->present);
	json_key(json, "required");
	json_bool(json, row->required);
	json_key(json, "found");
	json_string(json, *row->found ? row->found : NULL);
	json_key(json, "remedy");
	json_string(json, !row->present && *row->remedy ? row->remedy : NULL);
	json_object_end(json);
	return 0;
}

static int
mechanism_line(const struct msg *record, void *arg, struct error *error)
{
	const struct msg_mechanism_row *row = &record->mechanism_row;
	struct checkup *checkup = arg;
	enum color bad = row->required ? COLOR_BAD : COLOR_WARN;

	(void)error;
	checkup->missing += row->required && !row->present;
	checkup->absent += !row->present;
	table_cell(checkup->table, row->name, NULL, COLOR_NONE);
	table_cell(checkup->table, row->present ? "ok" : "missing", NULL,
		   row->present ? COLOR_GOOD : bad);
	table_cell(checkup->table, row->required ? "yes" : "no", NULL, COLOR_NONE);
	table_cell(checkup->table, row->found, NULL, COLOR_NONE);
	return 0;
}

static int
remedy_line(const struct msg *record, void *arg, struct error *error)
{
	const struct msg_mechanism_row *row = &record->mechanism_row;
	const struct ash *ash = arg;

	(void)error;
	if (!row->present)
		output_line(ash, row->name, row->required ? COLOR_BAD : COLOR_WARN, "%s",
			    *row->remedy ? row->remedy : "no remedy is known");
	return 0;
}

static int
doctor_json(int fd, struct checkup *checkup, struct error *error)
{
	struct json json = JSON_INIT;
	int r;

	checkup->json = &json;
	json_array(&json);
	r = rows_each(fd, MSG_MECHANISM_ROW, mechanism_json, checkup, error);
	json_array_end(&json);
	if (r == 0)
		r = output_json(&json, error);
	json_free(&json);
	return r;
}

static int
doctor_text(struct ash *ash, int fd, struct checkup *checkup, struct error *error)
{
	checkup->table = table_new(mechanism_columns, ARRAY_LEN(mechanism_columns));
	if (!checkup->table)
		return out_of_memory(error);
	if (rows_each(fd, MSG_MECHANISM_ROW, mechanism_line, checkup, error) < 0) {
		table_free(checkup->table);
		return -1;
	}
	if (output_table(ash, checkup->table, error) < 0)
		return -1;
	if (checkup->absent == 0)
		return 0;
	puts("\nWhat to do:");
	return rows_each(fd, MSG_MECHANISM_ROW, remedy_line, ash, error);
}

int
doctor_command(struct ash *ash, const struct args *args, struct error *error)
{
	struct checkup checkup = {0};
	struct msg reply;
	int r;

	(void)args;
	if (call(ash, MSG_OP_DOCTOR, MSG_ROWS, &reply, error) < 0)
		return -1;
	r = ash->json ? doctor_json(reply.fds[0], &checkup, error)
		      : doctor_text(ash, reply.fds[0], &checkup, error);
	msg_close_fds(&reply);
	if (r < 0)
		return -1;
	return checkup.missing ? ERR_FAILED : 0;
}

/* --- reload, shutdown
 * ------------------------------------------------------------------------------------ */

static int
flag_json(const char *key, const char *second, bool value, struct error *error)
{
	struct json json = JSON_INIT;

	json_object(&json);
	json_key(&json, key);
	json_bool(&json, true);
	if (second) {
		json_key(&json, second);
		json_bool(&json, value);
	}
	json_object_end(&json);
	return output_json(&json, error);
}

int
reload_command(struct ash *ash, const struct args *args, struct error *error)
{
	struct msg reply;

	(void)args;
	if (call(ash, MSG_OP_RELOAD, MSG_OK, &reply, error) < 0)
		return -1;
	if (ash->json)
		return flag_json("reloaded", NULL, false, error);
	output_done(ash, "agentd read its configuration again");
	return 0;
}

/* agentd's pidfd, to see it end; -1 where it cannot be had: agentd in another pid namespace, or a
 * socket that systemd listens on. */
static int
watch_agentd(struct ash *ash, struct error *error)
{
	struct ucred listener;
	socklen_t length = sizeof(listener);
	struct msg pong;

	if (call(ash, MSG_OP_PING, MSG_OP_PONG, &pong, error) < 0 ||
	    getsockopt(ash->connection.fd, SOL_SOCKET, SO_PEERCRED, &listener, &length) < 0 ||
	    listener.pid != (pid_t)pong.op_pong.pid)
		return -1;
	return (int)syscall(SYS_pidfd_open, listener.pid, 0);
}

static int
await_end(struct ash *ash, int agentd, struct error *error)
{
	struct pollfd ended = {.fd = agentd, .events = POLLIN};
	struct msg msg;
	int r;

	while ((r = connection_receive(&ash->connection, &msg, RESTART_WAIT_MS, error)) == 1)
		msg_close_fds(&msg);
	if (r == 0 && (agentd < 0 || poll(&ended, 1, RESTART_WAIT_MS) == 1))
		return 0;
	error_why(error, ERR_FAILED, "agentd has not stopped after %d s", RESTART_WAIT_MS / 1000);
	return error_hint(error, "see its log");
}

int
shutdown_command(struct ash *ash, const struct args *args, struct error *error)
{
	bool drain = args_flag(args, "--drain");
	_cleanup_close_ int agentd = watch_agentd(ash, error);
	struct msg request, reply;

	msg_init(&request, MSG_OP_SHUTDOWN);
	request.op_shutdown.drain = drain;
	if (connection_call(&ash->connection, &request, MSG_OK, &reply, drain ? -1 : REPLY_WAIT_MS,
			    error) < 0)
		return -1;
	if (await_end(ash, agentd, error) < 0)
		return -1;
	if (ash->json)
		return flag_json("stopped", "drained", drain, error);
	output_done(ash, drain ? "agentd ended its sessions and stopped"
			       : "agentd stopped; live sessions go on");
	return 0;
}
