/*
 * The connection: lines out and in, with a deadline and a way to interrupt. Nothing here waits but
 * wire_line(), which also sends what is still to be sent, so that two peers that both write first
 * cannot wait for each other. What is left of a request that was given up is sent ahead of the
 * next.
 */
#ifndef SCARAB_LIBAGENT_WIRE_H
#define SCARAB_LIBAGENT_WIRE_H

#include <stdint.h>

#include "agent.h"
#include "buffer.h"

struct wire {
	int fd; /* -1: closed */
	struct buffer in, out;
	size_t sent;            /* of out */
	size_t taken, searched; /* of in: given out by wire_line(), known to hold no line's end */
};

/* How long wire_line() waits. */
struct patience {
	int64_t deadline_ms; /* on CLOCK_MONOTONIC; -1: none */
	int interrupt;       /* a descriptor that is readable when it is to stop; -1: none */
};

#define WIRE_INIT                                                                                  \
	{                                                                                          \
		.fd = -1                                                                           \
	}

int64_t wire_now_ms(void);
/* 0 or -errno. */
int wire_open(struct wire *wire, const char *path, const struct patience *patience);
void wire_close(struct wire *wire);
/* Queues a line (buffer without its newline, which is emptied) and sends what can be sent at once.
 */
enum agent_status wire_send(struct wire *wire, struct buffer *line);
/* The next line that is not blank, without its end; valid until the next call. */
enum agent_status wire_line(struct wire *wire, const struct patience *patience, const char **line,
			    size_t *length);

#endif
