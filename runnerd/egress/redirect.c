/*
 * One listening socket for more ports than there may be sockets: nf_tables in the session's
 * namespace gives it what connects to a port of the rules. tproxy instead of a redirect: nothing is
 * rewritten, so no connection is tracked, and getsockname() tells the address asked for as it does
 * everywhere else.
 *
 * nfnetlink by hand, as rtnetlink is in furnish.c: this program is static.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "redirect.h"

#define TABLE "scarab"
#define CHAIN "in"

enum {
	BATCH_BYTES = 160 << 10, /* NET_RULES_MAX rules; a netlink socket takes 208 KiB at once */
	PRIORITY = -150,         /* mangle, where tproxy belongs */
	FLAGS_AT = 13,           /* in a head of TCP */
	PORT_AT = 2,
	ADDRESS_BYTES_MAX = 16,
};

/* A head of IP as far as it matters. */
static const struct ip {
	uint8_t family; /* NFPROTO_* */
	unsigned destination_at, address_bytes;
} ip4 = {NFPROTO_IPV4, 16, 4}, ip6 = {NFPROTO_IPV6, 24, 16};

struct batch {
	unsigned sequence;
	size_t used, message; /* where the last message begins */
	bool over;
	uint8_t bytes[BATCH_BYTES];
};

/* --- netlink ---------------------------------------------------------------------------------- */

static void
append(struct batch *batch, const void *bytes, size_t length)
{
	if (BATCH_BYTES - batch->used < NLMSG_ALIGN(length)) {
		batch->over = true;
		return;
	}
	memset(batch->bytes + batch->used, 0, NLMSG_ALIGN(length));
	memcpy(batch->bytes + batch->used, bytes, length);
	batch->used += NLMSG_ALIGN(length);
}

static void
message_begin(struct batch *batch, unsigned type, unsigned flags, uint8_t family,
	      uint16_t subsystem)
{
	struct nlmsghdr head = {.nlmsg_type = (uint16_t)type,
				.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags),
				.nlmsg_seq = ++batch->sequence};
	struct nfgenmsg what = {
	    .nfgen_family = family, .version = NFNETLINK_V0, .res_id = htons(subsystem)};

	batch->message = batch->used;
	append(batch, &head, sizeof(head));
	append(batch, &what, sizeof(what));
}

static void
message_end(struct batch *batch)
{
	uint32_t length = (uint32_t)(batch->used - batch->message);

	memcpy(batch->bytes + batch->message + offsetof(struct nlmsghdr, nlmsg_len), &length,
	       sizeof(length));
}

static void
attribute(struct batch *batch, unsigned type, const void *bytes, size_t length)
{
	struct nlattr head = {.nla_len = (uint16_t)(sizeof(head) + length),
			      .nla_type = (uint16_t)type};

	append(batch, &head, sizeof(head));
	if (length > 0)
		append(batch, bytes, length);
}

static void
number(struct batch *batch, unsigned type, uint32_t value)
{
	value = htonl(value);
	attribute(batch, type, &value, sizeof(value));
}

static void
text(struct batch *batch, unsigned type, const char *value)
{
	attribute(batch, type, value, strlen(value) + 1);
}

/* Where it begins, for nest_end(). */
static size_t
nest(struct batch *batch, unsigned type)
{
	size_t at = batch->used;

	attribute(batch, type | NLA_F_NESTED, NULL, 0);
	return at;
}

static void
nest_end(struct batch *batch, size_t at)
{
	uint16_t length = (uint16_t)(batch->used - at);

	if (!batch->over)
		memcpy(batch->bytes + at, &length, sizeof(length));
}

/* --- expressions: each is a name and its attributes --------------------------------------------
 */

struct expression {
	size_t element, data;
};

static struct expression
expression(struct batch *batch, const char *name)
{
	struct expression it = {.element = nest(batch, NFTA_LIST_ELEM)};

	text(batch, NFTA_EXPR_NAME, name);
	it.data = nest(batch, NFTA_EXPR_DATA);
	return it;
}

static void
expression_end(struct batch *batch, struct expression it)
{
	nest_end(batch, it.data);
	nest_end(batch, it.element);
}

static void
value(struct batch *batch, unsigned type, const void *bytes, size_t length)
{
	size_t at = nest(batch, type);

	attribute(batch, NFTA_DATA_VALUE, bytes, length);
	nest_end(batch, at);
}

static void
load_protocol(struct batch *batch)
{
	struct expression it = expression(batch, "meta");

	number(batch, NFTA_META_DREG, NFT_REG_1);
	number(batch, NFTA_META_KEY, NFT_META_L4PROTO);
	expression_end(batch, it);
}

static void
load(struct batch *batch, enum nft_payload_bases base, unsigned offset, unsigned length)
{
	struct expression it = expression(batch, "payload");

	number(batch, NFTA_PAYLOAD_DREG, NFT_REG_1);
	number(batch, NFTA_PAYLOAD_BASE, base);
	number(batch, NFTA_PAYLOAD_OFFSET, offset);
	number(batch, NFTA_PAYLOAD_LEN, length);
	expression_end(batch, it);
}

static void
mask(struct batch *batch, const void *bits, size_t length)
{
	static const uint8_t nothing[ADDRESS_BYTES_MAX];
	struct expression it = expression(batch, "bitwise");

	number(batch, NFTA_BITWISE_SREG, NFT_REG_1);
	number(batch, NFTA_BITWISE_DREG, NFT_REG_1);
	number(batch, NFTA_BITWISE_LEN, (uint32_t)length);
	value(batch, NFTA_BITWISE_MASK, bits, length);
	value(batch, NFTA_BITWISE_XOR, nothing, length);
	expression_end(batch, it);
}

/* The rule ends here unless what was loaded compares so. */
static void
compare(struct batch *batch, enum nft_cmp_ops how, const void *bytes, size_t length)
{
	struct expression it = expression(batch, "cmp");

	number(batch, NFTA_CMP_SREG, NFT_REG_1);
	number(batch, NFTA_CMP_OP, how);
	value(batch, NFTA_CMP_DATA, bytes, length);
	expression_end(batch, it);
}

static void
pass(struct batch *batch)
{
	struct expression it = expression(batch, "immediate");
	size_t data, verdict;

	number(batch, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
	data = nest(batch, NFTA_IMMEDIATE_DATA);
	verdict = nest(batch, NFTA_DATA_VERDICT);
	number(batch, NFTA_VERDICT_CODE, NF_ACCEPT);
	nest_end(batch, verdict);
	nest_end(batch, data);
	expression_end(batch, it);
}

static void
set(struct batch *batch, enum nft_registers to, const void *bytes, size_t length)
{
	struct expression it = expression(batch, "immediate");

	number(batch, NFTA_IMMEDIATE_DREG, to);
	value(batch, NFTA_IMMEDIATE_DATA, bytes, length);
	expression_end(batch, it);
}

/* --- rules ------------------------------------------------------------------------------------ */

static size_t
rule_begin(struct batch *batch, const struct ip *ip)
{
	message_begin(batch, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWRULE,
		      NLM_F_CREATE | NLM_F_APPEND, ip->family, 0);
	text(batch, NFTA_RULE_TABLE, TABLE);
	text(batch, NFTA_RULE_CHAIN, CHAIN);
	return nest(batch, NFTA_RULE_EXPRESSIONS);
}

static void
rule_end(struct batch *batch, size_t expressions)
{
	nest_end(batch, expressions);
	message_end(batch);
}

/* Whatever is not the first segment of a connection finds its socket by itself. */
static void
pass_all_but_first(struct batch *batch, const struct ip *ip)
{
	const uint8_t tcp = IPPROTO_TCP, looked_at = TH_SYN | TH_ACK, first = TH_SYN;
	size_t rule = rule_begin(batch, ip);

	load_protocol(batch);
	compare(batch, NFT_CMP_NEQ, &tcp, sizeof(tcp));
	pass(batch);
	rule_end(batch, rule);

	rule = rule_begin(batch, ip);
	load(batch, NFT_PAYLOAD_TRANSPORT_HEADER, FLAGS_AT, 1);
	mask(batch, &looked_at, 1);
	compare(batch, NFT_CMP_NEQ, &first, 1);
	pass(batch);
	rule_end(batch, rule);
}

/* The sandbox's loopback and the runtime's own addresses. */
static void
pass_own(struct batch *batch, const struct ip *ip, const struct in6_addr *address, unsigned bits)
{
	size_t skipped = ADDRESS_BYTES_MAX - ip->address_bytes, rule = rule_begin(batch, ip);
	uint8_t all[ADDRESS_BYTES_MAX] = {0};

	for (unsigned i = 0; i < bits; i++)
		all[i / 8] |= (uint8_t)(0x80 >> i % 8);
	load(batch, NFT_PAYLOAD_NETWORK_HEADER, ip->destination_at, ip->address_bytes);
	mask(batch, all + skipped, ip->address_bytes);
	compare(batch, NFT_CMP_EQ, address->s6_addr + skipped, ip->address_bytes);
	pass(batch);
	rule_end(batch, rule);
}

static void
catch_ports(struct batch *batch, const struct ip *ip, uint16_t low, uint16_t high,
	    const struct redirect *to)
{
	const struct in6_addr *address = ip == &ip4 ? &to->v4 : &to->v6;
	size_t skipped = ADDRESS_BYTES_MAX - ip->address_bytes, rule = rule_begin(batch, ip);
	uint16_t from = htons(low), until = htons(high), port = htons(REDIRECT_PORT);
	struct expression it;

	load(batch, NFT_PAYLOAD_TRANSPORT_HEADER, PORT_AT, sizeof(from));
	compare(batch, NFT_CMP_GTE, &from, sizeof(from));
	compare(batch, NFT_CMP_LTE, &until, sizeof(until));
	set(batch, NFT_REG_1, address->s6_addr + skipped, ip->address_bytes);
	set(batch, NFT_REG_2, &port, sizeof(port));
	it = expression(batch, "tproxy");
	number(batch, NFTA_TPROXY_FAMILY, ip->family);
	number(batch, NFTA_TPROXY_REG_ADDR, NFT_REG_1);
	number(batch, NFTA_TPROXY_REG_PORT, NFT_REG_2);
	expression_end(batch, it);
	rule_end(batch, rule);
}

/* Every range once, though rules name it twice: by a map of all ports. */
static void
catch_all_ports(struct batch *batch, const struct ip *ip, const struct net_rules *rules,
		const struct redirect *to)
{
	static bool named[UINT16_MAX + 2];
	unsigned first = 0;

	memset(named, 0, sizeof(named));
	for (size_t i = 0; i < rules->count; i++)
		memset(named + rules->items[i].low, true,
		       1U + rules->items[i].high - rules->items[i].low);
	for (unsigned port = 1; port <= UINT16_MAX + 1; port++) {
		if (named[port] && !named[port - 1])
			first = port;
		if (!named[port] && named[port - 1])
			catch_ports(batch, ip, (uint16_t)first, (uint16_t)(port - 1), to);
	}
}

static void
make_chain(struct batch *batch, const struct ip *ip)
{
	size_t hook;

	message_begin(batch, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWTABLE, NLM_F_CREATE, ip->family,
		      0);
	text(batch, NFTA_TABLE_NAME, TABLE);
	message_end(batch);
	message_begin(batch, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWCHAIN, NLM_F_CREATE, ip->family,
		      0);
	text(batch, NFTA_CHAIN_TABLE, TABLE);
	text(batch, NFTA_CHAIN_NAME, CHAIN);
	hook = nest(batch, NFTA_CHAIN_HOOK);
	number(batch, NFTA_HOOK_HOOKNUM, NF_INET_PRE_ROUTING);
	number(batch, NFTA_HOOK_PRIORITY, (uint32_t)PRIORITY);
	nest_end(batch, hook);
	text(batch, NFTA_CHAIN_TYPE, "filter");
	number(batch, NFTA_CHAIN_POLICY, NF_ACCEPT);
	message_end(batch);
}

static void
make_rules(struct batch *batch, const struct ip *ip, const struct net_rules *rules,
	   const struct redirect *to)
{
	struct in6_addr loopback = IN6ADDR_LOOPBACK_INIT;
	unsigned bits = 128;

	if (ip == &ip4) {
		net_from_v4(&loopback, 127U << 24);
		bits = NET_V4_BITS + 8;
	}
	message_begin(batch, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
	message_end(batch);
	make_chain(batch, ip);
	pass_all_but_first(batch, ip);
	pass_own(batch, ip, &loopback, bits);
	pass_own(batch, ip, ip == &ip4 ? &to->own_v4 : &to->own_v6, to->own_bits);
	catch_all_ports(batch, ip, rules, to);
	message_begin(batch, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
	message_end(batch);
}

/* --- the kernel ------------------------------------------------------------------------------- */

/* The last rule, which is the message before BATCH_END, is acknowledged; what fails, at any rate.
 */
static void
want_answer(struct batch *batch)
{
	struct nlmsghdr head;
	size_t at = 0, last = 0;

	for (; at < batch->message; at += NLMSG_ALIGN(head.nlmsg_len)) {
		memcpy(&head, batch->bytes + at, sizeof(head));
		last = at;
	}
	memcpy(&head, batch->bytes + last, sizeof(head));
	head.nlmsg_flags |= NLM_F_ACK;
	memcpy(batch->bytes + last, &head, sizeof(head));
}

static int
receive_answer(int nfnetlink)
{
	struct {
		struct nlmsghdr head;
		struct nlmsgerr error;
		uint8_t rest[512];
	} answer;
	ssize_t n = recv(nfnetlink, &answer, sizeof(answer), 0);

	if (n < 0)
		return -errno;
	if ((size_t)n < NLMSG_LENGTH(sizeof(answer.error)) || answer.head.nlmsg_type != NLMSG_ERROR)
		return -EPROTO;
	return answer.error.error;
}

static int
send_rules(int nfnetlink, const struct ip *ip, const struct net_rules *rules,
	   const struct redirect *to)
{
	static struct batch batch;

	batch.sequence = 0;
	batch.used = 0;
	batch.over = false;
	make_rules(&batch, ip, rules, to);
	if (batch.over)
		return -E2BIG;
	want_answer(&batch);
	if (send(nfnetlink, batch.bytes, batch.used, 0) < 0)
		return -errno;
	return receive_answer(nfnetlink);
}

int
redirect_ports(const struct net_rules *rules, const struct redirect *to, bool v6)
{
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	int rc = fd < 0 ? -errno : send_rules(fd, &ip4, rules, to);

	return rc == 0 && v6 ? send_rules(fd, &ip6, rules, to) : rc;
}
