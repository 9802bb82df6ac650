/*
 * What operators' events carry: the one place where their JSON is parsed before anything is stored.
 * What is passed on is the bytes that came.
 */
#include <errno.h>
#include <sys/mman.h>

#include "common/scan.h"
#include "requests.h"

/* Where in the text, as people count: lines and bytes of a line from 1. */
static int
refuse_json(struct span text, const char *at, const char *fault, struct error *error)
{
	const char *line = text.at;
	unsigned number = 1;

	for (const char *c = text.at; c < at; c++) {
		if (*c != '\n')
			continue;
		number++;
		line = c + 1;
	}
	error_why(error, ERR_USAGE, "the data is not JSON: line %u, column %zu: %s", number,
		  (size_t)(at - line) + 1, fault);
	return error_hint(error, "text is written with quotes: --data '\"text\"'");
}

int
event_data_check(int fd, struct error *error)
{
	const uint8_t *bytes = NULL;
	struct span text, value;
	const char *fault;
	size_t length = 0;
	int rc = memfd_map(fd, EVENT_DATA_MAX, &bytes, &length);

	if (rc == -EFBIG)
		return error_why(error, ERR_USAGE, "the data is larger than %d bytes",
				 EVENT_DATA_MAX);
	if (rc < 0)
		return error_errno(error, -rc, "looking at the data");
	text = (struct span){length ? (const char *)bytes : "", length};
	fault = scan(text, &value);
	rc = fault ? refuse_json(text, value.at, fault, error) : 0;
	if (length)
		munmap((void *)bytes, length);
	return rc;
}
