#include "files.h"

#include <fcntl.h>
#include <stdarg.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/io.h"

const char *
value_file(const char *name, uint64_t version, char *file)
{
	snprintf(file, VALUE_NAME_MAX + 1, "%s@%llu", name, (unsigned long long)version);
	return file;
}

static const char *
new_file(const char *name, uint64_t version, char *file)
{
	snprintf(file, VALUE_NAME_MAX + 1, "%s@%llu.new", name, (unsigned long long)version);
	return file;
}

void
secret_damaged(struct secret *secret, const char *fmt, ...)
{
	va_list args;

	if (secret->damage)
		return;
	va_start(args, fmt);
	if (vasprintf(&secret->damage, fmt, args) < 0)
		secret->damage = NULL;
	va_end(args);
}

/* --- one value -------------------------------------------------------------------------------- */

static int
write_new(int dir, const char *file, const void *bytes, size_t length)
{
	_cleanup_close_ int fd =
	    openat(dir, file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int rc;

	if (fd < 0)
		return -errno;
	rc = write_all(fd, bytes, length);
	if (rc == 0 && fsync(fd) < 0)
		rc = -errno;
	return rc;
}

int
files_prepare(int dir, const char *name, uint64_t version, const void *bytes, size_t length)
{
	char file[VALUE_NAME_MAX + 1];
	int rc;

	new_file(name, version, file);
	if (unlinkat(dir, file, 0) < 0 && errno != ENOENT)
		return -errno;
	rc = write_new(dir, file, bytes, length);
	if (rc == 0)
		rc = sync_dir(dir);
	if (rc < 0)
		unlinkat(dir, file, 0);
	return rc;
}

int
files_commit(int dir, const char *name, uint64_t version)
{
	char from[VALUE_NAME_MAX + 1], to[VALUE_NAME_MAX + 1];

	if (renameat(dir, new_file(name, version, from), dir, value_file(name, version, to)) < 0)
		return -errno;
	return sync_dir(dir);
}

void
files_drop(int dir, const char *name, uint64_t version)
{
	char file[VALUE_NAME_MAX + 1];

	unlinkat(dir, value_file(name, version, file), 0);
}

void
files_drop_new(int dir, const char *name, uint64_t version)
{
	char file[VALUE_NAME_MAX + 1];

	unlinkat(dir, new_file(name, version, file), 0);
}

int
files_read(int dir, const char *name, uint64_t version, uint8_t *bytes, size_t max, size_t *length)
{
	char file[VALUE_NAME_MAX + 1];
	_cleanup_close_ int fd = openat(dir, value_file(name, version, file),
					O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	ssize_t got = fd < 0 ? -errno : read_all(fd, bytes, max);

	if (got < 0)
		return (int)got;
	*length = (size_t)got;
	return 0;
}

/* --- the directory ------------------------------------------------------------------------------
 */

/* NAME@VERSION or NAME@VERSION.new, in the one way that it is written. */
static bool
parse(const char *file, char name[SECRET_NAME_MAX + 1], uint64_t *version, bool *fresh)
{
	const char *at = strrchr(file, '@');
	char again[VALUE_NAME_MAX + 1], *end;

	if (!at || at == file || at - file > SECRET_NAME_MAX || at[1] < '1' || at[1] > '9')
		return false;
	memcpy(name, file, (size_t)(at - file));
	name[at - file] = '\0';
	errno = 0;
	*version = strtoull(at + 1, &end, 10);
	*fresh = strcmp(end, ".new") == 0;
	return errno == 0 && (*fresh || !*end) &&
	       strcmp(*fresh ? new_file(name, *version, again) : value_file(name, *version, again),
		      file) == 0;
}

/* The catalog names it, but secretd ended before it was renamed; or it never came so far. */
static void
meet_new(int dir, struct secret *secret, const char *name, uint64_t version)
{
	char file[VALUE_NAME_MAX + 1];

	if (!secret || version != secret->version) {
		files_drop_new(dir, name, version);
		return;
	}
	if (faccessat(dir, value_file(name, version, file), F_OK, 0) == 0)
		files_drop_new(dir, name, version);
	else if (files_commit(dir, name, version) == 0)
		secret->seen = true;
}

static void
meet_final(int dir, struct secret *secret, const char *name, uint64_t version)
{
	char file[VALUE_NAME_MAX + 1];

	if (!secret || version + 1 < secret->version) {
		files_drop(dir, name, version);
		return;
	}
	if (version > secret->newest_file)
		secret->newest_file = version;
	if (version == secret->version)
		secret->seen = true;
	else if (version > secret->version)
		secret_damaged(secret,
			       "secrets/%s is newer than the catalog: the catalog was put back",
			       value_file(name, version, file));
}

static void
note_missing(const struct index *index)
{
	char file[VALUE_NAME_MAX + 1];

	for (size_t i = 0; i < index->bucket_count; i++)
		for (struct secret *s = index->buckets[i]; s; s = s->next)
			if (!s->seen)
				secret_damaged(s, "secrets/%s is missing",
					       value_file(s->name, s->version, file));
}

int
files_sweep(int dir, struct index *index)
{
	_cleanup_closedir_ DIR *stream = NULL;
	char name[SECRET_NAME_MAX + 1];
	struct dirent *entry;
	struct secret *secret;
	uint64_t version;
	bool fresh;
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	stream = fdopendir(fd);
	if (!stream) {
		close(fd);
		return -ENOMEM;
	}
	while (errno = 0, (entry = readdir(stream))) {
		if (!parse(entry->d_name, name, &version, &fresh))
			continue;
		secret = index_find(index, name);
		if (fresh)
			meet_new(dir, secret, name, version);
		else
			meet_final(dir, secret, name, version);
	}
	if (errno)
		return -errno;
	note_missing(index);
	return 0;
}
