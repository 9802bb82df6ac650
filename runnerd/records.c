#include "records.h"

#include <endian.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/crash.h"
#include "common/io.h"

/* Half a record, of a disk that was full for a moment, would hide every later one. */
static int
append_whole(int fd, const uint8_t *bytes, size_t length)
{
	struct stat st;
	int rc;

	if (fstat(fd, &st) < 0)
		return -errno;
	rc = write_all(fd, bytes, length);
	if (rc < 0 && ftruncate(fd, st.st_size) < 0)
		return -errno;
	return rc;
}

int
record_append(int fd, const struct msg *record, bool durable)
{
	uint8_t bytes[sizeof(uint32_t) + PROTO_MESSAGE_MAX];
	uint32_t prefix;
	ssize_t length;
	int rc;

	CRASH_POINT_OF("record.begin", msg_rule(record->type)->name);
	length = msg_encode(record, bytes + sizeof(prefix), PROTO_MESSAGE_MAX);
	if (length < 0)
		return (int)length;
	prefix = htole32((uint32_t)length);
	memcpy(bytes, &prefix, sizeof(prefix));
	rc = append_whole(fd, bytes, sizeof(prefix) + (size_t)length);
	CRASH_POINT_OF("record.written", msg_rule(record->type)->name);
	if (!rc && durable && fdatasync(fd) < 0)
		rc = -errno;
	CRASH_POINT_OF("record.end", msg_rule(record->type)->name);
	return rc;
}

int
records_open(struct records *records, int dir_fd, const char *name)
{
	*records = (struct records){0};
	return read_file_at(dir_fd, name, RECORD_FILE_MAX, &records->bytes, &records->length);
}

int
records_next(struct records *records, struct msg *record)
{
	size_t left = records->length - records->at;
	const uint8_t *from;
	uint32_t prefix;
	int rc;

	if (left < sizeof(prefix))
		return 0;
	from = (const uint8_t *)records->bytes + records->at;
	memcpy(&prefix, from, sizeof(prefix));
	prefix = le32toh(prefix);
	if (prefix > PROTO_MESSAGE_MAX)
		return -EBADMSG;
	if (prefix > left - sizeof(prefix))
		return 0;
	rc = msg_decode(record, from + sizeof(prefix), prefix, 0);
	if (rc < 0)
		return rc;
	records->at += sizeof(prefix) + prefix;
	return 1;
}

void
records_close(struct records *records)
{
	free(records->bytes);
	*records = (struct records){0};
}
