#include "nf_tables.h"

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include "common/cleanup.h"

/* Asks for the generation of the rules, which only a kernel with nf_tables tells. */
bool
nf_tables_there(void)
{
	struct {
		struct nlmsghdr head;
		struct nfgenmsg what;
	} request = {.head = {.nlmsg_len = sizeof(request),
			      .nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN,
			      .nlmsg_flags = NLM_F_REQUEST}};
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	struct nlmsghdr answer[16] = {{.nlmsg_type = NLMSG_ERROR}};

	return fd >= 0 && send(fd, &request, sizeof(request), 0) > 0 &&
	       recv(fd, answer, sizeof(answer), MSG_DONTWAIT) > 0 &&
	       answer[0].nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN);
}
