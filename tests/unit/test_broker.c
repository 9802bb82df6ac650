/* The broker as a gateway, one rule of MCP after the other, through its real sockets and pipes. */
// timeout: 300
#include "broker_stage.h"
#include "suite.h"

/* --- bytes ----------------------------------------------------------------------------------- */

START_TEST(a_call_is_passed_on_in_its_bytes)
{
	struct stage stage;
	struct wire agent, *plugin = &stage.plugins[0];
	unsigned long long id;
	char wanted[512], *line;

	stage_begin(&stage, &agent, "[" ECHO "]");
	wire_say(&agent, "{ \"method\":\"tools/call\",\"x\":[1, 2],\"id\":\"seven\",\"params\":{"
			 "\"arguments\":{\"n\":9007199254740993,\"t\":\"a\\u0000b\",\"e\":1.0e+2},"
			 "\"more\":null,\"name\":\"p__echo\"},\"jsonrpc\":\"2.0\"} \r");
	line = wire_line(plugin);
	ck_assert_ptr_nonnull(line);
	id = line_id(line);
	snprintf(wanted, sizeof(wanted),
		 "{ \"method\":\"tools/call\",\"x\":[1, 2],\"id\":%llu,\"params\":{"
		 "\"arguments\":{\"n\":9007199254740993,\"t\":\"a\\u0000b\",\"e\":1.0e+2},"
		 "\"more\":null,\"name\":\"echo\"},\"jsonrpc\":\"2.0\"}",
		 id);
	ck_assert_str_eq(line, wanted);
	free(line);
	wire_say(plugin,
		 "{\"result\":{\"content\":[ ],\"big\":18446744073709551617},"
		 "\"jsonrpc\":\"2.0\",\"id\":%llu, \"y\":\"\\u0000\"}",
		 id);
	expect_line(&agent, "{\"result\":{\"content\":[ ],\"big\":18446744073709551617},"
			    "\"jsonrpc\":\"2.0\",\"id\":\"seven\", \"y\":\"\\u0000\"}");
	stage_await(&stage, MSG_BROKER_CALL);
	ck_assert_str_eq(stage.msg.broker_call.tool, "echo");
	ck_assert_str_eq(stage.msg.broker_call.name, "p__echo");
	ck_assert_str_eq(stage.msg.broker_call.shape, "{n:number,t:string(8),e:number}");
	ck_assert_uint_eq(stage.msg.broker_call.outcome, CALL_OK);
	stage_finish(&stage, &agent);
}
END_TEST

START_TEST(nine_mebibytes_come_back)
{
	enum { BIG = 9 << 20 };
	struct stage stage;
	struct wire agent, *plugin = &stage.plugins[0];
	char *text = malloc(BIG + 1), *line;
	unsigned long long id;

	stage_begin(&stage, &agent, "[" ECHO "]");
	memset(text, 'x', BIG);
	text[BIG] = '\0';
	wire_say(&agent, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{"
			 "\"name\":\"p__echo\"}}");
	id = plugin_asked(plugin, "tools/call");
	/* Somebody must read while we write. */
	pid_t writer = fork();
	if (writer == 0) {
		dprintf(plugin->out, "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"result\":{\"t\":\"", id);
		write_all(plugin->out, text, BIG);
		write_all(plugin->out, "\"}}\n", 4);
		_exit(0);
	}
	line = wire_line(&agent);
	ck_assert_ptr_nonnull(line);
	ck_assert_uint_eq(strlen(line), BIG + strlen("{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":"
						     "{\"t\":\"\"}}"));
	free(line);
	free(text);
	waitpid(writer, NULL, 0);
	stage_finish(&stage, &agent);
}
END_TEST

START_TEST(what_is_no_message_is_answered_so)
{
	static const struct {
		const char *line, *answer;
	} cases[] = {
	    {"{", "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32700,"},
	    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}x", "\"code\":-32700,"},
	    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\"}", "\"code\":-32700,"},
	    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\tb\"}", "\"code\":-32700,"},
	    {"[]", "\"code\":-32600,"},
	    {"[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}]", "\"code\":-32600,"},
	    {"1", "\"code\":-32600,"},
	    {"{\"id\":1,\"method\":\"ping\"}", "\"id\":1,\"error\":{\"code\":-32600,"},
	    {"{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"ping\"}", "\"code\":-32600,"},
	    {"{\"jsonrpc\":\"2.0\",\"id\":1.5,\"method\":\"ping\"}", "\"code\":-32600,"},
	    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"ID\":2,\"method\":\"ping\"}", "\"code\":-32600,"},
	    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"no/such\"}", "\"code\":-32601,"},
	    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"params\":[]}",
	     "\"code\":-32600,"},
	    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{}}",
	     "\"code\":-32602,"},
	    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":"
	     "\"p__no\"}}",
	     "\"code\":-32602,\"message\":\"Unknown tool: p__no\""},
	    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":"
	     "\"p__echo\",\"n\\u0061me\":\"p__other\"}}",
	     "\"code\":-32602,"},
	    {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":"
	     "\"p__echo\",\"arguments\":[]}}",
	     "\"isError\":true"},
	    {"\r", NULL},
	    {"", NULL},
	    {"{\"jsonrpc\":\"2.0\",\"method\":\"no/such\"}", NULL},
	    {"{\"jsonrpc\":\"2.0\",\"id\":5,\"result\":{}}", NULL},
	    {"{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"ping\"}",
	     "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}}"},
	};
	struct stage stage;
	struct wire agent;

	stage_begin(&stage, &agent, "[" ECHO "]");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		wire_say(&agent, "%s", cases[i].line);
		if (cases[i].answer)
			expect_part(&agent, cases[i].answer);
	}
	stage_finish(&stage, &agent);
}
END_TEST

START_TEST(a_line_over_eight_mebibytes_is_refused_and_forgotten)
{
	struct stage stage;
	struct wire agent;
	char *text = malloc(9 << 20);

	stage_begin(&stage, &agent, "[" ECHO "]");
	memset(text, 'x', 9 << 20);
	wire_write(&agent, text, 9 << 20);
	wire_say(&agent, "%s", "");
	expect_part(&agent, "\"code\":-32700,\"message\":\"Parse error: a line is longer");
	wire_say(&agent, "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"ping\"}");
	expect_line(&agent, "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}}");
	free(text);
	stage_finish(&stage, &agent);
}
END_TEST

/* --- eras ------------------------------------------------------------------------------------ */

START_TEST(both_eras_on_one_connection)
{
	struct stage stage;
	struct wire agent, *plugin = &stage.plugins[0];
	char wanted[256], *line;
	unsigned long long id;

	stage_begin(&stage, &agent, "[" ECHO "]");
	wire_say(&agent, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"server/discover\"}");
	expect_part(&agent, "\"code\":-32602,");
	wire_say(&agent,
		 "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"server/discover\",\"params\":{" META
		 "}}}");
	expect_part(&agent, "\"id\":1,\"result\":{\"resultType\":\"complete\",\"ttlMs\":5000,"
			    "\"cacheScope\":\"private\",\"_meta\":{");
	wire_say(&agent,
		 "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"params\":{" META "}}}");
	expect_part(&agent, "\"code\":-32601,");
	wire_say(&agent, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"params\":{"
			 "\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2099-01-01\","
			 "\"io.modelcontextprotocol/clientCapabilities\":{}}}}");
	expect_part(&agent,
		    "\"error\":{\"code\":-32022,\"message\":\"Unsupported protocol version\","
		    "\"data\":{\"supported\":[\"2026-07-28\"],\"requested\":\"2099-01-01\"}}");
	wire_say(&agent, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{"
			 "\"name\":\"p__echo\",\"arguments\":{}," META ",\"k\":[1,2]}}}");
	line = wire_line(plugin);
	id = line_id(line);
	snprintf(wanted, sizeof(wanted),
		 "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"method\":\"tools/call\",\"params\":{"
		 "\"name\":\"echo\",\"arguments\":{},\"_meta\":{\"k\":[1,2]}}}",
		 id);
	ck_assert_str_eq(line, wanted);
	free(line);
	wire_say(plugin, "{\"result\":{ },\"id\":%llu,\"jsonrpc\":\"2.0\"}", id);
	expect_line(&agent,
		    "{\"result\":{\"resultType\":\"complete\" },\"id\":1,\"jsonrpc\":\"2.0\"}");
	/* Nothing of it on the old wire. */
	wire_say(&agent, "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"tools/call\",\"params\":{"
			 "\"name\":\"p__echo\"}}");
	wire_say(plugin, "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"result\":{\"content\":[]}}",
		 plugin_asked(plugin, "tools/call"));
	expect_line(&agent, "{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":{\"content\":[]}}");
	stage_finish(&stage, &agent);
}
END_TEST

START_TEST(without_a_handshake_a_request_must_carry_its_meta)
{
	struct stage stage;
	struct wire agent, other;

	stage_begin(&stage, &agent, "[" ECHO "]");
	agent_connect(&stage, &other);
	wire_say(&other, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}");
	expect_part(&other, "\"code\":-32602,");
	wire_say(&other,
		 "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"params\":{" META "}}}");
	expect_part(&other, "\"resultType\":\"complete\"");
	agent_initialize(&other, "1999-01-01");
	wire_say(&other, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}");
	expect_part(&other, "\"id\":1,\"result\":{\"tools\":[{\"name\":\"agentd__emit_event\"");
	wire_close(&other);
	stage_finish(&stage, &agent);
}
END_TEST

START_TEST(batches_of_their_one_revision)
{
	struct stage stage;
	struct wire agent, other, *plugin = &stage.plugins[0];

	stage_begin(&stage, &agent, "[" ECHO "]");
	agent_connect(&stage, &other);
	agent_initialize(&other, "2025-03-26");
	wire_say(&other, "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{"
			 "\"name\":\"p__echo\"}},{\"jsonrpc\":\"2.0\",\"method\":\"x\"},"
			 "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"ping\"},3]");
	wire_say(plugin, "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"result\":{\"content\":[]}}",
		 plugin_asked(plugin, "tools/call"));
	expect_line(&other,
		    "[{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}},{\"jsonrpc\":\"2.0\",\"error\":"
		    "{\"code\":-32600,\"message\":\"Invalid Request: a message is one object\"}},"
		    "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"content\":[]}}]");
	wire_close(&other);
	stage_finish(&stage, &agent);
}
END_TEST

/* --- routing --------------------------------------------------------------------------------- */

START_TEST(progress_and_cancellation)
{
	struct stage stage;
	struct wire agent, *plugin = &stage.plugins[0];
	unsigned long long id;
	char wanted[256], *line;

	stage_begin(&stage, &agent, "[" ECHO "]");
	wire_say(&agent, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{"
			 "\"name\":\"p__echo\",\"_meta\":{\"progressToken\":\"tok\"}}}");
	line = wire_line(plugin);
	id = line_id(line);
	snprintf(wanted, sizeof(wanted), "\"_meta\":{\"progressToken\":%llu}", id);
	ck_assert_msg(strstr(line, wanted) != NULL, "%s", line);
	free(line);
	wire_say(plugin,
		 "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{"
		 "\"progress\":1,\"progressToken\":%llu,\"total\":3}}",
		 id);
	expect_line(&agent,
		    "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{"
		    "\"progress\":1,\"progressToken\":\"tok\",\"total\":3}}");
	/* In use: refused. */
	wire_say(&agent, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}");
	expect_part(&agent, "\"id\":1,\"error\":{\"code\":-32600,");
	wire_say(&agent, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{"
			 "\"requestId\":1}}");
	snprintf(wanted, sizeof(wanted),
		 "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{"
		 "\"requestId\":%llu,\"reason\":\"cancelled by the client\"}}",
		 id);
	expect_line(plugin, wanted);
	/* Its answer and its progress come too late. */
	wire_say(plugin, "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"result\":{}}", id);
	wire_say(plugin,
		 "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{"
		 "\"progress\":1,\"progressToken\":%llu}}",
		 id);
	wire_say(&agent, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}");
	expect_line(&agent, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}");
	stage_finish(&stage, &agent);
}
END_TEST

START_TEST(an_agent_that_goes_cancels_its_calls)
{
	struct stage stage;
	struct wire agent, *plugin = &stage.plugins[0];

	stage_begin(&stage, &agent, "[" ECHO "]");
	for (int i = 0; i < 3; i++) {
		wire_say(&agent,
			 "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"tools/call\","
			 "\"params\":{\"name\":\"p__echo\"}}",
			 i);
		plugin_asked(plugin, "tools/call");
	}
	wire_close(&agent);
	for (int i = 0; i < 3; i++)
		expect_part(plugin, "\"method\":\"notifications/cancelled\"");
	for (int i = 0; i < 3; i++) {
		stage_await(&stage, MSG_BROKER_CALL);
		ck_assert_uint_eq(stage.msg.broker_call.outcome, CALL_CANCELLED);
	}
	stage_finish(&stage, &agent);
}
END_TEST

START_TEST(a_call_has_its_deadline)
{
	struct stage stage;
	struct wire agent;

	stage_new(&stage);
	stage_server(&stage, "p", true, 300);
	stage_boot(&stage);
	plugin_ready(stage_plug(&stage, 0), "[" ECHO "]");
	stage_await(&stage, MSG_BROKER_READY);
	agent_connect(&stage, &agent);
	agent_initialize(&agent, "2024-11-05");
	wire_say(&agent, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{"
			 "\"name\":\"p__echo\"}}");
	expect_line(&agent,
		    "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"content\":[{\"type\":\"text\","
		    "\"text\":\"it did not answer in time\"}],\"isError\":true}}");
	plugin_asked(&stage.plugins[0], "tools/call");
	expect_part(&stage.plugins[0], "notifications/cancelled");
	stage_await(&stage, MSG_BROKER_CALL);
	ck_assert_uint_eq(stage.msg.broker_call.outcome, CALL_TIMED_OUT);
	stage_finish(&stage, &agent);
}
END_TEST

START_TEST(too_many_calls_are_busy)
{
	struct stage stage;
	struct wire agent;

	stage_begin(&stage, &agent, "[" ECHO "]");
	for (int i = 0; i < 65; i++)
		wire_say(&agent,
			 "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"tools/call\","
			 "\"params\":{\"name\":\"p__echo\"}}",
			 i);
	expect_part(&agent,
		    "\"id\":64,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"busy: ");
	stage_finish(&stage, &agent);
}
END_TEST

START_TEST(a_plugin_is_answered_as_a_client_answers)
{
	struct stage stage;
	struct wire agent, *plugin = &stage.plugins[0];

	stage_begin(&stage, &agent, "[" ECHO "]");
	wire_say(plugin, "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"ping\"}");
	expect_line(plugin, "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{}}");
	wire_say(plugin, "{\"jsonrpc\":\"2.0\",\"id\":\"r\",\"method\":\"roots/list\"}");
	expect_part(plugin, "{\"jsonrpc\":\"2.0\",\"id\":\"r\",\"error\":{\"code\":-32601,");
	stage_finish(&stage, &agent);
}
END_TEST

int
main(void)
{
	const TTest *tests[] = {
	    a_call_is_passed_on_in_its_bytes,
	    nine_mebibytes_come_back,
	    what_is_no_message_is_answered_so,
	    a_line_over_eight_mebibytes_is_refused_and_forgotten,
	    both_eras_on_one_connection,
	    without_a_handshake_a_request_must_carry_its_meta,
	    batches_of_their_one_revision,
	    progress_and_cancellation,
	    an_agent_that_goes_cancels_its_calls,
	    a_call_has_its_deadline,
	    too_many_calls_are_busy,
	    a_plugin_is_answered_as_a_client_answers,
	};

	if (geteuid() != 0) {
		printf("skip - test_broker: a broker is started by root\n");
		return 77;
	}
	return suite_run("broker", tests, ARRAY_LEN(tests));
}
