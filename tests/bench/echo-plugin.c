/*
 * The smallest MCP server: answers initialize, tools/list (as many tools as its argument says) and
 * tools/call, with 1 KiB of text; ends with its standard input. For the bench of the broker, where
 * a server's own work must not count.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 65536, TEXT_BYTES = 1024 };

static void
answer(const char *line, const char *result, size_t length)
{
	static char out[1 << 20];
	const char *id = strstr(line, "\"id\":");
	int head;

	if (!id)
		return;
	head = snprintf(out, sizeof(out),
			"{\"jsonrpc\":\"2.0\",\"id\":%llu,\"result\":", strtoull(id + 5, NULL, 10));
	if (length > sizeof(out) - (size_t)head - 2)
		_exit(1);
	memcpy(out + head, result, length);
	memcpy(out + head + length, "}\n", 2);
	length += (size_t)head + 2;
	for (size_t done = 0; done < length;) {
		ssize_t n = write(1, out + done, length - done);
		if (n <= 0)
			_exit(1);
		done += (size_t)n;
	}
}

static char *
tools(int count, size_t *length)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, length);

	if (!out)
		_exit(1);
	fputs("{\"tools\":[", out);
	for (int i = 0; i < count; i++)
		fprintf(
		    out,
		    "%s{\"name\":\"echo%d\",\"description\":\"Answers with a text of a kibibyte\","
		    "\"inputSchema\":{\"type\":\"object\",\"properties\":{\"text\":{\"type\":"
		    "\"string\",\"description\":\"Anything\"}},\"required\":[\"text\"]}}",
		    i ? "," : "", i);
	fputs("]}", out);
	fclose(out);
	return text;
}

int
main(int argc, char **argv)
{
	static const char greeting[] =
	    "{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{\"tools\":{}},\"serverInfo\":{"
	    "\"name\":\"echo\",\"version\":\"1\"}}";
	static char line[LINE_MAX_BYTES], text[TEXT_BYTES + 128];
	size_t tools_length, have = 0;
	char *list = tools(argc > 1 ? atoi(argv[1]) : 1, &tools_length);
	int text_length =
	    sprintf(text, "{\"content\":[{\"type\":\"text\",\"text\":\"%0*d\"}]}", TEXT_BYTES, 0);
	ssize_t n;

	while ((n = read(0, line + have, sizeof(line) - 1 - have)) > 0) {
		char *at = line, *end;

		have += (size_t)n;
		line[have] = '\0';
		while ((end = strchr(at, '\n')) != NULL) {
			*end = '\0';
			if (strstr(at, "\"tools/call\""))
				answer(at, text, (size_t)text_length);
			else if (strstr(at, "\"tools/list\""))
				answer(at, list, tools_length);
			else if (strstr(at, "\"initialize\""))
				answer(at, greeting, sizeof(greeting) - 1);
			at = end + 1;
		}
		have -= (size_t)(at - line);
		memmove(line, at, have);
	}
	free(list);
	return 0;
}
