/*
 * runnerd: root with a bounded capability set. Owns the store of installed agents and every
 * session's life; reads binary messages only. This is what one runnerd is made of; main.c holds
 * the only instance and passes it down.
 */
#ifndef SCARAB_RUNNERD_H
#define SCARAB_RUNNERD_H

#include "common/channel.h"
#include "common/config.h"
#include "common/daemon.h"
#include "common/loop.h"
#include "seccomp.h"
#include "usage.h"

enum { BOOT_ID_LEN = 36 };

/* Directory descriptors, opened as root at start. O_PATH nowhere: they are synced and locked. */
struct places {
	int live;    /* RUN_DIR/sessions */
	int empty;   /* RUN_DIR/empty */
	int state;   /* STATE_DIR */
	int records; /* STATE_DIR/sessions */
	int store;   /* STATE_DIR/store */
	int homes;   /* STATE_DIR/homes */
	int tools;   /* STATE_DIR/tools */
	int logs;    /* LOG_DIR */
};

struct runnerd {
	struct loop *loop;
	struct config *config;
	struct channel *agentd, *control, *schedd, *dialer;
	uint32_t controls; /* how many control processes were introduced */
	struct audit *audit;
	uint64_t missed; /* notices that control was not told */
	struct secrets *secrets;
	struct places at;
	struct store *store;
	struct ids *ids;
	struct cgroups *cgroups;
	struct mechanisms *mechanisms;
	struct spawner *spawner;
	struct home_jobs *home_jobs;
	struct images *images;
	struct spools *spools;
	struct emitted *emitted; /* events of agents that schedd has not yet */
	struct session_table *sessions;
	struct install *installs; /* install.c: those that wait for their packages */
	struct asks_over *asks_over;
	struct usage usage;
	int keeper_program, builder_program, init_program; /* sealed memfds, confine_program() */
	int broker_program, egress_program;
	int broker_binary,
	    egress_binary; /* opened at start: an upgrade under a running runnerd mixes nothing */
	int agent_programs[PROFILE_COUNT]; /* sealed memfds, profile_program() */
	int bridge; /* O_PATH: mcp-bridge of libexec_dir, for every sandbox */
	/* O_PATH: the directories of these names of libexec_dir, for agents of these runtimes. */
	int python, wasm;
	char boot_id[BOOT_ID_LEN + 1];
};

#endif
