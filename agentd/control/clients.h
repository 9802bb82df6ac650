/* Operators' connections: accepted within bounds, followed sessions, and their end. */
#ifndef SCARAB_CONTROL_CLIENTS_H
#define SCARAB_CONTROL_CLIENTS_H

#include "control.h"

struct client {
	TAILQ_ENTRY(client) entry;
	struct control *control;
	struct channel *channel;
	uid_t uid;
	bool identified; /* peer holds what agentd said of it */
	struct msg_peer peer;
	unsigned pending;
	struct uuid follows[FOLLOW_MAX];
	unsigned follow_count;
	/* watchers.c: everything that happens is pushed. */
	bool watches, samples;
	uint64_t missed;
};

/* Takes connections of fd, which is taken over: CLIENTS_MAX, of one user CLIENTS_PER_UID. */
int clients_listen(struct control *control, int fd);
/* A connection; fd is taken over. NULL when it is refused. */
struct client *client_new(struct control *control, int fd, uid_t uid);
void client_free(struct client *client);

/* Events of this session are pushed from now on. False: FOLLOW_MAX are. */
bool client_follow(struct client *client, const struct uuid *session);
void client_unfollow(struct client *client, const struct uuid *session);
/* To every connection that follows the session. */
void clients_push(struct control *control, const struct uuid *session, const struct msg *event);

#endif
