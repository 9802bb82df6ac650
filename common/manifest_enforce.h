/* What a manifest may write but this build cannot enforce. */
#ifndef SCARAB_MANIFEST_ENFORCE_H
#define SCARAB_MANIFEST_ENFORCE_H

#include "manifest.h"

/* The path of the first key that asks for what this build cannot do, with reason filled; NULL
 * when everything can be enforced. */
const char *manifest_unenforceable(const struct manifest *manifest, struct error *reason);

#endif
