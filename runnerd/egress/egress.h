/*
 * The egress process of one sandbox, under a user of its own (EGRESS_UID of the agent's range), in
 * the sandbox's network namespace, which has nothing but lo. There only when rules let something
 * through.
 *
 *   the agent ── connects to 198.18.x.y:PORT ── a listening socket in the session's namespace
 *     egress accepts, learns from getsockname() which name that is, asks the dialer, gets a
 * connected socket, and moves bytes between the two until both directions are at their end.
 *
 * The sockets in that namespace are made while it is still root. Once confined it may accept and
 * move bytes, and neither make nor connect a socket: one that is owned reaches what the rules
 * allow, by the dialer, which knows them itself.
 *
 * Nothing is kept of what passes: bytes are looked at where they lie in the receiving socket, sent,
 * and only then taken out. A connection costs two descriptors and a few hundred bytes; who does not
 * read is waited for by who writes.
 *
 * Started by the keeper: 0, 1 /dev/null, 2 the log, and the descriptors below.
 */
#ifndef SCARAB_EGRESS_H
#define SCARAB_EGRESS_H

#include "common/channel.h"
#include "common/netrule.h"
#include "inject.h"
#include "names.h"
#include "refusals.h"

enum {
	EGRESS_FD_BOOT = 3, /* CH_EGRESS, side B */
	EGRESS_FD_LIFE = 4, /* at its end the session is over */
	EGRESS_FD_NET = 5,  /* the session's network namespace */
};

enum {
	CONNECTIONS_MAX = 10240,
	DIALS_AT_ONCE = 256, /* then no more are accepted until some are answered */
	DIAL_WAIT_MS =
	    40000, /* more than the dialer takes; a dialer that is restarted has that long */
	RELAY_BYTES = 256 << 10,
	HELD_BYTES_MAX = 8 << 20, /* first bytes of all connections that wait for more of them */
	NOTES_MAX = 64, /* different ones told in NOTES_EVERY_MS; what is beyond is counted */
	NOTES_EVERY_MS = 5000,
	USES_EVERY_MS = 1000,
	METERS_MAX = 256,   /* names that are told one by one, the rest together */
	STRANGERS_MAX = 64, /* denied names that no rule names, likewise */
};

struct egress;

struct listener {
	struct egress *egress;
	int fd;
	struct loop_source *source;
};

/* Counted for the audit log. */
struct note {
	bool allowed;
	char name[NET_NAME_MAX + 1];
	unsigned port;
	char why[256];
	uint64_t count; /* since it was told */
};

struct egress {
	struct loop *loop;
	struct msg_egress_boot boot;
	struct net_rules rules;
	struct names *names;
	bool v6; /* the sandbox has IPv6 */

	struct injects injects;
	struct tls *tls; /* where there are rules of inject */

	struct listener listeners[2 * (NET_PORTS_MAX + 1) + 1]; /* INJECT_PORT and the proxy too */
	unsigned listener_count;
	bool accepting;
	int resolver; /* UDP, at NAMES_RESOLVER_V4 port 53 */
	struct loop_source *resolver_source;

	struct channel *runnerd, *dialer;
	int own_listener;
	struct loop_source *own_source, *life;

	struct connection *connections;
	unsigned connection_count, dialing, connections_max;
	size_t held_bytes;
	uint32_t last_dial;
	struct loop_source *dial_timer;
	struct exchange *exchanges; /* exchange.h */
	unsigned exchange_count;
	struct proxy_client *proxy_clients; /* proxy.h */
	unsigned proxy_count;

	struct note notes[NOTES_MAX];
	unsigned note_count;
	uint64_t notes_lost;
	struct loop_source *notes_timer, *uses_timer;
	bool uses_due;
	uint64_t total_connections, total_denials;
	struct name_use literals; /* connections to addresses */
	struct refusals refusals;
	struct name_use strangers[STRANGERS_MAX], other_strangers;
	unsigned stranger_count;
	uint8_t *buffer; /* RELAY_BYTES, for what is on its way at this moment */
};

/* furnish.c, as root in the session's namespace: routes, the resolver's socket, the listening ones.
 * The process stays there. 0, or -1 with error. */
int furnish(struct egress *egress, int net, struct error *error);

/* link.c: runnerd and the dialer. */
int link_open(struct egress *egress, int boot, int dialer, struct error *error);
void link_close(struct egress *egress);
/* why NULL: name (or "") was used for the first time. */
void note(struct egress *egress, const char *name, unsigned port, const char *why);
void uses_changed(struct egress *egress);
/* The last words, when the session is over. */
void link_end(struct egress *egress);

/* resolver.c: questions of the agent. */
int resolver_open(struct egress *egress, struct error *error);

/* accept.c and connection.c */
int listeners_open(struct egress *egress, struct error *error);
/* Accepts, or does not, as the dials under way allow. */
void listeners_adjust(struct egress *egress);

/* An accepted socket (taken over) for this name, or where number is -1 for that address. */
void connection_begin(struct egress *egress, int client, int number, const struct in6_addr *address,
		      unsigned port, bool sniffed);
/* One that a client of the proxy asked for, and is told of. */
enum proxy_kind { PROXY_NOT, PROXY_HTTP, PROXY_SOCKS };
void connection_begin_for(struct egress *egress, int client, int number,
			  const struct in6_addr *address, unsigned port, bool sniffed,
			  enum proxy_kind proxy);
/* Ends the socket (taken over) with a reset. */
void reset(int fd);
/* What the dialer answered. */
void connection_dialed(struct egress *egress, struct msg *answer);
/* Asks a new dialer for all that is not answered. */
void connections_dial_again(struct egress *egress);
void connections_close(struct egress *egress);
/* How many there may be, before the drop: two descriptors each. */
void connections_bound(struct egress *egress);
int connections_open(struct egress *egress, struct error *error);
/* The counters of what it is for. */
struct name_use *use_of(struct egress *egress, int number);

#endif
