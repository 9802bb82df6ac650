#include "pins.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/io.h"

enum {
	PINS_STEP = 64,
	RECORDS_MAX = 1 << 17, /* looked at in one set of rows */
	FILE_NAME = AGENT_NAME_MAX + 16,
};

/* --- a set -------------------------------------------------------------------------------------
 */

static int
order(const void *a, const void *b)
{
	const struct pin *one = a, *other = b;
	int rc = strcmp(one->head.server, other->head.server);

	return rc ? rc : strcmp(one->head.tool, other->head.tool);
}

static void
drop_text(struct pins *pins, struct pin *pin)
{
	pins->bytes -= pin->length;
	free(steal_ptr(&pin->text));
	pin->length = 0;
}

/* A text that is too long for its place is left out: the digest holds all the same. */
static void
append_text(struct pins *pins, struct pin *pin, const void *bytes, size_t length)
{
	char *text;

	if (pin->length + length > DEFINITION_BYTES_MAX ||
	    pins->bytes + length > DEFINITIONS_BYTES_MAX) {
		drop_text(pins, pin);
		return;
	}
	text = realloc(pin->text, pin->length + length + 1);
	if (!text) {
		drop_text(pins, pin);
		return;
	}
	memcpy(text + pin->length, bytes, length);
	pin->text = text;
	pin->length += length;
	pins->bytes += length;
	text[pin->length] = '\0';
}

static struct pin *
append(struct pins *pins, const struct msg_tool_pin *head)
{
	struct pin *pin;

	if (pins->count % PINS_STEP == 0) {
		void *items =
		    reallocarray(pins->items, pins->count + PINS_STEP, sizeof(*pins->items));

		if (!items)
			return NULL;
		pins->items = items;
	}
	pin = &pins->items[pins->count++];
	*pin = (struct pin){.head = *head};
	return pin;
}

int
pins_add(struct pins *pins, const struct msg_tool_pin *head, const struct pin *definition)
{
	struct pin *pin;

	if (pins->count >= AGENT_PINS_MAX)
		return -ENOSPC;
	pin = append(pins, head);
	if (!pin)
		return -ENOMEM;
	if (definition && definition->text)
		append_text(pins, pin, definition->text, definition->length);
	return 0;
}

void
pin_change(struct pins *pins, struct pin *pin, const struct msg_tool_pin *head,
	   const struct pin *definition)
{
	pin->head = *head;
	drop_text(pins, pin);
	if (definition && definition->text)
		append_text(pins, pin, definition->text, definition->length);
}

/* Of two with one name, which only a damaged file or a broker that lies has, one stays. */
void
pins_sort(struct pins *pins)
{
	size_t kept = 0;

	if (pins->count > 1)
		qsort(pins->items, pins->count, sizeof(*pins->items), order);
	for (size_t i = 0; i < pins->count; i++) {
		if (kept > 0 && order(&pins->items[kept - 1], &pins->items[i]) == 0)
			drop_text(pins, &pins->items[i]);
		else
			pins->items[kept++] = pins->items[i];
	}
	/* Appending grows by whole steps of the count. */
	for (; pins->count > kept; pins->count--)
		pins->items[pins->count - 1].text = NULL;
	pins->sorted = pins->count;
}

struct pin *
pins_find(const struct pins *pins, const char *server, const char *tool)
{
	struct pin key;

	snprintf(key.head.server, sizeof(key.head.server), "%s", server);
	snprintf(key.head.tool, sizeof(key.head.tool), "%s", tool);
	return pins->sorted ? bsearch(&key, pins->items, pins->sorted, sizeof(*pins->items), order)
			    : NULL;
}

void
pins_free(struct pins *pins)
{
	for (size_t i = 0; i < pins->count; i++)
		free(pins->items[i].text);
	free(pins->items);
	*pins = (struct pins){0};
}

/* --- rows --------------------------------------------------------------------------------------
 */

/* A tool of a registry as a pin of it would be. */
static void
as_pin(const struct msg_tool_row *row, struct msg_tool_pin *head)
{
	*head = (struct msg_tool_pin){.digest_len = row->digest_len};
	memcpy(head->server, row->server, sizeof(head->server));
	memcpy(head->tool, row->tool, sizeof(head->tool));
	memcpy(head->digest, row->digest, sizeof(head->digest));
}

/* The pin that texts which follow belong to, NULL for none. 0 or -errno. */
static int
take_record(struct pins *pins, const struct msg *record, struct pin **current)
{
	struct msg_tool_pin head;

	if (record->type == MSG_TEXT_PART) {
		if (*current)
			append_text(pins, *current, record->text_part.text,
				    record->text_part.text_len);
		return 0;
	}
	*current = NULL;
	if (record->type == MSG_TOOL_PIN)
		head = record->tool_pin;
	else if (record->type == MSG_TOOL_ROW)
		as_pin(&record->tool_row, &head);
	else
		return 0;
	if (head.digest_len != DIGEST_BYTES || !head.server[0])
		return 0;
	if (pins->count >= AGENT_PINS_MAX)
		return -EFBIG;
	*current = append(pins, &head);
	if (!*current)
		return -ENOMEM;
	if (record->type == MSG_TOOL_ROW)
		(*current)->state = record->tool_row.state;
	return 0;
}

int
pins_take(struct pins *pins, int rows_fd)
{
	struct rows_reader *reader = rows_open(rows_fd);
	struct pin *current = NULL;
	struct msg record;
	size_t count = 0;
	int rc = 0, next;

	if (!reader)
		return -errno;
	while (rc == 0 && (next = rows_next(reader, &record)) != 0)
		rc = next < 0                ? next
		     : ++count > RECORDS_MAX ? -EFBIG
					     : take_record(pins, &record, &current);
	rows_close(reader);
	pins_sort(pins);
	return rc;
}

static int
add_text(struct rows *rows, const struct pin *pin)
{
	struct msg part;
	int rc = 0;

	msg_init(&part, MSG_TEXT_PART);
	for (size_t at = 0, length; rc == 0 && at < pin->length; at += length) {
		length = pin->length - at;
		if (length > sizeof(part.text_part.text))
			length = sizeof(part.text_part.text);
		part.text_part.text_len = (uint32_t)length;
		memcpy(part.text_part.text, pin->text + at, length);
		rc = rows_add(rows, &part);
	}
	return rc;
}

int
pins_rows(const struct pins *pins)
{
	struct rows *rows = rows_new("pins");
	int rc = rows ? 0 : -ENOMEM;
	struct msg head;

	for (size_t i = 0; rc == 0 && i < pins->count; i++) {
		msg_init(&head, MSG_TOOL_PIN);
		head.tool_pin = pins->items[i].head;
		rc = rows_add(rows, &head);
		if (rc == 0)
			rc = add_text(rows, &pins->items[i]);
	}
	if (rc == 0)
		return rows_seal(rows);
	rows_free(rows);
	return rc;
}

/* --- files -------------------------------------------------------------------------------------
 */

int
rows_file_read(int dir_fd, const char *name)
{
	_cleanup_free_ char *bytes = NULL;
	size_t length;
	int rc = read_file_at(dir_fd, name, ROWS_BYTES_MAX, &bytes, &length);

	return rc < 0 ? rc : memfd_sealed("rows", bytes, length);
}

/* Whoever reads sees the old file or the new one; a disk that loses power may have neither. */
static int
replace_file(int dir_fd, const char *name, const uint8_t *bytes, size_t length)
{
	char fresh[NAME_MAX + 1];
	_cleanup_close_ int fd = -1;
	int rc;

	snprintf(fresh, sizeof(fresh), ".%.200s.new", name);
	fd = openat(dir_fd, fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	rc = write_all(fd, bytes, length);
	if (rc == 0 && renameat(dir_fd, fresh, dir_fd, name) < 0)
		rc = -errno;
	if (rc < 0)
		unlinkat(dir_fd, fresh, 0);
	return rc;
}

int
rows_file_write(int dir_fd, const char *name, int rows_fd, bool durable)
{
	const uint8_t *bytes;
	size_t length;
	int rc = memfd_map(rows_fd, ROWS_BYTES_MAX, &bytes, &length);

	if (rc < 0)
		return rc;
	rc = durable ? write_file_durable(dir_fd, name, bytes, length, 0600)
		     : replace_file(dir_fd, name, bytes, length);
	if (bytes)
		munmap((void *)(uintptr_t)bytes, length);
	return rc;
}

static const char *
file_name(const char *agent, const char *ending, char name[FILE_NAME])
{
	snprintf(name, FILE_NAME, "%.*s.%s", AGENT_NAME_MAX, agent, ending);
	return name;
}

int
pins_read(int tools_fd, const char *agent, struct pins *pins)
{
	char name[FILE_NAME];
	_cleanup_close_ int rows = rows_file_read(tools_fd, file_name(agent, "pins", name));

	if (rows == -ENOENT)
		return 0;
	return rows < 0 ? rows : pins_take(pins, rows);
}

int
pins_write(int tools_fd, const char *agent, const struct pins *pins)
{
	_cleanup_close_ int rows = pins_rows(pins);
	char name[FILE_NAME];

	if (rows < 0)
		return rows;
	return rows_file_write(tools_fd, file_name(agent, "pins", name), rows, true);
}

int
pins_purge(int tools_fd, const char *agent)
{
	static const char *const endings[] = {"pins", "seen"};
	char name[FILE_NAME];

	for (size_t i = 0; i < ARRAY_LEN(endings); i++)
		if (unlinkat(tools_fd, file_name(agent, endings[i], name), 0) < 0 &&
		    errno != ENOENT)
			return -errno;
	return sync_dir(tools_fd);
}
