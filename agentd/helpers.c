#include "helpers.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/confine.h"
#include "common/daemon.h"

enum {
	FD_BINARY = DAEMON_FD_GENERATION + 1, /* closed by exec */
	FD_CLEAR = 10,                        /* everything is moved here first */
};

int
helper_open(const char *dir, const char *name, struct error *error)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (asprintf(&path, "%s/%s", dir, name) < 0)
		return error_errno(error, ENOMEM, "opening the helper %s", name);
	fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0) {
		error_errno(error, errno, "opening the helper %s", path);
		return error_hint(error, "install scarab-runtime whole, or set libexec_dir in "
					 "agentd.yaml to the folder of its helpers");
	}
	if (!S_ISREG(st.st_mode) || !(st.st_mode & S_IXUSR))
		return error_why(error, ERR_FAILED, "the helper %s is not a program", path);
	if (st.st_mode & S_IWOTH) {
		error_why(error, ERR_PERMISSION, "the helper %s is writable by everyone", path);
		return error_hint(error, "chmod o-w %s", path);
	}
	return steal_fd(&fd);
}

char *
helper_own_dir(void)
{
	char path[4096], config[4096 + 16];
	ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);
	char *slash;

	if (length > 0) {
		path[length] = '\0';
		slash = strrchr(path, '/');
		if (slash)
			*slash = '\0';
		snprintf(config, sizeof(config), "%s/agentd-config", path);
		if (access(config, X_OK) == 0)
			return strdup(path);
	}
	return strdup(SCARAB_LIBEXECDIR);
}

/* In the child, where an error can only be said and exited on. */
static int
place_descriptors(int binary, int channel, int lock)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int high_null = fcntl(null, F_DUPFD_CLOEXEC, FD_CLEAR);
	int high_channel = fcntl(channel, F_DUPFD_CLOEXEC, FD_CLEAR);
	int high_binary = fcntl(binary, F_DUPFD_CLOEXEC, FD_CLEAR);
	int high_lock = lock < 0 ? high_null : fcntl(lock, F_DUPFD_CLOEXEC, FD_CLEAR);

	if (null < 0 || high_null < 0 || high_channel < 0 || high_binary < 0 || high_lock < 0)
		return -errno;
	if (dup2(high_null, 0) < 0 || dup2(2, 1) < 0 || dup2(high_channel, DAEMON_FD_AGENTD) < 0 ||
	    dup2(high_lock, DAEMON_FD_GENERATION) < 0 ||
	    dup3(high_binary, FD_BINARY, O_CLOEXEC) < 0)
		return -errno;
	if (lock < 0)
		close(DAEMON_FD_GENERATION);
	return close_from(FD_BINARY + 1);
}

/* Handlers are gone with exec; what would be inherited is the mask and what is ignored. */
static void
reset_signals(void)
{
	sigset_t none;

	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Nothing of agentd's environment goes on, but what tells the journal from a terminal. */
static char **
clean_environment(void)
{
	static const char *const passed[] = {
	    "JOURNAL_STREAM",
#ifdef __SANITIZE_ADDRESS__
	    "ASAN_OPTIONS",
	    "UBSAN_OPTIONS",
#endif
	};
	static char *environment[ARRAY_LEN(passed) + 1];
	size_t count = 0;

	for (size_t i = 0; i < ARRAY_LEN(passed); i++) {
		const char *value = getenv(passed[i]);

		if (value && asprintf(&environment[count], "%s=%s", passed[i], value) >= 0)
			count++;
	}
	environment[count] = NULL;
	return environment;
}

static _Noreturn void
become(int binary, const char *name, int channel, int lock)
{
	char **environment = clean_environment();
	char *argv[] = {(char *)(uintptr_t)name, NULL};
	int rc;

	setsid();
	umask(022);
	reset_signals();
	rc = place_descriptors(binary, channel, lock);
	if (rc == 0) {
		execveat(FD_BINARY, "", argv, environment, AT_EMPTY_PATH);
		rc = -errno;
	}
	dprintf(2, "agentd: starting %s: %s\n", name, strerror(-rc));
	_exit(127);
}

pid_t
helper_start(int binary, const char *name, int channel, int lock, struct error *error)
{
	pid_t pid = fork();

	if (pid < 0)
		return error_errno(error, errno, "fork for %s", name);
	if (pid == 0)
		become(binary, name, channel, lock);
	return pid;
}
