/*
 * The test's side of tests/crash/table.h.
 *
 *   crash-table new FILE
 *   crash-table arm FILE [NTH POINT]     forgets what was passed; without a point: none is armed
 *   crash-table rearm FILE NTH POINT     keeps what was passed, lets nobody go
 *   crash-table wait FILE MS POINT       until somebody stands at this point: 0, else 1
 *   crash-table let FILE                 who stands there goes on, and nobody stops any more
 *   crash-table list FILE                a line "COUNT POINT" for each point that was passed
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "tests/crash/table.h"

static struct crash_table *
open_table(const char *path, int flags)
{
	int fd = open(path, O_RDWR | O_CLOEXEC | flags, 0600);
	void *map = MAP_FAILED;

	if (fd >= 0 && (!flags || ftruncate(fd, sizeof(struct crash_table)) == 0))
		map = mmap(NULL, sizeof(struct crash_table), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			   0);
	if (map != MAP_FAILED && flags)
		memcpy(map, CRASH_MAGIC, sizeof(CRASH_MAGIC));
	if (map != MAP_FAILED)
		return map;
	fprintf(stderr, "crash-table: %s: %s\n", path, strerror(errno));
	exit(2);
}

static void
arm(struct crash_table *table, const char *nth, const char *point)
{
	table->nth = 0;
	atomic_store(&table->let_go, 0);
	atomic_store(&table->held, 0);
	atomic_store(&table->hits, 0);
	if (!nth)
		return;
	snprintf(table->armed, sizeof(table->armed), "%s", point);
	atomic_thread_fence(memory_order_seq_cst);
	table->nth = (uint32_t)strtoul(nth, NULL, 10);
}

static void
forget(struct crash_table *table)
{
	memset(table->log, 0, sizeof(table->log));
	atomic_store(&table->used, 0);
}

/* Armed is read first: who arms another point says before that that nobody stands there. */
static bool
stands(struct crash_table *table, const char *point)
{
	bool is_armed = !strcmp(table->armed, point);

	atomic_thread_fence(memory_order_seq_cst);
	return is_armed && atomic_load(&table->held);
}

static int
await(struct crash_table *table, long ms, const char *point)
{
	const struct timespec pause = {.tv_nsec = 500000};
	struct timespec began, now;

	clock_gettime(CLOCK_MONOTONIC, &began);
	do {
		if (stands(table, point))
			return 0;
		nanosleep(&pause, NULL);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while ((now.tv_sec - began.tv_sec) * 1000 + (now.tv_nsec - began.tv_nsec) / 1000000 < ms);
	return 1;
}

static int
by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void
list(struct crash_table *table)
{
	char **lines = calloc(CRASH_LOG_MAX, sizeof(*lines)), *rest = table->log, *line;
	size_t count = 0, i, same;

	if (!lines)
		exit(2);
	table->log[sizeof(table->log) - 1] = '\0';
	while ((line = strsep(&rest, "\n")))
		if (*line)
			lines[count++] = line;
	qsort(lines, count, sizeof(*lines), by_text);
	for (i = 0; i < count; i += same) {
		for (same = 1; i + same < count && !strcmp(lines[i], lines[i + same]); same++)
			;
		printf("%zu %s\n", same, lines[i]);
	}
	free(lines);
}

int
main(int argc, char **argv)
{
	const char *command = argc > 2 ? argv[1] : "";
	struct crash_table *table;

	if (argc < 3) {
		fprintf(stderr, "usage: crash-table new|arm|rearm|wait|let|list FILE …\n");
		return 2;
	}
	table = open_table(argv[2], strcmp(command, "new") ? 0 : O_CREAT | O_TRUNC);
	if (!strcmp(command, "arm"))
		forget(table);
	if (!strcmp(command, "arm") || !strcmp(command, "rearm"))
		arm(table, argc > 4 ? argv[3] : NULL, argc > 4 ? argv[4] : NULL);
	else if (!strcmp(command, "wait"))
		return argc > 4 ? await(table, strtol(argv[3], NULL, 10), argv[4]) : 2;
	else if (!strcmp(command, "let"))
		atomic_store(&table->let_go, 1), table->nth = 0;
	else if (!strcmp(command, "list"))
		list(table);
	return 0;
}
