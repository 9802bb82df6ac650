#include "webhook.h"

#include <string.h>

static const char *const names[WEBHOOK_KINDS] = {
    [WEBHOOK_GITHUB] = "github",   [WEBHOOK_GITLAB] = "gitlab", [WEBHOOK_STRIPE] = "stripe",
    [WEBHOOK_GENERIC] = "generic", [WEBHOOK_BEARER] = "bearer",
};

const char *
webhook_kind_name(enum webhook_kind kind)
{
	return kind > WEBHOOK_NONE && kind < WEBHOOK_KINDS ? names[kind] : NULL;
}

enum webhook_kind
webhook_kind_parse(const char *name)
{
	for (unsigned i = WEBHOOK_NONE + 1; i < WEBHOOK_KINDS; i++)
		if (strcmp(names[i], name) == 0)
			return (enum webhook_kind)i;
	return WEBHOOK_NONE;
}
