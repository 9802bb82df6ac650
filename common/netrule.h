/*
 * What a rule of an allowlist lets through (agent-manifest(5)): the one parser of
 * `NAME:PORT`, `*.NAME:PORT`, `ADDRESS/PREFIX:PORT` and `host.agentd:PORT`, where PORT may be a
 * range LOW-HIGH. Control and ash parse; runnerd, which has decoded the same bounded text, hands
 * the rules on as typed records, and the dialer and egress processes match by those. No state.
 */
#ifndef SCARAB_NETRULE_H
#define SCARAB_NETRULE_H

#include <netinet/in.h>

#include "proto.h"
#include "record.h"

/* The host's loopback, for a model server beside the runtime. */
#define NET_HOST_NAME "host.agentd"
/* The proxy of a sandbox (runnerd/egress/proxy.h), as variables name it. */
#define NET_PROXY_URL "http://198.18.0.3:3128"

enum {
	NET_V4_BITS = 96,    /* an IPv4 address is ::ffff:a.b.c.d here, everywhere */
	NET_TEXT_MAX = 320,  /* of a rule */
	NET_RULES_MAX = 256, /* of one allowlist */
	NET_PORTS_MAX = 128, /* different ports that have a listening socket or two each */
	NET_PROXY_PORT = 3128,
	NET_POOL_BITS = 15, /* 198.18.0.0/15, what names resolve to inside (RFC 2544) */
};

enum net_kind {
	NET_NONE,
	NET_NAME,  /* this name */
	NET_BELOW, /* every name that ends in a dot and this one */
	NET_RANGE, /* addresses */
	NET_HOST,  /* host.agentd */
	NET_ANY,   /* policy full: every name, every public address; no text says it */
	NET_KINDS,
};

/* NET_METER.kind */
enum net_meter {
	METER_NAME,
	METER_ADDRESSES, /* connections to addresses, all together */
	METER_OTHERS,    /* names beyond those that are told one by one */
	METER_KINDS,
};

struct net_rule {
	enum net_kind kind;
	uint16_t low, high;          /* ports, both allowed */
	char name[NET_NAME_MAX + 1]; /* lower case, without a dot at its end; NET_NAME, NET_BELOW */
	struct in6_addr address;     /* a range, and how many of its 128 bits count */
	unsigned bits;
};

struct net_rules {
	struct net_rule *items;
	size_t count;
};

/* False, and why says what is wrong with the text. */
bool net_rule_parse(const char *text, struct net_rule *rule, char why[REASON_SIZE]);
/* Can a session have it at all? Not what is the sandbox's own. */
bool net_rule_possible(const struct net_rule *rule, char why[REASON_SIZE]);
/* "NAME:443", as it would be written; at least NET_TEXT_MAX + 1 bytes. */
const char *net_rule_text(const struct net_rule *rule, char *text, size_t size);

/* Has it addresses? Those of NET_ANY are all. */
bool net_rule_is_range(const struct net_rule *rule);
/* What policy full adds to the rules of its list. */
extern const struct net_rule net_rule_any;

/* Lets the rule this name (lower case, no dot at its end) or address through to this port? */
bool net_rule_allows_name(const struct net_rule *rule, const char *name, unsigned port);
bool net_rule_allows_address(const struct net_rule *rule, const struct in6_addr *address,
			     unsigned port);
/* The first rule that does, or NULL. */
const struct net_rule *net_rules_find_name(const struct net_rules *rules, const char *name,
					   unsigned port);
const struct net_rule *net_rules_find_address(const struct net_rules *rules,
					      const struct in6_addr *address, unsigned port);
/* Has any rule something to say of this name, whatever the port? */
bool net_rules_know_name(const struct net_rules *rules, const char *name);
/* The different ports of all rules, ascending: how many, or -E2BIG over NET_PORTS_MAX. */
int net_rules_ports(const struct net_rules *rules, uint16_t ports[NET_PORTS_MAX]);

/* As records of a sealed memfd. -EBADMSG for what no parser makes. Free with net_rules_clear(). */
int net_rule_add(struct rows *rows, const struct net_rule *rule);
int net_rules_read(int memfd, struct net_rules *rules);
void net_rules_clear(struct net_rules *rules);

/* --- parts, which other values of a manifest are made of too ---------------------------------- */

/* One port number without zeros before it; moves *text behind it. 0: none. */
unsigned net_port(const char **text);
/* "443" or "8000-8010", and nothing behind it. */
bool net_ports(const char *text, unsigned *low, unsigned *high);
/* Labels of letters, digits, - and _, the last one no number (that would be an address). */
bool net_name_valid(const char *text);
/* The address in text, which of IPv6 may stand in brackets, and its length in bits: 32, 128; 0: it
 * is none. */
unsigned net_address(const char *text, struct in6_addr *address);
/* Are the first bits of both equal? */
bool net_same_prefix(const struct in6_addr *a, const struct in6_addr *b, unsigned bits);
void net_from_v4(struct in6_addr *to, uint32_t host_order);

#endif
