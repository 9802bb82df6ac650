/*
 * events_driver SOCKET EVENTS CONNECTIONS BYTES
 *
 * Operators that tell events as fast as they are acknowledged, a few at once on each connection, as
 * many as control takes. Prints JSON: events a second, and how long one takes in us.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/proto.h"

enum { CONNECTIONS_MAX = 64, IN_FLIGHT = 8, ANSWER_MS = 60000 };

struct bench {
	struct pollfd connections[CONNECTIONS_MAX];
	unsigned count;
	uint32_t told, events, answered;
	uint64_t *began_ns, *took_ns; /* by event */
	char *data;
	size_t data_length;
};

static _Noreturn void
die(const char *what, int rc)
{
	fprintf(stderr, "events_driver: %s: %s\n", what, strerror(-rc));
	exit(1);
}

static uint64_t
now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int
connected(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), rc;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		die("connecting", -errno);
	rc = msg_greet(fd, CH_OPERATOR, SIDE_A, ROLE_ASH, ROLE_CONTROL, ANSWER_MS);
	if (rc < 0)
		die("greeting", rc);
	return fd;
}

/* The request's id is the event's number and one. */
static void
tell(struct bench *bench, int fd)
{
	struct uuid id = uuid_new();
	struct msg msg;
	int rc;

	if (bench->told == bench->events)
		return;
	msg_init(&msg, MSG_OP_EVENT_EMIT);
	strcpy(msg.op_event_emit.type, "bench.event");
	uuid_format(&id, msg.op_event_emit.id);
	msg_add_fd(&msg, memfd_sealed("data", bench->data, bench->data_length));
	bench->began_ns[bench->told++] = now_ns();
	msg.id = bench->told;
	rc = msg_send(fd, CH_OPERATOR, SIDE_A, IN_OPEN, &msg);
	msg_close_fds(&msg);
	if (rc < 0)
		die("telling an event", rc);
}

static void
hear(struct bench *bench, int fd)
{
	struct msg msg;
	int rc = msg_recv(fd, CH_OPERATOR, SIDE_A, IN_OPEN, &msg, ANSWER_MS);

	if (rc != 1)
		die("hearing of an event", rc ? rc : -ECONNRESET);
	if (msg.type != MSG_EVENT_STORED || msg.id == 0 || msg.id > bench->told) {
		msg_print(&msg, stderr);
		die("an event is not stored", -EPROTO);
	}
	bench->took_ns[msg.id - 1] = now_ns() - bench->began_ns[msg.id - 1];
	bench->answered++;
	tell(bench, fd);
}

static void
run(struct bench *bench)
{
	for (unsigned i = 0; i < bench->count * IN_FLIGHT; i++)
		tell(bench, bench->connections[i % bench->count].fd);
	while (bench->answered < bench->events) {
		int rc = poll(bench->connections, bench->count, ANSWER_MS);

		if (rc <= 0)
			die("waiting", rc ? -errno : -ETIMEDOUT);
		for (unsigned i = 0; i < bench->count; i++)
			if (bench->connections[i].revents)
				hear(bench, bench->connections[i].fd);
	}
}

static int
by_time(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

int
main(int argc, char **argv)
{
	struct bench bench = {0};
	uint32_t median, late;
	uint64_t began;
	double seconds;

	if (argc != 5)
		die("usage: events_driver SOCKET EVENTS CONNECTIONS BYTES", -EINVAL);
	bench.events = (uint32_t)strtoul(argv[2], NULL, 10);
	bench.count = (unsigned)strtoul(argv[3], NULL, 10);
	bench.data_length = strtoul(argv[4], NULL, 10) + 2;
	bench.began_ns = calloc(bench.events, sizeof(*bench.began_ns));
	bench.took_ns = calloc(bench.events, sizeof(*bench.took_ns));
	bench.data = malloc(bench.data_length);
	if (!bench.events || bench.count - 1 >= CONNECTIONS_MAX || !bench.began_ns ||
	    !bench.took_ns || !bench.data)
		die("starting", -EINVAL);
	memset(bench.data, 'x', bench.data_length);
	bench.data[0] = bench.data[bench.data_length - 1] = '"';
	for (unsigned i = 0; i < bench.count; i++)
		bench.connections[i] = (struct pollfd){.fd = connected(argv[1]), .events = POLLIN};
	began = now_ns();
	run(&bench);
	seconds = (double)(now_ns() - began) / 1e9;
	qsort(bench.took_ns, bench.events, sizeof(*bench.took_ns), by_time);
	median = bench.events / 2;
	late = bench.events - 1 - bench.events / 100;
	printf("{\"events\":%u,\"per_s\":%.0f,\"p50_us\":%.0f,\"p99_us\":%.0f}\n", bench.events,
	       bench.events / seconds, (double)bench.took_ns[median] / 1e3,
	       (double)bench.took_ns[late] / 1e3);
	return 0;
}
