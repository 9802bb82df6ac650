#include "sources.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/audit_chain.h"
#include "common/cleanup.h"

enum { READ_BYTES = 65536 };

/* What follows these bytes in the line; inside a string every quote is escaped. */
static const char *
after(const char *line, size_t length, const char *key)
{
	const char *found = memmem(line, length, key, strlen(key));

	return found ? found + strlen(key) : NULL;
}

static enum role
role_named(const char *name, char end)
{
	for (int role = ROLE_NONE + 1; role < ROLE_COUNT; role++) {
		const char *known = role_name((enum role)role);

		if (strncmp(name, known, strlen(known)) == 0 && name[strlen(known)] == end)
			return (enum role)role;
	}
	return ROLE_NONE;
}

/* control 18f3a… 12, schedd … */
static void
note_told(struct sources *sources, const char *text)
{
	char *next;

	while (text) {
		enum role role = role_named(text, ' ');
		struct source *source = &sources->by_role[role];

		text = strchr(text, ' ');
		if (!text || role == ROLE_NONE)
			return;
		source->generation = strtoull(text, &next, 16);
		source->sequence = strtoull(next, &next, 10);
		text = strncmp(next, ", ", 2) == 0 ? next + 2 : NULL;
	}
}

static void
note_line(struct sources *sources, const char *line, size_t length)
{
	const char *begins = after(line, length, ",\"action\":\"audit.begin\",");
	const char *role = after(line, length, ",\"role\":\"");
	const char *generation = after(line, length, ",\"generation\":\"");
	const char *sequence = after(line, length, ",\"sequence\":");
	struct source *source;

	if (begins && role && role_named(role, '"') == ROLE_SECRETD)
		note_told(sources,
			  after(begins, length - (size_t)(begins - line), ",\"detail\":\""));
	if (!role || !generation || !sequence)
		return;
	source = &sources->by_role[role_named(role, '"')];
	source->generation = strtoull(generation, NULL, 16);
	source->sequence = strtoull(sequence, NULL, 10);
}

/* Whole lines; returns how much they are. Each is in memory that goes on after it. */
static size_t
note_lines(struct sources *sources, const char *text, size_t length)
{
	const char *from = text, *end = text + length, *newline;

	while ((newline = memchr(from, '\n', (size_t)(end - from)))) {
		note_line(sources, from, (size_t)(newline - from));
		from = newline + 1;
	}
	return (size_t)(from - text);
}

int
sources_read(struct sources *sources, int fd)
{
	_cleanup_free_ char *text = malloc(READ_BYTES + 1);
	size_t length = 0, taken;
	struct stat st;
	off_t offset;
	ssize_t n = 0;

	memset(sources, 0, sizeof(*sources));
	if (!text)
		return -ENOMEM;
	if (fstat(fd, &st) < 0)
		return -errno;
	offset = st.st_size > SOURCES_TAIL_BYTES ? st.st_size - SOURCES_TAIL_BYTES : 0;
	/* Only what is there now: the file grows by this process alone. */
	while (offset < st.st_size &&
	       (n = pread(fd, text + length, READ_BYTES - length, offset)) > 0) {
		offset += n;
		length += (size_t)n;
		text[length] = '\0';
		taken = note_lines(sources, text, length);
		if (length - taken > CHAIN_LINE_MAX)
			taken = length; /* no entry is so long */
		length -= taken;
		memmove(text, text + taken, length);
	}
	return n < 0 ? -errno : 0;
}

void
sources_tell(const struct sources *sources, char *text, size_t size)
{
	size_t at = 0;

	*text = '\0';
	for (int role = ROLE_NONE + 1; role < ROLE_COUNT; role++) {
		const struct source *source = &sources->by_role[role];

		if (!source->generation || at >= size)
			continue;
		at += (size_t)snprintf(text + at, size - at, "%s%s %016llx %llu", at ? ", " : "",
				       role_name((enum role)role),
				       (unsigned long long)source->generation,
				       (unsigned long long)source->sequence);
	}
}

bool
sources_note(struct sources *sources, enum role role, const struct msg_audit *entry)
{
	struct source *source = &sources->by_role[role];

	if (!entry->generation)
		return true;
	if (source->generation == entry->generation && entry->sequence <= source->sequence)
		return false;
	source->generation = entry->generation;
	source->sequence = entry->sequence;
	return true;
}
