// with: schedd/event_match.c
/* Which events start an agent, and what its task says then. */
#include <string.h>

#include "common/cleanup.h"
#include "common/event_template.h"
#include "schedd/event_match.h"
#include "tests/unit/suite.h"

static const char push[] =
    "{\"ref\": \"refs/heads/main\", \"after\": \"6113728f\", \"n\": 9007199254740993, \"ok\": true,"
    " \"none\": null, \"repository\": {\"name\": \"x\", \"tags\": [\"a\", {\"b\": \"c\"}]},"
    " \"zero\": \"a\\u0000b\", \"twice\": 1, \"twice\": 2, \"Case\": 1, \"case\": 2, \"e\": \"\"}";

static struct event
an_event(const char *type)
{
	return (struct event){.type = type,
			      .source = "/webhooks/a/github",
			      .id = "72d3162e",
			      .subject = "",
			      .operator= "",
			      .at_ms = 1767225600123,
			      .data = (const uint8_t *)push,
			      .data_length = sizeof(push) - 1};
}

/* --- matching ------------------------------------------------------------------------------ */

static const struct {
	const char *pattern, *type;
	bool matches;
} types[] = {
    {"github.push", "github.push", true},
    {"github.push", "github.pushed", false},
    {"github.*", "github.push", true},
    {"github.*", "gitlab.push", false},
    {"*", "anything", true},
    {"github.*", "github.", true},
    {"*.push", "github.push", true},
    {"github.push", "Github.push", false},
    {"a*c*e", "abcde", true},
    {"a*c*e", "abde", false},
};

START_TEST(types_are_patterns)
{
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		struct event_trigger trigger = {.kind = TRIGGER_EVENT,
						.event = (char *)types[i].pattern};
		struct event event = an_event(types[i].type);

		ck_assert_msg(event_matches(&trigger, &event) == types[i].matches, "%s of %s",
			      types[i].pattern, types[i].type);
	}
}
END_TEST

static const struct {
	const char *key, *value;
	bool matches;
} filters[] = {
    {"ref", "refs/heads/main", true},
    {"ref", "refs/heads/*", true},
    {"ref", "refs/tags/*", false},
    {"n", "9007199254740993", true},
    {"n", "9007199254740992", false},
    {"ok", "true", true},
    {"none", "null", true},
    {"missing", "*", false},
    {"repository.name", "x", true},
    {"repository.tags.0", "a", true},
    {"repository.tags.1.b", "c", true},
    {"repository.tags.2", "*", false},
    {"repository.tags.x", "*", false},
    {"repository.tags", "*", true},
    {"ref.x", "*", false},
    {"zero", "*", false},  /* no text can hold it */
    {"twice", "*", false}, /* two readers might read two things */
    {"Case", "*", false},
    {"e", "", true},
    {"e", "*", true},
};

START_TEST(filters_look_into_the_data)
{
	struct event event = an_event("github.push");

	for (size_t i = 0; i < ARRAY_LEN(filters); i++) {
		struct event_filter_rule rule = {(char *)filters[i].key, (char *)filters[i].value};
		struct event_trigger trigger = {.kind = TRIGGER_EVENT,
						.event = (char *)"github.*",
						.filters = &rule,
						.filter_count = 1};

		ck_assert_msg(event_matches(&trigger, &event) == filters[i].matches, "%s: %s",
			      filters[i].key, filters[i].value);
	}
}
END_TEST

START_TEST(all_filters_must_match_and_no_data_matches_none)
{
	struct event_filter_rule rules[] = {{(char *)"ok", (char *)"true"},
					    {(char *)"ref", (char *)"refs/tags/*"}};
	struct event_trigger trigger = {
	    .kind = TRIGGER_EVENT, .event = (char *)"*", .filters = rules, .filter_count = 2};
	struct event event = an_event("x");

	ck_assert(!event_matches(&trigger, &event));
	trigger.filter_count = 1;
	ck_assert(event_matches(&trigger, &event));
	event.data = NULL;
	event.data_length = 0;
	ck_assert(!event_matches(&trigger, &event));
	trigger.filter_count = 0;
	ck_assert(event_matches(&trigger, &event));
}
END_TEST

START_TEST(a_webhook_matches_what_came_in_there)
{
	struct event_filter_rule rule = {(char *)"ref", (char *)"refs/heads/*"};
	struct event_trigger trigger = {.kind = TRIGGER_WEBHOOK, .webhook = (char *)"a/github"};
	struct event event = an_event("whatever");

	ck_assert(event_matches(&trigger, &event));
	event.source = "/webhooks/a/github2";
	ck_assert(!event_matches(&trigger, &event));
	event.source = "/webhooks/b/github";
	ck_assert(!event_matches(&trigger, &event));
	event.source = "a/github";
	ck_assert(!event_matches(&trigger, &event));
	event.source = "/webhooks/a/github";
	trigger.filters = &rule;
	trigger.filter_count = 1;
	ck_assert(event_matches(&trigger, &event));
	rule.value = (char *)"refs/tags/*";
	ck_assert(!event_matches(&trigger, &event));
}
END_TEST

/* --- tasks ----------------------------------------------------------------------------------- */

/* want NULL: refused. */
static const struct {
	const char *task, *want;
} tasks[] = {
    {"review {{event.data.after}}", "review 6113728f"},
    {"{{event.type}} {{ event.id }} of {{event.source}}",
     "github.push 72d3162e of /webhooks/a/github"},
    {"at {{event.time}}", "at 2026-01-01T00:00:00.123Z"},
    {"{{event.subject}}.", "."},
    {"{{event.data.n}}{{event.data.ok}}{{event.data.none}}", "9007199254740993truenull"},
    {"{{event.data.repository.tags}}", "[\"a\", {\"b\": \"c\"}]"},
    {"{{event.data.repository.tags.1.b}}", "c"},
    {"no braces", "no braces"},
    {"one { and } two", "one { and } two"},
    {"{{event.data.missing}}", NULL},
    {"{{event.data.zero}}", NULL},
    {"{{event.data.twice}}", NULL},
    {"{{event.data.}}", NULL},
    {"{{event.data..n}}", NULL},
    {"{{event.nothing}}", NULL},
    {"{{secret:key}}", NULL},
    {"{{}}", NULL},
    {"{{event.type", NULL},
    {"", ""},
};

START_TEST(tasks_get_the_events_values)
{
	struct event event = an_event("github.push");

	for (size_t i = 0; i < ARRAY_LEN(tasks); i++) {
		struct event_trigger trigger = {.task = (char *)tasks[i].task};
		struct error error = ERROR_INIT;
		char task[TASK_MAX + 1];
		int rc = event_task(&trigger, &event, task, &error);

		ck_assert_msg(rc == (tasks[i].want ? 0 : -1), "%s", tasks[i].task);
		if (tasks[i].want)
			ck_assert_str_eq(task, tasks[i].want);
		else
			ck_assert_str_ne(error.why, "");
	}
}
END_TEST

/* What an event says is not read as a template again. */
START_TEST(a_value_is_put_in_once)
{
	static const char data[] = "{\"a\": \"{{event.data.b}}\", \"b\": \"no\"}";
	struct event_trigger trigger = {.task = (char *)"{{event.data.a}}$(id)"};
	struct event event = an_event("x");
	struct error error = ERROR_INIT;
	char task[TASK_MAX + 1];

	event.data = (const uint8_t *)data;
	event.data_length = sizeof(data) - 1;
	ck_assert_int_eq(event_task(&trigger, &event, task, &error), 0);
	ck_assert_str_eq(task, "{{event.data.b}}$(id)");
}
END_TEST

START_TEST(a_task_has_a_bound)
{
	struct event_trigger trigger = {.task = (char *)"{{event.data}}"};
	struct event event = an_event("x");
	struct error error = ERROR_INIT;
	char task[TASK_MAX + 1], data[TASK_MAX + 4];

	for (size_t length = TASK_MAX - 1; length <= TASK_MAX + 1; length++) {
		memset(data, 'x', sizeof(data));
		data[0] = data[length + 1] = '"';
		event.data = (const uint8_t *)data;
		event.data_length = length + 2;
		ck_assert_int_eq(event_task(&trigger, &event, task, &error),
				 length <= TASK_MAX ? 0 : -1);
	}
	trigger.task = data;
	memset(data, 'x', sizeof(data));
	data[TASK_MAX + 1] = '\0';
	ck_assert_int_eq(event_task(&trigger, &event, task, &error), -1);
	data[TASK_MAX] = '\0';
	ck_assert_int_eq(event_task(&trigger, &event, task, &error), 0);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
	    types_are_patterns,
	    filters_look_into_the_data,
	    all_filters_must_match_and_no_data_matches_none,
	    a_webhook_matches_what_came_in_there,
	    tasks_get_the_events_values,
	    a_value_is_put_in_once,
	    a_task_has_a_bound,
	};

	return suite_run("event_match", tests, ARRAY_LEN(tests));
}
