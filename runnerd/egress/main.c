/* The story of its privileges: root until the session's namespace is furnished, then nobody who may
 * only accept, and move bytes. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/confine.h"
#include "common/io.h"
#include "common/log.h"
#include "egress.h"

enum {
	BOOT_WAIT_MS = 30000,
	OPEN_FILES = 2 * CONNECTIONS_MAX + 4 * NET_PORTS_MAX,
};

/* What EGRESS_BOOT brought, in its order. */
struct boot_fds {
	int rules, dialer, own, root, program;
};

static int
check_fds(const struct boot_fds *fds, struct error *error)
{
	const struct {
		const char *name;
		int fd;
		mode_t type;
	} wanted[] = {
	    {"the rules", fds->rules, S_IFREG},
	    {"the dialer's channel", fds->dialer, S_IFSOCK},
	    {"its own socket", fds->own, S_IFSOCK},
	    {"the private root", fds->root, S_IFDIR},
	    {"the seccomp program", fds->program, S_IFREG},
	};

	for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
		int rc = fd_check(wanted[i].fd, wanted[i].type, -1);

		if (rc < 0 && !(wanted[i].type == S_IFDIR && rc == -EBADF))
			return error_errno(error, -rc, "EGRESS_BOOT: the descriptor of %s",
					   wanted[i].name);
	}
	return 0;
}

static int
receive(struct egress *egress, struct boot_fds *fds, struct error *error)
{
	static struct msg msg;
	int *const slots[] = {&fds->rules, &fds->dialer, &fds->own, &fds->root, &fds->program};
	int rc =
	    msg_greet(EGRESS_FD_BOOT, CH_EGRESS, SIDE_B, ROLE_EGRESS, ROLE_RUNNERD, BOOT_WAIT_MS);

	if (rc == 0)
		rc = msg_recv(EGRESS_FD_BOOT, CH_EGRESS, SIDE_B, IN_SETUP, &msg, BOOT_WAIT_MS);
	if (rc <= 0)
		return error_errno(error, rc < 0 ? -rc : EPIPE, "receiving EGRESS_BOOT");
	if (msg.type != MSG_EGRESS_BOOT) {
		msg_close_fds(&msg);
		return error_why(error, ERR_FAILED, "another message came instead of EGRESS_BOOT");
	}
	egress->boot = msg.egress_boot;
	for (unsigned i = 0; i < ARRAY_LEN(slots); i++)
		*slots[i] = msg_take_fd(&msg, i);
	egress->own_listener = fds->own;
	return check_fds(fds, error);
}

/* Listens only now: SO_PEERCRED tells who called listen(), and that shall be this process. */
static int
drop(struct egress *egress, struct boot_fds *fds, struct error *error)
{
	struct confinement to = CONFINEMENT_INIT;

	to.uid = egress->boot.uid;
	to.gid = to.uid;
	to.root_fd = steal_fd(&fds->root);
	to.program_fd = steal_fd(&fds->program);
	to.open_files = OPEN_FILES;
	to.no_processes = true;
	to.landlock = true;
	if (confine_prebuilt(&to, error) < 0)
		return -1;
	if (listen(egress->own_listener, 4) < 0 || fd_set_nonblock(egress->own_listener, true) < 0)
		return error_errno(error, errno, "listen on the egress process's socket");
	return 0;
}

/* The keeper closed its end, or is gone. */
static void
life_ended(struct loop_source *source, uint32_t events, void *arg)
{
	struct egress *egress = arg;

	(void)source;
	(void)events;
	link_end(egress);
	loop_stop(egress->loop, 0);
}

static int
open_all(struct egress *egress, struct boot_fds *fds, struct error *error)
{
	egress->loop = loop_new();
	egress->names = names_new(boottime_ns());
	if (!egress->loop || !egress->names)
		return error_errno(error, ENOMEM, "the egress process");
	egress->life = loop_add_io(egress->loop, EGRESS_FD_LIFE, EPOLLIN, life_ended, egress);
	if (!egress->life)
		return error_errno(error, errno, "watching the keeper's pipe");
	if (connections_open(egress, error) < 0 || resolver_open(egress, error) < 0 ||
	    listeners_open(egress, error) < 0)
		return -1;
	return link_open(egress, EGRESS_FD_BOOT, steal_fd(&fds->dialer), error);
}

static int
serve(struct egress *egress, struct error *error)
{
	struct boot_fds fds = {-1, -1, -1, -1, -1};
	int rc;

	if (receive(egress, &fds, error) < 0)
		return -1;
	rc = net_rules_read(fds.rules, &egress->rules);
	close_fd(&fds.rules);
	if (rc < 0)
		return error_errno(error, -rc, "reading the rules");
	if (furnish(egress, EGRESS_FD_NET, error) < 0)
		return -1;
	close(EGRESS_FD_NET);
	connections_bound(egress);
	if (drop(egress, &fds, error) < 0 || open_all(egress, &fds, error) < 0)
		return -1;
	return loop_run(egress->loop);
}

/* runnerd is told why when it can still hear it. */
static int
fail(const struct error *error)
{
	struct msg msg;

	log_problem(LOG_LEVEL_ERROR, error);
	msg_from_error(&msg, 0, error);
	msg_send(EGRESS_FD_BOOT, CH_EGRESS, SIDE_B, IN_SETUP, &msg);
	return 1;
}

int
main(void)
{
	static struct egress egress = {.resolver = -1, .own_listener = -1};
	struct error error = ERROR_INIT;
	int rc;

	prctl(PR_SET_NAME, "egress", 0, 0, 0);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	signal(SIGPIPE, SIG_IGN);
	setsid();
	for (int fd = EGRESS_FD_BOOT; fd <= EGRESS_FD_NET; fd++)
		fcntl(fd, F_SETFD, FD_CLOEXEC);
	log_open("egress", LOG_LEVEL_INFO, LOG_TO_STDERR);
	rc = serve(&egress, &error);
	if (rc < 0)
		return fail(&error);
	connections_close(&egress);
	link_close(&egress);
	names_free(egress.names);
	net_rules_clear(&egress.rules);
	loop_free(egress.loop);
	return rc;
}
