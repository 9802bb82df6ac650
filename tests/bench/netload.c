/*
 * netload: both ends of what the bench and tests/system/network_scale.sh load a network with, and
 * the plain relay that the egress process is measured by.
 *
 *   netload serve ADDRESS PORT          a server; what a connection is for says its first byte:
 *                                       'e' it is sent back byte for byte, 'd' bytes until it is
 *                                       closed, 'u' all that comes is counted, then the count
 *   netload names ADDRESS               a name server at 127.0.0.1, for which every name has this
 *                                       address for a minute
 *   netload relay PORT ADDRESS PORT     from 127.0.0.1:PORT to there, with splice(2)
 *   netload connect ADDRESS PORT COUNT  connections one after the other, each until a byte came
 *                                       back: {"p50_us":…,"p99_us":…}
 *   netload down ADDRESS PORT MIB       bytes in one connection: {"mib_s":…}
 *   netload up ADDRESS PORT MIB
 *   netload hold ADDRESS PORT COUNT     so many at once, all of which a byte went through, then
 *                                       again through each: {"open":…,"lost":…}; holds them until
 *                                       its standard input ends
 *
 * serve, names and relay say "ready" on standard output.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { DNS_HEADER = 12, DNS_MAX = 512 };
enum { CHUNK = 256 << 10, FILES_MAX = 65536, EVENTS = 256, BACKLOG = 4096, PIPE_BYTES = 1 << 20 };

static char chunk[CHUNK];

static void
die(const char *what)
{
	perror(what);
	exit(1);
}

static double
now_us(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

static struct sockaddr_in
address_of(const char *address, const char *port)
{
	struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};

	if (inet_pton(AF_INET, address, &name.sin_addr) != 1)
		die(address);
	return name;
}

/* -1 with errno. */
static int
connect_to(const struct sockaddr_in *to)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0)
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(fd, (const struct sockaddr *)to, sizeof(*to)) == 0)
		return fd;
	close(fd);
	return -1;
}

static void
ready(void)
{
	puts("ready");
	fflush(stdout);
}

static int
listen_at(const struct sockaddr_in *at)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(fd, (const struct sockaddr *)at, sizeof(*at)) < 0 || listen(fd, BACKLOG) < 0)
		die("listening");
	ready();
	return fd;
}

/* A byte there and back. */
static bool
ping(int fd, char byte)
{
	return send(fd, &byte, 1, MSG_NOSIGNAL) == 1 && recv(fd, &byte, 1, 0) == 1;
}

/* --- the server ------------------------------------------------------------------------------- */

struct served {
	char kind; /* 0: its first byte has not come */
	uint64_t count;
};

static void
watch(int epoll, int fd, int op, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.fd = fd};

	if (epoll_ctl(epoll, op, fd, &event) < 0)
		die("epoll_ctl");
}

/* False: it is over. */
static bool
serve_one(int epoll, int fd, struct served *one)
{
	char text[32];
	ssize_t n;

	if (one->kind == 'd')
		return send(fd, chunk, sizeof(chunk), MSG_DONTWAIT | MSG_NOSIGNAL) > 0 ||
		       errno == EAGAIN;
	n = recv(fd, chunk, sizeof(chunk), MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN;
	if (n == 0) {
		snprintf(text, sizeof(text), "%llu", (unsigned long long)one->count);
		if (one->kind == 'u')
			send(fd, text, strlen(text), MSG_NOSIGNAL);
		return false;
	}
	if (!one->kind)
		one->kind = chunk[0];
	one->count += (uint64_t)n;
	if (one->kind == 'd')
		watch(epoll, fd, EPOLL_CTL_MOD, EPOLLOUT);
	return one->kind != 'e' || send(fd, chunk, (size_t)n, MSG_NOSIGNAL) == n;
}

static void
serve(const struct sockaddr_in *at)
{
	struct served *all = calloc(FILES_MAX, sizeof(*all));
	int listener = listen_at(at), epoll = epoll_create1(EPOLL_CLOEXEC), on = 1;
	struct epoll_event events[EVENTS];

	watch(epoll, listener, EPOLL_CTL_ADD, EPOLLIN);
	for (int n; (n = epoll_wait(epoll, events, EVENTS, -1)) >= 0 || errno == EINTR;) {
		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;

			if (fd != listener) {
				if (!serve_one(epoll, fd, &all[fd]))
					close(fd);
				continue;
			}
			while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
				setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
				all[fd] = (struct served){0};
				watch(epoll, fd, EPOLL_CTL_ADD, EPOLLIN);
			}
		}
	}
}

/* --- names ------------------------------------------------------------------------------------ */

/* The answer in place of the question, an address to A, none to another type: its length; 0: none.
 */
static size_t
answer_name(uint8_t *message, size_t length, const struct in_addr *address)
{
	static const uint8_t record[] = {0xc0, DNS_HEADER, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4};
	size_t at = DNS_HEADER;

	while (at < length && message[at])
		at += 1U + message[at];
	at += 5; /* its end, type and class */
	if (at > length || at + sizeof(record) + sizeof(*address) > DNS_MAX)
		return 0;
	message[2] |= 0x80; /* an answer, and without other records than one */
	memset(message + 6, 0, 6);
	if (message[at - 3] != 1)
		return at;
	message[7] = 1;
	memcpy(message + at, record, sizeof(record));
	memcpy(message + at + sizeof(record), address, sizeof(*address));
	return at + sizeof(record) + sizeof(*address);
}

static void
names(const char *address)
{
	struct sockaddr_in at = address_of("127.0.0.1", "53"), to = address_of(address, "0"), asker;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t size = sizeof(asker);
	uint8_t message[DNS_MAX];
	ssize_t n;

	if (fd < 0 || bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0)
		die("the name server");
	ready();
	while ((n = recvfrom(fd, message, sizeof(message), 0, (struct sockaddr *)&asker, &size)) >=
	       0) {
		size_t length = answer_name(message, (size_t)n, &to.sin_addr);

		if (length)
			sendto(fd, message, length, 0, (const struct sockaddr *)&asker, size);
		size = sizeof(asker);
	}
}

/* --- the relay: one connection at a time, as the least that a relay can be ----------------------
 */

struct way {
	int from, to, pipe[2];
	size_t held;
	bool ended;
};

/* -1: both are over. */
static int
pass(struct way *way)
{
	ssize_t n = 0;

	if (!way->held && !way->ended) {
		n = splice(way->from, NULL, way->pipe[1], NULL, PIPE_BYTES,
			   SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
		if (n < 0 && errno != EAGAIN)
			return -1;
		if (n == 0) {
			way->ended = true;
			shutdown(way->to, SHUT_WR);
		}
		way->held += n > 0 ? (size_t)n : 0;
	}
	if (!way->held)
		return 0;
	n = splice(way->pipe[0], NULL, way->to, NULL, way->held, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	if (n < 0 && errno != EAGAIN)
		return -1;
	way->held -= n > 0 ? (size_t)n : 0;
	return n > 0;
}

static void
relay_one(int client, const struct sockaddr_in *to)
{
	int server = connect_to(to), epoll = epoll_create1(EPOLL_CLOEXEC), rc = 0;
	struct way ways[2] = {{.from = client, .to = server}, {.from = server, .to = client}};
	struct epoll_event events[2];

	if (server < 0)
		die("connecting");
	for (int i = 0; i < 2; i++) {
		if (pipe2(ways[i].pipe, O_CLOEXEC | O_NONBLOCK) < 0)
			die("pipe");
		fcntl(ways[i].pipe[0], F_SETPIPE_SZ, PIPE_BYTES);
		fcntl(ways[i].from, F_SETFL, O_NONBLOCK);
		watch(epoll, ways[i].from, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT | EPOLLET);
	}
	while (rc >= 0 && !(ways[0].ended && ways[1].ended) && epoll_wait(epoll, events, 2, -1) > 0)
		for (int i = 0; i < 2; i++)
			while ((rc = pass(&ways[i])) > 0) {
			}
	for (int i = 0; i < 2; i++) {
		close(ways[i].pipe[0]);
		close(ways[i].pipe[1]);
	}
	close(epoll);
	close(server);
}

static void
relay(const struct sockaddr_in *at, const struct sockaddr_in *to)
{
	int listener = listen_at(at), client;

	fcntl(listener, F_SETFL, 0);
	while ((client = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		relay_one(client, to);
		close(client);
	}
}

/* --- clients ---------------------------------------------------------------------------------- */

static int
by_value(const void *a, const void *b)
{
	const double *left = a, *right = b;

	return (*left > *right) - (*left < *right);
}

static void
connects(const struct sockaddr_in *to, int count)
{
	double *us = calloc((size_t)count, sizeof(*us));

	for (int i = 0; i < count; i++) {
		double began = now_us();
		int fd = connect_to(to);

		if (fd < 0 || !ping(fd, 'e'))
			die("connecting");
		us[i] = now_us() - began;
		close(fd);
	}
	qsort(us, (size_t)count, sizeof(*us), by_value);
	printf("{\"p50_us\":%.1f,\"p99_us\":%.1f}\n", us[count / 2], us[count * 99 / 100]);
	free(us);
}

static void
down(const struct sockaddr_in *to, uint64_t bytes)
{
	int fd = connect_to(to);
	double began = now_us();
	uint64_t got = 0;

	if (fd < 0 || send(fd, "d", 1, 0) != 1)
		die("connecting");
	while (got < bytes) {
		ssize_t n = recv(fd, chunk, sizeof(chunk), 0);

		if (n <= 0)
			die("receiving");
		got += (uint64_t)n;
	}
	printf("{\"mib_s\":%.0f}\n", (double)got / (1 << 20) / (now_us() - began) * 1e6);
}

static void
up(const struct sockaddr_in *to, uint64_t bytes)
{
	int fd = connect_to(to);
	double began = now_us();
	uint64_t sent = 0;
	char said[32] = "";

	if (fd < 0)
		die("connecting");
	memset(chunk, 'u', sizeof(chunk));
	while (sent < bytes) {
		ssize_t n = send(fd, chunk, sizeof(chunk), MSG_NOSIGNAL);

		if (n <= 0)
			die("sending");
		sent += (uint64_t)n;
	}
	shutdown(fd, SHUT_WR);
	if (recv(fd, said, sizeof(said) - 1, MSG_WAITALL) <= 0 || strtoull(said, NULL, 10) != sent)
		die("the server's count");
	printf("{\"mib_s\":%.0f}\n", (double)sent / (1 << 20) / (now_us() - began) * 1e6);
}

static void
hold(const struct sockaddr_in *to, int count)
{
	int *fds = calloc((size_t)count, sizeof(*fds)), open = 0, lost = 0;

	while (open < count && (fds[open] = connect_to(to)) >= 0 && ping(fds[open], 'e'))
		open++;
	if (open < count)
		fprintf(stderr, "after %d: %s\n", open, strerror(errno));
	for (int i = 0; i < open; i++)
		lost += !ping(fds[i], 'e');
	printf("{\"open\":%d,\"lost\":%d}\n", open, lost);
	fflush(stdout);
	while (read(0, chunk, sizeof(chunk)) > 0) {
	}
	free(fds);
}

int
main(int argc, char **argv)
{
	struct rlimit files;
	struct sockaddr_in at;

	signal(SIGPIPE, SIG_IGN);
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max < FILES_MAX ? files.rlim_max : FILES_MAX;
	setrlimit(RLIMIT_NOFILE, &files);
	if (argc == 5 && strcmp(argv[1], "relay") == 0) {
		struct sockaddr_in to = address_of(argv[3], argv[4]);

		at = address_of("127.0.0.1", argv[2]);
		relay(&at, &to);
		return 1;
	}
	if (argc == 3 && strcmp(argv[1], "names") == 0) {
		names(argv[2]);
		return 1;
	}
	if (argc < 4)
		return 2;
	at = address_of(argv[2], argv[3]);
	if (strcmp(argv[1], "serve") == 0)
		serve(&at);
	else if (argc == 5 && strcmp(argv[1], "connect") == 0)
		connects(&at, atoi(argv[4]));
	else if (argc == 5 && strcmp(argv[1], "down") == 0)
		down(&at, strtoull(argv[4], NULL, 10) << 20);
	else if (argc == 5 && strcmp(argv[1], "up") == 0)
		up(&at, strtoull(argv[4], NULL, 10) << 20);
	else if (argc == 5 && strcmp(argv[1], "hold") == 0)
		hold(&at, atoi(argv[4]));
	else
		return 2;
	return 0;
}
