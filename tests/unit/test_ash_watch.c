// with: ash/watch.c ash/logs.c ash/logline.c ash/jsonline.c ash/progress.c ash/session.c
// with: ash/connect.c ash/rows.c ash/output.c ash/table.c ash/text.c
// with: ash/session_tools.c libagent/c/json.c libagent/c/buffer.c
/* A run is watched to its end by a server that breaks off, answers late and says no. */
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ash/watch.h"
#include "common/cleanup.h"
#include "suite.h"

#define LINE(text) "{\"stream\":\"stdout\",\"text\":\"" text "\"}\n"

enum { PATIENCE_MS = 10000 };

struct server {
	int listener, connection;
	struct msg msg; /* the last one that came */
};

static char folder[64], path[96], printed[65536];
static struct uuid session;

/* --- the server, in a process of its own: any surprise ends it with 1
 * ------------------------------ */

static void
must(bool holds)
{
	if (!holds)
		_exit(1);
}

static void
say(struct server *server, struct msg *msg)
{
	must(msg_send(server->connection, CH_OPERATOR, SIDE_B,
		      msg->type == MSG_HELLO ? IN_HELLO : IN_OPEN, msg) == 0);
	msg_close_fds(msg);
}

static void
greet(struct server *server)
{
	struct msg hello;

	server->connection = accept(server->listener, NULL, NULL);
	must(server->connection >= 0);
	must(msg_recv(server->connection, CH_OPERATOR, SIDE_B, IN_HELLO, &server->msg,
		      PATIENCE_MS) == 1);
	must(server->msg.hello.role == ROLE_ASH);
	msg_init(&hello, MSG_HELLO);
	hello.hello.protocol = PROTO_VERSION;
	hello.hello.role = ROLE_CONTROL;
	say(server, &hello);
}

static void
hear(struct server *server, enum msg_type type)
{
	must(msg_recv(server->connection, CH_OPERATOR, SIDE_B, IN_OPEN, &server->msg,
		      PATIENCE_MS) == 1);
	must(server->msg.type == type);
}

static void
break_off(struct server *server)
{
	close(server->connection);
}

static void
accept_run(struct server *server)
{
	struct msg msg;

	hear(server, MSG_OP_RUN);
	must(uuid_equal(&server->msg.op_run.session, &session));
	msg_init(&msg, MSG_OP_ACCEPTED);
	msg.id = server->msg.id;
	msg.op_accepted.session = session;
	say(server, &msg);
}

static void
say_state(struct server *server, enum session_state state, enum session_outcome outcome,
	  uint64_t log_bytes)
{
	struct msg msg;

	msg_init(&msg, MSG_SESSION_EVENT);
	msg.session_event.session = session;
	strcpy(msg.session_event.agent, "changes");
	msg.session_event.state = (uint8_t)state;
	msg.session_event.outcome = (uint8_t)outcome;
	msg.session_event.exit_code = outcome == OUTCOME_FAILED ? 3 : -1;
	msg.session_event.signal = -1;
	msg.session_event.log_bytes = log_bytes;
	say(server, &msg);
}

static void
say_grown(struct server *server, uint64_t total)
{
	struct msg msg;

	msg_init(&msg, MSG_LOG_EVENT);
	msg.log_event.session = session;
	msg.log_event.total_bytes = total;
	say(server, &msg);
}

static void
give_log(struct server *server, const char *text, uint64_t offset)
{
	int fd = memfd_create("log", MFD_CLOEXEC);
	struct msg msg;

	hear(server, MSG_OP_LOG);
	must(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	msg_init(&msg, MSG_LOG);
	msg.id = server->msg.id;
	msg.log.session = session;
	msg.log.offset = offset;
	msg.log.total_bytes = offset + strlen(text);
	msg_add_fd(&msg, fd);
	say(server, &msg);
}

static void
give_row(struct server *server, enum session_state state, uint64_t log_bytes)
{
	struct rows *rows = rows_new("rows");
	struct msg row, msg;

	msg_init(&row, MSG_SESSION_ROW);
	row.session_row.session = session;
	strcpy(row.session_row.agent, "changes");
	row.session_row.state = (uint8_t)state;
	row.session_row.outcome = state == STATE_ENDED ? OUTCOME_FAILED : OUTCOME_NONE;
	row.session_row.exit_code = state == STATE_ENDED ? 3 : -1;
	row.session_row.signal = -1;
	row.session_row.log_bytes = log_bytes;
	must(rows_add(rows, &row) == 0);
	msg_init(&msg, MSG_ROWS);
	msg.id = server->msg.id;
	msg.rows.count = 1;
	msg_add_fd(&msg, rows_seal(rows));
	say(server, &msg);
}

static void
say_error(struct server *server, enum error_code code)
{
	struct error error = ERROR_INIT;
	struct msg msg;

	error_why(&error, code, "no");
	msg_from_error(&msg, server->msg.id, &error);
	say(server, &msg);
}

/* --- ash, in this process
 * --------------------------------------------------------------------------- */

struct outcome {
	int result, status;
	struct error error;
};

static pid_t
serve(void (*script)(struct server *server))
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct server server = {.connection = -1};
	pid_t pid;

	strcpy(folder, "/tmp/ash-watch-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/socket", folder);
	strcpy(address.sun_path, path);
	server.listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(server.listener, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(server.listener, 5), 0);
	pid = fork();
	if (pid == 0) {
		script(&server);
		_exit(0);
	}
	close(server.listener);
	return pid;
}

/* Runs with standard output in a file, which is in printed afterwards. */
static struct outcome
run(void (*script)(struct server *server), const char *input, size_t length)
{
	struct ash ash = {.connection = CONNECTION_INIT, .quiet = true, .style = {.width = 80}};
	struct outcome outcome = {.error = ERROR_INIT};
	struct run start = {.input = (const uint8_t *)input, .input_length = length};
	char id[UUID_TEXT_LEN + 1];
	struct watch watch;
	int saved, file = memfd_create("out", MFD_CLOEXEC), status;
	pid_t pid;

	session = uuid_new();
	pid = serve(script);
	ash.socket = ash.connection.path = path;
	msg_init(&start.request, MSG_OP_RUN);
	start.request.op_run.session = session;
	start.request.op_run.has_input = input != NULL;
	strcpy(start.request.op_run.agent, "changes");
	watch_init(&watch, &ash, uuid_format(&session, id), "changes");
	watch.run = &start;
	watch.output = true;
	fflush(stdout);
	saved = dup(STDOUT_FILENO);
	dup2(file, STDOUT_FILENO);
	outcome.result = watch_session(&watch, &outcome.error);
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	outcome.status = ending_status(&watch.ending);
	watch_free(&watch);
	connection_close(&ash.connection);
	close(saved);
	printed[pread(file, printed, sizeof(printed) - 1, 0)] = '\0';
	close(file);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	unlink(path);
	rmdir(folder);
	ck_assert_msg(status == 0, "the server was surprised");
	return outcome;
}

static void
plain_script(struct server *server)
{
	greet(server);
	accept_run(server);
	say_state(server, STATE_SETUP, OUTCOME_NONE, 0);
	say_state(server, STATE_RUNNING, OUTCOME_NONE, 0);
	say_grown(server, strlen(LINE("one") LINE("two")));
	give_log(server, LINE("one") LINE("two"), 0);
	say_state(server, STATE_ENDED, OUTCOME_FAILED, strlen(LINE("one") LINE("two")));
}

START_TEST(a_run_prints_and_ends)
{
	int before = open_fds();
	struct outcome outcome = run(plain_script, NULL, 0);

	ck_assert_int_eq(outcome.result, 0);
	ck_assert_int_eq(outcome.status, 3);
	ck_assert_str_eq(printed, "one\ntwo\n");
	ck_assert_int_eq(open_fds(), before);
}
END_TEST

static void
silent_script(struct server *server)
{
	greet(server);
	accept_run(server);
	say_state(server, STATE_ENDED, OUTCOME_SUCCESS, 0);
}

START_TEST(what_prints_nothing_asks_for_no_log)
{
	struct outcome outcome = run(silent_script, NULL, 0);

	ck_assert_int_eq(outcome.result, 0);
	ck_assert_int_eq(outcome.status, 0);
	ck_assert_str_eq(printed, "");
}
END_TEST

/* The connection breaks while the session runs; the rest is printed from where it was. */
static void
broken_script(struct server *server)
{
	greet(server);
	accept_run(server);
	say_state(server, STATE_RUNNING, OUTCOME_NONE, 0);
	say_grown(server, strlen(LINE("one")));
	give_log(server, LINE("one"), 0);
	break_off(server);
	greet(server);
	hear(server, MSG_OP_FOLLOW);
	give_row(server, STATE_RUNNING, 0);
	give_log(server, LINE("one") LINE("two"), 0);
	break_off(server);
	greet(server);
	hear(server, MSG_OP_FOLLOW);
	give_row(server, STATE_ENDED, strlen(LINE("one") LINE("two") LINE("three")));
	give_log(server, LINE("three"), strlen(LINE("one") LINE("two")));
}

START_TEST(a_broken_connection_is_taken_up)
{
	struct outcome outcome = run(broken_script, NULL, 0);

	ck_assert_int_eq(outcome.result, 0);
	ck_assert_int_eq(outcome.status, 3);
	ck_assert_str_eq(printed, "one\ntwo\nthree\n");
}
END_TEST

static void
eat_input(struct server *server, size_t enough)
{
	size_t total = 0;
	char bytes[4096];
	ssize_t n = 1;

	must(server->msg.nfds == 1);
	while (total < enough && (n = read(server->msg.fds[0], bytes, sizeof(bytes))) > 0)
		for (ssize_t i = 0; i < n; i++)
			must(bytes[i] == (char)(total++ % 251));
	must(enough != SIZE_MAX || total == 300000);
	msg_close_fds(&server->msg);
}

/* Before it is accepted the request is repeated, with the same id and the whole input. */
static void
repeated_script(struct server *server)
{
	struct msg msg;

	greet(server);
	hear(server, MSG_OP_RUN);
	eat_input(server, 100);
	break_off(server);
	greet(server);
	hear(server, MSG_OP_RUN);
	eat_input(server, 5000);
	say_error(server, ERR_UNREACHABLE);
	break_off(server);
	greet(server);
	hear(server, MSG_OP_RUN);
	must(uuid_equal(&server->msg.op_run.session, &session));
	msg_init(&msg, MSG_OP_ACCEPTED);
	msg.id = server->msg.id;
	eat_input(server, SIZE_MAX);
	say(server, &msg);
	say_state(server, STATE_ENDED, OUTCOME_SUCCESS, 0);
}

START_TEST(an_unanswered_request_is_repeated_whole)
{
	_cleanup_free_ char *input = malloc(300000);
	struct outcome outcome;

	for (size_t i = 0; i < 300000; i++)
		input[i] = (char)(i % 251);
	outcome = run(repeated_script, input, 300000);
	ck_assert_msg(outcome.result == 0, "%s", outcome.error.why);
}
END_TEST

static void
refusing_script(struct server *server)
{
	greet(server);
	hear(server, MSG_OP_RUN);
	say_error(server, ERR_NOT_FOUND);
}

START_TEST(a_refusal_is_told)
{
	struct outcome outcome = run(refusing_script, NULL, 0);

	ck_assert_int_eq(outcome.result, -1);
	ck_assert_int_eq(outcome.error.code, ERR_NOT_FOUND);
	ck_assert_str_eq(outcome.error.why, "no");
}
END_TEST

/* The log says that there is more than its descriptors ever give: no waiting for ever. */
static void
short_log_script(struct server *server)
{
	greet(server);
	accept_run(server);
	say_state(server, STATE_ENDED, OUTCOME_SUCCESS, 100000);
	give_log(server, LINE("one"), 0);
}

START_TEST(a_short_log_does_not_hang)
{
	struct outcome outcome = run(short_log_script, NULL, 0);

	ck_assert_int_eq(outcome.result, 0);
	ck_assert_str_eq(printed, "one\n");
}
END_TEST

/* Events of other sessions and answers to nothing are left alone. */
static void
strange_script(struct server *server)
{
	struct uuid own = session;

	greet(server);
	accept_run(server);
	session = uuid_new();
	say_state(server, STATE_ENDED, OUTCOME_FAILED, 5);
	say_grown(server, 500);
	session = own;
	server->msg.id = 9999;
	say_error(server, ERR_FAILED);
	give_row(server, STATE_ENDED, 0);
	say_state(server, STATE_ENDED, OUTCOME_SUCCESS, 0);
}

START_TEST(what_is_not_ours_is_left_alone)
{
	struct outcome outcome = run(strange_script, NULL, 0);

	ck_assert_int_eq(outcome.result, 0);
	ck_assert_int_eq(outcome.status, 0);
}
END_TEST

static void
garbage_script(struct server *server)
{
	server->connection = accept(server->listener, NULL, NULL);
	must(send(server->connection, "garbage", 7, MSG_NOSIGNAL) == 7);
}

START_TEST(garbage_is_no_agentd)
{
	struct ash ash = {.connection = CONNECTION_INIT};
	struct error error = ERROR_INIT;
	struct msg request, reply;
	int status;
	pid_t pid = serve(garbage_script);

	ash.connection.path = path;
	msg_init(&request, MSG_OP_PING);
	ck_assert_int_eq(
	    connection_call(&ash.connection, &request, MSG_OP_PONG, &reply, 1000, &error), -1);
	ck_assert_int_eq(error.code, ERR_UNREACHABLE);
	waitpid(pid, &status, 0);
	ck_assert_int_eq(status, 0);
	unlink(path);
	rmdir(folder);
}
END_TEST

START_TEST(nobody_there)
{
	struct connection connection = CONNECTION_INIT;
	char far[400] = "/tmp/";
	struct error error = ERROR_INIT;

	ck_assert_int_eq(connection_open(&connection, "/nonexistent/socket", &error), -1);
	ck_assert_int_eq(error.code, ERR_UNREACHABLE);
	ck_assert(*error.hint);
	memset(far + 5, 'x', 200);
	strcpy(far + 205, "/socket");
	ck_assert_int_eq(connection_open(&connection, far, &error), -1);
	ck_assert_int_eq(error.code, ERR_UNREACHABLE);
	memset(far, 'x', sizeof(far) - 1);
	ck_assert_int_eq(connection_open(&connection, far, &error), -1);
	ck_assert_int_eq(error.code, ERR_UNREACHABLE);
}
END_TEST

int
main(void)
{
	const TTest *tests[] = {
	    a_run_prints_and_ends,
	    what_prints_nothing_asks_for_no_log,
	    a_broken_connection_is_taken_up,
	    an_unanswered_request_is_repeated_whole,
	    a_refusal_is_told,
	    a_short_log_does_not_hang,
	    what_is_not_ours_is_left_alone,
	    garbage_is_no_agentd,
	    nobody_there,
	};

	signal(SIGPIPE, SIG_IGN);
	return suite_run("ash watch", tests, ARRAY_LEN(tests));
}
