// with: secretd/store.c secretd/files.c secretd/catalog.c secretd/head.c secretd/index.c
// with: secretd/sealed.c secretd/keys.c
/* The store of secrets at rest: what one key wrote another process reads; whatever is changed on
 * the disk is found; a crash at any system call leaves the old value or the new one. */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "common/loop.h"
#include "secretd/files.h"
#include "secretd/sealed.h"
#include "secretd/store.h"
#include "tests/unit/suite.h"

static char path[64];
static int dir = -1;
static const struct wrap plain = {.passphrase = false};
static const uint8_t kek[KEY_BYTES] = "the first key of this test", other[KEY_BYTES] = "another";

static void
set_up(void)
{
	ck_assert_int_ge(sodium_init(), 0);
	strcpy(path, access("/dev/shm", W_OK) == 0 ? "/dev/shm/scarab-secrets-XXXXXX"
						   : "/tmp/scarab-secrets-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(path));
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(dir, 0);
}

typedef void file_fn(const char *name, void *arg);

static void
each_file(file_fn *fn, void *arg)
{
	DIR *stream = fdopendir(openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	char names[64][VALUE_NAME_MAX + 1];
	struct dirent *entry;
	size_t count = 0;

	while ((entry = readdir(stream)))
		if (entry->d_type == DT_REG && count < ARRAY_LEN(names))
			snprintf(names[count++], sizeof(names[0]), "%.*s", VALUE_NAME_MAX,
				 entry->d_name);
	closedir(stream);
	for (size_t i = 0; i < count; i++)
		fn(names[i], arg);
}

static void
remove_one(const char *name, void *arg)
{
	(void)arg;
	unlinkat(dir, name, 0);
}

static void
tear_down(void)
{
	each_file(remove_one, NULL);
	rmdir(path);
	close_fd(&dir);
}

/* --- using it -----------------------------------------------------------------------------------
 */

static struct store *
look(void)
{
	struct error error = ERROR_INIT;
	struct store *store = store_new(dir, &error);

	ck_assert_msg(store != NULL, "%s: %s", error.what, error.why);
	return store;
}

static struct store *
make(void)
{
	struct error error = ERROR_INIT;
	struct store *store = look();

	ck_assert_int_eq(store_state(store), STORE_EMPTY);
	ck_assert_msg(store_make(store, &plain, kek, &error) == 0, "%s", error.why);
	return store;
}

static int
try_open(struct store **store, char *note, struct error *error)
{
	int rc;

	*error = (struct error)ERROR_INIT;
	*store = store_new(dir, error);
	if (!*store)
		return -1;
	rc = store_unlock(*store, kek, note, error);
	return rc;
}

static struct store *
reopen(struct store *store)
{
	char note[STORE_NOTE_MAX + 1];
	struct error error;

	store_free(store);
	ck_assert_msg(try_open(&store, note, &error) == 0, "%s: %s", error.what, error.why);
	ck_assert_str_eq(note, "");
	return store;
}

static int
try_set(struct store *store, const char *name, const char *value, struct error *error)
{
	uint64_t version;

	memcpy(store_value(store), value, strlen(value));
	return store_set(store, name, strlen(value), &version, error);
}

static void
set(struct store *store, const char *name, const char *value)
{
	struct error error = ERROR_INIT;

	ck_assert_msg(try_set(store, name, value, &error) == 0, "%s: %s", error.what, error.why);
}

static bool
holds(struct store *store, const char *name, const char *value)
{
	struct error error = ERROR_INIT;
	size_t size;

	return store_read(store, name, &size, &error) == 0 && size == strlen(value) &&
	       memcmp(store_value(store), value, size) == 0;
}

static struct grant
grant_to(const char *agent)
{
	struct grant grant = {.granted_at_ms = 7, .until_at_ms = 8, .max_uses = 9, .uid = 10};

	snprintf(grant.agent, sizeof(grant.agent), "%s", agent);
	memset(grant.digest, 0x5a, sizeof(grant.digest));
	return grant;
}

START_TEST(values_versions_and_grants_survive)
{
	struct error error = ERROR_INIT;
	struct store *store = make();
	struct grant grant = grant_to("agent-a");
	const struct secret *secret;
	char file[VALUE_NAME_MAX + 1];

	set(store, "one", "the first value");
	set(store, "one", "the second value");
	set(store, "one", "the third value");
	set(store, "two.x", "another value");
	ck_assert_int_eq(store_grant(store, "one", &grant, &error), 0);
	ck_assert_int_eq(store_use(store, index_find(store_index(store), "one"), &grant, &error),
			 0);
	store = reopen(store);
	ck_assert(holds(store, "one", "the third value") && holds(store, "two.x", "another value"));
	secret = index_find(store_index(store), "one");
	ck_assert_uint_eq(secret->version, 3);
	ck_assert_uint_eq(secret->grants->uses, 1);
	ck_assert_uint_eq(secret->grants->max_uses, 9);
	ck_assert_uint_eq(store_counter(store), 6);
	/* The version before stays, older ones go. */
	ck_assert_int_eq(faccessat(dir, value_file("one", 2, file), F_OK, 0), 0);
	ck_assert_int_ne(faccessat(dir, value_file("one", 1, file), F_OK, 0), 0);
	ck_assert_int_eq(store_revoke(store, "one", "agent-b", NULL, &error), 0);
	ck_assert_int_eq(store_revoke_agent(store, "agent-a", &error), 1);
	ck_assert_int_eq(store_remove(store, "one", &error), 0);
	store = reopen(store);
	ck_assert(!holds(store, "one", "the third value"));
	ck_assert_int_ne(faccessat(dir, value_file("one", 3, file), F_OK, 0), 0);
	set(store, "one", "begins anew");
	store = reopen(store);
	ck_assert(holds(store, "one", "begins anew"));
	store_free(store);
}
END_TEST

START_TEST(sizes_from_least_to_most)
{
	static const size_t sizes[] = {SECRET_BYTES_MIN, 4096, SECRET_BYTES_MAX};
	struct error error = ERROR_INIT;
	struct store *store = make();
	uint64_t version;
	size_t size;

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		memset(store_value(store), (int)i + 1, sizes[i]);
		ck_assert_int_eq(store_set(store, "sized", sizes[i], &version, &error), 0);
		store_forget(store);
		ck_assert_int_eq(store_read(store, "sized", &size, &error), 0);
		ck_assert_uint_eq(size, sizes[i]);
		ck_assert_uint_eq(store_value(store)[size - 1], i + 1);
	}
	store_free(store);
}
END_TEST

/* No file of the store holds a value as it is. */
static void
has_no_value(const char *name, void *arg)
{
	_cleanup_free_ char *bytes = NULL;
	size_t length;

	ck_assert_int_eq(read_file_at(dir, name, 1 << 20, &bytes, &length), 0);
	ck_assert_msg(!memmem(bytes, length, arg, strlen(arg)), "%s holds the value", name);
}

START_TEST(nothing_readable_lies_on_the_disk)
{
	char value[] = "distinctive-value-1234567890";
	struct store *store = make();

	set(store, "name", value);
	each_file(has_no_value, value);
	store_free(store);
}
END_TEST

/* Catalogs are written anew when most of their records are old. */
START_TEST(many_changes_keep_the_catalog_short)
{
	struct store *store = make();
	struct stat st;
	char name[32];

	for (int i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "secret-%d", i % 20);
		set(store, name, "some value or other");
	}
	ck_assert_int_eq(fstatat(dir, "catalog", &st, 0), 0);
	ck_assert_int_lt(st.st_size, 300 << 10);
	store = reopen(store);
	ck_assert_uint_eq(store_index(store)->secrets, 20);
	ck_assert_uint_eq(store_counter(store), 3000);
	ck_assert(holds(store, "secret-7", "some value or other"));
	store_free(store);
}
END_TEST

/* --- keys ---------------------------------------------------------------------------------------
 */

START_TEST(another_key_opens_nothing)
{
	struct error error = ERROR_INIT;
	struct store *store = make();
	char note[STORE_NOTE_MAX + 1];
	size_t size;

	set(store, "name", "some value");
	store_free(store);
	store = look();
	ck_assert_int_eq(store_state(store), STORE_LOCKED);
	ck_assert_int_eq(store_read(store, "name", &size, &error), -1);
	ck_assert_ptr_nonnull(strstr(error.why, "locked"));
	ck_assert_int_eq(store_unlock(store, other, note, &error), -1);
	ck_assert_int_eq(error.code, ERR_PERMISSION);
	ck_assert_int_eq(store_unlock(store, kek, note, &error), 0);
	ck_assert(holds(store, "name", "some value"));
	store_free(store);
}
END_TEST

static bool
opens_with(const uint8_t *key)
{
	struct error error = ERROR_INIT;
	char note[STORE_NOTE_MAX + 1];
	struct store *store = look();
	bool opened =
	    store_unlock(store, key, note, &error) == 0 && holds(store, "name", "some value");

	store_free(store);
	return opened;
}

/* Between the steps of a change of the key either key opens the store. */
START_TEST(the_key_changes_without_a_moment_without_one)
{
	struct error error = ERROR_INIT;
	struct store *store = make();

	set(store, "name", "some value");
	ck_assert_int_eq(store_wrap_settle(store, other, &error), -1);
	ck_assert_int_eq(store_wrap_add(store, &plain, other, &error), 0);
	ck_assert_int_eq(store_wraps(store), 2);
	ck_assert_int_eq(store_wrap_settle(store, kek, &error), -1);
	ck_assert_int_eq(store_wraps(store), 2);
	store_free(store);
	ck_assert(opens_with(kek));
	/* Opening it with the new one completes the change. */
	ck_assert(opens_with(other));
	ck_assert(!opens_with(kek));
}
END_TEST

START_TEST(a_change_of_the_key_settles)
{
	struct error error = ERROR_INIT;
	struct store *store = make();

	set(store, "name", "some value");
	/* One that was given up in between is forgotten. */
	ck_assert_int_eq(store_wrap_add(store, &plain,
					(const uint8_t *)"0123456789abcdef"
							 "0123456789abcdef",
					&error),
			 0);
	ck_assert_int_eq(store_wrap_add(store, &plain, other, &error), 0);
	ck_assert_int_eq(store_wrap_settle(store, other, &error), 0);
	ck_assert_int_eq(store_wraps(store), 1);
	store_free(store);
	ck_assert(opens_with(other) && !opens_with(kek));
}
END_TEST

START_TEST(a_key_file_is_not_too_short_or_long)
{
	uint8_t key[KEY_BYTES], again[KEY_BYTES];
	char bytes[KEK_FILE_MAX + 1];
	int fd = memfd_create("kek", 0);

	memset(bytes, 'k', sizeof(bytes));
	ck_assert_int_eq(write_all(fd, bytes, KEK_FILE_MIN - 1), 0);
	ck_assert_int_eq(kek_from_file(fd, key), -ERANGE);
	ck_assert_int_eq(write_all(fd, bytes, 1), 0);
	ck_assert_int_eq(kek_from_file(fd, key), 0);
	ck_assert_int_eq(write_all(fd, "\n", 1), 0);
	ck_assert_int_eq(kek_from_file(fd, again), 0);
	ck_assert_int_ne(memcmp(key, again, sizeof(key)), 0);
	ck_assert_int_eq(write_all(fd, bytes, sizeof(bytes)), 0);
	ck_assert_int_eq(kek_from_file(fd, key), -ERANGE);
	close(fd);
}
END_TEST

/* --- changes on the disk
 * -------------------------------------------------------------------------- */

static const char *const values[][2] = {{"alpha", "the value of alpha"},
					{"beta", "the value of beta!"}};
static const char older[] = "an older value"; /* of alpha */

static void
fill(void)
{
	struct error error = ERROR_INIT;
	struct store *store = make();
	struct grant grant = grant_to("agent-a");

	set(store, "alpha", older);
	for (size_t i = 0; i < ARRAY_LEN(values); i++)
		set(store, values[i][0], values[i][1]);
	ck_assert_int_eq(store_grant(store, "beta", &grant, &error), 0);
	store_free(store);
}

/* True when the change was noticed: refused with the file's name, or repaired and told. What is
 * handed out must be right in any case. */
static bool
noticed(const char *file, bool *named)
{
	char note[STORE_NOTE_MAX + 1] = "";
	struct store *store;
	struct error error;
	bool found = false;
	size_t size;

	*named = true;
	if (try_open(&store, note, &error) < 0) {
		found = true;
		*named = strstr(error.why, file) != NULL || strcmp(file, "key") == 0;
	}
	for (size_t i = 0; store && !found && i < ARRAY_LEN(values); i++) {
		error = (struct error)ERROR_INIT;
		if (store_read(store, values[i][0], &size, &error) == 0)
			ck_assert_msg(size == strlen(values[i][1]) &&
					  memcmp(store_value(store), values[i][1], size) == 0,
				      "a changed %s gave another value", file);
		else
			found = true, *named = strstr(error.why, file) != NULL;
	}
	/* The version before, which is read to be restored. */
	error = (struct error)ERROR_INIT;
	if (store && !found && store_read_previous(store, "alpha", &size, &error) < 0)
		found = true, *named = strstr(error.why, file) != NULL;
	else if (store && !found)
		ck_assert_msg(
		    (size == strlen(older) && memcmp(store_value(store), older, size) == 0) ||
			memcmp(store_value(store), values[0][1], size) == 0,
		    "a changed %s gave another value", file);
	if (store && !found && *note)
		found = true, *named = strstr(note, file) != NULL;
	store_free(store);
	return found;
}

static void
put(const char *name, const void *bytes, size_t length)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write_all(fd, bytes, length), 0);
	close(fd);
}

/* All files of the directory, to be put back after each change. */
struct copies {
	char names[16][VALUE_NAME_MAX + 1];
	char *bytes[16];
	size_t lengths[16], count;
};

static void
copy_one(const char *name, void *arg)
{
	struct copies *copies = arg;
	size_t i = copies->count++;

	strcpy(copies->names[i], name);
	ck_assert_int_eq(read_file_at(dir, name, 1 << 20, &copies->bytes[i], &copies->lengths[i]),
			 0);
}

static void
put_back(const struct copies *copies)
{
	each_file(remove_one, NULL);
	for (size_t i = 0; i < copies->count; i++)
		put(copies->names[i], copies->bytes[i], copies->lengths[i]);
}

static void
copies_free(struct copies *copies)
{
	for (size_t i = 0; i < copies->count; i++)
		free(copies->bytes[i]);
}

START_TEST(every_flipped_bit_is_noticed)
{
	struct copies copies = {0};
	bool named;

	fill();
	each_file(copy_one, &copies);
	ck_assert_uint_eq(copies.count, 6);
	for (size_t f = 0; f < copies.count; f++) {
		for (size_t at = 0; at < copies.lengths[f]; at++) {
			copies.bytes[f][at] ^= (char)(1 << (at % 8));
			put_back(&copies);
			ck_assert_msg(noticed(copies.names[f], &named),
				      "byte %zu of %s was changed unnoticed", at, copies.names[f]);
			ck_assert_msg(named, "byte %zu: %s is not named", at, copies.names[f]);
			copies.bytes[f][at] ^= (char)(1 << (at % 8));
		}
	}
	put_back(&copies);
	ck_assert(!noticed("", &named));
	copies_free(&copies);
}
END_TEST

START_TEST(every_truncation_is_noticed)
{
	struct copies copies = {0};
	bool named;

	fill();
	each_file(copy_one, &copies);
	for (size_t f = 0; f < copies.count; f++) {
		size_t whole = copies.lengths[f];

		for (size_t length = 0; length < whole; length++) {
			copies.lengths[f] = length;
			put_back(&copies);
			ck_assert_msg(noticed(copies.names[f], &named),
				      "%s was cut to %zu bytes unnoticed", copies.names[f], length);
			ck_assert_msg(named, "%zu bytes: %s is not named", length, copies.names[f]);
		}
		copies.lengths[f] = whole;
	}
	copies_free(&copies);
}
END_TEST

START_TEST(a_file_that_is_gone_or_from_earlier_is_noticed)
{
	struct copies before = {0}, after = {0};
	struct error error = ERROR_INIT;
	struct store *store;
	char note[STORE_NOTE_MAX + 1];
	bool named;

	fill();
	each_file(copy_one, &before);
	ck_assert_int_eq(try_open(&store, note, &error), 0);
	set(store, "alpha", values[0][1]);
	ck_assert_int_eq(store_revoke_agent(store, "agent-a", &error), 1);
	store_free(store);
	each_file(copy_one, &after);
	for (size_t i = 0; i < after.count; i++) {
		put_back(&after);
		unlinkat(dir, after.names[i], 0);
		ck_assert_msg(noticed(after.names[i], &named) && named, "%s is missing unnoticed",
			      after.names[i]);
	}
	for (size_t i = 0; i < before.count; i++) {
		if (strcmp(before.names[i], "catalog") != 0 && strcmp(before.names[i], "head") != 0)
			continue;
		put_back(&after);
		put(before.names[i], before.bytes[i], before.lengths[i]);
		ck_assert_msg(noticed(before.names[i], &named),
			      "an earlier %s was put back unnoticed", before.names[i]);
	}
	/* Both together go on from each other; a value that is newer than they are gives it away.
	 */
	put_back(&after);
	for (size_t i = 0; i < before.count; i++)
		if (strcmp(before.names[i], "catalog") == 0 || strcmp(before.names[i], "head") == 0)
			put(before.names[i], before.bytes[i], before.lengths[i]);
	ck_assert(noticed("alpha@3", &named) && named);
	copies_free(&before);
	copies_free(&after);
}
END_TEST

/* An old value under the present one's name, and one secret's value under another's. */
START_TEST(files_are_not_taken_for_one_another)
{
	struct copies copies = {0};
	bool named;

	fill();
	each_file(copy_one, &copies);
	for (size_t from = 0; from < copies.count; from++)
		for (size_t to = 0; to < copies.count; to++) {
			if (from == to || !strchr(copies.names[from], '@') ||
			    !strchr(copies.names[to], '@'))
				continue;
			put_back(&copies);
			put(copies.names[to], copies.bytes[from], copies.lengths[from]);
			ck_assert_msg(noticed(copies.names[to], &named) && named,
				      "%s passes for %s", copies.names[from], copies.names[to]);
		}
	copies_free(&copies);
}
END_TEST

/* --- crashes
 * -------------------------------------------------------------------------------------- */

typedef void change_fn(struct store *store);

static void
change_value(struct store *store)
{
	struct error error = ERROR_INIT;

	try_set(store, "alpha", "the new value of it", &error);
}

static void
change_key(struct store *store)
{
	struct error error = ERROR_INIT;

	if (store_wrap_add(store, &plain, other, &error) == 0)
		store_wrap_settle(store, other, &error);
}

static void
remove_value(struct store *store)
{
	struct error error = ERROR_INIT;

	store_remove(store, "beta", &error);
}

/* Runs the change in a child that is killed as it enters its Nth system call. False when it came
 * to its end before. */
static bool
crash_at(int call, change_fn *change)
{
	struct store *store;
	struct error error;
	char note[STORE_NOTE_MAX + 1];
	int status, calls = 0;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		if (try_open(&store, note, &error) < 0)
			_exit(1);
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		change(store);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSTOPPED(status));
	for (;;) {
		ck_assert_int_eq(ptrace(PTRACE_SYSCALL, pid, NULL, NULL), 0);
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		if (WIFEXITED(status)) {
			ck_assert_int_eq(WEXITSTATUS(status), 0);
			return false;
		}
		/* Entries and exits take turns. */
		if (calls++ / 2 == call) {
			kill(pid, SIGKILL);
			ck_assert_int_eq(waitpid(pid, &status, 0), pid);
			return true;
		}
	}
}

static struct store *
recovered(void)
{
	struct store *store = look();
	struct error error = ERROR_INIT;
	char note[STORE_NOTE_MAX + 1];

	if (store_unlock(store, kek, note, &error) < 0)
		ck_assert_msg(store_unlock(store, other, note, &error) == 0, "%s", error.why);
	return store;
}

/* Old or new, and both in order; the other secret untouched; the next change works. */
static void
crash_everywhere(change_fn *change, const char *name, const char *old, const char *new)
{
	struct copies copies = {0};
	bool was_old, seen_old = false, seen_new = false;
	int call = 0;

	fill();
	each_file(copy_one, &copies);
	while (crash_at(call, change)) {
		struct store *store = recovered();

		was_old = holds(store, name, old);
		ck_assert_msg(was_old || (new ? holds(store, name, new)
					      : !index_find(store_index(store), name)),
			      "call %d left neither the old nor the new value", call);
		ck_assert_msg(!(was_old && seen_new), "call %d undid what was done", call);
		seen_old |= was_old;
		seen_new |= !was_old;
		set(store, "gamma", "is stored all the same");
		store_free(store);
		store = recovered();
		ck_assert(holds(store, "gamma", "is stored all the same"));
		store_free(store);
		put_back(&copies);
		call++;
	}
	ck_assert_msg(call > 8, "only %d calls", call);
	ck_assert(seen_old);
	copies_free(&copies);
}

START_TEST(a_crash_leaves_the_old_value_or_the_new)
{
	crash_everywhere(change_value, "alpha", values[0][1], "the new value of it");
}
END_TEST

START_TEST(a_crash_leaves_a_secret_or_none)
{
	crash_everywhere(remove_value, "beta", values[1][1], NULL);
}
END_TEST

START_TEST(a_crash_while_the_key_changes_leaves_one_that_opens)
{
	crash_everywhere(change_key, "alpha", values[0][1], NULL);
}
END_TEST

/* --- what it costs
 * ---------------------------------------------------------------------------------- */

START_TEST(no_memory_of_a_value_stays)
{
	struct store *store = make();
	size_t i;

	set(store, "name", "some value");
	store_forget(store);
	for (i = 0; i < SECRET_BYTES_MAX && store_value(store)[i] == 0; i++)
		;
	ck_assert_uint_eq(i, SECRET_BYTES_MAX);
	store_free(store);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
	    values_versions_and_grants_survive,
	    sizes_from_least_to_most,
	    nothing_readable_lies_on_the_disk,
	    many_changes_keep_the_catalog_short,
	    another_key_opens_nothing,
	    the_key_changes_without_a_moment_without_one,
	    a_change_of_the_key_settles,
	    a_key_file_is_not_too_short_or_long,
	    every_flipped_bit_is_noticed,
	    every_truncation_is_noticed,
	    a_file_that_is_gone_or_from_earlier_is_noticed,
	    files_are_not_taken_for_one_another,
	    a_crash_leaves_the_old_value_or_the_new,
	    a_crash_leaves_a_secret_or_none,
	    a_crash_while_the_key_changes_leaves_one_that_opens,
	    no_memory_of_a_value_stays,
	};
	Suite *suite = suite_create("secrets");
	TCase *all = tcase_create("secrets");
	SRunner *runner = srunner_create(suite);
	int failed;

	for (size_t i = 0; i < ARRAY_LEN(tests); i++)
		_tcase_add_test(all, tests[i], 0, 0, 0, 1);
	tcase_add_checked_fixture(all, set_up, tear_down);
	tcase_set_timeout(all, 60);
	suite_add_tcase(suite, all);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
