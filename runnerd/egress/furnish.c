/* What the session's network namespace gets: addresses that are answered locally, and sockets. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "common/netaddr.h"
#include "egress.h"
#include "redirect.h"

enum {
	LOOPBACK_INDEX = 1,
	BACKLOG = 1024,
	REDIRECT_BACKLOG = 4096, /* for all ports together */
	DNS_PORT = 53,
};

/* --- routes ----------------------------------------------------------------------------------- */

/* One request; attributes are appended behind it. */
struct request {
	struct nlmsghdr head;
	union {
		struct rtmsg route;
		struct ifaddrmsg address;
	};
	uint8_t attributes[64];
};

static void
add_attribute(struct request *request, unsigned short type, const void *bytes, size_t length)
{
	struct rtattr attribute = {.rta_len = (unsigned short)RTA_LENGTH(length), .rta_type = type};
	uint8_t *at = (uint8_t *)request + NLMSG_ALIGN(request->head.nlmsg_len);

	memcpy(at, &attribute, sizeof(attribute));
	memcpy(at + RTA_LENGTH(0), bytes, length);
	request->head.nlmsg_len =
	    NLMSG_ALIGN(request->head.nlmsg_len) + (uint32_t)RTA_ALIGN(attribute.rta_len);
}

/* The kernel's answer to the request of this number. 0 or -errno. */
static int
receive_ack(int rtnetlink, unsigned sequence)
{
	struct {
		struct nlmsghdr head;
		struct nlmsgerr error;
		uint8_t rest[512];
	} answer;
	ssize_t n = recv(rtnetlink, &answer, sizeof(answer), 0);

	if (n < 0)
		return -errno;
	if ((size_t)n < NLMSG_LENGTH(sizeof(answer.error)) ||
	    answer.head.nlmsg_type != NLMSG_ERROR || answer.head.nlmsg_seq != sequence)
		return -EPROTO;
	return answer.error.error;
}

/* `ip route add TYPE PREFIX dev lo table local`. 0 or -errno. */
static int
add_route(int rtnetlink, int family, const void *address, unsigned bits, unsigned char type,
	  unsigned sequence)
{
	const uint32_t loopback = LOOPBACK_INDEX;
	struct request request = {
	    .head = {.nlmsg_len = NLMSG_LENGTH(sizeof(request.route)),
		     .nlmsg_type = RTM_NEWROUTE,
		     .nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_REPLACE | NLM_F_ACK,
		     .nlmsg_seq = sequence},
	    .route = {.rtm_family = (unsigned char)family,
		      .rtm_dst_len = (unsigned char)bits,
		      .rtm_table = RT_TABLE_LOCAL,
		      .rtm_protocol = RTPROT_STATIC,
		      .rtm_scope = type == RTN_LOCAL && family == AF_INET ? RT_SCOPE_HOST
									  : RT_SCOPE_UNIVERSE,
		      .rtm_type = type},
	};

	if (bits)
		add_attribute(&request, RTA_DST, address, family == AF_INET ? 4 : 16);
	if (type == RTN_LOCAL)
		add_attribute(&request, RTA_OIF, &loopback, sizeof(loopback));
	if (send(rtnetlink, &request, request.head.nlmsg_len, 0) < 0)
		return -errno;
	return receive_ack(rtnetlink, sequence);
}

static int
route(int rtnetlink, const struct in6_addr *address, unsigned bits, unsigned char type,
      unsigned sequence)
{
	if (IN6_IS_ADDR_V4MAPPED(address) && bits >= NET_V4_BITS)
		return add_route(rtnetlink, AF_INET, &address->s6_addr[12], bits - NET_V4_BITS,
				 type, sequence);
	return add_route(rtnetlink, AF_INET6, address, bits, type, sequence);
}

/* All there is, for policy full. Who speaks to many at once is not heard, and told so. */
static int
add_all(const struct egress *egress, int rtnetlink, unsigned *sequence)
{
	static const struct in6_addr all_v6, many_v6 = {.s6_addr = {0xff}};
	struct in6_addr all, many;
	int rc;

	net_from_v4(&all, INADDR_ANY);
	net_from_v4(&many, INADDR_UNSPEC_GROUP);
	rc = route(rtnetlink, &all, NET_V4_BITS, RTN_LOCAL, (*sequence)++);
	if (rc == 0)
		rc = route(rtnetlink, &many, NET_V4_BITS + 4, RTN_UNREACHABLE, (*sequence)++);
	if (rc == 0 && egress->v6)
		rc = route(rtnetlink, &all_v6, 0, RTN_LOCAL, (*sequence)++);
	if (rc == 0 && egress->v6)
		rc = route(rtnetlink, &many_v6, 8, RTN_UNREACHABLE, (*sequence)++);
	return rc;
}

static int
add_routes(struct egress *egress, int rtnetlink)
{
	struct in6_addr pool;
	unsigned sequence = 1;
	int rc;

	net_from_v4(&pool, NET_POOL_V4);
	rc = route(rtnetlink, &pool, NET_V4_BITS + NET_POOL_BITS, RTN_LOCAL, sequence++);
	net_address(NET_POOL_V6, &pool);
	if (rc == 0 && egress->v6)
		rc = route(rtnetlink, &pool, NET_V4_BITS, RTN_LOCAL, sequence++);
	for (size_t i = 0; rc == 0 && i < egress->rules.count; i++) {
		const struct net_rule *rule = &egress->rules.items[i];
		bool v4 = IN6_IS_ADDR_V4MAPPED(&rule->address) && rule->bits >= NET_V4_BITS;

		if (rule->kind == NET_ANY)
			rc = add_all(egress, rtnetlink, &sequence);
		else if (rule->kind == NET_RANGE && (v4 || egress->v6))
			rc = route(rtnetlink, &rule->address, rule->bits, RTN_LOCAL, sequence++);
	}
	return rc;
}

/* `ip address add ADDRESS/BITS dev lo`. 0 or -errno. */
static int
add_address(int rtnetlink, int family, const void *address, size_t length, unsigned sequence)
{
	struct request request = {
	    .head = {.nlmsg_len = NLMSG_LENGTH(sizeof(request.address)),
		     .nlmsg_type = RTM_NEWADDR,
		     .nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_REPLACE | NLM_F_ACK,
		     .nlmsg_seq = sequence},
	    .address = {.ifa_family = (unsigned char)family,
			.ifa_prefixlen = (unsigned char)(length * 8),
			.ifa_flags = IFA_F_PERMANENT | IFA_F_NODAD,
			.ifa_scope = RT_SCOPE_UNIVERSE,
			.ifa_index = LOOPBACK_INDEX},
	};

	add_attribute(&request, IFA_LOCAL, address, length);
	add_attribute(&request, IFA_ADDRESS, address, length);
	if (send(rtnetlink, &request, request.head.nlmsg_len, 0) < 0)
		return -errno;
	return receive_ack(rtnetlink, sequence);
}

/* The resolver's addresses are the device's own. A host with none but loopback ones has no network
 * to libc's getaddrinfo: with AI_ADDRCONFIG it finds no name. */
static int
add_addresses(const struct egress *egress, int rtnetlink)
{
	const uint32_t v4 = htonl(NAMES_RESOLVER_V4);
	struct in6_addr v6;
	int rc = add_address(rtnetlink, AF_INET, &v4, sizeof(v4), 1);

	net_address(NET_POOL_V6, &v6);
	memcpy(&v6.s6_addr[12], &v4, sizeof(v4));
	return rc < 0 || !egress->v6 ? rc : add_address(rtnetlink, AF_INET6, &v6, sizeof(v6), 2);
}

static int
make_routes(struct egress *egress, struct error *error)
{
	_cleanup_close_ int rtnetlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	int rc = rtnetlink < 0 ? -errno : add_addresses(egress, rtnetlink);

	if (rc < 0)
		return error_errno(error, -rc, "rtnetlink: an address of lo");
	rc = add_routes(egress, rtnetlink);
	return rc < 0 ? error_errno(error, -rc, "rtnetlink: a local route") : 0;
}

/* --- sockets ---------------------------------------------------------------------------------- */

/* An address inside, that no two sandboxes share. */
static int
open_resolver(struct egress *egress, struct error *error)
{
	struct sockaddr_in name = {.sin_family = AF_INET,
				   .sin_port = htons(DNS_PORT),
				   .sin_addr.s_addr = htonl(NAMES_RESOLVER_V4)};

	egress->resolver = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (egress->resolver < 0 ||
	    bind(egress->resolver, (struct sockaddr *)&name, sizeof(name)) < 0)
		return error_errno(error, errno, "the resolver's socket");
	return 0;
}

static int
bind_any(int fd, int family, uint16_t port)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	int on = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		return -1;
	if (family == AF_INET)
		return bind(fd, (struct sockaddr *)&v4, sizeof(v4));
	if (setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
		return -1;
	return bind(fd, (struct sockaddr *)&v6, sizeof(v6));
}

static int
open_listener(struct egress *egress, int family, uint16_t port, struct error *error)
{
	struct listener *listener = &egress->listeners[egress->listener_count];

	listener->egress = egress;
	listener->fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (listener->fd < 0 || bind_any(listener->fd, family, port) < 0 ||
	    listen(listener->fd, BACKLOG) < 0) {
		close_fd(&listener->fd);
		return error_errno(error, errno, "a listening socket for port %u", port);
	}
	egress->listener_count++;
	return 0;
}

/* Bound to an address of the runtime's own, and transparent: the kernel gives it connections to any
 * address. */
static int
open_redirected(struct egress *egress, int family, const struct in6_addr *address,
		struct error *error)
{
	struct listener *listener = &egress->listeners[egress->listener_count];
	struct sockaddr_in6 v6 = {
	    .sin6_family = AF_INET6, .sin6_port = htons(REDIRECT_PORT), .sin6_addr = *address};
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(REDIRECT_PORT)};
	bool is_v4 = family == AF_INET;
	int on = 1;

	memcpy(&v4.sin_addr, &address->s6_addr[12], sizeof(v4.sin_addr));
	listener->egress = egress;
	listener->fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (listener->fd < 0 ||
	    setsockopt(listener->fd, is_v4 ? SOL_IP : SOL_IPV6,
		       is_v4 ? IP_TRANSPARENT : IPV6_TRANSPARENT, &on, sizeof(on)) < 0 ||
	    bind(listener->fd, is_v4 ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6,
		 is_v4 ? sizeof(v4) : sizeof(v6)) < 0 ||
	    listen(listener->fd, REDIRECT_BACKLOG) < 0) {
		close_fd(&listener->fd);
		return error_errno(error, errno, "the listening socket for all ports");
	}
	egress->listener_count++;
	return 0;
}

static int
open_redirect(struct egress *egress, struct error *error)
{
	struct redirect to = {.own_bits = 128 - NAMES_POOL_FIRST_BITS};
	int rc;

	names_own_address(NAMES_LISTENER, false, &to.v4);
	names_own_address(NAMES_LISTENER, true, &to.v6);
	names_own_address(0, false, &to.own_v4);
	names_own_address(0, true, &to.own_v6);
	if (open_redirected(egress, AF_INET, &to.v4, error) < 0 ||
	    (egress->v6 && open_redirected(egress, AF_INET6, &to.v6, error) < 0))
		return -1;
	rc = redirect_ports(&egress->rules, &to, egress->v6);
	if (rc == 0)
		return 0;
	error_errno(error, -rc, "nf_tables: giving all ports to one socket");
	return error_hint(error,
			  "policy full and wide ranges of ports need a kernel with nf_tables "
			  "and nft_tproxy");
}

static bool
has_port(const uint16_t *ports, int count, uint16_t port)
{
	for (int i = 0; i < count; i++)
		if (ports[i] == port)
			return true;
	return false;
}

/* At an address of its own. */
static int
open_proxy(struct egress *egress, struct error *error)
{
	struct sockaddr_in name = {.sin_family = AF_INET,
				   .sin_port = htons(NET_PROXY_PORT),
				   .sin_addr.s_addr = htonl(NAMES_PROXY_V4)};
	struct listener *listener = &egress->listeners[egress->listener_count];

	listener->egress = egress;
	listener->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (listener->fd < 0 || bind(listener->fd, (struct sockaddr *)&name, sizeof(name)) < 0 ||
	    listen(listener->fd, BACKLOG) < 0) {
		close_fd(&listener->fd);
		return error_errno(error, errno, "the proxy's listening socket");
	}
	egress->listener_count++;
	return 0;
}

/* Those of the runtime itself, where the port is not one of a rule's, which is at all addresses. */
static int
open_own_listeners(struct egress *egress, const uint16_t *ports, int count, struct error *error)
{
	if (egress->injects.count && !has_port(ports, count, INJECT_PORT) &&
	    (open_listener(egress, AF_INET, INJECT_PORT, error) < 0 ||
	     (egress->v6 && open_listener(egress, AF_INET6, INJECT_PORT, error) < 0)))
		return -1;
	return has_port(ports, count, NET_PROXY_PORT) ? 0 : open_proxy(egress, error);
}

/* A socket for each port refuses all other ports; where there are too many, one for all. */
static int
open_listeners(struct egress *egress, struct error *error)
{
	uint16_t ports[NET_PORTS_MAX];
	int count = net_rules_ports(&egress->rules, ports);

	if (count < 0 && open_redirect(egress, error) < 0)
		return -1;
	for (int i = 0; i < count; i++)
		if (open_listener(egress, AF_INET, ports[i], error) < 0 ||
		    (egress->v6 && open_listener(egress, AF_INET6, ports[i], error) < 0))
			return -1;
	return open_own_listeners(egress, ports, count, error);
}

/* A host may have none. */
static bool
has_v6(void)
{
	_cleanup_close_ int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in6 name = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};

	return fd >= 0 && bind(fd, (struct sockaddr *)&name, sizeof(name)) == 0;
}

int
furnish(struct egress *egress, int net, struct error *error)
{
	if (setns(net, CLONE_NEWNET) < 0)
		return error_errno(error, errno, "setns to the session's network");
	egress->v6 = has_v6();
	refusals_open(&egress->refusals);
	if (make_routes(egress, error) < 0 || open_resolver(egress, error) < 0 ||
	    open_listeners(egress, error) < 0)
		return error_what(error, "furnishing the session's network");
	return 0;
}
