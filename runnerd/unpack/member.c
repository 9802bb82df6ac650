#include "member.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"

enum {
	BLOCK = 512,
	PAX_MAX = 64 << 10,     /* of one header of extended attributes */
	HEADERS_MAX = 64 << 10, /* of an archive, whoever they are for */
};

struct header {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100];
	char magic[6], version[2], user[32], group[32], device[16], prefix[155], rest[12];
};
_Static_assert(sizeof(struct header) == BLOCK, "a header is one block");

/* What the headers before a file's own say of it. */
struct said {
	bool has_path, has_size;
	char path[MEMBER_NAME_MAX + 1];
	uint64_t size;
};

struct walk {
	int fd;
	uint64_t at, end;
	unsigned headers;
	struct said said;
	struct member *members;
	size_t max, count;
};

/* Octal, or binary behind a first byte of 0x80 (GNU). */
static bool
read_number(const char *field, size_t length, uint64_t *value)
{
	size_t i = 0;

	*value = 0;
	if ((uint8_t)field[0] == 0x80) {
		for (i = 1; i < length; i++) {
			if (*value >> 55)
				return false;
			*value = *value << 8 | (uint8_t)field[i];
		}
		return true;
	}
	while (i < length && field[i] == ' ')
		i++;
	for (; i < length && field[i] >= '0' && field[i] <= '7'; i++)
		*value = *value << 3 | (uint64_t)(field[i] - '0');
	return i == length || field[i] == ' ' || field[i] == '\0';
}

static bool
sum_fits(const struct header *header)
{
	const uint8_t *bytes = (const uint8_t *)header;
	size_t at = offsetof(struct header, checksum), i;
	uint64_t said, sum = 0;

	for (i = 0; i < BLOCK; i++)
		sum += i >= at && i < at + sizeof(header->checksum) ? ' ' : bytes[i];
	return read_number(header->checksum, sizeof(header->checksum), &said) && said == sum;
}

static bool
is_empty(const struct header *header)
{
	const char *bytes = (const char *)header;

	for (size_t i = 0; i < BLOCK; i++)
		if (bytes[i])
			return false;
	return true;
}

/* Without "./" and slashes before it; "" when it is longer than any that counts. */
static void
keep_name(char *to, const char *prefix, size_t prefix_length, const char *name, size_t length)
{
	char whole[sizeof(((struct header *)0)->prefix) + 1 + sizeof(((struct header *)0)->name) +
		   1];
	const char *at = whole;

	prefix_length = strnlen(prefix, prefix_length);
	length = strnlen(name, length);
	snprintf(whole, sizeof(whole), "%.*s%s%.*s", (int)prefix_length, prefix,
		 prefix_length ? "/" : "", (int)length, name);
	while (at[0] == '/' || (at[0] == '.' && at[1] == '/'))
		at++;
	if (strlen(at) <= MEMBER_NAME_MAX)
		strcpy(to, at);
	else
		to[0] = '\0';
}

/* --- extended headers ----------------------------------------------------------------------------
 */

static void
note_pax(struct said *said, const char *key, const char *value)
{
	if (!strcmp(key, "path")) {
		said->has_path = true;
		keep_name(said->path, "", 0, value, strlen(value) < 200 ? strlen(value) : 0);
	} else if (!strcmp(key, "size")) {
		said->has_size = true;
		said->size = strtoull(value, NULL, 10);
	}
}

/* "LENGTH KEY=VALUE\n", one after the other; length counts all of it. */
static bool
read_pax(struct said *said, char *text, size_t length)
{
	while (length) {
		char *rest, *equals;
		unsigned long record = strtoul(text, &rest, 10);

		if (record < 5 || record > length || *rest != ' ' || text[record - 1] != '\n')
			return false;
		text[record - 1] = '\0';
		equals = strchr(rest + 1, '=');
		if (!equals)
			return false;
		*equals = '\0';
		note_pax(said, rest + 1, equals + 1);
		text += record;
		length -= record;
	}
	return true;
}

static int
extend(struct walk *walk, char type, uint64_t size)
{
	_cleanup_free_ char *text = NULL;

	if (type == 'L') {
		walk->said.has_path = true; /* longer than any that counts */
		return 0;
	}
	if (type != 'x')
		return 0;
	if (size > PAX_MAX)
		return -EFBIG;
	text = calloc(1, (size_t)size + 1);
	if (!text)
		return -ENOMEM;
	if (pread(walk->fd, text, (size_t)size, (off_t)walk->at) != (ssize_t)size)
		return -ENODATA;
	return read_pax(&walk->said, text, (size_t)size) ? 0 : -EBADMSG;
}

/* --- files ---------------------------------------------------------------------------------------
 */

static bool
is_there(const struct walk *walk, const char *name)
{
	for (size_t i = 0; i < walk->count; i++)
		if (!strcmp(walk->members[i].name, name))
			return true;
	return false;
}

static int
add_member(struct walk *walk, const struct header *header, uint64_t size)
{
	struct member *member = &walk->members[walk->count];

	if (walk->count == walk->max)
		return -E2BIG;
	*member = (struct member){.offset = walk->at, .size = size};
	if (walk->said.has_path)
		strcpy(member->name, walk->said.path);
	else
		keep_name(member->name, header->prefix,
			  memcmp(header->magic, "ustar", 6) == 0 ? sizeof(header->prefix) : 0,
			  header->name, sizeof(header->name));
	member->regular = header->type == '0' || header->type == '\0';
	if (header->type == '2')
		snprintf(member->link, sizeof(member->link), "%.*s", (int)sizeof(header->link),
			 header->link);
	if (!member->name[0] || (!member->regular && !member->link[0]))
		return 0;
	if (is_there(walk, member->name))
		return -EEXIST;
	walk->count++;
	return 0;
}

static int
step(struct walk *walk, const struct header *header)
{
	bool extends = header->type == 'x' || header->type == 'g' || header->type == 'L' ||
		       header->type == 'K';
	uint64_t size, room;
	int rc;

	if (!sum_fits(header) || !read_number(header->size, sizeof(header->size), &size))
		return -EBADMSG;
	walk->at += BLOCK;
	if (!extends && walk->said.has_size)
		size = walk->said.size;
	room = walk->end - walk->at;
	if (size > room)
		return -ENODATA;
	rc = extends ? extend(walk, header->type, size) : add_member(walk, header, size);
	if (!extends)
		walk->said = (struct said){0};
	size += (BLOCK - size % BLOCK) % BLOCK;
	walk->at += size < room ? size : room;
	return rc;
}

static int
walk_all(struct walk *walk)
{
	struct header header;
	int rc = 0;

	while (!rc && walk->end - walk->at >= BLOCK) {
		if (pread(walk->fd, &header, BLOCK, (off_t)walk->at) != BLOCK)
			return -EIO;
		if (is_empty(&header))
			return 0;
		if (++walk->headers > HEADERS_MAX)
			return -E2BIG;
		rc = step(walk, &header);
	}
	return rc;
}

int
members_read(int fd, struct member *members, size_t max, size_t *count, struct error *error)
{
	struct walk walk = {.fd = fd, .members = members, .max = max};
	struct stat st;
	int rc = fstat(fd, &st) < 0 ? -errno : 0;

	if (!rc) {
		walk.end = (uint64_t)st.st_size;
		rc = walk_all(&walk);
	}
	*count = walk.count;
	if (rc == -EBADMSG)
		return error_why(error, ERR_INVALID, "it is no tar, or a damaged one");
	if (rc == -ENODATA)
		return error_why(error, ERR_INVALID, "the archive is cut short");
	if (rc == -E2BIG)
		return error_why(error, ERR_INVALID, "the archive has over %zu files", max);
	if (rc == -EEXIST)
		return error_why(error, ERR_INVALID, "the archive has %s twice",
				 members[walk.count].name);
	if (!rc && !walk.count)
		return error_why(error, ERR_INVALID, "the archive is empty");
	return rc < 0 ? error_errno(error, -rc, "reading the archive") : 0;
}

const struct member *
members_find(const struct member *members, size_t count, const char *name)
{
	const struct member *found = NULL;
	char target[2 * MEMBER_NAME_MAX];
	const char *slash;

	for (size_t i = 0; i < count; i++)
		if (!strcmp(members[i].name, name))
			found = &members[i];
	if (!found || !found->link[0])
		return found;
	/* "../OTHER/layer.tar", as docker save writes it. */
	slash = strchr(found->name, '/');
	snprintf(target, sizeof(target), "%s",
		 slash && !strncmp(found->link, "../", 3) ? found->link + 3 : found->link);
	for (size_t i = 0; i < count; i++)
		if (members[i].regular && !strcmp(members[i].name, target))
			return &members[i];
	return NULL;
}
