/* The line at the end of a TZif file: what the zone's clocks do after the table, as a TZ string of
 * POSIX with the extensions of RFC 9636. Pure; zone.c only. */
#ifndef SCARAB_SCHEDD_ZONE_RULE_H
#define SCARAB_SCHEDD_ZONE_RULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

enum zone_day_kind {
	DAY_JULIAN,  /* Jn: 1 … 365, no 29 February */
	DAY_OF_YEAR, /* n: 0 … 365 */
	DAY_WEEKLY,  /* Mm.w.d: week 5 is the last */
};

struct zone_turn {
	enum zone_day_kind kind;
	int day, week, month;
	int32_t time; /* seconds from that midnight, -167 h … 167 h */
};

struct zone_rule {
	int32_t standard, summer;    /* seconds east of UTC */
	bool changes;                /* else standard for ever */
	struct zone_turn begin, end; /* of summer */
};

/* text need not end with NUL. -1 with error. */
int zone_rule_parse(const char *text, size_t length, struct zone_rule *rule, struct error *error);
/* When summer begins or ends in a year, as an instant. */
int64_t zone_rule_begin(const struct zone_rule *rule, int year);
int64_t zone_rule_end(const struct zone_rule *rule, int year);

#endif
