/*
 * agentd: the supervisor. Root with a bounded set of capabilities; starts, introduces, restarts
 * and reaps the daemons, and reads no byte that comes from outside: agentd.yaml is parsed by a
 * confined child, operators are control's.
 */
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "agentd.h"
#include "audit_files.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "directories.h"
#include "generation.h"
#include "helpers.h"
#include "listener.h"
#include "notify.h"
#include "state_format.h"

struct options {
	bool check, debug;
	const char *file; /* NULL: the default, which may be missing */
};

static const char default_file[] = SCARAB_SYSCONFDIR "/agentd.yaml";

/* --- options ------------------------------------------------------------------------------------
 */

static int
usage(void)
{
	fprintf(stderr, "usage: agentd [-n] [-d] [-f FILE]\n");
	return ERR_USAGE;
}

/* 0, or an exit status. */
static int
read_options(int argc, char **argv, struct options *options)
{
	int letter;

	opterr = 0;
	while ((letter = getopt(argc, argv, "ndf:")) != -1) {
		switch (letter) {
		case 'n':
			options->check = true;
			break;
		case 'd':
			options->debug = true;
			break;
		case 'f':
			options->file = optarg;
			break;
		default:
			return usage();
		}
	}
	return optind < argc ? usage() : 0;
}

static int
complain(const struct error *error)
{
	char text[ERROR_TEXT_MAX + 1];

	fprintf(stderr, "agentd: %s\n", error_text(error, text));
	if (*error->hint)
		fprintf(stderr, "agentd: hint: %s\n", error->hint);
	return error->code ? (int)error->code : ERR_FAILED;
}

/* --- the configuration at start --------------------------------------------------------------- */

struct first_reading {
	struct agentd *agentd;
	struct error *error;
};

static void
first_read(struct config *config, const struct error *error, void *arg)
{
	struct first_reading *reading = arg;

	if (error)
		*reading->error = *error;
	reading->agentd->config = config;
	loop_stop(reading->agentd->loop, config ? 0 : -1);
}

static int
read_configuration(struct agentd *agentd, struct error *error)
{
	struct first_reading reading = {.agentd = agentd, .error = error};
	struct settings *settings =
	    settings_read(agentd->loop, &agentd->source, first_read, &reading, error);
	int rc;

	if (!settings)
		return -1;
	rc = loop_run(agentd->loop);
	agentd->origins_fd = settings_take_origins(settings);
	settings_free(settings);
	if (rc < 0)
		return -1;
	return agentd_encode(agentd, error);
}

static int
configure(struct agentd *agentd, const struct options *options, struct error *error)
{
	_cleanup_free_ char *dir = helper_own_dir();

	agentd->debug = options->debug;
	agentd->source.path = options->file ? options->file : default_file;
	agentd->source.required = options->file != NULL;
	agentd->loop = loop_new();
	if (!dir || !agentd->loop)
		return error_errno(error, errno, "the event loop");
	agentd->source.parser = helper_open(dir, "agentd-config", error);
	if (agentd->source.parser < 0)
		return -1;
	return read_configuration(agentd, error);
}

/* agentd -n -d: what was understood. */
static void
summarize(const struct agentd *agentd)
{
	const struct config *c = agentd->config;

	printf("configuration: %s\nrun_dir: %s\nstate_dir: %s\nlog_dir: %s\nsocket: %s\n",
	       agentd->source.path, c->run_dir, c->state_dir, c->log_dir, c->socket);
	printf("libexec_dir: %s\ngroup: %s (%llu)\n", c->libexec_dir, c->group,
	       (unsigned long long)c->ids.group);
	printf("users: control %llu, schedd %llu, secretd %llu, dialer %llu, webhook %llu\n",
	       (unsigned long long)c->ids.control, (unsigned long long)c->ids.schedd,
	       (unsigned long long)c->ids.secretd, (unsigned long long)c->ids.dialer,
	       (unsigned long long)c->ids.webhook);
	printf("session_ids: first %llu, ranges %llu\n", (unsigned long long)c->session_ids.first,
	       (unsigned long long)c->session_ids.ranges);
}

/* --- signals
 * --------------------------------------------------------------------------------------- */

static void
on_signal(const struct signalfd_siginfo *signal, void *arg)
{
	struct agentd *agentd = arg;

	switch (signal->ssi_signo) {
	case SIGCHLD:
		daemons_reap(agentd);
		break;
	case SIGHUP:
		agentd_reload(agentd, 0);
		break;
	default:
		daemons_stop(agentd, 0);
		break;
	}
}

static int
watch_signals(struct agentd *agentd, struct error *error)
{
	static const int watched[] = {SIGCHLD, SIGHUP, SIGTERM, SIGINT};
	sigset_t set;
	int rc;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_LEN(watched); i++)
		sigaddset(&set, watched[i]);
	rc = loop_add_signals(agentd->loop, &set, on_signal, agentd);
	return rc < 0 ? error_errno(error, -rc, "watching signals") : 0;
}

/* --- start
 * ------------------------------------------------------------------------------------------- */

static int
take_socket(struct agentd *agentd, struct error *error)
{
	int fd = notify_listener();

	if (fd == -EINVAL)
		return error_why(error, ERR_INVALID, "LISTEN_FDS must pass exactly one socket");
	if (fd >= 0) {
		agentd->listen_fd = fd;
		return listener_check(fd, error);
	}
	agentd->listen_fd =
	    listener_open(agentd->config->socket, SOCK_SEQPACKET, agentd->config->ids.group, error);
	agentd->own_socket = agentd->listen_fd >= 0;
	return agentd->listen_fd < 0 ? -1 : 0;
}

/* secretd's is always agentd's to make, beside the other. */
static int
make_secrets_socket(struct agentd *agentd, struct error *error)
{
	agentd->secrets_socket = config_secrets_socket(agentd->config);
	if (!agentd->secrets_socket)
		return error_errno(error, ENOMEM, "secretd's socket");
	agentd->secrets_fd =
	    listener_open(agentd->secrets_socket, SOCK_SEQPACKET, agentd->config->ids.group, error);
	return agentd->secrets_fd < 0 ? -1 : 0;
}

/* Of metrics, where one is asked for. The configuration may name another one by the end. */
static int
make_metrics_socket(struct agentd *agentd, struct error *error)
{
	const char *path = agentd->config->metrics.socket;

	if (!path)
		return 0;
	agentd->metrics_socket = strdup(path);
	if (!agentd->metrics_socket)
		return error_errno(error, ENOMEM, "metrics.socket");
	agentd->metrics_fd = listener_open(path, SOCK_STREAM, agentd->config->ids.group, error);
	return agentd->metrics_fd < 0 ? error_what(error, "metrics.socket") : 0;
}

/* Everything that root prepares, in the order in which each step protects the next. */
static int
prepare(struct agentd *agentd, struct error *error)
{
	const struct config *config = agentd->config;

	if (daemons_open(agentd, error) < 0)
		return -1;
	agentd->run_fd = directories_run(config, error);
	if (agentd->run_fd < 0)
		return -1;
	agentd->lock_fd = generation_take(agentd->run_fd, config->run_dir, error);
	if (agentd->lock_fd < 0)
		return -1;
	agentd->claim = claim_take(config, error);
	if (!agentd->claim || directories_make(config, error) < 0 ||
	    state_format_check(config, error) < 0)
		return -1;
	agentd->log_fd = directories_log(config, error);
	if (agentd->log_fd < 0)
		return -1;
	agentd->audit_fd = audit_files_open(agentd->log_fd, config, error);
	if (agentd->audit_fd < 0 || take_socket(agentd, error) < 0 ||
	    make_secrets_socket(agentd, error) < 0 || make_metrics_socket(agentd, error) < 0)
		return -1;
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		return error_errno(error, errno, "prctl PR_SET_CHILD_SUBREAPER");
	return privileges_drop(error);
}

static int
serve(struct agentd *agentd, struct error *error)
{
	agentd->started_at_ms = realtime_ms();
	agentd->audit = audit_new(agentd->loop, ROLE_AGENTD);
	if (!agentd->audit)
		return error_errno(error, ENOMEM, "the audit channel");
	if (watch_signals(agentd, error) < 0 || daemons_start(agentd, error) < 0)
		return -1;
	agentd_audit(agentd, true, "agentd.start", "version %s, configuration %s", scarab_version,
		     agentd->source.path);
	return loop_run(agentd->loop);
}

/* The run directory stays: live sessions are in it. */
static void
tidy(struct agentd *agentd)
{
	daemons_free(agentd);
	if (agentd->own_socket)
		listener_remove(agentd->config->socket);
	if (agentd->secrets_fd >= 0)
		listener_remove(agentd->secrets_socket);
	if (agentd->metrics_fd >= 0)
		listener_remove(agentd->metrics_socket);
	if (agentd->lock_fd >= 0)
		generation_forget(agentd->run_fd);
	claim_release(agentd->claim);
}

static int
run(struct agentd *agentd, struct error *error)
{
	int status;

	if (prepare(agentd, error) < 0) {
		tidy(agentd);
		return complain(error);
	}
	status = serve(agentd, error);
	if (status < 0 && error->code)
		log_problem(LOG_LEVEL_ERROR, error);
	tidy(agentd);
	log_info("stopped");
	return status < 0 ? 1 : status;
}

int
main(int argc, char **argv)
{
	struct agentd agentd = {.config_fd = -1,
				.run_fd = -1,
				.lock_fd = -1,
				.listen_fd = -1,
				.log_fd = -1,
				.audit_fd = -1,
				.secrets_fd = -1,
				.metrics_fd = -1,
				.origins_fd = -1,
				.webhooks = {.fd = -1}};
	struct options options = {0};
	struct error error = ERROR_INIT;
	int status = read_options(argc, argv, &options);

	if (status)
		return status;
	if (geteuid() != 0) {
		error_why(&error, ERR_PERMISSION, "must be started by root");
		return complain(&error);
	}
	signal(SIGPIPE, SIG_IGN);
	log_open("agentd", options.debug ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO, log_target_auto());
	agentd.notify = notify_address();
	if (configure(&agentd, &options, &error) < 0)
		return complain(&error);
	if (options.check) {
		if (options.debug)
			summarize(&agentd);
		return 0;
	}
	log_open("agentd", (enum log_level)log_level_parse(agentd.config->log.level),
		 log_target_parse(agentd.config->log.target));
	return run(&agentd, &error);
}
