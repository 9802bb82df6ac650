/* The tables of agent-manifest(5). For manifest*.c, config_schema.c and the tests. */
#ifndef SCARAB_MANIFEST_SCHEMA_H
#define SCARAB_MANIFEST_SCHEMA_H

#include "manifest.h"
#include "record.h"

extern const struct record manifest_record;

extern const struct choice runtime_choices[];
extern const struct choice trust_level_choices[];
extern const struct choice home_mode_choices[];
extern const struct choice network_policy_choices[];
extern const struct choice overlap_choices[];

#endif
