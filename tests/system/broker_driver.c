/*
 * Plays runnerd to one broker whose plugins are real programs.
 *
 *   broker_driver serve [NAME=]COMMAND… [-- NAME=COMMAND…]
 *       a broker with these plugins; prints its socket when it is ready and ends with its standard
 *       input; a single plugin without NAME keeps its names
 *   broker_driver bench ECHO-PLUGIN ROUNDS
 *       what the broker adds to a call, and what it takes; the last line is an object of JSON
 *   broker_driver latency ROUNDS TOOL COMMAND…
 *       what it adds to a call of this program's tool, which takes a "message"; likewise
 */
#include <sched.h>
#include <sys/prctl.h>
#include <time.h>

#define STAGE_WITHOUT_CHECK
#include "tests/unit/broker_stage.h"

/* --- programs -------------------------------------------------------------------------------- */

static pid_t children[STAGE_PLUGINS + 1];
static size_t child_count;

/* Its standard input and output are wire->out and wire->in. */
static void
start(char *const *command, struct wire *wire)
{
	int to[2], from[2];
	pid_t pid;

	ck_assert_int_eq(pipe2(to, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(from, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(to[0], 0);
		dup2(from[1], 1);
		execvp(command[0], command);
		_exit(127);
	}
	ck_assert_int_gt(pid, 0);
	children[child_count++] = pid;
	close(to[0]);
	close(from[1]);
	wire->out = to[1];
	wire->in = from[0];
}

static void
hand_over(struct stage *stage, unsigned server, char *const *command)
{
	struct wire wire = {0};
	struct msg msg;

	start(command, &wire);
	msg_init(&msg, MSG_BROKER_PLUGIN);
	msg.broker_plugin.server = (uint8_t)server;
	msg.broker_plugin.generation = ++stage->generations[server];
	ck_assert(msg_add_fd(&msg, wire.out));
	ck_assert(msg_add_fd(&msg, wire.in));
	stage_send(stage, &msg);
}

static void
reap_children(void)
{
	for (size_t i = 0; i < child_count; i++) {
		kill(children[i], SIGTERM);
		waitpid(children[i], NULL, 0);
	}
	child_count = 0;
}

static void
await_ready(struct stage *stage)
{
	stage_await(stage, MSG_BROKER_READY);
	if (stage->msg.broker_ready.ready)
		return;
	printf("FAIL - the broker is not ready: %s\n", stage->msg.broker_ready.why);
	exit(1);
}

/* Takes what runnerd would take, so that calls are recorded. */
static void
take_messages(struct stage *stage)
{
	while (msg_recv(stage->channel, CH_BROKER, SIDE_A, IN_OPEN, &stage->msg, 0) == 1)
		msg_close_fds(&stage->msg);
}

/* --- what a client says --------------------------------------------------------------------- */

/* The line that answers this id, whatever else comes. */
static char *
answer_to(struct wire *wire, const char *id)
{
	for (;;) {
		char *line = wire_line(wire), wanted[64];

		snprintf(wanted, sizeof(wanted), "\"id\":%s", id);
		if (!line)
			return NULL;
		char *at = strstr(line, wanted);
		while (at && strchr("0123456789", at[strlen(wanted)]))
			at = strstr(at + 1, wanted);
		/* Answers hold an id of their own once, at the beginning or at the end. */
		if (at && !strstr(line, "\"method\":"))
			return line;
		free(line);
	}
}

static void
initialize(struct wire *wire)
{
	char *line;

	wire_say(wire, "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\",\"params\":{"
		       "\"protocolVersion\":\"2025-11-25\",\"capabilities\":{},\"clientInfo\":{"
		       "\"name\":\"agentd\",\"version\":\"0\"}}}");
	line = answer_to(wire, "0");
	ck_assert_ptr_nonnull(line);
	free(line);
	wire_say(wire, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}");
}

/* --- serve ----------------------------------------------------------------------------------- */

/* NAME of NAME=COMMAND, cut off the word; "=p" where there is none. */
static const char *
server_name(char **word)
{
	char *equals = strchr(*word, '=');
	const char *name = *word;

	if (!equals || memchr(name, '/', (size_t)(equals - name)))
		return "=p";
	*equals = '\0';
	*word = equals + 1;
	return name;
}

static int
serve(char **words)
{
	char **commands[STAGE_PLUGINS];
	struct stage stage;
	char byte;

	stage_new(&stage);
	while (*words && stage.servers < STAGE_PLUGINS) {
		commands[stage.servers] = words;
		stage_server(&stage, server_name(words), true, STAGE_WAIT_MS);
		while (*words && strcmp(*words, "--") != 0)
			words++;
		if (*words)
			*words++ = NULL;
	}
	stage_boot(&stage);
	for (unsigned i = 0; i < stage.servers; i++)
		hand_over(&stage, i, commands[i]);
	await_ready(&stage);
	printf("%s/agent\n", stage.dir);
	fflush(stdout);
	for (;;) {
		struct pollfd ready[] = {{.fd = 0, .events = POLLIN},
					 {.fd = stage.channel, .events = POLLIN}};

		ck_assert_int_gt(poll(ready, 2, -1), 0);
		take_messages(&stage);
		if (ready[0].revents && read(0, &byte, 1) <= 0)
			break;
	}
	stage_stop(&stage);
	stage_free(&stage);
	reap_children();
	return 0;
}

/* --- bench ----------------------------------------------------------------------------------- */

enum {
	WARM = 200,
	FLIGHT = 16,
	ID_AT = 23 /* in request_text() */,
	BENCH_TOOLS = 50,
	BENCH_PLUGINS = 20
};

static double
now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* A tools/call with 1 KiB of arguments, its newline included. */
static char *
request_text(const char *tool, size_t *length)
{
	char *text;
	int count =
	    asprintf(&text,
		     "{\"jsonrpc\":\"2.0\",\"id\":\"7\",\"method\":\"tools/call\",\"params\":{"
		     "\"name\":\"%s\",\"arguments\":{\"message\":\"%01024d\"}}}\n",
		     tool, 0);

	ck_assert_int_gt(count, 0);
	*length = (size_t)count;
	return text;
}

static void
read_lines(int fd, int count)
{
	char bytes[65536];

	while (count > 0) {
		ssize_t n = read(fd, bytes, sizeof(bytes));

		ck_assert_int_gt(n, 0);
		for (const char *at = bytes; (at = memchr(at, '\n', (size_t)(bytes + n - at)));
		     at++)
			count--;
	}
}

static double
round_trip(struct wire *wire, const char *text, size_t length)
{
	double began = now_us();

	ck_assert_int_eq(write(wire->out, text, length), (ssize_t)length);
	read_lines(wire->in, 1);
	return now_us() - began;
}

static int
by_size(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double
median(double *values, size_t count)
{
	qsort(values, count, sizeof(*values), by_size);
	return values[count / 2];
}

struct bench {
	struct stage stage;
	struct wire direct, brokered;
	char *direct_text, *brokered_text;
	size_t direct_length, brokered_length;
	double *direct_us, *brokered_us;
	size_t rounds;
};

/* Interleaved, so that a noisy neighbour counts for both. */
static void
latencies(struct bench *b, double *direct, double *brokered)
{
	for (size_t i = 0; i < WARM + b->rounds; i++) {
		double one = round_trip(&b->direct, b->direct_text, b->direct_length);
		double other = round_trip(&b->brokered, b->brokered_text, b->brokered_length);

		if (i % 16 == 0)
			take_messages(&b->stage);
		if (i < WARM)
			continue;
		b->direct_us[i - WARM] = one;
		b->brokered_us[i - WARM] = other;
	}
	*direct = median(b->direct_us, b->rounds);
	*brokered = median(b->brokered_us, b->rounds);
}

static double
calls_per_second(struct bench *b, int in_flight)
{
	double began = now_us();
	size_t batches = b->rounds / (size_t)in_flight + 1;

	for (size_t i = 0; i < batches; i++) {
		for (int n = 0; n < in_flight; n++) {
			b->brokered_text[ID_AT] = (char)('a' + n); /* an id of its own */
			ck_assert_int_eq(
			    write(b->brokered.out, b->brokered_text, b->brokered_length),
			    (ssize_t)b->brokered_length);
		}
		read_lines(b->brokered.in, in_flight);
		if (i % 4 == 0)
			take_messages(&b->stage);
	}
	return (double)(batches * (size_t)in_flight) * 1e6 / (now_us() - began);
}

static long
broker_kib(const struct stage *stage, const char *key)
{
	char path[64], line[256];
	long kib = -1;

	snprintf(path, sizeof(path), "/proc/%d/status", stage->pid);
	_cleanup_fclose_ FILE *status = fopen(path, "re");
	while (status && fgets(line, sizeof(line), status))
		if (strncmp(line, key, strlen(key)) == 0)
			kib = strtol(line + strlen(key) + 1, NULL, 10);
	return kib;
}

static void
many_plugins(const char *plugin, long *before, long *after)
{
	char tools[16], *command[] = {(char *)plugin, tools, NULL};
	struct stage stage;

	snprintf(tools, sizeof(tools), "%d", BENCH_TOOLS);
	stage_new(&stage);
	for (unsigned i = 0; i < BENCH_PLUGINS; i++) {
		char name[16];
		snprintf(name, sizeof(name), "p%u", i);
		stage_server(&stage, name, true, STAGE_WAIT_MS);
	}
	stage_boot(&stage);
	*before = broker_kib(&stage, "VmRSS:");
	for (unsigned i = 0; i < BENCH_PLUGINS; i++)
		hand_over(&stage, i, command);
	await_ready(&stage);
	*after = broker_kib(&stage, "VmRSS:");
	stage_stop(&stage);
	stage_free(&stage);
	reap_children();
}

static void
pin(bool one)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(0, &cpus);
	if (one)
		sched_setaffinity(0, sizeof(cpus), &cpus);
}

/* Everything that is started from here on runs on one processor, or on all. */
static void
open_bench(struct bench *b, char *const *command, const char *tool, bool one_cpu)
{
	char name[64];

	snprintf(name, sizeof(name), "p__%s", tool);
	pin(one_cpu);
	stage_new(&b->stage);
	stage_server(&b->stage, "p", true, STAGE_WAIT_MS);
	stage_boot(&b->stage);
	hand_over(&b->stage, 0, command);
	await_ready(&b->stage);
	start(command, &b->direct);
	agent_connect(&b->stage, &b->brokered);
	initialize(&b->direct);
	initialize(&b->brokered);
	b->direct_text = request_text(tool, &b->direct_length);
	b->brokered_text = request_text(name, &b->brokered_length);
}

static void
close_bench(struct bench *b)
{
	free(b->direct_text);
	free(b->brokered_text);
	wire_close(&b->direct);
	wire_close(&b->brokered);
	stage_stop(&b->stage);
	stage_free(&b->stage);
	reap_children();
}

static int
bench(const char *plugin, size_t rounds)
{
	char *command[] = {(char *)plugin, NULL};
	struct bench b = {.rounds = rounds,
			  .direct_us = calloc(rounds, sizeof(double)),
			  .brokered_us = calloc(rounds, sizeof(double))};
	double direct[2], brokered[2], one, sixteen;
	long before, after;

	ck_assert(b.direct_us && b.brokered_us && rounds > 0);
	open_bench(&b, command, "echo0", false);
	latencies(&b, &direct[0], &brokered[0]);
	one = calls_per_second(&b, 1);
	sixteen = calls_per_second(&b, FLIGHT);
	close_bench(&b);
	many_plugins(plugin, &before, &after);
	memset(&b.stage, 0, sizeof(b.stage));
	open_bench(&b, command, "echo0", true);
	latencies(&b, &direct[1], &brokered[1]);
	close_bench(&b);
	printf("a tool call of 1 KiB, all processors: directly %.1f µs, through the broker %.1f: "
	       "%.1f added\n",
	       direct[0], brokered[0], brokered[0] - direct[0]);
	printf("a tool call of 1 KiB, one processor: directly %.1f µs, through the broker %.1f: "
	       "%.1f added\n",
	       direct[1], brokered[1], brokered[1] - direct[1]);
	printf("calls through the broker: %.0f/s one at a time, %.0f/s with %d in flight\n", one,
	       sixteen, FLIGHT);
	printf("the broker's resident memory: %ld KiB, %ld with %d plugins and %d tools\n", before,
	       after, BENCH_PLUGINS, BENCH_PLUGINS * BENCH_TOOLS);
	printf("{\"direct_us\":%.1f,\"brokered_us\":%.1f,\"direct_one_cpu_us\":%.1f,"
	       "\"brokered_one_cpu_us\":%.1f,\"calls_per_s\":%.0f,\"calls_per_s_16\":%.0f,"
	       "\"rss_kib\":%ld,\"rss_1000_tools_kib\":%ld}\n",
	       direct[0], brokered[0], direct[1], brokered[1], one, sixteen, before, after);
	free(b.direct_us);
	free(b.brokered_us);
	return 0;
}

static int
latency(size_t rounds, const char *tool, char *const *command)
{
	struct bench b = {.rounds = rounds,
			  .direct_us = calloc(rounds, sizeof(double)),
			  .brokered_us = calloc(rounds, sizeof(double))};
	double direct, brokered;

	ck_assert(b.direct_us && b.brokered_us && rounds > 0);
	open_bench(&b, command, tool, false);
	latencies(&b, &direct, &brokered);
	close_bench(&b);
	printf("a call of %s, all processors: directly %.1f µs, through the broker %.1f: %.1f "
	       "added\n",
	       tool, direct, brokered, brokered - direct);
	printf("{\"tool\":\"%s\",\"direct_us\":%.1f,\"brokered_us\":%.1f}\n", tool, direct,
	       brokered);
	free(b.direct_us);
	free(b.brokered_us);
	return 0;
}

int
main(int argc, char **argv)
{
	if (argc > 2 && strcmp(argv[1], "serve") == 0)
		return serve(argv + 2);
	if (argc > 3 && strcmp(argv[1], "bench") == 0)
		return bench(argv[2], strtoul(argv[3], NULL, 10));
	if (argc > 4 && strcmp(argv[1], "latency") == 0)
		return latency(strtoul(argv[2], NULL, 10), argv[3], argv + 4);
	fprintf(stderr, "usage: broker_driver serve [NAME=]COMMAND… | "
			"bench ECHO-PLUGIN ROUNDS | latency ROUNDS TOOL COMMAND…\n");
	return 2;
}
