#include "netrule.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "netaddr.h"
#include "values.h"

enum {
	HOST_TEXT = 256,
	PORT_MAX = 65535,
	LABEL_MAX = 63,
	RECORDS_MAX = NET_RULES_MAX + 1, /* and net_rule_any */
};

/* --- parts ------------------------------------------------------------------------------------ */

unsigned
net_port(const char **text)
{
	unsigned port = 0;
	int digits = 0;

	if (**text == '0')
		return 0;
	for (; **text >= '0' && **text <= '9' && digits < 6; (*text)++, digits++)
		port = port * 10 + (unsigned)(**text - '0');
	return port <= PORT_MAX ? port : 0;
}

bool
net_ports(const char *text, unsigned *low, unsigned *high)
{
	*low = *high = net_port(&text);
	if (*text == '-') {
		text++;
		*high = net_port(&text);
	}
	return *low > 0 && *high >= *low && *text == '\0';
}

static bool
label_valid(const char *text, size_t length)
{
	if (length == 0 || length > LABEL_MAX || text[0] == '-' || text[length - 1] == '-')
		return false;
	for (size_t i = 0; i < length; i++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_",
			    text[i]))
			return false;
	return true;
}

bool
net_name_valid(const char *text)
{
	size_t length;

	if (strlen(text) > NET_NAME_MAX)
		return false;
	for (;; text += length + 1) {
		length = strcspn(text, ".");
		if (!label_valid(text, length))
			return false;
		if (text[length] == '\0')
			return strspn(text, "0123456789") < length;
	}
}

void
net_from_v4(struct in6_addr *to, uint32_t host_order)
{
	uint32_t network = htonl(host_order);

	memset(to, 0, sizeof(*to));
	to->s6_addr[10] = to->s6_addr[11] = 0xff;
	memcpy(&to->s6_addr[12], &network, sizeof(network));
}

unsigned
net_address(const char *text, struct in6_addr *address)
{
	char plain[HOST_TEXT];
	size_t length = strlen(text);
	struct in_addr v4;

	if (inet_pton(AF_INET, text, &v4) == 1) {
		net_from_v4(address, ntohl(v4.s_addr));
		return 32;
	}
	if (length > 2 && text[0] == '[' && text[length - 1] == ']') {
		text++;
		length -= 2;
	}
	snprintf(plain, sizeof(plain), "%.*s", (int)length, text);
	return inet_pton(AF_INET6, plain, address) == 1 ? 128 : 0;
}

bool
net_same_prefix(const struct in6_addr *a, const struct in6_addr *b, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;

	if (memcmp(a->s6_addr, b->s6_addr, whole) != 0)
		return false;
	return rest == 0 || (a->s6_addr[whole] ^ b->s6_addr[whole]) >> (8 - rest) == 0;
}

static bool
bits_beyond(const struct in6_addr *address, unsigned bits)
{
	for (unsigned i = bits; i < 128; i++)
		if (address->s6_addr[i / 8] & (0x80 >> (i % 8)))
			return true;
	return false;
}

/* --- one rule --------------------------------------------------------------------------------- */

static bool
parse_range(char *host, struct net_rule *rule, char why[REASON_SIZE])
{
	char *slash = strchr(host, '/');
	size_t digits = strspn(slash + 1, "0123456789");
	unsigned bits, prefix = 0;

	*slash = '\0';
	bits = net_address(host, &rule->address);
	if (bits == 0 || digits == 0 || digits > 3 || slash[1 + digits] != '\0')
		return value_wrong(why, "must be ADDRESS/PREFIX:PORT, such as 10.0.0.0/8:443");
	sscanf(slash + 1, "%3u", &prefix);
	if (prefix > bits)
		return value_wrong(why, "has a prefix longer than the address");
	rule->kind = NET_RANGE;
	rule->bits = prefix + 128 - bits;
	if (bits_beyond(&rule->address, rule->bits))
		return value_wrong(why, "has address bits beyond its prefix");
	return true;
}

static bool
parse_address(const char *host, struct net_rule *rule, char why[REASON_SIZE])
{
	if ((*host == '[') != (strchr(host, ':') != NULL))
		return value_wrong(why, "an IPv6 address needs brackets: [2001:db8::1]:443");
	rule->kind = NET_RANGE;
	rule->bits = 128;
	return true;
}

static void
lower(char *to, const char *from)
{
	for (; *from; from++, to++)
		*to = *from >= 'A' && *from <= 'Z' ? (char)(*from + 'a' - 'A') : *from;
	*to = '\0';
}

/* Names below .agentd are the runtime's own (RFC 6761's idea of a name that no resolver sees). */
static bool
is_own(const char *name)
{
	size_t length = strlen(name);

	return strcmp(name, "agentd") == 0 ||
	       (length > 7 && strcmp(name + length - 7, ".agentd") == 0);
}

static bool
parse_name(const char *host, struct net_rule *rule, char why[REASON_SIZE])
{
	bool below = strncmp(host, "*.", 2) == 0;

	if (!net_name_valid(host + (below ? 2 : 0)))
		return value_wrong(
		    why, "must name a host (NAME, *.NAME, ADDRESS/PREFIX or " NET_HOST_NAME
			 ") before the port");
	rule->kind = below ? NET_BELOW : NET_NAME;
	lower(rule->name, host + (below ? 2 : 0));
	if (!below && strcmp(rule->name, NET_HOST_NAME) == 0)
		rule->kind = NET_HOST;
	else if (is_own(rule->name))
		return value_wrong(why, "ends in .agentd, where only " NET_HOST_NAME " is");
	return true;
}

bool
net_rule_parse(const char *text, struct net_rule *rule, char why[REASON_SIZE])
{
	const char *colon = strrchr(text, ':');
	char host[HOST_TEXT + 64];
	unsigned low, high;

	*rule = (struct net_rule){0};
	if (!colon || (strchr(text, ']') && colon < strchr(text, ']')))
		return value_wrong(why, "needs a port: NAME:443");
	if (!net_ports(colon + 1, &low, &high))
		return value_wrong(
		    why, "must end with a port from 1 to 65535, or a range such as 8000-8010");
	if ((size_t)(colon - text) >= sizeof(host))
		return value_wrong(why, "has too long a name");
	rule->low = (uint16_t)low;
	rule->high = (uint16_t)high;
	snprintf(host, sizeof(host), "%.*s", (int)(colon - text), text);
	if (strchr(host, '/'))
		return parse_range(host, rule, why);
	return net_address(host, &rule->address) ? parse_address(host, rule, why)
						 : parse_name(host, rule, why);
}

bool
net_rule_possible(const struct net_rule *rule, char why[REASON_SIZE])
{
	if (rule->kind != NET_RANGE)
		return true;
	if (net_range_meets_loopback(&rule->address, rule->bits))
		return value_wrong(
		    why, "lies in the sandbox's own loopback; the host's is " NET_HOST_NAME);
	if (net_range_meets_pool(&rule->address, rule->bits))
		return value_wrong(
		    why,
		    "lies in what names resolve to inside, 198.18.0.0/15 and " NET_POOL_V6 "/96");
	return true;
}

static void
range_text(const struct net_rule *rule, char *text, size_t size)
{
	char address[INET6_ADDRSTRLEN];
	bool v4 = IN6_IS_ADDR_V4MAPPED(&rule->address) && rule->bits >= NET_V4_BITS;

	if (v4)
		inet_ntop(AF_INET, &rule->address.s6_addr[12], address, sizeof(address));
	else
		inet_ntop(AF_INET6, &rule->address, address, sizeof(address));
	if (rule->bits == 128)
		snprintf(text, size, v4 ? "%s" : "[%s]", address);
	else
		snprintf(text, size, "%s/%u", address, v4 ? rule->bits - NET_V4_BITS : rule->bits);
}

const char *
net_rule_text(const struct net_rule *rule, char *text, size_t size)
{
	char host[HOST_TEXT], ports[16];

	if (rule->kind == NET_RANGE)
		range_text(rule, host, sizeof(host));
	else if (rule->kind == NET_ANY)
		snprintf(host, sizeof(host), "*");
	else
		snprintf(host, sizeof(host), "%s%s", rule->kind == NET_BELOW ? "*." : "",
			 rule->kind == NET_HOST ? NET_HOST_NAME : rule->name);
	snprintf(ports, sizeof(ports), rule->low == rule->high ? "%u" : "%u-%u", rule->low,
		 rule->high);
	snprintf(text, size, "%s:%s", host, ports);
	return text;
}

/* --- matching --------------------------------------------------------------------------------- */

static bool
port_in(const struct net_rule *rule, unsigned port)
{
	return port >= rule->low && port <= rule->high;
}

const struct net_rule net_rule_any = {.kind = NET_ANY, .low = 1, .high = PORT_MAX};

bool
net_rule_is_range(const struct net_rule *rule)
{
	return rule->kind == NET_RANGE || rule->kind == NET_ANY;
}

static bool
name_in(const struct net_rule *rule, const char *name)
{
	size_t length = strlen(name), tail = strlen(rule->name);

	switch (rule->kind) {
	case NET_NAME:
		return strcmp(rule->name, name) == 0;
	case NET_BELOW:
		return length > tail + 1 && name[length - tail - 1] == '.' &&
		       strcmp(name + length - tail, rule->name) == 0;
	case NET_HOST:
		return strcmp(name, NET_HOST_NAME) == 0;
	case NET_ANY:
		return net_name_valid(name) && !is_own(name);
	default:
		return false;
	}
}

bool
net_rule_allows_name(const struct net_rule *rule, const char *name, unsigned port)
{
	return port_in(rule, port) && name_in(rule, name);
}

bool
net_rule_allows_address(const struct net_rule *rule, const struct in6_addr *address, unsigned port)
{
	return net_rule_is_range(rule) && port_in(rule, port) &&
	       net_same_prefix(&rule->address, address, rule->bits);
}

const struct net_rule *
net_rules_find_name(const struct net_rules *rules, const char *name, unsigned port)
{
	for (size_t i = 0; i < rules->count; i++)
		if (net_rule_allows_name(&rules->items[i], name, port))
			return &rules->items[i];
	return NULL;
}

const struct net_rule *
net_rules_find_address(const struct net_rules *rules, const struct in6_addr *address, unsigned port)
{
	for (size_t i = 0; i < rules->count; i++)
		if (net_rule_allows_address(&rules->items[i], address, port))
			return &rules->items[i];
	return NULL;
}

bool
net_rules_know_name(const struct net_rules *rules, const char *name)
{
	for (size_t i = 0; i < rules->count; i++)
		if (name_in(&rules->items[i], name))
			return true;
	return false;
}

/* Sorted by insertion: few. */
static int
insert_port(uint16_t ports[NET_PORTS_MAX], int count, uint16_t port)
{
	int at = 0;

	while (at < count && ports[at] < port)
		at++;
	if (at < count && ports[at] == port)
		return count;
	if (count == NET_PORTS_MAX)
		return -E2BIG;
	memmove(ports + at + 1, ports + at, (size_t)(count - at) * sizeof(*ports));
	ports[at] = port;
	return count + 1;
}

int
net_rules_ports(const struct net_rules *rules, uint16_t ports[NET_PORTS_MAX])
{
	int count = 0;

	for (size_t i = 0; i < rules->count; i++)
		for (unsigned port = rules->items[i].low; port <= rules->items[i].high; port++) {
			count = insert_port(ports, count, (uint16_t)port);
			if (count < 0)
				return count;
		}
	return count;
}

/* --- as records ------------------------------------------------------------------------------- */

int
net_rule_add(struct rows *rows, const struct net_rule *rule)
{
	struct msg record;

	msg_init(&record, MSG_NET_RULE);
	record.net_rule.kind = (uint8_t)rule->kind;
	record.net_rule.low = rule->low;
	record.net_rule.high = rule->high;
	record.net_rule.bits = (uint8_t)rule->bits;
	record.net_rule.address_len = sizeof(rule->address);
	memcpy(record.net_rule.address, &rule->address, sizeof(rule->address));
	snprintf(record.net_rule.name, sizeof(record.net_rule.name), "%s", rule->name);
	return rows_add(rows, &record);
}

/* Whatever the sender did: what comes out of here is what a parser could have made. */
static bool
record_sound(const struct msg_net_rule *from)
{
	bool named = from->kind == NET_NAME || from->kind == NET_BELOW;

	return from->kind > NET_NONE && from->kind < NET_KINDS && from->low > 0 &&
	       from->low <= from->high && from->high <= PORT_MAX && from->bits <= 128 &&
	       from->address_len == sizeof(struct in6_addr) &&
	       (!named || net_name_valid(from->name));
}

static int
take_record(const struct msg *record, struct net_rules *rules)
{
	const struct msg_net_rule *from = &record->net_rule;
	struct net_rule *rule = &rules->items[rules->count];

	if (record->type != MSG_NET_RULE || !record_sound(from) || rules->count == RECORDS_MAX)
		return -EBADMSG;
	*rule = (struct net_rule){.kind = (enum net_kind)from->kind,
				  .low = (uint16_t)from->low,
				  .high = (uint16_t)from->high,
				  .bits = from->bits};
	memcpy(&rule->address, from->address, sizeof(rule->address));
	lower(rule->name, from->name);
	rules->count++;
	return 0;
}

int
net_rules_read(int memfd, struct net_rules *rules)
{
	struct rows_reader *reader = rows_open(memfd);
	static struct msg record;
	int rc;

	*rules = (struct net_rules){0};
	if (!reader)
		return -errno;
	rules->items = calloc(RECORDS_MAX, sizeof(*rules->items));
	rc = rules->items ? 1 : -ENOMEM;
	while (rc > 0 && (rc = rows_next(reader, &record)) > 0) {
		int taken = take_record(&record, rules);

		if (taken < 0)
			rc = taken;
	}
	rows_close(reader);
	if (rc < 0)
		net_rules_clear(rules);
	return rc;
}

void
net_rules_clear(struct net_rules *rules)
{
	free(rules->items);
	*rules = (struct net_rules){0};
}
