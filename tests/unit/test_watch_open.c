// with: runnerd/watch.c runnerd/policy.c runnerd/policy_secret.c runnerd/secret_uses.c
// with: runnerd/proof.c runnerd/program.c runnerd/fs.c runnerd/policy_net.c runnerd/inject_plan.c
/* What runnerd hands out for a path that goes and comes while it is opened. */
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/manifest.h"
#include "runnerd/store.h"
#include "runnerd/watch.h"
#include "tests/unit/suite.h"

enum { ROUNDS = 200 };

static char top[64], deep[96], other[96];
static struct agent the_agent;

/* In the store's place. */
struct agent *
store_find(const struct store *store, const char *name, bool *damaged)
{
	(void)store;
	if (damaged)
		*damaged = false;
	return strcmp(name, "one") == 0 ? &the_agent : NULL;
}

static void
make(void)
{
	static struct manifest plan;
	static struct manifest_trigger trigger;

	snprintf(top, sizeof(top), "/tmp/scarab-watch-XXXXXX");
	if (!mkdtemp(top))
		abort();
	snprintf(deep, sizeof(deep), "%s/deep", top);
	snprintf(other, sizeof(other), "%s/other", top);
	trigger = (struct manifest_trigger){.kind = TRIGGER_PATH, .path = deep};
	plan = (struct manifest){.trust_level = TRUST_PRIVILEGED,
				 .triggers = {.items = &trigger, .count = 1}};
	the_agent.plan = &plan;
}

static void
clean(void)
{
	rmdir(deep);
	rmdir(other);
	rmdir(top);
}

/* Until it is killed: the directory goes, comes, and is replaced by another. */
static _Noreturn void
disturb(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	for (;;) {
		mkdir(deep, 0700);
		rename(deep, other);
		mkdir(deep, 0700);
		rmdir(other);
		rmdir(deep);
	}
}

static void
hold(pid_t child)
{
	int status;

	ck_assert_int_eq(kill(child, SIGSTOP), 0);
	ck_assert_int_eq(waitpid(child, &status, WUNTRACED), child);
	ck_assert(WIFSTOPPED(status));
}

/* The inode that an inotify descriptor watches, as proc_pid_fdinfo(5) says; 0: none any more. */
static ino_t
watched(int fd)
{
	char name[64], line[256];
	unsigned long inode = 0;
	FILE *info;

	snprintf(name, sizeof(name), "/proc/self/fdinfo/%d", fd);
	info = fopen(name, "r");
	ck_assert_ptr_nonnull(info);
	while (fgets(line, sizeof(line), info) &&
	       sscanf(line, "inotify wd:%*x ino:%lx", &inode) != 1)
		inode = 0;
	fclose(info);
	return inode;
}

/* Nothing was told yet: what is watched is what is there. */
static void
check_silent(const struct msg_watch *answer, int fd)
{
	const char *expected = access(deep, F_OK) == 0 ? deep : top;
	struct stat st;

	ck_assert_int_eq(answer->waiting, expected == top);
	ck_assert_int_eq(stat(expected, &st), 0);
	ck_assert_uint_eq(watched(fd), st.st_ino);
}

START_TEST(what_is_watched_is_there_or_has_said_that_it_went)
{
	const struct msg_watch_open asked = {.agent = "one", .id = "path-1"};
	struct runnerd r = {.store = NULL};
	pid_t child = fork();

	if (child == 0)
		disturb();
	for (unsigned i = 0; i < ROUNDS; i++) {
		_cleanup_close_ int fd = -1;
		char told[4096];
		struct msg answer;

		watch_open(&r, &asked, &answer);
		hold(child);
		fd = msg_take_fd(&answer, 0);
		if (fd >= 0 && read(fd, told, sizeof(told)) < 0)
			check_silent(&answer.watch, fd);
		else if (fd < 0)
			ck_assert_str_ne(answer.watch.problem, "");
		kill(child, SIGCONT);
	}
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}
END_TEST

static int
link_there(const char *path)
{
	return symlink(other, path);
}

static int
fifo_there(const char *path)
{
	return mkfifo(path, 0600);
}

START_TEST(what_cannot_be_watched_may_yet_become_what_can)
{
	static int (*const put[])(const char *path) = {link_there, fifo_there};
	const struct msg_watch_open asked = {.agent = "one", .id = "path-1"};
	struct runnerd r = {.store = NULL};

	for (size_t i = 0; i < ARRAY_LEN(put); i++) {
		_cleanup_close_ int fd = -1;
		struct msg answer;
		char told[4096];

		rmdir(deep);
		ck_assert_int_eq(put[i](deep), 0);
		watch_open(&r, &asked, &answer);
		fd = msg_take_fd(&answer, 0);
		ck_assert_msg(fd >= 0, "%s", answer.watch.problem);
		ck_assert(answer.watch.waiting);
		ck_assert_str_eq(answer.watch.name, "deep");
		ck_assert_str_ne(answer.watch.problem, "");
		ck_assert_int_eq(unlink(deep), 0);
		ck_assert_int_lt((int)read(fd, told, sizeof(told)), 0);
		ck_assert_int_eq(mkdir(deep, 0700), 0);
		ck_assert_int_gt((int)read(fd, told, sizeof(told)), 0);
	}
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {what_is_watched_is_there_or_has_said_that_it_went,
				      what_cannot_be_watched_may_yet_become_what_can};

	int status;

	make();
	status = suite_run("watch_open", tests, ARRAY_LEN(tests));
	clean();
	return status;
}
