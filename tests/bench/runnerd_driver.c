/*
 * Plays agentd and schedd to a real runnerd, in the directories of an instance that has stopped.
 * Root only. What runs is an agent that was installed there, whose output is tests/bench/stamp.c's.
 *
 *   runnerd_driver BUILD CONFIG cold AGENT ROUNDS <COMMANDS   request to first instruction, in us
 *   runnerd_driver BUILD CONFIG rate AGENT SESSIONS FLIGHT    sessions a second, FLIGHT at once
 *   runnerd_driver BUILD CONFIG live AGENT SESSIONS           KiB that a waiting session takes
 *
 * COMMANDS are peers, "NAME|PROGRAM ARGUMENT…" a line, which run the same program: each round runs
 * ours and then each peer once. Prints JSON.
 */
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mount.h>
#include <time.h>

#include "common/config.h"
#include "common/io.h"
#include "common/loop.h"
#include "tests/bench/daemon.h"

extern char **environ;

enum { PEERS_MAX = 8, ARGUMENTS_MAX = 64, ROUNDS_MAX = 10000 };

struct bench {
	const char *build, *agent;
	struct config *config;
	struct played runnerd;
};

struct peer {
	char *name, *argv[ARGUMENTS_MAX + 1];
	double *us;
};

static uint64_t
now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* --- agentd --------------------------------------------------------------------------------------
 */

static int
config_memfd(const char *path, struct config **config)
{
	_cleanup_free_ uint8_t *bytes = NULL;
	struct error error = ERROR_INIT;
	char text[16384];
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read_all(fd, text, sizeof(text));
	size_t size;

	if (length < 0)
		die(path, 0);
	*config = config_read(text, (size_t)length, path, &error);
	if (!*config || config_encode(*config, &bytes, &size) < 0)
		die(error.why, -EINVAL);
	return memfd_sealed("config", bytes, size);
}

/* runnerd takes this program for schedd, and tells it what it has. */
static void
begin(struct bench *bench, const char *config)
{
	struct msg msg;
	int rc;

	play_start(&bench->runnerd, bench->build, ROLE_RUNNERD,
		   config_memfd(config, &bench->config));
	play_introduce(&bench->runnerd, ROLE_RUNNERD);
	do {
		rc = msg_recv(bench->runnerd.peer, CH_SCHEDD_RUNNERD, SIDE_A, IN_OPEN, &msg,
			      WAIT_MS);
		if (rc <= 0)
			die("what runnerd holds", rc);
	} while (msg.type != MSG_INVENTORY_END);
}

static void
end(struct bench *bench)
{
	play_end(&bench->runnerd);
	config_free(bench->config);
}

/* --- schedd --------------------------------------------------------------------------------------
 */

static void
send_schedd(struct bench *bench, struct msg *msg)
{
	int rc = msg_send(bench->runnerd.peer, CH_SCHEDD_RUNNERD, SIDE_A, IN_OPEN, msg);

	if (rc < 0)
		die("sending to runnerd", rc);
}

static void
request(struct bench *bench, const struct uuid *session)
{
	struct msg msg;

	msg_init(&msg, MSG_PREPARE);
	msg.prepare.session = *session;
	snprintf(msg.prepare.agent, sizeof(msg.prepare.agent), "%s", bench->agent);
	snprintf(msg.prepare.trigger_kind, sizeof(msg.prepare.trigger_kind), "manual");
	msg.prepare.timeout_ms = 600000;
	msg.prepare.attempt = 1;
	send_schedd(bench, &msg);
}

/* Answers runnerd as schedd would; the type of what came. */
static enum msg_type
attend(struct bench *bench)
{
	struct msg msg, answer;
	int rc = msg_recv(bench->runnerd.peer, CH_SCHEDD_RUNNERD, SIDE_A, IN_OPEN, &msg, WAIT_MS);

	if (rc <= 0)
		die("waiting for runnerd", rc);
	if (msg.type == MSG_PREPARED) {
		msg_init(&answer, MSG_GO);
		answer.go.session = msg.prepared.session;
		send_schedd(bench, &answer);
	} else if (msg.type == MSG_ENDED) {
		if (msg.ended.outcome != OUTCOME_SUCCESS &&
		    msg.ended.outcome != OUTCOME_CANCELLED) {
			fprintf(stderr, "runnerd_driver: the session ended as %s: %s\n",
				session_outcome_name((enum session_outcome)msg.ended.outcome),
				msg.ended.reason);
			exit(1);
		}
		msg_init(&answer, MSG_END_ACK);
		answer.end_ack.session = msg.ended.session;
		send_schedd(bench, &answer);
	}
	return msg.type;
}

static void
await(struct bench *bench, enum msg_type type)
{
	while (attend(bench) != type)
		;
}

/* The agent's stamp, from the log of its session. */
static uint64_t
logged_stamp(const struct bench *bench, const struct uuid *session)
{
	char id[UUID_TEXT_LEN + 1], path[PATH_LEN_MAX + 1], line[4096];
	const char *text = NULL;
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s/%s.jsonl", bench->config->log_dir, bench->agent,
		 uuid_format(session, id));
	file = fopen(path, "re");
	while (file && !text && fgets(line, sizeof(line), file)) {
		text = strstr(line, "\"text\":\"");
	}
	if (!text)
		die(path, -ENODATA);
	fclose(file);
	return strtoull(text + strlen("\"text\":\""), NULL, 10);
}

/* --- cold ----------------------------------------------------------------------------------------
 */

static double
cold_session(struct bench *bench)
{
	struct uuid session = uuid_new();
	uint64_t asked = now_ns();

	request(bench, &session);
	await(bench, MSG_ENDED);
	return (double)(logged_stamp(bench, &session) - asked) / 1e3;
}

static double
peer_session(struct peer *peer)
{
	char text[64] = "";
	posix_spawn_file_actions_t actions;
	int ends[2], status, rc;
	uint64_t asked;
	ssize_t length;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		die("pipe", 0);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
	asked = now_ns();
	rc = posix_spawnp(&pid, peer->argv[0], &actions, NULL, peer->argv, environ);
	if (rc)
		die(peer->argv[0], -rc);
	close(ends[1]);
	length = read_all(ends[0], text, sizeof(text) - 1);
	close(ends[0]);
	posix_spawn_file_actions_destroy(&actions);
	if (waitpid(pid, &status, 0) < 0 || status || length <= 0)
		die(peer->name, -EIO);
	return (double)(strtoull(text, NULL, 10) - asked) / 1e3;
}

static size_t
read_peers(struct peer *peers, int rounds)
{
	static char lines[PEERS_MAX][4096];
	size_t count = 0;

	while (count < PEERS_MAX && fgets(lines[count], sizeof(lines[count]), stdin)) {
		struct peer *peer = &peers[count];
		char *rest = lines[count++];
		size_t words = 0;

		rest[strcspn(rest, "\n")] = '\0';
		peer->name = strsep(&rest, "|");
		while (rest && words < ARGUMENTS_MAX)
			peer->argv[words++] = strsep(&rest, " ");
		peer->us = calloc((size_t)rounds, sizeof(*peer->us));
		if (!words || !peer->us)
			die(peer->name, -EINVAL);
	}
	return count;
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void
print_row(const char *name, double *us, int rounds, bool last)
{
	qsort(us, (size_t)rounds, sizeof(*us), compare);
	printf("  {\"name\": \"%s\", \"runs\": %d, \"p50_us\": %.1f, \"p99_us\": %.1f, \"min_us\": "
	       "%.1f}%s\n",
	       name, rounds, us[rounds / 2], us[rounds * 99 / 100], us[0], last ? "" : ",");
}

/* crun and runc know no hybrid cgroups: where this program is, v2 is where they look. runnerd was
 * started before and sees the host's. */
static void
unify_cgroups(void)
{
	const char *wanted = getenv("UNIFY");

	if (!wanted || !wanted[0])
		return;
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", "/sys/fs/cgroup", "cgroup2", 0, NULL) < 0)
		die("cgroup2 at /sys/fs/cgroup", 0);
}

static void
cold(struct bench *bench, int rounds)
{
	struct peer peers[PEERS_MAX] = {0};
	size_t count = read_peers(peers, rounds);
	double *ours = calloc((size_t)rounds, sizeof(*ours));

	if (!ours)
		die("memory", -ENOMEM);
	cold_session(bench);
	unify_cgroups();
	for (int round = 0; round < rounds; round++) {
		ours[round] = cold_session(bench);
		for (size_t i = 0; i < count; i++)
			peers[i].us[round] = peer_session(&peers[i]);
	}
	printf("[\n");
	print_row("runnerd", ours, rounds, count == 0);
	for (size_t i = 0; i < count; i++) {
		print_row(peers[i].name, peers[i].us, rounds, i + 1 == count);
		free(peers[i].us);
	}
	printf("]\n");
	free(ours);
}

/* --- rate and memory -----------------------------------------------------------------------------
 */

static void
rate(struct bench *bench, int sessions, int flight)
{
	int started = 0, ended = 0;
	uint64_t began = now_ns();

	while (ended < sessions) {
		while (started < sessions && started - ended < flight) {
			struct uuid session = uuid_new();

			request(bench, &session);
			started++;
		}
		ended += attend(bench) == MSG_ENDED;
	}
	printf("{\"sessions\": %d, \"flight\": %d, \"per_s\": %.1f}\n", sessions, flight,
	       sessions / ((double)(now_ns() - began) / 1e9));
}

static long
available_kib(void)
{
	char line[128];
	long kib = -1;
	FILE *file = fopen("/proc/meminfo", "re");

	while (file && fgets(line, sizeof(line), file))
		sscanf(line, "MemAvailable: %ld", &kib);
	if (file)
		fclose(file);
	return kib;
}

static void
live(struct bench *bench, int sessions)
{
	_cleanup_free_ struct uuid *all = calloc((size_t)sessions, sizeof(*all));
	long before, with;

	if (!all)
		die("memory", -ENOMEM);
	before = available_kib();
	for (int i = 0; i < sessions; i++) {
		all[i] = uuid_new();
		request(bench, &all[i]);
		await(bench, MSG_RUNNING);
	}
	with = available_kib();
	for (int i = 0; i < sessions; i++) {
		struct msg msg;

		msg_init(&msg, MSG_CANCEL);
		msg.cancel.session = all[i];
		msg.cancel.outcome = OUTCOME_CANCELLED;
		send_schedd(bench, &msg);
		await(bench, MSG_ENDED);
	}
	printf("{\"sessions\": %d, \"kib_each\": %.1f}\n", sessions,
	       (double)(before - with) / sessions);
}

int
main(int argc, char **argv)
{
	struct bench bench = {0};
	int number = argc > 5 ? atoi(argv[5]) : 0;
	const char *mode = argc > 5 ? argv[3] : "";

	if (number < 1 || number > ROUNDS_MAX) {
		fprintf(stderr, "usage: runnerd_driver BUILD CONFIG cold|rate|live AGENT N …\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	bench.build = argv[1];
	bench.agent = argv[4];
	begin(&bench, argv[2]);
	if (strcmp(mode, "cold") == 0)
		cold(&bench, number);
	else if (strcmp(mode, "rate") == 0)
		rate(&bench, number, argc > 6 ? atoi(argv[6]) : 1);
	else
		live(&bench, number);
	end(&bench);
	return 0;
}
