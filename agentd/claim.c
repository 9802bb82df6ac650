#include "claim.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "common/limits.h"
#include "generation.h"

static const char registry[] = "/run/scarab-runtime-ids";

enum { NAME_SIZE = 48 };

struct claim {
	int fd; /* locked */
	char name[NAME_SIZE];
	char run_dir[PATH_MAX]; /* links resolved */
};

struct range {
	uint64_t first, end;
};

/* --- the registry --------------------------------------------------------------------------------
 */

/* The directory, locked against others that claim or release. A removed one is made anew. */
static int
open_registry(struct error *error)
{
	struct stat st;

	for (;;) {
		_cleanup_close_ int fd = -1;

		if (mkdir(registry, 0700) < 0 && errno != EEXIST)
			return error_errno(error, errno, "making %s", registry);
		fd = open(registry, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0 && errno == ENOENT)
			continue;
		if (fd < 0 || flock(fd, LOCK_EX) < 0 || fstat(fd, &st) < 0)
			return error_errno(error, errno, "opening %s", registry);
		if (st.st_nlink == 0)
			continue;
		if (st.st_uid != 0 || st.st_mode & 077)
			return error_why(error, ERR_PERMISSION, "%s is not root's alone", registry);
		return steal_fd(&fd);
	}
}

static bool
parse_name(const char *name, struct range *range)
{
	uint64_t first, ranges;
	int used = 0;

	if (sscanf(name, "%" SCNu64 "-%" SCNu64 "%n", &first, &ranges, &used) != 2 || name[used] ||
	    first > UINT32_MAX || ranges > UINT32_MAX)
		return false;
	range->first = first;
	range->end = first + ranges * ID_RANGE;
	return true;
}

static bool
overlap(const struct range *a, const struct range *b)
{
	return a->first < b->end && b->first < a->end;
}

/* --- is the other instance alive? --------------------------------------------------------------
 */

static bool
has_sessions(const char *run_dir)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_closedir_ DIR *dir = NULL;
	struct dirent *entry;

	if (asprintf(&path, "%s/sessions", run_dir) < 0)
		return true;
	dir = opendir(path);
	if (!dir)
		return errno != ENOENT && errno != ENOTDIR;
	while ((entry = readdir(dir)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			return true;
	return false;
}

static bool
in_use(int claim_fd, const char *run_dir)
{
	return flock(claim_fd, LOCK_EX | LOCK_NB) < 0 || has_sessions(run_dir) ||
	       generation_held(run_dir);
}

/* One file of the registry: refuses a living claim that overlaps, removes what is stale. */
static int
consider(int dir, const char *name, const struct claim *own, const struct range *wanted,
	 struct error *error)
{
	_cleanup_close_ int fd = openat(dir, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	_cleanup_free_ char *run_dir = NULL;
	struct range range;
	size_t length;

	if (fd < 0 || !parse_name(name, &range))
		return 0;
	if (read_file(fd, PATH_MAX, &run_dir, &length) < 0)
		return error_why(error, ERR_FAILED, "%s/%s cannot be read", registry, name);
	run_dir[strcspn(run_dir, "\n")] = '\0';
	if (strcmp(run_dir, own->run_dir) == 0 || !in_use(fd, run_dir))
		return unlinkat(dir, name, 0) < 0 ? error_errno(error, errno, "unlink %s", name)
						  : 0;
	if (!overlap(&range, wanted))
		return 0;
	error_why(error, ERR_CONFLICT,
		  "session_ids: %" PRIu64 "-%" PRIu64 " overlaps %" PRIu64 "-%" PRIu64
		  ", which the instance in %s uses",
		  wanted->first, wanted->end - 1, range.first, range.end - 1, run_dir);
	return error_hint(error, "give this instance session_ids of its own, or end the other one "
				 "and its sessions");
}

static int
consider_all(int dir, const struct claim *own, const struct range *wanted, struct error *error)
{
	int copy = dup(dir);
	_cleanup_closedir_ DIR *stream = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *entry;

	if (!stream)
		return error_errno(error, errno, "reading %s", registry);
	rewinddir(stream);
	while ((entry = readdir(stream)) != NULL)
		if (consider(dir, entry->d_name, own, wanted, error) < 0)
			return -1;
	return 0;
}

/* --- ours
 * -------------------------------------------------------------------------------------------- */

static int
write_claim(int dir, struct claim *claim, struct error *error)
{
	int rc;

	claim->fd =
	    openat(dir, claim->name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (claim->fd < 0 || flock(claim->fd, LOCK_EX | LOCK_NB) < 0)
		return error_errno(error, errno, "claiming %s/%s", registry, claim->name);
	rc = write_all(claim->fd, claim->run_dir, strlen(claim->run_dir));
	if (rc == 0)
		rc = write_all(claim->fd, "\n", 1);
	if (rc < 0)
		return error_errno(error, -rc, "writing %s/%s", registry, claim->name);
	return 0;
}

static void
drop(struct claim *claim)
{
	close_fd(&claim->fd);
	free(claim);
}

struct claim *
claim_take(const struct config *config, struct error *error)
{
	struct range wanted = {.first = config->session_ids.first};
	struct claim *claim = calloc(1, sizeof(*claim));
	_cleanup_close_ int dir = -1;

	wanted.end = wanted.first + config->session_ids.ranges * ID_RANGE;
	if (!claim) {
		error_errno(error, ENOMEM, "claiming session_ids");
		return NULL;
	}
	claim->fd = -1;
	snprintf(claim->name, sizeof(claim->name), "%" PRIu64 "-%" PRIu64,
		 config->session_ids.first, config->session_ids.ranges);
	if (!realpath(config->run_dir, claim->run_dir)) {
		error_errno(error, errno, "%s", config->run_dir);
		drop(claim);
		return NULL;
	}
	dir = open_registry(error);
	if (dir < 0 || consider_all(dir, claim, &wanted, error) < 0 ||
	    write_claim(dir, claim, error) < 0) {
		drop(claim);
		return NULL;
	}
	return claim;
}

void
claim_release(struct claim *claim)
{
	_cleanup_close_ int dir = -1;

	if (!claim)
		return;
	dir = has_sessions(claim->run_dir) ? -1 : open_registry(NULL);
	if (dir >= 0) {
		unlinkat(dir, claim->name, 0);
		rmdir(registry); /* keeps it while others have claims */
	}
	drop(claim);
}
