/* ash ping, doctor, reload, shutdown. */
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
#include "config.h"
#include "output.h"
#include "patient.h"
#include "rows.h"

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

/* restart_needed: keys that wait for a start. */
static int
reload_json(char *pending, struct error *error)
{
	struct json json = JSON_INIT;
	char *rest = NULL;

	json_object(&json);
	json_key(&json, "reloaded");
	json_bool(&json, true);
	json_key(&json, "restart_needed");
	json_array(&json);
	for (char *key = strtok_r(pending, ", ", &rest); key; key = strtok_r(NULL, ", ", &rest))
		json_string(&json, key);
	json_array_end(&json);
	json_object_end(&json);
	return output_json(&json, error);
}

int
reload_command(struct ash *ash, const struct args *args, struct error *error)
{
	char pending[512] = "";
	struct msg reply;

	(void)args;
	if (call(ash, MSG_OP_RELOAD, MSG_OK, &reply, error) < 0 ||
	    config_pending(ash, pending, sizeof(pending), error) < 0)
		return -1;
	if (ash->json)
		return reload_json(pending, error);
	output_done(ash, "agentd read its configuration again");
	if (*pending)
		output_note(ash, "%s: agentd must be restarted for that; all else holds now",
			    pending);
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
	if (patient_call(ash, &request, MSG_OK, &reply, drain, drain, error) < 0)
		return -1;
	if (await_end(ash, agentd, error) < 0)
		return -1;
	if (ash->json)
		return flag_json("stopped", "drained", drain, error);
	output_done(ash, drain ? "agentd ended its sessions and stopped"
			       : "agentd stopped; live sessions go on");
	return 0;
}
