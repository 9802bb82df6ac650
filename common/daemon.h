/*
 * What every daemon below agentd does the same way: its fixed descriptors, the greeting with
 * agentd, the configuration, the announcement that it is confined, and its introductions.
 */
#ifndef SCARAB_DAEMON_H
#define SCARAB_DAEMON_H

#include "channel.h"
#include "config.h"

enum {
	DAEMON_FD_AGENTD = 3,     /* CH_SUPERVISE…, side B */
	DAEMON_FD_GENERATION = 4, /* the generation lock, held as long as the daemon lives */
};

/* Blocking, as root, first thing in main(): HELLO, START. Fills config and extra (the descriptors
 * of START behind the first, DAEMON_EXTRAS of them, -1 where there is none), and opens the log as
 * the configuration says. -1 with error: exit 1. */
enum { DAEMON_EXTRAS = 3 };
int daemon_start(enum role role, struct config **config, int extra[DAEMON_EXTRAS],
		 struct error *error);

/* RUN_DIR/empty, the root of daemons that need no file. The caller's descriptor, or -1 with error.
 */
int daemon_empty_root(const struct config *config, struct error *error);

struct daemon_ops {
	/* A new channel of this kind; fd is the daemon's to take. */
	void (*introduced)(enum channel_kind kind, enum role peer, int fd, void *arg);
	/* A new configuration, owned by the callee in every case; the log's level follows it.
	 * Returns 0, or -1 with error to refuse it. */
	int (*reload)(struct config *config, struct error *error, void *arg);
	/* Finish and call loop_stop(); EOF of agentd comes here too. */
	void (*stop)(void *arg);
	/* Any other permitted message (control and secretd). May be NULL. */
	void (*message)(struct channel *agentd, struct msg *msg, void *arg);
};

/* After confine(): puts the agentd channel on the loop and sends READY. The caller frees it with
 * channel_free; it stays valid when agentd went away. NULL with errno. */
struct channel *daemon_ready(struct loop *loop, enum role role, const struct daemon_ops *ops,
			     void *arg);

/* An introduction over a channel that this daemon does not speak: says so and closes fd. */
void daemon_not_spoken(enum role self, enum channel_kind kind, enum role peer, int fd);

/* The last of main(): says what went wrong when status is below 0. The exit status. */
int daemon_exit(int status, const struct error *error);

/* The audit channel of this daemon: INTRODUCE with CH_AUDIT. Every line is kept until secretd says
 * that it is durable, and sent again to a secretd that was restarted. Over AUDIT_KEPT_MAX of them
 * new ones are dropped and counted; what was dropped is itself an entry once there is room. */
enum {
	AUDIT_KEPT_MAX = 4096,  /* 6 MiB at the worst */
	AUDIT_READY_MAX = 2048, /* then operators' commands that change something are refused */
};
struct audit;
struct audit *audit_new(struct loop *loop, enum role role);
void audit_introduced(struct audit *audit, int fd);
void audit_send(struct audit *audit, const struct msg_audit *line);
/* May something be begun that must be told? */
bool audit_ready(const struct audit *audit);
/* How many entries the log has, as secretd told it last; 0: it has not. Asks for the next time. */
uint64_t audit_entries(struct audit *audit);
/* Lines that are not durable; NULL: none. And is secretd there to take them? */
size_t audit_waiting(const struct audit *audit);
bool audit_connected(const struct audit *audit);
void audit_free(struct audit *audit); /* NULL is allowed */

#endif
