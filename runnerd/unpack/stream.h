/*
 * Bytes on their way from a blob to whoever reads them uncompressed: read in order, hashed as they
 * came and as they are, counted against a bound, so that what a few bytes unfold to is stopped
 * while it unfolds. gzip and zstd are libarchive's, found by their first bytes.
 */
#ifndef SCARAB_UNPACK_STREAM_H
#define SCARAB_UNPACK_STREAM_H

#include <stdbool.h>
#include <sys/types.h>

#include "digest.h"
#include "source.h"

struct archive;

/* Told of every piece that was read of the blob. May be NULL. */
typedef void stream_told(void *arg, uint64_t bytes);

struct stream {
	struct blob blob;
	uint64_t done, plain, max_bytes;
	struct digest *packed_digest, *plain_digest;
	struct archive *filter;
	char *buffer;
	stream_told *told;
	void *arg;
	struct error *error; /* what stopped it, once something has */
	bool failed;
};

/* blob's descriptor is borrowed. -1 with error; stream_end in any case. */
int stream_begin(struct stream *stream, const struct blob *blob, uint64_t max_bytes,
		 struct error *error);
/* The next bytes, borrowed until the next call: how many, 0 at the end, -1 with error. */
ssize_t stream_next(struct stream *stream, const void **bytes);
/* Reads what is left, so that the digests cover all of the blob. -1 with error. */
int stream_drain(struct stream *stream);
/* Of the blob as it came, and uncompressed; after the end. */
void stream_digests(struct stream *stream, uint8_t packed[DIGEST_BYTES],
		    uint8_t plain[DIGEST_BYTES]);
void stream_end(struct stream *stream);

/* Writes what the blob holds to a file. -1 with error. */
int stream_spool(const struct blob *blob, int to, uint64_t max_bytes, struct error *error);

#endif
