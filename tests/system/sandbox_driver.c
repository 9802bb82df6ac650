/*
 * Plays runnerd to the spawner, a keeper and a builder: builds sandboxes, runs what a case names
 * in them and compares the exit record and the log. Root only.
 *
 *   sandbox_driver BUILD           every case
 *   sandbox_driver BUILD peek      what an agent finds
 *   sandbox_driver BUILD time N    N sessions of a static true
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/confine.h"
#include "common/greet.h"
#include "common/keeper_calls.h"
#include "common/loop.h"
#include "common/proto.h"

enum { BASE_UID = 1947000832, WAIT_MS = 20000 };

struct host {
	const char *build;
	char dir[64];
	char cgroup[PATH_LEN_MAX];
	int spawner; /* channel */
	pid_t spawner_pid;
	int keeper_program, builder_program, empty;
	unsigned serial;
};

struct session;

struct trial {
	const char *name;
	const char *argv[4];
	const char *input;
	uint64_t timeout_ms, grace_ms, segment_bytes;
	uint8_t stop_as;    /* STOP once it runs */
	bool leave_early;   /* close the boot channel before GO */
	bool leave_running; /* … after KEEPER_RUNNING, come back over the socket */
	bool give_segments; /* KEEPER_SEGMENT at every change */
	int kill_keeper;    /* these signals once it runs */
	int kill_init;
	const char *bad_path; /* a recipe that must fail there */
	size_t input_bytes;   /* that many instead of input */
	bool (*inspect)(struct session *s);
	uint8_t outcome;
	bool started;
	int exit_code, signal;
	const char *log; /* must be in it */
	const char *reason;
};

struct session {
	struct host *host;
	const struct trial *trial;
	struct uuid id;
	char cgroup[PATH_LEN_MAX];
	char socket[108];
	int boot, builder, keeper_pidfd, init_pidfd, runtime, agent;
	int segments[64], record;
	unsigned segment_count;
	uint64_t t0, up, built, running, ended;
	struct error failure;
	bool inspected;
	uint32_t keeper_pid, init_pid;
	struct msg_exit_record exit;
};

static _Noreturn void
die(const char *what)
{
	fprintf(stderr, "sandbox_driver: %s: %s\n", what, strerror(errno));
	exit(2);
}

static uint64_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* --- the host's side ---------------------------------------------------------------------------
 */

static void
find_cgroup(struct host *host)
{
	char line[4096], mount[1024] = "", own[2048] = "/", root[1024], point[1024];
	FILE *file = fopen("/proc/self/mountinfo", "re");

	while (file && fgets(line, sizeof(line), file))
		if (strstr(line, " - cgroup2 ") &&
		    sscanf(line, "%*d %*d %*s %1023s %1023s", root, point) == 2)
			snprintf(mount, sizeof(mount), "%s", point);
	if (file)
		fclose(file);
	file = fopen("/proc/self/cgroup", "re");
	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, "0::", 3) == 0)
			snprintf(own, sizeof(own), "%.*s", (int)strcspn(line + 3, "\n"), line + 3);
	if (file)
		fclose(file);
	snprintf(host->cgroup, sizeof(host->cgroup), "%s%s/scarab-driver-%d", mount,
		 strcmp(own, "/") ? own : "", getpid());
	if (mkdir(host->cgroup, 0755) < 0)
		die(host->cgroup);
}

static int
open_binary(const struct host *host, const char *name)
{
	char path[PATH_LEN_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", host->build, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		die(path);
	return fd;
}

static int
pair(int *other)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		die("socketpair");
	*other = ends[1];
	return ends[0];
}

static void
start_spawner(struct host *host)
{
	int fds[7], end, null = open("/dev/null", O_RDWR | O_CLOEXEC);
	char *argv[] = {(char[]){"spawner"}, NULL}, *envp[] = {NULL};
	int binary = open_binary(host, "spawner");

	host->spawner = pair(&end);
	fds[0] = fds[1] = null;
	fds[2] = 2;
	fds[3] = end;
	fds[4] = null;
	fds[5] = open_binary(host, "keeper");
	fds[6] = open_binary(host, "init");
	host->spawner_pid = fork();
	if (host->spawner_pid == 0) {
		for (int i = 0; i < 7; i++)
			fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 100);
		for (int i = 0; i < 7; i++)
			dup2(fds[i], i);
		fcntl(binary, F_DUPFD_CLOEXEC, 7);
		fexecve(binary, argv, envp);
		_exit(127);
	}
	close(end);
	close(fds[5]);
	close(fds[6]);
	close(null);
	close(binary);
	if (greet(host->spawner, CH_SPAWNER, SIDE_A, ROLE_RUNNERD, ROLE_SPAWNER, WAIT_MS) < 0)
		die("greeting the spawner");
}

static int
program(const int *calls, size_t count)
{
	struct error error = ERROR_INIT;
	int fd = confine_program(calls, count, &error);

	if (fd < 0) {
		fprintf(stderr, "%s: %s\n", error.what, error.why);
		exit(2);
	}
	return fd;
}

static void
open_host(struct host *host)
{
	char path[128];

	snprintf(host->dir, sizeof(host->dir), "/tmp/sandbox-driver-XXXXXX");
	if (!mkdtemp(host->dir))
		die("mkdtemp");
	chmod(host->dir, 0711);
	snprintf(path, sizeof(path), "%s/empty", host->dir);
	mkdir(path, 0555);
	host->empty = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	find_cgroup(host);
	host->keeper_program = program(keeper_syscalls, keeper_syscall_count);
	host->builder_program = program(builder_syscalls, builder_syscall_count);
	start_spawner(host);
}

static void
close_host(struct host *host)
{
	char path[128];

	close(host->spawner);
	waitpid(host->spawner_pid, NULL, 0);
	rmdir(host->cgroup);
	snprintf(path, sizeof(path), "%s/empty", host->dir);
	rmdir(path);
	rmdir(host->dir);
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
	int fd = openat(dir, name, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		perror(name);
	close(fd);
}

static void
remove_cgroup(struct session *s, const char *name)
{
	char path[PATH_LEN_MAX + 16];

	snprintf(path, sizeof(path), "%s/%s", s->cgroup, name);
	for (int i = 0; i < 2000 && rmdir(path) < 0 && errno == EBUSY; i++)
		usleep(500);
}

static void
receive(int fd, enum channel_kind kind, struct msg *msg, const char *what)
{
	int rc = msg_recv(fd, kind, SIDE_A, IN_OPEN, msg, WAIT_MS);

	if (rc == 1)
		return;
	errno = rc ? -rc : EPIPE;
	die(what);
}

static void
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

	rc = greet(s->boot, CH_KEEPER, SIDE_A, ROLE_RUNNERD, ROLE_KEEPER, WAIT_MS);
	errno = -rc;
	if (rc < 0)
		die("greeting the keeper");
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

/* --- a small recipe ------------------------------------------------------------------------------
 */

static void
tell(struct session *s, struct msg *msg)
{
	send_message(s->builder, CH_BUILDER, IN_OPEN, msg, "the recipe");
}

static int
host_tree(const char *path, bool device)
{
	struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID |
						    (device ? 0U : MOUNT_ATTR_NODEV)};
	int fd =
	    open_tree(AT_FDCWD, path,
		      OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (device ? 0U : (unsigned)AT_RECURSIVE));

	if (device)
		attributes.attr_set = MOUNT_ATTR_NOSUID;
	if (fd < 0 || mount_setattr(fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes,
				    sizeof(attributes)) < 0)
		die(path);
	return fd;
}

static void
add_tree(struct session *s, const char *source, const char *path, bool directory, bool device)
{
	static struct msg msg;

	msg_init(&msg, MSG_SANDBOX_MOUNT);
	snprintf(msg.sandbox_mount.path, sizeof(msg.sandbox_mount.path), "%s", path);
	msg.sandbox_mount.directory = directory;
	msg_add_fd(&msg, host_tree(source, device));
	tell(s, &msg);
}

static void
add_link(struct session *s, const char *path, const char *target)
{
	static struct msg msg;

	msg_init(&msg, MSG_SANDBOX_LINK);
	snprintf(msg.sandbox_link.path, sizeof(msg.sandbox_link.path), "%s", path);
	snprintf(msg.sandbox_link.target, sizeof(msg.sandbox_link.target), "%s", target);
	tell(s, &msg);
}

static void
add_tmpfs(struct session *s, const char *path, unsigned mode, uint32_t uid)
{
	static struct msg msg;

	msg_init(&msg, MSG_SANDBOX_TMPFS);
	snprintf(msg.sandbox_tmpfs.path, sizeof(msg.sandbox_tmpfs.path), "%s", path);
	msg.sandbox_tmpfs.mode = mode;
	msg.sandbox_tmpfs.uid = msg.sandbox_tmpfs.gid = uid;
	msg.sandbox_tmpfs.size_bytes = 1 << 20;
	msg.sandbox_tmpfs.inodes = 128;
	tell(s, &msg);
}

static void
add_file(struct session *s, const char *path, const char *text)
{
	static struct msg msg;

	msg_init(&msg, MSG_SANDBOX_FILE);
	snprintf(msg.sandbox_file.path, sizeof(msg.sandbox_file.path), "%s", path);
	msg.sandbox_file.mode = 0644;
	msg.sandbox_file.content_len = (uint32_t)strlen(text);
	memcpy(msg.sandbox_file.content, text, strlen(text));
	tell(s, &msg);
}

static void
add_dir(struct session *s, const char *path, unsigned mode, uint32_t uid)
{
	static struct msg msg;

	msg_init(&msg, MSG_SANDBOX_DIR);
	snprintf(msg.sandbox_dir.path, sizeof(msg.sandbox_dir.path), "%s", path);
	msg.sandbox_dir.mode = mode;
	msg.sandbox_dir.uid = msg.sandbox_dir.gid = uid;
	tell(s, &msg);
}

static void
add_kernel_fs(struct session *s)
{
	static struct msg msg;

	msg_init(&msg, MSG_SANDBOX_PROC);
	snprintf(msg.sandbox_proc.path, sizeof(msg.sandbox_proc.path), "/proc");
	tell(s, &msg);
	msg_init(&msg, MSG_SANDBOX_DEVPTS);
	snprintf(msg.sandbox_devpts.path, sizeof(msg.sandbox_devpts.path), "/dev/pts");
	tell(s, &msg);
}

static void
begin(struct session *s)
{
	static struct msg msg;
	int rc = greet(s->builder, CH_BUILDER, SIDE_A, ROLE_RUNNERD, ROLE_BUILDER, WAIT_MS);

	errno = -rc;
	if (rc < 0)
		die("greeting the builder");
	msg_init(&msg, MSG_SANDBOX_BEGIN);
	snprintf(msg.sandbox_begin.name, sizeof(msg.sandbox_begin.name), "agent");
	snprintf(msg.sandbox_begin.hostname, sizeof(msg.sandbox_begin.hostname), "driver");
	msg.sandbox_begin.base_uid = BASE_UID;
	msg.sandbox_begin.root_bytes = 1 << 20;
	msg.sandbox_begin.root_inodes = 512;
	msg_add_fd(&msg, dup(s->agent));
	tell(s, &msg);
}

static void
add_string(struct rows *rows, const char *text)
{
	static struct msg msg;

	msg_init(&msg, MSG_EXEC_STRING);
	snprintf(msg.exec_string.text, sizeof(msg.exec_string.text), "%s", text);
	if (rows_add(rows, &msg) < 0)
		die("rows_add");
}

static void
seal(struct session *s)
{
	static struct msg msg;
	struct rows *rows = rows_new("exec");
	const char *const *argv = s->trial->argv;

	msg_init(&msg, MSG_EXEC_SPEC);
	snprintf(msg.exec_spec.path, sizeof(msg.exec_spec.path), "%s", argv[0]);
	snprintf(msg.exec_spec.cwd, sizeof(msg.exec_spec.cwd), "/home/agent");
	msg.exec_spec.uid = msg.exec_spec.gid = AGENT_UID;
	msg.exec_spec.open_files = 256;
	while (msg.exec_spec.arguments < 4 && argv[msg.exec_spec.arguments])
		msg.exec_spec.arguments++;
	msg.exec_spec.variables = 1;
	rows_add(rows, &msg);
	for (unsigned i = 0; i < 4 && argv[i]; i++)
		add_string(rows, argv[i]);
	add_string(rows, "PATH=/usr/bin:/bin");
	msg_init(&msg, MSG_SANDBOX_SEAL);
	msg_add_fd(&msg, rows_seal(rows));
	tell(s, &msg);
}

static void
recipe(struct session *s)
{
	static const char *const devices[] = {"null", "zero", "full", "random", "urandom", "tty"};
	static const char *const links[] = {"bin", "sbin", "lib", "lib64"};
	char path[PATH_LEN_MAX], target[64];

	begin(s);
	add_tree(s, "/usr", "/usr", true, false);
	for (size_t i = 0; i < ARRAY_LEN(links); i++) {
		snprintf(path, sizeof(path), "/%s", links[i]);
		snprintf(target, sizeof(target), "usr/%s", links[i]);
		add_link(s, path, target);
	}
	add_file(s, "/etc/passwd", "agent:x:1000:1000::/home/agent:/bin/sh\n");
	add_tmpfs(s, "/dev", 0755, 0);
	for (size_t i = 0; i < ARRAY_LEN(devices); i++) {
		snprintf(path, sizeof(path), "/dev/%s", devices[i]);
		add_tree(s, path, path, false, true);
	}
	add_link(s, "/dev/stdout", "/proc/self/fd/1");
	add_kernel_fs(s);
	add_tmpfs(s, "/tmp", 01777, BASE_UID);
	add_tmpfs(s, "/home/agent", 0700, BASE_UID + AGENT_UID);
	add_dir(s, "/run/credentials", 0500, BASE_UID + AGENT_UID);
	snprintf(path, sizeof(path), "%s/tests/peek", s->host->build);
	add_tree(s, path, "/opt/peek", false, false);
	if (s->trial->bad_path)
		add_dir(s, s->trial->bad_path, 0755, 0);
	seal(s);
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
	rc = greet(s->boot, CH_KEEPER, SIDE_A, ROLE_RUNNERD, ROLE_KEEPER, WAIT_MS);
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
while_running(struct session *s)
{
	s->running = now_us();
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
		s->up = now_us();
		s->keeper_pid = msg.keeper_up.pid;
	}
	if (msg.type == MSG_KEEPER_STATE && msg.id != 77)
		fprintf(stderr, "KEEPER_STATE answers nothing\n");
	if (msg.type == MSG_KEEPER_LOG)
		give_segment(s, msg.keeper_log.segment);
	if (msg.type == MSG_KEEPER_RUNNING)
		while_running(s);
	if (msg.type == MSG_KEEPER_ENDED)
		s->ended = now_us();
	return msg.type != MSG_KEEPER_ENDED;
}

static bool
await_built(struct session *s)
{
	static struct msg msg;

	receive(s->builder, CH_BUILDER, &msg, "SANDBOX_BUILT");
	s->built = now_us();
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

static void
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
	spawn(s);
	boot_keeper(s);
	recipe(s);
	if (await_built(s) && !trial->leave_early)
		go(s);
	if (trial->leave_early)
		close_fd(&s->boot);
	while (s->boot >= 0 && hear_keeper(s))
		;
	await_keeper(s);
	read_record(s);
}

static void
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

static char *
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

/* --- from outside, while an agent runs
 * ------------------------------------------------------------ */

static bool
status_says(uint32_t pid, const char *key, const char *value)
{
	char path[64], line[512], want[256];
	FILE *file;
	bool found = false;

	snprintf(path, sizeof(path), "/proc/%u/status", pid);
	snprintf(want, sizeof(want), "%s:\t%s", key, value);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		found = found || strncmp(line, want, strlen(want)) == 0;
	if (file)
		fclose(file);
	if (!found)
		printf("  %s has no %s %s\n", path, key, value);
	return found;
}

static bool
fds_are(uint32_t pid, int count)
{
	char path[64], link[96], target[128];
	int found = 0;

	for (int fd = 0; fd < 256; fd++) {
		snprintf(link, sizeof(link), "/proc/%u/fd/%d", pid, fd);
		found += readlink(link, target, sizeof(target)) > 0;
	}
	snprintf(path, sizeof(path), "/proc/%u/fd", pid);
	if (found != count)
		printf("  %s holds %d, not %d\n", path, found, count);
	return found == count;
}

static bool
privileges_are_gone(struct session *s)
{
	char own[64], inner[64];
	bool fine = true;

	snprintf(own, sizeof(own), "%u\t%u\t%u\t%u\n", BASE_UID + KEEPER_UID, BASE_UID + KEEPER_UID,
		 BASE_UID + KEEPER_UID, BASE_UID + KEEPER_UID);
	snprintf(inner, sizeof(inner), "%u\t%u\t%u\t%u\n", BASE_UID, BASE_UID, BASE_UID, BASE_UID);
	fine &= status_says(s->keeper_pid, "Uid", own);
	fine &= status_says(s->keeper_pid, "Gid", own);
	fine &= status_says(s->keeper_pid, "Groups", " \n");
	fine &= status_says(s->keeper_pid, "CapPrm", "0000000000000000");
	fine &= status_says(s->keeper_pid, "CapBnd", "0000000000000000");
	fine &= status_says(s->keeper_pid, "NoNewPrivs", "1");
	fine &= status_says(s->keeper_pid, "Seccomp", "2");
	fine &= status_says(s->init_pid, "Uid", inner);
	fine &= status_says(s->init_pid, "CapPrm", "0000000000000020");
	fine &= status_says(s->init_pid, "CapInh", "0000000000000000");
	fine &= status_says(s->init_pid, "NoNewPrivs", "1");
	return fine && fds_are(s->init_pid, 2);
}

/* --- what must come of it
 * -------------------------------------------------------------------------- */

static const struct trial trials[] = {
    {.name = "true",
     .argv = {"/opt/peek", "true"},
     .outcome = OUTCOME_SUCCESS,
     .started = true,
     .signal = -1},
    {.name = "status",
     .argv = {"/bin/sh", "-c", "echo out; echo err >&2; exit 7"},
     .outcome = OUTCOME_FAILED,
     .started = true,
     .exit_code = 7,
     .signal = -1,
     .log = "\"text\":\"err\"",
     .reason = "exit status 7"},
    {.name = "reopened stdout",
     .argv = {"/bin/sh", "-c", "echo again >/dev/stdout"},
     .outcome = OUTCOME_SUCCESS,
     .started = true,
     .signal = -1,
     .log = "\"text\":\"again\""},
    {.name = "partial line",
     .argv = {"/bin/sh", "-c", "printf abc"},
     .outcome = OUTCOME_SUCCESS,
     .started = true,
     .signal = -1,
     .log = "\"text\":\"abc\",\"partial\":true"},
    {.name = "binary",
     .argv = {"/bin/sh", "-c", "printf '\\377\\376\\n'"},
     .outcome = OUTCOME_SUCCESS,
     .started = true,
     .signal = -1,
     .log = "\"bytes\":\"//4=\""},
    {.name = "signal",
     .argv = {"/bin/sh", "-c", "kill -9 $$"},
     .outcome = OUTCOME_SIGNALED,
     .started = true,
     .exit_code = -1,
     .signal = 9},
    {.name = "not there",
     .argv = {"/opt/nothing"},
     .outcome = OUTCOME_SETUP_FAILED,
     .exit_code = -1,
     .signal = -1,
     .reason = "exec of /opt/nothing: No such file or directory"},
    {.name = "input",
     .argv = {"/bin/sh", "-c", "wc -c; sleep 0"},
     .input = "hello\n",
     .outcome = OUTCOME_SUCCESS,
     .started = true,
     .signal = -1,
     .log = "\"text\":\"6\""},
    {.name = "timeout",
     .argv = {"/bin/sh", "-c", "sleep 60"},
     .timeout_ms = 200,
     .grace_ms = 1000,
     .outcome = OUTCOME_TIMED_OUT,
     .started = true,
     .exit_code = -1,
     .signal = 15},
    {.name = "deaf to TERM",
     .argv = {"/bin/sh", "-c", "trap '' TERM; while :; do sleep 1; done"},
     .timeout_ms = 200,
     .grace_ms = 300,
     .outcome = OUTCOME_TIMED_OUT,
     .started = true,
     .exit_code = -1,
     .signal = 9},
    {.name = "stopped itself",
     .argv = {"/bin/sh", "-c", "kill -STOP $$"},
     .timeout_ms = 200,
     .grace_ms = 300,
     .outcome = OUTCOME_TIMED_OUT,
     .started = true,
     .exit_code = -1,
     .signal = 15},
    {.name = "cancel",
     .argv = {"/bin/sh", "-c", "sleep 60"},
     .stop_as = OUTCOME_CANCELLED,
     .grace_ms = 1000,
     .outcome = OUTCOME_CANCELLED,
     .started = true,
     .exit_code = -1,
     .signal = 15,
     .reason = "told to"},
    {.name = "runnerd leaves before GO",
     .argv = {"/opt/peek", "true"},
     .leave_early = true,
     .outcome = OUTCOME_NONE,
     .exit_code = -1,
     .signal = -1},
    {.name = "runnerd comes back",
     .argv = {"/bin/sh", "-c", "sleep 0.3; echo done"},
     .leave_running = true,
     .outcome = OUTCOME_SUCCESS,
     .started = true,
     .signal = -1,
     .log = "done"},
    {.name = "bad recipe",
     .argv = {"/opt/peek", "true"},
     .bad_path = "/usr/../x",
     .outcome = OUTCOME_SETUP_FAILED,
     .exit_code = -1,
     .signal = -1,
     .reason = "/usr/../x"},
    {.name = "read-only",
     .argv = {"/opt/peek", "true"},
     .bad_path = "/usr/bin/x/y",
     .outcome = OUTCOME_SETUP_FAILED,
     .exit_code = -1,
     .signal = -1,
     .reason = "Read-only file system"},
    {.name = "segments",
     .argv = {"/bin/sh", "-c", "for i in $(seq 2000); do echo line$i; done"},
     .segment_bytes = 20000,
     .give_segments = true,
     .outcome = OUTCOME_SUCCESS,
     .started = true,
     .signal = -1},
    {.name = "full log",
     .argv = {"/bin/sh", "-c", "seq 20000; echo last"},
     .segment_bytes = 4096,
     .outcome = OUTCOME_SUCCESS,
     .started = true,
     .signal = -1},
    {.name = "privileges",
     .argv = {"/bin/sh", "-c", "read x; sleep 0.2"},
     .inspect = privileges_are_gone,
     .outcome = OUTCOME_SUCCESS,
     .started = true,
     .signal = -1},
    {.name = "keeper killed",
     .argv = {"/bin/sh", "-c", "trap '' TERM; sleep 60 & sleep 60"},
     .kill_keeper = 9},
    {.name = "init killed",
     .argv = {"/bin/sh", "-c", "sleep 60"},
     .kill_init = 9,
     .outcome = OUTCOME_LOST,
     .started = true,
     .exit_code = -1,
     .signal = -1},
    {.name = "large input",
     .argv = {"/bin/sh", "-c", "wc -c"},
     .input_bytes = 16 << 20,
     .outcome = OUTCOME_SUCCESS,
     .started = true,
     .signal = -1,
     .log = "\"text\":\"16777216\""},
    {.name = "input nobody reads",
     .argv = {"/bin/sh", "-c", "exec <&-; sleep 0.1; echo end"},
     .input_bytes = 16 << 20,
     .outcome = OUTCOME_SUCCESS,
     .started = true,
     .signal = -1,
     .log = "\"text\":\"end\""},
    {.name = "flood",
     .argv = {"/bin/sh", "-c", "head -c 100000000 /dev/zero; echo; yes | head -c 30000000"},
     .outcome = OUTCOME_SUCCESS,
     .started = true,
     .signal = -1},
    {.name = "flood until the deadline",
     .argv = {"/usr/bin/yes"},
     .timeout_ms = 300,
     .grace_ms = 1000,
     .outcome = OUTCOME_TIMED_OUT,
     .started = true,
     .exit_code = -1,
     .signal = 15},
    {.name = "output closed early",
     .argv = {"/bin/sh", "-c", "exec >&- 2>&-; sleep 0.1"},
     .outcome = OUTCOME_SUCCESS,
     .started = true,
     .signal = -1},
    {.name = "exec of a directory",
     .argv = {"/tmp"},
     .outcome = OUTCOME_SETUP_FAILED,
     .exit_code = -1,
     .signal = -1,
     .reason = "exec of /tmp: Permission denied"},
    {.name = "orphans",
     .argv = {"/bin/sh", "-c", "for i in $(seq 50); do (sleep 30 & ) ; done; exit 0"},
     .outcome = OUTCOME_SUCCESS,
     .started = true,
     .signal = -1},
};

static bool
fits(const struct session *s, const char *log)
{
	const struct trial *t = s->trial;
	const struct msg_exit_record *e = &s->exit;

	return e->outcome == t->outcome && e->started == t->started &&
	       e->exit_code == t->exit_code && e->signal == t->signal &&
	       (!t->log || (log && strstr(log, t->log))) &&
	       (!t->reason || strstr(e->reason, t->reason)) && (!t->inspect || s->inspected) &&
	       (!t->bad_path || strstr(s->failure.what, t->bad_path));
}

/* A keeper that was killed writes nothing; its sandbox must be gone all the same. */
static bool
sandbox_is_gone(const struct session *s)
{
	struct pollfd end = {.fd = s->init_pidfd, .events = POLLIN};

	return s->init_pidfd < 0 || poll(&end, 1, 2000) == 1;
}

static bool
try(struct host *host, const struct trial *trial)
{
	static struct session s;
	_cleanup_free_ char *log = NULL;
	bool fine;

	run_session(host, trial, &s);
	log = read_log(&s);
	fine = sandbox_is_gone(&s) && (trial->kill_keeper || fits(&s, log));
	printf(
	    "%s - %s (outcome %s, exit %d, signal %d, %lld ms, cpu %lld ms, peak %lld, log %llu, "
	    "dropped %llu%s%s)\n",
	    fine ? "ok" : "FAIL", trial->name, session_outcome_name(s.exit.outcome),
	    s.exit.exit_code, s.exit.signal, (long long)s.exit.wall_ms, (long long)s.exit.cpu_ms,
	    (long long)s.exit.peak_memory_bytes, (unsigned long long)s.exit.log_bytes,
	    (unsigned long long)s.exit.log_dropped_bytes, s.exit.reason[0] ? ", " : "",
	    s.exit.reason);
	if (!fine)
		printf("  failure %s: %s\n  log %.2000s\n", s.failure.what, s.failure.why, log);
	close_session(&s);
	return fine;
}

static int
try_all(struct host *host)
{
	unsigned failed = 0;

	for (size_t i = 0; i < ARRAY_LEN(trials); i++)
		failed += !try(host, &trials[i]);
	printf("%zu cases, %u failed\n", ARRAY_LEN(trials), failed);
	return failed ? 1 : 0;
}

static int
peek(struct host *host)
{
	static const struct trial trial = {.name = "peek", .argv = {"/opt/peek"}};
	static struct session s;
	_cleanup_free_ char *log = NULL;

	run_session(host, &trial, &s);
	log = read_log(&s);
	fputs(log ? log : "", stdout);
	printf("%s: %s\n", s.failure.what, s.failure.why);
	close_session(&s);
	return 0;
}

static int
compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void
print_times(const char *name, uint64_t *times, size_t count)
{
	qsort(times, count, sizeof(*times), compare);
	printf("%-22s min %6llu  p50 %6llu  p90 %6llu  max %6llu us\n", name,
	       (unsigned long long)times[0], (unsigned long long)times[count / 2],
	       (unsigned long long)times[count * 9 / 10], (unsigned long long)times[count - 1]);
}

static int
measure(struct host *host, size_t count)
{
	static uint64_t up[10000], built[10000], running[10000], ended[10000];
	static struct session s;

	for (size_t i = 0; i < count; i++) {
		run_session(host, &trials[0], &s);
		if (s.exit.outcome != OUTCOME_SUCCESS)
			return 1;
		up[i] = s.up - s.t0;
		built[i] = s.built - s.t0;
		running[i] = s.running - s.t0;
		ended[i] = s.ended - s.t0;
		close_session(&s);
	}
	print_times("to SANDBOX_BUILT", built, count);
	print_times("to KEEPER_UP heard", up, count);
	print_times("to KEEPER_RUNNING", running, count);
	print_times("to KEEPER_ENDED", ended, count);
	return 0;
}

int
main(int argc, char **argv)
{
	static struct host host;
	int status;

	if (argc < 2 || getuid() != 0) {
		fprintf(stderr, "usage, as root: sandbox_driver BUILD [peek | time N]\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	host.build = argv[1];
	open_host(&host);
	if (argc > 3 && strcmp(argv[2], "time") == 0)
		status = measure(&host, (size_t)atoi(argv[3]));
	else if (argc > 2 && strcmp(argv[2], "peek") == 0)
		status = peek(&host);
	else
		status = try_all(&host);
	close_host(&host);
	return status;
}
