/*
 * Plugins and agents that mean harm: while they do what they can, another plugin of the session
 * answers its calls, the broker's memory stays bounded, and it ends when it is told to.
 */
// timeout: 400
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>

#include "broker_stage.h"
#include "suite.h"

enum {
	UNREAD_BYTES = 16 << 10, /* at an agent that does not read */
	PEAK_KIB = 320 << 10, /* POOL_BYTES, twice for what grows by copying, and the definitions */
	MIB = 1 << 20,
};

/* Plugin 0, "good", required; plugin 1, "bad", optional; an agent that has initialized. */
struct scene {
	struct stage stage;
	struct wire *good, *bad, agent;
	pid_t villain;
	int calls;
};

static void
open_scene(struct scene *scene, bool bad_is_ready)
{
	struct stage *stage = &scene->stage;

	memset(scene, 0, sizeof(*scene));
	stage_new(stage);
	stage_server(stage, "good", true, STAGE_WAIT_MS);
	stage_server(stage, "bad", false, bad_is_ready ? STAGE_WAIT_MS : 1000);
	stage_boot(stage);
	scene->good = stage_plug(stage, 0);
	plugin_ready(scene->good, "[" ECHO "]");
	scene->bad = stage_plug(stage, 1);
	if (!bad_is_ready)
		return;
	plugin_ready(scene->bad, "[" ECHO "]");
	stage_await(stage, MSG_BROKER_READY);
	ck_assert(stage->msg.broker_ready.ready);
	agent_connect(stage, &scene->agent);
	agent_initialize(&scene->agent, "2025-11-25");
}

/* The session goes on. */
static void
good_call(struct scene *scene)
{
	char wanted[128];

	wire_say(&scene->agent,
		 "{\"jsonrpc\":\"2.0\",\"id\":\"g%d\",\"method\":\"tools/call\",\"params\":{"
		 "\"name\":\"good__echo\"}}",
		 ++scene->calls);
	wire_say(scene->good, "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"result\":{}}",
		 plugin_asked(scene->good, "tools/call"));
	snprintf(wanted, sizeof(wanted), "{\"jsonrpc\":\"2.0\",\"id\":\"g%d\",\"result\":{}}",
		 scene->calls);
	expect_line(&scene->agent, wanted);
}

static unsigned long long
bad_call(struct scene *scene, const char *id)
{
	wire_say(&scene->agent,
		 "{\"jsonrpc\":\"2.0\",\"id\":%s,\"method\":\"tools/call\",\"params\":{"
		 "\"name\":\"bad__echo\",\"_meta\":{\"progressToken\":1}}}",
		 id);
	return plugin_asked(scene->bad, "tools/call");
}

static void
close_scene(struct scene *scene)
{
	long peak = stage_peak_kib(&scene->stage);

	ck_assert_msg(peak < PEAK_KIB, "the broker came to %ld KiB", peak);
	if (scene->villain > 0) {
		kill(scene->villain, SIGKILL);
		waitpid(scene->villain, NULL, 0);
	}
	wire_close(&scene->agent);
	stage_stop(&scene->stage);
	stage_free(&scene->stage);
}

/* A process that writes this again and again, as fast as it is read. It ends with the pipe. */
static void
flood(struct scene *scene, int fd, const char *text, size_t length)
{
	size_t many = length < 65536 ? 65536 / length : 1;
	char *block = malloc(many * length);

	for (size_t i = 0; i < many; i++)
		memcpy(block + i * length, text, length);
	scene->villain = fork();
	if (scene->villain == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		while (write(fd, block, many * length) > 0)
			;
		_exit(0);
	}
	free(block);
}

static void
await_state(struct stage *stage, uint8_t server, enum server_state state)
{
	do
		stage_await(stage, MSG_BROKER_SERVER_STATE);
	while (stage->msg.broker_server_state.server != server ||
	       stage->msg.broker_server_state.state != state);
}

/* --- plugins --------------------------------------------------------------------------------- */

START_TEST(floods_of_what_may_be_said)
{
	static const char *const floods[] = {
	    "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{}}\n",
	    "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}\n",
	    "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/resources/updated\",\"params\":{"
	    "\"uri\":\"x\"}}\n",
	    "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{}}\n",
	    "{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"error\":{}}\n",
	    "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"ping\"}\n",
	    "\n",
	};
	struct scene scene;

	for (size_t i = 0; i < ARRAY_LEN(floods); i++) {
		open_scene(&scene, true);
		flood(&scene, scene.bad->out, floods[i], strlen(floods[i]));
		for (int call = 0; call < 50; call++)
			good_call(&scene);
		close_scene(&scene);
	}
}
END_TEST

START_TEST(a_storm_of_progress)
{
	struct scene scene;
	char text[160];
	int unread = 0;

	open_scene(&scene, true);
	snprintf(text, sizeof(text),
		 "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{"
		 "\"progressToken\":%llu,\"progress\":1}}\n",
		 bad_call(&scene, "1"));
	flood(&scene, scene.bad->out, text, strlen(text));
	/* The agent reads nothing of it: what is too much is dropped. */
	while (ioctl(scene.agent.in, FIONREAD, &unread) == 0 && unread < UNREAD_BYTES)
		sched_yield();
	wire_say(&scene.agent, "{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"method\":\"tools/call\","
			       "\"params\":{\"name\":\"good__echo\"}}");
	wire_say(scene.good, "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"result\":{}}",
		 plugin_asked(scene.good, "tools/call"));
	for (;;) {
		char *line = wire_line(&scene.agent);
		ck_assert_ptr_nonnull(line);
		bool answer = strcmp(line, "{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"result\":{}}") == 0;
		free(line);
		if (answer)
			break;
	}
	close_scene(&scene);
}
END_TEST

START_TEST(garbage_ends_its_plugin)
{
	static const char deep[] =
	    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
	    "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]\n";
	static const char *const lines[] = {
	    "hello, world\n",
	    "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"a\":\"\xff\"}}\n",
	    deep,
	    "{\"jsonrpc\":\"2.0\"}\n",
	    "[]\n",
	    "{\"jsonrpc\":\"2.0\",\"result\":[]}\n",
	};
	struct scene scene;

	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		open_scene(&scene, true);
		bad_call(&scene, "1");
		flood(&scene, scene.bad->out, lines[i], strlen(lines[i]));
		expect_part(&scene.agent, "the plugin bad is gone: it writes what is no message");
		await_state(&scene.stage, 1, SERVER_WAITING);
		good_call(&scene);
		close_scene(&scene);
	}
}
END_TEST

/* It fails the call that it answers, wherever the id stands, and costs no memory. */
START_TEST(a_line_of_a_hundred_megabytes)
{
	static const char *const heads[] = {"{\"jsonrpc\":\"2.0\",\"id\":%llu,\"result\":{\"t\":\"",
					    "{\"result\":{\"t\":\""};
	static const char *const tails[] = {"\"}}\n", "\"},\"jsonrpc\":\"2.0\",\"id\":%llu}\n"};
	struct scene scene;
	char *block = malloc(MIB);

	memset(block, 'x', MIB);
	for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
		open_scene(&scene, true);
		unsigned long long id = bad_call(&scene, "1");
		scene.villain = fork();
		if (scene.villain == 0) {
			dprintf(scene.bad->out, heads[i], id);
			for (int n = 0; n < 100; n++)
				write_all(scene.bad->out, block, MIB);
			dprintf(scene.bad->out, tails[i], id);
			_exit(0);
		}
		good_call(&scene);
		expect_part(&scene.agent,
			    "its result is longer than 33554432 bytes\"}],\"isError\":true");
		good_call(&scene);
		close_scene(&scene);
	}
	free(block);
}
END_TEST

START_TEST(half_lines)
{
	struct scene scene;

	open_scene(&scene, true);
	bad_call(&scene, "1");
	wire_write(scene.bad, "{\"jsonrpc\":\"2.0\",\"id", 20);
	good_call(&scene);
	wire_close(scene.bad);
	expect_part(&scene.agent, "the plugin bad is gone");
	good_call(&scene);
	close_scene(&scene);
}
END_TEST

START_TEST(ids_of_others)
{
	struct scene scene;
	unsigned long long bad, good;

	open_scene(&scene, true);
	bad = bad_call(&scene, "1");
	wire_say(&scene.agent,
		 "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"tools/call\",\"params\":{"
		 "\"name\":\"good__echo\"}}");
	good = plugin_asked(scene.good, "tools/call");
	/* The other's call, one from the past, ones to come, and its own twice. */
	for (unsigned long long id = 0; id < 2000; id++)
		if (id != bad)
			wire_say(scene.bad,
				 "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"result\":{\"no\":1}}", id);
	wire_say(scene.bad, "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"result\":{\"no\":1}}", good);
	wire_say(scene.bad, "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"result\":{\"yes\":1}}", bad);
	wire_say(scene.bad, "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"result\":{\"no\":1}}", bad);
	expect_line(&scene.agent, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"yes\":1}}");
	wire_say(scene.good, "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"result\":{\"good\":1}}", good);
	expect_line(&scene.agent, "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{\"good\":1}}");
	close_scene(&scene);
}
END_TEST

START_TEST(a_plugin_that_never_reads)
{
	struct scene scene;
	char *big = malloc(MIB + 1), *line;
	int busy = 0;

	open_scene(&scene, true);
	memset(big, 'x', MIB);
	big[MIB] = '\0';
	for (int i = 0; i < 40; i++)
		wire_say(&scene.agent,
			 "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"tools/call\",\"params\":{"
			 "\"name\":\"bad__echo\",\"arguments\":{\"x\":\"%s\"}}}",
			 i, big);
	wire_say(&scene.agent, "{\"jsonrpc\":\"2.0\",\"id\":\"end\",\"method\":\"ping\"}");
	for (;;) {
		line = wire_line(&scene.agent);
		ck_assert_ptr_nonnull(line);
		bool end = strstr(line, "\"id\":\"end\"") != NULL;
		busy += strstr(line, "busy: the plugin does not read its requests") != NULL;
		free(line);
		if (end)
			break;
	}
	ck_assert_int_eq(busy, 25); /* 16 MiB less what a pipe holds have room */
	good_call(&scene);
	/* Cancelled before they were written: the plugin never hears of them. */
	for (int i = 1; i < 15; i++)
		wire_say(&scene.agent,
			 "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\","
			 "\"params\":{\"requestId\":%d}}",
			 i);
	good_call(&scene);
	wire_say(&scene.agent, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\","
			       "\"params\":{\"requestId\":0}}");
	plugin_asked(scene.bad, "tools/call");
	expect_part(scene.bad, "notifications/cancelled");
	expect_silence(scene.bad);
	free(big);
	close_scene(&scene);
}
END_TEST

/* What a plugin has said when it closes its output, or its input, or both. */
START_TEST(closing_at_every_point)
{
	enum { STEPS = 4, WAYS = 3 };
	struct scene scene;
	unsigned long long id;

	for (int step = 0; step < STEPS; step++)
		for (int way = 0; way < WAYS; way++) {
			open_scene(&scene, false);
			if (step > 0) {
				id = plugin_asked(scene.bad, "initialize");
				wire_say(scene.bad,
					 "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"result\":{"
					 "\"protocolVersion\":\"2025-06-18\",\"capabilities\":{"
					 "\"tools\":{}}}}",
					 id);
			}
			if (step > 1) {
				expect_part(scene.bad, "notifications/initialized");
				plugin_asked(scene.bad, "tools/list");
			}
			if (step > 2)
				wire_write(scene.bad, "{\"jsonrpc\":", 11);
			if (way != 0)
				close_fd(&scene.bad->in);
			if (way != 1)
				close_fd(&scene.bad->out);
			stage_await(&scene.stage, MSG_BROKER_READY);
			ck_assert(scene.stage.msg.broker_ready.ready);
			agent_connect(&scene.stage, &scene.agent);
			agent_initialize(&scene.agent, "2025-11-25");
			good_call(&scene);
			close_scene(&scene);
		}
}
END_TEST

START_TEST(handshakes_that_are_none)
{
	static const char *const answers[] = {
	    "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"error\":{\"code\":-1,\"message\":\"no\"}}\n",
	    "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"result\":{}}\n",
	    "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"result\":{\"protocolVersion\":\"1.0\"}}\n",
	    "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"result\":{\"protocolVersion\":\"2026-07-28\"}}\n",
	    "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"result\":{\"protocolVersion\":[],\"capabilities\":"
	    "7}}\n",
	    "", /* silence until start_timeout */
	};
	struct scene scene;
	char text[160];

	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		open_scene(&scene, false);
		snprintf(text, sizeof(text), answers[i], plugin_asked(scene.bad, "initialize"));
		wire_write(scene.bad, text, strlen(text));
		await_state(&scene.stage, 1, SERVER_FAILED);
		stage_await(&scene.stage, MSG_BROKER_READY);
		ck_assert(scene.stage.msg.broker_ready.ready);
		agent_connect(&scene.stage, &scene.agent);
		agent_initialize(&scene.agent, "2025-11-25");
		good_call(&scene);
		close_scene(&scene);
	}
}
END_TEST

/* A program that cannot be executed closes its pipes before the broker has them; what is told of it
 * is why. */
START_TEST(ended_before_its_handover)
{
	struct stage stage;
	struct msg msg;
	int to[2], from[2];

	stage_new(&stage);
	stage_server(&stage, "bad", true, STAGE_WAIT_MS);
	stage_boot(&stage);
	ck_assert(pipe2(to, O_CLOEXEC) == 0 && pipe2(from, O_CLOEXEC) == 0);
	close(to[0]);
	close(from[1]);
	msg_init(&msg, MSG_BROKER_PLUGIN);
	msg.broker_plugin.generation = ++stage.generations[0];
	ck_assert(msg_add_fd(&msg, to[1]) && msg_add_fd(&msg, from[0]));
	stage_send(&stage, &msg);
	await_state(&stage, 0, SERVER_STARTING);
	stage_gone(&stage, 0, "no such program");
	await_state(&stage, 0, SERVER_FAILED);
	ck_assert_str_eq(stage.msg.broker_server_state.why, "no such program");
	stage_stop(&stage);
	stage_free(&stage);
}
END_TEST

/* Pages without end, definitions without end. */
START_TEST(lists_without_end)
{
	struct scene scene;
	char *big = malloc(2 * MIB);

	open_scene(&scene, false);
	plugin_greet(scene.bad, TOOLS);
	for (int page = 0; page < 300; page++) {
		char *line = wire_line(scene.bad);
		bool asked = line && strstr(line, "tools/list");
		unsigned long long id = asked ? line_id(line) : 0;

		free(line);
		if (!asked)
			break;
		wire_say(scene.bad,
			 "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"result\":{\"tools\":[{\"name\":"
			 "\"t%d\"}],\"nextCursor\":\"c%d\"}}",
			 id, page, page);
	}
	await_state(&scene.stage, 1, SERVER_FAILED);
	ck_assert_ptr_nonnull(strstr(scene.stage.msg.broker_server_state.why, "too many pages"));
	scene.agent.in = scene.agent.out = -1;
	close_scene(&scene);

	open_scene(&scene, true);
	memset(big, 'x', 2 * MIB - 1);
	big[2 * MIB - 1] = '\0';
	/* Thirty-six MiB of definitions, in three pages. */
	wire_say(scene.bad,
		 "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}");
	for (int page = 0; page < 3; page++) {
		unsigned long long id = plugin_asked(scene.bad, "tools/list");

		wire_write(scene.bad, "{\"result\":{\"tools\":[", 20);
		for (int tool = 0; tool < 6; tool++) {
			dprintf(scene.bad->out, "%s{\"name\":\"t%d_%d\",\"d\":\"", tool ? "," : "",
				page, tool);
			wire_write(scene.bad, big, 2 * MIB - 1);
			wire_write(scene.bad, "\"}", 2);
		}
		wire_say(scene.bad, "],\"nextCursor\":\"n%d\"},\"jsonrpc\":\"2.0\",\"id\":%llu}",
			 page, id);
	}
	good_call(&scene);
	close_scene(&scene);
	free(big);
}
END_TEST

/* A new list each time that it is asked: never faster than once a second. */
START_TEST(tools_that_change_all_the_time)
{
	struct scene scene;

	open_scene(&scene, true);
	for (int i = 0; i < 2; i++) {
		for (int n = 0; n < 1000; n++)
			wire_say(scene.bad, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/"
					    "list_changed\"}");
		wire_say(
		    scene.bad,
		    "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"result\":{\"tools\":[{\"name\":\"t%d\"},{"
		    "\"name\":\"good__echo\"},{\"name\":\"agentd__mission\"}]}}",
		    plugin_asked(scene.bad, "tools/list"), i);
		expect_part(&scene.agent, "notifications/tools/list_changed");
	}
	wire_say(&scene.agent, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}");
	expect_part(&scene.agent,
		    "{\"name\":\"bad__agentd__mission\"},{\"name\":\"bad__good__echo\"}");
	good_call(&scene);
	close_scene(&scene);
}
END_TEST

START_TEST(restarts_come_to_an_end)
{
	struct scene scene;

	open_scene(&scene, true);
	for (int i = 0; i < RESTARTS_MAX; i++) {
		wire_close(scene.bad);
		do
			stage_await(&scene.stage, MSG_BROKER_WANT);
		while (!scene.stage.msg.broker_want.start);
		plugin_ready(stage_plug(&scene.stage, 1), "[" ECHO "]");
		await_state(&scene.stage, 1, SERVER_READY);
	}
	wire_close(scene.bad);
	await_state(&scene.stage, 1, SERVER_FAILED);
	expect_part(&scene.agent, "notifications/tools/list_changed");
	good_call(&scene);
	close_scene(&scene);
}
END_TEST

/* --- agents ---------------------------------------------------------------------------------- */

START_TEST(an_agent_that_floods_and_never_reads)
{
	static const char *const floods[] = {
	    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}\n",
	    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/"
	    "call\",\"params\":{\"name\":\"x\"}}\n",
	    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n",
	    "{\n",
	    "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{"
	    "\"requestId\":1}}\n",
	};
	struct scene scene;
	struct wire hostile;

	for (size_t i = 0; i < ARRAY_LEN(floods); i++) {
		open_scene(&scene, true);
		agent_connect(&scene.stage, &hostile);
		agent_initialize(&hostile, "2025-11-25");
		flood(&scene, hostile.out, floods[i], strlen(floods[i]));
		for (int call = 0; call < 5; call++) {
			if (i == 1) /* runnerd must take the lines of refused calls */
				stage_await(&scene.stage, MSG_BROKER_CALL);
			else
				good_call(&scene);
		}
		kill(scene.villain, SIGKILL);
		wire_close(&hostile);
		close_scene(&scene);
	}
}
END_TEST

START_TEST(an_agent_that_does_not_read_its_results)
{
	struct scene scene;
	struct wire lazy;
	unsigned long long ids[40];
	char *big = malloc(MIB + 1);

	open_scene(&scene, true);
	memset(big, 'x', MIB);
	big[MIB] = '\0';
	agent_connect(&scene.stage, &lazy);
	agent_initialize(&lazy, "2025-11-25");
	/* Forty times one MiB, unread: the plugins are not read from, and then it is let go. */
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		wire_say(&lazy,
			 "{\"jsonrpc\":\"2.0\",\"id\":%zu,\"method\":\"tools/call\",\"params\":{"
			 "\"name\":\"bad__echo\"}}",
			 i);
		ids[i] = plugin_asked(scene.bad, "tools/call");
	}
	scene.villain = fork();
	if (scene.villain == 0) {
		for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
			dprintf(scene.bad->out,
				"{\"jsonrpc\":\"2.0\",\"id\":%llu,\"result\":{\"t\":\"", ids[i]);
			write_all(scene.bad->out, big, MIB);
			write_all(scene.bad->out, "\"}}\n", 4);
		}
		_exit(0);
	}
	waitpid(scene.villain, NULL, 0);
	scene.villain = 0;
	good_call(&scene);
	wire_close(&lazy);
	free(big);
	close_scene(&scene);
}
END_TEST

START_TEST(agents_without_number)
{
	struct scene scene;
	struct wire many[64];
	char *big = malloc(7 * MIB);
	pid_t writers[8];

	open_scene(&scene, true);
	for (size_t i = 0; i < ARRAY_LEN(many); i++)
		agent_connect(&scene.stage, &many[i]);
	good_call(&scene);
	/* Half lines of 7 MiB on each: more than all buffers together may hold. */
	memset(big, ' ', 7 * MIB);
	for (size_t w = 0; w < ARRAY_LEN(writers); w++) {
		writers[w] = fork();
		if (writers[w] == 0) {
			for (size_t i = w; i < ARRAY_LEN(many); i += ARRAY_LEN(writers))
				write_all(many[i].out, big, 7 * MIB);
			_exit(0);
		}
	}
	for (size_t w = 0; w < ARRAY_LEN(writers); w++)
		waitpid(writers[w], NULL, 0);
	good_call(&scene);
	for (size_t i = 0; i < ARRAY_LEN(many); i++)
		wire_close(&many[i]);
	good_call(&scene);
	free(big);
	close_scene(&scene);
}
END_TEST

START_TEST(another_user_is_not_the_agent)
{
	struct stage stage;
	struct wire agent;
	char byte;

	stage_new(&stage);
	stage.boot.agent_uid = 4000000000U;
	stage_boot(&stage);
	stage_await(&stage, MSG_BROKER_READY);
	agent_connect(&stage, &agent);
	ck_assert_int_eq(read(agent.in, &byte, 1), 0);
	wire_close(&agent);
	stage_stop(&stage);
	stage_free(&stage);
}
END_TEST

int
main(void)
{
	const TTest *tests[] = {
	    floods_of_what_may_be_said,
	    a_storm_of_progress,
	    garbage_ends_its_plugin,
	    a_line_of_a_hundred_megabytes,
	    half_lines,
	    ids_of_others,
	    a_plugin_that_never_reads,
	    closing_at_every_point,
	    handshakes_that_are_none,
	    ended_before_its_handover,
	    lists_without_end,
	    tools_that_change_all_the_time,
	    restarts_come_to_an_end,
	    an_agent_that_floods_and_never_reads,
	    an_agent_that_does_not_read_its_results,
	    agents_without_number,
	    another_user_is_not_the_agent,
	};

	if (geteuid() != 0) {
		printf("skip - test_broker_hostile: a broker is started by root\n");
		return 77;
	}
	return suite_run("broker_hostile", tests, ARRAY_LEN(tests));
}
