/*
 * A broker on a stage: the real program, beside a test that plays runnerd, the plugins (it holds
 * the other ends of their pipes) and the agent. Everything blocks, with a deadline; lines are
 * compared as bytes.
 */
#ifndef SCARAB_TESTS_BROKER_STAGE_H
#define SCARAB_TESTS_BROKER_STAGE_H

#ifndef STAGE_WITHOUT_CHECK
#include <check.h>
#endif
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "common/cleanup.h"
#include "common/confine.h"
#include "common/io.h"
#include "common/keeper_calls.h"
#include "common/loop.h"
#include "common/proto.h"
#include "runnerd/broker/broker.h"

#ifdef STAGE_WITHOUT_CHECK /* a program that is no test of Check: what does not hold ends it */
#define ck_assert_msg(holds, ...)                                                                  \
	do {                                                                                       \
		if (holds)                                                                         \
			break;                                                                     \
		fprintf(stderr, "%s:%d: ", __FILE__, __LINE__);                                    \
		fprintf(stderr, __VA_ARGS__);                                                      \
		fputc('\n', stderr);                                                               \
		exit(1);                                                                           \
	} while (0)
#define ck_assert(holds) ck_assert_msg(holds, "%s does not hold", #holds)
#define ck_assert_int_eq(a, b) ck_assert((a) == (b))
#define ck_assert_int_ge(a, b) ck_assert((a) >= (b))
#define ck_assert_int_gt(a, b) ck_assert((a) > (b))
#define ck_assert_ptr_nonnull(a) ck_assert((a) != NULL)
#endif

enum {
	STAGE_UID = 2200002001U - (1U << 31), /* added to 2^31 below: no host uses those */
	STAGE_WAIT_MS = 30000,
	STAGE_PLUGINS = 24,
};

/* A stream of lines. */
struct wire {
	int in, out; /* read from, written to */
	char *bytes;
	size_t length, size;
};

struct stage {
	char dir[64];
	pid_t pid;
	int channel, own;
	int life; /* the keeper's end of the socket; closed by the test's end */
	struct rows *plan;
	struct msg_broker_boot boot;
	size_t servers;
	struct wire plugins[STAGE_PLUGINS];
	uint32_t generations[STAGE_PLUGINS];
	struct msg msg; /* the newest */
};

/* --- lines ----------------------------------------------------------------------------------- */

/* The next line without its newline, heap; NULL at the end of the stream. */
static inline char *
wire_line_in(struct wire *wire, int wait_ms)
{
	for (;;) {
		char *end = wire->bytes ? memchr(wire->bytes, '\n', wire->length) : NULL;
		struct pollfd ready = {.fd = wire->in, .events = POLLIN};
		char *line;
		ssize_t n;

		if (end) {
			line = strndup(wire->bytes, (size_t)(end - wire->bytes));
			wire->length -= (size_t)(end - wire->bytes) + 1;
			memmove(wire->bytes, end + 1, wire->length);
			return line;
		}
		if (wire->size - wire->length < 65536) {
			wire->size = 2 * wire->size + 131072;
			wire->bytes = realloc(wire->bytes, wire->size);
			ck_assert_ptr_nonnull(wire->bytes);
		}
		if (poll(&ready, 1, wait_ms) == 0)
			return NULL;
		n = read(wire->in, wire->bytes + wire->length, wire->size - wire->length);
		if (n <= 0)
			return NULL;
		wire->length += (size_t)n;
	}
}

static inline char *
wire_line(struct wire *wire)
{
	return wire_line_in(wire, STAGE_WAIT_MS);
}

static inline void
wire_write(struct wire *wire, const void *bytes, size_t length)
{
	ck_assert_int_eq(write_all(wire->out, bytes, length), 0);
}

static inline void __attribute__((format(printf, 2, 3)))
wire_say(struct wire *wire, const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	int length = vasprintf(&text, fmt, ap);
	va_end(ap);
	ck_assert_int_ge(length, 0);
	text = realloc(text, (size_t)length + 1);
	text[length] = '\n';
	wire_write(wire, text, (size_t)length + 1);
	free(text);
}

#define expect_line(wire, wanted)                                                                  \
	do {                                                                                       \
		char *line_ = wire_line(wire);                                                     \
		ck_assert_msg(line_ != NULL, "the stream ended, expected: %s", wanted);            \
		ck_assert_msg(strcmp(line_, wanted) == 0, "came: %.2000s\nexpected: %.2000s",      \
			      line_, wanted);                                                      \
		free(line_);                                                                       \
	} while (0)

#define expect_part(wire, part)                                                                    \
	do {                                                                                       \
		char *line_ = wire_line(wire);                                                     \
		ck_assert_msg(line_ != NULL, "the stream ended, expected: %s", part);              \
		ck_assert_msg(strstr(line_, part) != NULL, "came: %.2000s\nexpected in it: %s",    \
			      line_, part);                                                        \
		free(line_);                                                                       \
	} while (0)

/* Nothing comes in a while: only where something that comes would be wrong. */
#define expect_silence(wire)                                                                       \
	do {                                                                                       \
		char *line_ = wire_line_in(wire, 100);                                             \
		ck_assert_msg(line_ == NULL, "came: %.2000s", line_);                              \
	} while (0)

static inline void
wire_close(struct wire *wire)
{
	int out = wire->out;

	wire->out = -1;
	if (out >= 0 && out != wire->in)
		close(out);
	close_fd(&wire->in);
	free(steal_ptr(&wire->bytes));
	wire->length = wire->size = 0;
}

/* --- runnerd --------------------------------------------------------------------------------- */

static inline void
stage_new(struct stage *stage)
{
	memset(stage, 0, sizeof(*stage));
	stage->channel = stage->own = -1;
	stage->pid = -1;
	for (size_t i = 0; i < STAGE_PLUGINS; i++)
		stage->plugins[i].in = stage->plugins[i].out = -1;
	signal(SIGPIPE, SIG_IGN);
	strcpy(stage->dir, "/tmp/test_broker.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(stage->dir));
	stage->plan = rows_new("plan");
	ck_assert_ptr_nonnull(stage->plan);
	stage->boot.uid = (1U << 31) + STAGE_UID;
	stage->boot.approval_ms = APPROVAL_MS;
}

/* One more plugin of the plan; its fields may be changed before stage_server() of the next. */
static inline void
stage_server(struct stage *stage, const char *name, bool required, uint64_t timeout_ms)
{
	struct msg row;

	msg_init(&row, MSG_BROKER_SERVER);
	snprintf(row.broker_server.name, sizeof(row.broker_server.name), "%s",
		 name[0] == '=' ? name + 1 : name);
	row.broker_server.passthrough = name[0] == '=';
	row.broker_server.required = required;
	row.broker_server.timeout_ms = timeout_ms;
	row.broker_server.start_timeout_ms = timeout_ms;
	row.broker_server.result_bytes = RESULT_BYTES;
	ck_assert_int_eq(rows_add(stage->plan, &row), 0);
	stage->servers++;
}

static inline void
stage_rule(struct stage *stage, enum rule_kind kind, unsigned server, const char *glob)
{
	struct msg row;

	msg_init(&row, MSG_BROKER_RULE);
	row.broker_rule.kind = (uint8_t)kind;
	row.broker_rule.server = (uint8_t)server;
	snprintf(row.broker_rule.glob, sizeof(row.broker_rule.glob), "%s", glob);
	ck_assert_int_eq(rows_add(stage->plan, &row), 0);
}

static inline int
stage_socket(const struct stage *stage, const char *name)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	bool packets = strcmp(name, "own") == 0;
	int fd = socket(AF_UNIX, (packets ? SOCK_SEQPACKET : SOCK_STREAM) | SOCK_CLOEXEC, 0);

	snprintf(at.sun_path, sizeof(at.sun_path), "%s/%s", stage->dir, name);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

static inline int
stage_connect(const struct stage *stage, const char *name)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	bool packets = strcmp(name, "own") == 0;
	int fd = socket(AF_UNIX, (packets ? SOCK_SEQPACKET : SOCK_STREAM) | SOCK_CLOEXEC, 0);

	snprintf(at.sun_path, sizeof(at.sun_path), "%s/%s", stage->dir, name);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

/* The broker beside this test program. */
static inline void
stage_exec(int boot, int life)
{
	char path[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);

	path[length > 0 ? length : 0] = '\0';
	for (int i = 0; i < 2 && strrchr(path, '/'); i++)
		*strrchr(path, '/') = '\0';
	strncat(path, "/broker", sizeof(path) - strlen(path) - 1);
	boot = fcntl(boot, F_DUPFD_CLOEXEC, 64);
	life = fcntl(life, F_DUPFD_CLOEXEC, 64);
	dup2(boot, BROKER_FD_BOOT);
	dup2(life, BROKER_FD_LIFE);
	close_range(BROKER_FD_LIFE + 1, ~0U, 0);
	execl(path, "broker", (char *)NULL);
	_exit(127);
}

static inline void
stage_send(struct stage *stage, struct msg *msg)
{
	ck_assert_int_eq(msg_send(stage->channel, CH_BROKER, SIDE_A, IN_OPEN, msg), 0);
	msg_close_fds(msg);
}

/* The next message, whatever it is; false at the end of the channel. */
static inline bool
stage_receive(struct stage *stage)
{
	int rc;

	msg_close_fds(&stage->msg);
	rc = msg_recv(stage->channel, CH_BROKER, SIDE_A, IN_OPEN, &stage->msg, STAGE_WAIT_MS);
	ck_assert_int_ge(rc, 0);
	return rc == 1;
}

/* Passes over others. */
static inline void
stage_await(struct stage *stage, enum msg_type type)
{
	do
		ck_assert_msg(stage_receive(stage), "the broker is gone, %s was expected",
			      msg_rule(type)->name);
	while (stage->msg.type != type);
}

/* Ends the broker when the test dies, however that happens: a broker does not end with its
 * channel. */
static inline void
stage_guard(pid_t broker)
{
	int life[2], closed[2], pidfd = (int)syscall(SYS_pidfd_open, broker, 0);
	char byte;

	ck_assert_int_ge(pidfd, 0);
	ck_assert_int_eq(pipe2(life, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(closed, O_CLOEXEC), 0);
	if (fork() == 0) {
		setsid();
		dup2(life[0], 0);
		dup2(pidfd, 1);
		close_range(2, ~0U, 0);
		while (read(0, &byte, 1) < 0)
			;
		syscall(SYS_pidfd_send_signal, 1, SIGKILL, NULL, 0);
		_exit(0);
	}
	/* Until it has closed its copies of ours, what we close stays open. */
	close(closed[1]);
	ck_assert_int_eq(read_all(closed[0], &byte, 1), 0);
	close(closed[0]);
	close(life[0]); /* life[1] is closed by the test's end */
	close(pidfd);
}

static inline void
stage_boot(struct stage *stage)
{
	static const char mission[] = "{\"version\":1,\"agent\":\"a\"}";
	struct error error = ERROR_INIT;
	int ends[2], life[2];
	struct msg msg;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, life), 0);
	msg_init(&msg, MSG_BROKER_BOOT);
	msg.broker_boot = stage->boot;
	ck_assert(msg_add_fd(&msg, rows_seal(stage->plan)));
	ck_assert(msg_add_fd(&msg, memfd_sealed("mission", mission, sizeof(mission) - 1)));
	ck_assert(msg_add_fd(&msg, stage_socket(stage, "agent")));
	ck_assert(msg_add_fd(&msg, stage_socket(stage, "own")));
	ck_assert(msg_add_fd(&msg, open(stage->dir, O_PATH | O_DIRECTORY | O_CLOEXEC)));
	ck_assert(msg_add_fd(&msg, confine_program(broker_syscalls, broker_syscall_count, &error)));
	stage->pid = fork();
	if (stage->pid == 0)
		stage_exec(ends[1], life[0]);
	ck_assert_int_gt(stage->pid, 0);
	stage_guard(stage->pid);
	close(life[0]);
	stage->life = life[1];
	close(ends[1]);
	stage->channel = ends[0];
	ck_assert_int_eq(
	    msg_greet(stage->channel, CH_BROKER, SIDE_A, ROLE_RUNNERD, ROLE_BROKER, STAGE_WAIT_MS),
	    0);
	ck_assert_int_eq(msg_send(stage->channel, CH_BROKER, SIDE_A, IN_SETUP, &msg), 0);
	msg_close_fds(&msg);
	stage_await(stage, MSG_BROKER_UP);
}

/* A new process of a plugin: fresh pipes, their ends to the broker. */
static inline struct wire *
stage_plug(struct stage *stage, unsigned server)
{
	struct wire *wire = &stage->plugins[server];
	int to[2], from[2];
	struct msg msg;

	wire_close(wire);
	ck_assert_int_eq(pipe2(to, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(from, O_CLOEXEC), 0);
	wire->in = to[0];
	wire->out = from[1];
	msg_init(&msg, MSG_BROKER_PLUGIN);
	msg.broker_plugin.server = (uint8_t)server;
	msg.broker_plugin.generation = ++stage->generations[server];
	ck_assert(msg_add_fd(&msg, to[1]));
	ck_assert(msg_add_fd(&msg, from[0]));
	stage_send(stage, &msg);
	return wire;
}

static inline void
stage_gone(struct stage *stage, unsigned server, const char *why)
{
	struct msg msg;

	msg_init(&msg, MSG_BROKER_PLUGIN_GONE);
	msg.broker_plugin_gone.server = (uint8_t)server;
	msg.broker_plugin_gone.generation = stage->generations[server];
	strcpy(msg.broker_plugin_gone.why, why);
	stage_send(stage, &msg);
}

/* --- a plugin -------------------------------------------------------------------------------- */

/* The id of a request that the broker wrote: its first number after "id":. */
static inline unsigned long long
line_id(const char *line)
{
	const char *at = strstr(line, "\"id\":");

	ck_assert_msg(at != NULL, "no id: %.300s", line);
	return strtoull(at + 5, NULL, 10);
}

/* Reads a request that must be of this method; its id. */
static inline unsigned long long
plugin_asked(struct wire *wire, const char *method)
{
	char *line = wire_line(wire), wanted[96];
	unsigned long long id;

	snprintf(wanted, sizeof(wanted), "\"method\":\"%s\"", method);
	ck_assert_msg(line != NULL, "the stream ended, %s was expected", method);
	ck_assert_msg(strstr(line, wanted) != NULL, "came: %.600s\nexpected: %s", line, method);
	id = line_id(line);
	free(line);
	return id;
}

/* The handshake with these capabilities. */
static inline void
plugin_greet(struct wire *wire, const char *capabilities)
{
	unsigned long long id = plugin_asked(wire, "initialize");

	wire_say(wire,
		 "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"result\":{\"protocolVersion\":\"2025-11-25\","
		 "\"capabilities\":%s,\"serverInfo\":{\"name\":\"fake\",\"version\":\"1\"}}}",
		 id, capabilities);
	expect_line(wire, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}");
}

static inline void
plugin_list(struct wire *wire, const char *tools)
{
	wire_say(wire, "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"result\":{\"tools\":%s}}",
		 plugin_asked(wire, "tools/list"), tools);
}

#define TOOLS "{\"tools\":{\"listChanged\":true}}"
#define ECHO "{\"name\":\"echo\",\"inputSchema\":{\"type\":\"object\"}}"

static inline void
plugin_ready(struct wire *wire, const char *tools)
{
	plugin_greet(wire, TOOLS);
	plugin_list(wire, tools);
}

/* --- the agent ------------------------------------------------------------------------------- */

static inline void
agent_connect(struct stage *stage, struct wire *agent)
{
	*agent = (struct wire){0};
	agent->in = agent->out = stage_connect(stage, "agent");
}

static inline void
agent_initialize(struct wire *agent, const char *revision)
{
	wire_say(agent,
		 "{\"jsonrpc\":\"2.0\",\"id\":\"i\",\"method\":\"initialize\",\"params\":{"
		 "\"protocolVersion\":\"%s\",\"capabilities\":{},\"clientInfo\":{\"name\":\"t\","
		 "\"version\":\"1\"}}}",
		 revision);
	expect_part(agent, "\"id\":\"i\",\"result\":{\"protocolVersion\":");
	wire_say(agent, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}");
}

/* --- the end --------------------------------------------------------------------------------- */

/* The broker obeys BROKER_STOP, its plugins end, and it exits 0. */
static inline void
stage_stop(struct stage *stage)
{
	struct msg msg;
	int status;

	msg_init(&msg, MSG_BROKER_STOP);
	stage_send(stage, &msg);
	for (size_t i = 0; i < STAGE_PLUGINS; i++)
		wire_close(&stage->plugins[i]);
	while (stage_receive(stage))
		;
	ck_assert_int_eq(waitpid(stage->pid, &status, 0), stage->pid);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %#x", status);
	stage->pid = -1;
}

static inline void
stage_free(struct stage *stage)
{
	char path[96];

	if (stage->pid > 0) {
		kill(stage->pid, SIGKILL);
		waitpid(stage->pid, NULL, 0);
	}
	for (size_t i = 0; i < STAGE_PLUGINS; i++)
		wire_close(&stage->plugins[i]);
	msg_close_fds(&stage->msg);
	close_fd(&stage->channel);
	for (size_t i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s", stage->dir, i ? "own" : "agent");
		unlink(path);
	}
	rmdir(stage->dir);
}

/* What the broker's memory has come to: VmHWM, in KiB. */
static inline long
stage_peak_kib(const struct stage *stage)
{
	char path[64], line[256];
	long kib = -1;
	FILE *status;

	snprintf(path, sizeof(path), "/proc/%d/status", stage->pid);
	status = fopen(path, "re");
	ck_assert_ptr_nonnull(status);
	while (fgets(line, sizeof(line), status))
		if (sscanf(line, "VmHWM: %ld kB", &kib) == 1)
			break;
	fclose(status);
	return kib;
}

#ifndef STAGE_WITHOUT_CHECK
/* One plugin "p" that is ready with these tools, and an agent that has initialized. */
static inline void
stage_begin(struct stage *stage, struct wire *agent, const char *tools)
{
	stage_new(stage);
	stage_server(stage, "p", true, STAGE_WAIT_MS);
	stage_boot(stage);
	plugin_ready(stage_plug(stage, 0), tools);
	stage_await(stage, MSG_BROKER_READY);
	ck_assert(stage->msg.broker_ready.ready);
	agent_connect(stage, agent);
	agent_initialize(agent, "2025-11-25");
}

static inline void
stage_finish(struct stage *stage, struct wire *agent)
{
	wire_close(agent);
	stage_stop(stage);
	stage_free(stage);
}

#define META                                                                                       \
	"\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\","                   \
	"\"io.modelcontextprotocol/clientCapabilities\":{}"
#endif

#endif
