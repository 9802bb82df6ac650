#include "catalog.h"

#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "head.h"

enum {
	FORMAT = 1,
	/* magic, format, store, generation, counter and chain before its first record, MAC */
	FRONT_SIGNED = 8 + 8 + STORE_ID_BYTES + 8 + 8 + MAC_BYTES,
	FRONT_BYTES = FRONT_SIGNED + MAC_BYTES,
	FRAME_MAX = 1024, /* one record with its MAC; the longest has less */
	SPARE_RECORDS = 1024,
	FILE_MAX = 256 << 20,
};

static const uint8_t magic[8] = "SRCATLG";

struct catalog {
	struct catalog_place place;
	int fd, head_fd;
	struct head head; /* as the last record leaves it */
	uint64_t records; /* in the file */
	bool head_behind; /* the file `head` does not name the last record yet */
	bool broken;      /* the index does not say what the file says: only a restart helps */
};

uint64_t
catalog_counter(const struct catalog *catalog)
{
	return catalog->head.counter;
}

void
catalog_free(struct catalog *catalog)
{
	if (!catalog)
		return;
	close_fd(&catalog->fd);
	close_fd(&catalog->head_fd);
	free(catalog);
}

static struct catalog *
catalog_new(const struct catalog_place *place)
{
	struct catalog *catalog = calloc(1, sizeof(*catalog));

	if (!catalog)
		return NULL;
	catalog->place = *place;
	catalog->fd = catalog->head_fd = -1;
	return catalog;
}

/* --- the front and the frames ------------------------------------------------------------------
 */

static void
mac_of(const struct catalog *catalog, const uint8_t *before, const uint8_t *bytes, size_t length,
       uint8_t mac[MAC_BYTES])
{
	crypto_generichash_state state;

	crypto_generichash_init(&state, catalog->place.keys->catalog, KEY_BYTES, MAC_BYTES);
	if (before)
		crypto_generichash_update(&state, before, MAC_BYTES);
	crypto_generichash_update(&state, bytes, length);
	crypto_generichash_final(&state, mac, MAC_BYTES);
}

/* The front of a catalog that goes on where before ends; its MAC begins the new chain. */
static void
write_front(const struct catalog *catalog, const struct head *before, uint8_t front[FRONT_BYTES])
{
	uint8_t *at = front;

	memcpy(at, magic, sizeof(magic));
	at += sizeof(magic);
	bytes_put(&at, FORMAT, 8);
	memcpy(at, catalog->place.store, STORE_ID_BYTES);
	at += STORE_ID_BYTES;
	bytes_put(&at, before->generation + 1, 8);
	bytes_put(&at, before->counter, 8);
	memcpy(at, before->chain, MAC_BYTES);
	mac_of(catalog, NULL, front, FRONT_SIGNED, front + FRONT_SIGNED);
}

/* before: the head that this catalog went on from. */
static bool
read_front(const struct catalog *catalog, const uint8_t *front, size_t length, struct head *before)
{
	const uint8_t *at = front + sizeof(magic);
	uint8_t mac[MAC_BYTES];

	if (length < FRONT_BYTES)
		return false;
	mac_of(catalog, NULL, front, FRONT_SIGNED, mac);
	if (sodium_memcmp(mac, front + FRONT_SIGNED, MAC_BYTES) != 0 ||
	    memcmp(front, magic, sizeof(magic)) != 0 || bytes_get(&at, 8) != FORMAT ||
	    memcmp(at, catalog->place.store, STORE_ID_BYTES) != 0)
		return false;
	at += STORE_ID_BYTES;
	before->generation = bytes_get(&at, 8) - 1;
	before->counter = bytes_get(&at, 8);
	memcpy(before->chain, at, MAC_BYTES);
	return true;
}

/* The record with its MAC; *head moves on. Its length, or -errno. */
static ssize_t
write_frame(const struct catalog *catalog, const struct msg *record, struct head *head,
	    uint8_t frame[FRAME_MAX])
{
	uint8_t bytes[PROTO_MESSAGE_MAX];
	ssize_t length = msg_encode(record, bytes, sizeof(bytes));

	if (length < 0 || length > FRAME_MAX - MAC_BYTES)
		return length < 0 ? length : -EMSGSIZE;
	memcpy(frame, bytes, (size_t)length);
	mac_of(catalog, head->chain, frame, (size_t)length, head->chain);
	memcpy(frame + length, head->chain, MAC_BYTES);
	head->length += (uint64_t)length + MAC_BYTES;
	return length + MAC_BYTES;
}

/* Every record begins with the counter. */
static uint64_t *
counter_of(struct msg *record)
{
	return &record->secret_entry.counter;
}

/* One more record behind the head: 1, 0 when what stands there is none. */
static int
read_frame(const struct catalog *catalog, const uint8_t *bytes, size_t length, struct head *head,
	   struct msg *record)
{
	const uint8_t *at = bytes + head->length;
	ssize_t size = msg_size(at, length - head->length);
	uint8_t mac[MAC_BYTES];

	if (size < 0 || (size_t)size + MAC_BYTES > length - head->length)
		return 0;
	mac_of(catalog, head->chain, at, (size_t)size, mac);
	if (sodium_memcmp(mac, at + size, MAC_BYTES) != 0 ||
	    msg_decode(record, at, (size_t)size, 0) < 0)
		return 0;
	memcpy(head->chain, mac, MAC_BYTES);
	head->length += (uint64_t)size + MAC_BYTES;
	head->counter = *counter_of(record);
	return 1;
}

/* --- writing it anew ----------------------------------------------------------------------------
 */

/* A file that grows in memory. */
struct draft {
	uint8_t *bytes;
	size_t length, size;
	struct head head;
	uint64_t records;
};

static int
draft_add(struct draft *draft, const void *bytes, size_t length)
{
	if (draft->length + length > draft->size) {
		size_t size = (draft->length + length) * 2;
		uint8_t *grown = realloc(draft->bytes, size);

		if (!grown)
			return -ENOMEM;
		draft->bytes = grown;
		draft->size = size;
	}
	memcpy(draft->bytes + draft->length, bytes, length);
	draft->length += length;
	return 0;
}

static int
draft_record(const struct catalog *catalog, struct draft *draft, struct msg *record)
{
	uint8_t frame[FRAME_MAX];
	ssize_t length;

	*counter_of(record) = draft->head.counter;
	length = write_frame(catalog, record, &draft->head, frame);
	draft->records++;
	return length < 0 ? (int)length : draft_add(draft, frame, (size_t)length);
}

static int
draft_secret(const struct catalog *catalog, struct draft *draft, const struct secret *secret)
{
	struct msg record;
	int rc;

	secret_record(secret, &record);
	rc = draft_record(catalog, draft, &record);
	for (const struct grant *g = secret->grants; rc == 0 && g; g = g->next) {
		grant_record(secret, g, &record);
		rc = draft_record(catalog, draft, &record);
	}
	return rc;
}

static int
draft_all(const struct catalog *catalog, const struct head *before, struct draft *draft)
{
	_cleanup_free_ struct secret **all = index_sorted(catalog->place.index);
	uint8_t front[FRONT_BYTES];
	int rc;

	if (!all)
		return -ENOMEM;
	write_front(catalog, before, front);
	draft->head = (struct head){.generation = before->generation + 1,
				    .counter = before->counter,
				    .length = FRONT_BYTES};
	memcpy(draft->head.chain, front + FRONT_SIGNED, MAC_BYTES);
	rc = draft_add(draft, front, sizeof(front));
	for (size_t i = 0; rc == 0 && all[i]; i++)
		rc = draft_secret(catalog, draft, all[i]);
	return rc;
}

static int
install_draft(struct catalog *catalog, const struct draft *draft)
{
	int rc =
	    write_file_durable(catalog->place.dir, "catalog", draft->bytes, draft->length, 0600);
	int fd;

	if (rc < 0)
		return rc;
	fd = openat(catalog->place.dir, "catalog", O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	close_fd(&catalog->fd);
	catalog->fd = fd;
	catalog->head = draft->head;
	catalog->records = draft->records;
	catalog->head_behind = true;
	return 0;
}

/* The index as a catalog of a new generation. The old one is whole until the rename, and what the
 * new front says ties it to the head, which is written after it. */
static int
rewrite(struct catalog *catalog, const struct head *before)
{
	struct draft draft = {0};
	int rc = draft_all(catalog, before, &draft);

	if (rc == 0)
		rc = install_draft(catalog, &draft);
	free(draft.bytes);
	return rc;
}

struct catalog *
catalog_create(const struct catalog_place *place, struct error *error)
{
	struct catalog *catalog = catalog_new(place);
	const struct head none = {0};
	int rc = catalog ? rewrite(catalog, &none) : -ENOMEM;

	if (rc == 0)
		catalog->head_fd = rc = head_create(place->dir, &catalog->head, place->keys);
	if (rc < 0) {
		error_errno(error, -rc, "making the catalog of secrets");
		catalog_free(catalog);
		return NULL;
	}
	catalog->head_behind = false;
	return catalog;
}

/* --- opening ------------------------------------------------------------------------------------
 */

static int
tampered(const char *file, const char *how, struct error *error)
{
	error_why(error, ERR_FAILED, "%s %s", file, how);
	return error_hint(error, "put the whole store back from a backup of one moment; secretd(8) "
				 "tells what each file is");
}

static bool
is_named(const struct head *at, const struct head *named)
{
	return at->length == named->length && at->counter == named->counter &&
	       sodium_memcmp(at->chain, named->chain, MAC_BYTES) == 0;
}

/* Records up to the head, then one that the head does not name yet. */
static int
replay(struct catalog *catalog, const uint8_t *bytes, size_t length, const struct head *named,
       struct error *error)
{
	struct head *at = &catalog->head;
	bool reached = is_named(at, named);
	struct msg record;
	int beyond = 0;

	while (read_frame(catalog, bytes, length, at, &record)) {
		if (reached && ++beyond > 1)
			return tampered("head", "is older than the catalog: it was put back",
					error);
		if (index_apply(catalog->place.index, &record) < 0)
			return tampered("catalog", "holds a record that makes no sense", error);
		catalog->records++;
		reached = reached || is_named(at, named);
	}
	if (!reached)
		return tampered("catalog", "was changed, cut, or put back from an earlier time",
				error);
	if (beyond && at->length < length)
		return tampered("catalog", "was changed behind its last record", error);
	catalog->head_behind = beyond > 0;
	return 0;
}

static int
check_all(struct catalog *catalog, const uint8_t *bytes, size_t length, const struct head *named,
	  struct error *error)
{
	struct head before;
	struct msg record;

	if (!read_front(catalog, bytes, length, &before))
		return tampered("catalog", "was changed", error);
	catalog->head = (struct head){
	    .generation = before.generation + 1, .counter = before.counter, .length = FRONT_BYTES};
	memcpy(catalog->head.chain, bytes + FRONT_SIGNED, MAC_BYTES);
	if (catalog->head.generation == named->generation)
		return replay(catalog, bytes, length, named, error);
	/* Written anew, and then secretd ended before the head said so. */
	if (before.generation != named->generation || before.counter != named->counter ||
	    sodium_memcmp(before.chain, named->chain, MAC_BYTES) != 0)
		return tampered("catalog", "does not go on from head: one of them was put back",
				error);
	while (catalog->head.length < length) {
		if (!read_frame(catalog, bytes, length, &catalog->head, &record) ||
		    index_apply(catalog->place.index, &record) < 0)
			return tampered("catalog", "was changed", error);
		catalog->records++;
	}
	catalog->head_behind = true;
	return 0;
}

static int
read_catalog(struct catalog *catalog, const struct head *named, size_t *length, struct error *error)
{
	_cleanup_free_ char *bytes = NULL;
	int rc;

	catalog->fd =
	    openat(catalog->place.dir, "catalog", O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (catalog->fd < 0 && errno == ENOENT)
		return tampered("catalog", "is missing", error);
	rc = catalog->fd < 0 ? -errno : read_file(catalog->fd, FILE_MAX, &bytes, length);
	if (rc < 0)
		return error_errno(error, -rc, "reading the file catalog");
	return check_all(catalog, (const uint8_t *)bytes, *length, named, error);
}

/* What a crash left is made good; nothing else may differ. */
static int
repair(struct catalog *catalog, size_t length, bool damaged, char *note, struct error *error)
{
	int rc = 0;

	*note = '\0';
	if (length > catalog->head.length) {
		snprintf(note, CATALOG_NOTE_MAX + 1,
			 "catalog: %zu bytes of a change that was never whole were cut off",
			 length - (size_t)catalog->head.length);
		if (ftruncate(catalog->fd, (off_t)catalog->head.length) < 0)
			rc = -errno;
	}
	if (damaged)
		snprintf(note + strlen(note), CATALOG_NOTE_MAX + 1 - strlen(note),
			 "%shead: one of its two slots was damaged and is written anew",
			 *note ? "; " : "");
	if (rc == 0 && (damaged || catalog->head_behind)) {
		close_fd(&catalog->head_fd);
		catalog->head_fd = rc =
		    head_create(catalog->place.dir, &catalog->head, catalog->place.keys);
		catalog->head_behind = rc < 0;
	}
	return rc < 0 ? error_errno(error, -rc, "repairing the catalog of secrets") : 0;
}

struct catalog *
catalog_open(const struct catalog_place *place, char *note, struct error *error)
{
	struct catalog *catalog = catalog_new(place);
	struct head named;
	bool damaged;
	size_t length;

	if (!catalog) {
		error_errno(error, ENOMEM, "the catalog of secrets");
		return NULL;
	}
	catalog->head_fd = head_open(place->dir, place->keys, &named, &damaged);
	if (catalog->head_fd == -ENOENT)
		tampered("head", "is missing", error);
	else if (catalog->head_fd == -EBADMSG)
		tampered("head", "was changed", error);
	else if (catalog->head_fd < 0)
		error_errno(error, -catalog->head_fd, "reading the file head");
	else if (read_catalog(catalog, &named, &length, error) == 0 &&
		 repair(catalog, length, damaged, note, error) == 0)
		return catalog;
	catalog_free(catalog);
	return NULL;
}

/* --- a change -----------------------------------------------------------------------------------
 */

static int
catch_up_head(struct catalog *catalog)
{
	int rc = catalog->head_behind
		     ? head_write(catalog->head_fd, &catalog->head, catalog->place.keys)
		     : 0;

	catalog->head_behind = rc < 0;
	return rc;
}

/* Once for every time that the store has doubled in records: what a change costs stays bounded. */
static int
tidy(struct catalog *catalog)
{
	const struct index *index = catalog->place.index;
	const struct head before = catalog->head;

	if (catalog->records < 2 * (index->secrets + index->grants) + SPARE_RECORDS)
		return 0;
	return rewrite(catalog, &before);
}

static int
write_record(struct catalog *catalog, const uint8_t *frame, size_t length)
{
	int rc = pwrite_all(catalog->fd, frame, length, (off_t)catalog->head.length);

	if (rc == 0 && fdatasync(catalog->fd) < 0)
		rc = -errno;
	/* A part of it would be garbage behind the next one. */
	if (rc < 0 && ftruncate(catalog->fd, (off_t)catalog->head.length) < 0)
		catalog->broken = true;
	return rc;
}

int
catalog_append(struct catalog *catalog, struct msg *record)
{
	struct head next;
	uint8_t frame[FRAME_MAX];
	ssize_t length;
	int rc = catalog->broken ? -EIO : catch_up_head(catalog);

	if (rc == 0)
		rc = tidy(catalog);
	if (rc == 0)
		rc = catch_up_head(catalog);
	if (rc < 0)
		return rc;
	next = catalog->head;
	*counter_of(record) = ++next.counter;
	length = write_frame(catalog, record, &next, frame);
	if (length < 0)
		return (int)length;
	rc = write_record(catalog, frame, (size_t)length);
	if (rc < 0)
		return rc;
	catalog->head = next;
	catalog->records++;
	catalog->head_behind = true;
	catalog->broken = index_apply(catalog->place.index, record) < 0;
	catch_up_head(catalog); /* else the next change does */
	return 0;
}
