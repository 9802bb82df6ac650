/* What the agent finds in a session's registry, who may call it, and what runnerd is told. */
// timeout: 300
#include "broker_stage.h"
#include "suite.h"

/* --- registry -------------------------------------------------------------------------------- */

START_TEST(lists_have_pages)
{
	struct stage stage;
	struct wire agent, *plugin = &stage.plugins[0];
	unsigned long long id;
	char *line;

	stage_new(&stage);
	stage_server(&stage, "p", true, STAGE_WAIT_MS);
	stage_boot(&stage);
	plugin = stage_plug(&stage, 0);
	/* list_changed before the first list, and a request with id 0: both are usual. */
	wire_say(plugin, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}");
	plugin_greet(plugin, TOOLS);
	id = plugin_asked(plugin, "tools/list");
	wire_say(plugin,
		 "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"result\":{\"tools\":[{\"name\":\"b\"}],"
		 "\"nextCursor\":\"\"}}",
		 id);
	line = wire_line(plugin);
	ck_assert_ptr_nonnull(strstr(line, "\"params\":{\"cursor\":\"\"}"));
	id = line_id(line);
	free(line);
	wire_say(plugin,
		 "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"result\":{\"tools\":[{\"name\":\"a\"}]}}", id);
	stage_await(&stage, MSG_BROKER_READY);
	agent_connect(&stage, &agent);
	agent_initialize(&agent, "2025-11-25");
	wire_say(&agent, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}");
	expect_part(&agent, "},{\"name\":\"p__a\"},{\"name\":\"p__b\"}]}}");
	stage_finish(&stage, &agent);
}
END_TEST

START_TEST(a_cursor_that_returns_is_a_loop)
{
	struct stage stage;
	struct wire *plugin;

	stage_new(&stage);
	stage_server(&stage, "p", true, STAGE_WAIT_MS);
	stage_boot(&stage);
	plugin = stage_plug(&stage, 0);
	plugin_greet(plugin, TOOLS);
	for (int i = 0; i < 2; i++)
		wire_say(plugin,
			 "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"result\":{\"tools\":[],"
			 "\"nextCursor\":\"x\"}}",
			 plugin_asked(plugin, "tools/list"));
	stage_await(&stage, MSG_BROKER_READY);
	ck_assert(!stage.msg.broker_ready.ready);
	ck_assert_ptr_nonnull(strstr(stage.msg.broker_ready.why, "same nextCursor"));
	stage_stop(&stage);
	stage_free(&stage);
}
END_TEST

START_TEST(changes_are_told_once)
{
	struct stage stage;
	struct wire agent, modern, *plugin = &stage.plugins[0];

	stage_begin(&stage, &agent, "[" ECHO "]");
	agent_connect(&stage, &modern);
	wire_say(&modern, "{\"jsonrpc\":\"2.0\",\"id\":\"L\",\"method\":\"subscriptions/listen\","
			  "\"params\":{" META "},\"notifications\":{\"toolsListChanged\":true,"
			  "\"promptsListChanged\":true}}}");
	expect_line(&modern, "{\"jsonrpc\":\"2.0\",\"method\":"
			     "\"notifications/subscriptions/acknowledged\",\"params\":{\"_meta\":{"
			     "\"io.modelcontextprotocol/subscriptionId\":\"L\"},\"notifications\":{"
			     "\"toolsListChanged\":true}}}");
	for (int i = 0; i < 5; i++)
		wire_say(plugin,
			 "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}");
	plugin_list(plugin, "[" ECHO ",{\"name\":\"new\"}]");
	expect_line(&agent,
		    "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}");
	expect_line(
	    &modern,
	    "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\",\"params\":"
	    "{\"_meta\":{\"io.modelcontextprotocol/subscriptionId\":\"L\"}}}");
	/* The same list again is no change. */
	wire_say(plugin, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}");
	plugin_list(plugin, "[" ECHO ",{\"name\":\"new\"}]");
	wire_say(&agent, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{"
			 "\"name\":\"p__new\"}}");
	wire_say(plugin, "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"result\":{}}",
		 plugin_asked(plugin, "tools/call"));
	expect_line(&agent, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}");
	/* A cancelled listen hears nothing more. */
	wire_say(&modern, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{"
			  "\"requestId\":\"L\"}}");
	wire_say(&modern,
		 "{\"jsonrpc\":\"2.0\",\"id\":\"L\",\"method\":\"tools/list\",\"params\":{" META
		 "}}}");
	expect_part(&modern, "p__new");
	wire_close(&modern);
	stage_finish(&stage, &agent);
}
END_TEST

START_TEST(a_changed_definition_is_quarantined)
{
	static const char changed[] =
	    "[{\"name\":\"echo\",\"description\":\"now something else\"}]";
	struct stage stage;
	struct wire agent, *plugin = &stage.plugins[0];
	struct rows_reader *rows;
	struct msg row, accept;

	stage_begin(&stage, &agent, "[" ECHO "]");
	wire_say(plugin, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}");
	plugin_list(plugin, changed);
	expect_part(&agent, "notifications/tools/list_changed");
	stage_await(&stage, MSG_BROKER_REGISTRY);
	ck_assert_uint_eq(stage.msg.broker_registry.quarantined, 1);
	rows = rows_open(stage.msg.fds[1]);
	msg_init(&accept, MSG_BROKER_ACCEPT);
	while (rows_next(rows, &row) == 1) {
		if (strcmp(row.tool_row.name, "p__echo") != 0)
			continue;
		ck_assert_uint_eq(row.tool_row.state, TOOL_QUARANTINED);
		ck_assert_str_eq(row.tool_row.description, "now something else");
		strcpy(accept.broker_accept.server, row.tool_row.server);
		strcpy(accept.broker_accept.tool, row.tool_row.tool);
		memcpy(accept.broker_accept.digest, row.tool_row.digest, DIGEST_BYTES);
		accept.broker_accept.digest_len = DIGEST_BYTES;
	}
	rows_close(rows);
	wire_say(&agent, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{"
			 "\"name\":\"p__echo\"}}");
	expect_part(&agent,
		    "\"code\":-32602,\"message\":\"Unknown tool: p__echo: its definition has");
	stage_send(&stage, &accept);
	expect_part(&agent, "notifications/tools/list_changed");
	wire_say(&agent, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{"
			 "\"name\":\"p__echo\"}}");
	plugin_asked(plugin, "tools/call");
	stage_finish(&stage, &agent);
}
END_TEST

START_TEST(rules_are_kept_at_list_and_at_call)
{
	static const char tools[] =
	    "[{\"name\":\"read_a\"},{\"name\":\"read_b\"},{\"name\":\"write\"},"
	    "{\"name\":\"read_c\"}]";
	static const char *const refused[] = {"p__read_b", "p__write", "p__read_c"};
	struct stage stage;
	struct wire agent;

	stage_new(&stage);
	stage_server(&stage, "p", true, STAGE_WAIT_MS);
	stage_rule(&stage, RULE_ALLOW, 0, "read_*");
	stage_rule(&stage, RULE_DENY, 0, "read_b");
	stage_rule(&stage, RULE_CAPABILITY, NO_SERVER, "tool.invoke:p__read_[ab]");
	stage_rule(&stage, RULE_CAPABILITY, NO_SERVER, "mcp.p.write");
	stage.boot.has_capabilities = true;
	stage_boot(&stage);
	plugin_ready(stage_plug(&stage, 0), tools);
	stage_await(&stage, MSG_BROKER_READY);
	agent_connect(&stage, &agent);
	agent_initialize(&agent, "2025-11-25");
	wire_say(&agent, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}");
	expect_part(&agent, "},{\"name\":\"p__read_a\"}]}}");
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		wire_say(&agent,
			 "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{"
			 "\"name\":\"%s\"}}",
			 refused[i]);
		expect_part(&agent, "\"code\":-32602,");
		stage_await(&stage, MSG_BROKER_CALL);
		ck_assert_uint_eq(stage.msg.broker_call.outcome, CALL_REFUSED);
	}
	stage_finish(&stage, &agent);
}
END_TEST

START_TEST(names_are_cut_and_told_apart)
{
	struct stage stage;
	struct wire agent, *plugin = &stage.plugins[0];
	char *line, *at;

	stage_begin(&stage, &agent,
		    "[{\"name\":\"a_name_that_goes_on_and_on_for_longer_than_any_client_1\"},"
		    "{\"name\":\"a_name_that_goes_on_and_on_for_longer_than_any_client_2\"}]");
	wire_say(&agent, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}");
	line = wire_line(&agent);
	at = strstr(line, "\"p__a_name_that_goes_on_and_on_for_lo");
	ck_assert_ptr_nonnull(at);
	ck_assert_ptr_eq(strchr(at + 1, '"'), at + 1 + EXPOSED_NAME_MAX);
	wire_say(&agent,
		 "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{"
		 "\"name\":%.49s\"}}",
		 at);
	free(line);
	expect_part(plugin, "\"name\":\"a_name_that_goes_on_and_on_for_longer_than_any_client_");
	stage_finish(&stage, &agent);
}
END_TEST

START_TEST(a_name_that_is_taken_fails_the_setup)
{
	static const char *const tools[] = {"[{\"name\":\"a.b\"},{\"name\":\"a_b\"}]",
					    "[{\"name\":\"a\"},{\"name\":\"a\"}]"};
	struct stage stage;

	for (size_t i = 0; i < ARRAY_LEN(tools); i++) {
		stage_new(&stage);
		stage_server(&stage, "p", true, STAGE_WAIT_MS);
		stage_boot(&stage);
		plugin_ready(stage_plug(&stage, 0), tools[i]);
		stage_await(&stage, MSG_BROKER_READY);
		ck_assert(!stage.msg.broker_ready.ready);
		ck_assert_ptr_nonnull(strstr(stage.msg.broker_ready.why, "taken already"));
		stage_stop(&stage);
		stage_free(&stage);
	}
	stage_new(&stage);
	stage_server(&stage, "=p", true, STAGE_WAIT_MS);
	stage_boot(&stage);
	plugin_ready(stage_plug(&stage, 0), "[{\"name\":\"agentd__mission\"}]");
	stage_await(&stage, MSG_BROKER_READY);
	ck_assert(!stage.msg.broker_ready.ready);
	stage_stop(&stage);
	stage_free(&stage);
}
END_TEST

START_TEST(one_server_may_keep_its_names)
{
	struct stage stage;
	struct wire agent;

	stage_new(&stage);
	stage_server(&stage, "=p", true, STAGE_WAIT_MS);
	stage_boot(&stage);
	plugin_ready(stage_plug(&stage, 0), "[" ECHO "]");
	stage_await(&stage, MSG_BROKER_READY);
	agent_connect(&stage, &agent);
	agent_initialize(&agent, "2025-11-25");
	wire_say(&agent, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{"
			 "\"name\":\"echo\"}}");
	plugin_asked(&stage.plugins[0], "tools/call");
	stage_finish(&stage, &agent);
}
END_TEST

/* --- approvals, budget ----------------------------------------------------------------------- */

static void
answer(struct stage *stage, uint64_t ask, bool allowed)
{
	struct msg msg;

	msg_init(&msg, MSG_BROKER_ANSWER);
	msg.broker_answer.ask = ask;
	msg.broker_answer.allowed = allowed;
	strcpy(msg.broker_answer.operator, "ada");
	stage_send(stage, &msg);
}

START_TEST(an_operator_is_asked)
{
	static const char call[] =
	    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{"
	    "\"name\":\"p__echo\",\"arguments\":{\"path\":\"/etc\"}}}";
	struct stage stage;
	struct wire agent, *plugin;
	char shown[64] = "";

	stage_new(&stage);
	stage.boot.approval_ms = 2000;
	stage_server(&stage, "p", true, STAGE_WAIT_MS);
	stage_rule(&stage, RULE_ASK, 0, "e*");
	stage_boot(&stage);
	plugin = stage_plug(&stage, 0);
	plugin_ready(plugin, "[" ECHO "]");
	stage_await(&stage, MSG_BROKER_READY);
	agent_connect(&stage, &agent);
	agent_initialize(&agent, "2025-11-25");

	wire_say(&agent, "%s", call);
	stage_await(&stage, MSG_BROKER_ASK);
	ck_assert_str_eq(stage.msg.broker_ask.name, "p__echo");
	ck_assert_int_gt(pread(stage.msg.fds[0], shown, sizeof(shown) - 1, 0), 0);
	ck_assert_str_eq(shown, "{\"path\":\"/etc\"}");
	expect_silence(plugin);
	answer(&stage, stage.msg.broker_ask.ask, true);
	wire_say(plugin, "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"result\":{}}",
		 plugin_asked(plugin, "tools/call"));
	expect_line(&agent, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}");
	stage_await(&stage, MSG_BROKER_CALL);
	ck_assert_str_eq(stage.msg.broker_call.operator, "ada");

	wire_say(&agent, "%s", call);
	stage_await(&stage, MSG_BROKER_ASK);
	answer(&stage, stage.msg.broker_ask.ask, false);
	expect_part(&agent, "an operator denied this call\"}],\"isError\":true");
	stage_await(&stage, MSG_BROKER_ASK_OVER);
	ck_assert_uint_eq(stage.msg.broker_ask_over.outcome, CALL_DENIED);

	wire_say(&agent, "%s", call);
	expect_part(&agent, "no operator answered in time\"}],\"isError\":true");

	wire_say(&agent, "%s", call);
	stage_await(&stage, MSG_BROKER_ASK);
	wire_say(&agent, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{"
			 "\"requestId\":1}}");
	do
		stage_await(&stage, MSG_BROKER_ASK_OVER);
	while (stage.msg.broker_ask_over.outcome != CALL_CANCELLED);
	expect_silence(plugin);
	stage_finish(&stage, &agent);
}
END_TEST

START_TEST(the_budget_ends_the_session)
{
	struct stage stage;
	struct wire agent, *plugin;

	stage_new(&stage);
	stage.boot.max_tool_calls = 2;
	stage_server(&stage, "p", true, STAGE_WAIT_MS);
	stage_boot(&stage);
	plugin = stage_plug(&stage, 0);
	plugin_ready(plugin, "[" ECHO "]");
	stage_await(&stage, MSG_BROKER_READY);
	agent_connect(&stage, &agent);
	agent_initialize(&agent, "2025-11-25");
	for (int i = 0; i < 3; i++) {
		wire_say(&agent,
			 "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{"
			 "\"name\":\"p__echo\"}}");
		if (i < 2)
			wire_say(plugin, "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"result\":{}}",
				 plugin_asked(plugin, "tools/call"));
		expect_part(&agent, i < 2 ? "\"result\":{}" : "the budget of 2 calls is used up");
	}
	stage_await(&stage, MSG_BROKER_END);
	ck_assert_uint_eq(stage.msg.broker_end.outcome, OUTCOME_BUDGET_EXCEEDED);
	stage_finish(&stage, &agent);
}
END_TEST

/* --- the runtime's own tools ----------------------------------------------------------------- */

START_TEST(built_in_tools)
{
	static const struct {
		const char *tool, *arguments, *answer;
	} calls[] = {
	    {"mission", "{}",
	     "\"structuredContent\":{\"version\":1,\"agent\":\"a\",\"plugins\":[{\"name\":\"p\","
	     "\"state\":\"ready\",\"why\":null}]}"},
	    {"observe", "{\"text\":\"seen\",\"data\":[1]}", "{\"recorded\":true}"},
	    {"observe", "{}", "\"isError\":true"},
	    {"transition", "{\"state\":\"plan\",\"reason\":\"why not\"}", "\"previous\":null"},
	    {"transition", "{\"state\":\"act\"}",
	     "\"structuredContent\":{\"state\":\"act\","
	     "\"previous\":\"plan\"}"},
	    {"transition", "{\"state\":\"rest\"}", "\"isError\":true"},
	    {"result", "{\"result\":{\"n\":9007199254740993}}", "{\"stored\":true}"},
	    {"emit_event", "{\"type\":\"a.b\",\"data\":{\"x\":1},\"subject\":\"s\"}",
	     "{\"emitted\":true}"},
	    {"emit_event", "{\"type\":\"\"}", "\"isError\":true"},
	    {"emit_event", "{\"type\":\"no such type\"}", "\"isError\":true"},
	};
	char text[64] = "";
	struct stage stage;
	struct wire agent;

	stage_begin(&stage, &agent, "[" ECHO "]");
	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		wire_say(&agent,
			 "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{"
			 "\"name\":\"agentd__%s\",\"arguments\":%s}}",
			 calls[i].tool, calls[i].arguments);
		expect_part(&agent, calls[i].answer);
	}
	stage_await(&stage, MSG_BROKER_NOTE);
	ck_assert_uint_eq(stage.msg.broker_note.kind, NOTE_OBSERVATION);
	stage_await(&stage, MSG_BROKER_NOTE);
	ck_assert_str_eq(stage.msg.broker_note.name, "plan");
	ck_assert_str_eq(stage.msg.broker_note.why, "why not");
	stage_await(&stage, MSG_BROKER_NOTE);
	stage_await(&stage, MSG_BROKER_NOTE);
	ck_assert_uint_eq(stage.msg.broker_note.kind, NOTE_RESULT);
	ck_assert_int_gt(pread(stage.msg.fds[0], text, sizeof(text) - 1, 0), 0);
	ck_assert_str_eq(text, "{\"n\":9007199254740993}");
	stage_await(&stage, MSG_BROKER_NOTE);
	ck_assert_str_eq(stage.msg.broker_note.name, "a.b");
	ck_assert_str_eq(stage.msg.broker_note.subject, "s");
	stage_await(&stage, MSG_BROKER_STATS);
	stage_finish(&stage, &agent);
}
END_TEST

/* --- resources and prompts ------------------------------------------------------------------- */

START_TEST(resources_and_prompts_pass_through)
{
	struct stage stage;
	struct wire agent, *plugin;

	stage_new(&stage);
	stage_server(&stage, "p", true, STAGE_WAIT_MS);
	stage_server(&stage, "q", true, STAGE_WAIT_MS);
	stage_boot(&stage);
	plugin_ready(stage_plug(&stage, 1), "[]");
	plugin = stage_plug(&stage, 0);
	plugin_greet(plugin,
		     "{\"prompts\":{},\"resources\":{\"subscribe\":true},\"completions\":{}}");
	wire_say(plugin,
		 "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"result\":{\"prompts\":[{\"name\":\"x\"}]}}",
		 plugin_asked(plugin, "prompts/list"));
	wire_say(plugin,
		 "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"result\":{\"resources\":[{\"uri\":"
		 "\"file:///a\",\"name\":\"a\"}]}}",
		 plugin_asked(plugin, "resources/list"));
	wire_say(plugin,
		 "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"error\":{\"code\":-32601,\"message\":"
		 "\"no\"}}",
		 plugin_asked(plugin, "resources/templates/list"));
	stage_await(&stage, MSG_BROKER_READY);
	ck_assert(stage.msg.broker_ready.ready);
	agent_connect(&stage, &agent);
	agent_initialize(&agent, "2025-11-25");

	wire_say(&agent, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"resources/list\"}");
	expect_line(&agent, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"resources\":[{\"uri\":"
			    "\"mcp.p+file:///a\",\"name\":\"a\"}]}}");
	for (int i = 0; i < 2; i++) {
		wire_say(&agent,
			 "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"resources/read\","
			 "\"params\":{\"uri\":\"%sfile:///a\"}}",
			 i ? "" : "mcp.p+");
		expect_part(plugin,
			    "\"method\":\"resources/read\",\"params\":{\"uri\":\"file:///a\"}}");
		wire_say(&agent, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\","
				 "\"params\":{\"requestId\":1}}");
		expect_part(plugin, "notifications/cancelled");
	}
	wire_say(&agent, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"resources/read\",\"params\":{"
			 "\"uri\":\"mcp.q+file:///a\"}}");
	expect_part(&agent, "\"code\":-32002,");

	wire_say(&agent, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"prompts/get\",\"params\":{"
			 "\"name\":\"p__x\"}}");
	wire_say(plugin, "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"result\":{\"messages\":[]}}",
		 plugin_asked(plugin, "prompts/get"));
	expect_line(&agent, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"messages\":[]}}");
	wire_say(&agent,
		 "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"completion/complete\",\"params\":{"
		 "\"ref\":{\"type\":\"ref/prompt\",\"name\":\"p__x\"},\"argument\":{}}}");
	expect_part(plugin, "\"ref\":{\"type\":\"ref/prompt\",\"name\":\"x\"}");

	wire_say(&agent,
		 "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"resources/subscribe\",\"params\":{"
		 "\"uri\":\"mcp.p+file:///a\"}}");
	expect_line(&agent, "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}}");
	expect_part(plugin,
		    "\"method\":\"resources/subscribe\",\"params\":{\"uri\":\"file:///a\"}}");
	wire_say(plugin, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/resources/updated\","
			 "\"params\":{\"uri\":\"file:///a\"}}");
	expect_line(&agent, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/resources/updated\","
			    "\"params\":{\"uri\":\"mcp.p+file:///a\"}}");
	wire_say(&agent, "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"resources/unsubscribe\","
			 "\"params\":{\"uri\":\"mcp.p+file:///a\"}}");
	expect_line(&agent, "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}}");
	expect_part(plugin, "\"method\":\"resources/unsubscribe\"");
	stage_finish(&stage, &agent);
}
END_TEST

/* --- runnerd --------------------------------------------------------------------------------- */

START_TEST(a_new_runnerd_is_told_everything)
{
	struct stage stage;
	struct wire agent, *plugin = &stage.plugins[0];
	struct msg msg;

	stage_begin(&stage, &agent, "[" ECHO "]");
	close_fd(&stage.channel);
	/* Calls go on meanwhile; their lines wait. */
	wire_say(&agent, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{"
			 "\"name\":\"p__echo\"}}");
	wire_say(plugin, "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"result\":{}}",
		 plugin_asked(plugin, "tools/call"));
	expect_line(&agent, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}");
	stage.channel = stage_connect(&stage, "own");
	ck_assert_int_eq(
	    msg_greet(stage.channel, CH_BROKER, SIDE_A, ROLE_RUNNERD, ROLE_BROKER, STAGE_WAIT_MS),
	    0);
	msg_init(&msg, MSG_BROKER_QUERY);
	stage_send(&stage, &msg);
	stage_await(&stage, MSG_BROKER_UP);
	ck_assert_uint_eq(stage.msg.broker_up.pid, (uint32_t)stage.pid);
	stage_await(&stage, MSG_BROKER_SERVER_STATE);
	ck_assert_uint_eq(stage.msg.broker_server_state.state, SERVER_READY);
	stage_await(&stage, MSG_BROKER_REGISTRY);
	stage_await(&stage, MSG_BROKER_READY);
	stage_await(&stage, MSG_BROKER_CALL);
	ck_assert_str_eq(stage.msg.broker_call.name, "p__echo");
	stage_finish(&stage, &agent);
}
END_TEST

START_TEST(a_plugin_that_crashes_is_started_again)
{
	struct stage stage;
	struct wire agent, *plugin = &stage.plugins[0];

	stage_begin(&stage, &agent, "[" ECHO "]");
	wire_say(&agent, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{"
			 "\"name\":\"p__echo\"}}");
	plugin_asked(plugin, "tools/call");
	wire_close(plugin);
	expect_part(&agent,
		    "\"id\":1,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"the plugin p "
		    "is gone: it closed its standard output\"}],\"isError\":true}");
	stage_gone(&stage, 0, "it exited with status 3");
	wire_say(&agent, "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"tools/list\"}");
	expect_part(&agent, "p__echo"); /* what is being started again stays listed */
	do
		stage_await(&stage, MSG_BROKER_WANT);
	while (!stage.msg.broker_want.start);
	ck_assert_uint_eq(stage.msg.broker_want.generation, 2);
	ck_assert_str_eq(stage.msg.broker_want.why, "it exited with status 3");
	plugin_ready(stage_plug(&stage, 0), "[" ECHO "]");
	do
		stage_await(&stage, MSG_BROKER_SERVER_STATE);
	while (stage.msg.broker_server_state.state != SERVER_READY);
	/* Nothing changed: nobody is told; and no call was repeated. */
	wire_say(&agent, "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"tools/call\",\"params\":{"
			 "\"name\":\"p__echo\"}}");
	wire_say(plugin, "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"result\":{}}",
		 plugin_asked(plugin, "tools/call"));
	expect_line(&agent, "{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":{}}");
	stage_finish(&stage, &agent);
}
END_TEST

START_TEST(an_optional_plugin_may_fail)
{
	struct stage stage;
	struct wire agent;

	stage_new(&stage);
	stage_server(&stage, "p", true, STAGE_WAIT_MS);
	stage_server(&stage, "late", false, STAGE_WAIT_MS);
	stage_boot(&stage);
	plugin_ready(stage_plug(&stage, 0), "[" ECHO "]");
	stage_plug(&stage, 1);
	stage_gone(&stage, 1, "it exited with status 1");
	stage_await(&stage, MSG_BROKER_READY);
	ck_assert(stage.msg.broker_ready.ready);
	agent_connect(&stage, &agent);
	agent_initialize(&agent, "2025-11-25");
	wire_say(&agent, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{"
			 "\"name\":\"agentd__mission\"}}");
	expect_part(&agent,
		    "{\"name\":\"late\",\"state\":\"failed\",\"why\":\"it exited with status 1\"}");
	stage_finish(&stage, &agent);
}
END_TEST

/* A session that is refused ends before any plugin runs. */
START_TEST(a_plugin_that_never_came_does_not_matter_at_the_end)
{
	struct stage stage;

	stage_new(&stage);
	stage_server(&stage, "late", true, 5000);
	stage_boot(&stage);
	stage_stop(&stage);
	stage_free(&stage);
}
END_TEST

int
main(void)
{
	const TTest *tests[] = {
	    lists_have_pages,
	    a_cursor_that_returns_is_a_loop,
	    changes_are_told_once,
	    a_changed_definition_is_quarantined,
	    rules_are_kept_at_list_and_at_call,
	    names_are_cut_and_told_apart,
	    a_name_that_is_taken_fails_the_setup,
	    one_server_may_keep_its_names,
	    an_operator_is_asked,
	    the_budget_ends_the_session,
	    built_in_tools,
	    resources_and_prompts_pass_through,
	    a_new_runnerd_is_told_everything,
	    a_plugin_that_crashes_is_started_again,
	    an_optional_plugin_may_fail,
	    a_plugin_that_never_came_does_not_matter_at_the_end,
	};

	if (geteuid() != 0) {
		printf("skip - test_broker_registry: a broker is started by root\n");
		return 77;
	}
	return suite_run("broker_registry", tests, ARRAY_LEN(tests));
}
