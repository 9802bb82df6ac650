#include "boot.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "confine.h"
#include "io.h"
#include "log.h"

enum { BOOT_WAIT_MS = 30000 };

void
boot_begin(const struct boot *boot, int last)
{
	prctl(PR_SET_NAME, boot->name, 0, 0, 0);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	signal(SIGPIPE, SIG_IGN);
	setsid();
	for (int fd = boot->fd; fd <= last; fd++)
		fcntl(fd, F_SETFD, FD_CLOEXEC);
	log_open(boot->name, LOG_LEVEL_INFO, LOG_TO_STDERR);
}

/* The end of the channel: runnerd gave the session up, or died itself. */
static int
not_heard(int rc, const char *what, struct error *error)
{
	int errnum = rc < 0 ? -rc : EPIPE;

	error_errno(error, errnum, "%s", what);
	if (errnum == EPIPE || errnum == ECONNRESET)
		error_as(error, ERR_UNREACHABLE);
	return -1;
}

int
boot_greet(const struct boot *boot, struct error *error)
{
	int rc = msg_greet(boot->fd, boot->kind, SIDE_B, boot->role, ROLE_RUNNERD, BOOT_WAIT_MS);

	return rc < 0 ? not_heard(rc, "greeting runnerd", error) : 0;
}

int
boot_receive(const struct boot *boot, enum msg_type type, struct msg *msg, struct error *error)
{
	int rc = msg_recv(boot->fd, boot->kind, SIDE_B, IN_SETUP, msg, BOOT_WAIT_MS);

	if (rc <= 0)
		return not_heard(rc, msg_rule(type)->name, error);
	if (msg->type == type)
		return 0;
	msg_close_fds(msg);
	return error_why(error, ERR_INVALID, "%s came instead of %s", msg_rule(msg->type)->name,
			 msg_rule(type)->name);
}

static int
check_fd(const struct boot_fd *wanted)
{
	int rc;

	if (*wanted->fd < 0)
		return wanted->optional ? 0 : -EBADF;
	if (wanted->type == 0)
		return 0;
	rc = fd_check(*wanted->fd, wanted->type, -1);
	return rc == -EBADF && wanted->type == S_IFDIR ? fd_check(*wanted->fd, wanted->type, O_PATH)
						       : rc;
}

int
boot_take_fds(struct msg *msg, const struct boot_fd *wanted, size_t count, struct error *error)
{
	for (size_t i = 0; i < count; i++)
		*wanted[i].fd = msg_take_fd(msg, (unsigned)i);
	for (size_t i = 0; i < count; i++) {
		int rc = check_fd(&wanted[i]);

		if (rc < 0)
			return error_errno(error, -rc, "%s: the descriptor of %s",
					   msg_rule(msg->type)->name, wanted[i].name);
	}
	return 0;
}

int
boot_drop(uid_t uid, int root, int program, unsigned open_files, struct error *error)
{
	struct confinement to = CONFINEMENT_INIT;

	to.uid = uid;
	to.gid = uid;
	to.root_fd = root;
	to.program_fd = program;
	to.open_files = open_files;
	to.no_processes = true;
	to.landlock = true;
	return confine_prebuilt(&to, error);
}

int
boot_listen(int fd, int backlog, const char *whose, struct error *error)
{
	if (listen(fd, backlog) < 0 || fd_set_nonblock(fd, true) < 0)
		return error_errno(error, errno, "listen on %s socket", whose);
	return 0;
}

int
boot_fail(const struct boot *boot, const struct error *error)
{
	struct msg msg;

	/* Who ends a set-up, or finds the session afterwards, says so itself. */
	log_problem(error->code == ERR_UNREACHABLE ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR, error);
	msg_from_error(&msg, 0, error);
	msg_send(boot->fd, boot->kind, SIDE_B, IN_SETUP, &msg);
	return 1;
}
