/*
 * The smallest agent that does all that one does: it is told what for, remembers, calls a tool and
 * reports. The same agent in Rust, Python and for Node.js is beside it; this one becomes a module:
 *
 *	clang --target=wasm32-wasi -O2 -I DIR -o hello.wasm hello.c libagent.a
 *
 * libagent(3) says how libagent.a is made for WebAssembly. The task "wait" waits until the session
 * is ended.
 */
#include <scarab/agent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TOOL "survey__summarise"

enum { TIMEOUT_MS = 60000 };

/* How often it ran: what lies in its home is there again in the next session. */
static int
visits(void)
{
	char path[256];
	int count = 0;
	FILE *file;

	snprintf(path, sizeof(path), "%s/visits", getenv("HOME"));
	file = fopen(path, "r");
	if (file) {
		if (fscanf(file, "%d", &count) != 1)
			count = 0;
		fclose(file);
	}
	file = fopen(path, "w");
	if (!file)
		return -1;
	fprintf(file, "%d\n", ++count);
	return fclose(file) == 0 ? count : -1;
}

/* Heap; NULL where the mission cannot be had. */
static char *
read_task(struct agent *agent, struct agent_error *error)
{
	char *text, *task;

	if (agent_mission(agent, &text, error))
		return NULL;
	task = agent_json_string(agent_json_get(agent_json(text, strlen(text)), "task"), NULL);
	free(text);
	return task;
}

static enum agent_status
report(struct agent *agent, const char *task, int count, const char *summary,
       struct agent_error *error)
{
	char *quoted = agent_json_quote(task, strlen(task)), *json = NULL;
	enum agent_status status = AGENT_MEMORY;

	if (quoted && asprintf(&json, "{\"task\":%s,\"visits\":%d,\"summary\":%s}", quoted, count,
			       summary ? summary : "null") >= 0)
		status = agent_result(agent, json, error);
	free(quoted);
	free(json);
	return status;
}

/* The exit status. */
static int
hello(struct agent *agent, const char *task, int count, struct agent_error *error)
{
	const struct agent_options options = {.timeout_ms = TIMEOUT_MS};
	struct agent_answer answer;
	enum agent_status status;

	printf("hello from %s, visit %d: %s\n", getenv("AGENT_NAME"), count, task);
	fflush(stdout);
	while (!strcmp(task, "wait"))
		sleep(3600);
	if (agent_call(agent, TOOL, "{\"path\":\"/context\"}", &options, &answer, error))
		return -1;
	puts(answer.text);
	status = report(agent, task, count, answer.structured, error);
	agent_answer_free(&answer);
	return status ? -1 : answer.is_error;
}

int
main(void)
{
	struct agent_error error = {.status = AGENT_OK};
	struct agent *agent;
	int count = visits(), status = -1;
	char *task = NULL;

	if (count < 0) {
		agent_log("error", "the home cannot be written");
		return EXIT_FAILURE;
	}
	if (agent_connect(&agent, &error) == AGENT_OK) {
		task = read_task(agent, &error);
		if (task)
			status = hello(agent, task, count, &error);
		free(task);
		agent_close(agent);
	}
	if (status < 0)
		agent_log("error", error.text);
	return status ? EXIT_FAILURE : EXIT_SUCCESS;
}
