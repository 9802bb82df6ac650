#include "network.h"

#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "common/cleanup.h"

static int
raise_loopback(struct error *error)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = {.ifr_name = "lo"};

	if (fd < 0)
		return error_errno(error, errno, "socket");
	request.ifr_flags = IFF_UP | IFF_RUNNING;
	if (ioctl(fd, SIOCSIFFLAGS, &request) < 0)
		return error_errno(error, errno, "SIOCSIFFLAGS");
	return 0;
}

int
network_unshare(struct error *error)
{
	if (unshare(CLONE_NEWNET) < 0)
		return error_errno(error, errno, "unshare(CLONE_NEWNET)");
	if (raise_loopback(error) < 0)
		return error_what(error, "raising the loopback interface");
	return 0;
}
