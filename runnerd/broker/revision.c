#include "revision.h"

#include <string.h>

#include "common/cleanup.h"

static const char *const known[] = {"2024-11-05", REVISION_BATCHES, REVISION_STRUCTURED,
				    REVISION_HANDSHAKE};

bool
revision_handshake(const char *revision)
{
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (strcmp(known[i], revision) == 0)
			return true;
	return false;
}
