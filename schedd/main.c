/*
 * schedd(8): which agent runs when, and the ledger of what ran. The story of its privileges:
 * started by agentd as root, it enters a mount namespace that holds its state directory and
 * the system's time zones, read-only, and nothing else, becomes its own user without any
 * capability, and only then opens the ledger and hears of its peers.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "common/cleanup.h"
#include "common/confine.h"
#include "common/log.h"
#include "peers.h"
#include "root.h"
#include "schedd.h"
#include "schedule.h"
#include "webhooks.h"

enum {
	NOGROUP = 65534,   /* no user is a member: never the operators' group */
	OPEN_FILES = 1024, /* watches, one descriptor each, among them */
};

static const char ledger_path[] = "/ledger.db";
static const char zoneinfo_path[] = "/" ROOT_ZONEINFO;

/* Besides the base, what SQLite does to files beneath the private root, the opening and watching of
 * time zones, and syncs beside the loop. */
static const int file_syscalls[] = {
    SYS_open,
    SYS_openat,
    SYS_stat,
    SYS_lstat,
    SYS_newfstatat,
    SYS_access,
    SYS_faccessat,
    SYS_unlink,
    SYS_unlinkat,
    SYS_rename,
    SYS_renameat,
    SYS_fsync,
    SYS_fdatasync,
    SYS_fchmod,
    SYS_fchown,
    SYS_getcwd,
    SYS_readlink,
    SYS_readlinkat,
    SYS_utimes,
    SYS_utimensat,
    SYS_openat2,
    SYS_inotify_init1,
    SYS_inotify_add_watch,
    SYS_eventfd2,
    SYS_io_setup,
    SYS_io_submit,
    SYS_io_getevents,
    SYS_io_destroy,
};

static void
introduced(enum channel_kind kind, enum role peer, int fd, void *arg)
{
	struct schedd *schedd = arg;

	switch (kind) {
	case CH_CONTROL_SCHEDD:
		peers_introduce_control(schedd, fd);
		break;
	case CH_SCHEDD_RUNNERD:
		peers_introduce_runnerd(schedd, fd);
		break;
	case CH_SCHEDD_SECRETD:
		webhooks_introduce_secretd(schedd->webhooks, fd);
		break;
	case CH_SCHEDD_WEBHOOK:
		webhooks_introduce_listener(schedd->webhooks, fd);
		break;
	case CH_AUDIT:
		audit_introduced(schedd->audit, fd);
		break;
	default:
		daemon_not_spoken(ROLE_SCHEDD, kind, peer, fd);
	}
}

static int
reload(struct config *config, struct error *error, void *arg)
{
	return schedd_reload(arg, config, error);
}

static void
stop(void *arg)
{
	struct schedd *schedd = arg;

	loop_stop(schedd->loop, 0);
}

static void
agentd_message(struct channel *agentd, struct msg *msg, void *arg)
{
	struct schedd *schedd = arg;

	(void)agentd;
	if (msg->type == MSG_WEBHOOKS_STATE)
		webhooks_state(schedd->webhooks, &msg->webhooks_state);
}

static const struct daemon_ops daemon_ops = {
    .introduced = introduced,
    .reload = reload,
    .stop = stop,
    .message = agentd_message,
};

static int
give_up_privileges(const struct config *config, struct error *error)
{
	struct confinement confinement = CONFINEMENT_INIT;
	char path[PATH_LEN_MAX + 1];

	if (snprintf(path, sizeof(path), "%s/sched", config->state_dir) >= (int)sizeof(path))
		return error_why(error, ERR_FAILED, "state_dir is too long");
	if (root_enter(path, (uid_t)config->ids.schedd, error) < 0)
		return error_what(error, "entering the private root");
	confinement.uid = (uid_t)config->ids.schedd;
	confinement.gid = NOGROUP;
	confinement.syscalls = file_syscalls;
	confinement.syscall_count = ARRAY_LEN(file_syscalls);
	confinement.open_files = OPEN_FILES;
	confinement.no_processes = true;
	return confine(&confinement, error);
}

static int
run(struct loop *loop, struct config *config, struct error *error)
{
	_cleanup_close_ int zoneinfo = open(zoneinfo_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct channel *agentd = NULL;
	struct error unnoticed = ERROR_INIT;
	struct ledger *ledger;
	struct schedd schedd;
	char name[PATH_LEN_MAX + 1];
	int status;

	snprintf(name, sizeof(name), "%s/sched%s", config->state_dir, ledger_path);
	ledger = ledger_open(ledger_path, name, error);
	if (!ledger)
		return -1;
	if (schedd_init(&schedd, loop, config, ledger, zoneinfo, error) < 0)
		return -1;
	if (zoneinfo >= 0 && schedule_watch_zones(schedd.schedule, zoneinfo_path, &unnoticed) < 0)
		log_problem(LOG_LEVEL_WARNING, &unnoticed);
	schedd.audit = audit_new(loop, ROLE_SCHEDD);
	if (schedd.audit)
		agentd = daemon_ready(loop, ROLE_SCHEDD, &daemon_ops, &schedd);
	if (!agentd)
		return error_errno(error, errno, "joining agentd");
	webhooks_join(schedd.webhooks, agentd);
	status = loop_run(loop);
	schedd_release(&schedd);
	return status;
}

int
main(void)
{
	struct error error = ERROR_INIT;
	struct config *config = NULL;
	struct loop *loop = NULL;
	int extra[DAEMON_EXTRAS], status = -1;

	umask(077);
	if (daemon_start(ROLE_SCHEDD, &config, extra, &error) == 0 &&
	    give_up_privileges(config, &error) == 0) {
		loop = loop_new();
		status = loop ? run(loop, config, &error) : error_errno(&error, errno, "epoll");
	}
	return daemon_exit(status, &error);
}
