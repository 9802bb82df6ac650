#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/confine.h"

enum { NOBODY = 65534 };

typedef int body_fn(void); /* runs confined; its value is the exit status */

/* Not being root is the one reason to skip. */
static bool
is_root(void)
{
	return geteuid() == 0;
}

static int
empty_directory(char *path)
{
	int fd;

	strcpy(path, "/tmp/test_confine.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(path));
	ck_assert_int_eq(chmod(path, 0555), 0);
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	return fd;
}

/* Forks, confines with what confinement says, runs body with standard error going to told; returns
 * the wait status. */
static int
run_telling(const struct confinement *confinement, body_fn *body, int told)
{
	struct error error = ERROR_INIT;
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		dup2(told, STDERR_FILENO);
		if (confine(confinement, &error) < 0) {
			dprintf(STDOUT_FILENO, "%s: %s\n", error.what, error.why);
			_exit(99);
		}
		_exit(body());
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

static int
run_confined(const struct confinement *confinement, body_fn *body)
{
	int status, told[2];

	ck_assert_int_eq(pipe2(told, O_CLOEXEC), 0);
	status = run_telling(confinement, body, told[1]);
	close(told[0]);
	close(told[1]);
	return status;
}

static int
run_in_empty_root(const int *syscalls, size_t count, body_fn *body)
{
	struct confinement c = CONFINEMENT_INIT;
	char path[64];
	int status;

	c.uid = c.gid = NOBODY;
	c.root_fd = empty_directory(path);
	c.syscalls = syscalls;
	c.syscall_count = count;
	c.open_files = 64;
	c.file_bytes = 1 << 20;
	c.no_processes = c.landlock = true;
	status = run_confined(&c, body);
	close(c.root_fd);
	rmdir(path);
	return status;
}

static void
assert_exit(int status, int code)
{
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == code, "status %#x", status);
}

static void
assert_killed(int status)
{
	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS, "status %#x", status);
}

/* --- what is gone afterwards: looked at from inside, with the calls that takes --------------- */

static const int looking[] = {SYS_prctl,     SYS_capget,    SYS_openat,    SYS_getgroups,
			      SYS_getresuid, SYS_getresgid, SYS_prlimit64, SYS_socket,
			      SYS_fork,      SYS_clone,     SYS_getcwd,    SYS_setresuid,
			      SYS_gettid,    SYS_getegid,   SYS_chroot,    SYS_set_robust_list};

static int
capabilities_left(void)
{
	unsigned head[2] = {0x20080522, 0}, sets[6];

	if (syscall(SYS_capget, head, sets) < 0)
		return 1;
	for (size_t i = 0; i < ARRAY_LEN(sets); i++)
		if (sets[i])
			return 2;
	for (int cap = 0; cap < 64; cap++) {
		if (prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1)
			return 3;
		if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, cap, 0, 0) == 1)
			return 4;
	}
	return 0;
}

static int
identity_left(void)
{
	uid_t uids[3];
	gid_t gids[3];

	getresuid(&uids[0], &uids[1], &uids[2]);
	getresgid(&gids[0], &gids[1], &gids[2]);
	for (int i = 0; i < 3; i++)
		if (uids[i] != NOBODY || gids[i] != NOBODY)
			return 1;
	if (getgroups(0, NULL) != 0)
		return 2;
	return setresuid(0, 0, 0) == 0 ? 3 : 0;
}

static int
flags_left(void)
{
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return 1;
	if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0)
		return 2;
	if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) != 2)
		return 3;
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0)
		return 4;
	return prctl(PR_SET_SECUREBITS, 0, 0, 0, 0) == 0 ? 5 : 0;
}

static bool
opens(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);

	return fd >= 0;
}

static int
root_left(void)
{
	char cwd[64];

	if (opens("/etc/passwd", O_RDONLY))
		return 1;
	if (opens("../../etc/passwd", O_RDONLY))
		return 2;
	if (opens("/x", O_WRONLY | O_CREAT))
		return 3;
	if (!getcwd(cwd, sizeof(cwd)) || strcmp(cwd, "/") != 0)
		return 4;
	return chroot("/") == 0 ? 5 : 0;
}

static int
limits_left(void)
{
	static const int zero[] = {RLIMIT_CORE, RLIMIT_NPROC};
	struct rlimit now;

	for (size_t i = 0; i < ARRAY_LEN(zero); i++)
		if (getrlimit((__rlimit_resource_t)zero[i], &now) < 0 || now.rlim_cur ||
		    now.rlim_max)
			return 1;
	if (getrlimit(RLIMIT_NOFILE, &now) < 0 || now.rlim_cur != 64 || now.rlim_max != 64)
		return 2;
	if (getrlimit(RLIMIT_FSIZE, &now) < 0 || now.rlim_max != 1 << 20)
		return 3;
	return 0;
}

static int
no_child(void)
{
	return fork() < 0 && errno == EAGAIN ? 0 : 1;
}

static body_fn *const looks[] = {capabilities_left, identity_left, flags_left,
				 root_left,         limits_left,   no_child};

START_TEST(test_everything_is_gone)
{
	assert_exit(run_in_empty_root(looking, ARRAY_LEN(looking), looks[_i]), 0);
}
END_TEST

/* --- what kills ---------------------------------------------------------------------------------
 */

static int
calls_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return fd < 0;
}

static int
calls_execve(void)
{
	return execl("/bin/true", "true", (char *)NULL) < 0;
}

static int
calls_ptrace(void)
{
	return syscall(SYS_ptrace, 0, 0, 0, 0) < 0;
}

static int
calls_fork(void)
{
	return syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) < 0;
}

static int
calls_kill(void)
{
	return kill(1, 0) < 0;
}

static int
maps_executable(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return page == MAP_FAILED;
}

static int
makes_executable(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return mprotect(page, 4096, PROT_READ | PROT_EXEC) < 0;
}

static int
calls_foreign_abi(void)
{
	return syscall(0x40000000 | SYS_getpid) < 0; /* x32 */
}

static body_fn *const forbidden[] = {calls_socket,     calls_execve,     calls_ptrace,
				     calls_fork,       calls_kill,       maps_executable,
				     makes_executable, calls_foreign_abi};

START_TEST(test_forbidden_call_kills)
{
	static const int none[] = {SYS_read};

	assert_killed(run_in_empty_root(none, ARRAY_LEN(none), forbidden[_i]));
}
END_TEST

/* --- what still works ----------------------------------------------------------------------------
 */

static int
compare_ints(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static int
lives_on(void)
{
	_cleanup_free_ int *many = calloc(100000, sizeof(*many));
	time_t now = time(NULL);
	struct stat st;
	struct tm tm;
	char *text = NULL;
	size_t length;
	FILE *stream = open_memstream(&text, &length);

	if (!many || !stream || !localtime_r(&now, &tm) || !gmtime_r(&now, &tm))
		return 1;
	qsort(many, 100000, sizeof(*many), compare_ints);
	fprintf(stream, "%d %f", tm.tm_year, 1.5);
	fclose(stream);
	free(text);
	close(memfd_create("x", MFD_CLOEXEC));
	dprintf(2, "%s", "");
	return fstat(2, &st);
}

START_TEST(test_base_calls_suffice)
{
	static const int none[] = {SYS_read};

	assert_exit(run_in_empty_root(none, ARRAY_LEN(none), lives_on), 0);
}
END_TEST

/* --- what refuses
 * ---------------------------------------------------------------------------------- */

static int
refusal(const struct confinement *c, const char *part)
{
	struct error error = ERROR_INIT;

	if (confine(c, &error) == 0)
		return 1;
	return strstr(error.why, part) && strstr(error.what, "confining") ? 0 : 2;
}

static int
directory_refusal(void)
{
	struct confinement c = CONFINEMENT_INIT;
	char path[64];

	c.uid = c.gid = NOBODY;
	c.root_fd = empty_directory(path);
	rmdir(path);
	if (!opens("/", O_PATH | O_DIRECTORY))
		return 3;
	return refusal(&c, "outside the private root");
}

static int
file_root_refusal(void)
{
	struct confinement c = CONFINEMENT_INIT;

	c.uid = c.gid = NOBODY;
	c.root_fd = open("/dev/null", O_PATH | O_CLOEXEC);
	return refusal(&c, "fchdir");
}

static int
bad_program_refusal(void)
{
	struct confinement c = CONFINEMENT_INIT;

	c.uid = c.gid = NOBODY;
	c.program_fd = memfd_create("bad", MFD_CLOEXEC);
	(void)!write(c.program_fd, "123", 3);
	return refusal(&c, "seccomp");
}

/* The kernel refuses what this process never held. */
static int
missing_cap_refusal(void)
{
	struct confinement c = CONFINEMENT_INIT;

	confine_bounding(0);
	confine_caps(UINT64_C(1) << 7 | UINT64_C(1) << 6 | UINT64_C(1) << 8);
	c.keep_caps = UINT64_C(1) << 21;
	return refusal(&c, "cap");
}

static body_fn *const refusals[] = {directory_refusal, file_root_refusal, bad_program_refusal,
				    missing_cap_refusal};

START_TEST(test_refused_with_mechanism)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(refusals[_i]());
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	assert_exit(status, 0);
}
END_TEST

/* --- keeping some
 * ------------------------------------------------------------------------------------ */

static int
kept_exactly(void)
{
	unsigned head[2] = {0x20080522, 0}, sets[6];

	if (syscall(SYS_capget, head, sets) < 0)
		return 1;
	if (sets[0] != (1U << 5 | 1U << 8) || sets[1] != sets[0] || sets[2] || sets[3])
		return 2;
	if (prctl(PR_CAPBSET_READ, 21, 0, 0, 0) || prctl(PR_CAPBSET_READ, 5, 0, 0, 0) != 1)
		return 3;
	return 0;
}

START_TEST(test_kept_capabilities)
{
	struct confinement c = CONFINEMENT_INIT;

	c.keep_caps = UINT64_C(1) << 5 | UINT64_C(1) << 8; /* KILL, SETPCAP */
	assert_exit(run_confined(&c, kept_exactly), 0);
}
END_TEST

START_TEST(test_prebuilt_program)
{
	struct confinement c = CONFINEMENT_INIT;
	struct error error = ERROR_INIT;
	int program = confine_program(looking, ARRAY_LEN(looking), &error);

	ck_assert_int_ge(program, 0);
	ck_assert_int_eq(fcntl(program, F_GET_SEALS),
			 F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
	c.uid = c.gid = NOBODY;
	c.program_fd = program;
	assert_exit(run_confined(&c, capabilities_left), 0);
	assert_killed(run_confined(&c, calls_ptrace));
	close(program);
}
END_TEST

static int
tells(void)
{
	return write(STDERR_FILENO, "a line\n", 7) == 7 ? 0 : 1;
}

/* Who may write no file still tells what happens, also where that goes to a file. */
START_TEST(test_log_in_a_file)
{
	struct confinement c = CONFINEMENT_INIT;
	char path[64];
	int told = memfd_create("log", MFD_CLOEXEC);

	c.uid = c.gid = NOBODY;
	c.root_fd = empty_directory(path);
	c.file_bytes = 0;
	assert_exit(run_telling(&c, tells, told), 0);
	ck_assert_int_eq(lseek(told, 0, SEEK_END), 7);
	close(c.root_fd);
	close(told);
	rmdir(path);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("confine");
	TCase *gone = tcase_create("gone"), *kept = tcase_create("kept");
	SRunner *runner = srunner_create(suite);
	int failed;

	if (!is_root()) {
		printf("skipped: confinement needs root\n");
		srunner_free(runner);
		return 0;
	}
	tcase_add_loop_test(gone, test_everything_is_gone, 0, ARRAY_LEN(looks));
	tcase_add_loop_test(gone, test_forbidden_call_kills, 0, ARRAY_LEN(forbidden));
	tcase_add_loop_test(gone, test_refused_with_mechanism, 0, ARRAY_LEN(refusals));
	tcase_add_test(kept, test_base_calls_suffice);
	tcase_add_test(kept, test_log_in_a_file);
	tcase_add_test(kept, test_kept_capabilities);
	tcase_add_test(kept, test_prebuilt_program);
	suite_add_tcase(suite, gone);
	suite_add_tcase(suite, kept);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
