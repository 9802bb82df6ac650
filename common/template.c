#include "template.h"

#include <errno.h>
#include <string.h>

#include "values.h"

static const char opening[] = "{{secret:", closing[] = "}}";

int
template_next(const char **at, struct template_part *part)
{
	const char *from = *at, *brackets = strstr(from, "{{"), *end;
	char why[REASON_SIZE];
	size_t length;

	if (!*from)
		return 0;
	if (brackets != from) {
		*part = (struct template_part){.text = from};
		part->length = brackets ? (size_t)(brackets - from) : strlen(from);
		*at = from + part->length;
		return 1;
	}
	*part = (struct template_part){0};
	if (strncmp(from, opening, sizeof(opening) - 1) != 0)
		return -EINVAL;
	from += sizeof(opening) - 1;
	end = strstr(from, closing);
	length = end ? (size_t)(end - from) : 0;
	if (!end || length > SECRET_NAME_MAX)
		return -EINVAL;
	memcpy(part->secret, from, length);
	*at = end + sizeof(closing) - 1;
	return value_secret_name(part->secret, why) ? 1 : -EINVAL;
}
