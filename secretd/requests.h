/*
 * What operators ask of the store: set, list, remove, grant, revoke, and its keys. Only secretd.
 */
#ifndef SCARAB_SECRETD_REQUESTS_H
#define SCARAB_SECRETD_REQUESTS_H

#include "operators.h"

/* One message of a client; opens the store first where the request needs that and agentd has the
 * key. */
void request_run(struct client *client, struct msg *msg);

/* keying.c */
void request_keying(struct client *client, struct msg *msg);
void request_key(struct client *client, struct msg *msg);
void request_rotate(struct client *client, struct msg *msg);
/* macs.c */
void request_macs(struct client *client, struct msg *msg);
/* The client is gone. */
void macs_forget(struct secretd *s, const struct client *client);
/* Opens or makes the store with the key in this file (borrowed). 0, or -1 with error. */
int keying_use(struct secretd *s, int fd, struct error *error);
/* Asks agentd for the key once more, for nobody: after a reload. */
void keying_try(struct secretd *s);

/* What OP_SECRET_LIST is answered: records of the store, which is open or empty. 0 or -errno. */
int list_rows(struct secretd *s, struct rows *rows, const struct msg_op_secret_list *list);

/* Reads what a pipe holds, whole, its writer gone, into at most max bytes. Its length, or -1 with
 * error. */
ssize_t pipe_read(int fd, uint8_t *bytes, size_t max, struct error *error);

#endif
