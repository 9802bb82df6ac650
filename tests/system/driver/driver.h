/*
 * A small runnerd for tests: starts the spawner from a build folder, makes cgroups below its own
 * v2 cgroup, and takes sandboxes through their whole life. Root only. What goes wrong on the
 * driver's own side ends the program (die); what goes wrong in a session is in its record.
 */
#ifndef SCARAB_TESTS_DRIVER_H
#define SCARAB_TESTS_DRIVER_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/proto.h"

enum { BASE_UID = 1947000832, WAIT_MS = 20000 };

struct host {
	const char *build;
	char dir[64];
	char cgroup[PATH_LEN_MAX];
	int spawner; /* channel */
	pid_t spawner_pid;
	int keeper_program, builder_program, init_program, agent_program, empty;
	unsigned serial;
};

/* When, on the way of a session. */
enum mark {
	CGROUPS_MADE,
	SPAWNED,
	KEEPER_GREETED,
	BUILDER_GREETED,
	RECIPE_SENT,
	BUILT,
	UP_HEARD,
	RUNNING,
	ENDED,
	MARKS,
};

struct session;

struct trial {
	const char *name;
	const char *argv[4];
	const char *input;
	uint64_t timeout_ms, grace_ms, segment_bytes;
	uint8_t stop_as;    /* STOP once it runs */
	bool leave_early;   /* close the boot channel before GO */
	bool leave_running; /* … after KEEPER_RUNNING, come back over the socket */
	bool give_segments; /* KEEPER_SEGMENT at every change */
	int kill_keeper;    /* these signals once it runs */
	int kill_init;
	const char *bad_path; /* a recipe that must fail there */
	size_t input_bytes;   /* that many instead of input */
	const char *secret;   /* the keeper gets fingerprints of it before GO */
	const char *rotated;  /* … and of this one as well once it runs */
	bool bad_fingerprints;
	bool (*inspect)(struct session *s);
	uint8_t outcome;
	bool started;
	int exit_code, signal;
	const char *log;    /* must be in it */
	const char *hidden; /* must not */
	const char *reason;
};

struct session {
	struct host *host;
	const struct trial *trial;
	struct uuid id;
	char cgroup[PATH_LEN_MAX];
	char socket[108];
	int boot, builder, keeper_pidfd, init_pidfd, runtime, agent;
	int segments[64], record;
	unsigned segment_count;
	uint64_t t0, at[MARKS];
	struct error failure;
	bool inspected;
	uint32_t keeper_pid, init_pid;
	struct msg_exit_record exit;
};

/* Prints what with errno and exits 2. */
_Noreturn void die(const char *what);
void mark(struct session *s, enum mark which);

/* host.c */
void open_host(struct host *host);
void close_host(struct host *host);
/* Kills and removes what a driver that ends early leaves behind; for atexit. */
void sweep_host(const struct host *host);
/* A channel's ends: side A is returned. */
int pair(int *other);

/* recipe.c: greets the builder and sends the whole recipe of s->trial, SEAL included. */
void recipe(struct session *s);

/* session.c */
void run_session(struct host *host, const struct trial *trial, struct session *s);
void close_session(struct session *s);
/* All segments in order; the caller frees it. */
char *read_log(const struct session *s);
/* One message or the program's end. */
void receive(int fd, enum channel_kind kind, struct msg *msg, const char *what);
void send_message(int fd, enum channel_kind kind, enum phase phase, struct msg *msg,
		  const char *what);

#endif
