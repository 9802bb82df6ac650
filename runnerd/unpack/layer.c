#include "layer.h"

#include <archive.h>
#include <archive_entry.h>
#include <string.h>

#include "common/cleanup.h"
#include "stream.h"

enum { TELL_BYTES = 1 << 20 };

/* Of each layer's tar beside the content: headers of entries, and of attributes. */
enum { HEADER_BYTES = 8 << 10 };

struct layer {
	struct stream stream;
	struct tree tree;
	struct archive *tar;
	const struct layer_order *order;
	uint64_t told;
	struct error *error;
};

static void
layer_end(struct layer *layer)
{
	if (layer->tar)
		archive_read_free(layer->tar);
	stream_end(&layer->stream);
	tree_end(&layer->tree);
}

static void
tell(void *arg, uint64_t bytes)
{
	struct layer *layer = arg;
	const struct msg_unpack_layer *asked = layer->order->asked;
	const struct msg_unpack_progress read = {
	    .layer = asked->layer, .bytes = bytes, .total_bytes = asked->total_bytes};

	if (bytes - layer->told < TELL_BYTES && bytes < asked->size)
		return;
	layer->told = bytes;
	layer->order->progress(layer->order->arg, &read);
}

static la_ssize_t
next_piece(struct archive *archive, void *arg, const void **bytes)
{
	struct layer *layer = arg;
	ssize_t n = stream_next(&layer->stream, bytes);

	if (n < 0)
		archive_set_error(archive, EIO, "its bytes end here");
	return n;
}

/* What stopped the stream is the better reason. */
static int
tar_failed(struct layer *layer)
{
	const char *why = archive_error_string(layer->tar);

	if (layer->stream.failed)
		return -1;
	return error_why(layer->error, ERR_INVALID, "it is no tar, or a damaged one: %s",
			 why ? why : "no memory");
}

static int
open_tar(struct layer *layer)
{
	layer->tar = archive_read_new();
	if (!layer->tar)
		return error_errno(layer->error, ENOMEM, "reading a layer");
	if (archive_read_support_format_tar(layer->tar) != ARCHIVE_OK ||
	    archive_read_support_format_empty(layer->tar) != ARCHIVE_OK ||
	    archive_read_open(layer->tar, layer, NULL, next_piece, NULL) != ARCHIVE_OK)
		return tar_failed(layer);
	return 0;
}

static int
write_tree(struct layer *layer)
{
	struct archive_entry *entry;
	int rc;

	while ((rc = archive_read_next_header(layer->tar, &entry)) == ARCHIVE_OK)
		if (tree_add(&layer->tree, layer->tar, entry, layer->error) < 0)
			return -1;
	return rc == ARCHIVE_EOF ? 0 : tar_failed(layer);
}

static int
verify(struct layer *layer)
{
	const struct msg_unpack_layer *asked = layer->order->asked;
	uint8_t packed[DIGEST_BYTES], plain[DIGEST_BYTES];

	if (stream_drain(&layer->stream) < 0)
		return -1;
	stream_digests(&layer->stream, packed, plain);
	if (asked->blob_len && memcmp(asked->blob, packed, DIGEST_BYTES) != 0)
		return error_why(layer->error, ERR_INVALID,
				 "its bytes do not have the digest that the manifest gives");
	if (memcmp(asked->diff, plain, DIGEST_BYTES) != 0)
		return error_why(layer->error, ERR_INVALID,
				 "its tar does not have the digest that the configuration gives");
	return 0;
}

int
layer_unpack(const struct layer_order *order, struct msg_unpack_done *done, struct error *error)
{
	const struct msg_unpack_layer *asked = order->asked;
	const struct blob blob = {.fd = order->blob, .offset = asked->offset, .size = asked->size};
	_cleanup_(layer_end) struct layer layer = {.order = order, .error = error};

	tree_begin(&layer.tree, order->root, asked->max_bytes, asked->max_entries, order->opaque,
		   order->arg);
	if (!layer.tree.parent_path)
		return error_errno(error, ENOMEM, "reading a layer");
	if (stream_begin(&layer.stream, &blob, asked->max_bytes + asked->max_entries * HEADER_BYTES,
			 error) < 0)
		return -1;
	layer.stream.told = tell;
	layer.stream.arg = &layer;
	if (open_tar(&layer) < 0 || write_tree(&layer) < 0 || verify(&layer) < 0 ||
	    tree_sync(&layer.tree, error) < 0)
		return -1;
	done->bytes = layer.tree.bytes;
	done->entries = layer.tree.entries;
	return 0;
}
