/*
 * A memory bomb of one kind: anonymous, memfd or sockets. BYTES at most, and gone with it. Where it
 * is held, it does not live to say so.
 */
#include <sys/mman.h>
#include <sys/socket.h>

#include "escape.h"

enum { BYTES = 96 << 20, PIECE = 1 << 20, PAGE = 4096, SECONDS = 20 };

static bool
take_anonymous(void)
{
	char *piece;

	for (int taken = 0; taken < BYTES; taken += PIECE) {
		piece =
		    mmap(NULL, PIECE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (piece == MAP_FAILED)
			return false;
		for (int at = 0; at < PIECE; at += PAGE)
			((volatile char *)piece)[at] = 1;
	}
	return true;
}

static bool
take_memfd(void)
{
	static char piece[PIECE];
	int fd = memfd_create("bomb", MFD_CLOEXEC);

	for (int taken = 0; taken < BYTES; taken += PIECE)
		if (write(fd, piece, PIECE) != PIECE)
			return false;
	return true;
}

/* What lies in sockets belongs to no process. */
static bool
take_sockets(void)
{
	static char piece[32 << 10];
	int ends[2], taken = 0;
	ssize_t length;

	while (taken < BYTES) {
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
			return false;
		for (int i = 0; i < 2; i++)
			while ((length = write(ends[i], piece, sizeof(piece))) > 0)
				taken += (int)length;
	}
	return true;
}

static const struct {
	const char *name;
	bool (*take)(void);
} kinds[] = {
    {"anonymous", take_anonymous},
    {"memfd", take_memfd},
    {"sockets", take_sockets},
};

int
main(int argc, char *argv[])
{
	alarm(SECONDS);
	for (size_t i = 0; argc > 1 && i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(argv[1], kinds[i].name) == 0)
			attempt(kinds[i].take(), "%d bytes, %s", BYTES, kinds[i].name);
	return verdict();
}
