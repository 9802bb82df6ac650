/*
 * What waits to be written to one peer: bounded, in order, never waited for. What fits into the
 * pipe or socket at once is written without a copy.
 */
#ifndef SCARAB_BROKER_OUTQ_H
#define SCARAB_BROKER_OUTQ_H

#include <sys/uio.h>

#include "common/loop.h"
#include "frame.h"

struct parcel;

struct outq {
	struct pool *pool;
	int fd; /* borrowed, not blocking */
	size_t max, bytes;
	struct parcel *first, **last;
	/* Called when it begins or ceases to wait for room. */
	void (*waits)(bool waiting, void *arg);
	void *arg;
};

void outq_init(struct outq *q, struct pool *pool, int fd, size_t max,
	       void (*waits)(bool waiting, void *arg), void *arg);
/* One message, made of these pieces, in one line. tag: to find it again, 0 for none. 0, -ENOBUFS
 * when it does not fit into the bound, -EPIPE when nobody reads. */
int outq_send(struct outq *q, const struct iovec *pieces, int count, uint64_t tag);
/* The same, but ahead of all messages that have not begun. Not bounded by max: small ones only. */
int outq_send_first(struct outq *q, const struct iovec *pieces, int count);
/* Takes a message back of which nothing was written yet. */
bool outq_take_back(struct outq *q, uint64_t tag);
/* The peer has room. 0, or -EPIPE. */
int outq_flush(struct outq *q);
void outq_free(struct outq *q);

#endif
