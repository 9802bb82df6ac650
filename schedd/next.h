/*
 * When a cron expression fires next in a time zone. schedd only; pure, no memory of its own.
 *
 * The rule for changes of the clock (agent-manifest(5)): an expression whose minute or hour begins
 * with * follows the clock as it passes: in a repeated hour it fires twice, in a skipped one never.
 * Any other one fires at the first occurrence of a repeated time only; when the clock jumps over a
 * time that it names, whatever the jump's length, it fires once, at the first instant after it.
 */
#ifndef SCARAB_SCHEDD_NEXT_H
#define SCARAB_SCHEDD_NEXT_H

#include "common/cron.h"
#include "zone.h"

/* The first instant after `after` at which it fires; INT64_MAX: none until the end of year 9999. */
int64_t cron_next(const struct cron *cron, struct zone *zone, int64_t after);
/* Does it name the local time that clocks show at this instant? Of a minute, when it has no
 * seconds. */
bool cron_matches(const struct cron *cron, struct zone *zone, int64_t instant);

#endif
