#include "envelope.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union control {
	struct cmsghdr head;
	char bytes[CMSG_SPACE(sizeof(int))];
};

int
envelope_seal(int fd)
{
	struct iovec text = {.iov_base = (char[]){0}, .iov_len = 1};
	union control control = {.head = {.cmsg_len = CMSG_LEN(sizeof(int)),
					  .cmsg_level = SOL_SOCKET,
					  .cmsg_type = SCM_RIGHTS}};
	struct msghdr letter = {.msg_iov = &text,
				.msg_iovlen = 1,
				.msg_control = control.bytes,
				.msg_controllen = sizeof(control.bytes)};
	int ends[2], rc;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
		return -errno;
	memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	rc = sendmsg(ends[0], &letter, MSG_NOSIGNAL) < 0 ? -errno : 0;
	close(ends[0]);
	if (!rc)
		return ends[1];
	close(ends[1]);
	return rc;
}

int
envelope_look(int envelope)
{
	struct iovec text = {.iov_base = (char[1]){0}, .iov_len = 1};
	union control control = {0};
	struct msghdr letter = {.msg_iov = &text,
				.msg_iovlen = 1,
				.msg_control = control.bytes,
				.msg_controllen = sizeof(control.bytes)};
	const struct cmsghdr *head;
	int fd;

	if (recvmsg(envelope, &letter, MSG_PEEK | MSG_CMSG_CLOEXEC | MSG_DONTWAIT) < 0)
		return -errno;
	head = CMSG_FIRSTHDR(&letter);
	if (!head || head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS ||
	    head->cmsg_len != CMSG_LEN(sizeof(int)))
		return -EBADMSG;
	memcpy(&fd, CMSG_DATA(head), sizeof(fd));
	return fd;
}
