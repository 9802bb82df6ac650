/*
 * What agents and plugins may write, against the broker's own parts in this process: framing, the
 * scanner, routing. A case is a script: its bytes go to the agent's connection, after an 0x01 to
 * the plugin's output, after an 0x02 to the agent's again. Nothing may crash or hang; and whatever
 * the broker writes, to either side, is whole lines of valid JSON-RPC.
 *
 * fuzz_broker [CASES [SEED]]: bit flips, cuts, repetitions and swaps over the seeds below, the same
 * for the same seed. With -DSCARAB_LIBFUZZER the entry point of libFuzzer instead (make libfuzzer).
 */
// timeout: 300
// with: runnerd/broker/agent.c runnerd/broker/agent_requests.c runnerd/broker/answer.c
// with: runnerd/broker/approval.c runnerd/broker/recorder.c runnerd/broker/broker.c
// with: runnerd/broker/builtin.c runnerd/broker/calls.c runnerd/broker/catalog.c
// with: runnerd/broker/clean.c runnerd/broker/forward.c runnerd/broker/frame.c
// with: runnerd/broker/link.c runnerd/broker/naming.c runnerd/broker/outq.c runnerd/broker/plan.c
// with: runnerd/broker/policy.c runnerd/broker/registry.c runnerd/broker/revision.c
// with: runnerd/broker/rpc.c runnerd/broker/server.c
// with: runnerd/broker/server_in.c runnerd/broker/server_lists.c runnerd/broker/server_start.c
// with: runnerd/broker/splice.c runnerd/broker/stats.c runnerd/broker/subscribe.c
// with: runnerd/broker/life.c runnerd/broker/notes.c runnerd/broker/event.c
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "runnerd/broker/state.h"
#include "tests/fuzz/mutate.h"

enum {
	CASES = 6000,
	CASES_SANITIZED = 1500,
	CASE_BYTES_MAX = 16384,
	TO_PLUGIN = 1,
	TO_AGENT = 2,
	ROUNDS = 4,
};

static uint64_t lines_written;

static void
fail(const char *what, struct span line)
{
	fprintf(stderr, "%s: %.*s\n", what, (int)line.length, line.at);
	abort();
}

/* --- one broker with one plugin and one connection ------------------------------------------- */

struct trial {
	struct broker *broker;
	struct loop_source *timer;
	unsigned rounds;   /* of the loop, that are left */
	int agent, plugin; /* the far ends: what is written there is read by the broker */
	struct pool pool;
	struct frame from_agent, from_plugin;
};

/* Batches are answered by batches. */
static bool
check_line(enum frame_event event, struct span line, void *arg)
{
	struct rpc rpc;
	const char *why;

	(void)arg;
	lines_written++;
	if (event != FRAME_LINE || rpc_parse(line, &rpc, &why) != 0)
		fail("the broker wrote what is no message", line);
	return true;
}

static void
read_all_there_is(int fd, struct frame *frame)
{
	char bytes[65536];
	ssize_t n;

	while ((n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
		frame_feed(frame, bytes, (size_t)n, check_line, NULL);
}

/* What is ready in the same round may come behind it. */
static void
count_round(struct loop_source *source, void *arg)
{
	struct trial *trial = arg;

	if (--trial->rounds > 0)
		loop_arm(source, 1);
	else
		loop_stop(trial->broker->loop, 0);
}

/* Until nothing is ready. */
static void
settle(struct trial *trial)
{
	trial->rounds = ROUNDS;
	loop_arm(trial->timer, 1);
	loop_run(trial->broker->loop);
	read_all_there_is(trial->agent, &trial->from_agent);
	read_all_there_is(trial->plugin, &trial->from_plugin);
}

static void
say(struct trial *trial, int fd, const char *text, size_t length)
{
	while (length > 0) {
		ssize_t n = send(fd, text, length, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n > 0) {
			text += n;
			length -= (size_t)n;
		}
		settle(trial);
		if (n < 0 && errno != EAGAIN)
			return;
	}
}

static void
say_text(struct trial *trial, int fd, const char *text)
{
	say(trial, fd, text, strlen(text));
}

static char *globs[] = {(char[]){"deny*"}, (char[]){"ask*"}};

static void
plan(struct broker *broker)
{
	struct server *server = &broker->servers[0];

	broker->server_count = 1;
	server->broker = broker;
	server->in = server->out = -1;
	strcpy(server->plan.name, "p");
	server->plan.timeout_ms = server->plan.start_timeout_ms = 60000;
	server->plan.result_bytes = CASE_BYTES_MAX / 2;
	server->rules[RULE_DENY] = (struct rules){&globs[0], 1};
	server->rules[RULE_ASK] = (struct rules){&globs[1], 1};
	broker->boot.approval_ms = 60000;
	broker->mission = strdup("{\"version\":1}");
	broker->mission_length = strlen(broker->mission);
	broker->open = true; /* nobody listens: the one connection is made by hand */
}

static void
greet(struct trial *trial)
{
	say_text(
	    trial, trial->plugin,
	    "{\"jsonrpc\":\"2.0\",\"id\":256,\"result\":{\"protocolVersion\":\"2025-11-25\","
	    "\"capabilities\":{\"tools\":{\"listChanged\":true},\"resources\":{\"subscribe\":"
	    "true},\"prompts\":{},\"completions\":{},\"logging\":{}}}}\n"
	    "{\"jsonrpc\":\"2.0\",\"id\":513,\"result\":{\"tools\":[{\"name\":\"echo\"},{"
	    "\"name\":\"deny\"},{\"name\":\"ask\"}]}}\n"
	    "{\"jsonrpc\":\"2.0\",\"id\":770,\"result\":{\"prompts\":[{\"name\":\"p\"}]}}\n"
	    "{\"jsonrpc\":\"2.0\",\"id\":1027,\"result\":{\"resources\":[{\"uri\":\"a:b\"}]}}\n"
	    "{\"jsonrpc\":\"2.0\",\"id\":1284,\"result\":{\"resourceTemplates\":[]}}\n");
}

/* The keeper, which hears signs of life and does not end: one for all cases. */
static void
open_life(void)
{
	int ends[2], far;

	if (fcntl(BROKER_FD_LIFE, F_GETFD) >= 0)
		return;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		abort();
	far = fcntl(ends[1], F_DUPFD_CLOEXEC, BROKER_FD_LIFE + 1);
	close(ends[1]);
	if (far < 0 || dup2(ends[0], BROKER_FD_LIFE) < 0)
		abort();
	if (ends[0] != BROKER_FD_LIFE)
		close(ends[0]);
}

static void
begin(struct trial *trial)
{
	struct error error = ERROR_INIT;
	int agent[2], plugin[2];
	struct broker *broker;

	open_life();
	broker = broker_new();
	if (!broker || life_open(broker) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, agent) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, plugin) < 0)
		abort();
	*trial = (struct trial){.broker = broker, .agent = agent[1], .plugin = plugin[1]};
	trial->pool.max = POOL_BYTES;
	frame_init(&trial->from_agent, &trial->pool, POOL_BYTES);
	frame_init(&trial->from_plugin, &trial->pool, POOL_BYTES);
	plan(broker);
	trial->timer = loop_add_timer(broker->loop, count_round, trial);
	broker->ready_told = true; /* agents_open() would want a listener */
	if (!trial->timer || broker_begin(broker, &error) < 0 || !agent_new(broker, agent[0]))
		abort();
	server_handed(&broker->servers[0], 1, plugin[0], dup(plugin[0]));
	greet(trial);
	if (broker->servers[0].state != SERVER_READY)
		abort();
}

static void
end(struct trial *trial)
{
	struct rules *rules = trial->broker->servers[0].rules;

	broker_stop(trial->broker);
	settle(trial);
	rules[RULE_DENY].count = rules[RULE_ASK].count = 0;
	rules[RULE_DENY].globs = rules[RULE_ASK].globs = NULL;
	broker_free(trial->broker);
	frame_free(&trial->from_agent);
	frame_free(&trial->from_plugin);
	close(trial->agent);
	close(trial->plugin);
}

static void
try_case(const uint8_t *bytes, size_t length)
{
	struct trial trial;
	const char *at = (const char *)bytes, *stop = at + length, *next;

	begin(&trial);
	for (int fd = trial.agent; at < stop; at = next + 1) {
		for (next = at; next < stop && *next != TO_PLUGIN && *next != TO_AGENT; next++)
			;
		say(&trial, fd, at, (size_t)(next - at));
		if (next < stop)
			fd = *next == TO_PLUGIN ? trial.plugin : trial.agent;
	}
	end(&trial);
}
FUZZ_TARGET(try_case)

#ifndef SCARAB_LIBFUZZER

/* --- the short run of every check ------------------------------------------------------------ */

#define INIT                                                                                       \
	"{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\",\"params\":{"                     \
	"\"protocolVersion\":\"2025-03-26\"}}\n"
#define META                                                                                       \
	"\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\","                   \
	"\"io.modelcontextprotocol/clientCapabilities\":{},\"progressToken\":\"t\",\"k\":[1]}"
#define CALL(id, rest)                                                                             \
	"{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"tools/call\",\"params\":{" rest "}}\n"

static const struct seed seeds[] = {
    SEED(INIT "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}\n" CALL(
	"2", "\"name\":\"p__echo\",\"arguments\":{\"n\":9007199254740993,\"t\":\"a\\u0000b\"},"
	     "\"_meta\":{\"progressToken\":5}") "\001{\"jsonrpc\":\"2.0\",\"method\":"
						"\"notifications/progress\",\"params\":{"
						"\"progressToken\":1536,\"progress\":1}}\n"
						"{\"result\":{\"content\":[],\"isError\":true},"
						"\"jsonrpc\":\"2.0\",\"id\":1536}\n"),
    SEED(CALL(
	"\"a\"",
	"\"name\":\"p__echo\"," META) "\001{\"jsonrpc\":\"2.0\",\"id\":1536,\"result\":{ }}\n\002"
				      "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"server/"
				      "discover\",\"params\":{" META "}}\n"
				      "{\"jsonrpc\":\"2.0\",\"id\":\"L\",\"method\":"
				      "\"subscriptions/listen\",\"params\":{" META
				      ",\"notifications\":{\"toolsListChanged\":true,"
				      "\"resourceSubscriptions\":[\"mcp.p+a:b\"]}}}\n"
				      "\001{\"jsonrpc\":\"2.0\",\"method\":\"notifications/"
				      "resources/updated\",\"params\":{"
				      "\"uri\":\"a:b\"}}\n{\"jsonrpc\":\"2.0\",\"method\":"
				      "\"notifications/tools/list_changed\"}\n"
				      "\002{\"jsonrpc\":\"2.0\",\"method\":\"notifications/"
				      "cancelled\",\"params\":{\"requestId\":"
				      "\"L\"}}\n"),
    SEED(INIT "["
	      "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"},{\"jsonrpc\":\"2.0\",\"id\":2,"
	      "\"method\":\"tools/call\",\"params\":{\"name\":\"p__echo\"}},3]\n"
	      "\001{\"jsonrpc\":\"2.0\",\"id\":1536,\"error\":{\"code\":-1,\"message\":\"no\"}}\n"),
    SEED(INIT
	 "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"resources/read\",\"params\":{\"uri\":"
	 "\"mcp.p+a:b\"}}\n{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"prompts/get\",\"params\":{"
	 "\"name\":\"p__p\"}}\n{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"completion/complete\","
	 "\"params\":{\"ref\":{\"type\":\"ref/prompt\",\"name\":\"p__p\"}}}\n{\"jsonrpc\":\"2.0\","
	 "\"id\":4,\"method\":\"resources/subscribe\",\"params\":{\"uri\":\"a:b\"}}\n{\"jsonrpc\":"
	 "\"2.0\",\"id\":5,\"method\":\"logging/setLevel\",\"params\":{\"level\":\"info\"}}\n"
	 "\001{\"jsonrpc\":\"2.0\",\"id\":1536,\"result\":{\"contents\":[]}}\n{\"jsonrpc\":\"2.0\","
	 "\"method\":\"notifications/message\",\"params\":{\"level\":\"info\",\"data\":1}}\n"
	 "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"ping\"}\n"),
    SEED(INIT CALL("1", "\"name\":\"agentd__observe\",\"arguments\":{\"text\":\"x\"}")
	     CALL("2", "\"name\":\"agentd__transition\",\"arguments\":{\"state\":\"plan\"}")
		 CALL("3", "\"name\":\"agentd__result\",\"arguments\":{\"result\":[1,2.50]}") CALL(
		     "4", "\"name\":\"agentd__emit_event\",\"arguments\":{\"type\":\"a\"}")
		     CALL("5", "\"name\":\"agentd__mission\"") CALL("6", "\"name\":\"p__deny\"")
			 CALL("7", "\"name\":\"p__ask\"") "{\"jsonrpc\":\"2.0\",\"method\":"
							  "\"notifications/cancelled\",\"params\":{"
							  "\"requestId\":7}}\n"),
};

int
main(int argc, char **argv)
{
	const struct fuzzing fuzzing = {
	    .target = try_case,
	    .seeds = seeds,
	    .seed_count = ARRAY_LEN(seeds),
	    .liked = SEED("{}[]\",:\\0123456789eE+-.ntfu \n\r\x01\x02\x80\xc3\xff"),
	    .bytes_max = CASE_BYTES_MAX,
	};
	size_t cases = fuzz_begin(argc, argv, CASES, CASES_SANITIZED);

	signal(SIGPIPE, SIG_IGN);
	log_set_level(LOG_LEVEL_ERROR);
	fuzz_run(&fuzzing, cases);
	printf("%zu cases of what agents and plugins write: no crash, %" PRIu64
	       " lines written, all of them messages\n",
	       cases, lines_written);
	return 0;
}

#endif
