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

/* Both counts are within their bounds. Heap memory, or NULL. Sorts the prints. */
static uint8_t *
image_of(const struct redact_keys *keys, const char (*names)[REDACT_NAME_MAX + 1],
	 size_t name_count, struct redact_print *prints, size_t count, size_t *length)
{
	struct redact_head head = {.magic = REDACT_MAGIC,
				   .version = REDACT_VERSION,
				   .names = (uint32_t)name_count,
				   .prints = (uint32_t)count,
				   .keys = *keys};
	size_t names_bytes = name_count * sizeof(*names), prints_bytes = count * sizeof(*prints);
	uint8_t *bytes = malloc(sizeof(head) + names_bytes + prints_bytes);

	if (!bytes)
		return NULL;
	*length = sizeof(head) + (count ? names_bytes + prints_bytes : 0);
	memcpy(bytes, &head, sizeof(head));
	if (count) {
		qsort(prints, count, sizeof(*prints), by_window);
		memcpy(bytes + sizeof(head), names, names_bytes);
		memcpy(bytes + sizeof(head) + names_bytes, prints, prints_bytes);
	}
	return bytes;
}

int
redact_set_seal(const struct redact_keys *keys, const char (*names)[REDACT_NAME_MAX + 1],
		size_t name_count, struct redact_print *prints, size_t count)
{
	_cleanup_free_ uint8_t *bytes = NULL;
	size_t length;

	if (name_count > REDACT_NAMES_MAX || count > REDACT_PRINTS_MAX)
		return -E2BIG;
	bytes = image_of(keys, names, name_count, prints, count, &length);
	return bytes ? memfd_sealed("redaction", bytes, length) : -ENOMEM;
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
	set->name_count = head->names;
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

/* Takes bytes, heap memory, over. */
static int
open_image(uint8_t *bytes, const struct redact_head *head, struct redact_set **out)
{
	struct redact_set *set = calloc(1, sizeof(*set));
	int rc;

	if (!set) {
		free(bytes);
		return -ENOMEM;
	}
	set->memory = bytes;
	rc = take(set, head);
	if (rc < 0) {
		redact_set_free(set);
		return rc;
	}
	*out = set;
	return 0;
}

int
redact_set_open(int fd, struct redact_set **out)
{
	struct redact_head head;
	const uint8_t *bytes;
	uint8_t *own;
	size_t length;
	int rc = memfd_map(fd, REDACT_SET_BYTES_MAX, &bytes, &length);

	if (rc < 0)
		return rc;
	rc = check_head(bytes, length, &head);
	own = rc == 0 ? malloc(length) : NULL;
	if (own)
		memcpy(own, bytes, length);
	else if (rc == 0)
		rc = -ENOMEM;
	if (bytes)
		munmap((void *)bytes, length);
	return rc < 0 ? rc : open_image(own, &head, out);
}

/* --- joining --------------------------------------------------------------------------------- */

struct joining {
	char (*names)[REDACT_NAME_MAX + 1];
	size_t name_count;
	struct redact_print *prints;
	size_t count;
};

static size_t
name_in(struct joining *to, const char *name)
{
	size_t i = 0;

	while (i < to->name_count && strcmp(to->names[i], name) != 0)
		i++;
	if (i == to->name_count)
		memcpy(to->names[to->name_count++], name, sizeof(to->names[i]));
	return i;
}

static void
add_set(struct joining *to, const struct redact_set *set)
{
	for (size_t i = 0; i < set->count; i++) {
		struct redact_print *print = &to->prints[to->count++];

		*print = set->prints[i];
		print->name = (uint16_t)name_in(to, set->names[print->name]);
	}
}

static bool
same_print(const struct redact_print *a, const struct redact_print *b)
{
	return a->window == b->window && a->length == b->length &&
	       memcmp(a->tag, b->tag, sizeof(a->tag)) == 0;
}

/* A value that was in both stands once: the sort has brought the two together. */
static void
drop_doubles(struct joining *to)
{
	size_t kept = 0;

	qsort(to->prints, to->count, sizeof(*to->prints), by_window);
	for (size_t i = 0; i < to->count; i++)
		if (!kept || !same_print(&to->prints[kept - 1], &to->prints[i]))
			to->prints[kept++] = to->prints[i];
	to->count = kept;
}

static int
join(struct joining *to, const struct redact_set *a, const struct redact_set *b,
     struct redact_set **joined)
{
	struct redact_head head = {.keys = a->keys};
	uint8_t *bytes;
	size_t length;

	add_set(to, a);
	add_set(to, b);
	drop_doubles(to);
	if (to->name_count > REDACT_NAMES_MAX || to->count > REDACT_PRINTS_MAX)
		return -E2BIG;
	bytes = image_of(&a->keys, (const char(*)[REDACT_NAME_MAX + 1]) to->names, to->name_count,
			 to->prints, to->count, &length);
	if (!bytes)
		return -ENOMEM;
	head.names = (uint32_t)to->name_count;
	head.prints = (uint32_t)to->count;
	return open_image(bytes, &head, joined);
}

int
redact_set_join(const struct redact_set *a, const struct redact_set *b, struct redact_set **joined)
{
	struct joining to = {0};
	int rc = -ENOMEM;

	if (memcmp(&a->keys, &b->keys, sizeof(a->keys)) != 0)
		return -EXDEV;
	to.names = calloc(a->name_count + b->name_count + 1, sizeof(*to.names));
	to.prints = calloc(a->count + b->count + 1, sizeof(*to.prints));
	if (to.names && to.prints)
		rc = join(&to, a, b, joined);
	free(to.names);
	free(to.prints);
	return rc;
}

void
redact_set_free(struct redact_set *set)
{
	if (!set)
		return;
	free(set->memory);
	free(set);
}
