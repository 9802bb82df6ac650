/*
 * The network of one session whose rules let something through: an egress process, and what the
 * dialer is told of it (runnerd/egress/egress.h has the whole story). runnerd hands typed rules and
 * channels to the two and sees no byte of a connection.
 */
#ifndef SCARAB_RUNNERD_NET_H
#define SCARAB_RUNNERD_NET_H

#include "session.h"

struct net {
	struct session *s;
	struct channel *egress;
	int egress_end; /* until the keeper has it; -1 */
	int dialer_end; /* of the channel with the dialer, until egress has it; -1 */
	bool up;
	bool adopted;      /* by a runnerd that did not start it */
	bool ending;       /* it said that its session is over */
	bool dialer_stale; /* another dialer came while egress could not be told */
	int uses;          /* memfd of EGRESS_USES; -1 */
	uint64_t connections, denials;
};

/* Where names are asked for inside. */
extern const char net_resolv_conf[];

/* Does the session need one? */
bool net_wanted(const struct session *s);
/* Has it more ports than there are listening sockets for? */
bool net_wants_nf_tables(const struct manifest *plan, enum network_policy policy);
/* In the step: rules and channels. 0, or -1 with error. */
int net_open(struct session *s, struct error *error);
/* After the keeper was told of its plugins: what follows, and EGRESS_BOOT. */
int net_boot(struct session *s, struct error *error);
/* A restarted runnerd meets the egress process of a live session again. */
int net_adopt(struct session *s, struct error *error);
/* Another dialer was introduced: every session's rules again, and a new channel for each. */
void net_dialer_introduced(struct runnerd *r);
/* What went through so far, as the egress process told it last: adds NET_METERs. 0 or -errno. NULL
 * is allowed, here and below. */
int net_meters(const struct net *net, struct rows *rows);
bool net_metered(const struct net *net);
/* The egress process is gone: what it said is heard to its end. */
void net_finish(struct net *net);
void net_free(struct net *net);

#endif
