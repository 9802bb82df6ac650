#include "store.h"

#include <fcntl.h>
#include <sodium.h>
#include <stdarg.h>
#include <string.h>

#include "catalog.h"
#include "common/cleanup.h"
#include "common/io.h"
#include "common/loop.h"
#include "files.h"
#include "sealed.h"

struct store {
	int dir;
	enum store_state state;
	char damage[ERROR_WHY_MAX + 1];
	struct wrapped wrapped;
	struct keys *keys, *spare; /* spare: for a key that is tried */
	uint8_t *value;            /* SECRET_BYTES_MAX, locked */
	uint8_t file[SEALED_FILE_MAX + 1];
	struct index index;
	struct catalog *catalog;
};

/* --- its life -----------------------------------------------------------------------------------
 */

static int
lock_memory(struct store *store, struct error *error)
{
	store->keys = keys_new();
	store->spare = keys_new();
	store->value = sodium_malloc(SECRET_BYTES_MAX);
	if (store->keys && store->spare && store->value &&
	    sodium_mlock(store->value, SECRET_BYTES_MAX) == 0)
		return 0;
	error_why(error, ERR_FAILED, "%d KiB of memory for keys and values cannot be locked",
		  SECRET_BYTES_MAX / 1024 + 16);
	return error_hint(error, "raise the limit: LimitMEMLOCK= of the unit, or ulimit -l");
}

static bool
exists(int dir, const char *name)
{
	return faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void
set_damaged(struct store *store, const char *why)
{
	store->state = STORE_DAMAGED;
	snprintf(store->damage, sizeof(store->damage), "%s", why);
}

/* What stands in the file `key`; opening it comes later. */
static int
look(struct store *store, struct error *error)
{
	_cleanup_free_ char *bytes = NULL;
	size_t length;
	int rc = read_file_at(store->dir, "key", KEY_FILE_MAX, &bytes, &length);

	store->state = STORE_LOCKED;
	if (rc == -ENOENT && !exists(store->dir, "catalog") && !exists(store->dir, "head"))
		store->state = STORE_EMPTY;
	else if (rc == -ENOENT)
		set_damaged(store, "secrets/key is missing");
	else if (rc == -EFBIG ||
		 (rc == 0 && wrapped_decode(&store->wrapped, (const uint8_t *)bytes, length) < 0))
		set_damaged(store, "secrets/key was changed");
	else if (rc < 0)
		return error_errno(error, -rc, "reading secrets/key");
	return 0;
}

struct store *
store_new(int dir, struct error *error)
{
	struct store *store = calloc(1, sizeof(*store));

	if (!store) {
		error_errno(error, ENOMEM, "the store of secrets");
		return NULL;
	}
	store->dir = dir;
	if (lock_memory(store, error) < 0 || look(store, error) < 0) {
		store_free(store);
		return NULL;
	}
	return store;
}

void
store_free(struct store *store)
{
	if (!store)
		return;
	catalog_free(store->catalog);
	index_clear(&store->index);
	keys_free(store->keys);
	keys_free(store->spare);
	if (store->value)
		sodium_free(store->value);
	free(store);
}

enum store_state
store_state(const struct store *store)
{
	return store->state;
}

int
store_closed(const struct store *store, struct error *error)
{
	if (store->state == STORE_DAMAGED) {
		error_why(error, ERR_FAILED, "%s", store->damage);
		error_hint(error, "put the whole of STATE_DIR/secrets back from a backup of one "
				  "moment; secretd(8) tells what each file is");
	} else if (store->state == STORE_EMPTY) {
		error_why(error, ERR_NOT_FOUND, "the store of secrets is empty");
		error_hint(error, "ash secret set NAME stores one");
	} else {
		error_why(error, ERR_CONFLICT, "the store of secrets is locked");
		error_hint(error, "ash secret unlock");
	}
	return error_what(error, "secrets");
}

const struct wrap *
store_wrap(const struct store *store)
{
	return store->wrapped.count ? &store->wrapped.wraps[store->wrapped.count - 1] : NULL;
}

unsigned
store_wraps(const struct store *store)
{
	return store->wrapped.count;
}

const struct index *
store_index(const struct store *store)
{
	return &store->index;
}

uint64_t
store_counter(const struct store *store)
{
	return store->catalog ? catalog_counter(store->catalog) : 0;
}

uint8_t *
store_value(struct store *store)
{
	return store->value;
}

void
store_forget(struct store *store)
{
	sodium_memzero(store->value, SECRET_BYTES_MAX);
}

/* --- keys ---------------------------------------------------------------------------------------
 */

static struct catalog_place
place_of(struct store *store)
{
	return (struct catalog_place){.dir = store->dir,
				      .keys = store->keys,
				      .store = store->wrapped.store,
				      .index = &store->index};
}

static int
write_wrapped(struct store *store, const struct wrapped *wrapped, struct error *error)
{
	uint8_t bytes[KEY_FILE_MAX];
	size_t length = wrapped_encode(wrapped, store->keys, bytes);
	int rc = write_file_durable(store->dir, "key", bytes, length, 0600);

	if (rc < 0)
		return error_errno(error, -rc, "writing secrets/key");
	store->wrapped = *wrapped;
	return 0;
}

/* The key file comes last: without it the others are of a store that never was. */
int
store_make(struct store *store, const struct wrap *terms, const uint8_t kek[KEY_BYTES],
	   struct error *error)
{
	struct catalog_place place = place_of(store);
	struct wrapped wrapped = {0};

	keys_generate(store->keys);
	randombytes_buf(wrapped.store, sizeof(wrapped.store));
	wrapped_add(&wrapped, terms, kek, store->keys);
	if (index_init(&store->index) < 0)
		return error_errno(error, ENOMEM, "the index of secrets");
	store->wrapped = wrapped;
	store->catalog = catalog_create(&place, error);
	if (!store->catalog || write_wrapped(store, &wrapped, error) < 0) {
		catalog_free(steal_ptr(&store->catalog));
		index_clear(&store->index);
		store->wrapped = (struct wrapped){0};
		unlinkat(store->dir, "catalog", 0);
		unlinkat(store->dir, "head", 0);
		return -1;
	}
	store->state = STORE_OPEN;
	return 0;
}

static int
wrong_key(int rc, struct error *error)
{
	if (rc == -ENOKEY) {
		error_why(error, ERR_PERMISSION, "this key does not open secrets/key");
		return error_hint(error, "the store was made under another one; bring that back");
	}
	error_why(error, ERR_FAILED, "secrets/key was changed");
	return error_hint(error, "put it back from a backup");
}

static int
check_key_file(struct store *store, struct error *error)
{
	_cleanup_free_ char *bytes = NULL;
	size_t length = 0;
	int rc = read_file_at(store->dir, "key", KEY_FILE_MAX, &bytes, &length);

	if (rc < 0)
		return error_errno(error, -rc, "reading secrets/key");
	if (length < MAC_BYTES || !wrapped_check((const uint8_t *)bytes, length, store->keys))
		return wrong_key(-EBADMSG, error);
	return 0;
}

/* The newest wrap's key is where keys are kept: the change to it is complete. */
static void
settle_wraps(struct store *store, unsigned which)
{
	struct wrapped wrapped = store->wrapped;
	struct error ignored = ERROR_INIT;

	if (wrapped.count < 2 || which + 1 != wrapped.count)
		return;
	wrapped_keep(&wrapped, which);
	write_wrapped(store, &wrapped, &ignored);
}

static int
open_files(struct store *store, char *note, struct error *error)
{
	struct catalog_place place = place_of(store);
	int rc = index_init(&store->index);

	if (rc < 0)
		return error_errno(error, -rc, "the index of secrets");
	store->catalog = catalog_open(&place, note, error);
	if (!store->catalog) {
		error_what(error, "secrets");
		set_damaged(store, error->why);
		return -1;
	}
	rc = files_sweep(store->dir, &store->index);
	return rc < 0 ? error_errno(error, -rc, "reading the directory of secrets") : 0;
}

int
store_unlock(struct store *store, const uint8_t kek[KEY_BYTES], char *note, struct error *error)
{
	int which;

	*note = '\0';
	if (store->state == STORE_OPEN)
		return 0;
	if (store->state != STORE_LOCKED)
		return store_closed(store, error);
	which = wrapped_open(&store->wrapped, kek, store->keys);
	if (which < 0)
		return wrong_key(which, error);
	if (check_key_file(store, error) < 0)
		return -1;
	if (open_files(store, note, error) < 0) {
		catalog_free(steal_ptr(&store->catalog));
		index_clear(&store->index);
		return -1;
	}
	store->state = STORE_OPEN;
	settle_wraps(store, (unsigned)which);
	return 0;
}

/* An unfinished change before this one is given up: the oldest wrap is the one in use. */
int
store_wrap_add(struct store *store, const struct wrap *terms, const uint8_t kek[KEY_BYTES],
	       struct error *error)
{
	struct wrapped wrapped = store->wrapped;

	if (store->state != STORE_OPEN)
		return store_closed(store, error);
	if (wrapped.count == WRAPS_MAX)
		wrapped_keep(&wrapped, 0);
	wrapped_add(&wrapped, terms, kek, store->keys);
	return write_wrapped(store, &wrapped, error);
}

int
store_wrap_settle(struct store *store, const uint8_t kek[KEY_BYTES], struct error *error)
{
	struct wrapped wrapped = store->wrapped;
	int which = wrapped_open(&wrapped, kek, store->spare);

	if (which >= 0 && sodium_memcmp(store->spare->data, store->keys->data, KEY_BYTES) != 0)
		which = -EBADMSG;
	sodium_memzero(store->spare, sizeof(*store->spare));
	if (which < 0)
		return wrong_key(which, error);
	if ((unsigned)which + 1 != wrapped.count)
		return error_why(error, ERR_CONFLICT, "the old key is still in place");
	wrapped_keep(&wrapped, (unsigned)which);
	return write_wrapped(store, &wrapped, error);
}

const uint8_t *
store_audit_key(const struct store *store)
{
	return store->state == STORE_OPEN ? store->keys->audit : NULL;
}

const uint8_t *
store_prints_key(const struct store *store)
{
	return store->keys->prints;
}

/* --- values -------------------------------------------------------------------------------------
 */

static int
no_such(const char *name, struct error *error)
{
	error_why(error, ERR_NOT_FOUND, "no such secret: %s", name);
	return error_hint(error, "ash secret list names them; ash secret set %s stores it", name);
}

static int
append(struct store *store, struct msg *record, struct error *error)
{
	int rc = catalog_append(store->catalog, record);

	return rc < 0 ? error_errno(error, -rc, "writing secrets/catalog") : 0;
}

static int
commit(struct store *store, const struct sealed *sealed, const uint8_t *tag, struct error *error)
{
	struct secret entry = {.version = sealed->version,
			       .created_at_ms = sealed->created_at_ms,
			       .updated_at_ms = sealed->updated_at_ms,
			       .size = sealed->size};
	struct msg record;
	int rc;

	memcpy(entry.name, sealed->name, sizeof(entry.name));
	memcpy(entry.tag, tag, sizeof(entry.tag));
	secret_record(&entry, &record);
	if (append(store, &record, error) < 0) {
		files_drop_new(store->dir, sealed->name, sealed->version);
		return -1;
	}
	rc = files_commit(store->dir, sealed->name, sealed->version);
	return rc < 0 ? error_errno(error, -rc, "renaming a file of secrets") : 0;
}

/* A new one is whole: what was wrong with the last is past. */
static void
refresh(struct store *store, const char *name, uint64_t version, uint64_t before)
{
	struct secret *secret = index_find(&store->index, name);

	if (!secret)
		return;
	free(secret->damage);
	secret->damage = NULL;
	secret->newest_file = version;
	for (uint64_t old = before; old + 1 < version && before; old++)
		files_drop(store->dir, name, old);
}

int
store_set(struct store *store, const char *name, size_t size, uint64_t *version,
	  struct error *error)
{
	const struct secret *old;
	struct sealed sealed = {.version = 1, .size = (uint32_t)size};
	uint64_t before = 0;
	size_t length;
	int rc;

	if (store->state != STORE_OPEN)
		return store_closed(store, error);
	old = index_find(&store->index, name);
	if (!old && store->index.secrets >= SECRETS_MAX)
		return error_why(error, ERR_CONFLICT, "the store holds %d secrets already",
				 SECRETS_MAX);
	snprintf(sealed.name, sizeof(sealed.name), "%s", name);
	sealed.created_at_ms = sealed.updated_at_ms = realtime_ms();
	if (old) {
		sealed.created_at_ms = old->created_at_ms;
		sealed.version =
		    (old->newest_file > old->version ? old->newest_file : old->version) + 1;
		before = old->version > 1 ? old->version - 1 : old->version;
	}
	length = sealed_write(&sealed, store->value, store->keys->values, store->file);
	rc = files_prepare(store->dir, name, sealed.version, store->file, length);
	if (rc < 0)
		return error_errno(error, -rc, "writing the file of %s", name);
	if (commit(store, &sealed, store->file + length - SECRET_TAG_BYTES, error) < 0)
		return -1;
	*version = sealed.version;
	refresh(store, name, sealed.version, before);
	return 0;
}

static int
refuse_damaged(struct secret *secret, struct error *error)
{
	error_why(error, ERR_FAILED, "%s", secret->damage ? secret->damage : "out of memory");
	return error_hint(error, "store it again: ash secret set %s", secret->name);
}

int
store_read(struct store *store, const char *name, size_t *size, struct error *error)
{
	char file[VALUE_NAME_MAX + 1];
	struct secret *secret;
	struct sealed sealed = {0};
	size_t length;
	int rc;

	if (store->state != STORE_OPEN)
		return store_closed(store, error);
	secret = index_find(&store->index, name);
	if (!secret)
		return no_such(name, error);
	if (secret->damage)
		return refuse_damaged(secret, error);
	value_file(name, secret->version, file);
	rc = files_read(store->dir, name, secret->version, store->file, sizeof(store->file),
			&length);
	if (rc < 0 && rc != -ENOENT)
		return error_errno(error, -rc, "reading secrets/%s", file);
	if (rc == -ENOENT)
		secret_damaged(secret, "secrets/%s is missing", file);
	else if (sealed_read(store->file, length, store->keys->values, &sealed, store->value) < 0)
		secret_damaged(secret, "secrets/%s was changed", file);
	else if (strcmp(sealed.name, name) != 0 || sealed.version != secret->version ||
		 sodium_memcmp(store->file + length - SECRET_TAG_BYTES, secret->tag,
			       SECRET_TAG_BYTES) != 0)
		secret_damaged(secret, "secrets/%s is not the file that the catalog names", file);
	if (secret->damage || rc == -ENOENT) {
		store_forget(store);
		return refuse_damaged(secret, error);
	}
	*size = sealed.size;
	return 0;
}

int
store_read_previous(struct store *store, const char *name, size_t *size, struct error *error)
{
	const struct secret *secret = index_find(&store->index, name);
	char file[VALUE_NAME_MAX + 1];
	struct sealed sealed = {0};
	size_t length;
	int rc;

	if (!secret)
		return no_such(name, error);
	if (secret->version < 2)
		return error_why(error, ERR_NOT_FOUND, "%s has no version before", name);
	value_file(name, secret->version - 1, file);
	rc = files_read(store->dir, name, secret->version - 1, store->file, sizeof(store->file),
			&length);
	if (rc < 0)
		return rc == -ENOENT || rc == -EFBIG
			   ? error_why(error, ERR_FAILED, "secrets/%s is %s", file,
				       rc == -ENOENT ? "missing" : "not as it was written")
			   : error_errno(error, -rc, "reading secrets/%s", file);
	if (sealed_read(store->file, length, store->keys->values, &sealed, store->value) < 0 ||
	    strcmp(sealed.name, name) != 0 || sealed.version != secret->version - 1) {
		store_forget(store);
		return error_why(error, ERR_FAILED, "secrets/%s was changed", file);
	}
	*size = sealed.size;
	return 0;
}

int
store_remove(struct store *store, const char *name, struct error *error)
{
	const struct secret *secret;
	struct msg record;
	uint64_t version;

	if (store->state != STORE_OPEN)
		return store_closed(store, error);
	secret = index_find(&store->index, name);
	if (!secret)
		return no_such(name, error);
	version = secret->version;
	msg_init(&record, MSG_SECRET_REMOVED);
	memcpy(record.secret_removed.secret, secret->name, sizeof(secret->name));
	if (append(store, &record, error) < 0)
		return -1;
	files_drop(store->dir, name, version);
	if (version > 1)
		files_drop(store->dir, name, version - 1);
	sync_dir(store->dir);
	return 0;
}

/* --- grants -------------------------------------------------------------------------------------
 */

int
store_grant(struct store *store, const char *name, const struct grant *grant, struct error *error)
{
	const struct secret *secret;
	struct msg record;

	if (store->state != STORE_OPEN)
		return store_closed(store, error);
	secret = index_find(&store->index, name);
	if (!secret)
		return no_such(name, error);
	if (secret->grant_count >= GRANTS_MAX &&
	    !grant_find(secret, grant->agent, grant->for_server))
		return error_why(error, ERR_CONFLICT, "%s is granted %d times already", name,
				 GRANTS_MAX);
	grant_record(secret, grant, &record);
	return append(store, &record, error);
}

static int
revoke_one(struct store *store, const struct secret *secret, const struct grant *grant,
	   struct error *error)
{
	struct msg record;

	msg_init(&record, MSG_SECRET_REVOKED);
	memcpy(record.secret_revoked.secret, secret->name, sizeof(secret->name));
	memcpy(record.secret_revoked.agent, grant->agent, sizeof(grant->agent));
	memcpy(record.secret_revoked.for_server, grant->for_server, sizeof(grant->for_server));
	return append(store, &record, error);
}

int
store_revoke(struct store *store, const char *name, const char *agent, const char *for_server,
	     struct error *error)
{
	const struct secret *secret;
	const struct grant *grant, *next;
	int count = 0;

	if (store->state != STORE_OPEN)
		return store_closed(store, error);
	secret = index_find(&store->index, name);
	if (!secret)
		return no_such(name, error);
	for (grant = secret->grants; grant; grant = next) {
		next = grant->next;
		if ((agent && strcmp(grant->agent, agent) != 0) ||
		    (for_server && strcmp(grant->for_server, for_server) != 0))
			continue;
		if (revoke_one(store, secret, grant, error) < 0)
			return -1;
		count++;
	}
	return count;
}

int
store_revoke_agent(struct store *store, const char *agent, struct error *error)
{
	_cleanup_free_ struct secret **all = NULL;
	int rc = 0, count = 0;

	if (store->state != STORE_OPEN || !store->index.grants)
		return 0;
	all = index_sorted(&store->index);
	if (!all)
		return error_errno(error, ENOMEM, "revoking the grants of %s", agent);
	for (size_t i = 0; all[i] && rc >= 0; i++) {
		rc = store_revoke(store, all[i]->name, agent, NULL, error);
		count += rc > 0 ? rc : 0;
	}
	return rc < 0 ? -1 : count;
}

int
store_use(struct store *store, const struct secret *secret, const struct grant *grant,
	  struct error *error)
{
	struct msg record;

	grant_record(secret, grant, &record);
	record.secret_granted.uses++;
	return append(store, &record, error);
}
