#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "common/cleanup.h"
#include "common/confine.h"
#include "common/io.h"
#include "init.h"
#include "init_interpreter.h"

struct failure {
	int errnum;
	unsigned step; /* index into steps */
};

static int
own_session(const struct exec_spec *spec)
{
	(void)spec;
	umask(022);
	return setsid() < 0 ? -errno : 0;
}

/* Nothing may be raised without CAP_SYS_RESOURCE; a lower hard limit is enforced all the more. */
static int
limit_resources(const struct exec_spec *spec)
{
	struct rlimit none = {0, 0}, files;

	if (setrlimit(RLIMIT_CORE, &none) < 0)
		return -errno;
	if (spec->head.open_files == 0)
		return 0;
	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return -errno;
	if (spec->head.open_files < files.rlim_max)
		files.rlim_max = spec->head.open_files;
	files.rlim_cur = files.rlim_max;
	return setrlimit(RLIMIT_NOFILE, &files) < 0 ? -errno : 0;
}

static int
default_signals(const struct exec_spec *spec)
{
	sigset_t none;

	(void)spec;
	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL); /* fails for KILL, STOP and libc's own */
	sigemptyset(&none);
	return sigprocmask(SIG_SETMASK, &none, NULL) < 0 ? -errno : 0;
}

static int
drop_bounding(const struct exec_spec *spec)
{
	(void)spec;
	return confine_bounding(0);
}

static int
lock_securebits(const struct exec_spec *spec)
{
	(void)spec;
	return confine_securebits();
}

static int
become_agent(const struct exec_spec *spec)
{
	if (setgroups(0, NULL) < 0 ||
	    setresgid(spec->head.gid, spec->head.gid, spec->head.gid) < 0 ||
	    setresuid(spec->head.uid, spec->head.uid, spec->head.uid) < 0)
		return -errno;
	return 0;
}

static int
drop_capabilities(const struct exec_spec *spec)
{
	(void)spec;
	return confine_caps(0);
}

static int
forbid_gains(const struct exec_spec *spec)
{
	(void)spec;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}

/* As the agent: what it may not enter it shall not be in. getcwd fails or is relative when the
 * directory lies outside the root (CVE-2024-21626). */
static int
enter_directory(const struct exec_spec *spec)
{
	char path[PATH_MAX];
	long length;

	if (chdir(spec->head.cwd) < 0)
		return -errno;
	length = syscall(SYS_getcwd, path, sizeof(path));
	if (length < 0)
		return -errno;
	return path[0] == '/' ? 0 : -ENOENT;
}

/* In the process that becomes the program: init never has a value. */
static int
read_files(const struct exec_spec *spec, enum part_kind kind)
{
	struct exec_part *part;
	size_t length;
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < spec->variable_count; i++)
		for (part = spec->variables[i].parts; rc == 0 && part; part = part->next) {
			if (part->kind != kind)
				continue;
			rc = read_file_at(AT_FDCWD, part->text, SECRET_BYTES_MAX, &part->value,
					  &length);
			if (rc == 0 && strlen(part->value) != length)
				rc = -EILSEQ; /* no variable can hold a NUL */
			while (rc == 0 && length > 0 && strchr("\n\r", part->value[length - 1]))
				part->value[--length] = '\0';
		}
	return rc;
}

/* What the program cannot open itself. */
static int
read_environment(const struct exec_spec *spec)
{
	return read_files(spec, PART_ENVIRONMENT);
}

static char *
variable_of(const struct exec_variable *variable)
{
	size_t length = strlen(variable->name) + 2;
	const struct exec_part *part;
	char *text, *end;

	for (part = variable->parts; part; part = part->next)
		length += strlen(part->value ? part->value : part->text);
	text = malloc(length);
	if (!text)
		return NULL;
	end = stpcpy(stpcpy(text, variable->name), "=");
	for (part = variable->parts; part; part = part->next)
		end = stpcpy(end, part->value ? part->value : part->text);
	return text;
}

/* As the program, whose files they are. */
static int
export_credentials(const struct exec_spec *spec)
{
	char **at = spec->envp + spec->head.variables;
	int rc = read_files(spec, PART_CREDENTIAL);

	for (uint32_t i = 0; rc == 0 && i < spec->variable_count; i++) {
		*at = variable_of(&spec->variables[i]);
		if (!*at++)
			rc = -ENOMEM;
	}
	*at = NULL;
	return rc;
}

static int
close_rest(const struct exec_spec *spec)
{
	(void)spec;
	return close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) < 0 ? -errno : 0;
}

/* Optional, as `ash doctor` says: without it the mounts alone say what may be written. */
static int
restrict_paths(const struct exec_spec *spec)
{
	(void)spec;
	return init_landlock();
}

static int
load_filter(const struct exec_spec *spec)
{
	(void)spec;
	return confine_load(INIT_FD_AGENT_PROGRAM);
}

/* The last one holds, as for libc. */
static const char *
path_of(const struct exec_spec *spec)
{
	const char *dirs = "";

	for (char **at = spec->envp; *at; at++)
		if (strncmp(*at, "PATH=", strlen("PATH=")) == 0)
			dirs = *at + strlen("PATH=");
	return dirs;
}

/* A name without a slash is a plugin's, or that of an image's program. */
static int
run_program(const struct exec_spec *spec)
{
	const char *dirs = path_of(spec);
	char path[PATH_MAX];
	int rc = -ENOENT;

	if (strchr(spec->head.path, '/')) {
		execve(spec->head.path, spec->argv, spec->envp);
		return -errno;
	}
	while (*dirs && (rc == -ENOENT || rc == -EACCES || rc == -ENOTDIR)) {
		size_t length = strcspn(dirs, ":");

		/* One that is relative leads into the working directory, where the agent writes. */
		if (*dirs == '/' && length < PATH_MAX / 2) {
			snprintf(path, sizeof(path), "%.*s/%.2000s", (int)length, dirs,
				 spec->head.path);
			execve(path, spec->argv, spec->envp);
			rc = -errno;
		}
		dirs += length + (dirs[length] == ':');
	}
	return rc;
}

/* In this order; the bounding set and the securebits need CAP_SETPCAP, the ids their own. */
static const struct {
	const char *call;
	int (*run)(const struct exec_spec *spec);
} steps[] = {
    {.call = "setsid", .run = own_session},
    {.call = "setrlimit", .run = limit_resources},
    {.call = "resetting signals", .run = default_signals},
    {.call = "emptying the bounding set", .run = drop_bounding},
    {.call = "locking securebits", .run = lock_securebits},
    {.call = "reading a secret for the environment", .run = read_environment},
    {.call = "taking the agent's ids", .run = become_agent},
    {.call = "dropping capabilities", .run = drop_capabilities},
    {.call = "no_new_privs", .run = forbid_gains},
    {.call = "chdir", .run = enter_directory},
    {.call = "close_range", .run = close_rest},
    {.call = "reading a credential for the environment", .run = export_credentials},
    {.call = "restricting paths with Landlock", .run = restrict_paths},
    {.call = "loading the seccomp filter", .run = load_filter},
    {.call = "exec", .run = run_program},
};

/* What INIT_GO brought lies above the fixed descriptors, close-on-exec. */
static int
take_io(const int io[2])
{
	for (int fd = 0; fd < 2; fd++)
		if (io[fd] >= 0 && dup2(io[fd], fd) < 0)
			return -errno;
	return 0;
}

static _Noreturn void
become_program(const struct exec_spec *spec, const int io[2], int report)
{
	struct failure failure = {0};
	int rc = take_io(io);

	while (rc == 0 && failure.step < ARRAY_LEN(steps)) {
		rc = steps[failure.step].run(spec);
		if (rc == 0)
			failure.step++;
	}
	failure.errnum = -rc;
	if (write(report, &failure, sizeof(failure)) != sizeof(failure))
		_exit(126);
	_exit(127);
}

/* --- in the parent -----------------------------------------------------------------------------
 */

/* An exec may hang in the file system; a keeper that is gone is not waited with. */
static void
await_report(int report)
{
	struct pollfd fds[] = {
	    {.fd = report, .events = POLLIN},
	    {.fd = INIT_FD_KEEPER},
	};

	while (poll(fds, ARRAY_LEN(fds), -1) < 0 && errno == EINTR)
		;
	if (fds[1].revents)
		_exit(0);
}

/* False at EOF: the pipe closed with the exec. */
static bool
read_report(int report, struct failure *failure)
{
	ssize_t length;

	await_report(report);
	length = read(report, failure, sizeof(*failure));
	if (length != 0 && length != sizeof(*failure))
		*failure = (struct failure){.errnum = EIO};
	return length != 0;
}

static void
explain(const struct exec_spec *spec, const struct failure *failure, char *why, size_t size)
{
	const char *call = steps[failure->step % ARRAY_LEN(steps)].call;
	const char *object = strcmp(call, "chdir") == 0 ? spec->head.cwd : spec->head.path;
	char interpreter[128];

	if (failure->errnum == ENOENT && strcmp(call, "exec") == 0 &&
	    init_interpreter(spec->head.path, interpreter, sizeof(interpreter)))
		snprintf(why, size, "%s of %.300s: it needs %s, which the image does not have",
			 call, object, interpreter);
	else
		snprintf(why, size, "%s of %.300s: %s", call, object, strerror(failure->errnum));
}

pid_t
init_start(const struct exec_spec *spec, const int io[2], char *why, size_t size)
{
	_cleanup_close_ int reader = -1;
	struct failure failure;
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0 || (pid = fork()) < 0) {
		failure.errnum = errno;
		snprintf(why, size, "fork: %s", strerror(failure.errnum));
		return -failure.errnum;
	}
	reader = ends[0];
	if (pid == 0)
		become_program(spec, io, ends[1]);
	close(ends[1]);
	if (!read_report(reader, &failure))
		return pid;
	explain(spec, &failure, why, size);
	return -failure.errnum;
}
