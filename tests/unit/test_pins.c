// with: runnerd/pins.c
/* Definitions that are accepted: sets, rows, files. */
#include "runnerd/pins.h"

#include <check.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/io.h"
#include "runnerd/broker/broker.h"
#include "suite.h"

static struct msg_tool_pin
head_of(const char *server, const char *tool, uint8_t digest)
{
	struct msg_tool_pin head = {.digest_len = DIGEST_BYTES, .pinned_at_ms = 1};

	snprintf(head.server, sizeof(head.server), "%s", server);
	snprintf(head.tool, sizeof(head.tool), "%s", tool);
	memset(head.digest, digest, DIGEST_BYTES);
	return head;
}

static void
add(struct pins *pins, const char *server, const char *tool, uint8_t digest, const char *text)
{
	struct msg_tool_pin head = head_of(server, tool, digest);
	struct pin definition = {.text = (char *)(uintptr_t)text,
				 .length = text ? strlen(text) : 0};

	ck_assert_int_eq(pins_add(pins, &head, &definition), 0);
}

static int
directory(char *path)
{
	strcpy(path, "/tmp/test_pins.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(path));
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void
remove_all(int dir, const char *path)
{
	unlinkat(dir, "a.pins", 0);
	unlinkat(dir, "a.seen", 0);
	close(dir);
	ck_assert_int_eq(rmdir(path), 0); /* nothing else was left there */
}

START_TEST(a_set_survives_its_file)
{
	_cleanup_(pins_free) struct pins pins = {0}, again = {0};
	char path[32], text[30001];
	int dir = directory(path);
	struct pin *pin;

	memset(text, 't', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	ck_assert_int_eq(pins_read(dir, "a", &pins), 0);
	ck_assert_uint_eq(pins.count, 0);
	add(&pins, "two", "x", 1, "{}");
	add(&pins, "one", "y", 2, text);
	add(&pins, "one", "x", 3, NULL);
	pins_sort(&pins);
	ck_assert_int_eq(pins_write(dir, "a", &pins), 0);
	ck_assert_int_eq(pins_read(dir, "a", &again), 0);
	ck_assert_uint_eq(again.count, 3);
	ck_assert_str_eq(again.items[0].head.tool, "x");
	pin = pins_find(&again, "one", "y");
	ck_assert_ptr_nonnull(pin);
	ck_assert_uint_eq(pin->length, 30000);
	ck_assert_str_eq(pin->text, text);
	ck_assert_ptr_null(pins_find(&again, "one", "x")->text);
	ck_assert_uint_eq(pins_find(&again, "two", "x")->head.digest[0], 1);
	ck_assert_ptr_null(pins_find(&again, "two", "y"));
	ck_assert_int_eq(pins_purge(dir, "a"), 0);
	ck_assert_int_eq(pins_purge(dir, "a"), 0);
	pins_free(&again);
	ck_assert_int_eq(pins_read(dir, "a", &again), 0);
	ck_assert_uint_eq(again.count, 0);
	remove_all(dir, path);
}
END_TEST

START_TEST(a_pin_changes)
{
	_cleanup_(pins_free) struct pins pins = {0};
	struct msg_tool_pin head = head_of("one", "x", 9);
	struct pin definition = {.text = (char *)(uintptr_t) "new", .length = 3};

	add(&pins, "one", "x", 1, "old text");
	pins_sort(&pins);
	pin_change(&pins, pins_find(&pins, "one", "x"), &head, &definition);
	ck_assert_str_eq(pins.items[0].text, "new");
	ck_assert_uint_eq(pins.bytes, 3);
	ck_assert_uint_eq(pins.items[0].head.digest[5], 9);
}
END_TEST

/* Of doubles one stays; texts that are too long are left out, with what came of them before. */
START_TEST(bounds)
{
	_cleanup_(pins_free) struct pins pins = {0}, taken = {0};
	static char text[DEFINITION_BYTES_MAX + 2];
	char name[32];
	int rows;

	memset(text, 't', sizeof(text) - 1);
	add(&pins, "one", "x", 1, "a");
	add(&pins, "one", "x", 2, "b");
	add(&pins, "one", "long", 1, text);
	text[DEFINITION_BYTES_MAX] = '\0';
	add(&pins, "one", "fits", 1, text);
	pins_sort(&pins);
	ck_assert_uint_eq(pins.count, 3);
	ck_assert_ptr_null(pins_find(&pins, "one", "long")->text);
	ck_assert_uint_eq(pins_find(&pins, "one", "fits")->length, DEFINITION_BYTES_MAX);
	for (size_t i = 0; i < DEFINITIONS_BYTES_MAX / DEFINITION_BYTES_MAX + 4; i++) {
		snprintf(name, sizeof(name), "t%zu", i);
		add(&pins, "two", name, 1, text);
	}
	ck_assert_uint_le(pins.bytes, DEFINITIONS_BYTES_MAX);
	while (pins.count < AGENT_PINS_MAX) {
		snprintf(name, sizeof(name), "n%zu", pins.count);
		add(&pins, "three", name, 1, NULL);
	}
	struct msg_tool_pin head = head_of("four", "x", 1);
	ck_assert_int_eq(pins_add(&pins, &head, NULL), -ENOSPC);
	pins_sort(&pins);
	rows = pins_rows(&pins);
	ck_assert_int_ge(rows, 0);
	ck_assert_int_eq(pins_take(&taken, rows), 0);
	ck_assert_uint_eq(taken.count, pins.count);
	ck_assert_uint_eq(taken.bytes, pins.bytes);
	close(rows);
}
END_TEST

static void
add_tool(struct rows *rows, const char *server, const char *tool, size_t digest)
{
	struct msg row;

	msg_init(&row, MSG_TOOL_ROW);
	snprintf(row.tool_row.server, sizeof(row.tool_row.server), "%s", server);
	snprintf(row.tool_row.tool, sizeof(row.tool_row.tool), "%s", tool);
	row.tool_row.state = TOOL_QUARANTINED;
	row.tool_row.digest_len = (uint32_t)digest;
	ck_assert_int_eq(rows_add(rows, &row), 0);
	msg_init(&row, MSG_TEXT_PART);
	row.text_part.text_len = 2;
	memcpy(row.text_part.text, tool, 2);
	ck_assert_int_eq(rows_add(rows, &row), 0);
}

/* The runtime's own tools have no pins, and a text belongs to the row before it. */
START_TEST(a_registry_is_read_as_pins)
{
	_cleanup_(pins_free) struct pins pins = {0};
	struct rows *rows = rows_new("registry");
	int fd;

	add_tool(rows, "one", "xx", DIGEST_BYTES);
	add_tool(rows, "", "own", DIGEST_BYTES);
	add_tool(rows, "one", "bad", 3);
	fd = rows_seal(rows);
	ck_assert_int_eq(pins_take(&pins, fd), 0);
	ck_assert_uint_eq(pins.count, 1);
	ck_assert_str_eq(pins.items[0].text, "xx");
	ck_assert_int_eq(pins.items[0].state, TOOL_QUARANTINED);
	close(fd);
}
END_TEST

START_TEST(a_damaged_file_is_said_to_be)
{
	_cleanup_(pins_free) struct pins pins = {0};
	char path[32];
	int dir = directory(path);

	add(&pins, "one", "x", 1, "{}");
	pins_sort(&pins);
	ck_assert_int_eq(pins_write(dir, "a", &pins), 0);
	ck_assert_int_eq(write_file_durable(dir, "a.pins", "nonsense", 8, 0600), 0);
	pins_free(&pins);
	ck_assert_int_lt(pins_read(dir, "a", &pins), 0);
	remove_all(dir, path);
}
END_TEST

int
main(void)
{
	const TTest *tests[] = {
	    a_set_survives_its_file,      a_pin_changes, bounds, a_registry_is_read_as_pins,
	    a_damaged_file_is_said_to_be,
	};

	return suite_run("pins", tests, ARRAY_LEN(tests));
}
