/* Records of images on the disk and in memory. */
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "fs.h"
#include "image_store.h"

enum {
	RECORD_MAX = 8 << 20, /* texts of one image are at most so long together */
	SUM_BYTES = 32,
};

#define LAYER_SIZE_FILE "size"

void
image_hex(const uint8_t digest[DIGEST_BYTES], char hex[IMAGE_HEX + 1])
{
	sodium_bin2hex(hex, IMAGE_HEX + 1, digest, DIGEST_BYTES);
}

const char *
image_digest_hex(const char *digest)
{
	static const char scheme[] = "sha256:";
	const char *hex;

	if (!digest || strncmp(digest, scheme, strlen(scheme)) != 0)
		return NULL;
	hex = digest + strlen(scheme);
	return strlen(hex) == IMAGE_HEX && strspn(hex, "0123456789abcdef") == IMAGE_HEX ? hex
											: NULL;
}

/* --- in memory -----------------------------------------------------------------------------------
 */

struct image *
image_new(void)
{
	return calloc(1, sizeof(struct image));
}

static void
free_list(struct strings *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i]);
	free(list->items);
}

void
image_free(struct image *image)
{
	if (!image)
		return;
	free_list(&image->env);
	free_list(&image->entrypoint);
	free_list(&image->cmd);
	free_list(&image->references);
	free(image->layers);
	free(image);
}

static int
append(struct strings *list, const char *text)
{
	char **items = reallocarray(list->items, list->count + 1, sizeof(*items));

	if (!items)
		return -ENOMEM;
	list->items = items;
	items[list->count] = strdup(text);
	if (!items[list->count])
		return -ENOMEM;
	list->count++;
	return 0;
}

static struct strings *
list_of(struct image *image, unsigned kind)
{
	switch (kind) {
	case IMAGE_TEXT_ENV:
		return &image->env;
	case IMAGE_TEXT_ENTRYPOINT:
		return &image->entrypoint;
	case IMAGE_TEXT_CMD:
		return &image->cmd;
	case IMAGE_TEXT_REFERENCE:
		return &image->references;
	default:
		return NULL;
	}
}

static size_t
count_texts(const struct image *image)
{
	return image->env.count + image->entrypoint.count + image->cmd.count +
	       image->references.count;
}

static int
take_head(struct image *image, const struct msg_image_head *head)
{
	if (image->layers || head->digest_len != DIGEST_BYTES || head->config_len != DIGEST_BYTES ||
	    !head->layers || head->layers > IMAGE_LAYERS_MAX || head->texts > 2 * IMAGE_TEXTS_MAX ||
	    head->uid >= ID_RANGE || head->gid >= ID_RANGE ||
	    (head->working_dir[0] && head->working_dir[0] != '/'))
		return -EBADMSG;
	image->head = *head;
	image->head.layers = 0;
	image->layers = calloc(head->layers, sizeof(*image->layers));
	image->expected_layers = head->layers;
	return image->layers ? 0 : -ENOMEM;
}

static int
take_layer(struct image *image, const struct msg_image_layer *layer)
{
	if (image->head.layers == image->expected_layers || count_texts(image) ||
	    layer->diff_len != DIGEST_BYTES || layer->bytes > IMAGE_BYTES_MAX ||
	    (layer->blob_len && layer->blob_len != DIGEST_BYTES))
		return -EBADMSG;
	image->layers[image->head.layers++] = *layer;
	return 0;
}

int
image_take(struct image *image, const struct msg *record)
{
	struct strings *list;

	if (record->type == MSG_IMAGE_HEAD)
		return take_head(image, &record->image_head);
	if (!image->layers)
		return -EBADMSG;
	if (record->type == MSG_IMAGE_LAYER)
		return take_layer(image, &record->image_layer);
	list = record->type == MSG_IMAGE_TEXT ? list_of(image, record->image_text.kind) : NULL;
	if (!list || count_texts(image) == image->head.texts)
		return -EBADMSG;
	return append(list, record->image_text.text);
}

bool
image_complete(const struct image *image)
{
	return image->layers && image->head.layers == image->expected_layers &&
	       count_texts(image) == image->head.texts;
}

static void
join_reference(const char *reference, const char *tag, char *text, size_t size)
{
	snprintf(text, size, "%s%s%s", reference, tag[0] ? ":" : "", tag);
}

int
image_add_reference(struct image *image, const char *reference, const char *tag)
{
	enum { REFERENCES_MAX = 64 };
	char text[PATH_LEN_MAX + IMAGE_TAG_MAX + 2];
	int rc;

	join_reference(reference, tag, text, sizeof(text));
	for (size_t i = 0; i < image->references.count; i++)
		if (!strcmp(image->references.items[i], text))
			return 0;
	if (image->references.count == REFERENCES_MAX)
		return 0;
	rc = append(&image->references, text);
	if (!rc)
		image->head.texts++;
	return rc;
}

/* --- on the disk ---------------------------------------------------------------------------------
 */

struct bytes {
	uint8_t *at;
	size_t length;
};

static int
encode(struct bytes *bytes, const struct msg *record)
{
	uint8_t raw[PROTO_MESSAGE_MAX], *at;
	ssize_t length = msg_encode(record, raw, sizeof(raw));

	if (length < 0)
		return (int)length;
	at = realloc(bytes->at, bytes->length + (size_t)length + SUM_BYTES);
	if (!at)
		return -ENOMEM;
	memcpy(at + bytes->length, raw, (size_t)length);
	bytes->at = at;
	bytes->length += (size_t)length;
	return 0;
}

static int
encode_list(struct bytes *bytes, const struct strings *list, enum image_text kind)
{
	struct msg record;
	int rc = 0;

	for (size_t i = 0; !rc && i < list->count; i++) {
		msg_init(&record, MSG_IMAGE_TEXT);
		record.image_text.kind = (uint8_t)kind;
		snprintf(record.image_text.text, sizeof(record.image_text.text), "%s",
			 list->items[i]);
		rc = encode(bytes, &record);
	}
	return rc;
}

static int
encode_image(struct bytes *bytes, const struct image *image)
{
	struct msg record;
	int rc;

	msg_init(&record, MSG_IMAGE_HEAD);
	record.image_head = image->head;
	rc = encode(bytes, &record);
	for (size_t i = 0; !rc && i < image->head.layers; i++) {
		msg_init(&record, MSG_IMAGE_LAYER);
		record.image_layer = image->layers[i];
		rc = encode(bytes, &record);
	}
	if (!rc)
		rc = encode_list(bytes, &image->env, IMAGE_TEXT_ENV);
	if (!rc)
		rc = encode_list(bytes, &image->entrypoint, IMAGE_TEXT_ENTRYPOINT);
	if (!rc)
		rc = encode_list(bytes, &image->cmd, IMAGE_TEXT_CMD);
	if (!rc)
		rc = encode_list(bytes, &image->references, IMAGE_TEXT_REFERENCE);
	return rc;
}

int
image_write(const struct images *images, const struct image *image)
{
	struct bytes bytes = {0};
	char hex[IMAGE_HEX + 1];
	int rc = encode_image(&bytes, image);

	image_hex(image->head.digest, hex);
	if (!rc) {
		crypto_generichash(bytes.at + bytes.length, SUM_BYTES, bytes.at, bytes.length, NULL,
				   0);
		rc = bytes.length > RECORD_MAX
			 ? -EFBIG
			 : write_file_durable(images->manifests, hex, bytes.at,
					      bytes.length + SUM_BYTES, 0600);
	}
	free(bytes.at);
	return rc;
}

static int
decode(struct image *image, const uint8_t *at, size_t length)
{
	struct msg record;
	ssize_t size;
	int rc = 0;

	while (!rc && length) {
		size = msg_size(at, length);
		if (size < 0)
			return (int)size;
		rc = msg_decode(&record, at, (size_t)size, 0);
		if (!rc)
			rc = image_take(image, &record);
		at += size;
		length -= (size_t)size;
	}
	return rc;
}

struct image *
image_read(const struct images *images, const char *hex)
{
	_cleanup_free_ char *text = NULL;
	uint8_t sum[SUM_BYTES];
	struct image *image = image_new();
	char own[IMAGE_HEX + 1];
	size_t length = 0;
	int rc = image
		     ? read_file_at(images->manifests, hex, RECORD_MAX + SUM_BYTES, &text, &length)
		     : -ENOMEM;

	if (!rc && length < SUM_BYTES)
		rc = -EBADMSG;
	if (!rc) {
		length -= SUM_BYTES;
		crypto_generichash(sum, SUM_BYTES, (const uint8_t *)text, length, NULL, 0);
		rc = memcmp(sum, text + length, SUM_BYTES) ? -EBADMSG
							   : decode(image, (uint8_t *)text, length);
	}
	if (!rc) {
		image_hex(image->head.digest, own);
		rc = image_complete(image) && !strcmp(own, hex) ? 0 : -EBADMSG;
	}
	if (!rc)
		return image;
	image_free(image);
	errno = -rc;
	return NULL;
}

struct image *
image_open(const struct runnerd *r, const char *digest, struct error *error)
{
	const char *hex = image_digest_hex(digest ? digest : "");
	struct image *image = hex ? image_read(r->images, hex) : NULL;

	if (image)
		return image;
	if (!hex || errno == ENOENT) {
		error_why(error, ERR_NOT_FOUND, "the image %.80s is not in the store",
			  digest ? digest : "");
		error_hint(error, "install the agent again with --replace, which brings it");
	} else {
		error_errno(error, errno, "reading the record of the image %s", digest);
	}
	return NULL;
}

void
image_each(const struct images *images, image_each_fn *fn, void *arg)
{
	int fd = openat(images->manifests, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_closedir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	bool more = true;

	while (more && dir && (entry = readdir(dir))) {
		struct image *image =
		    entry->d_name[0] == '.' ? NULL : image_read(images, entry->d_name);

		if (image)
			more = fn(image, arg);
		image_free(image);
	}
}

/* --- layers --------------------------------------------------------------------------------------
 */

static int
read_size(int dir, struct msg_image_layer *layer)
{
	_cleanup_free_ char *text = NULL;
	struct msg record;
	size_t length = 0;
	int rc = read_file_at(dir, LAYER_SIZE_FILE, PROTO_MESSAGE_MAX, &text, &length);

	if (rc < 0)
		return rc;
	msg_init(&record, MSG_IMAGE_LAYER);
	rc = msg_decode(&record, (uint8_t *)text, length, 0);
	if (rc < 0)
		return rc;
	if (record.type != MSG_IMAGE_LAYER)
		return -EBADMSG;
	layer->bytes = record.image_layer.bytes;
	layer->entries = record.image_layer.entries;
	return 0;
}

bool
image_layer_known(const struct images *images, struct msg_image_layer *layer)
{
	_cleanup_close_ int dir = -1;
	char hex[IMAGE_HEX + 1];

	image_hex(layer->diff, hex);
	dir = openat(images->layers, hex, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return dir >= 0 && read_size(dir, layer) == 0;
}

int
image_layer_open(const struct runnerd *r, const struct image *image, size_t index)
{
	char path[IMAGE_HEX + sizeof("/root")];

	image_hex(image->layers[index].diff, path);
	strcat(path, "/root");
	return open_resolved(r->images->layers, path, O_PATH | O_DIRECTORY,
			     RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
}

/* --- one that comes in ---------------------------------------------------------------------------
 */

int
image_check_sums(const struct image *image, struct error *error)
{
	uint64_t bytes = 0, entries = 0;

	for (uint32_t i = 0; i < image->head.layers; i++) {
		bytes += image->layers[i].bytes;
		entries += image->layers[i].entries;
	}
	if (bytes <= IMAGE_BYTES_MAX && entries <= IMAGE_ENTRIES_MAX)
		return 0;
	return error_why(error, ERR_INVALID,
			 "it has %llu bytes and %llu entries; an image may have %llu and %d",
			 (unsigned long long)bytes, (unsigned long long)entries,
			 (unsigned long long)IMAGE_BYTES_MAX, IMAGE_ENTRIES_MAX);
}

static bool
is_same(const struct image *a, const struct image *b)
{
	bool same = a->head.layers == b->head.layers &&
		    !memcmp(a->head.config, b->head.config, DIGEST_BYTES);

	for (uint32_t i = 0; same && i < a->head.layers; i++)
		same = !memcmp(a->layers[i].diff, b->layers[i].diff, DIGEST_BYTES);
	return same;
}

/* The same bytes can be the manifest of one image in a layout and the configuration of another in
 * an archive of docker's. */
int
image_join(const struct images *images, struct image **image, const char *reference,
	   const char *tag, struct error *error)
{
	struct image *known;
	char hex[IMAGE_HEX + 1];
	int rc;

	image_hex((*image)->head.digest, hex);
	known = image_read(images, hex);
	if (known && !is_same(known, *image)) {
		image_free(known);
		return error_why(error, ERR_INVALID,
				 "the store has another image of the digest sha256:%s", hex);
	}
	if (known) {
		image_free(*image);
		*image = known;
	} else {
		(*image)->head.added_at_ms = realtime_ms();
	}
	rc = image_add_reference(*image, reference, tag);
	return rc < 0 ? error_errno(error, -rc, "naming the image") : 0;
}
