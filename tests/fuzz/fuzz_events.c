/*
 * What strangers say in an event, against what an agent waits for: JSON of the data, patterns of
 * types, filters, templates of tasks. A case is lines: the trigger's pattern, a filter's key and
 * its value, the template, the event's type, id and subject; the rest is the data. Whatever is
 * accepted is held to what it promises: an event's own JSON is JSON, a task has its bounds, a
 * refusal its reason, and no value is read as a template.
 *
 * fuzz_events [CASES [SEED]]: bit flips, cuts, repetitions and grafts over the seeds below, the
 * same for the same seed. With -DSCARAB_LIBFUZZER the entry point of libFuzzer instead (make
 * libfuzzer).
 */
// with: schedd/event_match.c
// timeout: 300
#include "common/cleanup.h"
#include "common/event_template.h"
#include "common/json.h"
#include "common/limits.h"
#include "common/scan.h"
#include "schedd/event_match.h"
#include "tests/fuzz/mutate.h"

enum { CASES = 300000, CASES_SANITIZED = 60000, CASE_BYTES_MAX = 4096, LINES = 7 };

/* The next line as memory of its own, without NULs; the last one ends where the case does. */
static char *
take_line(const uint8_t **at, const uint8_t *end)
{
	const uint8_t *stop = *at < end ? memchr(*at, '\n', (size_t)(end - *at)) : NULL;
	size_t length = (size_t)((stop ? stop : end) - *at);
	char *line = malloc(length + 1);

	if (!line)
		abort();
	memcpy(line, *at, length);
	line[length] = '\0';
	for (size_t i = 0; i < length; i++)
		if (!line[i])
			line[i] = '0';
	*at = stop ? stop + 1 : end;
	return line;
}

static bool
is_text(const char *text)
{
	return utf8_valid((const uint8_t *)text, strlen(text));
}

static void
try_task(const struct event_trigger *trigger, const struct event *event)
{
	char task[TASK_MAX + 1];
	struct error error = ERROR_INIT;
	const char *fault = event_template_fault(trigger->task);
	int rc = event_task(trigger, event, task, &error);

	demand(rc == 0 || error.why[0], "a task is refused without a reason");
	demand(!fault || rc < 0, "a template that cannot be installed makes a task");
	if (rc < 0)
		return;
	demand(strnlen(task, sizeof(task)) <= TASK_MAX, "a task has no end");
	demand(strstr(trigger->task, "{{") || strcmp(task, trigger->task) == 0,
	       "a text without templates is another one");
	if (strcmp(trigger->task, "{{event.id}}") == 0)
		demand(strcmp(task, event->id) == 0, "a value was read as a template");
}

static void
try_json(const struct event *event)
{
	size_t length;
	_cleanup_free_ char *text = event_json(event, &length);
	struct span value;

	demand(text != NULL, "there is no memory");
	demand(!scan((struct span){text, length}, &value), "an event's JSON is none");
	demand(value_kind(value) == VALUE_OBJECT, "an event's JSON is no object");
}

/* Also what no JSON is reaches nobody: scan() stands before all of it. */
static void
try_event(struct event_trigger *trigger, struct event *event, const uint8_t *data, size_t length)
{
	_cleanup_free_ char *exact = malloc(length + 1);
	struct span value;
	bool matches;

	if (!exact)
		abort();
	if (length)
		memcpy(exact, data, length);
	if (length && !scan((struct span){exact, length}, &value)) {
		event->has_data = true;
		event->data = (const uint8_t *)value.at;
		event->data_length = value.length;
	}
	matches = event_matches(trigger, event);
	demand(event_matches(trigger, event) == matches, "a match depends on the moment");
	trigger->filter_count = 0;
	demand(!matches || event_matches(trigger, event), "a filter makes an event match");
	try_task(trigger, event);
	try_json(event);
}

static void
try_case(const uint8_t *bytes, size_t length)
{
	const uint8_t *at = bytes, *end = bytes + length;
	char *lines[LINES];
	struct event_filter_rule filter;
	struct event_trigger trigger = {
	    .kind = TRIGGER_EVENT, .filters = &filter, .filter_count = 1};
	struct event event = {.seq = 1, .source = "/fuzz", .operator= "" };

	if (length > CASE_BYTES_MAX)
		return;
	for (size_t i = 0; i < LINES; i++)
		lines[i] = take_line(&at, end);
	trigger.event = lines[0];
	filter = (struct event_filter_rule){.key = lines[1], .value = lines[2]};
	trigger.task = lines[3];
	event.type = lines[4];
	event.id = lines[5];
	event.subject = lines[6];
	/* What is no text is no attribute: control and runnerd look at that. */
	if (is_text(event.type) && is_text(event.id) && is_text(event.subject))
		try_event(&trigger, &event, at, (size_t)(end - at));
	for (size_t i = 0; i < LINES; i++)
		free(lines[i]);
}
FUZZ_TARGET(try_case)

#ifndef SCARAB_LIBFUZZER

/* --- the short run of every check ------------------------------------------------------------ */

static const struct seed seeds[] = {
    SEED("github.*\nref\nrefs/heads/*\nreview {{event.data.after}} of {{ event.source "
	 "}}\ngithub.push\n"
	 "one\nhub\n{\"ref\": \"refs/heads/main\", \"after\": \"6113728f\"}"),
    SEED("*\nrepository.private\nfalse\n{{event.id}}\na.b\n{{event.source}}\n\n"
	 "{\"repository\": {\"private\": false}, \"list\": [1, -2.5e3, null, \"\\u00e9\\n\"]}"),
    SEED("[a-c]?.[!x]*\nlist.2.name\n*[0-9]\n{{event.data.list.0}}{{event.data}} }} "
	 "{{\nb1.y\nid\ns\n"
	 "{\"list\": [{\"x\": \"\\ud83d\\ude00\"}, [], {\"name\": \"n7\"}], \"list\": "
	 "9007199254740993}"),
    SEED("build.done\n\n\nno template\nbuild.done\n\n\n\"a text\""),
    SEED(
	"x\na.b.c\n***a*b*c\n{{event.time}} {{event.subject}}\nx\ni\n\t\n[[[[[[[[[[[[]]]]]]]]]]]]"),
};

int
main(int argc, char **argv)
{
	const struct fuzzing fuzzing = {
	    .target = try_case,
	    .seeds = seeds,
	    .seed_count = ARRAY_LEN(seeds),
	    .liked = SEED("\n\"{}[]:,.*?\\ue\x00\x1f\x7f\xc3\xa9\xed\xa0 -+0129aA{{}}"),
	    .bytes_max = CASE_BYTES_MAX,
	};
	size_t cases = fuzz_begin(argc, argv, CASES, CASES_SANITIZED);

	fuzz_run(&fuzzing, cases);
	printf("%zu cases of events and what waits for them: no crash, every promise kept\n",
	       cases);
	return 0;
}

#endif
