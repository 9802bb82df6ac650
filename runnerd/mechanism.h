/*
 * What the host must have for a session of this build, one row each: the table that `ash doctor`
 * prints, and the reason why a session is refused when a required one is missing and root has not
 * listed it in `degraded`.
 */
#ifndef SCARAB_RUNNERD_MECHANISM_H
#define SCARAB_RUNNERD_MECHANISM_H

#include "cgroup.h"
#include "common/proto.h"

enum { MECHANISMS_TEXT_MAX = 255 };

struct mechanisms;

/* Probes everything once. cgroups NULL: why tells. NULL when memory ran out. */
struct mechanisms *mechanisms_probe(const struct cgroups *cgroups, const struct error *why);
void mechanisms_free(struct mechanisms *mechanisms);
/* Names in degraded that are no mechanism's: a misspelt one accepts nothing. */
void mechanisms_warn(const struct strings *degraded);
size_t mechanisms_count(const struct mechanisms *mechanisms);
/* Row index as a MECHANISM_ROW. */
void mechanism_row(const struct mechanisms *mechanisms, size_t index, struct msg *record);
/* Is the one of this name there? */
bool mechanism_present(const struct mechanisms *mechanisms, const char *name);
/* Does root accept that the one of this name is missing? */
bool mechanism_accepted(const struct strings *degraded, const char *name);
/* Looks for project quotas on the file system of this directory. */
void mechanisms_probe_disk(struct mechanisms *mechanisms, int dir);
/* What was found of the one of this name. */
const char *mechanism_found(const struct mechanisms *mechanisms, const char *name);
/* 0, or -1 with error: the first that is missing and not accepted, of those that are required and
 * of wanted (names, NULL at the end). accepted gets the names of those that are missing and
 * accepted, "a, b", as many as fit; "" when all is there. */
int mechanisms_check(const struct mechanisms *mechanisms, const struct strings *degraded,
		     const char *const wanted[], char accepted[MECHANISMS_TEXT_MAX + 1],
		     struct error *error);

#endif
