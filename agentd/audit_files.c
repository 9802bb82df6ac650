#include "audit_files.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/audit_chain.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "directories.h"

enum { OLDER_MAX = 4096 };

static const char current[] = "audit.log";

struct older {
	size_t count;
	uint64_t seqs[OLDER_MAX]; /* ascending */
};

static char *
older_name(uint64_t seq, char name[40])
{
	snprintf(name, 40, "%s.%012llu", current, (unsigned long long)seq);
	return name;
}

/* 0: not the name of an older one. */
static uint64_t
seq_of(const char *name)
{
	char again[40];
	uint64_t seq;

	if (strncmp(name, "audit.log.", 10) != 0)
		return 0;
	seq = strtoull(name + 10, NULL, 10);
	return strcmp(older_name(seq, again), name) == 0 ? seq : 0;
}

static int
by_number(const void *a, const void *b)
{
	const uint64_t *one = a, *other = b;

	return *one < *other ? -1 : *one > *other;
}

static int
list(int dir, struct older *older)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_closedir_ DIR *stream = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	older->count = 0;
	if (!stream)
		return -errno;
	while ((entry = readdir(stream)) && older->count < OLDER_MAX) {
		uint64_t seq = seq_of(entry->d_name);

		if (seq)
			older->seqs[older->count++] = seq;
	}
	qsort(older->seqs, older->count, sizeof(*older->seqs), by_number);
	return 0;
}

static int
open_plain(int dir, const char *name, int flags, struct error *error)
{
	_cleanup_close_ int fd =
	    openat(dir, name, flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return error_errno(error, errno, "opening %s in log_dir", name);
	if (!S_ISREG(st.st_mode) || st.st_nlink != 1)
		return error_why(error, ERR_CONFLICT, "%s in log_dir is no plain file of its own",
				 name);
	return steal_fd(&fd);
}

static int
open_current(int dir, const struct config *config, struct error *error)
{
	_cleanup_close_ int fd = open_plain(dir, current, O_RDWR | O_APPEND | O_CREAT, error);

	if (fd < 0 || directories_settle(fd, current, 0640, (uid_t)config->ids.secretd,
					 (gid_t)config->ids.group, error) < 0)
		return error_what(error, "%s", config->log_dir);
	return steal_fd(&fd);
}

/* Does a whole line stand in it? */
static bool
has_entry(int fd)
{
	char text[CHAIN_LINE_MAX];
	ssize_t length = pread(fd, text, sizeof(text), 0);

	return length < 0 || memchr(text, '\n', (size_t)length) || length == sizeof(text);
}

int
audit_files_open(int dir, const struct config *config, struct error *error)
{
	_cleanup_close_ int fd = open_current(dir, config, error);
	struct older older;
	char name[40];

	if (fd < 0 || has_entry(fd) || list(dir, &older) < 0 || older.count == 0)
		return steal_fd(&fd);
	log_info("audit.log is new and has no entry; its chain goes on in the one before");
	if (renameat(dir, older_name(older.seqs[older.count - 1], name), dir, current) < 0)
		return error_errno(error, errno, "renaming %s in %s", name, config->log_dir);
	close_fd(&fd);
	return open_current(dir, config, error);
}

int
audit_files_next(int dir, const struct config *config, uint64_t seq, struct error *error)
{
	char name[40];
	int fd;

	if (renameat2(dir, current, dir, older_name(seq, name), RENAME_NOREPLACE) < 0)
		return error_errno(error, errno, "renaming audit.log to %s", name);
	fd = open_current(dir, config, error);
	if (fd < 0) {
		renameat(dir, name, dir, current);
		return -1;
	}
	fsync(dir);
	return fd;
}

int
audit_files_read(int dir, int fds[AUDIT_FILES_MAX], unsigned *left_out, struct error *error)
{
	struct older older;
	char name[40];
	int count = 0;

	fds[0] = open_plain(dir, current, O_RDONLY, error);
	if (fds[0] < 0)
		return -1;
	count = 1;
	*left_out = 0;
	if (list(dir, &older) < 0)
		return count;
	for (size_t i = older.count; i-- > 0;) {
		int fd = count < AUDIT_FILES_MAX
			     ? openat(dir, older_name(older.seqs[i], name),
				      O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK)
			     : -1;

		if (fd >= 0)
			fds[count++] = fd;
		else
			++*left_out;
	}
	return count;
}
