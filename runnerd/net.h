/*
 * The networks of one session whose rules let something through, its agent's and those of plugins:
 * an egress process each, and what the dialer is told of it (runnerd/egress/egress.h has the whole
 * story). runnerd hands typed rules and channels to the two and sees no byte of a connection.
 */
#ifndef SCARAB_RUNNERD_NET_H
#define SCARAB_RUNNERD_NET_H

#include "session.h"

/* A value that secretd writes (inject.h), until egress has it; -1 then. */
struct net_secret {
	int fd;
	bool written;
};

struct net {
	struct net *next; /* of plugins */
	struct session *s;
	unsigned place; /* 0: the agent's, else the plugin's number and one */
	struct channel *egress;
	int egress_end; /* until the keeper has it; -1 */
	int dialer_end; /* of the channel with the dialer, until egress has it; -1 */
	bool up;
	bool adopted;      /* by a runnerd that did not start it */
	bool ending;       /* it said that its session is over */
	bool dialer_stale; /* another dialer came while egress could not be told */
	int uses;          /* memfd of EGRESS_USES; -1 */
	uint64_t connections, denials;
	uint64_t received_bytes, sent_bytes; /* as metrics count them */
	bool counted;               /* what an adopted one had let through is in no other count */
	struct net_secret *secrets; /* as many as the plan has rules of inject */
	unsigned secret_count;
	bool booted; /* EGRESS_BOOT is on its way */
};

/* Where names are asked for inside. */
extern const char net_resolv_conf[];

/* Does the agent need one? */
bool net_wanted(const struct session *s);
bool net_plugin_wanted(const struct manifest_server *plan);
/* Has one of the plan's more ports than there are listening sockets for? policy: the agent's. */
bool net_wants_nf_tables(const struct manifest *plan, enum network_policy policy);
/* In the step: rules and channels. 0, or -1 with error. */
int net_open(struct session *s, struct error *error);
/* The same for a plugin of the plan, where it needs one. */
int net_open_plugin(struct session *s, unsigned number, struct error *error);
/* What KEEPER_BUILDER says of the plugin's. */
void net_add_plugins(struct session *s, unsigned number, struct msg *keeper_builder);
/* After the keeper was told of its plugins: what follows, and EGRESS_BOOT of all. */
int net_boot(struct session *s, struct error *error);
/* Are all of them furnished? */
bool net_is_up(const struct session *s);
/* A restarted runnerd meets the egress processes of a live session again. */
int net_adopt(struct session *s, struct error *error);
/* Another dialer was introduced: every session's rules again, and a new channel for each. */
void net_dialer_introduced(struct runnerd *r);
/* What went through so far, as the egress processes told it last: adds NET_METERs. 0 or -errno. */
int net_meters(const struct session *s, struct rows *rows);
bool net_metered(const struct session *s);
/* The sums of the same. */
void net_bytes(const struct session *s, uint64_t *sent, uint64_t *received);
/* The egress processes are gone: what they said is heard to its end. */
void net_finish(struct session *s);
/* Undoes what the step wrote down. */
void net_forget(const struct session *s);
void net_free(struct session *s);

#endif
