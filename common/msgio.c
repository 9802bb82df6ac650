/* The one sender and the one receiver of datagrams, DESIGN 4. */
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "cleanup.h"
#include "proto.h"

enum {
	SCM_FDS = 253, /* SCM_MAX_FD of the kernel: the most that one datagram can carry */
	RESETS = 2,    /* how often ECONNRESET may hide what still waits to be read */
};

/*
 * Room for every descriptor that a datagram can carry, so that surplus ones are seen and closed.
 * A buffer for exactly the wanted number would not do: it is rounded up to 8 bytes, and a second
 * descriptor fits into the padding of one without MSG_CTRUNC.
 */
union control {
	struct cmsghdr header;
	uint8_t bytes[CMSG_SPACE(SCM_FDS * sizeof(int)) + CMSG_SPACE(3 * sizeof(uint32_t))];
};

/* --- sending -------------------------------------------------------------------------------- */

static ssize_t
send_datagram(int fd, const uint8_t *bytes, size_t length, const int *fds, unsigned nfds)
{
	_Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(PROTO_FDS_MAX * sizeof(int))];
	struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = length};
	struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};

	if (nfds > 0) {
		memset(control, 0, sizeof(control));
		header.msg_control = control;
		header.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		struct cmsghdr *cmsg = CMSG_FIRSTHDR(&header);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, nfds * sizeof(int));
	}
	return sendmsg(fd, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
}

int
msg_send_raw(int fd, const uint8_t *bytes, size_t length, const int *fds, unsigned nfds)
{
	for (;;) {
		ssize_t n = send_datagram(fd, bytes, length, fds, nfds);
		if (n >= 0)
			return (size_t)n == length ? 0 : -EIO;
		if (errno != EINTR)
			return -errno;
	}
}

int
msg_send(int fd, enum channel_kind kind, enum side self, enum phase phase, const struct msg *msg)
{
	uint8_t bytes[PROTO_MESSAGE_MAX];

	if (!msg_permitted(msg->type, kind, self, phase))
		return -EPERM;
	ssize_t length = msg_encode(msg, bytes, sizeof(bytes));
	if (length < 0)
		return (int)length;
	for (;;) {
		int r = msg_send_raw(fd, bytes, (size_t)length, msg->fds, msg->nfds);
		if (r != -EAGAIN)
			return r;
		struct pollfd writable = {.fd = fd, .events = POLLOUT};
		if (poll(&writable, 1, -1) < 0 && errno != EINTR)
			return -errno;
	}
}

/* --- receiving ------------------------------------------------------------------------------ */

/* What came with one datagram. */
struct parcel {
	int fds[SCM_FDS];
	unsigned nfds;
	bool strange; /* control messages that no peer of ours sends */
};

static void
parcel_close(struct parcel *parcel)
{
	for (unsigned i = 0; i < parcel->nfds; i++)
		close_fd(&parcel->fds[i]);
	parcel->nfds = 0;
}

static void
collect_rights(struct parcel *parcel, struct cmsghdr *cmsg)
{
	size_t count = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);

	for (size_t i = 0; i < count; i++) {
		_cleanup_close_ int fd = -1;
		memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(int));
		if (parcel->nfds < SCM_FDS)
			parcel->fds[parcel->nfds++] = steal_fd(&fd);
		else
			parcel->strange = true;
	}
}

/* Every descriptor in the control messages, however many of them there are. Credentials come only
 * to a socket with SO_PASSCRED and are let pass. */
static void
collect(struct parcel *parcel, struct msghdr *header)
{
	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(header); cmsg; cmsg = CMSG_NXTHDR(header, cmsg)) {
		if (cmsg->cmsg_level != SOL_SOCKET)
			parcel->strange = true;
		else if (cmsg->cmsg_type == SCM_RIGHTS)
			collect_rights(parcel, cmsg);
		else if (cmsg->cmsg_type != SCM_CREDENTIALS)
			parcel->strange = true;
	}
}

/* Bytes read, 0 at the end, -errno. */
static ssize_t
receive_datagram(int fd, uint8_t *bytes, size_t size, struct parcel *parcel)
{
	union control control;
	struct iovec iov = {.iov_base = bytes, .iov_len = size};
	int resets = 0;

	for (;;) {
		struct msghdr header = {
		    .msg_iov = &iov,
		    .msg_iovlen = 1,
		    .msg_control = &control,
		    .msg_controllen = sizeof(control),
		};
		ssize_t n = recvmsg(fd, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		/* The peer closed with something of ours unread. The error is reported once and
		 * stands before what the peer had sent; that is still to be read. */
		if (n < 0 && errno == ECONNRESET)
			if (resets++ < RESETS)
				continue;
		if (n < 0)
			return errno == ECONNRESET ? 0 : -errno;
		collect(parcel, &header);
		if ((header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0)
			parcel->strange = true;
		return n;
	}
}

static int
accept_datagram(const uint8_t *bytes, size_t length, struct parcel *parcel, enum channel_kind kind,
		enum side sender, enum phase phase, struct msg *msg)
{
	if (parcel->strange)
		return -EBADMSG;
	int r = msg_decode(msg, bytes, length, parcel->nfds);
	if (r < 0)
		return r;
	if (!msg_permitted(msg->type, kind, sender, phase))
		return -EPERM;
	while (parcel->nfds > msg->nfds) {
		msg->fds[msg->nfds] = steal_fd(&parcel->fds[msg->nfds]);
		msg->nfds++;
	}
	parcel->nfds = 0;
	return 1;
}

int
msg_recv_now(int fd, enum channel_kind kind, enum side self, enum phase phase, struct msg *msg)
{
	uint8_t bytes[PROTO_MESSAGE_MAX];
	struct parcel parcel = {.nfds = 0};

	msg->type = MSG_NONE;
	msg->nfds = 0;
	ssize_t n = receive_datagram(fd, bytes, sizeof(bytes), &parcel);
	if (n < 0)
		return (int)n;
	/* An empty datagram looks like the end, and ends the channel as well. */
	if (n == 0 && parcel.nfds == 0 && !parcel.strange)
		return 0;
	int r = accept_datagram(bytes, (size_t)n, &parcel, kind, self == SIDE_A ? SIDE_B : SIDE_A,
				phase, msg);
	parcel_close(&parcel);
	return r;
}

static int64_t
monotonic_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

int
msg_recv(int fd, enum channel_kind kind, enum side self, enum phase phase, struct msg *msg,
	 int timeout_ms)
{
	int64_t deadline = timeout_ms < 0 ? INT64_MAX : monotonic_ms() + timeout_ms;

	for (;;) {
		int r = msg_recv_now(fd, kind, self, phase, msg);
		if (r != -EAGAIN)
			return r;
		int64_t left = timeout_ms < 0 ? -1 : deadline - monotonic_ms();
		if (timeout_ms >= 0 && left <= 0)
			return -ETIMEDOUT;
		struct pollfd readable = {.fd = fd, .events = POLLIN};
		if (poll(&readable, 1, (int)left) < 0 && errno != EINTR)
			return -errno;
	}
}

/* --- greeting --------------------------------------------------------------------------------- */

#define ROLE(role) (1u << ROLE_##role)

/* Who may speak on each side of a kind of channel. */
static const uint32_t speakers[CH_COUNT][2] = {
    [CH_SUPERVISE] = {ROLE(AGENTD), ROLE(SCHEDD) | ROLE(RUNNERD) | ROLE(DIALER) | ROLE(WEBHOOK)},
    [CH_SUPERVISE_CONTROL] = {ROLE(AGENTD), ROLE(CONTROL)},
    [CH_CONFIG] = {ROLE(AGENTD), ROLE(CONFIG)},
    [CH_CONTROL_SCHEDD] = {ROLE(CONTROL), ROLE(SCHEDD)},
    [CH_CONTROL_RUNNERD] = {ROLE(CONTROL), ROLE(RUNNERD)},
    [CH_SCHEDD_RUNNERD] = {ROLE(SCHEDD), ROLE(RUNNERD)},
    [CH_AUDIT] = {ROLE(AGENTD) | ROLE(CONTROL) | ROLE(SCHEDD) | ROLE(RUNNERD), ROLE(SECRETD)},
    [CH_SPAWNER] = {ROLE(RUNNERD), ROLE(SPAWNER)},
    [CH_KEEPER] = {ROLE(RUNNERD), ROLE(KEEPER)},
    [CH_BUILDER] = {ROLE(RUNNERD), ROLE(BUILDER)},
    [CH_NURSERY] = {ROLE(BUILDER), ROLE(KEEPER)},
    [CH_INIT] = {ROLE(KEEPER), ROLE(INIT)},
    [CH_OPERATOR] = {ROLE(ASH), ROLE(CONTROL)},
    [CH_HOME] = {ROLE(RUNNERD), ROLE(HOMEKEEPER)},
    [CH_BROKER] = {ROLE(RUNNERD), ROLE(BROKER)},
    [CH_SUPERVISE_SECRETD] = {ROLE(AGENTD), ROLE(SECRETD)},
    [CH_RUNNERD_SECRETD] = {ROLE(RUNNERD), ROLE(SECRETD)},
    [CH_SCHEDD_SECRETD] = {ROLE(SCHEDD), ROLE(SECRETD)},
    [CH_SECRETS] = {ROLE(ASH), ROLE(SECRETD)},
    [CH_RUNNERD_DIALER] = {ROLE(RUNNERD), ROLE(DIALER)},
    [CH_EGRESS] = {ROLE(RUNNERD), ROLE(EGRESS)},
    [CH_DIAL] = {ROLE(EGRESS), ROLE(DIALER)},
    [CH_SCHEDD_WEBHOOK] = {ROLE(SCHEDD), ROLE(WEBHOOK)},
    [CH_IMAGE] = {ROLE(RUNNERD), ROLE(UNPACK)},
};

bool
role_speaks(enum role role, enum channel_kind kind, enum side side)
{
	return kind > CH_NONE && kind < CH_COUNT && role > ROLE_NONE && role < ROLE_COUNT &&
	       (speakers[kind][side] & (1u << role)) != 0;
}

void
msg_hello(struct msg *msg, enum role own)
{
	msg_init(msg, MSG_HELLO);
	msg->hello.protocol = PROTO_VERSION;
	msg->hello.role = (uint8_t)own;
	snprintf(msg->hello.build, sizeof(msg->hello.build), "%s", scarab_build_id);
}

/* What belongs to a session outlives upgrades, and an operator may use another ash. */
static bool
any_build(enum channel_kind kind)
{
	return kind == CH_OPERATOR || kind == CH_SECRETS || kind == CH_KEEPER ||
	       kind == CH_BROKER || kind == CH_EGRESS || kind == CH_DIAL;
}

int
msg_hello_check(const struct msg *msg, enum channel_kind kind, enum side sender, enum role peer)
{
	enum role role = (enum role)msg->hello.role;

	if (msg->hello.protocol != PROTO_VERSION)
		return -EPROTONOSUPPORT;
	if (!role_speaks(role, kind, sender) || (peer != ROLE_NONE && role != peer))
		return -EPROTO;
	if (!any_build(kind) && strcmp(msg->hello.build, scarab_build_id) != 0)
		return -ESTALE;
	return 0;
}

int
msg_greet(int fd, enum channel_kind kind, enum side self, enum role own, enum role peer,
	  int timeout_ms)
{
	struct msg msg;

	msg_hello(&msg, own);
	int r = msg_send(fd, kind, self, IN_HELLO, &msg);
	if (r < 0)
		return r;
	r = msg_recv(fd, kind, self, IN_HELLO, &msg, timeout_ms);
	if (r <= 0)
		return r < 0 ? r : -ECONNRESET;
	return msg_hello_check(&msg, kind, self == SIDE_A ? SIDE_B : SIDE_A, peer);
}
