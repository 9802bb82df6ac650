// with: tests/system/driver/host.c tests/system/driver/recipe.c tests/system/driver/session.c
// with: secretd/spellings.c runnerd/seccomp.c runnerd/seccomp_rules.c runnerd/seccomp_verdict.c
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
#include <linux/nsfs.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "tests/system/driver/driver.h"

static const char *const mark_names[MARKS] = {
    [CGROUPS_MADE] = "three cgroups made",
    [SPAWNED] = "SPAWNED",
    [KEEPER_GREETED] = "keeper's greeting",
    [BUILDER_GREETED] = "builder's greeting",
    [RECIPE_SENT] = "recipe sent",
    [BUILT] = "SANDBOX_BUILT",
    [UP_HEARD] = "KEEPER_UP heard",
    [RUNNING] = "KEEPER_RUNNING",
    [ENDED] = "KEEPER_ENDED",
};

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

static int
count_fds(uint32_t pid)
{
	char link[96], target[128];
	int found = 0;

	for (int fd = 0; fd < 256; fd++) {
		snprintf(link, sizeof(link), "/proc/%u/fd/%d", pid, fd);
		found += readlink(link, target, sizeof(target)) > 0;
	}
	return found;
}

static bool
namespace_is_own(uint32_t pid, const char *kind)
{
	char path[64], theirs[64] = "", ours[64] = "";

	snprintf(path, sizeof(path), "/proc/%u/ns/%s", pid, kind);
	if (readlink(path, theirs, sizeof(theirs) - 1) < 0)
		perror(path);
	snprintf(path, sizeof(path), "/proc/self/ns/%s", kind);
	if (readlink(path, ours, sizeof(ours) - 1) < 0)
		perror(path);
	if (strcmp(theirs, ours) == 0)
		printf("  init shares the %s namespace\n", kind);
	return *theirs && strcmp(theirs, ours) != 0;
}

/* Root's would let an agent use up what is counted for root: inotify instances, signals. */
static bool
owner_is_the_agents(uint32_t pid)
{
	_cleanup_close_ int fd = -1;
	char path[64];
	uid_t owner = 0;

	snprintf(path, sizeof(path), "/proc/%u/ns/user", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || ioctl(fd, NS_GET_OWNER_UID, &owner) < 0)
		perror(path);
	if (owner != BASE_UID)
		printf("  uid %u owns the user namespace\n", owner);
	return owner == BASE_UID;
}

static bool
namespaces_are_own(struct session *s)
{
	static const char *const kinds[] = {"cgroup", "ipc", "mnt", "net", "pid", "user", "uts"};
	bool fine = true;

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		fine &= namespace_is_own(s->init_pid, kinds[i]);
	return fine & owner_is_the_agents(s->init_pid);
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
	fine &= status_says(s->init_pid, "Seccomp", "2");
	fine &= status_says(s->init_pid, "Seccomp_filters", "1");
	if (count_fds(s->init_pid) != 2)
		printf("  init holds %d descriptors, not 2\n", count_fds(s->init_pid));
	return fine && count_fds(s->init_pid) == 2;
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
    {.name = "namespaces",
     .argv = {"/bin/sh", "-c", "sleep 0.2"},
     .inspect = namespaces_are_own,
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
    {.name = "packets",
     .argv = {"/opt/peek", "packets"},
     .segment_bytes = 64 << 20,
     .outcome = OUTCOME_SUCCESS,
     .started = true,
     .signal = -1,
     .log = "\"text\":\"packet 250\""},
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
    {.name = "a secret is hidden",
     .argv = {"/bin/sh", "-c",
	      "echo is correct-horse-battery; echo correct-horse-battery | base64 >&2;"
	      "printf correct-; sleep 0.3; printf horse-battery"},
     .secret = "correct-horse-battery",
     .outcome = OUTCOME_SUCCESS,
     .started = true,
     .signal = -1,
     .log = "\"text\":\"is [redacted:key]\"",
     .hidden = "horse-b"},
    {.name = "its base64 too",
     .argv = {"/bin/sh", "-c", "printf %s xcorrect-horse-battery | base64"},
     .secret = "correct-horse-battery",
     .outcome = OUTCOME_SUCCESS,
     .started = true,
     .signal = -1,
     .log = "\"text\":\"e[redacted:key]==\""},
    {.name = "a line without a secret is told at once",
     .argv = {"/bin/sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do echo out$i; echo err$i >&2; done"},
     .secret = "correct-horse-battery",
     .outcome = OUTCOME_SUCCESS,
     .started = true,
     .signal = -1,
     .log = "\"text\":\"err9\""},
    {.name = "a secret cut by the end is hidden",
     .argv = {"/bin/sh", "-c", "printf 'is correct-horse'"},
     .secret = "correct-horse-battery",
     .outcome = OUTCOME_SUCCESS,
     .started = true,
     .signal = -1,
     .log = "\"text\":\"is [redacted:key]\"",
     .hidden = "correct"},
    {.name = "a secret that comes later is hidden from then on",
     .argv = {"/bin/sh", "-c", "sleep 0.3; echo old-horse-battery new-horse-battery"},
     .secret = "old-horse-battery",
     .rotated = "new-horse-battery",
     .outcome = OUTCOME_SUCCESS,
     .started = true,
     .signal = -1,
     .log = "\"text\":\"[redacted:key] [redacted:key]\""},
    {.name = "a secret in an error is hidden",
     .argv = {"/opt/correct-horse-battery"},
     .secret = "correct-horse-battery",
     .outcome = OUTCOME_SETUP_FAILED,
     .exit_code = -1,
     .signal = -1,
     .reason = "exec of /opt/[redacted:key]: No such file or directory"},
    {.name = "fingerprints that are none start nothing",
     .argv = {"/bin/sh", "-c", "echo ran"},
     .secret = "correct-horse-battery",
     .bad_fingerprints = true,
     .outcome = OUTCOME_NONE,
     .exit_code = -1,
     .signal = -1,
     .hidden = "ran"},
    {.name = "a flood with secrets",
     .argv = {"/bin/sh", "-c", "yes correct-horse-battery | head -c 30000000"},
     .secret = "correct-horse-battery",
     .segment_bytes = 64 << 20,
     .outcome = OUTCOME_SUCCESS,
     .started = true,
     .signal = -1,
     .hidden = "horse-battery"},
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
	       (!t->hidden || !log || !strstr(log, t->hidden)) &&
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
try(struct host *machine, const struct trial *trial)
{
	static struct session s;
	_cleanup_free_ char *log = NULL;
	bool fine;

	run_session(machine, trial, &s);
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

static bool
say(bool fine, const char *text)
{
	printf("%s - %s\n", fine ? "ok" : "FAIL", text);
	return fine;
}

/* What is no cgroup is refused with a reason, and the spawner goes on. */
static bool
spawner_refuses(struct host *machine)
{
	static struct msg msg;
	int end, own = pair(&end);

	msg_init(&msg, MSG_SPAWN);
	msg_add_fd(&msg, end);
	msg_add_fd(&msg, dup(machine->empty));
	send_message(machine->spawner, CH_SPAWNER, IN_OPEN, &msg, "SPAWN");
	receive(machine->spawner, CH_SPAWNER, &msg, "the spawner's answer");
	close(own);
	return say(msg.type == MSG_ERROR && msg.error.why[0],
		   "SPAWN into what is no cgroup is refused");
}

/* It closes what a request brought after it has answered. */
static bool
spawner_holds_little(const struct host *machine)
{
	for (int i = 0; i < 1000; i++) {
		if (count_fds((uint32_t)machine->spawner_pid) == 9)
			return true;
		poll(NULL, 0, 1);
	}
	return false;
}

static int
try_all(struct host *machine)
{
	unsigned failed = !spawner_refuses(machine);

	for (size_t i = 0; i < ARRAY_LEN(trials); i++)
		failed += !try(machine, &trials[i]);
	failed +=
	    !say(spawner_holds_little(machine), "the spawner holds its nine descriptors only");
	printf("%zu cases, %u failed\n", ARRAY_LEN(trials), failed);
	return failed ? 1 : 0;
}

static int
peek(struct host *machine)
{
	static const struct trial trial = {.name = "peek", .argv = {"/opt/peek"}};
	static struct session s;
	_cleanup_free_ char *log = NULL;

	run_session(machine, &trial, &s);
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
measure(struct host *machine, size_t count)
{
	static uint64_t times[MARKS][10000];
	static struct session s;

	for (size_t i = 0; i < count && i < ARRAY_LEN(times[0]); i++) {
		run_session(machine, &trials[0], &s);
		if (s.exit.outcome != OUTCOME_SUCCESS)
			return 1;
		for (size_t m = 0; m < MARKS; m++)
			times[m][i] = s.at[m];
		close_session(&s);
	}
	for (size_t m = 0; m < MARKS; m++)
		print_times(mark_names[m], times[m], count);
	return 0;
}

/* main()'s, for sweep(). */
static struct host host;

static void
sweep(void)
{
	sweep_host(&host);
}

int
main(int argc, char **argv)
{
	int status;

	if (argc < 2 || getuid() != 0 || sodium_init() < 0) {
		fprintf(stderr, "usage, as root: sandbox_driver BUILD [peek | time N]\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	host.build = argv[1];
	atexit(sweep);
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
