/* Calls of tools that wait for an operator, as agentd tells them. */
#ifndef ASH_ASK_H
#define ASH_ASK_H

#include "ash.h"

enum { ARGUMENTS_MOST = 64 << 10 /* bytes: so long arguments were cut */ };

struct ask {
	struct msg_ask_row row;
	char *arguments; /* heap; NULL: none, or empty */
	size_t length;
};

struct asks {
	struct ask *all; /* heap, oldest first */
	size_t count;
};

/* From the rows of an answer (borrowed), into empty ones. 0, or -1 with error; asks_free() in both
 * cases. */
int asks_read(int fd, struct asks *asks, struct error *error);
void asks_free(struct asks *asks);

#endif
