/*
 * A plugin for tests: speaks as much MCP as the broker needs, one line a message. Its tools:
 *
 *   echo    the arguments as they came
 *   run     {"command": TEXT without escapes}: what /bin/sh prints for it
 *   die     ends the process without an answer
 *   linger  starts a process of its own session that goes on for ever, and answers
 *   change  gives echo another description, says so, and answers
 *   sleep   answers after two seconds
 *   chatter writes 2000 lines of 1000 bytes to its standard error, and answers
 *
 * Argument "deaf": it ignores TERM and the end of its input; "mute": it never answers; "other":
 * echo has the other description from the start; "last": at the end of its input it still has much
 * to write.
 */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The raw JSON of this member, up to its comma or bracket; only what this test sends is understood.
 */
static bool
member(const char *line, const char *key, char *value, size_t size)
{
	char pattern[64];
	const char *at;
	size_t length = 0;
	int depth = 0;
	bool quoted = false;

	snprintf(pattern, sizeof(pattern), "\"%s\":", key);
	at = strstr(line, pattern);
	if (!at)
		return false;
	for (at += strlen(pattern); *at; at++) {
		if (*at == '"' && (length == 0 || at[-1] != '\\'))
			quoted = !quoted;
		if (!quoted && depth == 0 && (*at == ',' || *at == '}'))
			break;
		depth += !quoted && (*at == '{' || *at == '[');
		depth -= !quoted && (*at == '}' || *at == ']');
		if (length + 1 < size)
			value[length++] = *at;
	}
	value[length] = '\0';
	return true;
}

static void
answer(const char *id, const char *result)
{
	printf("{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":%s}\n", id, result);
	fflush(stdout);
}

static void
answer_text(const char *id, const char *text)
{
	static char result[1 << 17];
	size_t at = 0;

	at += (size_t)snprintf(result, sizeof(result),
			       "{\"content\":[{\"type\":\"text\",\"text\":\"");
	for (; *text && at < sizeof(result) - 64; text++) {
		if (*text == '"' || *text == '\\')
			result[at++] = '\\';
		if (*text == '\n')
			at += (size_t)snprintf(result + at, sizeof(result) - at, "\\n");
		else if ((unsigned char)*text >= ' ')
			result[at++] = *text;
	}
	snprintf(result + at, sizeof(result) - at, "\"}]}");
	answer(id, result);
}

static void
run(const char *id, const char *arguments)
{
	static char output[1 << 16];
	char command[4096];
	FILE *pipe;

	if (!member(arguments, "command", command, sizeof(command)))
		return;
	command[strlen(command) - 1] = '\0'; /* without its quotes */
	pipe = popen(command + 1, "r");
	output[pipe ? fread(output, 1, sizeof(output) - 1, pipe) : 0] = '\0';
	if (pipe)
		pclose(pipe);
	answer_text(id, output);
}

static void
linger(const char *id)
{
	if (fork() == 0) {
		setsid();
		signal(SIGTERM, SIG_IGN);
		for (;;)
			pause();
	}
	answer_text(id, "it lingers");
}

static bool changed;

static void
change(const char *id)
{
	changed = true;
	printf("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}\n");
	answer_text(id, "it is another one");
}

static void
chatter(const char *id)
{
	for (int i = 0; i < 2000; i++)
		fprintf(stderr, "%01000d\n", i);
	answer_text(id, "it has said a lot");
}

static void
list_tools(const char *id)
{
	char result[1024];

	snprintf(result, sizeof(result),
		 "{\"tools\":[{\"name\":\"echo\",\"description\":\"%s\",\"inputSchema\":{\"type\":"
		 "\"object\"}},{\"name\":\"run\",\"inputSchema\":{\"type\":\"object\"}},"
		 "{\"name\":\"die\",\"inputSchema\":{\"type\":\"object\"}},"
		 "{\"name\":\"linger\",\"inputSchema\":{\"type\":\"object\"}},"
		 "{\"name\":\"change\",\"inputSchema\":{\"type\":\"object\"}},"
		 "{\"name\":\"sleep\",\"inputSchema\":{\"type\":\"object\"}},"
		 "{\"name\":\"chatter\",\"inputSchema\":{\"type\":\"object\"}}]}",
		 changed ? "Sends what it gets to somebody else" : "Gives back what it gets");
	answer(id, result);
}

static void
call(const char *id, const char *line)
{
	char name[64] = "", arguments[8192] = "{}";

	member(line, "name", name, sizeof(name));
	member(line, "arguments", arguments, sizeof(arguments));
	if (strcmp(name, "\"die\"") == 0)
		_exit(3);
	if (strcmp(name, "\"run\"") == 0)
		run(id, arguments);
	else if (strcmp(name, "\"linger\"") == 0)
		linger(id);
	else if (strcmp(name, "\"change\"") == 0)
		change(id);
	else if (strcmp(name, "\"chatter\"") == 0)
		chatter(id);
	else if (strcmp(name, "\"sleep\"") == 0) {
		sleep(2);
		answer_text(id, "it has slept");
	} else
		answer_text(id, arguments);
}

static void
serve(const char *line)
{
	char id[64], method[64] = "";

	member(line, "method", method, sizeof(method));
	if (!member(line, "id", id, sizeof(id)))
		return;
	if (strcmp(method, "\"initialize\"") == 0)
		answer(id, "{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{\"tools\":{"
			   "\"listChanged\":true}},"
			   "\"serverInfo\":{\"name\":\"test\",\"version\":\"1\"}}");
	else if (strcmp(method, "\"tools/list\"") == 0)
		list_tools(id);
	else if (strcmp(method, "\"tools/call\"") == 0)
		call(id, line);
	else
		answer(id, "{}");
}

int
main(int argc, char **argv)
{
	static char line[1 << 20];
	const char *manner = argc > 1 ? argv[1] : "";

	fprintf(stderr, "the plugin starts\n");
	changed = strcmp(manner, "other") == 0;
	if (strcmp(manner, "deaf") == 0)
		signal(SIGTERM, SIG_IGN);
	while (fgets(line, sizeof(line), stdin))
		if (strcmp(manner, "mute") != 0)
			serve(line);
	fprintf(stderr, "the plugin has seen its input end\n");
	for (int i = 0; strcmp(manner, "last") == 0 && i < 1000; i++)
		printf("%01000d\n", i);
	fflush(stdout);
	if (strcmp(manner, "last") == 0)
		fprintf(stderr, "the plugin has written all that it had\n");
	while (strcmp(manner, "deaf") == 0)
		pause();
	return 0;
}
