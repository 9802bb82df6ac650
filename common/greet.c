#include "greet.h"

#include <errno.h>
#include <string.h>

static int
send_hello(int fd, enum channel_kind kind, enum side self, enum role own)
{
	struct msg msg;

	msg_init(&msg, MSG_HELLO);
	msg.hello.protocol = PROTO_VERSION;
	msg.hello.role = (uint8_t)own;
	strncpy(msg.hello.build, scarab_build_id, sizeof(msg.hello.build) - 1);
	return msg_send(fd, kind, self, IN_HELLO, &msg);
}

int
greet(int fd, enum channel_kind kind, enum side self, enum role own, enum role peer, int timeout_ms)
{
	struct msg msg;
	int rc = send_hello(fd, kind, self, own);

	if (rc < 0)
		return rc;
	rc = msg_recv(fd, kind, self, IN_HELLO, &msg, timeout_ms);
	if (rc <= 0)
		return rc < 0 ? rc : -EPIPE;
	if (msg.hello.protocol != PROTO_VERSION || msg.hello.role != peer)
		return -EPROTO;
	if (kind != CH_KEEPER && strcmp(msg.hello.build, scarab_build_id) != 0)
		return -EPROTO;
	return 0;
}
