/* The table of agentd.yaml(5). For config*.c and the tests. */
#ifndef SCARAB_CONFIG_SCHEMA_H
#define SCARAB_CONFIG_SCHEMA_H

#include "config.h"
#include "record.h"

extern const struct record config_record;

#endif
