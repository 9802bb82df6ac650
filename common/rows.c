/* Records in a sealed memfd: what is too big or too many for one datagram. */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "io.h"
#include "proto.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* Linux 6.3 */
#endif

enum {
	SEALS_NEEDED = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK,
	SEALS_SET = SEALS_NEEDED | F_SEAL_SEAL,
	ROWS_BUFFER = 4 * PROTO_MESSAGE_MAX,
};

static int
memfd_new(const char *name)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL)
		fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	return fd < 0 ? -errno : fd;
}

int
memfd_sealed(const char *name, const void *bytes, size_t length)
{
	_cleanup_close_ int fd = memfd_new(name);

	if (fd < 0)
		return fd;
	int r = write_all(fd, bytes, length);
	if (r < 0)
		return r;
	if (lseek(fd, 0, SEEK_SET) < 0 || fcntl(fd, F_ADD_SEALS, SEALS_SET) < 0)
		return -errno;
	return steal_fd(&fd);
}

int
memfd_map(int fd, size_t max, const uint8_t **bytes, size_t *length)
{
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);

	/* Only what cannot change or shrink under the mapping is read (SIGBUS, races). */
	if (seals < 0)
		return errno == EINVAL ? -EINVAL : -errno;
	if ((seals & SEALS_NEEDED) != SEALS_NEEDED)
		return -EPERM;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (st.st_size < 0 || (uint64_t)st.st_size > max)
		return -EFBIG;
	*bytes = NULL;
	*length = (size_t)st.st_size;
	if (*length == 0)
		return 0;
	void *mapped = mmap(NULL, *length, PROT_READ, MAP_PRIVATE, fd, 0);
	if (mapped == MAP_FAILED)
		return -errno;
	*bytes = mapped;
	return 0;
}

/* --- writing ---------------------------------------------------------------------------------- */

struct rows {
	int fd;
	uint32_t count;
	size_t total, used;
	uint8_t buffer[ROWS_BUFFER];
};

struct rows *
rows_new(const char *name)
{
	_cleanup_free_ struct rows *rows = malloc(sizeof(*rows));

	if (!rows)
		return NULL;
	rows->fd = memfd_new(name);
	if (rows->fd < 0) {
		errno = -rows->fd;
		return NULL;
	}
	rows->count = 0;
	rows->total = rows->used = 0;
	return steal_ptr(&rows);
}

static int
rows_flush(struct rows *rows)
{
	int r = write_all(rows->fd, rows->buffer, rows->used);

	rows->used = 0;
	return r;
}

int
rows_add(struct rows *rows, const struct msg *record)
{
	if (!msg_permitted(record->type, CH_RECORD, SIDE_A, IN_OPEN))
		return -EPERM;
	if (rows->used + PROTO_MESSAGE_MAX > sizeof(rows->buffer)) {
		int r = rows_flush(rows);
		if (r < 0)
			return r;
	}
	ssize_t n = msg_encode(record, rows->buffer + rows->used, PROTO_MESSAGE_MAX);
	if (n < 0)
		return (int)n;
	if (rows->total + (size_t)n > ROWS_BYTES_MAX)
		return -EFBIG;
	rows->used += (size_t)n;
	rows->total += (size_t)n;
	rows->count++;
	return 0;
}

uint32_t
rows_count(const struct rows *rows)
{
	return rows->count;
}

int
rows_seal(struct rows *rows)
{
	_cleanup_close_ int fd = steal_fd(&rows->fd);
	int r = write_all(fd, rows->buffer, rows->used);

	rows_free(rows);
	if (r < 0)
		return r;
	if (lseek(fd, 0, SEEK_SET) < 0 || fcntl(fd, F_ADD_SEALS, SEALS_SET) < 0)
		return -errno;
	return steal_fd(&fd);
}

void
rows_free(struct rows *rows)
{
	if (!rows)
		return;
	close_fd(&rows->fd);
	free(rows);
}

/* --- reading ---------------------------------------------------------------------------------- */

struct rows_reader {
	const uint8_t *bytes;
	size_t length, at;
};

struct rows_reader *
rows_open(int fd)
{
	_cleanup_free_ struct rows_reader *reader = calloc(1, sizeof(*reader));

	if (!reader)
		return NULL;
	int r = memfd_map(fd, ROWS_BYTES_MAX, &reader->bytes, &reader->length);
	if (r < 0) {
		errno = -r;
		return NULL;
	}
	return steal_ptr(&reader);
}

int
rows_next(struct rows_reader *reader, struct msg *record)
{
	if (reader->at == reader->length)
		return 0;
	ssize_t size = msg_size(reader->bytes + reader->at, reader->length - reader->at);
	if (size < 0)
		return (int)size;
	int r = msg_decode(record, reader->bytes + reader->at, (size_t)size, 0);
	if (r < 0)
		return r;
	if (!msg_permitted(record->type, CH_RECORD, SIDE_A, IN_OPEN))
		return -EBADMSG;
	reader->at += (size_t)size;
	return 1;
}

void
rows_close(struct rows_reader *reader)
{
	if (!reader)
		return;
	if (reader->bytes)
		munmap((void *)(uintptr_t)reader->bytes, reader->length);
	free(reader);
}
