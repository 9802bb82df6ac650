/*
 * The supervisor's one state, passed down to everything that agentd does while it runs.
 */
#ifndef SCARAB_AGENTD_H
#define SCARAB_AGENTD_H

#include "claim.h"
#include "common/daemon.h"
#include "common/procid.h"
#include "settings.h"
#include "webhooks.h"

enum daemon_number { D_SECRETD, D_RUNNERD, D_SCHEDD, D_DIALER, D_CONTROL, D_WEBHOOK, DAEMONS };
enum { DEATHS_MAX = 10 /* within DEATHS_WINDOW_MS: give up */ };

struct agentd;

struct daemon_spec {
	enum role role;
	enum channel_kind kind;
	const char *binary;
	bool on_demand; /* runs while somebody needs it, and takes nobody with it when it cannot */
};

struct daemon {
	const struct daemon_spec *spec;
	struct agentd *agentd;
	int binary;
	bool wanted; /* to run */
	enum daemon_state state;
	struct procid id; /* pid 0: not running */
	struct channel *channel;
	struct loop_source *timer; /* to be ready by; or to start again at */
	uint32_t restarts;
	uint64_t generation; /* of the configuration that it was given last */
	unsigned reloads;    /* RELOADs that it has not answered */
	uint64_t started_at_ms;
	uint64_t deaths_ns[DEATHS_MAX]; /* the last ones, newest first */
};

struct agentd {
	struct loop *loop;
	struct settings_source source;
	bool debug;
	struct config *config;
	int config_fd; /* the same, encoded and sealed */
	uint64_t config_generation;
	int run_fd, lock_fd, listen_fd, log_fd, audit_fd;
	int secrets_fd; /* secretd's operator socket */
	char *secrets_socket;
	int metrics_fd; /* -1: metrics.socket is not set */
	char *metrics_socket;
	bool own_socket; /* bound here, not passed by systemd */
	struct webhooks webhooks;
	struct claim *claim;
	char *notify;
	struct audit *audit;
	struct daemon daemons[DAEMONS];
	uint64_t started_at_ms;
	bool announced; /* READY=1 was sent */
	bool stopping;
	int status; /* to exit with */
	struct loop_source *stop_timer;
	uint64_t missed; /* notices that control was not told */
	struct settings *settings;
	int origins_fd;              /* where the file said what holds; -1 */
	char pending[512];           /* keys that it changed and that need a restart */
	struct loop_source *settled; /* frees settings outside its own callback */
	bool reload_again;           /* SIGHUP while one was under way */
	bool reload_waits;           /* for the daemons to answer */
	uint32_t reload_id;          /* control's request, 0: none */
	struct error reload_error;   /* a daemon refused the last one */
};

/* --- daemons.c
 * ------------------------------------------------------------------------------------ */

extern const struct daemon_spec daemon_specs[DAEMONS];
int daemons_open(struct agentd *agentd, struct error *error);
/* Starts all of them; what fails is tried again by the backoff. -1 with error: no memory. */
int daemons_start(struct agentd *agentd, struct error *error);
/* Reaps every child that ended, its own and those it became subreaper of. */
void daemons_reap(struct agentd *agentd);
/* STOP to all; loop_stop(status) when the last is gone. */
void daemons_stop(struct agentd *agentd, int status);
/* Of one that runs on demand: starts it, or stops it. A running one is started anew. */
void daemon_want(struct daemon *daemon, bool wanted);
/* The daemon said READY. */
void daemon_confined(struct daemon *daemon);
/* Sends the new configuration to those that are ready; the others get it when they are. */
void daemons_reload(struct agentd *agentd);
/* Some daemon has not answered a RELOAD. */
bool daemons_reloading(const struct agentd *agentd);
void daemons_free(struct agentd *agentd);
/* An audit entry of agentd's own; allowed false: it was asked for and did not happen. */
void agentd_audit(struct agentd *agentd, bool allowed, const char *action, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* --- requests.c: what a daemon says ------------------------------------------------------------
 */

void daemon_message(struct channel *channel, struct msg *msg, void *arg);

/* --- reload.c
 * --------------------------------------------------------------------------------------- */

/* Reads agentd.yaml again. id: the request to answer, 0: none. */
void agentd_reload(struct agentd *agentd, uint32_t id);
/* A daemon answered its RELOAD, or died: the request is answered when none is left. why: it
 * refused, else NULL. */
void agentd_reload_answered(struct agentd *agentd, const struct daemon *daemon, const char *why);
int agentd_encode(struct agentd *agentd, struct error *error);

/* --- privileges.c
 * ----------------------------------------------------------------------------------- */

/* Root with the capabilities of agentd and those that runnerd inherits. -1 with error. */
int privileges_drop(struct error *error);

#endif
