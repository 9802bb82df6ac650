#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/proto.h"
#include "driver.h"
#include "secretd/spellings.h"

static uint64_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

void
mark(struct session *s, enum mark which)
{
	s->at[which] = now_us() - s->t0;
}

/* --- one session --------------------------------------------------------------------------------
 */

static int
make_cgroup(const char *parent, const char *name)
{
	char path[PATH_LEN_MAX + 16];

	snprintf(path, sizeof(path), "%s/%s", parent, name);
	if (mkdir(path, 0755) < 0)
		die(path);
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void
write_at(int dir, const char *name, const char *text)
{
	_cleanup_close_ int fd = openat(dir, name, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		perror(name);
}

static void
remove_cgroup(struct session *s, const char *name)
{
	char path[PATH_LEN_MAX + 16];

	snprintf(path, sizeof(path), "%s/%s", s->cgroup, name);
	for (int i = 0; i < 2000 && rmdir(path) < 0 && errno == EBUSY; i++)
		usleep(500);
}

void
receive(int fd, enum channel_kind kind, struct msg *msg, const char *what)
{
	int rc = msg_recv(fd, kind, SIDE_A, IN_OPEN, msg, WAIT_MS);

	if (rc == 1)
		return;
	errno = rc ? -rc : EPIPE;
	die(what);
}

void
send_message(int fd, enum channel_kind kind, enum phase phase, struct msg *msg, const char *what)
{
	int rc = msg_send(fd, kind, SIDE_A, phase, msg);

	msg_close_fds(msg);
	if (rc == -EPIPE || rc == -ECONNRESET)
		return;
	errno = -rc;
	if (rc < 0)
		die(what);
}

static void
spawn(struct session *s)
{
	static struct msg msg;
	int end;

	s->boot = pair(&end);
	msg_init(&msg, MSG_SPAWN);
	msg.spawn.session = s->id;
	msg_add_fd(&msg, end);
	msg_add_fd(&msg, dup(s->runtime));
	send_message(s->host->spawner, CH_SPAWNER, IN_OPEN, &msg, "SPAWN");
	receive(s->host->spawner, CH_SPAWNER, &msg, "SPAWNED");
	if (msg.type == MSG_ERROR) {
		fprintf(stderr, "spawner: %s: %s\n", msg.error.what, msg.error.why);
		exit(2);
	}
	s->keeper_pidfd = msg_take_fd(&msg, 0);
}

static int
zeros(size_t count)
{
	int fd = memfd_create("driver", MFD_CLOEXEC);

	if (ftruncate(fd, (off_t)count) < 0)
		die("ftruncate");
	return fd;
}

static int
temporary(const char *text)
{
	int fd = memfd_create("driver", MFD_CLOEXEC);

	if (text && pwrite(fd, text, strlen(text), 0) < 0)
		die("pwrite");
	return fd;
}

static int
bind_keeper_socket(struct session *s)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(s->socket, sizeof(s->socket), "%s/keeper-%u", s->host->dir, s->host->serial);
	memcpy(address.sun_path, s->socket, sizeof(s->socket));
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		die("bind");
	return fd;
}

static void
boot_keeper(struct session *s)
{
	static struct msg msg;
	int end, rc;

	rc = msg_greet(s->boot, CH_KEEPER, SIDE_A, ROLE_RUNNERD, ROLE_KEEPER, WAIT_MS);
	errno = -rc;
	if (rc < 0)
		die("greeting the keeper");
	mark(s, KEEPER_GREETED);
	s->builder = pair(&end);
	s->record = temporary(NULL);
	s->segments[0] = temporary(NULL);
	s->segments[1] = temporary(NULL);
	s->segment_count = 2;
	msg_init(&msg, MSG_KEEPER_BOOT);
	msg.keeper_boot.session = s->id;
	msg.keeper_boot.base_uid = BASE_UID;
	msg.keeper_boot.timeout_ms = s->trial->timeout_ms;
	msg.keeper_boot.grace_ms = s->trial->grace_ms;
	msg.keeper_boot.segment_bytes =
	    s->trial->segment_bytes ? s->trial->segment_bytes : LOG_SEGMENT_BYTES;
	msg_add_fd(&msg, end);
	msg_add_fd(&msg, dup(s->segments[0]));
	msg_add_fd(&msg, dup(s->segments[1]));
	msg_add_fd(&msg, dup(s->record));
	msg_add_fd(&msg, bind_keeper_socket(s));
	msg_add_fd(&msg, temporary(NULL));
	msg_add_fd(&msg, s->trial->input_bytes ? zeros(s->trial->input_bytes)
					       : temporary(s->trial->input));
	msg_add_fd(&msg, dup(s->host->empty));
	msg_add_fd(&msg, dup(s->host->keeper_program));
	msg_add_fd(&msg, dup(s->host->builder_program));
	send_message(s->boot, CH_KEEPER, IN_SETUP, &msg, "KEEPER_BOOT");
}

/* --- watching ------------------------------------------------------------------------------------
 */

static void
reconnect(struct session *s)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	static struct msg msg;
	int rc;

	close(s->boot);
	memcpy(address.sun_path, s->socket, sizeof(s->socket));
	s->boot = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (connect(s->boot, (struct sockaddr *)&address, sizeof(address)) < 0)
		die("connect to the keeper");
	rc = msg_greet(s->boot, CH_KEEPER, SIDE_A, ROLE_RUNNERD, ROLE_KEEPER, WAIT_MS);
	errno = -rc;
	if (rc < 0)
		die("greeting the keeper again");
	msg_init(&msg, MSG_KEEPER_QUERY);
	msg.id = 77;
	send_message(s->boot, CH_KEEPER, IN_OPEN, &msg, "KEEPER_QUERY");
}

static void
send_stop(struct session *s)
{
	static struct msg msg;

	msg_init(&msg, MSG_KEEPER_STOP);
	msg.keeper_stop.outcome = s->trial->stop_as;
	msg.keeper_stop.grace_ms = s->trial->grace_ms;
	snprintf(msg.keeper_stop.reason, sizeof(msg.keeper_stop.reason), "told to");
	send_message(s->boot, CH_KEEPER, IN_OPEN, &msg, "KEEPER_STOP");
}

static void
give_segment(struct session *s, uint32_t current)
{
	static struct msg msg;

	if (!s->trial->give_segments || current + 1 < s->segment_count || s->segment_count == 64)
		return;
	msg_init(&msg, MSG_KEEPER_SEGMENT);
	s->segments[s->segment_count] = temporary(NULL);
	msg.keeper_segment.segment = s->segment_count;
	msg_add_fd(&msg, dup(s->segments[s->segment_count++]));
	send_message(s->boot, CH_KEEPER, IN_OPEN, &msg, "KEEPER_SEGMENT");
}

static void
signal_to(int pidfd, int number)
{
	if (number && pidfd_send_signal(pidfd, number, NULL, 0) < 0)
		perror("pidfd_send_signal");
}

static void
add_secret(struct spellings *spellings, const char *secret)
{
	if (secret && spellings_add(spellings, "key", (const uint8_t *)secret, strlen(secret)) < 0)
		die("spellings_add");
}

static void
give_fingerprints(struct session *s, const char *secret, const char *rotated)
{
	static const uint8_t key[32] = {1};
	struct spellings *spellings = spellings_new();
	static struct msg msg;
	int fd;

	/* As secretd does: what comes later is under the same keys. */
	spellings_begin(spellings, key, &(const struct uuid){0});
	add_secret(spellings, secret);
	add_secret(spellings, rotated);
	fd = s->trial->bad_fingerprints ? memfd_sealed("bad", "bad", 3) : spellings_seal(spellings);
	spellings_free(spellings);
	msg_init(&msg, MSG_KEEPER_REDACT);
	msg_add_fd(&msg, fd);
	send_message(s->boot, CH_KEEPER, IN_OPEN, &msg, "KEEPER_REDACT");
}

static void
while_running(struct session *s)
{
	mark(s, RUNNING);
	if (s->trial->rotated)
		give_fingerprints(s, s->trial->secret, s->trial->rotated);
	if (s->trial->inspect)
		s->inspected = s->trial->inspect(s);
	if (s->trial->stop_as)
		send_stop(s);
	if (s->trial->leave_running)
		reconnect(s);
	signal_to(s->keeper_pidfd, s->trial->kill_keeper);
	signal_to(s->init_pidfd, s->trial->kill_init);
}

static bool
hear_keeper(struct session *s)
{
	static struct msg msg;
	int rc = msg_recv(s->boot, CH_KEEPER, SIDE_A, IN_OPEN, &msg, WAIT_MS);

	if (rc == 0)
		return false;
	if (rc == -ECONNRESET && s->trial->kill_keeper)
		return false;
	errno = -rc;
	if (rc < 0)
		die("hearing the keeper");
	if (msg.type == MSG_ERROR)
		fprintf(stderr, "keeper: %s: %s\n", msg.error.what, msg.error.why);
	if (msg.type == MSG_KEEPER_UP) {
		mark(s, UP_HEARD);
		s->keeper_pid = msg.keeper_up.pid;
	}
	if (msg.type == MSG_KEEPER_STATE && msg.id != 77)
		fprintf(stderr, "KEEPER_STATE answers nothing\n");
	if (msg.type == MSG_KEEPER_LOG)
		give_segment(s, msg.keeper_log.segment);
	if (msg.type == MSG_KEEPER_RUNNING)
		while_running(s);
	if (msg.type == MSG_KEEPER_ENDED)
		mark(s, ENDED);
	return msg.type != MSG_KEEPER_ENDED;
}

static bool
await_built(struct session *s)
{
	static struct msg msg;

	receive(s->builder, CH_BUILDER, &msg, "SANDBOX_BUILT");
	mark(s, BUILT);
	if (msg.type == MSG_SANDBOX_BUILT) {
		s->init_pidfd = msg_take_fd(&msg, 0);
		s->init_pid = msg.sandbox_built.pid;
		return true;
	}
	msg_to_error(&msg, &s->failure);
	return false;
}

static void
go(struct session *s)
{
	static struct msg msg;

	if (s->trial->secret)
		give_fingerprints(s, s->trial->secret, NULL);
	msg_init(&msg, MSG_GO);
	msg.go.session = s->id;
	send_message(s->boot, CH_KEEPER, IN_OPEN, &msg, "GO");
}

static void
await_keeper(struct session *s)
{
	struct pollfd end = {.fd = s->keeper_pidfd, .events = POLLIN};

	if (poll(&end, 1, WAIT_MS) != 1)
		fprintf(stderr, "the keeper does not end\n");
}

static void
read_record(struct session *s)
{
	static uint8_t bytes[PROTO_MESSAGE_MAX];
	static struct msg msg;
	ssize_t length = pread(s->record, bytes, sizeof(bytes), 0);

	if (length <= 0 && s->trial->kill_keeper)
		return;
	if (length <= 0 || msg_decode(&msg, bytes, (size_t)length, 0) < 0 ||
	    msg.type != MSG_EXIT_RECORD)
		fprintf(stderr, "no exit record (%zd bytes)\n", length);
	else
		s->exit = msg.exit_record;
}

void
run_session(struct host *host, const struct trial *trial, struct session *s)
{
	char name[32];

	*s = (struct session){.host = host, .trial = trial, .id = uuid_new(), .init_pidfd = -1};
	snprintf(name, sizeof(name), "s%u", host->serial++);
	snprintf(s->cgroup, sizeof(s->cgroup), "%.4000s/%s", host->cgroup, name);
	s->t0 = now_us();
	close(make_cgroup(host->cgroup, name));
	s->runtime = make_cgroup(s->cgroup, "runtime");
	s->agent = make_cgroup(s->cgroup, "agent");
	mark(s, CGROUPS_MADE);
	spawn(s);
	mark(s, SPAWNED);
	boot_keeper(s);
	recipe(s);
	mark(s, RECIPE_SENT);
	if (await_built(s) && !trial->leave_early)
		go(s);
	if (trial->leave_early)
		close_fd(&s->boot);
	while (s->boot >= 0 && hear_keeper(s))
		;
	await_keeper(s);
	read_record(s);
}

void
close_session(struct session *s)
{
	write_at(s->agent, "cgroup.kill", "1");
	write_at(s->runtime, "cgroup.kill", "1");
	close(s->agent);
	close(s->runtime);
	remove_cgroup(s, "agent");
	remove_cgroup(s, "runtime");
	remove_cgroup(s, ".");
	rmdir(s->cgroup);
	unlink(s->socket);
	for (unsigned i = 0; i < s->segment_count; i++)
		close(s->segments[i]);
	close(s->record);
	close(s->boot);
	close(s->builder);
	close(s->keeper_pidfd);
	close(s->init_pidfd);
}

char *
read_log(const struct session *s)
{
	size_t length = 0;
	char *text = NULL;
	struct stat st;

	for (unsigned i = 0; i < s->segment_count; i++) {
		if (fstat(s->segments[i], &st) < 0)
			die("fstat");
		text = realloc(text, length + (size_t)st.st_size + 1);
		if (pread(s->segments[i], text + length, (size_t)st.st_size, 0) != st.st_size)
			die("pread");
		length += (size_t)st.st_size;
		text[length] = '\0';
	}
	return text;
}
