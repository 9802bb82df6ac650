#include "progress.h"

#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "common/cleanup.h"
#include "text.h"

void
progress_draw(struct progress *progress, const char *agent, const char *state)
{
	uint64_t elapsed = clock_ms() - progress->since_ms;
	_cleanup_free_ char *cut = NULL;
	char line[256];

	if (!progress->enabled || progress->held || elapsed < PROGRESS_DELAY_MS)
		return;
	snprintf(line, sizeof(line), "%s  %s  %llu.%llu s", agent, state,
		 (unsigned long long)(elapsed / 1000), (unsigned long long)(elapsed % 1000 / 100));
	cut = text_cut(line, progress->width - 1, false, "~");
	fprintf(stderr, "\r%s\033[K", cut ? cut : line);
	progress->drawn = true;
}

void
progress_clear(struct progress *progress)
{
	if (progress->drawn)
		fputs("\r\033[K", stderr);
	progress->drawn = false;
}
