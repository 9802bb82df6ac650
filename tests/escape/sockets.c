/* Families and protocols beyond AF_UNIX, AF_INET, AF_INET6 and NETLINK_ROUTE. */
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "escape.h"

static const struct {
	const char *name;
	int family, type, protocol;
} kinds[] = {
    {"packet", AF_PACKET, SOCK_RAW, 0},
    {"packet, the old way", AF_INET, SOCK_PACKET, 0},
    {"raw", AF_INET, SOCK_RAW, IPPROTO_ICMP},
    {"raw 6", AF_INET6, SOCK_RAW, IPPROTO_ICMPV6},
    {"alg", AF_ALG, SOCK_SEQPACKET, 0},
    {"vsock", AF_VSOCK, SOCK_STREAM, 0},
    {"xdp", 44, SOCK_RAW, 0},
    {"key", AF_KEY, SOCK_RAW, 2},
    {"rds", AF_RDS, SOCK_SEQPACKET, 0},
    {"tipc", AF_TIPC, SOCK_SEQPACKET, 0},
    {"can", AF_CAN, SOCK_RAW, 1},
    {"bluetooth", AF_BLUETOOTH, SOCK_RAW, 1},
    {"netlink: netfilter", AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER},
    {"netlink: generic", AF_NETLINK, SOCK_RAW, NETLINK_GENERIC},
    {"netlink: audit", AF_NETLINK, SOCK_RAW, NETLINK_AUDIT},
    {"netlink: sock_diag", AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG},
    {"netlink: uevents", AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT},
    {"netlink: xfrm", AF_NETLINK, SOCK_RAW, NETLINK_XFRM},
    {"sctp", AF_INET, SOCK_STREAM, IPPROTO_SCTP},
    {"dccp", AF_INET6, 6, IPPROTO_DCCP},
    {"mptcp", AF_INET, SOCK_STREAM, 262},
};

int
main(void)
{
	int fd;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		fd = socket(kinds[i].family, kinds[i].type | SOCK_CLOEXEC, kinds[i].protocol);
		attempt(fd >= 0, "socket: %s", kinds[i].name);
		if (fd >= 0)
			close(fd);
	}
	return verdict();
}
