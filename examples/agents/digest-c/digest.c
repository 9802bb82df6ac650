/*
 * An agent that looks at a directory with a tool and stores what it found, as its session's result.
 * Its task is the directory, such as /context. The same agent in Rust and Python is beside it.
 *
 *	cc -o digest digest.c $(pkg-config --cflags --libs libagent)
 */
#include <scarab/agent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUMMARISE "survey__summarise"

enum { TIMEOUT_MS = 60000 };

static void
complain(const char *what, const char *why)
{
	char text[AGENT_ERROR_MAX + 256];

	snprintf(text, sizeof(text), "%.200s: %s", what, why);
	agent_log("error", text);
}

static bool
told(const struct agent_progress *step, void *arg)
{
	char text[128];

	(void)arg;
	snprintf(text, sizeof(text), "%.80s: %.0f of it seen",
		 step->message ? step->message : "surveying", step->progress);
	agent_log("info", text);
	return true;
}

/* The mission's task and the session before; both are freed by the caller. */
static bool
read_mission(struct agent *agent, char **path, char **previous, struct agent_error *error)
{
	struct agent_json mission;
	char *text;

	if (agent_mission(agent, &text, error))
		return false;
	mission = agent_json(text, strlen(text));
	*path = agent_json_string(agent_json_get(mission, "task"), NULL);
	if (!*path || !**path) {
		free(*path);
		*path = strdup("/context");
	}
	*previous =
	    agent_json_string(agent_json_get(agent_json_get(mission, "previous"), "session"), NULL);
	free(text);
	return *path;
}

static bool
has_tool(struct agent *agent, const char *name, struct agent_error *error)
{
	struct agent_tools tools;
	bool found = false;
	size_t i;

	if (agent_tools(agent, &tools, error))
		return false;
	for (i = 0; i < tools.count; i++)
		found = found || !strcmp(tools.tools[i].name, name);
	agent_tools_free(&tools);
	if (!found)
		snprintf(error->text, sizeof(error->text),
			 "there is no tool %s: the manifest names its plugin", name);
	return found;
}

/* What was found is stored as it came: a number is never read and written again. */
static bool
store(struct agent *agent, const char *path, const char *previous,
      const struct agent_answer *answer, struct agent_error *error)
{
	char *quoted = agent_json_quote(path, strlen(path));
	char *before = previous ? agent_json_quote(previous, strlen(previous)) : strdup("null");
	char *result = NULL;
	bool stored = false;

	if (quoted && before &&
	    asprintf(&result, "{\"path\":%s,\"summary\":%s,\"previous\":%s}", quoted,
		     answer->structured ? answer->structured : "null", before) > 0)
		stored = !agent_observe(agent, answer->text, answer->structured, error) &&
			 !agent_result(agent, result, error);
	free(result);
	free(before);
	free(quoted);
	return stored;
}

static bool
survey(struct agent *agent, const char *path, const char *previous, struct agent_error *error)
{
	const struct agent_options options = {.timeout_ms = TIMEOUT_MS, .progress = told};
	struct agent_answer answer;
	char *quoted = agent_json_quote(path, strlen(path)), *arguments = NULL;
	bool done;

	if (!quoted || asprintf(&arguments, "{\"path\":%s}", quoted) < 0)
		return false;
	free(quoted);
	done = !agent_call(agent, SUMMARISE, arguments, &options, &answer, error);
	free(arguments);
	if (!done)
		return false;
	if (answer.is_error) {
		/* What a tool says goes to whoever can do better: here the author of the task. */
		snprintf(error->text, sizeof(error->text), "%s: %.400s", path, answer.text);
		done = false;
	} else {
		done = !agent_transition(agent, "observe", NULL, error) &&
		       store(agent, path, previous, &answer, error);
	}
	if (done)
		puts(answer.text);
	agent_answer_free(&answer);
	return done;
}

int
main(void)
{
	struct agent_error error = {.text = "out of memory"};
	struct agent *agent = NULL;
	char *path = NULL, *previous = NULL, plan[256];
	bool done = false;

	if (!agent_connect(&agent, &error) && read_mission(agent, &path, &previous, &error)) {
		snprintf(plan, sizeof(plan), "survey %.200s", path);
		done = !agent_transition(agent, "plan", plan, &error) &&
		       has_tool(agent, SUMMARISE, &error) &&
		       !agent_transition(agent, "act", NULL, &error) &&
		       survey(agent, path, previous, &error);
	}
	if (!done)
		complain(agent_status_name(error.status), error.text);
	agent_close(agent);
	free(previous);
	free(path);
	return done ? 0 : 1;
}
