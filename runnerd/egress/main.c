/* The story of its privileges: root until the session's namespace is furnished, then nobody who may
 * only accept, and move bytes. */
#include <errno.h>
#include <sys/stat.h>

#include "common/boot.h"
#include "common/cleanup.h"
#include "common/io.h"
#include "exchange.h"

enum { OPEN_FILES = 2 * (CONNECTIONS_MAX + EXCHANGES_MAX) + 4 * NET_PORTS_MAX };

static const struct boot boot = {"egress", EGRESS_FD_BOOT, CH_EGRESS, ROLE_EGRESS};

/* What EGRESS_BOOT brought besides its socket. */
struct boot_fds {
	int rules, dialer, root, program, inject, trust; /* the last two: with inject */
};

static int
receive(struct egress *egress, struct boot_fds *fds, struct error *error)
{
	static struct msg msg;
	const struct boot_fd wanted[] = {
	    {"the rules", &fds->rules, S_IFREG, false},
	    {"the dialer's channel", &fds->dialer, S_IFSOCK, false},
	    {"its own socket", &egress->own_listener, S_IFSOCK, false},
	    {"the private root", &fds->root, S_IFDIR, false},
	    {"the seccomp program", &fds->program, S_IFREG, false},
	    {"the rules of inject", &fds->inject, S_IFREG, true},
	    {"the trust store", &fds->trust, S_IFREG, true},
	};

	if (boot_greet(&boot, error) < 0 || boot_receive(&boot, MSG_EGRESS_BOOT, &msg, error) < 0)
		return -1;
	egress->boot = msg.egress_boot;
	return boot_take_fds(&msg, wanted, ARRAY_LEN(wanted), error);
}

static int
drop(const struct egress *egress, const struct boot_fds *fds, struct error *error)
{
	if (boot_drop(egress->boot.uid, fds->root, fds->program, OPEN_FILES, error) < 0)
		return -1;
	return boot_listen(egress->own_listener, 4, "the egress process's", error);
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
	if (egress->boot.inject && !(egress->tls = tls_new(fds->trust, error)))
		return -1;
	close_fd(&fds->trust);
	if (connections_open(egress, error) < 0 || resolver_open(egress, error) < 0 ||
	    listeners_open(egress, error) < 0)
		return -1;
	return link_open(egress, EGRESS_FD_BOOT, steal_fd(&fds->dialer), error);
}

static int
serve(struct egress *egress, struct error *error)
{
	struct boot_fds fds = {-1, -1, -1, -1, -1, -1};
	int rc;

	if (receive(egress, &fds, error) < 0)
		return -1;
	rc = net_rules_read(fds.rules, &egress->rules);
	close_fd(&fds.rules);
	if (rc == 0 && egress->boot.inject)
		rc = injects_read(fds.inject, &egress->injects);
	close_fd(&fds.inject);
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

int
main(void)
{
	static struct egress egress = {.resolver = -1, .own_listener = -1};
	struct error error = ERROR_INIT;
	int rc;

	boot_begin(&boot, EGRESS_FD_NET);
	rc = serve(&egress, &error);
	if (rc < 0)
		return boot_fail(&boot, &error);
	connections_close(&egress);
	link_close(&egress);
	names_free(egress.names);
	net_rules_clear(&egress.rules);
	injects_clear(&egress.injects);
	tls_free(egress.tls);
	loop_free(egress.loop);
	return rc;
}
