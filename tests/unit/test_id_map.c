// with: runnerd/id_map.c
/* The ids of a sandbox: every id once on both sides, and the agent's always the same on the host.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/limits.h"
#include "runnerd/id_map.h"
#include "suite.h"

enum { BASE = 1 << 20 };

static const struct {
	uint32_t count, agent;
	const char *text;
} maps[] = {
    {ID_RANGE, AGENT_UID, "0 1048576 65536\n"},
    {1000, AGENT_UID, "0 1048576 1000\n"},
    {ID_RANGE, 0, "0 1049576 1\n1 1048577 999\n1000 1048576 1\n1001 1049577 64535\n"},
    {ID_RANGE, 1, "0 1048576 1\n1 1049576 1\n2 1048578 998\n1000 1048577 1\n1001 1049577 64535\n"},
    {ID_RANGE, 999, "0 1048576 999\n999 1049576 1\n1000 1049575 1\n1001 1049577 64535\n"},
    {ID_RANGE, 1001, "0 1048576 1000\n1000 1049577 1\n1001 1049576 1\n1002 1049578 64534\n"},
    {ID_RANGE, 65535, "0 1048576 1000\n1000 1114111 1\n1001 1049577 64534\n65535 1049576 1\n"},
};

START_TEST(the_agent_changes_places)
{
	char text[ID_MAP_TEXT];

	for (size_t i = 0; i < ARRAY_LEN(maps); i++) {
		size_t length = id_map_text(BASE, maps[i].count, maps[i].agent, text);

		ck_assert_uint_eq(length, strlen(text));
		ck_assert_str_eq(text, maps[i].text);
	}
}
END_TEST

/* 0: the line is the last. */
static int
next_line(const char **at, unsigned *inside, unsigned *outside, unsigned *count)
{
	int length = 0;

	if (sscanf(*at, "%u %u %u\n%n", inside, outside, count, &length) != 3)
		return 0;
	*at += length;
	return 1;
}

static void
check_map(uint32_t agent)
{
	uint32_t *found = calloc(ID_RANGE, sizeof(*found));
	unsigned inside, outside, count;
	char text[ID_MAP_TEXT];
	const char *at = text;

	ck_assert_ptr_nonnull(found);
	id_map_text(BASE, ID_RANGE, agent, text);
	while (next_line(&at, &inside, &outside, &count))
		for (unsigned i = 0; i < count; i++) {
			ck_assert_uint_lt(inside + i, ID_RANGE);
			ck_assert_uint_eq(found[inside + i], 0);
			found[inside + i] = outside + i;
		}
	for (uint32_t id = 0; id < ID_RANGE; id++) {
		uint32_t other = id == agent ? AGENT_UID : id == AGENT_UID ? agent : id;

		ck_assert_uint_eq(found[id], BASE + other);
	}
	free(found);
}

START_TEST(every_id_is_there_once)
{
	static const uint32_t agents[] = {0,    1,    2,    33,   998,   999,
					  1000, 1001, 1002, 3000, 65534, 65535};

	for (size_t i = 0; i < ARRAY_LEN(agents); i++)
		check_map(agents[i]);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {the_agent_changes_places, every_id_is_there_once};

	return suite_run("id_map", tests, ARRAY_LEN(tests));
}
