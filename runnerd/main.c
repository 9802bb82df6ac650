/*
 * runnerd. The story of its privileges: as root it opens the directories it owns, then keeps the
 * capabilities that building sandboxes takes and no other, starts the spawner with no more than
 * those, and from then on reads nothing but binary messages and its own records.
 */
#include <fcntl.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "agent_files.h"
#include "asks.h"
#include "cgroup.h"
#include "common/cleanup.h"
#include "common/confine.h"
#include "common/io.h"
#include "common/keeper_calls.h"
#include "common/log.h"
#include "emitted.h"
#include "explain.h"
#include "filter.h"
#include "home_jobs.h"
#include "homes.h"
#include "ids.h"
#include "images.h"
#include "mechanism.h"
#include "packages.h"
#include "peers.h"
#include "recover.h"
#include "runnerd.h"
#include "secrets.h"
#include "session.h"
#include "spawner.h"
#include "spool.h"
#include "store.h"

#define CAP(name) (UINT64_C(1) << CAP_##name)

static const uint64_t kept_capabilities =
    CAP(CHOWN) | CAP(DAC_OVERRIDE) | CAP(DAC_READ_SEARCH) | CAP(FOWNER) | CAP(FSETID) |
    CAP(SETUID) | CAP(SETGID) | CAP(SETPCAP) | CAP(KILL) | CAP(SYS_ADMIN) | CAP(SYS_CHROOT) |
    CAP(NET_ADMIN) | CAP(NET_BIND_SERVICE) | CAP(MKNOD) | CAP(SYS_PTRACE);

/* --- as root -------------------------------------------------------------------------------------
 */

static int
open_place(const char *parent, const char *name, struct error *error)
{
	char path[PATH_LEN_MAX + 1];
	int fd;

	if (snprintf(path, sizeof(path), "%s%s%s", parent, name[0] ? "/" : "", name) > PATH_LEN_MAX)
		return error_errno(error, ENAMETOOLONG, "%s/%s", parent, name);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? error_errno(error, errno, "cannot open %s", path) : fd;
}

static int
open_places(struct runnerd *r, struct error *error)
{
	const struct config *c = r->config;
	const struct {
		int *fd;
		const char *parent, *name;
	} places[] = {
	    {.fd = &r->at.live, .parent = c->run_dir, .name = "sessions"},
	    {.fd = &r->at.empty, .parent = c->run_dir, .name = "empty"},
	    {.fd = &r->at.state, .parent = c->state_dir, .name = ""},
	    {.fd = &r->at.records, .parent = c->state_dir, .name = "sessions"},
	    {.fd = &r->at.store, .parent = c->state_dir, .name = "store"},
	    {.fd = &r->at.homes, .parent = c->state_dir, .name = "homes"},
	    {.fd = &r->at.tools, .parent = c->state_dir, .name = "tools"},
	    {.fd = &r->at.logs, .parent = c->log_dir, .name = ""},
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(places); i++) {
		*places[i].fd = open_place(places[i].parent, places[i].name, error);
		if (*places[i].fd < 0)
			return -1;
	}
	return 0;
}

static int
open_binary(const struct runnerd *r, const char *name, int *fd, struct error *error)
{
	char path[PATH_LEN_MAX + 1];

	if (snprintf(path, sizeof(path), "%s/%s", r->config->libexec_dir, name) > PATH_LEN_MAX)
		return error_errno(error, ENAMETOOLONG, "%s/%s", r->config->libexec_dir, name);
	*fd = open(path, O_RDONLY | O_CLOEXEC);
	return *fd < 0 ? error_errno(error, errno, "cannot open %s", path) : 0;
}

static int
read_boot_id(struct runnerd *r, struct error *error)
{
	_cleanup_close_ int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read_all(fd, r->boot_id, BOOT_ID_LEN);

	if (length != BOOT_ID_LEN)
		return error_errno(error, errno, "cannot read the boot id from /proc");
	return 0;
}

/* Compiled once: what every keeper, builder, init and agent loads at its start. */
static int
compile_filters(struct runnerd *r, struct error *error)
{
	r->keeper_program = confine_program(keeper_syscalls, keeper_syscall_count, error);
	if (r->keeper_program < 0)
		return error_what(error, "the keeper's filter");
	r->builder_program = confine_program(builder_syscalls, builder_syscall_count, error);
	if (r->builder_program < 0)
		return error_what(error, "the builder's filter");
	r->init_program = confine_program(init_syscalls, init_syscall_count, error);
	if (r->init_program < 0)
		return error_what(error, "init's filter");
	r->broker_program = confine_program(broker_syscalls, broker_syscall_count, error);
	if (r->broker_program < 0)
		return error_what(error, "the broker's filter");
	r->egress_program = confine_program(egress_syscalls, egress_syscall_count, error);
	if (r->egress_program < 0)
		return error_what(error, "the egress process's filter");
	for (unsigned i = 0; i < PROFILE_COUNT; i++) {
		r->agent_programs[i] = profile_program((enum seccomp_profile)i, error);
		if (r->agent_programs[i] < 0)
			return -1;
	}
	return 0;
}

/* A dozen descriptors a session: as many as the hard limit lets. */
static void
allow_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static int
drop(struct error *error)
{
	struct confinement to = CONFINEMENT_INIT;

	to.keep_caps = kept_capabilities;
	return confine(&to, error) < 0 ? -1 : filter_load(error);
}

/* --- what it is made of
 * ----------------------------------------------------------------------------- */

/* A host without cgroup v2 still answers `ash doctor`; sessions are refused with the reason. */
static int
find_mechanisms(struct runnerd *r, struct error *error)
{
	struct error why = ERROR_INIT;

	r->cgroups = cgroups_open(r->config, &why);
	if (!r->cgroups)
		log_problem(LOG_LEVEL_ERROR, &why);
	r->mechanisms = mechanisms_probe(r->cgroups, &why);
	mechanisms_warn(&r->config->degraded);
	if (r->mechanisms)
		mechanisms_probe_disk(r->mechanisms, r->at.homes);
	return r->mechanisms ? 0 : error_errno(error, ENOMEM, "probing the host");
}

static long
instructions(int program)
{
	struct stat st;

	return fstat(program, &st) < 0 ? 0
				       : (long)((size_t)st.st_size / sizeof(struct sock_filter));
}

/* What every agent will run under: a host that has less of it says so here and in `ash doctor`. */
static void
say_walls(const struct runnerd *r)
{
	log_info("agents: seccomp %s (%ld instructions) and %s (%ld); Landlock %s",
		 profile_name(PROFILE_SMALLEST), instructions(r->agent_programs[PROFILE_SMALLEST]),
		 profile_name(PROFILE_DEFAULT), instructions(r->agent_programs[PROFILE_DEFAULT]),
		 mechanism_found(r->mechanisms, "landlock"));
}

static int
open_state(struct runnerd *r, struct error *error)
{
	r->ids = ids_open(r->at.state, r->config->session_ids.first, r->config->session_ids.ranges,
			  error);
	if (!r->ids)
		return -1;
	r->store = store_open(r->at.store, error);
	if (!r->store)
		return -1;
	return homes_sweep(r->at.homes) < 0 ? error_errno(error, errno, "reading homes") : 0;
}

static int
make_parts(struct runnerd *r, struct error *error)
{
	r->audit = audit_new(r->loop, ROLE_RUNNERD);
	r->spools = spools_new(r);
	r->emitted = emitted_new(r);
	r->sessions = sessions_new();
	r->secrets = secrets_new(r);
	if (!r->audit || !r->secrets || !r->spools || !r->emitted || !r->sessions)
		return error_errno(error, ENOMEM, "runnerd");
	r->asks_over = asks_over_new();
	if (!r->asks_over)
		return error_errno(error, ENOMEM, "the calls that wait for operators");
	r->home_jobs = home_jobs_new(r, error);
	if (!r->home_jobs)
		return -1;
	r->images = images_open(r, error);
	if (!r->images)
		return -1;
	r->bridge = agent_bridge_open(r->config->libexec_dir, error);
	if (r->bridge < 0)
		return -1;
	r->python = agent_tree_open(r->config->libexec_dir, "python", error);
	r->wasm = r->python < 0 ? -1 : agent_tree_open(r->config->libexec_dir, "wasm", error);
	if (r->wasm < 0)
		return -1;
	r->spawner = spawner_new(r->loop, r->config->libexec_dir, error);
	return r->spawner ? 0 : -1;
}

static int
begin(struct runnerd *r, struct error *error)
{
	int extra[DAEMON_EXTRAS];

	umask(022);
	if (daemon_start(ROLE_RUNNERD, &r->config, extra, error) < 0)
		return -1;
	close_fd(&extra[0]);
	allow_descriptors();
	if (open_places(r, error) < 0 || open_binary(r, "broker", &r->broker_binary, error) < 0 ||
	    open_binary(r, "egress", &r->egress_binary, error) < 0 || read_boot_id(r, error) < 0 ||
	    compile_filters(r, error) < 0 || drop(error) < 0)
		return -1;
	r->loop = loop_new();
	if (!r->loop)
		return error_errno(error, errno, "epoll");
	if (open_state(r, error) < 0 || find_mechanisms(r, error) < 0 || make_parts(r, error) < 0)
		return -1;
	say_walls(r);
	if (recover_sessions(r, error) < 0)
		return -1;
	packages_sweep(r, NULL);
	images_sweep(r);
	return 0;
}

/* --- agentd
 * --------------------------------------------------------------------------------------------- */

static void
introduced(enum channel_kind kind, enum role peer, int fd, void *arg)
{
	(void)peer;
	peer_introduced(arg, kind, fd);
}

static int
reload(struct config *config, struct error *error, void *arg)
{
	struct runnerd *r = arg;

	(void)error;
	config_free(r->config);
	r->config = config;
	mechanisms_warn(&config->degraded);
	return 0;
}

static void
stop(void *arg)
{
	struct runnerd *r = arg;

	loop_stop(r->loop, 0);
}

static const struct daemon_ops ops = {
    .introduced = introduced,
    .reload = reload,
    .stop = stop,
};

static void
signalled(const struct signalfd_siginfo *signal, void *arg)
{
	(void)signal;
	stop(arg);
}

static int
serve(struct runnerd *r, struct error *error)
{
	sigset_t signals;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	if (loop_add_signals(r->loop, &signals, signalled, r) < 0)
		return error_errno(error, errno, "signalfd");
	r->agentd = daemon_ready(r->loop, ROLE_RUNNERD, &ops, r);
	if (!r->agentd)
		return error_errno(error, errno, "the channel with agentd");
	return loop_run(r->loop);
}

/* Sessions go on: their keepers hold all that they need. */
static void
end(struct runnerd *r)
{
	peers_free(r);
	sessions_free(r->sessions);
	secrets_free(r->secrets);
	home_jobs_free(r->home_jobs);
	images_close(r->images);
	asks_over_free(r->asks_over);
	spools_free(r->spools);
	emitted_free(r->emitted);
	spawner_free(r->spawner);
	mechanisms_free(r->mechanisms);
	cgroups_close(r->cgroups);
	store_close(r->store);
	ids_close(r->ids);
	audit_free(r->audit);
	channel_free(r->agentd);
	if (r->loop)
		loop_free(r->loop);
	config_free(r->config);
}

int
main(int argc, char **argv)
{
	struct runnerd r = {.keeper_program = -1,
			    .builder_program = -1,
			    .init_program = -1,
			    .broker_program = -1,
			    .broker_binary = -1,
			    .egress_program = -1,
			    .egress_binary = -1,
			    .agent_programs = {-1, -1},
			    .bridge = -1};
	struct error error = ERROR_INIT;
	int rc;

	log_open("runnerd", LOG_LEVEL_INFO, log_target_auto());
	if (argc == 3 && !strcmp(argv[1], "explain"))
		return explain_offline(argv[2]);
	rc = begin(&r, &error);
	if (!rc)
		rc = serve(&r, &error);
	if (rc < 0)
		log_problem(LOG_LEVEL_ERROR, &error);
	end(&r);
	return rc < 0 ? 1 : rc;
}
