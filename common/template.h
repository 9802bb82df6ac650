/*
 * Values of an env_template: text in which {{secret:NAME}} stands for a secret. Who checks a
 * manifest and who looks for its secrets take the text apart by the same function.
 */
#ifndef SCARAB_TEMPLATE_H
#define SCARAB_TEMPLATE_H

#include <stddef.h>

#include "limits.h"

/* Text as it stands, or a secret. */
struct template_part {
	const char *text; /* borrowed; NULL: a secret */
	size_t length;
	char secret[SECRET_NAME_MAX + 1];
};

/* The next part; *at moves behind it. 1, 0 at the end, -EINVAL where a {{ does not begin
 * {{secret:NAME}}. */
int template_next(const char **at, struct template_part *part);

#endif
