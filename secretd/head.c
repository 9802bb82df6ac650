#include "head.h"

#include <fcntl.h>
#include <sodium.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/io.h"

enum { FORMAT = 1, SIGNED_BYTES = HEAD_SLOT_BYTES - MAC_BYTES };

static const uint8_t magic[8] = "SRHEAD\0";

static void
encode(const struct head *head, const struct keys *keys, uint8_t *slot)
{
	uint8_t *at = slot;

	memset(slot, 0, HEAD_SLOT_BYTES);
	memcpy(at, magic, sizeof(magic));
	at += sizeof(magic);
	bytes_put(&at, FORMAT, 8);
	bytes_put(&at, head->generation, 8);
	bytes_put(&at, head->counter, 8);
	bytes_put(&at, head->length, 8);
	memcpy(at, head->chain, sizeof(head->chain));
	crypto_generichash(slot + SIGNED_BYTES, MAC_BYTES, slot, SIGNED_BYTES, keys->head,
			   KEY_BYTES);
}

static bool
decode(const uint8_t *slot, const struct keys *keys, struct head *head)
{
	const uint8_t *at = slot + sizeof(magic);
	uint8_t mac[MAC_BYTES];

	crypto_generichash(mac, MAC_BYTES, slot, SIGNED_BYTES, keys->head, KEY_BYTES);
	if (sodium_memcmp(mac, slot + SIGNED_BYTES, MAC_BYTES) != 0)
		return false;
	if (bytes_get(&at, 8) != FORMAT)
		return false;
	head->generation = bytes_get(&at, 8);
	head->counter = bytes_get(&at, 8);
	head->length = bytes_get(&at, 8);
	memcpy(head->chain, at, sizeof(head->chain));
	return true;
}

int
head_create(int dir, const struct head *head, const struct keys *keys)
{
	uint8_t slots[HEAD_SLOTS * HEAD_SLOT_BYTES];
	int rc, fd;

	encode(head, keys, slots);
	encode(head, keys, slots + HEAD_SLOT_BYTES);
	rc = write_file_durable(dir, "head", slots, sizeof(slots), 0600);
	if (rc < 0)
		return rc;
	fd = openat(dir, "head", O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int
head_open(int dir, const struct keys *keys, struct head *head, bool *damaged)
{
	_cleanup_close_ int fd = openat(dir, "head", O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	uint8_t slots[HEAD_SLOTS * HEAD_SLOT_BYTES + 1];
	ssize_t length = fd < 0 ? -errno : read_all(fd, slots, sizeof(slots));
	bool found = false;
	struct head one;

	if (length < 0)
		return (int)length;
	*damaged = length != HEAD_SLOTS * HEAD_SLOT_BYTES;
	for (size_t i = 0; i < HEAD_SLOTS && (i + 1) * HEAD_SLOT_BYTES <= (size_t)length; i++) {
		if (!decode(slots + i * HEAD_SLOT_BYTES, keys, &one)) {
			*damaged = true;
			continue;
		}
		if (!found || one.generation > head->generation ||
		    (one.generation == head->generation && one.counter > head->counter))
			*head = one;
		found = true;
	}
	return found ? steal_fd(&fd) : -EBADMSG;
}

int
head_write(int fd, const struct head *head, const struct keys *keys)
{
	uint8_t slot[HEAD_SLOT_BYTES];
	int rc;

	encode(head, keys, slot);
	/* A new generation keeps the counter: it must not go over the slot that names the last. */
	rc = pwrite_all(fd, slot, sizeof(slot),
			(off_t)((head->generation + head->counter) % HEAD_SLOTS) * HEAD_SLOT_BYTES);
	if (rc == 0 && fdatasync(fd) < 0)
		rc = -errno;
	return rc;
}
