/* What a broker tells for the sake of operators: definitions, calls that wait, notes, signs of
 * life, and how it ends. */
#include <check.h>

#include "broker_stage.h"
#include "suite.h"

static void
call_builtin(struct wire *agent, const char *tool, const char *arguments)
{
	wire_say(agent,
		 "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{"
		 "\"name\":\"agentd__%s\",\"arguments\":%s}}",
		 tool, arguments);
}

/* Two answers later the broker has looked at its channel. */
static void
runnerd_dies(struct stage *stage, struct wire *agent)
{
	close_fd(&stage->channel);
	for (int i = 0; i < 2; i++) {
		wire_say(agent, "{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"ping\"}");
		expect_part(agent, "\"id\":9");
	}
}

static void
stage_again(struct stage *stage)
{
	struct msg msg;

	stage->channel = stage_connect(stage, "own");
	ck_assert_int_eq(
	    msg_greet(stage->channel, CH_BROKER, SIDE_A, ROLE_RUNNERD, ROLE_BROKER, STAGE_WAIT_MS),
	    0);
	msg_init(&msg, MSG_BROKER_QUERY);
	stage_send(stage, &msg);
}

/* The text that follows the row of this tool in the registry. */
static size_t
registered_text(struct stage *stage, const char *tool, char *text, size_t size)
{
	struct rows_reader *reader = rows_open(stage->msg.fds[1]);
	static struct msg row;
	bool here = false;
	size_t length = 0;

	ck_assert_ptr_nonnull(reader);
	while (rows_next(reader, &row) == 1) {
		if (row.type == MSG_TOOL_ROW)
			here = strcmp(row.tool_row.tool, tool) == 0;
		if (row.type != MSG_TEXT_PART || !here)
			continue;
		ck_assert_uint_lt(length + row.text_part.text_len, size);
		memcpy(text + length, row.text_part.text, row.text_part.text_len);
		length += row.text_part.text_len;
	}
	rows_close(reader);
	text[length] = '\0';
	return length;
}

START_TEST(definitions_go_with_the_registry)
{
	static char tools[40000], text[40000], description[30001];
	struct stage stage;
	size_t length;

	memset(description, 'd', sizeof(description) - 1);
	snprintf(tools, sizeof(tools), "[" ECHO ",{\"name\":\"long\",\"description\":\"%s\"}]",
		 description);
	stage_new(&stage);
	stage_server(&stage, "p", true, STAGE_WAIT_MS);
	stage_boot(&stage);
	plugin_ready(stage_plug(&stage, 0), tools);
	do
		stage_await(&stage, MSG_BROKER_REGISTRY);
	while (stage.msg.broker_registry.tools < 7);
	registered_text(&stage, "echo", text, sizeof(text));
	ck_assert_str_eq(text, ECHO);
	length = registered_text(&stage, "long", text, sizeof(text));
	ck_assert_uint_eq(length, strlen("{\"name\":\"long\",\"description\":\"\"}") + 30000);
	ck_assert_uint_eq(registered_text(&stage, "agentd__result", text, sizeof(text)), 0);
	stage_stop(&stage);
	stage_free(&stage);
}
END_TEST

START_TEST(a_call_that_waits_has_a_shape)
{
	struct stage stage;
	struct wire agent;

	stage_new(&stage);
	stage_server(&stage, "p", true, STAGE_WAIT_MS);
	stage_rule(&stage, RULE_ASK, 0, "*");
	stage_boot(&stage);
	plugin_ready(stage_plug(&stage, 0), "[" ECHO "]");
	stage_await(&stage, MSG_BROKER_READY);
	agent_connect(&stage, &agent);
	agent_initialize(&agent, "2025-11-25");
	wire_say(&agent, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{"
			 "\"name\":\"p__echo\",\"arguments\":{\"path\":\"/etc\",\"n\":[1,2]}}}");
	stage_await(&stage, MSG_BROKER_ASK);
	ck_assert_str_eq(stage.msg.broker_ask.shape, "{path:string(4),n:array(2)}");
	stage_finish(&stage, &agent);
}
END_TEST

/* What an operator approves is the tool that was called, not what its plugin made of it since. */
START_TEST(an_approval_is_of_the_tool_that_was_called)
{
	struct stage stage;
	struct wire agent, *plugin;
	struct msg msg;

	stage_new(&stage);
	stage_server(&stage, "p", true, STAGE_WAIT_MS);
	stage_rule(&stage, RULE_ASK, 0, "*");
	stage_boot(&stage);
	plugin = stage_plug(&stage, 0);
	plugin_ready(plugin, "[" ECHO "]");
	stage_await(&stage, MSG_BROKER_READY);
	agent_connect(&stage, &agent);
	agent_initialize(&agent, "2025-11-25");
	wire_say(&agent, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{"
			 "\"name\":\"p__echo\"}}");
	stage_await(&stage, MSG_BROKER_ASK);
	msg_init(&msg, MSG_BROKER_ANSWER);
	msg.broker_answer.ask = stage.msg.broker_ask.ask;
	msg.broker_answer.allowed = true;
	wire_say(plugin, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}");
	plugin_list(plugin, "[{\"name\":\"echo\",\"description\":\"another\"}]");
	do
		stage_await(&stage, MSG_BROKER_REGISTRY);
	while (stage.msg.broker_registry.quarantined == 0);
	stage_send(&stage, &msg);
	stage_await(&stage, MSG_BROKER_ASK_OVER);
	ck_assert_uint_eq(stage.msg.broker_ask_over.outcome, CALL_REFUSED);
	expect_silence(plugin);
	stage_finish(&stage, &agent);
}
END_TEST

/* What is acknowledged while runnerd is away reaches the next one; what has no room is refused. */
START_TEST(notes_wait_for_runnerd)
{
	char text[64] = "";
	struct stage stage;
	struct wire agent;

	stage_begin(&stage, &agent, "[" ECHO "]");
	runnerd_dies(&stage, &agent);
	call_builtin(&agent, "result", "{\"result\":{\"a\":7}}");
	expect_part(&agent, "\"stored\":true");
	call_builtin(&agent, "transition", "{\"state\":\"act\"}");
	expect_part(&agent, "\"state\":\"act\"");
	stage_again(&stage);
	stage_await(&stage, MSG_BROKER_NOTE);
	ck_assert_uint_eq(stage.msg.broker_note.kind, NOTE_RESULT);
	ck_assert_int_gt(pread(stage.msg.fds[0], text, sizeof(text) - 1, 0), 0);
	ck_assert_str_eq(text, "{\"a\":7}");
	stage_await(&stage, MSG_BROKER_NOTE);
	ck_assert_str_eq(stage.msg.broker_note.name, "act");

	runnerd_dies(&stage, &agent);
	for (int i = 0; i < NOTES_HELD; i++) {
		call_builtin(&agent, "observe", "{\"text\":\"x\"}");
		expect_part(&agent, "\"recorded\":true");
	}
	call_builtin(&agent, "observe", "{\"text\":\"x\"}");
	expect_part(&agent, "\"isError\":true");
	stage_again(&stage);
	for (int i = 0; i < NOTES_HELD; i++)
		stage_await(&stage, MSG_BROKER_NOTE);
	call_builtin(&agent, "observe", "{\"text\":\"x\"}");
	expect_part(&agent, "\"recorded\":true");
	stage_finish(&stage, &agent);
}
END_TEST

/* One sign for what the agent says, and again and again while a call is under way. */
START_TEST(the_agent_gives_signs_of_life)
{
	struct pollfd life = {.events = POLLIN};
	struct wire agent, *plugin;
	struct stage stage;
	char sign[8];

	stage_begin(&stage, &agent, "[" ECHO "]");
	plugin = &stage.plugins[0];
	life.fd = stage.life;
	ck_assert_int_eq(poll(&life, 1, STAGE_WAIT_MS), 1);
	ck_assert_int_gt(read(stage.life, sign, sizeof(sign)), 0);
	wire_say(&agent, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{"
			 "\"name\":\"p__echo\"}}");
	unsigned long long id = plugin_asked(plugin, "tools/call");
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(poll(&life, 1, STAGE_WAIT_MS), 1);
		ck_assert_int_gt(read(stage.life, sign, sizeof(sign)), 0);
	}
	wire_say(plugin, "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"result\":{}}", id);
	expect_line(&agent, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}");
	stage_finish(&stage, &agent);
}
END_TEST

/* A plugin that has more to say when its input ends is read to its end. */
START_TEST(what_plugins_write_last_is_read)
{
	static char words[1 << 20];
	struct stage stage;
	struct wire agent, *plugin = &stage.plugins[0];
	struct msg msg;
	char *line;
	int status;

	stage_begin(&stage, &agent, "[" ECHO "]");
	wire_close(&agent);
	msg_init(&msg, MSG_BROKER_STOP);
	stage_send(&stage, &msg);
	line = wire_line(plugin);
	ck_assert_ptr_null(line);
	memset(words, 'w', sizeof(words));
	ck_assert_int_eq(write_all(plugin->out, words, sizeof(words)), 0);
	close_fd(&plugin->out);
	while (stage_receive(&stage))
		;
	ck_assert_int_eq(waitpid(stage.pid, &status, 0), stage.pid);
	ck_assert_int_eq(status, 0);
	stage.pid = -1;
	stage_free(&stage);
}
END_TEST

int
main(void)
{
	const TTest *tests[] = {
	    an_approval_is_of_the_tool_that_was_called,
	    definitions_go_with_the_registry,
	    a_call_that_waits_has_a_shape,
	    notes_wait_for_runnerd,
	    the_agent_gives_signs_of_life,
	    what_plugins_write_last_is_read,
	};

	if (geteuid() != 0) {
		printf("skip - test_broker_operator: a broker is started by root\n");
		return 77;
	}
	return suite_run("broker_operator", tests, ARRAY_LEN(tests));
}
