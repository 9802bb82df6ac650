/*
 * The live line on a terminal's standard error while a run waits: "NAME  setup: image  0.4 s".
 * It is erased before anything else is printed and never drawn into a line that the agent began.
 */
#ifndef ASH_PROGRESS_H
#define ASH_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PROGRESS_TICK_MS = 100, PROGRESS_DELAY_MS = 150 /* what is over sooner draws nothing */ };

struct progress {
	bool enabled, drawn, held; /* held: the agent's last line has no end yet */
	size_t width;
	uint64_t since_ms; /* clock_ms() */
};

void progress_draw(struct progress *progress, const char *agent, const char *state);
void progress_clear(struct progress *progress);

#endif
