/* Patterns, names, digests, percentiles, shapes: the pure parts of the broker's registry. */
// with: runnerd/broker/naming.c runnerd/broker/policy.c
// with: runnerd/broker/stats.c runnerd/broker/catalog.c runnerd/broker/clean.c
// with: runnerd/broker/recorder.c
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/glob.h"
#include "runnerd/broker/naming.h"
#include "runnerd/broker/pin.h"
#include "runnerd/broker/state.h"
#include "suite.h"

/* What the parts that are not tested here would do. */
void
link_send(struct broker *broker, struct msg *msg)
{
	(void)broker;
	msg_close_fds(msg);
}

void
agents_watch(struct broker *broker)
{
	(void)broker;
}

START_TEST(globs)
{
	static const struct {
		const char *pattern, *text;
		bool matches;
	} cases[] = {
	    {"*", "", true},
	    {"*", "anything", true},
	    {"", "", true},
	    {"", "a", false},
	    {"a", "a", true},
	    {"a", "A", false},
	    {"read_*", "read_", true},
	    {"read_*", "read", false},
	    {"*_file", "read_file", true},
	    {"a*b*c", "aXbYbZc", true},
	    {"a*b*c", "aXbYbZ", false},
	    {"?", "", false},
	    {"?", "x", true},
	    {"[ab]x", "bx", true},
	    {"[ab]x", "cx", false},
	    {"[a-f]", "e", true},
	    {"[!a-f]", "e", false},
	    {"[!a-f]", "z", true},
	    {"[]]", "]", true},
	    {"[", "[", true},
	    {"[a", "[a", true},
	    {"[a-]", "-", true},
	    {"**", "x", true},
	    {"*[0-9]", "tool7", true},
	    {"*[0-9]", "tool", false},
	    {"[0-9]*", "7", true},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		ck_assert_msg(glob_match(cases[i].pattern, cases[i].text) == cases[i].matches,
			      "%s %s", cases[i].pattern, cases[i].text);
	/* Not exponential: this would not end. */
	char pattern[202], text[2001];
	for (int i = 0; i < 200; i += 2)
		memcpy(pattern + i, "*a", 2);
	pattern[200] = '\0';
	memset(text, 'a', 2000);
	text[2000] = '\0';
	strcat(pattern + 198, "b");
	ck_assert(!glob_match(pattern, text));
}
END_TEST

START_TEST(names)
{
	char exposed[EXPOSED_NAME_MAX + 1], other[EXPOSED_NAME_MAX + 1];
	char prefix[SERVER_NAME_MAX + 6], name[128];

	name_expose("fs", "read_file", exposed);
	ck_assert_str_eq(exposed, "fs__read_file");
	name_expose("fs", "a.b/c\xc3\xa9", exposed);
	ck_assert_str_eq(exposed, "fs__a_b_c__");
	name_expose(NULL, "read_file", exposed);
	ck_assert_str_eq(exposed, "read_file");
	memset(name, 'x', sizeof(name));
	name[44] = '\0';
	name_expose("fs", name, exposed);
	ck_assert_uint_eq(strlen(exposed), EXPOSED_NAME_MAX);
	ck_assert_ptr_null(strchr(exposed + 4, '_')); /* as long as may be: not cut */
	name[44] = 'x';
	name[100] = '\0';
	name_expose("fs", name, exposed);
	name[99] = 'y';
	name_expose("fs", name, other);
	ck_assert_uint_eq(strlen(exposed), EXPOSED_NAME_MAX);
	ck_assert_int_eq(strncmp(exposed, other, EXPOSED_NAME_MAX - 8), 0);
	ck_assert_str_ne(exposed, other);
	ck_assert(name_reserved("agentd__mission"));
	ck_assert(!name_reserved("agentd_mission"));
	uri_prefix("fs", prefix);
	ck_assert_str_eq(prefix, "mcp.fs+");
	uri_prefix(NULL, prefix);
	ck_assert_str_eq(prefix, "");
}
END_TEST

static void
digest_of(const char *text, uint8_t digest[DIGEST_BYTES])
{
	tool_digest((struct span){text, strlen(text)}, digest);
}

START_TEST(digests)
{
	static const char *const same[] = {
	    "{\"name\":\"a\",\"inputSchema\":{\"type\":\"object\"}}",
	    "{ \"inputSchema\" : { \"type\":\t\"object\" }, \"name\":\"a\", \"_meta\":{\"x\":1} }",
	};
	static const char *const others[] = {
	    "{\"name\":\"b\",\"inputSchema\":{\"type\":\"object\"}}",
	    "{\"name\":\"a\",\"title\":\"\",\"inputSchema\":{\"type\":\"object\"}}",
	    "{\"name\":\"a\",\"inputSchema\":{\"type\":\"obj ect\"}}",
	    "{\"name\":\"a\",\"outputSchema\":{\"type\":\"object\"}}",
	    "{\"name\":\"a\",\"inputSchema\":{\"type\":\"object\"},\"annotations\":{}}",
	    "{\"name\":\"a\",\"description\":\"d\",\"inputSchema\":{\"type\":\"object\"}}",
	    "{\"name\":\"a\",\"inputSchema\":{\"type\":\"obj\\\"  ect\"}}",
	    "{\"name\":\"a\",\"inputSchema\":{\"type\":\"obj\\\" ect\"}}",
	};
	uint8_t first[DIGEST_BYTES], digest[ARRAY_LEN(others)][DIGEST_BYTES];

	digest_of(same[0], first);
	digest_of(same[1], digest[0]);
	ck_assert_mem_eq(first, digest[0], DIGEST_BYTES);
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		digest_of(others[i], digest[i]);
		ck_assert_mem_ne(first, digest[i], DIGEST_BYTES);
		for (size_t j = 0; j < i; j++)
			ck_assert_mem_ne(digest[i], digest[j], DIGEST_BYTES);
	}
}
END_TEST

START_TEST(pins)
{
	static struct broker broker;
	uint8_t one[DIGEST_BYTES] = {1}, two[DIGEST_BYTES] = {2};
	char name[32];

	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "tool%d", i * 7919 % 1000);
		ck_assert(policy_accepted(&broker, (uint8_t)(i % 3), name, one));
	}
	ck_assert_uint_eq(broker.pin_count, 1000);
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "tool%d", i * 7919 % 1000);
		ck_assert(policy_accepted(&broker, (uint8_t)(i % 3), name, one));
		ck_assert(!policy_accepted(&broker, (uint8_t)(i % 3), name, two));
	}
	ck_assert_int_eq(policy_pin(&broker, 0, "tool0", two), 0);
	ck_assert(policy_accepted(&broker, 0, "tool0", two));
	for (size_t i = 0; i < broker.pin_count; i++)
		free(broker.pins[i].tool);
	free(broker.pins);
}
END_TEST

START_TEST(percentiles)
{
	struct broker *broker = calloc(1, sizeof(*broker));

	broker->loop = loop_new();
	ck_assert_int_eq(stats_open(broker), 0);
	for (uint64_t us = 1; us <= 10000; us++)
		stats_count(broker, "t", us % 10 == 0, us);
	stats_count(broker, "u", false, UINT64_MAX);
	stats_count(broker, "v", false, 0);
	const struct tool_stats *stats = broker->stats->next->next;
	ck_assert_str_eq(stats->name, "t");
	ck_assert_uint_eq(stats->calls, 10000);
	ck_assert_uint_eq(stats->errors, 1000);
	uint64_t p50 = stats_percentile(stats, 50), p99 = stats_percentile(stats, 99);
	ck_assert_uint_ge(p50, 4500);
	ck_assert_uint_le(p50, 5500);
	ck_assert_uint_ge(p99, 8910);
	ck_assert_uint_le(p99, 10890);
	stats_tell(broker);
	stats_free(broker);
	loop_free(broker->loop);
	free(broker);
}
END_TEST

START_TEST(shapes)
{
	static const struct {
		const char *arguments, *shape;
	} cases[] = {
	    {"{}", "{}"},
	    {"{\"path\":\"/"
	     "etc\",\"n\":1,\"o\":{\"a\":1,\"b\":2},\"l\":[1,2,3],\"z\":null,\"b\":true}",
	     "{path:string(4),n:number,o:object(2),l:array(3),z:null,b:boolean}"},
	    {"{\"a key of many words, hardly a name\":1}", "{?:number}"},
	    {"{\"\\u0000\":1}", "{?:number}"},
	};
	char shape[SHAPE_MAX + 1], *many;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		shape_of((struct span){cases[i].arguments, strlen(cases[i].arguments)}, shape);
		ck_assert_str_eq(shape, cases[i].shape);
	}
	shape_of(NO_SPAN, shape);
	ck_assert_str_eq(shape, "none");
	many = calloc(1, 100000);
	strcpy(many, "{\"k0\":\"\"");
	for (int i = 1; i < 1000; i++)
		sprintf(many + strlen(many), ",\"a_rather_long_key_number_%d\":[1]", i);
	strcat(many, "}");
	shape_of((struct span){many, strlen(many)}, shape);
	ck_assert_ptr_nonnull(strstr(shape, ",...}"));
	free(many);
}
END_TEST

START_TEST(rules)
{
	static const struct {
		const char *allow, *deny, *ask, *capability, *tool;
		enum tool_state state;
	} cases[] = {
	    {NULL, NULL, NULL, NULL, "x", TOOL_OPEN},
	    {"r*", NULL, NULL, NULL, "x", TOOL_DENIED},
	    {"r*", NULL, NULL, NULL, "rx", TOOL_OPEN},
	    {NULL, "x", NULL, NULL, "x", TOOL_DENIED},
	    {"x", "x", NULL, NULL, "x", TOOL_DENIED},
	    {NULL, NULL, "x", NULL, "x", TOOL_ASK},
	    {NULL, "x", "x", NULL, "x", TOOL_DENIED},
	    {NULL, NULL, NULL, "tool.invoke:fs__*", "x", TOOL_OPEN},
	    {NULL, NULL, NULL, "tool.invoke:x", "x", TOOL_DENIED},
	    {NULL, NULL, NULL, "mcp.fs.x", "x", TOOL_OPEN},
	    {NULL, NULL, NULL, "mcp.f?.x", "x", TOOL_OPEN},
	    {NULL, NULL, NULL, "mcp.db.x", "x", TOOL_DENIED},
	    {NULL, NULL, NULL, "mcp.fs.a.b", "a.b", TOOL_OPEN},
	    {NULL, NULL, NULL, "net.connect:a:1", "x", TOOL_DENIED},
	};
	static struct broker broker;
	struct server *server = &broker.servers[0];
	char exposed[EXPOSED_NAME_MAX + 1];

	strcpy(server->plan.name, "fs");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char *own[] = {(char *)cases[i].allow, (char *)cases[i].deny, (char *)cases[i].ask,
			       (char *)cases[i].capability};

		for (int kind = RULE_ALLOW; kind <= RULE_ASK; kind++)
			server->rules[kind] = (struct rules){&own[kind], own[kind] != NULL};
		broker.boot.has_capabilities = own[RULE_CAPABILITY] != NULL;
		broker.capabilities =
		    (struct rules){&own[RULE_CAPABILITY], own[RULE_CAPABILITY] != NULL};
		name_expose("fs", cases[i].tool, exposed);
		ck_assert_msg(policy_rules(&broker, server, cases[i].tool, exposed) ==
				  cases[i].state,
			      "case %zu", i);
	}
}
END_TEST

int
main(void)
{
	const TTest *tests[] = {globs, names, digests, pins, percentiles, shapes, rules};

	return suite_run("broker_rules", tests, ARRAY_LEN(tests));
}
