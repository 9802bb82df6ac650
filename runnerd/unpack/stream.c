#include "stream.h"

#include <archive.h>
#include <archive_entry.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/io.h"

enum { PIECE_BYTES = 256 << 10 };

/* --- the blob, as libarchive asks for it ---------------------------------------------------------
 */

static la_ssize_t
read_piece(struct archive *archive, void *arg, const void **bytes)
{
	struct stream *stream = arg;
	uint64_t left = stream->blob.size - stream->done;
	size_t most = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;
	ssize_t n;

	*bytes = stream->buffer;
	if (!most)
		return 0;
	do
		n = pread(stream->blob.fd, stream->buffer, most,
			  (off_t)(stream->blob.offset + stream->done));
	while (n < 0 && errno == EINTR);
	if (n <= 0) {
		archive_set_error(archive, n < 0 ? errno : EIO,
				  n < 0 ? "it cannot be read" : "it is cut short");
		return -1;
	}
	stream->done += (uint64_t)n;
	digest_add(stream->packed_digest, stream->buffer, (size_t)n);
	if (stream->told)
		stream->told(stream->arg, stream->done);
	return n;
}

static int
fail(struct stream *stream)
{
	const char *why = stream->filter ? archive_error_string(stream->filter) : NULL;

	if (!stream->failed)
		error_why(stream->error, ERR_INVALID, "its bytes cannot be uncompressed: %s",
			  why ? why : "no memory");
	stream->failed = true;
	return -1;
}

int
stream_begin(struct stream *stream, const struct blob *blob, uint64_t max_bytes,
	     struct error *error)
{
	struct archive_entry *entry;

	*stream = (struct stream){.blob = *blob, .max_bytes = max_bytes, .error = error};
	stream->buffer = malloc(PIECE_BYTES);
	stream->packed_digest = digest_new();
	stream->plain_digest = digest_new();
	stream->filter = archive_read_new();
	if (!stream->buffer || !stream->packed_digest || !stream->plain_digest || !stream->filter)
		return error_errno(error, ENOMEM, "reading a layer");
	if (!blob->size)
		return error_why(error, ERR_INVALID, "it is empty");
	if (archive_read_support_filter_gzip(stream->filter) != ARCHIVE_OK ||
	    archive_read_support_filter_zstd(stream->filter) != ARCHIVE_OK ||
	    archive_read_support_format_raw(stream->filter) != ARCHIVE_OK ||
	    archive_read_open(stream->filter, stream, NULL, read_piece, NULL) != ARCHIVE_OK ||
	    archive_read_next_header(stream->filter, &entry) != ARCHIVE_OK)
		return fail(stream);
	return 0;
}

ssize_t
stream_next(struct stream *stream, const void **bytes)
{
	la_int64_t offset;
	size_t length = 0;
	int rc;

	if (stream->failed)
		return -1;
	do
		rc = archive_read_data_block(stream->filter, bytes, &length, &offset);
	while (rc == ARCHIVE_OK && !length);
	if (rc == ARCHIVE_EOF)
		return 0;
	if (rc != ARCHIVE_OK)
		return fail(stream);
	stream->plain += length;
	if (stream->plain > stream->max_bytes) {
		error_why(stream->error, ERR_INVALID, "it unfolds to more than %llu bytes",
			  (unsigned long long)stream->max_bytes);
		stream->failed = true;
		return -1;
	}
	digest_add(stream->plain_digest, *bytes, length);
	return (ssize_t)length;
}

/* What stands behind the compressed bytes counts for the digest, and is nothing else. */
int
stream_drain(struct stream *stream)
{
	const void *bytes;
	ssize_t n;

	while ((n = stream_next(stream, &bytes)) > 0)
		;
	while (n == 0 && stream->done < stream->blob.size)
		if (read_piece(stream->filter, stream, &bytes) < 0)
			return fail(stream);
	return (int)n;
}

void
stream_digests(struct stream *stream, uint8_t packed[DIGEST_BYTES], uint8_t plain[DIGEST_BYTES])
{
	digest_end(stream->packed_digest, packed);
	digest_end(stream->plain_digest, plain);
}

void
stream_end(struct stream *stream)
{
	if (stream->filter)
		archive_read_free(stream->filter);
	digest_free(stream->packed_digest);
	digest_free(stream->plain_digest);
	free(stream->buffer);
}

int
stream_spool(const struct blob *blob, int to, uint64_t max_bytes, struct error *error)
{
	_cleanup_(stream_end) struct stream stream;
	const void *bytes;
	ssize_t n = stream_begin(&stream, blob, max_bytes, error);
	int rc;

	while (n == 0 || n > 0) {
		n = stream_next(&stream, &bytes);
		if (n <= 0)
			break;
		rc = write_all(to, bytes, (size_t)n);
		if (rc < 0)
			return error_errno(error, -rc, "writing what the archive holds");
	}
	return (int)n;
}
