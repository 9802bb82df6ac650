/*
 * agentd-control as its own modules see it: operators' connections on one side, agentd, schedd and
 * runnerd on the other. It owns nothing and decides little: it checks what operators send, turns
 * manifests into plans, and carries questions and answers. No other process includes this.
 */
#ifndef SCARAB_CONTROL_CONTROL_H
#define SCARAB_CONTROL_CONTROL_H

#include <sys/queue.h>

#include "common/config.h"
#include "common/daemon.h"
#include "common/loop.h"

enum upstream { UP_AGENTD, UP_SCHEDD, UP_RUNNERD, UP_COUNT };

enum {
	CLIENTS_MAX = 256, /* connections: sessions.limit of followers, and as many besides */
	CLIENTS_PER_UID = 192,
	CLIENT_PENDING_MAX = 8, /* requests under way on one connection; then it is not read */
	REQUESTS_MAX = 1024,
	INPUTS_PER_UID = 48,   /* that come at once; runnerd takes 64 from all together */
	FOLLOW_MAX = 64,       /* sessions that one connection follows */
	AWAY_WAIT_MS = 5000,   /* for a daemon that is being restarted */
	STATUS_WAIT_MS = 1000, /* for what ash status may do without */
	SAMPLES_EVERY_MS = 1000,
	ANSWER_WAIT_MS = 30000, /* for a daemon that is there */
	INPUT_WAIT_MS = 50000,  /* for 16 MiB that ash has at hand; less than it waits itself */
};

struct client;
struct request;
struct scrapes;
struct watchers;

struct control {
	struct loop *loop;
	struct config *config;
	struct channel *up[UP_COUNT]; /* NULL while that daemon is away */
	struct audit *audit;          /* NULL in tests */
	struct listener *listener;    /* NULL in tests */
	struct scrapes *scrapes;      /* NULL: metrics.socket is not set */
	TAILQ_HEAD(client_list, client) clients;
	TAILQ_HEAD(request_list, request) requests;
	unsigned request_count;
	uint32_t last_call;
	struct watchers *watchers;
	uint64_t started_at_ms;
};

/* Takes the configuration and the listener (-1: none, in tests). 0, or -1 with error. */
int control_init(struct control *control, struct loop *loop, struct config *config, int listener,
		 struct error *error);
void control_release(struct control *control);

#endif
