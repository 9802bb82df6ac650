#include "rows.h"

#include <errno.h>

int
rows_each(int fd, enum msg_type type, row_fn *row, void *arg, struct error *error)
{
	struct rows_reader *reader = rows_open(fd);
	struct msg record;
	int r, result = 0;

	if (!reader)
		return error_errno(error, errno, "reading agentd's answer");
	while (result == 0 && (r = rows_next(reader, &record)) != 0) {
		if (r < 0)
			result = error_errno(error, -r, "reading agentd's answer");
		else if (type == MSG_NONE || record.type == type)
			result = row(&record, arg, error);
	}
	rows_close(reader);
	return result;
}

struct first {
	struct msg *record;
	bool found;
};

static int
take_first(const struct msg *record, void *arg, struct error *error)
{
	struct first *first = arg;

	(void)error;
	if (!first->found)
		*first->record = *record;
	first->found = true;
	return 0;
}

int
rows_first(int fd, enum msg_type type, struct msg *record, struct error *error)
{
	struct first first = {.record = record};

	if (rows_each(fd, type, take_first, &first, error) < 0)
		return -1;
	return first.found;
}
