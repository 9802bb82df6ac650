/*
 * mcp-call [TOOL ARGUMENTS]…: calls these tools over SCARAB_SOCKET, one after the other, and prints
 * each answer's line. "list" without arguments prints tools/list.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static FILE *
meet(void)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	const char *path = getenv("SCARAB_SOCKET");
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	FILE *stream;

	snprintf(name.sun_path, sizeof(name.sun_path), "%s",
		 path ? path : "/run/agentd/agentd.sock");
	if (fd < 0 || connect(fd, (struct sockaddr *)&name, sizeof(name)) < 0) {
		perror(name.sun_path);
		exit(1);
	}
	stream = fdopen(fd, "r+");
	setvbuf(stream, NULL, _IONBF, 0);
	return stream;
}

/* The answer's line; notifications are passed over. */
static void
answer(FILE *stream, int id, int print)
{
	static char line[32 << 20];
	char pattern[32];

	snprintf(pattern, sizeof(pattern), "\"id\":%d", id);
	do {
		if (!fgets(line, sizeof(line), stream)) {
			printf("the connection ended\n");
			exit(1);
		}
	} while (!strstr(line, pattern));
	if (print)
		fputs(line, stdout);
	fflush(stdout);
}

int
main(int argc, char **argv)
{
	FILE *stream = meet();
	int id = 1;

	fprintf(stream,
		"{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"initialize\",\"params\":{"
		"\"protocolVersion\":\"2025-11-25\",\"capabilities\":{},"
		"\"clientInfo\":{\"name\":\"test\",\"version\":\"1\"}}}\n",
		id);
	answer(stream, id++, 0);
	fprintf(stream, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n");
	for (int i = 1; i < argc; i += 2, id++) {
		if (strcmp(argv[i], "list") == 0)
			fprintf(stream,
				"{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"tools/list\"}\n", id);
		else
			fprintf(stream,
				"{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"tools/call\","
				"\"params\":{\"name\":\"%s\",\"arguments\":%s}}\n",
				id, argv[i], i + 1 < argc ? argv[i + 1] : "{}");
		answer(stream, id, 1);
	}
	return 0;
}
