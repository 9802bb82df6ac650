#include "redact_set.h"

#include <sodium.h>
#include <string.h>
#include <sys/mman.h>

#include "cleanup.h"
#include "proto.h"

_Static_assert(sizeof(struct redact_print) == 56 && sizeof(struct redact_head) == 56,
	       "what travels has no padding");

void
redact_tag(const struct redact_keys *keys, const uint8_t *bytes, size_t length,
	   uint8_t tag[REDACT_TAG_BYTES])
{
	crypto_generichash(tag, REDACT_TAG_BYTES, bytes, length, keys->key, sizeof(keys->key));
}

/* --- making ---------------------------------------------------------------------------------- */

void
redact_print_of(const struct redact_keys *keys, const uint8_t *bytes, size_t length,
		struct redact_print *print)
{
	uint8_t tag[REDACT_TAG_BYTES];

	memset(print, 0, sizeof(*print));
	print->length = (uint32_t)length;
	print->window = (uint32_t)(redact_window(keys, bytes) >> 32);
	for (unsigned i = 0; i < REDACT_CHECKS && redact_check_length(i) < length; i++) {
		redact_tag(keys, bytes, redact_check_length(i), tag);
		print->checks[i] = redact_check_of(tag);
	}
	redact_tag(keys, bytes, length, print->tag);
}

static int
by_window(const void *a, const void *b)
{
	const struct redact_print *one = a, *other = b;

	if (one->window != other->window)
		return one->window < other->window ? -1 : 1;
	return memcmp(one->tag, other->tag, sizeof(one->tag));
}

int
redact_set_seal(const struct redact_keys *keys, const char (*names)[REDACT_NAME_MAX + 1],
		size_t name_count, struct redact_print *prints, size_t count)
{
	struct redact_head head = {.magic = REDACT_MAGIC,
				   .version = REDACT_VERSION,
				   .names = (uint32_t)name_count,
				   .prints = (uint32_t)count,
				   .keys = *keys};
	size_t names_bytes = name_count * sizeof(*names), prints_bytes = count * sizeof(*prints);
	_cleanup_free_ uint8_t *bytes = malloc(sizeof(head) + names_bytes + prints_bytes);

	if (!bytes)
		return -ENOMEM;
	if (name_count > REDACT_NAMES_MAX || count > REDACT_PRINTS_MAX)
		return -E2BIG;
	memcpy(bytes, &head, sizeof(head));
	if (count) {
		qsort(prints, count, sizeof(*prints), by_window);
		memcpy(bytes + sizeof(head), names, names_bytes);
		memcpy(bytes + sizeof(head) + names_bytes, prints, prints_bytes);
	}
	return memfd_sealed("redaction", bytes,
			    sizeof(head) + (count ? names_bytes + prints_bytes : 0));
}

/* --- opening --------------------------------------------------------------------------------- */

/* Names go into logs. */
static bool
name_fine(const char *name)
{
	size_t length = strnlen(name, REDACT_NAME_MAX + 1);

	for (size_t i = 0; i < length; i++)
		if (name[i] < '!' || name[i] > '~')
			return false;
	return length > 0 && length <= REDACT_NAME_MAX;
}

static bool
prints_fine(const struct redact_set *set, uint32_t names)
{
	const struct redact_print *print = set->prints;

	for (size_t i = 0; i < set->count; i++, print++)
		if (print->length < REDACT_WINDOW || print->length > REDACT_LENGTH_MAX ||
		    print->name >= names || print->before > 1 || print->after > 1 ||
		    (i > 0 && print->window < print[-1].window))
			return false;
	return true;
}

static int
take(struct redact_set *set, const struct redact_head *head)
{
	const struct redact_print *print;

	set->keys = head->keys;
	set->count = head->prints;
	set->names = (const void *)((const uint8_t *)set->memory + sizeof(*head));
	set->prints = (const void *)(set->names + head->names);
	for (uint32_t i = 0; i < head->names; i++)
		if (!name_fine(set->names[i]))
			return -EBADMSG;
	if (!(set->keys.multiplier & 1) || !prints_fine(set, head->names))
		return -EBADMSG;
	for (size_t i = 0; i < set->count; i++) {
		print = &set->prints[i];
		set->bitmap[print->window >> 22] |= UINT64_C(1) << (print->window >> 16 & 63);
		if (print->length > set->longest)
			set->longest = print->length;
	}
	return 0;
}

static int
check_head(const uint8_t *bytes, size_t length, struct redact_head *head)
{
	if (length < sizeof(*head))
		return -EBADMSG;
	memcpy(head, bytes, sizeof(*head));
	if (head->magic != REDACT_MAGIC)
		return -EBADMSG;
	if (head->version != REDACT_VERSION)
		return -EPROTONOSUPPORT;
	if (!head->prints)
		head->names = 0;
	if (head->names > REDACT_NAMES_MAX || head->prints > REDACT_PRINTS_MAX ||
	    length != sizeof(*head) + head->names * (size_t)(REDACT_NAME_MAX + 1) +
			  head->prints * sizeof(struct redact_print))
		return -EBADMSG;
	return 0;
}

int
redact_set_open(int fd, struct redact_set **out)
{
	struct redact_set *set = NULL;
	struct redact_head head;
	const uint8_t *bytes;
	size_t length;
	int rc = memfd_map(fd, REDACT_SET_BYTES_MAX, &bytes, &length);

	if (rc < 0)
		return rc;
	rc = check_head(bytes, length, &head);
	if (rc == 0) {
		set = calloc(1, sizeof(*set));
		if (set)
			set->memory = malloc(length);
		rc = set && set->memory ? 0 : -ENOMEM;
	}
	if (rc == 0) {
		memcpy(set->memory, bytes, length);
		rc = take(set, &head);
	}
	if (bytes)
		munmap((void *)bytes, length);
	if (rc < 0) {
		redact_set_free(set);
		return rc;
	}
	*out = set;
	return 0;
}

void
redact_set_free(struct redact_set *set)
{
	if (!set)
		return;
	free(set->memory);
	free(set);
}
