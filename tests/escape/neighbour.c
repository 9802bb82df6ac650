/*
 * Two agents at once. "neighbour hold" leaves what one may find: sockets, shared memory, queues,
 * files, a key, and itself; it says "ready" and waits for at most a minute. Without an argument it
 * looks for all of that.
 */
#include <linux/keyctl.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "escape.h"

enum { KEY = 0x5ca2ab1e, PORT = 21977, WAIT_S = 60, PIDS = 100000, BYTES = 4096 };

#define NAME "scarab-escape-neighbour"

static const char *const places[] = {"/tmp/" NAME, "/dev/shm/" NAME, "/run/agent/" NAME,
				     "/home/agent/" NAME, "/var/tmp/" NAME};

static struct sockaddr_un
abstract_name(socklen_t *length)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};

	memcpy(name.sun_path + 1, NAME, sizeof(NAME) - 1);
	*length = offsetof(struct sockaddr_un, sun_path) + sizeof(NAME);
	return name;
}

static const struct sockaddr_in loopback = {.sin_family = AF_INET};

static struct sockaddr_in
port_name(void)
{
	struct sockaddr_in name = loopback;

	name.sin_port = htons(PORT);
	name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return name;
}

/* --- who leaves it -------------------------------------------------------------------------- */

static void
listen_to(int family, const void *name, socklen_t length)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (bind(fd, name, length) < 0 || listen(fd, 8) < 0)
		printf("nothing listens: %s\n", strerror(errno));
}

static int shared = -1, semaphores = -1, queue = -1;

static void
take_away(void)
{
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		unlink(places[i]);
	shmctl(shared, IPC_RMID, NULL);
	semctl(semaphores, 0, IPC_RMID);
	msgctl(queue, IPC_RMID, NULL);
	mq_unlink("/" NAME);
}

static void
stop(int number)
{
	(void)number;
}

static int
hold(void)
{
	struct mq_attr attr = {.mq_maxmsg = 1, .mq_msgsize = 8};
	struct sockaddr_in port = port_name();
	struct sigaction action = {.sa_handler = stop};
	socklen_t length;
	struct sockaddr_un name = abstract_name(&length);

	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGALRM, &action, NULL);
	listen_to(AF_UNIX, &name, length);
	listen_to(AF_INET, &port, sizeof(port));
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		close(open(places[i], O_CREAT | O_WRONLY | O_CLOEXEC, 0666));
	shared = shmget(KEY, BYTES, IPC_CREAT | 0666);
	semaphores = semget(KEY, 1, IPC_CREAT | 0666);
	queue = msgget(KEY, IPC_CREAT | 0666);
	mq_open("/" NAME, O_CREAT | O_RDWR | O_CLOEXEC, 0666, &attr);
	syscall(SYS_add_key, "user", NAME, "x", 1, KEY_SPEC_SESSION_KEYRING);
	printf("ready\n");
	fflush(stdout);
	alarm(WAIT_S);
	pause();
	take_away();
	return 0;
}

/* --- who looks for it ------------------------------------------------------------------------ */

static void
reach(int family, const void *name, socklen_t length, const char *what)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	attempt(fd >= 0 && connect(fd, name, length) == 0, "%s", what);
	if (fd >= 0)
		close(fd);
}

static void
look_for_memory(void)
{
	mqd_t messages = mq_open("/" NAME, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	attempt(shmget(KEY, BYTES, 0) >= 0, "its shared memory");
	attempt(semget(KEY, 1, 0) >= 0, "its semaphores");
	attempt(msgget(KEY, 0) >= 0, "its message queue");
	attempt(messages >= 0, "its POSIX message queue");
	attempt(syscall(SYS_request_key, "user", NAME, NULL, 0) >= 0, "its key");
}

/* Any process but this one's ancestors and itself; of process 1 signals.c tells. */
static void
look_for_processes(void)
{
	int seen = 0, of_others = 0;
	char path[64];
	struct stat st;

	for (int pid = 2; pid < PIDS; pid++) {
		snprintf(path, sizeof(path), "/proc/%d", pid);
		if (pid == getpid() || pid == getppid() || stat(path, &st) < 0)
			continue;
		seen++;
		of_others += st.st_uid != getuid();
	}
	errno = ENOENT;
	attempt(seen > 0, "%d processes", seen);
	attempt(of_others > 0, "%d processes of other users", of_others);
}

int
main(int argc, char **argv)
{
	struct sockaddr_in port = port_name();
	socklen_t length;
	struct sockaddr_un name = abstract_name(&length);

	if (argc > 1 && !strcmp(argv[1], "hold"))
		return hold();
	reach(AF_UNIX, &name, length, "its abstract socket");
	reach(AF_INET, &port, sizeof(port), "its port");
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		attempt(access(places[i], F_OK) == 0, "its file %s", places[i]);
	look_for_memory();
	look_for_processes();
	return verdict();
}
