/*
 * rogue SOCKET COUNT SEED
 *
 * A hostile operator's client: connects COUNT times, sends a few datagrams of random length and
 * content each time, some with the right header, some with descriptors, and leaves without
 * reading. Deterministic by SEED. Prints how many datagrams were sent.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { LONGEST = 20000, MOST_FDS = 40, HEADER = 16 };

static uint64_t
next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static int
connected(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0 || strlen(path) >= sizeof(address.sun_path))
		return -1;
	strcpy(address.sun_path, path);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address))) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Half of them begin like a message: magic, version, a type of the operator's, the true length. */
static size_t
compose(uint8_t *bytes, uint64_t *state, unsigned nfds)
{
	size_t length = next(state) % (next(state) % 4 ? 200 : LONGEST);

	for (size_t i = 0; i < length; i++)
		bytes[i] = (uint8_t)next(state);
	if (length >= HEADER && next(state) % 2) {
		uint32_t payload = (uint32_t)length - HEADER;
		uint16_t type = (uint16_t)(next(state) % 3 ? 0x0b00 + next(state) % 20 : 1);

		memcpy(bytes, "\x53\x52\x01\x00", 4);
		memcpy(bytes + 4, &type, 2);
		bytes[6] = (uint8_t)nfds;
		bytes[7] = 0;
		memcpy(bytes + 8, &payload, 4);
	}
	return length;
}

static int
throw_one(int fd, uint64_t *state)
{
	static uint8_t bytes[LONGEST];
	union {
		char space[CMSG_SPACE(MOST_FDS * sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	unsigned nfds = next(state) % 3 ? 0 : (unsigned)(next(state) % MOST_FDS);
	struct iovec iov = {.iov_base = bytes, .iov_len = compose(bytes, state, nfds)};
	struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};

	if (nfds) {
		struct cmsghdr *cmsg;

		header.msg_control = control.space;
		header.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		cmsg = CMSG_FIRSTHDR(&header);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		for (unsigned i = 0; i < nfds; i++)
			memcpy(CMSG_DATA(cmsg) + i * sizeof(int), &fd, sizeof(int));
	}
	return sendmsg(fd, &header, MSG_NOSIGNAL) >= 0;
}

int
main(int argc, char **argv)
{
	uint64_t state;
	int sent = 0;

	if (argc != 4)
		return 2;
	state = strtoull(argv[3], NULL, 10) * 2654435761u + 1;
	for (int i = 0; i < atoi(argv[2]); i++) {
		int fd = connected(argv[1]);

		if (fd < 0) {
			perror(argv[1]);
			return 1;
		}
		for (uint64_t n = 1 + next(&state) % 4; n; n--)
			sent += throw_one(fd, &state);
		close(fd);
	}
	printf("%d\n", sent);
	return 0;
}
