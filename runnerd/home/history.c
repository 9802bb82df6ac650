#include "history.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "layout.h"
#include "runnerd/trash.h"
#include "tree.h"

int
history_read_record(int dir, const char *name, enum msg_type type, struct msg *record)
{
	_cleanup_free_ char *bytes = NULL;
	size_t length;
	int rc = read_file_at(dir, name, PROTO_MESSAGE_MAX, &bytes, &length);

	if (rc < 0)
		return rc;
	rc = msg_decode(record, (const uint8_t *)bytes, length, 0);
	return !rc && record->type != type ? -EBADMSG : rc;
}

int
history_write_record(int dir, const char *name, const struct msg *record)
{
	uint8_t bytes[PROTO_MESSAGE_MAX];
	ssize_t length = msg_encode(record, bytes, sizeof(bytes));

	if (length < 0)
		return (int)length;
	return write_file_durable(dir, name, bytes, (size_t)length, 0600);
}

/* --- reading ---------------------------------------------------------------------------------- */

static int
read_entry(int dir, const char *name, struct msg *record)
{
	_cleanup_close_ int entry = tree_open((struct spot){dir, name});
	struct uuid id;
	int rc;

	if (!uuid_parse(name, &id))
		return -ENOENT;
	if (entry < 0)
		return entry;
	rc = history_read_record(entry, HOME_ENTRY_FILE, MSG_HOME_ENTRY, record);
	return !rc && !uuid_equal(&record->home_entry.session, &id) ? -EBADMSG : rc;
}

static int
add_entry(struct history *history, const struct msg_home_entry *entry)
{
	void *entries = reallocarray(history->entries, history->count + 1, sizeof(*entry));

	if (!entries)
		return -ENOMEM;
	history->entries = entries;
	history->entries[history->count++] = *entry;
	return 0;
}

static int
by_seq(const void *a, const void *b)
{
	const struct msg_home_entry *left = a, *right = b;

	return left->seq < right->seq ? -1 : left->seq > right->seq;
}

int
history_read(int home_dir, struct history *history)
{
	_cleanup_closedir_ DIR *names = NULL;
	struct msg record;
	const char *name;
	int dir = tree_open((struct spot){home_dir, HOME_HISTORY}), rc = 0;

	*history = (struct history){0};
	if (dir == -ENOENT)
		return 0;
	names = tree_read(dir);
	if (!names)
		return dir < 0 ? dir : -errno;
	while (!rc && (name = tree_next(names)))
		if (read_entry(dirfd(names), name, &record) == 0)
			rc = add_entry(history, &record.home_entry);
	if (rc < 0)
		history_free(history);
	else if (history->count)
		qsort(history->entries, history->count, sizeof(*history->entries), by_seq);
	return rc;
}

void
history_free(struct history *history)
{
	free(history->entries);
	*history = (struct history){0};
}

const struct msg_home_entry *
history_find(const struct history *history, const struct uuid *id)
{
	size_t i;

	for (i = 0; i < history->count; i++)
		if (uuid_equal(&history->entries[i].session, id))
			return &history->entries[i];
	return NULL;
}

uint64_t
history_last(const struct history *history)
{
	return history->count ? history->entries[history->count - 1].seq : 0;
}

/* --- pruning ---------------------------------------------------------------------------------- */

static bool
is_kept(const struct history *history, const char *name, uint32_t keep)
{
	size_t first = history->count > keep ? history->count - keep : 0, i;
	struct uuid id;

	if (!uuid_parse(name, &id))
		return false;
	for (i = first; i < history->count; i++)
		if (uuid_equal(&history->entries[i].session, &id))
			return true;
	return false;
}

int
history_prune(int home_dir, uint32_t keep)
{
	_cleanup_(history_free) struct history history;
	_cleanup_closedir_ DIR *names = NULL;
	const char *name;
	int dir, rc = history_read(home_dir, &history);

	if (rc < 0)
		return rc;
	dir = tree_open((struct spot){home_dir, HOME_HISTORY});
	if (dir == -ENOENT)
		return 0;
	names = tree_read(dir);
	if (!names)
		return dir < 0 ? dir : -errno;
	while (!rc && (name = tree_next(names)))
		if (!is_kept(&history, name, keep))
			rc = trash_put(home_dir, dirfd(names), name, NULL);
	return rc;
}
