#include "find.h"

#include <string.h>

#include "common/cleanup.h"
#include "digest.h"

enum { MEDIA_TYPE_MAX = 127 };

#define TAG_KEY "org.opencontainers.image.ref.name"

/* A document in memory, and its value. */
struct document {
	char *text;
	struct span value;
};

static void
document_free(struct document *document)
{
	free(document->text);
}

/* A descriptor, as indexes and manifests have them. */
struct descriptor {
	uint8_t digest[DIGEST_BYTES];
	char path[sizeof("blobs/sha256/") + HEX_LEN];
	char media_type[MEDIA_TYPE_MAX + 1];
	uint64_t size;
};

/* --- documents -----------------------------------------------------------------------------------
 */

/* -ENOENT: there is none. */
static int
read_document(const struct source *source, const char *name, struct document *document,
	      uint64_t *length, struct error *error)
{
	const char *why;
	int rc = source_read(source, name, DOCUMENT_MAX, &document->text, length, error);

	if (rc < 0)
		return rc;
	why = scan((struct span){document->text, (size_t)*length}, &document->value);
	return why ? error_why(error, ERR_INVALID, "%s is no JSON: %s", name, why) : 0;
}

static int
refuse_missing(const char *name, struct error *error)
{
	return error_why(error, ERR_INVALID, "%s is missing", name);
}

/* By its descriptor: as long as that says, and with its digest. */
static int
read_described(const struct source *source, const struct descriptor *by, struct document *document,
	       struct error *error)
{
	uint8_t digest[DIGEST_BYTES];
	uint64_t length = 0;
	int rc = read_document(source, by->path, document, &length, error);

	if (rc == -ENOENT)
		return refuse_missing(by->path, error);
	if (rc < 0)
		return -1;
	if (length != by->size)
		return error_why(error, ERR_INVALID, "%s has %llu bytes, and should have %llu",
				 by->path, (unsigned long long)length,
				 (unsigned long long)by->size);
	digest_of(document->text, (size_t)length, digest);
	if (memcmp(digest, by->digest, DIGEST_BYTES) != 0)
		return error_why(error, ERR_INVALID,
				 "%s does not have the digest that it is named by", by->path);
	return 0;
}

static int
read_descriptor(struct span value, const char *what, struct descriptor *by, struct error *error)
{
	static const char *const names[] = {"digest", "size", "mediaType"};
	char text[IMAGE_DIGEST_LEN + 1];
	struct span values[ARRAY_LEN(names)];

	if (members(value, names, ARRAY_LEN(names), values) < 0 ||
	    string_text(values[0], text, sizeof(text)) < 0 || !digest_parse_named(text, by->digest))
		return error_why(error, ERR_INVALID, "%s has no sha256 digest", what);
	if (!values[1].at || !number_uint(values[1], &by->size))
		return error_why(error, ERR_INVALID, "%s has no size", what);
	if (string_text(values[2], by->media_type, sizeof(by->media_type)) < 0)
		return error_why(error, ERR_INVALID, "%s has no mediaType", what);
	snprintf(by->path, sizeof(by->path), "blobs/sha256/%s", text + strlen("sha256:"));
	return 0;
}

static bool
is_one_of(const char *text, const char *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(text, list[i]))
			return true;
	return false;
}

static bool
is_index(const struct descriptor *by)
{
	static const char *const types[] = {
	    "application/vnd.oci.image.index.v1+json",
	    "application/vnd.docker.distribution.manifest.list.v2+json",
	};

	return is_one_of(by->media_type, types, ARRAY_LEN(types));
}

static bool
is_manifest(const struct descriptor *by)
{
	static const char *const types[] = {
	    "application/vnd.oci.image.manifest.v1+json",
	    "application/vnd.docker.distribution.manifest.v2+json",
	};

	return is_one_of(by->media_type, types, ARRAY_LEN(types));
}

static bool
is_layer(const struct descriptor *by)
{
	static const char *const types[] = {
	    "application/vnd.oci.image.layer.v1.tar",
	    "application/vnd.oci.image.layer.v1.tar+gzip",
	    "application/vnd.oci.image.layer.v1.tar+zstd",
	    "application/vnd.docker.image.rootfs.diff.tar",
	    "application/vnd.docker.image.rootfs.diff.tar.gzip",
	    "application/vnd.docker.image.rootfs.diff.tar.zstd",
	};

	return is_one_of(by->media_type, types, ARRAY_LEN(types));
}

/* --- an index ------------------------------------------------------------------------------------
 */

static bool
member_is(struct span object, const char *name, const char *text)
{
	struct span value = member(object, name);

	return value.at && value_kind(value) == VALUE_STRING && string_equal(value, text);
}

/* Says a descriptor that it is for this machine, or nothing? */
static bool
is_for_machine(struct span descriptor)
{
	struct span platform = member(descriptor, "platform");

	if (!platform.at || value_kind(platform) == VALUE_NULL)
		return true;
	return member_is(platform, "os", "linux") &&
	       member_is(platform, "architecture", machine_name());
}

static bool
is_tagged(struct span descriptor, const char *tag)
{
	return !tag[0] || member_is(member(descriptor, "annotations"), TAG_KEY, tag);
}

struct choice {
	struct span chosen;
	size_t tagged, fitting;
};

static int
choose(struct span index, const char *tag, struct choice *choice, struct error *error)
{
	struct span key, value;
	struct cursor cursor;

	*choice = (struct choice){.chosen = NO_SPAN};
	if (!cursor_open(&cursor, member(index, "manifests"), VALUE_ARRAY))
		return error_why(error, ERR_INVALID, "its index names no manifests");
	while (cursor_next(&cursor, &key, &value)) {
		if (!is_tagged(value, tag))
			continue;
		choice->tagged++;
		if (!is_for_machine(value))
			continue;
		if (!choice->fitting++)
			choice->chosen = value;
	}
	return 0;
}

static int
refuse_choice(const struct choice *choice, const char *tag, struct error *error)
{
	if (!choice->tagged && tag[0])
		return error_why(error, ERR_NOT_FOUND, "it has no image with the tag %s", tag);
	if (!choice->fitting)
		return error_why(error, ERR_INVALID, "it has no image for linux on %s",
				 machine_name());
	if (tag[0])
		return error_why(error, ERR_INVALID, "it has the tag %s %zu times", tag,
				 choice->fitting);
	error_why(error, ERR_INVALID, "it holds %zu images", choice->fitting);
	return error_hint(error, "name one by its tag: :TAG behind the path");
}

/* Descends to one manifest. */
static int
find_manifest(const struct source *source, const char *tag, struct descriptor *by,
	      struct error *error)
{
	uint64_t length;

	for (int depth = 0; depth < INDEX_DEPTH; depth++) {
		_cleanup_(document_free) struct document index = {0};
		struct choice choice;
		int rc = depth ? read_described(source, by, &index, error)
			       : read_document(source, "index.json", &index, &length, error);

		if (rc == -ENOENT)
			return refuse_missing("index.json", error);
		if (rc < 0 || choose(index.value, depth ? "" : tag, &choice, error) < 0)
			return -1;
		if (choice.fitting != 1 && !(depth && choice.fitting))
			return refuse_choice(&choice, depth ? "" : tag, error);
		if (read_descriptor(choice.chosen, "a manifest in its index", by, error) < 0)
			return -1;
		if (is_manifest(by))
			return 0;
		if (!is_index(by))
			return error_why(error, ERR_INVALID,
					 "its index leads to a %s, which is no image",
					 by->media_type);
	}
	return error_why(error, ERR_INVALID, "its indexes are more than %d deep", INDEX_DEPTH);
}

/* --- layers --------------------------------------------------------------------------------------
 */

static int
add_blob(const struct source *source, const char *path, struct found *found, struct error *error)
{
	struct found_layer *layer = &found->layers[found->head.layers];
	int rc = source_open(source, path, &layer->bytes, error);

	if (rc == -ENOENT)
		return refuse_missing(path, error);
	if (rc < 0)
		return -1;
	found->head.layers++;
	return 0;
}

static int
check_count(const struct found *found, struct error *error)
{
	if (found->head.layers < IMAGE_LAYERS_MAX)
		return 0;
	return error_why(error, ERR_INVALID, "it has over %d layers", IMAGE_LAYERS_MAX);
}

static int
add_described(const struct source *source, struct span value, struct found *found,
	      struct error *error)
{
	struct found_layer *layer;
	struct descriptor by;

	if (check_count(found, error) < 0 || read_descriptor(value, "a layer", &by, error) < 0)
		return -1;
	if (!is_layer(&by))
		return error_why(error, ERR_INVALID, "it has a layer of type %s, which is no tar",
				 by.media_type);
	layer = &found->layers[found->head.layers];
	memcpy(layer->blob, by.digest, DIGEST_BYTES);
	layer->has_blob = true;
	if (add_blob(source, by.path, found, error) < 0)
		return -1;
	if (layer->bytes.size == by.size)
		return 0;
	return error_why(error, ERR_INVALID, "%s has %llu bytes, and should have %llu", by.path,
			 (unsigned long long)layer->bytes.size, (unsigned long long)by.size);
}

static int
read_layers(const struct source *source, struct span manifest, struct found *found,
	    struct error *error)
{
	struct span key, value;
	struct cursor cursor;

	if (!cursor_open(&cursor, member(manifest, "layers"), VALUE_ARRAY))
		return error_why(error, ERR_INVALID, "its manifest names no layers");
	while (cursor_next(&cursor, &key, &value))
		if (add_described(source, value, found, error) < 0)
			return -1;
	return found->head.layers ? 0 : error_why(error, ERR_INVALID, "it has no layers");
}

static int
find_in_layout(const struct source *source, const char *tag, struct found *found,
	       struct error *error)
{
	_cleanup_(document_free) struct document manifest = {0}, config = {0};
	struct descriptor by;

	if (find_manifest(source, tag, &by, error) < 0 ||
	    read_described(source, &by, &manifest, error) < 0)
		return -1;
	memcpy(found->head.digest, by.digest, DIGEST_BYTES);
	found->head.digest_len = DIGEST_BYTES;
	if (read_descriptor(member(manifest.value, "config"), "its configuration", &by, error) <
		0 ||
	    read_described(source, &by, &config, error) < 0)
		return -1;
	memcpy(found->head.config, by.digest, DIGEST_BYTES);
	found->head.config_len = DIGEST_BYTES;
	if (read_layers(source, manifest.value, found, error) < 0)
		return -1;
	return config_read(config.value, found, found->head.layers, error);
}

/* --- an archive as docker save writes it
 * -----------------------------------------------------------
 */

/* NAME:TAG, of which the tag alone may be said. */
static bool
has_tag(struct span image, const char *tag)
{
	char text[IMAGE_TAG_MAX + 1];
	struct span key, value;
	struct cursor cursor;
	const char *mark;

	if (!tag[0])
		return true;
	if (!cursor_open(&cursor, member(image, "RepoTags"), VALUE_ARRAY))
		return false;
	while (cursor_next(&cursor, &key, &value)) {
		if (string_text(value, text, sizeof(text)) < 0)
			continue;
		mark = strrchr(text, ':');
		if (!strcmp(text, tag) || (mark && !strcmp(mark + 1, tag)))
			return true;
	}
	return false;
}

static int
choose_saved(struct span manifest, const char *tag, struct span *chosen, struct error *error)
{
	struct choice choice = {.chosen = NO_SPAN};
	struct span key, value;
	struct cursor cursor;

	if (!cursor_open(&cursor, manifest, VALUE_ARRAY))
		return error_why(error, ERR_INVALID, "manifest.json is no list");
	while (cursor_next(&cursor, &key, &value))
		if (has_tag(value, tag)) {
			*chosen = value;
			choice.tagged++;
			choice.fitting++;
		}
	return choice.fitting == 1 ? 0 : refuse_choice(&choice, tag, error);
}

static int
member_name(struct span value, const char *what, char name[MEDIA_TYPE_MAX + 1], struct error *error)
{
	if (string_text(value, name, MEDIA_TYPE_MAX + 1) > 0)
		return 0;
	return error_why(error, ERR_INVALID, "manifest.json names no %s", what);
}

/* Named HEX.json or blobs/sha256/HEX: then that is its digest. */
static int
check_named(const char *name, const uint8_t digest[DIGEST_BYTES], struct error *error)
{
	const char *slash = strrchr(name, '/'), *base = slash ? slash + 1 : name;
	uint8_t named[DIGEST_BYTES];
	char hex[HEX_LEN + 1];

	snprintf(hex, sizeof(hex), "%.*s", HEX_LEN, base);
	if (!digest_parse(hex, named) || !memcmp(named, digest, DIGEST_BYTES))
		return 0;
	return error_why(error, ERR_INVALID, "%s does not have the digest that it is named by",
			 name);
}

static int
read_saved_layers(const struct source *source, struct span image, struct found *found,
		  struct error *error)
{
	char name[MEDIA_TYPE_MAX + 1];
	struct span key, value;
	struct cursor cursor;

	if (!cursor_open(&cursor, member(image, "Layers"), VALUE_ARRAY))
		return error_why(error, ERR_INVALID, "manifest.json names no layers");
	while (cursor_next(&cursor, &key, &value))
		if (check_count(found, error) < 0 || member_name(value, "layer", name, error) < 0 ||
		    add_blob(source, name, found, error) < 0)
			return -1;
	return found->head.layers ? 0 : error_why(error, ERR_INVALID, "it has no layers");
}

static int
find_saved(const struct source *source, const char *tag, struct found *found, struct error *error)
{
	_cleanup_(document_free) struct document manifest = {0}, config = {0};
	struct msg_image_head *head = &found->head;
	char name[MEDIA_TYPE_MAX + 1];
	struct span image = NO_SPAN;
	uint64_t length;
	int rc = read_document(source, "manifest.json", &manifest, &length, error);

	if (rc == -ENOENT)
		return error_why(error, ERR_INVALID,
				 "it is no image: neither index.json nor manifest.json is in it");
	if (rc < 0 || choose_saved(manifest.value, tag, &image, error) < 0 ||
	    member_name(member(image, "Config"), "configuration", name, error) < 0)
		return -1;
	rc = read_document(source, name, &config, &length, error);
	if (rc == -ENOENT)
		return refuse_missing(name, error);
	if (rc < 0)
		return -1;
	digest_of(config.text, (size_t)length, head->digest);
	memcpy(head->config, head->digest, DIGEST_BYTES);
	head->digest_len = head->config_len = DIGEST_BYTES;
	if (check_named(name, head->digest, error) < 0 ||
	    read_saved_layers(source, image, found, error) < 0)
		return -1;
	return config_read(config.value, found, head->layers, error);
}

/* --- either --------------------------------------------------------------------------------------
 */

static int
check_version(const struct source *source, struct error *error)
{
	_cleanup_(document_free) struct document layout = {0};
	uint64_t length;
	int rc = read_document(source, "oci-layout", &layout, &length, error);

	if (rc == -ENOENT)
		return refuse_missing("oci-layout", error);
	if (rc < 0)
		return -1;
	if (member_is(layout.value, "imageLayoutVersion", "1.0.0"))
		return 0;
	return error_why(error, ERR_INVALID, "its layout is not of version 1.0.0");
}

int
find_image(const struct source *source, const char *tag, struct found *found, struct error *error)
{
	struct blob blob = {.fd = -1};
	int rc = source_open(source, "index.json", &blob, error);

	close_fd(&blob.fd);
	if (rc == -ENOENT)
		return find_saved(source, tag, found, error);
	if (rc < 0 || check_version(source, error) < 0)
		return -1;
	return find_in_layout(source, tag, found, error);
}

static int
add_layer(struct rows *rows, const struct found_layer *layer)
{
	struct msg record;

	msg_init(&record, MSG_IMAGE_LAYER);
	memcpy(record.image_layer.diff, layer->diff, DIGEST_BYTES);
	record.image_layer.diff_len = DIGEST_BYTES;
	memcpy(record.image_layer.blob, layer->blob, DIGEST_BYTES);
	record.image_layer.blob_len = layer->has_blob ? DIGEST_BYTES : 0;
	record.image_layer.size = layer->bytes.size;
	return rows_add(rows, &record);
}

static int
add_text(struct rows *rows, const struct found_text *text)
{
	struct msg record;

	msg_init(&record, MSG_IMAGE_TEXT);
	record.image_text.kind = (uint8_t)text->kind;
	strcpy(record.image_text.text, text->text);
	return rows_add(rows, &record);
}

int
found_seal(struct found *found)
{
	struct rows *rows = rows_new("image");
	struct msg record;
	int rc;

	if (!rows)
		return -ENOMEM;
	msg_init(&record, MSG_IMAGE_HEAD);
	record.image_head = found->head;
	rc = rows_add(rows, &record);
	for (size_t i = 0; !rc && i < found->head.layers; i++)
		rc = add_layer(rows, &found->layers[i]);
	for (size_t i = 0; !rc && i < found->head.texts; i++)
		rc = add_text(rows, &found->texts[i]);
	if (!rc)
		return rows_seal(rows);
	rows_free(rows);
	return rc;
}

void
found_close(struct found *found)
{
	for (size_t i = 0; i < found->head.layers; i++)
		close_fd(&found->layers[i].bytes.fd);
	for (size_t i = 0; i < found->head.texts; i++)
		free(found->texts[i].text);
	found->head.layers = found->head.texts = 0;
}
