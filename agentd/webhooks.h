/*
 * The webhook listener as agentd sees it: it runs while schedd says that some agent waits for
 * webhooks, and agentd makes its socket, since it can make none itself. The socket outlives the
 * process: who connects while that is started again waits. What cannot be bound or opened is said
 * in the log and to schedd, which shows it, and is tried again at a reload or at the next need.
 */
#ifndef SCARAB_AGENTD_WEBHOOKS_H
#define SCARAB_AGENTD_WEBHOOKS_H

#include "common/error.h"
#include "common/proto.h"

struct agentd;
struct daemon;

struct webhooks {
	int fd; /* the listening socket; -1: none */
	bool wanted;
	bool tls;                 /* the last one was started with a certificate */
	char bound[256];          /* what fd is bound to, as agentd.yaml has it */
	char why[REASON_MAX + 1]; /* nobody listens; empty: somebody does, or nobody wants it */
};

/* schedd said what agents need. */
void webhooks_want(struct agentd *agentd, bool wanted);
/* A new configuration, or the same: certificates are read again. */
void webhooks_reload(struct agentd *agentd);
/* Puts the listener's descriptors into its START. */
void webhooks_add(struct agentd *agentd, struct msg *start);
/* A daemon became ready: schedd is told how it stands. */
void webhooks_ready(struct agentd *agentd, const struct daemon *daemon);
/* A daemon died and will be started again: until then nobody listens, which schedd is told. */
void webhooks_died(struct agentd *agentd, const struct daemon *daemon);
/* The listener died too often. */
void webhooks_gave_up(struct agentd *agentd);

/* A listening TCP socket at ADDRESS:PORT. -1 with error. */
int webhooks_bind(const char *address, struct error *error);

#endif
