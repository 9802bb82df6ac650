/*
 * The dialer: user dialer, shared by all sessions. It resolves the names that a session's rules let
 * through, checks the addresses, connects to one that it checked, and hands the connected socket to
 * the session's egress process, which can make none itself. It sees no byte of a connection.
 *
 * What it reads of others: DIAL of egress processes, which is typed and bounded; answers of DNS, by
 * c-ares; /etc/resolv.conf, as a descriptor, once it is confined. Rules come from runnerd alone.
 */
#ifndef SCARAB_DIALER_H
#define SCARAB_DIALER_H

#include "answers.h"
#include "common/channel.h"
#include "common/config.h"
#include "common/netrule.h"

enum {
	DIALS_MAX = 512,       /* of one session at once; an egress process has fewer under way */
	EAGER_MAX = 256,       /* sockets of a session; beyond it a dial tries one at a time */
	NEXT_MS = 250,         /* then another address is tried besides (RFC 8305) */
	CONNECT_MS = 8000,     /* for the last of them */
	DIAL_MS = 25000,       /* for all, its name included */
	RESOLVE_TRY_MS = 2000, /* then it is asked again, RESOLVE_TRIES times */
	RESOLVE_TRIES = 3,
	RESOLVERS_MAX = 3, /* as many as libc takes from resolv.conf */
};

struct resolver;

struct dialer {
	struct loop *loop;
	struct channel *agentd, *runnerd;
	struct resolver *resolver;
	struct dial_session *sessions;
};

/* One session's rules and its channel; ends with it. */
struct dial_session {
	struct dial_session *next;
	struct dialer *dialer;
	struct uuid id;
	unsigned place; /* 0: its agent, else one of its plugins */
	struct net_rules rules;
	struct channel *channel;
	struct dial *dials;
	unsigned count, sockets; /* dials, and what they try to connect */
	struct answers answers;
};

/* sessions.c */
void dialer_introduced(struct dialer *dialer, int fd);
void sessions_close(struct dialer *dialer);

/* dial.c: one request. Answers through the session's channel, and is gone then. */
void dial_begin(struct dial_session *session, const struct msg *request);
void dials_drop(struct dial_session *session);

/* check.c: may this session connect there? A rule that names the address, or one that names what it
 * was resolved from and an address of the public Internet. False with why. */
bool check_address(const struct net_rules *rules, const char *name, const struct in6_addr *address,
		   unsigned port, char why[256]);

/* resolve.c. NULL with error. */
struct resolver *resolver_new(struct loop *loop, struct error *error);
/* The name servers of this file (borrowed; -1: none), else the host's own. 0 or -1 with error. */
int resolver_servers(struct resolver *resolver, int resolv_conf, struct error *error);
void resolver_free(struct resolver *resolver); /* answers what is open with no address */
/* What a name has: at most ADDRESSES_MAX addresses, valid for so long; or why there are none. */
struct resolution {
	struct in6_addr addresses[ADDRESSES_MAX];
	unsigned count, ttl_s;
	const char *why;
};
/* Borrowed. Called once, maybe before resolve() returns. */
typedef void resolved_fn(const struct resolution *found, void *arg);
void resolve(struct resolver *resolver, const char *name, resolved_fn *fn, void *arg);
/* The servers of a resolv.conf as c-ares takes them, "ADDRESS,ADDRESS": at least 256 bytes. */
void resolver_list(const char *conf, char *list, size_t size);

#endif
