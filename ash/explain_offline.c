/* Without agentd the program that builds sandboxes tells of one: the same code, with no more than
 * this user's rights, and a plan on a descriptor as it would get it from control. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "common/cleanup.h"
#include "common/config.h"
#include "explain.h"

/* What the program finds open. */
enum { FD_PLAN, FD_FACTS, FD_CONFIG = 3 };

/* Beside ash itself, as in a build folder, else where it is installed. */
static int
open_program(void)
{
	char path[PATH_MAX + sizeof("/runnerd")];
	ssize_t length = readlink("/proc/self/exe", path, PATH_MAX);
	char *slash = length > 0 ? memrchr(path, '/', (size_t)length) : NULL;
	int fd = -1;

	if (slash) {
		strcpy(slash, "/runnerd");
		fd = open(path, O_PATH | O_CLOEXEC);
	}
	return fd >= 0 ? fd : open(SCARAB_LIBEXECDIR "/runnerd", O_PATH | O_CLOEXEC);
}

static _Noreturn void
become_program(int program, const int fds[3], const char *install_dir)
{
	char *argv[] = {(char *)"runnerd", (char *)"explain", (char *)(uintptr_t)install_dir, NULL};
	char *envp[] = {NULL};

	/* Out of the way of each other first. */
	int plan = fcntl(fds[0], F_DUPFD_CLOEXEC, 16), facts = fcntl(fds[1], F_DUPFD_CLOEXEC, 16);
	int config = fcntl(fds[2], F_DUPFD_CLOEXEC, 16), self = fcntl(program, F_DUPFD_CLOEXEC, 16);

	if (dup2(plan, FD_PLAN) < 0 || dup2(facts, FD_FACTS) < 0 || dup2(config, FD_CONFIG) < 0)
		_exit(126);
	execveat(self, "", argv, envp, AT_EMPTY_PATH);
	_exit(127);
}

static int
run_program(const int fds[3], const char *install_dir, struct error *error)
{
	_cleanup_close_ int program = open_program();
	int status = 0;
	pid_t pid;

	if (program < 0) {
		error_errno(error, errno, "opening %s/runnerd", SCARAB_LIBEXECDIR);
		return error_hint(error, "start agentd, or install scarab-runtime whole");
	}
	pid = fork();
	if (pid == 0)
		become_program(program, fds, install_dir);
	if (pid < 0)
		return error_errno(error, errno, "fork");
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	return error_why(error, ERR_FAILED, "runnerd explain failed (status %d)", status);
}

static int
encoded_plan(const struct manifest *manifest)
{
	_cleanup_free_ uint8_t *bytes = NULL;
	size_t length;
	int rc = plan_encode(manifest, &bytes, &length);

	return rc < 0 ? rc : memfd_sealed("plan", bytes, length);
}

static int
encoded_defaults(struct error *error)
{
	struct config *config = config_read(NULL, 0, "defaults", error);
	_cleanup_free_ uint8_t *bytes = NULL;
	size_t length;
	int rc;

	if (!config)
		return -1;
	rc = config_encode(config, &bytes, &length);
	config_free(config);
	if (!rc)
		rc = memfd_sealed("config", bytes, length);
	return rc < 0 ? error_errno(error, -rc, "encoding the defaults") : rc;
}

int
explain_offline(const struct manifest *manifest, const char *install_dir, struct facts *facts,
		struct error *error)
{
	_cleanup_close_ int plan = encoded_plan(manifest), config = -1, answer = -1;

	if (plan < 0)
		return error_errno(error, -plan, "encoding the plan");
	config = encoded_defaults(error);
	if (config < 0)
		return -1;
	answer = memfd_create("facts", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (answer < 0)
		return error_errno(error, errno, "memfd_create");
	if (run_program((const int[]){plan, answer, config}, install_dir, error) < 0)
		return -1;
	if (fcntl(answer, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) <
	    0)
		return error_errno(error, errno, "sealing the answer");
	return facts_read(answer, facts, error);
}
