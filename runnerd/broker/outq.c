#include "outq.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct parcel {
	struct parcel *next;
	uint64_t tag;
	size_t length, done, taken; /* taken: from the pool */
	char bytes[];
};

enum { FLUSH_PARCELS = 16 /* written with one call */ };

void
outq_init(struct outq *q, struct pool *pool, int fd, size_t max,
	  void (*waits)(bool waiting, void *arg), void *arg)
{
	*q = (struct outq){.pool = pool, .fd = fd, .max = max, .waits = waits, .arg = arg};
	q->last = &q->first;
}

static void
parcel_free(struct outq *q, struct parcel *parcel)
{
	q->bytes -= parcel->length;
	pool_give(q->pool, parcel->taken);
	free(parcel);
}

static void
pop(struct outq *q)
{
	struct parcel *parcel = q->first;

	q->first = parcel->next;
	if (!q->first)
		q->last = &q->first;
	parcel_free(q, parcel);
}

void
outq_free(struct outq *q)
{
	while (q->first)
		pop(q);
}

static size_t
total(const struct iovec *pieces, int count)
{
	size_t sum = 0;

	for (int i = 0; i < count; i++)
		sum += pieces[i].iov_len;
	return sum;
}

/* How much was written; -EPIPE when nobody will ever read. */
static ssize_t
write_some(struct outq *q, const struct iovec *pieces, int count)
{
	ssize_t n;

	do
		n = writev(q->fd, pieces, count);
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return n;
	return errno == EAGAIN ? 0 : -EPIPE;
}

static struct parcel *
parcel_new(struct outq *q, const struct iovec *pieces, int count, size_t length)
{
	size_t size = sizeof(struct parcel) + length, at = 0;
	struct parcel *parcel;

	if (!pool_take(q->pool, size))
		return NULL;
	parcel = malloc(size);
	if (!parcel) {
		pool_give(q->pool, size);
		return NULL;
	}
	*parcel = (struct parcel){.length = length, .taken = size};
	for (int i = 0; i < count; i++) {
		if (pieces[i].iov_len > 0)
			memcpy(parcel->bytes + at, pieces[i].iov_base, pieces[i].iov_len);
		at += pieces[i].iov_len;
	}
	return parcel;
}

static void
append(struct outq *q, struct parcel *parcel)
{
	*q->last = parcel;
	q->last = &parcel->next;
	q->bytes += parcel->length;
}

int
outq_send(struct outq *q, const struct iovec *pieces, int count, uint64_t tag)
{
	size_t length = total(pieces, count);
	bool waited = q->first != NULL;
	struct parcel *parcel;
	ssize_t done = 0;

	if (q->bytes + length > q->max)
		return -ENOBUFS;
	if (!waited)
		done = write_some(q, pieces, count);
	if (done < 0)
		return -EPIPE;
	if ((size_t)done == length)
		return 0;
	parcel = parcel_new(q, pieces, count, length);
	if (!parcel) /* a message that was begun must be ended: the stream is lost */
		return done > 0 ? -EPIPE : -ENOBUFS;
	parcel->done = (size_t)done;
	parcel->tag = tag;
	append(q, parcel);
	if (!waited)
		q->waits(true, q->arg);
	return 0;
}

int
outq_send_first(struct outq *q, const struct iovec *pieces, int count)
{
	struct parcel *parcel, **at = &q->first;

	if (!q->first)
		return outq_send(q, pieces, count, 0);
	parcel = parcel_new(q, pieces, count, total(pieces, count));
	if (!parcel)
		return -ENOBUFS;
	if (q->first->done > 0)
		at = &q->first->next;
	parcel->next = *at;
	*at = parcel;
	if (!parcel->next)
		q->last = &parcel->next;
	q->bytes += parcel->length;
	return 0;
}

bool
outq_take_back(struct outq *q, uint64_t tag)
{
	struct parcel **at = &q->first, *parcel;

	while (*at && (*at)->tag != tag)
		at = &(*at)->next;
	parcel = *at;
	if (!parcel || parcel->done > 0)
		return false;
	*at = parcel->next;
	if (!parcel->next)
		q->last = at;
	parcel_free(q, parcel);
	if (!q->first)
		q->waits(false, q->arg);
	return true;
}

/* What the kernel took, off the queue. */
static void
written(struct outq *q, size_t count)
{
	while (q->first) {
		size_t left = q->first->length - q->first->done;

		if (count < left) {
			q->first->done += count;
			return;
		}
		count -= left;
		pop(q);
	}
}

int
outq_flush(struct outq *q)
{
	struct iovec pieces[FLUSH_PARCELS];
	size_t wanted;
	ssize_t n;
	int count;

	while (q->first) {
		count = 0;
		for (struct parcel *p = q->first; p && count < FLUSH_PARCELS; p = p->next)
			pieces[count++] = (struct iovec){p->bytes + p->done, p->length - p->done};
		wanted = total(pieces, count);
		n = write_some(q, pieces, count);
		if (n < 0)
			return -EPIPE;
		written(q, (size_t)n);
		if ((size_t)n < wanted)
			return 0;
	}
	q->waits(false, q->arg);
	return 0;
}
