/* What one key of a manifest demands of another; the finish functions of manifest_schema.c. */
#ifndef SCARAB_MANIFEST_RULES_H
#define SCARAB_MANIFEST_RULES_H

#include "record.h"

int finish_credential(void *object, const struct place *place);
int finish_network(void *object, const struct place *place);
int finish_server(void *object, const struct place *place);
int finish_trigger(void *object, const struct place *place);
int finish_manifest(void *object, const struct place *place);

#endif
