/*
 * What a sound manifest says in vain: each becomes a line for who installs or validates it.
 */
#ifndef SCARAB_MANIFEST_WARNINGS_H
#define SCARAB_MANIFEST_WARNINGS_H

#include "manifest.h"
#include "yaml_tree.h"

/* Lines "FILE:LINE:COLUMN: text", heap; NULL when there are none. */
char *manifest_warnings(const struct manifest *manifest, const struct yaml_node *tree,
			const char *file);

#endif
