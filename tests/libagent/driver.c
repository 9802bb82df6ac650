/* Does the steps of a script with the C library: see steps.txt. */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libagent/c/agent.h"

enum { FIELDS = 8, SHOWN = 300 };

/* What a call's options do: progress is shown, and may stop it. */
struct watch {
	int seen, stop, fire; /* 0: at no step */
	struct agent_cancel *cancel;
	bool show;
};

/* The bytes as one big number, modulo a prime. */
static void
print_remainder(const char *text, size_t length)
{
	uint64_t value = 0;
	size_t i;

	for (i = 0; i < length; i++)
		value = (value * 256 + (unsigned char)text[i]) % 2147483647;
	printf("%zu bytes, remainder %" PRIu64 "\n", length, value);
}

/* One line: what would break it is shown by number. */
static void
print_text(const char *title, const char *text, size_t length)
{
	size_t i;

	printf("%s ", title);
	if (length > SHOWN) {
		print_remainder(text, length);
		return;
	}
	for (i = 0; i < length; i++)
		if ((unsigned char)text[i] < ' ')
			printf("\\x%02x", (unsigned)text[i]);
		else
			putchar(text[i]);
	putchar('\n');
}

static void
print_error(const struct agent_error *error)
{
	printf("error %s", agent_status_name(error->status));
	if (error->status == AGENT_REFUSED)
		printf(" %" PRId64 " %s", error->code, error->text);
	if (error->status == AGENT_FAILED)
		printf(" %s", error->text);
	putchar('\n');
}

static void
said(enum agent_status status, const struct agent_error *error)
{
	if (status)
		print_error(error);
	else
		puts("ok");
}

static void *
fire(void *arg)
{
	agent_cancel_fire(arg);
	return NULL;
}

static bool
progress(const struct agent_progress *told, void *arg)
{
	struct watch *watch = arg;
	pthread_t thread;

	watch->seen++;
	if (watch->show)
		printf("progress %g/%g %s\n", told->progress, told->total,
		       told->message ? told->message : "-");
	if (watch->seen == watch->fire && !pthread_create(&thread, NULL, fire, watch->cancel))
		pthread_detach(thread);
	return watch->seen != watch->stop;
}

static bool
is_option(const char *field, const char *name, const char **value)
{
	size_t length = strlen(name);

	if (!field || strncmp(field, name, length) != 0)
		return false;
	*value = field + length;
	return true;
}

static void
print_answer(const struct agent_answer *answer)
{
	print_text("answer", answer->json, answer->length);
	print_text("text", answer->text, answer->text_length);
	if (answer->structured)
		print_text("structured", answer->structured, strlen(answer->structured));
	printf("failed %s\n", answer->is_error ? "true" : "false");
}

static void
call(struct agent *agent, char **field)
{
	struct watch watch = {.cancel = agent_cancel_new()};
	struct agent_options options = {.arg = &watch, .cancel = watch.cancel};
	struct agent_answer answer;
	struct agent_error error;
	const char *value;
	int i;

	for (i = 3; i < FIELDS && field[i]; i++) {
		if (is_option(field[i], "timeout=", &value))
			options.timeout_ms = strtoull(value, NULL, 10);
		else if (is_option(field[i], "stop=", &value))
			watch.stop = (int)strtol(value, NULL, 10);
		else if (is_option(field[i], "fire=", &value))
			watch.fire = (int)strtol(value, NULL, 10);
		else if (is_option(field[i], "fired", &value))
			agent_cancel_fire(watch.cancel);
		if (!is_option(field[i], "timeout=", &value) &&
		    !is_option(field[i], "fired", &value)) {
			options.progress = progress;
			watch.show = true;
		}
	}
	if (agent_call(agent, field[1], field[2], &options, &answer, &error))
		print_error(&error);
	else
		print_answer(&answer);
	agent_answer_free(&answer);
	agent_cancel_free(watch.cancel);
}

static void
big(struct agent *agent, char **field)
{
	size_t length = strtoull(field[2], NULL, 10);
	char *arguments = malloc(length + 1);

	if (!arguments || length < 16)
		return;
	memset(arguments, 'x', length);
	memcpy(arguments, "{\"x\":\"", 6);
	memcpy(arguments + length - 2, "\"}", 3);
	field[2] = arguments;
	call(agent, field);
	free(arguments);
}

static void
tools(struct agent *agent)
{
	struct agent_tools list;
	struct agent_error error;
	size_t i;

	if (agent_tools(agent, &list, &error)) {
		print_error(&error);
		return;
	}
	for (i = 0; i < list.count; i++)
		printf("tool %s | %s | %s\n", list.tools[i].name, list.tools[i].description,
		       list.tools[i].json);
	printf("tools %zu\n", list.count);
	agent_tools_free(&list);
}

static void
mission(struct agent *agent)
{
	struct agent_error error;
	char *json;

	if (agent_mission(agent, &json, &error))
		print_error(&error);
	else
		print_text("mission", json, strlen(json));
	free(json);
}

static void
step(struct agent **agent, char **field)
{
	struct agent_error error = {.status = AGENT_OK};

	if (!strcmp(field[0], "connect")) {
		agent_close(*agent);
		said(agent_connect(agent, &error), &error);
	} else if (!strcmp(field[0], "log")) {
		agent_log(field[1], field[2]);
	} else if (!*agent) {
		puts("not connected");
	} else if (!strcmp(field[0], "tools")) {
		tools(*agent);
	} else if (!strcmp(field[0], "mission")) {
		mission(*agent);
	} else if (!strcmp(field[0], "call")) {
		call(*agent, field);
	} else if (!strcmp(field[0], "big")) {
		big(*agent, field);
	} else if (!strcmp(field[0], "observe")) {
		said(agent_observe(*agent, field[1], field[2], &error), &error);
	} else if (!strcmp(field[0], "transition")) {
		said(agent_transition(*agent, field[1], field[2], &error), &error);
	} else if (!strcmp(field[0], "result")) {
		said(agent_result(*agent, field[1], &error), &error);
	} else if (!strcmp(field[0], "emit_event")) {
		said(agent_emit_event(*agent, field[1], field[2], field[3], &error), &error);
	} else if (!strcmp(field[0], "release")) {
		fclose(fopen(getenv("RELEASE"), "w"));
	} else {
		printf("no such step\n");
	}
}

/* \n in a field is a line's break. */
static void
unescape(char *field)
{
	char *to = field;

	for (; *field; field++)
		if (field[0] == '\\' && field[1] == 'n' && field[2] == '|') {
			*to++ = '\n';
			field += 2;
		} else {
			*to++ = *field;
		}
	*to = '\0';
}

int
main(void)
{
	struct agent *agent = NULL;
	char *line = NULL, *field[FIELDS + 1], *rest;
	size_t size = 0;

	while (getline(&line, &size, stdin) > 0) {
		memset(field, 0, sizeof(field));
		line[strcspn(line, "\n")] = '\0';
		if (!line[0] || line[0] == '#')
			continue;
		printf("> %s\n", line);
		rest = line;
		for (int i = 0; i < FIELDS && (field[i] = strsep(&rest, "\t")); i++)
			unescape(field[i]);
		step(&agent, field);
		fflush(stdout);
	}
	agent_close(agent);
	free(line);
	return 0;
}
